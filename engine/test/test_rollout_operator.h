#pragma once
/**
 * test_rollout_operator.h -- an operator in small: what it does with the machine's tasks, and how it dies.
 *
 * All it does is judged as it is done.  Answers, watch events and writes come late, twice or never, as chance wants it.
 */
#include "test_rollout_world.h"

/* ---- the operator's hands ---- */

static void judge_accepted(const world *w, ao_rollout_track track, int bundle, const char *selection)
{
	if (!w->loaded[bundle] || !w->cased[track][bundle])
		broken(w, "%d was accepted without being loaded and run", bundle);
	for (int i = 0; i < PARENTS; i++) {
		const body *b = &w->bodies[i];
		bool concerned = b->seen.there && !b->seen.deleting && (track == AO_ROLLOUT_MAIN || label_in(selection, b->seen.label));
		if (concerned && !b->seen.checked[track][bundle])
			broken(w, "%d was accepted without a check of %s", bundle, KEYS[i]);
	}
}

static void judge_late(world *w, body *b, const char *why)
{
	if (!b->seen.there || b->seen.deleting)
		broken(w, "%s failed, and is gone", KEYS[b - w->bodies]);
	if (strstr(why, "in time") && w->believed - b->seen.since < w->settings.ready_ms)
		broken(w, "%s failed after %llu ms", KEYS[b - w->bodies], (unsigned long long)(w->believed - b->seen.since));
	b->given_up = true;
}

/** What is live has reached every parent that goes there. */
static void judge_live(const world *w, ao_rollout_track track, int bundle)
{
	ao_rollout_record now;
	ao_machine_record(w->machine, &now);
	for (int i = 0; i < PARENTS; i++) {
		const body *b = &w->bodies[i];
		bool refused = has_label(w->texts[bundle].raises | w->texts[bundle].refuses, b->seen.label);
		if (b->there && b->seen.there && b->uid == b->seen.uid && !b->seen.deleting && b->established && !b->given_up && !refused &&
		    track_of(&now, b) == track && track_of(&w->record, b) == track && b->children != bundle)
			broken(w, "%d is live, and has not reached %s", bundle, KEYS[i]);
	}
	ao_rollout_record_clear(&now);
}

static void hear(world *w, const ao_task *task)
{
	int bundle = number_of(task->digest), parent = task->key ? parent_of(task->key) : NOTHING;
	happened(w, "said", (int)task->news, bundle, parent);
	if (task->news == AO_NEWS_ACCEPTED && bundle != NOTHING)
		judge_accepted(w, task->track, bundle, task->selection);
	else if (task->news == AO_NEWS_LIVE && bundle > 0) /* the built-in one may be live before it has reached a parent */
		judge_live(w, task->track, bundle);
	else if (task->news == AO_NEWS_REFUSED || (task->news == AO_NEWS_BACK && !strstr(task->text, "wanted")))
		refuse(w, task->track, bundle, selection_of(task->selection), parent);
	else if (task->news == AO_NEWS_FAILED || task->news == AO_NEWS_SLOW)
		judge_late(w, &w->bodies[parent], task->text);
}

static void tell(world *w, body *b)
{
	int serves = number_of(ao_machine_serves(w->machine, KEYS[b - w->bodies]));
	b->seen.redo = true;
	if (serves == b->seen.told)
		return; /* whatever for: he is not moved by it */
	happened(w, "told", (int)(b - w->bodies), serves, (int)w->believed);
	b->seen.told = serves;
	b->seen.since = w->believed;
}

static void take(world *w, const ao_task *task)
{
	int bundle = number_of(task->digest), parent = task->key ? parent_of(task->key) : NOTHING;
	if (task->kind == AO_TASK_LOAD) {
		w->loads[bundle] = true;
	} else if (task->kind == AO_TASK_CASES) {
		forbid_refused(w, task->track, bundle, selection_of(task->selection), "cases");
		w->cases[task->track][bundle] = true;
		for (int i = 0; i < PARENTS; i++)
			w->bodies[i].seen.checked[task->track][bundle] = false;
	} else if (task->kind == AO_TASK_CHECK) {
		forbid_refused(w, task->track, bundle, selection_of(task->selection), "a check");
		w->checks[task->track][parent][bundle] = true;
	} else if (task->kind == AO_TASK_REDO) {
		tell(w, &w->bodies[parent]);
	} else if (task->kind == AO_TASK_WRITE) {
		if (w->writing)
			broken(w, "two records are being written");
		w->writing = task->version;
		ao_rollout_record_clear(&w->snapshot);
		ao_machine_record(w->machine, &w->snapshot);
		w->snapshot_refused = w->refused;
	} else {
		hear(w, task);
	}
}

/** Takes what there is to do. What it leads to comes when chance wants it. */
static void drain(world *w)
{
	ao_task task;
	while (ao_machine_next(w->machine, &task))
		take(w, &task);
	watch_bound(w);
	w->steps++;
}

static void tick(world *w)
{
	uint64_t step = w->now - w->ticked;
	w->believed += step < BELIEVED_MS ? step : BELIEVED_MS;
	w->ticked = w->now;
	ao_machine_tick(w->machine, w->now);
	drain(w);
}

/** A watch event arrives: the cache shows what the server has. */
static void deliver(world *w, int i)
{
	body *b = &w->bodies[i];
	if (b->seen.there && (!b->there || b->uid != b->seen.uid)) {
		happened(w, "gone", i, 0, 0);
		b->seen.there = false;
		pardon_for(w, i);
		ao_machine_gone(w->machine, KEYS[i]);
		drain(w);
	}
	if (!b->there)
		return;
	bool changed = b->seen.there && (b->label != b->seen.label || b->spec != b->seen.spec), goes = b->deleting && !b->seen.deleting;
	if (b->seen.there && (changed || goes))
		pardon_for(w, i);
	if (!b->seen.there) {
		b->seen.since = w->believed;
		b->seen.told = NOTHING;
		memset(b->seen.checked, 0, sizeof(b->seen.checked));
	}
	b->seen.there = true;
	b->seen.deleting = b->deleting;
	b->seen.uid = b->uid;
	b->seen.label = b->label;
	b->seen.spec = b->spec;
	b->stale = false;
	happened(w, "seen", i, (int)b->label, b->status);
	ao_machine_seen(w->machine, &(ao_machine_parent){.key = KEYS[i],
							 .has = b->status == NOTHING ? NULL : DIGESTS[b->status],
							 .ready = b->says_ready,
							 .deleting = b->deleting,
							 .changed = changed});
	drain(w);
}

/* ---- a pass ---- */

static bool pods_ready(const world *w, const body *b) { return b->children != NOTHING && b->ready_at != NEVER && w->now >= b->ready_at; }

static void replace_pods(world *w, body *b, int bundle)
{
	bool by_bundle =
	    b->established && b->children != NOTHING && template_of(w, b->children, b->seen.spec) != template_of(w, bundle, b->seen.spec);
	bool again = is_hurt(w, b);
	b->ready_at = has_label(w->texts[bundle].breaks, b->seen.label) ? NEVER : w->now + chance(w, 3000);
	if (by_bundle || again)
		b->hurt_until = b->ready_at;
	if (by_bundle)
		b->given_up = false;
}

static void render(world *w, body *b, int bundle)
{
	bool same = b->children == bundle && b->children_spec == b->seen.spec;
	if (same)
		return;
	if (b->children != bundle)
		judge_change(w, b, bundle);
	happened(w, "rendered", (int)(b - w->bodies), b->children, bundle);
	if (b->children == NOTHING || template_of(w, b->children, b->children_spec) != template_of(w, bundle, b->seen.spec))
		replace_pods(w, b, bundle);
	b->children = bundle;
	b->children_spec = b->seen.spec;
}

static void crash(world *w);

/** @return false: the operator died on the way */
static bool pass(world *w, int i)
{
	body *b = &w->bodies[i];
	const char *serves = ao_machine_serves(w->machine, KEYS[i]);
	int bundle = number_of(serves);
	if (!b->seen.there || (b->seen.deleting && b->deleting && !serves))
		return true;
	b->seen.redo = false;
	if (b->seen.deleting) {
		b->there = b->seen.uid != b->uid;
		b->stale = true;
		return true;
	}
	if (bundle != NOTHING && !w->loaded[bundle])
		broken(w, "%d serves %s and is not at hand", bundle, KEYS[i]);
	if (!serves || !b->there || b->uid != b->seen.uid)
		return true; /* held, or a pass of one who is gone: its writes come to nothing */
	bool refused = has_label(w->texts[bundle].raises | w->texts[bundle].refuses, b->seen.label), fails = !refused && rarely(w, 6);
	if (!refused && !fails)
		render(w, b, bundle);
	if (rarely(w, 300)) {
		crash(w);
		return false;
	}
	bool ready = !refused && pods_ready(w, b), lost = rarely(w, 10), unwritten = rarely(w, 10);
	if (!unwritten) {
		b->says_ready = ready;
		b->stale = true;
		if (!refused && !fails)
			b->status = bundle;
		b->established = b->established || b->status != NOTHING;
	}
	if (rarely(w, 300)) {
		crash(w);
		return false;
	}
	happened(w, "reported", i, bundle, ready + 2 * refused + 4 * fails + 8 * (lost || unwritten));
	ao_machine_reported(w->machine, &(ao_machine_report){.key = KEYS[i],
							     .bundle = serves,
							     .carried = !refused && !fails,
							     .failed = fails,
							     .unsure = lost || unwritten,
							     .refused = refused,
							     .rolling_out = !refused && !ready,
							     .ready = ready});
	drain(w);
	return true;
}

/* ---- answers ---- */

static void write_record(world *w)
{
	uint64_t version = w->writing;
	bool arrives = !rarely(w, 8), answered = arrives && !rarely(w, 8);
	w->writing = 0;
	happened(w, "written", (int)version, arrives, answered);
	if (arrives) {
		ao_rollout_record_clear(&w->record);
		ao_rollout_record_copy(&w->snapshot, &w->record);
		w->recorded = w->snapshot_refused;
		w->has_record = true;
	}
	if (rarely(w, 60)) {
		crash(w);
		return;
	}
	ao_machine_written(w->machine, version, answered);
	drain(w);
}

static void answer_load(world *w, int bundle)
{
	bool asked = w->want[AO_ROLLOUT_MAIN].digest == bundle || w->want[AO_ROLLOUT_CANARY].digest == bundle;
	ao_verdict verdict = !w->texts[bundle].loads || (!asked && bundle && rarely(w, 10)) ? AO_VERDICT_WRONG : AO_VERDICT_GOOD;
	if (rarely(w, 8))
		verdict = AO_VERDICT_AGAIN;
	w->loads[bundle] = false;
	w->loaded[bundle] = verdict == AO_VERDICT_GOOD;
	happened(w, "loaded", bundle, (int)verdict, 0);
	ao_machine_loaded(w->machine, DIGESTS[bundle], verdict, "x.lua:1");
	drain(w);
}

static void answer_cases(world *w, ao_rollout_track track, int bundle)
{
	ao_verdict verdict = rarely(w, 8) ? AO_VERDICT_AGAIN : w->texts[bundle].passes ? AO_VERDICT_GOOD : AO_VERDICT_WRONG;
	w->cases[track][bundle] = false;
	w->cased[track][bundle] = verdict == AO_VERDICT_GOOD;
	happened(w, "cased", (int)track, bundle, (int)verdict);
	ao_machine_cased(w->machine, track, DIGESTS[bundle], verdict, "x.case.yaml");
	drain(w);
}

static void answer_check(world *w, ao_rollout_track track, int i, int bundle)
{
	body *b = &w->bodies[i];
	int now = number_of(ao_machine_serves(w->machine, KEYS[i]));
	bool raises = has_label(w->texts[bundle].raises, b->seen.label);
	ao_machine_check check = {.verdict = rarely(w, 12) ? AO_VERDICT_AGAIN
					     : raises      ? AO_VERDICT_WRONG
							   : AO_VERDICT_GOOD,
				  .why = "x.lua:2",
				  .restarts = now == NOTHING ? b->children != NOTHING
							     : template_of(w, now, b->seen.spec) != template_of(w, bundle, b->seen.spec),
				  .refuses = has_label(w->texts[bundle].refuses, b->seen.label)};
	w->checks[track][i][bundle] = false;
	b->seen.checked[track][bundle] = check.verdict == AO_VERDICT_GOOD;
	happened(w, "checked", (int)track * 10 + i, bundle, (int)check.verdict + 10 * check.restarts);
	ao_machine_checked(w->machine, track, KEYS[i], DIGESTS[bundle], &check);
	drain(w);
}

/** Answers each question that is open, or each with a chance of one in `one_in`. */
static void answer(world *w, unsigned one_in)
{
	const ao_machine *then = w->machine;
	for (int d = 0; d < BUNDLES; d++) {
		if (w->loads[d] && chance(w, one_in) == 0)
			answer_load(w, d);
		for (int t = 0; t < AO_ROLLOUT_TRACKS; t++) {
			if (w->cases[t][d] && chance(w, one_in) == 0)
				answer_cases(w, (ao_rollout_track)t, d);
			for (int i = 0; i < PARENTS; i++)
				if (w->checks[t][i][d] && chance(w, one_in) == 0)
					answer_check(w, (ao_rollout_track)t, i, d);
		}
	}
	if (w->machine == then && w->writing && chance(w, one_in) == 0)
		write_record(w);
}

/* ---- lives and deaths of operators ---- */

static void tell_wanted(world *w)
{
	ao_rollout_choice choices[AO_ROLLOUT_TRACKS] = {{0}};
	for (int t = 0; t < AO_ROLLOUT_TRACKS; t++)
		if (w->want[t].digest != NOTHING)
			choices[t] = (ao_rollout_choice){(char *)DIGESTS[w->want[t].digest],
							 t == AO_ROLLOUT_CANARY ? (char *)SELECTIONS[w->want[t].selection] : NULL};
	happened(w, "wanted", w->want[0].digest, w->want[1].digest, w->want[1].selection);
	ao_machine_want(w->machine, &choices[AO_ROLLOUT_MAIN], &choices[AO_ROLLOUT_CANARY]);
	drain(w);
}

static void lead(world *w)
{
	ao_machine_options options = {.settings = w->settings, .fallback = DIGESTS[0], .selects = selects, .arg = w};
	w->machine = ao_machine_new(&options, w->has_record ? &w->record : NULL);
	w->refused = w->recorded;
	w->ticked = w->now;
	ao_machine_tick(w->machine, w->now);
	memset(w->loaded, 0, sizeof(w->loaded));
	memset(w->cased, 0, sizeof(w->cased));
	memset(w->loads, 0, sizeof(w->loads));
	memset(w->cases, 0, sizeof(w->cases));
	memset(w->checks, 0, sizeof(w->checks));
	for (int i = 0; i < PARENTS; i++)
		deliver(w, i);
	for (int t = 0; t < AO_ROLLOUT_TRACKS; t++) /* they went while nobody led */
		for (int i = 0; i < PARENTS; i++)
			if (!w->bodies[i].seen.there)
				pardon_for(w, i);
	tell_wanted(w);
	ao_machine_synced(w->machine);
	w->synced = true;
	drain(w);
}

/** What an operator knew is lost. A write that was under way may still arrive. */
static void crash(world *w)
{
	happened(w, "crash", w->writing != 0, 0, 0);
	if (w->writing && chance(w, 2)) {
		ao_rollout_record_clear(&w->record);
		ao_rollout_record_copy(&w->snapshot, &w->record);
		w->recorded = w->snapshot_refused;
		w->has_record = true;
	}
	w->writing = 0;
	ao_machine_free(w->machine);
	w->machine = NULL;
	w->synced = false;
	for (int i = 0; i < PARENTS; i++)
		w->bodies[i].seen = (view){0};
	lead(w);
}
