/*
 * machine.c -- events come in; settle() draws the conclusions after each; what comes out waits in ao_machine_next().
 *
 * How its driver (policies.c and its neighbours) uses it:
 *
 *   lease won             read the record's ConfigMap and call ao_machine_new(); NULL when there is none
 *   caches filled         ao_machine_seen() for every parent, ao_machine_want(), ao_machine_synced(); passes begin only then
 *   world's listener      ao_machine_seen() and _gone(), before the pass that the change leads to.  Another uid is another parent: gone,
 *                         then seen.  `has` is read from the status, so the bundle's digest there must be that of the last pass that
 *                         carried out its whole plan (outcome.bundle_digest, see status_op.c).
 *   before each pass      ao_machine_serves(): this bundle plans; NULL: the pass looks at the status only
 *   after each pass       ao_machine_reported(); after an `unsure` one the next pass writes a status in any case: the cache may be behind
 *   ConfigMaps, settings  ao_machine_want() with the digests over sources and settings, for which nothing has to be loaded
 *   a timer of 250 ms     ao_machine_tick() while ao_machine_busy()
 *   annotations, verbs    ao_machine_pause() and its like
 *
 * After each of these the driver takes tasks until there are none:
 *
 *   LOAD                  ao_variant_load(), from the ConfigMaps when they hold that digest, else from the texts kept in the cluster
 *   CASES                 cases.c, in slices
 *   CHECK                 ao_check_parent(): as many as fit into 5 ms, the rest in the loop's next turn
 *   REDO                  ao_reconciler_parent_changed()
 *   WRITE                 the record, with the resourceVersion that it was read with.  A conflict means that somebody else has written it.
 *                         A driver that may not write ConfigMaps answers good, and says once that a restart will forget.
 *   SAY                   log, Event, annotation, metrics
 *
 * The texts of a bundle stay in the cluster while the record names it; a loaded bundle is freed when ao_machine_drop() says so.  Shared
 * objects are made by the bundles of ao_machine_live().  A canary's selection comes from its annotation (ao_selection_concerns()).  An edit
 * that changes the manifest is not for the machine: the driver writes a record in which the edit is live, and begins with a new world and a
 * new machine.
 */
#include "rollout/machine/machine.h"

#include "base/err.h"
#include "base/mem.h"
#include "rollout/machine/machine_private.h"

#include <string.h>

#define STEP_MS 5000       /* a longer step between two ticks was a stop, in which no parent could be seen to become ready */
#define RETRY_MS 1000      /* a record that could not be written */
#define STALE_MS 1000      /* a record that only names too many */
#define AGAIN_MS 1000      /* what failed for reasons of the moment; twice as long each time ... */
#define MAX_AGAIN_MS 60000 /* ... up to this */
#define SWEEP 64

/* ---- bundles ---- */

ao_known *ao_machine_know(ao_machine *m, const char *digest)
{
	ao_known *known = digest ? ao_map_get(m->known, digest) : NULL;
	if (known || !digest)
		return known;
	known = ao_xcalloc(1, sizeof(*known));
	known->digest = ao_xstrdup(digest);
	ao_map_put(m->known, digest, known);
	m->unswept++;
	return known;
}

void ao_machine_need(ao_machine *m, ao_known *bundle)
{
	if (!bundle || bundle->at_hand || bundle->missing || bundle->asking != AO_UNASKED)
		return;
	bundle->asking = AO_ASK;
	m->asks++;
}

static void mark(ao_known *bundle)
{
	if (bundle)
		bundle->marked = true;
}

static bool is_marked(const ao_known *bundle) { return bundle && bundle->marked; }

/** Marks what is in use. @param heard_of  ... and what is only known by name */
static void mark_all(const ao_machine *m, bool heard_of)
{
	size_t cursor = 0;
	for (ao_known *known; (known = ao_map_next(m->known, &cursor, NULL));)
		known->marked = false;
	mark(m->fallback);
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++) {
		const ao_line *line = &m->lines[i];
		mark(line->live.bundle);
		mark(line->to.bundle);
		mark(line->trial.to.bundle);
		if (heard_of)
			mark(line->wanted.bundle);
	}
	for (size_t i = 0; i < m->count; i++) {
		const ao_member *p = m->order[i];
		mark(p->serving);
		mark(p->target);
		mark(p->aim);
		if (heard_of)
			mark(p->has);
	}
}

static void sweep(ao_machine *m)
{
	size_t cursor = 0;
	const char *digest;
	if (m->unswept < SWEEP + m->count)
		return;
	m->unswept = 0;
	mark_all(m, true);
	for (size_t i = 0; i < m->count; i++) {
		ao_member *p = m->order[i];
		if (!is_marked(p->gentle[0]) || !is_marked(p->gentle[1]))
			p->gentle[0] = p->gentle[1] = NULL; /* neither serves: it was not counted */
		if (!is_marked(p->refuses))
			p->refuses = NULL;
	}
	for (ao_known *known; (known = ao_map_next(m->known, &cursor, &digest));) {
		if (known->marked || known->at_hand)
			continue;
		m->asks -= known->asking == AO_ASK;
		ao_map_remove(m->known, digest);
		free(known->digest);
		free(known);
	}
}

bool ao_machine_uses(const ao_machine *m, const char *digest)
{
	const ao_known *known = ao_map_get(m->known, digest);
	mark_all(m, true);
	return is_marked(known);
}

bool ao_machine_drop(ao_machine *m, const char *digest)
{
	ao_known *known = ao_map_get(m->known, digest);
	if (!known)
		return true;
	mark_all(m, false);
	if (known->marked)
		return false;
	known->at_hand = false;
	return true;
}

void ao_machine_goal_set(ao_goal *goal, ao_known *bundle, const char *selection)
{
	char *copy = bundle ? ao_xstrdup(selection) : NULL;
	free(goal->selection);
	*goal = (ao_goal){bundle, copy};
}

bool ao_machine_goal_same(const ao_goal *a, const ao_goal *b)
{
	const char *x = a->selection, *y = b->selection;
	return a->bundle == b->bundle && (x == y || (x && y && strcmp(x, y) == 0));
}

/* ---- lists of what is to do ---- */

/** Room for one more in a list that is consumed from its front. */
static void *grow(void *items, size_t item_size, size_t *count, size_t *at, size_t *size)
{
	if (*at == *count)
		*at = *count = 0;
	if (*count == *size) {
		*size = *size ? *size * 2 : 16;
		items = ao_xrealloc(items, *size * item_size);
	}
	return items;
}

void ao_machine_redo(ao_machine *m, ao_member *p)
{
	if (p->redo)
		return;
	p->redo = true;
	m->redos = grow(m->redos, sizeof(ao_member *), &m->redo_count, &m->redo_at, &m->redo_size);
	m->redos[m->redo_count++] = p;
}

void ao_machine_say(ao_machine *m, ao_news news, ao_rollout_track track, const ao_goal *what, const char *key, const char *text)
{
	m->sayings = grow(m->sayings, sizeof(ao_saying), &m->saying_count, &m->saying_at, &m->saying_size);
	m->sayings[m->saying_count++] = (ao_saying){.news = news,
						    .track = track,
						    .digest = ao_xstrdup(what->bundle ? what->bundle->digest : NULL),
						    .selection = ao_xstrdup(what->selection),
						    .key = ao_xstrdup(key),
						    .text = ao_xstrdup(text)};
}

void ao_saying_clear(ao_saying *s)
{
	free(s->digest);
	free(s->selection);
	free(s->key);
	free(s->text);
	*s = (ao_saying){0};
}

/* ---- after each event ---- */

void ao_machine_turn(ao_machine *m)
{
	m->line_version = ++m->version;
	m->reconsider = true;
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++) {
		ao_machine_need(m, m->lines[i].live.bundle);
		ao_machine_need(m, m->lines[i].to.bundle);
	}
	for (size_t i = 0; i < m->count; i++)
		ao_member_aim(m, m->order[i]);
}

static void settle(ao_machine *m)
{
	if (!m->synced)
		return;
	do {
		if (m->reconsider) {
			m->reconsider = false;
			ao_trial_consider(m, AO_ROLLOUT_MAIN);
			ao_trial_consider(m, AO_ROLLOUT_CANARY);
		}
	} while (ao_trial_advance(m, AO_ROLLOUT_MAIN) || ao_trial_advance(m, AO_ROLLOUT_CANARY) || m->reconsider);
	ao_members_choose(m);
	sweep(m);
}

/* ---- the beginning and the end ---- */

static void take_line(ao_machine *m, const ao_rollout_record *record, ao_rollout_track track)
{
	const ao_rollout_line *from = &record->tracks[track];
	ao_line *line = &m->lines[track];
	ao_machine_goal_set(&line->live, ao_machine_know(m, from->live.digest), from->live.selection);
	ao_machine_goal_set(&line->to, ao_machine_know(m, from->to.digest), from->to.selection);
	line->stage = from->stage;
	line->paused = from->paused;
	ao_machine_need(m, line->live.bundle);
	ao_machine_need(m, line->to.bundle);
}

ao_machine *ao_machine_new(const ao_machine_options *options, const ao_rollout_record *record)
{
	ao_machine *m = ao_xcalloc(1, sizeof(*m));
	m->with = *options;
	m->known = ao_map_new();
	m->members = ao_map_new();
	m->movers = ao_map_new();
	m->fallback = ao_machine_know(m, options->fallback);
	m->with.fallback = NULL; /* was borrowed */
	m->reconsider = true;
	if (!record)
		return m;
	ao_rollout_record_copy(record, &m->kept);
	for (size_t i = 0; i < m->kept.mover_count; i++)
		ao_map_put(m->movers, m->kept.movers[i].key, &m->kept.movers[i]);
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++)
		take_line(m, record, track);
	return m;
}

void ao_machine_free(ao_machine *m)
{
	if (!m)
		return;
	size_t cursor = 0;
	for (size_t i = 0; i < m->count; i++)
		free(m->order[i]);
	for (ao_known *known; (known = ao_map_next(m->known, &cursor, NULL));) {
		free(known->digest);
		free(known);
	}
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++) {
		free(m->lines[i].live.selection);
		free(m->lines[i].to.selection);
		free(m->lines[i].wanted.selection);
		free(m->lines[i].trial.to.selection);
	}
	for (size_t i = m->saying_at; i < m->saying_count; i++)
		ao_saying_clear(&m->sayings[i]);
	ao_rollout_record_clear(&m->kept);
	ao_map_free(m->known);
	ao_map_free(m->members);
	ao_map_free(m->movers);
	free(m->order);
	free(m->unsettled);
	free(m->redos);
	free(m->sayings);
	free(m);
}

/* ---- events ---- */

void ao_machine_tick(ao_machine *m, uint64_t now_ms)
{
	uint64_t step = m->ticked && now_ms > m->ticked_ms ? now_ms - m->ticked_ms : 0;
	m->ticked = true;
	m->ticked_ms = now_ms;
	m->now_ms += step < STEP_MS ? step : STEP_MS;
	ao_members_settle(m);
	if (m->stale && m->now_ms - m->written_ms >= STALE_MS)
		m->version++;
	settle(m);
}

bool ao_machine_busy(const ao_machine *m)
{
	bool trial = m->lines[AO_ROLLOUT_MAIN].trial.stage != AO_TRIAL_NONE || m->lines[AO_ROLLOUT_CANARY].trial.stage != AO_TRIAL_NONE;
	return m->slots || m->free_places || m->stale || m->asks || trial || m->version > m->written;
}

void ao_machine_set(ao_machine *m, const ao_machine_settings *settings)
{
	m->with.settings = *settings;
	settle(m);
}

static void pardon_for(ao_machine *m, const char *key)
{
	if (!ao_rollout_record_pardon_for(&m->kept, key))
		return;
	m->version++;
	m->reconsider = true;
}

void ao_machine_seen(ao_machine *m, const ao_machine_parent *parent)
{
	ao_member *p = ao_map_get(m->members, parent->key);
	ao_machine_parent seen = *parent;
	seen.changed = parent->changed || !p;
	if (p && (seen.changed || (seen.deleting && !p->deleting)))
		pardon_for(m, seen.key); /* the first sight of a new leader is no change */
	if (!p)
		p = ao_member_new(m, &seen);
	ao_member_update(m, p, &seen);
	settle(m);
}

void ao_machine_gone(ao_machine *m, const char *key)
{
	ao_member *p = ao_map_get(m->members, key);
	if (!p)
		return;
	pardon_for(m, key);
	ao_member_free(m, p);
	settle(m);
}

/** Forgets refusals because of a parent that went between two leaders. */
static void pardon_gone(ao_machine *m)
{
	for (size_t i = m->kept.refusal_count; i-- > 0;) {
		const char *key = m->kept.refusals[i].key;
		ao_auto_str char *gone = key && !ao_map_get(m->members, key) ? ao_xstrdup(key) : NULL;
		if (gone) {
			pardon_for(m, gone);
			i = m->kept.refusal_count; /* one or more have left the list */
		}
	}
}

void ao_machine_synced(ao_machine *m)
{
	m->synced = true;
	ao_map_free(m->movers);
	m->movers = NULL;
	ao_rollout_record_forget(&m->kept);
	pardon_gone(m);
	m->stale = true; /* movers that are gone can leave the record */
	ao_members_release(m);
	settle(m);
}

void ao_machine_reported(ao_machine *m, const ao_machine_report *report)
{
	ao_member *p = ao_map_get(m->members, report->key);
	if (!p)
		return;
	ao_member_report(m, p, report);
	settle(m);
}

static void want(ao_machine *m, ao_rollout_track track, const ao_rollout_choice *choice)
{
	ao_goal *wanted = &m->lines[track].wanted;
	ao_known *bundle = ao_machine_know(m, choice->digest);
	ao_machine_goal_set(wanted, bundle, choice->selection);
	if (bundle && bundle->missing && bundle->asking == AO_UNASKED) {
		bundle->missing = false; /* sources may have what was not kept */
		mark_all(m, false);
		if (bundle->marked)
			ao_machine_need(m, bundle);
	}
}

void ao_machine_want(ao_machine *m, const ao_rollout_choice *main, const ao_rollout_choice *canary)
{
	want(m, AO_ROLLOUT_MAIN, main);
	want(m, AO_ROLLOUT_CANARY, canary);
	m->reconsider = true;
	settle(m);
}

/* ---- answers ---- */

static bool in_use(ao_machine *m, const ao_known *bundle)
{
	mark_all(m, false);
	return bundle->marked;
}

uint64_t ao_machine_again_ms(unsigned times) { return times < 6 ? (uint64_t)AGAIN_MS << times : MAX_AGAIN_MS; }

uint64_t ao_machine_loaded(ao_machine *m, const char *digest, ao_verdict verdict, const char *why)
{
	ao_known *bundle = ao_map_get(m->known, digest);
	if (!bundle)
		return 0;
	m->asks -= bundle->asking == AO_ASK;
	bundle->asking = AO_UNASKED;
	if (verdict == AO_VERDICT_AGAIN) {
		uint64_t wait_ms = ao_machine_again_ms(bundle->again++);
		ao_machine_need(m, bundle);
		bundle->ask_after_ms = m->now_ms + wait_ms;
		return wait_ms;
	}
	bundle->again = 0;
	bundle->at_hand = verdict == AO_VERDICT_GOOD;
	bundle->missing = !bundle->at_hand;
	bundle->told = bundle->told && bundle->missing;
	for (ao_rollout_track track = 0; bundle->missing && track < AO_ROLLOUT_TRACKS; track++)
		if (m->lines[track].trial.stage == AO_TRIAL_LOADING && m->lines[track].trial.to.bundle == bundle)
			ao_trial_refuse(m, track, NULL, why);
	if (bundle->missing && !bundle->told && in_use(m, bundle)) {
		bundle->told = true;
		ao_machine_say(m, AO_NEWS_MISSING, AO_ROLLOUT_MAIN, &(ao_goal){.bundle = bundle}, NULL, why);
	}
	if (bundle->at_hand)
		ao_members_serve(m, bundle);
	settle(m);
	return 0;
}

uint64_t ao_machine_cased(ao_machine *m, ao_rollout_track track, const char *digest, ao_verdict verdict, const char *why)
{
	uint64_t wait_ms = 0;
	if (ao_trial_cased(m, track, digest, verdict, why, &wait_ms))
		settle(m);
	return wait_ms;
}

uint64_t ao_machine_checked(ao_machine *m, ao_rollout_track track, const char *key, const char *digest, const ao_machine_check *check)
{
	ao_member *p = ao_map_get(m->members, key);
	if (!p)
		return 0;
	uint64_t wait_ms = ao_trial_checked(m, track, p, digest, check);
	settle(m);
	return wait_ms;
}

void ao_machine_rewrite(ao_machine *m) { m->version++; }

void ao_machine_written(ao_machine *m, uint64_t version, bool good)
{
	if (version != m->writing)
		return;
	m->writing = 0;
	if (!good) {
		m->write_after_ms = m->now_ms + RETRY_MS;
		return;
	}
	m->written = version;
	m->written_ms = m->now_ms;
	ao_members_release(m);
	settle(m);
}

/* ---- what a person asks ---- */

void ao_machine_pause(ao_machine *m, ao_rollout_track track)
{
	m->version += !m->lines[track].paused;
	m->lines[track].paused = true;
}

int ao_machine_resume(ao_machine *m, ao_rollout_track track)
{
	ao_line *line = &m->lines[track];
	const char *digest = line->wanted.bundle ? line->wanted.bundle->digest : NULL;
	ao_rollout_choice what = {(char *)(track == AO_ROLLOUT_MAIN && ao_machine_holds_undone(m) ? m->kept.pinned : digest),
				  line->wanted.selection};
	bool pardoned = what.digest && ao_rollout_record_pardon(&m->kept, track, &what), was_paused = line->paused;
	if (!pardoned && !was_paused)
		return -ENOENT;
	line->paused = false;
	m->version++;
	m->reconsider = true;
	settle(m);
	return 0;
}

int ao_machine_abort(ao_machine *m, ao_rollout_track track)
{
	ao_line *line = &m->lines[track];
	if (line->trial.stage != AO_TRIAL_NONE)
		ao_trial_refuse(m, track, NULL, "a person said so");
	else if (line->stage == AO_ROLLOUT_FORWARD && line->to.bundle && (line->live.bundle || track == AO_ROLLOUT_CANARY))
		ao_trial_back(m, track, true, "a person said so");
	else
		return -ENOENT;
	line->paused = false;
	settle(m);
	return 0;
}

int ao_machine_approve(ao_machine *m, ao_rollout_track track)
{
	ao_trial *t = &m->lines[track].trial;
	if (t->stage != AO_TRIAL_APPROVAL)
		return -ENOENT;
	t->approved = true;
	settle(m);
	return 0;
}

/** The revision of that number, or the newest that is not where main goes now. */
static const char *find_revision(const ao_machine *m, unsigned number)
{
	const ao_known *now = ao_line_goal(&m->lines[AO_ROLLOUT_MAIN])->bundle;
	for (size_t i = m->kept.revision_count; i-- > 0;) {
		const ao_rollout_revision *r = &m->kept.revisions[i];
		if (number ? r->number == number : !now || strcmp(r->digest, now->digest) != 0)
			return r->digest;
	}
	return NULL;
}

int ao_machine_undo(ao_machine *m, unsigned revision)
{
	const char *digest = find_revision(m, revision);
	const ao_known *wanted = m->lines[AO_ROLLOUT_MAIN].wanted.bundle;
	if (!digest || !wanted)
		return -ENOENT;
	if (!revision && ao_machine_is_undone(m))
		return -EALREADY; /* the word was heard twice, or has to say how far */
	free(m->kept.pinned);
	free(m->kept.instead_of);
	m->kept.pinned = ao_xstrdup(digest);
	m->kept.instead_of = ao_xstrdup(wanted->digest);
	ao_rollout_record_pardon(&m->kept, AO_ROLLOUT_MAIN, &(ao_rollout_choice){m->kept.pinned, NULL});
	m->version++;
	m->reconsider = true;
	settle(m);
	return 0;
}
