/* SQS queues made, kept and deleted on a real server. */
#include "test/test_transport_sqs.h"

#define WITH_DEAD                                                                                                                          \
	"{\"name\":\"unit-a\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"300\",\"MessageRetentionPeriod\":\"345600\"},"       \
	"\"tags\":{\"asya.sh/actor\":\"a\",\"team\":\"ml\"},\"deadLetter\":{\"name\":\"unit-dlq\",\"attributes\":"                         \
	"{\"MessageRetentionPeriod\":\"1209600\"},\"tags\":{\"asya.sh/type\":\"dlq\"},\"maxReceiveCount\":3}}"

static void ensure_makes_the_queue_and_its_dead_letter_queue_once(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	if (call(b, AO_BROKER_ENSURE, WITH_DEAD, &o))
		fail_msg("%s", o.message);
	assert_true(o.answer.exists && o.answer.created && !o.answer.repaired);
	assert_int_equal(o.answer.messages, 0);
	assert_int_equal(o.answer.in_flight, 0);
	assert_attribute(b, "unit-a", "VisibilityTimeout", "300");
	assert_attribute(b, "unit-a", "MessageRetentionPeriod", "345600");
	assert_attribute(b, "unit-a", "RedrivePolicy",
			 "{\"deadLetterTargetArn\": \"arn:aws:sqs:us-east-1:123456789012:unit-dlq\", \"maxReceiveCount\": 3}");
	assert_attribute(b, "unit-dlq", "MessageRetentionPeriod", "1209600");
	assert_tag(b, "unit-a", "asya.sh/actor", "a");
	assert_tag(b, "unit-a", "team", "ml");
	assert_tag(b, "unit-dlq", "asya.sh/type", "dlq");

	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	assert_true(o.answer.exists && !o.answer.created && !o.answer.repaired);
	assert_string_equal(o.reason, "");
	assert_string_equal(o.message, "");
	ao_broker_stats stats = ao_broker_get_stats(b->broker);
	assert_true(stats.connected && stats.calls == 2 && stats.errors == 0 && stats.connects == 1 && stats.in_flight == 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
	    TEST(ensure_makes_the_queue_and_its_dead_letter_queue_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
