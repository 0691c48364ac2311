/* Brokers that are not there, do not answer, hang up, freeze or come back; and owners that do not wait. */
#include "test/test_transport_rabbit.h"

#include "test/relay.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#define QUEUE "{\"name\":\"unit-fault\"}"

/* ---- a server that answers nonsense ---- */

typedef struct liar {
	int fd, port;
	const char *text; /* NULL: accepts in the kernel only, and never answers */
	size_t len;
	bool hang_up;
	pthread_t thread;
} liar;

static void *lie(void *arg)
{
	liar *l = arg;
	int fd;
	while ((fd = accept(l->fd, NULL, NULL)) >= 0) {
		char bytes[256];
		if (recv(fd, bytes, sizeof(bytes), 0) > 0)
			send(fd, l->text, l->len, MSG_NOSIGNAL);
		while (!l->hang_up && recv(fd, bytes, sizeof(bytes), 0) > 0)
			;
		close(fd);
	}
	return NULL;
}

static void start_lying(liar *l, const char *text, size_t len, bool hang_up)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	*l = (liar){.fd = socket(AF_INET, SOCK_STREAM, 0), .text = text, .len = len, .hang_up = hang_up};
	assert_int_equal(bind(l->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(l->fd, 100), 0);
	getsockname(l->fd, (struct sockaddr *)&at, &size);
	l->port = ntohs(at.sin_port);
	if (text)
		pthread_create(&l->thread, NULL, lie, l);
}

static void stop_lying(liar *l)
{
	shutdown(l->fd, SHUT_RDWR);
	if (l->text)
		pthread_join(l->thread, NULL);
	close(l->fd);
}

static rig setup_at(int port, const char *more)
{
	ao_auto_str char *config = ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d%s}", port, more);
	return setup_with(config, "wrong");
}

/* ---- not there ---- */

static void a_closed_port_fails_at_once_and_then_pauses(void **state)
{
	(void)state;
	rig r = setup_at(1, "");
	ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, QUEUE, 0, "127.0.0.1:1: Connection refused");
	expect(a, -EIO, "BrokerUnreachable");
	assert_in_range(a.retry_ms, 500, 1000);
	outcome o[20];
	for (size_t i = 0; i < AO_LEN(o); i++)
		start_call(&r, AO_BROKER_INSPECT, QUEUE, 0, &o[i]);
	for (size_t i = 0; i < AO_LEN(o); i++) {
		finish_call(&r, &o[i]);
		expect(o[i].answer, -EIO, "BrokerUnreachable");
		assert_in_range(o[i].took_ms, 0, patient_ms(200));
		assert_in_range(o[i].answer.retry_ms, 1, 1000);
	}
	run_for(r.loop, a.retry_ms + 20);
	a = call(&r, AO_BROKER_INSPECT, QUEUE);
	assert_in_range(a.retry_ms, 1500, 2000); /* the second attempt: twice the pause */
	assert_false(ao_broker_get_stats(r.broker).connected);
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 0);
	assert_int_equal(ao_broker_get_stats(r.broker).errors, 22);
	teardown(&r);
}

static void names_that_nobody_knows_are_said(void **state)
{
	(void)state;
	rig r = setup_with("{\"host\":\"no.such.host.invalid\"}", NULL);
	expect(call_for(&r, AO_BROKER_ENSURE, QUEUE, 20000, "no.such.host.invalid"), -EIO, "BrokerUnreachable");
	teardown(&r);
}

static void an_attempt_to_connect_ends_before_a_patient_call(void **state)
{
	(void)state;
	liar l;
	start_lying(&l, NULL, 0, false);
	rig r = setup_at(l.port, "");
	outcome o;
	start_call(&r, AO_BROKER_ENSURE, QUEUE, 60000, &o);
	finish_call(&r, &o);
	expect(o.answer, -ETIME, "BrokerTimeout");
	assert_in_range(o.took_ms, 9000, patient_ms(11000));
	expect(call_for(&r, AO_BROKER_ENSURE, QUEUE, 0, "no answer in time"), -EIO, "BrokerUnreachable"); /* the pause */
	teardown(&r);
	stop_lying(&l);
}

static void other_servers_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int error;
		const char *says;
	} cases[] = {
	    {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, -EPROTO, "does not speak AMQP"},
	    {"AMQP\0\1\0\0", 8, -EPROTO, "does not speak AMQP 0-9-1"},
	    {"\x15\x03\x01\0\2\2\x46", 7, -EPROTO, "speaks TLS; set tls.enabled"},
	    {"\1\0\0\x7f\xff\xff\xff\0", 8, -EPROTO, "a frame of"},
	    {"\1\0\0\0\0\0\4\0\x0a\0\x0a!", 12, -EPROTO, "without an end"},
	    {"\1\0\0\0\0\0\4\0\x0a\0\x0a\xce", 12, -EPROTO, "makes no sense"},
	    {"\1\0\0\0\0\0\2\0\x0a\xce", 10, -EPROTO, "without a number"},
	    {"\1\0\0\0\0\0\4\0\x0a\0\x33\xce", 12, -EPROTO, "answers the login with method 0xa0033"},
	    {"\1\0\0\0\0\0\4\x12\x34\x56\x78\xce", 12, -EPROTO, "makes no sense"},
	    {"", 0, -EIO, "closed by the other side"},
	};
	(void)state;
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		liar l;
		start_lying(&l, cases[i].text, cases[i].len, true);
		rig r = setup_at(l.port, "");
		ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, QUEUE, 3000, cases[i].says);
		expect(a, cases[i].error, cases[i].error == -EIO ? "BrokerUnreachable" : "BrokerError");
		teardown(&r);
		stop_lying(&l);
	}
}

static void hosts_are_tried_in_turn(void **state)
{
	NEED_RABBIT();
	ao_auto_str char *list = ao_xasprintf("{\"host\":\"127.0.0.1:1,no.such.host.invalid\",\"hosts\":[\"[::1]:2\",\"%s:%s\"]}",
					      getenv("BED_RABBITMQ_HOST"), getenv("BED_RABBITMQ_PORT"));
	rig r = setup_with(list, getenv("BED_RABBITMQ_PASSWORD"));
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	teardown(&r);
	r = setup_with("{\"hosts\":[\"127.0.0.1:1\",\"127.0.0.1:2\"]}", NULL);
	expect(call_for(&r, AO_BROKER_ENSURE, QUEUE, 0, "127.0.0.1:1: Connection refused; 127.0.0.1:2: "), -EIO, "BrokerUnreachable");
	teardown(&r);
}

/* ---- not let in ---- */

static void wrong_passwords_are_said_and_not_tried_all_the_time(void **state)
{
	NEED_RABBIT();
	ao_auto_str char *config = rabbit_config("");
	rig r = setup_with(config, "wrong");
	ao_broker_answer a = call_for(&r, AO_BROKER_ENSURE, QUEUE, 0, "ACCESS_REFUSED");
	expect(a, -EPERM, "AccessDenied");
	a = call_for(&r, AO_BROKER_ENSURE, QUEUE, 0, "user guest");
	expect(a, -EPERM, "AccessDenied");
	assert_in_range(a.retry_ms, 1, 1000);
	teardown(&r);
	ao_auto_str char *elsewhere = rabbit_config(",\"vhost\":\"no such\"");
	r = setup_with(elsewhere, getenv("BED_RABBITMQ_PASSWORD"));
	expect(call_for(&r, AO_BROKER_ENSURE, QUEUE, 0, "vhost no such not found"), -EINVAL, "InvalidConfiguration");
	teardown(&r);
}

static void odd_names_and_small_rights(void **state)
{
	NEED_RABBIT();
	if (!getenv("BED_RABBITMQCTL")) {
		fprintf(stderr, "SKIPPED %s: no rabbitmqctl; set BED_RABBITMQCTL\n", __func__);
		skip();
	}
	rabbitmqctl(
	    "eval 'rabbit_vhost:put_vhost(<<\"a/b %41\">>, <<>>, <<>>, false, <<\"unit\">>), "
	    "rabbit_auth_backend_internal:put_user(#{name => <<\"us:er@x/%41\">>, password => <<\"p@:/%41 w\">>, tags => <<>>}, "
	    "<<\"unit\">>), "
	    "rabbit_auth_backend_internal:set_permissions(<<\"us:er@x/%41\">>, <<\"a/b %41\">>, <<\"^mine$\">>, <<\".*\">>, <<\".*\">>, "
	    "<<\"unit\">>).'");
	ao_auto_str char *config = ao_xasprintf("{\"host\":\"%s\",\"port\":\"%s\",\"username\":\"us:er@x/%%41\",\"vhost\":\"a/b %%41\"}",
						getenv("BED_RABBITMQ_HOST"), getenv("BED_RABBITMQ_PORT"));
	rig r = setup_with(config, "p@:/%41 w");
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"mine\"}"), 0, "");
	expect(call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"other\"}", 0, "queue other"), -EPERM, "AccessDenied");
	expect(call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"mine\",\"exchange\":{\"name\":\"not-there\"}}", 0,
			"exchange not-there is not there"),
	       -EPERM, "AccessDenied");
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"mine\",\"exchange\":{\"name\":\"amq.topic\"},\"bindings\":[\"k\"]}"), 0, "");
	teardown(&r);
	rabbitmqctl("eval 'rabbit_vhost:delete(<<\"a/b %41\">>, <<\"unit\">>), "
		    "rabbit_auth_backend_internal:delete_user(<<\"us:er@x/%41\">>, <<\"unit\">>).'");
}

/* ---- at rest ---- */

static void heartbeats_keep_it_and_silence_ends_it(void **state)
{
	NEED_RABBIT();
	ao_auto_str char *config = rabbit_config(",\"heartbeat\":1");
	rig r = setup_with(config, getenv("BED_RABBITMQ_PASSWORD"));
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	run_for(r.loop, 4500); /* a broker that misses two of ours hangs up */
	assert_true(ao_broker_get_stats(r.broker).connected);
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 1);
	if (getenv("BED_DIR")) {
		bed("pause", "rabbitmq");
		run_for(r.loop, 3000);
		bool connected = ao_broker_get_stats(r.broker).connected;
		bed("resume", "rabbitmq");
		assert_false(connected);
		expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	}
	teardown(&r);
}

static void without_work_the_connection_goes(void **state)
{
	NEED_RABBIT();
	ao_auto_str char *config = rabbit_config(",\"idleSeconds\":1");
	rig r = setup_with(config, getenv("BED_RABBITMQ_PASSWORD"));
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 0);
	for (uint64_t i = 1; i <= 2; i++) {
		expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
		run_for(r.loop, 600);
		assert_true(ao_broker_get_stats(r.broker).connected);
		run_for(r.loop, 900);
		assert_false(ao_broker_get_stats(r.broker).connected);
		assert_int_equal(ao_broker_get_stats(r.broker).connects, i);
	}
	teardown(&r);
	ao_auto_str char *hasty = rabbit_config(",\"idleSeconds\":0"); /* work that comes while it is being closed */
	r = setup_with(hasty, getenv("BED_RABBITMQ_PASSWORD"));
	for (int i = 0; i < 20; i++)
		expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	teardown(&r);
}

/* ---- gone and back ---- */

static bool has_bed(const char *test)
{
	if (!getenv("BED_DIR"))
		fprintf(stderr, "SKIPPED %s: no test bed; set BED_DIR\n", test);
	return getenv("BED_DIR") != NULL;
}

static void a_frozen_broker_times_out_and_heals(void **state)
{
	NEED_RABBIT();
	if (!has_bed(__func__))
		skip();
	rig r = setup();
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	bed("pause", "rabbitmq");
	ticker t;
	start_ticking(&t, r.loop);
	outcome o[40];
	for (size_t i = 0; i < AO_LEN(o); i++)
		start_call(&r, AO_BROKER_ENSURE, QUEUE, 3500, &o[i]);
	for (size_t i = 0; i < AO_LEN(o); i++) {
		finish_call(&r, &o[i]);
		expect(o[i].answer, -ETIME, "BrokerTimeout");
		assert_in_range(o[i].took_ms, 3400, patient_ms(4000));
	}
	stop_ticking(&t);
	start_call(&r, AO_BROKER_ENSURE, QUEUE, 9000, &o[0]); /* finds the old connection given up, and waits for a new one */
	run_for(r.loop, 500);
	assert_false(o[0].done);
	bed("resume", "rabbitmq");
	finish_call(&r, &o[0]);
	expect(o[0].answer, 0, "");
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 2);
	teardown(&r);
}

enum { CALL_MS = 20000 }; /* longer than the bed's commands may take, during which no call is to be given up */

/**
 * The broker answers the first look when the deletion has been given up, or when its time is over: who decided on it stood still meanwhile, and may
 * not lead any more.  By then another one may have made the queue anew.
 */
static void a_deletion_that_is_not_allowed_any_more_deletes_nothing(void **state)
{
	NEED_RABBIT();
	if (!has_bed(__func__))
		skip();
	rig r = setup();
	for (int given_up = 0; given_up < 2; given_up++) {
		outcome o;
		expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
		plain_publish("", "unit-fault", 3);
		bed("pause", "rabbitmq");
		ao_broker_call *deletion = start_call(&r, AO_BROKER_DELETE, QUEUE, CALL_MS, &o);
		run_for(r.loop, 200);
		if (given_up)
			ao_broker_cancel(deletion);
		else
			ao_broker_allow(deletion, 1);
		bed("resume", "rabbitmq");
		if (given_up) {
			run_for(r.loop, 1000);
		} else {
			await(r.loop, &o);
			expect(o.answer, -EAGAIN, "BrokerError");
			finish_call(&r, &o);
		}
		assert_int_equal(plain_count("unit-fault"), 3);
		expect(call(&r, AO_BROKER_DELETE, QUEUE), 0, "");
	}
	teardown(&r);
}

/** The same of a queue that is to be replaced. */
static void a_replacement_that_is_not_allowed_any_more_deletes_nothing(void **state)
{
	NEED_RABBIT();
	if (!has_bed(__func__))
		skip();
	rig r = setup();
	outcome o;
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	bed("pause", "rabbitmq");
	ao_broker_call *ensuring = start_call(
	    &r, AO_BROKER_ENSURE, "{\"name\":\"unit-fault\",\"forceRecreate\":true,\"arguments\":{\"x-max-length\":9}}", CALL_MS, &o);
	run_for(r.loop, 200);
	ao_broker_allow(ensuring, 1);
	bed("resume", "rabbitmq");
	await(r.loop, &o);
	expect(o.answer, -EAGAIN, "BrokerError");
	finish_call(&r, &o);
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	expect(call(&r, AO_BROKER_DELETE, QUEUE), 0, "");
	teardown(&r);
}

/** A broker object behind a relay, which holds what the broker says. */
static rig setup_behind(relay *line)
{
	relay_start(line, atoi(getenv("BED_RABBITMQ_PORT")), -1);
	ao_auto_str char *config =
	    ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d,\"username\":\"%s\"}", line->port, getenv("BED_RABBITMQ_USER"));
	return setup_with(config, getenv("BED_RABBITMQ_PASSWORD"));
}

/** Waits for the answer to a call that is not allowed any more when the broker's first one comes. */
static void finish_forbidden(rig *r, relay *line, ao_broker_call *call, outcome *o)
{
	run_for(r->loop, 500); /* the broker has answered, and nobody has heard it */
	ao_broker_allow(call, 1);
	atomic_store(&line->holds, false);
	finish_call(r, o);
	expect(o->answer, -EAGAIN, "BrokerError");
}

/** To ask the broker whether a queue is as wanted is to declare it: where another leader has deleted it meanwhile, that makes it anew. */
static void a_deletion_that_is_not_allowed_any_more_makes_nothing(void **state)
{
	NEED_RABBIT();
	relay line;
	outcome o;
	rig r = setup_behind(&line);
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	atomic_store(&line.holds, true);
	ao_broker_call *deletion = start_call(&r, AO_BROKER_DELETE, QUEUE, CALL_MS, &o);
	run_for(r.loop, 500); /* it is there, the broker says */
	plain_drop("unit-fault");
	finish_forbidden(&r, &line, deletion, &o);
	assert_int_equal(plain_count("unit-fault"), -1);
	teardown(&r);
	relay_stop(&line);
}

/** Whose queue it is may be gone when who wanted it wakes: nobody would delete it any more. Nor may it say that it has tried. */
static void a_queue_is_not_made_when_that_is_not_allowed_any_more(void **state)
{
	NEED_RABBIT();
	relay line;
	outcome o;
	rig r = setup_behind(&line);
	plain_drop("unit-fault");
	expect(call(&r, AO_BROKER_INSPECT, QUEUE), 0, "");
	atomic_store(&line.holds, true);
	ao_broker_call *ensuring = start_call(&r, AO_BROKER_ENSURE, QUEUE, CALL_MS, &o);
	finish_forbidden(&r, &line, ensuring, &o);
	assert_false(o.answer.tried);
	assert_int_equal(plain_count("unit-fault"), -1);
	teardown(&r);
	relay_stop(&line);
}

/** ... nor bound: its bindings may have been taken from it meanwhile, because another queue has its senders now. */
static void a_queue_is_not_bound_when_that_is_not_allowed_any_more(void **state)
{
	NEED_RABBIT();
	relay line;
	outcome o;
	rig r = setup_behind(&line);
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	atomic_store(&line.holds, true);
	ao_broker_call *ensuring =
	    start_call(&r, AO_BROKER_ENSURE,
		       "{\"name\":\"unit-fault\",\"exchange\":{\"name\":\"amq.topic\"},\"bindings\":[\"unit-fault-key\"]}", CALL_MS, &o);
	finish_forbidden(&r, &line, ensuring, &o);
	plain_publish("amq.topic", "unit-fault-key", 1);
	assert_int_equal(plain_count("unit-fault"), 0);
	expect(call(&r, AO_BROKER_DELETE, QUEUE), 0, "");
	teardown(&r);
	relay_stop(&line);
}

/** Where its messages are to go may be another queue by now. */
static void nothing_is_moved_when_that_is_not_allowed_any_more(void **state)
{
	NEED_RABBIT();
	relay line;
	outcome o = {0};
	rig r = setup_behind(&line);
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	expect(call(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-fault-to\"}"), 0, "");
	plain_publish("", "unit-fault", 3);
	atomic_store(&line.holds, true);
	begin_move(r.broker, QUEUE, "unit-fault-to", 10, CALL_MS, &o);
	finish_forbidden(&r, &line, o.call, &o);
	assert_int_equal(o.answer.moved, 0);
	assert_int_equal(plain_count("unit-fault"), 3);
	assert_int_equal(plain_count("unit-fault-to"), 0);
	plain_drop("unit-fault");
	plain_drop("unit-fault-to");
	teardown(&r);
	relay_stop(&line);
}

/** Starts the calls from `first` on about queues of their own, until there are `count`. */
static void start_more(rig *r, ao_broker_verb verb, outcome *o, size_t first, size_t count)
{
	for (size_t i = first; i < count; i++) {
		ao_auto_str char *queue = ao_xasprintf("{\"name\":\"unit-heal-%zu\"}", i);
		start_call(r, verb, queue, CALL_MS, &o[i]);
	}
}

/** Waits for them. @return how many went well; the others must say that the broker is unreachable */
static size_t finish_many(rig *r, outcome *o, size_t count)
{
	size_t good = 0;
	for (size_t i = 0; i < count; i++) {
		finish_call(r, &o[i]);
		good += o[i].answer.error == 0;
		if (o[i].answer.error)
			expect(o[i].answer, -EIO, "BrokerUnreachable");
	}
	free(o);
	return good;
}

static void all_go_well(rig *r, ao_broker_verb verb, size_t count)
{
	outcome *o = ao_xcalloc(count, sizeof(*o));
	start_more(r, verb, o, 0, count);
	assert_int_equal(finish_many(r, o, count), count);
}

static void calls_heal_after_a_restart(void **state)
{
	NEED_RABBIT();
	if (!has_bed(__func__))
		skip();
	enum { COUNT = 1500 };
	rig r = setup();
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	outcome *o = ao_xcalloc(COUNT, sizeof(*o));
	start_more(&r, AO_BROKER_ENSURE, o, 0, COUNT / 2);
	bed("pause", "rabbitmq"); /* how many are done by then is the machine's affair; those that come now it cannot answer */
	start_more(&r, AO_BROKER_ENSURE, o, COUNT / 2, COUNT);
	bed("kill", "rabbitmq");
	size_t good = finish_many(&r, o, COUNT);
	print_message("%zu of %d done before it died\n", good, COUNT);
	expect(call(&r, AO_BROKER_INSPECT, QUEUE), -EIO, "BrokerUnreachable");
	bed("start", "rabbitmq");
	assert_true(good <= COUNT / 2);
	ao_broker_answer a = {.error = -EIO};
	for (int i = 0; i < 100 && a.error; i++) {
		a = call(&r, AO_BROKER_INSPECT, QUEUE);
		run_for(r.loop, a.retry_ms);
	}
	expect(a, 0, "");
	assert_true(a.exists);
	all_go_well(&r, AO_BROKER_DELETE, COUNT);
	assert_int_equal(ao_broker_get_stats(r.broker).connects, 2);
	teardown(&r);
}

/** A connection that somebody closes under calls costs them nothing. */
static void a_lost_connection_is_made_up_for(void **state)
{
	NEED_RABBIT();
	if (!getenv("BED_RABBITMQCTL")) {
		fprintf(stderr, "SKIPPED %s: no rabbitmqctl; set BED_RABBITMQCTL\n", __func__);
		skip();
	}
	enum { COUNT = 100, ROUNDS = 5000 };
	rig r = setup();
	expect(call(&r, AO_BROKER_ENSURE, QUEUE), 0, "");
	rabbitmqctl("close_all_connections unit >/dev/null &"); /* it takes a while to start: there is work until it has struck */
	for (int i = 0; i < ROUNDS && ao_broker_get_stats(r.broker).connects < 2; i++)
		all_go_well(&r, AO_BROKER_ENSURE, COUNT);
	uint64_t connects = ao_broker_get_stats(r.broker).connects;
	assert_int_equal(connects, 2);
	rabbitmqctl("close_all_connections unit"); /* and without work */
	run_for(r.loop, 200);
	assert_false(ao_broker_get_stats(r.broker).connected);
	all_go_well(&r, AO_BROKER_DELETE, COUNT);
	assert_int_equal(ao_broker_get_stats(r.broker).connects, connects + 1);
	teardown(&r);
}

/* ---- owners that do not wait ---- */

static void on_unwanted(void *arg, const ao_broker_answer *answer)
{
	(void)answer;
	*(bool *)arg = true;
}

static void freeing_never_waits(void **state)
{
	(void)state;
	liar l;
	start_lying(&l, NULL, 0, false);
	ao_auto_str char *silent = ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d}", l.port);
	ao_auto_str char *silent_tls = ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d,\"tls\":{}}", l.port);
	const char *const configs[] = {silent, silent_tls, "{\"host\":\"no.such.host.invalid\"}", "{\"host\":\"10.255.255.1\"}",
				       "{\"host\":\"127.0.0.1\",\"port\":1}"};
	for (size_t i = 0; i < AO_LEN(configs) * 6; i++) {
		rig r = setup_with(configs[i % AO_LEN(configs)], NULL);
		ao_auto_json cJSON *queue = json(QUEUE);
		bool called = false;
		ao_broker_send(r.broker, &(ao_broker_request){.verb = AO_BROKER_ENSURE, .queue = queue, .fn = on_unwanted, .arg = &called});
		if (i % 6)
			usleep((unsigned)(i % 6) * 3000);
		uint64_t start = ao_mono_ms();
		ao_broker_free(r.broker);
		assert_in_range(ao_mono_ms() - start, 0, patient_ms(2000)); // a call that is waited for takes its whole time limit
		run_for(r.loop, 5);
		assert_false(called);
		assert_int_equal(ao_loop_close(r.loop), 0);
	}
	stop_lying(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_closed_port_fails_at_once_and_then_pauses),
	    cmocka_unit_test(names_that_nobody_knows_are_said),
	    cmocka_unit_test(an_attempt_to_connect_ends_before_a_patient_call),
	    cmocka_unit_test(other_servers_are_told_apart),
	    cmocka_unit_test(hosts_are_tried_in_turn),
	    cmocka_unit_test(wrong_passwords_are_said_and_not_tried_all_the_time),
	    cmocka_unit_test(odd_names_and_small_rights),
	    cmocka_unit_test(heartbeats_keep_it_and_silence_ends_it),
	    cmocka_unit_test(without_work_the_connection_goes),
	    cmocka_unit_test(a_frozen_broker_times_out_and_heals),
	    cmocka_unit_test(a_deletion_that_is_not_allowed_any_more_deletes_nothing),
	    cmocka_unit_test(a_replacement_that_is_not_allowed_any_more_deletes_nothing),
	    cmocka_unit_test(a_deletion_that_is_not_allowed_any_more_makes_nothing),
	    cmocka_unit_test(a_queue_is_not_made_when_that_is_not_allowed_any_more),
	    cmocka_unit_test(a_queue_is_not_bound_when_that_is_not_allowed_any_more),
	    cmocka_unit_test(nothing_is_moved_when_that_is_not_allowed_any_more),
	    cmocka_unit_test(calls_heal_after_a_restart),
	    cmocka_unit_test(a_lost_connection_is_made_up_for),
	    cmocka_unit_test(freeing_never_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
