/* How long to wait after failures, and that not everybody waits alike. */
#include "base/mem.h"
#include "loop/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void the_wait_doubles_up_to_its_ceiling(void **state)
{
	(void)state;
	static const struct {
		uint64_t first, max;
		unsigned failures;
		uint64_t wait;
	} rows[] = {
	    {200, 5000, 0, 200},           {200, 5000, 1, 400},   {200, 5000, 4, 3200},  {200, 5000, 5, 5000},
	    {200, 5000, UINT32_MAX, 5000}, {7000, 5000, 0, 5000}, {5000, 5000, 3, 5000}, {3, UINT64_MAX, 63, UINT64_MAX},
	    {3, UINT64_MAX, 1, 6},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++)
		assert_true(ao_backoff_ms(rows[i].first, rows[i].max, rows[i].failures) == rows[i].wait);
}

static void jitter_reaches_all_of_its_range(void **state)
{
	(void)state;
	unsigned seen[4] = {0};
	for (int i = 0; i < 1000; i++) {
		uint64_t ms = ao_jitter_ms(3);
		assert_in_range(ms, 0, 3);
		seen[ms]++;
	}
	for (size_t i = 0; i < AO_LEN(seen); i++)
		assert_in_range(seen[i], 100, 500);
	assert_int_equal(ao_jitter_ms(0), 0);
	assert_true(ao_jitter_ms(UINT64_MAX) != ao_jitter_ms(UINT64_MAX));
}

/** Replicas that a broker threw out together must not come back together. */
static void two_processes_draw_different_times(void **state)
{
	(void)state;
	uint64_t theirs = 0;
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	pid_t child = fork();
	if (!child) {
		theirs = ao_jitter_ms(UINT64_MAX);
		_exit(write(pipe_fds[1], &theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
	}
	uint64_t ours = ao_jitter_ms(UINT64_MAX);
	assert_int_equal(read(pipe_fds[0], &theirs, sizeof(theirs)), sizeof(theirs));
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_true(ours != theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_wait_doubles_up_to_its_ceiling),
	    cmocka_unit_test(jitter_reaches_all_of_its_range),
	    cmocka_unit_test(two_processes_draw_different_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
