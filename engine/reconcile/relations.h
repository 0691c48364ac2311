#pragma once
/**
 * relations.h -- which objects a parent has asked for by rules, and so which parents a change concerns.
 *
 * A rule names a kind of the manifest that has `rules`, and of it one object, or those with some labels, or all; of one namespace or of all.
 * It is found through what it names, so that a change costs a few look-ups however many parents there are.  What each parent was related to
 * is remembered: an object that loses its labels concerns those that it belonged to until then.
 * Threads: the loop thread only.
 */
#include "kube/store.h"
#include "policy/manifest.h"

typedef struct ao_relations ao_relations;

#define AO_RELATED_MAX 1000 /* objects that one parent may ask for: each is shown to policies in every call */

/** @param manifest, stores  borrowed for the life of the relations; one store per kind, same order */
ao_relations *ao_relations_new(const ao_manifest *manifest, ao_store *const *stores);
void ao_relations_free(ao_relations *relations);

/**
 * Sets the rules of a parent: [{apiVersion, kind, namespace, name, labels}], where an absent namespace means all, and absent name and labels
 * all objects. NULL: none. That of before is kept when nothing differs.
 * @return 0; -E2BIG they select more than AO_RELATED_MAX objects; -EACCES they select objects of a kind that we may not list.  The parent is
 * woken all the same when one of them changes.
 */
int ao_relations_set(ao_relations *relations, const char *parent, const cJSON *rules, ao_err **reterr);
void ao_relations_forget(ao_relations *relations, const char *parent);
/** Says whether we may list a kind. Where we may not, nobody knows what there is: it would seem that there is nothing. */
void ao_relations_deny(ao_relations *relations, const ao_kind *kind, bool denied);
size_t ao_relations_count(const ao_relations *relations); /* parents that have rules */

/**
 * An object came, changed, or is gone: calls fn for each parent that it concerns, for some perhaps twice. fn must not change the relations.
 * @param before  as it was; NULL: that is not known, or it is new or gone
 */
void ao_relations_tell(ao_relations *relations, const ao_kind *kind, const ao_object *object, const ao_object *before, bool gone,
		       void (*fn)(void *arg, const char *parent), void *arg);
/** Calls fn for each object that is related to a parent, kind by kind, in the order of their keys; for none when they are too many. */
void ao_relations_each(ao_relations *relations, const char *parent, void (*fn)(void *arg, const ao_kind *kind, const ao_object *object),
		       void *arg);
