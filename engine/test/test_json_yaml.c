/* test_json_yaml.c -- YAML as kubectl reads it, and printing that reads back as what it was. */
#include "base/mem.h"
#include "json/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void reads_what_kubectl_reads(void **state)
{
	(void)state;
	static const struct {
		const char *yaml, *json; /* the list of documents */
	} cases[] = {
		{"", "[]"},
		{"a: 1\n---\n---\nb: 2\n", "[{\"a\":1},{\"b\":2}]"},
		{"a: yes\nb: 'yes'\nc: Off\nd: ~\ne:\n", "[{\"a\":true,\"b\":\"yes\",\"c\":false,\"d\":null,\"e\":null}]"},
		{"a: 0x10\nb: 010\nc: 1.5\nd: 1e3\ne: 2020-01-01\nf: 1_0\n", "[{\"a\":16,\"b\":8,\"c\":1.5,\"d\":1000,\"e\":\"2020-01-01\",\"f\":\"1_0\"}]"},
		{"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n", "[{\"a\":{\"b\":1},\"c\":{\"b\":1},\"d\":{\"e\":2,\"b\":1}}]"},
		{"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "[{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}]"},
		{"{\"json\": [1, {\"x\": null}]}", "[{\"json\":[1,{\"x\":null}]}]"},
		{"1: a\ntrue: b\n", "[{\"1\":\"a\",\"true\":\"b\"}]"},
		{"a: !!str 5\n", "[{\"a\":\"5\"}]"},
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
		{"a:\n  b: 99999999999999999999\n", "t.yaml:2:6: number cannot be kept exactly"},
		{"? [a]\n: b\n", "t.yaml:1:3: a key must be a plain text"},
		{"a: *nope\n", "t.yaml:1:4: unknown alias"},
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
		ao_buf_printf(&bomb, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	assert_int_equal(ao_yaml_parse(bomb.data, bomb.len, "bomb.yaml", &documents, NULL), -E2BIG);
	ao_buf_free(&bomb);
}

static void prints_what_reads_back(void **state)
{
	(void)state;
	static const char *const values[] = {
		"{\"a\":\"yes\",\"b\":\"~\",\"c\":\"\",\"d\":\"1.5\",\"e\":\"2020-01-01\",\"f\":\"0x1F\",\"g\":\"null\",\"h\":\"- x\",\"i\":\"a: b\",\"j\":\"#x\",\"k\":\"x #y\"}",
		"{\"a\":{},\"b\":[],\"c\":[[],[1,[2]],{\"x\":[{\"y\":1,\"z\":[]}]}],\"d\":null,\"e\":true,\"f\":-1.25}",
		"{\"a\":\"x\\ny\\n\",\"b\":\"x\\ny\",\"c\":\"\\nx\",\"d\":\" x\\ny\",\"e\":\"x \\ny\",\"f\":\"x\\n\\n\",\"g\":\"tab\\there\",\"h\":\"\\u0001\"}",
		"[{\"name\":\"x\",\"list\":[\"a\\nb\\n\",\"c\"]},\"*x\",\"&x\",\"!x\",\"%x\",\"@x\",\"`x\",\"{x\",\"[x\",\"x:\",\"?\",\"=\",\"<<\",\"-\",\"+1\",\".5\"]",
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
