#pragma once
/**
 * move.h -- messages of a queue moved to another one, or only shown.  Private to this room.
 *
 * A message is received, which hides it for a while; it is sent to the other queue; only when SQS says that it is there it is deleted.
 * Threads: the loop thread only.
 */
#include "transport/sqs/task.h"

typedef struct ao_sqs_move ao_sqs_move;

typedef struct ao_sqs_move_request {
	ao_broker_verb verb;   /* MOVE or PEEK */
	const char *from, *to; /* copied; to: NULL for PEEK */
	const char *origin;    /* as ao_broker_request's; copied */
	const char *account;   /* as ao_broker_request's; borrowed until the end */
	uint64_t most;
	uint64_t timeout_ms, deadline_ms; /* the latter by ao_mono_ms() */
	bool (*may)(void *arg);           /* asked before messages are received, and before they are sent */
	ao_sqs_task_fn fn;                /* called once, on the loop; not after ao_sqs_move_cancel(). Without an ARN */
	void *arg;
} ao_sqs_move_request;

/** @param account  borrowed for the move's life */
ao_sqs_move *ao_sqs_move_start(ao_sqs_account *account, const ao_sqs_move_request *request);
/** What it holds comes back to its queue by itself, after a while. */
void ao_sqs_move_cancel(ao_sqs_move *move);
/** What has come of it so far; borrowed from `move`. */
void ao_sqs_move_tell(const ao_sqs_move *move, ao_broker_answer *ret);
