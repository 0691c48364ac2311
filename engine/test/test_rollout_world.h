#pragma once
/**
 * test_rollout_world.h -- a cluster in small, and an operator that is driven through it by chance.
 *
 * The world holds what a real one holds: parents with children, pods and a status, sources of policies, the record, a clock.  All of it
 * survives the operator.  Beside it stands a model that knows none of the machine's state: from the record as it was last written it says
 * what each parent may be given, and counts whose pods are being replaced.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "rollout/machine/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARENTS 8
#define LABELS 3
#define BUNDLES 9 /* 0 is the one in the binary; canaries have the last three */
#define CANARIES 6
#define NOTHING (-1)
#define NEVER UINT64_MAX
#define BELIEVED_MS 5000 /* the machine's: a longer step was a stop */

static const char *const KEYS[PARENTS] = {"n/a", "n/b", "n/c", "n/d", "n/e", "n/f", "n/g", "n/h"};
static const char *const DIGESTS[BUNDLES] = {"b0", "m1", "m2", "m3", "m4", "m5", "c6", "c7", "c8"};
static const char *const SELECTIONS[] = {"0", "1", "01", "012"}; /* the labels that they are for */

/** What is true of a bundle's text. */
typedef struct text {
	bool loads, passes;
	unsigned raises, refuses, breaks; /* on which labels (bits): an error, meant; pods that never become ready */
} text;

/** A parent as the operator's cache has it, and what the operator has done about it. */
typedef struct view {
	bool there, deleting;
	unsigned uid, label, spec;
	bool redo;
	int told;       /* the bundle that served when it was last to be done anew ... */
	uint64_t since; /* ... and when that changed, in believed time */
	bool checked[AO_ROLLOUT_TRACKS][BUNDLES];
} view;

typedef struct body {
	/* on the server */
	bool there, deleting;
	unsigned uid, label, spec;
	int status; /* the bundle that it says was carried out last */
	bool says_ready;
	/* what runs */
	int children;
	unsigned children_spec;
	uint64_t ready_at;   /* of its pods; NEVER: they are broken */
	bool established;    /* its status was written once: it is no new parent any more */
	uint64_t hurt_until; /* a bundle replaces its pods; 0: none does */
	bool given_up;
	bool stale; /* an event is on its way */
	view seen;
} body;

typedef struct refusals {
	bool is[AO_ROLLOUT_TRACKS][BUNDLES][AO_LEN(SELECTIONS) + 1];
	int key[AO_ROLLOUT_TRACKS][BUNDLES][AO_LEN(SELECTIONS) + 1]; /* of the parent it failed on, or NOTHING */
} refusals;

typedef struct wanted {
	int digest, selection;
} wanted;

typedef struct event {
	const char *what;
	int a, b, c;
	uint64_t at;
} event;

#define LOG 3000

typedef struct world {
	uint64_t seed, chance;
	text texts[BUNDLES];
	body bodies[PARENTS];
	unsigned uids;
	wanted want[AO_ROLLOUT_TRACKS];
	ao_machine_settings settings;
	uint64_t now, ticked, believed;
	bool calm;
	/* the record on the server */
	bool has_record;
	ao_rollout_record record;
	refusals recorded;
	/* the operator */
	ao_machine *machine;
	bool synced;
	bool loaded[BUNDLES], cased[AO_ROLLOUT_TRACKS][BUNDLES];
	unsigned char loads[BUNDLES], cases[AO_ROLLOUT_TRACKS][BUNDLES], checks[AO_ROLLOUT_TRACKS][PARENTS][BUNDLES]; /* asked for */
	uint64_t writing;
	ao_rollout_record snapshot;
	refusals refused, snapshot_refused;
	unsigned bound, min_ready; /* the largest bound and the shortest wait that what is under way may have begun with */
	event log[LOG];
	size_t logged, steps;
} world;

/* ---- chance, and what happened ---- */

static unsigned chance(world *w, unsigned below)
{
	w->chance ^= w->chance << 13;
	w->chance ^= w->chance >> 7;
	w->chance ^= w->chance << 17;
	return (unsigned)((w->chance >> 11) % below);
}

static bool rarely(world *w, unsigned one_in) { return !w->calm && chance(w, one_in) == 0; }

static void happened(world *w, const char *what, int a, int b, int c) { w->log[w->logged++ % LOG] = (event){what, a, b, c, w->now}; }

static void print_line(const ao_rollout_record *r, ao_rollout_track track)
{
	static const char *const STAGES[] = {"rest", "forward", "back"};
	const ao_rollout_line *line = &r->tracks[track];
	fprintf(stderr, "  %s: live %s[%s] to %s[%s] %s%s\n", track ? "canary" : "main", line->live.digest, line->live.selection,
		line->to.digest, line->to.selection, STAGES[line->stage], line->paused ? " paused" : "");
}

static void print_world(const world *w)
{
	ao_rollout_record now = {0};
	for (size_t i = w->logged > LOG ? w->logged - LOG : 0; i < w->logged; i++) {
		const event *e = &w->log[i % LOG];
		fprintf(stderr, "  %8llu %s %d %d %d\n", (unsigned long long)e->at, e->what, e->a, e->b, e->c);
	}
	for (int i = 0; i < PARENTS; i++) {
		const body *b = &w->bodies[i];
		const char *serves = w->machine ? ao_machine_serves(w->machine, KEYS[i]) : NULL;
		fprintf(stderr,
			"  %s there %d deleting %d seen %d label %u/%u spec %u/%u status %d children %d hurt until %lld serves %s\n",
			KEYS[i], b->there, b->deleting, b->seen.there, b->label, b->seen.label, b->spec, b->seen.spec, b->status,
			b->children, (long long)b->hurt_until, serves ? serves : "-");
	}
	fprintf(stderr, "written (%d):\n", w->has_record);
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++)
		print_line(&w->record, track);
	if (!w->machine)
		return;
	ao_machine_record(w->machine, &now);
	fprintf(stderr, "now:\n");
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++)
		print_line(&now, track);
	for (size_t i = 0; i < now.mover_count; i++)
		fprintf(stderr, "  mover %s to %s mark %d slot %d\n", now.movers[i].key, now.movers[i].digest, now.movers[i].mark,
			now.movers[i].slot);
	ao_rollout_record_clear(&now);
}

#define broken(w, ...)                                                                                                                     \
	do {                                                                                                                               \
		fprintf(stderr, "AO_ROLLOUT_SEED=%llu after %zu steps: ", (unsigned long long)(w)->seed, (w)->steps);                      \
		fprintf(stderr, __VA_ARGS__);                                                                                              \
		fprintf(stderr, "\n");                                                                                                     \
		print_world(w);                                                                                                            \
		abort();                                                                                                                   \
	} while (0)

/* ---- names and numbers ---- */

static int number_of(const char *digest)
{
	if (!digest)
		return NOTHING;
	for (int i = 0; i < BUNDLES; i++)
		if (strcmp(DIGESTS[i], digest) == 0)
			return i;
	return NOTHING;
}

static int parent_of(const char *key) { return key[2] - 'a'; }

static int selection_of(const char *selection)
{
	for (int i = 0; selection && i < (int)AO_LEN(SELECTIONS); i++)
		if (strcmp(SELECTIONS[i], selection) == 0)
			return i;
	return NOTHING;
}

static bool label_in(const char *selection, unsigned label) { return selection && strchr(selection, '0' + (int)label); }

static bool selects(void *arg, const char *selection, const char *key)
{
	const world *w = arg;
	return label_in(selection, w->bodies[parent_of(key)].seen.label);
}

/** Of the pods that a bundle makes of a spec: of each spec, about half of the bundles make the same. */
static unsigned template_of(const world *w, int bundle, unsigned spec)
{
	return (unsigned)(w->seed * 0x9e3779b97f4a7c15ULL >> ((unsigned)bundle * 7 + spec % 4 * 13) % 61 & 1) + spec * 2;
}

static bool has_label(unsigned labels, unsigned label) { return labels >> label & 1; }

/* ---- the model ---- */

static unsigned bound_now(const world *w)
{
	unsigned known = 0;
	for (int i = 0; i < PARENTS; i++)
		known += w->bodies[i].seen.there;
	unsigned most = w->settings.max_percent ? known * w->settings.max_percent / 100 : w->settings.max_restarting;
	return most ? most : 1;
}

static bool few(const ao_rollout_record *record, unsigned most)
{
	unsigned slots = 0;
	for (size_t i = 0; i < record->mover_count; i++)
		slots += record->movers[i].slot;
	return slots <= most;
}

/** What is under way, or is in a record that a successor may find, may have been begun when more were allowed at one time. */
static void watch_bound(world *w)
{
	ao_rollout_counts main, canary;
	unsigned now = bound_now(w);
	if (!w->synced)
		return;
	ao_machine_count(w->machine, AO_ROLLOUT_MAIN, &main);
	ao_machine_count(w->machine, AO_ROLLOUT_CANARY, &canary);
	if (now > w->bound || (main.moving + canary.moving <= now && few(&w->record, now) && (!w->writing || few(&w->snapshot, now))))
		w->bound = now;
}

static ao_rollout_track track_of(const ao_rollout_record *record, const body *b)
{
	const ao_rollout_line *canary = &record->tracks[AO_ROLLOUT_CANARY];
	const ao_rollout_choice *goal = canary->stage == AO_ROLLOUT_FORWARD ? &canary->to : &canary->live;
	return goal->digest && label_in(goal->selection, b->seen.label) ? AO_ROLLOUT_CANARY : AO_ROLLOUT_MAIN;
}

/** Where the record says that this parent goes. */
static int goal_of(const ao_rollout_record *record, const body *b)
{
	const ao_rollout_line *line = &record->tracks[track_of(record, b)];
	return number_of(line->stage == AO_ROLLOUT_FORWARD ? line->to.digest : line->live.digest);
}

/** What the record has for a new one. */
static int first_of(const world *w, const body *b)
{
	const ao_rollout_choice *canary = &w->record.tracks[AO_ROLLOUT_CANARY].live, *main = &w->record.tracks[AO_ROLLOUT_MAIN].live;
	if (canary->digest && label_in(canary->selection, b->seen.label))
		return number_of(canary->digest);
	return main->digest ? number_of(main->digest) : goal_of(&w->record, b);
}

static bool is_hurt(const world *w, const body *b)
{
	return b->there && !b->deleting && !b->given_up && b->hurt_until &&
	       (b->hurt_until == NEVER || w->now < b->hurt_until + w->min_ready);
}

/** Before `bundle` is rendered on a parent that had another one. */
static void judge_change(world *w, const body *b, int bundle)
{
	int goal = goal_of(&w->record, b), first = first_of(w, b);
	unsigned hurt = 0;
	if (!w->has_record)
		broken(w, "%s gets %d before anything was written", KEYS[b - w->bodies], bundle);
	if (bundle != goal && (b->established || bundle != first))
		broken(w, "%s gets %d, and the record says %d (first %d)", KEYS[b - w->bodies], bundle, goal, first);
	if (!b->established || b->children == NOTHING || template_of(w, b->children, b->seen.spec) == template_of(w, bundle, b->seen.spec))
		return;
	for (int i = 0; i < PARENTS; i++)
		hurt += &w->bodies[i] != b && is_hurt(w, &w->bodies[i]);
	if (hurt >= w->bound)
		broken(w, "%s is replaced beside %u others, the bound is %u", KEYS[b - w->bodies], hurt, w->bound);
}

/* ---- refusals ---- */

static void pardon_for(world *w, int parent)
{
	for (int t = 0; t < AO_ROLLOUT_TRACKS; t++)
		for (int d = 0; d < BUNDLES; d++)
			for (size_t s = 0; s <= AO_LEN(SELECTIONS); s++)
				if (w->refused.is[t][d][s] && w->refused.key[t][d][s] == parent)
					w->refused.is[t][d][s] = false;
}

static void refuse(world *w, ao_rollout_track track, int bundle, int selection, int parent)
{
	w->refused.is[track][bundle][selection + 1] = true;
	w->refused.key[track][bundle][selection + 1] = parent;
}

static void forbid_refused(world *w, ao_rollout_track track, int bundle, int selection, const char *what)
{
	if (w->refused.is[track][bundle][selection + 1])
		broken(w, "%s of %d on track %d, which was refused", what, bundle, track);
}
