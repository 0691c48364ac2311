/* Single steps of a drain: answers that a world of random histories (test_queues_drain.c) has no reason for. */
#include "queues/drain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUIET_MS 5000

static ao_drain drain_of_ours(void)
{
	ao_drain d;
	ao_drain_begin(&d, &(ao_drain_settings){QUIET_MS, 60000}, 1000);
	ao_drain_tell(&d, &(ao_drain_facts){.replaced = true, .turned = true, .ours = true});
	return d;
}

/** The queue went between two steps, or an operator that died had deleted it: both brokers answer a move with an error then. */
static void a_queue_that_is_not_there_is_gone(void **state)
{
	(void)state;
	uint64_t wait, now = 1000;
	ao_drain d = drain_of_ours();
	for (int i = 0; i < 10 && d.state != AO_DRAIN_GONE; i++, now += 60000)
		if (ao_drain_next(&d, now, &wait) == AO_DRAIN_MOVE)
			ao_drain_answered(&d, &(ao_drain_answer){.error = -ENOENT, .reason = "QueueMissing"}, now);
	assert_string_equal(ao_drain_word(d.state), "gone");
}

/** ... but not when it is the other queue that is missing, or a Secret. */
static void a_queue_whose_messages_cannot_go_anywhere_is_not_gone(void **state)
{
	(void)state;
	static const ao_drain_answer ANSWERS[] = {{.error = -ENOENT, .reason = "QueueMissing", .exists = true},
						  {.error = -ENOENT, .reason = "SecretMissing"}};
	for (size_t i = 0; i < 2; i++) {
		uint64_t wait;
		ao_drain d = drain_of_ours();
		assert_int_equal(ao_drain_next(&d, 1000, &wait), AO_DRAIN_MOVE);
		ao_drain_answered(&d, &ANSWERS[i], 1000);
		assert_string_equal(ao_drain_word(d.state), "moving");
	}
}

static void one_that_is_to_last_is_waited_for(void **state)
{
	(void)state;
	uint64_t wait;
	unsigned asked = 0;
	ao_drain d = drain_of_ours();
	ao_drain_tell(&d, &(ao_drain_facts){.replaced = true, .turned = true, .ours = true, .lasting = true});
	for (uint64_t now = 1000; now < 61000; now += 10) {
		if (ao_drain_next(&d, now, &wait) == AO_DRAIN_NOTHING)
			continue;
		asked++;
		ao_drain_answered(&d, &(ao_drain_answer){.error = -ENOENT, .reason = "QueueMissing"}, now);
	}
	assert_string_equal(ao_drain_word(d.state), "moving");
	assert_in_range(asked, 2, 30);
}

/** Messages may come to it for ever; that somebody holds one for ever is trouble all the same, and said. */
static void one_that_is_to_last_is_not_held_for_ever(void **state)
{
	(void)state;
	for (int held = 0; held < 2; held++) {
		uint64_t wait, now = 1000;
		ao_drain d = drain_of_ours();
		ao_drain_tell(&d, &(ao_drain_facts){.replaced = true, .turned = true, .ours = true, .lasting = true});
		for (; now < 121000; now += 10) {
			ao_drain_action action = ao_drain_next(&d, now, &wait);
			int64_t comes = !held && now % 20 == 0;
			if (action == AO_DRAIN_MOVE)
				ao_drain_answered(&d, &(ao_drain_answer){.exists = true, .moved = comes}, now);
			else if (action == AO_DRAIN_LOOK)
				ao_drain_answered(&d, &(ao_drain_answer){.exists = true, .messages = comes, .in_flight = 1}, now);
			if (now < 61000 && ao_drain_trouble(&d, now))
				fail_msg("trouble after %d ms", (int)now);
		}
		const char *trouble = ao_drain_trouble(&d, now);
		assert_string_equal(trouble ? trouble : "none", held ? "MessagesInFlight" : "none");
	}
}

/** SQS counts what was moved as in flight for a while after it is gone: where messages come now and then, nobody holds one for that. */
static void what_was_moved_just_now_is_not_held(void **state)
{
	(void)state;
	uint64_t wait, counted_till = 0, next_comes = 1000;
	ao_drain d;
	ao_drain_begin(&d, &(ao_drain_settings){60000, 300000}, 1000);
	ao_drain_tell(&d, &(ao_drain_facts){.replaced = true, .turned = true, .ours = true, .lasting = true});
	for (uint64_t now = 1000; now < 1000000; now += 100) {
		ao_drain_action action = ao_drain_next(&d, now, &wait);
		bool is_there = now >= next_comes;
		if (action == AO_DRAIN_MOVE) {
			ao_drain_answered(&d, &(ao_drain_answer){.exists = true, .moved = is_there}, now);
			counted_till = is_there ? now + 30000 : counted_till;
			next_comes = is_there ? now + 20000 : next_comes;
		} else if (action == AO_DRAIN_LOOK) {
			ao_drain_answered(&d, &(ao_drain_answer){.exists = true, .messages = is_there, .in_flight = now < counted_till},
					  now);
		}
		const char *trouble = ao_drain_trouble(&d, now);
		if (trouble)
			fail_msg("%s after %d s", trouble, (int)(now / 1000));
	}
}

/** Nobody is told to move or delete what may not be there: it is looked at first. */
static void what_is_not_ours_is_no_trouble_before_it_is_seen(void **state)
{
	(void)state;
	for (int there = 0; there < 2; there++) {
		uint64_t wait;
		ao_drain d = drain_of_ours();
		ao_drain_tell(&d, &(ao_drain_facts){.replaced = true, .turned = true});
		assert_null(ao_drain_trouble(&d, 1000));
		assert_int_equal(ao_drain_next(&d, 1000, &wait), AO_DRAIN_LOOK);
		assert_null(ao_drain_trouble(&d, 1000));
		ao_drain_answered(&d, &(ao_drain_answer){.exists = there, .messages = there ? 3 : -1, .in_flight = there ? 0 : -1}, 1000);
		const char *trouble = ao_drain_trouble(&d, 1000);
		assert_string_equal(trouble ? trouble : ao_drain_word(d.state), there ? "QueueForeign" : "gone");
	}
}

/** A broker that counts deliveries drops a message, or calls it dead, that was delivered too often: at the third time, as a rule. */
static void messages_that_cannot_be_moved_are_not_taken_again_and_again(void **state)
{
	(void)state;
	uint64_t wait;
	unsigned moves = 0;
	int64_t others = 150, stays = 2;
	ao_drain d = drain_of_ours();
	for (uint64_t now = 1000; now < 600000; now += 500) {
		ao_drain_action action = ao_drain_next(&d, now, &wait);
		ao_drain_answer answer = {.exists = true, .messages = others + stays, .in_flight = -1};
		if (action == AO_DRAIN_MOVE) {
			uint64_t most = ao_drain_most(&d) - (uint64_t)stays;
			answer.moved = (uint64_t)others < most ? others : (int64_t)most;
			answer.worn = stays > 0;
			others -= answer.moved;
			moves += stays > 0;
		}
		if (action == AO_DRAIN_DELETE)
			fail_msg("it holds messages");
		if (action)
			ao_drain_answered(&d, &answer, now);
		if (now == 300000) {
			assert_int_equal(moves, 2);
			assert_int_equal(others, 0); /* what could be moved was */
			assert_string_equal(ao_drain_trouble(&d, now), "MessagesRefused");
			stays = 0; /* somebody took them out */
		}
		if (d.state == AO_DRAIN_GOING)
			return;
	}
	fail_msg("it does not go on when they are gone");
}

/** A move that fails half way has taken messages, too: the next ones risk one only. */
static void a_move_that_failed_is_tried_with_one_message(void **state)
{
	(void)state;
	uint64_t wait;
	ao_drain d = drain_of_ours();
	assert_in_range(ao_drain_most(&d), 10, 1000);
	assert_int_equal(ao_drain_next(&d, 1000, &wait), AO_DRAIN_MOVE);
	ao_drain_answered(&d, &(ao_drain_answer){.error = -EPERM, .reason = "AccessDenied", .exists = true}, 1000);
	assert_int_equal(ao_drain_most(&d), 1);
	assert_int_equal(ao_drain_next(&d, 60000, &wait), AO_DRAIN_MOVE);
	ao_drain_answered(&d, &(ao_drain_answer){.exists = true, .moved = 1}, 60000);
	assert_in_range(ao_drain_most(&d), 10, 1000);
}

/** That somebody reads the queue is what the broker says of it, not that it is slow, or that we were not allowed to go on. */
static void only_a_queue_that_is_in_use_is_called_so(void **state)
{
	(void)state;
	static const struct {
		ao_drain_answer deletion;
		const char *trouble;
	} ROWS[] = {{{.error = -EAGAIN, .reason = "BrokerError", .exists = true}, "none"},
		    {{.error = -ETIME, .reason = "BrokerTimeout", .exists = true}, "none"},
		    {{.error = -EBUSY, .reason = "QueueNotEmpty", .exists = true}, "QueueInUse"}};
	for (size_t i = 0; i < sizeof(ROWS) / sizeof(*ROWS); i++) {
		uint64_t wait, now = 1000 + 100000; /* pods took their time */
		bool failed = false, looked = false;
		ao_drain d = drain_of_ours();
		for (; !looked; now += 500) {
			ao_drain_action action = ao_drain_next(&d, now, &wait);
			looked = failed && action == AO_DRAIN_LOOK;
			failed = failed || action == AO_DRAIN_DELETE;
			if (action)
				ao_drain_answered(&d, action == AO_DRAIN_DELETE ? &ROWS[i].deletion : &(ao_drain_answer){.exists = true},
						  now);
		}
		const char *trouble = ao_drain_trouble(&d, now);
		if (strcmp(trouble ? trouble : "none", ROWS[i].trouble) != 0)
			fail_msg("row %zu: %s", i, trouble ? trouble : "none");
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_queue_that_is_not_there_is_gone),
	    cmocka_unit_test(a_queue_whose_messages_cannot_go_anywhere_is_not_gone),
	    cmocka_unit_test(one_that_is_to_last_is_waited_for),
	    cmocka_unit_test(one_that_is_to_last_is_not_held_for_ever),
	    cmocka_unit_test(what_was_moved_just_now_is_not_held),
	    cmocka_unit_test(what_is_not_ours_is_no_trouble_before_it_is_seen),
	    cmocka_unit_test(messages_that_cannot_be_moved_are_not_taken_again_and_again),
	    cmocka_unit_test(a_move_that_failed_is_tried_with_one_message),
	    cmocka_unit_test(only_a_queue_that_is_in_use_is_called_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
