#pragma once
/**
 * machine.h -- who has which bundle: events in, decisions out, no I/O.
 *
 * A machine lives from the moment the lease is won until it is lost.  It is told what its driver sees (parents, reports of their passes,
 * what the sources hold, the answers to its own tasks, what a person asks, the time) and hands out tasks (ao_machine_next).  It promises:
 *
 *  - An edit goes through loading, cases, a check of every parent it can reach, approval where that is asked for, and then reaches parents
 *    a few at a time; at its end it is live.  When too many parents do not become ready it goes back: the same way, at the same pace.
 *    There is one edit at a time on each track.  A newer one is checked beside it and then takes its place, whatever way it was going.
 *  - Never are more than max_restarting workloads on their way whose pods may be replaced, both tracks together.
 *  - Nobody is given a bundle that was not accepted for his track.  Who was never served first gets what is live.
 *  - Nobody is moved before the record that says so is written.  So a successor who has the record and the statuses goes on forwards or
 *    back as his predecessor would have.  Nobody is lost between: who was moved stays in the record until his status confirms it.
 *  - What was refused is not tried again before its text changes, the parent it failed on changes, or a person asks.
 *  - Who is deleted is not waited for and fails nothing.
 *  - Time in which nobody ticked (a stopped process) makes nobody late.
 *
 * Ownership: arguments are copied; strings of a task or an answer are borrowed until the next call that is not const.
 * Threads: none; it is never re-entered.
 */
#include "rollout/machine/record.h"

#include <stdint.h>

typedef struct ao_machine ao_machine;

typedef struct ao_machine_settings {
	unsigned max_restarting; /* workloads whose pods are being replaced at one time; at least 1 */
	unsigned max_percent;    /* ... as a share of all parents, rounded down, at least one; 0: the number counts */
	unsigned max_failed;     /* more than this, and the edit goes back */
	uint64_t ready_ms;       /* who is not ready so long after he was moved is failed, or slow when he was not ready before either */
	uint64_t min_ready_ms;   /* so long one must be ready before the next is moved */
	bool require_approval;   /* an edit that was checked waits for ao_machine_approve() */
} ao_machine_settings;

typedef struct ao_machine_options {
	ao_machine_settings settings;
	const char
	    *fallback; /* digest of the bundle in the binary: serves when nothing was ever live and what the sources hold is refused */
	/** Is a canary of this selection for this parent? Pure: may only change with ao_machine_seen(). Must not call the machine. */
	bool (*selects)(void *arg, const char *selection, const char *key);
	void *arg;
} ao_machine_options;

/** @param record  what the predecessor left, or NULL: there never was one. Copied. */
ao_machine *ao_machine_new(const ao_machine_options *options, const ao_rollout_record *record);
void ao_machine_free(ao_machine *machine); /* NULL is fine */

/* ---- what the driver sees ---- */

/** Time goes by here alone: before other events when more than a moment has passed, and each 250 ms while ao_machine_busy(). */
void ao_machine_tick(ao_machine *machine, uint64_t now_ms);
bool ao_machine_busy(const ao_machine *machine);
void ao_machine_set(ao_machine *machine, const ao_machine_settings *settings);

typedef struct ao_machine_parent {
	const char *key;
	const char *has; /* the bundle that his status says was carried out last, to its end; NULL: none was, or it is not known */
	bool ready, deleting;
	bool changed; /* his spec or labels, since he was seen last: not for a new status alone */
} ao_machine_parent;

/** He is new, or anything of him has changed. */
void ao_machine_seen(ao_machine *machine, const ao_machine_parent *parent);
void ao_machine_gone(ao_machine *machine, const char *key);
/** All parents that there are have been seen: nobody is moved before. */
void ao_machine_synced(ao_machine *machine);

typedef struct ao_machine_report {
	const char *key;
	const char *bundle; /* that the pass asked */
	bool carried;       /* the whole plan was carried out */
	bool failed;        /* something was not */
	bool unsure;  /* the status could not be written: what it says is not known. The next pass writes all of it, not the difference. */
	bool refused; /* the bundle raised on the parent, or calls it invalid: its children are as they were */
	bool rolling_out; /* pods are still being replaced */
	bool ready;       /* as the new status says */
} ao_machine_report;

/** At the end of each pass. */
void ao_machine_reported(ao_machine *machine, const ao_machine_report *report);

/** What sources and settings hold now, both tracks at once; of the same digests as before: nothing happens. `main` always has one. */
void ao_machine_want(ao_machine *machine, const ao_rollout_choice *main, const ao_rollout_choice *canary);

/* ---- answers to tasks ---- */

typedef enum {
	AO_VERDICT_GOOD,
	AO_VERDICT_WRONG, /* the bundle is to blame: it is refused */
	AO_VERDICT_AGAIN  /* it is not known whose fault it was: the task is handed out again after a while */
} ao_verdict;

/** To AO_TASK_LOAD. GOOD: it is at hand until ao_machine_drop() says that nobody needs it. */
void ao_machine_loaded(ao_machine *machine, const char *digest, ao_verdict verdict, const char *why);
/** To AO_TASK_CASES. */
void ao_machine_cased(ao_machine *machine, ao_rollout_track track, const char *digest, ao_verdict verdict, const char *why);

typedef struct ao_machine_check {
	ao_verdict verdict;
	const char *why;
	bool restarts; /* another pod template than the bundle that serves him now: pods would be replaced */
	bool refuses;  /* it calls the parent invalid, and the other did not: meant so, no failure when it comes true */
} ao_machine_check;

/** To AO_TASK_CHECK. */
void ao_machine_checked(ao_machine *machine, ao_rollout_track track, const char *key, const char *digest, const ao_machine_check *check);
/** To AO_TASK_WRITE. Not good: the task is handed out again after a second. */
void ao_machine_written(ao_machine *machine, uint64_t version, bool good);

/* ---- what a person asks; @return 0, or -ENOENT when there is nothing to do it to ---- */

/** Nobody is moved on this track until ao_machine_resume(). */
void ao_machine_pause(ao_machine *machine, ao_rollout_track track);
/** Goes on, and tries what is wanted and was refused once more. */
int ao_machine_resume(ao_machine *machine, ao_rollout_track track);
/** Refuses the edit that is being checked, or takes back the one that is reaching parents. */
int ao_machine_abort(ao_machine *machine, ao_rollout_track track);
int ao_machine_approve(ao_machine *machine, ao_rollout_track track);
/** Goes to an earlier bundle of main like to any edit, until sources hold another. @param revision  0: the one before what is live */
int ao_machine_undo(ao_machine *machine, unsigned revision);

/* ---- what there is to do ---- */

typedef enum {
	AO_TASK_LOAD,  /* have bundle `digest` at hand: from the sources when it is wanted, else from what was kept of it */
	AO_TASK_CASES, /* run the cases of `digest` */
	AO_TASK_CHECK, /* what would `digest` make of parent `key`, beside the bundle that serves him? */
	AO_TASK_REDO,  /* another bundle serves parent `key` now: a pass that renders */
	AO_TASK_WRITE, /* write ao_machine_record() as `version`; one is handed out at a time */
	AO_TASK_SAY    /* tell people `news` */
} ao_task_kind;

typedef enum {
	AO_NEWS_ACCEPTED, /* `digest` passed its checks and begins to reach parents; NULL: the canary ends */
	AO_NEWS_AWAITED,  /* ... and waits for a person */
	AO_NEWS_REFUSED,  /* `digest`, because of `text`; `key`: on this parent; it has reached nobody */
	AO_NEWS_LIVE,     /* `digest` has reached everybody */
	AO_NEWS_BACK,     /* `digest` goes back, because of `text` */
	AO_NEWS_REVERTED, /* ... has gone back */
	AO_NEWS_FAILED,   /* parent `key` did not become ready with `digest`: `text` says what was missing */
	AO_NEWS_SLOW,     /* the same, and nobody is to blame */
	AO_NEWS_MISSING,  /* `digest` is in use and cannot be had, because of `text`: those it serves are held as they are */
} ao_news;

typedef struct ao_task {
	ao_task_kind kind;
	ao_rollout_track track;
	ao_news news;
	uint64_t version;
	const char *key, *digest, *selection, *text; /* each may be NULL */
} ao_task;

/** @return false: nothing until the next event. Each task is handed out once; checks come last and may wait for the loop's next turn. */
bool ao_machine_next(ao_machine *machine, ao_task *ret);
/** What is to be written. @param ret  is overwritten; the caller clears */
void ao_machine_record(const ao_machine *machine, ao_rollout_record *ret);

/* ---- questions ---- */

/** The bundle that serves this parent; NULL: hold him, that is status only, children untouched. */
const char *ao_machine_serves(const ao_machine *machine, const char *key);
/** Another bundle is meant for this parent than the one he has. */
bool ao_machine_waits(const ao_machine *machine, const char *key);
/** What new parents get: also whose shared objects are made. NULL: nothing yet. */
const char *ao_machine_live(const ao_machine *machine, ao_rollout_track track);
void ao_machine_count(const ao_machine *machine, ao_rollout_track track, ao_rollout_counts *ret);

typedef enum { AO_TRIAL_NONE, AO_TRIAL_LOADING, AO_TRIAL_CASES, AO_TRIAL_CHECKS, AO_TRIAL_APPROVAL } ao_trial_stage;
/** How far the edit is that has reached nobody yet. */
ao_trial_stage ao_machine_trial(const ao_machine *machine, ao_rollout_track track);

/** Frees the machine's interest in a loaded bundle. @return true: nobody needs it, free it; a later AO_TASK_LOAD asks for it anew */
bool ao_machine_drop(ao_machine *machine, const char *digest);
