/* test_reconcile_patience.c -- what may be told late, and how late. */
#include "reconcile/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND 1000

static uint64_t of(ao_news news) { return ao_patience_ms(&news); }

static void what_presses_waits_for_nothing(void **state)
{
	(void)state;
	assert_int_equal(of((ao_news){.pressing = true, .calm = true, .changed = true, .first = true, .crowd = 1000}), 0);
	assert_int_equal(of((ao_news){.first = true, .crowd = 1000}), 0); /* nothing will follow it */
}

static void an_edit_is_told_within_a_second(void **state)
{
	(void)state;
	assert_in_range(of((ao_news){.changed = true}), 1, SECOND);
	assert_in_range(of((ao_news){.changed = true, .crowd = 1000}), 1, SECOND); /* however many others begin */
	assert_in_range(of((ao_news){.calm = true, .changed = true, .crowd = 1000}), SECOND, 5 * SECOND);
}

/** In a fleet of some hundred, pods begin half a minute after their workloads were made. */
static void what_begins_beside_many_others_is_told_when_it_runs(void **state)
{
	(void)state;
	assert_in_range(of((ao_news){.changed = true, .first = true}), SECOND, 5 * SECOND);
	assert_in_range(of((ao_news){.changed = true, .first = true, .crowd = 3}), SECOND, 5 * SECOND);
	assert_in_range(of((ao_news){.changed = true, .first = true, .crowd = 100}), 30 * SECOND, 60 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_presses_waits_for_nothing),
	    cmocka_unit_test(an_edit_is_told_within_a_second),
	    cmocka_unit_test(what_begins_beside_many_others_is_told_when_it_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
