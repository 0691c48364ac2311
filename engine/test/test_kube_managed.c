/* managedFields as a real API server wrote them, before and after they are made ours. */
#include "kube/managed.h"

#include "base/mem.h"
#include "kube/apply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Recorded from kube-apiserver 1.37.2: a Deployment POSTed by "manager", annotated, scaled and restarted with kubectl; cut to what differs.
 */
#define SCALE                                                                                                                              \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}},\"manager\":\"kubectl\","   \
	"\"operation\":\"Update\",\"subresource\":\"scale\"}"
#define POSTED                                                                                                                             \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:progressDeadlineSeconds\":{},"              \
	"\"f:replicas\":{},\"f:selector\":{},\"f:template\":{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"f:spec\":{"           \
	"\"f:containers\":{\"k:{\\\"name\\\":\\\"a\\\"}\":{\".\":{},\"f:env\":{\".\":{},\"k:{\\\"name\\\":\\\"A\\\"}\":{\".\":{},\"f:"     \
	"name\":{},"                                                                                                                       \
	"\"f:value\":{}}},\"f:image\":{},\"f:name\":{}}}}}}},\"manager\":\"manager\",\"operation\":\"Update\","                            \
	"\"time\":\"2026-11-23T08:12:06Z\"}"
#define RESTARTED                                                                                                                          \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:template\":{\"f:metadata\":{"               \
	"\"f:annotations\":{\".\":{},\"f:kubectl.kubernetes.io/restartedAt\":{}}}}}},\"manager\":\"kubectl-rollout\","                     \
	"\"operation\":\"Update\",\"time\":\"2026-11-23T08:12:08Z\"}"
#define STATUS                                                                                                                             \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:status\":{\"f:observedGeneration\":{}}},"               \
	"\"manager\":\"kube-controller-manager\",\"operation\":\"Update\",\"subresource\":\"status\",\"time\":\"2026-11-23T08:12:09Z\"}"
#define OUR_STATUS                                                                                                                         \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:status\":{\"f:x\":{}}},\"manager\":\"ours\","           \
	"\"operation\":\"Update\",\"subresource\":\"status\"}"
#define OUR_POST                                                                                                                           \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:selector\":{},\"f:paused\":{}}},"           \
	"\"manager\":\"ours\",\"operation\":\"Update\",\"time\":\"2026-11-23T09:00:00Z\"}"
#define OUR_APPLY                                                                                                                          \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{},\"f:minReadySeconds\":{}}},"  \
	"\"manager\":\"ours\",\"operation\":\"Apply\",\"time\":\"2026-11-23T08:30:00Z\"}"
#define THEIR_APPLY                                                                                                                        \
	"{\"apiVersion\":\"apps/v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}},\"manager\":\"manager\","   \
	"\"operation\":\"Apply\"}"

static const char *const LEGACY[] = {"manager", "ours", NULL};

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return tree;
}

static cJSON *object_with(const char *entries)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"uid\":\"u-1\",\"resourceVersion\":\"367\",\"managedFields\":[%s]}}", entries);
	return parse(text);
}

/** What the server makes of one step of a patch. */
static void carry_out(cJSON *entries, const cJSON *step)
{
	const char *op = ao_json_str(step, "op");
	int at = -1;
	if (strcmp(ao_json_str(step, "path"), "/metadata/uid") == 0) {
		assert_string_equal(op, "test");
		assert_string_equal(ao_json_str(step, "value"), "u-1");
		return;
	}
	assert_int_equal(sscanf(ao_json_str(step, "path"), "/metadata/managedFields/%d", &at), 1);
	if (strcmp(op, "test") == 0)
		assert_true(ao_json_equal(ao_json_at(step, "value"), cJSON_GetArrayItem(entries, at)));
	else if (strcmp(op, "replace") == 0)
		assert_true(cJSON_ReplaceItemInArray(entries, at, cJSON_Duplicate(ao_json_at(step, "value"), 1)));
	else
		cJSON_DeleteItemFromArray(entries, at);
}

/** The entries after the patch; NULL when there is none. */
static cJSON *claimed(const char *entries, bool returned, bool drop_replicas)
{
	ao_auto_json cJSON *live = object_with(entries);
	ao_auto_json cJSON *patch = ao_managed_patch(live, "ours", LEGACY, returned, drop_replicas);
	const cJSON *step;
	cJSON *list = cJSON_DetachItemFromObject(ao_json_at(live, "metadata"), "managedFields");
	cJSON_ArrayForEach (step, patch)
		carry_out(list, step);
	if (!patch) {
		cJSON_Delete(list);
		list = NULL;
	}
	return list;
}

static cJSON *patch_of(const char *entries, bool drop_replicas) { return claimed(entries, false, drop_replicas); }

static void assert_entries(const cJSON *list, const char *expected)
{
	ao_auto_str char *text = ao_xasprintf("[%s]", expected);
	ao_auto_json cJSON *want = parse(text);
	ao_auto_str char *got_text = ao_json_canonical(list), *want_text = ao_json_canonical(want);
	assert_string_equal(got_text, want_text);
}

static void an_update_becomes_our_apply(void **state)
{
	(void)state;
	ao_auto_json cJSON *list = patch_of(SCALE "," POSTED "," RESTARTED "," STATUS, true);
	ao_auto_json cJSON *ours = parse(POSTED);
	ao_json_set_str(ours, "manager", "ours");
	ao_json_set_str(ours, "operation", "Apply");
	cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(ours, "fieldsV1", "f:spec"), "f:replicas");
	ao_auto_str char *text = ao_json_print(ours), *entries = ao_xasprintf(SCALE ",%s," RESTARTED "," STATUS, text);
	assert_entries(list, entries);
}

/** "manager" is what every operator of kubebuilder is called: beside an entry of ours it is somebody else, unless ours was away. */
static void a_stranger_with_the_predecessors_name_keeps_his_fields(void **state)
{
	(void)state;
	assert_null(claimed(OUR_APPLY "," POSTED, false, false));
	ao_auto_json cJSON *list = claimed(OUR_POST "," POSTED, false, false), *both = claimed(OUR_APPLY "," POSTED, true, false);
	ao_auto_json cJSON *theirs = parse(POSTED);
	assert_int_equal(cJSON_GetArraySize(list), 2);
	assert_true(ao_json_equal(theirs, cJSON_GetArrayItem(list, 1)));
	assert_int_equal(cJSON_GetArraySize(both), 1);
	assert_non_null(ao_json_at(both->child, "fieldsV1", "f:spec", "f:progressDeadlineSeconds"));
}

static void entries_of_ours_are_united(void **state)
{
	(void)state;
	ao_auto_json cJSON *list = claimed(OUR_APPLY "," OUR_POST "," POSTED "," OUR_STATUS, true, false);
	assert_int_equal(cJSON_GetArraySize(list), 2);
	const cJSON *ours = list->child, *spec = ao_json_at(ours, "fieldsV1", "f:spec");
	static const char *const members[] = {"f:replicas", "f:minReadySeconds",         "f:selector",
					      "f:paused",   "f:progressDeadlineSeconds", "f:template"};
	for (size_t i = 0; i < AO_LEN(members); i++)
		assert_non_null(ao_json_at(spec, members[i]));
	assert_int_equal(cJSON_GetArraySize(spec), AO_LEN(members));
	assert_string_equal(ao_json_str(ours, "time"), "2026-11-23T09:00:00Z");
	assert_string_equal(ao_json_str(ours, "fieldsType"), "FieldsV1");
}

static void replicas_are_let_go(void **state)
{
	(void)state;
	ao_auto_json cJSON *list = patch_of(OUR_APPLY "," THEIR_APPLY, true);
	const cJSON *spec = ao_json_at(list->child, "fieldsV1", "f:spec");
	assert_null(ao_json_at(spec, "f:replicas"));
	assert_non_null(ao_json_at(spec, "f:minReadySeconds"));
	ao_auto_json cJSON *theirs = parse(THEIR_APPLY); /* somebody else's Apply is not ours, whatever its name */
	assert_true(ao_json_equal(theirs, list->child->next));
}

static void nothing_to_do(void **state)
{
	(void)state;
	static const struct {
		const char *entries;
		bool drop_replicas;
	} cases[] = {
	    {"", true},
	    {OUR_APPLY, false},
	    {SCALE "," RESTARTED "," STATUS, true},
	    {OUR_STATUS, true},
	    {THEIR_APPLY, true},
	    {"7,{},{\"manager\":\"ours\"}", true},
	    {"{\"manager\":7,\"operation\":7}", true},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++)
		assert_null(patch_of(cases[i].entries, cases[i].drop_replicas));
	ao_auto_json cJSON *bare = parse("{\"metadata\":{}}");
	assert_null(ao_managed_patch(bare, "ours", LEGACY, false, true));
	ao_auto_json cJSON *alone = parse("{\"metadata\":{\"resourceVersion\":\"1\",\"managedFields\":[" POSTED "]}}");
	assert_null(ao_managed_patch(alone, "ours", NULL, false, true));
}

#define APPLIED_STATUS(by, subresource)                                                                                                    \
	"{\"manager\":\"" by "\",\"operation\":\"Apply\",\"subresource\":\"" subresource "\",\"fieldsV1\":{\"f:status\":{}}}"

static void scanning_without_a_tree_agrees(void **state)
{
	(void)state;
	static const char *const entries[] = {SCALE, POSTED, RESTARTED, STATUS, OUR_STATUS, OUR_POST, OUR_APPLY, THEIR_APPLY};
	for (unsigned set = 0; set < 1u << AO_LEN(entries); set++) {
		ao_auto_buf ao_buf text = ao_buf_init(1 << 16);
		bool ours = set >> 5 & 3, claims = (set >> 5 & 1) || (!ours && (set >> 1 & 1));
		for (size_t i = 0; i < AO_LEN(entries); i++)
			if (set >> i & 1)
				ao_buf_printf(&text, "%s%s", text.len ? "," : "", entries[i]);
		ao_auto_str char *list = ao_xasprintf("[%s]", text.data ? text.data : "");
		ao_walk walk = {.text = {list, strlen(list)}};
		ao_managed held = ao_managed_scan(&walk, "ours", LEGACY);
		assert_true(ao_walk_ended(&walk));
		ao_auto_json cJSON *after = patch_of(text.data ? text.data : "", false);
		assert_int_equal(held.to_claim, claims);
		assert_int_equal(after != NULL, claims);
		assert_int_equal(held.legacy_beside, ours && (set >> 1 & 1));
		assert_int_equal(held.owns_replicas, set >> 6 & 1);
		assert_int_equal(held.fields != 0, ours);
		assert_false(held.applied_status);
		assert_int_equal(held.post_at, (set >> 5 & 3) == 1 ? __builtin_popcount(set & 0x1f) : -1);
	}
	static const struct {
		const char *list;
		bool ours;
	} statuses[] = {{"[" APPLIED_STATUS("ours", "status") "]", true},
			{"[" APPLIED_STATUS("theirs", "status") "," OUR_APPLY "]", false},
			{"[" APPLIED_STATUS("ours", "scale") "]", false}};
	for (size_t i = 0; i < AO_LEN(statuses); i++) {
		ao_walk walk = {.text = {statuses[i].list, strlen(statuses[i].list)}};
		ao_managed held = ao_managed_scan(&walk, "ours", LEGACY);
		assert_int_equal(held.applied_status, statuses[i].ours);
		assert_int_equal(held.made, strstr(statuses[i].list, "theirs") != NULL);
		assert_false(held.to_claim);
	}
	static const struct {
		const char *fields;
		bool made;
	} sets[] = {{"{}", false},
		    {"{\"f:metadata\":{\"f:labels\":{\"f:a\":{}},\"f:annotations\":{\".\":{},\"f:b\":{}}}}", false},
		    {"{\"f:metadata\":{\"f:labels\":{\"f:a\":{}},\"f:ownerReferences\":{}}}", true},
		    {"{\"f:data\":{\"f:a\":{}},\"f:metadata\":{\"f:labels\":{\"f:a\":{}}}}", true}};
	for (size_t i = 0; i < AO_LEN(sets); i++) {
		ao_auto_str char *list = ao_xasprintf("[{\"manager\":\"ours\",\"operation\":\"Apply\",\"fieldsV1\":%s}]", sets[i].fields);
		ao_walk walk = {.text = {list, strlen(list)}};
		ao_managed held = ao_managed_scan(&walk, "ours", LEGACY);
		assert_int_equal(held.made, sets[i].made);
		assert_true(held.applied);
	}
	ao_walk posted = {.text = {"[" POSTED "]", strlen(POSTED) + 2}}, no_list = {.text = {"null", 4}};
	ao_managed none = ao_managed_scan(&posted, "ours", NULL);
	assert_false(none.to_claim);
	none = ao_managed_scan(&no_list, "ours", NULL);
	assert_true(!none.to_claim && ao_walk_ended(&no_list));
}

/** Without looking: where our entry is, the scan has said. */
static void what_our_post_left_is_claimed_where_it_is(void **state)
{
	(void)state;
	ao_auto_json cJSON *patch = ao_managed_post_patch("u-1", "ours", 2, true);
	ao_auto_json cJSON *want = parse("[{\"op\":\"test\",\"path\":\"/metadata/uid\",\"value\":\"u-1\"},"
					 "{\"op\":\"test\",\"path\":\"/metadata/managedFields/2/manager\",\"value\":\"ours\"},"
					 "{\"op\":\"test\",\"path\":\"/metadata/managedFields/2/operation\",\"value\":\"Update\"},"
					 "{\"op\":\"remove\",\"path\":\"/metadata/managedFields/2/fieldsV1/f:spec/f:replicas\"},"
					 "{\"op\":\"replace\",\"path\":\"/metadata/managedFields/2/operation\",\"value\":\"Apply\"}]");
	assert_true(ao_json_equal(want, patch));
}

#define HELM_HOLDS(data)                                                                                                                   \
	"{\"manager\":\"helm\",\"operation\":\"Update\",\"fieldsV1\":{\"f:data\":{\".\":{}" data                                           \
	"},\"f:metadata\":{\"f:labels\":{\".\":{},"                                                                                        \
	"\"f:app.kubernetes.io/managed-by\":{}}}}}"
#define EDITED "{\"manager\":\"kubectl-edit\",\"operation\":\"Update\",\"fieldsV1\":{\"f:data\":{\"f:a.lua\":{}}}}"
#define NOTED                                                                                                                              \
	"{\"manager\":\"ours\",\"operation\":\"Update\",\"fieldsV1\":{\"f:metadata\":{\"f:annotations\":{\".\":{},\"f:asya.sh/"            \
	"policies-state\":{}}}}}"

static void what_others_hold_beside_the_tool_is_an_edit(void **state)
{
	(void)state;
	static const struct {
		const char *entries, *edits;
	} ROWS[] = {
	    {HELM_HOLDS(",\"f:a.lua\":{},\"f:b.lua\":{}") "," NOTED, "[]"},
	    {HELM_HOLDS(",\"f:b.lua\":{}") "," EDITED "," NOTED, "[\"a.lua\"]"},
	    {EDITED "," HELM_HOLDS(",\"f:a.lua\":{},\"f:b.lua\":{}"), "[]"}, /* both hold it: the text is the tool's, too */
	    {HELM_HOLDS(",\"f:b.lua\":{}"), "[]"},                           /* nobody is known to hold a.lua */
	    {EDITED, NULL},                                                  /* and nobody the label */
	    {"", NULL},
	    {"7,{},{\"fieldsV1\":7}", NULL},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *text =
		    ao_xasprintf("{\"metadata\":{\"managedFields\":[%s]},\"data\":{\"a.lua\":\"1\",\"b.lua\":\"2\"}}", ROWS[i].entries);
		ao_auto_json cJSON *live = parse(text), *want = ROWS[i].edits ? parse(ROWS[i].edits) : NULL;
		ao_auto_json cJSON *edits = ao_managed_edits(live, "app.kubernetes.io/managed-by");
		assert_int_equal(edits != NULL, want != NULL);
		assert_true(!want || ao_json_equal(want, edits));
	}
}

/** Another bundle may have given a child for the same object the same name; a copy has its labels. */
static void what_is_owned_by_a_label_is_ours_when_we_wrote_it(void **state)
{
	(void)state;
	static const char *const legacy[] = {"before", NULL};
	static const struct {
		const char *manager, *operation, *uid;
		bool ours;
	} ROWS[] = {{"ours", "Update", "u", true},   {"ours", "Apply", "u", true},    {"ours", "Apply", "v", false},
		    {"before", "Update", "u", true}, {"theirs", "Apply", "u", false}, {"kubectl", "Update", "u", false}};
	ao_auto_json cJSON *desired = cJSON_Parse("{\"metadata\":{\"labels\":{\"c/owner-uid\":\"u\"}}}");
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *text =
		    ao_xasprintf("{\"metadata\":{\"labels\":{\"c/owner-uid\":\"%s\"},\"managedFields\":[{\"manager\":\"%s\","
				 "\"operation\":\"%s\"}]}}",
				 ROWS[i].uid, ROWS[i].manager, ROWS[i].operation);
		ao_auto_json cJSON *live = cJSON_Parse(text);
		ao_apply_request with = {.desired = desired, .manager = "ours", .legacy_managers = legacy, .owner_label = "c/owner-uid"};
		if (ao_apply_is_ours(&with, live) != ROWS[i].ours)
			fail_msg("%s is taken for %s", text, ROWS[i].ours ? "somebody else's" : "ours");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_update_becomes_our_apply),
	    cmocka_unit_test(a_stranger_with_the_predecessors_name_keeps_his_fields),
	    cmocka_unit_test(what_our_post_left_is_claimed_where_it_is),
	    cmocka_unit_test(entries_of_ours_are_united),
	    cmocka_unit_test(replicas_are_let_go),
	    cmocka_unit_test(nothing_to_do),
	    cmocka_unit_test(scanning_without_a_tree_agrees),
	    cmocka_unit_test(what_others_hold_beside_the_tool_is_an_edit),
	    cmocka_unit_test(what_is_owned_by_a_label_is_ours_when_we_wrote_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
