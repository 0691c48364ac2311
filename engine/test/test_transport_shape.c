/* What people wrote, against tables of what may be there: no broker needed. */
#include "base/mem.h"
#include "transport/shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static cJSON *json(const char *text)
{
	cJSON *value = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &value, NULL), 0);
	return value;
}

static const char *not_a_colour(const cJSON *value)
{
	return cJSON_IsString(value) && strcmp(value->valuestring, "red") == 0 ? NULL : "a colour, like red";
}

static const ao_shape INNER[] = {AO_SHAPE("name", TEXT), AO_SHAPE("on", BOOL), AO_SHAPE("*Ref", OBJECT), {0}};
static const ao_shape FIELDS[] = {
    AO_SHAPE("text", TEXT),
    AO_SHAPE("string", STRING),
    AO_SHAPE("count", UINT, .max = 5),
    AO_SHAPE("share", UINT, .max = 100, .expected = "a whole number from 0 to 100"),
    AO_SHAPE("flag", FLAG),
    AO_SHAPE("blank", UINT, .blank = true),
    AO_SHAPE("list", TEXTS),
    AO_SHAPE("tags", STRINGS),
    AO_SHAPE("colour", OTHER, .wrong = not_a_colour),
    AO_SHAPE("inner", OBJECT, .fields = INNER),
    {0},
};
static const ao_shape NAMED = AO_SHAPE("config", OBJECT, .fields = FIELDS);
static const ao_shape NAMELESS = AO_SHAPE("", OBJECT, .fields = FIELDS, .expected = "a map");

static void what_is_wrong_is_named_with_its_path(void **state)
{
	(void)state;
	static const struct {
		const ao_shape *shape;
		const char *json, *says;
	} rows[] = {
	    {&NAMED, "[]", "config: expected an object"},
	    {&NAMED, "null", "config: expected an object"},
	    {&NAMELESS, "7", "expected a map"},
	    {&NAMED, "{\"txt\":1}", "config.txt: unknown key; did you mean text?"},
	    {&NAMELESS, "{\"txt\":1}", "txt: unknown key; did you mean text?"},
	    {&NAMED, "{\"inner\":{\"nam\":1}}", "config.inner.nam: unknown key; did you mean name?"},
	    {&NAMED, "{\"inner\":{\"Ref\":{}}}", "config.inner.Ref: unknown key"},
	    {&NAMELESS, "{\"inner\":{\"aRef\":1}}", "inner.aRef: expected an object"},
	    {&NAMED, "{\"text\":true}", "config.text: expected a string"},
	    {&NAMED, "{\"string\":1}", "config.string: expected a string"},
	    {&NAMED, "{\"count\":6}", "config.count: 6 is more than 5"},
	    {&NAMED, "{\"count\":\"x\"}", "config.count: expected a whole number from 0 up"},
	    {&NAMED, "{\"count\":\"\"}", "config.count: expected a whole number from 0 up"},
	    {&NAMED, "{\"share\":101}", "config.share: expected a whole number from 0 to 100"},
	    {&NAMED, "{\"share\":-1}", "config.share: expected a whole number from 0 to 100"},
	    {&NAMED, "{\"flag\":\"yes\"}", "config.flag: expected true or false"},
	    {&NAMED, "{\"inner\":{\"on\":\"true\"}}", "config.inner.on: expected true or false"},
	    {&NAMED, "{\"list\":\"a\"}", "config.list: expected a list of strings"},
	    {&NAMED, "{\"list\":[\"a\",[]]}", "config.list[1]: expected a string"},
	    {&NAMED, "{\"tags\":[]}", "config.tags: expected a map of strings"},
	    {&NAMED, "{\"tags\":{\"a\":\"b\",\"c\":null}}", "config.tags.c: expected a string"},
	    {&NAMED, "{\"colour\":\"rd\"}", "config.colour: expected a colour, like red"},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_json cJSON *value = json(rows[i].json);
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_shape_check(value, rows[i].shape, &err), -EINVAL);
		if (strcmp(ao_err_text(err), rows[i].says) != 0)
			fail_msg("row %zu: %s", i, ao_err_text(err));
	}
}

static void what_fits_is_read(void **state)
{
	(void)state;
	ao_auto_json cJSON *value = json("{\"text\":5,\"string\":\"\",\"count\":\"5\",\"share\":null,\"flag\":\"true\",\"blank\":\"\","
					 "\"list\":[\"a\",1],\"tags\":{\"a\":\"b\",\"n\":1.5,\"t\":true},\"colour\":\"red\","
					 "\"inner\":{\"on\":true,\"someRef\":{\"x\":[]}}}");
	assert_int_equal(ao_shape_check(value, &NAMED, NULL), 0);
	ao_auto_str char *text = ao_shape_text(value, "text", NULL), *absent = ao_shape_text(value, "other", "fallback");
	assert_string_equal(text, "5");
	assert_string_equal(absent, "fallback");
	assert_int_equal(ao_shape_uint(value, "count", 7), 5);
	assert_int_equal(ao_shape_uint(value, "share", 7), 7);
	assert_int_equal(ao_shape_uint(value, "blank", 7), 7);
	assert_true(ao_shape_bool(value, "flag", false));
	assert_true(ao_shape_bool(value, "other", true));
	ao_auto_json cJSON *tags = ao_shape_strings(value, "tags"), *none = ao_shape_strings(value, "other");
	ao_auto_str char *printed = ao_json_print(tags);
	assert_string_equal(printed, "{\"a\":\"b\",\"n\":\"1.5\",\"t\":\"true\"}");
	assert_true(cJSON_IsObject(none) && !none->child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_wrong_is_named_with_its_path),
	    cmocka_unit_test(what_fits_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
