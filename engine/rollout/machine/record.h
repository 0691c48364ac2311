#pragma once
/**
 * record.h -- what a rollout leaves in the cluster, so that whoever leads next goes on where the last one was.
 *
 * Most of who has which bundle is in no record: each parent's own status says it.  Here is what statuses cannot say: where each track is
 * going and where it comes from, who was moved and has not confirmed it by his status yet, what was refused and why, what was live before.
 * It is plain data.  Whoever writes it into a ConfigMap makes text of it and back.
 * Ownership: a record owns its strings.  Threads: any; a record belongs to one owner at a time.
 */
#include <stdbool.h>
#include <stddef.h>

/** Everybody has the bundle of the track main, but those that the canary selects. */
typedef enum { AO_ROLLOUT_MAIN, AO_ROLLOUT_CANARY } ao_rollout_track;
#define AO_ROLLOUT_TRACKS 2

typedef enum {
	AO_ROLLOUT_REST,    /* everybody has, or is on his way to, what is live */
	AO_ROLLOUT_FORWARD, /* from `live` to `to` */
	AO_ROLLOUT_BACK     /* from `to` to `live`, at the same pace */
} ao_rollout_stage;

/** What a track serves, and to whom. Two canaries are the same when both members are. */
typedef struct ao_rollout_choice {
	char *digest;    /* NULL: nothing */
	char *selection; /* of a canary: for whom it is, in the words of whoever evaluates it; NULL on main */
} ao_rollout_choice;

typedef struct ao_rollout_counts {
	unsigned parents; /* whose bundle this track decides */
	unsigned reached; /* ... of them that have it, failed ones included */
	unsigned moving;  /* on their way: pods are replaced, or a pass has not ended */
	unsigned waiting;
	unsigned failed; /* were ready before, and are not ready_ms after they got it */
	unsigned slow;   /* the same, but were not ready before either, or nobody can be blamed */
} ao_rollout_counts;

typedef struct ao_rollout_line {
	ao_rollout_choice live; /* the last that reached everybody; digest NULL: there was none */
	ao_rollout_choice to;   /* where an edit is going, or comes back from; digest NULL: to nothing (the end of a canary) */
	ao_rollout_stage stage;
	bool paused;
	ao_rollout_counts counts; /* for people; nobody reads them back */
} ao_rollout_line;

typedef enum { AO_ROLLOUT_WELL, AO_ROLLOUT_FAILED, AO_ROLLOUT_SLOW } ao_rollout_mark;

/** One who was moved and is not known to have arrived. */
typedef struct ao_rollout_mover {
	char *key;
	char *digest; /* what he is moved to */
	ao_rollout_mark mark;
	bool done;      /* it was carried out, and his status says so: only his pods are waited for */
	bool slot;      /* his pods may be being replaced: he counts against max_restarting until he is ready or marked */
	bool was_ready; /* before he was moved: only then can he fail */
} ao_rollout_mover;

/** A bundle that is not tried again before its text changes, the parent it failed on changes, or a person asks. */
typedef struct ao_rollout_refusal {
	ao_rollout_track track;
	ao_rollout_choice what;
	char *key; /* of the parent it failed on; NULL: on none, or on several */
	char *why;
} ao_rollout_refusal;

typedef struct ao_rollout_revision {
	unsigned number; /* counts up */
	char *digest;    /* was live on main */
} ao_rollout_revision;

#define AO_ROLLOUT_REFUSALS 20 /* the oldest is forgotten */
#define AO_ROLLOUT_REVISIONS 10

typedef struct ao_rollout_record {
	ao_rollout_line tracks[AO_ROLLOUT_TRACKS];
	ao_rollout_mover *movers;
	size_t mover_count, mover_size;
	ao_rollout_refusal refusals[AO_ROLLOUT_REFUSALS];
	size_t refusal_count;
	ao_rollout_revision revisions[AO_ROLLOUT_REVISIONS]; /* the newest last */
	size_t revision_count;
	char *pinned;     /* a person went back to this bundle on main ... */
	char *instead_of; /* ... for as long as sources hold this one; NULL both: nobody did */
} ao_rollout_record;

void ao_rollout_record_clear(ao_rollout_record *record);
/** Empties tracks and movers; refusals, revisions and the pin stay. */
void ao_rollout_record_forget(ao_rollout_record *record);
/** @param ret  is overwritten, not cleared */
void ao_rollout_record_copy(const ao_rollout_record *record, ao_rollout_record *ret);
#define ao_auto_rollout_record __attribute__((cleanup(ao_rollout_record_clear)))

void ao_rollout_choice_set(ao_rollout_choice *choice, const char *digest, const char *selection);
void ao_rollout_choice_clear(ao_rollout_choice *choice);
bool ao_rollout_choice_same(const ao_rollout_choice *a, const ao_rollout_choice *b);

/** Adds one; strings are copied. */
void ao_rollout_record_move(ao_rollout_record *record, const ao_rollout_mover *mover);
/** @return borrowed, or NULL */
const ao_rollout_refusal *ao_rollout_record_refusal(const ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what);
/** @param key  of the parent it failed on, or NULL */
void ao_rollout_record_refuse(ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what, const char *key,
			      const char *why);
/** Forgets a refusal. @return false: there was none */
bool ao_rollout_record_pardon(ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what);
/** Forgets those that failed on this parent. @return false: there were none */
bool ao_rollout_record_pardon_for(ao_rollout_record *record, const char *key);
/** Adds what is live on main now as the newest revision, unless it is that already. */
void ao_rollout_record_revise(ao_rollout_record *record, const char *digest);
