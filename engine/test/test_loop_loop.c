/* Timers, signals, and a loop that notices what was left open. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/file_watch.h"
#include "loop/loop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct counter {
	ao_loop *loop;
	ao_timer *timer;
	const bool *until;
	int count, want, signo;
	bool done;
} counter;

static void count_up(void *arg)
{
	counter *c = arg;
	c->done = ++c->count >= c->want;
}

static void timer_fires_once_and_not_early(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	counter c = {.want = 1};
	ao_timer *timer = ao_timer_new(loop, count_up, &c);
	assert_false(ao_timer_active(timer));
	usleep(20000); /* the loop's own time is stale now */
	uint64_t start = ao_mono_ms();
	ao_timer_start(timer, 30);
	assert_true(ao_timer_active(timer));
	assert_true(ao_loop_run_until(loop, &c.done, 5000));
	assert_true(ao_mono_ms() - start >= 29);
	assert_false(ao_timer_active(timer));
	bool never = false;
	assert_false(ao_loop_run_until(loop, &never, 60));
	assert_int_equal(c.count, 1);
	ao_timer_free(timer);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void stopped_and_freed_timers_are_quiet(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	counter c = {.want = 1};
	ao_timer *stopped = ao_timer_new(loop, count_up, &c), *freed = ao_timer_new(loop, count_up, &c);
	ao_timer_start(stopped, 1);
	ao_timer_start(freed, 1);
	ao_timer_stop(stopped);
	ao_timer_free(freed);
	ao_timer_free(NULL);
	assert_false(ao_loop_run_until(loop, &c.done, 30));
	assert_int_equal(c.count, 0);
	ao_timer_free(stopped);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void again(void *arg)
{
	counter *c = arg;
	c->count++;
	ao_timer_start(c->timer, 0);
	if (*c->until)
		ao_timer_free(c->timer);
}

static void timer_for_now_leaves_the_loop_its_turns(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	counter other = {.want = 1}, after = {.want = 1}, c = {.loop = loop, .until = &other.done};
	c.timer = ao_timer_new(loop, again, &c);
	ao_timer *slow = ao_timer_new(loop, count_up, &other), *last = ao_timer_new(loop, count_up, &after);
	ao_timer_start(c.timer, 0);
	ao_timer_start(slow, 5);
	ao_timer_start(last, 30);
	assert_true(ao_loop_run_until(loop, &after.done, 20000));
	assert_true(c.count > 1);
	assert_int_equal(other.count, 1);
	ao_timer_free(slow);
	ao_timer_free(last);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void stop_it(void *arg) { ao_loop_stop(arg); }

static void runs_until_stopped(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	ao_timer *timer = ao_timer_new(loop, stop_it, loop);
	ao_timer_start(timer, 20);
	ao_loop_run(loop);
	ao_loop_stop(loop); /* before the run: it still counts */
	ao_loop_run(loop);
	ao_timer_free(timer);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void a_timer_that_is_due_at_once_ends_the_wait(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	counter c = {.want = 1};
	ao_timer *timer = ao_timer_new(loop, count_up, &c);
	ao_timer_start(timer, 1);
	usleep(10000); /* the next turn runs it before it waits for sockets */
	uint64_t start = ao_mono_ms();
	assert_true(ao_loop_run_until(loop, &c.done, 20000));
	assert_true(ao_mono_ms() - start < 10000);
	ao_timer_free(timer);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void sleep_a_while(uv_work_t *work)
{
	(void)work;
	usleep(100000);
}

/** The first look at a file is the thread pool's, some time after the watch began: what changes until then is not missed, either. */
static void change_before_the_first_look_is_told(void **state)
{
	(void)state;
	char path[] = "/tmp/ao-watch-XXXXXX";
	ao_loop *loop = ao_loop_new();
	counter c = {.want = 1};
	uv_work_t busy[4]; /* all of the pool */
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	for (size_t i = 0; i < AO_LEN(busy); i++)
		assert_int_equal(uv_queue_work(ao_loop_raw(loop), &busy[i], sleep_a_while, NULL), 0);
	ao_file_watch *watch = ao_file_watch_new(loop, path, 20, count_up, &c);
	assert_int_equal(write(fd, "a", 1), 1);
	assert_true(ao_loop_run_until(loop, &c.done, 20000));
	close(fd);
	unlink(path);
	c.done = false;
	c.want = c.count + 1;
	assert_true(ao_loop_run_until(loop, &c.done, 20000)); /* it is gone */
	ao_file_watch_free(watch);
	ao_file_watch_free(NULL);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void on_signal(void *arg, int signo)
{
	counter *c = arg;
	c->signo = signo;
	c->done = true;
}

static void signals_arrive(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	counter c = {0}, hup = {0};
	ao_loop_on_signal(loop, SIGUSR1, on_signal, &c);
	ao_loop_on_signal(loop, SIGHUP, on_signal, &hup);
	raise(SIGUSR1);
	assert_true(ao_loop_run_until(loop, &c.done, 5000));
	assert_int_equal(c.signo, SIGUSR1);
	assert_false(hup.done);
	assert_int_equal(ao_loop_close(loop), 0);
}

static void close_second(uv_handle_t *handle) { uv_close(uv_handle_get_data(handle), NULL); }

static void close_waits_for_chains_and_counts_leaks(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	uv_timer_t first, second, leaked;
	uv_timer_init(ao_loop_raw(loop), &first);
	uv_timer_init(ao_loop_raw(loop), &second);
	uv_handle_set_data((uv_handle_t *)&first, &second);
	uv_close((uv_handle_t *)&first, close_second);
	assert_int_equal(ao_loop_close(loop), 0);

	loop = ao_loop_new();
	uv_timer_init(ao_loop_raw(loop), &leaked);
	assert_int_equal(ao_loop_close(loop), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(timer_fires_once_and_not_early),
	    cmocka_unit_test(stopped_and_freed_timers_are_quiet),
	    cmocka_unit_test(timer_for_now_leaves_the_loop_its_turns),
	    cmocka_unit_test(runs_until_stopped),
	    cmocka_unit_test(a_timer_that_is_due_at_once_ends_the_wait),
	    cmocka_unit_test(change_before_the_first_look_is_told),
	    cmocka_unit_test(signals_arrive),
	    cmocka_unit_test(close_waits_for_chains_and_counts_leaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
