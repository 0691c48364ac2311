/* The client against peers that answer well, badly, slowly, or not at all. */
#include "base/clock.h"
#include "net/http.h"
#include "net/server.h"
#include "test/test_net_peer.h"

#include <stdlib.h>

typedef struct fixture {
	ao_loop *loop;
	ao_http *http;
	peer peer;
	char *url;
	char last_request[8192];
	const char *text; /* what say_text() answers */
	size_t text_len;
} fixture;

/** What came of one call. */
typedef struct outcome {
	bool done;
	int error, calls;
	long status, retry_after_s;
	char text[512], type[64];
	ao_buf body, data;
	int stop_with; /* what on_data returns */
	size_t pieces;
} outcome;

static void on_done(void *arg, const ao_http_response *response)
{
	outcome *o = arg;
	o->done = true;
	o->calls++;
	o->error = response->error;
	o->status = response->status;
	o->retry_after_s = response->retry_after_s;
	snprintf(o->text, sizeof(o->text), "%s", response->error_text);
	snprintf(o->type, sizeof(o->type), "%s", response->content_type);
	o->body = ao_buf_init(8 << 20);
	ao_buf_put(&o->body, response->body, response->body_len);
	assert_int_equal(strlen(response->body), response->body_len);
}

static int on_data(void *arg, const char *bytes, size_t len)
{
	outcome *o = arg;
	o->data.cap = 8 << 20;
	ao_buf_put(&o->data, bytes, len);
	o->pieces++;
	return o->stop_with;
}

static void drop(outcome *o)
{
	ao_buf_free(&o->body);
	ao_buf_free(&o->data);
	*o = (outcome){0};
}

static void say_text(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	snprintf(f->last_request, sizeof(f->last_request), "%s", request);
	if (f->text)
		peer_send_bytes(conn, f->text, f->text_len ? f->text_len : strlen(f->text));
}

static void setup_with(fixture *f, void (*answer)(peer_conn *, const char *), ao_http_options options)
{
	*f = (fixture){.loop = ao_loop_new()};
	peer_start(&f->peer, f->loop, answer, f);
	f->url = ao_xasprintf("http://user:secret@127.0.0.1:%d/path?q=1", f->peer.port);
	assert_int_equal(ao_http_new(f->loop, &options, &f->http, NULL), 0);
}

static void setup(fixture *f, void (*answer)(peer_conn *, const char *)) { setup_with(f, answer, (ao_http_options){0}); }

static void count_active_timers(uv_handle_t *handle, void *arg)
{
	if (uv_handle_get_type(handle) == UV_TIMER && uv_is_active(handle))
		++*(int *)arg;
}

static void teardown(fixture *f)
{
	ao_http_free(f->http);
	peer_stop(&f->peer);
	assert_int_equal(ao_loop_close(f->loop), 0);
	peer_free(&f->peer);
	free(f->url);
}

static ao_http_call *send_call(fixture *f, ao_http_request request, outcome *o)
{
	request.method = request.method ? request.method : "GET";
	request.url = request.url ? request.url : f->url;
	request.on_done = on_done;
	request.arg = o;
	ao_http_call *call = ao_http_send(f->http, &request);
	assert_false(o->done); /* never from inside */
	return call;
}

static void call(fixture *f, ao_http_request request, outcome *o)
{
	send_call(f, request, o);
	assert_true(ao_loop_run_until(f->loop, &o->done, 10000));
	assert_int_equal(o->calls, 1);
	assert_null(strstr(o->text, "secret"));
}

static void say_hello(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	snprintf(f->last_request, sizeof(f->last_request), "%s", request);
	peer_reply(conn, "200 OK", "Content-Type: application/json\r\n", "{\"a\":1}");
}

static void one_connection_for_many_requests(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_hello);
	for (int i = 0; i < 40; i++) {
		outcome o = {0};
		call(&f, (ao_http_request){0}, &o);
		assert_int_equal(o.error, 0);
		assert_int_equal(o.status, 200);
		assert_string_equal(o.body.data, "{\"a\":1}");
		assert_string_equal(o.type, "application/json");
		assert_int_equal(o.retry_after_s, -1);
		drop(&o);
	}
	assert_int_equal(f.peer.accepted, 1);
	int timers = 0;
	const bool never = false;
	ao_loop_run_until(f.loop, &never, 20);
	uv_walk(ao_loop_raw(f.loop), count_active_timers, &timers);
	assert_int_equal(timers, 0); /* at rest nothing ticks */
	teardown(&f);
}

static void the_request_is_what_was_asked_for(void **state)
{
	(void)state;
	fixture f;
	setup_with(&f, say_hello, (ao_http_options){.user_agent = "asya/1"});
	outcome o = {0};
	char method[] = "PATCH", header[] = "Content-Type: application/merge-patch+json", body[] = "{\"b\":2}";
	const char *headers[] = {header, "Authorization: Bearer t", NULL};
	ao_http_request patch = {.method = method, .headers = headers, .body = body, .body_len = strlen(body)};
	send_call(&f, patch, &o);
	memset(method, 'x', sizeof(method) - 1); /* everything was copied */
	memset(header, 'x', sizeof(header) - 1);
	memset(body, 'x', sizeof(body) - 1);
	assert_true(ao_loop_run_until(f.loop, &o.done, 10000));
	drop(&o);
	assert_int_equal(strncmp(f.last_request, "PATCH /path?q=1 HTTP/1.1\r\n", 26), 0);
	assert_non_null(strstr(f.last_request, "\r\nContent-Type: application/merge-patch+json\r\n"));
	assert_non_null(strstr(f.last_request, "\r\nAuthorization: Bearer t\r\n"));
	assert_non_null(strstr(f.last_request, "\r\nUser-Agent: asya/1\r\n"));
	assert_non_null(strstr(f.last_request, "\r\nAccept-Encoding: "));
	assert_non_null(strstr(f.last_request, "\r\n\r\n{\"b\":2}"));
	assert_null(strstr(f.last_request, "Expect"));

	call(&f, (ao_http_request){.method = "DELETE"}, &o);
	drop(&o);
	assert_int_equal(strncmp(f.last_request, "DELETE /", 8), 0);
	assert_null(strstr(f.last_request, "Content-Type"));
	call(&f, (ao_http_request){.method = "POST"}, &o);
	drop(&o);
	assert_non_null(strstr(f.last_request, "Content-Length: 0"));
	assert_null(strstr(f.last_request, "urlencoded"));
	call(&f, (ao_http_request){.on_data = on_data}, &o);
	assert_null(strstr(f.last_request, "Accept-Encoding")); /* libcurl cannot unpack the API server's gzipped watches */
	assert_string_equal(o.data.data, "{\"a\":1}");
	drop(&o);
	teardown(&f);
}

static void large_bodies_are_sent_without_asking(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_hello);
	outcome o = {0};
	size_t len = 900000;
	ao_auto_str char *body = ao_xmalloc(len + 1);
	memset(body, 'x', len);
	call(&f, (ao_http_request){.method = "PUT", .body = body, .body_len = len}, &o);
	assert_int_equal(o.status, 200);
	assert_null(strstr(f.last_request, "Expect"));
	drop(&o);
	teardown(&f);
}

static void serve(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	(void)arg;
	ao_buf_puts(&reply->body, request->path);
}

static void the_probe_server_and_the_client_agree(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_hello);
	ao_server *server = NULL;
	assert_int_equal(ao_server_new(f.loop, "127.0.0.1:0", serve, NULL, &server, NULL), 0);
	ao_auto_str char *url = ao_xasprintf("http://127.0.0.1:%d/x%%20y", ao_server_port(server));
	outcome o = {0};
	call(&f, (ao_http_request){.url = url}, &o);
	assert_string_equal(o.body.data, "/x y");
	drop(&o);
	call(&f, (ao_http_request){.method = "HEAD", .url = url}, &o);
	assert_int_equal(o.status, 200);
	assert_int_equal(o.body.len, 0);
	drop(&o);
	ao_server_free(server);
	teardown(&f);
}

static void other_statuses_are_collected_even_for_streams(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_text);
	outcome o = {0};
	f.text = "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow";
	call(&f, (ao_http_request){.on_data = on_data}, &o);
	assert_int_equal(o.error, 0);
	assert_int_equal(o.status, 429);
	assert_int_equal(o.retry_after_s, 7);
	assert_string_equal(o.body.data, "slow");
	assert_int_equal(o.pieces, 0);
	drop(&o);
	f.text = "HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
	call(&f, (ao_http_request){0}, &o);
	assert_int_equal(o.retry_after_s, 0);
	drop(&o);
	f.text = "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nno";
	call(&f, (ao_http_request){0}, &o);
	assert_int_equal(o.status, 307); /* not followed */
	assert_string_equal(o.body.data, "no");
	drop(&o);
	teardown(&f);
}

static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n";

static void streams_come_in_pieces_and_may_be_ended(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_text);
	outcome o = {0};
	f.text = chunked;
	call(&f, (ao_http_request){.on_data = on_data}, &o);
	assert_int_equal(o.error, 0);
	assert_string_equal(o.data.data, "onetwo");
	assert_int_equal(o.body.len, 0);
	drop(&o);
	o.stop_with = -EPROTO;
	call(&f, (ao_http_request){.on_data = on_data}, &o);
	assert_int_equal(o.error, -EPROTO);
	assert_int_equal(o.status, 200);
	assert_int_equal(o.pieces, 1);
	drop(&o);
	f.text = chunked;
	call(&f, (ao_http_request){0}, &o); /* the client goes on */
	assert_string_equal(o.body.data, "onetwo");
	drop(&o);
	teardown(&f);
}

static void gzip_is_unpacked_under_the_cap(void **state)
{
	(void)state;
	static const char zipped[] =
	    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 29\r\n\r\n"
	    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x4c\x1c\x05\xa3\x60\x14\x0c\x77\x00\x00\x03\xda\x38\x9a\xe8\x03\x00\x00"; /* 1000
																       times
																       'a'
																     */
	fixture f;
	setup(&f, say_text);
	outcome o = {0};
	f.text = zipped;
	f.text_len = sizeof(zipped) - 1;
	call(&f, (ao_http_request){.max_body = 1000}, &o);
	assert_int_equal(o.error, 0);
	assert_int_equal(o.body.len, 1000);
	drop(&o);
	call(&f, (ao_http_request){.max_body = 999}, &o);
	assert_int_equal(o.error, -E2BIG);
	assert_non_null(strstr(o.text, "999"));
	drop(&o);
	teardown(&f);
}

static void too_much_is_cut_off(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_hello);
	outcome o = {0};
	call(&f, (ao_http_request){.max_body = 6}, &o);
	assert_int_equal(o.error, -E2BIG);
	assert_int_equal(o.status, 200);
	drop(&o);
	call(&f, (ao_http_request){.max_body = 7}, &o);
	assert_int_equal(o.error, 0);
	drop(&o);
	teardown(&f);
}

static void answer_then_leave(peer_conn *conn, const char *request)
{
	say_text(conn, request);
	peer_abort(conn);
}

static void broken_answers_are_errors_with_host_and_cause(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    NULL, "", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "HTTP/1.1 200", "220 mail.example ESMTP\r\n", "\x15\x03\x03"};
	for (size_t i = 0; i < AO_LEN(texts); i++) {
		fixture f;
		setup(&f, answer_then_leave);
		ao_auto_str char *host = ao_xasprintf("127.0.0.1:%d: ", f.peer.port);
		outcome o = {0};
		f.text = texts[i];
		call(&f, (ao_http_request){.on_data = on_data}, &o);
		assert_true(o.error == -EIO || o.error == -EPROTO);
		assert_int_equal(strncmp(o.text, host, strlen(host)), 0);
		assert_true(strlen(o.text) > strlen(host) + 5);
		drop(&o);
		teardown(&f);
	}
}

static void nobody_there(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_hello);
	outcome o = {0};
	call(&f, (ao_http_request){.url = "http://127.0.0.1:1/x"}, &o);
	assert_int_equal(o.error, -EIO);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.text, "127.0.0.1:1: "));
	drop(&o);
	call(&f, (ao_http_request){.url = "http://no.such.host.invalid/x"}, &o);
	assert_int_equal(o.error, -EIO);
	assert_non_null(strstr(o.text, "no.such.host.invalid"));
	drop(&o);
	call(&f, (ao_http_request){.url = "http://[oops/"}, &o);
	assert_int_equal(o.error, -EINVAL);
	drop(&o);
	call(&f, (ao_http_request){.url = "file:///etc/passwd"}, &o);
	assert_int_equal(o.error, -EPROTO);
	drop(&o);
	call(&f, (ao_http_request){0}, &o);
	assert_int_equal(o.error, 0);
	drop(&o);
	teardown(&f);
}

static void bad_pem_is_the_users_mistake(void **state)
{
	(void)state;
	static const ao_http_options bad[] = {{.ca_pem = "rubbish"}, {.insecure = true, .cert_pem = "rubbish", .key_pem = "rubbish"}};
	for (size_t i = 0; i < AO_LEN(bad); i++) {
		fixture f;
		setup_with(&f, say_hello, bad[i]);
		ao_auto_str char *url = ao_xasprintf("https://127.0.0.1:%d/", f.peer.port);
		outcome o = {0};
		call(&f, (ao_http_request){.url = url}, &o);
		assert_int_equal(o.error, -EINVAL);
		drop(&o);
		teardown(&f);
	}
}

static void a_deadline_ends_the_call(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_text); /* says nothing */
	outcome o = {0};
	uint64_t start = ao_mono_ms();
	call(&f, (ao_http_request){.timeout_ms = 60}, &o);
	assert_int_equal(o.error, -ETIME);
	assert_non_null(strstr(o.text, "60 ms"));
	assert_true(ao_mono_ms() - start >= 60);
	drop(&o);
	teardown(&f);
}

typedef struct drip {
	peer_conn *conn;
	ao_timer *timer;
	int left;
} drip;

static void drip_one(void *arg)
{
	drip *d = arg;
	if (d->left-- > 0) {
		peer_send(d->conn, "1\r\nx\r\n");
		ao_timer_start(d->timer, 20);
		return;
	}
	ao_timer_free(d->timer);
	free(d);
}

static void answer_in_drips(peer_conn *conn, const char *request)
{
	(void)request;
	peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	drip *d = ao_xcalloc(1, sizeof(*d));
	*d = (drip){.conn = conn, .left = 20};
	d->timer = ao_timer_new(conn->owner->loop, drip_one, d);
	ao_timer_start(d->timer, 20);
}

static void silence_is_counted_from_the_last_byte(void **state)
{
	(void)state;
	fixture f;
	setup(&f, answer_in_drips);
	outcome o = {0};
	call(&f, (ao_http_request){.on_data = on_data, .silence_ms = 300}, &o);
	assert_int_equal(o.error, -ETIME);
	assert_int_equal(o.data.len, 20); /* 400 ms of drips did not end it */
	assert_non_null(strstr(o.text, "300 ms"));
	drop(&o);
	teardown(&f);
}

static void never_answer(peer_conn *conn, const char *request) { (void)conn, (void)request; }

/** A stream has no end, but it has a beginning. */
static void an_answer_begins_in_time_and_may_last(void **state)
{
	(void)state;
	fixture mute, talking;
	outcome never = {0}, lasting = {0};
	setup(&mute, never_answer);
	call(&mute, (ao_http_request){.on_data = on_data, .answer_ms = 200}, &never);
	assert_int_equal(never.error, -ETIME);
	assert_non_null(strstr(never.text, "no answer within 200 ms"));
	drop(&never);
	teardown(&mute);
	setup(&talking, answer_in_drips);
	call(&talking, (ao_http_request){.on_data = on_data, .answer_ms = 200, .silence_ms = 300}, &lasting);
	assert_int_equal(lasting.data.len, 20);
	assert_non_null(strstr(lasting.text, "no byte for 300 ms"));
	drop(&lasting);
	teardown(&talking);
}

static void hang_but_for_streams(peer_conn *conn, const char *request)
{
	if (strstr(request, "/watch"))
		peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
}

/** Time-outs of some requests say nothing about the connections of others; a reset ends them all. */
static void a_request_that_timed_out_ends_no_other(void **state)
{
	(void)state;
	fixture f;
	setup(&f, hang_but_for_streams);
	ao_auto_str char *url = ao_xasprintf("http://127.0.0.1:%d/watch", f.peer.port);
	outcome watch = {0}, o = {0};
	send_call(&f, (ao_http_request){.url = url, .on_data = on_data}, &watch);
	for (int i = 0; i < 4; i++) {
		call(&f, (ao_http_request){.timeout_ms = 80}, &o); /* not behind the watch: this is HTTP/1.1 */
		assert_int_equal(o.error, -ETIME);
		drop(&o);
	}
	assert_false(watch.done);
	assert_int_equal(watch.data.len, 1);
	ao_http_reset(f.http);
	assert_true(ao_loop_run_until(f.loop, &watch.done, 5000));
	assert_int_equal(watch.error, -EIO);
	drop(&watch);
	teardown(&f);
}

static void http1_connections_are_bounded(void **state)
{
	(void)state;
	fixture f;
	setup_with(&f, say_hello, (ao_http_options){.http1 = true, .max_streams = 3});
	outcome o[20] = {0};
	for (size_t i = 0; i < AO_LEN(o); i++)
		send_call(&f, (ao_http_request){.timeout_ms = 9000}, &o[i]);
	for (size_t i = 0; i < AO_LEN(o); i++) {
		assert_true(ao_loop_run_until(f.loop, &o[i].done, 10000));
		assert_int_equal(o[i].error, 0);
		drop(&o[i]);
	}
	assert_int_equal(f.peer.requests, 20);
	assert_true(f.peer.most_open > 1 && f.peer.most_open <= 3);
	teardown(&f);
}

static void let_through(peer_conn *conn, const char *request)
{
	if (strncmp(request, "CONNECT ", 8) == 0)
		peer_send(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); /* and then the server behind it is slow */
}

/** What a proxy says to CONNECT is no word about the server: its requests still wait for the one connection. */
static void a_proxy_is_not_taken_for_the_server(void **state)
{
	(void)state;
	fixture f;
	setup(&f, let_through);
	ao_auto_str char *proxy = ao_xasprintf("http://127.0.0.1:%d", f.peer.port);
	setenv("HTTPS_PROXY", proxy, 1);
	outcome o[5] = {0};
	for (size_t i = 0; i < AO_LEN(o); i++)
		send_call(&f, (ao_http_request){.url = "https://api.example.test:6443/", .timeout_ms = 2500}, &o[i]);
	for (size_t i = 0; i < AO_LEN(o); i++) {
		assert_true(ao_loop_run_until(f.loop, &o[i].done, 10000));
		assert_int_equal(o[i].error, -ETIME);
		drop(&o[i]);
	}
	unsetenv("HTTPS_PROXY");
	assert_int_equal(f.peer.accepted, 1);
	teardown(&f);
}

static void no_matter(uv_poll_t *handle, int status, int events) { (void)handle, (void)status, (void)events; }

/** libuv refuses to watch a socket: its requests are slower, no more. */
static void a_socket_that_cannot_be_watched_is_looked_at(void **state)
{
	(void)state;
	fixture f;
	setup(&f, say_hello);
	uv_poll_t stale;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), held = dup(fd);
	assert_int_equal(uv_poll_init(ao_loop_raw(f.loop), &stale, fd), 0);
	uv_poll_start(&stale, UV_READABLE, no_matter);
	close(fd); /* curl's socket gets this number, and libuv says that it watches it already */
	for (int i = 0; i < 3; i++) {
		outcome o = {0};
		call(&f, (ao_http_request){.timeout_ms = 5000}, &o);
		assert_int_equal(o.error, 0);
		drop(&o);
		if (i == 1)
			uv_close((uv_handle_t *)&stale, NULL);
	}
	assert_int_equal(f.peer.accepted, 1);
	close(held);
	teardown(&f);
}

int main(void)
{
	for (const char *const *name = (const char *const[]){"http_proxy", "all_proxy", "ALL_PROXY", NULL}; *name; name++)
		unsetenv(*name);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_connection_for_many_requests),
	    cmocka_unit_test(the_request_is_what_was_asked_for),
	    cmocka_unit_test(large_bodies_are_sent_without_asking),
	    cmocka_unit_test(the_probe_server_and_the_client_agree),
	    cmocka_unit_test(other_statuses_are_collected_even_for_streams),
	    cmocka_unit_test(streams_come_in_pieces_and_may_be_ended),
	    cmocka_unit_test(gzip_is_unpacked_under_the_cap),
	    cmocka_unit_test(too_much_is_cut_off),
	    cmocka_unit_test(broken_answers_are_errors_with_host_and_cause),
	    cmocka_unit_test(nobody_there),
	    cmocka_unit_test(bad_pem_is_the_users_mistake),
	    cmocka_unit_test(a_deadline_ends_the_call),
	    cmocka_unit_test(silence_is_counted_from_the_last_byte),
	    cmocka_unit_test(a_request_that_timed_out_ends_no_other),
	    cmocka_unit_test(http1_connections_are_bounded),
	    cmocka_unit_test(an_answer_begins_in_time_and_may_last),
	    cmocka_unit_test(a_proxy_is_not_taken_for_the_server),
	    cmocka_unit_test(a_socket_that_cannot_be_watched_is_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
