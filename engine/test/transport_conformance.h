#pragma once
/**
 * transport_conformance.h -- what transport.h promises, tried on a real broker of any type.
 *
 * The test file of a type fills a transport_subject in its setup, and takes the tests with TRANSPORT_CONFORMANCE(setup, teardown) into its
 * table.  A setup that leaves *state NULL has no broker: the tests are skipped, loudly.  What only one type of broker knows is tested in
 * its own file.
 */
#include "test/transport_answer.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/** What a queue is to be like; none of them: made with its usual settings, deleted whatever it holds. */
enum {
	WANT_OTHER = 1,    /* a setting is another than usual */
	WANT_DEAD = 2,     /* with a dead letter queue NAME-dlq */
	WANT_THEIRS = 4,   /* "create": false */
	WANT_IF_EMPTY = 8, /* "ifEmpty": true */
};

typedef struct transport_subject {
	const char *type;
	ao_loop *loop;       /* teardown closes it, which must leave nothing */
	const char *differs; /* what is said of a queue made with WANT_OTHER that was wanted without */
	int line;            /* so many calls take longer than 1.5 s */
	unsigned most;       /* calls in flight at most; 0: not known */
	void *arg;           /* the test file's own */
	/** @param port  of 127.0.0.1, where no broker is; 0: where one is. @param secret  NULL: one that the broker takes */
	ao_broker *(*open)(struct transport_subject *s, int port, const char *secret);
	char *(*want)(const char *name, unsigned traits); /* as policies write it; the caller frees */
	/* a plain client of the broker: */
	void (*publish)(struct transport_subject *s, const char *queue, int count);
	int (*count)(struct transport_subject *s, const char *queue);  /* messages waiting; -1: there is no such queue */
	void (*drop)(struct transport_subject *s, const char *queue);  /* whatever it holds, if it is there */
	void *(*take)(struct transport_subject *s, const char *queue); /* one message, which is in flight until ... */
	void (*give_back)(void *taken);
} transport_subject;

/** A test's own subject and broker. */
typedef struct trial {
	transport_subject *s;
	ao_broker *broker;
	outcome o;
} trial;

static inline trial start_trial(void **state, const char *test)
{
	if (!*state) {
		fprintf(stderr, "SKIPPED %s: no broker\n", test);
		skip();
	}
	transport_subject *s = *state;
	return (trial){.s = s, .broker = s->open(s, 0, NULL)};
}

static inline void end_trial(trial *t)
{
	ao_broker_free(t->broker);
	forget(&t->o);
}

static inline const ao_broker_answer *try_it(trial *t, ao_broker_verb verb, const char *name, unsigned traits)
{
	ao_auto_str char *queue = t->s->want(name, traits);
	ask(t->s->loop, t->broker, verb, queue, &t->o);
	return &t->o.answer;
}

static inline void expect_well(trial *t, ao_broker_verb verb, const char *name, unsigned traits)
{
	if (try_it(t, verb, name, traits)->error)
		fail_msg("%s: %s", name, t->o.message);
}

static inline void expect_error(const outcome *o, int error, const char *reason, const char *text)
{
	assert_int_equal(o->answer.error, error);
	assert_string_equal(o->reason, reason);
	if (!strstr(o->message, text))
		fail_msg("\"%s\" does not say \"%s\"", o->message, text);
}

/* ---- queues ---- */

static void conforms_queues_are_made_once_and_counted(void **state)
{
	trial t = start_trial(state, __func__);
	const ao_broker_answer *a = &t.o.answer;
	t.s->drop(t.s, "unit-made");
	t.s->drop(t.s, "unit-made-dlq");
	expect_well(&t, AO_BROKER_INSPECT, "unit-made", WANT_DEAD);
	assert_true(!a->exists && a->messages == -1 && a->in_flight == -1);
	assert_int_equal(t.s->count(t.s, "unit-made"), -1);
	expect_well(&t, AO_BROKER_ENSURE, "unit-made", WANT_DEAD);
	assert_true(a->exists && a->created && !a->repaired && a->messages == 0);
	assert_int_equal(t.s->count(t.s, "unit-made-dlq"), 0);
	t.s->publish(t.s, "unit-made", 5);
	for (int i = 0; i < 2; i++) {
		expect_well(&t, i ? AO_BROKER_INSPECT : AO_BROKER_ENSURE, "unit-made", WANT_DEAD);
		assert_true(a->exists && !a->created && !a->repaired && a->messages == 5);
	}
	expect_well(&t, AO_BROKER_DELETE, "unit-made", WANT_DEAD);
	assert_true(!a->exists && a->deleted && a->messages == 5 && !a->kept);
	assert_int_equal(t.s->count(t.s, "unit-made"), -1);
	expect_well(&t, AO_BROKER_DELETE, "unit-made", WANT_DEAD);
	assert_true(!a->exists && !a->deleted && !a->kept);
	ao_broker_stats stats = ao_broker_get_stats(t.broker);
	assert_true(stats.connected && stats.calls == 6 && stats.errors == 0 && stats.connects == 1 && stats.in_flight == 0);
	end_trial(&t);
}

/** It is put right in place, or left alone and named. */
static void conforms_what_differs_loses_no_message(void **state)
{
	trial t = start_trial(state, __func__);
	t.s->drop(t.s, "unit-differs");
	expect_well(&t, AO_BROKER_ENSURE, "unit-differs", WANT_OTHER);
	t.s->publish(t.s, "unit-differs", 10);
	if (try_it(&t, AO_BROKER_ENSURE, "unit-differs", 0)->error)
		expect_error(&t.o, -EINVAL, "QueueMismatch", t.s->differs);
	else
		assert_true(t.o.answer.repaired);
	assert_true(t.o.answer.exists && !t.o.answer.created && t.o.answer.messages == 10);
	assert_int_equal(t.s->count(t.s, "unit-differs"), 10);
	t.s->drop(t.s, "unit-differs");
	end_trial(&t);
}

static void conforms_what_is_not_ours_is_only_looked_at(void **state)
{
	trial t = start_trial(state, __func__);
	t.s->drop(t.s, "unit-theirs");
	try_it(&t, AO_BROKER_ENSURE, "unit-theirs", WANT_THEIRS | WANT_DEAD);
	expect_error(&t.o, -ENOENT, "QueueMissing", "unit-theirs");
	assert_false(t.o.answer.exists);
	assert_true(t.s->count(t.s, "unit-theirs") == -1 && t.s->count(t.s, "unit-theirs-dlq") == -1);
	expect_well(&t, AO_BROKER_ENSURE, "unit-theirs", 0);
	t.s->publish(t.s, "unit-theirs", 1);
	expect_well(&t, AO_BROKER_ENSURE, "unit-theirs", WANT_THEIRS);
	assert_true(t.o.answer.exists && !t.o.answer.created && !t.o.answer.repaired && t.o.answer.messages == 1);
	t.s->drop(t.s, "unit-theirs");
	end_trial(&t);
}

static void conforms_deletes_are_careful_where_asked(void **state)
{
	trial t = start_trial(state, __func__);
	t.s->drop(t.s, "unit-del");
	for (int i = 0; i < 2; i++) {
		expect_well(&t, AO_BROKER_ENSURE, "unit-del", 0);
		t.s->publish(t.s, "unit-del", 1);
		void *taken = i ? t.s->take(t.s, "unit-del") : NULL;
		try_it(&t, AO_BROKER_DELETE, "unit-del", WANT_IF_EMPTY);
		if (taken)
			t.s->give_back(taken);
		expect_error(&t.o, -EBUSY, "QueueNotEmpty", "unit-del");
		assert_true(t.o.answer.exists && !t.o.answer.deleted && t.s->count(t.s, "unit-del") >= 0);
		expect_well(&t, AO_BROKER_DELETE, "unit-del", 0);
		assert_true(!t.o.answer.exists && t.o.answer.deleted && t.s->count(t.s, "unit-del") == -1);
	}
	expect_well(&t, AO_BROKER_DELETE, "unit-del", WANT_IF_EMPTY);
	assert_false(t.o.answer.exists || t.o.answer.deleted);
	expect_well(&t, AO_BROKER_ENSURE, "unit-del", 0);
	expect_well(&t, AO_BROKER_DELETE, "unit-del", WANT_IF_EMPTY);
	assert_true(t.o.answer.deleted && t.s->count(t.s, "unit-del") == -1);

	t.s->drop(t.s, "unit-del-dlq");
	expect_well(&t, AO_BROKER_ENSURE, "unit-del", WANT_DEAD);
	t.s->publish(t.s, "unit-del-dlq", 3);
	expect_well(&t, AO_BROKER_DELETE, "unit-del", WANT_DEAD);
	assert_int_equal(t.s->count(t.s, "unit-del-dlq"), 3);
	t.s->drop(t.s, "unit-del-dlq");
	end_trial(&t);
}

/** What was deleted is said to have been, and with how much; what is another's stays. */
static void conforms_only_a_queue_as_wanted_is_deleted(void **state)
{
	trial t = start_trial(state, __func__);
	t.s->drop(t.s, "unit-other");
	expect_well(&t, AO_BROKER_ENSURE, "unit-other", WANT_OTHER);
	t.s->publish(t.s, "unit-other", 10);
	for (unsigned traits = 0; traits <= WANT_IF_EMPTY; traits += WANT_IF_EMPTY) {
		expect_well(&t, AO_BROKER_DELETE, "unit-other", traits);
		assert_true(t.o.answer.exists && !t.o.answer.deleted && t.o.kept);
		assert_non_null(strstr(t.o.kept, "queue unit-other stays at its broker with 10 messages, because its settings are not "
						 "those wanted: "));
		assert_non_null(strstr(t.o.kept, t.s->differs));
		assert_int_equal(t.s->count(t.s, "unit-other"), 10);
	}
	expect_well(&t, AO_BROKER_DELETE, "unit-other", WANT_OTHER);
	assert_true(t.o.answer.deleted && t.o.answer.messages == 10 && !t.o.kept && t.s->count(t.s, "unit-other") == -1);
	end_trial(&t);
}

/* ---- what people write ---- */

static void conforms_wrong_words_name_their_key(void **state)
{
	static const char *const cases[][2] = {
	    {"{}", "name: missing"},
	    {"{\"name\":\"unit-wrong\",\"crate\":true}", "crate: unknown key; did you mean create?"},
	    {"{\"name\":\"unit-wrong\",\"create\":\"yes\"}", "create: expected true or false"},
	};
	trial t = start_trial(state, __func__);
	ao_auto_json cJSON *config = json("{\"nonsense\":1}");
	ao_auto_err ao_err *err = NULL;
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ask(t.s->loop, t.broker, AO_BROKER_ENSURE, cases[i][0], &t.o);
		expect_error(&t.o, -EINVAL, "InvalidConfiguration", cases[i][1]);
	}
	assert_int_equal(t.s->count(t.s, "unit-wrong"), -1);
	assert_int_equal(ao_broker_get_stats(t.broker).errors, AO_LEN(cases));
	ao_broker *none = NULL;
	assert_int_equal(ao_broker_new(t.s->loop, t.s->type, config, NULL, &none, &err), -EINVAL);
	assert_non_null(strstr(ao_err_text(err), "nonsense: unknown key"));
	assert_null(none);
	end_trial(&t);
}

static void conforms_refused_credentials_are_said_and_not_shown(void **state)
{
	trial t = start_trial(state, __func__);
	ao_broker_free(t.broker);
	t.broker = t.s->open(t.s, 0, "not-the-secret");
	try_it(&t, AO_BROKER_ENSURE, "unit-refused", 0);
	expect_error(&t.o, -EPERM, "AccessDenied", "");
	assert_null(strstr(t.o.message, "not-the-secret"));
	end_trial(&t);
}

/* ---- trouble on the way ---- */

static void conforms_closed_ports_and_silence_are_told_apart(void **state)
{
	trial t = start_trial(state, __func__);
	int silent = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	assert_int_equal(bind(silent, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&at, &len), 0);
	for (int listening = 0; listening < 2; listening++) {
		ticker beat;
		ao_auto_str char *queue = t.s->want("unit-silent", WANT_DEAD);
		ao_broker_free(t.broker);
		t.broker = t.s->open(t.s, ntohs(at.sin_port), NULL);
		assert_true(!listening || listen(silent, 8) == 0);
		start_ticking(&beat, t.s->loop);
		begin(t.broker, AO_BROKER_ENSURE, queue, listening ? 600 : 5000, &t.o);
		await(t.s->loop, &t.o);
		expect_error(&t.o, listening ? -ETIME : -EIO, listening ? "BrokerTimeout" : "BrokerUnreachable", "127.0.0.1");
		assert_in_range(t.o.took_ms, listening ? 590 : 0, listening ? 1500 : 2000);
		assert_false(ao_broker_get_stats(t.broker).connected && !listening);
		stop_ticking(&beat);
	}
	end_trial(&t);
	close(silent);
}

/* ---- many, and the end at any moment ---- */

#define MANY 200

/** Starts a call about each of `count` queues. */
static inline outcome *begin_many(trial *t, ao_broker_verb verb, int count, const char *name, unsigned traits, uint64_t timeout_ms)
{
	outcome *all = ao_xcalloc((size_t)count, sizeof(*all));
	for (int i = 0; i < count; i++) {
		ao_auto_str char *one = ao_xasprintf("%s-%d", name, i), *queue = t->s->want(one, traits);
		begin(t->broker, verb, queue, timeout_ms, &all[i]);
	}
	return all;
}

static void conforms_many_at_once_share_a_connection(void **state)
{
	static const char *const DONE[] = {"made", "checked", "deleted"};
	trial t = start_trial(state, __func__);
	unsigned most = 0;
	for (int pass = 0; pass < 3; pass++) {
		uint64_t start = ao_mono_ms();
		outcome *all = begin_many(&t, pass == 2 ? AO_BROKER_DELETE : AO_BROKER_ENSURE, MANY, "unit-many", 0, 60000);
		for (int i = 0; i < MANY; i++) {
			while (!all[i].done) {
				unsigned now = ao_broker_get_stats(t.broker).in_flight;
				most = now > most ? now : most;
				run_for(t.s->loop, 1);
			}
			if (all[i].answer.error)
				fail_msg("%d: %s", i, all[i].message);
			assert_true(all[i].answer.created == (pass == 0) && !all[i].answer.repaired);
			forget(&all[i]);
		}
		print_message("%d queues %s in %d ms\n", MANY, DONE[pass], (int)(ao_mono_ms() - start));
		free(all);
	}
	assert_int_equal(ao_broker_get_stats(t.broker).connects, 1);
	assert_true(!t.s->most || most == t.s->most);
	end_trial(&t);
}

/** A long line does not look like a broker that is down: when queues are made, after a restart, when they go. */
static void conforms_waiting_in_line_is_no_time_out(void **state)
{
	static const ao_broker_verb verbs[] = {AO_BROKER_ENSURE, AO_BROKER_ENSURE, AO_BROKER_DELETE};
	trial t = start_trial(state, __func__);
	for (size_t pass = 0; pass < AO_LEN(verbs); pass++) {
		uint64_t start = ao_mono_ms();
		outcome *all = begin_many(&t, verbs[pass], t.s->line, "unit-line", 0, 1500);
		for (int i = 0; i < t.s->line; i++) {
			await(t.s->loop, &all[i]);
			if (all[i].answer.error)
				fail_msg("%d: %s", i, all[i].message);
			forget(&all[i]);
		}
		print_message("%d in line: %d ms, none late\n", t.s->line, (int)(ao_mono_ms() - start));
		free(all);
		ao_broker_free(t.broker);
		t.broker = t.s->open(t.s, 0, NULL);
	}
	end_trial(&t);
}

static void conforms_calls_and_brokers_end_at_any_moment(void **state)
{
	enum { COUNT = 20, ROUNDS = 60 };
	trial t = start_trial(state, __func__);
	ao_auto_str char *queue = t.s->want("unit-end", WANT_DEAD);
	size_t answered = 0;
	outcome all[COUNT];
	for (unsigned round = 0; round < ROUNDS; round++) {
		ao_broker *broker = t.s->open(t.s, 0, NULL);
		memset(all, 0, sizeof(all));
		for (size_t i = 0; i < COUNT; i++)
			begin(broker, i % 3 == 2 ? AO_BROKER_DELETE : AO_BROKER_ENSURE, queue, 0, &all[i]);
		for (unsigned i = 0; round < 20 && i < round; i++)
			uv_run(ao_loop_raw(t.s->loop), UV_RUN_NOWAIT);
		if (round >= 20)
			run_for(t.s->loop, (round - 20) * 3);
		for (size_t i = 0; round % 2 && i < COUNT; i++)
			if (all[i].call)
				ao_broker_cancel(all[i].call);
		assert_true(round % 2 == 0 || ao_broker_get_stats(broker).in_flight == 0);
		ao_broker_free(broker);
		for (size_t i = 0; i < COUNT; i++) {
			answered += all[i].done;
			all[i].done = true; /* a further answer fails the test */
		}
		run_for(t.s->loop, 5);
		for (size_t i = 0; i < COUNT; i++)
			forget(&all[i]);
	}
	print_message("%zu of %d calls were answered before their end\n", answered, COUNT * ROUNDS);
	assert_true(answered > 0 && answered < (size_t)COUNT * ROUNDS);
	t.s->drop(t.s, "unit-end");
	t.s->drop(t.s, "unit-end-dlq");
	end_trial(&t);
}

typedef struct killer {
	ao_broker **broker;
	outcome *other; /* is cancelled, if it still waits */
	bool done;
} killer;

static void on_kill(void *arg, const ao_broker_answer *answer)
{
	killer *k = arg;
	assert_false(k->done);
	k->done = true;
	if (k->other->call)
		ao_broker_cancel(AO_TAKE(k->other->call));
	ao_broker_free(AO_TAKE(*k->broker));
	known_reason(answer->reason);
	assert_int_equal(*answer->message != '\0', answer->error != 0); /* still there */
}

static void conforms_a_broker_is_freed_by_its_own_answer(void **state)
{
	trial t = start_trial(state, __func__);
	ao_auto_str char *well = t.s->want("unit-kill", 0), *missing = t.s->want("unit-kill-none", WANT_THEIRS);
	const char *const queues[] = {well, missing, "{}"};
	for (size_t i = 0; i < AO_LEN(queues); i++) {
		ao_auto_json cJSON *queue = json(queues[i]);
		killer k = {.broker = &t.broker, .other = &t.o};
		for (int n = 0; n < 20; n++)
			ao_broker_send(t.broker, &(ao_broker_request){.verb = AO_BROKER_ENSURE, .queue = queue, .fn = on_kill, .arg = &k});
		begin(t.broker, AO_BROKER_ENSURE, well, 0, &t.o);
		assert_true(ao_loop_run_until(t.s->loop, &k.done, 10000));
		run_for(t.s->loop, 20);
		t.broker = t.s->open(t.s, 0, NULL);
	}
	t.s->drop(t.s, "unit-kill");
	end_trial(&t);
}

#define CONFORMS(f, setup, teardown) cmocka_unit_test_setup_teardown(conforms_##f, setup, teardown)
/** The rows of a table of tests. */
#define TRANSPORT_CONFORMANCE(setup, teardown)                                                                                             \
	CONFORMS(queues_are_made_once_and_counted, setup, teardown), CONFORMS(what_differs_loses_no_message, setup, teardown),             \
	    CONFORMS(what_is_not_ours_is_only_looked_at, setup, teardown), CONFORMS(deletes_are_careful_where_asked, setup, teardown),     \
	    CONFORMS(only_a_queue_as_wanted_is_deleted, setup, teardown), CONFORMS(wrong_words_name_their_key, setup, teardown),           \
	    CONFORMS(refused_credentials_are_said_and_not_shown, setup, teardown),                                                         \
	    CONFORMS(closed_ports_and_silence_are_told_apart, setup, teardown),                                                            \
	    CONFORMS(many_at_once_share_a_connection, setup, teardown), CONFORMS(waiting_in_line_is_no_time_out, setup, teardown),         \
	    CONFORMS(calls_and_brokers_end_at_any_moment, setup, teardown), CONFORMS(a_broker_is_freed_by_its_own_answer, setup, teardown)
