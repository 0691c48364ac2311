/* test_reconcile_finalizer.c -- what is taken off an object that is let go. */
#include "reconcile/finalizer.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &tree, NULL), 0);
	return tree;
}

static void a_finalizer_goes_by_its_place(void **state)
{
	(void)state;
	static const struct {
		const char *object, *patch;
	} cases[] = {
	    {"{}", NULL},
	    {"{\"metadata\":{\"finalizers\":[\"other\",7]}}", NULL},
	    {"{\"metadata\":{\"finalizers\":[\"other\",\"ours\",\"last\"]}}",
	     "[{\"op\":\"test\",\"path\":\"/metadata/finalizers/1\",\"value\":\"ours\"},{\"op\":\"remove\",\"path\":\"/metadata/finalizers/"
	     "1\"}]"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *object = parse(cases[i].object), *patch = ao_finalizer_removal(object, "ours");
		ao_auto_str char *text = patch ? ao_json_canonical(patch) : NULL;
		assert_int_equal(ao_finalizer_held(object, "ours"), cases[i].patch != NULL);
		if (cases[i].patch)
			assert_string_equal(text, cases[i].patch);
		else
			assert_null(patch);
	}
}

static void policies_are_done_when_they_say_so_or_have_had_their_time(void **state)
{
	(void)state;
	static const struct {
		const char *answer;
		int64_t now_ms;
		ao_finalize verdict;
	} cases[] = {
	    {"{\"done\":true}", 1000, AO_FINALIZE_DONE},
	    {"{\"done\":true}", 900000, AO_FINALIZE_DONE},
	    {"{\"done\":false}", 60999, AO_FINALIZE_WAITS},
	    {"{\"done\":false}", 61000, AO_FINALIZE_LATE},
	    {NULL, 60999, AO_FINALIZE_WAITS},
	    {NULL, 61000, AO_FINALIZE_LATE}, /* policies failed */
	    {"{}", 500, AO_FINALIZE_WAITS},  /* a clock that is behind the server's */
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *answer = cases[i].answer ? parse(cases[i].answer) : NULL;
		assert_int_equal(ao_finalize_judge(answer, 1000, 60, cases[i].now_ms), cases[i].verdict);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_finalizer_goes_by_its_place),
	    cmocka_unit_test(policies_are_done_when_they_say_so_or_have_had_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
