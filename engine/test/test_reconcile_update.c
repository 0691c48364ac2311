/* test_reconcile_update.c -- in which order children are updated one by one. */
#include "reconcile/update.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void words_name_the_ways(void **state)
{
	(void)state;
	assert_int_equal(ao_update_of(NULL), AO_UPDATE_IN_PLACE);
	assert_int_equal(ao_update_of("InPlace"), AO_UPDATE_IN_PLACE);
	assert_int_equal(ao_update_of("Recreate"), AO_UPDATE_RECREATE);
	assert_int_equal(ao_update_of("OnDelete"), AO_UPDATE_ON_DELETE);
	assert_int_equal(ao_update_of("RollingInPlace"), AO_UPDATE_ROLLING_IN_PLACE);
	assert_int_equal(ao_update_of("RollingRecreate"), AO_UPDATE_ROLLING_RECREATE);
	assert_true(ao_update_recreates(AO_UPDATE_ROLLING_RECREATE) && ao_update_rolls(AO_UPDATE_ROLLING_RECREATE));
	assert_false(ao_update_recreates(AO_UPDATE_ON_DELETE) || ao_update_rolls(AO_UPDATE_ON_DELETE));
}

#define OLD                                                                                                                                \
	{                                                                                                                                  \
		true, false, true                                                                                                          \
	}
#define OLD_SICK                                                                                                                           \
	{                                                                                                                                  \
		true, false, false                                                                                                         \
	}
#define NEW                                                                                                                                \
	{                                                                                                                                  \
		true, true, true                                                                                                           \
	}
#define NEW_SICK                                                                                                                           \
	{                                                                                                                                  \
		true, true, false                                                                                                          \
	}
#define MISSING                                                                                                                            \
	{                                                                                                                                  \
		false, false, false                                                                                                        \
	}

static void a_child_waits_for_those_that_are_not_ready(void **state)
{
	(void)state;
	static const struct {
		ao_standing children[3];
		size_t index;
		long waits_for;
	} cases[] = {
	    {{OLD, OLD, OLD}, 0, -1},          {{NEW, OLD, OLD}, 1, -1},
	    {{NEW_SICK, OLD, OLD}, 1, 0}, /* it was changed last */
	    {{OLD, OLD, MISSING}, 0, 2},  /* one that is yet to come */
	    {{OLD, OLD_SICK, OLD}, 0, 1}, /* the one that suffers already goes first ... */
	    {{OLD, OLD_SICK, OLD}, 1, -1},     {{OLD_SICK, OLD_SICK, OLD}, 0, -1},
	    {{NEW_SICK, OLD_SICK, OLD}, 1, 0}, /* ... but also one by one */
	    {{MISSING, OLD_SICK, OLD}, 1, 0},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++)
		assert_int_equal(ao_update_waits_for(cases[i].children, 3, cases[i].index), cases[i].waits_for);
}

/** However readiness comes and goes: what was ready is changed only when all others are, so no two are taken at once. */
static void never_two_that_were_ready_at_once(void **state)
{
	(void)state;
	uint64_t seed = 1;
	for (int round = 0; round < 20000; round++) {
		ao_standing children[5];
		size_t taken = 0;
		for (size_t i = 0; i < AO_LEN(children); i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			children[i] = (ao_standing){seed >> 60 & 3, seed >> 58 & 1, seed >> 57 & 1};
		}
		for (size_t i = 0; i < AO_LEN(children); i++) {
			ao_standing *child = &children[i];
			if (!child->there || child->wanted || ao_update_waits_for(children, AO_LEN(children), i) >= 0)
				continue;
			for (size_t k = 0; child->ready && k < AO_LEN(children); k++)
				assert_true(k == i || (children[k].there && children[k].ready));
			taken++;
			*child = (ao_standing){true, true, false}; /* as it is in the rest of the pass */
		}
		assert_true(taken <= 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_name_the_ways),
	    cmocka_unit_test(a_child_waits_for_those_that_are_not_ready),
	    cmocka_unit_test(never_two_that_were_ready_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
