/*
 * members.c -- which parent is moved when.
 *
 * A member waits while the bundle that serves it is not its target.  It is chosen when there is a place for it, and moved when the record
 * that names it is written.  It is through when a pass by the new bundle was carried out, its status says so, and its pods are ready again.
 *
 * When a member that was moved is turned round before that, it is in doubt: nobody knows whether the bundle that served it has touched its
 * children.  It is held until it is moved anew, so that no children go to a bundle that the record does not name any more.
 *
 * What matters of members is counted, so that an event needs no walk over all of them.  For this, each change of a member is made between
 * leave() and enter().
 */
#include "base/mem.h"
#include "rollout/machine/machine_private.h"

#include <string.h>

#define FREE_PLACES 64 /* moves that restart no pods, at one time; the record names no more of them */

/** No pods are replaced between the bundle that it has and its target. */
static bool is_gentle(const ao_member *p)
{
	return p->serving && !p->doubt &&
	       ((p->gentle[0] == p->serving && p->gentle[1] == p->target) || (p->gentle[1] == p->serving && p->gentle[0] == p->target));
}

/** Must it be moved? One that was given up comes back to it when no edit is under way. */
static bool wants(const ao_member *p) { return p->target && !p->chosen && (p->serving != p->target || (p->doubt && !p->parked)); }
static bool waits(const ao_member *p) { return wants(p) && !p->moving; }
static bool strays(const ao_member *p) { return wants(p) && p->moving; }

bool ao_member_held(const ao_member *p) { return !p->serving || !p->serving->at_hand || p->doubt; }

/* ---- counting ---- */

static void count(ao_machine *m, const ao_member *p, unsigned one)
{
	ao_line *line = &m->lines[p->owner];
	if (p->deleting)
		return;
	line->total += one;
	if (p->chosen || p->moving)
		line->busy += one;
	if (waits(p))
		line->waiting[is_gentle(p)] += one;
	if (p->mark == AO_ROLLOUT_FAILED)
		line->failed += one;
	if (p->mark == AO_ROLLOUT_SLOW)
		line->slow += one;
	if (p->place == AO_PLACE_SLOT)
		m->slots += one;
	if (p->place == AO_PLACE_FREE)
		m->free_places += one;
	if (strays(p))
		m->strays += one;
}

/** May time alone change what is known of it? */
static bool is_unsettled(const ao_member *p) { return !p->deleting && (p->moving || p->unconfirmed || p->mark != AO_ROLLOUT_WELL); }

static void leave(ao_machine *m, ao_member *p)
{
	count(m, p, -1u);
	if (!p->unsettled)
		return;
	ao_member *last = m->unsettled[--m->unsettled_count];
	m->unsettled[p->unsettled - 1] = last;
	last->unsettled = p->unsettled;
	p->unsettled = 0;
}

static void enter(ao_machine *m, ao_member *p)
{
	count(m, p, 1u);
	if (wants(p) && p->index < m->first_wanting)
		m->first_wanting = p->index;
	if (!is_unsettled(p))
		return;
	m->unsettled[m->unsettled_count++] = p;
	p->unsettled = m->unsettled_count;
}

static void serve(ao_machine *m, ao_member *p, ao_known *bundle)
{
	p->serving = bundle;
	ao_machine_need(m, bundle);
	ao_machine_redo(m, p);
}

/* ---- where to ---- */

static void find_target(const ao_machine *m, ao_member *p)
{
	const ao_line *canary = &m->lines[AO_ROLLOUT_CANARY];
	const ao_goal *goal = ao_line_goal(canary);
	bool selected = goal == &canary->to ? p->in_to : p->in_live;
	ao_rollout_track owner = goal->bundle && selected ? AO_ROLLOUT_CANARY : AO_ROLLOUT_MAIN;
	if (owner != p->owner)
		p->mark = AO_ROLLOUT_WELL; /* another edit is to blame for what comes */
	p->owner = owner;
	p->target = ao_line_goal(&m->lines[owner])->bundle;
}

/** What a new parent gets: not what is being tried, unless nothing was ever live. */
static ao_known *first_of(const ao_machine *m, const ao_member *p)
{
	const ao_line *canary = &m->lines[AO_ROLLOUT_CANARY];
	ao_known *live = p->in_live && canary->live.bundle ? canary->live.bundle : m->lines[AO_ROLLOUT_MAIN].live.bundle;
	return live ? live : p->target;
}

static bool selected(const ao_machine *m, const ao_goal *goal, const ao_member *p)
{
	return goal->bundle && goal->selection && m->with.selects(m->with.arg, goal->selection, p->key);
}

static void unchoose(ao_member *p)
{
	p->chosen = false;
	p->aim = NULL;
	if (!p->moving)
		p->place = AO_PLACE_NONE;
}

static void aim(ao_machine *m, ao_member *p)
{
	const ao_line *canary = &m->lines[AO_ROLLOUT_CANARY];
	p->in_live = selected(m, &canary->live, p);
	p->in_to = selected(m, &canary->to, p);
	find_target(m, p);
	if (p->fresh && p->serving != first_of(m, p)) {
		p->serving = NULL; /* it is served anew as soon as the record allows */
		unchoose(p);
	}
	if (p->unconfirmed && p->serving != p->target)
		p->doubt = true; /* was it touched, or not? */
	bool rough = p->place == AO_PLACE_FREE && !is_gentle(p);
	if (!p->chosen || (p->aim == p->target && !rough))
		return;
	if (rough || !p->target || (p->target == p->serving && !p->doubt) || !p->target->at_hand) {
		unchoose(p);
	} else {
		p->aim = p->target;
		p->version = ++m->version;
	}
}

void ao_member_aim(ao_machine *m, ao_member *p)
{
	leave(m, p);
	aim(m, p);
	enter(m, p);
}

void ao_members_forgive(ao_machine *m, ao_rollout_track track)
{
	for (size_t i = 0; i < m->count; i++) {
		ao_member *p = m->order[i];
		leave(m, p);
		if (p->owner == track) {
			p->mark = AO_ROLLOUT_WELL;
			p->parked = false;
			p->said_ready = p->said_ready && p->moving; /* it was let through without a word */
		}
		enter(m, p);
	}
}

/* ---- through, or late ---- */

static void arrive(ao_machine *m, ao_member *p)
{
	m->version += p->mark != AO_ROLLOUT_WELL;
	m->stale = true;
	p->moving = p->was_ready = p->said_ready = false;
	p->mark = AO_ROLLOUT_WELL;
	p->place = AO_PLACE_NONE;
}

/** Is it on its way to what its track tries? Only that can be to blame for what becomes of it. */
static bool is_tried(const ao_machine *m, const ao_member *p)
{
	const ao_line *line = &m->lines[p->owner];
	return line->stage == AO_ROLLOUT_FORWARD && p->serving == line->to.bundle;
}

/**
 * It says nothing of readiness any more, and did before it was moved. What was live before may never have said it, nor what a person went back
 * to.
 */
static bool fell_silent(const ao_machine *m, const ao_member *p)
{
	bool undone = m->kept.pinned && strcmp(p->serving->digest, m->kept.pinned) == 0;
	return p->unsaid && p->said_ready && is_tried(m, p) && !undone;
}

/** The check said already that the bundle would refuse it. */
static bool is_meant(const ao_member *p) { return p->refused && p->refuses == p->serving; }

/** It is late, or refused. Only an edit that goes forward can be to blame, and only for what it did itself. */
static void miss(ao_machine *m, ao_member *p, bool done)
{
	const ao_line *line = &m->lines[p->owner];
	const char *text = !done               ? "the bundle could not be carried out in time"
			   : p->refused        ? "the bundle raises an error on it, or refuses it"
			   : fell_silent(m, p) ? "its status does not say any more whether it is ready"
					       : "not ready in time";
	bool blame = p->was_ready && is_tried(m, p) && !is_meant(p);
	p->moving = false;
	p->doubt = !done; /* it may be carried out yet, and must not without a place */
	p->parked = !done && line->stage != AO_ROLLOUT_REST;
	p->place = AO_PLACE_NONE;
	p->mark = blame ? AO_ROLLOUT_FAILED : AO_ROLLOUT_SLOW;
	m->version++;
	ao_machine_say(m, blame ? AO_NEWS_FAILED : AO_NEWS_SLOW, p->owner, &(ao_goal){.bundle = p->serving}, p->key, text);
}

static bool well(const ao_machine *m, ao_member *p, bool done)
{
	bool ready = done && p->ready && !fell_silent(m, p) && !p->rolling_out && !p->refused;
	if (!ready)
		p->ready_since_ms = AO_NEVER;
	else if (p->ready_since_ms == AO_NEVER)
		p->ready_since_ms = m->now_ms;
	return ready && m->now_ms - p->ready_since_ms >= m->with.settings.min_ready_ms;
}

static void settle(ao_machine *m, ao_member *p)
{
	if (p->deleting || p->chosen || p->serving != p->target || ao_member_held(p))
		return; /* it does not go this way, so it is not late on it */
	if (!p->moving && !p->unconfirmed && p->mark == AO_ROLLOUT_WELL)
		return;
	bool done = p->carried && (p->refused || p->has == p->serving), is_well = well(m, p, done);
	if (done && p->unconfirmed && !p->refused) { /* a refusal leaves children as they are, whatever they are */
		p->unconfirmed = false;
		m->stale = true;
	}
	bool through = done && ((is_meant(p) && !p->touched) || is_well || (p->moving && p->place == AO_PLACE_FREE && !p->refused));
	bool late = p->ready_since_ms == AO_NEVER && m->now_ms - p->since_ms >= m->with.settings.ready_ms;
	if (through && (p->moving || p->mark != AO_ROLLOUT_WELL))
		arrive(m, p);
	else if (!through && p->moving && (late || (done && p->refused)))
		miss(m, p, done);
}

void ao_members_settle(ao_machine *m)
{
	/* from the last one on: one that leaves is replaced by the last, and one that enters is the last */
	for (size_t i = m->unsettled_count; m->slots + m->free_places && i-- > 0;) {
		ao_member *p = m->unsettled[i];
		leave(m, p);
		settle(m, p);
		enter(m, p);
	}
}

/* ---- seen ---- */

/** As the predecessor's record says. The parent may have been touched since that was written, or not. */
static void take_over(ao_machine *m, ao_member *p, const ao_rollout_mover *mover)
{
	ao_known *to = ao_machine_know(m, mover->digest);
	if (mover->done && p->has != to)
		return; /* that was another parent of this name */
	p->serving = to;
	p->unconfirmed = p->touched = !mover->done;
	p->was_ready = mover->was_ready;
	p->said_ready = mover->said_ready;
	p->mark = mover->mark;
	p->moving = mover->mark == AO_ROLLOUT_WELL;
	p->parked = !p->moving && p->unconfirmed;
	p->doubt = p->unconfirmed && (p->parked || !mover->slot);
	p->place = !p->moving ? AO_PLACE_NONE : mover->slot ? AO_PLACE_SLOT : AO_PLACE_FREE;
	p->since_ms = m->now_ms;
}

static void serve_first(ao_machine *m, ao_member *p)
{
	if (p->serving || p->deleting || !m->synced || m->written < m->line_version)
		return;
	ao_known *first = first_of(m, p);
	if (!first || !first->at_hand)
		return;
	p->fresh = true;
	serve(m, p, first);
}

static void retire(ao_member *p)
{
	p->deleting = true;
	p->moving = p->unconfirmed = p->doubt = p->parked = false;
	p->mark = AO_ROLLOUT_WELL;
	unchoose(p);
}

ao_member *ao_member_new(ao_machine *m, const ao_machine_parent *parent)
{
	ao_member *p = ao_xcalloc(1, sizeof(*p));
	const ao_rollout_mover *mover = m->movers ? ao_map_remove(m->movers, parent->key) : NULL;
	ao_map_put(m->members, parent->key, p);
	p->key = ao_map_key(m->members, parent->key);
	p->ready_since_ms = AO_NEVER;
	p->has = p->serving = ao_machine_know(m, parent->has);
	if (mover)
		take_over(m, p, mover);
	if (m->count == m->size) {
		m->size = m->size ? m->size * 2 : 16;
		m->order = ao_xrealloc(m->order, m->size * sizeof(ao_member *));
		m->unsettled = ao_xrealloc(m->unsettled, m->size * sizeof(ao_member *));
	}
	p->index = m->count;
	m->order[m->count++] = p;
	ao_rollout_mark mark = p->mark;
	aim(m, p);
	p->mark = mark; /* its track is not new, only known for the first time */
	enter(m, p);
	ao_machine_need(m, p->serving);
	return p;
}

void ao_member_update(ao_machine *m, ao_member *p, const ao_machine_parent *parent)
{
	leave(m, p);
	p->has = ao_machine_know(m, parent->has);
	p->ready = parent->ready;
	p->unsaid = parent->unsaid;
	if (p->fresh && p->has) { /* it is not new any more */
		p->fresh = false;
		serve(m, p, p->has);
	}
	if (parent->changed) {
		p->gentle[0] = p->gentle[1] = p->refuses = NULL;
		p->parked = false; /* what kept it may be mended */
		/* what was refused or gentle until now may replace its pods, or it is of this track only by what is not written yet */
		bool unwritten = m->written < m->line_version;
		p->doubt = p->doubt || (p->unconfirmed && (p->place != AO_PLACE_SLOT || unwritten));
		if (p->fresh && unwritten)
			p->serving = NULL;
		aim(m, p);
		if (p->chosen && unwritten)
			p->version = ++m->version;
	}
	if (parent->deleting)
		retire(p);
	settle(m, p);
	serve_first(m, p);
	enter(m, p);
	ao_trial_member(m, p, parent->changed);
}

void ao_member_free(ao_machine *m, ao_member *p)
{
	leave(m, p);
	retire(p);
	ao_trial_member(m, p, false);
	ao_map_remove(m->members, p->key);
	m->order[p->index] = m->order[--m->count];
	m->order[p->index]->index = p->index;
	if (p->index < m->first_wanting)
		m->first_wanting = p->index;
	for (size_t i = m->redo_at; p->redo && i < m->redo_count; i++)
		if (m->redos[i] == p)
			m->redos[i] = NULL;
	free(p);
}

void ao_member_report(ao_machine *m, ao_member *p, const ao_machine_report *report)
{
	if (p->deleting || !p->serving || strcmp(report->bundle, p->serving->digest) != 0)
		return;
	leave(m, p);
	p->ready = report->ready;
	p->unsaid = report->unsaid;
	p->refused = report->refused;
	p->rolling_out = report->rolling_out;
	p->carried = (report->carried || report->refused) && !report->failed;
	bool made = p->carried && !p->refused;
	p->fresh = p->fresh && !made;
	if (report->unsure)
		p->has = NULL;
	else if (made)
		p->has = p->serving;
	settle(m, p);
	enter(m, p);
}

void ao_member_checked(ao_machine *m, ao_member *p, const ao_known *bundle, const ao_machine_check *check)
{
	leave(m, p);
	bool gentle = !check->restarts && !ao_member_held(p); /* a bundle that does not serve cannot be compared with */
	p->gentle[0] = gentle ? p->serving : NULL;
	p->gentle[1] = gentle ? bundle : NULL;
	p->refuses = check->refuses ? bundle : NULL;
	enter(m, p);
}

/* ---- moving ---- */

static unsigned bound(const ao_machine *m)
{
	const ao_machine_settings *s = &m->with.settings;
	size_t share = m->count * s->max_percent / 100;
	unsigned most = s->max_percent ? (unsigned)share : s->max_restarting;
	return most ? most : 1;
}

/** @return true when it has a place now */
static bool place(ao_machine *m, ao_member *p)
{
	if (p->place == AO_PLACE_SLOT)
		return true;
	if (is_gentle(p)) {
		if (p->place == AO_PLACE_NONE && m->free_places >= FREE_PLACES)
			return false;
		p->place = AO_PLACE_FREE;
		return true;
	}
	if (m->slots >= bound(m))
		return false;
	p->place = AO_PLACE_SLOT;
	return true;
}

static void choose(ao_machine *m, ao_member *p, uint64_t version)
{
	if (!wants(p) || p->deleting || m->lines[p->owner].paused || !p->target->at_hand)
		return;
	ao_known *first = p->serving ? NULL : first_of(m, p);
	if (first && first->at_hand)
		return; /* it is served that first */
	leave(m, p);
	if (place(m, p)) {
		p->was_ready = p->was_ready || p->ready;
		p->said_ready = p->said_ready || (p->ready && !p->unsaid);
		p->chosen = true;
		p->aim = p->target;
		p->version = version;
		m->version = version;
	}
	enter(m, p);
}

/** May one that waits be moved now? */
static bool has_room(const ao_machine *m)
{
	const ao_line *main = &m->lines[AO_ROLLOUT_MAIN], *canary = &m->lines[AO_ROLLOUT_CANARY];
	unsigned gently = main->waiting[1] + canary->waiting[1], roughly = main->waiting[0] + canary->waiting[0];
	return (roughly && m->slots < bound(m)) || (gently && m->free_places < FREE_PLACES);
}

/** @param late  those that have had a turn and did not arrive, or all others */
static void choose_from(ao_machine *m, uint64_t version, bool late)
{
	for (size_t i = m->first_wanting; i < m->count && (has_room(m) || m->strays); i++)
		if ((m->order[i]->mark == AO_ROLLOUT_SLOW) == late)
			choose(m, m->order[i], version);
}

/**
 * Failed members go first: they are down anyway, and the way back heals them.  Those that are late go last: they may
 * never do, and would keep all others from theirs.
 */
void ao_members_choose(ao_machine *m)
{
	const ao_line *main = &m->lines[AO_ROLLOUT_MAIN], *canary = &m->lines[AO_ROLLOUT_CANARY];
	uint64_t version = m->version + 1;
	if (!has_room(m) && !m->strays)
		return;
	for (size_t i = 0; (main->failed || canary->failed) && i < m->count; i++)
		if (m->order[i]->mark == AO_ROLLOUT_FAILED)
			choose(m, m->order[i], version);
	while (m->first_wanting < m->count && !wants(m->order[m->first_wanting]))
		m->first_wanting++;
	choose_from(m, version, false);
	if (main->slow || canary->slow)
		choose_from(m, version, true);
}

static void move(ao_machine *m, ao_member *p)
{
	ao_known *to = p->aim;
	p->chosen = p->fresh = p->doubt = p->parked = false;
	p->aim = NULL;
	p->touched = p->unconfirmed || p->moving || p->mark != AO_ROLLOUT_WELL;
	p->moving = p->unconfirmed = true;
	p->mark = AO_ROLLOUT_WELL;
	p->carried = p->refused = p->rolling_out = false;
	p->since_ms = m->now_ms;
	p->ready_since_ms = AO_NEVER;
	serve(m, p, to);
}

void ao_members_release(ao_machine *m)
{
	for (size_t i = 0; i < m->count; i++) {
		ao_member *p = m->order[i];
		bool moves = p->chosen && p->version <= m->written;
		if (!moves && p->serving)
			continue;
		leave(m, p);
		if (moves)
			move(m, p);
		else
			serve_first(m, p);
		enter(m, p);
	}
}

void ao_members_serve(ao_machine *m, const ao_known *bundle)
{
	for (size_t i = 0; i < m->count; i++) {
		ao_member *p = m->order[i];
		if (p->serving != bundle)
			continue;
		p->since_ms = m->now_ms; /* it could not begin before */
		ao_machine_redo(m, p);
	}
	ao_members_release(m);
}
