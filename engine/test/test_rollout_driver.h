#pragma once
/**
 * test_rollout_driver.h -- a driver of the machine that answers at once, over six parents, which do what a test says.
 */
#include "base/err.h"
#include "base/mem.h"
#include "rollout/machine/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PARENTS 6

static const char *const KEYS[PARENTS] = {"n/a", "n/b", "n/c", "n/d", "n/e", "n/f"};

/** What the driver has, and what it has heard. */
typedef struct driver {
	ao_machine *machine;
	ao_rollout_record record;
	bool recorded, deaf, slow; /* deaf: writes are not answered; slow: cases are not */
	uint64_t writing, now;
	bool birds[PARENTS]; /* for whom a canary is */
	bool alike;          /* bundles make the same pods */
	bool unsaid;         /* statuses say nothing of readiness */
	const char *missing; /* cannot be loaded */
	const char *raises;  /* on n/a */
	char said[4096];
} driver;

static inline bool selects(void *arg, const char *selection, const char *key)
{
	const driver *d = arg;
	return strcmp(selection, "all") == 0 || (strcmp(selection, "birds") == 0 && d->birds[key[2] - 'a']) || strcmp(selection, key) == 0;
}

static inline void say(driver *d, const ao_task *task)
{
	static const char *const NEWS[] = {"accepted", "awaited", "refused", "live", "back", "reverted", "failed", "slow", "missing"};
	size_t at = strlen(d->said);
	snprintf(d->said + at, sizeof(d->said) - at, "%s%s %s%s%s\n", task->track == AO_ROLLOUT_CANARY ? "canary " : "", NEWS[task->news],
		 task->digest ? task->digest : "nothing", task->key ? " " : "", task->key ? task->key : "");
}

static inline void written(driver *d)
{
	uint64_t version = d->writing;
	d->writing = 0;
	ao_rollout_record_clear(&d->record);
	ao_machine_record(d->machine, &d->record);
	d->recorded = true;
	ao_machine_written(d->machine, version, true);
}

static inline void check(driver *d, const ao_task *task)
{
	bool raises = d->raises && strcmp(task->digest, d->raises) == 0 && strcmp(task->key, "n/a") == 0;
	ao_machine_checked(d->machine, task->track, task->key, task->digest,
			   &(ao_machine_check){raises ? AO_VERDICT_WRONG : AO_VERDICT_GOOD, "x.lua:1", !d->alike, false});
}

static inline void drive(driver *d)
{
	for (ao_task task; ao_machine_next(d->machine, &task);) {
		if (task.kind == AO_TASK_LOAD) {
			bool gone = d->missing && strcmp(task.digest, d->missing) == 0;
			ao_machine_loaded(d->machine, task.digest, gone ? AO_VERDICT_WRONG : AO_VERDICT_GOOD, "not kept");
		} else if (task.kind == AO_TASK_CASES && !d->slow) {
			ao_machine_cased(d->machine, task.track, task.digest, AO_VERDICT_GOOD, NULL);
		} else if (task.kind == AO_TASK_CHECK) {
			check(d, &task);
		} else if (task.kind == AO_TASK_SAY) {
			say(d, &task);
		} else if (task.kind == AO_TASK_WRITE) {
			d->writing = task.version;
			if (!d->deaf)
				written(d);
		}
	}
}

static const ao_machine_settings TWO = {.max_restarting = 2, .max_failed = 1, .ready_ms = 10000};

static inline void see(driver *d, int i, const char *has, bool ready)
{
	ao_machine_seen(d->machine, &(ao_machine_parent){.key = KEYS[i], .has = has, .ready = ready, .unsaid = d->unsaid});
	drive(d);
}

static inline void want(driver *d, const char *main, const char *canary, const char *selection)
{
	ao_rollout_choice choices[] = {{(char *)main, NULL}, {(char *)canary, (char *)selection}};
	ao_machine_want(d->machine, &choices[0], &choices[1]);
	drive(d);
}

/** A machine over parents that have these bundles, and what the predecessor wrote. */
static inline void lead(driver *d, ao_machine_settings settings, const char *const *has, const char *main, const char *canary,
			const char *selection)
{
	ao_machine_options options = {.settings = settings, .fallback = "built-in", .selects = selects, .arg = d};
	ao_machine_free(d->machine);
	d->machine = ao_machine_new(&options, d->recorded ? &d->record : NULL);
	d->writing = 0;
	d->said[0] = '\0';
	ao_machine_tick(d->machine, d->now);
	for (int i = 0; i < PARENTS; i++)
		see(d, i, has[i], true);
	want(d, main, canary, selection);
	ao_machine_synced(d->machine);
	drive(d);
}

static inline void end(driver *d)
{
	ao_machine_free(d->machine);
	ao_rollout_record_clear(&d->record);
}

static const char *const NONE[PARENTS];
static const char *const A[PARENTS] = {"a", "a", "a", "a", "a", "a"};

/** Everybody has `a`, and that is written. */
static inline void begin(driver *d, ao_machine_settings settings)
{
	*d = (driver){.now = 1000, .birds = {true, true}};
	d->record.tracks[AO_ROLLOUT_MAIN].live.digest = ao_xstrdup("a");
	ao_rollout_record_revise(&d->record, "a");
	d->recorded = true;
	lead(d, settings, A, "a", NULL, NULL);
	assert_string_equal(d->said, "");
}

static inline const char *serves(const driver *d, int i)
{
	const char *digest = ao_machine_serves(d->machine, KEYS[i]);
	return digest ? digest : "";
}

/** "aabb..": the last letter of what serves each; '-' for nobody. */
static inline const char *all(const driver *d)
{
	static char text[PARENTS + 1];
	for (int i = 0; i < PARENTS; i++) {
		const char *digest = serves(d, i);
		text[i] = *digest ? digest[strlen(digest) - 1] : '-';
	}
	return text;
}

static inline unsigned count(const driver *d, char letter)
{
	unsigned n = 0;
	for (const char *at = all(d); *at; at++)
		n += *at == letter;
	return n;
}

static inline void report(driver *d, int i, bool ready)
{
	ao_machine_reported(
	    d->machine,
	    &(ao_machine_report){
		.key = KEYS[i], .bundle = serves(d, i), .carried = true, .rolling_out = !ready, .ready = ready, .unsaid = d->unsaid});
	drive(d);
}

/** A pass for each, whose pods are ready at once but for those that `broken` serves. */
static inline void pass_all(driver *d, const char *broken)
{
	for (int i = 0; i < PARENTS; i++)
		if (*serves(d, i))
			report(d, i, !broken || strcmp(serves(d, i), broken) != 0);
}

static inline void wait(driver *d, uint64_t ms)
{
	for (uint64_t until = d->now + ms; d->now < until;) {
		d->now += 250;
		ao_machine_tick(d->machine, d->now);
		drive(d);
	}
}
