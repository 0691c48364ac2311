/* test_kube_window.c -- how many writes are in flight at servers of some kinds. */
#include "kube/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/** A server that works on `cores` requests at a time, each for `work_ms`, among them those of `others`. */
typedef struct server {
	unsigned cores, others;
	uint64_t work_ms, now_ms;
} server;

/** The window is used up all the time, for that many answers. @return its size then */
static unsigned run(server *s, ao_window *window, unsigned answers)
{
	for (unsigned i = 0; i < answers; i++) {
		unsigned there = window->size + s->others, turns = (there + s->cores - 1) / s->cores;
		s->now_ms += s->work_ms / s->cores;
		ao_window_answered(window, s->now_ms, turns * s->work_ms, window->size, true);
	}
	return window->size;
}

static void stays_wide_where_nobody_waits(void **state)
{
	(void)state;
	server near = {.cores = 16, .work_ms = 4}, far = {.cores = 16, .work_ms = 90};
	ao_window a = ao_window_init(), b = ao_window_init();
	assert_int_equal(run(&near, &a, 1000), AO_WINDOW_MOST);
	assert_int_equal(run(&far, &b, 1000), AO_WINDOW_MOST);
}

static void leaves_no_more_waiting_than_keeps_the_server_busy(void **state)
{
	(void)state;
	server small = {.cores = 2, .work_ms = 14};
	ao_window window = ao_window_init();
	assert_in_range(run(&small, &window, 1000), 6, 9);
	small.others = 30; /* whatever others ask for: few of ours wait beside theirs */
	assert_in_range(run(&small, &window, 1000), AO_WINDOW_LEAST, 7);
}

static void widens_again_when_the_server_has_time(void **state)
{
	(void)state;
	server busy = {.cores = 2, .work_ms = 14, .others = 30};
	ao_window window = ao_window_init();
	run(&busy, &window, 1000);
	busy.cores = 16;
	busy.others = 0;
	assert_int_equal(run(&busy, &window, 1000), AO_WINDOW_MOST);
}

static void a_longer_way_is_learned(void **state)
{
	(void)state;
	server near = {.cores = 16, .work_ms = 4};
	ao_window window = ao_window_init();
	run(&near, &window, 100);
	near.work_ms = 200; /* the same with nobody waiting: at first it looks like a server that is busy */
	assert_true(run(&near, &window, 200) < AO_WINDOW_MOST);
	near.now_ms += 120000;
	run(&near, &window, 1);
	near.now_ms += 120000;
	assert_int_equal(run(&near, &window, 1000), AO_WINDOW_MOST);
}

/** The shortest answer of before says nothing of the way that there is now. */
static void a_way_that_changed_while_nothing_was_written_is_learned_at_once(void **state)
{
	(void)state;
	server near = {.cores = 16, .work_ms = 4};
	ao_window window = ao_window_init();
	run(&near, &window, 100);
	near.now_ms += 3600000;
	near.work_ms = 200;
	assert_int_equal(run(&near, &window, 200), AO_WINDOW_MOST);
}

/** What our own writes have waited for each other for minutes is not what an idle server takes. */
static void a_long_cold_start_is_not_taken_for_a_slow_server(void **state)
{
	(void)state;
	server small = {.cores = 2, .work_ms = 14};
	ao_window window = ao_window_init();
	while (small.now_ms < 900000)
		assert_in_range(run(&small, &window, 100), AO_WINDOW_LEAST, 10);
}

static void does_not_widen_while_nothing_waits_for_it(void **state)
{
	(void)state;
	server busy = {.cores = 2, .work_ms = 14};
	ao_window window = ao_window_init();
	unsigned size = run(&busy, &window, 1000);
	for (int i = 0; i < 1000; i++)
		ao_window_answered(&window, busy.now_ms, 5, 1, false);
	assert_in_range(window.size, size, size + 1); /* the round that had begun */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stays_wide_where_nobody_waits),
	    cmocka_unit_test(leaves_no_more_waiting_than_keeps_the_server_busy),
	    cmocka_unit_test(widens_again_when_the_server_has_time),
	    cmocka_unit_test(a_longer_way_is_learned),
	    cmocka_unit_test(a_way_that_changed_while_nothing_was_written_is_learned_at_once),
	    cmocka_unit_test(a_long_cold_start_is_not_taken_for_a_slow_server),
	    cmocka_unit_test(does_not_widen_while_nothing_waits_for_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
