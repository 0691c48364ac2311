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

static void who_does_not_say_all_of_a_place_may_mean_any_of_those_that_begin_so(void **state)
{
	static const char *const TEXTS[] = {"{\"region\":\"us-east-1\"}", "{\"region\":\"us-east-1\",\"accountId\":\"123456789012\"}",
					    "{\"region\":\"us-east-1\",\"accountId\":\"123456789013\"}", "{\"region\":\"us-east-2\"}"};
	static const char *const MAY[] = {"1110", "1100", "1010", "0001"}, *const DIGEST[] = {"1111", "1100", "1010", "1111"};
	(void)state;
	for (size_t i = 0; i < AO_LEN(TEXTS); i++)
		for (size_t j = 0; j < AO_LEN(TEXTS); j++) {
			ao_auto_json cJSON *one = cJSON_Parse(TEXTS[i]), *other = cJSON_Parse(TEXTS[j]);
			ao_auto_str char *here = ao_broker_place("sqs", one), *there = ao_broker_place("sqs", other);
			if (ao_broker_may_be_one_place(here, there) != (MAY[i][j] == '1'))
				fail_msg("%s and %s", here, there);
			ao_auto_str char *digest = place("sqs", TEXTS[j]);
			if (ao_broker_may_be_at(here, digest) != (DIGEST[i][j] == '1'))
				fail_msg("%s and the digest of %s", here, there);
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
	    cmocka_unit_test(who_does_not_say_all_of_a_place_may_mean_any_of_those_that_begin_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
