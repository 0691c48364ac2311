#pragma once
/**
 * answer.h -- what the server's answer means: HTTP status and Status object to one of our errors.  Private to kube/.
 * Threads: any.
 */
#include "kube/client.h"

/** An answer and what its texts live in. */
typedef struct ao_answer_parts {
	ao_kube_answer answer; /* body borrowed from the response */
	cJSON *status;         /* the Status object */
	char *message;
} ao_answer_parts;

ao_answer_parts ao_answer_make(const ao_http_response *response);
void ao_answer_clear(ao_answer_parts *parts);

#define ao_auto_answer __attribute__((cleanup(ao_answer_clear)))
