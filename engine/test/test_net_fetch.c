/* The fetcher against a real HTTPS server that releases, redirects, refuses, hesitates and lies. */
#include "base/sha256.h"
#include "net/fetch.h"
#include "test/test_net_releases.h"

#define MAX_SIZE 4096

typedef struct outcome {
	bool done;
	int error;
	long retry_after_s;
	char text[MAX_SIZE + 1], message[2048], sha256[AO_SHA256_HEX];
} outcome;

static void on_fetched(void *arg, const ao_fetched *fetched)
{
	outcome *o = arg;
	o->done = true;
	o->error = fetched->error;
	o->retry_after_s = fetched->retry_after_s;
	if (fetched->error) {
		snprintf(o->message, sizeof(o->message), "%s", fetched->message);
	} else {
		snprintf(o->text, sizeof(o->text), "%s", fetched->text);
		snprintf(o->sha256, sizeof(o->sha256), "%s", fetched->sha256);
		assert_int_equal(strlen(fetched->text), fetched->len);
	}
}

typedef struct fixture {
	ao_loop *loop;
	releases releases;
	char *base; /* "https://127.0.0.1:port" */
} fixture;

static int setup(void **state)
{
	fixture *f = ao_xcalloc(1, sizeof(*f));
	f->loop = ao_loop_new();
	releases_start(&f->releases);
	f->base = ao_xasprintf("https://127.0.0.1:%d", f->releases.server);
	release(&f->releases, "v1", "print('v1')\n");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture *f = *state;
	assert_int_equal(ao_loop_close(f->loop), 0);
	releases_stop(&f->releases);
	free(f->base);
	free(f);
	return 0;
}

/** Fetches `path` of the server and waits. */
static outcome fetch(fixture *f, const char *path, ao_fetch_request request)
{
	outcome o = {0};
	ao_auto_str char *url = *path == '/' ? ao_xasprintf("%s%s", f->base, path) : ao_xstrdup(path);
	request.loop = f->loop;
	request.url = url;
	request.ca_pem = request.ca_pem ? request.ca_pem : f->releases.ca;
	request.max_size = MAX_SIZE;
	request.timeout_ms = request.timeout_ms ? request.timeout_ms : 20000;
	request.fn = on_fetched;
	request.arg = &o;
	ao_fetch_start(&request);
	assert_false(o.done);
	assert_true(ao_loop_run_until(f->loop, &o.done, 30000));
	return o;
}

static const char RELEASE[] = "/acme/runtime/releases/download/v1/asya_runtime.py";

static void a_release_is_fetched_and_the_token_stays_at_home(void **state)
{
	fixture *f = *state;
	free(releases_log(&f->releases));
	outcome o = fetch(f, RELEASE, (ao_fetch_request){.token = "s3cret"});
	assert_int_equal(o.error, 0);
	assert_string_equal(o.text, "print('v1')\n");
	ao_auto_str char *log = releases_log(&f->releases);
	assert_string_equal(log, "server /acme/runtime/releases/download/v1/asya_runtime.py Bearer s3cret\n"
				 "store /store/v1/asya_runtime.py?signature=s -\n");
	o = fetch(f, "/to/%2Fstore%2Fv1%2Fasya_runtime.py", (ao_fetch_request){.token = "s3cret"});
	ao_auto_str char *same_host = releases_log(&f->releases);
	assert_string_equal(o.text, "print('v1')\n");
	assert_non_null(strstr(same_host, "server /store/v1/asya_runtime.py Bearer s3cret\n"));
}

/** The same host under another port is another server. */
static void a_token_is_for_one_port(void **state)
{
	fixture *f = *state;
	free(releases_log(&f->releases));
	ao_auto_str char *path = ao_xasprintf("/to/https:%%2F%%2F127.0.0.1:%d%%2Fstore%%2Fv1%%2Fasya_runtime.py", f->releases.store);
	outcome o = fetch(f, path, (ao_fetch_request){.token = "s3cret"});
	ao_auto_str char *log = releases_log(&f->releases);
	assert_int_equal(o.error, 0);
	assert_non_null(strstr(log, "store /store/v1/asya_runtime.py -\n"));
}

static void the_checksum_decides(void **state)
{
	fixture *f = *state;
	char right[AO_SHA256_HEX], wrong[AO_SHA256_HEX];
	ao_sha256("print('v1')\n", 12, right);
	ao_sha256("print('v2')\n", 12, wrong);
	assert_int_equal(fetch(f, RELEASE, (ao_fetch_request){.sha256 = right}).error, 0);
	outcome o = fetch(f, RELEASE, (ao_fetch_request){.sha256 = wrong});
	assert_int_equal(o.error, -EPROTO);
	assert_string_equal(o.text, "");
	assert_non_null(strstr(o.message, wrong));
	assert_non_null(strstr(o.message, right));
}

static void what_cannot_be_had_is_told_apart(void **state)
{
	fixture *f = *state;
	ao_auto_str char *plain = ao_xasprintf("/to/http:%%2F%%2F127.0.0.1:%d%%2Fx%%3Fsecret", f->releases.store);
	release(&f->releases, "binary", "\xff\xfe");
	release(&f->releases, "empty", "");
	const struct {
		const char *path;
		int error;
		const char *why;
	} cases[] = {
	    {"/acme/runtime/releases/download/v9/asya_runtime.py", -ENOENT, "HTTP 404: Not Found"},
	    {"/status/401", -EPERM, "HTTP 401: <html>no</html>"},
	    {"/status/403", -EPERM, "HTTP 403"},
	    {"/status/500", -EIO, "HTTP 500"},
	    {"/status/204", -EIO, "HTTP 204"},
	    {"/status/301", -EPROTO, "redirected to nowhere"},
	    {plain, -EPROTO, "/x, and only https is"},
	    {"/to/ftp:%2F%2Flocalhost%2Fx", -EPROTO, "redirected to ftp://localhost/x, and only https"},
	    {"/to/https:%2F%2Fme:pw%40localhost%2Fx", -EPROTO, "redirected to an address that may hold a password"},
	    {"/loop", -EPROTO, "redirected more than 5 times"},
	    {"/huge", -E2BIG, "larger than 4096 bytes"},
	    {"/gzip", -E2BIG, "larger than 4096 bytes"},
	    {"/store/binary/asya_runtime.py", -EPROTO, "not UTF-8 text"},
	    {"/store/empty/asya_runtime.py", -EPROTO, "empty"},
	    {"http://127.0.0.1/x", -EINVAL, "https://"},
	    {"https://me:pw@127.0.0.1/x", -EINVAL, "hold no password"},
	    {"nonsense", -EINVAL, "https://"},
	    {"https://127.0.0.1:1/x", -EIO, "127.0.0.1:1: Failed to connect to 127.0.0.1 port 1: "},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		outcome o = fetch(f, cases[i].path, (ao_fetch_request){.token = "s3cret"});
		if (o.error != cases[i].error || !strstr(o.message, cases[i].why))
			fail_msg("%s: %d, %s", cases[i].path, o.error, o.message);
		assert_null(strstr(o.message, "s3cret"));
		assert_null(strstr(o.message, "me:pw@"));
	}
	assert_int_equal(fetch(f, "/status/503", (ao_fetch_request){0}).retry_after_s, 7);
}

static void a_server_that_hesitates_is_given_up(void **state)
{
	outcome o = fetch(*state, "/slow", (ao_fetch_request){.timeout_ms = 300});
	assert_int_equal(o.error, -ETIME);
}

static void a_stranger_is_not_believed(void **state)
{
	fixture *f = *state;
	releases other;
	releases_start(&other);
	free(releases_log(&f->releases));
	outcome o = fetch(f, RELEASE, (ao_fetch_request){.ca_pem = other.ca, .token = "s3cret"});
	releases_stop(&other);
	assert_int_equal(o.error, -EIO);
	assert_non_null(strstr(o.message, "certificate"));
	ao_auto_str char *log = releases_log(&f->releases);
	assert_string_equal(log, "");
}

static void a_proxy_is_gone_through_where_the_environment_says(void **state)
{
	fixture *f = *state;
	ao_auto_str char *proxy = ao_xasprintf("http://127.0.0.1:%d", f->releases.proxy);
	free(releases_log(&f->releases));
	setenv("HTTPS_PROXY", proxy, 1);
	outcome o = fetch(f, RELEASE, (ao_fetch_request){.token = "s3cret"});
	setenv("NO_PROXY", "127.0.0.1", 1);
	outcome half = fetch(f, RELEASE, (ao_fetch_request){0});
	unsetenv("HTTPS_PROXY");
	unsetenv("NO_PROXY");
	assert_int_equal(o.error, 0);
	assert_int_equal(half.error, 0);
	ao_auto_str char *log = releases_log(&f->releases);
	ao_auto_str char *wanted = ao_xasprintf("proxy 127.0.0.1:%d -\n"
						"server /acme/runtime/releases/download/v1/asya_runtime.py Bearer s3cret\n"
						"proxy localhost:%d -\n"
						"store /store/v1/asya_runtime.py?signature=s -\n"
						"server /acme/runtime/releases/download/v1/asya_runtime.py -\n"
						"proxy localhost:%d -\n"
						"store /store/v1/asya_runtime.py?signature=s -\n",
						f->releases.server, f->releases.store, f->releases.store);
	assert_string_equal(log, wanted);
}

static void a_cancelled_fetch_is_silent(void **state)
{
	fixture *f = *state;
	outcome o = {0};
	bool never = false;
	ao_auto_str char *url = ao_xasprintf("%s/slow", f->base);
	ao_fetch_request request = {
	    .loop = f->loop, .url = url, .ca_pem = f->releases.ca, .max_size = 1, .timeout_ms = 1000, .fn = on_fetched, .arg = &o};
	ao_fetch_cancel(ao_fetch_start(&request));
	ao_fetch *fetch = ao_fetch_start(&request);
	ao_loop_run_until(f->loop, &never, 200);
	ao_fetch_cancel(fetch);
	ao_loop_run_until(f->loop, &never, 1200);
	assert_false(o.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_release_is_fetched_and_the_token_stays_at_home),
	    cmocka_unit_test(a_token_is_for_one_port),
	    cmocka_unit_test(the_checksum_decides),
	    cmocka_unit_test(what_cannot_be_had_is_told_apart),
	    cmocka_unit_test(a_server_that_hesitates_is_given_up),
	    cmocka_unit_test(a_stranger_is_not_believed),
	    cmocka_unit_test(a_proxy_is_gone_through_where_the_environment_says),
	    cmocka_unit_test(a_cancelled_fetch_is_silent),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
