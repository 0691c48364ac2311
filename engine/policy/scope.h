#pragma once
/**
 * scope.h -- which parents are ours: those of one class, in some namespaces or in all.
 *
 * An object belongs to the class that its annotation names (the manifest says which annotation); without one, or with an empty one, to the
 * default class "".  This goes for parents, for ConfigMaps with policies, and for shared objects: what carries the mark of another class
 * is not ours to change.
 * Threads: any.
 */
#include "policy/manifest.h"

typedef struct ao_scope {
	char *class_;      /* never NULL; "" is the default class */
	char **namespaces; /* NULL-terminated; NULL: all */
} ao_scope;

/** The default class in all namespaces: what a NULL scope means. */
extern const ao_scope AO_SCOPE_ALL;

/**
 * Reads what the command line says, or else the environment (ASYA_OPERATOR_CLASS, ASYA_WATCH_NAMESPACES).
 *
 * @param class_      or NULL
 * @param namespaces  "a,b", or NULL; empty means all
 * @return 0; -EINVAL naming what is no name
 */
int ao_scope_read(const char *class_, const char *namespaces, ao_scope *ret, ao_err **reterr);
void ao_scope_clear(ao_scope *scope);
#define ao_auto_scope __attribute__((cleanup(ao_scope_clear)))

/** What a name that there is one of for each class is for this one: "base" or "base-class". The caller frees. */
char *ao_scope_name(const ao_scope *scope, const char *base);
bool ao_scope_covers(const ao_scope *scope, const char *namespace_);
/** Is the object of our class? */
bool ao_scope_serves(const ao_scope *scope, const ao_manifest *manifest, const cJSON *object);
/** Gives an object that we make the mark of our class; the default class needs none. */
void ao_scope_sign(const ao_scope *scope, const ao_manifest *manifest, cJSON *object);

/** "a,b, c" as a NULL-terminated list of names, each one once. @return 0; -EINVAL "`what`: 'X' is no name: ..." */
int ao_scope_names(const char *what, const char *text, char ***ret, ao_err **reterr);
void ao_scope_free_names(char **names); /* NULL is fine */
