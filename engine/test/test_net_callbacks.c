/* Sending, cancelling and freeing from inside the client's callbacks: each is legal everywhere. */
#include "net/http.h"
#include "test/test_net_peer.h"

#include <stdlib.h>

#define CALLS 4

typedef enum { NOTHING, CANCEL_SELF, CANCEL_OTHERS, FREE_CLIENT, SEND_MORE, RESET } act;

typedef struct fixture fixture;

typedef struct one {
	fixture *f;
	ao_http_call *call;
	int pieces, ends, error;
	act on_data, on_done;
	int data_result;
	bool ended;
} one;

struct fixture {
	ao_loop *loop;
	ao_http *http;
	peer peer;
	char *url;
	one ones[CALLS];
	one extra;
	bool sending;
};

static int on_data(void *arg, const char *bytes, size_t len);
static void on_done(void *arg, const ao_http_response *response);

static void start(fixture *f, one *o, const char *path)
{
	ao_auto_str char *url = ao_xasprintf("%s%s", f->url, path);
	o->f = f;
	f->sending = true;
	o->call = ao_http_send(
	    f->http,
	    &(ao_http_request){
		.method = "GET", .url = url, .timeout_ms = 20000, .silence_ms = 20000, .on_data = on_data, .on_done = on_done, .arg = o});
	f->sending = false;
}

static void perform(one *o, act what)
{
	fixture *f = o->f;
	if (what == CANCEL_SELF) {
		ao_http_cancel(o->call);
	} else if (what == CANCEL_OTHERS) {
		for (size_t i = 0; i < CALLS; i++)
			if (&f->ones[i] != o && !f->ones[i].ended && f->ones[i].call)
				ao_http_cancel(AO_TAKE(f->ones[i].call));
	} else if (what == FREE_CLIENT) {
		ao_http_free(f->http);
		f->http = NULL;
	} else if (what == SEND_MORE) {
		start(f, &f->extra, "/short");
	} else if (what == RESET) {
		ao_http_reset(f->http);
	}
}

static int on_data(void *arg, const char *bytes, size_t len)
{
	one *o = arg;
	assert_non_null(bytes);
	assert_true(len > 0);
	assert_false(o->f->sending);
	o->pieces++;
	act what = o->on_data;
	o->on_data = NOTHING;
	perform(o, what);
	return o->data_result;
}

static void on_done(void *arg, const ao_http_response *response)
{
	one *o = arg;
	assert_false(o->f->sending);
	o->ends++;
	o->ended = true;
	o->error = response->error;
	act what = o->on_done;
	o->on_done = NOTHING;
	perform(o, what);
	assert_non_null(response->error_text); /* still ours to read */
	assert_true(strlen(response->body) == response->body_len);
}

static void answer(peer_conn *conn, const char *request)
{
	if (strstr(request, "/short"))
		peer_reply(conn, "200 OK", "", "short");
	else if (strstr(request, "/stream"))
		peer_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
}

static void setup(fixture *f)
{
	*f = (fixture){.loop = ao_loop_new()};
	peer_start(&f->peer, f->loop, answer, f);
	f->url = ao_xasprintf("http://127.0.0.1:%d", f->peer.port);
	assert_int_equal(ao_http_new(f->loop, &(ao_http_options){0}, &f->http, NULL), 0);
}

static void teardown(fixture *f)
{
	ao_http_free(f->http);
	peer_stop(&f->peer);
	assert_int_equal(ao_loop_close(f->loop), 0);
	peer_free(&f->peer);
	free(f->url);
}

static void turn(fixture *f, uint64_t ms)
{
	const bool never = false;
	ao_loop_run_until(f->loop, &never, ms);
}

/** Lets the loop run until the counter is that high, and then some, for what must not happen. */
static void turn_until(fixture *f, const int *counter, int want)
{
	for (int i = 0; i < 1000 && *counter < want; i++)
		turn(f, 5);
	assert_true(*counter >= want);
	turn(f, 30);
}

static void until_streaming(fixture *f)
{
	for (size_t i = 0; i + 1 < CALLS; i++)
		turn_until(f, &f->ones[i].pieces, 1);
	turn_until(f, &f->ones[CALLS - 1].ends, 1);
}

/** Three open streams and a short call last; what the chosen one does is up to the caller. */
static void start_all(fixture *f)
{
	for (size_t i = 0; i + 1 < CALLS; i++)
		start(f, &f->ones[i], "/stream");
	start(f, &f->ones[CALLS - 1], "/short");
}

static void cancelled_calls_are_quiet(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	start_all(&f);
	for (size_t i = 0; i < CALLS; i++)
		ao_http_cancel(f.ones[i].call); /* before anything happened */
	turn(&f, 50);
	start_all(&f);
	until_streaming(&f);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(f.ones[i].pieces, 1);
		ao_http_cancel(f.ones[i].call); /* in the middle */
	}
	turn(&f, 50);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(f.ones[i].ends, 0);
	teardown(&f);
}

static void cancelling_oneself(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	f.ones[0].on_data = CANCEL_SELF;
	f.ones[3].on_done = CANCEL_SELF; /* is ending anyway */
	start_all(&f);
	until_streaming(&f);
	assert_int_equal(f.ones[0].ends, 0);
	assert_int_equal(f.ones[3].ends, 1);
	assert_int_equal(f.ones[1].pieces, 1);
	assert_int_equal(f.ones[1].ends, 0);
	f.ones[3] = (one){.on_data = CANCEL_SELF, .data_result = -EIO}; /* and an error beside it */
	start(&f, &f.ones[3], "/short");
	turn_until(&f, &f.ones[3].pieces, 1);
	assert_int_equal(f.ones[3].pieces, 1);
	assert_int_equal(f.ones[3].ends, 0);
	teardown(&f);
}

static void cancelling_others(void **state)
{
	(void)state;
	for (int from_done = 0; from_done < 2; from_done++) {
		fixture f;
		setup(&f);
		*(from_done ? &f.ones[3].on_done : &f.ones[3].on_data) = CANCEL_OTHERS;
		start_all(&f);
		turn_until(&f, &f.ones[3].ends, 1);
		assert_int_equal(f.ones[3].error, 0);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(f.ones[i].ends, 0);
		int open = f.peer.open;
		assert_true(open <= 2);
		teardown(&f);
	}
}

static void freeing_the_client(void **state)
{
	(void)state;
	for (int from_done = 0; from_done < 2; from_done++) {
		fixture f;
		setup(&f);
		*(from_done ? &f.ones[3].on_done : &f.ones[3].on_data) = FREE_CLIENT;
		start_all(&f);
		turn_until(&f, &f.ones[3].pieces, 1);
		assert_null(f.http);
		assert_int_equal(f.ones[3].ends, from_done);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(f.ones[i].ends, 0);
		assert_int_equal(f.peer.open, 0);
		teardown(&f);
	}
}

static void sending_from_callbacks(void **state)
{
	(void)state;
	for (int from_done = 0; from_done < 2; from_done++) {
		fixture f;
		setup(&f);
		*(from_done ? &f.ones[3].on_done : &f.ones[3].on_data) = SEND_MORE;
		start_all(&f);
		assert_true(ao_loop_run_until(f.loop, &f.extra.ended, 5000));
		assert_int_equal(f.extra.error, 0);
		assert_int_equal(f.extra.pieces, 1);
		teardown(&f);
	}
}

static void sent_and_cancelled_inside(void *arg, const ao_http_response *response)
{
	(void)arg, (void)response;
	fail();
}

static int send_and_cancel(void *arg, const char *bytes, size_t len)
{
	(void)bytes, (void)len;
	fixture *f = arg;
	ao_http_call *call = ao_http_send(
	    f->http, &(ao_http_request){.method = "GET", .url = f->url, .timeout_ms = 30, .on_done = sent_and_cancelled_inside});
	ao_http_cancel(call);
	return 0;
}

static void a_call_may_live_and_die_inside_on_data(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	ao_auto_str char *url = ao_xasprintf("%s/stream", f.url);
	ao_http_send(f.http, &(ao_http_request){.method = "GET", .url = url, .on_data = send_and_cancel, .arg = &f});
	turn_until(&f, &f.peer.requests, 1);
	turn(&f, 60);
	assert_int_equal(f.peer.requests, 1);
	teardown(&f);
}

static void resetting_from_callbacks(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	for (size_t i = 0; i < 3; i++) {
		start(&f, &f.ones[i], "/stream");
		turn_until(&f, &f.ones[i].pieces, 1);
	}
	f.ones[3].on_done = RESET;
	start(&f, &f.ones[3], "/short");
	for (size_t i = 0; i < 3; i++) {
		turn_until(&f, &f.ones[i].ends, 1);
		assert_int_equal(f.ones[i].error, -EIO);
	}
	start(&f, &f.extra, "/short");
	assert_true(ao_loop_run_until(f.loop, &f.extra.ended, 5000));
	assert_int_equal(f.extra.error, 0);
	teardown(&f);
}

static void freeing_with_everything_open(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	start_all(&f); /* nothing has happened yet */
	ao_http_free(f.http);
	assert_int_equal(ao_http_new(f.loop, &(ao_http_options){0}, &f.http, NULL), 0);
	start_all(&f);
	until_streaming(&f); /* streams are open; teardown frees */
	teardown(&f);
	ao_http_free(NULL);
}

int main(void)
{
	for (const char *const *name = (const char *const[]){"http_proxy", "all_proxy", "ALL_PROXY", NULL}; *name; name++)
		unsetenv(*name);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cancelled_calls_are_quiet), cmocka_unit_test(cancelling_oneself),
	    cmocka_unit_test(cancelling_others),         cmocka_unit_test(freeing_the_client),
	    cmocka_unit_test(sending_from_callbacks),    cmocka_unit_test(a_call_may_live_and_die_inside_on_data),
	    cmocka_unit_test(resetting_from_callbacks),  cmocka_unit_test(freeing_with_everything_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
