#pragma once
/**
 * test_transport_rabbit.h -- a real RabbitMQ for tests: $BED_RABBITMQ_HOST and so on, as `bed env` prints them; $BED_DIR where it is to
 * break.
 *
 * Tests without one skip, loudly.  Beside the broker object there is a plain client of librabbitmq, which puts messages into queues and
 * looks.
 */
#include "test/transport_answer.h"

#include <amqp.h>
#include <amqp_tcp_socket.h>

typedef struct rig {
	ao_loop *loop;
	ao_broker *broker;
} rig;

static inline bool has_rabbit(const char *test)
{
	if (!getenv("BED_RABBITMQ_PORT"))
		fprintf(stderr, "SKIPPED %s: no RabbitMQ; set BED_RABBITMQ_HOST, _PORT, _USER, _PASSWORD\n", test);
	return getenv("BED_RABBITMQ_PORT") != NULL;
}

#define NEED_RABBIT()                                                                                                                      \
	do {                                                                                                                               \
		(void)state;                                                                                                               \
		if (!has_rabbit(__func__))                                                                                                 \
			skip();                                                                                                            \
	} while (0)

/** A configuration for the test broker; `more` is ",\"key\": value". The caller frees. */
static inline char *rabbit_config(const char *more)
{
	return ao_xasprintf("{\"host\":\"%s\",\"port\":%s,\"username\":\"%s\"%s}", getenv("BED_RABBITMQ_HOST"), getenv("BED_RABBITMQ_PORT"),
			    getenv("BED_RABBITMQ_USER"), more);
}

static inline ao_broker *open_broker(ao_loop *loop, const char *config, const char *password)
{
	ao_auto_json cJSON *tree = json(config), *secrets = cJSON_CreateObject();
	ao_auto_err ao_err *err = NULL;
	ao_broker *broker = NULL;
	ao_json_set_str(secrets, "password", password);
	if (ao_broker_new(loop, "rabbitmq", tree, secrets, &broker, &err) < 0)
		fail_msg("%s: %s", config, ao_err_text(err));
	return broker;
}

static inline rig setup_with(const char *config, const char *password)
{
	rig r = {.loop = ao_loop_new()};
	ao_log_setup(getenv("AO_TEST_DEBUG") ? AO_LOG_DEBUG : AO_LOG_ERROR, false);
	r.broker = open_broker(r.loop, config, password);
	return r;
}

static inline rig setup(void)
{
	ao_auto_str char *config = rabbit_config("");
	return setup_with(config, getenv("BED_RABBITMQ_PASSWORD"));
}

static inline void teardown(rig *r)
{
	ao_broker_free(r->broker);
	assert_int_equal(ao_loop_close(r->loop), 0);
}

static inline ao_broker_call *start_call(rig *r, ao_broker_verb verb, const char *queue, uint64_t timeout_ms, outcome *o)
{
	*o = (outcome){0};
	begin(r->broker, verb, queue, timeout_ms, o);
	return o->call;
}

static inline void finish_call(rig *r, outcome *o)
{
	await(r->loop, o);
	forget(o);
}

/** One call, waited for. @param text  what the message, or what is kept, must hold; or NULL. @return the answer, without its texts */
static inline ao_broker_answer call_for(rig *r, ao_broker_verb verb, const char *queue, uint64_t timeout_ms, const char *text)
{
	outcome o;
	start_call(r, verb, queue, timeout_ms, &o);
	await(r->loop, &o);
	const char *said = o.kept ? o.kept : o.message;
	if (text && !strstr(said, text))
		fail_msg("\"%s\" does not say \"%s\"", said, text);
	finish_call(r, &o);
	return o.answer;
}

static inline ao_broker_answer call(rig *r, ao_broker_verb verb, const char *queue) { return call_for(r, verb, queue, 0, NULL); }

static inline void expect(ao_broker_answer a, int error, const char *reason)
{
	assert_int_equal(a.error, error);
	assert_string_equal(a.reason, reason);
}

/* ---- the plain client ---- */

static inline amqp_connection_state_t plain_open(void)
{
	amqp_connection_state_t c = amqp_new_connection();
	amqp_socket_t *s = amqp_tcp_socket_new(c);
	assert_int_equal(amqp_socket_open(s, getenv("BED_RABBITMQ_HOST"), atoi(getenv("BED_RABBITMQ_PORT"))), 0);
	amqp_rpc_reply_t r =
	    amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, getenv("BED_RABBITMQ_USER"), getenv("BED_RABBITMQ_PASSWORD"));
	assert_int_equal(r.reply_type, AMQP_RESPONSE_NORMAL);
	amqp_channel_open(c, 1);
	return c;
}

/** Also where the test put something that is to go: a queue, whatever it holds. */
static inline void plain_drop(const char *queue)
{
	amqp_connection_state_t c = plain_open();
	amqp_queue_delete(c, 1, amqp_cstring_bytes(queue), 0, 0);
	amqp_destroy_connection(c);
}

/** Messages with the bodies "0", "1", ... */
static inline void plain_publish(const char *exchange, const char *key, int count)
{
	amqp_connection_state_t c = plain_open();
	amqp_confirm_select(c, 1);
	for (int i = 0; i < count; i++) {
		amqp_frame_t frame;
		ao_auto_str char *body = ao_xasprintf("%d", i);
		amqp_basic_publish(c, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0, 0, NULL, amqp_cstring_bytes(body));
		assert_int_equal(amqp_simple_wait_frame(c, &frame), AMQP_STATUS_OK);
	}
	amqp_destroy_connection(c);
}

/** @return messages ready, or -1 when there is no such queue */
static inline int plain_count(const char *queue)
{
	amqp_connection_state_t c = plain_open();
	amqp_queue_declare_ok_t *ok = amqp_queue_declare(c, 1, amqp_cstring_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
	int count = ok ? (int)ok->message_count : -1;
	amqp_destroy_connection(c);
	return count;
}

/** A consumer that takes and never acknowledges, until amqp_destroy_connection(). */
static inline amqp_connection_state_t plain_consume(const char *queue)
{
	amqp_connection_state_t c = plain_open();
	amqp_basic_consume(c, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	assert_int_equal(amqp_get_rpc_reply(c).reply_type, AMQP_RESPONSE_NORMAL);
	return c;
}

/** "bed WHAT DIR ARGUMENTS", waited for without a loop. */
static inline void bed(const char *what, const char *arguments)
{
	ao_auto_str char *command = ao_xasprintf("spec/bed/bed %s '%s' %s >/dev/null", what, getenv("BED_DIR"), arguments);
	assert_int_equal(system(command), 0);
}

static inline void rabbitmqctl(const char *arguments)
{
	ao_auto_str char *command = ao_xasprintf("%s -q %s >/dev/null", getenv("BED_RABBITMQCTL"), arguments);
	assert_int_equal(system(command), 0);
}
