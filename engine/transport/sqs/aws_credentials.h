#pragma once
/**
 * aws_credentials.h -- keys to sign AWS requests with, always fresh.
 *
 * Keys that end are asked for anew `margin_ms` before they do, once for all who wait.  As long as they are good they are used, also
 * when asking for new ones fails.  A failure is remembered for some seconds, so that many callers do not make many requests.
 * aws_source.h says where keys come from.  Secrets are overwritten when freed and appear in no message.
 * Threads: the loop thread only.
 */
#include "transport/sqs/aws_source.h"

typedef struct ao_aws_credentials ao_aws_credentials;

/** Somebody who waits for keys; the caller's own memory, zeroed but for fn and arg. */
typedef struct ao_aws_waiter {
	void (*fn)(void *arg, int error, const char *reason, const char *message); /* error 0: there are keys now, ask again */
	void *arg;
	struct ao_aws_waiter *prev, *next;
	ao_aws_credentials *in; /* where it waits, or NULL */
} ao_aws_waiter;

/** Sends nothing yet. @return 0; -EINVAL when the secrets are there in part, or hold what no header may */
int ao_aws_credentials_new(ao_loop *loop, const ao_aws_options *options, ao_aws_credentials **ret, ao_err **reterr);
/** Those who wait are not called any more. Legal inside a waiter's fn. NULL is fine. */
void ao_aws_credentials_free(ao_aws_credentials *credentials);

/** @return keys that are good now, borrowed until the loop turns; or NULL: then `waiter` waits and its fn is called once */
const ao_aws_keys *ao_aws_credentials_get(ao_aws_credentials *credentials, ao_aws_waiter *waiter);
/** Its fn is not called any more; fine when it does not wait. */
void ao_aws_waiter_leave(ao_aws_waiter *waiter);
/**
 * AWS refused the keys of that id as unknown or expired: they are forgotten.
 * @return true when asking again can go better
 */
bool ao_aws_credentials_refused(ao_aws_credentials *credentials, const char *id);
