#pragma once
/**
 * worker.h -- the thread that talks to one RabbitMQ: a mailbox in, finished calls out.
 *
 * It starts with the first call.  It never waits but in one poll(), so it ends within a moment of being told to.
 * Threads: the functions are for the loop's thread; `wake` is mostly called on the worker's.
 */
#include "transport/rabbitmq/call.h"
#include "transport/rabbitmq/config.h"

typedef struct ao_rabbit_worker ao_rabbit_worker;

/** @param config  borrowed until ao_rabbit_worker_free(). @param wake  called when calls are finished and can be taken */
ao_rabbit_worker *ao_rabbit_worker_new(const ao_rabbit_config *config, void (*wake)(void *arg), void *arg);
/** Ends the thread and frees whatever calls it has left; a few milliseconds. NULL is fine. */
void ao_rabbit_worker_free(ao_rabbit_worker *worker);

/** Hands a call over. */
void ao_rabbit_worker_put(ao_rabbit_worker *worker, ao_rabbit_call *call);
/** Every finished call, first one first, linked by `next`; NULL when there is none. */
ao_rabbit_call *ao_rabbit_worker_take(ao_rabbit_worker *worker);
void ao_rabbit_worker_stats(ao_rabbit_worker *worker, bool *ret_connected, uint64_t *ret_connects);
