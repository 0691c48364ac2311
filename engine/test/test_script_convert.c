/* JSON to Lua and back: tables of cases, then random trees. */
#include "script/convert.h"

#include "script/host.h"
#include "script_case.h"

#include <stdio.h>

typedef struct trip {
	const cJSON *in;
	const char *code; /* Lua source of a function (value, json) -> result; NULL: the value itself */
	ao_taken out;
} trip;

static void open_body(lua_State *L, void *arg)
{
	(void)arg;
	ao_host_open(L);
	ao_convert_open(L);
}

static void trip_body(lua_State *L, void *arg)
{
	trip *t = arg;
	if (luaL_loadstring(L, t->code ? t->code : "return ...") != LUA_OK)
		lua_error(L);
	ao_convert_push(L, t->in);
	ao_host_require(L, "json");
	lua_call(L, 2, 1);
	int top = lua_gettop(L);
	ao_convert_take(L, -1, &t->out);
	assert_int_equal(lua_gettop(L), top);
}

static int setup(void **state)
{
	ao_vm *vm = NULL;
	ao_limits limits = {.steps = UINT64_MAX / 8, .cpu_ms = 100000};
	assert_int_equal(ao_vm_new(&limits, &vm, NULL), 0);
	assert_int_equal(ao_vm_run(vm, open_body, NULL, NULL, NULL), 0);
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	ao_vm_free(*state);
	return 0;
}

static void assert_same(ao_vm *vm, const cJSON *value)
{
	trip t = {.in = value};
	ao_auto_err ao_err *err = NULL;
	if (ao_vm_run(vm, trip_body, &t, NULL, &err) != 0)
		fail_msg("%s", ao_err_text(err));
	if (!ao_json_equal(value, t.out.tree)) {
		ao_auto_str char *a = ao_json_print(value), *b = ao_json_print(t.out.tree);
		fail_msg("%s became %s", a, b);
	}
	ao_taken_clear(&t.out);
}

static void test_values_come_back(void **state)
{
	static const char *const values[] = {
	    "null",
	    "true",
	    "false",
	    "0",
	    "-1",
	    "8080",
	    "9007199254740992",
	    "-9007199254740992",
	    "0.5",
	    "-2.5e-10",
	    "1e300",
	    "\"\"",
	    "\"text\"",
	    "\"\xc3\xa9\xf0\x9f\x98\x80\"",
	    "[]",
	    "{}",
	    "[[]]",
	    "[{}]",
	    "{\"a\":[]}",
	    "{\"a\":{}}",
	    "[null]",
	    "[null,null]",
	    "{\"a\":null}",
	    "[1,null,3]",
	    "{\"1\":\"a string key\",\"2\":0}",
	    "{\"\":1}",
	    "{\"A\":1,\"a\":2}",
	    "[1,2,[3,[4,{\"x\":[{\"y\":{}}]}]]]",
	    "{\"metadata\":{\"annotations\":{\"a.b/c\":\"d\"}},\"spec\":{\"ports\":[{\"port\":80}],\"command\":[],\"on\":true}}",
	};
	for (size_t i = 0; i < AO_LEN(values); i++) {
		ao_auto_json cJSON *value = parse(values[i]);
		assert_same(*state, value);
	}
}

static uint64_t seed = 7;

static unsigned draw(unsigned below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(seed >> 33) % below;
}

static cJSON *random_value(int depth)
{
	switch (draw(depth > 5 ? 5 : 7)) {
	case 0:
		return cJSON_CreateNull();
	case 1:
		return cJSON_CreateBool(draw(2) != 0);
	case 2:
		return cJSON_CreateNumber((double)draw(1u << 30) - (1 << 29));
	case 3:
		return cJSON_CreateNumber(((double)draw(1u << 30) - (1 << 29)) / (1 + draw(1000)));
	case 4: {
		char text[64];
		unsigned len = draw(sizeof(text));
		for (unsigned i = 0; i < len; i++)
			text[i] = (char)(1 + draw(126));
		text[len ? len - 1 : 0] = '\0';
		return cJSON_CreateString(text);
	}
	case 5: {
		cJSON *list = cJSON_CreateArray();
		for (unsigned n = draw(8); n; n--)
			cJSON_AddItemToArray(list, random_value(depth + 1));
		return list;
	}
	default: {
		cJSON *object = cJSON_CreateObject();
		for (unsigned n = draw(8); n; n--) {
			char key[24];
			snprintf(key, sizeof(key), draw(3) ? "key%u" : "%u", draw(40));
			if (!cJSON_GetObjectItemCaseSensitive(object, key))
				cJSON_AddItemToObject(object, key, random_value(depth + 1));
		}
		return object;
	}
	}
}

static void test_random_trees_come_back(void **state)
{
	for (int i = 0; i < 3000; i++) {
		ao_auto_json cJSON *value = random_value(0);
		assert_same(*state, value);
	}
}

static void test_lua_values_become_json(void **state)
{
	static const struct {
		const char *code, *json;
	} cases[] = {
	    {"return nil == select(1, ...) and {} or 1", "1"},
	    {"return {}", "{}"},
	    {"return { 1, 2, 3 }", "[1,2,3]"},
	    {"return { [2] = 'b', [1] = 'a' }", "[\"a\",\"b\"]"},
	    {"return { b = 1, a = 2, c = 3, aa = 4, A = 5 }", "{\"A\":5,\"a\":2,\"aa\":4,\"b\":1,\"c\":3}"},
	    {"local _, json = ...; return json.array {}", "[]"},
	    {"local _, json = ...; return json.null", "null"},
	    {"local _, json = ...; return { x = json.null, y = nil }", "{\"x\":null}"},
	    {"return 10 / 2", "5"},
	    {"return -0.0", "0"},
	    {"return 2 ^ 53", "9007199254740992"},
	    {"return math.maxinteger >> 11", "4503599627370495"},
	    {"local t = { 1 }; return { t, t }", "[[1],[1]]"},
	    {"return { ['a.b/c'] = true }", "{\"a.b/c\":true}"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *one = cJSON_CreateNumber(1);
		trip t = {.in = one, .code = cases[i].code};
		ao_auto_err ao_err *err = NULL;
		if (ao_vm_run(*state, trip_body, &t, NULL, &err) != 0)
			fail_msg("%s: %s", cases[i].code, ao_err_text(err));
		ao_auto_str char *text = ao_json_print(t.out.tree);
		assert_string_equal(text, cases[i].json);
		ao_taken_clear(&t.out);
	}
}

static void test_what_is_no_json_is_named_by_path(void **state)
{
	static const struct {
		const char *code, *text;
	} cases[] = {
	    {"return function() end", "result: a function cannot be written as JSON"},
	    {"return nil", "result: a nil cannot be written as JSON"},
	    {"return { objects = { { o = {} }, { object = { spec = { x = print or type } } } } }",
	     "objects[1].object.spec.x: a function cannot be written as JSON"},
	    {"return { a = { 1, x = 2 } }", "a: keys mix numbers and strings"},
	    {"local _, json = ...; return { a = json.array { x = 2 } }", "a: keys mix numbers and strings"},
	    {"return { a = { 1, nil, 3 } }", "a: a list with holes"},
	    {"return { a = { [2] = 1 } }", "a: a list with holes"},
	    {"return { a = { [0] = 1 } }", "a: a list starts at 1"},
	    {"return { a = { [-1] = 1 } }", "a: a list starts at 1"},
	    {"return { a = { [1.5] = 1 } }", "a: a key that is a fraction"},
	    {"return { a = { [true] = 1 } }", "a: a key that is a boolean"},
	    {"return { a = { [{}] = 1 } }", "a: a key that is a table"},
	    {"return { a = 0 / 0 }", "a: not-a-number"},
	    {"return { a = { b = 1 / 0 } }", "a.b: an infinite number"},
	    {"return { a = -1 / 0 }", "a: an infinite number"},
	    {"return { a = (1 << 53) + 1 }", "a: an integer beyond 2^53"},
	    {"return { a = math.mininteger }", "a: an integer beyond 2^53"},
	    {"return { a = setmetatable({}, {}) }", "a: a table with a metatable"},
	    {"return { a = 'x\\0y' }", "a: a string with a NUL byte"},
	    {"return { a = 'x\\xff' }", "a: a string that is not UTF-8"},
	    {"return { a = '\\xed\\xa0\\x80' }", "a: a string that is not UTF-8"},
	    {"return { a = { ['k\\0'] = 1 } }", "a: a string with a NUL byte"},
	    {"return { ['a.b/c'] = { ['x y'] = type } }", "[\"a.b/c\"][\"x y\"]: a function"},
	    {"local t = {}; t.t = t; return t", "t.t.t.t"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		trip t = {.code = cases[i].code};
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_vm_run(*state, trip_body, &t, NULL, &err), -EINVAL);
		if (strncmp(ao_err_text(err), cases[i].text, strlen(cases[i].text)) != 0)
			fail_msg("%s: %s", cases[i].code, ao_err_text(err));
		ao_taken_clear(&t.out);
	}
}

static cJSON *nested(int depth)
{
	cJSON *value = cJSON_CreateObject();
	while (--depth > 0) {
		cJSON *outer = depth % 2 ? cJSON_CreateArray() : cJSON_CreateObject();
		if (cJSON_IsArray(outer))
			cJSON_AddItemToArray(outer, value);
		else
			cJSON_AddItemToObject(outer, "x", value);
		value = outer;
	}
	return value;
}

static void test_depth_has_a_cap(void **state)
{
	ao_auto_json cJSON *deep = nested(64), *deeper = nested(65), *too_deep = nested(200);
	assert_same(*state, deep);
	trip t = {.in = deeper};
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_vm_run(*state, trip_body, &t, NULL, &err), -EINVAL);
	assert_text(ao_err_text(err), "nested more than 64 levels deep");
	ao_taken_clear(&t.out);
	t.in = too_deep;
	assert_int_equal(ao_vm_run(*state, trip_body, &t, NULL, &err), -EINVAL);
	assert_text(ao_err_text(err), "the snapshot is nested more than 68 levels deep");
	ao_taken_clear(&t.out);
}

static void test_integers_stay_integers(void **state)
{
	ao_auto_json cJSON *value = parse("{\"port\":8080,\"big\":9007199254740992,\"half\":0.5,\"huge\":1e300}");
	trip t = {.in = value,
		  .code = "local v = ...; return { tostring(v.port), math.type(v.big), math.type(v.half), math.type(v.huge) }"};
	assert_int_equal(ao_vm_run(*state, trip_body, &t, NULL, NULL), 0);
	ao_auto_str char *text = ao_json_print(t.out.tree);
	assert_string_equal(text, "[\"8080\",\"integer\",\"float\",\"float\"]");
	ao_taken_clear(&t.out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values_come_back),       cmocka_unit_test(test_random_trees_come_back),
	    cmocka_unit_test(test_lua_values_become_json), cmocka_unit_test(test_what_is_no_json_is_named_by_path),
	    cmocka_unit_test(test_depth_has_a_cap),        cmocka_unit_test(test_integers_stay_integers),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
