/*
 * rabbitmq_worker.c -- each turn: read what came, let time-outs out, connect if there is work, hand waiting calls to free channels, wait.
 *
 * A connection that ends under a call costs the call nothing at first: it is sent again on the next connection, since every step may be
 * repeated.  When no connection can be had, all calls fail with the reason, and so do those that come during the pause after it.
 */
#include "transport/rabbitmq_worker.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/rabbitmq_list.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CHANNELS 16    /* a broker is no faster with more */
#define MAX_LOSSES 3   /* connections that may end under a call before the call is what is wrong */
#define SILENT_MS 3000 /* a call timed out, and the broker said nothing for that long: it is not the call */
#define FIRST_PAUSE_MS 1000
#define MAX_PAUSE_MS 30000
#define STACK_SIZE (1024 * 1024)

typedef enum { SHUT, OPENING, OPEN, CLOSING } slot_state;

/** A channel; its number is its place plus 1. */
typedef struct slot {
	slot_state state;
	ao_rabbit_call *call;
} slot;

struct ao_rabbit_worker {
	const ao_rabbit_config *config;
	void (*wake)(void *arg);
	void *arg;
	pthread_t thread;
	bool started; /* the loop's */
	int event;

	pthread_mutex_t lock;
	ao_rabbit_list mailbox, finished;
	bool stop, connected;
	uint64_t connects;

	/* the thread's own */
	ao_rabbit_list waiting;
	slot slots[CHANNELS];
	ao_amqp *amqp;
	ao_amqp_target target;
	size_t host, tried;  /* where we are in the list of hosts, and how many failed in a row */
	bool greeted;        /* this connection was ready once */
	bool leaving;        /* it is being closed for want of work */
	bool sent, woken;    /* since the turn began: something to flush, somebody to wake */
	uint64_t answers;    /* that this connection gave */
	uint64_t idle_since; /* 0: there is work */
	unsigned failures;   /* attempts in a row */
	uint64_t pause_until;
	ao_buf troubles; /* what each host of this attempt said */
	int trouble;     /* code of the last attempt's failure */
};

/* ---- finished calls ---- */

static void finish(ao_rabbit_worker *w, ao_rabbit_call *call)
{
	pthread_mutex_lock(&w->lock);
	ao_rabbit_list_put(&w->finished, call);
	pthread_mutex_unlock(&w->lock);
	w->woken = true;
}

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

static void fail(ao_rabbit_worker *w, ao_rabbit_call *call, int code, const char *text)
{
	uint64_t now = ao_mono_ms();
	ao_rabbit_call_fail(call, code, reason_of(code), "queue %s: %s", ao_rabbit_call_name(call), text);
	call->retry_ms = w->pause_until > now ? w->pause_until - now : 0;
	finish(w, call);
}

/* ---- connecting ---- */

static void say_connected(ao_rabbit_worker *w, bool connected)
{
	pthread_mutex_lock(&w->lock);
	w->connected = connected;
	w->connects += connected;
	pthread_mutex_unlock(&w->lock);
}

static void on_method(void *arg, unsigned channel, const amqp_method_t *method);

static void connect_to_host(ao_rabbit_worker *w)
{
	const ao_rabbit_config *c = w->config;
	w->target = (ao_amqp_target){.host = c->at[w->host].host,
				     .port = c->at[w->host].port,
				     .username = c->username,
				     .password = c->password,
				     .vhost = c->vhost,
				     .heartbeat_s = c->heartbeat_s,
				     .tls = c->tls,
				     .tls_name = c->server_name};
	w->amqp = ao_amqp_new(&w->target, on_method, w);
	w->greeted = w->leaving = false;
	w->answers = 0;
	w->sent = true; /* look at it once before waiting: there may be no event to wait for */
}

static void fail_waiting(ao_rabbit_worker *w)
{
	ao_rabbit_call *call;
	while ((call = ao_rabbit_list_pop(&w->waiting)))
		fail(w, call, w->trouble, w->troubles.data);
}

/** No host takes us: everybody is told, and the next attempt has to wait. */
static void give_up(ao_rabbit_worker *w, int code)
{
	unsigned doublings = w->failures < 5 ? w->failures : 5;
	uint64_t pause = (uint64_t)FIRST_PAUSE_MS << doublings;
	if (pause > MAX_PAUSE_MS)
		pause = MAX_PAUSE_MS;
	w->failures++;
	w->pause_until = ao_mono_ms() + pause;
	w->trouble = code;
	ao_warn(AO_TRANSPORT, "rabbitmq", "no connection: %s; next attempt in %d s at the earliest", w->troubles.data, (int)(pause / 1000));
	fail_waiting(w);
	if (code == -ETIME) /* those who come later were not kept waiting */
		w->trouble = -EIO;
}

/** An attempt at one host failed: the next one's turn, unless they would all say the same. */
static void on_no_connection(ao_rabbit_worker *w, int code, const char *text)
{
	ao_buf_printf(&w->troubles, "%s%s", w->troubles.len ? "; " : "", text);
	w->host = (w->host + 1) % w->config->hosts;
	w->tried++;
	if (w->tried < w->config->hosts && code != -EPERM && code != -EINVAL) {
		connect_to_host(w);
		return;
	}
	w->tried = 0;
	give_up(w, code);
}

static void start_attempt(ao_rabbit_worker *w)
{
	ao_buf_free(&w->troubles);
	w->troubles = ao_buf_init(4096);
	w->tried = 0;
	connect_to_host(w);
}

static void connect_if_needed(ao_rabbit_worker *w)
{
	if (w->amqp || !w->waiting.first)
		return;
	if (ao_mono_ms() < w->pause_until)
		fail_waiting(w);
	else
		start_attempt(w);
}

/* ---- losing a connection ---- */

/** Calls on their way are sent again, in the order they came. */
static void take_back_calls(ao_rabbit_worker *w, const ao_amqp_farewell *farewell, int code, const char *text)
{
	for (size_t i = CHANNELS; i-- > 0;) {
		ao_rabbit_call *call = AO_TAKE(w->slots[i].call);
		w->slots[i].state = SHUT;
		if (!call)
			continue;
		if (ao_rabbit_call_blamed(call, farewell) || ++call->losses <= MAX_LOSSES)
			ao_rabbit_list_put_back(&w->waiting, call);
		else
			fail(w, call, code == -EIO || code == -ETIME ? -EIO : -EPROTO, text);
	}
}

static void on_lost(ao_rabbit_worker *w, int code, const char *text, const ao_amqp_farewell *farewell)
{
	bool leaving = w->leaving, useless = !w->answers && !w->idle_since;
	say_connected(w, false);
	take_back_calls(w, farewell, code, text);
	if (leaving)
		return;
	ao_info(AO_TRANSPORT, "rabbitmq", "connection lost: %s", text);
	if (!useless)
		return;
	/* It lets us in and answers nothing: that is no better than being kept out. */
	ao_buf_free(&w->troubles);
	w->troubles = ao_buf_init(4096);
	ao_buf_puts(&w->troubles, text);
	give_up(w, code);
}

static void on_over(ao_rabbit_worker *w, int code, const char *text)
{
	ao_amqp *amqp = AO_TAKE(w->amqp);
	if (w->greeted)
		on_lost(w, code, text, ao_amqp_get_farewell(amqp));
	else
		on_no_connection(w, code, text);
	ao_amqp_free(amqp);
}

/** The broker takes what we say and answers nothing: it may be frozen, or the network is. */
static void drop_silent(ao_rabbit_worker *w)
{
	ao_auto_str char *text = ao_xasprintf("%s:%s: the broker has stopped answering", w->target.host, w->target.port);
	on_over(w, -ETIME, text);
}

/* ---- channels ---- */

static void open_channel(ao_rabbit_worker *w, slot *s)
{
	amqp_channel_open_t open = {0};
	ao_amqp_send(w->amqp, (unsigned)(s - w->slots) + 1, AMQP_CHANNEL_OPEN_METHOD, &open);
	s->state = OPENING;
	w->sent = true;
}

static void close_channel(ao_rabbit_worker *w, slot *s)
{
	amqp_channel_close_t bye = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("no answer in time")};
	ao_amqp_send(w->amqp, (unsigned)(s - w->slots) + 1, AMQP_CHANNEL_CLOSE_METHOD, &bye);
	s->state = CLOSING;
	w->sent = true;
}

static void send_step(ao_rabbit_worker *w, slot *s)
{
	w->sent = true;
	if (!ao_rabbit_call_send(s->call, w->amqp, (unsigned)(s - w->slots) + 1))
		finish(w, AO_TAKE(s->call));
}

/** Goes on with a call, or ends it; a channel that the broker closed must be opened first. */
static void after_step(ao_rabbit_worker *w, slot *s, bool over)
{
	w->answers++;
	w->failures = 0;
	if (over)
		finish(w, AO_TAKE(s->call));
	else if (s->state == OPEN)
		send_step(w, s);
	else
		open_channel(w, s);
}

static void on_channel_close(ao_rabbit_worker *w, slot *s, const amqp_channel_close_t *close)
{
	char text[256];
	ao_amqp_send(w->amqp, (unsigned)(s - w->slots) + 1, AMQP_CHANNEL_CLOSE_OK_METHOD, &(amqp_channel_close_ok_t){0});
	w->sent = true;
	s->state = SHUT;
	snprintf(text, sizeof(text), "%.*s", (int)close->reply_text.len, (const char *)close->reply_text.bytes);
	if (s->call)
		after_step(w, s, ao_rabbit_call_refused(s->call, close->reply_code, text));
}

static void on_method(void *arg, unsigned channel, const amqp_method_t *method)
{
	ao_rabbit_worker *w = arg;
	if (channel > CHANNELS)
		return;
	slot *s = &w->slots[channel - 1];
	if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
		on_channel_close(w, s, method->decoded);
	} else if (method->id == AMQP_CHANNEL_CLOSE_OK_METHOD) {
		if (s->state == CLOSING)
			s->state = SHUT;
	} else if (method->id == AMQP_CHANNEL_OPEN_OK_METHOD && s->state == OPENING) {
		s->state = OPEN;
		if (s->call)
			send_step(w, s);
	} else if (s->state == OPEN && s->call) {
		after_step(w, s, ao_rabbit_call_done(s->call, method));
	}
}

static slot *free_slot(ao_rabbit_worker *w)
{
	unsigned max = ao_amqp_channel_max(w->amqp);
	slot *shut = NULL;
	for (size_t i = 0; i < CHANNELS && i < max; i++) {
		slot *s = &w->slots[i];
		if (s->state == OPEN && !s->call)
			return s;
		if (s->state == SHUT && !shut)
			shut = s;
	}
	return shut;
}

static void hand_out(ao_rabbit_worker *w)
{
	slot *s;
	while (w->amqp && ao_amqp_ready(w->amqp) && !w->leaving && w->waiting.first && (s = free_slot(w))) {
		s->call = ao_rabbit_list_pop(&w->waiting);
		if (atomic_load(&s->call->cancelled))
			finish(w, AO_TAKE(s->call));
		else if (s->state == OPEN)
			send_step(w, s);
		else
			open_channel(w, s);
	}
}

/* ---- time ---- */

static void time_out(ao_rabbit_worker *w, ao_rabbit_call *call, const char *doing)
{
	ao_auto_str char *text = ao_xasprintf("%s:%s: no answer within %llu ms (%s)", w->config->at[w->host].host,
					      w->config->at[w->host].port, (unsigned long long)call->timeout_ms, doing);
	fail(w, call, -ETIME, text);
}

/** @return how many calls ran out of time */
static size_t expire_waiting(ao_rabbit_worker *w, uint64_t now)
{
	const char *doing = w->amqp && ao_amqp_ready(w->amqp) ? "every channel is busy" : "connecting";
	ao_rabbit_list all = w->waiting;
	ao_rabbit_call *call;
	size_t expired = 0;
	w->waiting = (ao_rabbit_list){0};
	while ((call = ao_rabbit_list_pop(&all))) {
		if (now < call->deadline) {
			ao_rabbit_list_put(&w->waiting, call);
			continue;
		}
		time_out(w, call, doing);
		expired++;
	}
	return expired;
}

static size_t expire_slots(ao_rabbit_worker *w, uint64_t now)
{
	size_t expired = 0;
	for (size_t i = 0; i < CHANNELS; i++) {
		slot *s = &w->slots[i];
		if (!s->call || now < s->call->deadline)
			continue;
		time_out(w, AO_TAKE(s->call), "waiting for the broker");
		expired++;
		if (s->state == OPEN) /* a late answer must not reach the next call */
			close_channel(w, s);
	}
	return expired;
}

static void expire(ao_rabbit_worker *w)
{
	uint64_t now = ao_mono_ms();
	size_t expired = expire_waiting(w, now) + expire_slots(w, now);
	if (expired && w->amqp && ao_amqp_ready(w->amqp) && now >= ao_amqp_last_in(w->amqp) + SILENT_MS)
		drop_silent(w);
}

static bool has_work(const ao_rabbit_worker *w)
{
	for (size_t i = 0; i < CHANNELS; i++)
		if (w->slots[i].call)
			return true;
	return w->waiting.first != NULL;
}

static void leave_if_idle(ao_rabbit_worker *w)
{
	uint64_t now = ao_mono_ms();
	if (has_work(w) || !w->amqp || !ao_amqp_ready(w->amqp)) {
		w->idle_since = 0;
		return;
	}
	if (!w->idle_since)
		w->idle_since = now ? now : 1;
	if (now - w->idle_since < w->config->idle_ms)
		return;
	ao_debug(AO_TRANSPORT, "rabbitmq", "connection closed after %llu s without work", (unsigned long long)(w->config->idle_ms / 1000));
	ao_amqp_close(w->amqp);
	w->leaving = w->sent = true;
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

/** The next moment at which something is due even if nothing happens. */
static uint64_t next_due(const ao_rabbit_worker *w)
{
	uint64_t due = w->amqp ? ao_amqp_due(w->amqp) : UINT64_MAX;
	for (size_t i = 0; i < CHANNELS; i++)
		if (w->slots[i].call)
			due = sooner(due, w->slots[i].call->deadline);
	for (const ao_rabbit_call *call = w->waiting.first; call; call = call->next)
		due = sooner(due, call->deadline);
	if (w->idle_since && w->amqp && !w->leaving)
		due = sooner(due, w->idle_since + w->config->idle_ms);
	return due;
}

/* ---- the thread ---- */

static void move_connection(ao_rabbit_worker *w)
{
	ao_auto_err ao_err *err = NULL;
	if (!w->amqp)
		return;
	int r = ao_amqp_go(w->amqp, &err);
	if (r < 0) {
		on_over(w, r, ao_err_text(err));
	} else if (!w->greeted && ao_amqp_ready(w->amqp)) {
		w->greeted = true;
		w->tried = 0;
		say_connected(w, true);
		ao_info(AO_TRANSPORT, "rabbitmq", "connected to %s:%s%s", w->target.host, w->target.port, w->target.tls ? " with TLS" : "");
	}
}

static void turn(ao_rabbit_worker *w)
{
	w->woken = false;
	do {
		w->sent = false;
		move_connection(w);
		expire(w);
		connect_if_needed(w);
		hand_out(w);
		leave_if_idle(w);
	} while (w->sent);
	if (w->woken)
		w->wake(w->arg);
}

static void wait(ao_rabbit_worker *w)
{
	struct pollfd fds[2] = {{.fd = w->event, .events = POLLIN}, {.fd = -1}};
	uint64_t now = ao_mono_ms(), due = next_due(w);
	if (w->amqp)
		fds[1].fd = ao_amqp_fd(w->amqp, &fds[1].events);
	int timeout = due == UINT64_MAX ? -1 : due <= now ? 0 : due - now > INT_MAX ? INT_MAX : (int)(due - now);
	poll(fds, 2, timeout);
	eventfd_t count;
	if (fds[0].revents)
		eventfd_read(w->event, &count);
}

/** @return false when it is time to end */
static bool empty_mailbox(ao_rabbit_worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool stop = w->stop;
	ao_rabbit_list_append(&w->waiting, &w->mailbox);
	pthread_mutex_unlock(&w->lock);
	return !stop;
}

static void *run(void *arg)
{
	ao_rabbit_worker *w = arg;
	while (empty_mailbox(w)) {
		turn(w);
		wait(w);
	}
	ao_amqp_free(AO_TAKE(w->amqp));
	return NULL;
}

/* ---- the loop's side ---- */

ao_rabbit_worker *ao_rabbit_worker_new(const ao_rabbit_config *config, void (*wake)(void *arg), void *arg)
{
	ao_rabbit_worker *w = ao_xcalloc(1, sizeof(*w));
	w->config = config;
	w->wake = wake;
	w->arg = arg;
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ao_require(w->event >= 0);
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

static void start(ao_rabbit_worker *w)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ao_require(pthread_create(&w->thread, &attr, run, w) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	w->started = true;
}

void ao_rabbit_worker_put(ao_rabbit_worker *w, ao_rabbit_call *call)
{
	pthread_mutex_lock(&w->lock);
	ao_rabbit_list_put(&w->mailbox, call);
	pthread_mutex_unlock(&w->lock);
	if (!w->started)
		start(w);
	eventfd_write(w->event, 1);
}

ao_rabbit_call *ao_rabbit_worker_take(ao_rabbit_worker *w)
{
	pthread_mutex_lock(&w->lock);
	ao_rabbit_call *first = w->finished.first;
	w->finished = (ao_rabbit_list){0};
	pthread_mutex_unlock(&w->lock);
	return first;
}

void ao_rabbit_worker_stats(ao_rabbit_worker *w, bool *ret_connected, uint64_t *ret_connects)
{
	pthread_mutex_lock(&w->lock);
	*ret_connected = w->connected;
	*ret_connects = w->connects;
	pthread_mutex_unlock(&w->lock);
}

void ao_rabbit_worker_free(ao_rabbit_worker *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	eventfd_write(w->event, 1);
	if (w->started)
		pthread_join(w->thread, NULL);
	for (size_t i = 0; i < CHANNELS; i++)
		ao_rabbit_call_free(w->slots[i].call);
	ao_rabbit_list_free(&w->waiting);
	ao_rabbit_list_free(&w->mailbox);
	ao_rabbit_list_free(&w->finished);
	ao_buf_free(&w->troubles);
	pthread_mutex_destroy(&w->lock);
	close(w->event);
	free(w);
}
