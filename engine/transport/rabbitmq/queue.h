#pragma once
/**
 * queue.h -- what a queue must look like, read from a request and turned into AMQP terms.  The format is in rabbitmq.h.
 * Threads: one owner at a time.
 */
#include "base/err.h"

#include <amqp.h>
#include <cjson/cJSON.h>
#include <stdbool.h>

/** A queue to declare; empty when there is none. */
typedef struct ao_rabbit_queue_spec {
	amqp_bytes_t name;
	amqp_table_t arguments;
	bool durable;
	bool replicated; /* its arguments make it a quorum queue or a stream */
} ao_rabbit_queue_spec;

typedef struct ao_rabbit_queue {
	ao_rabbit_queue_spec main, dead;
	amqp_bytes_t exchange, exchange_type;
	amqp_bytes_t *bindings;
	size_t binding_count;
	amqp_bytes_t other; /* the queue that loses the bindings in `taken` */
	amqp_bytes_t *taken;
	size_t taken_count;
	bool create, force_recreate, if_empty;
	/* private: what the above points into */
	cJSON *json;
	amqp_pool_t pool;
} ao_rabbit_queue;

/** @return 0; -EINVAL with the path of what is wrong */
int ao_rabbit_queue_new(const cJSON *json, ao_rabbit_queue **ret, ao_err **reterr);
void ao_rabbit_queue_free(ao_rabbit_queue *queue); /* NULL is fine */
