/* For whom a canary is, and cases that gate a bundle. */
#include "base/mem.h"
#include "policy/cases.h"
#include "policy/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static ao_object labelled(const char *key, const char *text) { return (ao_object){.key = (char *)key, .kept = text, .len = strlen(text)}; }

static void a_selector_names_parents(void **state)
{
	(void)state;
	ao_object parent = labelled("n/a", "{\"metadata\":{\"labels\":{\"team\":\"ml\",\"beta\":\"\"}}}");
	static const struct {
		const char *selector;
		int holds; /* -1: refused */
	} ROWS[] = {
	    {"team=ml", 1},       {"team==ml", 1},         {"team=web", 0}, {"team!=web", 1}, {"team!=ml", 0}, {"beta", 1},
	    {"!beta", 0},         {"team=ml,!gone", 1},    {"gone!=x", 1},  {"", -1},         {"=x", -1},      {"team in (a)", -1},
	    {"team=ml beta", -1}, {" team=ml , beta", -1}, {" ", -1},       {", ,", -1},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *selection = NULL;
		int r = ao_selection_make(ROWS[i].selector, NULL, &selection, NULL);
		if (r != (ROWS[i].holds < 0 ? -EINVAL : 0))
			fail_msg("%s", ROWS[i].selector);
		if (r == 0 && ao_selection_concerns(selection, &parent) != (ROWS[i].holds == 1))
			fail_msg("%s", ROWS[i].selector);
	}
}

static void a_percentage_is_a_share_of_them(void **state)
{
	(void)state;
	int count = 0;
	ao_auto_str char *selection = NULL, *none = NULL;
	assert_int_equal(ao_selection_make(NULL, "25", &selection, NULL), 0);
	assert_string_equal(selection, "25%");
	for (int i = 0; i < 4000; i++) {
		ao_auto_str char *key = ao_xasprintf("asya/actor-%d", i);
		ao_object parent = labelled(key, "{}");
		count += ao_selection_concerns(selection, &parent);
		assert_int_equal(ao_selection_concerns(selection, &parent), ao_selection_concerns(selection, &parent));
	}
	assert_in_range(count, 850, 1150);
	assert_int_equal(ao_selection_make(NULL, "0", &none, NULL), -EINVAL);
	assert_int_equal(ao_selection_make(NULL, "101", &none, NULL), -EINVAL);
	assert_int_equal(ao_selection_make(NULL, "ten", &none, NULL), -EINVAL);
}

static void cases_count_and_name_the_first_failure(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	ao_auto_err ao_err *err = NULL;
	ao_cases_count count = {0};
	const char *text =
	    "title: good\nexpect: {Deployment: {spec: {replicas: 1}}}\n---\ntitle: bad\nexpect: {Deployment: {spec: {replicas: 2}}}\n"
	    "---\ntitle: refused\nactor: {spec: {transport: nowhere}}\ninvalid: not found\n---\njust text\n";
	ao_load_options options = {0};
	assert_int_equal(ao_load_sources(&options, &sources, NULL), 0);
	ao_sources_put(&sources, "x.case.yaml", text, strlen(text), "test");
	assert_int_equal(ao_load(&options, &sources, &loaded, NULL), 0);
	assert_int_equal(ao_cases_run(&loaded, &sources, &sources, NULL, &count, &err), -EINVAL);
	assert_int_equal(count.passed, 2);
	assert_int_equal(count.failed, 2);
	assert_string_equal(ao_err_text(err), "x.case.yaml: case 'bad': Deployment.spec.replicas: wanted 2, got 1");
}

static void cases_are_run_one_by_one(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0}, files = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	ao_auto_err ao_err *err = NULL;
	ao_load_options options = {0};
	const char *good = "title: good\nexpect: {Deployment: {spec: {replicas: 1}}}\n---\n",
		   *bad = "title: bad\nexpect: {Deployment: ABSENT}\n";
	ao_auto_str char *first = ao_xasprintf("%s%s", good, good), *second = ao_xasprintf("%s%s", bad, "---\ntitle: [\n");
	ao_sources_put(&files, "1.case.yaml", first, strlen(first), "test");
	ao_sources_put(&files, "2.case.yaml", bad, strlen(bad), "test");
	ao_sources_put(&files, "3.case.yaml", second, strlen(second), "test");
	ao_sources_put(&files, "4.yaml", bad, strlen(bad), "test");
	assert_int_equal(ao_load_sources(&options, &sources, NULL), 0);
	assert_int_equal(ao_load(&options, &sources, &loaded, NULL), 0);
	ao_cases *cases = ao_cases_new(&loaded, &sources, &files);
	assert_int_equal(sources.count, 0);
	assert_int_equal(ao_cases_next(cases, &err), 1);
	assert_int_equal(ao_cases_next(cases, &err), 1);
	assert_int_equal(ao_cases_next(cases, &err), -EINVAL);
	assert_string_equal(ao_err_text(err), "2.case.yaml: case 'bad': Deployment is there");
	assert_int_equal(ao_cases_next(cases, &err), -EINVAL);
	assert_int_equal(strncmp(ao_err_text(err), "3.case.yaml:", 12), 0);
	assert_int_equal(ao_cases_next(cases, &err), 0);
	assert_int_equal(ao_cases_next(cases, &err), 0);
	ao_cases_free(cases);
}

/** A policy that is slow inside single instructions, in one case. */
static void a_case_that_the_clock_stops_is_the_next_one_again(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0}, files = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	ao_cases_count count = {0};
	ao_load_options options = {0};
	const char *slow = "local a, b = ('x'):rep(200000), ('x'):rep(199999) .. 'y'\n"
			   "return require 'policy'.define { name = 'slow', render = function(actor) if actor.spec.slow then while a <= b "
			   "do end end end }\n";
	const char *text = "title: slow\nactor: {spec: {slow: true}}\n---\ntitle: good\nexpect: {Deployment: {spec: {replicas: 1}}}\n";
	ao_sources_put(&files, "x.case.yaml", text, strlen(text), "test");
	assert_int_equal(ao_load_sources(&options, &sources, NULL), 0);
	ao_sources_put(&sources, "slow.lua", slow, strlen(slow), "test");
	assert_int_equal(ao_load(&options, &sources, &loaded, NULL), 0);
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_cases_run(&loaded, &sources, &files, NULL, &count, &err), -EINTR);
	assert_string_equal(ao_err_text(err),
			    "x.case.yaml: case 'slow': policy 'slow', render: stopped by the clock after 500 ms (slow.lua:2)");
	assert_int_equal(count.passed, 1);
	assert_int_equal(count.failed, 1);
	ao_cases *cases = ao_cases_new(&loaded, &sources, &files);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ao_cases_next(cases, &err), -EINTR);
	ao_cases_free(cases);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_selector_names_parents),
	    cmocka_unit_test(a_percentage_is_a_share_of_them),
	    cmocka_unit_test(cases_count_and_name_the_first_failure),
	    cmocka_unit_test(cases_are_run_one_by_one),
	    cmocka_unit_test(a_case_that_the_clock_stops_is_the_next_one_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
