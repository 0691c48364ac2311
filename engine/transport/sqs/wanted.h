#pragma once
/**
 * wanted.h -- a queue as policies want it, and how that differs from what is there.  Private to this room.
 * Threads: any.
 */
#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ao_sqs_wanted ao_sqs_wanted;
struct ao_sqs_wanted {
	char *name;
	bool create;         /* make it, and put right what differs */
	bool if_empty;       /* delete only then */
	bool is_dead;        /* a dead letter queue */
	cJSON *attributes;   /* strings by name */
	cJSON *tags;         /* strings by name */
	ao_sqs_wanted *dead; /* the dead letter queue, or NULL; its `create` is that of the queue */
	int64_t max_receives;
};

/**
 * Reads the JSON described in sqs.h; numbers and truth values become strings where AWS wants strings.
 * @return 0; -EINVAL: "attributes.VisibilityTimeout: expected a string", "visibility: unknown key", "name: ..."
 */
int ao_sqs_wanted_read(const cJSON *queue, ao_sqs_wanted **ret, ao_err **reterr);
/** Without its dead letter queue. */
ao_sqs_wanted *ao_sqs_wanted_copy(const ao_sqs_wanted *wanted);
void ao_sqs_wanted_free(ao_sqs_wanted *wanted);

/** Sets the attribute RedrivePolicy, when there is a dead letter queue. @param dead_arn  its ARN */
void ao_sqs_wanted_set_dead(ao_sqs_wanted *wanted, const char *dead_arn);
/** The ARN of the dead letter queue beside the queue of that ARN. The caller frees; NULL when there is none wanted, or no ARN. */
char *ao_sqs_dead_arn(const ao_sqs_wanted *wanted, const char *arn);

/** The wanted attributes that are not so in `found`; policies compared as JSON. @return a new object, or NULL */
cJSON *ao_sqs_attribute_changes(const ao_sqs_wanted *wanted, const cJSON *found);
/** Takes a shorter MessageRetentionPeriod out of the changes: SQS would drop what is older. Of a dead letter queue that was asked for. */
void ao_sqs_spare_old_messages(const ao_sqs_wanted *wanted, const cJSON *found, cJSON **changes);
/** The wanted tags that are missing or different. @return a new object, or NULL */
cJSON *ao_sqs_tag_changes(const ao_sqs_wanted *wanted, const cJSON *found);
/** "VisibilityTimeout is 30, wanted 300; DelaySeconds is 5, wanted 0". The caller frees. */
char *ao_sqs_changes_text(const cJSON *changes, const cJSON *found);
/** A count among attributes; -1 when it is missing or not a count. */
int64_t ao_sqs_count(const cJSON *attributes, const char *name);
