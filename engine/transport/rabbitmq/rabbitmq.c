/*
 * rabbitmq.c -- the loop's side of a RabbitMQ broker: calls go to the worker's thread and come back through an async handle.
 *
 * A call is always in one place: with the worker, in `ready`, or in `counting` while the management API is asked.  One that was cancelled
 * goes on without its owner and is freed when it comes back.
 */
#include "transport/rabbitmq/rabbitmq.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/rabbitmq/list.h"
#include "transport/rabbitmq/management.h"
#include "transport/rabbitmq/move.h"
#include "transport/rabbitmq/worker.h"

typedef struct rabbit {
	ao_broker base;
	ao_rabbit_config *config;
	ao_rabbit_worker *worker;
	ao_rabbit_management *management; /* NULL: none */
	uv_async_t async;
	ao_rabbit_list ready;     /* to be delivered */
	ao_rabbit_call *counting; /* linked by `next` */
	ao_broker_stats stats;
	bool freed;
} rabbit;

static rabbit *rabbit_of(const ao_broker *broker) { return (rabbit *)(uintptr_t)broker; }

/* ---- answers ---- */

static void deliver(rabbit *r, ao_rabbit_call *call)
{
	ao_broker_answer answer = {.error = call->error,
				   .reason = call->reason,
				   .message = call->message ? call->message : "",
				   .exists = call->exists,
				   .created = call->created,
				   .repaired = call->repaired,
				   .deleted = call->deleted,
				   .tried = call->error && call->missing && call->tried && call->step == AO_RABBIT_MAIN,
				   .kept = call->kept,
				   .messages = call->messages,
				   .in_flight = call->in_flight,
				   .dead_known = call->dead >= 0,
				   .dead = call->dead,
				   .dead_missing = call->dead_missing,
				   .retry_ms = call->retry_ms};
	if (call->move)
		ao_rabbit_move_tell(call->move, &answer);
	if (!atomic_load(&call->cancelled)) {
		r->stats.in_flight--;
		r->stats.errors += call->error != 0;
		call->fn(call->arg, &answer);
	}
	ao_rabbit_call_free(call);
}

static void stop_counting(rabbit *r, ao_rabbit_call *call)
{
	ao_rabbit_call **at = &r->counting;
	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	call->counting = NULL;
}

static void on_count(void *arg, int64_t in_flight)
{
	ao_rabbit_call *call = arg;
	rabbit *r = rabbit_of(call->base.broker);
	stop_counting(r, call);
	call->in_flight = in_flight;
	deliver(r, call);
}

/** @return true when the answer waits for the management API */
static bool start_counting(rabbit *r, ao_rabbit_call *call)
{
	uint64_t now = ao_mono_ms();
	if (call->error || !call->exists || atomic_load(&call->cancelled) || call->deadline <= now)
		return false;
	call->counting = ao_rabbit_management_count(r->management, ao_rabbit_call_name(call), call->deadline - now, on_count, call);
	if (!call->counting)
		return false;
	call->next = r->counting;
	r->counting = call;
	return true;
}

static void on_async(uv_async_t *async)
{
	rabbit *r = async->data;
	ao_rabbit_call *call = ao_rabbit_worker_take(r->worker), *next;
	for (; call; call = next) {
		next = call->next;
		ao_rabbit_list_put(&r->ready, call);
	}
	while (!r->freed && (call = ao_rabbit_list_pop(&r->ready)))
		if (!start_counting(r, call))
			deliver(r, call);
}

/* ---- the broker ---- */

static void wake(void *arg) { uv_async_send(&((rabbit *)arg)->async); }

static int make(ao_loop *loop, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr)
{
	ao_rabbit_config *c = NULL;
	int rc = ao_rabbit_config_new(config, secrets, &c, reterr);
	if (rc < 0)
		return rc;
	rabbit *r = ao_xcalloc(1, sizeof(*r));
	r->base.type = &ao_rabbitmq_type;
	r->config = c;
	r->async.data = r;
	ao_require(uv_async_init(ao_loop_raw(loop), &r->async, on_async) == 0);
	r->worker = ao_rabbit_worker_new(c, wake, r);
	r->management = ao_rabbit_management_new(loop, c);
	*ret = &r->base;
	return 0;
}

static void closed(uv_handle_t *handle) { free(handle->data); }

static void destroy(ao_broker *broker)
{
	rabbit *r = rabbit_of(broker);
	r->freed = true;
	ao_rabbit_worker_free(r->worker);
	ao_rabbit_list_free(&r->ready);
	while (r->counting) {
		ao_rabbit_call *call = r->counting;
		ao_rabbit_management_cancel(call->counting);
		stop_counting(r, call);
		ao_rabbit_call_free(call);
	}
	ao_rabbit_management_free(r->management);
	ao_rabbit_config_free(r->config);
	uv_close((uv_handle_t *)&r->async, closed);
}

static ao_broker_call *send_call(ao_broker *broker, const ao_broker_request *request)
{
	rabbit *r = rabbit_of(broker);
	ao_rabbit_call *call = ao_rabbit_call_new(request);
	call->base.broker = broker;
	ao_broker_allow(&call->base, request->until_ms);
	r->stats.calls++;
	r->stats.in_flight++;
	if (!call->error) {
		ao_rabbit_worker_put(r->worker, call);
	} else {
		ao_rabbit_list_put(&r->ready, call);
		uv_async_send(&r->async);
	}
	return &call->base;
}

static void cancel_call(ao_broker_call *base)
{
	ao_rabbit_call *call = (ao_rabbit_call *)base;
	rabbit *r = rabbit_of(base->broker);
	r->stats.in_flight--;
	atomic_store(&call->cancelled, true);
	if (!call->counting)
		return; /* it comes back */
	ao_rabbit_management_cancel(call->counting);
	stop_counting(r, call);
	ao_rabbit_call_free(call);
}

static ao_broker_stats get_stats(const ao_broker *broker)
{
	rabbit *r = rabbit_of(broker);
	ao_rabbit_worker_stats(r->worker, &r->stats.connected, &r->stats.connects);
	return r->stats;
}

const ao_broker_type ao_rabbitmq_type = {"rabbitmq", make, destroy, send_call, cancel_call, get_stats, ao_rabbit_config_place, NULL};
