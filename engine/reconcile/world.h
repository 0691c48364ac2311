#pragma once
/**
 * world.h -- all that we observe: one store per kind of the manifest, and which change wakes which parent.
 *
 * A change of a child wakes the parent that its controller reference names.  A change of a related object wakes the parent that its label
 * names, or the parent of the child that owns it, or those that have asked for
 * it by rules (relations.h).  A change of a shared object goes to the keeper of shared objects only.
 *
 * Parents of another class are not visible here.  When a parent's class changes, it goes or comes.  A scope with namespaces has an informer
 * per kind and namespace.  When we are not allowed to list something in a namespace (it does not exist yet, or our roles are missing),
 * nothing waits for it; the namespace's parents come when everything that belongs to them can be seen.  For a kind that a policy declares
 * nothing waits at all.
 * Threads: the loop thread only.
 */
#include "kube/informer.h"
#include "policy/scope.h"

typedef struct ao_world ao_world;

typedef struct ao_world_listener {
	/** A parent came, went, or changed in more than its status. @param edited  it was known and not to go, and somebody has changed it */
	void (*on_parent)(void *arg, const char *key, bool edited);
	void (*on_dependent)(void *arg, const char *key); /* something that belongs to parent `key` changed */
	void (*on_shared)(void *arg, const ao_kind *kind, const char *key);
	void (*on_synced)(void *arg);    /* once: every list is complete */
	void (*on_installed)(void *arg); /* a kind was added to the cluster or removed from it, or may be listed now; may be NULL */
	/** A parent changed, be it in its status only; may be NULL. */
	void (*on_seen)(void *arg, const ao_object *parent, const ao_object *before);
	void *arg;
} ao_world_listener;

/** @param manifest, scope  borrowed for the world's life */
ao_world *ao_world_new(ao_loop *loop, ao_kube *kube, const ao_manifest *manifest, const ao_scope *scope, const ao_world_listener *listener);
void ao_world_start(ao_world *world);
void ao_world_free(ao_world *world);
bool ao_world_synced(const ao_world *world);
/** How far the caches are, for people; the caller frees. */
char *ao_world_tell(const ao_world *world);

ao_store *ao_world_parents(ao_world *world);
ao_store *ao_world_store(ao_world *world, const ao_kind *kind);
const ao_manifest *ao_world_manifest(const ao_world *world);
const ao_scope *ao_world_scope(const ao_world *world);

/** Does the cluster not know this kind? */
bool ao_world_absent(const ao_world *world, const ao_kind *kind);
/** Is this a kind of a policy, or one asked for by rules, that we are not allowed to list, somewhere? */
bool ao_world_denied(const ao_world *world, const ao_kind *kind);

/** The observed object that has the identity of `desired`, or NULL. */
const ao_object *ao_world_find(ao_world *world, const ao_kind *kind, const cJSON *desired);
/** Its tree with apiVersion and kind, which lists leave out. */
int ao_world_tree(const ao_kind *kind, const ao_object *object, cJSON **ret, ao_err **reterr);
/** What we wrote, and so which part of the answer is not news. */
typedef enum {
	AO_WROTE_OBJECT, /* news is only that it is another object, or is being deleted */
	AO_WROTE_STATUS,
	AO_WROTE_DELETION,
} ao_wrote;

/**
 * Puts the server's answer to a write into the cache.  When it shows more than the write, the parent is woken as by the watch event, which
 * will come too late to show anything new.
 * @param ret_digest  spec_digest of the answer, also when the cache holds something newer; may be NULL
 * @return false when the object does not exist (any more)
 */
bool ao_world_put_answer(ao_world *world, const ao_kind *kind, ao_wrote wrote, const ao_kube_answer *answer, uint64_t *ret_digest);
/** After our DELETE of the object with this uid. An object that stays until its finalizers are done is kept as the answer shows it. */
void ao_world_deleted(ao_world *world, const ao_kind *kind, const char *key, const char *uid, const ao_kube_answer *answer);

/** Puts an object that the watch does not show (it lacks the labels) into the cache. Returns NULL when the answer holds no object. */
const ao_object *ao_world_put_unlisted(ao_world *world, const ao_kind *kind, const char *key, const ao_kube_answer *answer);

/** Calls fn for every observed child (not shared) of the parent with this uid, kind by kind in manifest order. */
void ao_world_each_child(ao_world *world, const char *parent_uid, void (*fn)(void *arg, const ao_kind *kind, const ao_object *object),
			 void *arg);

/**
 * What policies are shown about one parent: {now, parent, children, related, absent}; absent lists kinds that the cluster does not know.
 * @return 0; -EINVAL when the parent or a child cannot be read (named)
 */
int ao_world_snapshot(ao_world *world, const ao_object *parent, cJSON **ret, ao_err **reterr);
/** What a parent is related to from now on, by rules. @param rules  as for ao_relations_set(); NULL: none. @return as there */
int ao_world_relate(ao_world *world, const char *parent, const cJSON *rules, ao_err **reterr);
/** Makes `related` of a snapshot what it would be with these rules, which are not kept. @return 0; -E2BIG; -EINVAL as ao_world_snapshot() */
int ao_world_show_related(ao_world *world, const ao_object *parent, const cJSON *rules, cJSON *snapshot, ao_err **reterr);
/** Digests of what `related`, `children` and `absent` of a snapshot would hold, the last one also of what may be listed. They differ when
 * something in there has changed. */
uint64_t ao_world_related_digest(ao_world *world, const ao_object *parent);
uint64_t ao_world_children_digest(ao_world *world, const ao_object *parent);
uint64_t ao_world_absent_digest(const ao_world *world);
