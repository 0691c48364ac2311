/* What is wanted while namespaces cannot be seen: what they said last, also where that is still on its way to parents. */
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const ao_load_options BUILTIN; /* nobody has seen namespaces */

/** The built-in bundle where one namespace says something. @param profile  NULL: it does not */
static ao_variant *bundle(const char *profile)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_json cJSON *settings = NULL, *seen = NULL;
	ao_variant *variant = NULL;
	assert_int_equal(ao_load_sources(&BUILTIN, &sources, NULL), 0);
	assert_int_equal(ao_load_settings(&BUILTIN, &sources, &settings, &seen, NULL), 0);
	if (profile) {
		ao_json_set_str(ao_json_object(settings, "namespaceProfiles"), "team", profile);
		ao_json_set_str(ao_json_object(seen, "namespaceProfiles"), "team", profile);
	}
	assert_int_equal(ao_variant_load(&BUILTIN, &sources, settings, seen, &variant, NULL), 0);
	return variant;
}

static void on_recalled(void *arg) { *(bool *)arg = true; }

/** The lease is won: the bundle that the record calls live has been fetched. The other one is still to be fetched, which is done at once here. */
static void recall(ao_policies *p, ao_variant *live)
{
	static bool recalled;
	recalled = false;
	p->on_recalled = on_recalled;
	p->on_recalled_arg = &recalled;
	p->recalling = ao_xstrdup(ao_variant_digest(live));
	ao_recall_loaded(p, ao_variant_ref(live), AO_VERDICT_GOOD, NULL);
	assert_true(recalled);
}

static void what_namespaces_said_last_is_wanted(ao_rollout_stage stage, bool leads, bool goes_on)
{
	ao_variant *before = bundle(NULL), *after = bundle("0.4");
	ao_policies p = {.with = {.load = &BUILTIN}, .fallback = before, .basis = before, .recorded = true, .variants = ao_map_new()};
	ao_rollout_line *main = &p.record.tracks[AO_ROLLOUT_MAIN];
	ao_rollout_choice_set(&main->live, ao_variant_digest(before), NULL);
	ao_rollout_choice_set(&main->to, ao_variant_digest(after), NULL);
	main->stage = stage;
	ao_map_put(p.variants, ao_variant_digest(before), before);
	ao_map_put(p.variants, ao_variant_digest(after), after);
	if (!leads)
		recall(&p, before);
	else
		p.machine = ao_machine_new(&(ao_machine_options){.fallback = ao_variant_digest(before)}, &p.record);
	assert_true(ao_edits_look(&p));
	assert_string_equal(p.edits[AO_ROLLOUT_MAIN].digest, ao_variant_digest(goes_on ? after : before));
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++)
		ao_edit_clear(&p.edits[i]);
	ao_machine_free(p.machine);
	cJSON_Delete(p.kinds);
	ao_variant_unref(p.heading);
	ao_rollout_record_clear(&p.record);
	ao_map_free(p.variants);
	ao_variant_unref(before);
	ao_variant_unref(after);
}

static void what_is_on_its_way_goes_on(void **state)
{
	(void)state;
	what_namespaces_said_last_is_wanted(AO_ROLLOUT_FORWARD, true, true);
	what_namespaces_said_last_is_wanted(AO_ROLLOUT_FORWARD, false, true);
}

static void what_goes_back_goes_on_back(void **state)
{
	(void)state;
	what_namespaces_said_last_is_wanted(AO_ROLLOUT_BACK, true, false);
	what_namespaces_said_last_is_wanted(AO_ROLLOUT_BACK, false, false);
}

/** A number in quotes is no share: of a thousand, fifty would restart at once where five were meant. */
static void only_what_is_written_as_a_share_is_one(void **state)
{
	(void)state;
	static const struct {
		const char *written;
		unsigned number, percent;
	} ROWS[] = {{"3", 3, 0},        {"\"3\"", 3, 0},   {"\"10%\"", 5, 10}, {"\"200%\"", 5, 100},
		    {"\"-10%\"", 5, 0}, {"\"-10\"", 5, 0}, {"\"many\"", 5, 0}, {"\"3 of them\"", 5, 0}};
	ao_variant *variant = bundle(NULL);
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *setting = ao_xasprintf("{\"maxRestarting\": %s}", ROWS[i].written);
		ao_policies p = {.with = {.load = &BUILTIN}, .fallback = variant, .basis = variant};
		assert_int_equal(setenv("ASYA_POLICY_ROLLOUT", setting, 1), 0);
		assert_true(ao_edits_look(&p));
		for (size_t k = 0; k < AO_ROLLOUT_TRACKS; k++)
			ao_edit_clear(&p.edits[k]);
		if (p.settings.max_restarting != ROWS[i].number || p.settings.max_percent != ROWS[i].percent)
			fail_msg("%s: %u, or %u%%", ROWS[i].written, p.settings.max_restarting, p.settings.max_percent);
	}
	unsetenv("ASYA_POLICY_ROLLOUT");
	ao_variant_unref(variant);
}

/** kubectl puts a file that is not UTF-8 into binaryData: without it the edit would be one that takes the policy away from everybody. */
static void a_file_that_is_no_text_is_not_taken_to_be_absent(void **state)
{
	(void)state;
	static const char LIST[] = "{\"items\":[{\"metadata\":{\"namespace\":\"ops\",\"name\":\"team\"},\"data\":{\"a.lua\":\"return 1\"},"
				   "\"binaryData\":{\"b.lua\":\"LS0g6Qo=\"}}]}"; /* a comment in Latin-1 */
	ao_auto_json cJSON *list = NULL, *seen = cJSON_CreateObject();
	ao_auto_sources ao_sources sources = {0};
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_json_parse(LIST, strlen(LIST), &list, NULL), 0);
	assert_int_equal(ao_load_config_maps(&sources, list, NULL), 1);
	if (ao_archive_check(&sources, seen, &err) == 0)
		fail_msg("the bundle has %zu of 2 files, and goes live", sources.count);
	assert_non_null(strstr(ao_err_text(err), "the file b.lua (configmap ops/team) has a name, or bytes that are not UTF-8"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_on_its_way_goes_on),
	    cmocka_unit_test(what_goes_back_goes_on_back),
	    cmocka_unit_test(only_what_is_written_as_a_share_is_one),
	    cmocka_unit_test(a_file_that_is_no_text_is_not_taken_to_be_absent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
