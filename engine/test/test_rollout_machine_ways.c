/* The ways that an edit can go, one by one, with a driver that answers at once. */
#include "test/test_rollout_driver.h"

/* ---- forwards ---- */

static void a_few_at_a_time_until_all_have_it(void **state)
{
	(void)state;
	driver d;
	begin(&d, (ao_machine_settings){.max_restarting = 2, .ready_ms = 10000, .min_ready_ms = 1000});
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "bbaaaa");
	report(&d, 0, false);
	report(&d, 1, true);
	wait(&d, 500);
	assert_string_equal(all(&d), "bbaaaa"); /* ready, and not long enough */
	wait(&d, 750);
	assert_int_equal(count(&d, 'b'), 3); /* n/a is waited for still */
	for (int i = 0; i < 4; i++) {
		pass_all(&d, NULL);
		wait(&d, 1250);
	}
	assert_string_equal(all(&d), "bbbbbb");
	assert_string_equal(d.said, "accepted b\nlive b\n");
	assert_false(ao_machine_busy(d.machine));
	end(&d);
}

static void nobody_is_moved_before_it_is_written(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	d.deaf = true;
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	ao_machine_written(d.machine, d.writing, false);
	wait(&d, 500);
	assert_string_equal(all(&d), "aaaaaa");
	wait(&d, 1000); /* it is tried again */
	d.deaf = false;
	written(&d);
	drive(&d);
	assert_string_equal(all(&d), "bbaaaa");
	end(&d);
}

static void what_replaces_no_pods_waits_for_nobody(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	d.alike = true;
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "bbbbbb"); /* though nothing of theirs changes: their status does */
	pass_all(&d, "b");
	assert_string_equal(d.said, "accepted b\nlive b\n");
	end(&d);
}

static void a_share_of_all_is_a_bound_too(void **state)
{
	(void)state;
	driver d;
	begin(&d, (ao_machine_settings){.max_percent = 50, .ready_ms = 10000});
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "bbbaaa");
	end(&d);
}

static void who_is_deleted_is_not_waited_for_and_fails_nothing(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	for (int i = 0; i < 4; i++)
		ao_machine_seen(d.machine, &(ao_machine_parent){.key = KEYS[i], .has = "a", .deleting = true});
	drive(&d);
	assert_string_equal(all(&d), "bbaabb");
	report(&d, 4, true);
	wait(&d, 9000);
	for (int i = 0; i < 4; i++)
		ao_machine_gone(d.machine, KEYS[i]);
	report(&d, 5, true);
	wait(&d, 20000);
	assert_string_equal(d.said, "accepted b\nlive b\n");
	end(&d);
}

static void who_is_new_gets_what_is_live_first(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	ao_machine_gone(d.machine, "n/f");
	want(&d, "b", NULL, NULL);
	see(&d, 5, NULL, false);
	assert_string_equal(all(&d), "bbaaaa"); /* and his turn comes */
	for (int i = 0; i < 4; i++)
		pass_all(&d, NULL);
	assert_string_equal(all(&d), "bbbbbb");
	assert_string_equal(d.said, "accepted b\nlive b\n");
	end(&d);
}

static void a_newer_edit_takes_the_place_of_one_under_way(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	report(&d, 0, true);
	want(&d, "c", NULL, NULL);
	assert_string_equal(all(&d), "bccaaa"); /* whoever was on his way goes on to where it goes now */
	for (int i = 0; i < 6; i++)
		pass_all(&d, NULL);
	assert_string_equal(all(&d), "cccccc");
	assert_string_equal(d.said, "accepted b\naccepted c\nlive c\n");
	end(&d);
}

/* ---- back ---- */

/** Or it would be through with everybody in a second, and replace all pods at once. */
static void who_does_not_say_any_more_whether_he_is_ready_is_waited_for(void **state)
{
	(void)state;
	for (int lives = 1; lives <= 2; lives++) {
		driver d;
		begin(&d, TWO);
		want(&d, "b", NULL, NULL);
		d.unsaid = true;
		pass_all(&d, NULL);
		if (lives == 2)
			lead(&d, TWO, (const char *const[]){"b", "b", "a", "a", "a", "a"}, "b", NULL, NULL);
		pass_all(&d, NULL);
		assert_string_equal(all(&d), "bbaaaa");
		wait(&d, 10000);
		assert_non_null(strstr(d.said, "failed b n/a\nfailed b n/b\nback b\n"));
		d.unsaid = false;
		pass_all(&d, NULL);
		assert_string_equal(all(&d), "aaaaaa");
		end(&d);
	}
}

/** A pass for each. Only the policies of `b` say whether who has them is ready. */
static void pass_all_where_only_b_says(driver *d)
{
	for (int i = 0; i < PARENTS; i++) {
		d->unsaid = strcmp(serves(d, i), "b") != 0;
		report(d, i, true);
	}
}

/** The way back leads to what was live, and that never said it: who waited for a word of that would wait for each in vain. */
static void who_said_whether_he_is_ready_by_an_edit_that_goes_back_is_not_waited_for(void **state)
{
	(void)state;
	for (int lives = 1; lives <= 2; lives++) {
		driver d;
		begin(&d, TWO);
		pass_all_where_only_b_says(&d);
		want(&d, "b", NULL, NULL);
		d.unsaid = false;
		report(&d, 0, true);
		report(&d, 1, true);
		assert_string_equal(all(&d), "bbbbaa");
		want(&d, "a", NULL, NULL);
		if (lives == 2)
			lead(&d, TWO, (const char *const[]){"b", "b", "b", "b", "a", "a"}, "a", NULL, NULL);
		for (int i = 0; i < PARENTS / 2; i++)
			pass_all_where_only_b_says(&d);
		assert_string_equal(all(&d), "aaaaaa");
		wait(&d, 11000);
		assert_null(strstr(d.said, "slow"));
		end(&d);
	}
}

/** ... nor by a bundle that a person leaves for an earlier one, which never said it: that would end at what he wanted to be rid of. */
static void a_person_may_go_back_to_what_never_said_whether_it_is_ready(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	pass_all_where_only_b_says(&d);
	want(&d, "b", NULL, NULL);
	for (int i = 0; i < PARENTS / 2; i++)
		pass_all_where_only_b_says(&d);
	assert_non_null(strstr(d.said, "live b"));
	assert_int_equal(ao_machine_undo(d.machine, 1), 0);
	drive(&d);
	for (int i = 0; i < PARENTS / 2; i++)
		pass_all_where_only_b_says(&d);
	wait(&d, 11000);
	assert_null(strstr(d.said, "back a"));
	assert_string_equal(all(&d), "aaaaaa");
	end(&d);
}

/** Policies without a status: the pods of theirs are nobody's to wait for. So are those of an edit that was let through all the same. */
static void who_never_said_whether_he_is_ready_is_ready_when_he_has_it(void **state)
{
	(void)state;
	driver d;
	ao_machine_settings lenient = TWO;
	lenient.max_failed = PARENTS;
	begin(&d, lenient);
	want(&d, "b", NULL, NULL);
	d.unsaid = true;
	for (int i = 0; i < PARENTS / 2; i++) {
		pass_all(&d, NULL);
		wait(&d, 10250);
	}
	assert_string_equal(all(&d), "bbbbbb");
	assert_non_null(strstr(d.said, "live b"));
	want(&d, "c", NULL, NULL);
	for (int i = 0; i < PARENTS / 2; i++)
		pass_all(&d, NULL);
	assert_string_equal(all(&d), "cccccc");
	end(&d);
}

static void what_fails_goes_back_at_the_same_pace_and_is_not_tried_again(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	report(&d, 0, true);
	assert_string_equal(all(&d), "bbbaaa");
	pass_all(&d, "b");
	wait(&d, 10000);

	assert_string_equal(d.said, "accepted b\nfailed b n/b\nfailed b n/c\nback b\n");
	assert_string_equal(all(&d), "baaaaa"); /* the broken ones first, and two at a time */
	pass_all(&d, NULL);
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	assert_non_null(strstr(d.said, "reverted b"));
	want(&d, "b", NULL, NULL);
	lead(&d, TWO, A, "b", NULL, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	assert_string_equal(d.said, "");
	assert_int_equal(ao_machine_resume(d.machine, AO_ROLLOUT_MAIN), 0); /* a person asks */
	drive(&d);
	assert_string_equal(all(&d), "bbaaaa");
	end(&d);
}

static void a_stopped_process_makes_nobody_late(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	pass_all(&d, "b");
	d.now += 3600000;
	wait(&d, 250);
	assert_string_equal(d.said, "accepted b\n");
	report(&d, 0, true);
	report(&d, 1, true);
	assert_string_equal(all(&d), "bbbbaa");
	end(&d);
}

static void what_raises_on_one_reaches_nobody_until_he_changes(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	d.raises = "b";
	want(&d, "b", NULL, NULL);
	assert_string_equal(d.said, "refused b n/a\n");
	lead(&d, TWO, A, "b", NULL, NULL); /* the first sight of a successor is no change */
	assert_string_equal(d.said, "");
	d.raises = NULL;
	ao_machine_seen(d.machine, &(ao_machine_parent){.key = "n/a", .has = "a", .ready = true, .changed = true});
	drive(&d);
	assert_string_equal(d.said, "accepted b\n");
	end(&d);
}

/* ---- failovers ---- */

static void a_successor_goes_on_where_the_last_one_was(void **state)
{
	(void)state;
	static const char *const HALF[PARENTS] = {"b", "b", "a", "a", "a", "a"};
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	report(&d, 0, true);
	report(&d, 1, true);
	assert_string_equal(all(&d), "bbbbaa");
	lead(&d, TWO, HALF, "b", NULL, NULL); /* c and d may have been touched: their status does not say */
	assert_string_equal(all(&d), "bbbbaa");
	assert_string_equal(d.said, "");
	lead(&d, TWO, HALF, "c", NULL, NULL); /* another edit came meanwhile */
	assert_string_equal(all(&d), "bbccaa");
	end(&d);
}

static void a_successor_goes_back_where_the_last_one_did(void **state)
{
	(void)state;
	static const char *const HALF[PARENTS] = {"b", "b", "b", "a", "a", "a"};
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	report(&d, 0, true);
	assert_int_equal(ao_machine_abort(d.machine, AO_ROLLOUT_MAIN), 0);
	drive(&d);
	assert_string_equal(all(&d), "baaaaa");
	lead(&d, TWO, HALF, "b", NULL, NULL);
	assert_string_equal(all(&d), "baaaaa");
	pass_all(&d, NULL);
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	assert_string_equal(d.said, "reverted b\n");
	end(&d);
}

static void what_cannot_be_had_holds_those_it_serves(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	d.missing = "a";
	lead(&d, TWO, A, "a", NULL, NULL);
	assert_string_equal(all(&d), "------");
	assert_string_equal(d.said, "missing a\n");
	want(&d, "b", NULL, NULL); /* an edit that can be had is the way out */
	assert_string_equal(all(&d), "bb----");
	ao_machine_seen(d.machine, &(ao_machine_parent){.key = "n/f", .has = "a", .deleting = true});
	drive(&d);
	assert_string_equal(all(&d), "bb---b"); /* whoever goes can go */
	end(&d);
}

static void the_first_bundle_of_all_is_there_at_once(void **state)
{
	(void)state;
	driver d = {.now = 1000};
	lead(&d, TWO, NONE, "built-in", NULL, NULL);
	assert_string_equal(all(&d), "nnnnnn");
	assert_string_equal(d.said, "live built-in\n");
	end(&d);
	d = (driver){.now = 1000, .raises = "b"};
	lead(&d, TWO, NONE, "b", NULL, NULL);
	assert_string_equal(all(&d), "nnnnnn");
	assert_string_equal(d.said, "refused b n/a\nlive built-in\n");
	end(&d);
}

/* ---- canaries ---- */

static void a_canary_reaches_only_its_own(void **state)
{
	(void)state;
	driver d = {.now = 1000, .birds = {true, true}};
	lead(&d, TWO, NONE, "built-in", "c", "birds"); /* also where nothing was ever live */
	assert_string_equal(all(&d), "ccnnnn");
	end(&d);
	begin(&d, TWO);
	want(&d, "a", "c", "all");
	pass_all(&d, NULL);
	pass_all(&d, NULL);
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "cccccc");
	want(&d, "a", "c", "birds"); /* narrower: those who leave it go at the same pace */
	assert_int_equal(count(&d, 'c'), 4);
	assert_int_equal(strspn(all(&d), "c") >= 2, 1);
	end(&d);
}

static void a_canary_for_everybody_does_not_hide_what_main_does(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "a", "c", "all");
	d.raises = "b";
	want(&d, "b", "c", "all"); /* and is not blamed on the canary that is under way */
	assert_non_null(strstr(d.said, "refused b n/a"));
	for (int i = 0; i < 3; i++)
		pass_all(&d, NULL);
	assert_string_equal(all(&d), "cccccc");
	assert_non_null(strstr(d.said, "canary live c"));
	end(&d);
}

static void a_promoted_canary_does_not_go_back_first(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "a", "c", "birds");
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "ccaaaa");
	d.slow = true;
	want(&d, "c", NULL, NULL); /* its cases take their time */
	wait(&d, 5000);
	assert_string_equal(all(&d), "ccaaaa");
	ao_machine_cased(d.machine, AO_ROLLOUT_MAIN, "c", AO_VERDICT_GOOD, NULL);
	drive(&d);
	assert_string_equal(all(&d), "ccccaa");
	pass_all(&d, NULL);
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "cccccc");
	end(&d);
}

/* ---- what people steer with ---- */

static void a_pause_lasts_until_it_is_resumed(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	ao_machine_pause(d.machine, AO_ROLLOUT_MAIN);
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "bbaaaa");
	static const char *const HALF[PARENTS] = {"b", "b", "a", "a", "a", "a"};
	lead(&d, TWO, HALF, "b", NULL, NULL);
	pass_all(&d, NULL);
	assert_string_equal(all(&d), "bbaaaa");
	assert_int_equal(ao_machine_resume(d.machine, AO_ROLLOUT_MAIN), 0);
	drive(&d);
	assert_string_equal(all(&d), "bbbbaa");
	assert_int_equal(ao_machine_resume(d.machine, AO_ROLLOUT_MAIN), -ENOENT);
	end(&d);
}

static void approval_is_waited_for(void **state)
{
	(void)state;
	driver d;
	ao_machine_settings settings = TWO;
	settings.require_approval = true;
	begin(&d, settings);
	want(&d, "b", NULL, NULL);
	assert_string_equal(d.said, "awaited b\n");
	assert_string_equal(all(&d), "aaaaaa");
	assert_int_equal(ao_machine_approve(d.machine, AO_ROLLOUT_CANARY), -ENOENT);
	assert_int_equal(ao_machine_approve(d.machine, AO_ROLLOUT_MAIN), 0);
	drive(&d);
	assert_string_equal(all(&d), "bbaaaa");
	end(&d);
}

static void undo_goes_to_an_earlier_revision_until_sources_change(void **state)
{
	(void)state;
	static const char *const B[PARENTS] = {"b", "b", "b", "b", "b", "b"};
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	for (int i = 0; i < 4; i++)
		pass_all(&d, NULL);
	assert_int_equal(ao_machine_undo(d.machine, 7), -ENOENT);
	assert_int_equal(ao_machine_undo(d.machine, 1), 0);
	drive(&d);
	assert_int_equal(count(&d, 'a'), 2);
	lead(&d, TWO, B, "b", NULL, NULL); /* it is remembered */
	for (int i = 0; i < 4; i++)
		pass_all(&d, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	want(&d, "c", NULL, NULL);
	assert_string_equal(all(&d), "ccaaaa"); /* sources hold another */
	end(&d);
}

/** "Nothing was changed", they are told: neither is what was undone, when the slip is put right. */
static void what_was_undone_stays_so_beside_an_edit_that_is_refused(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	want(&d, "b", NULL, NULL);
	for (int i = 0; i < 4; i++)
		pass_all(&d, NULL);
	assert_int_equal(ao_machine_undo(d.machine, 1), 0);
	for (int i = 0; i < 4; i++)
		pass_all(&d, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	d.missing = "wrong";
	want(&d, "wrong", NULL, NULL);
	assert_int_equal(ao_machine_undo(d.machine, 0), -EALREADY);
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	lead(&d, TWO, A, "wrong", NULL, NULL); /* also where another one leads meanwhile */
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "aaaaaa");
	assert_int_equal(ao_machine_undo(d.machine, 0), -EALREADY);
	want(&d, "a", NULL, NULL); /* the sources say it themselves: b would be another edit */
	want(&d, "b", NULL, NULL);
	assert_string_equal(all(&d), "bbaaaa");
	end(&d);
}

static void what_is_refused_or_replaced_is_used_no_more(void **state)
{
	(void)state;
	driver d;
	begin(&d, TWO);
	d.deaf = d.slow = true;
	want(&d, "b", NULL, NULL);
	assert_true(ao_machine_uses(d.machine, "b") && ao_machine_recorded(d.machine));
	want(&d, "c", NULL, NULL);
	assert_true(!ao_machine_uses(d.machine, "b") && ao_machine_uses(d.machine, "c"));
	ao_machine_cased(d.machine, AO_ROLLOUT_MAIN, "c", AO_VERDICT_WRONG, "no");
	drive(&d);
	assert_false(ao_machine_recorded(d.machine)); /* a successor would try it again */
	written(&d);
	assert_true(ao_machine_recorded(d.machine));
	end(&d);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_few_at_a_time_until_all_have_it),
	    cmocka_unit_test(nobody_is_moved_before_it_is_written),
	    cmocka_unit_test(what_replaces_no_pods_waits_for_nobody),
	    cmocka_unit_test(a_share_of_all_is_a_bound_too),
	    cmocka_unit_test(who_is_deleted_is_not_waited_for_and_fails_nothing),
	    cmocka_unit_test(who_is_new_gets_what_is_live_first),
	    cmocka_unit_test(a_newer_edit_takes_the_place_of_one_under_way),
	    cmocka_unit_test(what_fails_goes_back_at_the_same_pace_and_is_not_tried_again),
	    cmocka_unit_test(who_does_not_say_any_more_whether_he_is_ready_is_waited_for),
	    cmocka_unit_test(who_never_said_whether_he_is_ready_is_ready_when_he_has_it),
	    cmocka_unit_test(who_said_whether_he_is_ready_by_an_edit_that_goes_back_is_not_waited_for),
	    cmocka_unit_test(a_person_may_go_back_to_what_never_said_whether_it_is_ready),
	    cmocka_unit_test(a_stopped_process_makes_nobody_late),
	    cmocka_unit_test(what_raises_on_one_reaches_nobody_until_he_changes),
	    cmocka_unit_test(a_successor_goes_on_where_the_last_one_was),
	    cmocka_unit_test(a_successor_goes_back_where_the_last_one_did),
	    cmocka_unit_test(what_cannot_be_had_holds_those_it_serves),
	    cmocka_unit_test(the_first_bundle_of_all_is_there_at_once),
	    cmocka_unit_test(a_canary_reaches_only_its_own),
	    cmocka_unit_test(a_canary_for_everybody_does_not_hide_what_main_does),
	    cmocka_unit_test(a_promoted_canary_does_not_go_back_first),
	    cmocka_unit_test(a_pause_lasts_until_it_is_resumed),
	    cmocka_unit_test(approval_is_waited_for),
	    cmocka_unit_test(what_is_refused_or_replaced_is_used_no_more),
	    cmocka_unit_test(undo_goes_to_an_earlier_revision_until_sources_change),
	    cmocka_unit_test(what_was_undone_stays_so_beside_an_edit_that_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
