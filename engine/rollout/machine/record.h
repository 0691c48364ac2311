#pragma once
/**
 * record.h -- what a rollout leaves in the cluster, so that the next leader goes on where the last one was.
 *
 * Which bundle a parent has is in its own status.  The record holds what statuses cannot say: where each track comes from and goes to,
 * which parents were moved and have not confirmed it by their status yet, what was refused and why, and what was live before.
 * It is plain data; the driver writes it as text and reads it back.
 * Ownership: a record owns its strings.  Threads: any; a record belongs to one owner at a time.
 */
#include <stdbool.h>
#include <stddef.h>

/** A parent that the canary selects is on the track canary, and every other one on main. */
typedef enum { AO_ROLLOUT_MAIN, AO_ROLLOUT_CANARY } ao_rollout_track;
#define AO_ROLLOUT_TRACKS 2

typedef enum {
	AO_ROLLOUT_REST,    /* there is no edit: parents have what is live, or are on their way to it */
	AO_ROLLOUT_FORWARD, /* from `live` to `to` */
	AO_ROLLOUT_BACK     /* from `to` to `live`, at the same pace */
} ao_rollout_stage;

/** What a track serves, and to which parents. Two choices are the same when both fields are. */
typedef struct ao_rollout_choice {
	char *digest;    /* NULL: nothing */
	char *selection; /* of a canary: its parents, as ao_machine_options.selects understands it; NULL on main */
} ao_rollout_choice;

typedef struct ao_rollout_counts {
	unsigned parents; /* of this track */
	unsigned reached; /* ... that have its bundle, failed ones included */
	unsigned moving;  /* ... that are on their way: pods are replaced, or a pass has not ended */
	unsigned waiting;
	unsigned failed; /* were ready before, but not within ready_ms after they were moved */
	unsigned slow;   /* not ready in time either, but they were not ready before, or the bundle is not to blame */
} ao_rollout_counts;

typedef struct ao_rollout_line {
	ao_rollout_choice live; /* the last one that reached every parent; digest NULL: there was none */
	ao_rollout_choice to;   /* where an edit goes, or comes back from; digest NULL: a canary ends */
	ao_rollout_stage stage;
	bool paused;
	ao_rollout_counts counts; /* for people; they are not read back */
} ao_rollout_line;

typedef enum { AO_ROLLOUT_WELL, AO_ROLLOUT_FAILED, AO_ROLLOUT_SLOW } ao_rollout_mark;

/** A parent that was moved and is not known to have arrived. */
typedef struct ao_rollout_mover {
	char *key;
	char *digest; /* what it is moved to */
	ao_rollout_mark mark;
	bool done;       /* the move was carried out, and its status says so: it only waits for its pods */
	bool slot;       /* its pods may be replaced: it counts against max_restarting until it is ready or marked */
	bool was_ready;  /* it was ready before it was moved: only then can it fail */
	bool said_ready; /* ... and its status said so: it is waited for until it does again */
} ao_rollout_mover;

/** A bundle that is not tried again before its text changes, the parent that it failed on changes, or a person asks. */
typedef struct ao_rollout_refusal {
	ao_rollout_track track;
	ao_rollout_choice what;
	char *key; /* of the parent that it failed on; NULL: on none, or on several */
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
	char *instead_of; /* ... for as long as the sources hold this one, or what is refused; both NULL: nobody did */
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

/** Adds a mover; its strings are copied. */
void ao_rollout_record_move(ao_rollout_record *record, const ao_rollout_mover *mover);
/** The mover of this parent, or NULL. Borrowed until the record changes. */
ao_rollout_mover *ao_rollout_record_mover(const ao_rollout_record *record, const char *key);
void ao_rollout_record_unmove(ao_rollout_record *record, ao_rollout_mover *mover);
/** @return borrowed, or NULL */
const ao_rollout_refusal *ao_rollout_record_refusal(const ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what);
/** @param key  of the parent that it failed on, or NULL */
void ao_rollout_record_refuse(ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what, const char *key,
			      const char *why);
/** Forgets a refusal. @return false: there was none */
bool ao_rollout_record_pardon(ao_rollout_record *record, ao_rollout_track track, const ao_rollout_choice *what);
/** Forgets the refusals of bundles that failed on this parent. @return false: there were none */
bool ao_rollout_record_pardon_for(ao_rollout_record *record, const char *key);
/** Adds the bundle that is live on main now as the newest revision, unless it is that already. */
void ao_rollout_record_revise(ao_rollout_record *record, const char *digest);
