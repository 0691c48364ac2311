/* test_serve_probes.c -- what a probe answers to which question, and when the process is worth a restart. */
#include "base/mem.h"
#include "serve/probes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void asked(const ao_checks *checks, const char *rest, const char *query, int status, const char *body)
{
	ao_server_reply reply = {.status = 200, .body = ao_buf_init(64 * 1024)};
	ao_checks_reply(checks, "readyz", rest, query, &reply);
	assert_string_equal(reply.body.data, body);
	assert_int_equal(reply.status, status);
	ao_buf_free(&reply.body);
}

static void all_is_well(void **state)
{
	(void)state;
	ao_checks checks = {0};
	ao_checks_add(&checks, "ping", NULL, NULL);
	ao_checks_add(&checks, "leader", NULL, ao_xstrdup("no, standing by"));
	asked(&checks, "", "", 200, "ok");
	asked(&checks, "/", "", 200, "ok");
	asked(&checks, "/readyz", "", 200, "ok");
	asked(&checks, "/leader", "", 200, "ok");
	const char *all = "[+]ping ok\n[+]leader ok\nnote: leader: no, standing by\nreadyz check passed\n";
	asked(&checks, "", "verbose", 200, all);
	asked(&checks, "", "a=b&verbose=true", 200, all);
	asked(&checks, "", "notverbose", 200, "ok");
	asked(&checks, "/lead", "", 404, "no check of that name; /readyz?verbose lists them\n");
	ao_checks_clear(&checks);
}

static void one_check_fails(void **state)
{
	(void)state;
	ao_checks checks = {0};
	ao_checks_add(&checks, "ping", NULL, NULL);
	ao_checks_add(&checks, "policies", ao_xstrdup("not loaded yet"), NULL);
	asked(&checks, "", "", 500, "[+]ping ok\n[-]policies failed: not loaded yet\nreadyz check failed\n");
	asked(&checks, "/ping", "", 200, "ok");
	asked(&checks, "/policies", "", 500, "internal server error: not loaded yet\n");
	asked(&checks, "", "exclude=policies", 200, "ok");
	asked(&checks, "", "exclude=policies&verbose", 200, "[+]ping ok\n[+]policies excluded: ok\nreadyz check passed\n");
	asked(&checks, "", "exclude=ping&exclude=policie", 500,
	      "[+]ping excluded: ok\n[-]policies failed: not loaded yet\n"
	      "warn: some health checks cannot be excluded: no matches for \"policie\"\nreadyz check failed\n");
	ao_checks_clear(&checks);
}

static void what_is_worth_a_restart(void **state)
{
	(void)state;
	static const struct {
		uint64_t late, overdue;
		int status;
	} cases[] = {{0, 0, 200}, {AO_LAG_LIMIT_MS, 5000, 200}, {AO_LAG_LIMIT_MS + 1, 0, 500}, {0, 5001, 500}};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_checks checks = {0};
		ao_server_reply reply = {.status = 200, .body = ao_buf_init(64 * 1024)};
		ao_checks_add_health(&checks, cases[i].late, cases[i].overdue);
		ao_checks_reply(&checks, "healthz", "", "", &reply);
		assert_int_equal(reply.status, cases[i].status);
		ao_checks_clear(&checks);
		ao_buf_free(&reply.body);
	}
}

typedef struct beats {
	ao_loop *loop;
	uint64_t late;
	bool done;
} beats;

static void on_beat(void *arg, uint64_t late_ms)
{
	beats *b = arg;
	b->late = late_ms;
	b->done = true;
}

static void a_late_beat_is_told_before_and_after_it_comes(void **state)
{
	(void)state;
	beats b = {.loop = ao_loop_new()};
	ao_heartbeat *heartbeat = ao_heartbeat_new(b.loop, on_beat, &b);
	assert_int_equal(ao_heartbeat_late_ms(heartbeat), 0);
	uv_sleep(1300); /* the loop does not run */
	assert_true(ao_heartbeat_late_ms(heartbeat) >= 300);
	assert_true(ao_loop_run_until(b.loop, &b.done, 5000));
	assert_true(b.late >= 300);
	assert_true(ao_heartbeat_late_ms(heartbeat) >= b.late);
	ao_heartbeat_free(heartbeat);
	assert_int_equal(ao_loop_close(b.loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_is_well),
	    cmocka_unit_test(one_check_fails),
	    cmocka_unit_test(what_is_worth_a_restart),
	    cmocka_unit_test(a_late_beat_is_told_before_and_after_it_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
