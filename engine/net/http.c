/* http.c -- a call is one curl easy handle in the client's multi handle (curl_loop.c), with a timer of its own.
 *
 * Re-entrancy.  on_data runs inside curl, where handles must be neither added nor removed: what a callback sends then
 * waits in `calls` unattached, what it cancels goes to `dead`, and both are settled in turned(), after curl has returned.
 * on_done always runs outside curl.  ao_http_free() is legal in any callback: the client enters a frame where it calls back.
 *
 * Time.  Deadlines are ours, not CURLOPT_TIMEOUT_MS: curl does not count while a request waits for a free stream.
 *
 * Dead connections.  Curl 7.88 sends no HTTP/2 PING from a multi handle (curl_easy_upkeep() knows only the cache of the
 * easy interface until 8.6) and never looks for the answer to one.  So we ask in HTTP's own way: an HTTP/2 connection that was silent for
 * 10 s while calls are open is sent "OPTIONS *", which RFC 9110 9.3.7 calls a ping and Go's server answers before any handler,
 * authentication or audit sees it.  No answer within 5 s, and no other byte: the socket is shut down and curl notices.
 *
 * Curl sends the probe over the connection that it sends new requests over.  One that the server told to go away (GOAWAY), or that is full,
 * gets none, which we see from our port: such a connection cannot be asked.  It is shut down when it was silent for 30 s; what still runs on
 * it is begun again on another one.
 *
 * HTTP/1.1 has no way to ask.  There the kernel finds who is gone (conns.c), and each call has its deadline.
 *
 * Proxies are taken from the environment (HTTPS_PROXY, NO_PROXY) as curl and Go do. */
#include "net/http.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/frame.h"
#include "net/conns.h"
#include "net/curl_loop.h"
#include "net/easy.h"

#include <string.h>
#include <strings.h>

#define MAX_STREAMS 100
#define MAX_HTTP1_CONNECTIONS 16
#define MAX_HTTP2_CONNECTIONS 2
#define MAX_BODY (4u << 20)
#define MAX_REPEATS 5
#define POOL_SIZE 16
#define WATCH_MS 5000
#define SILENT_MS 10000
#define PROBE_TIMEOUT_MS 5000
#define LEAVING_MS 30000

struct ao_http {
	ao_loop *loop;
	ao_curl_loop *curl;
	ao_conns *conns;
	ao_http_call *calls; /* open; first is the newest */
	ao_http_call *dead;  /* cancelled inside curl */
	ao_http_call *probe; /* the "OPTIONS *" under way */
	int suspect;         /* our port of the connection it is about, ... */
	int asked;           /* ... and of the one it went over; 0: none yet */
	size_t open;         /* calls but the probe */
	ao_timer *watch;     /* runs while calls are open */
	CURL *pool[POOL_SIZE];
	size_t pooled;
	ao_http_options options; /* texts copied */
	bool http1_seen;         /* an HTTP/1.1 server: one connection would make its requests wait for each other */
	bool many;               /* ... and curl was told */
	ao_frame frame;
};

struct ao_http_call {
	ao_http *http;
	ao_http_call *prev, *next;
	CURL *easy;
	bool attached; /* in the multi handle */
	bool launched; /* left the queue for a connection */
	bool answered; /* a byte of an answer came */
	bool ending;   /* on_done is about to run, or runs */
	bool cancelled;
	bool spared;      /* its time is up, but what came while the loop stood still is still to be read */
	unsigned repeats; /* after the server refused it */
	int error;        /* decided by us rather than by curl */
	char *error_text; /* ... and why */
	char *origin;
	struct curl_slist *headers, *connect_to;
	ao_conn_opener opener;
	ao_timer *timer; /* for the times below; NULL when there are none */
	uint64_t timeout_ms, deadline, answer_ms, answer_by, silence_ms, last_byte;
	ao_buf body;
	int (*on_data)(void *arg, const char *bytes, size_t len);
	bool (*may_leave)(void *arg);
	void (*on_done)(void *arg, const ao_http_response *response);
	void *arg;
	char curl_error[CURL_ERROR_SIZE];
};

static const char *host_of(const char *origin)
{
	const char *host = strstr(origin, "://");
	return host ? host + 3 : origin;
}

/** "https://user:pw@host:1/path?x" gives "https://host:1". */
static char *origin_of(const char *url)
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	size_t len = strcspn(host, "/?#");
	const char *end = host + len;
	const char *user = memrchr(host, '@', len);
	const char *name = user ? user + 1 : host;
	return ao_xasprintf("%.*s%.*s", (int)(host - url), url, (int)(end - name), name);
}

/* ---- the list of calls, and handles to reuse ---- */

static void link_call(ao_http *http, ao_http_call *call)
{
	call->next = http->calls;
	if (call->next)
		call->next->prev = call;
	http->calls = call;
}

static void unlink_call(ao_http_call *call)
{
	ao_http *http = call->http;
	*(call->prev ? &call->prev->next : &http->calls) = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->prev = call->next = NULL;
	if (http->probe == call)
		http->probe = NULL;
	else if (--http->open == 0)
		ao_timer_stop(http->watch);
}

static CURL *take_easy(ao_http *http)
{
	CURL *easy = http->pooled ? http->pool[--http->pooled] : curl_easy_init();
	ao_require(easy);
	return easy;
}

static void return_easy(ao_http *http, CURL *easy)
{
	if (http->pooled == POOL_SIZE) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy); /* forgets headers and credentials, too */
	http->pool[http->pooled++] = easy;
}

static void detach(ao_http_call *call)
{
	if (!call->attached)
		return;
	call->attached = false;
	ao_curl_loop_remove(call->http->curl, call->easy);
}

/** Frees a call that is in no list. */
static void dispose(ao_http_call *call)
{
	detach(call);
	return_easy(call->http, call->easy);
	curl_slist_free_all(call->headers);
	curl_slist_free_all(call->connect_to);
	ao_timer_free(call->timer);
	ao_buf_free(&call->body);
	free(call->error_text);
	free(call->origin);
	free(call);
}

/* ---- the end of a call ---- */

/** Cuts " after 3 ms" out of curl's words, because a failure that is said only once is known again by its text. */
static void cut_time(char *text)
{
	char *at = strstr(text, " after ");
	size_t digits = at ? strspn(at + 7, "0123456789") : 0;
	if (digits && strncmp(at + 7 + digits, " ms", 3) == 0)
		memmove(at, at + 10 + digits, strlen(at + 10 + digits) + 1);
}

/** Ends a call outside curl: it leaves the list and the multi handle, then on_done runs. */
static void complete(ao_http_call *call, CURLcode rc)
{
	ao_http *http = call->http;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&http->frame);
	ao_auto_str char *text = NULL, *warnings = NULL;
	ao_http_response response = {.body = "", .error_text = ""};
	unlink_call(call);
	call->ending = true;
	if (call->timer)
		ao_timer_stop(call->timer);
	ao_easy_read_head(call->easy, &response, &warnings);
	detach(call);
	response.error = call->error ? call->error : ao_easy_error(rc);
	if (response.error) {
		response.sent = call->launched;
		const char *cause = call->error_text ? call->error_text : call->curl_error[0] ? call->curl_error : curl_easy_strerror(rc);
		text = ao_xasprintf("%s: %s", host_of(call->origin), cause);
		cut_time(text);
		response.error_text = text;
	}
	if (call->body.data) {
		response.body = call->body.data;
		response.body_len = call->body.len;
	}
	if (call->on_done)
		call->on_done(call->arg, &response);
	dispose(call);
}

static void fail(ao_http_call *call, int error, char *why)
{
	call->error = error;
	free(call->error_text);
	call->error_text = why;
}

static void timed_out(ao_http_call *call, char *why)
{
	fail(call, -ETIME, why);
	complete(call, CURLE_OK);
}

static void arm(ao_http_call *call, uint64_t now)
{
	uint64_t at = call->deadline ? call->deadline : UINT64_MAX;
	if (call->silence_ms && call->last_byte + call->silence_ms < at)
		at = call->last_byte + call->silence_ms;
	if (call->answer_by && !call->answered && call->answer_by < at)
		at = call->answer_by;
	call->spared = false;
	if (at == UINT64_MAX)
		return;
	ao_timer_start(call->timer, at > now ? at - now : 0);
}

/** @return why the call is to end now; the caller frees. NULL: it has time */
static char *overdue(const ao_http_call *call, uint64_t now)
{
	if (call->deadline && now >= call->deadline)
		return ao_xasprintf("no complete answer within %llu ms", (unsigned long long)call->timeout_ms);
	if (call->answer_by && !call->answered && now >= call->answer_by)
		return ao_xasprintf("no answer within %llu ms", (unsigned long long)call->answer_ms);
	if (call->silence_ms && now - call->last_byte >= call->silence_ms)
		return ao_xasprintf("no byte for %llu ms", (unsigned long long)call->silence_ms);
	return NULL;
}

/** The loop runs timers before it reads: after a standstill it reads first, and then the time is looked at once more. */
static void call_timer(void *arg)
{
	ao_http_call *call = arg;
	uint64_t now = ao_mono_ms();
	ao_auto_str char *why = overdue(call, now);
	if (call->error) {
		complete(call, CURLE_OK); /* it could not even start */
	} else if (!why) {
		arm(call, now);
	} else if (!call->spared) {
		call->spared = true;
		ao_timer_start(call->timer, 1);
	} else {
		timed_out(call, AO_TAKE(why));
	}
}

/* ---- what curl calls ---- */

static int request_leaves(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
	(void)remote_ip, (void)local_ip, (void)remote_port;
	ao_http_call *call = arg;
	if (call->may_leave && !call->may_leave(call->arg)) {
		fail(call, -ECANCELED, ao_xstrdup("called back before it was sent"));
		return CURL_PREREQFUNC_ABORT;
	}
	call->launched = true;
	if (call == call->http->probe)
		call->http->asked = local_port;
	return CURL_PREREQFUNC_OK;
}

static size_t header_seen(char *bytes, size_t size, size_t count, void *arg)
{
	ao_http_call *call = arg;
	size_t len = size * count;
	if (call->cancelled)
		return 0;
	call->last_byte = ao_mono_ms();
	call->answered = true;
	if (len > 7 && memcmp(bytes, "HTTP/2 ", 7) == 0)
		ao_conns_set_http2(call->http->conns, call->origin);
	else if (len > 7 && memcmp(bytes, "HTTP/1.", 7) == 0)
		call->http->http1_seen = true;
	return len;
}

static size_t body_seen(char *bytes, size_t size, size_t count, void *arg)
{
	ao_http_call *call = arg;
	size_t len = size * count;
	long status = 0;
	if (call->cancelled)
		return 0;
	call->last_byte = ao_mono_ms();
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (!call->on_data || status / 100 != 2) {
		ao_buf_put(&call->body, bytes, len);
		if (!call->body.overflow)
			return len;
		fail(call, -E2BIG, ao_xasprintf("the answer is larger than %zu bytes", call->body.cap));
		return 0;
	}
	int rc = call->on_data(call->arg, bytes, len);
	if (call->cancelled)
		return 0;
	if (!rc)
		return len;
	fail(call, rc, ao_xstrdup("the answer cannot be used"));
	return 0;
}

static void attach(ao_http_call *call);

/** More connections for a server that turned out to speak HTTP/1.1; what waits for the first one is queued afresh. */
static void allow_many(ao_http *http)
{
	http->many = true;
	curl_multi_setopt(ao_curl_loop_multi(http->curl), CURLMOPT_MAX_HOST_CONNECTIONS, (long)http->options.max_streams);
	for (ao_http_call *call = http->calls; call; call = call->next) {
		if (!call->attached || call->launched)
			continue;
		detach(call);
		curl_easy_setopt(call->easy, CURLOPT_PIPEWAIT, 0L);
		attach(call);
	}
}

static void attach(ao_http_call *call)
{
	if (call->http->http1_seen && !call->http->many)
		allow_many(call->http);
	call->attached = ao_curl_loop_add(call->http->curl, call->easy) == 0;
	if (call->attached)
		return;
	fail(call, -EIO, ao_xstrdup("libcurl cannot start the request"));
	if (!call->timer)
		call->timer = ao_timer_new(call->http->loop, call_timer, call);
	ao_timer_start(call->timer, 0);
}

/**
 * A server that goes away names the last request it takes; later ones it has not looked at.  Curl sends those again by itself, unless the
 * last one it takes has its answer already: then the session is over, and all that curl says is that.
 */
static bool was_refused(const ao_http_call *call, CURLcode rc)
{
	return rc == CURLE_HTTP2 && !call->answered && !call->error && call->repeats < MAX_REPEATS;
}

static void repeat(ao_http_call *call)
{
	call->repeats++;
	call->launched = false;
	detach(call);
	attach(call);
}

/** Does what had to wait until curl returned. */
static void settle(ao_http *http)
{
	while (http->dead) {
		ao_http_call *call = http->dead;
		http->dead = call->next;
		dispose(call);
	}
	if (http->http1_seen && !http->many)
		allow_many(http);
	for (ao_http_call *call = http->calls; call; call = call->next)
		if (!call->attached && !call->error)
			attach(call);
}

static void turned(void *arg)
{
	ao_http *http = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&http->frame);
	CURLMsg *msg;
	int left;
	settle(http);
	while (!frame->freed && (msg = curl_multi_info_read(ao_curl_loop_multi(http->curl), &left))) {
		if (msg->msg != CURLMSG_DONE)
			continue;
		CURLcode rc = msg->data.result;
		char *private = NULL;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
		ao_http_call *call = (ao_http_call *)(void *)private;
		if (was_refused(call, rc))
			repeat(call);
		else
			complete(call, rc);
	}
}

/* ---- finding dead connections ---- */

static ao_http_call *start(ao_http *http, const ao_http_request *request, bool probe);

/** Any answer is an answer. */
static void probe_done(void *arg, const ao_http_response *response)
{
	ao_http_call *call = arg;
	ao_http *http = call->http;
	if (http->asked != http->suspect)
		ao_conns_set_leaving(http->conns, http->suspect);
	else if (response->error == -ETIME && ao_conns_shutdown_silent(http->conns, http->suspect, PROBE_TIMEOUT_MS))
		ao_warn(AO_NET, host_of(call->origin), "the connection is silent: connecting anew");
}

static void probe(ao_http *http, const char *origin, int port)
{
	const char *const headers[] = {"Accept:", NULL};
	ao_auto_str char *url = ao_xasprintf("%s/", origin);
	const ao_http_request request = {
	    .method = "OPTIONS", .url = url, .headers = headers, .timeout_ms = PROBE_TIMEOUT_MS, .on_done = probe_done};
	http->suspect = port;
	http->asked = 0;
	start(http, &request, true);
}

static void watch_tick(void *arg)
{
	ao_http *http = arg;
	const char *origin = NULL;
	if (ao_conns_shutdown_leaving(http->conns, LEAVING_MS))
		ao_debug(AO_NET, NULL, "a silent connection that takes no more requests is closed");
	int port = http->probe ? 0 : ao_conns_silent(http->conns, SILENT_MS, &origin);
	if (port)
		probe(http, origin, port);
	ao_timer_start(http->watch, WATCH_MS);
}

/* ---- calls ---- */

static void set_callbacks(ao_http_call *call)
{
	CURL *easy = call->easy;
	ao_conns_attach(&call->opener, easy);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_error);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, request_leaves);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header_seen);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body_seen);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
}

static ao_http_call *start(ao_http *http, const ao_http_request *request, bool is_probe)
{
	ao_http_call *call = ao_xcalloc(1, sizeof(*call));
	*call = (ao_http_call){.http = http,
			       .easy = take_easy(http),
			       .origin = origin_of(request->url),
			       .timeout_ms = request->timeout_ms,
			       .answer_ms = request->answer_ms,
			       .silence_ms = request->silence_ms,
			       .body = ao_buf_init(request->max_body ? request->max_body : MAX_BODY),
			       .on_data = request->on_data,
			       .may_leave = request->may_leave,
			       .on_done = request->on_done,
			       .arg = request->arg};
	call->opener = (ao_conn_opener){.conns = http->conns, .origin = call->origin};
	ao_easy_set_client(call->easy, &http->options);
	call->headers = ao_easy_set_request(call->easy, request);
	if (http->options.tls_name)
		call->connect_to = ao_easy_set_tls_name(call->easy, request->url, http->options.tls_name, &call->headers);
	set_callbacks(call);
	if (strncasecmp(request->url, "http://", 7) == 0)
		http->http1_seen = true;
	if (http->http1_seen)
		curl_easy_setopt(call->easy, CURLOPT_PIPEWAIT, 0L);
	link_call(http, call);
	if (is_probe) {
		curl_easy_setopt(call->easy, CURLOPT_REQUEST_TARGET, "*");
		call->arg = call;
		http->probe = call;
	} else if (http->open++ == 0 && !http->options.http1) {
		ao_timer_start(http->watch, WATCH_MS);
	}
	call->last_byte = ao_mono_ms();
	if (request->timeout_ms)
		call->deadline = call->last_byte + request->timeout_ms;
	if (request->answer_ms)
		call->answer_by = call->last_byte + request->answer_ms;
	if (request->timeout_ms || request->answer_ms || request->silence_ms) {
		call->timer = ao_timer_new(http->loop, call_timer, call);
		arm(call, call->last_byte);
	}
	if (!ao_curl_loop_inside(http->curl))
		attach(call);
	return call;
}

ao_http_call *ao_http_send(ao_http *http, const ao_http_request *request) { return start(http, request, false); }

void ao_http_cancel(ao_http_call *call)
{
	ao_http *http = call->http;
	if (call->ending || call->cancelled)
		return;
	unlink_call(call);
	if (!ao_curl_loop_inside(http->curl)) {
		dispose(call);
		return;
	}
	call->cancelled = true;
	if (call->timer)
		ao_timer_stop(call->timer);
	call->next = http->dead;
	http->dead = call;
}

void ao_http_set_identity(ao_http *http, const char *ca_pem, const char *cert_pem, const char *key_pem)
{
	ao_easy_set_identity(&http->options, ca_pem, cert_pem, key_pem);
}

void ao_http_reset(ao_http *http) { ao_conns_shutdown(http->conns); }

/* ---- the client ---- */

static void global_init(void)
{
	static bool done;
	if (!done)
		curl_global_init(CURL_GLOBAL_DEFAULT);
	done = true;
}

static void destroy(void *arg)
{
	ao_http *http = arg;
	settle(http);
	ao_curl_loop_free(http->curl);
	while (http->pooled)
		curl_easy_cleanup(http->pool[--http->pooled]);
	ao_conns_free(http->conns);
	ao_timer_free(http->watch);
	ao_easy_clear_options(&http->options);
	free(http);
}

int ao_http_new(ao_loop *loop, const ao_http_options *options, ao_http **ret, ao_err **reterr)
{
	global_init();
	ao_http *http = ao_xcalloc(1, sizeof(*http));
	int rc = ao_curl_loop_new(loop, turned, http, &http->curl, reterr);
	if (rc) {
		free(http);
		return rc;
	}
	ao_frame_init(&http->frame, destroy, http);
	http->loop = loop;
	http->conns = ao_conns_new();
	http->watch = ao_timer_new(loop, watch_tick, http);
	http->options = ao_easy_copy_options(options);
	if (!http->options.max_streams)
		http->options.max_streams = options->http1 ? MAX_HTTP1_CONNECTIONS : MAX_STREAMS;
	if (!http->options.max_connections)
		http->options.max_connections = MAX_HTTP2_CONNECTIONS;
	CURLM *multi = ao_curl_loop_multi(http->curl);
	long streams = (long)http->options.max_streams;
	http->many = http->options.http1;
	curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, http->options.http1 ? streams : (long)http->options.max_connections);
	curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, streams);
	*ret = http;
	return 0;
}

void ao_http_free(ao_http *http)
{
	if (!http || http->frame.freed)
		return;
	while (http->calls)
		ao_http_cancel(http->calls);
	if (ao_curl_loop_inside(http->curl))
		http->frame.freed = true; /* turned() destroys it when curl has returned */
	else
		ao_frame_free(&http->frame);
}
