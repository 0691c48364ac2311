/*
 * client.c -- requests with credentials, a bounded number of writes, and repeats where the server asks for them.
 *
 * A call is waiting (a write behind 16 others), in flight, or resting until its Retry-After is over; it is one object through all of it,
 * so that cancelling works at any time.
 */
#include "kube/client.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#include <stdio.h>
#include <string.h>

#define MAX_WRITES 16
#define MAX_REPEATS 10
#define TOKEN_LIFE_MS 60000
#define DEFAULT_TIMEOUT_MS 30000
#define MAX_TOKEN (64 * 1024)

struct ao_kube_call {
	ao_kube *kube;
	char *method, *path, *content_type, *body;
	ao_kube_request with; /* the rest of the request */
	ao_http_call *http;   /* in flight */
	ao_timer *rest;       /* until the next attempt */
	ao_timer *refusal;    /* answers from the loop, not from inside ao_kube_send() */
	unsigned repeats;
	bool reauthorized, write, counted;
	uint64_t started_ms;
	ao_kube_call *next, *previous; /* among all calls of the client */
	ao_kube_call *next_waiting;
};

struct ao_kube {
	ao_loop *loop;
	ao_http *http;
	const ao_kubeconfig *config;
	char *token; /* last read from the file */
	uint64_t token_ms;
	bool (*gate)(void *arg);
	void *gate_arg;
	void (*on_answer)(void *arg, const char *method, long status, uint64_t took_ms);
	void *on_answer_arg;
	ao_kube_call *calls;
	ao_kube_call *waiting, **waiting_end;
	unsigned writes; /* in flight */
};

static void attempt(ao_kube_call *call);

int ao_kube_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, ao_kube **ret, ao_err **reterr)
{
	ao_kube *kube = ao_xcalloc(1, sizeof(*kube));
	kube->loop = loop;
	kube->config = config;
	kube->waiting_end = &kube->waiting;
	int r = ao_http_new(loop,
			    &(ao_http_options){
				.ca_pem = config->ca_pem,
				.cert_pem = config->client_cert_pem,
				.key_pem = config->client_key_pem,
				.insecure = config->insecure,
				.user_agent = user_agent,
			    },
			    &kube->http, reterr);
	if (r < 0) {
		free(kube);
		return r;
	}
	*ret = kube;
	return 0;
}

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

const char *ao_kube_host(const ao_kube *kube)
{
	const char *scheme = strstr(kube->config->server, "://");
	return scheme ? scheme + 3 : kube->config->server;
}

ao_http *ao_kube_http(ao_kube *kube) { return kube->http; }

/* ---- credentials ---- */

/** The token of the file, read again each minute; a file that cannot be read leaves the old one. */
static const char *current_token(ao_kube *kube)
{
	uint64_t now = ao_mono_ms();
	if (!kube->config->token_file)
		return kube->config->token;
	if (kube->token && now - kube->token_ms < TOKEN_LIFE_MS)
		return kube->token;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_TOKEN);
	ao_auto_err ao_err *err = NULL;
	kube->token_ms = now;
	if (ao_file_read(kube->config->token_file, &text, &err) < 0 || !text.len) {
		ao_warn(AO_KUBE, NULL, "cannot read the token: %s", err ? ao_err_text(err) : "the file is empty");
		return kube->token;
	}
	free(kube->token);
	kube->token = ao_buf_steal(&text);
	kube->token[strcspn(kube->token, "\r\n")] = '\0';
	return kube->token;
}

static char *authorization(ao_kube *kube)
{
	const char *token = current_token(kube);
	return token && *token ? ao_xasprintf("Authorization: Bearer %s", token) : NULL;
}

/* ---- the life of a call ---- */

static void leave_flight(ao_kube_call *call)
{
	if (call->counted)
		call->kube->writes--;
	call->counted = false;
}

static void unlink_waiting(ao_kube_call *call)
{
	for (ao_kube_call **at = &call->kube->waiting; *at; at = &(*at)->next_waiting)
		if (*at == call) {
			*at = call->next_waiting;
			if (!*at)
				call->kube->waiting_end = at;
			return;
		}
}

static void start_waiting(ao_kube *kube)
{
	while (kube->waiting && kube->writes < MAX_WRITES) {
		ao_kube_call *call = kube->waiting;
		unlink_waiting(call);
		attempt(call);
	}
}

static void free_call(ao_kube_call *call)
{
	leave_flight(call);
	unlink_waiting(call);
	if (call->next)
		call->next->previous = call->previous;
	if (call->previous)
		call->previous->next = call->next;
	else
		call->kube->calls = call->next;
	ao_timer_free(call->rest);
	ao_timer_free(call->refusal);
	free(call->method);
	free(call->path);
	free(call->content_type);
	free(call->body);
	free(call);
}

static void answer_and_free(ao_kube_call *call, const ao_kube_answer *answer)
{
	ao_kube *kube = call->kube;
	ao_kube_fn fn = call->with.fn;
	void *arg = call->with.arg;
	if (kube->on_answer && answer->status)
		kube->on_answer(kube->on_answer_arg, call->method, answer->status, ao_mono_ms() - call->started_ms);
	free_call(call);
	start_waiting(kube);
	if (fn)
		fn(arg, answer);
}

static void on_refusal(void *arg)
{
	answer_and_free(arg, &(ao_kube_answer){.error = -EPERM, .reason = "NotLeader", .message = "not the leader any more", .body = ""});
}

/** 429 and overloads with Retry-After: the same request again, after that time. */
static bool rest_and_repeat(ao_kube_call *call, const ao_http_response *response);

static int error_of(long status, const char *reason, const char *message)
{
	if (status >= 200 && status < 300)
		return 0;
	switch (status) {
	case 401:
	case 403:
		return -EPERM;
	case 404:
		return -ENOENT;
	case 409:
		return strcmp(reason, "AlreadyExists") == 0 ? -EEXIST : -ESTALE;
	case 410:
		return -ESTALE;
	case 429:
		return -EAGAIN;
	case 500: /* how the server says that an applied object does not fit its schema */
		return strstr(message, "failed to create typed patch object") ? -EINVAL : -EIO;
	default:
		return status < 500 ? -EINVAL : -EIO;
	}
}

static void answer_with(ao_kube_call *call, const ao_http_response *response)
{
	ao_auto_json cJSON *status = NULL;
	const char *reason = NULL, *message = NULL;
	if (response->status >= 300 && ao_json_parse(response->body, response->body_len, &status, NULL) == 0) {
		reason = ao_json_str(status, "reason");
		message = ao_json_str(status, "message");
	}
	ao_auto_str char *plain = ao_xasprintf("HTTP status %ld", response->status);
	ao_kube_answer answer = {.status = response->status, .body = response->body, .body_len = response->body_len};
	answer.reason = reason ? reason : "";
	answer.message = response->error ? response->error_text : message ? message : response->status >= 300 ? plain : "";
	answer.error = response->error ? response->error : error_of(response->status, answer.reason, answer.message);
	answer_and_free(call, &answer);
}

static void on_http_done(void *arg, const ao_http_response *response)
{
	ao_kube_call *call = arg;
	call->http = NULL;
	leave_flight(call);
	if (response->status == 401 && call->kube->config->token_file && !call->reauthorized) {
		call->reauthorized = true;
		call->kube->token_ms = 0;
		free(call->kube->token);
		call->kube->token = NULL;
		attempt(call);
		return;
	}
	if (!rest_and_repeat(call, response))
		answer_with(call, response);
}

static void on_rested(void *arg) { attempt(arg); }

static bool rest_and_repeat(ao_kube_call *call, const ao_http_response *response)
{
	bool asked = response->retry_after_s >= 0 && (response->status == 429 || response->status >= 500);
	if (!asked || call->repeats++ >= MAX_REPEATS)
		return false;
	if (!call->rest)
		call->rest = ao_timer_new(call->kube->loop, on_rested, call);
	long seconds = response->retry_after_s > 30 ? 30 : response->retry_after_s;
	ao_timer_start(call->rest, seconds ? (uint64_t)seconds * 1000 : 100);
	start_waiting(call->kube);
	return true;
}

static void refuse(ao_kube_call *call)
{
	call->refusal = ao_timer_new(call->kube->loop, on_refusal, call);
	ao_timer_start(call->refusal, 0);
}

static void put_in_line(ao_kube_call *call)
{
	call->next_waiting = NULL;
	*call->kube->waiting_end = call;
	call->kube->waiting_end = &call->next_waiting;
}

/** on_data and on_done of the HTTP call share one arg, ours; the caller's on_data has its own. */
static int forward_data(void *arg, const char *bytes, size_t len)
{
	ao_kube_call *call = arg;
	return call->with.on_data(call->with.arg, bytes, len);
}

static void send_http(ao_kube_call *call)
{
	ao_kube *kube = call->kube;
	ao_auto_str char *url = ao_xasprintf("%s%s", kube->config->server, call->path), *auth = authorization(kube);
	ao_auto_str char *type = ao_xasprintf("Content-Type: %s", call->content_type);
	ao_auto_str char *basic = !auth && kube->config->username
				      ? ao_xasprintf("%s:%s", kube->config->username, kube->config->password ? kube->config->password : "")
				      : NULL;
	const char *headers[4] = {"Accept: application/json"};
	size_t count = 1;
	if (call->body)
		headers[count++] = type;
	if (auth)
		headers[count++] = auth;
	call->http = ao_http_send(kube->http, &(ao_http_request){
						  .method = call->method,
						  .url = url,
						  .headers = headers,
						  .body = call->body,
						  .body_len = call->body ? strlen(call->body) : 0,
						  .timeout_ms = call->with.timeout_ms ? call->with.timeout_ms
								: call->with.on_data  ? 0
										      : DEFAULT_TIMEOUT_MS,
						  .silence_ms = call->with.silence_ms,
						  .max_body = call->with.max_body,
						  .userpwd = basic,
						  .on_data = call->with.on_data ? forward_data : NULL,
						  .on_done = on_http_done,
						  .arg = call,
					      });
}

/** Sends the call now, or puts it in line, or has it refused. */
static void attempt(ao_kube_call *call)
{
	ao_kube *kube = call->kube;
	if (call->write && kube->gate && !kube->gate(kube->gate_arg)) {
		refuse(call);
		return;
	}
	if (call->write && kube->writes >= MAX_WRITES) {
		put_in_line(call);
		return;
	}
	if (call->write) {
		kube->writes++;
		call->counted = true;
	}
	send_http(call);
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
	call->write = strcmp(request->method, "GET") != 0;
	call->started_ms = ao_mono_ms();
	call->next = kube->calls;
	if (kube->calls)
		kube->calls->previous = call;
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
	if (kube->token)
		explicit_bzero(kube->token, strlen(kube->token));
	free(kube->token);
	free(kube);
}

int ao_kube_answer_err(const ao_kube_answer *answer, const char *what, ao_err **reterr)
{
	bool reason = *answer->reason != '\0';
	return ao_err_set(reterr, answer->error, "%s: %s%s%s%s", what, answer->message, reason ? " (" : "", answer->reason,
			  reason ? ")" : "");
}
