/* call.c -- the steps: what each sends, what its answer means, what follows. */
#include "transport/rabbitmq/call.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/rabbitmq/move.h"
#include "transport/rabbitmq/words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_TIMEOUT_MS 30000

static const char *text_of(amqp_bytes_t name) { return name.bytes; /* terminated: it is a string of the request */ }

const char *ao_rabbit_call_name(const ao_rabbit_call *call) { return call->queue ? text_of(call->queue->main.name) : "queue"; }

void ao_rabbit_call_fail(ao_rabbit_call *call, int error, const char *reason, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = NULL;
	ao_require(vasprintf(&text, fmt, args) >= 0);
	va_end(args);
	free(call->message);
	call->message = text;
	call->error = error;
	call->reason = reason;
}

ao_rabbit_call *ao_rabbit_call_new(const ao_broker_request *request)
{
	ao_rabbit_call *call = ao_xcalloc(1, sizeof(*call));
	ao_auto_err ao_err *err = NULL;
	call->fn = request->fn;
	call->arg = request->arg;
	call->verb = request->verb;
	call->timeout_ms = request->timeout_ms ? request->timeout_ms : DEFAULT_TIMEOUT_MS;
	call->deadline = ao_mono_ms() + call->timeout_ms;
	call->messages = call->in_flight = call->dead = -1;
	call->reason = "";
	int r = ao_rabbit_queue_new(request->queue, &call->queue, &err);
	if (r < 0) {
		ao_rabbit_call_fail(call, r, "InvalidConfiguration", "%s", ao_err_text(err));
		return call;
	}
	call->step = AO_RABBIT_LOOK;
	call->subject = &call->queue->main;
	if (call->verb == AO_BROKER_MOVE || call->verb == AO_BROKER_PEEK)
		ao_rabbit_move_add(call, request);
	return call;
}

void ao_rabbit_call_free(ao_rabbit_call *call)
{
	if (!call)
		return;
	ao_rabbit_queue_free(call->queue);
	ao_rabbit_move_free(call->move);
	free(call->message);
	free(call->kept);
	free(call->difference);
	free(call);
}

/* ---- sending ---- */

static int send_declare(const ao_rabbit_queue_spec *spec, bool passive, ao_amqp *amqp, unsigned channel)
{
	amqp_queue_declare_t declare = {.queue = spec->name, .passive = passive};
	if (!passive) {
		declare.durable = spec->durable;
		declare.arguments = spec->arguments;
	}
	return ao_amqp_send(amqp, channel, AMQP_QUEUE_DECLARE_METHOD, &declare);
}

static int send_exchange(const ao_rabbit_queue *q, bool passive, ao_amqp *amqp, unsigned channel)
{
	amqp_exchange_declare_t declare = {.exchange = q->exchange, .type = q->exchange_type, .passive = passive, .durable = !passive};
	return ao_amqp_send(amqp, channel, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
}

static int send_bind(const ao_rabbit_queue *q, size_t i, ao_amqp *amqp, unsigned channel)
{
	amqp_queue_bind_t bind = {.queue = q->main.name, .exchange = q->exchange, .routing_key = q->bindings[i]};
	return ao_amqp_send(amqp, channel, AMQP_QUEUE_BIND_METHOD, &bind);
}

static int send_unbind(const ao_rabbit_queue *q, size_t i, ao_amqp *amqp, unsigned channel)
{
	amqp_queue_unbind_t unbind = {.queue = q->other, .exchange = q->exchange, .routing_key = q->taken[i]};
	return ao_amqp_send(amqp, channel, AMQP_QUEUE_UNBIND_METHOD, &unbind);
}

/** A consumer may hold messages that "if empty" does not see, hence "if unused" beside it. */
static int send_delete(const ao_rabbit_queue_spec *spec, bool careful, ao_amqp *amqp, unsigned channel)
{
	amqp_queue_delete_t drop = {.queue = spec->name, .if_unused = careful, .if_empty = careful};
	return ao_amqp_send(amqp, channel, AMQP_QUEUE_DELETE_METHOD, &drop);
}

/** Does it change something? To prove a queue that has gone meanwhile would make it anew, and nobody's. A move asks before each message. */
static bool acts(ao_rabbit_step step)
{
	return step != AO_RABBIT_LOOK && step != AO_RABBIT_SEE_EXCHANGE && step != AO_RABBIT_WEIGH && step < AO_RABBIT_TARGET;
}

bool ao_rabbit_call_send(ao_rabbit_call *call, ao_amqp *amqp, unsigned channel)
{
	const ao_rabbit_queue *q = call->queue;
	int r = 0;
	if (acts(call->step) && !ao_broker_is_allowed(&call->base)) {
		ao_rabbit_call_fail(call, -EAGAIN, "BrokerError", "queue %s: " AO_BROKER_NOT_ALLOWED, ao_rabbit_call_name(call));
		return false;
	}
	switch (call->step) {
	case AO_RABBIT_LOOK:
	case AO_RABBIT_WEIGH:
		r = send_declare(call->subject, true, amqp, channel);
		break;
	case AO_RABBIT_PROVE:
		r = send_declare(call->subject, false, amqp, channel);
		break;
	case AO_RABBIT_EXCHANGE:
	case AO_RABBIT_SEE_EXCHANGE:
		r = send_exchange(q, call->step == AO_RABBIT_SEE_EXCHANGE, amqp, channel);
		break;
	case AO_RABBIT_DEAD:
		r = send_declare(&q->dead, false, amqp, channel);
		break;
	case AO_RABBIT_MAIN:
		call->tried = true;
		r = send_declare(&q->main, false, amqp, channel);
		break;
	case AO_RABBIT_BIND:
		r = send_bind(q, call->binding, amqp, channel);
		break;
	case AO_RABBIT_UNBIND:
		r = send_unbind(q, call->binding, amqp, channel);
		break;
	case AO_RABBIT_REMOVE:
		r = send_delete(call->subject, !call->unconditional, amqp, channel);
		break;
	case AO_RABBIT_DELETE:
		r = send_delete(&q->main, false, amqp, channel);
		break;
	default:
		ao_rabbit_move_send(call, amqp, channel);
	}
	if (r < 0)
		ao_rabbit_call_fail(call, -EINVAL, "InvalidConfiguration", "queue %s: its arguments are too large for the broker",
				    ao_rabbit_call_name(call));
	return r == 0;
}

/* ---- what follows ---- */

/** A deletion that was given up ends here: its next step may take away what somebody else has got meanwhile. */
static bool go_to(ao_rabbit_call *call, ao_rabbit_step step)
{
	call->step = step;
	return call->verb == AO_BROKER_DELETE && atomic_load(&call->cancelled);
}

static bool after_exchange(ao_rabbit_call *call) { return go_to(call, call->queue->dead.name.len ? AO_RABBIT_DEAD : AO_RABBIT_MAIN); }

/** ENSURE, after the first look. */
static bool start_ensuring(ao_rabbit_call *call)
{
	if (call->queue->exchange.len)
		return go_to(call, AO_RABBIT_EXCHANGE);
	return after_exchange(call);
}

static bool unbind_next(ao_rabbit_call *call, size_t next)
{
	call->binding = next;
	if (next < call->queue->taken_count)
		return go_to(call, AO_RABBIT_UNBIND);
	if (call->created)
		ao_info(AO_TRANSPORT, ao_rabbit_call_name(call), "queue created%s", call->recreated_main ? " anew, as it should be" : "");
	return true;
}

static bool bind_next(ao_rabbit_call *call, size_t next)
{
	call->binding = next;
	return next < call->queue->binding_count ? go_to(call, AO_RABBIT_BIND) : unbind_next(call, 0);
}

static bool turn_to(ao_rabbit_call *call, const ao_rabbit_queue_spec *subject, ao_rabbit_step step)
{
	call->subject = subject;
	call->unconditional = false;
	return go_to(call, step);
}

/** `subject` is gone, or never was. */
static bool after_removal(ao_rabbit_call *call)
{
	const ao_rabbit_queue *q = call->queue;
	if (call->subject == &q->main) {
		call->exists = false;
		call->messages = -1;
	}
	if (call->verb == AO_BROKER_ENSURE)
		return go_to(call, call->subject == &q->dead ? AO_RABBIT_DEAD : AO_RABBIT_MAIN);
	if (call->subject == &q->main && q->dead.name.len)
		return turn_to(call, &q->dead, AO_RABBIT_LOOK);
	return true;
}

static bool removed(ao_rabbit_call *call, const amqp_queue_delete_ok_t *ok)
{
	bool main = call->subject == &call->queue->main;
	ao_info(AO_TRANSPORT, text_of(call->subject->name), "queue deleted%s, with %u messages",
		call->verb == AO_BROKER_ENSURE ? " to be made anew" : "", ok->message_count);
	bool answered = after_removal(call);
	if (main && call->verb == AO_BROKER_DELETE) {
		call->deleted = true;
		call->messages = ok->message_count;
	}
	return answered;
}

/** `subject` holds messages, or may. */
static bool keep(ao_rabbit_call *call, const char *what)
{
	const char *name = text_of(call->subject->name);
	if (call->verb == AO_BROKER_ENSURE) {
		ao_rabbit_call_fail(
		    call, -EBUSY, "QueueNotEmpty",
		    "queue %s has other settings than wanted and is not replaced, because it %s; wait until it is empty and unused, or "
		    "move its messages",
		    name, what);
	} else if (call->subject == &call->queue->main) {
		ao_rabbit_call_fail(call, -EBUSY, "QueueNotEmpty", "queue %s is not deleted, because it %s", name, what);
	} else {
		ao_info(AO_TRANSPORT, name, "dead letter queue kept, because it %s", what);
	}
	return true;
}

/** It holds nothing now, but what came between this look and the deletion would be lost. */
static bool keep_replicated(ao_rabbit_call *call)
{
	static const char why[] =
	    "because the broker would also delete what comes at that moment, as quorum queues and streams know no condition";
	const char *name = text_of(call->subject->name);
	if (call->verb == AO_BROKER_DELETE)
		call->kept = ao_xasprintf("queue %s stays at its broker, empty as it is, %s; delete it yourself", name, why);
	else
		ao_rabbit_call_fail(call, -EINVAL, "QueueMismatch",
				    "queue %s exists with other settings: %s. It is not replaced, %s; delete it yourself", name,
				    call->difference, why);
	return true;
}

/** A dead letter queue whose queue has just gone gets nothing more. */
static bool must_be_conditional(const ao_rabbit_call *call)
{
	return call->verb == AO_BROKER_ENSURE || call->subject == &call->queue->main;
}

static bool weighed(ao_rabbit_call *call, const amqp_queue_declare_ok_t *ok)
{
	char what[96];
	if (call->subject == &call->queue->main) {
		call->messages = ok->message_count;
		call->exists = true;
	}
	if (!ok->message_count && !ok->consumer_count)
		return call->unconditional && must_be_conditional(call) ? keep_replicated(call) : go_to(call, AO_RABBIT_REMOVE);
	if (ok->message_count)
		snprintf(what, sizeof(what), "holds %u message%s", ok->message_count, ok->message_count == 1 ? "" : "s");
	else
		snprintf(what, sizeof(what), "has %u consumer%s, which may hold messages", ok->consumer_count,
			 ok->consumer_count == 1 ? "" : "s");
	return keep(call, what);
}

/* ---- the broker did it ---- */

static bool looked(ao_rabbit_call *call, const amqp_queue_declare_ok_t *ok)
{
	call->held = ok->message_count;
	if (call->subject == &call->queue->main) {
		call->exists = true;
		call->messages = ok->message_count;
	}
	if (call->move)
		return go_to(call, call->verb == AO_BROKER_PEEK ? AO_RABBIT_CARRY : AO_RABBIT_TARGET);
	if (call->verb == AO_BROKER_DELETE)
		return go_to(call, AO_RABBIT_PROVE);
	if (call->verb == AO_BROKER_INSPECT && call->subject == &call->queue->dead)
		call->dead = ok->message_count;
	if (call->verb == AO_BROKER_INSPECT && call->subject == &call->queue->main && call->queue->dead.name.len)
		return turn_to(call, &call->queue->dead, AO_RABBIT_LOOK);
	if (call->verb == AO_BROKER_INSPECT || !call->queue->create)
		return true;
	return start_ensuring(call);
}

/** DELETE: the broker finds it to be what we would make. A dead letter queue goes only if that loses nothing. */
static bool proved(ao_rabbit_call *call, const amqp_queue_declare_ok_t *ok)
{
	if (call->subject == &call->queue->main && !call->queue->if_empty)
		return go_to(call, AO_RABBIT_DELETE);
	call->unconditional = call->subject->replicated;
	return weighed(call, ok);
}

static bool declared_main(ao_rabbit_call *call, const amqp_queue_declare_ok_t *ok)
{
	call->exists = true;
	call->created = call->missing || call->recreated_main;
	call->messages = ok->message_count;
	return bind_next(call, 0);
}

static amqp_method_number_t expected(ao_rabbit_step step)
{
	switch (step) {
	case AO_RABBIT_EXCHANGE:
	case AO_RABBIT_SEE_EXCHANGE:
		return AMQP_EXCHANGE_DECLARE_OK_METHOD;
	case AO_RABBIT_BIND:
		return AMQP_QUEUE_BIND_OK_METHOD;
	case AO_RABBIT_UNBIND:
		return AMQP_QUEUE_UNBIND_OK_METHOD;
	case AO_RABBIT_REMOVE:
	case AO_RABBIT_DELETE:
		return AMQP_QUEUE_DELETE_OK_METHOD;
	default:
		return AMQP_QUEUE_DECLARE_OK_METHOD;
	}
}

bool ao_rabbit_call_done(ao_rabbit_call *call, const amqp_method_t *method)
{
	if (call->step >= AO_RABBIT_TARGET)
		return ao_rabbit_move_done(call, method);
	if (method->id != expected(call->step)) {
		ao_rabbit_call_fail(call, -EPROTO, "BrokerError", "queue %s: the broker answers with method %#x", ao_rabbit_call_name(call),
				    method->id);
		return true;
	}
	switch (call->step) {
	case AO_RABBIT_LOOK:
		return looked(call, method->decoded);
	case AO_RABBIT_EXCHANGE:
	case AO_RABBIT_SEE_EXCHANGE:
		return after_exchange(call);
	case AO_RABBIT_DEAD:
		call->dead = ((amqp_queue_declare_ok_t *)method->decoded)->message_count;
		call->repaired |= call->recreated_dead;
		return go_to(call, AO_RABBIT_MAIN);
	case AO_RABBIT_MAIN:
		return declared_main(call, method->decoded);
	case AO_RABBIT_BIND:
		return bind_next(call, call->binding + 1);
	case AO_RABBIT_UNBIND:
		return unbind_next(call, call->binding + 1);
	case AO_RABBIT_PROVE:
		return proved(call, method->decoded);
	case AO_RABBIT_WEIGH:
		return weighed(call, method->decoded);
	case AO_RABBIT_REMOVE:
	case AO_RABBIT_DELETE:
		return removed(call, method->decoded);
	default:
		return true;
	}
}

/* ---- the broker refused ---- */

static bool absent(ao_rabbit_call *call)
{
	if (call->verb == AO_BROKER_DELETE || call->step == AO_RABBIT_WEIGH)
		return after_removal(call);
	if (call->subject == &call->queue->dead) { /* only INSPECT has come so far */
		call->dead_missing = true;
		return true;
	}
	call->missing = true;
	call->exists = false;
	call->messages = -1;
	if (call->verb == AO_BROKER_INSPECT)
		return true;
	if (call->queue->create && !call->move)
		return start_ensuring(call);
	if (call->move) {
		ao_rabbit_call_fail(call, -ENOENT, "QueueMissing", "queue %s is not there", ao_rabbit_call_name(call));
		return true;
	}
	ao_rabbit_call_fail(call, -ENOENT, "QueueMissing",
			    "queue %s is not there, and creating queues is switched off; create it, or switch that on",
			    ao_rabbit_call_name(call));
	return true;
}

/** DELETE: it is not what we would make, so somebody else may have made it. Its messages stay with it. */
static bool spare(ao_rabbit_call *call, const char *text)
{
	ao_auto_str char *what = strstr(text, "inequivalent") ? ao_rabbit_difference(text) : ao_xstrdup(text);
	free(call->kept);
	call->kept = ao_broker_spared(text_of(call->subject->name), call->held, what);
	return true;
}

/** The queue or exchange that we declared is there already, but differs. */
static bool differs(ao_rabbit_call *call, const char *text)
{
	ao_rabbit_queue *q = call->queue;
	bool main = call->step == AO_RABBIT_MAIN, dead = call->step == AO_RABBIT_DEAD;
	bool *tried = main ? &call->recreated_main : &call->recreated_dead;
	ao_auto_str char *what = ao_rabbit_difference(text);
	call->exists = call->exists || main;
	if ((main || dead) && q->force_recreate && !*tried) {
		*tried = true;
		turn_to(call, main ? &q->main : &q->dead, AO_RABBIT_WEIGH);
		call->unconditional = ao_rabbit_is_replicated(text, call->subject->replicated);
		free(call->difference);
		call->difference = AO_TAKE(what);
		return false;
	}
	if (main || dead)
		ao_rabbit_call_fail(
		    call, -EINVAL, "QueueMismatch",
		    "queue %s exists with other settings: %s. It was left alone with its messages; change the settings back, or empty "
		    "and delete the queue, or set forceRecreate",
		    text_of(main ? q->main.name : q->dead.name), what);
	else
		ao_rabbit_call_fail(call, -EINVAL, "QueueMismatch",
				    "exchange %s exists with other settings: %s. It was left alone; change the settings back, or delete it",
				    text_of(q->exchange), what);
	return true;
}

static bool denied(ao_rabbit_call *call, const char *text)
{
	if (call->step == AO_RABBIT_EXCHANGE) /* somebody else has declared it, and that is enough */
		return go_to(call, AO_RABBIT_SEE_EXCHANGE);
	ao_rabbit_call_fail(call, -EPERM, "AccessDenied", "queue %s: the broker refuses: %s", ao_rabbit_call_name(call), text);
	return true;
}

bool ao_rabbit_call_refused(ao_rabbit_call *call, unsigned code, const char *text)
{
	const char *name = ao_rabbit_call_name(call);
	bool queue_step = call->step == AO_RABBIT_LOOK || call->step == AO_RABBIT_WEIGH || call->verb == AO_BROKER_DELETE;
	if (code == AMQP_NOT_FOUND && queue_step)
		return absent(call);
	if (code == AMQP_NOT_FOUND && call->step == AO_RABBIT_UNBIND) /* there is nothing to take it from */
		return unbind_next(call, call->binding + 1);
	if (code == AMQP_NOT_FOUND && call->move)
		return ao_rabbit_move_missing(call);
	if (code == AMQP_NOT_FOUND && call->step == AO_RABBIT_SEE_EXCHANGE)
		ao_rabbit_call_fail(call, -EPERM, "AccessDenied",
				    "queue %s: exchange %s is not there, and the broker does not let us make it", name,
				    text_of(call->queue->exchange));
	else if (code == AMQP_ACCESS_REFUSED)
		return denied(call, text);
	else if (code == AMQP_PRECONDITION_FAILED && call->step == AO_RABBIT_PROVE)
		return spare(call, text);
	else if (code == AMQP_PRECONDITION_FAILED && call->step == AO_RABBIT_REMOVE)
		return keep(call, strstr(text, "in use") ? "has got consumers" : "has got messages");
	else if (code == AMQP_PRECONDITION_FAILED && strstr(text, "inequivalent"))
		return differs(call, text);
	else if (code == AMQP_PRECONDITION_FAILED)
		ao_rabbit_call_fail(call, -EINVAL, "InvalidConfiguration", "queue %s: the broker refuses: %s", name, text);
	else if (code == AMQP_RESOURCE_LOCKED)
		ao_rabbit_call_fail(call, -EBUSY, "BrokerError", "queue %s belongs to another connection alone: %s", name, text);
	else
		ao_rabbit_call_fail(call, -EPROTO, "BrokerError", "queue %s: the broker refuses: %s", name, text);
	return true;
}

bool ao_rabbit_call_blamed(ao_rabbit_call *call, const ao_amqp_farewell *farewell)
{
	if (call->move)
		return ao_rabbit_move_lost(call, farewell);
	if (farewell->code != AMQP_NOT_IMPLEMENTED || farewell->method != AMQP_QUEUE_DELETE_METHOD || call->step != AO_RABBIT_REMOVE ||
	    call->unconditional)
		return false;
	ao_auto_str char *quoted = ao_xasprintf("'%s'", text_of(call->subject->name));
	if (!strstr(farewell->text, quoted))
		return false;
	call->step = AO_RABBIT_WEIGH;
	call->unconditional = true;
	return true;
}
