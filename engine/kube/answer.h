#pragma once
/**
 * answer.h -- what the server's answer means: HTTP status, Status object and body to one of our errors.  Private to kube/.
 *
 * Between the server and us there are proxies, which answer too.  So nothing is believed for its HTTP status alone: an object is there when
 * it came back, whole and under its name; it is missing, or in another's way, when a Status object of the server says so.
 * Threads: any.
 */
#include "kube/client.h"

/** An answer and what its texts live in. */
typedef struct ao_answer_parts {
	ao_kube_answer answer; /* body borrowed from the response */
	cJSON *status;         /* the Status object */
	char *message;
} ao_answer_parts;

/** @param object  what the request was about; NULL, or one without a resource: any 2xx is fine */
ao_answer_parts ao_answer_make(const ao_http_response *response, const char *method, const ao_kube_object *object);
void ao_answer_clear(ao_answer_parts *parts);

#define ao_auto_answer __attribute__((cleanup(ao_answer_clear)))
