/* What two plans differ in: removals, queues, pods; and equal changes in one group. */
#include "policy/changes.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static cJSON *parse(const char *text)
{
	cJSON *value = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &value, NULL), 0);
	return value;
}

/** A plan of one Deployment that runs `image`, and of a queue; `more` goes into its container. */
static cJSON *plan(const char *name, const char *image, const char *more, const char *queues)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"objects\":[{\"role\":\"workload\",\"object\":{\"kind\":\"Deployment\",\"metadata\":{\"namespace\":\"asya\","
			 "\"name\":\"%s\"},\"spec\":{"
			 "\"template\":{\"spec\":{\"containers\":[{\"name\":\"side\",\"image\":\"%s\"%s}]}}}}}],\"queues\":[%s]}",
			 name, image, more, queues);
	return parse(text);
}

static cJSON *children(const char *name, int replicas)
{
	ao_auto_str char *text =
	    ao_xasprintf("[{\"kind\":\"Deployment\",\"metadata\":{\"namespace\":\"asya\",\"name\":\"%s\"},\"status\":{\"replicas\":%d}}]",
			 name, replicas);
	return parse(text);
}

static void assert_summary(const ao_changes *c, const char *expected)
{
	ao_auto_buf ao_buf out = ao_buf_init(1 << 16);
	ao_changes_summary(c, "actors", 10, &out);
	assert_string_equal(out.data ? out.data : "", expected);
}

static void equal_changes_are_one_line(void **state)
{
	(void)state;
	ao_changes *c = ao_changes_new(NULL, NULL);
	for (int i = 0; i < 412; i++) {
		ao_auto_str char *name = ao_xasprintf("actor-%d", i), *key = ao_xasprintf("asya/%s", name);
		ao_auto_json cJSON *before = plan(name, "a", "", ""), *after = plan(name, "b", "", ""), *live = children(name, 2);
		assert_true(ao_changes_add_plans(c, key, before, after, live));
	}
	assert_summary(c, "412 actors: Deployment: side image a -> b, replaces 824 pods");
	ao_changes_forget(c, "asya/actor-7");
	assert_summary(c, "411 actors: Deployment: side image a -> b, replaces 822 pods");
	assert_int_equal(ao_changes_count_all(c).children, 411);
	assert_int_equal(ao_changes_count_all(c).pods, 822);
	ao_changes_free(c);
}

static void what_is_taken_away_is_told(void **state)
{
	(void)state;
	static const char ENV[] = ",\"env\":[{\"name\":\"A\",\"value\":\"secret\"}]", QUEUE[] = "{\"name\":\"q\",\"transport\":\"t\"}";
	static const char OTHER[] = "{\"name\":\"q\",\"transport\":\"t\",\"want\":{\"durable\":true}}";
	static const struct {
		const char *more, *less, *queue, *other;
		const char *summary;
	} ROWS[] = {
	    {ENV, "", "", "", "1 actors: Deployment: side env removed"},
	    {"", ENV, "", "", "1 actors: Deployment: side env added"},
	    {"", "", QUEUE, "", "1 actors: queue deleted"},
	    {"", "", "", QUEUE, "1 actors: queue created"},
	    {"", "", QUEUE, OTHER, "1 actors: queue: want added"},
	    {"", "", QUEUE, QUEUE, ""},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_json cJSON *before = plan("one", "a", ROWS[i].more, ROWS[i].queue),
				   *after = plan("one", "a", ROWS[i].less, ROWS[i].other);
		ao_changes *c = ao_changes_new(NULL, NULL);
		ao_changes_add_plans(c, "asya/one", before, after, NULL);
		assert_summary(c, ROWS[i].summary);
		ao_changes_free(c);
	}
	ao_auto_json cJSON *before = plan("one", "a", "", ""), *after = parse("{\"objects\":[],\"queues\":[]}"), *live = children("one", 3);
	ao_changes *c = ao_changes_new(NULL, NULL);
	assert_true(ao_changes_add_plans(c, "asya/one", before, after, live));
	assert_int_equal(ao_changes_count_all(c).pods, 0);
	assert_summary(c, "1 actors: Deployment deleted, ends 3 pods");
	ao_changes_free(c);
}

/** A plan of copies of Secrets: NAMESPACE in which there is one, and the key of the source that it is of. */
static cJSON *copies(const char *const list[][2], size_t count)
{
	cJSON *made = parse("{\"objects\":[],\"queues\":[]}"), *to = cJSON_AddArrayToObject(made, "copies");
	for (size_t i = 0; i < count; i++) {
		ao_auto_str char *text = ao_xasprintf(
		    "{\"role\":\"%s\",\"object\":{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"%s\",\"name\":\"s\"}},\"sources\":"
		    "{\"pw\":{\"namespace\":\"ops\",\"name\":\"s\",\"key\":\"%s\"}}}",
		    list[i][0], list[i][0], list[i][1]);
		cJSON_AddItemToArray(to, parse(text));
	}
	return made;
}

/** Who approves an edit reads what it takes away. */
static void copies_of_secrets_are_told(void **state)
{
	(void)state;
	static const char *const OLD[][2] = {{"lab", "a"}, {"shop", "a"}, {"unseen", "a"}}, *const NEW[][2] = {{"lab", "b"}, {"mill", "a"}};
	ao_auto_json cJSON *before = copies(OLD, AO_LEN(OLD)), *after = copies(NEW, AO_LEN(NEW));
	ao_auto_json cJSON *live = parse("[{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"lab\",\"name\":\"s\"}},"
					 "{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"shop\",\"name\":\"s\"}}]");
	ao_changes *c = ao_changes_new(NULL, NULL);
	assert_false(ao_changes_add_plans(c, "one", before, after, live));
	assert_summary(c, "1 actors: Secret changed; 1 actors: Secret created; 1 actors: Secret deleted");
	ao_changes_free(c);
	c = ao_changes_new(NULL, NULL);
	assert_false(ao_changes_add_plans(c, "one", before, before, live));
	assert_summary(c, "");
	ao_changes_free(c);
}

/** A part of a plan that is refused leaves the child as it is, and so does a plan that waits: what it lacks may come later. */
static void what_stays_is_no_change(void **state)
{
	(void)state;
	static const char *const STAYS[] = {"\"kept\":[{\"kind\":\"Deployment\",\"namespace\":\"asya\",\"name\":\"one\"}]",
					    "\"waits\":[{\"role\":\"store\",\"kind\":\"Service\",\"name\":\"s\"}]"};
	for (size_t i = 0; i < AO_LEN(STAYS); i++) {
		ao_auto_str char *text = ao_xasprintf("{\"objects\":[],%s}", STAYS[i]);
		ao_auto_json cJSON *before = plan("one", "a", "", ""), *after = parse(text), *live = children("one", 3);
		ao_changes *c = ao_changes_new(NULL, NULL);
		assert_false(ao_changes_add_plans(c, "asya/one", before, after, live));
		assert_summary(c, "");
		ao_changes_free(c);
	}
}

/** A parent whose pods end has to have a place in a rollout, and is waited for: an edit that replaces none reaches many at once. */
static void whatever_ends_pods_is_told(void **state)
{
	(void)state;
#define DEPLOYMENT(name, image)                                                                                                            \
	"{\"role\":\"workload\",\"object\":{\"kind\":\"Deployment\",\"metadata\":{\"namespace\":\"asya\",\"name\":\"" name                 \
	"\"},\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"image\":\"" image "\"}]}}}}}"
#define POD(update, label, image)                                                                                                          \
	"{\"role\":\"pod\",\"update\":\"" update                                                                                           \
	"\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"namespace\":\"asya\",\"name\":\"one\",\"labels\":{\"l\":\"" label                 \
	"\"}},\"spec\":{\"containers\":[{\"image\":\"" image "\"}]}}}"
#define PLAN(objects) "{\"objects\":[" objects "]}"
#define INVALID "{\"invalid\":{\"message\":\"no\"},\"objects\":[]}"
#define KEEPS "{\"objects\":[],\"kept\":[{\"kind\":\"Deployment\",\"namespace\":\"asya\",\"name\":\"one\"}]}"
	static const struct {
		const char *before, *after;
		int replicas;
		bool ends;
	} ROWS[] = {
	    {PLAN(DEPLOYMENT("one", "a")), PLAN(DEPLOYMENT("one", "a")), 3, false},
	    {PLAN(DEPLOYMENT("one", "a")), PLAN(DEPLOYMENT("one", "b")), 0, true}, /* there may be some by then */
	    {PLAN(DEPLOYMENT("one", "a")), PLAN(DEPLOYMENT("two", "a")), 3, true}, /* one goes, another comes */
	    {PLAN(DEPLOYMENT("one", "a")), PLAN(DEPLOYMENT("two", "a")), 0, false},
	    {PLAN(DEPLOYMENT("one", "a")), PLAN(""), 3, true},
	    {NULL, PLAN(DEPLOYMENT("one", "a")), 3, true}, /* it raises an error: what there is was made by others before it */
	    {NULL, PLAN(DEPLOYMENT("one", "a")), 0, false},
	    {INVALID, PLAN(DEPLOYMENT("one", "a")), 3, true},
	    {INVALID, PLAN(""), 3, true},
	    {INVALID, INVALID, 3, false},
	    {KEEPS, PLAN(""), 3, true},
	    {KEEPS, KEEPS, 3, false},
	    {PLAN(POD("RollingRecreate", "x", "a")), PLAN(POD("RollingRecreate", "x", "b")), 0, true},
	    {PLAN(POD("RollingRecreate", "x", "a")), PLAN(POD("RollingRecreate", "y", "a")), 0, true},
	    {PLAN(POD("InPlace", "x", "a")), PLAN(POD("InPlace", "x", "b")), 0, true},
	    {PLAN(POD("InPlace", "x", "a")), PLAN(POD("InPlace", "y", "a")), 0, false},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_json cJSON *before = ROWS[i].before ? parse(ROWS[i].before) : NULL, *after = parse(ROWS[i].after),
				   *live = children("one", ROWS[i].replicas);
		ao_changes *c = ao_changes_new(NULL, NULL);
		bool ends = ao_changes_add_plans(c, "asya/one", before, after, live);
		if (ends != ROWS[i].ends)
			fail_msg("row %zu: %s", i, ends ? "it ends pods" : "it ends no pods");
		ao_changes_free(c);
	}
}

/** The line is logged, and stands in Events and annotations. */
static void what_may_be_secret_is_not_in_the_line(void **state)
{
	(void)state;
	static const struct {
		const char *was, *is, *line;
	} ROWS[] = {
	    {"{\"host\":\"http://u:hunter1@h\"}", "{\"host\":\"http://u:hunter2@h\"}", "spec.host changed"},
	    {"{\"hosts\":[\"http://u:hunter1@h\"]}", "{\"hosts\":[\"http://u:hunter2@h\"]}", "spec.hosts[0] changed"},
	    {"{\"auth\":{\"password\":\"hunter1\"}}", "{\"auth\":{\"password\":\"hunter2\"}}", "spec.auth.password changed"},
	    {"{\"a\":1}", "{\"a\":1,\"apiToken\":\"hunter2\"}", "spec.apiToken added"},
	    {"{\"headers\":[{\"name\":\"X\",\"value\":\"hunter1\"}]}", "{\"headers\":[{\"name\":\"X\",\"value\":\"hunter2\"}]}",
	     "spec.headers[X].value changed"},
	    {"{\"passwordSecretRef\":\"a\"}", "{\"passwordSecretRef\":\"b\"}", "spec.passwordSecretRef a -> b"},
	    {"{\"host\":\"http://a\"}", "{\"host\":\"http://b\"}", "spec.host http://a -> http://b"},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		static const char FRAME[] = "{\"objects\":[{\"object\":{\"kind\":\"Thing\",\"metadata\":{\"name\":\"one\"}}}]}";
		ao_auto_json cJSON *before = parse(FRAME), *after = parse(FRAME);
		ao_json_set(ao_json_at(ao_json_at(before, "objects")->child, "object"), "spec", parse(ROWS[i].was));
		ao_json_set(ao_json_at(ao_json_at(after, "objects")->child, "object"), "spec", parse(ROWS[i].is));
		ao_changes *c = ao_changes_new(NULL, NULL);
		ao_changes_add_plans(c, "asya/one", before, after, NULL);
		ao_auto_str char *line = ao_xasprintf("1 actors: Thing: %s", ROWS[i].line);
		assert_summary(c, line);
		ao_changes_free(c);
	}
}

static void pods_of_all_kinds_are_counted(void **state)
{
	(void)state;
	static const struct {
		const char *child;
		size_t pods;
	} ROWS[] = {
	    {"{\"status\":{\"replicas\":3,\"active\":1}}", 3},  {"{\"status\":{\"active\":2}}", 2},
	    {"{\"status\":{\"currentNumberScheduled\":4}}", 4}, {"{\"spec\":{\"containers\":[]}}", 1},
	    {"{\"status\":{\"replicas\":\"3\"}}", 0},           {"{}", 0},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_json cJSON *child = parse(ROWS[i].child);
		assert_int_equal(ao_changes_pods_of(child), ROWS[i].pods);
	}
}

static void a_parents_name_makes_no_difference(void **state)
{
	(void)state;
	ao_changes *c = ao_changes_new(NULL, NULL);
	static const char *const NAMES[] = {"one", "two", "a"};
	for (size_t i = 0; i < AO_LEN(NAMES); i++) {
		ao_auto_str char *key = ao_xasprintf("asya/%s", NAMES[i]), *image = ao_xasprintf("registry/%s:2", NAMES[i]);
		ao_auto_json cJSON *before = plan(NAMES[i], "base", "", ""), *after = plan(NAMES[i], image, "", "");
		ao_changes_add_plans(c, key, before, after, NULL);
	}
	assert_summary(c, "3 actors: Deployment: side image changed");
	ao_changes_free(c);
}

static void no_more_than_a_cap_of_groups(void **state)
{
	(void)state;
	ao_changes *c = ao_changes_new(NULL, NULL);
	for (int i = 0; i < 3000; i++) {
		ao_auto_str char *key = ao_xasprintf("asya/x%d", i), *image = ao_xasprintf("i%d", i * 7);
		ao_auto_json cJSON *before = plan("n", "base", "", ""), *after = plan("n", image, "", "");
		ao_changes_add_plans(c, key, before, after, NULL);
	}
	ao_auto_buf ao_buf out = ao_buf_init(1 << 16);
	ao_changes_summary(c, "actors", 1, &out);
	assert_string_equal(out.data, "2000 actors: Deployment changed; and 1000 other kinds of change");
	assert_int_equal(ao_changes_count_all(c).children, 3000);
	ao_changes_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_changes_are_one_line),
	    cmocka_unit_test(what_is_taken_away_is_told),
	    cmocka_unit_test(copies_of_secrets_are_told),
	    cmocka_unit_test(what_stays_is_no_change),
	    cmocka_unit_test(whatever_ends_pods_is_told),
	    cmocka_unit_test(pods_of_all_kinds_are_counted),
	    cmocka_unit_test(what_may_be_secret_is_not_in_the_line),
	    cmocka_unit_test(a_parents_name_makes_no_difference),
	    cmocka_unit_test(no_more_than_a_cap_of_groups),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
