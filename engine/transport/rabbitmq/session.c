/*
 * session.c -- each turn: read what came, let time-outs out, connect if there is work, hand waiting calls to free channels.
 *
 * A connection that ends under a call costs the call nothing at first: it is sent again on the next connection, since every step may be
 * repeated.  When no connection can be had, all calls fail with the reason, and so do those that come during the pause after it.
 */
#include "transport/rabbitmq/session.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "transport/rabbitmq/move.h"

#include <stdio.h>
#include <string.h>

#define CHANNELS 16           /* a broker is no faster with more */
#define SILENT_MS 3000        /* a call timed out while the broker was silent for that long: the connection is to blame, not the call */
#define MIN_PATIENCE_MS 10000 /* the same without a time-out, see patience_ms() */
#define FIRST_PAUSE_MS 1000
#define MAX_PAUSE_MS 30000

typedef enum { SHUT, OPENING, OPEN, CLOSING } slot_state;

/** A channel; its number is its place plus 1. */
typedef struct slot {
	slot_state state;
	ao_rabbit_call *call;
	uint64_t sent; /* ao_mono_ms() of the last thing we said on it */
} slot;

struct ao_rabbit_session {
	const ao_rabbit_config *config;
	ao_rabbit_list waiting, finished;
	slot slots[CHANNELS];
	ao_amqp *amqp;
	ao_amqp_target target;
	size_t host, tried; /* where we are in the list of hosts, and how many failed in a row */
	bool connected;     /* this connection was ready once */
	bool leaving;       /* it is being closed for want of work */
	bool sent;          /* since the turn began: something to flush */
	uint64_t connects;
	uint64_t answers;    /* that this connection gave */
	uint64_t answered;   /* ao_mono_ms() of the last one on any connection; 0: none yet */
	uint64_t line_due;   /* no call in `waiting` is late before that */
	uint64_t idle_since; /* 0: there is work */
	unsigned failures;   /* attempts in a row */
	uint64_t pause_until;
	ao_buf troubles; /* what each host of this attempt said */
	int trouble;     /* code of the last attempt's failure */
};

/* ---- finished calls ---- */

static void finish(ao_rabbit_session *session, ao_rabbit_call *call) { ao_rabbit_list_put(&session->finished, call); }

static const char *reason_of(int code)
{
	switch (code) {
	case -EIO:
		return "BrokerUnreachable";
	case -ETIME:
		return "BrokerTimeout";
	case -EPERM:
		return "AccessDenied";
	case -EINVAL:
		return "InvalidConfiguration";
	default:
		return "BrokerError";
	}
}

static void fail(ao_rabbit_session *session, ao_rabbit_call *call, int code, const char *text)
{
	uint64_t now = ao_mono_ms();
	ao_rabbit_call_fail(call, code, reason_of(code), "queue %s: %s", ao_rabbit_call_name(call), text);
	call->retry_ms = session->pause_until > now ? session->pause_until - now : 0;
	finish(session, call);
}

/* ---- connecting ---- */

static void on_method(void *arg, unsigned channel, const amqp_method_t *method);
static void on_content(void *arg, unsigned channel, bool header, const uint8_t *bytes, size_t len);

static void connect_to_host(ao_rabbit_session *session)
{
	const ao_rabbit_config *c = session->config;
	session->target = (ao_amqp_target){.host = c->at[session->host].host,
					   .port = c->at[session->host].port,
					   .username = c->username,
					   .password = c->password,
					   .vhost = c->vhost,
					   .heartbeat_s = c->heartbeat_s,
					   .tls = c->tls,
					   .tls_name = c->server_name};
	session->amqp = ao_amqp_new(&session->target, on_method, on_content, session);
	session->leaving = false;
	session->answers = 0;
	session->sent = true; /* look at it once before waiting: there may be no event to wait for */
}

static void fail_waiting(ao_rabbit_session *session)
{
	ao_rabbit_call *call;
	while ((call = ao_rabbit_list_pop(&session->waiting)))
		fail(session, call, session->trouble, session->troubles.data);
}

/** No host takes us: every waiting call fails, and the next attempt has to wait. */
static void give_up(ao_rabbit_session *session, int code)
{
	uint64_t pause = ao_backoff_ms(FIRST_PAUSE_MS, MAX_PAUSE_MS, session->failures++);
	session->pause_until = ao_mono_ms() + pause;
	session->trouble = code;
	ao_warn(AO_TRANSPORT, "rabbitmq", "no connection: %s; next attempt in %d s at the earliest", session->troubles.data,
		(int)(pause / 1000));
	fail_waiting(session);
	if (code == -ETIME) /* calls that come later were not kept waiting themselves */
		session->trouble = -EIO;
}

/** An attempt at one host failed: the next host is tried, unless all would say the same. */
static void on_no_connection(ao_rabbit_session *session, int code, const char *text)
{
	ao_buf_printf(&session->troubles, "%s%s", session->troubles.len ? "; " : "", text);
	session->host = (session->host + 1) % session->config->hosts;
	session->tried++;
	if (session->tried < session->config->hosts && code != -EPERM && code != -EINVAL) {
		connect_to_host(session);
		return;
	}
	session->tried = 0;
	give_up(session, code);
}

static void start_attempt(ao_rabbit_session *session)
{
	ao_buf_free(&session->troubles);
	session->troubles = ao_buf_init(4096);
	session->tried = 0;
	connect_to_host(session);
}

static void connect_if_needed(ao_rabbit_session *session)
{
	if (session->amqp || !session->waiting.first)
		return;
	if (ao_mono_ms() < session->pause_until)
		fail_waiting(session);
	else
		start_attempt(session);
}

/* ---- losing a connection ---- */

/** Calls on their way are sent again, in the order they came. */
static void take_back_calls(ao_rabbit_session *session, const ao_amqp_farewell *farewell, int code, const char *text)
{
	for (size_t i = CHANNELS; i-- > 0;) {
		ao_rabbit_call *call = AO_TAKE(session->slots[i].call);
		session->slots[i].state = SHUT;
		if (!call)
			continue;
		session->line_due = 0;
		if (ao_rabbit_call_blamed(call, farewell) || ++call->losses <= AO_RABBIT_MAX_LOSSES)
			ao_rabbit_list_put_back(&session->waiting, call);
		else
			fail(session, call, code == -EIO || code == -ETIME ? -EIO : -EPROTO, text);
	}
}

static void on_lost(ao_rabbit_session *session, int code, const char *text, const ao_amqp_farewell *farewell)
{
	bool leaving = session->leaving, useless = !session->answers && !session->idle_since;
	session->connected = false;
	take_back_calls(session, farewell, code, text);
	if (leaving)
		return;
	ao_info(AO_TRANSPORT, "rabbitmq", "connection lost: %s", text);
	if (!useless)
		return;
	/* A broker that lets us in and answers nothing is no better than one that keeps us out. */
	ao_buf_free(&session->troubles);
	session->troubles = ao_buf_init(4096);
	ao_buf_puts(&session->troubles, text);
	give_up(session, code);
}

static void on_over(ao_rabbit_session *session, int code, const char *text)
{
	ao_amqp *amqp = AO_TAKE(session->amqp);
	if (session->connected)
		on_lost(session, code, text, ao_amqp_get_farewell(amqp));
	else
		on_no_connection(session, code, text);
	ao_amqp_free(amqp);
}

/** The broker takes what we say and answers nothing: it may be frozen, or the network is. */
static void drop_silent(ao_rabbit_session *session)
{
	ao_auto_str char *text = ao_xasprintf("%s:%s: the broker has stopped answering", session->target.host, session->target.port);
	on_over(session, -ETIME, text);
}

/* ---- channels ---- */

static void said(ao_rabbit_session *session, slot *s)
{
	s->sent = ao_mono_ms();
	session->sent = true;
}

static void open_channel(ao_rabbit_session *session, slot *s)
{
	amqp_channel_open_t open = {0};
	ao_amqp_send(session->amqp, (unsigned)(s - session->slots) + 1, AMQP_CHANNEL_OPEN_METHOD, &open);
	s->state = OPENING;
	said(session, s);
}

static void close_channel(ao_rabbit_session *session, slot *s, const char *why)
{
	amqp_channel_close_t bye = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes(why)};
	ao_amqp_send(session->amqp, (unsigned)(s - session->slots) + 1, AMQP_CHANNEL_CLOSE_METHOD, &bye);
	s->state = CLOSING;
	said(session, s);
}

static void send_step(ao_rabbit_session *session, slot *s)
{
	said(session, s);
	if (!ao_rabbit_call_send(s->call, session->amqp, (unsigned)(s - session->slots) + 1))
		finish(session, AO_TAKE(s->call));
}

/** Goes on with a call, or ends it. A channel that the broker closed is opened again first. */
static void after_step(ao_rabbit_session *session, slot *s, bool over)
{
	session->answers++;
	session->answered = ao_mono_ms();
	session->failures = 0;
	if (over) {
		bool used = s->call->move != NULL; /* it counts publications now, and may hold messages */
		finish(session, AO_TAKE(s->call));
		if (used && s->state == OPEN)
			close_channel(session, s, "done");
	} else if (s->state == OPEN) {
		send_step(session, s);
	} else {
		open_channel(session, s);
	}
}

static void on_channel_close(ao_rabbit_session *session, slot *s, const amqp_channel_close_t *close)
{
	char text[256];
	ao_amqp_send(session->amqp, (unsigned)(s - session->slots) + 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	session->sent = true;
	s->state = SHUT;
	snprintf(text, sizeof(text), "%.*s", (int)close->reply_text.len, (const char *)close->reply_text.bytes);
	if (s->call)
		after_step(session, s, ao_rabbit_call_refused(s->call, close->reply_code, text));
}

static void on_method(void *arg, unsigned channel, const amqp_method_t *method)
{
	ao_rabbit_session *session = arg;
	if (channel > CHANNELS)
		return;
	slot *s = &session->slots[channel - 1];
	if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
		on_channel_close(session, s, method->decoded);
	} else if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
		if (s->state == CLOSING)
			s->state = SHUT;
	} else if (method->id == AMQP_CHANNEL_OPEN_OK_METHOD && s->state == OPENING) {
		s->state = OPEN;
		if (s->call)
			send_step(session, s);
	} else if (s->state == OPEN && s->call) {
		after_step(session, s, ao_rabbit_call_done(s->call, method));
	}
}

static void on_content(void *arg, unsigned channel, bool header, const uint8_t *bytes, size_t len)
{
	ao_rabbit_session *session = arg;
	slot *s = channel <= CHANNELS ? &session->slots[channel - 1] : NULL;
	if (s && s->state == OPEN && s->call && s->call->move)
		after_step(session, s, ao_rabbit_move_content(s->call, header, bytes, len));
}

static slot *free_slot(ao_rabbit_session *session)
{
	unsigned max = ao_amqp_channel_max(session->amqp);
	slot *shut = NULL;
	for (size_t i = 0; i < CHANNELS && i < max; i++) {
		slot *s = &session->slots[i];
		if (s->state == OPEN && !s->call)
			return s;
		if (s->state == SHUT && !shut)
			shut = s;
	}
	return shut;
}

static void hand_out(ao_rabbit_session *session)
{
	slot *s;
	while (session->amqp && ao_amqp_ready(session->amqp) && !session->leaving && session->waiting.first && (s = free_slot(session))) {
		s->call = ao_rabbit_list_pop(&session->waiting);
		if (!s->call->handed)
			s->call->deadline = ao_mono_ms() + s->call->timeout_ms;
		s->call->handed = true;
		if (atomic_load(&s->call->cancelled))
			finish(session, AO_TAKE(s->call));
		else if (s->state == OPEN)
			send_step(session, s);
		else
			open_channel(session, s);
	}
}

/* ---- time ---- */

static void time_out(ao_rabbit_session *session, ao_rabbit_call *call, const char *doing)
{
	ao_auto_str char *text = ao_xasprintf("%s:%s: no answer within %llu ms (%s)", session->config->at[session->host].host,
					      session->config->at[session->host].port, (unsigned long long)call->timeout_ms, doing);
	fail(session, call, -ETIME, text);
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

/** As long as the broker answers the calls before it, a call in line is not late. */
static uint64_t line_deadline(const ao_rabbit_session *session, const ao_rabbit_call *call)
{
	uint64_t patient = session->answered + call->timeout_ms;
	return patient > call->deadline ? patient : call->deadline;
}

/** @return how many calls ran out of time */
static size_t expire_waiting(ao_rabbit_session *session, uint64_t now)
{
	const char *doing = session->amqp && ao_amqp_ready(session->amqp) ? "every channel is busy" : "connecting";
	ao_rabbit_list all = session->waiting;
	ao_rabbit_call *call;
	size_t expired = 0;
	if (now < session->line_due)
		return 0;
	session->waiting = (ao_rabbit_list){0};
	session->line_due = UINT64_MAX;
	while ((call = ao_rabbit_list_pop(&all))) {
		if (now < line_deadline(session, call)) {
			session->line_due = sooner(session->line_due, line_deadline(session, call));
			ao_rabbit_list_put(&session->waiting, call);
			continue;
		}
		time_out(session, call, doing);
		expired++;
	}
	return expired;
}

static size_t expire_slots(ao_rabbit_session *session, uint64_t now)
{
	size_t expired = 0;
	for (size_t i = 0; i < CHANNELS; i++) {
		slot *s = &session->slots[i];
		if (!s->call || now < s->call->deadline)
			continue;
		time_out(session, AO_TAKE(s->call), "waiting for the broker");
		expired++;
		if (s->state == OPEN) /* a late answer must not reach the next call */
			close_channel(session, s, "no answer in time");
	}
	return expired;
}

/** The time since when the broker owes us an answer and has said nothing at all; UINT64_MAX: it owes none. */
static uint64_t silent_since(const ao_rabbit_session *session)
{
	uint64_t oldest = UINT64_MAX;
	if (!session->amqp || !ao_amqp_ready(session->amqp))
		return oldest;
	for (size_t i = 0; i < CHANNELS; i++) {
		const slot *s = &session->slots[i];
		if ((s->call || s->state == OPENING || s->state == CLOSING) && s->sent < oldest)
			oldest = s->sent;
	}
	return oldest > ao_amqp_last_in(session->amqp) ? oldest : ao_amqp_last_in(session->amqp);
}

/** Where heartbeats come every half interval, a slow answer is not silence. Without heartbeats only time-outs can tell. */
static uint64_t patience_ms(const ao_rabbit_session *session)
{
	uint64_t patience = session->config->heartbeat_s * 750;
	return !patience ? UINT64_MAX / 2 : patience < MIN_PATIENCE_MS ? MIN_PATIENCE_MS : patience;
}

static void expire(ao_rabbit_session *session)
{
	uint64_t now = ao_mono_ms(), since = silent_since(session);
	size_t expired = expire_waiting(session, now) + expire_slots(session, now);
	if (since < now && now - since >= (expired ? SILENT_MS : patience_ms(session)))
		drop_silent(session);
}

static bool has_work(const ao_rabbit_session *session)
{
	for (size_t i = 0; i < CHANNELS; i++)
		if (session->slots[i].call)
			return true;
	return session->waiting.first != NULL;
}

static void leave_if_idle(ao_rabbit_session *session)
{
	uint64_t now = ao_mono_ms();
	if (has_work(session) || !session->amqp || !ao_amqp_ready(session->amqp)) {
		session->idle_since = 0;
		return;
	}
	if (!session->idle_since)
		session->idle_since = now ? now : 1;
	if (now - session->idle_since < session->config->idle_ms)
		return;
	ao_debug(AO_TRANSPORT, "rabbitmq", "connection closed after %llu s without work",
		 (unsigned long long)(session->config->idle_ms / 1000));
	ao_amqp_close(session->amqp);
	session->leaving = session->sent = true;
}

uint64_t ao_rabbit_session_due(const ao_rabbit_session *session)
{
	uint64_t due = session->amqp ? ao_amqp_due(session->amqp) : UINT64_MAX;
	for (size_t i = 0; i < CHANNELS; i++)
		if (session->slots[i].call)
			due = sooner(due, session->slots[i].call->deadline);
	if (session->waiting.first)
		due = sooner(due, session->line_due);
	uint64_t since = silent_since(session);
	if (since != UINT64_MAX)
		due = sooner(due, since + patience_ms(session));
	if (session->idle_since && session->amqp && !session->leaving)
		due = sooner(due, session->idle_since + session->config->idle_ms);
	return due;
}

/* ---- all together ---- */

static void move_connection(ao_rabbit_session *session)
{
	ao_auto_err ao_err *err = NULL;
	if (!session->amqp)
		return;
	int r = ao_amqp_go(session->amqp, &err);
	if (r < 0) {
		on_over(session, r, ao_err_text(err));
	} else if (!session->connected && ao_amqp_ready(session->amqp)) {
		session->tried = 0;
		session->connected = true;
		session->connects++;
		ao_info(AO_TRANSPORT, "rabbitmq", "connected to %s:%s%s", session->target.host, session->target.port,
			session->target.tls ? " with TLS" : "");
	}
}

void ao_rabbit_session_turn(ao_rabbit_session *session)
{
	do {
		session->sent = false;
		move_connection(session);
		expire(session);
		connect_if_needed(session);
		hand_out(session);
		leave_if_idle(session);
	} while (session->sent);
}

/* ---- from outside ---- */

ao_rabbit_session *ao_rabbit_session_new(const ao_rabbit_config *config)
{
	ao_rabbit_session *session = ao_xcalloc(1, sizeof(*session));
	session->config = config;
	return session;
}

void ao_rabbit_session_free(ao_rabbit_session *session)
{
	if (!session)
		return;
	ao_amqp_free(session->amqp);
	for (size_t i = 0; i < CHANNELS; i++)
		ao_rabbit_call_free(session->slots[i].call);
	ao_rabbit_list_free(&session->waiting);
	ao_rabbit_list_free(&session->finished);
	ao_buf_free(&session->troubles);
	free(session);
}

void ao_rabbit_session_add(ao_rabbit_session *session, ao_rabbit_list *calls)
{
	if (!session->waiting.first)
		session->line_due = UINT64_MAX;
	for (const ao_rabbit_call *call = calls->first; call; call = call->next)
		session->line_due = sooner(session->line_due, line_deadline(session, call));
	ao_rabbit_list_append(&session->waiting, calls);
}

void ao_rabbit_session_take(ao_rabbit_session *session, ao_rabbit_list *ret) { ao_rabbit_list_append(ret, &session->finished); }

int ao_rabbit_session_fd(const ao_rabbit_session *session, short *ret_events)
{
	*ret_events = 0;
	return session->amqp ? ao_amqp_fd(session->amqp, ret_events) : -1;
}

bool ao_rabbit_session_connected(const ao_rabbit_session *session) { return session->connected; }
uint64_t ao_rabbit_session_connects(const ao_rabbit_session *session) { return session->connects; }
