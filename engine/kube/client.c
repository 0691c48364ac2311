/*
 * client.c -- requests with credentials, a bounded number of writes, and repeats where the server asks for them.
 *
 * A call is one object through its whole life, and in one phase at any time; whichever that is, ao_kube_cancel() ends it.  The gate is asked
 * whenever a write is about to do something: when it comes, when its turn in line comes, when its rest is over, and when it goes onto the wire.
 *
 * A server that names a time (Retry-After) is left alone by all calls until then, not only by the one that it told: it means its load, not our
 * request.  What was never sent waits without its time running.  A 429 without a time makes its own call rest, longer each time.
 *
 * A call's time-out begins when it is sent first and covers its repeats: a lease, or a queue with a back-off of its own, knows best how
 * long it can wait.
 */
#include "kube/client.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "kube/answer.h"
#include "kube/auth.h"
#include "kube/identity.h"
#include "kube/warnings.h"
#include "kube/window.h"
#include "loop/backoff.h"
#include "loop/ranks.h"
#include "json/json.h"

#include <string.h>

#define URGENT_WRITES 4      /* for which somebody waits, beside the window; more of them are in the window, as all others are */
#define STREAM_CONNECTIONS 8 /* a watch lives for ten minutes; until the last one has left a connection, the server may end others */
#define MAX_REPEATS 10
#define MIN_REST_MS 100
#define MAX_PEACE_MS 120000 /* longer than that nobody keeps us waiting with one header */
#define LONG_PEACE_MS 5000  /* is worth a line */
#define FIRST_BUSY_MS 1000  /* the rests after a 429 that names no time */
#define MAX_BUSY_MS 30000
#define DEFAULT_TIMEOUT_MS 30000

typedef enum {
	IDLE,      /* about to begin, or to end */
	REFUSED,   /* a timer of no length answers it */
	WAITING,   /* for credentials, which a plugin is about to give */
	IN_LINE,   /* a write for which the window has no room yet */
	IN_FLIGHT, /* sent */
	STREAMING, /* ... and the first piece of its answer came */
	RESTING,   /* until its timer says that it may be sent again */
} phase;

struct ao_kube_call {
	ao_kube *kube;
	phase phase;
	char *method, *path, *content_type, *body;
	char *namespace_, *name, *uid; /* of the object asked for */
	ao_kube_request with;          /* the rest of the request */
	ao_http_call *http;            /* IN_FLIGHT, STREAMING */
	ao_timer *timer;               /* REFUSED, RESTING */
	const ao_kube_answer *refusal; /* REFUSED */
	unsigned repeats;
	bool write;
	bool reauthorized;             /* a 401 has made us read the token again */
	uint64_t attempt_ms;           /* when it was sent last */
	uint64_t deadline_ms;          /* when all attempts end; 0: never, or not sent yet */
	ao_kube_call *next, *previous; /* among all calls of the client */
	ao_ranked in_line;
};

struct ao_kube {
	ao_loop *loop;
	ao_http *http, *streams; /* connections of their own for watches */
	const ao_kubeconfig *config;
	char *user_agent;
	ao_auth *auth;
	ao_auth_waiter waiter;
	ao_identity *identity;
	ao_warnings *warnings;
	bool (*gate)(void *arg);
	void *gate_arg;
	void (*on_answer)(void *arg, const char *method, long status, uint64_t took_ms);
	void *on_answer_arg;
	void (*on_stream)(void *arg, const char *path);
	void *on_stream_arg;
	ao_kube_call *calls;
	ao_ranks line;
	uint64_t joins;           /* of the line */
	unsigned writes, urgent;  /* in flight; how many of them are of AO_KUBE_URGENT */
	ao_window window;         /* how many may be */
	uint64_t own_peace_ms;    /* when the server may be asked again, monotonic */
	uint64_t *peace_until_ms; /* that, or the one of the client whose sibling we are */
};

static const ao_kube_answer NOT_LEADER = {
    .error = -EPERM, .reason = "NotLeader", .message = "not the leader: nothing may be written", .body = ""};
static const ao_kube_answer NO_CREDENTIALS = {.error = -EIO, .reason = "NoCredentials", .message = "", .body = ""}; /* ao_auth_why() */
static const ao_kube_answer PUT_OFF = {
    .error = -EAGAIN, .reason = "TooManyRequests", .message = "the server asks for more time than this request has", .body = ""};

static void credentials_came(void *arg);

/** @param auth  taken; NULL: as the configuration says */
static int new_client(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, ao_auth *auth, ao_kube **ret, ao_err **reterr)
{
	ao_kube *kube = ao_xcalloc(1, sizeof(*kube));
	kube->loop = loop;
	kube->config = config;
	kube->user_agent = ao_xstrdup(user_agent);
	kube->peace_until_ms = &kube->own_peace_ms;
	kube->window = ao_window_init();
	ao_http_options options = {
	    .ca_pem = config->ca_pem,
	    .cert_pem = config->client_cert_pem,
	    .key_pem = config->client_key_pem,
	    .insecure = config->insecure,
	    .tls_name = config->tls_server_name,
	    .proxy = config->proxy_url,
	    .user_agent = user_agent,
	};
	int r = ao_http_new(loop, &options, &kube->http, reterr);
	options.max_connections = STREAM_CONNECTIONS;
	if (r == 0)
		r = ao_http_new(loop, &options, &kube->streams, reterr);
	if (r < 0) {
		ao_http_free(kube->http);
		free(kube->user_agent);
		free(kube);
		return r;
	}
	kube->auth = auth ? auth : ao_auth_new(loop, config);
	kube->waiter = (ao_auth_waiter){.fn = credentials_came, .arg = kube};
	ao_auth_wait(kube->auth, &kube->waiter);
	kube->identity = ao_identity_new(config);
	kube->warnings = ao_warnings_new();
	*ret = kube;
	return 0;
}

int ao_kube_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, ao_kube **ret, ao_err **reterr)
{
	return new_client(loop, config, user_agent, NULL, ret, reterr);
}

ao_kube *ao_kube_sibling(const ao_kube *kube)
{
	ao_kube *sibling = NULL;
	ao_auth *auth = ao_auth_share(kube->auth);
	ao_require(new_client(kube->loop, kube->config, kube->user_agent, auth, &sibling, NULL) == 0); /* what worked for the first */
	ao_kube_set_gate(sibling, kube->gate, kube->gate_arg);
	ao_kube_on_answer(sibling, kube->on_answer, kube->on_answer_arg);
	sibling->peace_until_ms = kube->peace_until_ms;
	return sibling;
}

bool ao_kube_may_write(const ao_kube *kube) { return !kube->gate || kube->gate(kube->gate_arg); }

void ao_kube_set_gate(ao_kube *kube, bool (*gate)(void *arg), void *arg)
{
	kube->gate = gate;
	kube->gate_arg = arg;
}

void ao_kube_on_answer(ao_kube *kube, void (*fn)(void *arg, const char *method, long status, uint64_t took_ms), void *arg)
{
	kube->on_answer = fn;
	kube->on_answer_arg = arg;
}

void ao_kube_on_stream(ao_kube *kube, void (*fn)(void *arg, const char *path), void *arg)
{
	kube->on_stream = fn;
	kube->on_stream_arg = arg;
}

const char *ao_kube_host(const ao_kube *kube)
{
	const char *scheme = strstr(kube->config->server, "://");
	return scheme ? scheme + 3 : kube->config->server;
}

void ao_kube_reset(ao_kube *kube)
{
	ao_http_reset(kube->http);
	ao_http_reset(kube->streams);
}

/* ---- the line ---- */

static const unsigned RANKS[AO_KUBE_RANKS] = {[AO_KUBE_URGENT] = 0, [AO_KUBE_USUAL] = 1, [AO_KUBE_STATUS] = 2, [AO_KUBE_EVENT] = 3};

static void join_line(ao_kube_call *call)
{
	call->in_line.of = call;
	ao_ranks_join(&call->kube->line, &call->in_line, RANKS[call->with.rank], call->kube->joins++);
}

static bool is_write_in_flight(const ao_kube_call *call) { return call->write && (call->phase == IN_FLIGHT || call->phase == STREAMING); }

/** @param by  1, or -1 */
static void count_write(const ao_kube_call *call, int by)
{
	if (!is_write_in_flight(call))
		return;
	call->kube->writes += (unsigned)by;
	if (call->with.rank == AO_KUBE_URGENT)
		call->kube->urgent += (unsigned)by;
}

static void enter(ao_kube_call *call, phase next)
{
	count_write(call, -1);
	if (call->phase == IN_LINE)
		ao_ranks_leave(&call->kube->line, &call->in_line);
	call->phase = next;
	if (call->phase == IN_LINE)
		join_line(call);
	count_write(call, 1);
}

static void attempt(ao_kube_call *call);

static bool has_room(const ao_kube *kube, ao_kube_rank rank)
{
	unsigned beside = kube->urgent < URGENT_WRITES ? kube->urgent : URGENT_WRITES;
	return kube->writes - beside < kube->window.size || (rank == AO_KUBE_URGENT && kube->urgent < URGENT_WRITES);
}

/** Who may be sent now, of those in line; NULL: nobody. */
static ao_kube_call *next_in_line(ao_kube *kube)
{
	if (has_room(kube, AO_KUBE_USUAL))
		return ao_ranks_turn(&kube->line);
	return has_room(kube, AO_KUBE_URGENT) ? ao_ranks_first(&kube->line, RANKS[AO_KUBE_URGENT]) : NULL;
}

static void start_waiting(ao_kube *kube)
{
	ao_kube_call *call;
	while ((call = next_in_line(kube)))
		attempt(call);
}

/* ---- the end of a call ---- */

static void free_call(ao_kube_call *call)
{
	ao_kube *kube = call->kube;
	enter(call, IDLE);
	*(call->previous ? &call->previous->next : &kube->calls) = call->next;
	if (call->next)
		call->next->previous = call->previous;
	ao_timer_free(call->timer);
	free(call->method);
	free(call->path);
	free(call->content_type);
	free(call->body);
	free(call->namespace_);
	free(call->name);
	free(call->uid);
	free(call);
}

static void answer_and_free(ao_kube_call *call, const ao_kube_answer *answer)
{
	ao_kube *kube = call->kube;
	ao_kube_fn fn = call->with.fn;
	void *arg = call->with.arg;
	free_call(call);
	start_waiting(kube);
	if (fn)
		fn(arg, answer); /* may free the client */
}

static bool is_anybody_in_line(const ao_kube *kube)
{
	for (unsigned rank = 0; rank < AO_RANKS; rank++)
		if (ao_ranks_first(&kube->line, rank))
			return true;
	return false;
}

/** Says once for each attempt how it went; for a stream when it begins, because its end tells nothing of how fast the server is. */
static void tell(ao_kube_call *call, long status)
{
	ao_kube *kube = call->kube;
	uint64_t now = ao_mono_ms(), took_ms = now - call->attempt_ms;
	bool tried = status && status != 429 && status != 503; /* what the server has no time for tells nothing of how long it takes */
	if (call->write && tried)
		ao_window_answered(&kube->window, now, took_ms, kube->writes, is_anybody_in_line(kube));
	if (kube->on_answer)
		kube->on_answer(kube->on_answer_arg, call->method, status, took_ms);
}

static void answer_refused(ao_kube_call *call)
{
	ao_kube_answer answer = *call->refusal;
	ao_auto_str char *why = call->refusal == &NO_CREDENTIALS ? ao_xstrdup(ao_auth_why(call->kube->auth)) : NULL;
	if (why)
		answer.message = why;
	answer_and_free(call, &answer);
}

static void on_timer(void *arg)
{
	ao_kube_call *call = arg;
	if (call->phase == REFUSED)
		answer_refused(call);
	else
		attempt(call);
}

/** Enters a phase that a timer ends. */
static void enter_for(ao_kube_call *call, phase next, uint64_t delay_ms)
{
	enter(call, next);
	if (!call->timer)
		call->timer = ao_timer_new(call->kube->loop, on_timer, call);
	ao_timer_start(call->timer, delay_ms);
}

static void refuse(ao_kube_call *call, const ao_kube_answer *refusal)
{
	call->refusal = refusal;
	enter_for(call, REFUSED, 0);
}

/** Leaves the server alone for as long as it asks. @return how long that is */
static uint64_t make_peace(ao_kube *kube, const ao_http_response *response)
{
	uint64_t now = ao_mono_ms(), ms = response->retry_after_s > 0 ? (uint64_t)response->retry_after_s * 1000 : MIN_REST_MS;
	ms = ms < MAX_PEACE_MS ? ms : MAX_PEACE_MS;
	if (now >= *kube->peace_until_ms && ms >= LONG_PEACE_MS)
		ao_warn(AO_KUBE, ao_kube_host(kube), "HTTP status %ld: nothing is sent for %llu s, as the server asks", response->status,
			(unsigned long long)ms / 1000);
	if (now + ms > *kube->peace_until_ms)
		*kube->peace_until_ms = now + ms;
	return ms;
}

/** An overloaded or ending server is asked again later. @return false when this answer is none of such, or that is too late for the call */
static bool rest_and_repeat(ao_kube_call *call, const ao_http_response *response)
{
	uint64_t rest_ms = 0;
	if (response->retry_after_s >= 0 && (response->status == 429 || response->status >= 500)) {
		rest_ms = make_peace(call->kube, response);
	} else if (response->status == 429) {
		rest_ms = ao_backoff_ms(FIRST_BUSY_MS, MAX_BUSY_MS, call->repeats);
		rest_ms += ao_jitter_ms(rest_ms / 5);
	}
	if (!rest_ms || call->repeats >= MAX_REPEATS || (call->deadline_ms && ao_mono_ms() + rest_ms >= call->deadline_ms))
		return false;
	call->repeats++;
	enter_for(call, RESTING, rest_ms);
	start_waiting(call->kube);
	return true;
}

/**
 * Is this an answer, though its stream ended badly?  A refusal is one, whatever of its words came: a server sends it before it has read the
 * request, and resets the stream.  So is the whole object that a write was to give.
 */
static bool is_answer(const ao_kube_call *call, const ao_http_response *response)
{
	ao_auto_json cJSON *object = NULL;
	return response->status >= 400 || (call->write && response->error == -EIO && response->status / 100 == 2 &&
					   ao_json_parse(response->body, response->body_len, &object, NULL) == 0);
}

/** A write that left and was not answered, or not by the server. */
static void say_unsure(ao_answer_parts *parts)
{
	char *message = ao_xasprintf("%s; it may have been carried out", parts->answer.message);
	free(parts->message);
	parts->answer.message = parts->message = message;
	parts->answer.unsure = true;
}

/** A process that stood still goes on where it was: what it was about to send then may be another's to write by now. */
static bool may_leave(void *arg)
{
	const ao_kube_call *call = arg;
	return !call->write || ao_kube_may_write(call->kube);
}

static void on_http_done(void *arg, const ao_http_response *response)
{
	ao_kube_call *call = arg;
	ao_http_response whole = *response;
	call->http = NULL;
	if (response->error == -ECANCELED) {
		answer_and_free(call, &NOT_LEADER);
		return;
	}
	if (call->phase == IN_FLIGHT)
		tell(call, response->status);
	ao_warnings_see(call->kube->warnings, response->warnings);
	if (!response->status)
		ao_identity_doubt(call->kube->identity);
	if (call->kube->on_stream && call->with.on_data && (!response->status || response->status / 100 == 2))
		call->kube->on_stream(call->kube->on_stream_arg, call->path);
	if (response->status == 401 && !call->reauthorized && ao_auth_refused(call->kube->auth, call->attempt_ms)) {
		call->reauthorized = true;
		attempt(call);
		return;
	}
	if (rest_and_repeat(call, response))
		return;
	if (is_answer(call, response))
		whole.error = 0;
	ao_kube_object object = {call->with.object.resource, call->namespace_, call->name, call->uid};
	ao_auto_answer ao_answer_parts parts = ao_answer_make(&whole, call->method, &object);
	if (call->write && (whole.error ? whole.sent : parts.answer.error == -EPROTO))
		say_unsure(&parts);
	answer_and_free(call, &parts.answer);
}

/* ---- sending ---- */

/** on_data and on_done of the HTTP call share one arg, ours; the caller's on_data has its own. */
static int forward_data(void *arg, const char *bytes, size_t len)
{
	ao_kube_call *call = arg;
	if (call->phase == IN_FLIGHT)
		tell(call, 200);
	enter(call, STREAMING);
	return call->with.on_data(call->with.arg, bytes, len);
}

/** What is left of the call's time; the first attempt starts its clock. 0: no limit */
static uint64_t time_left(ao_kube_call *call)
{
	uint64_t limit = call->with.timeout_ms ? call->with.timeout_ms : call->with.on_data ? 0 : DEFAULT_TIMEOUT_MS;
	if (!limit)
		return 0;
	if (!call->deadline_ms)
		call->deadline_ms = call->attempt_ms + limit;
	return call->deadline_ms > call->attempt_ms ? call->deadline_ms - call->attempt_ms : 1;
}

/** The certificates are the client's; all else that says who we are stands in the request. */
static void renew_identity(ao_kube *kube)
{
	const ao_identity *identity = kube->identity;
	const char *cert, *key;
	bool changed = ao_identity_renew(kube->identity);
	ao_auth_identity(kube->auth, &cert, &key);
	if (!changed && !cert)
		return;
	const char *ca = ao_identity_ca(identity);
	ao_http_set_identity(kube->http, ca, cert ? cert : ao_identity_cert(identity), cert ? key : ao_identity_key(identity));
	ao_http_set_identity(kube->streams, ca, cert ? cert : ao_identity_cert(identity), cert ? key : ao_identity_key(identity));
}

static size_t count_of(char *const *list)
{
	size_t count = 0;
	while (list && list[count])
		count++;
	return count;
}

/** What a request of metadata accepts: a list, or the objects of a watch. */
static const char *const ACCEPT_LIST = "Accept: application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
static const char *const ACCEPT_EACH = "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

static void send_http(ao_kube_call *call)
{
	ao_kube *kube = call->kube;
	renew_identity(kube);
	call->attempt_ms = ao_mono_ms();
	ao_auto_secret char *authorization = ao_auth_header(kube->auth);
	ao_auto_secret char *userpwd = ao_auth_userpwd(kube->auth);
	ao_auto_str char *url = ao_xasprintf("%s%s", kube->config->server, call->path);
	ao_auto_str char *type = ao_xasprintf("Content-Type: %s", call->content_type);
	size_t count = count_of(kube->config->impersonate);
	const char **headers = ao_xcalloc(count + 4, sizeof(*headers));
	for (size_t i = 0; i < count; i++)
		headers[i] = kube->config->impersonate[i];
	headers[count++] = !call->with.metadata_only ? "Accept: application/json" : call->with.on_data ? ACCEPT_EACH : ACCEPT_LIST;
	if (call->body)
		headers[count++] = type;
	if (authorization)
		headers[count] = authorization;
	ao_http *http = call->with.on_data ? kube->streams : kube->http;
	call->http = ao_http_send(http, &(ao_http_request){
					    .method = call->method,
					    .url = url,
					    .headers = headers,
					    .body = call->body,
					    .body_len = call->body ? strlen(call->body) : 0,
					    .timeout_ms = time_left(call),
					    .answer_ms = call->with.on_data ? DEFAULT_TIMEOUT_MS : 0,
					    .max_body = call->with.max_body,
					    .userpwd = userpwd,
					    .on_data = call->with.on_data ? forward_data : NULL,
					    .may_leave = may_leave,
					    .on_done = on_http_done,
					    .arg = call,
					});
	free(headers);
}

static void credentials_came(void *arg)
{
	const ao_kube *kube = arg;
	for (ao_kube_call *call = kube->calls; call; call = call->next)
		if (call->phase == WAITING)
			attempt(call);
}

/** Sends the call now, or puts it in line, or has it refused, or leaves it waiting for credentials. */
static void attempt(ao_kube_call *call)
{
	ao_kube *kube = call->kube;
	uint64_t now = ao_mono_ms(), until = *kube->peace_until_ms;
	int ready;
	enter(call, IDLE);
	if (!may_leave(call)) {
		refuse(call, &NOT_LEADER);
	} else if (now < until && call->deadline_ms && until >= call->deadline_ms) {
		refuse(call, &PUT_OFF);
	} else if (now < until) {
		enter_for(call, RESTING, until - now);
	} else if ((ready = ao_auth_ready(kube->auth)) == -EAGAIN) {
		enter(call, WAITING);
	} else if (ready < 0) {
		refuse(call, &NO_CREDENTIALS);
	} else if (call->write && !has_room(kube, call->with.rank)) {
		enter(call, IN_LINE);
	} else {
		enter(call, IN_FLIGHT);
		send_http(call);
	}
}

ao_kube_call *ao_kube_send(ao_kube *kube, const ao_kube_request *request)
{
	ao_kube_call *call = ao_xcalloc(1, sizeof(*call));
	call->kube = kube;
	call->with = *request;
	call->method = ao_xstrdup(request->method);
	call->path = ao_xstrdup(request->path);
	call->content_type = ao_xstrdup(request->content_type ? request->content_type : "application/json");
	call->body = ao_xstrdup(request->body);
	call->namespace_ = ao_xstrdup(request->object.namespace_);
	call->name = ao_xstrdup(request->object.name);
	call->uid = ao_xstrdup(request->object.uid);
	call->with.method = call->with.path = call->with.content_type = call->with.body = NULL; /* borrowed until here */
	call->with.object = (ao_kube_object){.resource = request->object.resource};
	call->write = strcmp(call->method, "GET") != 0;
	call->next = kube->calls;
	if (call->next)
		call->next->previous = call;
	kube->calls = call;
	attempt(call);
	return call;
}

void ao_kube_cancel(ao_kube_call *call)
{
	ao_kube *kube = call->kube;
	if (call->http)
		ao_http_cancel(call->http);
	free_call(call);
	start_waiting(kube);
}

void ao_kube_free(ao_kube *kube)
{
	if (!kube)
		return;
	while (kube->calls) {
		if (kube->calls->http)
			ao_http_cancel(kube->calls->http);
		free_call(kube->calls);
	}
	ao_http_free(kube->http);
	ao_http_free(kube->streams);
	ao_auth_leave(kube->auth, &kube->waiter);
	ao_auth_free(kube->auth);
	ao_identity_free(kube->identity);
	ao_warnings_free(kube->warnings);
	free(kube->user_agent);
	free(kube);
}
