/* Where two trees differ, and what was probably meant. */
#include "json/difference.h"

#include "base/mem.h"
#include "base/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void each_place_is_named(void **state)
{
	(void)state;
	static const struct {
		const char *was, *is, *text;
	} ROWS[] = {
	    {"{\"a\":1}", "{\"a\":1}", "[]"},
	    {"{\"a\":1}", "{\"a\":2}", "[{\"path\":\"a\",\"was\":1,\"is\":2}]"},
	    {"{\"a\":{\"b\":1}}", "{\"a\":{}}", "[{\"path\":\"a.b\",\"was\":1}]"},
	    {"{}", "{\"a\":[]}", "[{\"path\":\"a\",\"is\":[]}]"},
	    {"{\"a\":[1,2]}", "{\"a\":[1,3,4]}", "[{\"path\":\"a[1]\",\"was\":2,\"is\":3},{\"path\":\"a[2]\",\"is\":4}]"},
	    {"{\"a\":[{\"name\":\"x\",\"v\":1},{\"name\":\"y\"}]}", "{\"a\":[{\"name\":\"y\"},{\"name\":\"x\",\"v\":2}]}",
	     "[{\"path\":\"a[x].v\",\"was\":1,\"is\":2}]"},
	    {"{\"a\":[{\"name\":\"x\"}]}", "{\"a\":[{\"name\":\"z\"}]}",
	     "[{\"path\":\"a[x]\",\"was\":{\"name\":\"x\"}},{\"path\":\"a[z]\",\"is\":{\"name\":\"z\"}}]"},
	    {"{\"x.y/z\":1}", "{}", "[{\"path\":\"\\\"x.y/z\\\"\",\"was\":1}]"},
	    {"{\"a\":\"1\"}", "{\"a\":1}", "[{\"path\":\"a\",\"was\":\"1\",\"is\":1}]"},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_json cJSON *was = cJSON_Parse(ROWS[i].was), *is = cJSON_Parse(ROWS[i].is);
		ao_auto_json cJSON *found = ao_json_differences(was, is);
		ao_auto_str char *text = ao_json_print(found);
		assert_string_equal(text, ROWS[i].text);
	}
}

static void the_nearest_word_is_meant(void **state)
{
	(void)state;
	static const struct {
		const char *word, *text;
	} ROWS[] = {
	    {"relicas", "; did you mean replicas?"},
	    {"Replicas", "; did you mean replicas?"},
	    {"relpicas", "; did you mean replicas?"},
	    {"ca", "; did you mean ca?"},
	    {"x", ""},
	    {"somethingelse", ""},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_suggest s = ao_suggest_for(ROWS[i].word);
		ao_suggest_offer(&s, "ca");
		ao_suggest_offer(&s, "replicas");
		ao_suggest_offer(&s, "revisionHistoryLimit");
		ao_auto_str char *text = ao_suggest_text(&s);
		assert_string_equal(text, ROWS[i].text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_place_is_named),
	    cmocka_unit_test(the_nearest_word_is_meant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
