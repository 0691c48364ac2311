#pragma once
/**
 * aws_source.h -- AWS keys, and the one place that ours come from: found once, then asked whenever new ones are needed.
 *
 * The places, in the order they are looked at: the transport's own secrets (accessKeyId, secretAccessKey, sessionToken); AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE (IRSA: STS, at AWS_ENDPOINT_URL_STS or the
 * region's own); AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI (EKS Pod Identity, ECS); and, only when the configuration says
 * `instanceMetadata: true`, the EC2 instance metadata service, version 2.  The environment is read once; token files at each use.
 * Threads: the loop thread only.
 */
#include "base/err.h"
#include "loop/loop.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ao_aws_source ao_aws_source;

typedef struct ao_aws_options {
	const char *region;
	const cJSON *secrets; /* may be NULL */
	bool instance_metadata;
	unsigned duration_s; /* how long keys of a role shall live; 0 leaves it to STS (an hour). For tests */
	uint64_t margin_ms;  /* for aws_credentials.h: how long before the old keys end it asks for new ones; 0 means 5 minutes */
} ao_aws_options;

typedef struct ao_aws_keys {
	char *id, *secret;
	char *token;         /* session token, or NULL */
	uint64_t expires_ms; /* ao_mono_ms(); 0: never */
} ao_aws_keys;

/** Overwrites and frees the strings. */
void ao_aws_keys_clear(ao_aws_keys *keys);

typedef struct ao_aws_fetched {
	int error;           /* 0; -EIO, -ETIME, -EPERM, -EINVAL, -EAGAIN, -EPROTO */
	const char *reason;  /* as ao_broker_answer's */
	const char *message; /* names the place and the cause, never a secret */
	ao_aws_keys *keys;   /* the receiver may move its strings away */
} ao_aws_fetched;
typedef void (*ao_aws_fetched_fn)(void *arg, const ao_aws_fetched *fetched);

/** @return 0; -EINVAL when the secrets are there in part, or hold what no header may */
int ao_aws_source_new(ao_loop *loop, const ao_aws_options *options, ao_aws_source **ret, ao_err **reterr);
/** Ends a fetch, whose fn is not called; legal inside it. NULL is fine. */
void ao_aws_source_free(ao_aws_source *source);

/** Keys that were given and never expire, borrowed; NULL when they must be fetched, or there are none. */
const ao_aws_keys *ao_aws_source_fixed(const ao_aws_source *source);
/** Asks for new keys; one at a time. fn is called once, on the loop, within 30 s. */
void ao_aws_source_fetch(ao_aws_source *source, ao_aws_fetched_fn fn, void *arg);
