/* test_json_json.c -- the strict parser, the printers, comparison and merge patches. */
#include "base/mem.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return tree;
}

static void refuses_what_cjson_lets_through(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} cases[] = {
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
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		cJSON *tree = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_json_parse(cases[i].text, strlen(cases[i].text), &tree, &err), -EINVAL);
		assert_null(tree);
		if (!strstr(ao_err_text(err), cases[i].why))
			fail_msg("%s: wanted '%s', got '%s'", cases[i].text, cases[i].why, ao_err_text(err));
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
	ao_auto_json cJSON *float_tree = parse("[1.0,-0,1e3]");
	ao_auto_str char *text = ao_json_print(float_tree);
	assert_string_equal(text, "[1,0,1000]");
}

static void equal_values_have_one_canonical_text(void **state)
{
	(void)state;
	ao_auto_json cJSON *a = parse("{\"x\":{\"b\":1,\"a\":[2,1]},\"w\":1}"), *b = parse("{ \"w\": 1, \"x\": {\"a\": [2, 1], \"b\": 1.0} }");
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

/* ---- what chance makes ---- */

static unsigned seed = 7;

static unsigned chance(unsigned below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % below;
}

static cJSON *random_value(int depth)
{
	static const char *const words[] = {"", "a", "yes", "12", "~", "a: b", "- x", "line\nline\n", "\xe2\x82\xac \"q\"", " lead", "#c", "0x1F"};
	cJSON *value;
	switch (chance(depth ? 7 : 5)) {
	case 0:
		return cJSON_CreateNull();
	case 1:
		return cJSON_CreateBool((int)chance(2));
	case 2:
		return cJSON_CreateNumber((double)chance(100000) - 500);
	case 3:
		return cJSON_CreateNumber(chance(1000) / 8.0);
	case 4:
		return cJSON_CreateString(words[chance(AO_LEN(words))]);
	case 5:
		value = cJSON_CreateArray();
		for (unsigned n = chance(4); n; n--)
			cJSON_AddItemToArray(value, random_value(depth - 1));
		return value;
	default:
		value = cJSON_CreateObject();
		for (unsigned n = chance(4); n; n--) {
			ao_auto_str char *key = ao_xasprintf("k%u%s", n, words[chance(AO_LEN(words))]);
			ao_json_set(value, key, random_value(depth - 1));
		}
		return value;
	}
}

static void random_values_survive(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		ao_auto_json cJSON *value = random_value(5), *again = NULL, *pretty_again = NULL;
		ao_auto_str char *text = ao_json_print(value), *pretty = ao_json_pretty(value);
		assert_int_equal(ao_json_parse(text, strlen(text), &again, NULL), 0);
		assert_int_equal(ao_json_parse(pretty, strlen(pretty), &pretty_again, NULL), 0);
		assert_true(ao_json_equal(value, again) && ao_json_equal(value, pretty_again));
		/* a text cut anywhere is refused, never read beyond */
		size_t cut = strlen(text) ? chance((unsigned)strlen(text)) : 0;
		ao_auto_str char *part = ao_xstrndup(text, cut);
		cJSON *broken = NULL;
		if (ao_json_parse(part, cut, &broken, NULL) == 0)
			cJSON_Delete(broken);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_cjson_lets_through),
		cmocka_unit_test(refuses_depth),
		cmocka_unit_test(prints_what_it_read),
		cmocka_unit_test(equal_values_have_one_canonical_text),
		cmocka_unit_test(difference_is_a_merge_patch),
		cmocka_unit_test(looks_up_case_sensitively),
		cmocka_unit_test(random_values_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
