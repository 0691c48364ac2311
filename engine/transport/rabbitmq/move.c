/*
 * move.c -- get one message, publish it as it is, get the next; what the broker confirms is acknowledged.
 *
 * Up to WINDOW messages wait for their confirmation.  Header frames go on byte by byte as they came, so nothing in them can get lost.  The
 * broker numbers what a channel publishes, hence a channel carries for one call only (session.c closes it).
 * What is neither moved nor acknowledged at the end is given back with one basic.nack.  A last look at the queue makes the end certain:
 * the channel answers it after all that.
 */
#include "transport/rabbitmq/move.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/rabbitmq/content.h"
#include "json/json.h"

#include <string.h>

#define WINDOW 64
#define WINDOW_BYTES (1024 * 1024)    /* no further message is got while as much is on its way */
#define MAX_MESSAGE (4 * 1024 * 1024) /* a message with a larger body stays */
#define MAX_HEADER (128 * 1024)       /* the frame's own bound */

/** A message that was published and is not confirmed. */
typedef struct passage {
	uint64_t number, tag;
	size_t size;
} passage;

struct ao_rabbit_move {
	char *to, *origin;
	uint64_t most;
	uint64_t moved, again;
	/* of the channel */
	ao_amqp *amqp;
	unsigned channel;
	passage window[WINDOW];
	size_t on_way, on_way_bytes;
	uint64_t published, held;      /* held: got, and to be given back */
	uint64_t unsure, unsure_asked; /* acknowledged, but maybe not heard; so many when we last asked something */
	int64_t ready;                 /* messages in the queue after the last one was got; -1: none was */
	bool stopped;                  /* nothing more is got */
	bool forbidden;                /* ... because that is not allowed any more */
	int error;                     /* why: an error, or 0 */
	const char *reason;
	char *trouble;
	/* the message that is coming */
	bool asked, coming, has_header, returned;
	uint64_t tag, size, got;
	bool redelivered;
	ao_buf header, body;
	/* told */
	unsigned large, foreign, copied, odd, astray;
	char *why;
	cJSON *seen;
};

/* ---- life ---- */

void ao_rabbit_move_add(ao_rabbit_call *call, const ao_broker_request *request)
{
	const char *from = ao_rabbit_call_name(call);
	ao_rabbit_move *m = ao_xcalloc(1, sizeof(*m));
	bool peeks = call->verb == AO_BROKER_PEEK;
	m->to = ao_xstrdup(request->to);
	m->origin = ao_xstrdup(request->origin);
	m->most = peeks && request->most > AO_BROKER_PEEK_MOST ? AO_BROKER_PEEK_MOST : request->most;
	m->header = ao_buf_init(MAX_HEADER);
	m->body = ao_buf_init(peeks ? AO_BROKER_SHOWN : MAX_MESSAGE);
	m->seen = peeks ? cJSON_CreateArray() : NULL;
	m->ready = -1;
	call->move = m;
	if (!peeks && (!m->to || !*m->to || strlen(m->to) > 255))
		ao_rabbit_call_fail(call, -EINVAL, "InvalidConfiguration", "queue %s: its messages are to go to no queue", from);
	else if (!peeks && strcmp(from, m->to) == 0)
		ao_rabbit_call_fail(call, -EINVAL, "InvalidConfiguration", "queue %s: its messages are to go to itself", from);
}

void ao_rabbit_move_free(ao_rabbit_move *m)
{
	if (!m)
		return;
	ao_buf_free(&m->header);
	ao_buf_free(&m->body);
	cJSON_Delete(m->seen);
	free(m->trouble);
	free(m->why);
	free(m->to);
	free(m->origin);
	free(m);
}

static bool peeks(const ao_rabbit_call *call) { return call->verb == AO_BROKER_PEEK; }

static void stop(ao_rabbit_move *m, int error, const char *reason, char *trouble)
{
	m->stopped = true;
	if (m->error) {
		free(trouble);
		return;
	}
	m->error = error;
	m->reason = reason;
	m->trouble = trouble;
}

static bool nonsense(ao_rabbit_call *call, const char *what)
{
	ao_rabbit_call_fail(call, -EPROTO, "BrokerError", "queue %s: the broker sends %s", ao_rabbit_call_name(call), what);
	return true;
}

/* ---- sending ---- */

static void send_method(ao_rabbit_move *m, amqp_method_number_t id, void *method) { ao_amqp_send(m->amqp, m->channel, id, method); }

static void count(ao_rabbit_move *m, amqp_bytes_t queue)
{
	amqp_queue_declare_t look = {.queue = queue, .passive = true};
	send_method(m, AMQP_QUEUE_DECLARE_METHOD, &look);
}

/** Half of the time is for what is under way, so that a move ends with an answer and not with its time. */
static bool may_get(const ao_rabbit_call *call)
{
	const ao_rabbit_move *m = call->move;
	bool early = ao_mono_ms() + call->timeout_ms / 2 < call->deadline;
	return early && !m->stopped && !m->forbidden && !atomic_load(&call->cancelled) && m->moved + m->on_way + m->held < m->most;
}

/** Everything is acknowledged, or goes back now. */
static void settle(ao_rabbit_call *call)
{
	ao_rabbit_move *m = call->move;
	amqp_basic_nack_t all = {.multiple = true, .requeue = true};
	if (m->held)
		send_method(m, AMQP_BASIC_NACK_METHOD, &all);
	call->step = AO_RABBIT_SURE;
	m->unsure_asked = m->unsure;
	count(m, call->queue->main.name);
}

static void carry_on(ao_rabbit_call *call)
{
	ao_rabbit_move *m = call->move;
	if (m->asked || m->coming)
		return;
	m->forbidden |= !ao_broker_is_allowed(&call->base);
	bool get = may_get(call), room = m->on_way < WINDOW && m->on_way_bytes < WINDOW_BYTES;
	if (get && room) {
		m->asked = true;
		m->unsure_asked = m->unsure;
		amqp_basic_get_t next = {.queue = call->queue->main.name};
		send_method(m, AMQP_BASIC_GET_METHOD, &next);
	} else if (!get && !m->on_way) {
		settle(call);
	}
}

void ao_rabbit_move_send(ao_rabbit_call *call, ao_amqp *amqp, unsigned channel)
{
	ao_rabbit_move *m = call->move;
	m->amqp = amqp;
	m->channel = channel;
	if (call->step == AO_RABBIT_TARGET)
		count(m, amqp_cstring_bytes(m->to));
	else if (call->step == AO_RABBIT_CONFIRM)
		send_method(m, AMQP_CONFIRM_SELECT_METHOD, &(amqp_confirm_select_t){0});
	else if (call->step == AO_RABBIT_CARRY)
		carry_on(call);
}

/* ---- a message has come ---- */

static void publish(ao_rabbit_move *m)
{
	amqp_basic_publish_t to = {.routing_key = amqp_cstring_bytes(m->to), .mandatory = true};
	send_method(m, AMQP_BASIC_PUBLISH_METHOD, &to);
	ao_amqp_send_content(m->amqp, m->channel, &m->header, &m->body);
	m->window[m->on_way++] = (passage){.number = ++m->published, .tag = m->tag, .size = m->body.len};
	m->on_way_bytes += m->body.len;
}

/** Was that the queue in which it died last? */
static bool came_from(const cJSON *headers, const char *origin)
{
	const cJSON *deaths = headers ? ao_json_at(headers, "x-death") : NULL;
	const char *queue = ao_json_str(cJSON_GetArrayItem(deaths, 0), "queue");
	return queue && strcmp(queue, origin) == 0;
}

/** What would go wrong if it was published as it is is counted there; NULL: nothing. */
static unsigned *hindrance(ao_rabbit_move *m)
{
	uint64_t size;
	ao_auto_json cJSON *properties = NULL;
	if (m->size > MAX_MESSAGE)
		return &m->large;
	if (!ao_rabbit_content_read((const uint8_t *)m->header.data, m->header.len, &size, &properties))
		return &m->odd;
	const char *user = ao_json_str(properties, "userId");
	const cJSON *headers = ao_json_at(properties, "headers");
	if (m->origin && !came_from(headers, m->origin))
		return &m->astray;
	if (user && strcmp(user, ao_amqp_user(m->amqp)) != 0)
		return &m->foreign;
	return ao_json_at(headers, "CC") || ao_json_at(headers, "BCC") ? &m->copied : NULL;
}

static void show(ao_rabbit_move *m)
{
	uint64_t size;
	cJSON *properties = NULL, *shown = cJSON_CreateObject();
	if (ao_rabbit_content_read((const uint8_t *)m->header.data, m->header.len, &size, &properties)) {
		ao_json_set_str(shown, "id", ao_json_str(properties, "messageId"));
		cJSON *headers = cJSON_DetachItemFromObjectCaseSensitive(properties, "headers");
		if (headers)
			ao_json_set(shown, "headers", headers);
		ao_json_set(shown, "properties", properties);
	}
	ao_broker_show_body(shown, m->body.data, m->body.len, m->size);
	ao_json_set(shown, "redelivered", cJSON_CreateBool(m->redelivered));
	cJSON_AddItemToArray(m->seen, shown);
}

static void complete(ao_rabbit_call *call)
{
	ao_rabbit_move *m = call->move;
	m->coming = false;
	if (m->returned) { /* by the broker; its confirmation follows */
		m->returned = false;
		return;
	}
	unsigned *what = peeks(call) ? NULL : hindrance(m);
	if (!peeks(call) && !what) {
		publish(m);
		return;
	}
	m->held++;
	if (what)
		++*what;
	else
		show(m);
}

bool ao_rabbit_move_content(ao_rabbit_call *call, bool header, const uint8_t *bytes, size_t len)
{
	ao_rabbit_move *m = call->move;
	ao_auto_json cJSON *properties = NULL;
	if (!m->coming || header == m->has_header)
		return nonsense(call, "a message that nobody asked for");
	if (header) {
		m->size = 0;
		ao_rabbit_content_read(bytes, len, &m->size, &properties);
		ao_buf_put(&m->header, bytes, len);
		m->has_header = true;
	} else {
		size_t room = m->body.cap - m->body.len;
		ao_buf_put(&m->body, bytes, m->size > MAX_MESSAGE && !peeks(call) ? 0 : len < room ? len : room);
		m->got += len;
	}
	if (m->got > m->size)
		return nonsense(call, "more of a message than it said");
	if (m->got == m->size)
		complete(call);
	return false;
}

/* ---- answers ---- */

static void expect_content(ao_rabbit_move *m)
{
	m->coming = true;
	m->has_header = false;
	m->got = 0;
	ao_buf_clear(&m->header);
	ao_buf_clear(&m->body);
}

/** An answer to something we asked: what we acknowledged before it has been heard. */
static void heard(ao_rabbit_move *m)
{
	m->asked = false;
	m->unsure -= m->unsure_asked;
	m->unsure_asked = 0;
}

/** The broker speaks of passage number `number`, or of all up to that one. @param taken  it has them; else it does not take them */
static void confirmed(ao_rabbit_call *call, uint64_t number, bool multiple, bool taken)
{
	ao_rabbit_move *m = call->move;
	size_t kept = 0;
	for (size_t i = 0; i < m->on_way; i++) {
		passage *p = &m->window[i];
		if (p->number != number && !(multiple && (p->number < number || !number))) {
			m->window[kept++] = *p;
			continue;
		}
		m->on_way_bytes -= p->size;
		if (taken && !m->error) {
			amqp_basic_ack_t done = {.delivery_tag = p->tag};
			send_method(m, AMQP_BASIC_ACK_METHOD, &done);
			m->moved++;
			m->unsure++;
			continue;
		}
		m->held++;
		m->again += taken; /* which of them it had returned is not said */
	}
	m->on_way = kept;
	if (!taken)
		stop(m, -EAGAIN, "BrokerError",
		     ao_xasprintf("queue %s does not take the messages of queue %s; it may be full", m->to, ao_rabbit_call_name(call)));
}

static bool carried(ao_rabbit_call *call, const amqp_method_t *method)
{
	ao_rabbit_move *m = call->move;
	if (m->coming)
		return nonsense(call, "no message where one is due");
	if (method->id == AMQP_BASIC_GET_OK_METHOD && m->asked) {
		const amqp_basic_get_ok_t *ok = method->decoded;
		heard(m);
		m->ready = ok->message_count;
		m->tag = ok->delivery_tag;
		m->redelivered = ok->redelivered;
		expect_content(m);
	} else if (method->id == AMQP_BASIC_GET_EMPTY_METHOD && m->asked) {
		heard(m);
		m->ready = 0;
		m->stopped = true;
	} else if (method->id == AMQP_BASIC_RETURN_METHOD) {
		m->returned = true;
		stop(m, -ENOENT, "QueueMissing",
		     ao_xasprintf("queue %s is not there any more; its messages were to come from queue %s", m->to,
				  ao_rabbit_call_name(call)));
		expect_content(m);
	} else if (method->id == AMQP_BASIC_ACK_METHOD) {
		const amqp_basic_ack_t *ack = method->decoded;
		confirmed(call, ack->delivery_tag, ack->multiple, true);
	} else if (method->id == AMQP_BASIC_NACK_METHOD) {
		const amqp_basic_nack_t *nack = method->decoded;
		confirmed(call, nack->delivery_tag, nack->multiple, false);
	} else {
		return nonsense(call, "an answer to no question");
	}
	return false;
}

bool ao_rabbit_move_done(ao_rabbit_call *call, const amqp_method_t *method)
{
	ao_rabbit_move *m = call->move;
	if (call->step == AO_RABBIT_CARRY)
		return carried(call, method);
	if (method->id != (call->step == AO_RABBIT_CONFIRM ? AMQP_CONFIRM_SELECT_OK_METHOD : AMQP_QUEUE_DECLARE_OK_METHOD))
		return nonsense(call, "an answer to no question");
	if (call->step != AO_RABBIT_SURE) {
		call->step = call->step == AO_RABBIT_TARGET ? AO_RABBIT_CONFIRM : AO_RABBIT_CARRY;
		return false;
	}
	heard(m);
	if (m->ready >= 0) /* what is given back may be missing from the broker's own count for a moment */
		call->messages = m->ready + (int64_t)m->held;
	if (m->error)
		ao_rabbit_call_fail(call, m->error, m->reason, "%s", m->trouble);
	else if (m->forbidden)
		ao_rabbit_call_fail(call, -EAGAIN, "BrokerError", "queue %s: " AO_BROKER_NOT_ALLOWED, ao_rabbit_call_name(call));
	return true;
}

bool ao_rabbit_move_missing(ao_rabbit_call *call)
{
	bool target = call->step == AO_RABBIT_TARGET;
	ao_rabbit_call_fail(call, -ENOENT, "QueueMissing", "queue %s is not there%s", target ? call->move->to : ao_rabbit_call_name(call),
			    target ? ", so nothing was moved to it" : " any more");
	return true;
}

bool ao_rabbit_move_lost(ao_rabbit_call *call, const ao_amqp_farewell *farewell)
{
	ao_rabbit_move *m = call->move;
	if (farewell->code == AMQP_NOT_IMPLEMENTED && farewell->method == AMQP_BASIC_GET_METHOD)
		call->losses = AO_RABBIT_MAX_LOSSES; /* a stream, of which no message can be taken */
	m->again += m->on_way + m->unsure;
	m->amqp = NULL;
	m->on_way = m->on_way_bytes = 0;
	m->published = m->held = m->unsure = m->unsure_asked = 0;
	m->asked = m->coming = m->returned = m->stopped = false;
	m->large = m->foreign = m->copied = m->odd = m->astray = 0;
	m->error = 0;
	m->ready = -1;
	free(AO_TAKE(m->trouble));
	if (m->seen) {
		cJSON_Delete(m->seen);
		m->seen = cJSON_CreateArray();
	}
	call->step = AO_RABBIT_LOOK;
	return false;
}

/* ---- what came of it ---- */

static void add_why(ao_buf *text, unsigned number, const char *what)
{
	if (number)
		ao_buf_printf(text, "%s%u %s", text->len ? "; " : "", number, what);
}

void ao_rabbit_move_tell(ao_rabbit_move *m, ao_broker_answer *ret)
{
	ao_auto_buf ao_buf text = ao_buf_init(1024);
	add_why(&text, m->large, "with more than 4 MB");
	add_why(&text, m->foreign, "whose user-id is that of another user, which the broker lets nobody else send");
	add_why(&text, m->copied, "with a header CC or BCC, by which the broker would copy them elsewhere once more");
	add_why(&text, m->odd, "whose properties cannot be read");
	add_why(&text, m->astray, "that did not die in that queue, or do not say where");
	free(m->why);
	m->why = text.len ? ao_buf_steal(&text) : NULL;
	ret->moved = m->moved;
	ret->again = m->again + m->on_way + m->unsure;
	ret->left = m->large + m->foreign + m->copied + m->odd + m->astray;
	ret->worn = ret->left > 0 && !m->seen; /* a quorum queue with a delivery limit and no dead letters: its vhost may make it one */
	ret->why = m->why;
	ret->seen = m->seen;
	if (m->seen)
		ret->cost = "RabbitMQ marks each message that was shown as delivered before (redelivered); a quorum queue with a delivery "
			    "limit counts it";
}
