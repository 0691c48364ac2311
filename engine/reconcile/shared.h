#pragma once
/**
 * shared.h -- the keeper of shared objects.
 *
 * Many parents ask for the same content.  It is applied once, belongs to no parent, is put back when somebody edits or deletes it, and is
 * never deleted by us.  An object that carries the mark of another class (scope.h) counts as good, whatever it holds.
 *
 * When no parent is left in its namespace an object is forgotten, unless it was pinned (wanted without any parent).
 * Threads: the loop thread only.
 */
#include "kube/apply.h"
#include "kube/event.h"
#include "reconcile/world.h"

typedef struct ao_shared ao_shared;

/** @param answer  never NULL: what the server said last; answer->error is 0 when the object is as wanted */
typedef void (*ao_shared_fn)(void *arg, const ao_kube_answer *answer);

/** @param events  for failures, each an Event about the namespace; borrowed */
ao_shared *ao_shared_new(ao_loop *loop, ao_kube *kube, ao_world *world, ao_events *events);
void ao_shared_free(ao_shared *shared); /* waiters are not called */

/**
 * Wants `desired` (borrowed) to exist as it is.
 *
 * @param role    what log lines call it ("runtime ConfigMap")
 * @param digest  of `desired`, by ao_json_digest()
 * @param fn      called once, when the object has been written or the attempt has failed (it is tried again by itself); may be NULL
 * @return true: the object is as wanted already, and fn is not called
 */
bool ao_shared_want(ao_shared *shared, const ao_kind *kind, const char *role, const cJSON *desired, uint64_t digest, ao_shared_fn fn,
		    void *arg);
/**
 * For a pass whose bundle is not the live one: does the object exist, or do others want it?
 *
 * @param digest     as above
 * @param ret_alike  others want the same content, or nobody does and it has that content
 */
bool ao_shared_is_theirs(ao_shared *shared, const ao_kind *kind, const cJSON *desired, uint64_t digest, bool *ret_alike);
/** Is an object wanted whose content has this digest, and as it is wanted? */
bool ao_shared_is_right(const ao_shared *shared, uint64_t digest);
/** ao_shared_want() without a parent: kept even in a namespace without any. */
void ao_shared_pin(ao_shared *shared, const ao_kind *kind, const char *role, const cJSON *desired);
/** Forgets a waiter. */
void ao_shared_cancel(ao_shared *shared, void *arg);
/** The observed object has changed or is gone. */
void ao_shared_changed(ao_shared *shared, const ao_kind *kind, const char *key);
