#pragma once
/**
 * workqueue.h -- the work queue: keys that want attention, each at most once at a time.
 *
 * The rules are client-go's.  Adding a key that waits already changes nothing.  Adding one that is being worked on
 * makes it run once more afterwards, never twice at the same time.  A failed key comes back after base * 2^failures,
 * up to a ceiling; a success forgets the failures.  Other than there, failures are counted in time: work that somebody asks for before the
 * back-off is over, and that fails as well, changes nothing of it.
 * Work is asynchronous: the handler starts it, and ao_workqueue_done() says later that it has ended.
 * Keys are handed out by rank, and in the order they came within one; each eighth turn goes to the key that has waited longest, whatever its
 * rank, so that none starves.  A key that is added again with a higher rank takes that one, at the end of its line.
 * Some places may be kept for the first rank: what somebody waits for does not wait then until other work has ended.
 * The queue hands out work from the loop, never from inside ao_workqueue_add(), at most `slice_ms` at a stretch so that
 * lease and probes get their turn.
 * Threads: the loop thread only.
 */
#include "loop/loop.h"

#include <stddef.h>

typedef struct ao_workqueue ao_workqueue;

/** Starts work on `key` (borrowed for the call). Must lead to exactly one ao_workqueue_done(). */
typedef void (*ao_workqueue_fn)(void *arg, const char *key);

typedef enum {
	AO_WORKQUEUE_FIRST, /* somebody waits for it */
	AO_WORKQUEUE_USUAL,
	AO_WORKQUEUE_LAST, /* it can wait for all others */
	AO_WORKQUEUE_RANKS
} ao_workqueue_rank;

typedef enum {
	AO_WORKQUEUE_OK,     /* forget the failures of this key */
	AO_WORKQUEUE_RETRY,  /* count a failure, come back after the back-off */
	AO_WORKQUEUE_SELDOM, /* the same, with the higher ceiling: it will not heal unless somebody does something */
} ao_workqueue_result;

typedef struct ao_workqueue_options {
	size_t max_active; /* keys worked on at the same time; 0 means 1 */
	size_t kept;       /* ... of which that many have the rank AO_WORKQUEUE_FIRST, or their places stay free; less than max_active */
	uint64_t base_ms;  /* first back-off; 0 means 5 */
	uint64_t max_ms;   /* ceiling of the back-off; 0 means 30000 */
	uint64_t seldom_max_ms; /* ... of AO_WORKQUEUE_SELDOM; 0 means 300000 */
	uint64_t slice_ms;      /* longest stretch of starting work before the loop gets its turn; 0 means 10 */
	/** Told how long a key waited before its work began, and (`worked`) how long the work took; may be NULL. Must not use the queue. */
	void (*on_time)(void *arg, bool worked, double seconds);
} ao_workqueue_options;

/** For metrics. */
typedef struct ao_workqueue_stats {
	size_t waiting, active, delayed;
	uint64_t adds, retries, done;
	double unfinished, longest; /* seconds that active work has taken so far: the sum, and the oldest alone */
} ao_workqueue_stats;

ao_workqueue *ao_workqueue_new(ao_loop *loop, const ao_workqueue_options *options, ao_workqueue_fn fn, void *arg);
void ao_workqueue_free(ao_workqueue *queue); /* waiting keys are dropped; nothing may be active, or it is never reported */

void ao_workqueue_add(ao_workqueue *queue, const char *key, ao_workqueue_rank rank);
/** Adds after a delay; an earlier pending time for the same key wins, and the higher rank of both. */
void ao_workqueue_add_after(ao_workqueue *queue, const char *key, ao_workqueue_rank rank, uint64_t delay_ms);
void ao_workqueue_done(ao_workqueue *queue, const char *key, ao_workqueue_result result);
/** Drops the failures and the delayed wake-up of a key that is gone for good. */
void ao_workqueue_forget(ao_workqueue *queue, const char *key);
/** Stops handing out work; what is active goes on. */
void ao_workqueue_pause(ao_workqueue *queue);
/** Hands out work again. */
void ao_workqueue_resume(ao_workqueue *queue);
ao_workqueue_stats ao_workqueue_get_stats(const ao_workqueue *queue);
