/* test_kube_patience.c -- a client whose server asks for time or warns, and one that has no token yet: what reaches the server, and when. */
#include "base/clock.h"
#include "test/test_base_stderr.h"
#include "test/test_kube_peer.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct fixture {
	played played;
	const char *const *says; /* the head of each answer in turn; NULL: 200 from here on */
	char last_request[4096];
} fixture;

typedef struct outcome {
	bool done;
	int error;
	char text[256];
} outcome;

static void answer(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	snprintf(f->last_request, sizeof(f->last_request), "%s", request);
	ao_auto_str char *text = ao_xasprintf("HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}", *f->says ? *f->says : "200 OK");
	f->says += *f->says != NULL;
	peer_send(conn, text);
}

static void setup(fixture *f, const char *const *says)
{
	*f = (fixture){.says = says};
	ao_log_setup(AO_LOG_WARN, false);
	play(&f->played, answer, f);
}

static void on_answer(void *arg, const ao_kube_answer *got)
{
	outcome *o = arg;
	*o = (outcome){.done = true, .error = got->error};
	snprintf(o->text, sizeof(o->text), "%s", got->message);
}

static void get(ao_kube *kube, outcome *o)
{
	*o = (outcome){0};
	ao_kube_send(kube, &(ao_kube_request){.method = "GET", .path = "/version", .fn = on_answer, .arg = o});
}

/** Lets the loop turn for a while. */
static void pass_time(fixture *f, uint64_t ms)
{
	const bool never = false;
	ao_loop_run_until(f->played.loop, &never, ms);
}

static void a_server_that_names_a_time_is_left_alone_by_all(void **state)
{
	(void)state;
	fixture f;
	outcome first, second, third;
	setup(&f, (const char *const[]){"429 Too Many Requests\r\nRetry-After: 2", NULL});
	ao_kube *sibling = ao_kube_sibling(f.played.kube);
	uint64_t begin = ao_mono_ms();
	get(f.played.kube, &first);
	pass_time(&f, 300);
	assert_int_equal(f.played.peer.requests, 1);
	get(f.played.kube, &second);
	get(sibling, &third);
	pass_time(&f, 1200);
	assert_int_equal(f.played.peer.requests, 1); /* not one more, whoever it comes from */
	assert_true(ao_loop_run_until(f.played.loop, &first.done, 5000));
	assert_true(ao_loop_run_until(f.played.loop, &second.done, 5000));
	assert_true(ao_loop_run_until(f.played.loop, &third.done, 5000));
	assert_true(ao_mono_ms() - begin >= 2000);
	assert_int_equal(first.error + second.error + third.error, 0);
	assert_int_equal(f.played.peer.requests, 4);
	ao_kube_free(sibling);
	end_play(&f.played);
}

/** The call that was told has not that much time; those that come later wait before their time begins to run. */
static void more_time_than_a_call_has(void **state)
{
	(void)state;
	fixture f;
	outcome first, later;
	setup(&f, (const char *const[]){"503 Service Unavailable\r\nRetry-After: 60", NULL});
	get(f.played.kube, &first);
	assert_true(ao_loop_run_until(f.played.loop, &first.done, 5000));
	assert_int_equal(first.error, -EIO);
	for (int i = 0; i < 20; i++) /* as a key does that is tried again and again */
		get(f.played.kube, &later);
	pass_time(&f, 1000);
	assert_false(later.done);
	assert_int_equal(f.played.peer.requests, 1);
	end_play(&f.played);
}

static void a_busy_server_that_names_no_time(void **state)
{
	(void)state;
	fixture f;
	outcome busy, other;
	setup(&f, (const char *const[]){"429 Too Many Requests", "429 Too Many Requests", NULL});
	uint64_t begin = ao_mono_ms();
	get(f.played.kube, &busy);
	pass_time(&f, 1500);
	assert_int_equal(f.played.peer.requests, 2);
	get(f.played.kube, &other); /* need not wait */
	assert_true(ao_loop_run_until(f.played.loop, &other.done, 500));
	assert_true(ao_loop_run_until(f.played.loop, &busy.done, 5000));
	assert_int_equal(busy.error, 0);
	assert_true(ao_mono_ms() - begin >= 3000); /* 1 s, then 2 s */
	assert_int_equal(f.played.peer.requests, 4);
	end_play(&f.played);
}

static void nobody_asks_without_a_token(void **state)
{
	(void)state;
	fixture f;
	outcome o;
	char path[] = "/tmp/ao-token-XXXXXX";
	close(mkstemp(path)); /* empty: the kubelet has not written it yet */
	setup(&f, (const char *const[]){NULL});
	f.played.config.token_file = path;
	get(f.played.kube, &o);
	assert_true(ao_loop_run_until(f.played.loop, &o.done, 5000));
	assert_int_equal(f.played.peer.requests, 0);
	assert_int_equal(o.error, -EIO);
	assert_non_null(strstr(o.text, "token"));
	FILE *file = fopen(path, "w");
	fputs("abc", file);
	fclose(file);
	pass_time(&f, 1100); /* a first token is looked for each second */
	get(f.played.kube, &o);
	assert_true(ao_loop_run_until(f.played.loop, &o.done, 5000));
	assert_int_equal(o.error, 0);
	assert_non_null(strstr(f.last_request, "Authorization: Bearer abc\r\n"));
	unlink(path);
	end_play(&f.played);
}

#define OLD "200 OK\r\nWarning: 299 - \"v2beta2 is \\\"old\\\"\""

static size_t count(const char *text, const char *what)
{
	size_t n = 0;
	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

static void a_warning_is_logged_once(void **state)
{
	(void)state;
	fixture f;
	setup(&f, (const char *const[]){OLD, OLD "\r\nWarning: 299 kube \"field a\", 299 kube \"field b\"", OLD,
					"403 Forbidden\r\nWarning: 299 - \"field a\"", "200 OK\r\nWarning: 299 - no quotes", NULL});
	listen_to_stderr();
	for (int i = 0; i < 6; i++) {
		outcome o;
		get(f.played.kube, &o);
		assert_true(ao_loop_run_until(f.played.loop, &o.done, 5000));
	}
	ao_auto_str char *log = heard();
	assert_int_equal(count(log, "the server warns: v2beta2 is \"old\"\n"), 1);
	assert_int_equal(count(log, "the server warns: field a\n"), 1);
	assert_int_equal(count(log, "the server warns: field b\n"), 1);
	assert_int_equal(count(log, "the server warns"), 3);
	end_play(&f.played);
}

int main(void)
{
	unsetenv("http_proxy");
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_server_that_names_a_time_is_left_alone_by_all),
	    cmocka_unit_test(more_time_than_a_call_has),
	    cmocka_unit_test(a_busy_server_that_names_no_time),
	    cmocka_unit_test(nobody_asks_without_a_token),
	    cmocka_unit_test(a_warning_is_logged_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
