/* test_json_json.c -- the strict parser, the printers, comparison and merge patches. */
#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test_json_random.h"

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return tree;
}

static const struct {
	const char *text, *why;
} refused[] = {
    {"", "value missing"},
    {"{}x", "more text after the value"},
    {"[1,]", "malformed value"},
    {"{\"a\" 1}", "a: ':' missing"},
    {"{a:1}", "key missing"},
    {"[1 2]", "',' or the end of the list missing"},
    {"01", "more text after the value"},
    {"-", "malformed value"},
    {"1.", "malformed number"},
    {"nul", "malformed value"},
    {"\"\\u0000\"", "\\u0000 cannot be kept"},
    {"\"\\ud800\"", "lone surrogate"},
    {"\"\\udc00\"", "lone surrogate"},
    {"\"\\q\"", "unknown escape"},
    {"\"a", "string not ended"},
    {"\"\n\"", "control character"},
    {"[\"\x80\"]", "[0]: invalid UTF-8"},
    {"\"\xc0\xaf\"", "invalid UTF-8"},
    {"{\"a\":[{\"b\":12345678901234567890}]}", "a[0].b: 12345678901234567890 cannot be kept exactly"},
    {"{\"x\":9007199254740993}", "x: 9007199254740993 cannot be kept exactly"},
    {"[1e999]", "[0]: 1e999 cannot be kept exactly"},
    {"-9007199254740993", "-9007199254740993 cannot be kept exactly"},
    {"{\"a\":-1e309}", "a: -1e309 cannot be kept exactly"},
    {"[0,[0,1000000000000000000000000000000000000000000000000000000000000000000000000]]",
     "[1][1]: 1000000000000000000000000000000000000000... cannot"},
    {"\xef\xbb\xbf{}", "malformed value"},
    {"\"\\ud800x\"", "lone surrogate"},
    {"\"\\ud800\\n\"", "lone surrogate"},
    {"\"\\ud800\\ud800\"", "lone surrogate"},
    {"\"\\u12g4\"", "malformed \\u escape"},
    {"\"\\u12\"", "malformed \\u escape"},
    {"\"\\", "string not ended"},
    {"\"\xed\xa0\x80\"", "invalid UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "invalid UTF-8"},
    {"\"\xe2\x82", "invalid UTF-8"},
    {"{\"a\":1,}", "key missing"},
    {"{\"a\":1", "',' or the end"},
    {"{\"a\":", "a: value missing"},
    {"{\"a\":1]", "',' or the end"},
    {"[", "[0]: value missing"},
    {"+1", "malformed value"},
    {".5", "malformed value"},
    {"1e", "malformed number"},
    {"1e+", "malformed number"},
    {"NaN", "malformed value"},
    {"True", "malformed value"},
    {"\v1", "malformed value"},
    {"// c\n1", "malformed value"},
};

static void refuses_what_cjson_lets_through(void **state)
{
	(void)state;
	for (size_t i = 0; i < AO_LEN(refused); i++) {
		cJSON *tree = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_json_parse(refused[i].text, strlen(refused[i].text), &tree, &err), -EINVAL);
		assert_null(tree);
		if (!strstr(ao_err_text(err), refused[i].why))
			fail_msg("%s: wanted '%s', got '%s'", refused[i].text, refused[i].why, ao_err_text(err));
	}
}

/** Bytes that a terminated text cannot hold. */
static void refuses_nul_bytes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
	} cases[] = {{"1\0", 2}, {"\"a\0\"", 4}, {"\"\\\0\"", 4}, {"[1,\0]", 5}, {"\0", 1}, {NULL, 0}};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		cJSON *tree = NULL;
		assert_int_equal(ao_json_parse(cases[i].text, cases[i].len, &tree, NULL), -EINVAL);
		assert_null(tree);
	}
}

static void refuses_depth(void **state)
{
	(void)state;
	char text[AO_JSON_MAX_DEPTH * 2 + 3];
	cJSON *tree = NULL;
	memset(text, '[', AO_JSON_MAX_DEPTH + 1);
	memset(text + AO_JSON_MAX_DEPTH + 1, ']', AO_JSON_MAX_DEPTH + 1);
	assert_int_equal(ao_json_parse(text, 2 * (AO_JSON_MAX_DEPTH + 1), &tree, NULL), -E2BIG);
	assert_int_equal(ao_json_parse(text + 1, 2 * AO_JSON_MAX_DEPTH, &tree, NULL), 0);
	cJSON_Delete(tree);
}

static void prints_what_it_read(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "{}", "[]", "null", "true", "\"x\"", "-1", "0.1", "9007199254740991", "{\"b\":[1,{\"a\":null}],\"a\":\"\\\"\\\\\\n\xc3\xa9\"}",
	};
	for (size_t i = 0; i < AO_LEN(texts); i++) {
		ao_auto_json cJSON *tree = parse(texts[i]);
		ao_auto_str char *text = ao_json_print(tree);
		assert_string_equal(text, texts[i]);
	}
	static const struct {
		const char *in, *out;
	} numbers[] = {
	    {"1.0", "1"},
	    {"-0", "0"},
	    {"1e3", "1000"},
	    {"1e15", "1000000000000000"},
	    {"1e20", "1e+20"},
	    {"1e-7", "1e-07"},
	    {"9007199254740994.0", "9.007199254740994e+15"}, /* as an integer it would be refused: more than 2^53 */
	    {"-56632172227690059.0", "-5.6632172227690056e+16"},
	    {"99999999999999980.0", "9.999999999999998e+16"},
	    {"-0.5", "-0.5"},
	    {"9007199254740992", "9007199254740992"},
	    {"5e-324", "4.94065645841247e-324"},
	    {"1.7976931348623157e308", "1.7976931348623157e+308"},
	    {"0.7999999999999999", "0.7999999999999999"},
	    {"-9007199254740992", "-9007199254740992"},
	    {"0.30000000000000004", "0.30000000000000004"},
	    {"123456789.125", "123456789.125"},
	};
	for (size_t i = 0; i < AO_LEN(numbers); i++) {
		ao_auto_json cJSON *tree = parse(numbers[i].in);
		ao_auto_str char *text = ao_json_print(tree);
		assert_string_equal(text, numbers[i].out);
	}
	ao_auto_json cJSON *escaped = parse("\"\\u00e9\\ud83d\\ude00\\/\\b\\u001f\"");
	ao_auto_str char *text = ao_json_print(escaped);
	assert_string_equal(text, "\"\xc3\xa9\xf0\x9f\x98\x80/\\b\\u001f\"");
}

static void pretty_is_for_people(void **state)
{
	(void)state;
	ao_auto_json cJSON *tree = parse("{\"b\":[1,{}],\"a\":{\"c\":[]}}");
	ao_auto_str char *text = ao_json_pretty(tree);
	assert_string_equal(text, "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"c\": []\n  }\n}\n");
}

static void equal_values_have_one_canonical_text(void **state)
{
	(void)state;
	ao_auto_json cJSON *a = parse("{\"x\":{\"b\":1,\"a\":[2,1]},\"w\":1}"),
			   *b = parse("{ \"w\": 1, \"x\": {\"a\": [2, 1], \"b\": 1.0} }");
	ao_auto_json cJSON *c = parse("{\"x\":{\"b\":1,\"a\":[1,2]},\"w\":1}");
	assert_true(ao_json_equal(a, b));
	assert_false(ao_json_equal(a, c));
	assert_true(ao_json_digest(a) == ao_json_digest(b));
	assert_false(ao_json_digest(a) == ao_json_digest(c));
	assert_true(ao_json_equal(NULL, NULL));
	assert_false(ao_json_equal(a, NULL));
}

static void difference_is_a_merge_patch(void **state)
{
	(void)state;
	static const struct {
		const char *from, *to, *patch; /* patch NULL: nothing differs */
	} cases[] = {
	    {"{}", "{}", NULL},
	    {"{\"a\":1}", "{\"a\":1}", NULL},
	    {"{\"a\":1}", "{\"a\":2}", "{\"a\":2}"},
	    {"{\"a\":1}", "{}", "{\"a\":null}"},
	    {"{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"b\":1,\"c\":3}}", "{\"a\":{\"c\":3}}"},
	    {"{\"a\":[1]}", "{\"a\":[1,2]}", "{\"a\":[1,2]}"},
	    {"{\"a\":{}}", "{\"a\":1}", "{\"a\":1}"},
	    {"{\"a\":1}", "{\"a\":{\"b\":2}}", "{\"a\":{\"b\":2}}"},
	    {"{\"a\":[null]}", "{\"a\":[1]}", "{\"a\":[1]}"},
	    /* null is as good as absent, on both sides */
	    {"{}", "{\"a\":null}", NULL},
	    {"{\"a\":null}", "{}", NULL},
	    {"{\"a\":1}", "{\"a\":null}", "{\"a\":null}"},
	    {"{\"a\":{}}", "{\"a\":{\"b\":null}}", NULL},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *from = parse(cases[i].from), *to = parse(cases[i].to), *patch = ao_json_merge_diff(from, to);
		ao_auto_str char *text = patch ? ao_json_canonical(patch) : NULL;
		if (cases[i].patch)
			assert_string_equal(text, cases[i].patch);
		else
			assert_null(patch);
	}
	ao_auto_json cJSON *whole = parse("{\"a\":1}"), *patch = ao_json_merge_diff(NULL, whole);
	assert_true(ao_json_equal(patch, whole));
}

static void looks_up_case_sensitively(void **state)
{
	(void)state;
	ao_auto_json cJSON *tree = parse("{\"metadata\":{\"name\":\"x\",\"n\":5},\"list\":[1]}");
	assert_string_equal(ao_json_str(tree, "metadata", "name"), "x");
	assert_null(ao_json_str(tree, "metadata", "Name"));
	assert_null(ao_json_str(tree, "metadata", "n"));
	assert_null(ao_json_at(tree, "list", "x"));
	assert_null(ao_json_at(NULL, "x"));
	int64_t n = 0;
	assert_true(ao_json_int(ao_json_at(tree, "metadata", "n"), &n));
	assert_int_equal(n, 5);
	ao_json_set_str(ao_json_object(tree, "metadata"), "name", NULL);
	assert_null(ao_json_at(tree, "metadata", "name"));
}

static void sets_and_reads_members(void **state)
{
	(void)state;
	ao_auto_json cJSON *tree = parse("{\"a\":[1],\"n\":9007199254740993.0,\"f\":1.5,\"big\":1e300}");
	ao_json_set_str(ao_json_object(tree, "a"), "b", "x"); /* the array gives way */
	ao_json_set_str(ao_json_object(tree, "c"), "d", "y");
	ao_json_set_str(tree, "absent", NULL);
	assert_string_equal(ao_json_str(tree, "a", "b"), "x");
	assert_string_equal(ao_json_str(tree, "c", "d"), "y");
	int64_t n = 7;
	assert_true(ao_json_int(ao_json_at(tree, "n"), &n)); /* written as a float: rounded to 2^53, as any reader would */
	assert_int_equal(n, AO_JSON_MAX_INT);
	assert_false(ao_json_int(ao_json_at(tree, "f"), &n) || ao_json_int(ao_json_at(tree, "big"), &n) || ao_json_int(NULL, &n));
	assert_int_equal(n, AO_JSON_MAX_INT);
	assert_ptr_equal(ao_json_at(tree), tree);
	ao_json_set(tree, ao_json_at(tree, "c")->string, cJSON_CreateNumber(1)); /* the key may be the one that goes */
	assert_true(cJSON_IsNumber(ao_json_at(tree, "c")));
}

/* ---- what chance makes ---- */

/** RFC 7386 as it is written there. */
static cJSON *apply_patch(const cJSON *target, const cJSON *patch)
{
	const cJSON *change;
	if (!cJSON_IsObject(patch))
		return cJSON_Duplicate(patch, 1);
	cJSON *result = cJSON_IsObject(target) ? cJSON_Duplicate(target, 1) : cJSON_CreateObject();
	cJSON_ArrayForEach (change, patch) {
		const cJSON *old = cJSON_GetObjectItemCaseSensitive(result, change->string);
		cJSON *member = cJSON_IsNull(change) ? NULL : apply_patch(old, change);
		cJSON_DeleteItemFromObjectCaseSensitive(result, change->string);
		if (member)
			cJSON_AddItemToObject(result, change->string, member);
	}
	return result;
}

static void strip_nulls(cJSON *object)
{
	for (cJSON *member = object->child, *next; member; member = next) {
		next = member->next;
		if (cJSON_IsNull(member))
			cJSON_Delete(cJSON_DetachItemViaPointer(object, member));
		else if (cJSON_IsObject(member))
			strip_nulls(member);
	}
}

/** One value changed, here or further down. */
static void disturb(cJSON *object)
{
	int count = cJSON_GetArraySize(object);
	cJSON *member = count ? cJSON_GetArrayItem(object, (int)chance((unsigned)count)) : NULL;
	if (member && cJSON_IsObject(member) && chance(2)) {
		disturb(member);
	} else if (member && chance(2)) {
		ao_auto_str char *key = ao_xstrdup(member->string);
		ao_json_set(object, key, random_value(2));
	} else if (member && chance(2)) {
		cJSON_Delete(cJSON_DetachItemViaPointer(object, member));
	} else {
		ao_json_set(object, "new", random_value(2));
	}
}

static void patches_turn_one_into_the_other(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		ao_auto_json cJSON *from = random_container(3, true), *to = shuffled(from);
		for (unsigned n = chance(5); n; n--)
			disturb(to);
		ao_auto_json cJSON *patch = ao_json_merge_diff(from, to);
		ao_auto_json cJSON *result = patch ? apply_patch(from, patch) : cJSON_Duplicate(from, 1);
		assert_null(ao_json_merge_diff(result, to)); /* whoever applied it has nothing left to do */
		strip_nulls(result);
		strip_nulls(to);
		assert_true(ao_json_equal(result, to));
	}
}

static void order_of_keys_does_not_matter(void **state)
{
	(void)state;
	for (int i = 0; i < 2000; i++) {
		ao_auto_json cJSON *value = random_container(4, true), *other = shuffled(value), *changed = shuffled(value);
		ao_auto_str char *one = ao_json_canonical(value), *two = ao_json_canonical(other);
		assert_string_equal(one, two);
		assert_true(ao_json_equal(value, other) && ao_json_equal(other, value));
		assert_true(ao_json_digest(value) == ao_json_digest(other));
		disturb(changed);
		ao_auto_str char *three = ao_json_canonical(changed);
		assert_int_equal(ao_json_equal(value, changed), strcmp(one, three) == 0);
		assert_int_equal(ao_json_equal(changed, value), strcmp(one, three) == 0);
	}
}

/** What somebody may store in an object must not stall us: each of these was quadratic once. */
static void many_keys_take_no_time(void **state)
{
	(void)state;
	enum { KEYS = 30000 };
	ao_auto_json cJSON *up = cJSON_CreateObject(), *down = cJSON_CreateObject();
	for (int i = 0; i < KEYS; i++) {
		ao_auto_str char *one = ao_xasprintf("k%d", i), *two = ao_xasprintf("k%d", KEYS - 1 - i);
		cJSON_AddItemToObject(up, one, cJSON_CreateNumber(1));
		cJSON_AddItemToObject(down, two, cJSON_CreateNumber(1));
	}
	clock_t start = clock();
	assert_true(ao_json_equal(up, down));
	assert_null(ao_json_merge_diff(up, down));
	assert_true(clock() - start < CLOCKS_PER_SEC); /* with sanitizers 0.1 s; walking the list takes 20 */
}

static void random_values_survive(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		ao_auto_json cJSON *value = random_value(5), *again = NULL, *pretty_again = NULL;
		ao_auto_str char *text = ao_json_print(value), *pretty = ao_json_pretty(value), *wide = spaced(text);
		ao_auto_json cJSON *wide_again = parse(wide);
		ao_auto_str char *wide_text = ao_json_print(wide_again);
		assert_string_equal(text, wide_text);
		assert_int_equal(ao_json_parse(text, strlen(text), &again, NULL), 0);
		assert_int_equal(ao_json_parse(pretty, strlen(pretty), &pretty_again, NULL), 0);
		assert_true(ao_json_equal(value, again) && ao_json_equal(value, pretty_again));
		/* a text cut anywhere is refused (a number cut is another number), and never read beyond: there is no byte after it */
		size_t cut = chance((unsigned)strlen(text));
		char *part = ao_xmalloc(cut ? cut : 1);
		memcpy(part, text, cut);
		cJSON *broken = NULL;
		assert_true(ao_json_parse(part, cut, &broken, NULL) < 0 || cJSON_IsNumber(value));
		cJSON_Delete(broken);
		free(part);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(refuses_what_cjson_lets_through),
	    cmocka_unit_test(refuses_nul_bytes),
	    cmocka_unit_test(refuses_depth),
	    cmocka_unit_test(prints_what_it_read),
	    cmocka_unit_test(pretty_is_for_people),
	    cmocka_unit_test(equal_values_have_one_canonical_text),
	    cmocka_unit_test(difference_is_a_merge_patch),
	    cmocka_unit_test(looks_up_case_sensitively),
	    cmocka_unit_test(sets_and_reads_members),
	    cmocka_unit_test(random_values_survive),
	    cmocka_unit_test(patches_turn_one_into_the_other),
	    cmocka_unit_test(order_of_keys_does_not_matter),
	    cmocka_unit_test(many_keys_take_no_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
