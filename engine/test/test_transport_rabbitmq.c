#include "test_transport_rabbit.h"

#define FULL(name)                                                                                                                         \
	"{\"name\":\"" name "\",\"create\":true,\"durable\":true,\"exchange\":{\"name\":\"unit-asya\",\"type\":\"topic\"},"                \
	"\"bindings\":[\"" name "\",\"other-" name "\"],\"deadLetter\":{\"name\":\"" name "-dlq\"},"                                       \
	"\"arguments\":{\"x-dead-letter-exchange\":\"\",\"x-dead-letter-routing-key\":\"" name "-dlq\"}}"

static void a_queue_is_made_with_all_that_belongs_to_it(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-full");
	plain_drop("unit-full-dlq");
	ao_broker_answer a = call(&r, AO_BROKER_ENSURE, FULL("unit-full"));
	expect(a, 0, "");
	assert_true(a.exists && a.created && !a.repaired);
	assert_int_equal(a.messages, 0);
	assert_int_equal(a.in_flight, -1);
	assert_int_equal(plain_count("unit-full-dlq"), 0);
	plain_publish("unit-asya", "unit-full", 3);
	plain_publish("unit-asya", "other-unit-full", 2);
	plain_publish("unit-asya", "nobody", 2);

	a = call(&r, AO_BROKER_ENSURE, FULL("unit-full"));
	expect(a, 0, "");
	assert_true(a.exists && !a.created);
	assert_int_equal(a.messages, 5);
	a = call(&r, AO_BROKER_INSPECT, FULL("unit-full"));
	expect(a, 0, "");
	assert_true(a.exists);
	assert_int_equal(a.messages, 5);

	a = call(&r, AO_BROKER_DELETE, FULL("unit-full"));
	expect(a, 0, "");
	assert_false(a.exists);
	assert_int_equal(plain_count("unit-full"), -1);
	assert_int_equal(plain_count("unit-full-dlq"), -1);
	expect(call(&r, AO_BROKER_DELETE, FULL("unit-full")), 0, "");
	a = call(&r, AO_BROKER_INSPECT, FULL("unit-full"));
	expect(a, 0, "");
	assert_false(a.exists);
	assert_int_equal(a.messages, -1);
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 1);
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_queue_is_made_with_all_that_belongs_to_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
