#pragma once
/**
 * aws_source.h -- the one place our AWS keys come from, found once, and asking it for new ones.  Private to aws_credentials.c.
 *
 * Looked at in this order: the transport's own secrets (accessKeyId, secretAccessKey, sessionToken); AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE (IRSA: STS, at AWS_ENDPOINT_URL_STS or the
 * region's own); AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI (EKS Pod Identity, ECS); and, only when the configuration says
 * `instanceMetadata: true`, the EC2 instance metadata service, version 2.  The environment is read once; token files at each use.
 * Threads: the loop thread only.
 */
#include "transport/sqs/aws_credentials.h"

typedef struct ao_aws_source ao_aws_source;

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
