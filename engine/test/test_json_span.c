/* test_json_span.c -- spans agree with a real parser, and never look outside the text. */
#include "base/mem.h"
#include "json/json.h"
#include "json/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static ao_span span(const char *text) { return (ao_span){text, strlen(text)}; }

static void finds_members_and_items(void **state)
{
	(void)state;
	ao_span object = span(" { \"a\" : {\"b\\\"}\": 1, \"c\": [ 1 , \"x]\", {} ] } , \"n\": -12, \"s\": \"q\\u00e9\\n\" } ");
	assert_true(ao_span_is(ao_span_at(object, "a", "c"), "x") == false);
	ao_span list = ao_span_at(object, "a", "c"), item;
	size_t cursor = 0, count = 0;
	while (ao_span_item(list, &cursor, &item))
		count++;
	assert_int_equal(count, 3);
	assert_int_equal(ao_span_int(ao_span_get(object, "n"), 0), -12);
	assert_int_equal(ao_span_int(ao_span_get(object, "none"), 7), 7);
	ao_auto_str char *text = ao_span_text(ao_span_get(object, "s"));
	assert_string_equal(text, "q\xc3\xa9\n");
	assert_true(ao_span_is(ao_span_get(object, "s"), "q\xc3\xa9\n"));
	assert_null(ao_span_at(object, "a", "c", "d").at);
	assert_null(ao_span_text(ao_span_get(object, "n")));
	assert_null(ao_span_get(span("[1]"), "a").at);
}

static void leaves_a_member_out(void **state)
{
	(void)state;
	static const struct {
		const char *in, *path, *out;
	} cases[] = {
		{"{ \"m\": { \"x\": [1, 2], \"y\": \" keep \" }, \"z\": 1 }", "m.x", "{\"m\":{\"y\":\" keep \"},\"z\":1}"},
		{"{\"m\":{\"x\":1}}", "m.x", "{\"m\":{}}"},
		{"{\"m\":{\"x\":1}}", "m", "{}"},
		{"{\"m\":{\"x\":1}}", "n.x", "{\"m\":{\"x\":1}}"},
		{"{\"m\":5}", "m.x", "{\"m\":5}"},
		{" [ 1 ] ", "m", "[1]"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_buf ao_buf out = ao_buf_init(1024);
		ao_span_without(span(cases[i].in), cases[i].path, &out);
		assert_string_equal(out.data, cases[i].out);
	}
}

/** Every prefix of a text, and every text with one byte changed, on the heap so that a sanitizer sees each byte beyond. */
static void stays_inside_broken_text(void **state)
{
	(void)state;
	static const char text[] = "{\"a\":{\"b\":[1,\"x\\\"y\",{\"c\":null}]},\"metadata\":{\"name\":\"n\\u0041\",\"managedFields\":[{}]},\"t\":true}";
	static const char bytes[] = "\"\\{}[],:x \0";
	for (size_t len = 0; len < sizeof(text); len++)
		for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
			char *copy = ao_xmalloc(len ? len : 1);
			memcpy(copy, text, len);
			if (len)
				copy[(len * 7 + i * 3) % len] = bytes[i];
			ao_span broken = {copy, len};
			ao_auto_buf ao_buf out = ao_buf_init(4096);
			ao_span_without(broken, "metadata.managedFields", &out);
			ao_auto_str char *name = ao_span_text(ao_span_at(broken, "metadata", "name"));
			ao_span item;
			size_t cursor = 0;
			while (ao_span_item(ao_span_at(broken, "a", "b"), &cursor, &item))
				;
			free(copy);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_members_and_items),
		cmocka_unit_test(leaves_a_member_out),
		cmocka_unit_test(stays_inside_broken_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
