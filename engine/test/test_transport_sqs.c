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

/* ---- drift ---- */

static void send_messages(bench *b, const char *name, int count)
{
	for (int i = 0; i < count; i++)
		do_to(b, "SendMessage", name, ",\"MessageBody\":\"work\"");
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
	assert_int_equal(call(b, AO_BROKER_INSPECT, queue, &o), 0);
	assert_true(!o.answer.exists && o.answer.messages == -1 && o.answer.in_flight == -1);
	assert_false(exists(b, "unit-c"));
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

static void deletes_are_careful_where_asked(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char if_empty[] = "{\"name\":\"unit-x\",\"ifEmpty\":true}", anyway[] = "{\"name\":\"unit-x\"}";
	static const char *const fillings[] = {"", ",\"DelaySeconds\":600"};
	assert_int_equal(call(b, AO_BROKER_DELETE, if_empty, &o), 0);
	assert_false(o.answer.exists);
	for (size_t i = 0; i < 3; i++) {
		ao_auto_str char *message = ao_xasprintf(",\"MessageBody\":\"work\"%s", fillings[i == 1]);
		cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-x\"}"));
		do_to(b, "SendMessage", "unit-x", message);
		if (i == 2) /* in flight */
			do_to(b, "ReceiveMessage", "unit-x", "");
		assert_int_equal(call(b, AO_BROKER_DELETE, if_empty, &o), -EBUSY);
		assert_string_equal(o.reason, "QueueNotEmpty");
		assert_non_null(strstr(o.message, "holds 1 messages"));
		assert_true(o.answer.exists && exists(b, "unit-x"));
		assert_int_equal(call(b, AO_BROKER_DELETE, anyway, &o), 0);
		assert_true(!o.answer.exists && !exists(b, "unit-x"));
	}
	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-x\"}"));
	assert_int_equal(call(b, AO_BROKER_DELETE, if_empty, &o), 0);
	assert_false(exists(b, "unit-x"));
	assert_int_equal(call(b, AO_BROKER_DELETE, anyway, &o), 0);

	assert_int_equal(call(b, AO_BROKER_ENSURE, WITH_DEAD, &o), 0);
	assert_int_equal(call(b, AO_BROKER_DELETE, WITH_DEAD, &o), 0);
	assert_true(!exists(b, "unit-a") && exists(b, "unit-dlq"));
	do_to(b, "DeleteQueue", "unit-dlq", "");
	assert_int_equal(call(b, AO_BROKER_ENSURE, "{\"name\":\"unit-y\",\"create\":true}", &o), 0);
	do_to(b, "DeleteQueue", "unit-y", ""); /* its URL still is known */
	assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-y\"}", &o), 0);
}

static void a_queue_that_differs_is_not_deleted(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	static const char *const queues[] = {
	    "{\"name\":\"unit-k\",\"attributes\":{\"VisibilityTimeout\":\"300\"}}",
	    "{\"name\":\"unit-k\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"300\"}}",
	    "{\"name\":\"unit-k\",\"ifEmpty\":true,\"attributes\":{\"VisibilityTimeout\":\"300\"}}",
	    "{\"name\":\"unit-k\",\"deadLetter\":{\"name\":\"unit-kd\",\"maxReceiveCount\":3}}",
	};
	cJSON_Delete(aws(b, "CreateQueue", "{\"QueueName\":\"unit-k\",\"Attributes\":{\"VisibilityTimeout\":\"31\"}}"));
	send_messages(b, "unit-k", 10);
	do_to(b, "ReceiveMessage", "unit-k", "");
	for (size_t i = 0; i < AO_LEN(queues); i++) {
		if (call(b, AO_BROKER_DELETE, queues[i], &o))
			fail_msg("%s", o.message);
		assert_true(o.answer.exists && !o.answer.deleted && exists(b, "unit-k"));
		assert_non_null(
		    strstr(o.kept, "queue unit-k stays at its broker with 10 messages, because its settings are not those wanted: "));
		assert_non_null(strstr(o.kept, i < 3 ? "VisibilityTimeout is 31, wanted 300" : "RedrivePolicy is not set, wanted {"));
	}
	assert_int_equal(call(b, AO_BROKER_DELETE, "{\"name\":\"unit-k\",\"attributes\":{\"VisibilityTimeout\":\"31\"}}", &o), 0);
	assert_true(o.answer.deleted && o.answer.messages == 10 && !o.kept && !exists(b, "unit-k"));
	assert_int_equal(call(b, AO_BROKER_DELETE, queues[0], &o), 0);
	assert_true(!o.answer.deleted && !o.kept);
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
	    {"{\"create\":true}", "name: missing"},
	    {"{\"name\":\"a\",\"visibility\":1}", "visibility: unknown key"},
	    {"{\"name\":\"a\",\"create\":1}", "create: expected true or false"},
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
	assert_in_range(o.took_ms, 300, 3000);
}

/* ---- trouble on the way ---- */

typedef struct ticker {
	ao_timer *timer;
	int count;
} ticker;

static void tick_again(void *arg)
{
	ticker *t = arg;
	t->count++;
	ao_timer_start(t->timer, 5);
}

static void unreachable_and_silent_servers_are_told_apart(void **state)
{
	bench *b = need_server(state, __func__);
	int silent = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	assert_int_equal(bind(silent, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &len), 0);
	ao_auto_str char *endpoint = ao_xasprintf("http://127.0.0.1:%d", ntohs(address.sin_port));
	ao_broker *broker = make_broker(b, endpoint, "", SECRETS);
	auto_outcome closed = {0}, quiet = {0};
	begin(broker, AO_BROKER_DELETE, "{\"name\":\"q\"}", 5000, &closed);
	assert_true(ao_loop_run_until(b->loop, &closed.done, 10000));
	assert_int_equal(closed.answer.error, -EIO);
	assert_string_equal(closed.reason, "BrokerUnreachable");
	assert_non_null(strstr(closed.message, "queue \"q\": GetQueueUrl: 127.0.0.1"));
	assert_true(closed.took_ms < 2000);
	assert_false(ao_broker_get_stats(broker).connected);

	assert_int_equal(listen(silent, 8), 0);
	ticker t = {0};
	t.timer = ao_timer_new(b->loop, tick_again, &t);
	tick_again(&t);
	begin(broker, AO_BROKER_ENSURE, WITH_DEAD, 600, &quiet);
	assert_true(ao_loop_run_until(b->loop, &quiet.done, 10000));
	assert_int_equal(quiet.answer.error, -ETIME);
	assert_string_equal(quiet.reason, "BrokerTimeout");
	assert_in_range(quiet.took_ms, 590, 1500);
	assert_true(t.count > 50);
	ao_timer_free(t.timer);
	ao_broker_free(broker);
	close(silent);
}

/* ---- many, and the end at any moment ---- */

#define MANY 200

static void many_at_once_share_what_they_can(void **state)
{
	bench *b = need_server(state, __func__);
	static outcome all[MANY];
	memset(all, 0, sizeof(all));
	unsigned most = 0;
	uint64_t began = ao_mono_ms();
	for (size_t i = 0; i < MANY; i++) {
		ao_auto_str char *queue =
		    ao_xasprintf("{\"name\":\"unit-many-%zu\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"300\"},"
				 "\"deadLetter\":{\"name\":\"unit-dlq\",\"maxReceiveCount\":3}}",
				 i);
		begin(b->broker, AO_BROKER_ENSURE, queue, 60000, &all[i]);
	}
	for (size_t i = 0; i < MANY; i++)
		while (!all[i].done) {
			bool never = false;
			unsigned now = ao_broker_get_stats(b->broker).in_flight;
			most = now > most ? now : most;
			ao_loop_run_until(b->loop, &never, 1);
		}
	uint64_t took = ao_mono_ms() - began;
	for (size_t i = 0; i < MANY; i++) {
		if (all[i].answer.error || !all[i].answer.created)
			fail_msg("%zu: %s", i, all[i].message);
		forget(&all[i]);
	}
	assert_int_equal(most, 16);
	fprintf(stderr, "%d queues created in %llu ms\n", MANY, (unsigned long long)took);
	began = ao_mono_ms();
	memset(all, 0, sizeof(all));
	for (size_t i = 0; i < MANY; i++) {
		ao_auto_str char *queue =
		    ao_xasprintf("{\"name\":\"unit-many-%zu\",\"create\":true,\"attributes\":{\"VisibilityTimeout\":\"300\"},"
				 "\"deadLetter\":{\"name\":\"unit-dlq\",\"maxReceiveCount\":3}}",
				 i);
		begin(b->broker, AO_BROKER_ENSURE, queue, 60000, &all[i]);
	}
	for (size_t i = 0; i < MANY; i++) {
		assert_true(ao_loop_run_until(b->loop, &all[i].done, 60000));
		assert_int_equal(all[i].answer.error, 0);
		assert_false(all[i].answer.created || all[i].answer.repaired);
		forget(&all[i]);
	}
	fprintf(stderr, "%d queues looked at in %llu ms\n", MANY, (unsigned long long)(ao_mono_ms() - began));
}

/** A long line does not look like a server that is down. */
static void waiting_in_line_is_no_time_out(void **state)
{
	enum { COUNT = 500, TIMEOUT_MS = 1500 };
	bench *b = need_server(state, __func__);
	outcome *all = ao_xcalloc(COUNT, sizeof(*all));
	int late = 0;
	for (int i = 0; i < COUNT; i++) {
		ao_auto_str char *queue = ao_xasprintf("{\"name\":\"unit-line-%d\",\"create\":true}", i);
		begin(b->broker, AO_BROKER_ENSURE, queue, TIMEOUT_MS, &all[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		assert_true(ao_loop_run_until(b->loop, &all[i].done, 60000));
		late += all[i].answer.error == -ETIME;
		forget(&all[i]);
	}
	assert_int_equal(late, 0);
	free(all);
}

static void calls_and_brokers_end_at_any_moment(void **state)
{
	bench *b = need_server(state, __func__);
	static outcome all[20];
	size_t answered = 0;
	bool never = false;
	for (unsigned turn = 0; turn < 60; turn++) {
		ao_broker *broker = make_broker(b, b->endpoint, "", SECRETS);
		memset(all, 0, sizeof(all));
		for (size_t i = 0; i < AO_LEN(all); i++)
			begin(broker, i % 3 == 2 ? AO_BROKER_DELETE : AO_BROKER_ENSURE, WITH_DEAD, 0, &all[i]);
		if (turn < 20) {
			for (unsigned i = 0; i < turn; i++)
				uv_run(ao_loop_raw(b->loop), UV_RUN_NOWAIT);
		} else {
			ao_loop_run_until(b->loop, &never, (turn - 20) * 3);
		}
		for (size_t i = 0; turn % 2 && i < AO_LEN(all); i++)
			if (all[i].call)
				ao_broker_cancel(all[i].call);
		assert_true(turn % 2 == 0 || ao_broker_get_stats(broker).in_flight == 0);
		ao_broker_free(broker);
		for (size_t i = 0; i < AO_LEN(all); i++) {
			answered += all[i].done;
			all[i].done = true; /* a further answer fails the test */
		}
		ao_loop_run_until(b->loop, &never, 5);
		for (size_t i = 0; i < AO_LEN(all); i++)
			forget(&all[i]);
	}
	fprintf(stderr, "%zu of 1200 calls were answered before their end\n", answered);
	assert_true(answered > 0 && answered < 1200);
}

static void free_broker(void *arg, const ao_broker_answer *answer)
{
	ao_broker **broker = arg;
	(void)answer;
	assert_non_null(*broker);
	ao_broker_free(*broker);
	*broker = NULL;
}

static void a_broker_is_freed_by_its_own_answer(void **state)
{
	bench *b = need_server(state, __func__);
	static const char *const queues[] = {WITH_DEAD, "{\"name\":\"x.fifo\"}", "{\"name\":\"none\"}"};
	for (size_t i = 0; i < AO_LEN(queues); i++) {
		ao_auto_json cJSON *queue = json(queues[i]);
		ao_broker *broker = make_broker(b, b->endpoint, "", SECRETS);
		bool never = false;
		for (int n = 0; n < 20; n++)
			ao_broker_send(broker,
				       &(ao_broker_request){.verb = AO_BROKER_ENSURE, .queue = queue, .fn = free_broker, .arg = &broker});
		for (int n = 0; broker && n < 2000; n++)
			ao_loop_run_until(b->loop, &never, 5);
		assert_null(broker);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
	    TEST(ensure_makes_the_queue_and_its_dead_letter_queue_once),
	    TEST(what_differs_is_put_right_and_messages_stay),
	    TEST(the_dead_letter_queue_is_put_right_too),
	    TEST(tags_are_put_right_and_those_of_others_stay),
	    TEST(counts_tell_waiting_from_in_flight),
	    TEST(a_dead_letter_queue_that_somebody_deleted_is_made_again),
	    TEST(without_create_nothing_is_changed),
	    TEST(deletes_are_careful_where_asked),
	    TEST(a_queue_that_differs_is_not_deleted),
	    TEST(wrong_queues_are_refused),
	    TEST(a_server_error_is_tried_again_and_then_given_up),
	    TEST(unreachable_and_silent_servers_are_told_apart),
	    TEST(many_at_once_share_what_they_can),
	    TEST(waiting_in_line_is_no_time_out),
	    TEST(calls_and_brokers_end_at_any_moment),
	    TEST(a_broker_is_freed_by_its_own_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
