/*
 * What the keeper asks of brokers when plans change while a queue is emptied into another.
 *
 * The brokers are two tables of queues in this file, one for each `host`; a test holds back what it wants to come late.  What brokers do
 * with such calls is tested with real ones (test_transport_conformance.h).
 */
#include "queues/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/broker.h"
#include "json/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- brokers ---- */

typedef struct queue {
	char host[16], name[32];
	int64_t messages;
} queue;

typedef struct fake_call {
	ao_broker_call base;
	ao_broker_request with;
	cJSON *queue;
	char *to;
	struct fake_call *next;
} fake_call;

typedef struct fake_broker {
	ao_broker base;
	char host[16];
} fake_broker;

static queue queues_there[16];
static fake_call *calls;
static int64_t lost;            /* messages that went with a queue */
static int held_verb;           /* calls with it are not carried out; -1: all are */
static const char *text;        /* of all parents */
static unsigned turned, behind; /* ENSURE calls that take bindings from another queue, or leave them to it */
static unsigned asked[AO_BROKER_PEEK + 1];

static queue *find(const char *host, const char *name)
{
	for (size_t i = 0; i < AO_LEN(queues_there); i++)
		if (strcmp(queues_there[i].host, host) == 0 && strcmp(queues_there[i].name, name) == 0)
			return &queues_there[i];
	return NULL;
}

static queue *put(const char *host, const char *name, int64_t messages)
{
	queue *q = find(host, name);
	q = q ? q : find("", "");
	assert_non_null(q);
	snprintf(q->host, sizeof(q->host), "%s", host);
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->messages = messages;
	return q;
}

static int fake_make(ao_loop *loop, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr)
{
	(void)loop;
	(void)secrets;
	(void)reterr;
	fake_broker *b = ao_xcalloc(1, sizeof(*b));
	b->base.type = &ao_rabbitmq_type;
	snprintf(b->host, sizeof(b->host), "%s", ao_json_str(config, "host"));
	*ret = &b->base;
	return 0;
}

static void fake_free(ao_broker *broker) { free(broker); }

static ao_broker_call *fake_send(ao_broker *broker, const ao_broker_request *request)
{
	fake_call *c = ao_xcalloc(1, sizeof(*c)), **last = &calls;
	*c = (fake_call){.base = {broker}, .with = *request, .queue = cJSON_Duplicate(request->queue, 1), .to = ao_xstrdup(request->to)};
	asked[request->verb]++;
	while (*last)
		last = &(*last)->next;
	*last = c;
	return &c->base;
}

static void free_call(fake_call *c)
{
	for (fake_call **at = &calls; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	cJSON_Delete(c->queue);
	free(c->to);
	free(c);
}

static void fake_cancel(ao_broker_call *call) { free_call((fake_call *)(void *)call); }

static ao_broker_stats fake_stats(const ao_broker *broker)
{
	(void)broker;
	return (ao_broker_stats){.connected = true};
}

static char *fake_place(const cJSON *config) { return ao_xstrdup(ao_json_str(config, "host")); }

const ao_broker_type ao_rabbitmq_type = {"rabbitmq", fake_make, fake_free, fake_send, fake_cancel, fake_stats, fake_place};
const ao_broker_type ao_sqs_type = {"sqs", fake_make, fake_free, fake_send, fake_cancel, fake_stats, fake_place};

static ao_broker_answer carry_out(const fake_call *c)
{
	const char *host = ((const fake_broker *)(const void *)c->base.broker)->host, *name = ao_json_str(c->queue, "name");
	ao_broker_answer answer = {.reason = "", .message = "", .messages = -1, .in_flight = -1};
	queue *q = find(host, name), *to = c->to ? find(host, c->to) : NULL;
	answer.exists = q != NULL;
	const cJSON *instead = c->with.verb == AO_BROKER_ENSURE ? ao_json_at(c->queue, "instead") : NULL;
	turned += cJSON_IsTrue(ao_json_at(instead, "turned"));
	behind = instead && !cJSON_IsTrue(ao_json_at(instead, "turned"));
	if (c->with.verb == AO_BROKER_ENSURE && !q) {
		q = put(host, name, 0);
		answer.exists = answer.created = true;
	} else if (c->with.verb == AO_BROKER_MOVE && (!q || !to)) {
		answer.error = -ENOENT;
		answer.reason = "QueueMissing";
	} else if (c->with.verb == AO_BROKER_MOVE) {
		answer.moved = (uint64_t)q->messages < c->with.most ? (uint64_t)q->messages : c->with.most;
		q->messages -= (int64_t)answer.moved;
		to->messages += (int64_t)answer.moved;
	} else if (c->with.verb == AO_BROKER_DELETE && q && q->messages && cJSON_IsTrue(ao_json_at(c->queue, "ifEmpty"))) {
		answer.error = -EBUSY;
		answer.reason = "QueueNotEmpty";
	} else if (c->with.verb == AO_BROKER_DELETE && q) {
		lost += q->messages;
		*q = (queue){0};
		q = NULL;
		answer.deleted = true;
		answer.exists = false;
	}
	answer.messages = q ? q->messages : -1;
	answer.in_flight = q ? 0 : -1;
	return answer;
}

static void serve(void)
{
	for (fake_call *c = calls, *next; c; c = next) {
		next = c->next;
		if ((int)c->with.verb == held_verb)
			continue;
		ao_broker_answer answer = carry_out(c);
		ao_broker_fn fn = c->with.fn;
		void *arg = c->with.arg;
		free_call(c);
		fn(arg, &answer);
		next = calls; /* the callback may have ended others */
	}
}

/* ---- parents ---- */

typedef struct bench {
	ao_loop *loop;
	ao_kube *kube;
	ao_events *events;
	ao_queues *queues;
} bench;

static void on_change(void *arg, const char *parent_key, bool work)
{
	(void)arg;
	(void)parent_key;
	(void)work;
}

static int begin(void **state)
{
	static const ao_resource kind = {(char *)"asya.sh/v1alpha1", (char *)"Parent", (char *)"parents", false};
	static char *const records[] = {(char *)"status", (char *)"queues", NULL};
	static ao_kubeconfig nowhere = {.server = (char *)"http://127.0.0.1:1"};
	bench *b = ao_xcalloc(1, sizeof(*b));
	memset(queues_there, 0, sizeof(queues_there));
	memset(asked, 0, sizeof(asked));
	lost = turned = behind = 0;
	held_verb = -1;
	text = "{}";
	b->loop = ao_loop_new();
	assert_int_equal(ao_kube_new(b->loop, &nowhere, "test", &b->kube, NULL), 0);
	b->events = ao_events_new(b->loop, b->kube, "test", "here");
	b->queues = ao_queues_new(&(ao_queues_options){
	    .loop = b->loop, .kube = b->kube, .events = b->events, .parent_kind = &kind, .records_path = records, .on_change = on_change});
	*state = b;
	return 0;
}

static int end(void **state)
{
	bench *b = *state;
	ao_queues_free(b->queues);
	ao_events_free(b->events);
	ao_kube_free(b->kube);
	assert_null(calls);
	assert_int_equal(ao_loop_close(b->loop), 0);
	free(b);
	return 0;
}

/** Lets time pass, and the brokers work. */
static void pass_time(bench *b, uint64_t ms)
{
	static const bool never;
	for (uint64_t until = ao_mono_ms() + ms; ao_mono_ms() < until; serve())
		ao_loop_run_until(b->loop, &never, 2);
}

static void wait_for_call(bench *b, ao_broker_verb verb)
{
	held_verb = (int)verb;
	for (int i = 0; i < 2000; i++) {
		pass_time(b, 2);
		for (const fake_call *c = calls; c; c = c->next)
			if (c->with.verb == verb)
				return;
	}
	fail_msg("no such call comes");
}

static ao_object parent(const char *name)
{
	return (ao_object){.key = name, .namespace_ = "ns", .name = name, .uid = name, .text = text, .len = strlen(text)};
}

/** A queue of a plan. @param into  NULL: it is read */
static cJSON *planned(const char *host, const char *name, const char *into)
{
	cJSON *q = cJSON_CreateObject();
	ao_json_set_str(q, "name", name);
	ao_json_set_str(q, "transport", "main");
	ao_json_set_str(q, "type", "rabbitmq");
	ao_json_set_str(ao_json_object(q, "config"), "host", host);
	ao_json_set_str(ao_json_object(q, "want"), "name", name);
	ao_json_set_str(q, "deletion", into ? "DeleteIfEmpty" : "Delete");
	ao_json_set_str(q, "into", into);
	ao_json_set(q, "quiet", cJSON_CreateNumber(0.02));
	return q;
}

static void read_it(bench *b, const char *who, const char *host, const char *name)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *q = planned(host, name, NULL);
	ao_queues_want(b->queues, &object, q, AO_BROKER_ENSURE, NULL, NULL, NULL);
}

static void leave_it(bench *b, const char *who, const char *host, const char *name, const char *into)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *q = planned(host, name, into);
	ao_queues_leave(b->queues, &object, q);
}

static void delete_it(bench *b, const char *who, const char *host, const char *name)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *q = planned(host, name, NULL);
	ao_queues_want(b->queues, &object, q, AO_BROKER_DELETE, NULL, NULL, NULL);
}

/* ---- tests ---- */

static void a_queue_is_emptied_and_goes(void **state)
{
	bench *b = *state;
	read_it(b, "a", "h", "old");
	pass_time(b, 20);
	find("h", "old")->messages = 250;
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	pass_time(b, 100);
	assert_int_equal(asked[AO_BROKER_MOVE], 0);
	ao_queues_moved(b->queues, "a");
	pass_time(b, 300);
	assert_null(find("h", "old"));
	assert_int_equal(find("h", "new")->messages, 250);
	assert_int_equal(lost, 0);
}

/** The deletion is on its way when the parent goes back: it is carried out, and then the queue has to be made again. */
static void a_queue_that_is_wanted_back_is_made_again(void **state)
{
	bench *b = *state;
	put("h", "new", 0); /* somebody else's: nobody takes senders from it */
	read_it(b, "a", "h", "old");
	pass_time(b, 20);
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	pass_time(b, 20);
	ao_queues_moved(b->queues, "a");
	wait_for_call(b, AO_BROKER_DELETE);
	read_it(b, "a", "h", "old");
	leave_it(b, "a", "h", "new", "old");
	held_verb = -1;
	for (int i = 0; i < 20; i++) { /* passes go on, as they do after on_change */
		pass_time(b, 10);
		read_it(b, "a", "h", "old");
		leave_it(b, "a", "h", "new", "old");
	}
	assert_non_null(find("h", "old"));
}

/** What was seen at one broker says nothing of another. */
static void another_broker_is_looked_at_anew(void **state)
{
	bench *b = *state;
	put("other", "old", 0);
	read_it(b, "a", "h", "old");
	pass_time(b, 20);
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	pass_time(b, 20);
	ao_queues_moved(b->queues, "a");
	wait_for_call(b, AO_BROKER_DELETE);
	unsigned deletions = asked[AO_BROKER_DELETE], moves = asked[AO_BROKER_MOVE];
	read_it(b, "a", "other", "new");
	leave_it(b, "a", "other", "old", "new");
	held_verb = -1;
	pass_time(b, 1500);
	assert_int_equal(asked[AO_BROKER_DELETE], deletions); /* its pods may still read the old queue there */
	assert_int_equal(asked[AO_BROKER_MOVE], moves);
	ao_queues_moved(b->queues, "a");
	pass_time(b, 300);
	assert_int_equal(asked[AO_BROKER_MOVE], moves);
	assert_non_null(find("other", "old")); /* we did not make it there */
}

/** Two parents with one queue, which is emptied into a queue of each: so it is when an operator begins with other settings. */
static void both_leave(bench *b)
{
	text = "{\"status\":{\"queues\":[{\"name\":\"old\",\"transport\":\"main\",\"owner\":\"Actor\"}]}}";
	put("h", "old", 0);
	for (int i = 0; i < 2; i++) {
		const char *who = i ? "b" : "a", *new = i ? "new-b" : "new-a";
		read_it(b, who, "h", new);
		leave_it(b, who, "h", "old", new);
	}
	pass_time(b, 20);
}

static void one_that_goes_takes_no_queue_that_another_empties(void **state)
{
	bench *b = *state;
	both_leave(b);
	find("h", "old")->messages = 7;
	delete_it(b, "a", "h", "new-a");
	delete_it(b, "a", "h", "old");
	pass_time(b, 50);
	assert_int_equal(lost, 0);
	ao_queues_forget(b->queues, "a");
	ao_queues_moved(b->queues, "b");
	pass_time(b, 300);
	assert_int_equal(find("h", "new-b")->messages, 7);
	assert_null(find("h", "old"));
}

static void one_that_two_empty_waits_for_the_pods_of_both(void **state)
{
	bench *b = *state;
	both_leave(b);
	ao_queues_moved(b->queues, "a");
	pass_time(b, 300);
	assert_non_null(find("h", "old"));
	ao_queues_moved(b->queues, "b");
	pass_time(b, 1500);
	assert_null(find("h", "old"));
}

/** A parent that reads `new` is to be reached as `old`, too. */
static void read_both(bench *b)
{
	ao_object object = parent("a");
	ao_auto_json cJSON *read = planned("h", "new", NULL), *kept = planned("h", "old", "new");
	ao_json_set_str(ao_json_object(ao_json_at(read, "want"), "instead"), "name", "old");
	ao_json_set(kept, "lasting", cJSON_CreateBool(true));
	ao_queues_want(b->queues, &object, read, AO_BROKER_ENSURE, NULL, NULL, NULL);
	ao_queues_want(b->queues, &object, kept, AO_BROKER_ENSURE, NULL, NULL, NULL);
	pass_time(b, 30);
}

static void senders_are_turned_when_pods_are_replaced(void **state)
{
	bench *b = *state;
	read_both(b);
	assert_int_equal(turned, 0);
	ao_queues_moved(b->queues, "a");
	pass_time(b, 30);
	assert_int_equal(turned, 1);
}

/** ... but what comes to a queue that another reads is not taken from it. Both get it. */
static void senders_of_another_are_not_turned(void **state)
{
	bench *b = *state;
	for (int alone = 0; alone < 2; alone++) {
		if (alone) /* nobody is known who reads it, but it was there before */
			ao_queues_forget(b->queues, "b");
		else
			read_it(b, "b", "h", "old");
		pass_time(b, 20);
		for (int i = 0; i < 3; i++) {
			read_both(b);
			ao_queues_moved(b->queues, "a");
			pass_time(b, 30);
		}
		assert_int_equal(turned, 0);
		assert_int_equal(behind, 0);
		ao_queues_forget(b->queues, "a");
	}
}

/** Anybody who may write a status can write that. */
static void records_that_say_nothing_do_no_harm(void **state)
{
	bench *b = *state;
	text = "{\"status\":{\"queues\":[{},null,7,{\"name\":\"old\"},{\"name\":3,\"transport\":\"main\"}]}}";
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	ao_object object = parent("a");
	ao_auto_json cJSON *records = ao_queues_records(b->queues, &object);
	assert_int_equal(cJSON_GetArraySize(records), 5);
}

/** A parent that is paused, or cannot be planned, has pods all the same: after a restart its status alone says what they read. */
static void what_a_parent_without_a_plan_reads_is_left_alone(void **state)
{
	bench *b = *state;
	text = "{\"status\":{\"queues\":[{\"name\":\"old\",\"transport\":\"main\",\"owner\":\"Actor\"}]}}";
	put("h", "old", 5);
	ao_object paused = parent("b");
	ao_queues_claim(b->queues, &paused);
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	pass_time(b, 20);
	ao_queues_moved(b->queues, "a");
	pass_time(b, 100);
	assert_int_equal(asked[AO_BROKER_MOVE] + asked[AO_BROKER_DELETE], 0);
	delete_it(b, "a", "h", "old");
	pass_time(b, 100);
	assert_non_null(find("h", "old"));
	assert_int_equal(lost, 0);
	ao_queues_forget(b->queues, "b");
	delete_it(b, "a", "h", "old");
	pass_time(b, 100);
}

static bool is_leading;
static bool leads(void *arg)
{
	(void)arg;
	return is_leading;
}

/** A process that stood still goes on with what it was about to do, though another one leads. It may look, and no more. */
static void nothing_is_changed_without_leading(void **state)
{
	bench *b = *state;
	is_leading = true;
	ao_kube_set_gate(b->kube, leads, NULL);
	read_it(b, "a", "h", "old");
	pass_time(b, 20);
	find("h", "old")->messages = 5;
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	pass_time(b, 20);
	is_leading = false;
	ao_queues_moved(b->queues, "a");
	read_it(b, "b", "h", "other");
	pass_time(b, 100);
	assert_int_equal(asked[AO_BROKER_MOVE] + asked[AO_BROKER_DELETE], 0);
	assert_int_equal(find("h", "old")->messages, 5);
	assert_null(find("h", "other"));
	is_leading = true;
	pass_time(b, 3000);
	assert_null(find("h", "old"));
	assert_non_null(find("h", "other"));
}

/** An operator without records has made the queue that it knew, and none by the other name. */
static void an_heir_has_no_queue_by_another_name(void **state)
{
	bench *b = *state;
	text = "{\"status\":{\"phase\":\"Running\"}}";
	put("h", "new", 0);
	put("h", "old", 5);
	for (int i = 0; i < 5; i++) {
		read_both(b);
		ao_queues_moved(b->queues, "a");
	}
	assert_int_equal(find("h", "old")->messages, 5);
	assert_int_equal(asked[AO_BROKER_MOVE], 0);
}

/** Policies take the first one for the queue that the parent reads: what they say of messages and dead letters is about that. */
static void the_queue_that_is_read_comes_first(void **state)
{
	bench *b = *state;
	read_it(b, "a", "h", "old");
	pass_time(b, 20);
	read_both(b);
	ao_auto_json cJSON *facts = ao_queues_facts(b->queues, "a");
	assert_int_equal(cJSON_GetArraySize(facts), 2);
	assert_string_equal(ao_json_str(cJSON_GetArrayItem(facts, 0), "name"), "new");
}

/** Who has one queue and no other pays for none of this. */
static void passes_cost_no_calls(void **state)
{
	bench *b = *state;
	for (int i = 0; i < 20; i++) {
		read_it(b, "a", "h", "old");
		ao_queues_moved(b->queues, "a");
		pass_time(b, 5);
	}
	assert_int_equal(asked[AO_BROKER_ENSURE], 1);
	assert_int_equal(asked[AO_BROKER_INSPECT] + asked[AO_BROKER_MOVE] + asked[AO_BROKER_DELETE], 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_queue_is_emptied_and_goes, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_that_is_wanted_back_is_made_again, begin, end),
	    cmocka_unit_test_setup_teardown(another_broker_is_looked_at_anew, begin, end),
	    cmocka_unit_test_setup_teardown(one_that_goes_takes_no_queue_that_another_empties, begin, end),
	    cmocka_unit_test_setup_teardown(one_that_two_empty_waits_for_the_pods_of_both, begin, end),
	    cmocka_unit_test_setup_teardown(senders_are_turned_when_pods_are_replaced, begin, end),
	    cmocka_unit_test_setup_teardown(senders_of_another_are_not_turned, begin, end),
	    cmocka_unit_test_setup_teardown(an_heir_has_no_queue_by_another_name, begin, end),
	    cmocka_unit_test_setup_teardown(nothing_is_changed_without_leading, begin, end),
	    cmocka_unit_test_setup_teardown(records_that_say_nothing_do_no_harm, begin, end),
	    cmocka_unit_test_setup_teardown(what_a_parent_without_a_plan_reads_is_left_alone, begin, end),
	    cmocka_unit_test_setup_teardown(the_queue_that_is_read_comes_first, begin, end),
	    cmocka_unit_test_setup_teardown(passes_cost_no_calls, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
