/* test_policy_manifest.c -- what the engine reads of related kinds, and which right it asks for. */
#include "policy/manifest.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int read_related(const char *related, ao_manifest **ret, ao_err **reterr)
{
	ao_auto_json cJSON *tree = NULL;
	ao_auto_str char *text = ao_xasprintf("{\"parent\":{\"apiVersion\":\"t/v1\",\"kind\":\"Owner\",\"plural\":\"owners\"},"
					      "\"children\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"plural\":\"configmaps\"}],"
					      "\"related\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"plural\":\"configmaps\"%s}],"
					      "\"field_manager\":\"m\",\"lease\":\"l\",\"component\":\"c\"}",
					      related);
	assert_int_equal(ao_json_parse(text, strlen(text), &tree, NULL), 0);
	return ao_manifest_read(tree, ret, reterr);
}

static void a_related_kind_says_whose_its_objects_are(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", ",\"rules\":false", ",\"rules\":true,\"label\":\"l\"", ",\"owner\":\"o\",\"label\":\"l\""};
	for (size_t i = 0; i < AO_LEN(wrong); i++) {
		ao_auto_manifest ao_manifest *m = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(read_related(wrong[i], &m, &err), -EINVAL);
		assert_non_null(strstr(ao_err_text(err), "related[1] needs one of label, same_label, owner and rules"));
	}
}

static void what_is_asked_for_by_rules_is_optional_and_only_looked_at(void **state)
{
	(void)state;
	ao_auto_manifest ao_manifest *m = NULL;
	ao_auto_json cJSON *map = cJSON_CreateObject();
	ao_json_set_str(map, "apiVersion", "v1");
	ao_json_set_str(map, "kind", "ConfigMap");
	assert_int_equal(read_related(",\"rules\":true", &m, NULL), 0);
	const ao_kind *child = &m->kinds[1], *related = &m->kinds[2];
	assert_true(related->rules && related->optional && !related->declared);
	assert_false(child->rules || child->optional);
	assert_ptr_equal(ao_manifest_kind(m, map), child); /* one kind may be both */
	ao_auto_str char *ours = ao_kind_rule(child), *theirs = ao_kind_rule(related);
	assert_string_equal(ours, "{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, watch, create, patch, delete]}");
	assert_string_equal(theirs, "{apiGroups: [\"\"], resources: [configmaps], verbs: [get, list, watch]}");
}

static void two_bundles_have_pages_of_their_own(void **state)
{
	(void)state;
	static const char SAME[] = "{\"parent\":{\"apiVersion\":\"%s/v1\",\"kind\":\"Toy\",\"plural\":\"toys\"},\"debug_path\":%s}";
	static const struct {
		const char *path;
		int result;
	} ROWS[] = {{"null", -EINVAL}, {"\"games\"", 0}};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *one = ao_xasprintf(SAME, "a.example.com", "null"),
				 *two = ao_xasprintf(SAME, "b.example.com", ROWS[i].path);
		ao_auto_json cJSON *a = cJSON_Parse(one), *b = cJSON_Parse(two);
		assert_int_equal(ao_manifest_apart(a, "a", b, "b", "", NULL), ROWS[i].result);
	}
}

static void two_bundles_for_one_kind_have_classes(void **state)
{
	(void)state;
	static const char
	    ONE[] = "{\"parent\":{\"apiVersion\":\"a.example.com/v1\",\"kind\":\"Toy\",\"plural\":\"toys\"}%s}",
	    TWO[] = "{\"parent\":{\"apiVersion\":\"a.example.com/v2\",\"kind\":\"Toy\",\"plural\":\"toys\"},\"debug_path\":\"x\"%s}";
#define AT ",\"class_annotation\":\"a/c\""
	static const struct {
		const char *one, *two;
		int result;
	} ROWS[] = {
	    {AT, AT, -EINVAL},
	    {AT, AT ",\"class\":\"red\"", 0},
	    {AT ",\"class\":\"blue\"", AT ",\"class\":\"red\"", 0},
	    {AT ",\"class\":\"red\"", AT ",\"class\":\"red\"", -EINVAL},
	    {AT, AT ",\"class\":\"green\"", -EINVAL}, /* that of the process */
	    {AT, ",\"class_annotation\":\"b/c\",\"class\":\"red\"", -EINVAL},
	    {"", "", -EINVAL},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *one = ao_xasprintf(ONE, ROWS[i].one), *two = ao_xasprintf(TWO, ROWS[i].two);
		ao_auto_json cJSON *a = cJSON_Parse(one), *b = cJSON_Parse(two);
		assert_int_equal(ao_manifest_apart(a, "a", b, "b", "green", NULL), ROWS[i].result);
	}
}

static int read_child(const char *more, ao_manifest **ret, ao_err **reterr)
{
	ao_auto_json cJSON *tree = NULL;
	ao_auto_str char *text = ao_xasprintf("{\"parent\":{\"apiVersion\":\"t/v1\",\"kind\":\"Owner\",\"plural\":\"owners\"},"
					      "\"children\":[{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"plural\":\"configmaps\"%s}],"
					      "\"field_manager\":\"m\",\"lease\":\"l\",\"component\":\"c\"}",
					      more);
	assert_int_equal(ao_json_parse(text, strlen(text), &tree, NULL), 0);
	return ao_manifest_read(tree, ret, reterr);
}

static void children_by_label_are_watched_by_it(void **state)
{
	(void)state;
	ao_auto_manifest ao_manifest *plain = NULL, *marked = NULL, *both = NULL;
	assert_int_equal(read_child("", &plain, NULL), 0);
	assert_int_equal(read_child(",\"owned_by\":\"label\"", &marked, NULL), 0);
	assert_int_equal(read_child(",\"owned_by\":\"label\",\"selector\":\"app=x\"", &both, NULL), 0);
	assert_true(!plain->kinds[1].by_label && !plain->kinds[1].selector);
	assert_true(marked->kinds[1].by_label && both->kinds[1].by_label);
	assert_string_equal(marked->owner_label, "c/owner-uid");
	assert_string_equal(marked->kinds[1].selector, "c/owner-uid");
	assert_string_equal(both->kinds[1].selector, "c/owner-uid,app=x");
}

static void the_scope_of_a_kind_is_that_of_its_urls(void **state)
{
	(void)state;
	ao_auto_manifest ao_manifest *inside = NULL, *cluster = NULL, *wrong = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(read_child("", &inside, NULL), 0);
	assert_int_equal(read_child(",\"scope\":\"Cluster\"", &cluster, NULL), 0);
	assert_false(inside->kinds[0].resource.cluster_scoped || inside->kinds[1].resource.cluster_scoped);
	assert_true(cluster->kinds[1].resource.cluster_scoped);
	assert_int_equal(read_child(",\"scope\":\"World\"", &wrong, &err), -EINVAL);
	assert_string_equal(ao_err_text(err), "manifest: children[1].scope \"World\" is not Cluster");
}

static void only_metadata_of_children_may_be_all_that_is_kept(void **state)
{
	(void)state;
	ao_auto_manifest ao_manifest *fits = NULL, *wrong = NULL, *shared = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(read_child(",\"projection\":\"metadata\"", &fits, NULL), 0);
	assert_int_equal(fits->kinds[1].projection, AO_PROJECTION_METADATA);
	assert_int_equal(read_child(",\"projection\":\"status\"", &wrong, &err), -EINVAL);
	assert_string_equal(ao_err_text(err), "manifest: children[1].projection \"status\" is not metadata, the one that is for children");
	assert_int_equal(read_child(",\"shared\":true,\"projection\":\"metadata\"", &shared, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_related_kind_says_whose_its_objects_are),
	    cmocka_unit_test(what_is_asked_for_by_rules_is_optional_and_only_looked_at),
	    cmocka_unit_test(two_bundles_have_pages_of_their_own),
	    cmocka_unit_test(two_bundles_for_one_kind_have_classes),
	    cmocka_unit_test(children_by_label_are_watched_by_it),
	    cmocka_unit_test(the_scope_of_a_kind_is_that_of_its_urls),
	    cmocka_unit_test(only_metadata_of_children_may_be_all_that_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
