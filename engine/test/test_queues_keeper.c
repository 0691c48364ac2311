/* What the keeper asks of brokers when plans change while a queue is emptied into another. */
#include "test_queues_bench.h"

#include "queues/keeper_private.h"

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

/** A parent reads "new" in place of "old", which is about to be deleted. */
static void await_deletion(bench *b)
{
	read_it(b, "a", "h", "old");
	pass_time(b, 20);
	read_it(b, "a", "h", "new");
	leave_it(b, "a", "h", "old", "new");
	pass_time(b, 20);
	ao_queues_moved(b->queues, "a");
	wait_for_call(b, AO_BROKER_DELETE);
}

/** The deletion is on its way when the parent goes back: it is carried out, and then the queue has to be made again. */
static void a_queue_that_is_wanted_back_is_made_again(void **state)
{
	bench *b = *state;
	put("h", "new", 0); /* somebody else's: nobody takes senders from it */
	await_deletion(b);
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
	await_deletion(b);
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

/** The deletion was refused once and is tried again, while another parent has begun to read the queue. */
static void a_queue_that_another_has_got_meanwhile_is_not_deleted(void **state)
{
	bench *b = *state;
	for (int leaves = 0; leaves < 2; leaves++) {
		ao_object object = parent("a");
		ao_auto_json cJSON *q = planned("h", "q", NULL);
		read_it(b, "a", "h", "q");
		pass_time(b, 20);
		put("h", "q", 1);
		ao_json_set_str(q, "deletion", "DeleteIfEmpty");
		if (leaves)
			ao_queues_leave(b->queues, &object, q);
		else
			ao_queues_want(b->queues, &object, q, AO_BROKER_DELETE, NULL, NULL, NULL);
		ao_queues_moved(b->queues, "a");
		pass_time(b, 20);
		read_it(b, "b", "h", "q");
		pass_time(b, 20);
		put("h", "q", 0);
		pass_time(b, 2500);
		assert_non_null(find("h", "q"));
		ao_queues_forget(b->queues, "a");
		delete_it(b, "b", "h", "q"); /* it is this one's now */
		pass_time(b, 20);
		assert_null(find("h", "q"));
		ao_queues_forget(b->queues, "b");
	}
}

/** The broker that the parent has left could not be reached just then. Its pods still read the queue. */
static void a_queue_that_is_left_waits_for_pods_though_it_had_failed(void **state)
{
	bench *b = *state;
	ao_object object = parent("a");
	ao_auto_json cJSON *q = planned("h", "q", NULL);
	read_it(b, "a", "h", "q");
	await_asked(b, AO_BROKER_ENSURE, 1);
	ao_json_set(ao_json_at(q, "want"), "durable", cJSON_CreateTrue());
	refused_verb = AO_BROKER_ENSURE;
	ao_queues_want(b->queues, &object, q, AO_BROKER_ENSURE, NULL, NULL, NULL);
	await_asked(b, AO_BROKER_ENSURE, 2);
	refused_verb = -1;
	ao_json_set_str(q, "deletion", "DeleteIfEmpty");
	ao_queues_leave(b->queues, &object, q);
	pass_time(b, 1500);
	assert_int_equal(asked[AO_BROKER_DELETE], 0);
	ao_queues_moved(b->queues, "a");
	await_asked(b, AO_BROKER_DELETE, 1);
	assert_null(find("h", "q"));
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

static void await_allowed(bench *b, const fake_call *c, bool allowed)
{
	for (uint64_t since = ao_mono_ms(); ao_broker_is_allowed(&c->base) != allowed && ao_mono_ms() - since < 5000;)
		pass_time(b, 20);
	assert_int_equal(ao_broker_is_allowed(&c->base), allowed);
}

/** Its steps are the broker's own business, which does not know who leads: it is told for how long it may go on. */
static void assert_goes_on_while_we_lead(bench *b, ao_broker_verb verb)
{
	const fake_call *call;
	for (call = calls; call->with.verb != verb; call = call->next)
		;
	pass_time(b, 3000);
	await_allowed(b, call, true);
	is_leading = false;
	await_allowed(b, call, false);
	held_verb = -1;
}

static void a_deletion_under_way_may_go_on_for_as_long_as_we_lead(void **state)
{
	bench *b = *state;
	is_leading = true;
	ao_kube_set_gate(b->kube, leads, NULL);
	await_deletion(b);
	assert_goes_on_while_we_lead(b, AO_BROKER_DELETE);
}

/** It may have to delete the queue to make it anew. */
static void a_queue_may_be_replaced_for_as_long_as_we_lead(void **state)
{
	bench *b = *state;
	is_leading = true;
	ao_kube_set_gate(b->kube, leads, NULL);
	read_it(b, "a", "h", "q");
	wait_for_call(b, AO_BROKER_ENSURE);
	assert_goes_on_while_we_lead(b, AO_BROKER_ENSURE);
}

/** ... and so may messages be moved. */
static void a_move_may_go_on_for_as_long_as_we_lead(void **state)
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
	ao_queues_moved(b->queues, "a");
	wait_for_call(b, AO_BROKER_MOVE);
	assert_goes_on_while_we_lead(b, AO_BROKER_MOVE);
}

/** Who stood still, and leads all the same, is told by no broker's call that another may lead: the parent would say so. */
static void who_stood_still_and_leads_asks_again(void **state)
{
	bench *b = *state;
	ao_object object = parent("a");
	ao_auto_json cJSON *q = planned("h", "q", NULL);
	ao_queues_fact fact = {0};
	is_leading = true;
	ao_kube_set_gate(b->kube, leads, NULL);
	read_it(b, "a", "h", "q");
	wait_for_call(b, AO_BROKER_ENSURE);
	usleep(1700000);
	held_verb = -1;
	serve();
	ao_queues_want(b->queues, &object, q, AO_BROKER_ENSURE, NULL, NULL, &fact);
	assert_string_equal(fact.reason, "");
	await_asked(b, AO_BROKER_ENSURE, 2);
	assert_non_null(find("h", "q"));
}

/** Who gives its lease back begins nothing more, though it leads until then; what is under way is waited for, and takes no further step. */
static void nothing_goes_on_when_another_is_let_lead(void **state)
{
	bench *b = *state;
	is_leading = true;
	ao_kube_set_gate(b->kube, leads, NULL);
	read_it(b, "a", "h", "q");
	wait_for_call(b, AO_BROKER_ENSURE);
	assert_true(ao_queues_are_changing(b->queues));
	ao_queues_halt(b->queues);
	assert_false(ao_broker_is_allowed(&calls->base));
	pass_time(b, 1000);
	assert_false(ao_broker_is_allowed(&calls->base));
	assert_true(ao_queues_are_changing(b->queues));
	held_verb = -1;
	read_it(b, "b", "h", "other");
	pass_time(b, 50);
	assert_false(ao_queues_are_changing(b->queues));
	assert_int_equal(asked[AO_BROKER_ENSURE], 1);
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

/** ... nor when it goes at once, with a further name that it asks for. */
static void an_heir_that_goes_takes_no_queue_by_another_name(void **state)
{
	bench *b = *state;
	text = "{\"status\":{\"phase\":\"Running\"}}";
	put("h", "new", 0);
	put("h", "old", 5);
	ao_object object = parent("a");
	ao_auto_json cJSON *named = planned("h", "old", NULL);
	ao_json_set(named, "lasting", cJSON_CreateTrue());
	delete_it(b, "a", "h", "new");
	ao_queues_want(b->queues, &object, named, AO_BROKER_DELETE, NULL, NULL, NULL);
	pass_time(b, 20);
	assert_null(find("h", "new"));
	assert_int_equal(lost, 0);
	assert_non_null(find("h", "old"));
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

/** RabbitMQ drops what dies while there is none. Where nothing is to be made, that is so. */
static void a_dead_letter_queue_that_is_gone_is_made_again(void **state)
{
	bench *b = *state;
	ao_object object = parent("a");
	ao_auto_json cJSON *q = planned("h", "q", NULL);
	ao_json_set_str(ao_json_object(ao_json_at(q, "want"), "deadLetter"), "name", "q-dlq");
	dead_gone = true;
	for (int create = 1; create >= 0; create--) {
		ao_json_set(ao_json_at(q, "want"), "create", cJSON_CreateBool(create));
		ao_queues_want(b->queues, &object, q, AO_BROKER_ENSURE, NULL, NULL, NULL);
		await_asked(b, AO_BROKER_ENSURE, create ? 1 : 3);
		ao_queues_look(b->queues->first);
		await_asked(b, AO_BROKER_INSPECT, create ? 1 : 2);
		await_asked(b, AO_BROKER_ENSURE, create ? 2 : 3);
	}
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
	    cmocka_unit_test_setup_teardown(a_queue_that_another_has_got_meanwhile_is_not_deleted, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_that_is_left_waits_for_pods_though_it_had_failed, begin, end),
	    cmocka_unit_test_setup_teardown(one_that_two_empty_waits_for_the_pods_of_both, begin, end),
	    cmocka_unit_test_setup_teardown(senders_are_turned_when_pods_are_replaced, begin, end),
	    cmocka_unit_test_setup_teardown(senders_of_another_are_not_turned, begin, end),
	    cmocka_unit_test_setup_teardown(an_heir_has_no_queue_by_another_name, begin, end),
	    cmocka_unit_test_setup_teardown(an_heir_that_goes_takes_no_queue_by_another_name, begin, end),
	    cmocka_unit_test_setup_teardown(nothing_is_changed_without_leading, begin, end),
	    cmocka_unit_test_setup_teardown(a_deletion_under_way_may_go_on_for_as_long_as_we_lead, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_may_be_replaced_for_as_long_as_we_lead, begin, end),
	    cmocka_unit_test_setup_teardown(a_move_may_go_on_for_as_long_as_we_lead, begin, end),
	    cmocka_unit_test_setup_teardown(who_stood_still_and_leads_asks_again, begin, end),
	    cmocka_unit_test_setup_teardown(nothing_goes_on_when_another_is_let_lead, begin, end),
	    cmocka_unit_test_setup_teardown(records_that_say_nothing_do_no_harm, begin, end),
	    cmocka_unit_test_setup_teardown(what_a_parent_without_a_plan_reads_is_left_alone, begin, end),
	    cmocka_unit_test_setup_teardown(the_queue_that_is_read_comes_first, begin, end),
	    cmocka_unit_test_setup_teardown(a_dead_letter_queue_that_is_gone_is_made_again, begin, end),
	    cmocka_unit_test_setup_teardown(passes_cost_no_calls, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
