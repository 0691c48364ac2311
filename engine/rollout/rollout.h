#pragma once
/**
 * rollout.h -- brings a new bundle to the parents that it changes, a few at a time.
 *
 * At most `max_restarting` parents whose pods would be replaced are released at once: the next one follows when one of them is carried out
 * and ready again.  A parent that was ready before and is not ready again within `ready_ms` has failed.  When more than `max_failed` have
 * failed, the rollout ends as failed.  A parent that is deleted meanwhile is done.
 * A parent is ready when its own condition Ready is true.
 * Threads: the loop thread only.
 */
#include "base/map.h"
#include "reconcile/reconcile.h"
#include "rollout/preflight.h"

typedef struct ao_rollout ao_rollout;

typedef struct ao_rollout_options {
	ao_loop *loop;
	ao_world *world;
	ao_reconciler *reconciler;
	const char *bundle; /* digest of the new bundle; copied */
	ao_map *changes;    /* of the preflight; taken */
	size_t max_restarting;
	size_t max_failed;
	uint64_t ready_ms;
	/** Called once, from the loop. The caller frees the rollout. `failed` NULL: all parents have the new bundle. */
	void (*on_done)(void *arg, const char *failed);
	void *arg;
} ao_rollout_options;

ao_rollout *ao_rollout_start(const ao_rollout_options *options);
void ao_rollout_free(ao_rollout *rollout); /* NULL is fine */

/** Must this parent still be served by the bundle it had before? */
bool ao_rollout_holds(const ao_rollout *rollout, const char *key);
/** Called by the reconciler at the end of each pass. */
void ao_rollout_on_pass(ao_rollout *rollout, const ao_pass_report *report);
/** Calls fn for each parent that has been released so far. */
void ao_rollout_each_released(const ao_rollout *rollout, void (*fn)(void *arg, const char *key), void *arg);

typedef struct ao_rollout_stats {
	size_t waiting, restarting, done, failed;
} ao_rollout_stats;
ao_rollout_stats ao_rollout_get_stats(const ao_rollout *rollout);
