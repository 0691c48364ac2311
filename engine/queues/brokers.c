/*
 * brokers.c -- accesses by (namespace, type, configuration, references), servers by (type, configuration, values of Secrets).
 *
 * A call waits at its access until a turn of the loop has found the server for it.
 */
#include "queues/brokers.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "queues/secrets.h"
#include "json/json.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define READ_MS 1000      /* Secrets of an access that does not work are read at most that often, ... */
#define MAX_READ_MS 15000 /* ... and more and more seldom while they are not there */
#define PROMPT_MS 200     /* a call that is older than that makes its broker a slow one */
#define HOLD_MS 1500      /* less than the 5 s by which a lease outlasts the last moment at which its holder may write */
#define CALL_MS 15000

/** A broker object and those who use it. */
typedef struct server {
	ao_brokers *brokers;
	char id[65];
	ao_broker *broker;
	size_t refs;
	bool unreachable; /* the last call did not get through */
	bool refused;     /* ... it did, but not in */
} server;

struct ao_access {
	ao_brokers *brokers;
	size_t refs;
	char *id, *entry, *place, *place_digest, *namespace_, *transport, *type;
	cJSON *config, *secrets;
	server *server; /* NULL: not made yet, or `error` says why not */
	bool stale;     /* its Secrets are to be read again */
	bool waits;     /* in brokers->first */
	ao_secrets_call *read;
	uint64_t read_ms;
	unsigned read_failures; /* since the Secrets were last there */
	int error;
	char *reason, *message;
	ao_access_call *calls;
	ao_access *next; /* in brokers->first */
};

struct ao_access_call {
	ao_access *access;
	ao_broker_verb verb;
	cJSON *queue;
	char *to, *origin, *account;
	uint64_t most;
	ao_broker_fn fn;
	void *arg;
	server *server; /* sent to, or NULL */
	ao_broker_call *sent;
	uint64_t since_ms;
	uint64_t until_ms; /* as far as `sent` is allowed; 0: for ever */
	ao_access_call *prev, *next;
};

struct ao_brokers {
	ao_loop *loop;
	ao_kube *kube;
	ao_brokers_back_fn on_back;
	void *arg;
	ao_map *accesses, *servers;
	ao_access *first; /* those with calls to send */
	ao_timer *tick;
	ao_timer *hold;
	bool halted;
	uint64_t woke_ms; /* when we last found that we had stood still for too long */
	bool holding;     /* a call that changes something is under way: `hold` runs */
};

/* ---- servers ---- */

static void add_text(EVP_MD_CTX *md, const char *text) { EVP_DigestUpdate(md, text ? text : "", text ? strlen(text) + 1 : 1); }

/** SHA-256, because what it stands for holds secrets that somebody may choose. */
static void server_id(const ao_access *a, const cJSON *values, char ret[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	ao_require(md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
	add_text(md, a->entry);
	const cJSON *value;
	cJSON_ArrayForEach (value, values) {
		add_text(md, value->string);
		add_text(md, value->valuestring);
	}
	EVP_DigestFinal_ex(md, digest, &len);
	EVP_MD_CTX_free(md);
	for (unsigned i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static bool is_down(const server *s) { return s->unreachable || s->refused; }

static void server_put(server *s)
{
	if (!s || --s->refs)
		return;
	ao_map_remove(s->brokers->servers, s->id);
	ao_broker_free(s->broker);
	free(s);
}

static int server_get(ao_access *a, const cJSON *values, server **ret, ao_err **reterr)
{
	char id[65];
	server_id(a, values, id);
	server *s = ao_map_get(a->brokers->servers, id);
	if (!s) {
		ao_broker *broker = NULL;
		int r = ao_broker_new(a->brokers->loop, a->type, a->config, values, &broker, reterr);
		if (r < 0)
			return r;
		s = ao_xcalloc(1, sizeof(*s));
		*s = (server){.brokers = a->brokers, .broker = broker};
		memcpy(s->id, id, sizeof(id));
		ao_map_put(a->brokers->servers, id, s);
	}
	s->refs++;
	*ret = s;
	return 0;
}

/* ---- accesses ---- */

static void say(char **slot, const char *text)
{
	char *copy = ao_xstrdup(text);
	free(*slot);
	*slot = copy;
}

static void set_error(ao_access *a, int error, const char *reason, const char *message)
{
	a->error = error;
	say(&a->reason, reason);
	say(&a->message, message);
}

/** Takes what the Secrets hold now. */
static void resolve(ao_access *a, const cJSON *values)
{
	server *s = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = server_get(a, values, &s, &err);
	a->stale = false;
	server_put(a->server);
	a->server = s;
	a->read_failures = r < 0 ? a->read_failures + !a->secrets : 0;
	set_error(a, r, r < 0 ? "InvalidConfiguration" : "", r < 0 ? ao_err_text(err) : "");
}

static void needs_turn(ao_access *a)
{
	if (!a->waits) {
		a->waits = true;
		a->next = a->brokers->first;
		a->brokers->first = a;
	}
	ao_timer_start(a->brokers->tick, 0);
}

/** When the Secrets may be read again; in the past: now. */
static uint64_t next_read_ms(const ao_access *a)
{
	uint64_t pause = ao_backoff_ms(READ_MS, MAX_READ_MS, a->read_failures);
	return a->read_ms ? a->read_ms + pause : 0;
}

static void on_secrets(void *arg, const ao_secrets_answer *answer)
{
	ao_access *a = arg;
	unsigned failures = a->read_failures;
	a->read = NULL;
	a->read_ms = ao_mono_ms();
	a->read_failures++;
	if (!answer->error) {
		resolve(a, answer->values);
	} else if (answer->error == -EIO && a->server) {
		a->stale = false; /* the old ones may still do */
	} else {
		server_put(a->server);
		a->server = NULL;
		set_error(a, answer->error, answer->reason, answer->message);
	}
	if (failures && !a->read_failures)
		a->brokers->on_back(a->brokers->arg, a, true);
	needs_turn(a);
}

static bool wants_to_read(const ao_access *a)
{
	if (!a->server)
		return ao_mono_ms() >= next_read_ms(a);
	if (a->stale) /* a DELETE goes on without reading: in a namespace that is being deleted the Secret may be gone already */
		for (const ao_access_call *c = a->calls; c; c = c->next)
			if (!c->sent && c->verb != AO_BROKER_DELETE)
				return true;
	return false;
}

ao_access *ao_access_get(ao_brokers *b, const char *namespace_, const cJSON *queue)
{
	const cJSON *config = ao_json_at(queue, "config"), *secrets = ao_json_at(queue, "secrets");
	const char *type = ao_json_str(queue, "type"), *transport = ao_json_str(queue, "transport");
	bool refs = cJSON_IsObject(secrets) && secrets->child;
	ao_auto_str char *config_text = ao_json_canonical(config), *refs_text = refs ? ao_json_canonical(secrets) : ao_xstrdup("");
	ao_auto_str char *entry = ao_xasprintf("%s %s %s", transport ? transport : "", type ? type : "", config_text ? config_text : "");
	ao_auto_str char *id = ao_xasprintf("%s %s %s", refs ? namespace_ : "", refs_text, entry);
	ao_access *a = ao_map_get(b->accesses, id);
	if (a) {
		a->refs++;
		return a;
	}
	a = ao_xcalloc(1, sizeof(*a));
	*a = (ao_access){.brokers = b, .refs = 1, .id = AO_TAKE(id), .entry = AO_TAKE(entry), .namespace_ = ao_xstrdup(namespace_)};
	a->transport = ao_xstrdup(transport ? transport : "");
	a->type = ao_xstrdup(type ? type : "");
	a->config = config ? cJSON_Duplicate(config, 1) : cJSON_CreateObject();
	a->place = ao_broker_place(a->type, a->config);
	a->place_digest = ao_broker_place_digest(a->type, a->config);
	a->secrets = refs ? cJSON_Duplicate(secrets, 1) : NULL;
	ao_map_put(b->accesses, a->id, a);
	return a;
}

void ao_access_put(ao_access *a)
{
	if (!a || --a->refs)
		return;
	ao_require(!a->calls);
	for (ao_access **at = &a->brokers->first; a->waits && *at; at = &(*at)->next)
		if (*at == a) {
			*at = a->next;
			break;
		}
	ao_secrets_cancel(a->read);
	server_put(a->server);
	ao_map_remove(a->brokers->accesses, a->id);
	cJSON_Delete(a->config);
	cJSON_Delete(a->secrets);
	free(a->id);
	free(a->entry);
	free(a->place);
	free(a->place_digest);
	free(a->namespace_);
	free(a->transport);
	free(a->type);
	free(a->reason);
	free(a->message);
	free(a);
}

const char *ao_access_id(const ao_access *a) { return a->id; }
const char *ao_access_place(const ao_access *a) { return a->place; }

/** Whose queues they show, as both have said. @return whether that is known */
static bool compare_accounts(const ao_access *a, const ao_access *other, bool *ret_same)
{
	const char *ours = a->server ? ao_broker_account(a->server->broker) : NULL,
		   *theirs = other->server ? ao_broker_account(other->server->broker) : NULL;
	*ret_same = ours && theirs && strcmp(ours, theirs) == 0;
	return ours && theirs;
}

bool ao_access_may_be_one_place(const ao_access *a, const ao_access *other)
{
	bool same;
	return ao_broker_may_be_one_place(a->place, other->place) && (!compare_accounts(a, other, &same) || same);
}

bool ao_access_is_one_place(const ao_access *a, const ao_access *other)
{
	bool same;
	if (compare_accounts(a, other, &same))
		return same && ao_broker_may_be_one_place(a->place, other->place);
	bool whole = ao_broker_is_whole_place(a->place), operators = !a->secrets && !other->secrets;
	bool alike = strcmp(a->namespace_, other->namespace_) == 0 && ao_json_equal(a->secrets, other->secrets);
	return strcmp(a->place, other->place) == 0 && (whole || operators || alike || (a->server && a->server == other->server));
}

const char *ao_access_place_digest(const ao_access *a) { return a->place_digest; }
const char *ao_access_transport(const ao_access *a) { return a->transport; }

bool ao_access_prompt(const ao_access *a)
{
	uint64_t now = ao_mono_ms();
	if (a->server && is_down(a->server))
		return false;
	for (const ao_access_call *c = a->calls; c; c = c->next)
		if (now - c->since_ms > PROMPT_MS)
			return false;
	return true;
}

/* ---- calls ---- */

static void free_call(ao_access_call *c)
{
	*(c->prev ? &c->prev->next : &c->access->calls) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	cJSON_Delete(c->queue);
	free(c->to);
	free(c->origin);
	free(c->account);
	free(c);
}

static bool changes_something(const ao_access_call *c) { return c->verb != AO_BROKER_INSPECT && c->verb != AO_BROKER_PEEK; }

static bool may_change(const ao_brokers *b) { return !b->halted && ao_kube_may_write(b->kube); }

/** The call ended because we stood still, and we lead all the same: nothing has happened. What a MOVE has moved must be told. */
static bool may_begin_anew(const ao_access_call *c, const ao_broker_answer *answer)
{
	uint64_t now = ao_mono_ms();
	bool late = c->until_ms && (now >= c->until_ms || now - c->access->brokers->woke_ms < HOLD_MS);
	return late && answer->error == -EAGAIN && !answer->created && !answer->tried && c->verb != AO_BROKER_MOVE &&
	       may_change(c->access->brokers);
}

static void on_answer(void *arg, const ao_broker_answer *answer)
{
	ao_access_call *c = arg;
	ao_access *a = c->access;
	server *s = c->server;
	ao_brokers *b = a->brokers;
	if (may_begin_anew(c, answer)) {
		c->sent = NULL;
		c->server = NULL;
		server_put(s);
		needs_turn(a);
		return;
	}
	bool unreachable = answer->error == -EIO || answer->error == -ETIME;
	bool back = s && s->unreachable && !unreachable;
	if (s) {
		s->unreachable = unreachable;
		s->refused = answer->error == -EPERM;
	}
	if (answer->error == -EPERM && s && s == a->server && a->secrets && ao_mono_ms() - a->read_ms >= READ_MS)
		a->stale = true;
	ao_broker_fn fn = c->fn;
	void *fn_arg = c->arg;
	free_call(c);
	fn(fn_arg, answer);
	size_t cursor = 0;
	for (ao_access *each; back && (each = ao_map_next(b->accesses, &cursor, NULL));)
		if (each->server == s)
			b->on_back(b->arg, each, false);
	server_put(s);
}

static void allow(ao_access_call *c)
{
	c->until_ms = ao_mono_ms() + HOLD_MS;
	ao_broker_allow(c->sent, c->until_ms);
}

static void hold_on(ao_brokers *b)
{
	if (!b->holding)
		ao_timer_start(b->hold, HOLD_MS / 3);
	b->holding = true;
}

/**
 * What changes something has several steps, and a process that stands still between two of them does not ask the gate before the next one.  So it
 * is allowed for a moment at a time, which is shorter than what a lease that may write is sure to last.
 */
static void on_hold(void *arg)
{
	ao_brokers *b = arg;
	size_t cursor = 0;
	b->holding = false;
	if (!may_change(b))
		return;
	for (ao_access *a; (a = ao_map_next(b->accesses, &cursor, NULL));)
		for (ao_access_call *c = a->calls; c; c = c->next)
			if (c->sent && changes_something(c)) {
				if (ao_mono_ms() >= c->until_ms)
					b->woke_ms = ao_mono_ms();
				allow(c);
				hold_on(b);
			}
}

static void send_call(ao_access_call *c)
{
	bool changes = changes_something(c);
	c->server = c->access->server;
	c->server->refs++;
	c->until_ms = changes ? ao_mono_ms() + HOLD_MS : 0;
	c->sent = ao_broker_send(c->server->broker, &(ao_broker_request){.verb = c->verb,
									 .queue = c->queue,
									 .to = c->to,
									 .origin = c->origin,
									 .account = c->account,
									 .most = c->most,
									 .timeout_ms = CALL_MS,
									 .until_ms = c->until_ms,
									 .fn = on_answer,
									 .arg = c});
	if (changes)
		hold_on(c->access->brokers);
}

/** A process that stood still goes on where it was: what it was about to change may be another's to change by now. */
static bool may_leave(const ao_access_call *c) { return !changes_something(c) || may_change(c->access->brokers); }

/** Sends or answers what waits at an access, once it is clear with which server. */
static void take_turn(ao_access *a)
{
	if (wants_to_read(a) && !a->read) {
		if (a->secrets)
			a->read = ao_secrets_read(a->brokers->kube, a->namespace_, a->secrets, on_secrets, a);
		else
			resolve(a, NULL);
	}
	uint64_t now = ao_mono_ms(), again = next_read_ms(a);
	ao_broker_answer answer = {.error = a->error, .reason = a->reason, .message = a->message, .messages = -1, .in_flight = -1};
	static const ao_broker_answer not_ours = {.error = -EAGAIN,
						  .reason = "BrokerError",
						  .message = "not asked, because another replica may lead now",
						  .messages = -1,
						  .in_flight = -1};
	answer.retry_ms = again > now ? again - now : 0;
	a->refs++; /* callbacks may give it back */
	for (ao_access_call *c = a->calls, *next; c; c = next) {
		next = c->next;
		if (c->sent || (a->read && !(a->server && c->verb == AO_BROKER_DELETE)))
			continue;
		if (a->server && may_leave(c)) {
			send_call(c);
		} else {
			on_answer(c, a->server ? &not_ours : &answer);
			next = a->calls; /* the callback may have ended others */
		}
	}
	ao_access_put(a);
}

static void on_tick(void *arg)
{
	ao_brokers *b = arg;
	for (ao_access *a; (a = b->first);) {
		b->first = a->next;
		a->waits = false;
		take_turn(a);
	}
}

ao_access_call *ao_access_ask(ao_access *a, const ao_broker_request *request)
{
	ao_access_call *c = ao_xcalloc(1, sizeof(*c));
	*c = (ao_access_call){.access = a, .verb = request->verb, .most = request->most, .fn = request->fn, .arg = request->arg};
	c->since_ms = ao_mono_ms();
	c->next = a->calls;
	c->queue = cJSON_Duplicate(request->queue, 1);
	c->to = ao_xstrdup(request->to);
	c->origin = ao_xstrdup(request->origin);
	c->account = ao_xstrdup(request->account);
	if (c->next)
		c->next->prev = c;
	a->calls = c;
	needs_turn(a);
	return c;
}

ao_access_call *ao_access_send(ao_access *a, ao_broker_verb verb, const cJSON *queue, ao_broker_fn fn, void *arg)
{
	return ao_access_ask(a, &(ao_broker_request){.verb = verb, .queue = queue, .fn = fn, .arg = arg});
}

void ao_access_cancel(ao_access_call *c)
{
	if (!c)
		return;
	if (c->sent)
		ao_broker_cancel(c->sent);
	server_put(c->server);
	free_call(c);
}

/* ---- all of them ---- */

ao_brokers *ao_brokers_new(ao_loop *loop, ao_kube *kube, ao_brokers_back_fn on_back, void *arg)
{
	ao_brokers *b = ao_xcalloc(1, sizeof(*b));
	*b = (ao_brokers){.loop = loop, .kube = kube, .on_back = on_back, .arg = arg, .accesses = ao_map_new(), .servers = ao_map_new()};
	b->tick = ao_timer_new(loop, on_tick, b);
	b->hold = ao_timer_new(loop, on_hold, b);
	return b;
}

void ao_brokers_free(ao_brokers *b)
{
	if (!b)
		return;
	ao_require(ao_map_count(b->accesses) == 0 && ao_map_count(b->servers) == 0);
	ao_map_free(b->accesses);
	ao_map_free(b->servers);
	ao_timer_free(b->tick);
	ao_timer_free(b->hold);
	free(b);
}

bool ao_brokers_are_changing(const ao_brokers *b)
{
	size_t cursor = 0;
	for (const ao_access *a; (a = ao_map_next(b->accesses, &cursor, NULL));)
		for (const ao_access_call *c = a->calls; c; c = c->next)
			if (c->sent && changes_something(c))
				return true;
	return false;
}

void ao_brokers_halt(ao_brokers *b)
{
	size_t cursor = 0;
	b->halted = true;
	for (ao_access *a; (a = ao_map_next(b->accesses, &cursor, NULL));)
		for (const ao_access_call *c = a->calls; c; c = c->next)
			if (c->sent && changes_something(c))
				ao_broker_allow(c->sent, 1);
}

void ao_brokers_doubt(ao_brokers *b)
{
	size_t cursor = 0;
	for (ao_access *a; (a = ao_map_next(b->accesses, &cursor, NULL));)
		a->stale = a->secrets != NULL;
}

/** Sets the gauge for every transport of which this is true of one access; later rounds win. */
static void collect_round(ao_brokers *b, ao_metrics *metrics, int round)
{
	size_t cursor = 0;
	for (const ao_access *a; (a = ao_map_next(b->accesses, &cursor, NULL));) {
		const server *s = a->server;
		bool works = s && !is_down(s), applies = round == 0 ? !works : round == 1 ? works : s && s->unreachable;
		ao_auto_str char *labels = ao_metric_labels("transport", a->transport);
		if (applies)
			ao_metric_set(metrics, "transport_up", labels, works);
	}
}

/** One namespace with a wrong Secret does not make a broker that others use one that is down. */
void ao_brokers_collect(ao_brokers *b, ao_metrics *metrics)
{
	ao_metric_clear(metrics, "transport_up");
	for (int round = 0; round < 3; round++)
		collect_round(b, metrics, round);
}
