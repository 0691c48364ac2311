/* SQS queues made, kept and deleted on a real server. */
#include "test/test_transport_sqs.h"
#include "test/transport_conformance.h"

#define WITH_DEAD                                                                                                                          \
	"{\"name\":\"unit-a\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"300\",\"MessageRetentionPeriod\":\"345600\"},"       \
	"\"tags\":{\"asya.sh/actor\":\"a\",\"team\":\"ml\"},\"deadLetter\":{\"name\":\"unit-dlq\",\"attributes\":"                         \
	"{\"MessageRetentionPeriod\":\"1209600\"},\"tags\":{\"asya.sh/type\":\"dlq\"},\"maxReceiveCount\":3}}"

static void a_queue_is_made_with_all_that_belongs_to_it(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	if (call(b, AO_BROKER_ENSURE, WITH_DEAD, &o))
		fail_msg("%s", o.message);
	assert_int_equal(o.answer.in_flight, 0);
	assert_attribute(b, "unit-a", "VisibilityTimeout", "300");
	assert_attribute(b, "unit-a", "MessageRetentionPeriod", "345600");
	assert_attribute(b, "unit-a", "RedrivePolicy",
			 "{\"deadLetterTargetArn\": \"arn:aws:sqs:us-east-1:123456789012:unit-dlq\", \"maxReceiveCount\": 3}");
	assert_attribute(b, "unit-dlq", "MessageRetentionPeriod", "1209600");
	assert_tag(b, "unit-a", "asya.sh/actor", "a");
	assert_tag(b, "unit-a", "team", "ml");
	assert_tag(b, "unit-dlq", "asya.sh/type", "dlq");
}

/* ---- drift ---- */

static void send_messages(bench *b, const char *name, int count)
{
	for (int i = 0; i < count; i++) {
		ao_auto_str char *body = ao_xasprintf(",\"MessageBody\":\"%d\"", i);
		do_to(b, "SendMessage", name, body);
	}
}

static void what_differs_is_put_right_and_messages_stay(void **state)
{
	bench *b = need_server(state, __func__);
	static const char *const rows[][3] = {
	    /* attribute, what somebody made of it, what is wanted */
	    {"VisibilityTimeout", "30", "300"},
	    {"MessageRetentionPeriod", "60", "345600"},
	    {"DelaySeconds", "7", "0"},
	    {"ReceiveMessageWaitTimeSeconds", "3", "20"},
	    {"MaximumMessageSize", "2048", "262144"},
	    {"RedrivePolicy", "{\\\"deadLetterTargetArn\\\":\\\"arn:aws:sqs:us-east-1:123456789012:unit-dlq\\\",\\\"maxReceiveCount\\\":9}",
	     "{\"deadLetterTargetArn\": \"arn:aws:sqs:us-east-1:123456789012:unit-dlq\", \"maxReceiveCount\": 3}"},
	    {"RedrivePolicy", "{\\\"deadLetterTargetArn\\\":\\\"arn:aws:sqs:us-east-1:123456789012:unit-d\\\",\\\"maxReceiveCount\\\":3}",
	     "{\"deadLetterTargetArn\": \"arn:aws:sqs:us-east-1:123456789012:unit-dlq\", \"maxReceiveCount\": 3}"},
	    {"RedrivePolicy", "", "{\"deadLetterTargetArn\": \"arn:aws:sqs:us-east-1:123456789012:unit-dlq\", \"maxReceiveCount\": 3}"},
	};
	static const char queue[] =
	    "{\"name\":\"unit-d\",\"create\":true,\"forceRecreate\":true,\"attributes\":{\"VisibilityTimeout\":\"300\","
	    "\"MessageRetentionPeriod\":345600,\"DelaySeconds\":0,\"ReceiveMessageWaitTimeSeconds\":\"20\","
	    "\"MaximumMessageSize\":\"262144\"},\"deadLetter\":{\"name\":\"unit-dlq\",\"maxReceiveCount\":3}}";
	auto_outcome o = {0};
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	send_messages(b, "unit-d", 3);
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_str char *drift = ao_xasprintf(",\"Attributes\":{\"%s\":\"%s\"}", rows[i][0], rows[i][1]);
		do_to(b, "SetQueueAttributes", "unit-d", drift);
		if (call(b, AO_BROKER_ENSURE, queue, &o))
			fail_msg("row %zu: %s", i, o.message);
		assert_true(o.answer.repaired && !o.answer.created && o.answer.exists);
		assert_int_equal(o.answer.messages, 3);
		assert_attribute(b, "unit-d", rows[i][0], rows[i][2]);
		assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
		assert_false(o.answer.repaired);
	}
	assert_attribute(b, "unit-d", "ApproximateNumberOfMessages", "3");
}

/** It is in the ARN of each queue that was looked at. */
static void the_account_is_known_when_a_queue_was_seen(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	assert_null(ao_broker_account(b->broker));
	assert_int_equal(call(b, AO_BROKER_ENSURE, "{\"name\":\"unit-seen\",\"create\":true}", &o), 0);
	assert_int_equal(call(b, AO_BROKER_INSPECT, "{\"name\":\"unit-seen\"}", &o), 0);
	assert_string_equal(ao_broker_account(b->broker), "123456789012");
	assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-seen\"}", &o), 0);
}

static void make_old(bench *b)
{
	cJSON_Delete(
	    aws(b, "CreateQueue",
		"{\"QueueName\":\"unit-old\",\"Attributes\":{\"MessageRetentionPeriod\":\"1209600\",\"VisibilityTimeout\":\"300\"}}"));
}

/** A queue that somebody gave more time has messages of that age, which SQS would drop at once. Nor is it what we would make: it stays. */
static void a_queue_that_keeps_messages_longer_goes_on_to_do_so(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	for (int create = 0; create < 2; create++) {
		ao_auto_str char *queue = ao_xasprintf("{\"name\":\"unit-old\",\"create\":%s,\"attributes\":{\"VisibilityTimeout\":\"300\","
						       "\"MessageRetentionPeriod\":\"345600\"}}",
						       create ? "true" : "false");
		make_old(b);
		send_messages(b, "unit-old", 2);
		if (create)
			do_to(b, "SetQueueAttributes", "unit-old", ",\"Attributes\":{\"VisibilityTimeout\":\"30\"}");
		if (call(b, AO_BROKER_ENSURE, queue, &o))
			fail_msg("%s", o.message);
		assert_attribute(b, "unit-old", "VisibilityTimeout", "300");
		assert_attribute(b, "unit-old", "MessageRetentionPeriod", "1209600");
		assert_int_equal(call(b, AO_BROKER_DELETE, queue, &o), 0);
		assert_non_null(strstr(o.kept, "MessageRetentionPeriod is 1209600, wanted 345600"));
		do_to(b, "DeleteQueue", "unit-old", "");
		make_old(b);
		assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
		assert_attribute(b, "unit-old", "MessageRetentionPeriod", create ? "345600" : "1209600");
		do_to(b, "DeleteQueue", "unit-old", "");
	}
}

static void the_dead_letter_queue_is_put_right_too(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	do_to(b, "SetQueueAttributes", "unit-dlq", ",\"Attributes\":{\"MessageRetentionPeriod\":\"60\"}");
	do_to(b, "UntagQueue", "unit-dlq", ",\"TagKeys\":[\"asya.sh/type\"]");
	usleep(3100000); /* what was found about it holds for 3 s */
	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	assert_attribute(b, "unit-dlq", "MessageRetentionPeriod", "1209600");
	assert_tag(b, "unit-dlq", "asya.sh/type", "dlq");
}

static void tags_are_put_right_and_those_of_others_stay(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char queue[] = "{\"name\":\"unit-t\",\"create\":true,\"tags\":{\"a\":\"1\",\"b\":2}}";
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	do_to(b, "TagQueue", "unit-t", ",\"Tags\":{\"a\":\"other\",\"foreign\":\"stays\"}");
	do_to(b, "UntagQueue", "unit-t", ",\"TagKeys\":[\"b\"]");
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	assert_true(o.answer.repaired);
	assert_tag(b, "unit-t", "a", "1");
	assert_tag(b, "unit-t", "b", "2");
	assert_tag(b, "unit-t", "foreign", "stays");
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	assert_false(o.answer.repaired);
}

static void counts_tell_waiting_from_in_flight(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char queue[] = "{\"name\":\"unit-c\",\"create\":true}";
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	send_messages(b, "unit-c", 5);
	do_to(b, "ReceiveMessage", "unit-c", ",\"MaxNumberOfMessages\":2");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(call(b, i ? AO_BROKER_ENSURE : AO_BROKER_INSPECT, queue, &o), 0);
		assert_true(o.answer.exists && !o.answer.created && !o.answer.repaired);
		assert_int_equal(o.answer.messages, 3);
		assert_int_equal(o.answer.in_flight, 2);
	}
	do_to(b, "DeleteQueue", "unit-c", "");
	assert_int_equal(call(b, AO_BROKER_INSPECT, queue, &o), 0);
	assert_false(o.answer.exists);
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	assert_true(o.answer.created);
}

static void a_dead_letter_queue_that_somebody_deleted_is_made_again(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char other[] = "{\"name\":\"unit-o\",\"create\":true,\"deadLetter\":{\"name\":\"unit-dlq\",\"attributes\":"
				    "{\"MessageRetentionPeriod\":\"1209600\"},\"tags\":{\"asya.sh/type\":\"dlq\"},\"maxReceiveCount\":5}}";
	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	do_to(b, "DeleteQueue", "unit-dlq", "");
	if (call(b, AO_BROKER_ENSURE, other, &o)) /* refused at first: there is no such target */
		fail_msg("%s", o.message);
	assert_true(o.answer.created && exists(b, "unit-dlq"));
	do_to(b, "DeleteQueue", "unit-dlq", "");
	usleep(3100000);
	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	assert_true(exists(b, "unit-dlq"));
}

/* ---- queues of others ---- */

static void without_create_nothing_is_changed(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char queue[] = "{\"name\":\"unit-m\",\"attributes\":{\"VisibilityTimeout\":\"300\"},\"tags\":{\"a\":\"1\"}}";
	static const char with_dead[] = "{\"name\":\"unit-m\",\"attributes\":{\"VisibilityTimeout\":\"300\"},"
					"\"deadLetter\":{\"name\":\"unit-md\",\"maxReceiveCount\":3}}";
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), -ENOENT);
	assert_string_equal(o.reason, "QueueMissing");
	assert_non_null(strstr(o.message, "queue \"unit-m\": does not exist at 127.0.0.1"));
	assert_false(o.answer.exists || exists(b, "unit-m"));

	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-m\",\"Attributes\":{\"VisibilityTimeout\":\"31\"}}"));
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), -EINVAL);
	assert_string_equal(o.reason, "QueueMismatch");
	assert_non_null(strstr(o.message, "VisibilityTimeout is 31, wanted 300; change the queue"));
	assert_true(o.answer.exists && o.answer.messages == 0);
	assert_attribute(b, "unit-m", "VisibilityTimeout", "31");

	do_to(b, "SetQueueAttributes", "unit-m", ",\"Attributes\":{\"VisibilityTimeout\":\"300\"}");
	send_messages(b, "unit-m", 1);
	assert_int_equal(call(b, AO_BROKER_ENSURE, queue, &o), 0);
	assert_true(o.answer.exists && !o.answer.repaired && o.answer.messages == 1);
	ao_auto_str char *body = about(b, "unit-m", "");
	ao_auto_json cJSON *tags = aws(b, "ListQueueTags", body);
	assert_null(ao_json_at(tags, "Tags", "a"));

	assert_int_equal(call(b, AO_BROKER_ENSURE, with_dead, &o), -EINVAL);
	assert_non_null(strstr(o.message, "RedrivePolicy is not set, wanted {"));
	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-md\"}"));
	do_to(b, "SetQueueAttributes", "unit-m",
	      ",\"Attributes\":{\"RedrivePolicy\":\"{\\\"maxReceiveCount\\\":\\\"3\\\",\\\"deadLetterTargetArn\\\":"
	      "\\\"arn:aws:sqs:us-east-1:123456789012:unit-md\\\"}\"}");
	if (call(b, AO_BROKER_ENSURE, with_dead, &o))
		fail_msg("%s", o.message);
	assert_int_equal(o.answer.messages, 1);
	do_to(b, "DeleteQueue", "unit-md", "");
	usleep(3100000);
	assert_int_equal(call(b, AO_BROKER_ENSURE, with_dead, &o), -ENOENT);
	assert_string_equal(o.reason, "QueueMissing");
	assert_non_null(strstr(o.message, "dead letter queue \"unit-md\": does not exist"));
	assert_true(o.answer.exists && !exists(b, "unit-md"));
}

/* ---- deletes ---- */

static void messages_that_are_delayed_or_in_flight_count(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char *const messages[] = {",\"MessageBody\":\"work\",\"DelaySeconds\":600", ",\"MessageBody\":\"work\""};
	for (size_t i = 0; i < AO_LEN(messages); i++) {
		cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-x\"}"));
		do_to(b, "SendMessage", "unit-x", messages[i]);
		if (i == 1)
			do_to(b, "ReceiveMessage", "unit-x", "");
		assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-x\",\"ifEmpty\":true}", &o), -EBUSY);
		assert_non_null(strstr(o.message, "holds 1 messages"));
		assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-x\"}", &o), 0);
	}
}

/** Who decided on it stood still meanwhile, and may not lead any more. */
static void a_deletion_deletes_nothing_when_its_time_is_over(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-t\"}"));
	begin(b->broker, AO_BROKER_DELETE, "{\"name\":\"unit-t\"}", 0, &o);
	ao_broker_allow(o.call, 1);
	await(b->loop, &o);
	assert_int_equal(o.answer.error, -EAGAIN);
	assert_true(exists(b, "unit-t"));
	assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-t\"}", &o), 0);
}

/** The same of what is made, put right and moved. */
static void nothing_is_changed_when_its_time_is_over(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char *const queues[] = {WITH_DEAD, "{\"name\":\"unit-t\",\"create\":true}",
					     "{\"name\":\"unit-t\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"31\"}}",
					     "{\"name\":\"unit-t\",\"create\":true,\"tags\":{\"a\":\"b\"}}"};
	for (size_t i = 0; i < AO_LEN(queues); i++) {
		if (i == 2)
			cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-t\"}"));
		begin(b->broker, AO_BROKER_ENSURE, queues[i], 0, &o);
		ao_broker_allow(o.call, 1);
		await(b->loop, &o);
		assert_int_equal(o.answer.error, -EAGAIN);
		assert_false(o.answer.tried);
		assert_true(!exists(b, "unit-a") && !exists(b, "unit-dlq") && exists(b, "unit-t") == (i >= 2));
	}
	assert_attribute(b, "unit-t", "VisibilityTimeout", "30");
	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-to\"}"));
	send_messages(b, "unit-t", 3);
	begin_move(b->broker, "{\"name\":\"unit-t\"}", "unit-to", 10, 0, &o);
	ao_broker_allow(o.call, 1);
	await(b->loop, &o);
	assert_int_equal(o.answer.error, -EAGAIN);
	assert_attribute(b, "unit-t", "ApproximateNumberOfMessages", "3");
	assert_attribute(b, "unit-to", "ApproximateNumberOfMessages", "0");
}

static void a_dead_letter_queue_stays_when_one_of_its_queues_goes(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	assert_int_equal(call(b, AO_BROKER_DELETE, WITH_DEAD, &o), 0);
	assert_true(!exists(b, "unit-a") && exists(b, "unit-dlq"));
	assert_int_equal(call(b, AO_BROKER_ENSURE, "{\"name\":\"unit-y\",\"create\":true}", &o), 0);
	do_to(b, "DeleteQueue", "unit-y", ""); /* its URL still is known */
	assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-y\"}", &o), 0);
}

static void a_queue_whose_dead_letters_go_elsewhere_is_not_deleted(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char queue[] = "{\"name\":\"unit-k\",\"deadLetter\":{\"name\":\"unit-kd\",\"maxReceiveCount\":3}}";
	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-k\"}"));
	send_messages(b, "unit-k", 10);
	do_to(b, "ReceiveMessage", "unit-k", ""); /* what is in flight is counted, too */
	assert_int_equal(call(b, AO_BROKER_DELETE, queue, &o), 0);
	assert_true(o.answer.exists && !o.answer.deleted && exists(b, "unit-k"));
	assert_non_null(strstr(o.kept, "with 10 messages, because its settings are not those wanted: RedrivePolicy is not set, wanted {"));
}

/* ---- input ---- */

static void wrong_queues_are_refused(void **state)
{
	bench *b = need_server(state, __func__);
	static const char *const rows[][2] = {
	    {"{\"name\":\"a.fifo\",\"create\":true}", "name: \"a.fifo\" would be a FIFO queue"},
	    {"{\"name\":\"a\",\"deadLetter\":{\"name\":\"d.fifo\",\"maxReceiveCount\":3}}",
	     "deadLetter: name: \"d.fifo\" would be a FIFO queue"},
	    {"{\"name\":\"a b\"}", "is not a valid name for a queue"},
	    {"{\"name\":\"a\",\"attributes\":{\"X\":{}}}", "attributes.X: expected a string"},
	    {"{\"name\":\"a\",\"tags\":[]}", "tags: expected a map"},
	    {"{\"name\":\"a\",\"deadLetter\":{\"name\":\"d\"}}", "maxReceiveCount: expected a whole number"},
	    {"{\"name\":\"a\",\"deadLetter\":{\"name\":\"d\",\"maxReceiveCount\":1001}}", "maxReceiveCount: expected a whole number"},
	    {"{\"name\":\"a\",\"deadLetter\":{\"name\":\"a\",\"maxReceiveCount\":3}}", "is the queue itself"},
	    {"{\"name\":\"a\",\"deadLetter\":{\"name\":\"d\",\"maxReceiveCount\":3,\"x\":1}}", "deadLetter.x: unknown key"},
	    {"{\"name\":\"a\",\"attributes\":{\"RedrivePolicy\":\"{}\"},\"deadLetter\":{\"name\":\"d\",\"maxReceiveCount\":3}}",
	     "give one of them"},
	    {"{\"name\":\"a\",\"create\":true,\"attributes\":{\"MaximumMessageSize\":\"1\"}}", "InvalidAttributeValue"},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		auto_outcome o = {0};
		assert_int_equal(call(b, AO_BROKER_ENSURE, rows[i][0], &o), -EINVAL);
		assert_string_equal(o.reason, "InvalidConfiguration");
		if (!strstr(o.message, rows[i][1]))
			fail_msg("%s does not say %s", o.message, rows[i][1]);
	}
	assert_false(exists(b, "a"));
	assert_int_equal(ao_broker_get_stats(b->broker).errors, AO_LEN(rows));
}

static void a_server_error_is_tried_again_and_then_given_up(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	/* the server stumbles over this one with a real 500 */
	begin(b->broker, AO_BROKER_ENSURE, "{\"name\":\"unit-e\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"x\"}}", 3000, &o);
	assert_true(ao_loop_run_until(b->loop, &o.done, 10000));
	assert_int_equal(o.answer.error, -EAGAIN);
	assert_string_equal(o.reason, "BrokerError");
	assert_non_null(strstr(o.message, "HTTP 500"));
	assert_in_range(o.answer.retry_ms, 5000, 6000);
	assert_in_range(o.took_ms, 300, patient_ms(3000));
}

/** ... unless it may not go on meanwhile: between two tries another replica may have come to lead. */
static void what_is_not_allowed_any_more_is_not_tried_again(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	begin(b->broker, AO_BROKER_ENSURE, "{\"name\":\"unit-e\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"x\"}}", 30000, &o);
	while (!o.done && ao_mono_ms() - o.started_ms < 2000)
		ao_loop_run_until(b->loop, &o.done, 100);
	assert_false(o.done);
	ao_broker_allow(o.call, 1);
	await(b->loop, &o);
	assert_int_equal(o.answer.error, -EAGAIN);
	assert_non_null(strstr(o.message, "another replica"));
	assert_true(o.answer.tried);
}

/* ---- many ---- */

static void many_queues_share_a_dead_letter_queue(void **state)
{
	bench *b = need_server(state, __func__);
	static outcome all[MANY];
	memset(all, 0, sizeof(all));
	for (size_t i = 0; i < MANY; i++) {
		ao_auto_str char *queue = ao_xasprintf(
		    "{\"name\":\"unit-many-%zu\",\"create\":true,\"deadLetter\":{\"name\":\"unit-dlq\",\"maxReceiveCount\":3}}", i);
		begin(b->broker, AO_BROKER_ENSURE, queue, 60000, &all[i]);
	}
	for (size_t i = 0; i < MANY; i++) {
		await(b->loop, &all[i]);
		if (all[i].answer.error || !all[i].answer.created)
			fail_msg("%zu: %s", i, all[i].message);
		forget(&all[i]);
	}
}

/* ---- what every type of broker has to do ---- */

static ao_broker *open_there(transport_subject *s, int port, const char *secret)
{
	bench *b = s->arg;
	ao_auto_str char *elsewhere = ao_xasprintf("http://127.0.0.1:%d", port);
	ao_auto_str char *keys =
	    ao_xasprintf("{\"accessKeyId\":\"AKIATEST\",\"secretAccessKey\":\"%s\"}", secret ? secret : "notVerySecret");
	check_rights(b, secret != NULL);
	return make_broker(b, port ? elsewhere : b->endpoint, "", keys);
}

static char *want(const char *name, unsigned traits)
{
	ao_auto_str char *dead =
	    traits & WANT_DEAD ? ao_xasprintf(",\"deadLetter\":{\"name\":\"%s-dlq\",\"maxReceiveCount\":3}", name) : NULL;
	return ao_xasprintf("{\"name\":\"%s\",\"create\":%s,\"attributes\":{\"VisibilityTimeout\":\"%s\"}%s%s}", name,
			    traits & WANT_THEIRS ? "false" : "true", traits & WANT_OTHER ? "31" : "300",
			    traits & WANT_IF_EMPTY ? ",\"ifEmpty\":true" : "", dead ? dead : "");
}

static void publish(transport_subject *s, const char *queue, int count) { send_messages(s->arg, queue, count); }

static int count(transport_subject *s, const char *queue)
{
	ao_auto_str char *messages = attribute(s->arg, queue, "ApproximateNumberOfMessages");
	return messages ? atoi(messages) : -1;
}

static void drop(transport_subject *s, const char *queue)
{
	if (exists(s->arg, queue))
		do_to(s->arg, "DeleteQueue", queue, "");
}

static void *take(transport_subject *s, const char *queue)
{
	do_to(s->arg, "ReceiveMessage", queue, "");
	return s;
}

static void give_back(void *taken) { (void)taken; } /* it comes back by itself */

static void publish_rich(transport_subject *s, const char *queue)
{
	do_to(s->arg, "SendMessage", queue,
	      ",\"MessageBody\":\"rich\",\"MessageAttributes\":{\"trace\":{\"DataType\":\"String\",\"StringValue\":\"one\"},"
	      "\"number\":{\"DataType\":\"Number.int\",\"StringValue\":\"7\"},"
	      "\"bytes\":{\"DataType\":\"Binary\",\"BinaryValue\":\"AAEC/w==\"}}"); /* the server forgets the trace header of a batch */
}

/** Takes up to ten. @return the messages; NULL: there is none */
static cJSON *receive(bench *b, const char *queue)
{
	ao_auto_str char *body =
	    about(b, queue, ",\"MaxNumberOfMessages\":10,\"MessageAttributeNames\":[\"All\"],\"AttributeNames\":[\"All\"]");
	ao_auto_json cJSON *result = aws(b, "ReceiveMessage", body);
	cJSON *messages = result ? cJSON_DetachItemFromObjectCaseSensitive(result, "Messages") : NULL;
	const cJSON *each;
	cJSON_ArrayForEach (each, messages) {
		ao_auto_str char *handle = ao_xasprintf(",\"ReceiptHandle\":\"%s\"", ao_json_str(each, "ReceiptHandle"));
		do_to(b, "DeleteMessage", queue, handle);
	}
	return messages;
}

static void expect_rich(transport_subject *s, const char *queue)
{
	ao_auto_json cJSON *messages = receive(s->arg, queue);
	assert_int_equal(cJSON_GetArraySize(messages), 1);
	const cJSON *m = messages->child, *attributes = ao_json_at(m, "MessageAttributes");
	assert_string_equal(ao_json_str(m, "Body"), "rich");
	assert_string_equal(ao_json_str(attributes, "trace", "StringValue"), "one");
	assert_string_equal(ao_json_str(attributes, "number", "DataType"), "Number.int");
	assert_string_equal(ao_json_str(attributes, "number", "StringValue"), "7");
	assert_string_equal(ao_json_str(attributes, "bytes", "BinaryValue"), "AAEC/w==");
}

static int held(transport_subject *s, const char *queue)
{
	ao_auto_str char *in_flight = attribute(s->arg, queue, "ApproximateNumberOfMessagesNotVisible");
	return in_flight ? count(s, queue) + atoi(in_flight) : -1;
}

static void collect(transport_subject *s, const char *queue, int *seen, int most)
{
	cJSON *messages;
	while ((messages = receive(s->arg, queue))) {
		const cJSON *each;
		cJSON_ArrayForEach (each, messages) {
			int number = atoi(ao_json_str(each, "Body"));
			assert_in_range(number, 0, most - 1);
			seen[number]++;
		}
		bool none = !messages->child;
		cJSON_Delete(messages);
		if (none)
			break;
	}
}

static int port_of_broker(transport_subject *s) { return atoi(strrchr(((bench *)s->arg)->endpoint, ':') + 1); }

static int open_subject(void **state)
{
	static transport_subject s = {.type = "sqs",
				      .differs = "VisibilityTimeout is 31, wanted 300",
				      .line = 500,
				      .most = 16,
				      .open = open_there,
				      .want = want,
				      .publish = publish,
				      .count = count,
				      .drop = drop,
				      .take = take,
				      .give_back = give_back,
				      .publish_rich = publish_rich,
				      .expect_rich = expect_rich,
				      .held = held,
				      .collect = collect,
				      .port = port_of_broker};
	open_bench(state);
	s.arg = *state;
	s.loop = s.arg ? ((bench *)s.arg)->loop : NULL;
	*state = s.arg ? &s : NULL;
	return 0;
}

static int close_subject(void **state)
{
	transport_subject *s = *state;
	return s ? close_bench(&s->arg) : 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
	    TRANSPORT_CONFORMANCE(open_subject, close_subject),
	    TEST(a_queue_is_made_with_all_that_belongs_to_it),
	    TEST(what_differs_is_put_right_and_messages_stay),
	    TEST(the_account_is_known_when_a_queue_was_seen),
	    TEST(a_queue_that_keeps_messages_longer_goes_on_to_do_so),
	    TEST(the_dead_letter_queue_is_put_right_too),
	    TEST(tags_are_put_right_and_those_of_others_stay),
	    TEST(counts_tell_waiting_from_in_flight),
	    TEST(a_dead_letter_queue_that_somebody_deleted_is_made_again),
	    TEST(without_create_nothing_is_changed),
	    TEST(messages_that_are_delayed_or_in_flight_count),
	    TEST(a_deletion_deletes_nothing_when_its_time_is_over),
	    TEST(nothing_is_changed_when_its_time_is_over),
	    TEST(a_dead_letter_queue_stays_when_one_of_its_queues_goes),
	    TEST(a_queue_whose_dead_letters_go_elsewhere_is_not_deleted),
	    TEST(wrong_queues_are_refused),
	    TEST(a_server_error_is_tried_again_and_then_given_up),
	    TEST(what_is_not_allowed_any_more_is_not_tried_again),
	    TEST(many_queues_share_a_dead_letter_queue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
