#pragma once
/**
 * transport_conformance.h -- what transport.h promises, tried on a real broker of any type.
 *
 * The test file of a type fills a transport_subject in its setup, and takes the tests with TRANSPORT_CONFORMANCE(setup, teardown) into its
 * table.  A setup that leaves *state NULL has no broker: the tests are skipped, loudly.  What only one type of broker knows is tested in
 * its own file.
 */
#include "test/relay.h"
#include "test/transport_subject.h"

#include <arpa/inet.h>
#include <sys/socket.h>

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
		ticker beats;
		ao_auto_str char *queue = t.s->want("unit-silent", WANT_DEAD);
		ao_broker_free(t.broker);
		t.broker = t.s->open(t.s, ntohs(at.sin_port), NULL);
		assert_true(!listening || listen(silent, 8) == 0);
		start_ticking(&beats, t.s->loop);
		begin(t.broker, AO_BROKER_ENSURE, queue, listening ? 600 : 5000, &t.o);
		await(t.s->loop, &t.o);
		expect_error(&t.o, listening ? -ETIME : -EIO, listening ? "BrokerTimeout" : "BrokerUnreachable", "127.0.0.1");
		assert_in_range(t.o.took_ms, listening ? 590 : 0, patient_ms(2000));
		assert_false(ao_broker_get_stats(t.broker).connected && !listening);
		stop_ticking(&beats);
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

/* ---- messages ---- */

static inline const ao_broker_answer *move(trial *t, const char *from, const char *to, uint64_t most)
{
	ao_auto_str char *queue = t->s->want(from, 0);
	begin_move(t->broker, queue, to, most, 0, &t->o);
	await(t->s->loop, &t->o);
	return &t->o.answer;
}

static inline void make_pair(trial *t, const char *from, const char *to, int messages)
{
	t->s->drop(t->s, from);
	t->s->drop(t->s, to);
	expect_well(t, AO_BROKER_ENSURE, from, 0);
	expect_well(t, AO_BROKER_ENSURE, to, 0);
	t->s->publish(t->s, from, messages);
}

static inline void drop_pair(trial *t, const char *from, const char *to)
{
	t->s->drop(t->s, from);
	t->s->drop(t->s, to);
	end_trial(t);
}

static void conforms_messages_move_as_they_are_and_as_many_as_asked(void **state)
{
	enum { COUNT = 25 };
	trial t = start_trial(state, __func__);
	int seen[COUNT] = {0};
	make_pair(&t, "unit-from", "unit-to", COUNT);
	const ao_broker_answer *a = move(&t, "unit-from", "unit-to", 0);
	assert_true(a->error == 0 && a->moved == 0 && a->messages == COUNT);
	a = move(&t, "unit-from", "unit-to", 12);
	if (a->error)
		fail_msg("%s", t.o.message);
	assert_true(a->moved == 12 && a->left == 0 && a->again == 0 && !a->why && a->messages == COUNT - 12);
	assert_int_equal(t.s->count(t.s, "unit-to"), 12);
	a = move(&t, "unit-from", "unit-to", 1000);
	assert_true(a->error == 0 && a->moved == COUNT - 12 && a->messages == 0);
	t.s->collect(t.s, "unit-to", seen, COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(t.s->held(t.s, "unit-from"), 0);
	t.s->publish_rich(t.s, "unit-from");
	a = move(&t, "unit-from", "unit-to", 10);
	assert_true(a->error == 0 && a->moved == 1);
	t.s->expect_rich(t.s, "unit-to");
	drop_pair(&t, "unit-from", "unit-to");
}

static void conforms_messages_without_a_way_stay(void **state)
{
	trial t = start_trial(state, __func__);
	make_pair(&t, "unit-from", "unit-to", 5);
	t.s->drop(t.s, "unit-to");
	move(&t, "unit-from", "unit-to", 10);
	expect_error(&t.o, -ENOENT, "QueueMissing", "queue unit-to is not there");
	assert_true(t.o.answer.moved == 0);
	move(&t, "unit-to", "unit-from", 10);
	expect_error(&t.o, -ENOENT, "QueueMissing", "unit-to");
	move(&t, "unit-from", "unit-from", 10);
	expect_error(&t.o, -EINVAL, "InvalidConfiguration", "to itself");
	assert_int_equal(t.s->count(t.s, "unit-from"), 5);
	drop_pair(&t, "unit-from", "unit-to");
}

/** Cut anywhere, between a message's publication and its acknowledgement, too: none is lost, and those that come twice were announced. */
static void conforms_a_cut_move_loses_nothing(void **state)
{
	enum { COUNT = 30, CUTS = 16 };
	trial t = start_trial(state, __func__);
	relay line;
	unsigned long long twice = 0, failed = 0;
	make_pair(&t, "unit-from", "unit-to", COUNT);
	relay_start(&line, t.s->port(t.s), -1);
	ao_broker_free(t.broker);
	t.broker = t.s->open(t.s, line.port, NULL);
	if (move(&t, "unit-from", "unit-to", 1000)->error)
		fail_msg("%s", t.o.message);
	long long all = atomic_load(&line.passed);
	for (int cut = 0; cut < CUTS; cut++) {
		int seen[COUNT] = {0}, there = 0, copies = 0;
		ao_broker_free(t.broker);
		relay_stop(&line);
		t.broker = t.s->open(t.s, 0, NULL);
		make_pair(&t, "unit-from", "unit-to", COUNT);
		ao_broker_free(t.broker);
		relay_start(&line, t.s->port(t.s), all * (cut + 1) / (CUTS + 1));
		t.broker = t.s->open(t.s, line.port, NULL);
		const ao_broker_answer *a = move(&t, "unit-from", "unit-to", 1000);
		t.s->collect(t.s, "unit-to", seen, COUNT);
		for (int i = 0; i < COUNT; i++) {
			there += seen[i] > 0;
			copies += seen[i];
		}
		for (int i = 0; i < 100 && t.s->held(t.s, "unit-from") < COUNT - there; i++)
			usleep(50000); /* a broker may need a moment to see that we are gone */
		int held = t.s->held(t.s, "unit-from");
		failed += a->error != 0;
		twice += (unsigned)(copies + held - COUNT);
		if (there + held < COUNT)
			fail_msg("cut %d: %d of %d messages are lost (%s)", cut, COUNT - there - held, COUNT, t.o.message);
		if ((uint64_t)(copies + held - COUNT) > a->again)
			fail_msg("cut %d: %d are there twice, %d were announced", cut, copies + held - COUNT, (int)a->again);
		assert_true(a->moved + a->again >= (uint64_t)there);
	}
	print_message("%d cuts: %llu moves failed, no message was lost, %llu came twice\n", CUTS, failed, twice);
	ao_broker_free(AO_TAKE(t.broker));
	relay_stop(&line);
	drop_pair(&t, "unit-from", "unit-to");
}

static void conforms_messages_that_are_shown_stay(void **state)
{
	enum { COUNT = 12 };
	trial t = start_trial(state, __func__);
	ao_auto_str char *queue = t.s->want("unit-from", 0);
	int seen[COUNT] = {0};
	make_pair(&t, "unit-from", "unit-to", COUNT);
	for (int most = 5; most <= 100; most += 95) {
		begin_move(t.broker, queue, NULL, (uint64_t)most, 0, &t.o);
		await(t.s->loop, &t.o);
		if (t.o.answer.error)
			fail_msg("%s", t.o.message);
		int shown = most < COUNT ? most : COUNT, numbers[COUNT] = {0};
		assert_int_equal(cJSON_GetArraySize(t.o.seen), shown);
		const cJSON *each;
		cJSON_ArrayForEach (each, t.o.seen)
			numbers[atoi(ao_json_str(each, "body"))]++;
		for (int i = 0; i < COUNT; i++)
			assert_in_range(numbers[i], 0, 1);
		assert_non_null(t.o.cost);
		assert_int_equal(t.o.answer.messages, COUNT);
		for (int i = 0; i < 100 && t.s->count(t.s, "unit-from") < COUNT; i++)
			usleep(20000);
	}
	t.s->collect(t.s, "unit-from", seen, COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(seen[i], 1);
	t.s->publish_rich(t.s, "unit-from");
	begin_move(t.broker, queue, NULL, 1, 0, &t.o);
	await(t.s->loop, &t.o);
	assert_string_equal(ao_json_str(t.o.seen->child, "headers", "trace"), "one");
	assert_string_equal(ao_json_str(t.o.seen->child, "body"), "rich");
	begin_move(t.broker, "{\"name\":\"unit-none\"}", NULL, 1, 0, &t.o);
	await(t.s->loop, &t.o);
	expect_error(&t.o, -ENOENT, "QueueMissing", "unit-none");
	drop_pair(&t, "unit-from", "unit-to");
}

/** Whoever asks may go at any moment, and may come back. */
static void conforms_moves_end_at_any_moment(void **state)
{
	enum { COUNT = 40, ROUNDS = 12 };
	trial t = start_trial(state, __func__);
	ao_auto_str char *queue = t.s->want("unit-from", 0);
	int seen[COUNT] = {0}, there = 0;
	make_pair(&t, "unit-from", "unit-to", COUNT);
	for (unsigned round = 0; round < ROUNDS; round++) {
		outcome o = {0};
		begin_move(t.broker, queue, "unit-to", 3, 0, &o);
		run_for(t.s->loop, round * 2);
		if (o.call && round % 2)
			ao_broker_cancel(o.call);
		if (round % 2 == 0)
			ao_broker_free(t.broker);
		o.done = true; /* a further answer fails the test */
		run_for(t.s->loop, 5);
		forget(&o);
		if (round % 2 == 0)
			t.broker = t.s->open(t.s, 0, NULL);
	}
	for (int i = 0; i < 100 && t.s->held(t.s, "unit-from") + t.s->held(t.s, "unit-to") < COUNT; i++)
		usleep(50000);
	int held = t.s->held(t.s, "unit-from");
	t.s->collect(t.s, "unit-to", seen, COUNT);
	for (int i = 0; i < COUNT; i++)
		there += seen[i] > 0;
	assert_in_range(there + held, COUNT, COUNT + ROUNDS * 3);
	drop_pair(&t, "unit-from", "unit-to");
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
	    CONFORMS(calls_and_brokers_end_at_any_moment, setup, teardown),                                                                \
	    CONFORMS(a_broker_is_freed_by_its_own_answer, setup, teardown),                                                                \
	    CONFORMS(messages_move_as_they_are_and_as_many_as_asked, setup, teardown),                                                     \
	    CONFORMS(messages_without_a_way_stay, setup, teardown), CONFORMS(a_cut_move_loses_nothing, setup, teardown),                   \
	    CONFORMS(messages_that_are_shown_stay, setup, teardown), CONFORMS(moves_end_at_any_moment, setup, teardown)
