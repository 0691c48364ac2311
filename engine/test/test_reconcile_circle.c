/* test_reconcile_circle.c -- what turns in a circle is told once, and what only changes often for a while is not. */
#include "reconcile/circle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/** Turns `count` times, one pass each. @return how often it was told */
static unsigned turn(ao_circle *circle, unsigned count, int64_t generation, uint64_t step_ms)
{
	unsigned told = 0;
	for (unsigned i = 0; i < count; i++)
		told += ao_circle_turn(circle, circle->pass + 1, 1, generation, circle->last_ms + step_ms);
	return told;
}

static void a_circle_is_told_once(void **state)
{
	(void)state;
	ao_circle circle = {0};
	assert_int_equal(turn(&circle, AO_CIRCLE_TURNS - 1, 1, 1000), 0);
	assert_int_equal(turn(&circle, 1000, 1, 1000), 1);
	assert_int_equal(turn(&circle, 1, 1, 60000), 0);
	assert_int_equal(turn(&circle, AO_CIRCLE_TURNS, 1, 1000), 1); /* another row */
}

static void what_rests_is_none(void **state)
{
	(void)state;
	ao_circle circle = {0};
	assert_int_equal(turn(&circle, 1000, 1, 5000), 0);
}

static void an_edit_of_the_parent_begins_anew(void **state)
{
	(void)state;
	ao_circle circle = {0};
	for (int64_t generation = 1; generation < 100; generation++)
		assert_int_equal(turn(&circle, AO_CIRCLE_TURNS - 1, generation, 1000), 0);
}

static void many_changes_of_one_pass_are_one_turn(void **state)
{
	(void)state;
	ao_circle circle = {0};
	for (unsigned i = 0; i < 1000; i++)
		assert_false(ao_circle_turn(&circle, 7, 1, 1, i));
}

static void children_that_are_changed_one_after_the_other_are_none(void **state)
{
	(void)state;
	ao_circle circle = {0};
	for (unsigned i = 1; i < 1000; i++)
		assert_false(ao_circle_turn(&circle, i, i, 1, i * 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_circle_is_told_once),
	    cmocka_unit_test(what_rests_is_none),
	    cmocka_unit_test(an_edit_of_the_parent_begins_anew),
	    cmocka_unit_test(children_that_are_changed_one_after_the_other_are_none),
	    cmocka_unit_test(many_changes_of_one_pass_are_one_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
