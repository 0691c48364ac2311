#pragma once
/**
 * api.h -- one signed call of the SQS API, its errors told apart.  Private to this room.
 *
 * Every action that we use can safely be done twice.  So a call is tried again as long as its time allows: after throttling and server
 * errors with a jittered wait, after 10 s of silence on a new connection, after refused keys once with new ones.
 * Threads: the loop thread only.
 */
#include "transport/sqs/aws_credentials.h"
#include "transport/sqs/config.h"

typedef struct ao_sqs_api ao_sqs_api;
typedef struct ao_sqs_api_call ao_sqs_api_call;

typedef struct ao_sqs_reply {
	int error; /* 0; -ENOENT the queue does not exist, -EEXIST one of that name with other attributes; else as ao_broker_answer's */
	const char *reason;  /* as ao_broker_answer's */
	const char *message; /* "CreateQueue: sqs.eu-central-1.amazonaws.com: InvalidAttributeValue: ..." */
	const cJSON *body;   /* an object when error is 0, else NULL; borrowed for the call */
	uint64_t retry_ms;
} ao_sqs_reply;
typedef void (*ao_sqs_reply_fn)(void *arg, const ao_sqs_reply *reply);

/** @param config  borrowed for life. Takes `credentials`. */
int ao_sqs_api_new(ao_loop *loop, const ao_sqs_config *config, ao_aws_credentials *credentials, ao_sqs_api **ret, ao_err **reterr);
/** Cancels every call. Legal inside a reply; NULL is fine. */
void ao_sqs_api_free(ao_sqs_api *api);

/**
 * @param action       "CreateQueue"; must stay valid
 * @param body         taken
 * @param deadline_ms  ao_mono_ms(): the reply comes until then
 * @param fn           called once, on the loop, never from inside; not after ao_sqs_api_cancel()
 */
ao_sqs_api_call *ao_sqs_api_send(ao_sqs_api *api, const char *action, cJSON *body, uint64_t deadline_ms, ao_sqs_reply_fn fn, void *arg);
void ao_sqs_api_cancel(ao_sqs_api_call *call);
/** It is sent again, or late, only while `may` says so; `may` gets the call's `arg`. Else it ends with -EAGAIN. */
void ao_sqs_api_only_while(ao_sqs_api_call *call, bool (*may)(void *arg));

const char *ao_sqs_api_host(const ao_sqs_api *api); /* for messages */
/** Whether the server answered last time, and how often it did after it had not. */
bool ao_sqs_api_connected(const ao_sqs_api *api, uint64_t *ret_connects);
