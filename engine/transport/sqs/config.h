#pragma once
/**
 * config.h -- the registry entry of an SQS transport, checked.  Private to this room.
 * Threads: any.
 */
#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

typedef struct ao_sqs_config {
	char *region;
	char *endpoint; /* "https://host[:port]", no trailing slash */
	bool instance_metadata;
} ao_sqs_config;

/**
 * Every key is checked, also those that only policies or the core read.  Numbers may be written as strings and account numbers as
 * numbers; null and "" mean "not given".  The region is `region`, or else AWS_REGION, or else AWS_DEFAULT_REGION.
 * @return 0; -EINVAL with the path: "config.queues.dlq.enable: unknown key; did you mean enabled?"
 */
int ao_sqs_config_read(const cJSON *config, ao_sqs_config *ret, ao_err **reterr);
void ao_sqs_config_clear(ao_sqs_config *config);

/** Refuses names that we do not know, and values that are not strings. Errors name the secret, never its value. NULL is fine. */
int ao_sqs_check_secrets(const cJSON *secrets, ao_err **reterr);
