/* test_net_resolver.c -- a name server that never answers: in a network and a mount tree of this program's own. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#define BEAT_MS 20
#define LATE_MS 1500 /* the resolver gives up after 10 s */

/** A name server on 127.0.0.1 that hears and says nothing. @return its socket, or -1 where this user may not have one */
static int be_alone_with_a_silent_name_server(void)
{
	char file[] = "/tmp/ao-resolv-XXXXXX";
	static const char text[] = "nameserver 127.0.0.1\n";
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (unshare((geteuid() ? CLONE_NEWUSER : 0) | CLONE_NEWNS | CLONE_NEWNET) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	int conf = mkstemp(file), server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	bool ready = conf >= 0 && write(conf, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 &&
		     mount(file, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0 && ioctl(server, SIOCSIFFLAGS, &lo) == 0 &&
		     bind(server, (const struct sockaddr *)&address, sizeof(address)) == 0;
	close(conf);
	unlink(file);
	return ready ? server : -1;
}

typedef struct fixture {
	ao_loop *loop;
	ao_http *http;
	ao_timer *heart;
	uint64_t due_ms, latest_ms; /* when the heart is to beat next, and how late it was at worst */
	bool done;
	int error;
	char text[256];
} fixture;

static int server; /* -1: none could be had */

static void beat(void *arg)
{
	fixture *f = arg;
	uint64_t now = ao_mono_ms(), late = now > f->due_ms ? now - f->due_ms : 0;
	f->latest_ms = late > f->latest_ms ? late : f->latest_ms;
	f->due_ms = now + BEAT_MS;
	ao_timer_start(f->heart, BEAT_MS);
}

static int setup(void **state)
{
	static fixture f;
	f = (fixture){.loop = ao_loop_new(), .due_ms = ao_mono_ms()};
	f.heart = ao_timer_new(f.loop, beat, &f);
	beat(&f);
	*state = &f;
	return ao_http_new(f.loop, &(ao_http_options){0}, &f.http, NULL);
}

static int teardown(void **state)
{
	fixture *f = *state;
	ao_http_free(f->http);
	ao_timer_free(f->heart);
	return ao_loop_close(f->loop);
}

static fixture *need_server(void **state, const char *test)
{
	if (server < 0) {
		fprintf(stderr, "SKIPPED %s: it wants a network namespace of its own; run it as root\n", test);
		skip();
	}
	return *state;
}

static void on_done(void *arg, const ao_http_response *response)
{
	fixture *f = arg;
	f->done = true;
	f->error = response->error;
	snprintf(f->text, sizeof(f->text), "%s", response->error_text);
}

static ao_http_call *ask(fixture *f, uint64_t timeout_ms)
{
	return ao_http_send(
	    f->http, &(ao_http_request){
			 .method = "GET", .url = "https://api.example.test:6443/", .timeout_ms = timeout_ms, .on_done = on_done, .arg = f});
}

static void pass_time(fixture *f, uint64_t ms)
{
	const bool never = false;
	ao_loop_run_until(f->loop, &never, ms);
}

static void expect_steady(const fixture *f)
{
	if (f->latest_ms > LATE_MS)
		fail_msg("the loop stood still for %llu ms", (unsigned long long)f->latest_ms);
}

static void a_time_out_does_not_wait_for_the_resolver(void **state)
{
	fixture *f = need_server(state, __func__);
	ask(f, 300);
	assert_true(ao_loop_run_until(f->loop, &f->done, 30000));
	pass_time(f, 100);
	assert_int_equal(f->error, -ETIME);
	assert_non_null(strstr(f->text, "api.example.test:6443: "));
	char asked[512];
	assert_true(recv(server, asked, sizeof(asked), MSG_DONTWAIT) > 0); /* the name server was there to be asked */
	expect_steady(f);
}

static void nor_does_who_gives_up(void **state)
{
	fixture *f = need_server(state, __func__);
	ao_http_call *call = ask(f, 0);
	pass_time(f, 100);
	ao_http_cancel(call);
	pass_time(f, 100);
	ask(f, 0);
	pass_time(f, 100);
	ao_http_free(AO_TAKE(f->http));
	pass_time(f, 100);
	assert_false(f->done);
	expect_steady(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_time_out_does_not_wait_for_the_resolver, setup, teardown),
	    cmocka_unit_test_setup_teardown(nor_does_who_gives_up, setup, teardown),
	};
	server = be_alone_with_a_silent_name_server();
	ao_log_setup(AO_LOG_WARN, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
