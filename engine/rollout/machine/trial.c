/*
 * trial.c -- what an edit must pass before it reaches a parent, and when a track turns round.
 *
 * A trial goes through loading, cases and checks, and waits for a person when the settings ask for that.  It is not in the record: a
 * successor sees that something else is wanted than where its tracks go, and begins the trial anew.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "rollout/machine/machine_private.h"

#include <string.h>

#define MAX_WHY 1000 /* bytes: names beyond are left out */
#define MAX_TRIES 5  /* parents that change all the time must not keep an edit out for ever */

static ao_rollout_choice choice_of(const ao_goal *goal)
{
	return (ao_rollout_choice){goal->bundle ? goal->bundle->digest : NULL, goal->selection};
}

/* ---- which parents are checked ---- */

/** On main every parent: those of a canary come back to it one day. */
static bool concerns(const ao_machine *m, ao_rollout_track track, const ao_member *p)
{
	const ao_goal *to = &m->lines[track].trial.to;
	return !p->deleting && (track == AO_ROLLOUT_MAIN || (to->selection && m->with.selects(m->with.arg, to->selection, p->key)));
}

static void set_check(ao_machine *m, ao_rollout_track track, ao_member *p, ao_check_state state)
{
	ao_trial *t = &m->lines[track].trial;
	t->due -= p->check[track] == AO_CHECK_DUE;
	t->pending -= p->check[track] == AO_CHECK_ASKED;
	p->check[track] = state;
	t->due += state == AO_CHECK_DUE;
	t->pending += state == AO_CHECK_ASKED;
}

void ao_trial_member(ao_machine *m, ao_member *p, bool changed)
{
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++) {
		if (m->lines[track].trial.stage < AO_TRIAL_CHECKS)
			continue;
		ao_check_state was = p->check[track];
		bool again = changed && p->tries[track] < MAX_TRIES;
		p->tries[track] += again;
		if (!concerns(m, track, p))
			set_check(m, track, p, AO_CHECK_NONE);
		else if (was == AO_CHECK_NONE || again)
			set_check(m, track, p, AO_CHECK_DUE);
	}
}

static void begin_checks(ao_machine *m, ao_rollout_track track)
{
	ao_trial *t = &m->lines[track].trial;
	t->stage = AO_TRIAL_CHECKS;
	for (size_t i = 0; i < m->count; i++) {
		ao_member *p = m->order[i];
		p->tries[track] = 0;
		set_check(m, track, p, concerns(m, track, p) ? AO_CHECK_DUE : AO_CHECK_NONE);
	}
}

/* ---- what a person went back from ---- */

bool ao_machine_holds_undone(const ao_machine *m)
{
	const ao_known *wanted = m->lines[AO_ROLLOUT_MAIN].wanted.bundle;
	return m->kept.pinned && wanted && strcmp(m->kept.instead_of, wanted->digest) == 0;
}

bool ao_machine_is_undone(const ao_machine *m)
{
	const ao_known *wanted = m->lines[AO_ROLLOUT_MAIN].wanted.bundle;
	const ao_rollout_choice what = {wanted ? wanted->digest : NULL, NULL};
	return ao_machine_holds_undone(m) ||
	       (m->kept.pinned && wanted && ao_rollout_record_refusal(&m->kept, AO_ROLLOUT_MAIN, &what) != NULL);
}

/** Sources hold something else, and that is accepted. */
static void forget_undo(ao_machine *m, ao_rollout_track track)
{
	if (track != AO_ROLLOUT_MAIN || !m->kept.pinned || ao_machine_is_undone(m))
		return;
	free(AO_TAKE(m->kept.pinned));
	free(AO_TAKE(m->kept.instead_of));
	m->version++;
}

/* ---- the life of a trial ---- */

void ao_trial_drop(ao_machine *m, ao_rollout_track track)
{
	ao_trial *t = &m->lines[track].trial;
	if (t->stage == AO_TRIAL_NONE)
		return;
	for (size_t i = 0; t->stage >= AO_TRIAL_CHECKS && i < m->count; i++)
		set_check(m, track, m->order[i], AO_CHECK_NONE);
	free(t->to.selection);
	*t = (ao_trial){0};
	m->reconsider = true; /* the end of a canary may have waited for this */
}

void ao_trial_refuse(ao_machine *m, ao_rollout_track track, const char *key, const char *why)
{
	const ao_goal *to = &m->lines[track].trial.to;
	ao_rollout_choice what = choice_of(to);
	ao_rollout_record_refuse(&m->kept, track, &what, key, why);
	ao_machine_say(m, AO_NEWS_REFUSED, track, to, key, why);
	m->version++;
	ao_trial_drop(m, track);
}

static void begin(ao_machine *m, ao_rollout_track track, const ao_goal *to)
{
	ao_trial *t = &m->lines[track].trial;
	ao_trial_drop(m, track);
	ao_machine_goal_set(&t->to, to->bundle, to->selection);
	t->stage = AO_TRIAL_LOADING;
	to->bundle->missing = false; /* what is wanted may be had where what was kept is not */
	ao_machine_need(m, to->bundle);
}

/** From now on it reaches parents. @param to  is not the line's own */
static void go_forward(ao_machine *m, ao_rollout_track track, const ao_goal *to)
{
	ao_line *line = &m->lines[track];
	forget_undo(m, track);
	ao_machine_say(m, AO_NEWS_ACCEPTED, track, to, NULL, NULL);
	ao_machine_goal_set(&line->to, to->bundle, to->selection);
	line->stage = AO_ROLLOUT_FORWARD;
	ao_members_forgive(m, track);
	ao_trial_drop(m, track);
	ao_machine_turn(m);
}

void ao_trial_back(ao_machine *m, ao_rollout_track track, bool refused, const char *why)
{
	ao_line *line = &m->lines[track];
	ao_rollout_choice what = choice_of(&line->to);
	if (refused)
		ao_rollout_record_refuse(&m->kept, track, &what, NULL, why);
	ao_machine_say(m, AO_NEWS_BACK, track, &line->to, NULL, why);
	line->stage = AO_ROLLOUT_BACK;
	ao_machine_turn(m);
}

/** Nothing was ever live, and what is wanted is refused: the bundle in the binary serves. */
static void adopt(ao_machine *m)
{
	ao_line *main = &m->lines[AO_ROLLOUT_MAIN];
	ao_machine_goal_set(&main->live, m->fallback, NULL);
	ao_rollout_record_revise(&m->kept, m->fallback->digest);
	ao_machine_say(m, AO_NEWS_LIVE, AO_ROLLOUT_MAIN, &main->live, NULL, NULL);
	ao_machine_turn(m);
}

/* ---- what is wanted ---- */

static bool is_unborn(const ao_machine *m, ao_rollout_track track)
{
	const ao_line *line = &m->lines[track];
	return track == AO_ROLLOUT_MAIN && !line->live.bundle && line->stage == AO_ROLLOUT_REST;
}

/** The end of a canary needs no trial: what its parents come back to was accepted on main. */
static void consider_end(ao_machine *m)
{
	ao_line *canary = &m->lines[AO_ROLLOUT_CANARY];
	ao_trial_drop(m, AO_ROLLOUT_CANARY);
	if (m->lines[AO_ROLLOUT_MAIN].trial.stage != AO_TRIAL_NONE)
		return; /* a canary that is promoted must not go back first: its bundle may be what is being tried on main */
	if (canary->stage == AO_ROLLOUT_FORWARD && !canary->live.bundle)
		ao_trial_back(m, AO_ROLLOUT_CANARY, false, "it is not wanted any more");
	else if (ao_line_goal(canary)->bundle)
		go_forward(m, AO_ROLLOUT_CANARY, &(ao_goal){0});
}

void ao_trial_consider(ao_machine *m, ao_rollout_track track)
{
	ao_line *line = &m->lines[track];
	ao_goal want = line->wanted;
	if (track == AO_ROLLOUT_MAIN && ao_machine_is_undone(m))
		want.bundle = ao_machine_know(m, m->kept.pinned);
	if (track == AO_ROLLOUT_CANARY && !want.bundle) {
		consider_end(m);
		return;
	}
	if (!want.bundle)
		return; /* nothing was said yet */
	ao_rollout_choice what = choice_of(&want);
	bool refused = ao_rollout_record_refusal(&m->kept, track, &what) != NULL;
	if (ao_machine_goal_same(&want, ao_line_goal(line))) {
		forget_undo(m, track);
		ao_trial_drop(m, track);
	} else if (line->stage == AO_ROLLOUT_FORWARD && ao_machine_goal_same(&want, &line->live)) {
		forget_undo(m, track);
		ao_trial_drop(m, track);
		ao_trial_back(m, track, false, "what was live before is wanted again");
	} else if (is_unborn(m, track) && (refused || want.bundle == m->fallback)) {
		ao_trial_drop(m, track);
		adopt(m);
	} else if (refused) {
		ao_trial_drop(m, track);
	} else if (line->trial.stage == AO_TRIAL_NONE || !ao_machine_goal_same(&want, &line->trial.to)) {
		begin(m, track, &want);
	}
}

/* ---- as far as it gets ---- */

/** @return true when the rollout has come to its end */
static bool finish(ao_machine *m, ao_rollout_track track)
{
	ao_line *line = &m->lines[track];
	if (line->stage == AO_ROLLOUT_REST || line->busy || line->waiting[0] || line->waiting[1])
		return false;
	if (line->stage == AO_ROLLOUT_BACK) {
		ao_machine_say(m, AO_NEWS_REVERTED, track, &line->to, NULL, NULL);
	} else {
		ao_machine_say(m, AO_NEWS_LIVE, track, &line->to, NULL, NULL);
		ao_machine_goal_set(&line->live, line->to.bundle, line->to.selection);
		if (track == AO_ROLLOUT_MAIN)
			ao_rollout_record_revise(&m->kept, line->live.bundle->digest);
	}
	ao_machine_goal_set(&line->to, NULL, NULL);
	line->stage = AO_ROLLOUT_REST;
	ao_members_forgive(m, track);
	ao_machine_turn(m);
	return true;
}

/** Have too many failed? There must be something to go back to. */
static bool fail(ao_machine *m, ao_rollout_track track)
{
	const ao_line *line = &m->lines[track];
	bool way = track == AO_ROLLOUT_CANARY || line->live.bundle;
	if (line->stage != AO_ROLLOUT_FORWARD || !way || line->failed <= m->with.settings.max_failed)
		return false;
	ao_auto_buf ao_buf why = ao_buf_init(MAX_WHY);
	ao_buf_printf(&why, "%u of the changed workloads did not become ready again:", line->failed);
	for (size_t i = 0; i < m->count; i++)
		if (m->order[i]->owner == track && m->order[i]->mark == AO_ROLLOUT_FAILED)
			ao_buf_printf(&why, " %s", m->order[i]->key);
	ao_trial_back(m, track, true, why.data);
	m->reconsider = true;
	return true;
}

bool ao_trial_advance(ao_machine *m, ao_rollout_track track)
{
	ao_trial *t = &m->lines[track].trial;
	if (fail(m, track) || finish(m, track))
		return true;
	if (t->stage == AO_TRIAL_LOADING && t->to.bundle->at_hand) {
		t->stage = AO_TRIAL_CASES;
		t->asked = false;
	}
	if (t->stage < AO_TRIAL_CHECKS || t->due || t->pending)
		return false;
	if (!m->with.settings.require_approval || t->approved) {
		ao_goal to = t->to;
		t->to.selection = NULL;
		go_forward(m, track, &to);
		free(to.selection);
		return true;
	}
	t->stage = AO_TRIAL_APPROVAL;
	if (!t->told)
		ao_machine_say(m, AO_NEWS_AWAITED, track, &t->to, NULL, NULL);
	t->told = true;
	return false;
}

/* ---- tasks and answers ---- */

bool ao_trial_next(ao_machine *m, ao_rollout_track track, ao_task *ret)
{
	ao_trial *t = &m->lines[track].trial;
	*ret = (ao_task){
	    .kind = AO_TASK_CASES, .track = track, .digest = t->to.bundle ? t->to.bundle->digest : NULL, .selection = t->to.selection};
	if (m->now_ms < t->again_ms)
		return false;
	if (t->stage == AO_TRIAL_CASES && !t->asked) {
		t->asked = true;
		return true;
	}
	if (t->stage < AO_TRIAL_CHECKS || !t->due)
		return false;
	for (;; t->cursor++) {
		ao_member *p = m->order[t->cursor %= m->count];
		if (p->check[track] != AO_CHECK_DUE)
			continue;
		set_check(m, track, p, AO_CHECK_ASKED);
		ret->kind = AO_TASK_CHECK;
		ret->key = p->key;
		return true;
	}
}

/** @return the trial that this is an answer to, or NULL */
static ao_trial *asked(ao_machine *m, ao_rollout_track track, const char *digest)
{
	ao_trial *t = &m->lines[track].trial;
	return t->stage != AO_TRIAL_NONE && strcmp(t->to.bundle->digest, digest) == 0 ? t : NULL;
}

/** @return how long its tasks are not handed out */
static uint64_t wait(const ao_machine *m, ao_trial *t)
{
	uint64_t wait_ms = ao_machine_again_ms(t->again++);
	t->again_ms = m->now_ms + wait_ms;
	return wait_ms;
}

bool ao_trial_cased(ao_machine *m, ao_rollout_track track, const char *digest, ao_verdict verdict, const char *why, uint64_t *ret_wait_ms)
{
	ao_trial *t = asked(m, track, digest);
	if (!t || t->stage != AO_TRIAL_CASES || !t->asked)
		return false;
	t->asked = false;
	if (verdict == AO_VERDICT_GOOD)
		begin_checks(m, track);
	else if (verdict == AO_VERDICT_WRONG)
		ao_trial_refuse(m, track, NULL, why);
	else
		*ret_wait_ms = wait(m, t);
	if (verdict != AO_VERDICT_AGAIN)
		t->again = 0;
	return true;
}

uint64_t ao_trial_checked(ao_machine *m, ao_rollout_track track, ao_member *p, const char *digest, const ao_machine_check *check)
{
	ao_trial *t = asked(m, track, digest);
	if (!t || p->check[track] != AO_CHECK_ASKED)
		return 0;
	if (check->verdict == AO_VERDICT_WRONG) {
		ao_trial_refuse(m, track, p->key, check->why);
		return 0;
	}
	set_check(m, track, p, check->verdict == AO_VERDICT_GOOD ? AO_CHECK_DONE : AO_CHECK_DUE);
	if (check->verdict == AO_VERDICT_AGAIN)
		return wait(m, t);
	t->again = 0;
	ao_member_checked(m, p, t->to.bundle, check);
	return 0;
}
