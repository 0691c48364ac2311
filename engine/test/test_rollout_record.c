/* The record as text: what is written is read back, and what is no record says why. */
#include "base/mem.h"
#include "rollout/record_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void fill(ao_rollout_record *r, ao_map *kept)
{
	ao_rollout_line *main = &r->tracks[AO_ROLLOUT_MAIN], *canary = &r->tracks[AO_ROLLOUT_CANARY];
	ao_rollout_choice_set(&main->live, "a", NULL);
	ao_rollout_choice_set(&main->to, "b", NULL);
	main->stage = AO_ROLLOUT_BACK;
	main->paused = true;
	main->counts = (ao_rollout_counts){.parents = 40, .reached = 12, .moving = 3, .waiting = 25, .failed = 1, .slow = 2};
	ao_rollout_choice_set(&canary->live, "c", "team=ml");
	ao_rollout_record_move(r,
			       &(ao_rollout_mover){.key = (char *)"n/x", .digest = (char *)"b", .mark = AO_ROLLOUT_FAILED, .slot = true});
	ao_rollout_record_move(
	    r, &(ao_rollout_mover){.key = (char *)"n/y", .digest = (char *)"a", .done = true, .was_ready = true, .said_ready = true});
	ao_rollout_record_refuse(r, AO_ROLLOUT_CANARY, &(ao_rollout_choice){(char *)"d", (char *)"10%"}, "n/x", "it \"raises\"\n");
	ao_rollout_record_refuse(r, AO_ROLLOUT_MAIN, &(ao_rollout_choice){(char *)"e", NULL}, NULL, "");
	ao_rollout_record_revise(r, "z");
	ao_rollout_record_revise(r, "a");
	r->pinned = ao_xstrdup("z");
	r->instead_of = ao_xstrdup("a");
	ao_kept *slots = ao_xcalloc(1, sizeof(*slots));
	*slots = (ao_kept){{0, 7}, 2};
	ao_map_put(kept, "a", slots);
}

static void what_is_written_is_read_back(void **state)
{
	(void)state;
	ao_auto_rollout_record ao_rollout_record record = {0}, again = {0};
	ao_map *kept = ao_map_new(), *kept_again = ao_map_new();
	fill(&record, kept);
	ao_auto_str char *text = ao_record_text(&record, kept, NULL, NULL, NULL, NULL, NULL);
	assert_int_equal(ao_record_read(text, &again, kept_again, NULL), 0);
	ao_auto_str char *second = ao_record_text(&again, kept_again, NULL, NULL, NULL, NULL, NULL);
	assert_string_equal(text, second);
	assert_int_equal(again.tracks[AO_ROLLOUT_MAIN].stage, AO_ROLLOUT_BACK);
	assert_true(again.tracks[AO_ROLLOUT_MAIN].paused);
	assert_string_equal(again.tracks[AO_ROLLOUT_CANARY].live.selection, "team=ml");
	assert_int_equal(again.mover_count, 2);
	assert_true(again.movers[0].slot && again.movers[0].mark == AO_ROLLOUT_FAILED && again.movers[1].was_ready &&
		    again.movers[1].said_ready && !again.movers[0].said_ready);
	assert_string_equal(again.refusals[0].why, "it \"raises\"\n");
	assert_int_equal(again.revisions[1].number, 2);
	ao_auto_str char *counts = ao_counts_text(&again.tracks[AO_ROLLOUT_MAIN].counts);
	assert_string_equal(counts, "12 of 40 reached, 3 on their way, 25 waiting, 1 failed");
	ao_map_free_all(kept);
	ao_map_free_all(kept_again);
}

static void declared_kinds_are_read_back_if_they_are_valid(void **state)
{
	(void)state;
	static const char ROWS[] =
	    "[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"plural\":\"pods\"},{\"kind\":\"Pod\"},5,{\"apiVersion\":\"v1\",\"kind\":"
	    "\"Node\",\"plural\":\"\"}]";
	ao_auto_rollout_record ao_rollout_record record = {0};
	ao_auto_json cJSON *kinds = NULL;
	ao_map *kept = ao_map_new();
	assert_int_equal(ao_json_parse(ROWS, strlen(ROWS), &kinds, NULL), 0);
	ao_auto_str char *text = ao_record_text(&record, kept, kinds, NULL, NULL, NULL, NULL);
	ao_auto_json cJSON *again = ao_record_kinds(text), *none = ao_record_kinds("{}"), *wrong = ao_record_kinds("nonsense");
	assert_int_equal(cJSON_GetArraySize(again), 1);
	assert_string_equal(ao_json_str(cJSON_GetArrayItem(again, 0), "plural"), "pods");
	assert_int_equal(cJSON_GetArraySize(none) + cJSON_GetArraySize(wrong), 0);
	ao_map_free_all(kept);
}

/** Whoever begins with it works on these, whatever a manifest says by then. */
static void what_the_parents_are_is_read_back(void **state)
{
	(void)state;
	static const ao_resource OF = {.api_version = (char *)"x.io/v1", .kind = (char *)"Thing"};
	static const char *const WITHOUT[] = {"", "nonsense", "{}", "{\"parent\":{\"kind\":\"Thing\"}}", "{\"parent\":7}"};
	ao_auto_rollout_record ao_rollout_record record = {0};
	ao_map *kept = ao_map_new();
	ao_resource parent;
	ao_auto_str char *text = ao_record_text(&record, kept, NULL, NULL, &OF, "x.io/f", NULL), *finalizer = NULL, *none = NULL;
	ao_record_parent(text, &parent, &finalizer);
	assert_true(ao_resource_is(&parent, "x.io/v1", "Thing"));
	ao_resource_clear(&parent);
	assert_string_equal(finalizer, "x.io/f");
	for (size_t i = 0; i < AO_LEN(WITHOUT); i++) {
		ao_record_parent(WITHOUT[i], &parent, &none);
		assert_null(parent.kind);
		assert_null(none);
	}
	ao_map_free_all(kept);
}

static void an_empty_one_is_written_and_read(void **state)
{
	(void)state;
	ao_auto_rollout_record ao_rollout_record record = {0}, again = {0};
	ao_map *kept = ao_map_new();
	ao_auto_str char *text = ao_record_text(&record, kept, NULL, NULL, NULL, NULL, NULL);
	assert_int_equal(ao_record_read(text, &again, kept, NULL), 0);
	assert_null(again.tracks[AO_ROLLOUT_MAIN].live.digest);
	ao_map_free_all(kept);
}

/** Each step of a walk over a good record takes one thing away or puts nonsense in its place. */
static void what_is_no_record_says_why(void **state)
{
	(void)state;
	static const struct {
		const char *text, *said;
		int code;
	} ROWS[] = {
	    {"", NULL, -EINVAL},
	    {"nonsense", NULL, -EINVAL},
	    {"[]", "its field version is missing or not valid", -EINVAL},
	    {"{\"version\":0}", "its field version is missing or not valid", -EINVAL},
	    {"{\"version\":2}", "it is of version 2, and this operator knows versions up to 1", -ENOTSUP},
	    {"{\"version\":1}", "its field main.stage is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"sideways\"}}", "its field main.stage is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"forward\"}}", "its field main.to is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"rest\"}}", "its field canary.stage is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"rest\",\"live\":[]},\"canary\":{\"stage\":\"rest\"}}",
	     "its field live is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"rest\"},\"canary\":{\"stage\":\"rest\"},\"underWay\":[{}]}",
	     "its field underWay is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"rest\"},\"canary\":{\"stage\":\"rest\"},\"refused\":[1]}",
	     "its field refused is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"rest\"},\"canary\":{\"stage\":\"rest\"},\"revisions\":[{\"number\":-1}]}",
	     "its field revisions is missing or not valid", -EINVAL},
	    {"{\"version\":1,\"main\":{\"stage\":\"rest\"},\"canary\":{\"stage\":\"rest\"},\"kept\":{\"a\":[64]}}",
	     "its field kept is missing or not valid", -EINVAL},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_rollout_record ao_rollout_record record = {0};
		ao_auto_err ao_err *err = NULL;
		ao_map *kept = ao_map_new();
		assert_int_equal(ao_record_read(ROWS[i].text, &record, kept, &err), ROWS[i].code);
		if (ROWS[i].said)
			assert_string_equal(ao_err_text(err), ROWS[i].said);
		ao_map_free_all(kept);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_written_is_read_back),      cmocka_unit_test(declared_kinds_are_read_back_if_they_are_valid),
	    cmocka_unit_test(what_the_parents_are_is_read_back), cmocka_unit_test(an_empty_one_is_written_and_read),
	    cmocka_unit_test(what_is_no_record_says_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
