#pragma once
/**
 * machine.h -- which parent has which bundle: events in, decisions out, no I/O.
 *
 * A machine lives from the moment when the lease is won until the lease is lost.  Its driver tells it what happens: parents, reports of
 * their passes, what the sources hold, the answers to tasks, what a person asks, the time.  The machine hands out tasks (ao_machine_next).
 * It promises:
 *
 *  - An edit goes through loading, cases, a check of every parent that it can reach, and approval when the settings ask for it.  Then it
 *    reaches parents a few at a time, and is live when it has reached all of them.  When too many parents do not become ready, it goes back
 *    the same way, at the same pace.
 *  - There is one edit at a time on each track.  A newer edit is checked beside it, and then takes its place, whichever way it was going.
 *  - At most max_restarting workloads whose pods may be replaced are on their way at one time, both tracks together.
 *  - No parent is given a bundle that was not accepted for its track.  A new parent gets what is live, not what is being tried.
 *  - No parent is moved before the record that says so is written, and it stays in the record until its status confirms the move.  So a
 *    successor that reads the record and the statuses goes on, forwards or back, exactly as its predecessor would have.
 *  - A refused bundle is not tried again before its text changes, the parent it failed on changes, or a person asks.
 *  - A deleted parent is not waited for, and fails nothing.
 *  - A parent whose status says nothing of readiness is ready when it has its bundle. But where it said that it was ready before it was moved,
 *    it is waited for: an edit that takes the word away does not thereby succeed.
 *    Not so on a way back, or by undo: what is there may never have said it.
 *  - When the process itself was stopped for a while, that time does not count against its parents.
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
	uint64_t ready_ms;     /* a parent that is not ready so long after it was moved has failed, or is slow if it was not ready before */
	uint64_t min_ready_ms; /* a parent is through when it has been ready for so long */
	bool require_approval; /* an edit that was checked waits for ao_machine_approve() */
} ao_machine_settings;

typedef struct ao_machine_options {
	ao_machine_settings settings;
	/** Digest of the bundle in the binary. It serves when nothing was ever live and what the sources hold is refused. */
	const char *fallback;
	/**
	 * Does this selection of a canary include this parent?  The answer may change with ao_machine_seen() only.  When a track turns,
	 * this is called for every parent, so it should be quick.  It must not call the machine.
	 */
	bool (*selects)(void *arg, const char *selection, const char *key);
	void *arg;
} ao_machine_options;

/** @param record  what the predecessor left; NULL: there was none. Copied. */
ao_machine *ao_machine_new(const ao_machine_options *options, const ao_rollout_record *record);
void ao_machine_free(ao_machine *machine); /* NULL is fine */

/* ---- what the driver sees ---- */

/** The only clock. Call it before other events when more than a moment has passed, and each 250 ms while ao_machine_busy(). */
void ao_machine_tick(ao_machine *machine, uint64_t now_ms);
bool ao_machine_busy(const ao_machine *machine);
void ao_machine_set(ao_machine *machine, const ao_machine_settings *settings);

typedef struct ao_machine_parent {
	const char *key;
	const char *has; /* the bundle whose plan was last carried out to its end, as its status says; NULL: none was, or it is not known */
	bool ready, deleting;
	bool unsaid;  /* its status says nothing of readiness: it counts as ready, unless it had said so */
	bool changed; /* its spec or labels have changed; a new status alone does not count */
} ao_machine_parent;

/** A parent is new, or anything of it has changed. */
void ao_machine_seen(ao_machine *machine, const ao_machine_parent *parent);
void ao_machine_gone(ao_machine *machine, const char *key);
/** Every parent has been seen. No parent is moved before. */
void ao_machine_synced(ao_machine *machine);

typedef struct ao_machine_report {
	const char *key;
	const char *bundle; /* the one that made the plan of the pass */
	bool carried;       /* the whole plan was carried out */
	bool failed;        /* something of it was not */
	bool unsure;        /* the write of the status got no answer, so what it says is not known. The next pass writes it in any case. */
	bool refused;       /* the bundle raised an error on the parent, or calls it invalid: its children are as they were */
	bool rolling_out;   /* pods are still being replaced */
	bool ready;         /* as the new status says */
	bool unsaid;        /* as of a parent */
} ao_machine_report;

/** At the end of each pass. */
void ao_machine_reported(ao_machine *machine, const ao_machine_report *report);

/** What sources and settings hold now, both tracks at once. The same digests as before change nothing. `main` always has a digest. */
void ao_machine_want(ao_machine *machine, const ao_rollout_choice *main, const ao_rollout_choice *canary);

/* ---- answers to tasks; @return milliseconds until the task is handed out again, each time more; 0: it is not handed out again ---- */

typedef enum {
	AO_VERDICT_GOOD,
	AO_VERDICT_WRONG, /* the bundle is to blame: it is refused */
	AO_VERDICT_AGAIN  /* it is not known what was to blame: the task is handed out again after a while */
} ao_verdict;

/** To AO_TASK_LOAD. GOOD: the bundle is at hand until ao_machine_drop() says that it is not needed. */
uint64_t ao_machine_loaded(ao_machine *machine, const char *digest, ao_verdict verdict, const char *why);
/** To AO_TASK_CASES. */
uint64_t ao_machine_cased(ao_machine *machine, ao_rollout_track track, const char *digest, ao_verdict verdict, const char *why);

typedef struct ao_machine_check {
	ao_verdict verdict;
	const char *why;
	bool restarts; /* its pod template differs from that of the bundle which serves the parent now: pods would be replaced */
	bool refuses;  /* it calls the parent invalid, which the other does not: this is meant, so it is not a failure when it happens */
} ao_machine_check;

/** To AO_TASK_CHECK. */
uint64_t ao_machine_checked(ao_machine *machine, ao_rollout_track track, const char *key, const char *digest,
			    const ao_machine_check *check);
/** Somebody else has changed or deleted the record: it will be written again. */
void ao_machine_rewrite(ao_machine *machine);
/** To AO_TASK_WRITE. When it is not good, the task is handed out again after a second. */
void ao_machine_written(ao_machine *machine, uint64_t version, bool good);

/* ---- what a person asks; @return 0, or -ENOENT when there is nothing to do it to ---- */

/** No further parent of this track is chosen until ao_machine_resume(). Parents that are chosen already are still moved. */
void ao_machine_pause(ao_machine *machine, ao_rollout_track track);
/** Goes on. If what is wanted was refused, tries it once more. */
int ao_machine_resume(ao_machine *machine, ao_rollout_track track);
/** Refuses the edit that is being checked, or takes back the one that is reaching parents. */
int ao_machine_abort(ao_machine *machine, ao_rollout_track track);
int ao_machine_approve(ao_machine *machine, ao_rollout_track track);
/**
 * Goes to an earlier bundle of main as to any edit. It holds until the sources hold something else that is accepted.
 *
 * @param revision  0: the one before the live one
 * @return 0; -ENOENT; -EALREADY it has gone back already, and `revision` does not say how far
 */
int ao_machine_undo(ao_machine *machine, unsigned revision);

/* ---- what there is to do ---- */

typedef enum {
	AO_TASK_LOAD,  /* load bundle `digest`: from the sources when it is wanted, else from the texts that were kept */
	AO_TASK_CASES, /* run the cases of `digest` */
	AO_TASK_CHECK, /* what would `digest` make of parent `key`, compared with the bundle that serves it? */
	AO_TASK_REDO,  /* another bundle serves parent `key` now: start a pass that renders */
	AO_TASK_WRITE, /* write ao_machine_record() as `version`; only one of these is handed out at a time */
	AO_TASK_SAY    /* tell people `news` */
} ao_task_kind;

typedef enum {
	AO_NEWS_ACCEPTED, /* `digest` passed its checks and begins to reach parents; NULL: the canary ends */
	AO_NEWS_AWAITED,  /* `digest` passed its checks and waits for a person */
	AO_NEWS_REFUSED,  /* `digest`, because of `text`, on parent `key` if there is one; it has reached no parent */
	AO_NEWS_LIVE,     /* `digest` has reached every parent of its track */
	AO_NEWS_BACK,     /* `digest` goes back, because of `text` */
	AO_NEWS_REVERTED, /* `digest` has gone back */
	AO_NEWS_FAILED,   /* parent `key` did not become ready with `digest`: `text` says what was missing */
	AO_NEWS_SLOW,     /* the same, but the bundle is not to blame */
	AO_NEWS_MISSING,  /* `digest` is in use and cannot be loaded, because of `text`: the parents that it serves are held */
} ao_news;

typedef struct ao_task {
	ao_task_kind kind;
	ao_rollout_track track;
	ao_news news;
	uint64_t version;
	const char *key, *digest, *selection, *text; /* each may be NULL */
} ao_task;

/** @return false: no task until the next event. Each task is handed out once. Checks come last, and may wait for the loop's next turn. */
bool ao_machine_next(ao_machine *machine, ao_task *ret);
/** The record as it must be written now. @param ret  is overwritten, not cleared; the caller clears it */
void ao_machine_record(const ao_machine *machine, ao_rollout_record *ret);

/* ---- questions ---- */

/** The bundle that serves this parent. NULL: the parent is held; only its status is written, its children are not touched. */
const char *ao_machine_serves(const ao_machine *machine, const char *key);
/** Does the record say where the tracks go? Until then no parent is served for the first time. */
bool ao_machine_begun(const ao_machine *machine);
/** Is all that it knows written? */
bool ao_machine_recorded(const ao_machine *machine);
/** Does this parent wait for another bundle than the one that it has? */
bool ao_machine_waits(const ao_machine *machine, const char *key);
/** The bundle that new parents get, and whose shared objects are made. NULL: none yet. */
const char *ao_machine_live(const ao_machine *machine, ao_rollout_track track);
/** The bundle that a track goes to, or has. NULL: none yet, or there is no canary. */
const char *ao_machine_goal(const ao_machine *machine, ao_rollout_track track);
void ao_machine_count(const ao_machine *machine, ao_rollout_track track, ao_rollout_counts *ret);

typedef enum { AO_TRIAL_NONE, AO_TRIAL_LOADING, AO_TRIAL_CASES, AO_TRIAL_CHECKS, AO_TRIAL_APPROVAL } ao_trial_stage;
/** Why what is wanted is not tried; NULL: it is not refused. Borrowed until the next call that is not const. */
const ao_rollout_refusal *ao_machine_refusal(const ao_machine *machine, ao_rollout_track track);
ao_rollout_stage ao_machine_stage(const ao_machine *machine, ao_rollout_track track);
/** How far an edit has come that has reached no parent yet. */
ao_trial_stage ao_machine_trial(const ao_machine *machine, ao_rollout_track track);

/** Is this bundle wanted, tried or live, or does a parent have it or go to it? */
bool ao_machine_uses(const ao_machine *machine, const char *digest);
/** Is a loaded bundle not needed any more? @return true: free it; when it is needed again, an AO_TASK_LOAD asks for it */
bool ao_machine_drop(ao_machine *machine, const char *digest);
