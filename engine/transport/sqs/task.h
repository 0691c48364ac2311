#pragma once
/**
 * task.h -- one queue ensured, inspected or deleted: the steps against the API.  Private to this room.
 *
 * A task knows nothing of dead letter queues but the name in `wanted->dead`: its caller has seen to that queue.
 * Threads: the loop thread only.
 */
#include "base/map.h"
#include "transport/sqs/api.h"
#include "transport/sqs/wanted.h"
#include "transport/transport.h"

/** Shared by the tasks of one broker. */
typedef struct ao_sqs_account {
	ao_sqs_api *api;
	ao_map *urls;      /* name of a queue: its URL, owned */
	char *id;          /* 12 digits, as ARNs of its queues have it; NULL: none was seen yet */
	bool tags_refused; /* it was said once that we are not allowed to look at tags */
} ao_sqs_account;

typedef struct ao_sqs_task ao_sqs_task;

/** @param arn  of the queue, when it is known; borrowed like the answer's strings, else NULL */
typedef void (*ao_sqs_task_fn)(void *arg, const ao_broker_answer *answer, const char *arn);

typedef struct ao_sqs_task_request {
	ao_broker_verb verb;
	ao_sqs_wanted *wanted;  /* borrowed until the end; the attribute RedrivePolicy is put in */
	const char *account;    /* of DELETE: whose it has to be; NULL: whosever; borrowed until the end */
	const char *dead_arn;   /* of wanted->dead when known, else NULL: taken to be beside the queue; copied */
	bool with_arn;          /* a queue just created is looked at, too */
	uint64_t deadline_ms;   /* ao_mono_ms() */
	bool (*may)(void *arg); /* asked before anything is changed */
	ao_sqs_task_fn fn;      /* called once, on the loop; not after ao_sqs_task_cancel() */
	void *arg;
} ao_sqs_task_request;

/** @param account  borrowed for the task's life */
ao_sqs_task *ao_sqs_task_start(ao_sqs_account *account, const ao_sqs_task_request *request);
void ao_sqs_task_cancel(ao_sqs_task *task);
/** It has begun to create the queue, and has no answer yet. */
bool ao_sqs_task_tried(const ao_sqs_task *task);

/* What GetQueueAttributes calls the counts. */
#define AO_SQS_WAITING "ApproximateNumberOfMessages"
#define AO_SQS_IN_FLIGHT "ApproximateNumberOfMessagesNotVisible"

/** @param body  the answer of GetQueueUrl or CreateQueue. @return the URL, borrowed from `body`; NULL: it holds none */
const char *ao_sqs_account_keep_url(ao_sqs_account *account, const char *name, const cJSON *body);
/** Does it show the queues of another account than that one? Not as far as is known when it has shown none, or when NULL is asked for. */
bool ao_sqs_account_is_other(const ao_sqs_account *account, const char *than);
void ao_sqs_account_forget_url(ao_sqs_account *account, const char *name);
void ao_sqs_account_clear(ao_sqs_account *account); /* the API, too; no task may be left */
