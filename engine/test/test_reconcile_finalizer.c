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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_finalizer_goes_by_its_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
