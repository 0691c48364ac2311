/* record.c -- copies, lists with an end, and comparing two choices. */
#include "rollout/machine/record.h"

#include "base/mem.h"

#include <string.h>

static bool same(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* ---- choices ---- */

void ao_rollout_choice_clear(ao_rollout_choice *choice)
{
	free(choice->digest);
	free(choice->selection);
	*choice = (ao_rollout_choice){0};
}

void ao_rollout_choice_set(ao_rollout_choice *choice, const char *digest, const char *selection)
{
	ao_rollout_choice next = {ao_xstrdup(digest), digest ? ao_xstrdup(selection) : NULL};
	ao_rollout_choice_clear(choice);
	*choice = next;
}

bool ao_rollout_choice_same(const ao_rollout_choice *a, const ao_rollout_choice *b)
{
	return same(a->digest, b->digest) && same(a->selection, b->selection);
}

/* ---- refusals ---- */

static void clear_refusal(ao_rollout_refusal *refusal)
{
	ao_rollout_choice_clear(&refusal->what);
	free(refusal->key);
	free(refusal->why);
	*refusal = (ao_rollout_refusal){0};
}

static void remove_refusal(ao_rollout_record *record, size_t at)
{
	clear_refusal(&record->refusals[at]);
	record->refusal_count--;
	memmove(&record->refusals[at], &record->refusals[at + 1], (record->refusal_count - at) * sizeof(record->refusals[0]));
}

const ao_rollout_refusal *ao_rollout_record_refusal(const ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what)
{
	for (size_t i = 0; i < record->refusal_count; i++)
		if (record->refusals[i].track == track && ao_rollout_choice_same(&record->refusals[i].what, what))
			return &record->refusals[i];
	return NULL;
}

void ao_rollout_record_refuse(ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what, const char *key,
			      const char *why)
{
	ao_rollout_refusal refusal = {.track = track, .key = ao_xstrdup(key), .why = ao_xstrdup(why)};
	ao_rollout_choice_set(&refusal.what, what->digest, what->selection);
	ao_rollout_record_pardon(record, track, what);
	if (record->refusal_count == AO_ROLLOUT_REFUSALS)
		remove_refusal(record, 0);
	record->refusals[record->refusal_count++] = refusal;
}

bool ao_rollout_record_pardon(ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what)
{
	const ao_rollout_refusal *refusal = ao_rollout_record_refusal(record, track, what);
	if (refusal)
		remove_refusal(record, (size_t)(refusal - record->refusals));
	return refusal != NULL;
}

bool ao_rollout_record_pardon_for(ao_rollout_record *record, const char *key)
{
	size_t before = record->refusal_count;
	for (size_t i = record->refusal_count; i-- > 0;)
		if (record->refusals[i].key && strcmp(record->refusals[i].key, key) == 0)
			remove_refusal(record, i);
	return record->refusal_count < before;
}

/* ---- revisions ---- */

void ao_rollout_record_revise(ao_rollout_record *record, const char *digest)
{
	size_t n = record->revision_count;
	unsigned number = n ? record->revisions[n - 1].number + 1 : 1;
	if (n && strcmp(record->revisions[n - 1].digest, digest) == 0)
		return;
	if (n == AO_ROLLOUT_REVISIONS) {
		free(record->revisions[0].digest);
		memmove(&record->revisions[0], &record->revisions[1], --n * sizeof(record->revisions[0]));
	}
	record->revisions[n] = (ao_rollout_revision){number, ao_xstrdup(digest)};
	record->revision_count = n + 1;
}

/* ---- the whole ---- */

void ao_rollout_record_move(ao_rollout_record *record, const ao_rollout_mover *mover)
{
	if (record->mover_count == record->mover_size) {
		record->mover_size = record->mover_size ? record->mover_size * 2 : 8;
		record->movers = ao_xrealloc(record->movers, record->mover_size * sizeof(*record->movers));
	}
	ao_rollout_mover *to = &record->movers[record->mover_count++];
	*to = *mover;
	to->key = ao_xstrdup(mover->key);
	to->digest = ao_xstrdup(mover->digest);
}

ao_rollout_mover *ao_rollout_record_mover(const ao_rollout_record *record, const char *key)
{
	for (size_t i = 0; i < record->mover_count; i++)
		if (strcmp(record->movers[i].key, key) == 0)
			return &record->movers[i];
	return NULL;
}

void ao_rollout_record_unmove(ao_rollout_record *record, ao_rollout_mover *mover)
{
	free(mover->key);
	free(mover->digest);
	*mover = record->movers[--record->mover_count];
}

void ao_rollout_record_forget(ao_rollout_record *record)
{
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++) {
		ao_rollout_choice_clear(&record->tracks[i].live);
		ao_rollout_choice_clear(&record->tracks[i].to);
		record->tracks[i] = (ao_rollout_line){0};
	}
	for (size_t i = 0; i < record->mover_count; i++) {
		free(record->movers[i].key);
		free(record->movers[i].digest);
	}
	free(record->movers);
	record->movers = NULL;
	record->mover_count = record->mover_size = 0;
}

void ao_rollout_record_clear(ao_rollout_record *record)
{
	ao_rollout_record_forget(record);
	for (size_t i = 0; i < record->refusal_count; i++)
		clear_refusal(&record->refusals[i]);
	for (size_t i = 0; i < record->revision_count; i++)
		free(record->revisions[i].digest);
	free(record->pinned);
	free(record->instead_of);
	*record = (ao_rollout_record){0};
}

void ao_rollout_record_copy(const ao_rollout_record *record, ao_rollout_record *ret)
{
	ao_rollout_record copy = {.pinned = ao_xstrdup(record->pinned), .instead_of = ao_xstrdup(record->instead_of)};
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++) {
		const ao_rollout_line *from = &record->tracks[i];
		ao_rollout_line *to = &copy.tracks[i];
		*to = (ao_rollout_line){.stage = from->stage, .paused = from->paused, .counts = from->counts};
		ao_rollout_choice_set(&to->live, from->live.digest, from->live.selection);
		ao_rollout_choice_set(&to->to, from->to.digest, from->to.selection);
	}
	for (size_t i = 0; i < record->mover_count; i++)
		ao_rollout_record_move(&copy, &record->movers[i]);
	for (size_t i = 0; i < record->refusal_count; i++) {
		const ao_rollout_refusal *r = &record->refusals[i];
		ao_rollout_record_refuse(&copy, r->track, &r->what, r->key, r->why);
	}
	for (size_t i = 0; i < record->revision_count; i++)
		copy.revisions[i] = (ao_rollout_revision){record->revisions[i].number, ao_xstrdup(record->revisions[i].digest)};
	copy.revision_count = record->revision_count;
	*ret = copy;
}
