/*
 * Random histories of edits, deletions, failures, restarts and failovers at every step: nobody is hurt, and in the end everybody has the
 * bundle of his track.  AO_ROLLOUT_SEED=n runs one history, AO_ROLLOUT_SECONDS=n as many as that gives time for.
 */
#include "test_rollout_operator.h"

#include "base/clock.h"

#define HISTORIES 3000
#define STEPS 400
#define ROUNDS 400

/* ---- what people do ---- */

static void create(world *w, int i)
{
	body *b = &w->bodies[i];
	*b = (body){.there = true,
		    .uid = ++w->uids,
		    .label = chance(w, LABELS),
		    .spec = chance(w, 4),
		    .status = NOTHING,
		    .children = NOTHING,
		    .stale = true,
		    .seen = b->seen};
	happened(w, "created", i, (int)b->label, (int)b->spec);
}

static void edit_parent(world *w, int i)
{
	body *b = &w->bodies[i];
	unsigned what = chance(w, 8);
	if (!b->there) {
		create(w, i);
		return;
	}
	b->stale = true;
	if (what == 0) {
		b->deleting = true;
		happened(w, "deleted", i, 0, 0);
	} else if (what == 1) {
		b->there = false; /* without waiting for anybody */
		happened(w, "vanished", i, 0, 0);
	} else if (what < 4) {
		b->label = chance(w, LABELS);
		happened(w, "labelled", i, (int)b->label, 0);
	} else {
		b->spec = (b->spec + 1 + chance(w, 3)) % 8;
		happened(w, "edited", i, (int)b->spec, 0);
	}
}

static void edit_sources(world *w)
{
	wanted *main = &w->want[AO_ROLLOUT_MAIN], *canary = &w->want[AO_ROLLOUT_CANARY];
	unsigned what = chance(w, 8);
	if (what < 3) {
		main->digest = (int)chance(w, BUNDLES);
	} else if (what == 3 && canary->digest != NOTHING) { /* promoted */
		main->digest = canary->digest;
		canary->digest = NOTHING;
	} else if (what == 4) {
		canary->digest = NOTHING;
	} else {
		canary->digest = what == 5 && canary->digest != NOTHING ? canary->digest : CANARIES + (int)chance(w, BUNDLES - CANARIES);
		canary->selection = (int)chance(w, AO_LEN(SELECTIONS));
	}
	tell_wanted(w);
}

/** Where main is to go: to what sources hold, unless a person went back from that, and they hold nothing else that is not refused. */
static int wanted_of(const world *w, const ao_rollout_record *now, bool or_refused)
{
	int digest = w->want[AO_ROLLOUT_MAIN].digest;
	bool undone = now->pinned && (number_of(now->instead_of) == digest || (or_refused && w->refused.is[AO_ROLLOUT_MAIN][digest][0]));
	return undone ? number_of(now->pinned) : digest;
}

/** What a resumption is about. */
static int effective(const world *w)
{
	ao_rollout_record now = {0};
	ao_machine_record(w->machine, &now);
	int digest = wanted_of(w, &now, false);
	ao_rollout_record_clear(&now);
	return digest;
}

static void pardon_wanted(world *w, ao_rollout_track track)
{
	int digest = track == AO_ROLLOUT_MAIN ? effective(w) : w->want[track].digest;
	if (digest != NOTHING)
		w->refused.is[track][digest][track == AO_ROLLOUT_MAIN ? 0 : w->want[track].selection + 1] = false;
}

static void ask(world *w)
{
	ao_rollout_track track = (ao_rollout_track)chance(w, AO_ROLLOUT_TRACKS);
	unsigned what = chance(w, 5);
	happened(w, "asked", (int)what, (int)track, 0);
	if (what == 0) {
		ao_machine_pause(w->machine, track);
	} else if (what == 1) {
		pardon_wanted(w, track);
		ao_machine_resume(w->machine, track);
	} else if (what == 2) {
		ao_machine_abort(w->machine, track);
	} else if (what == 3) {
		ao_machine_approve(w->machine, track);
	} else if (ao_machine_undo(w->machine, 0) == 0) {
		pardon_wanted(w, AO_ROLLOUT_MAIN);
	}
	drain(w);
}

static ao_machine_settings some_settings(world *w)
{
	return (ao_machine_settings){.max_restarting = 1 + chance(w, 3),
				     .max_percent = chance(w, 3) == 0 ? 10 + chance(w, 40) : 0,
				     .max_failed = chance(w, 3),
				     .ready_ms = 6000 + chance(w, 10) * 1000,
				     .min_ready_ms = chance(w, 2) ? 2000 : 0,
				     .require_approval = chance(w, 6) == 0};
}

static void set(world *w, ao_machine_settings settings)
{
	w->settings = settings;
	if (settings.min_ready_ms < w->min_ready)
		w->min_ready = (unsigned)settings.min_ready_ms;
	happened(w, "set", (int)settings.max_restarting, (int)settings.max_percent, (int)settings.max_failed);
	ao_machine_set(w->machine, &settings);
	drain(w);
}

static void pass_time(world *w)
{
	w->now += rarely(w, 50) ? 600000 : chance(w, 1500); /* now and then everything stands still for ten minutes */
	happened(w, "tick", 0, 0, 0);
	tick(w);
}

/** What nobody needs is freed. */
static void drop(world *w, int bundle)
{
	if (!ao_machine_drop(w->machine, DIGESTS[bundle]))
		return;
	happened(w, "dropped", bundle, 0, 0);
	w->loaded[bundle] = false;
}

static void step(world *w)
{
	unsigned what = chance(w, 100);
	int i = (int)chance(w, PARENTS);
	if (what < 25)
		pass(w, i);
	else if (what < 45)
		deliver(w, i);
	else if (what < 65)
		answer(w, 2);
	else if (what < 85)
		pass_time(w);
	else if (what < 92)
		edit_parent(w, i);
	else if (what < 95)
		edit_sources(w);
	else if (what < 97)
		ask(w);
	else if (what < 98)
		set(w, some_settings(w));
	else if (what < 99)
		crash(w);
	else
		drop(w, (int)chance(w, BUNDLES));
}

/* ---- in the end ---- */

static void round_(world *w)
{
	w->now += 500;
	tick(w);
	answer(w, 1);
	for (int i = 0; i < PARENTS; i++) {
		if (w->bodies[i].stale)
			deliver(w, i);
		if (w->bodies[i].seen.there)
			pass(w, i);
		if (w->bodies[i].stale)
			deliver(w, i);
	}
	for (ao_rollout_track t = 0; t < AO_ROLLOUT_TRACKS; t++)
		if (ao_machine_approve(w->machine, t) == 0)
			drain(w);
}

/** @return what keeps it from its end, or NULL */
static const char *unfinished(const world *w, const ao_rollout_record *now)
{
	for (ao_rollout_track t = 0; t < AO_ROLLOUT_TRACKS; t++)
		if (now->tracks[t].stage != AO_ROLLOUT_REST || ao_machine_trial(w->machine, t) != AO_TRIAL_NONE)
			return "an edit is under way";
	if (ao_machine_busy(w->machine))
		return "there is something to do";
	for (int i = 0; i < PARENTS; i++) {
		const body *b = &w->bodies[i];
		if (!b->there)
			continue;
		if (b->deleting)
			return "somebody cannot go";
		int goal = goal_of(&w->record, b);
		bool refused = has_label(w->texts[goal].raises | w->texts[goal].refuses, b->label);
		if (!refused && (b->children != goal || b->status != goal || b->children_spec != b->spec))
			return "somebody has not what is his";
	}
	return NULL;
}

static void judge_end(world *w, const ao_rollout_record *now)
{
	int want = wanted_of(w, now, true), live = number_of(now->tracks[0].live.digest);
	if (live != want && !w->refused.is[AO_ROLLOUT_MAIN][want][0])
		broken(w, "%d is live, and %d is wanted and was never refused", live, want);
	const wanted *canary = &w->want[AO_ROLLOUT_CANARY];
	const ao_rollout_choice *other = &now->tracks[AO_ROLLOUT_CANARY].live;
	bool same = number_of(other->digest) == canary->digest &&
		    (canary->digest == NOTHING || selection_of(other->selection) == canary->selection);
	if (!same && (canary->digest == NOTHING || !w->refused.is[AO_ROLLOUT_CANARY][canary->digest][canary->selection + 1]))
		broken(w, "the canary is %s, and %d is wanted and was never refused", other->digest, canary->digest);
}

/** Nothing goes wrong any more: everybody gets what is his. */
static void come_to_rest(world *w)
{
	const char *why = "nothing was done";
	w->calm = true;
	happened(w, "calm", 0, 0, 0);
	crash(w); /* what could not be had is asked for once more */
	set(w, (ao_machine_settings){.max_restarting = 2, .max_failed = 1, .ready_ms = 6000});
	for (ao_rollout_track t = 0; t < AO_ROLLOUT_TRACKS; t++) {
		pardon_wanted(w, t);
		ao_machine_resume(w->machine, t);
		drain(w);
	}
	for (int i = 0; why && i < ROUNDS; i++) {
		ao_rollout_record now = {0};
		round_(w);
		ao_machine_record(w->machine, &now);
		why = unfinished(w, &now);
		if (!why)
			judge_end(w, &now);
		ao_rollout_record_clear(&now);
	}
	if (why)
		broken(w, "it does not come to rest: %s", why);
}

/* ---- histories ---- */

static unsigned some_labels(world *w, unsigned one_in) { return chance(w, one_in) ? 0 : 1u << chance(w, LABELS) | chance(w, 1 << LABELS); }

static size_t run_history(uint64_t seed)
{
	world w = {.seed = seed, .chance = seed * 0x9e3779b97f4a7c15ULL | 1, .now = 1000};
	for (int i = 0; i < 10; i++)
		chance(&w, 2);
	for (int d = 0; d < BUNDLES; d++)
		w.texts[d] = (text){.loads = d == 0 || chance(&w, 8),
				    .passes = d == 0 || chance(&w, 8),
				    .raises = d ? some_labels(&w, 6) : 0,
				    .refuses = d ? some_labels(&w, 6) : 0,
				    .breaks = d ? some_labels(&w, 4) : 0};
	for (int i = 0; i < PARENTS; i++) {
		w.bodies[i] = (body){.status = NOTHING, .children = NOTHING};
		if (chance(&w, 3))
			create(&w, i);
	}
	w.want[AO_ROLLOUT_MAIN] = (wanted){(int)chance(&w, 3), NOTHING};
	w.want[AO_ROLLOUT_CANARY] = (wanted){chance(&w, 3) ? NOTHING : CANARIES, 0};
	w.settings = some_settings(&w);
	w.min_ready = (unsigned)w.settings.min_ready_ms;
	w.bound = bound_now(&w);
	lead(&w);
	for (int i = 0; i < STEPS; i++)
		step(&w);
	come_to_rest(&w);
	ao_machine_free(w.machine);
	ao_rollout_record_clear(&w.record);
	ao_rollout_record_clear(&w.snapshot);
	return w.steps;
}

static void no_history_hurts_anybody(void **state)
{
	(void)state;
	const char *one = getenv("AO_ROLLOUT_SEED"), *seconds = getenv("AO_ROLLOUT_SECONDS");
	uint64_t began = ao_mono_ms(), until = began + (seconds ? strtoull(seconds, NULL, 10) : 0) * 1000, seed = 1;
	size_t steps = 0;
	if (one) {
		run_history(strtoull(one, NULL, 10));
		return;
	}
	for (; seed <= HISTORIES || (seconds && ao_mono_ms() < until); seed++)
		steps += run_history(seed);
	uint64_t took = ao_mono_ms() - began;
	printf("%llu histories, %zu events in %llu ms: %.1f million a minute\n", (unsigned long long)(seed - 1), steps,
	       (unsigned long long)took, (double)steps * 60 / 1000 / (double)(took ? took : 1));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_history_hurts_anybody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
