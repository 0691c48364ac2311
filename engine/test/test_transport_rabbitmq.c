/* RabbitMQ queues made, kept and deleted on a real broker. */
#include "test/test_transport_rabbit.h"
#include "test/transport_conformance.h"

/* ---- what every type of broker has to do ---- */

static ao_broker *open_there(transport_subject *s, int port, const char *secret)
{
	ao_auto_str char *elsewhere =
	    ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d,\"username\":\"%s\"}", port, getenv("BED_RABBITMQ_USER"));
	ao_auto_str char *there = rabbit_config("");
	return open_broker(s->loop, port ? elsewhere : there, secret ? secret : getenv("BED_RABBITMQ_PASSWORD"));
}

static char *want(const char *name, unsigned traits)
{
	ao_auto_str char *dead = traits & WANT_DEAD ? ao_xasprintf(",\"deadLetter\":{\"name\":\"%s-dlq\"}", name) : NULL;
	return ao_xasprintf("{\"name\":\"%s\"%s%s%s%s}", name, traits & WANT_OTHER ? ",\"arguments\":{\"x-max-length\":70}" : "",
			    traits & WANT_THEIRS ? ",\"create\":false" : "", traits & WANT_IF_EMPTY ? ",\"ifEmpty\":true" : "",
			    dead ? dead : "");
}

static void publish(transport_subject *s, const char *queue, int count)
{
	(void)s;
	plain_publish("", queue, count);
}

static int count(transport_subject *s, const char *queue)
{
	(void)s;
	return plain_count(queue);
}

static void drop(transport_subject *s, const char *queue)
{
	(void)s;
	plain_drop(queue);
}

static void *take(transport_subject *s, const char *queue)
{
	(void)s;
	return plain_consume(queue);
}

static void give_back(void *taken) { amqp_destroy_connection(taken); }

static amqp_table_entry_t entry(const char *key, const char *value)
{
	return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
				    .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

#define EVERY_PROPERTY 0xfff8 /* but the cluster-id */

static void publish_rich(transport_subject *s, const char *queue)
{
	amqp_table_entry_t inner = entry("deep", "value"), entries[] = {entry("trace", "one"), entry("second", "two"), entry("", "")};
	amqp_connection_state_t c = plain_open();
	amqp_frame_t frame;
	(void)s;
	entries[2] =
	    (amqp_table_entry_t){.key = amqp_cstring_bytes("table"), .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {1, &inner}}};
	amqp_basic_properties_t p = {._flags = EVERY_PROPERTY & ~AMQP_BASIC_USER_ID_FLAG,
				     .content_type = amqp_cstring_bytes("application/json"),
				     .content_encoding = amqp_cstring_bytes("utf-8"),
				     .headers = {3, entries},
				     .delivery_mode = 2,
				     .priority = 4,
				     .correlation_id = amqp_cstring_bytes("c1"),
				     .reply_to = amqp_cstring_bytes("r1"),
				     .expiration = amqp_cstring_bytes("600000"),
				     .message_id = amqp_cstring_bytes("m1"),
				     .timestamp = 1700000000,
				     .type = amqp_cstring_bytes("t1"),
				     .app_id = amqp_cstring_bytes("a1")};
	amqp_confirm_select(c, 1);
	amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &p, amqp_cstring_bytes("rich"));
	assert_int_equal(amqp_simple_wait_frame(c, &frame), AMQP_STATUS_OK);
	amqp_destroy_connection(c);
}

/** Takes one. @return false: there was none */
static bool plain_get(amqp_connection_state_t c, const char *queue, amqp_message_t *ret)
{
	amqp_rpc_reply_t r = amqp_basic_get(c, 1, amqp_cstring_bytes(queue), 1);
	assert_int_equal(r.reply_type, AMQP_RESPONSE_NORMAL);
	return r.reply.id == AMQP_BASIC_GET_OK_METHOD && amqp_read_message(c, 1, ret, 0).reply_type == AMQP_RESPONSE_NORMAL;
}

static void same(amqp_bytes_t found, const char *wanted)
{
	assert_int_equal(found.len, strlen(wanted));
	assert_memory_equal(found.bytes, wanted, found.len);
}

static void expect_rich(transport_subject *s, const char *queue)
{
	amqp_connection_state_t c = plain_open();
	amqp_message_t m;
	(void)s;
	assert_true(plain_get(c, queue, &m));
	const amqp_basic_properties_t *p = &m.properties;
	same(m.body, "rich");
	same(p->content_type, "application/json");
	same(p->content_encoding, "utf-8");
	same(p->correlation_id, "c1");
	same(p->reply_to, "r1");
	same(p->expiration, "600000");
	same(p->message_id, "m1");
	same(p->type, "t1");
	same(p->app_id, "a1");
	assert_true(p->delivery_mode == 2 && p->priority == 4 && p->timestamp == 1700000000 && p->headers.num_entries == 3);
	same(p->headers.entries[0].value.value.bytes, "one");
	same(p->headers.entries[2].value.value.table.entries[0].value.value.bytes, "value");
	amqp_destroy_message(&m);
	amqp_destroy_connection(c);
}

static void collect(transport_subject *s, const char *queue, int *seen, int most)
{
	amqp_connection_state_t c = plain_open();
	amqp_message_t m;
	(void)s;
	while (plain_get(c, queue, &m)) {
		ao_auto_str char *body = ao_xstrndup(m.body.bytes, m.body.len);
		assert_in_range(atoi(body), 0, most - 1);
		seen[atoi(body)]++;
		amqp_destroy_message(&m);
	}
	amqp_destroy_connection(c);
}

static int port_of_broker(transport_subject *s)
{
	(void)s;
	return atoi(getenv("BED_RABBITMQ_PORT"));
}

static int open_subject(void **state)
{
	static transport_subject s = {.type = "rabbitmq",
				      .differs = "x-max-length is '70', wanted is absent",
				      .line = 5000,
				      .open = open_there,
				      .want = want,
				      .publish = publish,
				      .count = count,
				      .drop = drop,
				      .take = take,
				      .give_back = give_back,
				      .publish_rich = publish_rich,
				      .expect_rich = expect_rich,
				      .held = count, /* what is in flight comes back with its connection */
				      .collect = collect,
				      .port = port_of_broker};
	*state = NULL;
	if (!has_rabbit("conformance"))
		return 0;
	ao_log_setup(getenv("AO_TEST_DEBUG") ? AO_LOG_DEBUG : AO_LOG_ERROR, false);
	s.loop = ao_loop_new();
	*state = &s;
	return 0;
}

static int close_subject(void **state)
{
	transport_subject *s = *state;
	if (s)
		assert_int_equal(ao_loop_close(s->loop), 0);
	return 0;
}

/* ---- what RabbitMQ alone has ---- */

#define FULL(name)                                                                                                                         \
	"{\"name\":\"" name "\",\"create\":true,\"durable\":true,\"exchange\":{\"name\":\"unit-asya\",\"type\":\"topic\"},"                \
	"\"bindings\":[\"" name "\",\"other-" name "\"],\"deadLetter\":{\"name\":\"" name "-dlq\"},"                                       \
	"\"arguments\":{\"x-dead-letter-exchange\":\"\",\"x-dead-letter-routing-key\":\"" name "-dlq\"}}"

#define QUORUM(more) "{\"name\":\"unit-quorum\",\"forceRecreate\":true,\"arguments\":{\"x-queue-type\":\"quorum\"" more "}}"

static void a_queue_is_made_with_all_that_belongs_to_it(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-full");
	plain_drop("unit-full-dlq");
	expect(call(&r, AO_BROKER_ENSURE, FULL("unit-full")), 0, "");
	plain_publish("unit-asya", "unit-full", 3);
	plain_publish("unit-asya", "other-unit-full", 2);
	plain_publish("unit-asya", "nobody", 2);
	ao_broker_answer a = call(&r, AO_BROKER_ENSURE, FULL("unit-full"));
	assert_int_equal(a.messages, 5);
	assert_int_equal(a.in_flight, -1);
	expect(call(&r, AO_BROKER_DELETE, FULL("unit-full")), 0, "");
	assert_int_equal(plain_count("unit-full"), -1);
	assert_int_equal(plain_count("unit-full-dlq"), -1);
	teardown(&r);
}

static void every_kind_of_argument_arrives(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-args");
	const char *queue = "{\"name\":\"unit-args\",\"durable\":false,\"arguments\":{\"x-message-ttl\":60000,\"x-max-length\":1e3,"
			    "\"x-queue-type\":\"classic\",\"x-half\":0.5,\"x-yes\":true,\"x-nothing\":null,\"x-list\":[1,\"a\",[],{}],"
			    "\"x-deep\":{\"a\":{\"b\":[false]}}}}";
	assert_true(call(&r, AO_BROKER_ENSURE, queue).created);
	expect(call(&r, AO_BROKER_ENSURE, queue), 0, "");
	ao_broker_answer a =
	    call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-args\",\"durable\":true,\"arguments\":{\"x-message-ttl\":60000}}", 0,
		     "durable is 'false', wanted is 'true'");
	expect(a, -EINVAL, "QueueMismatch");
	a = call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-bad\",\"arguments\":{\"x-message-ttl\":-5}}", 0, "x-message-ttl");
	expect(a, -EINVAL, "InvalidConfiguration");
	a = call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"amq.mine\"}", 0, "reserved prefix");
	expect(a, -EPERM, "AccessDenied");
	expect(call(&r, AO_BROKER_DELETE, queue), 0, "");
	teardown(&r);
}

static void requests_that_make_no_sense_name_their_key(void **state)
{
	static const char *const cases[][2] = {
	    {"[]", "queue: expected an object"},
	    {"{\"name\":\"\"}", "queue.name: missing"},
	    {"{\"name\":{}}", "queue.name: expected a string"},
	    {"{\"name\":\"a\",\"arguments\":[]}", "queue.arguments: expected an object"},
	    {"{\"name\":\"a\",\"bindings\":[\"k\"]}", "queue.bindings: there is no exchange"},
	    {"{\"name\":\"a\",\"bindings\":\"k\"}", "queue.bindings: expected a list"},
	    {"{\"name\":\"a\",\"exchange\":{\"name\":\"e\",\"type\":\"tropic\"}}", "queue.exchange.type: expected topic"},
	    {"{\"name\":\"a\",\"exchange\":{\"nam\":\"e\"}}", "queue.exchange.nam: unknown key; did you mean name?"},
	    {"{\"name\":\"a\",\"deadLetter\":{}}", "queue.deadLetter.name: missing"},
	    {"{\"name\":\"a\",\"deadLetter\":{\"name\":\"b\",\"bindings\":[]}}", "queue.deadLetter.bindings: unknown key"},
	};
	(void)state;
	rig r = setup_with("{\"host\":\"127.0.0.1\",\"port\":1}", NULL); /* never asked */
	for (size_t i = 0; i < AO_LEN(cases); i++)
		expect(call_for(&r, AO_BROKER_ENSURE, cases[i][0], 0, cases[i][1]), -EINVAL, "InvalidConfiguration");
	ao_auto_str char *name = ao_xcalloc(1, 257);
	memset(name, 'n', 256);
	ao_auto_str char *queue = ao_xasprintf("{\"name\":\"%s\"}", name);
	expect(call_for(&r, AO_BROKER_ENSURE, queue, 0, "queue.name: longer than 255"), -EINVAL, "InvalidConfiguration");
	assert_int_equal(ao_broker_get_stats(r.broker).errors, AO_LEN(cases) + 1);
	teardown(&r);
}

static void a_queue_that_differs_is_left_alone(void **state)
{
	static const char *const cases[][2] = {
	    {"{\"name\":\"unit-differs\"}", "x-message-ttl is '60000', wanted is absent"},
	    {"{\"name\":\"unit-differs\",\"arguments\":{\"x-message-ttl\":5}}", "x-message-ttl is '60000', wanted is '5'"},
	    {"{\"name\":\"unit-differs\",\"arguments\":{\"x-message-ttl\":60000,\"x-max-length\":5}}",
	     "x-max-length is absent, wanted is '5'"},
	    {"{\"name\":\"unit-differs\",\"durable\":false,\"arguments\":{\"x-message-ttl\":60000}}",
	     "durable is 'true', wanted is 'false'"},
	};
	NEED_RABBIT();
	rig r = setup();
	const char *queue = "{\"name\":\"unit-differs\",\"arguments\":{\"x-message-ttl\":60000}}";
	plain_drop("unit-differs");
	assert_true(call(&r, AO_BROKER_ENSURE, queue).created);
	plain_publish("", "unit-differs", 10);
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, cases[i][0], 0, cases[i][1]);
		expect(a, -EINVAL, "QueueMismatch");
		assert_true(a.exists);
		assert_int_equal(a.messages, 10);
	}
	assert_int_equal(plain_count("unit-differs"), 10);
	expect(call(&r, AO_BROKER_ENSURE, queue), 0, "");
	expect(call(&r, AO_BROKER_DELETE, queue), 0, "");
	teardown(&r);
}

static void only_an_empty_unused_queue_is_replaced(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	const char *other = "{\"name\":\"unit-force\",\"forceRecreate\":true,\"arguments\":{\"x-message-ttl\":60000}}";
	plain_drop("unit-force");
	assert_true(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-force\",\"forceRecreate\":true}").created);
	plain_publish("", "unit-force", 10);
	ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, other, 0, "holds 10 messages");
	expect(a, -EBUSY, "QueueNotEmpty");
	assert_int_equal(a.messages, 10);
	assert_int_equal(plain_count("unit-force"), 10);

	amqp_connection_state_t consumer = plain_consume("unit-force"); /* takes all ten: nothing is "ready" */
	a = call_for(&r, AO_BROKER_ENSURE, other, 0, "has 1 consumer,");
	expect(a, -EBUSY, "QueueNotEmpty");
	amqp_destroy_connection(consumer);
	for (int i = 0; i < 50 && plain_count("unit-force") != 10; i++)
		usleep(20000);
	assert_int_equal(plain_count("unit-force"), 10);

	amqp_connection_state_t plain = plain_open();
	amqp_queue_purge(plain, 1, amqp_cstring_bytes("unit-force"));
	amqp_destroy_connection(plain);
	a = call(&r, AO_BROKER_ENSURE, other);
	expect(a, 0, "");
	assert_true(a.created);
	a = call(&r, AO_BROKER_ENSURE, other);
	assert_false(a.created);
	expect(call(&r, AO_BROKER_DELETE, other), 0, "");
	teardown(&r);
}

static void a_dead_letter_queue_that_differs_is_named(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-dead");
	plain_drop("unit-dead-dlq");
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-dead-dlq\",\"arguments\":{\"x-max-length\":7}}"), 0, "");
	plain_publish("", "unit-dead-dlq", 1);
	ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-dead\",\"deadLetter\":{\"name\":\"unit-dead-dlq\"}}", 0,
				      "queue unit-dead-dlq exists with other settings: x-max-length is '7', wanted is absent");
	expect(a, -EINVAL, "QueueMismatch");
	assert_false(a.exists);
	const char *force = "{\"name\":\"unit-dead\",\"forceRecreate\":true,\"deadLetter\":{\"name\":\"unit-dead-dlq\"}}";
	expect(call_for(&r, AO_BROKER_ENSURE, force, 0, "unit-dead-dlq"), -EBUSY, "QueueNotEmpty");
	amqp_connection_state_t plain = plain_open();
	amqp_queue_purge(plain, 1, amqp_cstring_bytes("unit-dead-dlq"));
	amqp_destroy_connection(plain);
	a = call(&r, AO_BROKER_ENSURE, force);
	expect(a, 0, "");
	assert_true(a.created && a.repaired);
	expect(call(&r, AO_BROKER_DELETE, force), 0, "");
	teardown(&r);
}

static void an_exchange_that_differs_is_named(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-x\",\"exchange\":{\"name\":\"amq.fanout\"}}", 0,
				      "exchange amq.fanout exists with other settings: type is 'fanout', wanted is 'topic'");
	expect(a, -EINVAL, "QueueMismatch");
	a = call(&r, AO_BROKER_ENSURE,
		 "{\"name\":\"unit-x\",\"exchange\":{\"name\":\"amq.fanout\",\"type\":\"fanout\"},\"bindings\":[\"\"]}");
	expect(a, 0, "");
	expect(call(&r, AO_BROKER_DELETE, "{\"name\":\"unit-x\"}"), 0, "");
	teardown(&r);
}

/** Arguments cannot be asked for, and what is not ours is not declared. */
static void what_is_not_ours_is_not_compared(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-theirs");
	const char *queue = "{\"name\":\"unit-theirs\",\"create\":false,\"arguments\":{\"x-max-length\":3}}";
	expect(call_for(&r, AO_BROKER_ENSURE, queue, 0, "creating queues is switched off"), -ENOENT, "QueueMissing");
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-theirs\"}"), 0, "");
	expect(call(&r, AO_BROKER_ENSURE, queue), 0, "");
	plain_drop("unit-theirs");
	teardown(&r);
}

/**
 * Quorum queues know no "if empty": asked for it, the broker closes the connection under everybody; not asked, it deletes what has come
 * since we looked.
 */
static void quorum_queues_are_neither_replaced_nor_deleted_if_empty(void **state)
{
	static const char *const wanted[][2] = {
	    {QUORUM(""), "x-max-length is '7', wanted is absent"},
	    {"{\"name\":\"unit-quorum\",\"forceRecreate\":true}", "x-max-length is '7', wanted is absent"},
	    {"{\"name\":\"unit-quorum\",\"forceRecreate\":true,\"arguments\":{\"x-max-length\":8}}", "x-max-length is '7', wanted is '8'"},
	};
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-quorum");
	expect(call(&r, AO_BROKER_ENSURE, QUORUM(",\"x-max-length\":7")), 0, "");
	for (size_t i = 0; i < AO_LEN(wanted); i++) {
		ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, wanted[i][0], 0, wanted[i][1]);
		expect(a, -EINVAL, "QueueMismatch");
		assert_true(a.exists);
		expect(call_for(&r, AO_BROKER_ENSURE, wanted[i][0], 0, "is not replaced, because the broker would also delete"), -EINVAL,
		       "QueueMismatch");
		expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-bystander\"}"), 0, "");
		assert_int_equal(plain_count("unit-quorum"), 0);
	}
	const char *careful = "{\"name\":\"unit-quorum\",\"ifEmpty\":true,\"arguments\":{\"x-queue-type\":\"quorum\",\"x-max-length\":7}}";
	plain_publish("", "unit-quorum", 2);
	expect(call_for(&r, AO_BROKER_DELETE, careful, 0, "message"), -EBUSY, "QueueNotEmpty");
	amqp_connection_state_t plain = plain_open();
	amqp_queue_purge(plain, 1, amqp_cstring_bytes("unit-quorum"));
	amqp_destroy_connection(plain);
	ao_broker_answer a = call_for(&r, AO_BROKER_DELETE, careful, 0, "because the broker would also delete");
	expect(a, 0, "");
	assert_true(a.kept && a.exists && plain_count("unit-quorum") == 0);
	expect(call(&r, AO_BROKER_DELETE, QUORUM(",\"x-max-length\":7")), 0, "");
	assert_int_equal(plain_count("unit-quorum"), -1);
	plain_drop("unit-bystander");
	teardown(&r);
}

/** What is there decides how it is deleted, not what is wanted: a classic one is, if it is empty. */
static void a_classic_queue_gives_way_to_a_quorum_queue(void **state)
{
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-quorum");
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-quorum\"}"), 0, "");
	plain_publish("", "unit-quorum", 2);
	expect(call_for(&r, AO_BROKER_ENSURE, QUORUM(""), 0, "holds 2 messages"), -EBUSY, "QueueNotEmpty");
	amqp_connection_state_t plain = plain_open();
	amqp_queue_purge(plain, 1, amqp_cstring_bytes("unit-quorum"));
	amqp_destroy_connection(plain);
	ao_broker_answer a = call(&r, AO_BROKER_ENSURE, QUORUM(""));
	expect(a, 0, "");
	assert_true(a.created);
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 1);
	expect(call(&r, AO_BROKER_DELETE, QUORUM("")), 0, "");
	teardown(&r);
}

/** With what is another's its dead letter queue stays, too; and that one alone, when it alone differs. */
static void the_dead_letter_queue_of_what_stays_stays(void **state)
{
	static const char *const others[] = {
	    "{\"name\":\"unit-other\",\"durable\":false}",
	    "{\"name\":\"unit-other\",\"arguments\":{\"x-queue-type\":\"quorum\"}}",
	};
	NEED_RABBIT();
	rig r = setup();
	for (size_t i = 0; i < 2 * AO_LEN(others); i++) {
		const char *wanted = i % 2 ? "{\"name\":\"unit-other\",\"ifEmpty\":true,\"deadLetter\":{\"name\":\"unit-other-dlq\"}}"
					   : "{\"name\":\"unit-other\",\"deadLetter\":{\"name\":\"unit-other-dlq\"}}";
		plain_drop("unit-other");
		plain_drop("unit-other-dlq");
		expect(call(&r, AO_BROKER_ENSURE, others[i / 2]), 0, "");
		expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-other-dlq\"}"), 0, "");
		plain_publish("", "unit-other", 10);
		ao_broker_answer a =
		    call_for(&r, AO_BROKER_DELETE, wanted, 0, "queue unit-other stays at its broker with 10 messages, because");
		expect(a, 0, "");
		assert_true(a.exists && !a.deleted && a.kept);
		assert_int_equal(plain_count("unit-other"), 10);
		assert_int_equal(plain_count("unit-other-dlq"), 0);
	}
	plain_drop("unit-other");
	const char *wanted = "{\"name\":\"unit-other\",\"deadLetter\":{\"name\":\"unit-other-dlq\",\"arguments\":{\"x-max-length\":7}}}";
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-other\"}"), 0, "");
	plain_publish("", "unit-other", 3);
	ao_broker_answer a =
	    call_for(&r, AO_BROKER_DELETE, wanted, 0,
		     "queue unit-other-dlq stays at its broker with 0 messages, because its settings are not those wanted: "
		     "x-max-length is absent, wanted is '7'");
	expect(a, 0, "");
	assert_true(!a.exists && a.deleted && a.messages == 3 && a.kept);
	assert_int_equal(plain_count("unit-other"), -1);
	assert_int_equal(plain_count("unit-other-dlq"), 0);
	plain_drop("unit-other-dlq");
	a = call(&r, AO_BROKER_DELETE, wanted);
	assert_true(!a.exists && !a.deleted && !a.kept);
	assert_int_equal(plain_count("unit-other"), -1);
	assert_int_equal(plain_count("unit-other-dlq"), -1);
	teardown(&r);
}

static void channels_survive_refusals(void **state)
{
	NEED_RABBIT();
	enum { COUNT = 300 };
	rig r = setup();
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-refused\"}"), 0, "");
	outcome *o = ao_xcalloc(COUNT, sizeof(*o));
	for (int i = 0; i < COUNT; i++) {
		bool mismatch = i % 3 == 0;
		start_call(&r, mismatch ? AO_BROKER_ENSURE : AO_BROKER_INSPECT,
			   mismatch     ? "{\"name\":\"unit-refused\",\"arguments\":{\"x-max-length\":3}}"
			   : i % 3 == 1 ? "{\"name\":\"unit-not-there\"}"
					: "{\"name\":\"unit-refused\"}",
			   0, &o[i]);
	}
	for (int i = 0; i < COUNT; i++) {
		finish_call(&r, &o[i]);
		expect(o[i].answer, i % 3 ? 0 : -EINVAL, i % 3 ? "" : "QueueMismatch");
		assert_int_equal(o[i].answer.exists, i % 3 != 1);
	}
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 1);
	plain_drop("unit-refused");
	free(o);
	teardown(&r);
}

static void unacknowledged_messages_are_known_from_management(void **state)
{
	NEED_RABBIT();
	const char *url = getenv("BED_RABBITMQ_MANAGEMENT_URL");
	if (!url) {
		fprintf(stderr, "SKIPPED %s: no management API; set BED_RABBITMQ_MANAGEMENT_URL\n", __func__);
		skip();
	}
	ao_auto_str char *more = ao_xasprintf(",\"management\":{\"url\":\"%s/\"}", url), *config = rabbit_config(more);
	rig r = setup_with(config, getenv("BED_RABBITMQ_PASSWORD"));
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit flight/%\"}"), 0, "");
	plain_publish("", "unit flight/%", 4);
	amqp_connection_state_t consumer = plain_consume("unit flight/%");
	ao_broker_answer a = {0};
	for (int i = 0; i < 200 && a.in_flight != 4; i++) { /* figures are some seconds old there */
		a = call(&r, AO_BROKER_INSPECT, "{\"name\":\"unit flight/%\"}");
		usleep(50000);
	}
	assert_int_equal(a.in_flight, 4);
	assert_int_equal(a.messages, 0);
	amqp_destroy_connection(consumer);
	plain_drop("unit flight/%");
	teardown(&r);
}

static void without_management_the_rest_works(void **state)
{
	NEED_RABBIT();
	ao_auto_str char *config = rabbit_config(",\"management\":{\"url\":\"http://127.0.0.1:1\"}");
	rig r = setup_with(config, getenv("BED_RABBITMQ_PASSWORD"));
	ao_log_setup(AO_LOG_ERROR, false);
	for (int i = 0; i < 2; i++) {
		ao_broker_answer a = call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-soft\"}");
		expect(a, 0, "");
		assert_int_equal(a.messages, 0);
		assert_int_equal(a.in_flight, -1);
	}
	plain_drop("unit-soft");
	teardown(&r);
}

/** Its dead letters are counted with the queue; one that is not there counts for nothing. */
static void dead_letters_are_counted(void **state)
{
	static const char queue[] = "{\"name\":\"unit-letters\",\"deadLetter\":{\"name\":\"unit-letters-dlq\"}}";
	NEED_RABBIT();
	rig r = setup();
	plain_drop("unit-letters");
	plain_drop("unit-letters-dlq");
	ao_broker_answer a = call(&r, AO_BROKER_ENSURE, queue);
	assert_true(a.dead_known && a.dead == 0);
	plain_publish("", "unit-letters-dlq", 3);
	for (int i = 0; i < 2; i++) {
		a = call(&r, i ? AO_BROKER_ENSURE : AO_BROKER_INSPECT, queue);
		expect(a, 0, "");
		assert_true(a.exists && !a.created && a.messages == 0 && a.dead_known && a.dead == 3);
	}
	plain_drop("unit-letters-dlq");
	a = call(&r, AO_BROKER_INSPECT, queue);
	expect(a, 0, "");
	assert_true(a.exists && a.messages == 0 && !a.dead_known && a.dead_missing);
	expect(call(&r, AO_BROKER_ENSURE, queue), 0, "");
	assert_false(call(&r, AO_BROKER_INSPECT, queue).dead_missing);
	plain_drop("unit-letters-dlq");
	assert_false(call(&r, AO_BROKER_INSPECT, "{\"name\":\"unit-letters\"}").dead_known);
	plain_drop("unit-letters");
	teardown(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TRANSPORT_CONFORMANCE(open_subject, close_subject),
	    cmocka_unit_test(dead_letters_are_counted),
	    cmocka_unit_test(a_queue_is_made_with_all_that_belongs_to_it),
	    cmocka_unit_test(every_kind_of_argument_arrives),
	    cmocka_unit_test(requests_that_make_no_sense_name_their_key),
	    cmocka_unit_test(a_queue_that_differs_is_left_alone),
	    cmocka_unit_test(only_an_empty_unused_queue_is_replaced),
	    cmocka_unit_test(a_dead_letter_queue_that_differs_is_named),
	    cmocka_unit_test(an_exchange_that_differs_is_named),
	    cmocka_unit_test(what_is_not_ours_is_not_compared),
	    cmocka_unit_test(quorum_queues_are_neither_replaced_nor_deleted_if_empty),
	    cmocka_unit_test(a_classic_queue_gives_way_to_a_quorum_queue),
	    cmocka_unit_test(the_dead_letter_queue_of_what_stays_stays),
	    cmocka_unit_test(channels_survive_refusals),
	    cmocka_unit_test(unacknowledged_messages_are_known_from_management),
	    cmocka_unit_test(without_management_the_rest_works),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
