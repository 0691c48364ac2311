/* tasks.c -- what comes out of the machine: tasks, the record, and answers to questions. */
#include "base/mem.h"
#include "rollout/machine/machine_private.h"

/* ---- tasks ---- */

static bool next_redo(ao_machine *m, ao_task *ret)
{
	while (m->redo_at < m->redo_count) {
		ao_member *p = m->redos[m->redo_at++];
		if (!p)
			continue; /* it is gone */
		p->redo = false;
		*ret = (ao_task){.kind = AO_TASK_REDO, .track = p->owner, .key = p->key};
		return true;
	}
	return false;
}

static bool next_write(ao_machine *m, ao_task *ret)
{
	if (!m->synced || m->writing || m->version == m->written || m->now_ms < m->write_after_ms)
		return false;
	m->writing = m->version;
	m->stale = false;
	*ret = (ao_task){.kind = AO_TASK_WRITE, .version = m->writing};
	return true;
}

static bool next_load(ao_machine *m, ao_task *ret)
{
	size_t cursor = 0;
	if (!m->asks)
		return false;
	for (ao_known *known; (known = ao_map_next(m->known, &cursor, NULL));) {
		if (known->asking != AO_ASK || m->now_ms < known->ask_after_ms)
			continue;
		known->asking = AO_ASKED;
		m->asks--;
		*ret = (ao_task){.kind = AO_TASK_LOAD, .digest = known->digest};
		return true;
	}
	return false;
}

static bool next_saying(ao_machine *m, ao_task *ret)
{
	if (m->said) {
		ao_saying_clear(&m->sayings[m->saying_at++]);
		m->said = false;
	}
	if (m->saying_at == m->saying_count)
		return false;
	const ao_saying *s = &m->sayings[m->saying_at];
	m->said = true; /* its text is borrowed until the next call */
	*ret = (ao_task){.kind = AO_TASK_SAY,
			 .track = s->track,
			 .news = s->news,
			 .key = s->key,
			 .digest = s->digest,
			 .selection = s->selection,
			 .text = s->text};
	return true;
}

bool ao_machine_next(ao_machine *m, ao_task *ret)
{
	return next_saying(m, ret) || next_write(m, ret) || next_redo(m, ret) || next_load(m, ret) ||
	       ao_trial_next(m, AO_ROLLOUT_MAIN, ret) || ao_trial_next(m, AO_ROLLOUT_CANARY, ret);
}

/* ---- the record ---- */

void ao_machine_count(const ao_machine *m, ao_rollout_track track, ao_rollout_counts *ret)
{
	const ao_line *line = &m->lines[track];
	unsigned waiting = line->waiting[0] + line->waiting[1];
	*ret = (ao_rollout_counts){.parents = line->total,
				   .reached = line->total - line->busy - waiting,
				   .moving = line->busy,
				   .waiting = waiting,
				   .failed = line->failed,
				   .slow = line->slow};
}

static void put_goal(ao_rollout_choice *choice, const ao_goal *goal)
{
	ao_rollout_choice_set(choice, goal->bundle ? goal->bundle->digest : NULL, goal->selection);
}

static void put_mover(const ao_member *p, ao_rollout_record *record)
{
	const ao_known *to = p->chosen ? p->aim : p->serving;
	if (p->deleting || (!p->chosen && !p->moving && !p->unconfirmed && p->mark == AO_ROLLOUT_WELL))
		return;
	ao_rollout_record_move(record, &(ao_rollout_mover){.key = (char *)p->key,
							   .digest = to->digest,
							   .mark = p->chosen ? AO_ROLLOUT_WELL : p->mark,
							   .done = !p->chosen && !p->unconfirmed,
							   .slot = p->place == AO_PLACE_SLOT,
							   .was_ready = p->was_ready,
							   .said_ready = p->said_ready});
}

void ao_machine_record(const ao_machine *m, ao_rollout_record *ret)
{
	ao_rollout_record record;
	ao_rollout_record_copy(&m->kept, &record);
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++) {
		const ao_line *from = &m->lines[track];
		ao_rollout_line *to = &record.tracks[track];
		put_goal(&to->live, &from->live);
		put_goal(&to->to, &from->to);
		to->stage = from->stage;
		to->paused = from->paused;
		ao_machine_count(m, track, &to->counts);
	}
	for (size_t i = 0; i < m->count; i++)
		put_mover(m->order[i], &record);
	*ret = record;
}

/* ---- questions ---- */

const char *ao_machine_serves(const ao_machine *m, const char *key)
{
	const ao_member *p = ao_map_get(m->members, key);
	if (!p)
		return NULL;
	if (!ao_member_held(p))
		return p->serving->digest;
	/* a parent that goes must be able to go: by its target if the bundle it had cannot be had */
	return p->deleting && p->target && p->target->at_hand ? p->target->digest : NULL;
}

bool ao_machine_begun(const ao_machine *m) { return m->synced && m->written >= m->line_version; }

bool ao_machine_recorded(const ao_machine *m) { return m->version == m->written; }

bool ao_machine_waits(const ao_machine *m, const char *key)
{
	const ao_member *p = ao_map_get(m->members, key);
	return p && !p->deleting && p->target && p->serving != p->target;
}

const char *ao_machine_live(const ao_machine *m, ao_rollout_track track)
{
	const ao_known *live = m->lines[track].live.bundle;
	return live ? live->digest : NULL;
}

const char *ao_machine_goal(const ao_machine *m, ao_rollout_track track)
{
	const ao_known *goal = ao_line_goal(&m->lines[track])->bundle;
	return goal ? goal->digest : NULL;
}

const ao_rollout_refusal *ao_machine_refusal(const ao_machine *m, ao_rollout_track track)
{
	const ao_goal *wanted = &m->lines[track].wanted;
	ao_rollout_choice what = {wanted->bundle ? wanted->bundle->digest : NULL, wanted->selection};
	return what.digest ? ao_rollout_record_refusal(&m->kept, track, &what) : NULL;
}

ao_rollout_stage ao_machine_stage(const ao_machine *m, ao_rollout_track track) { return m->lines[track].stage; }
ao_trial_stage ao_machine_trial(const ao_machine *m, ao_rollout_track track) { return m->lines[track].trial.stage; }
