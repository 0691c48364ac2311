/* test_json_yaml.c -- YAML as kubectl reads it, and printing that reads back as what it was. */
#include "base/mem.h"
#include "json/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "test_json_random.h"

static void reads_what_kubectl_reads(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *json; /* the list of documents */
	} cases[] = {
	    {"", "[]"},
	    {"a: 1\n---\n---\nb: 2\n", "[{\"a\":1},{\"b\":2}]"},
	    {"a: yes\nb: 'yes'\nc: Off\nd: ~\ne:\n", "[{\"a\":true,\"b\":\"yes\",\"c\":false,\"d\":null,\"e\":null}]"},
	    {"a: 0x10\nb: 010\nc: 1.5\nd: 1e3\ne: 2020-01-01\nf: 1_0\n",
	     "[{\"a\":16,\"b\":8,\"c\":1.5,\"d\":1000,\"e\":\"2020-01-01\",\"f\":10}]"},
	    {"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", "[{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":{\"e\":2,\"b\":1}}]"},
	    {"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "[{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}]"},
	    {"{\"json\": [1, {\"x\": null}]}", "[{\"json\":[1,{\"x\":null}]}]"},
	    {"1: a\ntrue: b\n", "[{\"1\":\"a\",\"true\":\"b\"}]"},
	    {"a: !!str 5\n", "[{\"a\":\"5\"}]"},
	    {"[y, Y, n, N, yES, On, OFF, True, tRUE]", "[[true,true,false,false,\"yES\",true,false,true,\"tRUE\"]]"},
	    {"[null, Null, NULL, nULL, '', \"\", ~, '~']", "[[null,null,null,\"nULL\",\"\",\"\",null,\"~\"]]"},
	    {"[0x1F, -0x1f, 0b101, -0b11, 0o17, 017, -017, +12, 0, -0, 00, 1_000, 0x_0A_74_AE]",
	     "[[31,-31,5,-3,15,15,-15,12,0,0,0,1000,685230]]"},
	    {"[08, 09.5, 0x, 0xg, 0x0x1, 0b2, 0o8, '0x1', +, --1, 1-2, 12e, e3, _1, 1__]",
	     "[[8,9.5,\"0x\",\"0xg\",\"0x0x1\",\"0b2\",\"0o8\",\"0x1\",\"+\",\"--1\",\"1-2\",\"12e\",\"e3\",\"_1\",1]]"},
	    {"[1., .5, -.5, +.5, 1e3, 1E-2, 6.8523e+5, 685.230_15e+03, ., .., 1.2.3, .e3, 1e5e, 0x1p3, 1:30]",
	     "[[1,0.5,-0.5,0.5,1000,0.01,685230,685230.15,\".\",\"..\",\"1.2.3\",\".e3\",\"1e5e\",\"0x1p3\",\"1:30\"]]"},
	    {"[2026-01-02, 2026-01-02T15:04:05Z, 2026-01-02 15:04:05]",
	     "[[\"2026-01-02\",\"2026-01-02T15:04:05Z\",\"2026-01-02 15:04:05\"]]"},
	    {"[9007199254740992, -9007199254740992, 0x20000000000000]", "[[9007199254740992,-9007199254740992,9007199254740992]]"},
	    {"[!!int '5', !!float 5, !!float '1.5', !!bool 'yes', !!null '', !!timestamp 2026-01-02, !local 5]",
	     "[[5,5,1.5,true,null,\"2026-01-02\",\"5\"]]"},
	    {"%TAG !y! tag:yaml.org,2002:\n---\nv: !y!int '1'", "[{\"v\":1}]"},
	    {"!!map {a: !!seq [1]}", "[{\"a\":[1]}]"},
	    {"500m: 128Mi\nport: 8080\nimage: x:1.2\ncron: '*/5 * * * *'\n",
	     "[{\"500m\":\"128Mi\",\"port\":8080,\"image\":\"x:1.2\",\"cron\":\"*/5 * * * *\"}]"},
	    {"on: 1\n~: 2\n? k\n: v\n", "[{\"on\":1,\"~\":2,\"k\":\"v\"}]"},
	    {"'': 1", "[{\"\":1}]"},
	    {"a: &x 1\nb: *x\na2: &x 2\nc: *x\n", "[{\"a\":1,\"b\":1,\"a2\":2,\"c\":2}]"},
	    {"&k key: 1\nb: *k\n", "[{\"key\":1,\"b\":\"key\"}]"},
	    {"x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  c: 3\n",
	     "[{\"x\":{\"a\":1,\"b\":1},\"y\":{\"b\":2,\"c\":2},\"z\":{\"c\":3,\"a\":1,\"b\":1}}]"},
	    {"x: &x {a: 1}\nz: {<<: *x, <<: {b: 2}, a: 0}\n", "[{\"x\":{\"a\":1},\"z\":{\"a\":0,\"b\":2}}]"},
	    {"a: {<<: &in {b: &deep [1]}}\nc: *in\nd: *deep\n", "[{\"a\":{\"b\":[1]},\"c\":{\"b\":[1]},\"d\":[1]}]"},
	    {"\"<<\": 1\n'a': {'<<': 2}\n", "[{\"<<\":1,\"a\":{\"<<\":2}}]"},
	    {"# only a comment\n", "[]"},
	    {"null\n---\n~\n---\n{}\n---\n[]\n--- ''\n", "[{},[],\"\"]"},
	    {"\"\\u00e9\\U0001F600\\x41\": \"\\e\\N\\L\"", "[{\"\xc3\xa9\xf0\x9f\x98\x80"
							   "A\":\"\\u001b\xc2\x85\xe2\x80\xa8\"}]"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *documents = NULL;
		ao_auto_err ao_err *err = NULL;
		if (ao_yaml_parse(cases[i].yaml, strlen(cases[i].yaml), "t.yaml", &documents, &err) < 0)
			fail_msg("%s: %s", cases[i].yaml, ao_err_text(err));
		ao_auto_str char *text = ao_json_print(documents);
		assert_string_equal(text, cases[i].json);
	}
}

static void names_file_line_and_column(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *why;
	} cases[] = {
	    {"a: 1\na: 2\n", "t.yaml:2:1: duplicate key 'a'"},
	    {"a: [1\n", "t.yaml:2:1: "},
	    {"a:\n  b: 99999999999999999999\n", "t.yaml:2:6: a.b: 99999999999999999999 cannot be kept exactly; put it in quotes"},
	    {"? [a]\n: b\n", "t.yaml:1:3: a key must be a plain text"},
	    {"a: *nope\n", "t.yaml:1:4: unknown alias"},
	    {"a: &x [*x]\n", "t.yaml:1:8: unknown alias"},
	    {"a: &x 1\n---\nb: *x\n", "t.yaml:3:4: unknown alias"},
	    {"a:\n- {b: [0, 9007199254740993]}\n", "t.yaml:2:11: a[0].b[1]: 9007199254740993 cannot be kept exactly; put it in quotes"},
	    {"0x20000000000001", "t.yaml:1:1: 0x20000000000001 cannot be kept"},
	    {"a: -.Inf", "t.yaml:1:4: a: -.Inf cannot be kept"},
	    {"a: .nan", "t.yaml:1:4: a: .nan cannot be kept"},
	    {"a: 1e999", "t.yaml:1:4: a: 1e999 cannot be kept"},
	    {"a: !!int x", "t.yaml:1:4: 'x' is not a valid !!int"},
	    {"a: !!int 1.5", "t.yaml:1:4: '1.5' is not a valid !!int"},
	    {"a: !!bool 1", "t.yaml:1:4: '1' is not a valid !!bool"},
	    {"a: !!binary aGk=", "t.yaml:1:4: !!binary is not supported"},
	    {"a: 1\n<<: 5\n", "t.yaml:2:5: << wants a mapping"},
	    {"a: 1\n<<: [{b: 1}, 2]\n", "t.yaml:2:5: << wants a mapping"},
	    {"a: 1\n<<: [[{b: 1}]]\n", "t.yaml:2:5: << wants a mapping"},
	    {"\"a\\0\": 1\n", "t.yaml:1:1: a NUL character"},
	    {"a: \"\\0\"\n", "t.yaml:1:4: a NUL character"},
	    {"&x a: 1\n*x : 2\n", "t.yaml:2:1: a key must be a plain text"},
	    {"{{a: 1}: 2}", "t.yaml:1:2: a key must be a plain text"},
	    {"1: a\n'1': b\n", "t.yaml:2:1: duplicate key '1'"},
	    {"ok: 1\nbad: \xff\n", "t.yaml:2:6: invalid leading UTF-8 octet"},
	    {"a: \"\\ud800\"", "t.yaml:1:"},
	    {"a: b: c\n", "t.yaml:1:5: mapping values are not allowed in this context"},
	    {"\ta: 1\n", "t.yaml:1:"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		cJSON *documents = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_yaml_parse(cases[i].yaml, strlen(cases[i].yaml), "t.yaml", &documents, &err), -EINVAL);
		if (strncmp(ao_err_text(err), cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("wanted '%s', got '%s'", cases[i].why, ao_err_text(err));
	}
}

static void a_few_lines_do_not_become_gigabytes(void **state)
{
	(void)state;
	ao_buf bomb = ao_buf_init(4096);
	cJSON *documents = NULL;
	ao_buf_puts(&bomb, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 12; i++)
		ao_buf_printf(&bomb, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1,
			      i - 1, i - 1, i - 1);
	assert_int_equal(ao_yaml_parse(bomb.data, bomb.len, "bomb.yaml", &documents, NULL), -E2BIG);
	ao_buf_free(&bomb);
}

/** `unit` with up to four numbers in it, `count` times. */
static char *repeated(const char *first, const char *unit, int count, const char *last)
{
	ao_buf text = ao_buf_init(1 << 24);
	ao_buf_puts(&text, first);
	for (int i = 0; i < count; i++)
		ao_buf_printf(&text, unit, i, i, i, i);
	ao_buf_puts(&text, last);
	return ao_buf_steal(&text);
}

static int parse_code(const char *text)
{
	ao_auto_json cJSON *documents = NULL;
	return ao_yaml_parse(text, strlen(text), "t", &documents, NULL);
}

static void depth_and_nodes_are_capped(void **state)
{
	(void)state;
	ao_auto_str char *open = repeated("", "[", AO_JSON_MAX_DEPTH, ""), *deep = repeated(open, "]", AO_JSON_MAX_DEPTH, "");
	ao_auto_str char *too_deep = ao_xasprintf("[%s]", deep);
	assert_int_equal(parse_code(deep), 0);
	assert_int_equal(parse_code(too_deep), -E2BIG);
	/* neither side is deep, but the one within the other is */
	ao_auto_str char *forty = repeated("", "[", 40, ""), *a = repeated(forty, "]", 40, ""), *b = repeated("", "]", 40, "");
	ao_auto_str char *tower = ao_xasprintf("a: &a %s\nb: %s*a%s\n", a, forty, b);
	ao_auto_str char *side_by_side = ao_xasprintf("a: &a %s\nb: [*a]\n", a);
	assert_int_equal(parse_code(tower), -E2BIG);
	assert_int_equal(parse_code(side_by_side), 0);
}

/** Each of these took memory or time out of proportion once. */
static void large_files_are_read_or_refused_soon(void **state)
{
	(void)state;
	ao_auto_str char *many = repeated("", "k%d: v\n", 60000, ""), *too_many = repeated("", "k%d: v\n", 101000, "");
	ao_auto_str char *merges = repeated("base: &b {a: 1, b: 2, c: 3, d: 4}\nlist:\n", "- {<<: *b, e: %d}\n", 30000, "");
	ao_auto_str char *open = repeated("", "&a%d [", AO_JSON_MAX_DEPTH - 1, ""), *close = repeated("", "]", AO_JSON_MAX_DEPTH - 1, "");
	ao_auto_str char *items = repeated("", "1, ", 100000, "1"), *anchors = ao_xasprintf("%s%s%s", open, items, close);
	/* 150 KB of text that were 962 MB in memory: a long text named often, alone, in a mapping, and merged */
	ao_auto_str char *letters = repeated("", "xxxxxxxxxx", 10000, ""),
			 *named = ao_xasprintf("a: &a %s\nb: &b {k: *a}\nlist:\n", letters);
	ao_auto_str char *texts = repeated(named, "- *a\n", 9600, ""), *maps = repeated(named, "- *b\n", 9600, "");
	ao_auto_str char *merged = repeated(named, "- <<: *b\n", 9600, ""), *some = repeated(named, "- *a\n", 30, "");
	clock_t start = clock();
	assert_int_equal(parse_code(texts), -E2BIG);
	assert_int_equal(parse_code(maps), -E2BIG);
	assert_int_equal(parse_code(merged), -E2BIG);
	assert_int_equal(parse_code(some), 0);
	assert_int_equal(parse_code(many), 0);
	assert_int_equal(parse_code(too_many), -E2BIG);
	assert_int_equal(parse_code(merges), -E2BIG);
	assert_int_equal(parse_code(anchors), 0);
	assert_true(clock() - start < 20 * CLOCKS_PER_SEC); /* with sanitizers 2 s */
}

static void looks_like_kubectls_output(void **state)
{
	(void)state;
	static const char json[] =
	    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"annotations\":{\"a.b/c\":\"true\","
	    "\"json\":\"{\\\"a\\\":1}\"},\"creationTimestamp\":\"2026-01-02T15:04:05Z\",\"labels\":{}},\"spec\":{"
	    "\"replicas\":2,\"cron\":\"*/5 * * * *\",\"template\":{\"spec\":{\"containers\":[{\"name\":\"x\",\"args\":[\"-c\","
	    "\"echo 'a: b'\",\"a: 'b'\",\"x=1\",\"--flag\"],\"resources\":{\"cpu\":\"500m\",\"memory\":\"128Mi\",\"n\":\"1\","
	    "\"v\":\"1.2.3\"},\"script\":\"#!/bin/sh\\nset -e\\n\\nexec x\\n\"}],\"volumes\":[]}}}}";
	static const char want[] = "apiVersion: apps/v1\n"
				   "kind: Deployment\n"
				   "metadata:\n"
				   "  annotations:\n"
				   "    a.b/c: \"true\"\n"
				   "    json: '{\"a\":1}'\n"
				   "  creationTimestamp: \"2026-01-02T15:04:05Z\"\n"
				   "  labels: {}\n"
				   "spec:\n"
				   "  replicas: 2\n"
				   "  cron: '*/5 * * * *'\n"
				   "  template:\n"
				   "    spec:\n"
				   "      containers:\n"
				   "      - name: x\n"
				   "        args:\n"
				   "        - -c\n"
				   "        - 'echo ''a: b'''\n"
				   "        - 'a: ''b'''\n"
				   "        - x=1\n"
				   "        - --flag\n"
				   "        resources:\n"
				   "          cpu: 500m\n"
				   "          memory: 128Mi\n"
				   "          \"n\": \"1\"\n"
				   "          v: 1.2.3\n"
				   "        script: |\n"
				   "          #!/bin/sh\n"
				   "          set -e\n"
				   "\n"
				   "          exec x\n"
				   "      volumes: []\n";
	ao_auto_json cJSON *value = NULL;
	ao_auto_buf ao_buf text = ao_buf_init(65536);
	assert_int_equal(ao_json_parse(json, strlen(json), &value, NULL), 0);
	ao_yaml_print(value, &text);
	assert_string_equal(text.data, want);
}

static const char *const quoted_strings[] = {
    "",
    "~",
    "null",
    "NULL",
    "nULL",
    "true",
    "TrUe",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "0",
    "-1",
    "+1",
    "1.5",
    ".5",
    "1e3",
    "0x1",
    "0o7",
    "017",
    "1_0",
    ".inf",
    "-.Inf",
    ".nan",
    "1:30",
    "12:30:45",
    "=",
    "<<",
    "-",
    "- a",
    "? a",
    "?",
    ":",
    ": a",
    "a:",
    "a: b",
    "a #b",
    "#a",
    " a",
    "a ",
    "'a'",
    "\"a\"",
    "!a",
    "&a",
    "*a",
    "|",
    ">",
    "@a",
    "`a",
    "%a",
    "{a",
    "[a",
    "]",
    "}",
    ",a",
    "---",
    "...",
    "--- a",
    "a\tb",
    "a\nb ",
    "\x7f",
    "\xc2\x85",
    "\xe2\x80\xa8",
    "\xef\xbb\xbf",
    "2026-01-02",
    "2026-01-02T15:04:05Z",
};

static const char *const plain_strings[] = {
    "a",
    "a b",
    "a:b",
    "a#b",
    "http://x/y?z=1#f",
    "10.0.0.1",
    "500m",
    "128Mi",
    "1h30m",
    "x=1",
    "-c",
    "--flag",
    "a'b",
    "a\"b",
    "?a",
    ":a",
    "yess",
    "nullx",
    "_1",
    "1.2.3",
    "v1",
    "a,b",
    "a]",
    "$(X)",
    "/bin/sh",
    "<a>",
    "caf\xc3\xa9",
    "\xf0\x9f\x98\x80",
    "8080:80x",
    ".",
    "..",
    "e3",
};

/** What we or other readers would take for something else than a string, and what nobody would. */
static void strings_are_quoted_where_needed(void **state)
{
	(void)state;
	for (size_t i = 0; i < AO_LEN(quoted_strings) + AO_LEN(plain_strings); i++) {
		bool is_plain = i >= AO_LEN(quoted_strings);
		const char *text = is_plain ? plain_strings[i - AO_LEN(quoted_strings)] : quoted_strings[i];
		ao_auto_json cJSON *value = cJSON_CreateString(text);
		ao_auto_buf ao_buf out = ao_buf_init(1024);
		ao_yaml_print(value, &out);
		if ((*out.data != '"' && *out.data != '\'') != is_plain)
			fail_msg("'%s' printed as %s", text, out.data);
	}
}

static void reads_back(const cJSON *value)
{
	ao_auto_json cJSON *documents = NULL;
	ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
	ao_auto_err ao_err *err = NULL;
	ao_yaml_print(value, &text);
	if (ao_yaml_parse(text.data, text.len, "printed", &documents, &err) < 0)
		fail_msg("%s\n%s", text.data, ao_err_text(err));
	if (cJSON_IsNull(value) ? documents->child != NULL : !ao_json_equal(value, documents->child))
		fail_msg("%s", text.data);
	/* and with another document behind it, as a file of several has them */
	cJSON_Delete(AO_TAKE(documents));
	ao_buf_puts(&text, "---\nlast\n");
	assert_int_equal(ao_yaml_parse(text.data, text.len, "printed", &documents, NULL), 0);
	assert_true(cJSON_IsNull(value) || ao_json_equal(value, documents->child));
}

static void random_values_read_back(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		ao_auto_json cJSON *value = random_value(4);
		reads_back(value);
	}
	for (int i = 0; i < 20000; i++) {
		ao_auto_str char *text = random_text();
		ao_auto_json cJSON *object = cJSON_CreateObject(), *list = cJSON_CreateArray(), *value = cJSON_CreateString(text);
		ao_json_set_str(object, text, text);
		cJSON_AddItemToArray(list, cJSON_CreateString(text));
		cJSON_AddItemToArray(list, cJSON_Duplicate(object, 1));
		reads_back(chance(3) ? list : chance(2) ? object : value);
	}
}

/** JSON is YAML but for a few characters, and keys that end too far from where they began. */
static void reads_json_as_json(void **state)
{
	(void)state;
	static const char *const apart[] = {"\x7f", "\xc2\x85", "\xe2\x80\xa8", "\xef\xbf\xbf", "longlong"};
	int compared = 0;
	for (int i = 0; i < 2000; i++) {
		ao_auto_json cJSON *value = random_container(3, true), *documents = NULL;
		ao_auto_str char *text = ao_json_print(value);
		ao_auto_err ao_err *err = NULL;
		bool differs = false;
		for (size_t k = 0; k < AO_LEN(apart); k++)
			differs = differs || strstr(text, apart[k]);
		if (differs)
			continue;
		if (ao_yaml_parse(text, strlen(text), "json", &documents, &err) < 0)
			fail_msg("%s\n%s", text, ao_err_text(err));
		assert_true(ao_json_equal(value, documents->child));
		compared++;
	}
	assert_true(compared > 200);
}

static void prints_what_reads_back(void **state)
{
	(void)state;
	static const char *const values[] = {
	    "{\"a\":\"yes\",\"b\":\"~\",\"c\":\"\",\"d\":\"1.5\",\"e\":\"2020-01-01\",\"f\":\"0x1F\",\"g\":\"null\",\"h\":\"- "
	    "x\",\"i\":\"a: b\",\"j\":\"#x\",\"k\":\"x #y\"}",
	    "{\"a\":{},\"b\":[],\"c\":[[],[1,[2]],{\"x\":[{\"y\":1,\"z\":[]}]}],\"d\":null,\"e\":true,\"f\":-1.25}",
	    "{\"a\":\"x\\ny\\n\",\"b\":\"x\\ny\",\"c\":\"\\nx\",\"d\":\" x\\ny\",\"e\":\"x "
	    "\\ny\",\"f\":\"x\\n\\n\",\"g\":\"tab\\there\",\"h\":\"\\u0001\"}",
	    "[{\"name\":\"x\",\"list\":[\"a\\nb\\n\",\"c\"]},\"*x\",\"&x\",\"!x\",\"%x\",\"@x\",\"`x\",\"{x\",\"[x\",\"x:\",\"?\",\"=\",\"<"
	    "<\",\"-\",\"+1\",\".5\"]",
	    "{\"key: x\":1,\"yes\":2,\"\":3,\"a b\":4,\"- k\":5}",
	};
	for (size_t i = 0; i < AO_LEN(values); i++) {
		ao_auto_json cJSON *value = NULL, *documents = NULL;
		ao_auto_buf ao_buf text = ao_buf_init(65536);
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_json_parse(values[i], strlen(values[i]), &value, NULL), 0);
		ao_yaml_print(value, &text);
		if (ao_yaml_parse(text.data, text.len, "printed", &documents, &err) < 0)
			fail_msg("%s\n%s", text.data, ao_err_text(err));
		if (!ao_json_equal(value, cJSON_GetArrayItem(documents, 0)))
			fail_msg("%s", text.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_kubectl_reads),
	    cmocka_unit_test(names_file_line_and_column),
	    cmocka_unit_test(a_few_lines_do_not_become_gigabytes),
	    cmocka_unit_test(prints_what_reads_back),
	    cmocka_unit_test(depth_and_nodes_are_capped),
	    cmocka_unit_test(large_files_are_read_or_refused_soon),
	    cmocka_unit_test(looks_like_kubectls_output),
	    cmocka_unit_test(strings_are_quoted_where_needed),
	    cmocka_unit_test(random_values_read_back),
	    cmocka_unit_test(reads_json_as_json),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
