/* managedFields as a real API server wrote them, before and after they are made ours. */
#include "kube/managed.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

static cJSON *patch_of(const char *entries, bool drop_replicas)
{
	ao_auto_str char *text = ao_xasprintf("{\"metadata\":{\"resourceVersion\":\"367\",\"managedFields\":[%s]}}", entries);
	ao_auto_json cJSON *live = parse(text);
	return ao_managed_patch(live, "ours", LEGACY, drop_replicas);
}

static void assert_entries(const cJSON *patch, const char *expected)
{
	ao_auto_str char *text = ao_xasprintf("[%s]", expected);
	ao_auto_json cJSON *want = parse(text);
	ao_auto_str char *got_text = ao_json_canonical(ao_json_at(patch->child, "value")), *want_text = ao_json_canonical(want);
	assert_string_equal(got_text, want_text);
}

static void an_update_becomes_our_apply(void **state)
{
	(void)state;
	ao_auto_json cJSON *patch = patch_of(SCALE "," POSTED "," RESTARTED "," STATUS, true);
	assert_int_equal(cJSON_GetArraySize(patch), 2);
	assert_string_equal(ao_json_str(patch->child, "op"), "replace");
	assert_string_equal(ao_json_str(patch->child, "path"), "/metadata/managedFields");
	const cJSON *version = patch->child->next;
	assert_string_equal(ao_json_str(version, "op"), "replace");
	assert_string_equal(ao_json_str(version, "path"), "/metadata/resourceVersion");
	assert_string_equal(ao_json_str(version, "value"), "367");
	ao_auto_json cJSON *ours = parse(POSTED);
	ao_json_set_str(ours, "manager", "ours");
	ao_json_set_str(ours, "operation", "Apply");
	cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(ours, "fieldsV1", "f:spec"), "f:replicas");
	ao_auto_str char *text = ao_json_print(ours), *entries = ao_xasprintf("%s," SCALE "," RESTARTED "," STATUS, text);
	assert_entries(patch, entries);
}

static void entries_of_ours_are_united(void **state)
{
	(void)state;
	ao_auto_json cJSON *patch = patch_of(OUR_APPLY "," OUR_POST "," POSTED "," OUR_STATUS, false);
	assert_int_equal(cJSON_GetArraySize(ao_json_at(patch->child, "value")), 2);
	const cJSON *ours = ao_json_at(patch->child, "value")->child, *spec = ao_json_at(ours, "fieldsV1", "f:spec");
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
	ao_auto_json cJSON *patch = patch_of(OUR_APPLY "," THEIR_APPLY, true);
	const cJSON *spec = ao_json_at(ao_json_at(patch->child, "value")->child, "fieldsV1", "f:spec");
	assert_null(ao_json_at(spec, "f:replicas"));
	assert_non_null(ao_json_at(spec, "f:minReadySeconds"));
	ao_auto_json cJSON *theirs = parse(THEIR_APPLY); /* somebody else's Apply is not ours, whatever its name */
	assert_true(ao_json_equal(theirs, ao_json_at(patch->child, "value")->child->next));
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
	assert_null(ao_managed_patch(bare, "ours", LEGACY, true));
	ao_auto_json cJSON *alone = parse("{\"metadata\":{\"resourceVersion\":\"1\",\"managedFields\":[" POSTED "]}}");
	assert_null(ao_managed_patch(alone, "ours", NULL, true));
}

static void scanning_without_a_tree_agrees(void **state)
{
	(void)state;
	static const char *const entries[] = {SCALE, POSTED, RESTARTED, STATUS, OUR_STATUS, OUR_POST, OUR_APPLY, THEIR_APPLY};
	for (unsigned set = 0; set < 1u << AO_LEN(entries); set++) {
		ao_auto_buf ao_buf text = ao_buf_init(1 << 16);
		bool update = false;
		for (size_t i = 0; i < AO_LEN(entries); i++) {
			if (!(set >> i & 1))
				continue;
			ao_buf_printf(&text, "%s%s", text.len ? "," : "", entries[i]);
			update = update || i == 1 || i == 5;
		}
		ao_auto_str char *list = ao_xasprintf("[%s]", text.data ? text.data : "");
		ao_managed held = ao_managed_scan((ao_span){list, strlen(list)}, LEGACY);
		ao_auto_json cJSON *patch = patch_of(text.data ? text.data : "", false);
		assert_int_equal(held.legacy_owned, update);
		assert_int_equal(patch != NULL, update);
		assert_int_equal(held.owns_replicas, (set >> 6 & 1) || (set >> 7 & 1));
	}
	ao_managed none = ao_managed_scan((ao_span){"[" POSTED "]", strlen(POSTED) + 2}, NULL);
	assert_false(none.legacy_owned);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_update_becomes_our_apply),
	    cmocka_unit_test(entries_of_ours_are_united),
	    cmocka_unit_test(replicas_are_let_go),
	    cmocka_unit_test(nothing_to_do),
	    cmocka_unit_test(scanning_without_a_tree_agrees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
