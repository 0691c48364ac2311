#pragma once
/**
 * management.h -- the management API, for the one figure that AMQP does not tell: messages delivered and not acknowledged.
 *
 * Its failure is no failure of a call, since a broker works without it.  After one it is not asked for a while.
 * Threads: the loop thread only.
 */
#include "loop/loop.h"
#include "transport/rabbitmq/config.h"

typedef struct ao_rabbit_management ao_rabbit_management;
typedef struct ao_rabbit_count ao_rabbit_count;

/** @param in_flight  -1: not known. */
typedef void (*ao_rabbit_count_fn)(void *arg, int64_t in_flight);

/** @return NULL when the configuration names no management API */
ao_rabbit_management *ao_rabbit_management_new(ao_loop *loop, const ao_rabbit_config *config);
/** Cancels what is under way. NULL is fine. */
void ao_rabbit_management_free(ao_rabbit_management *management);

/** @return NULL when it is not worth asking now, or `management` is NULL: fn is not called then */
ao_rabbit_count *ao_rabbit_management_count(ao_rabbit_management *management, const char *queue, uint64_t timeout_ms, ao_rabbit_count_fn fn,
					    void *arg);
void ao_rabbit_management_cancel(ao_rabbit_count *count); /* fn is not called */
