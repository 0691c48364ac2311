#pragma once
/**
 * dead.h -- the dead letter queues of one broker, each ensured once for everybody who needs it now.  Private to this room.
 *
 * Many queues share one dead letter queue.  What was found about it holds for some seconds, so that thousands of queues cost a
 * few looks at it, and one that somebody deleted is made again soon.
 * Threads: the loop thread only.
 */
#include "transport/sqs/task.h"

typedef struct ao_sqs_dead ao_sqs_dead;

/** Somebody who waits; the caller's own memory, zeroed but for fn and arg. */
typedef struct ao_sqs_dead_waiter {
	ao_sqs_task_fn fn; /* called once, on the loop */
	void *arg;
	struct ao_sqs_dead_waiter *next;
	struct ao_sqs_dead_entry *in; /* where it waits, or NULL */
} ao_sqs_dead_waiter;

/** @param account  borrowed for life */
ao_sqs_dead *ao_sqs_dead_new(ao_sqs_account *account);
/** Whoever waits is not called any more. Legal inside a waiter's fn. NULL is fine. */
void ao_sqs_dead_free(ao_sqs_dead *dead);

/**
 * @param wanted  of the main queue, with a `dead`
 * @param fresh   what is known does not count: look now
 * @return the ARN, borrowed until the loop turns; or NULL: then `waiter` waits and its fn is called once
 */
const char *ao_sqs_dead_need(ao_sqs_dead *dead, const ao_sqs_wanted *wanted, bool fresh, ao_sqs_dead_waiter *waiter);
/** Its fn is not called any more; fine when it does not wait. */
void ao_sqs_dead_leave(ao_sqs_dead_waiter *waiter);
