/* Whose a queue is when the transport of its parent leads to another broker than before. */
#include "test_queues_bench.h"

#include "queues/keeper_private.h"

#include <unistd.h>

/** What the status of a parent says from now on. The caller frees. */
static char *status_of(bench *b, const char *who)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *status = cJSON_CreateObject();
	ao_json_set(ao_json_object(status, "status"), "queues", ao_queues_records(b->queues, &object));
	return ao_json_print(status);
}

/** The next operator, which knows of a parent what its status says. @param status  taken */
static void live_on(bench **b, char *status)
{
	static char *said;
	queue there[AO_LEN(queues_there)];
	memcpy(there, queues_there, sizeof(there));
	end((void **)b);
	begin((void **)b);
	memcpy(queues_there, there, sizeof(there));
	free(said);
	text = said = status;
}

static void read_in_another_life(bench **b, const char *host)
{
	live_on(b, status_of(*b, "a"));
	read_it(*b, "a", host, "q");
	pass_time(*b, 20);
}

/** The configuration leads to another broker, where somebody else has a queue of that name; then back, and to one where nobody has. */
static void a_queue_at_another_place_is_not_the_one_that_we_made(void **state)
{
	for (int lives = 0; lives < 2; lives++) {
		put("there", "q", 7);
		for (const char **host = (const char *[]){"h", "there", "h", "there", NULL}; *host; host++) {
			if (lives)
				read_in_another_life((bench **)state, *host);
			read_it(*state, "a", *host, "q");
			pass_time(*state, 20);
		}
		delete_it(*state, "a", "there", "q");
		pass_time(*state, 20);
		assert_int_equal(lost, 0);
		assert_non_null(find("there", "q"));
		read_in_another_life((bench **)state, "new");
		read_in_another_life((bench **)state, "h");
		delete_it(*state, "a", "h", "q");
		pass_time(*state, 20);
		assert_null(find("h", "q"));
		read_in_another_life((bench **)state, "new");
		delete_it(*state, "a", "new", "q");
		pass_time(*state, 20);
		assert_null(find("new", "q"));
		ao_queues_forget(((bench *)*state)->queues, "a");
		live_on((bench **)state, ao_xstrdup("{}"));
	}
}

/** One that leaves such a queue takes nothing out of it, nor its senders. */
static void a_queue_at_another_place_is_not_emptied(void **state)
{
	bench **b = (bench **)state;
	read_it(*b, "a", "h", "old");
	pass_time(*b, 20);
	put("there", "old", 7);
	live_on(b, status_of(*b, "a"));
	ao_object object = parent("a");
	ao_auto_json cJSON *read = planned("there", "new", NULL);
	ao_json_set_str(ao_json_object(ao_json_at(read, "want"), "instead"), "name", "old");
	for (int i = 0; i < 3; i++) {
		leave_it(*b, "a", "there", "old", "new");
		ao_queues_want((*b)->queues, &object, read, AO_BROKER_ENSURE, NULL, NULL, NULL);
		ao_queues_moved((*b)->queues, "a");
		pass_time(*b, 30);
	}
	assert_non_null(find("there", "old"));
	assert_int_equal(asked[AO_BROKER_MOVE] + turned, 0);
}

/** Its place is not known, so it is taken for the one that we look at, and written down; if need be once more. */
static void a_record_of_an_older_operator_is_completed(void **state)
{
	bench **b = (bench **)state;
	live_on(b, ao_xstrdup("{\"status\":{\"queues\":[{\"name\":\"q\",\"transport\":\"main\",\"owner\":\"Actor\"},"
			      "{\"name\":\"q\",\"transport\":\"main\",\"owner\":\"Other\"}]}}"));
	put("h", "q", 0);
	read_it(*b, "a", "h", "q");
	ao_auto_str char *first = status_of(*b, "a");
	assert_non_null(strstr(first, "\"place\""));
	assert_null(strstr(first, "Other"));
	pass_time(*b, 20);
	ao_auto_str char *second = status_of(*b, "a");
	assert_string_equal(first, second);
	put("there", "q", 7);
	read_in_another_life(b, "there");
	delete_it(*b, "a", "there", "q");
	pass_time(*b, 20);
	assert_int_equal(lost, 0);
}

/** Its old queue is at the broker of before, so at this one there is nothing that the migration would wait for. */
static void a_queue_that_is_not_at_this_place_is_not_waited_for(void **state)
{
	bench **b = (bench **)state;
	read_it(*b, "a", "h", "old");
	pass_time(*b, 20);
	live_on(b, status_of(*b, "a"));
	ao_object object = parent("a");
	ao_auto_json cJSON *read = planned("there", "new", NULL);
	ao_json_set_str(ao_json_object(ao_json_at(read, "want"), "instead"), "name", "old");
	ao_auto_str char *said = NULL;
	for (int i = 0; i < 5 || (i < 100 && strstr(said, "drains")); i++) {
		leave_it(*b, "a", "there", "old", "new");
		ao_queues_want((*b)->queues, &object, read, AO_BROKER_ENSURE, NULL, NULL, NULL);
		ao_queues_moved((*b)->queues, "a");
		pass_time(*b, 60);
		ao_auto_json cJSON *facts = ao_queues_facts((*b)->queues, "a");
		free(said);
		said = ao_json_print(facts);
	}
	ao_auto_str char *status = status_of(*b, "a");
	assert_null(find("there", "old"));
	if (strstr(said, "drains"))
		fail_msg("%s", said);
	if (strstr(status, "\"into\""))
		fail_msg("%s", status);
	assert_int_equal(turned, 0);
}

/** A configuration that makes no sense leads nowhere: what is known of places stays. */
static void a_place_that_is_not_known_says_nothing_of_others(void **state)
{
	bench **b = (bench **)state;
	for (const char **host = (const char *[]){"h", "there", "?", "h", NULL}; *host; host++) {
		read_it(*b, "a", *host, "q");
		pass_time(*b, 20);
	}
	delete_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	assert_null(find("h", "q"));
}

/** What a status of ours says of a queue is dropped by a server whose CRD is the Go operator's, and with it all else that only we write. */
static void a_status_that_was_pruned_makes_nobody_an_heir(void **state)
{
	static const struct {
		const char *status;
		bool inherits;
	} rows[] = {
	    {"{\"conditions\":[{\"type\":\"WorkloadReady\",\"status\":\"True\"}]}", true}, /* the Go operator */
	    {"{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"renderedDigest\":\"d\"}",
	     true}, /* one of ours, before records */
	    {"{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}", false},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		put("h", "q", 7);
		live_on((bench **)state, ao_xasprintf("{\"status\":%s}", rows[i].status));
		read_it(*state, "a", "h", "q");
		pass_time(*state, 20);
		delete_it(*state, "a", "h", "q");
		pass_time(*state, 20);
		assert_int_equal(lost, rows[i].inherits ? 7 : 0);
	}
}

/** Two transports lead to one broker. One parent says nothing but what its status remembers, with the name of the other transport. */
static void a_queue_stays_for_one_who_has_it_by_another_transport(void **state)
{
	bench **b = (bench **)state;
	read_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	put("h", "q", 7);
	ao_auto_str char *status = status_of(*b, "a");
	char *transport = strstr(status, "main");
	assert_non_null(transport);
	memcpy(transport, "next", 4);
	text = status;
	ao_object paused = parent("b");
	ao_queues_claim((*b)->queues, &paused);
	delete_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	assert_int_equal(lost, 0);
	assert_non_null(find("h", "q"));
	text = "{}";
}

/** The account of a cloud transport is given later, and is the one that it had: the queue is the same, and nobody can know that. */
static void a_queue_whose_place_has_another_name_now_is_neither_made_anew_nor_lost(void **state)
{
	bench **b = (bench **)state;
	read_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	put("h", "q", 7);
	read_in_another_life(b, "h#1");
	assert_int_equal(find("h", "q")->messages, 7);
	ao_auto_str char *status = status_of(*b, "a");
	assert_non_null(strstr(status, "\"Actor\"")); /* where it was made */
	delete_it(*b, "a", "h#1", "q");
	pass_time(*b, 20);
	assert_int_equal(lost, 0);
	assert_non_null(find("h", "q"));
	read_in_another_life(b, "h");
	delete_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	assert_null(find("h", "q"));
}

/** While an edit of the transport is on its way, another parent that has it by the other name reads it. */
static void a_queue_stays_for_one_whose_place_has_another_name(void **state)
{
	bench **b = (bench **)state;
	read_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	read_it(*b, "b", "h#1", "q");
	pass_time(*b, 20);
	put("h", "q", 7);
	delete_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	assert_int_equal(lost, 0);
}

/** ... also where nothing is known of that other parent but what its status remembers, and whichever of the two names the place in full. */
static void a_queue_stays_for_one_who_says_nothing_and_whose_place_has_another_name(void **state)
{
	static const char *const ways[][2] = {{"h", "h#1"}, {"h#1", "h"}};
	bench **b = (bench **)state;
	for (size_t i = 0; i < AO_LEN(ways); i++) {
		read_it(*b, "b", ways[i][1], "q");
		pass_time(*b, 20);
		ao_auto_str char *status = status_of(*b, "b");
		memset(queues_there, 0, sizeof(queues_there));
		live_on(b, ao_xstrdup("{}"));
		read_it(*b, "a", ways[i][0], "q");
		pass_time(*b, 20);
		put("h", "q", 7);
		text = status;
		ao_object silent = parent("b");
		ao_queues_claim((*b)->queues, &silent);
		delete_it(*b, "a", ways[i][0], "q");
		pass_time(*b, 20);
		assert_int_equal(lost, 0);
		assert_non_null(find("h", "q"));
		memset(queues_there, 0, sizeof(queues_there));
		live_on(b, ao_xstrdup("{}"));
	}
}

/** ... or the parent itself, whose transport is another one now. */
static void a_queue_stays_for_one_who_has_left_it_for_another_name_of_its_place(void **state)
{
	bench **b = (bench **)state;
	ao_object object = parent("a");
	ao_auto_json cJSON *left = planned("h", "q", NULL), *read = planned("h#1", "q", NULL);
	read_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	ao_json_set_str(read, "transport", "next");
	ao_json_set_str(left, "deletion", "DeleteIfEmpty");
	ao_queues_want((*b)->queues, &object, read, AO_BROKER_ENSURE, NULL, NULL, NULL);
	ao_queues_leave((*b)->queues, &object, left);
	pass_time(*b, 20);
	ao_queues_moved((*b)->queues, "a");
	pass_time(*b, 50);
	assert_non_null(find("h", "q"));
}

/** The transport that the parent is at keeps its queues, and the one that it has left, which may lead there, does not. It goes in another life. */
static void a_queue_that_is_to_stay_is_not_deleted_by_another_name_of_its_place(void **state)
{
	bench **b = (bench **)state;
	ao_object object = parent("a");
	ao_auto_json cJSON *stays = planned("h#1", "q", NULL);
	ao_json_set_str(stays, "transport", "next");
	ao_json_set_str(stays, "deletion", "Retain");
	read_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	put("h", "q", 7);
	live_on(b, status_of(*b, "a"));
	ao_queues_retain((*b)->queues, &object, stays);
	delete_it(*b, "a", "h", "q");
	pass_time(*b, 20);
	assert_int_equal(lost, 0);
	assert_non_null(find("h", "q"));
}

/**
 * The configuration is the same, and the credentials are those of another account now, where somebody else has a queue of that name; then they are
 * those of before again.  The records know whose queue was made: in this life and in others, and where the parent goes before it is asked for.
 */
static void a_queue_in_the_account_of_other_credentials_is_not_the_one_that_we_made(void **state)
{
	enum { SAME_LIFE, OTHER_LIFE, OTHER_LIFE_AND_GONE_AT_ONCE, WAYS };
	bench **b = (bench **)state;
	for (int way = 0; way < WAYS; way++) {
		shown = "mine";
		read_it(*b, "a", "h", "q");
		pass_time(*b, 20);
		put("theirs", "q", 7);
		put("mine", "q", 3);
		if (way != SAME_LIFE)
			live_on(b, status_of(*b, "a"));
		shown = "theirs";
		if (way != OTHER_LIFE_AND_GONE_AT_ONCE)
			read_it(*b, "a", "h", "q");
		ao_queues_on_health((*b)->queues);
		pass_time(*b, 20);
		ao_auto_str char *status = status_of(*b, "a");
		delete_it(*b, "a", "h", "q");
		pass_time(*b, 20);
		assert_int_equal(lost, 0);
		assert_int_equal(find("theirs", "q")->messages, 7);
		live_on(b, ao_xstrdup(status));
		shown = "mine";
		read_it(*b, "a", "h", "q");
		pass_time(*b, 20);
		delete_it(*b, "a", "h", "q");
		pass_time(*b, 20);
		assert_null(find("mine", "q"));
		assert_int_equal(lost, 3);
		lost = 0;
		live_on(b, ao_xstrdup("{}"));
		memset(queues_there, 0, sizeof(queues_there));
	}
}

/** Two namespaces have an account each, by Secrets of their own; the transport names none. Somebody else has made the queue in one of them. */
static void a_queue_of_other_credentials_is_not_inherited(void **state)
{
	static const struct {
		const char *theirs, *secret, *host;
		bool inherits;
	} rows[] = {{"ns2", "keys", "h", false}, {"ns", "others", "h", false}, {"ns", "keys", "h", true}, {"ns2", "keys", "h#1", true}};
	bench **b = (bench **)state;
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_json cJSON *made = planned(rows[i].host, "q", NULL), *theirs = planned(rows[i].host, "q", NULL);
		ao_json_set_str(ao_json_object(ao_json_object(made, "secrets"), "key"), "name", "keys");
		ao_json_set_str(ao_json_object(ao_json_object(theirs, "secrets"), "key"), "name", rows[i].secret);
		live_on(b, ao_xstrdup("{\"status\":{\"queues\":[{\"name\":\"q\",\"transport\":\"main\",\"owner\":\"Actor\"}]}}"));
		ao_object a = parent("a");
		ao_queues_want((*b)->queues, &a, made, AO_BROKER_ENSURE, NULL, NULL, NULL);
		text = "{\"status\":{\"queues\":[{\"name\":\"q\",\"transport\":\"main\",\"owner\":\"Other\"}]}}";
		ao_object other = parent("b");
		other.namespace_ = rows[i].theirs;
		ao_queues_want((*b)->queues, &other, theirs, AO_BROKER_ENSURE, NULL, NULL, NULL);
		ao_queues_want((*b)->queues, &a, made, AO_BROKER_DELETE, NULL, NULL, NULL);
		ao_auto_json cJSON *records = ao_queues_records((*b)->queues, &other);
		assert_string_equal(ao_json_str(cJSON_GetArrayItem(records, 0), "owner"), rows[i].inherits ? "Actor" : "Other");
	}
}

/** One account is named and the other one is not, and both tell which they are. A parent is to read a queue by another name. */
static void a_queue_is_emptied_beside_its_namesake_in_another_account(void **state)
{
	bench *b = *state;
	for (int same = 0; same < 2; same++) {
		const char *theirs = same ? "mine" : "yours";
		ao_object object = parent("a"), other = parent("b");
		ao_auto_json cJSON *old = planned("h", "old", NULL), *next = planned("h", "next", NULL),
				   *left = planned("h", "old", "next"), *read = planned("h#1", "old", NULL);
		for (cJSON **each = (cJSON *[]){old, next, left, NULL}; *each; each++)
			ao_json_set_str(ao_json_at(*each, "config"), "account", "mine");
		ao_json_set_str(ao_json_at(read, "config"), "account", theirs);
		put(theirs, "old", 0);
		ao_queues_want(b->queues, &object, old, AO_BROKER_ENSURE, NULL, NULL, NULL);
		ao_queues_want(b->queues, &other, read, AO_BROKER_ENSURE, NULL, NULL, NULL);
		pass_time(b, 20);
		put(theirs, "old", 7);
		put("mine", "old", 5);
		ao_queues_leave(b->queues, &object, left);
		ao_queues_want(b->queues, &object, next, AO_BROKER_ENSURE, NULL, NULL, NULL);
		pass_time(b, 20);
		ao_queues_moved(b->queues, "a");
		pass_time(b, 300);
		assert_int_equal(find("mine", "next")->messages, same ? 0 : 5);
		assert_int_equal(find(theirs, "old")->messages, same ? 5 : 7);
		assert_int_equal(find("mine", "old") != NULL, same);
		ao_queues_forget(b->queues, "a");
		ao_queues_forget(b->queues, "b");
		memset(queues_there, 0, sizeof(queues_there));
	}
	assert_int_equal(lost, 0);
}

/** ... and with it goes its dead letter queue, which is that of no other queue in its account. */
static void a_dead_letter_queue_goes_beside_its_namesake_in_another_account(void **state)
{
	bench *b = *state;
	for (int same = 0; same < 2; same++) {
		ao_object object = parent("a"), other = parent("b");
		ao_auto_json cJSON *old = planned("h", "old", NULL), *next = planned("h", "next", NULL),
				   *left = planned("h", "old", "next"), *read = planned("h#1", "theirs", NULL);
		for (cJSON **each = (cJSON *[]){old, next, left, read, NULL}; *each; each++) {
			ao_json_set_str(ao_json_at(*each, "config"), "account", *each == read && !same ? "yours" : "mine");
			if (*each != next)
				ao_json_set_str(ao_json_object(ao_json_at(*each, "want"), "deadLetter"), "name", "dlq");
		}
		ao_queues_want(b->queues, &object, old, AO_BROKER_ENSURE, NULL, NULL, NULL);
		ao_queues_want(b->queues, &other, read, AO_BROKER_ENSURE, NULL, NULL, NULL);
		pass_time(b, 20);
		ao_queues_leave(b->queues, &object, left);
		ao_queues_want(b->queues, &object, next, AO_BROKER_ENSURE, NULL, NULL, NULL);
		pass_time(b, 20);
		ao_queues_moved(b->queues, "a");
		wait_for_call(b, AO_BROKER_DELETE);
		const fake_call *deletion = calls;
		while (deletion->with.verb != AO_BROKER_DELETE)
			deletion = deletion->next;
		assert_string_equal(ao_json_str(deletion->queue, "name"), "old");
		bool goes = ao_json_at(deletion->queue, "deadLetter");
		held_verb = -1;
		pass_time(b, 20);
		ao_queues_forget(b->queues, "a");
		ao_queues_forget(b->queues, "b");
		memset(queues_there, 0, sizeof(queues_there));
		if (goes == same)
			fail_msg("it %s", goes ? "goes, and another queue has it" : "stays, and nobody has it");
	}
}

/** How often it was told that something is left, from here on. */
static int told(int kept_fd, FILE *log)
{
	char line[512];
	int count = 0;
	fflush(stderr);
	dup2(kept_fd, STDERR_FILENO);
	close(kept_fd);
	rewind(log);
	while (fgets(line, sizeof(line), log))
		count += strstr(line, "is left ") != NULL;
	fclose(log);
	return count;
}

/** ... also with what was made meanwhile, when the transport is led back; and once for each. */
static void each_place_that_is_left_is_told_of(void **state)
{
	for (int lives = 0; lives < 2; lives++) {
		FILE *log = tmpfile();
		int kept = dup(STDERR_FILENO);
		dup2(fileno(log), STDERR_FILENO);
		for (const char **host = (const char *[]){"h", "there", "h", "h", NULL}; *host; host++) {
			read_it(*state, "a", *host, "q");
			pass_time(*state, 20);
			if (lives)
				read_in_another_life((bench **)state, *host);
		}
		assert_int_equal(told(kept, log), 2);
		memset(queues_there, 0, sizeof(queues_there));
		live_on((bench **)state, ao_xstrdup("{}"));
	}
}

/** A parent reads a queue by another name now, or another transport, and its plan says nothing of the old one. */
static void a_queue_that_falls_out_of_the_plan_is_told_of(void **state)
{
	bench *b = *state;
	ao_auto_json cJSON *plan = cJSON_CreateArray();
	cJSON_AddItemToArray(plan, planned("h", "new", NULL));
	put("h", "theirs", 7);
	read_it(b, "a", "h", "q");
	read_it(b, "a", "h", "theirs");
	pass_time(b, 20);
	FILE *log = tmpfile();
	int kept = dup(STDERR_FILENO);
	dup2(fileno(log), STDERR_FILENO);
	read_it(b, "a", "h", "new");
	ao_queues_keep(b->queues, "a", plan);
	ao_queues_keep(b->queues, "a", plan);
	ao_queues_keep(b->queues, "a", NULL);
	assert_int_equal(told(kept, log), 1);
	assert_non_null(find("h", "q"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_queue_at_another_place_is_not_the_one_that_we_made, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_at_another_place_is_not_emptied, begin, end),
	    cmocka_unit_test_setup_teardown(a_record_of_an_older_operator_is_completed, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_that_is_not_at_this_place_is_not_waited_for, begin, end),
	    cmocka_unit_test_setup_teardown(a_place_that_is_not_known_says_nothing_of_others, begin, end),
	    cmocka_unit_test_setup_teardown(a_status_that_was_pruned_makes_nobody_an_heir, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_stays_for_one_who_has_it_by_another_transport, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_of_other_credentials_is_not_inherited, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_that_falls_out_of_the_plan_is_told_of, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_in_the_account_of_other_credentials_is_not_the_one_that_we_made, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_is_emptied_beside_its_namesake_in_another_account, begin, end),
	    cmocka_unit_test_setup_teardown(a_dead_letter_queue_goes_beside_its_namesake_in_another_account, begin, end),
	    cmocka_unit_test_setup_teardown(each_place_that_is_left_is_told_of, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_that_is_to_stay_is_not_deleted_by_another_name_of_its_place, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_stays_for_one_who_says_nothing_and_whose_place_has_another_name, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_whose_place_has_another_name_now_is_neither_made_anew_nor_lost, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_stays_for_one_whose_place_has_another_name, begin, end),
	    cmocka_unit_test_setup_teardown(a_queue_stays_for_one_who_has_left_it_for_another_name_of_its_place, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
