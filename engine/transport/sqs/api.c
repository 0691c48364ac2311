/* api.c -- a call is: wait for keys, sign and send, read the answer, perhaps wait and send again.
 *
 * libcurl signs each request afresh, with every header we give it, so the session token is signed, too.
 * Replying is the last thing a function does, because the receiver may free everything. */
#include "transport/sqs/api.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/backoff.h"
#include "net/http.h"
#include "transport/broker.h"
#include "transport/sqs/aws_text.h"
#include "transport/sqs/error.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS 10000
#define BACKOFF_MS 200
#define BACKOFF_MAX_MS 5000
#define MAX_ANSWER (32 * 1024 * 1024) /* ten messages of 1 MB, written with all the escapes of JSON */

struct ao_sqs_api {
	ao_loop *loop;
	const ao_sqs_config *config;
	ao_aws_credentials *credentials;
	ao_http *http;
	char *url, *sign_for;
	const char *host;
	ao_sqs_api_call *calls;
	bool connected;
	uint64_t connects;
};

struct ao_sqs_api_call {
	ao_sqs_api *api;
	ao_sqs_api_call *prev, *next;
	const char *action;
	char *body;
	uint64_t deadline_ms;
	unsigned attempts;
	bool renewed; /* keys were refused once */
	char *key_id; /* signed with */
	ao_aws_waiter waiter;
	ao_http_call *http;
	ao_timer *timer;        /* the next attempt */
	bool (*may)(void *arg); /* NULL: always */
	ao_sqs_reply_fn fn;
	void *arg;
};

/* ---- the end of a call ---- */

static void dispose(ao_sqs_api_call *call)
{
	*(call->prev ? &call->prev->next : &call->api->calls) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	ao_aws_waiter_leave(&call->waiter);
	if (call->http)
		ao_http_cancel(call->http);
	ao_timer_free(call->timer);
	free(call->key_id);
	free(call->body);
	free(call);
}

void ao_sqs_api_cancel(ao_sqs_api_call *call) { dispose(call); }

static void reply(ao_sqs_api_call *call, const ao_sqs_reply *what)
{
	ao_sqs_reply_fn fn = call->fn;
	void *arg = call->arg;
	dispose(call);
	fn(arg, what);
}

static void fail(ao_sqs_api_call *call, int error, const char *reason, uint64_t retry_ms, const char *text)
{
	ao_auto_str char *message = ao_xasprintf("%s: %s", call->action, text);
	reply(call, &(ao_sqs_reply){.error = error, .reason = reason, .message = message, .retry_ms = retry_ms});
}

/* ---- trying again ---- */

/** Full jitter, so that many callers do not come back together. */
static uint64_t backoff(const ao_sqs_api_call *call, long retry_after_s)
{
	uint64_t most = ao_backoff_ms(BACKOFF_MS, BACKOFF_MAX_MS, call->attempts - 1);
	uint64_t wait = most / 4 + ao_jitter_ms(most);
	uint64_t asked = retry_after_s > 0 ? (uint64_t)retry_after_s * 1000 : 0;
	return wait > asked ? wait : asked;
}

/** @return false when the call's time does not allow it */
static bool try_again(ao_sqs_api_call *call, uint64_t wait_ms)
{
	if (ao_mono_ms() + wait_ms >= call->deadline_ms)
		return false;
	ao_timer_start(call->timer, wait_ms);
	return true;
}

/* ---- errors ---- */

static void on_error_status(ao_sqs_api_call *call, const ao_http_response *response)
{
	ao_auto_aws_error ao_aws_error said = ao_aws_error_read(response->body, response->body_len);
	ao_sqs_error e = ao_sqs_error_of(said.code, response->status);
	if (e.old_keys && !call->renewed && ao_aws_credentials_refused(call->api->credentials, call->key_id)) {
		call->renewed = true;
		ao_timer_start(call->timer, 0);
		return;
	}
	if (e.again && try_again(call, backoff(call, response->retry_after_s)))
		return;
	ao_auto_str char *status = *said.code ? NULL : ao_xasprintf("HTTP %ld", response->status);
	ao_auto_str char *text =
	    ao_xasprintf("%s: %s%s%s", call->api->host, status ? status : said.code, *said.message ? ": " : "", said.message);
	fail(call, e.error, e.reason, e.retry_ms + ao_jitter_ms(e.retry_ms / 5), text);
}

static void on_good_status(ao_sqs_api_call *call, const ao_http_response *response)
{
	ao_auto_json cJSON *body = NULL;
	ao_auto_err ao_err *err = NULL;
	if (response->body_len && ao_json_parse(response->body, response->body_len, &body, &err) < 0) {
		fail(call, -EPROTO, "BrokerError", 0, ao_err_text(err));
		return;
	}
	if (!body)
		body = cJSON_CreateObject(); /* actions without a result answer nothing */
	if (cJSON_IsObject(body))
		reply(call, &(ao_sqs_reply){.reason = "", .message = "", .body = body});
	else
		fail(call, -EPROTO, "BrokerError", 0, "the answer is not a JSON object");
}

static void on_transport_error(ao_sqs_api_call *call, const ao_http_response *response)
{
	if (response->error == -ETIME && try_again(call, 0))
		return;
	if (response->error == -ETIME)
		fail(call, -ETIME, "BrokerTimeout", 0, response->error_text);
	else if (response->error == -EIO)
		fail(call, -EIO, "BrokerUnreachable", 0, response->error_text);
	else
		fail(call, -EPROTO, "BrokerError", 0, response->error_text);
}

static void on_http_done(void *arg, const ao_http_response *response)
{
	ao_sqs_api_call *call = arg;
	ao_sqs_api *api = call->api;
	call->http = NULL;
	if (!response->error && !api->connected)
		api->connects++;
	api->connected = !response->error;
	if (response->error)
		on_transport_error(call, response);
	else if (response->status / 100 == 2)
		on_good_status(call, response);
	else
		on_error_status(call, response);
}

/* ---- sending ---- */

static void send_signed(ao_sqs_api_call *call, const ao_aws_keys *keys)
{
	ao_sqs_api *api = call->api;
	uint64_t now = ao_mono_ms(), left = call->deadline_ms > now ? call->deadline_ms - now : 1;
	ao_auto_str char *target = ao_xasprintf("X-Amz-Target: AmazonSQS.%s", call->action);
	ao_auto_secret char *userpwd = ao_xasprintf("%s:%s", keys->id, keys->secret);
	ao_auto_secret char *token = keys->token ? ao_xasprintf("X-Amz-Security-Token: %s", keys->token) : NULL;
	const char *const headers[] = {"Content-Type: application/x-amz-json-1.0", target, token, NULL};
	free(call->key_id);
	call->key_id = ao_xstrdup(keys->id);
	call->attempts++;
	call->http = ao_http_send(api->http, &(ao_http_request){
						 .method = "POST",
						 .url = api->url,
						 .headers = headers,
						 .body = call->body,
						 .body_len = strlen(call->body),
						 .timeout_ms = left < ATTEMPT_MS ? left : ATTEMPT_MS,
						 .max_body = MAX_ANSWER,
						 .aws_sigv4 = api->sign_for,
						 .userpwd = userpwd,
						 .on_done = on_http_done,
						 .arg = call,
					     });
}

static void attempt(void *arg)
{
	ao_sqs_api_call *call = arg;
	if (call->may && !call->may(call->arg)) {
		fail(call, -EAGAIN, "BrokerError", 0, AO_BROKER_NOT_ALLOWED);
		return;
	}
	const ao_aws_keys *keys = ao_aws_credentials_get(call->api->credentials, &call->waiter);
	if (keys)
		send_signed(call, keys);
}

static void on_keys(void *arg, int error, const char *reason, const char *message)
{
	ao_sqs_api_call *call = arg;
	if (error)
		reply(call, &(ao_sqs_reply){.error = error, .reason = reason, .message = message});
	else
		attempt(call);
}

ao_sqs_api_call *ao_sqs_api_send(ao_sqs_api *api, const char *action, cJSON *body, uint64_t deadline_ms, ao_sqs_reply_fn fn, void *arg)
{
	ao_auto_json cJSON *taken = body;
	ao_sqs_api_call *call = ao_xcalloc(1, sizeof(*call));
	*call = (ao_sqs_api_call){.api = api,
				  .next = api->calls,
				  .action = action,
				  .body = ao_json_print(taken),
				  .deadline_ms = deadline_ms,
				  .fn = fn,
				  .arg = arg};
	if (call->next)
		call->next->prev = call;
	api->calls = call;
	call->waiter = (ao_aws_waiter){.fn = on_keys, .arg = call};
	call->timer = ao_timer_new(api->loop, attempt, call);
	attempt(call);
	return call;
}

void ao_sqs_api_only_while(ao_sqs_api_call *call, bool (*may)(void *arg)) { call->may = may; }

/* ---- life ---- */

int ao_sqs_api_new(ao_loop *loop, const ao_sqs_config *config, ao_aws_credentials *credentials, ao_sqs_api **ret, ao_err **reterr)
{
	ao_http *http;
	int r = ao_http_new(loop, &(ao_http_options){.http1 = true, .user_agent = "asya-operator"}, &http, reterr);
	if (r < 0)
		return r;
	ao_sqs_api *api = ao_xcalloc(1, sizeof(*api));
	*api = (ao_sqs_api){.loop = loop, .config = config, .credentials = credentials, .http = http};
	api->url = ao_xasprintf("%s/", config->endpoint);
	api->sign_for = ao_xasprintf("aws:amz:%s:sqs", config->region);
	api->host = strstr(config->endpoint, "://") + 3;
	*ret = api;
	return 0;
}

void ao_sqs_api_free(ao_sqs_api *api)
{
	if (!api)
		return;
	while (api->calls)
		dispose(api->calls);
	ao_http_free(api->http);
	ao_aws_credentials_free(api->credentials);
	free(api->url);
	free(api->sign_for);
	free(api);
}

const char *ao_sqs_api_host(const ao_sqs_api *api) { return api->host; }

bool ao_sqs_api_connected(const ao_sqs_api *api, uint64_t *ret_connects)
{
	*ret_connects = api->connects;
	return api->connected;
}
