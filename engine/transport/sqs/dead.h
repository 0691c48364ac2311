#pragma once
/**
 * dead.h -- the dead letter queues of one broker, each ensured once for all calls that need it now.  Private to this room.
 *
 * Many queues share one dead letter queue.  What was found about it is believed for some seconds: so thousands of queues cost only a few
 * looks at it, and a dead letter queue that somebody deleted is soon made again.
 * Threads: the loop thread only.
 */
#include "transport/sqs/task.h"

typedef struct ao_sqs_dead ao_sqs_dead;

/** A call that waits; the caller's own memory, zeroed but for fn and arg. */
typedef struct ao_sqs_dead_waiter {
	ao_sqs_task_fn fn;      /* called once, on the loop */
	bool (*may)(void *arg); /* as ao_sqs_task_request's: what one of them may is done for all */
	void *arg;
	struct ao_sqs_dead_waiter *next;
	struct ao_sqs_dead_entry *in; /* where it waits, or NULL */
} ao_sqs_dead_waiter;

/** @param account  borrowed for life */
ao_sqs_dead *ao_sqs_dead_new(ao_sqs_account *account);
/** Those who wait are not called any more. Legal inside a waiter's fn. NULL is fine. */
void ao_sqs_dead_free(ao_sqs_dead *dead);

/**
 * @param wanted  of the main queue, with a `dead`
 * @param fresh   look now, whatever is known
 * @return the ARN, borrowed until the loop turns; or NULL: then `waiter` waits and its fn is called once
 */
const char *ao_sqs_dead_need(ao_sqs_dead *dead, const ao_sqs_wanted *wanted, bool fresh, ao_sqs_dead_waiter *waiter);
/** Its fn is not called any more; fine when it does not wait. */
void ao_sqs_dead_leave(ao_sqs_dead_waiter *waiter);
