#pragma once
/**
 * world.h -- all that we observe: one store per kind of the manifest, and who is woken by which change.
 *
 * A child wakes the parent its controller reference names, a related object the parent its label names or the one whose child owns it,
 * a shared object nobody but the keeper of shared objects.
 *
 * Parents of another class are not there at all; one whose class changes goes, or comes.  A scope with namespaces has an informer per kind
 * and namespace; a namespace in which something may not be listed (it does not exist yet, or our roles are not there) keeps nobody waiting,
 * and its parents come when all that belongs to them can be seen.
 * Threads: the loop thread only.
 */
#include "kube/informer.h"
#include "policy/scope.h"

typedef struct ao_world ao_world;

typedef struct ao_world_listener {
	void (*on_parent)(void *arg, const char *key);    /* a parent came, went, or changed in more than its status */
	void (*on_dependent)(void *arg, const char *key); /* something that belongs to parent `key` changed */
	void (*on_shared)(void *arg, const ao_kind *kind, const char *key);
	void (*on_synced)(void *arg);    /* once: every list is complete */
	void (*on_installed)(void *arg); /* a kind that the cluster did not know is there now, or the other way round; may be NULL */
	void *arg;
} ao_world_listener;

/** @param manifest, scope  borrowed for the world's life */
ao_world *ao_world_new(ao_loop *loop, ao_kube *kube, const ao_manifest *manifest, const ao_scope *scope, const ao_world_listener *listener);
void ao_world_start(ao_world *world);
void ao_world_free(ao_world *world);
bool ao_world_synced(const ao_world *world);

ao_store *ao_world_parents(ao_world *world);
ao_store *ao_world_store(ao_world *world, const ao_kind *kind);
const ao_manifest *ao_world_manifest(const ao_world *world);
const ao_scope *ao_world_scope(const ao_world *world);

/** Does the cluster not know this kind? */
bool ao_world_absent(const ao_world *world, const ao_kind *kind);

/** The observed object that has the identity of `desired`, or NULL. */
const ao_object *ao_world_find(ao_world *world, const ao_kind *kind, const cJSON *desired);
/** Its tree with apiVersion and kind, which lists leave out. */
int ao_world_tree(const ao_kind *kind, const ao_object *object, cJSON **ret, ao_err **reterr);
/** What a write of ours was about, and so what in its answer is no news. */
typedef enum {
	AO_WROTE_OBJECT, /* all but that it is another object, or is to go */
	AO_WROTE_STATUS,
	AO_WROTE_DELETION,
} ao_wrote;

/**
 * Puts the server's answer to a write into the cache. What it shows beyond that write wakes whom its event would have woken: that one comes
 * too late to be news.
 * @param ret_digest  spec_digest of the answer, also when the cache holds something newer; may be NULL
 * @return false when the object is not there (any more)
 */
bool ao_world_put_answer(ao_world *world, const ao_kind *kind, ao_wrote wrote, const ao_kube_answer *answer, uint64_t *ret_digest);
/** After a DELETE of ours, of the object of this uid: what goes on until its finalizers are done is kept as the answer shows it. */
void ao_world_deleted(ao_world *world, const ao_kind *kind, const char *key, const char *uid, const ao_kube_answer *answer);

/** Puts the object of that key, which the watch does not show (it lacks the labels), into the cache. Returns NULL when it is none. */
const ao_object *ao_world_put_unlisted(ao_world *world, const ao_kind *kind, const char *key, const ao_kube_answer *answer);

/** Calls fn for every observed child (not shared) of the parent with this uid, kind by kind in manifest order. */
void ao_world_each_child(ao_world *world, const char *parent_uid, void (*fn)(void *arg, const ao_kind *kind, const ao_object *object),
			 void *arg);

/**
 * What policies are shown about one parent: {now, parent, children, related, absent}; absent lists kinds that the cluster does not know.
 * @return 0; -EINVAL when the parent or a child cannot be read (named)
 */
int ao_world_snapshot(ao_world *world, const ao_object *parent, cJSON **ret, ao_err **reterr);
/** Digests of what `related` and `absent` of a snapshot would hold: another one when something in there has changed. */
uint64_t ao_world_related_digest(ao_world *world, const ao_object *parent);
uint64_t ao_world_absent_digest(const ao_world *world);
