/* client-go's rules, one test each. */
#include "base/clock.h"
#include "base/mem.h"
#include "loop/workqueue.h"
#include "test/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MAX_STARTS 4096

/** A worker that notes what it was given; it finishes by itself or when the test says so. */
typedef struct worker {
	ao_loop *loop;
	ao_workqueue *queue;
	char *started[MAX_STARTS];
	uint64_t at[MAX_STARTS];
	size_t count, want;
	int active, most_active;
	bool finish, done;
	ao_workqueue_result result;
	uint64_t work_ms; /* busy for that long */
	size_t turns;
} worker;

static void work(void *arg, const char *key)
{
	worker *w = arg;
	w->at[w->count] = ao_mono_ms();
	w->started[w->count++] = ao_xstrdup(key);
	if (++w->active > w->most_active)
		w->most_active = w->active;
	for (uint64_t end = ao_mono_ms() + w->work_ms; w->work_ms && ao_mono_ms() < end;)
		continue;
	w->done = w->count >= w->want;
	if (w->finish) {
		w->active--;
		ao_workqueue_done(w->queue, key, w->result);
	}
}

static void finish(worker *w, const char *key, ao_workqueue_result result)
{
	w->active--;
	ao_workqueue_done(w->queue, key, result);
}

static void setup(worker *w, ao_workqueue_options options)
{
	*w = (worker){.loop = ao_loop_new(), .finish = true};
	w->queue = ao_workqueue_new(w->loop, &options, work, w);
}

static void teardown(worker *w)
{
	ao_workqueue_free(w->queue);
	assert_int_equal(ao_loop_close(w->loop), 0);
	for (size_t i = 0; i < w->count; i++)
		free(w->started[i]);
}

/** Lets the loop run for a while. @return how many starts there are */
static size_t run(worker *w, size_t want, uint64_t timeout_ms)
{
	w->want = want;
	w->done = w->count >= want;
	ao_loop_run_until(w->loop, &w->done, timeout_ms);
	return w->count;
}

/** Waits for that many starts, and a moment longer for one too many. */
static size_t quiet(worker *w, size_t expected)
{
	run(w, expected, 10000);
	return run(w, expected + 1, 60);
}

static void waits_once_and_in_order(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 4});
	ao_workqueue_add(w.queue, "b", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "b", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "c", AO_WORKQUEUE_USUAL);
	assert_int_equal(w.count, 0); /* never from inside add */
	assert_int_equal(ao_workqueue_get_stats(w.queue).waiting, 3);
	assert_int_equal(quiet(&w, 3), 3);
	assert_string_equal(w.started[0], "b");
	assert_string_equal(w.started[1], "a");
	assert_string_equal(w.started[2], "c");
	ao_workqueue_stats stats = ao_workqueue_get_stats(w.queue);
	assert_int_equal(stats.adds, 3);
	assert_int_equal(stats.done, 3);
	assert_int_equal(stats.waiting + stats.active + stats.delayed, 0);
	teardown(&w);
}

static void higher_ranks_go_first(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 4});
	ao_workqueue_add(w.queue, "status", AO_WORKQUEUE_LAST);
	ao_workqueue_add(w.queue, "raised", AO_WORKQUEUE_LAST);
	ao_workqueue_add(w.queue, "child", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "edit", AO_WORKQUEUE_FIRST);
	ao_workqueue_add(w.queue, "raised", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "edit", AO_WORKQUEUE_LAST); /* what is asked for less urgently changes nothing */
	assert_int_equal(ao_workqueue_get_stats(w.queue).waiting, 4);
	assert_int_equal(quiet(&w, 4), 4);
	const char *order[] = {"edit", "child", "raised", "status"};
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(w.started[i], order[i]);
	teardown(&w);
}

static void what_is_added_while_active_keeps_its_rank(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 1});
	w.finish = false;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 1, 1000), 1);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_LAST);
	ao_workqueue_add(w.queue, "b", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_FIRST);
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(run(&w, 2, 1000), 2);
	assert_string_equal(w.started[1], "a");
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(run(&w, 3, 1000), 3);
	assert_string_equal(w.started[2], "b");
	finish(&w, "b", AO_WORKQUEUE_OK);
	teardown(&w);
}

static void no_rank_starves(void **state)
{
	(void)state;
	worker w;
	size_t at = SIZE_MAX;
	setup(&w, (ao_workqueue_options){.max_active = 1});
	ao_workqueue_add(w.queue, "status", AO_WORKQUEUE_LAST);
	for (int i = 0; i < 20; i++) {
		ao_auto_str char *key = ao_xasprintf("child-%d", i);
		ao_workqueue_add(w.queue, key, AO_WORKQUEUE_USUAL);
	}
	assert_int_equal(quiet(&w, 21), 21);
	for (size_t i = 0; i < w.count; i++)
		if (strcmp(w.started[i], "status") == 0)
			at = i;
	assert_int_equal(at, 7); /* the eighth turn is that of whoever has waited longest */
	teardown(&w);
}

static void what_is_delayed_comes_with_its_rank(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 1});
	ao_workqueue_pause(w.queue);
	ao_workqueue_add_after(w.queue, "late", AO_WORKQUEUE_LAST, 5);
	ao_workqueue_add_after(w.queue, "early", AO_WORKQUEUE_LAST, 5);
	ao_workqueue_add_after(w.queue, "early", AO_WORKQUEUE_FIRST, 5000);
	quiet(&w, 1);
	ao_workqueue_add(w.queue, "usual", AO_WORKQUEUE_USUAL);
	ao_workqueue_resume(w.queue);
	assert_int_equal(quiet(&w, 3), 3);
	const char *order[] = {"early", "usual", "late"};
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(w.started[i], order[i]);
	teardown(&w);
}

static void added_while_active_runs_once_more_afterwards(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 4});
	w.finish = false;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 1, 1000), 1);
	for (int i = 0; i < 3; i++)
		ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(quiet(&w, 1), 1); /* not beside the first */
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(quiet(&w, 2), 2);
	assert_int_equal(w.most_active, 1);
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(quiet(&w, 2), 2);
	teardown(&w);
}

static void no_more_than_max_active(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 3});
	w.finish = false;
	for (int i = 0; i < 10; i++)
		ao_workqueue_add(w.queue, (char[]){(char)('a' + i), 0}, AO_WORKQUEUE_USUAL);
	assert_int_equal(quiet(&w, 3), 3);
	assert_int_equal(ao_workqueue_get_stats(w.queue).waiting, 7);
	finish(&w, "b", AO_WORKQUEUE_OK);
	assert_int_equal(quiet(&w, 4), 4);
	w.finish = true;
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(run(&w, 10, 1000), 10);
	assert_int_equal(w.most_active, 3);
	finish(&w, "c", AO_WORKQUEUE_OK);
	finish(&w, "d", AO_WORKQUEUE_OK);
	teardown(&w);
}

static void a_place_is_kept_for_what_somebody_waits_for(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 4, .kept = 1});
	w.finish = false;
	for (const char *key = "abcd"; *key; key++)
		ao_workqueue_add(w.queue, (char[]){*key, 0}, key[1] ? AO_WORKQUEUE_USUAL : AO_WORKQUEUE_LAST);
	assert_int_equal(quiet(&w, 3), 3);
	ao_workqueue_add(w.queue, "edit", AO_WORKQUEUE_FIRST);
	assert_int_equal(quiet(&w, 4), 4); /* nobody had to end for it */
	assert_string_equal(w.started[3], "edit");
	ao_workqueue_add(w.queue, "another", AO_WORKQUEUE_FIRST);
	assert_int_equal(quiet(&w, 4), 4);
	finish(&w, "edit", AO_WORKQUEUE_OK);
	assert_int_equal(quiet(&w, 5), 5);
	assert_string_equal(w.started[4], "another");
	finish(&w, "another", AO_WORKQUEUE_OK);
	assert_int_equal(quiet(&w, 5), 5); /* its place stays free */
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(quiet(&w, 6), 6);
	assert_string_equal(w.started[5], "d");
	teardown(&w);
}

static void what_somebody_waits_for_may_take_all_places_and_lets_others_have_some(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 4, .kept = 1});
	w.finish = false;
	for (const char *key = "abcd"; *key; key++)
		ao_workqueue_add(w.queue, (char[]){*key, 0}, AO_WORKQUEUE_FIRST);
	assert_int_equal(quiet(&w, 4), 4);
	ao_workqueue_add(w.queue, "waits", AO_WORKQUEUE_LAST);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_FIRST);
	bool reached = false;
	for (size_t i = 0; !reached && i < 8; i++) { /* each eighth turn is for who has waited longest */
		finish(&w, w.started[i], AO_WORKQUEUE_OK);
		size_t count = run(&w, w.count + 1, 1000);
		reached = strcmp(w.started[count - 1], "waits") == 0;
		if (!reached)
			ao_workqueue_add(w.queue, w.started[i + 1], AO_WORKQUEUE_FIRST);
	}
	assert_true(reached);
	assert_int_equal(w.most_active, 4);
	teardown(&w);
}

static void back_off_grows_to_the_ceiling(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 10, .max_ms = 60});
	w.result = AO_WORKQUEUE_RETRY;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 7, 10000), 7);
	static const uint64_t at_least[] = {10, 20, 40, 60, 60, 60};
	for (size_t i = 0; i < 6; i++)
		assert_true(w.at[i + 1] - w.at[i] >= at_least[i]);
	assert_int_equal(ao_workqueue_get_stats(w.queue).retries, 7);
	assert_int_equal(ao_workqueue_get_stats(w.queue).delayed, 1);

	w.result = AO_WORKQUEUE_OK;
	assert_int_equal(run(&w, 8, 10000), 8);
	assert_int_equal(quiet(&w, 8), 8); /* nothing left behind */
	teardown(&w);
}

/** Work that others ask for says nothing about how long the trouble lasts. */
static void failures_are_counted_in_time(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 300});
	w.result = AO_WORKQUEUE_RETRY;
	for (size_t i = 1; i <= 10; i++) {
		ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
		assert_int_equal(run(&w, i, 1000), i);
	}
	assert_int_equal(run(&w, 12, 5000), 12);
	assert_in_range(w.at[10] - w.at[0], 300, patient_ms(700));   /* the first back-off still holds ... */
	assert_in_range(w.at[11] - w.at[10], 600, patient_ms(1000)); /* ... and is the only one that was counted */
	teardown(&w);
}

static void what_does_not_heal_is_looked_at_seldom(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 20, .max_ms = 40, .seldom_max_ms = 200});
	w.result = AO_WORKQUEUE_SELDOM;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 6, 10000), 6);
	assert_true(w.at[5] - w.at[4] >= 200);
	w.result = AO_WORKQUEUE_RETRY;
	assert_int_equal(run(&w, 8, 10000), 8);
	assert_true(w.at[7] - w.at[6] < 200);
	teardown(&w);
}

static void success_starts_the_back_off_anew(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 20});
	w.result = AO_WORKQUEUE_RETRY;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 6, 20000), 6); /* 20 to 320 ms */
	w.result = AO_WORKQUEUE_OK;
	assert_int_equal(run(&w, 7, 20000), 7); /* 640 ms */
	w.result = AO_WORKQUEUE_RETRY;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 9, 20000), 9);
	assert_true(w.at[8] - w.at[7] < 640);
	teardown(&w);
}

static void add_overtakes_the_back_off(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 60000});
	w.result = AO_WORKQUEUE_RETRY;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	run(&w, 1, 1000);
	assert_int_equal(ao_workqueue_get_stats(w.queue).delayed, 1);
	w.result = AO_WORKQUEUE_OK;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	assert_int_equal(run(&w, 2, 1000), 2);
	assert_int_equal(ao_workqueue_get_stats(w.queue).delayed, 0); /* and success makes it pointless */
	teardown(&w);
}

static void failed_while_dirty_runs_at_once(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 60000});
	w.finish = false;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	run(&w, 1, 1000);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	finish(&w, "a", AO_WORKQUEUE_RETRY);
	assert_int_equal(run(&w, 2, 1000), 2);
	finish(&w, "a", AO_WORKQUEUE_OK);
	teardown(&w);
}

static void the_earlier_wake_up_wins(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){0});
	uint64_t start = ao_mono_ms();
	ao_workqueue_add_after(w.queue, "a", AO_WORKQUEUE_USUAL, 60000);
	ao_workqueue_add_after(w.queue, "a", AO_WORKQUEUE_USUAL, 300);
	ao_workqueue_add_after(w.queue, "a", AO_WORKQUEUE_USUAL, 90000);
	ao_workqueue_add_after(w.queue, "b", AO_WORKQUEUE_USUAL, 50);
	ao_workqueue_add_after(w.queue, "c", AO_WORKQUEUE_USUAL, 150);
	assert_int_equal(ao_workqueue_get_stats(w.queue).delayed, 3);
	assert_int_equal(run(&w, 3, 5000), 3);
	assert_string_equal(w.started[0], "b");
	assert_string_equal(w.started[1], "c");
	assert_string_equal(w.started[2], "a");
	assert_true(w.at[2] - start >= 300);
	assert_int_equal(quiet(&w, 3), 3);
	assert_int_equal(ao_workqueue_get_stats(w.queue).delayed, 0);
	teardown(&w);
}

static void what_was_asked_for_survives_other_work(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 1});
	ao_workqueue_add_after(w.queue, "a", AO_WORKQUEUE_USUAL, 400);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	w.result = AO_WORKQUEUE_RETRY; /* an earlier back-off, then success: the wake-up is still due */
	assert_int_equal(run(&w, 1, 1000), 1);
	w.result = AO_WORKQUEUE_OK;
	assert_int_equal(run(&w, 2, 1000), 2);
	assert_int_equal(run(&w, 3, 5000), 3);
	assert_true(w.at[2] - w.at[0] >= 100);
	teardown(&w);
}

static void due_while_active_makes_it_dirty(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 2});
	w.finish = false;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	run(&w, 1, 1000);
	ao_workqueue_add_after(w.queue, "a", AO_WORKQUEUE_USUAL, 5);
	assert_int_equal(quiet(&w, 1), 1);
	finish(&w, "a", AO_WORKQUEUE_OK);
	assert_int_equal(run(&w, 2, 1000), 2);
	finish(&w, "a", AO_WORKQUEUE_OK);
	teardown(&w);
}

static void forgotten_keys_do_not_come_back(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.base_ms = 20});
	w.result = AO_WORKQUEUE_RETRY;
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	ao_workqueue_add_after(w.queue, "b", AO_WORKQUEUE_USUAL, 20);
	run(&w, 1, 1000);
	ao_workqueue_forget(w.queue, "a");
	ao_workqueue_forget(w.queue, "b");
	ao_workqueue_forget(w.queue, "never seen");
	assert_int_equal(ao_workqueue_get_stats(w.queue).delayed, 0);
	assert_int_equal(quiet(&w, 1), 1);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL); /* waiting is not forgotten */
	ao_workqueue_forget(w.queue, "a");
	w.result = AO_WORKQUEUE_OK;
	assert_int_equal(run(&w, 2, 1000), 2);
	teardown(&w);
}

static void pause_stops_handing_out(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){0});
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	ao_workqueue_pause(w.queue);
	ao_workqueue_add(w.queue, "b", AO_WORKQUEUE_USUAL);
	ao_workqueue_add_after(w.queue, "c", AO_WORKQUEUE_USUAL, 1);
	assert_int_equal(quiet(&w, 0), 0);
	assert_int_equal(ao_workqueue_get_stats(w.queue).waiting, 3);
	ao_workqueue_resume(w.queue);
	assert_int_equal(run(&w, 3, 1000), 3);
	teardown(&w);
}

static void count_turn(uv_check_t *check)
{
	worker *w = uv_handle_get_data((uv_handle_t *)check);
	w->turns++;
}

static void a_slice_leaves_the_loop_its_turns(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.slice_ms = 5});
	uv_check_t check;
	uv_check_init(ao_loop_raw(w.loop), &check);
	uv_handle_set_data((uv_handle_t *)&check, &w);
	uv_check_start(&check, count_turn);
	w.work_ms = 2;
	char key[] = "k00";
	for (int i = 0; i < 40; i++) {
		key[1] = (char)('0' + i / 10);
		key[2] = (char)('0' + i % 10);
		ao_workqueue_add(w.queue, key, AO_WORKQUEUE_USUAL);
	}
	assert_int_equal(run(&w, 40, 10000), 40);
	assert_true(w.turns >= 8); /* 80 ms of work in slices of 5 */

	size_t before = w.turns; /* and no spinning when idle */
	run(&w, 41, 100);
	assert_true(w.turns - before < 10);
	uv_close((uv_handle_t *)&check, NULL);
	teardown(&w);
}

static void many_delayed_keys_come_in_order(void **state)
{
	(void)state;
	worker w;
	setup(&w, (ao_workqueue_options){.max_active = 10});
	uint64_t low[500], high[500]; /* between which a key is due */
	char key[16];
	unsigned random = 1;
	for (int i = 0; i < 500; i++) {
		random = random * 1103515245 + 12345;
		unsigned delay = 1 + (random >> 16) % 100;
		snprintf(key, sizeof(key), "%d", i);
		low[i] = ao_mono_ms() + delay;
		ao_workqueue_add_after(w.queue, key, AO_WORKQUEUE_USUAL, delay);
		high[i] = ao_mono_ms() + delay;
		if (i % 7 == 0)
			ao_workqueue_forget(w.queue, key);
	}
	assert_int_equal(quiet(&w, 428), 428);
	for (size_t i = 1; i < w.count; i++)
		assert_true(low[atoi(w.started[i - 1])] <= high[atoi(w.started[i])]);
	for (size_t i = 0; i < w.count; i++)
		assert_true(w.at[i] >= low[atoi(w.started[i])]);
	teardown(&w);
}

static void free_from_work(void *arg, const char *key)
{
	worker *w = arg;
	(void)key;
	ao_workqueue_free(w->queue);
	w->done = true;
}

static void can_be_freed_by_its_work_and_with_work_left(void **state)
{
	(void)state;
	worker w = {.loop = ao_loop_new()};
	w.queue = ao_workqueue_new(w.loop, &(ao_workqueue_options){0}, free_from_work, &w);
	ao_workqueue_add(w.queue, "a", AO_WORKQUEUE_USUAL);
	ao_workqueue_add(w.queue, "b", AO_WORKQUEUE_USUAL);
	ao_workqueue_add_after(w.queue, "c", AO_WORKQUEUE_USUAL, 5);
	assert_true(ao_loop_run_until(w.loop, &w.done, 1000));
	ao_workqueue_free(NULL);
	assert_int_equal(ao_loop_close(w.loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(waits_once_and_in_order),
	    cmocka_unit_test(higher_ranks_go_first),
	    cmocka_unit_test(what_is_added_while_active_keeps_its_rank),
	    cmocka_unit_test(no_rank_starves),
	    cmocka_unit_test(what_is_delayed_comes_with_its_rank),
	    cmocka_unit_test(added_while_active_runs_once_more_afterwards),
	    cmocka_unit_test(no_more_than_max_active),
	    cmocka_unit_test(a_place_is_kept_for_what_somebody_waits_for),
	    cmocka_unit_test(what_somebody_waits_for_may_take_all_places_and_lets_others_have_some),
	    cmocka_unit_test(back_off_grows_to_the_ceiling),
	    cmocka_unit_test(failures_are_counted_in_time),
	    cmocka_unit_test(what_does_not_heal_is_looked_at_seldom),
	    cmocka_unit_test(success_starts_the_back_off_anew),
	    cmocka_unit_test(add_overtakes_the_back_off),
	    cmocka_unit_test(failed_while_dirty_runs_at_once),
	    cmocka_unit_test(the_earlier_wake_up_wins),
	    cmocka_unit_test(what_was_asked_for_survives_other_work),
	    cmocka_unit_test(due_while_active_makes_it_dirty),
	    cmocka_unit_test(forgotten_keys_do_not_come_back),
	    cmocka_unit_test(pause_stops_handing_out),
	    cmocka_unit_test(a_slice_leaves_the_loop_its_turns),
	    cmocka_unit_test(many_delayed_keys_come_in_order),
	    cmocka_unit_test(can_be_freed_by_its_work_and_with_work_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
