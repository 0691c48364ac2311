/* Coverage: which lines ran, in which calls; and that a bundle is held within its limits as ever while they are counted. */
#include "script/coverage.h"
#include "script_case.h"

static ao_bundle *load_covered(const ao_sources *sources, ao_coverage *coverage)
{
	ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_bundle_load_covered(sources, NULL, NULL, coverage, &bundle, &err) != 0)
		fail_msg("%s", ao_err_text(err));
	return bundle;
}

static ao_coverage *cover(const ao_sources *sources)
{
	ao_coverage *coverage = NULL;
	assert_int_equal(ao_coverage_new(sources, &coverage, NULL), 0);
	return coverage;
}

static void assert_report(const ao_coverage *coverage, const char *part)
{
	ao_auto_json cJSON *report = ao_coverage_report(coverage);
	ao_auto_str char *text = ao_json_canonical(report);
	assert_text(text, part);
}

static void test_lines_are_counted_in_every_call(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put_render(&sources, "local name = actor.metadata.name\nif name == 'b' then\nname = 'c'\n\nend\nlog.info(name)");
	ao_sources_put(&sources, "notes.txt", "x", 1, "test");
	ao_auto_coverage ao_coverage *coverage = cover(&sources);
	assert_report(coverage, "{\"file\":\"p.lua\",\"lines\":6,\"never\":[{\"first\":1,\"last\":8}],\"origin\":\"test\",\"run\":0}");
	ao_auto_bundle ao_bundle *bundle = load_covered(&sources, coverage);
	assert_report(coverage, "{\"file\":\"p.lua\",\"lines\":6,\"never\":[{\"first\":2,\"last\":7}],\"origin\":\"test\",\"run\":2}");
	for (int i = 0; i < 2; i++) {
		ao_auto_json cJSON *result = NULL;
		assert_int_equal(plan(bundle, &result, NULL, NULL), 0);
		assert_report(coverage, "\"never\":[{\"first\":4,\"last\":4}],\"origin\":\"test\",\"run\":5}");
	}
	assert_report(coverage, "\"file\":\"manifest.lua\"");
}

static void test_counting_lines_changes_no_limit(void **state)
{
	(void)state;
	static const struct {
		const char *body, *message;
		int code;
	} bombs[] = {
	    {"while true do end", "step budget of 1000000 spent (p.lua:2)", -ETIME},
	    {"while true do\npcall(error)\nend", "step budget of 1000000 spent (p.lua:", -ETIME},
	    {"local t = {}\nwhile true do t[#t + 1] = ('x'):rep(60000) .. #t end", "heap of 16777216 bytes used up (p.lua:3)", -E2BIG},
	};
	for (size_t i = 0; i < AO_LEN(bombs); i++) {
		ao_auto_sources ao_sources sources = {0};
		put_render(&sources, bombs[i].body);
		ao_auto_coverage ao_coverage *coverage = cover(&sources);
		ao_auto_bundle ao_bundle *bundle = load_covered(&sources, coverage);
		ao_auto_json cJSON *result = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(plan(bundle, &result, NULL, &err), bombs[i].code);
		assert_text(ao_err_text(err), bombs[i].message);
	}
}

static uint64_t steps_of(ao_bundle *bundle)
{
	ao_auto_json cJSON *result = NULL;
	ao_call_stats stats;
	assert_int_equal(plan(bundle, &result, &stats, NULL), 0);
	return stats.steps;
}

static void test_counting_lines_takes_no_steps(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put_render(&sources, "for i = 1, 10000 do\nlocal x = i\nend");
	ao_auto_coverage ao_coverage *coverage = cover(&sources);
	ao_auto_bundle ao_bundle *covered = load_covered(&sources, coverage), *usual = load_sources(&sources, NULL);
	assert_true(steps_of(usual) > 20000);
	assert_int_equal(steps_of(covered), steps_of(usual));
}

static void test_a_file_that_does_not_compile_is_named(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "a.lua", "local x = = 1");
	ao_coverage *coverage = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_coverage_new(&sources, &coverage, &err), -EINVAL);
	assert_null(coverage);
	assert_text(ao_err_text(err), "a.lua:1: unexpected symbol near '='");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_lines_are_counted_in_every_call),
	    cmocka_unit_test(test_counting_lines_changes_no_limit),
	    cmocka_unit_test(test_counting_lines_takes_no_steps),
	    cmocka_unit_test(test_a_file_that_does_not_compile_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
