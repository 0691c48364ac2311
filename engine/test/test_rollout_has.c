/* test_rollout_has.c -- which bundle a parent has whose status does not say it: those that were there before us, and those that come later. */
#include "base/clock.h"
#include "rollout/policies_private.h"
#include "test/test_reconcile_operator.h"

#define DECORATOR                                                                                                                          \
	"return require 'policy'.manifest { parent = 'test.io/v1 Owner', domain = 'd.io', children = { 'v1 Thing' },"                      \
	" decorate = { labels = { want = true } } }"
#define OLD "0123456789abcdef"

static void do_nothing(void *arg) { (void)arg; }

static const char *live(const operator_ *o) { return ao_bundle_digest(o->bundle); }

static bool selects_none(void *arg, const char *selection, const char *key)
{
	(void)arg, (void)selection, (void)key;
	return false;
}

static void see(operator_ *o, ao_policies *p, const char *name, const char *labels)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"s\",\"uid\":\"u-%s\",\"labels\":{%s}}}", name, name, labels);
	ao_auto_str char *key = ao_xasprintf("s/%s", name);
	hold(o, "Owner", text);
	ao_policies_parent_changed(p, key);
}

static const char *has(const ao_policies *p, const char *key)
{
	const ao_seen_parent *seen = ao_map_get(p->parents, key);
	return seen ? seen->has : NULL;
}

static void begin_policies(operator_ *o, ao_policies *p, const char *manifest)
{
	begin_with(o, manifest, "return require 'policy'.define { name = 'p', render = function() end }", NULL);
	*p = (ao_policies){.world = o->world,
			   .reconciler = o->reconciler,
			   .parents = ao_map_new(),
			   .variants = ao_map_new(),
			   .turn = ao_timer_new(o->loop, do_nothing, NULL)};
}

static void begin_machine(operator_ *o, ao_policies *p)
{
	p->machine = ao_machine_new(
	    &(ao_machine_options){.settings = {.max_restarting = 1, .ready_ms = 300000}, .fallback = live(o), .selects = selects_none},
	    &p->record);
}

/** A process begins to lead where `old` has another bundle than the live one, as the record says. */
static void lead(operator_ *o, ao_policies *p)
{
	begin_policies(o, p, DECORATOR);
	ao_rollout_choice_set(&p->record.tracks[AO_ROLLOUT_MAIN].live, live(o), NULL);
	ao_has_recall(p, "{\"has\":{\"" OLD "\":[\"u-old\"]}}");
	begin_machine(o, p);
	see(o, p, "old", "\"want\":\"1\"");
	see(o, p, "usual", "\"want\":\"1\"");
	ao_has_all_seen(p);
	ao_machine_want(p->machine, &(ao_rollout_choice){(char *)live(o), NULL}, &(ao_rollout_choice){0});
	ao_machine_synced(p->machine);
}

static void forget_parents(ao_policies *p)
{
	size_t cursor = 0;
	for (ao_seen_parent *seen; (seen = ao_map_next(p->parents, &cursor, NULL));) {
		free(seen->uid);
		free(seen);
	}
	ao_map_free(p->parents);
	p->parents = ao_map_new();
}

static void end_lead(operator_ *o, ao_policies *p)
{
	ao_machine_free(p->machine);
	forget_parents(p);
	ao_map_free(p->parents);
	ao_map_free(p->variants);
	ao_map_free_all(p->had);
	ao_rollout_record_clear(&p->record);
	ao_timer_free(p->turn);
	end(o);
}

static void those_that_were_there_have_what_the_record_says(void **state)
{
	(void)state;
	operator_ o;
	ao_policies p;
	lead(&o, &p);
	assert_string_equal(has(&p, "s/old"), OLD);
	assert_string_equal(has(&p, "s/usual"), live(&o));
	end_lead(&o, &p);
}

/** The record is that of the time when we began: since then another bundle may have gone live, and what it names may be gone. */
static void those_that_come_later_have_nothing(void **state)
{
	(void)state;
	operator_ o;
	ao_policies p;
	lead(&o, &p);
	see(&o, &p, "later", "\"want\":\"1\"");
	see(&o, &p, "old", "");
	assert_null(has(&p, "s/old"));
	see(&o, &p, "old", "\"want\":\"1\"");
	if (*has(&p, "s/later") || *has(&p, "s/old"))
		fail_msg("one that came later has '%s', one that is chosen again '%s'", has(&p, "s/later"), has(&p, "s/old"));
	end_lead(&o, &p);
}

/** Whom the policies are for says the manifest of those that are live, and that is not known while the record, or a bundle, cannot be had. */
static void nothing_is_taken_from_one_that_is_not_chosen_while_nobody_knows_who_is(void **state)
{
	(void)state;
	const ao_object stub = {.key = "s/old", .stub = true};
	operator_ o;
	ao_policies p;
	ao_variant at_hand = {0};
	lead(&o, &p);
	ao_map_put(p.variants, live(&o), &at_hand);
	assert_false(ao_policies_holds(&p, &stub));
	p.missing = ao_xstrdup("a bundle cannot be had");
	bool for_another = ao_policies_holds(&p, &stub);
	ao_map_remove(p.variants, live(&o));
	bool while_missing = ao_policies_holds(&p, &stub);
	free(AO_TAKE(p.missing));
	ao_policies stuck = {.stuck = (char *)"the record of what is live cannot be used"};
	bool while_stuck = ao_policies_holds(&stuck, &stub);
	end_lead(&o, &p);
	if (!while_missing || !while_stuck)
		fail_msg("its children are taken away while the %s cannot be had", while_stuck ? "bundle" : "record");
	if (for_another)
		fail_msg("it keeps its children because a bundle cannot be had that is not the live one");
}

/* ---- those whose status is ours, and does not say it: a server drops what the schema of its CRD does not know ---- */

#define OWNERS 6
#define REACHED 4

static void see_owners(operator_ *o, ao_policies *p)
{
	for (int i = 0; i < OWNERS; i++) {
		ao_auto_str char *key = ao_xasprintf("s/%d", i),
				 *text = ao_xasprintf("{\"metadata\":{\"name\":\"%d\",\"namespace\":\"s\",\"uid\":\"u-%d\"},\"status\":{"
						      "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
						      i, i);
		hold(o, "Owner", text);
		ao_policies_parent_changed(p, key);
	}
}

/** Does what the machine wants done, but for passes. */
static void work(ao_policies *p)
{
	for (ao_task task; ao_machine_next(p->machine, &task);)
		if (task.kind == AO_TASK_LOAD)
			ao_machine_loaded(p->machine, task.digest, AO_VERDICT_GOOD, NULL);
		else if (task.kind == AO_TASK_WRITE)
			ao_machine_written(p->machine, task.version, true);
}

/** An edit has reached four of six when the process ends. The next one knows that from the record alone. */
static void those_that_an_edit_has_reached_are_not_all_turned_back_at_once(void **state)
{
	(void)state;
	operator_ o;
	ao_policies p;
	int back = 0;
	begin_policies(&o, &p, KINDS);
	ao_rollout_line *main = &p.record.tracks[AO_ROLLOUT_MAIN];
	ao_rollout_choice_set(&main->live, OLD, NULL);
	ao_rollout_choice_set(&main->to, live(&o), NULL);
	main->stage = AO_ROLLOUT_FORWARD;
	begin_machine(&o, &p);
	see_owners(&o, &p);
	for (int i = 0; i < REACHED; i++) {
		ao_auto_str char *key = ao_xasprintf("s/%d", i);
		ao_policies_on_pass(&p, &(ao_pass_report){.key = key, .bundle = live(&o), .carried = true, .ready = true});
	}
	see_owners(&o, &p);
	ao_auto_json cJSON *record = cJSON_CreateObject();
	ao_json_set(record, "has", ao_has_json(&p, OLD));
	ao_auto_str char *text = ao_json_print(record);

	ao_machine_free(p.machine);
	forget_parents(&p);
	ao_has_recall(&p, text);
	begin_machine(&o, &p);
	see_owners(&o, &p);
	ao_has_all_seen(&p);
	ao_machine_want(p.machine, &(ao_rollout_choice){(char *)live(&o), NULL}, &(ao_rollout_choice){0});
	ao_machine_synced(p.machine);
	work(&p);
	for (int i = 0; i < REACHED; i++) {
		ao_auto_str char *key = ao_xasprintf("s/%d", i);
		const char *serves = ao_machine_serves(p.machine, key);
		back += serves && strcmp(serves, OLD) == 0;
	}
	end_lead(&o, &p);
	if (back)
		fail_msg("%d of %d go back to what was live before, at once: pods of one are to be replaced at one time", back, REACHED);
}

/* ---- those that a new manifest does not choose any more ---- */

static ao_policies *leading;

static bool holds(void *arg, const ao_object *parent) { return (void)arg, ao_policies_holds(leading, parent); }
static void on_pass(void *arg, const ao_pass_report *report)
{
	(void)arg;
	ao_policies_on_pass(leading, report);
}

/** The manifest that came does not choose `old`, and it waits for its turn. */
static void part(operator_ *o, ao_policies *p)
{
	leading = p;
	o->reconciler->with.is_held = holds;
	o->reconciler->with.on_pass = on_pass;
	((ao_seen_parent *)ao_map_get(p->parents, "s/old"))->parting = true;
	p->parting = 1;
	see(o, p, "old", "");
}

/** Does what the machine wants done, as long as it moves anybody. */
static bool all_are_moved(operator_ *o, ao_policies *p)
{
	ao_rollout_counts counts = {0};
	for (int turns = 0; turns < 100; turns++) {
		bool never_done = false;
		for (ao_task task; ao_machine_next(p->machine, &task);)
			if (task.kind == AO_TASK_LOAD)
				ao_machine_loaded(p->machine, task.digest, AO_VERDICT_GOOD, NULL);
			else if (task.kind == AO_TASK_WRITE)
				ao_machine_written(p->machine, task.version, true);
			else if (task.kind == AO_TASK_REDO)
				ao_reconciler_parent_changed(o->reconciler, task.key);
		ao_machine_count(p->machine, AO_ROLLOUT_MAIN, &counts);
		if (!counts.moving && !counts.waiting)
			return true;
		ao_loop_run_until(o->loop, &never_done, 10);
		ao_machine_tick(p->machine, ao_mono_ms());
	}
	return false;
}

/** Most of what a decorator chooses has nothing of it. */
static void one_that_has_nothing_to_lose_takes_up_no_place(void **state)
{
	(void)state;
	operator_ o;
	ao_policies p;
	lead(&o, &p);
	part(&o, &p);
	bool moved = all_are_moved(&o, &p);
	end_lead(&o, &p);
	if (!moved)
		fail_msg("its turn has come, and never ends");
}

/** Its manifest is not that of the world any more, so it cannot be loaded. */
static void a_bundle_is_not_missing_any_more_when_nobody_has_it(void **state)
{
	(void)state;
	operator_ o;
	ao_policies p;
	lead(&o, &p);
	part(&o, &p);
	p.anew = ao_timer_new(o.loop, do_nothing, NULL);
	p.missing_digest = ao_xstrdup(OLD);
	p.missing = ao_xstrdup("bundle " OLD " is in use and cannot be loaded");
	bool moved = all_are_moved(&o, &p);
	ao_errands_run(&p);
	bool still_said = p.missing;
	free(p.missing);
	free(p.missing_digest);
	ao_timer_free(p.anew);
	end_lead(&o, &p);
	assert_true(moved);
	if (still_said)
		fail_msg("people are told that a bundle is in use which nobody has");
}

static void hold_trace(operator_ *o, const char *parent)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"name\":\"x\",\"namespace\":\"s\",\"uid\":\"u-x\",\"labels\":{\"%s\":\"u-%s\"},\"annotations\":"
			 "{\"%s\":\"s/%s\"},\"managedFields\":[{\"manager\":\"%s\",\"operation\":\"Apply\"}]}}",
			 o->manifest->owner_label, parent, o->manifest->owner_annotation, parent, o->manifest->field_manager);
	hold(o, "Thing", text);
}

static void only_one_that_has_something_to_lose_waits_for_its_turn(void **state)
{
	(void)state;
	operator_ o;
	ao_policies p;
	const ao_object stub = {.key = "s/old", .uid = "u-old", .stub = true};
	begin_policies(&o, &p, DECORATOR);
	ao_has_recall(&p, "{\"has\":{\"" OLD "\":[\"u-old\"]}}");
	bool nothing = ao_has_another(&p, &stub);
	hold_trace(&o, "old");
	bool child = ao_has_another(&p, &stub);
	end_lead(&o, &p);
	assert_true(child);
	if (nothing)
		fail_msg("one that has nothing waits for its turn, and so do those behind it");
}

/* ---- more of them than a record can name ---- */

#define MANY 16002

/** All of `count` parents have the bundle before the live one, but for the first. */
static void see_many(operator_ *o, ao_policies *p, size_t count)
{
	begin_policies(o, p, DECORATOR);
	ao_rollout_choice_set(&p->record.tracks[AO_ROLLOUT_MAIN].live, live(o), NULL);
	for (size_t i = 0; i < count; i++) {
		ao_auto_str char *key = ao_xasprintf("s/%05zu", i);
		ao_seen_parent *seen = ao_xcalloc(1, sizeof(*seen));
		seen->uid = ao_xasprintf("u-%05zu", i);
		snprintf(seen->has, sizeof(seen->has), "%s", i ? OLD : live(o));
		ao_map_put(p->parents, key, seen);
	}
}

/** Forgets them, and begins to lead with what the record says then. */
static void begin_anew(operator_ *o, ao_policies *p)
{
	ao_auto_json cJSON *record = cJSON_CreateObject();
	ao_json_set(record, "has", ao_has_json(p, live(o)));
	ao_auto_str char *text = ao_json_print(record);
	forget_parents(p);
	ao_has_recall(p, text);
}

static void those_that_the_record_cannot_name_do_not_have_what_is_live(void **state)
{
	(void)state;
	static const ao_object first = {.key = "s/00000", .uid = "u-00000"}, last = {.key = "s/16001", .uid = "u-16001"};
	operator_ o;
	ao_policies p;
	see_many(&o, &p, MANY);
	begin_anew(&o, &p);
	ao_auto_str char *of_first = ao_xstrdup(ao_has_of(&p, &first)), *of_last = ao_xstrdup(ao_has_of(&p, &last));
	bool is_live = strcmp(of_first, live(&o)) == 0;
	hold_trace(&o, "16001");
	bool waits = ao_has_another(&p, &(ao_object){.key = "s/16001", .uid = "u-16001", .stub = true});
	bool has_nothing = ao_has_another(&p, &(ao_object){.key = "s/16000", .uid = "u-16000", .stub = true});
	end_lead(&o, &p);
	if (!waits)
		fail_msg("one that is not chosen any more, and that the record has no room for, loses what it has at once");
	assert_string_equal(of_last, OLD);
	assert_true(is_live);
	assert_false(has_nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(those_that_the_record_cannot_name_do_not_have_what_is_live),
	    cmocka_unit_test(those_that_were_there_have_what_the_record_says),
	    cmocka_unit_test(those_that_come_later_have_nothing),
	    cmocka_unit_test(those_that_an_edit_has_reached_are_not_all_turned_back_at_once),
	    cmocka_unit_test(nothing_is_taken_from_one_that_is_not_chosen_while_nobody_knows_who_is),
	    cmocka_unit_test(one_that_has_nothing_to_lose_takes_up_no_place),
	    cmocka_unit_test(a_bundle_is_not_missing_any_more_when_nobody_has_it),
	    cmocka_unit_test(only_one_that_has_something_to_lose_waits_for_its_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
