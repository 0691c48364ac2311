/* Which configurations lead to the same place. */
#include "transport/transport.h"

#include "base/mem.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/** The caller frees. */
static char *place(const char *type, const char *text)
{
	ao_auto_json cJSON *config = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &config, NULL), 0);
	return ao_broker_place_digest(type, config);
}

static void the_same_words_in_another_order_are_the_same_place(void **state)
{
	static const struct {
		const char *type, *one, *other;
		bool same;
	} rows[] = {
	    {"rabbitmq", "{\"hosts\":[\"a\",\"b\"]}", "{\"hosts\":[\"b\",\"a\"]}", true},
	    {"rabbitmq", "{\"hosts\":[\"a\",\"b\"]}", "{\"host\":\"B, A:5672\",\"vhost\":\"/\",\"username\":\"u\"}", true},
	    {"rabbitmq", "{\"hosts\":[\"a\",\"b\"]}", "{\"host\":\"a\",\"hosts\":[\"a\",\"b\"]}", true},
	    {"rabbitmq", "{\"host\":\"a\"}", "{\"host\":\"a,A\",\"port\":\"5672\",\"vhost\":\"\"}", true},
	    {"rabbitmq", "{\"host\":\"a\"}", "{\"host\":\"a\",\"vhost\":\"/b\"}", false},
	    {"rabbitmq", "{\"host\":\"a\"}", "{\"host\":\"a\",\"port\":5673}", false},
	    {"rabbitmq", "{\"host\":\"a\"}", "{\"hosts\":[\"a\",\"b\"]}", false},
	    {"sqs", "{\"region\":\"us-east-1\"}", "{\"region\":\"us-east-1\",\"endpoint\":\"https://sqs.us-east-1.amazonaws.com/\"}", true},
	    {"sqs", "{\"region\":\"us-east-1\"}", "{\"region\":\"us-east-2\"}", false},
	    {"sqs", "{\"region\":\"us-east-1\"}", "{\"region\":\"us-east-1\",\"accountId\":\"123456789012\"}", false},
	};
	(void)state;
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_str char *one = place(rows[i].type, rows[i].one), *other = place(rows[i].type, rows[i].other);
		assert_true(one && other);
		if ((strcmp(one, other) == 0) != rows[i].same)
			fail_msg("%s and %s", rows[i].one, rows[i].other);
	}
}

static void what_makes_no_sense_is_no_place(void **state)
{
	(void)state;
	assert_null(place("rabbitmq", "{}"));
	assert_null(place("kafka", "{\"host\":\"a\"}"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_same_words_in_another_order_are_the_same_place),
	    cmocka_unit_test(what_makes_no_sense_is_no_place),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
