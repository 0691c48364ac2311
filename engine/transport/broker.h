#pragma once
/**
 * broker.h -- what a type of broker has to implement.  For transport/ and the rooms in it only.
 *
 * An implementation embeds `ao_broker` first in its own struct, and `ao_broker_call` first in its call.
 */
#include "transport/transport.h"

#include <stdatomic.h>

typedef struct ao_broker_type {
	const char *name;
	int (*make)(ao_loop *loop, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr);
	void (*free)(ao_broker *broker);
	ao_broker_call *(*send)(ao_broker *broker, const ao_broker_request *request);
	void (*cancel)(ao_broker_call *call);
	ao_broker_stats (*stats)(const ao_broker *broker);
	char *(*place)(const cJSON *config);             /* as ao_broker_place(); NULL when the configuration makes no sense */
	const char *(*account)(const ao_broker *broker); /* as ao_broker_account(); NULL: places say all there is */
} ao_broker_type;

struct ao_broker {
	const ao_broker_type *type;
};

struct ao_broker_call {
	ao_broker *broker;
	atomic_uint_least64_t until_ms; /* as ao_broker_request.until_ms; set before any thread but the loop's sees the call */
};

#define AO_BROKER_NOT_ALLOWED "left as it is, because another replica may lead now"
/** May it change anything? Any thread. */
bool ao_broker_is_allowed(const ao_broker_call *call);

#define AO_BROKER_SHOWN (16 * 1024) /* bytes of a body that a PEEK shows */

/** The words of ao_broker_answer.kept. @param held  messages in the queue; -1: not known. The caller frees. */
char *ao_broker_spared(const char *queue, int64_t held, const char *differences);

/** Puts a message's body into what a PEEK shows of it: `size`, and `body` when it is text; `cut` when that is not all of it. */
void ao_broker_show_body(cJSON *shown, const char *bytes, size_t len, uint64_t size);

extern const ao_broker_type ao_rabbitmq_type; /* rabbitmq/rabbitmq.c */
extern const ao_broker_type ao_sqs_type;      /* sqs/sqs.c */
