/* test_reconcile_relations.c -- which parents a change concerns, and what is related to each. */
#include "reconcile/relations.h"

#include "base/clock.h"
#include "test_kube_store.h"

static ao_kind kinds[] = {
    {.resource = {"test.io/v1", "Owner", "owners", false}, .role = AO_ROLE_PARENT},
    {.resource = {"v1", "ConfigMap", "configmaps", false}, .role = AO_ROLE_CHILD},
    {.resource = {"v1", "ConfigMap", "configmaps", false}, .role = AO_ROLE_RELATED, .rules = true},
    {.resource = {"v1", "Node", "nodes", false}, .role = AO_ROLE_RELATED, .rules = true},
};
static const ao_manifest MANIFEST = {.kinds = kinds, .kind_count = AO_LEN(kinds)};
static const ao_kind *const MAP = &kinds[2], *const NODE = &kinds[3];

typedef struct place {
	ao_store *stores[AO_LEN(kinds)];
	ao_relations *relations;
	ao_buf told;
} place;

static int make_place(void **state)
{
	static place p;
	for (size_t i = 0; i < AO_LEN(kinds); i++)
		p.stores[i] = ao_store_new(&(ao_store_options){0});
	p.relations = ao_relations_new(&MANIFEST, p.stores);
	p.told = ao_buf_init(1 << 16);
	*state = &p;
	return 0;
}

static int end_place(void **state)
{
	place *p = *state;
	ao_relations_free(p->relations);
	for (size_t i = 0; i < AO_LEN(kinds); i++)
		ao_store_free(p->stores[i]);
	ao_buf_free(&p->told);
	return 0;
}

static void ask(place *p, const char *parent, const char *rules)
{
	ao_auto_json cJSON *tree = NULL;
	assert_int_equal(ao_json_parse(rules, strlen(rules), &tree, NULL), 0);
	assert_int_equal(ao_relations_set(p->relations, parent, tree, NULL), 0);
}

static const ao_object *there(place *p, const ao_kind *kind, const char *namespace_, const char *name, const char *labels)
{
	ao_auto_str char *text = ao_xasprintf("{\"metadata\":{\"name\":\"%s\"%s%s%s,\"uid\":\"u-%s\",\"labels\":{%s}}}", name,
					      *namespace_ ? ",\"namespace\":\"" : "", namespace_, *namespace_ ? "\"" : "", name, labels);
	return put(p->stores[kind - kinds], text);
}

static int by_letter(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }

static void note(void *arg, const char *parent) { ao_buf_puts(arg, parent); }
static void note_object(void *arg, const ao_kind *kind, const ao_object *object)
{
	ao_buf_printf(arg, "%s %s, ", kind->resource.kind, object->key);
}

/** The object is as it is now: which parents, of one letter each, are told? */
static void concerns(place *p, const ao_kind *kind, const ao_object *object, bool gone, const char *parents)
{
	ao_buf_clear(&p->told);
	ao_relations_tell(p->relations, kind, object, NULL, gone, note, &p->told);
	ao_auto_str char *text = ao_xstrndup(p->told.data ? p->told.data : "", p->told.len);
	qsort(text, strlen(text), 1, by_letter);
	assert_string_equal(text, parents);
}

static void related(place *p, const char *parent, const char *objects)
{
	ao_buf_clear(&p->told);
	ao_relations_each(p->relations, parent, note_object, &p->told);
	ao_auto_str char *text = ao_xstrndup(p->told.data ? p->told.data : "", p->told.len);
	assert_string_equal(text, objects);
}

#define CM "\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\""
#define RULES "[{" CM ",\"namespace\":\"n\",\"name\":\"x\"}]"

static void a_change_concerns_those_whose_rules_select_the_object(void **state)
{
	place *p = *state;
	ask(p, "a", RULES);
	ask(p, "b", "[{" CM ",\"namespace\":\"n\",\"labels\":{\"app\":\"web\",\"tier\":\"1\"}}]");
	ask(p, "c", "[{" CM ",\"namespace\":\"n\"}]");
	ask(p, "d", "[{" CM ",\"labels\":{\"app\":\"web\"}}, {" CM ",\"name\":\"x\"}]");
	ask(p, "e", "[{" CM "}]");
	ask(p, "f", "[{\"apiVersion\":\"v1\",\"kind\":\"Node\"}]");
	concerns(p, MAP, there(p, MAP, "n", "x", ""), false, "acde");
	concerns(p, MAP, there(p, MAP, "n", "y", "\"app\":\"web\",\"tier\":\"1\""), false, "bcde");
	concerns(p, MAP, there(p, MAP, "n", "z", "\"app\":\"web\""), false, "cde");
	concerns(p, MAP, there(p, MAP, "m", "x", "\"tier\":\"1\""), false, "de");
	concerns(p, NODE, there(p, NODE, "", "x", ""), false, "f");
	related(p, "d", "ConfigMap m/x, ConfigMap n/x, ConfigMap n/y, ConfigMap n/z, ");
	related(p, "f", "Node x, ");
	related(p, "nobody", "");
}

static void what_is_lost_is_told_to_those_that_had_it(void **state)
{
	place *p = *state;
	there(p, MAP, "n", "x", "\"app\":\"web\"");
	ask(p, "a", "[{" CM ",\"namespace\":\"n\",\"labels\":{\"app\":\"web\"}}]");
	ask(p, "b", RULES);
	related(p, "a", "ConfigMap n/x, ");
	concerns(p, MAP, there(p, MAP, "n", "x", "\"app\":\"db\""), false, "ab");
	related(p, "a", "");
	concerns(p, MAP, there(p, MAP, "n", "x", "\"app\":\"db\""), false, "b");
	concerns(p, MAP, ao_store_get(p->stores[2], "n/x"), true, "b");
	related(p, "b", "");
	concerns(p, MAP, ao_store_get(p->stores[2], "n/x"), true, "");
}

static void other_rules_replace_those_of_before(void **state)
{
	place *p = *state;
	const ao_object *x = there(p, MAP, "n", "x", ""), *y = there(p, MAP, "n", "y", "");
	ask(p, "a", RULES);
	ask(p, "a", "[{" CM ",\"namespace\":\"n\",\"name\":\"y\"}, {\"apiVersion\":\"v1\",\"kind\":\"Secret\"}]");
	related(p, "a", "ConfigMap n/y, ");
	concerns(p, MAP, x, false, "");
	concerns(p, MAP, y, false, "a");
	ao_relations_forget(p->relations, "a");
	ao_relations_forget(p->relations, "a");
	concerns(p, MAP, y, false, "");
	assert_int_equal(ao_relations_count(p->relations), 0);
}

static void a_rule_that_selects_too_much_is_told_with_the_number(void **state)
{
	place *p = *state;
	ao_auto_json cJSON *rules = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_json_parse("[{" CM "}]", strlen("[{" CM "}]"), &rules, NULL), 0);
	for (int i = 0; i < 10000; i++) {
		ao_auto_str char *name = ao_xasprintf("m%d", i);
		there(p, MAP, "n", name, "");
	}
	assert_int_equal(ao_relations_set(p->relations, "a", rules, &err), -E2BIG);
	assert_non_null(strstr(ao_err_text(err), "select 10000 objects, and policies are shown at most 1000"));
	concerns(p, MAP, there(p, MAP, "n", "m7", "\"a\":\"b\""), false, "a");
}

/** As many ConfigMaps as there may be, and `more` of them. */
static void crowd(place *p, int more)
{
	for (int i = 0; i < AO_RELATED_MAX + more; i++) {
		ao_auto_str char *name = ao_xasprintf("m%d", i);
		there(p, MAP, "n", name, "\"app\":\"web\"");
	}
}

static size_t count_related(place *p, const char *parent)
{
	size_t count = 0;
	ao_buf_clear(&p->told);
	ao_relations_each(p->relations, parent, note_object, &p->told);
	for (const char *c = p->told.data; p->told.len && (c = strchr(c, ',')); c++)
		count++;
	return count;
}

static int set(place *p, const char *parent, const char *rules)
{
	ao_auto_json cJSON *tree = NULL;
	assert_int_equal(ao_json_parse(rules, strlen(rules), &tree, NULL), 0);
	return ao_relations_set(p->relations, parent, tree, NULL);
}

static void what_became_less_is_shown_again(void **state)
{
	static const char ALL[] = "[{" CM ",\"labels\":{\"app\":\"web\"}}]";
	place *p = *state;
	crowd(p, 2);
	assert_int_equal(set(p, "a", ALL), -E2BIG);
	assert_int_equal(count_related(p, "a"), 0);
	/* one of them loses its label, another one goes: both concern it */
	ao_object *before = NULL, *gone = NULL;
	const ao_object *now;
	static const char BARE[] = "{\"metadata\":{\"name\":\"m7\",\"namespace\":\"n\",\"uid\":\"u-m7\"}}";
	assert_int_equal(ao_store_swap(p->stores[2], span(BARE), true, &now, &before, NULL), 0);
	ao_buf_clear(&p->told);
	ao_relations_tell(p->relations, MAP, now, before, false, note, &p->told);
	ao_object_free(before);
	assert_string_equal(p->told.data, "a");
	assert_int_equal(count_related(p, "a"), 0);
	gone = ao_store_take(p->stores[2], span("{\"metadata\":{\"name\":\"m8\",\"namespace\":\"n\",\"uid\":\"u-m8\"}}"));
	concerns(p, MAP, gone, true, "a");
	ao_object_free(gone);
	assert_int_equal(count_related(p, "a"), AO_RELATED_MAX);
	assert_int_equal(set(p, "a", ALL), 0);
	/* and one more comes */
	concerns(p, MAP, there(p, MAP, "n", "z", "\"app\":\"web\""), false, "a");
	assert_int_equal(count_related(p, "a"), 0);
	assert_int_equal(set(p, "a", ALL), -E2BIG);
}

/** The right may be on its way, as in an upgrade: policies that see nothing would have what they made of it taken away. */
static void what_may_not_be_listed_does_not_seem_to_be_nothing(void **state)
{
	place *p = *state;
	ao_auto_err ao_err *err = NULL;
	ao_auto_json cJSON *nodes = cJSON_Parse("[{\"apiVersion\":\"v1\",\"kind\":\"Node\"}]");
	ao_relations_deny(p->relations, NODE, true);
	if (ao_relations_set(p->relations, "a", nodes, &err) != -EACCES)
		fail_msg("policies are shown no Node, as if there were none");
	assert_string_equal(ao_err_text(err),
			    "relate: is not allowed to list nodes, so nobody knows what there is. The rule that is missing: "
			    "{apiGroups: [\"\"], resources: [nodes], verbs: [get, list, watch]}");
	assert_int_equal(set(p, "b", "[{" CM "}]"), 0);
	ao_relations_deny(p->relations, NODE, false);
	assert_int_equal(ao_relations_set(p->relations, "a", nodes, NULL), 0);
	concerns(p, NODE, there(p, NODE, "", "m", ""), false, "a");
}

size_t __sanitizer_get_current_allocated_bytes(void);

static void many_that_ask_for_too_much_take_no_memory_for_it(void **state)
{
	place *p = *state;
	crowd(p, 9000);
	size_t before = __sanitizer_get_current_allocated_bytes();
	for (int i = 0; i < 100; i++) {
		ao_auto_str char *parent = ao_xasprintf("n/parent-%d", i);
		assert_int_equal(set(p, parent, "[{" CM "}]"), -E2BIG);
	}
	size_t each = (__sanitizer_get_current_allocated_bytes() - before) / 100;
	if (each > 10000)
		fail_msg("%zu bytes for each of them", each);
}

/** Texts are kept as differences: that each asker has one made again took the loop's time. */
static void a_change_of_a_large_object_costs_little_however_many_ask(void **state)
{
	place *p = *state;
	ao_buf rest = ao_buf_init(1 << 16);
	ao_buf_puts(&rest, "\"app\":\"web\"},\"annotations\":{\"x\":\"");
	for (int i = 0; i < 6000; i++)
		ao_buf_printf(&rest, "%09d", i * 7919);
	ao_buf_puts(&rest, "\"");
	for (int i = 0; i < 3000; i++) {
		ao_auto_str char *parent = ao_xasprintf("n/parent-%d", i);
		ask(p, parent, "[{" CM ",\"labels\":{\"app\":\"web\",\"tier\":\"back\"}}]");
	}
	there(p, MAP, "n", "first", rest.data);
	for (size_t i = 200; i < rest.len - 100; i += 100)
		rest.data[i] = 'y';
	const ao_object *second = there(p, MAP, "n", "second", rest.data);
	ao_buf_free(&rest);
	assert_non_null(second->base);
	uint64_t before = ao_cpu_ms();
	for (int i = 0; i < 20; i++)
		concerns(p, MAP, second, false, "");
	uint64_t each = (ao_cpu_ms() - before) / 20;
	if (each > 10)
		fail_msg("%d ms each", (int)each);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(what_became_less_is_shown_again, make_place, end_place),
	    cmocka_unit_test_setup_teardown(many_that_ask_for_too_much_take_no_memory_for_it, make_place, end_place),
	    cmocka_unit_test_setup_teardown(a_change_of_a_large_object_costs_little_however_many_ask, make_place, end_place),
	    cmocka_unit_test_setup_teardown(a_change_concerns_those_whose_rules_select_the_object, make_place, end_place),
	    cmocka_unit_test_setup_teardown(what_is_lost_is_told_to_those_that_had_it, make_place, end_place),
	    cmocka_unit_test_setup_teardown(other_rules_replace_those_of_before, make_place, end_place),
	    cmocka_unit_test_setup_teardown(what_may_not_be_listed_does_not_seem_to_be_nothing, make_place, end_place),
	    cmocka_unit_test_setup_teardown(a_rule_that_selects_too_much_is_told_with_the_number, make_place, end_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
