#pragma once
/**
 * scope.h -- which parents are ours: those of one class, in some namespaces or in all.
 *
 * An object belongs to the class that its annotation names; the manifest says which annotation.  An object without the annotation, or with
 * an empty one, belongs to the default class "".  This holds for parents, for ConfigMaps with policies, and for shared objects.  We never
 * change an object of another class.
 * Threads: any.
 */
#include "policy/manifest.h"

typedef struct ao_scope {
	char *class_;      /* never NULL; "" is the default class */
	char **namespaces; /* NULL-terminated; NULL: all */
	bool own;          /* the manifest names the class */
} ao_scope;

/** The default class in all namespaces: what a NULL scope means. */
extern const ao_scope AO_SCOPE_ALL;

/**
 * Reads the scope from the command line; what is NULL there comes from the environment (ASYA_OPERATOR_CLASS, ASYA_WATCH_NAMESPACES).
 *
 * @param class_      or NULL
 * @param namespaces  "a,b", or NULL; empty means all
 * @return 0; -EINVAL with the text that is not a valid name
 */
int ao_scope_read(const char *class_, const char *namespaces, ao_scope *ret, ao_err **reterr);
void ao_scope_clear(ao_scope *scope);
#define ao_auto_scope __attribute__((cleanup(ao_scope_clear)))

/** The scope of a bundle of a process: that of the process, but for the class, if the manifest names one. Borrows from both. */
ao_scope ao_scope_of(const ao_scope *process, const cJSON *manifest);
/** Is a bundle with this manifest for the class of a scope that ao_scope_of() returned? @return 0; -EINVAL with both classes */
int ao_scope_keeps_class(const ao_scope *scope, const cJSON *manifest, ao_err **reterr);

/** The name of something that each class has one of: "base", or "base-class". The caller frees it. */
char *ao_scope_name(const ao_scope *scope, const char *base);
bool ao_scope_covers(const ao_scope *scope, const char *namespace_);
/** Can a bundle with this manifest work here? A kind that is in no namespace needs all of them. @return 0; -EINVAL with the kind */
int ao_scope_admits(const ao_scope *scope, const ao_manifest *manifest, ao_err **reterr);
/** Is the object of our class? */
bool ao_scope_serves(const ao_scope *scope, const ao_manifest *manifest, const cJSON *object);
/** Marks an object that we make with our class. The default class needs no mark. */
void ao_scope_sign(const ao_scope *scope, const ao_manifest *manifest, cJSON *object);

/** "a,b, c" as a NULL-terminated list of names, each one once. @return 0; -EINVAL "`what`: 'X' is not a valid name: ..." */
int ao_scope_names(const char *what, const char *text, char ***ret, ao_err **reterr);
void ao_scope_free_names(char **names); /* NULL is fine */
