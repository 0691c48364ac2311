#pragma once
/**
 * call.h -- one request to RabbitMQ: a walk of small steps, each one AMQP method on a channel of its own and its answer.
 *
 * The worker gives it a channel and sends the step; the broker either answers, or refuses and closes the channel.  Either way the call
 * knows what comes next.  Every step can be sent again on another connection, because doing it twice does no harm.
 * Threads: one owner at a time: the loop, then the worker, then the loop again; `cancelled` is for both.
 */
#include "transport/broker.h"
#include "transport/rabbitmq/amqp_conn.h"
#include "transport/rabbitmq/queue.h"

#include <stdatomic.h>

typedef struct ao_rabbit_call ao_rabbit_call;

typedef enum {
	AO_RABBIT_LOOK,         /* is `subject` there? */
	AO_RABBIT_EXCHANGE,     /* declare the exchange */
	AO_RABBIT_SEE_EXCHANGE, /* we may not declare it: is it there? */
	AO_RABBIT_DEAD,         /* declare the dead letter queue */
	AO_RABBIT_MAIN,         /* declare the queue */
	AO_RABBIT_BIND,         /* one binding after the other */
	AO_RABBIT_UNBIND,       /* the same of those that another queue loses */
	AO_RABBIT_PROVE,        /* is `subject`, which is there, as we would declare it? */
	AO_RABBIT_WEIGH,        /* may `subject` be deleted? */
	AO_RABBIT_REMOVE,       /* delete `subject` if that loses nothing */
	AO_RABBIT_DELETE,       /* delete the queue whatever it holds */
	AO_RABBIT_TARGET,       /* MOVE: is the other queue there? This step and those that follow are in move.c */
	AO_RABBIT_CONFIRM,      /* MOVE: the broker is to say what it has taken */
	AO_RABBIT_CARRY,        /* MOVE, PEEK: one message after the other */
	AO_RABBIT_SURE,         /* MOVE, PEEK: a last look at the queue, which is answered when all before it is heard */
} ao_rabbit_step;

#define AO_RABBIT_MAX_LOSSES 3 /* after that many connections that ended under it, the call itself is taken to be the cause */

typedef struct ao_rabbit_move ao_rabbit_move;

struct ao_rabbit_call {
	ao_broker_call base;
	ao_rabbit_call *next; /* in the list it is in */
	ao_broker_fn fn;
	void *arg;
	ao_broker_verb verb;
	uint64_t timeout_ms, deadline; /* the latter counts from when it is handed to a channel; see line_deadline() before that */
	bool handed;
	ao_rabbit_queue *queue; /* NULL when the request made no sense */
	atomic_bool cancelled;

	/* on its way */
	ao_rabbit_step step;
	const ao_rabbit_queue_spec *subject; /* of LOOK, PROVE, WEIGH and REMOVE */
	unsigned held;                       /* messages in `subject` when we last looked */
	size_t binding;
	bool missing; /* the queue was not there at first */
	bool tried;   /* it was declared at least once */
	bool recreated_main, recreated_dead;
	bool unconditional;   /* what is there as `subject` is deleted only whatever it holds (quorum queues, streams) */
	char *difference;     /* of `subject` from what is wanted; NULL: not known */
	unsigned losses;      /* connections that ended under it */
	ao_rabbit_move *move; /* of MOVE and PEEK; else NULL */

	/* the answer */
	int error;
	const char *reason;
	char *message; /* NULL on success */
	char *kept;    /* NULL: nothing */
	bool exists, created, repaired, deleted, dead_missing;
	int64_t messages, in_flight, dead; /* dead: in the dead letter queue; -1: not known */
	uint64_t retry_ms;
	void *counting; /* what rabbitmq.c asks the management API */
};

/** Reads the request. A request that makes no sense has its answer at once: `error` is set. */
ao_rabbit_call *ao_rabbit_call_new(const ao_broker_request *request);
void ao_rabbit_call_free(ao_rabbit_call *call); /* NULL is fine */

/** Sends the current step. @return false when it could not be sent: the call has its answer then */
bool ao_rabbit_call_send(ao_rabbit_call *call, ao_amqp *amqp, unsigned channel);
/** The broker did it. @return true when the call has its answer, else the next step is to be sent */
bool ao_rabbit_call_done(ao_rabbit_call *call, const amqp_method_t *method);
/** The broker refused and closed the channel. @return as ao_rabbit_call_done() */
bool ao_rabbit_call_refused(ao_rabbit_call *call, unsigned code, const char *text);
/** The broker closed the connection over a method. @return true when this call had sent it: the call does it another way then */
bool ao_rabbit_call_blamed(ao_rabbit_call *call, const ao_amqp_farewell *farewell);
/** Gives it its answer. `reason` is a constant. */
void ao_rabbit_call_fail(ao_rabbit_call *call, int error, const char *reason, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/** The queue's name, for messages and logs. Borrowed. */
const char *ao_rabbit_call_name(const ao_rabbit_call *call);
