/* errands.c -- does what the machine wants done: loads bundles, runs cases and checks in slices, and asks for passes. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define SLICE_MS 5
#define REWRITE_MS 1000 /* a record that could not be written */
#define MAX_DENIALS 2   /* a server may learn of a right a little after who gave it went on: this makes three seconds */

/* ---- bundles ---- */

static bool fits(const ao_policies *p, const ao_variant *variant)
{
	ao_auto_json cJSON *watched = ao_kinds_manifest(p);
	return ao_manifest_fits(ao_bundle_manifest(variant->loaded.bundle), watched);
}

/** When the sandbox's clock or a server stops something, nobody is to blame. */
static void note_wait(const char *key, const char *what, const char *why, uint64_t wait_ms)
{
	if (wait_ms)
		ao_warn(AO_POLICY, key, "%s%s: tried again in %llu s", what, why ? why : "", (unsigned long long)wait_ms / 1000);
}

static void arrived(ao_policies *p, const char *digest, ao_variant *variant)
{
	const char *live = ao_machine_live(p->machine, AO_ROLLOUT_MAIN);
	ao_variant_unref(ao_map_put(p->variants, digest, variant));
	if (!ao_archive_has(p->archive, digest))
		ao_machine_rewrite(p->machine); /* if the record names it, its texts were lost */
	if (p->missing_digest && strcmp(p->missing_digest, digest) == 0)
		ao_report_found(p);
	if (live && strcmp(live, digest) == 0)
		p->with.on_live(p->with.arg);
}

static void loaded(ao_policies *p, const char *digest, ao_variant *variant, ao_verdict verdict, const char *why)
{
	if (p->recalling && strcmp(p->recalling, digest) == 0) {
		ao_recall_loaded(p, variant, verdict, why);
		return;
	}
	if (!p->machine) {
		ao_variant_unref(variant);
		return;
	}
	const char *wanted = p->edits[AO_ROLLOUT_MAIN].digest;
	ao_auto_str char *unwatched = NULL;
	bool other = variant && !fits(p, variant);
	if (other && !(wanted && strcmp(wanted, digest) == 0))
		unwatched = ao_xstrdup("its manifest names other kinds than those that are watched now");
	else if (variant && !other && !ao_kinds_take(p, variant, &unwatched) && !unwatched) {
		ao_variant_unref(variant);
		return;
	}
	if (unwatched) {
		ao_variant_unref(variant);
		variant = NULL;
		verdict = AO_VERDICT_WRONG;
		why = unwatched;
	}
	if (variant)
		arrived(p, digest, variant);
	uint64_t wait_ms = ao_machine_loaded(p->machine, digest, variant ? AO_VERDICT_GOOD : verdict, why);
	note_wait(NULL, "", why, wait_ms);
	ao_policies_turn_soon(p);
}

static ao_verdict verdict_of(int error) { return error == -EINTR ? AO_VERDICT_AGAIN : AO_VERDICT_WRONG; }

/** @return false: this track does not want that bundle */
static bool load_wanted(ao_policies *p, ao_rollout_track track, const char *digest)
{
	ao_wanted *wanted = &p->edits[track].wanted;
	ao_auto_err ao_err *err = NULL;
	ao_variant *variant = NULL;
	int r = ao_edit_want(p, track, digest, &err);
	if (r == 0 && strcmp(wanted->digest, digest) != 0)
		return false;
	if (r == 0 && wanted->wrong)
		r = ao_err_set(&err, -EINVAL, "%s", wanted->wrong);
	if (r == 0 && p->maps)
		r = ao_archive_check(&wanted->all, wanted->seen, &err);
	if (r == 0)
		r = ao_variant_load(p->with.load, &wanted->all, wanted->settings, wanted->seen, &variant, &err);
	loaded(p, digest, variant, verdict_of(r), r < 0 ? ao_err_text(err) : NULL);
	return true;
}

static void on_fetched(void *arg, const char *digest, ao_sources *sources, const cJSON *seen, const ao_err *error)
{
	ao_policies *p = arg;
	ao_auto_err ao_err *err = NULL;
	ao_variant *variant = NULL;
	p->fetching--;
	if (error) {
		bool lost = error->code == -ENOENT || error->code == -EINVAL;
		if (lost)
			ao_archive_forget(p->archive, digest);
		loaded(p, digest, NULL, lost ? AO_VERDICT_WRONG : AO_VERDICT_AGAIN, ao_err_text(error));
	} else {
		int r = ao_variant_load_kept(p->with.load, sources, seen, &variant, &err);
		loaded(p, digest, variant, verdict_of(r), r < 0 ? ao_err_text(err) : NULL);
	}
}

void ao_errands_load(ao_policies *p, const char *digest)
{
	ao_variant *variant = ao_policies_variant(p, digest);
	if (variant) {
		loaded(p, digest, ao_variant_ref(variant), AO_VERDICT_GOOD, NULL);
		return;
	}
	if (load_wanted(p, AO_ROLLOUT_MAIN, digest) || load_wanted(p, AO_ROLLOUT_CANARY, digest))
		return;
	if (!p->maps) {
		loaded(p, digest, NULL, AO_VERDICT_WRONG, "its texts are not kept, because ConfigMaps cannot be read here");
		return;
	}
	p->fetching++;
	ao_archive_get(p->archive, digest, on_fetched, p);
}

/** Frees bundles that are not needed any more, and has their kinds watched no more. */
static void sweep(ao_policies *p)
{
	size_t cursor = 0;
	const char *digest;
	p->sweep = false;
	for (ao_variant *v; (v = ao_map_next(p->variants, &cursor, &digest));)
		if (ao_machine_drop(p->machine, digest)) {
			ao_map_remove(p->variants, digest);
			ao_variant_unref(v);
			cursor = 0;
		}
	ao_kinds_spare(p);
}

/* ---- cases ---- */

/** The files of a bundle: with it, unless they are kept in the cluster by now; then those that are wanted are the same. */
static const ao_sources *files_of(ao_policies *p, const ao_variant *variant, ao_rollout_track track)
{
	ao_wanted *wanted = &p->edits[track].wanted;
	if (variant->sources.count)
		return &variant->sources;
	if (!wanted->all.count && ao_edit_want(p, track, NULL, NULL) < 0)
		return NULL;
	return strcmp(wanted->digest, ao_variant_digest(variant)) == 0 ? &wanted->all : NULL;
}

/** The cases are among the files of ConfigMaps. A bundle whose files are not there any more has no cases. */
static void begin_cases(ao_policies *p, const ao_task *task)
{
	ao_edit *edit = &p->edits[task->track];
	ao_variant *variant = ao_map_get(p->variants, task->digest);
	ao_auto_sources ao_sources all = {0};
	ao_check_sums_clear(&edit->sums);
	ao_edit_stop_cases(edit);
	if (task->track == AO_ROLLOUT_CANARY && variant && !fits(p, variant)) {
		ao_machine_cased(p->machine, task->track, task->digest, AO_VERDICT_WRONG, "a canary cannot change the manifest");
		return;
	}
	bool denied = false;
	ao_auto_str char *trouble = variant ? ao_kinds_trouble(p, variant, &denied) : NULL;
	if (denied && edit->denials++ < MAX_DENIALS) {
		note_wait(NULL, "preflight: ", trouble, ao_machine_cased(p->machine, task->track, task->digest, AO_VERDICT_AGAIN, trouble));
		return;
	}
	edit->denials = 0;
	if (trouble) {
		ao_machine_cased(p->machine, task->track, task->digest, AO_VERDICT_WRONG, trouble);
		return;
	}
	const ao_sources *files = variant && strcmp(edit->wanted.digest, task->digest) == 0 ? files_of(p, variant, task->track) : NULL;
	if (!files) {
		ao_machine_cased(p->machine, task->track, task->digest, AO_VERDICT_GOOD, NULL);
		return;
	}
	ao_sources_put_all(&edit->case_files, &edit->wanted.own);
	ao_sources_put_all(&all, files);
	edit->cased = ao_variant_ref(variant);
	edit->cases = ao_cases_new(&edit->cased->loaded, &all, &edit->case_files);
}

/** @return true: there is more to do at once */
static bool next_case(ao_policies *p, ao_rollout_track track)
{
	ao_edit *edit = &p->edits[track];
	ao_auto_err ao_err *err = NULL;
	if (!edit->cases)
		return false;
	int r = ao_cases_next(edit->cases, &err);
	if (r > 0)
		return true;
	ao_verdict verdict = r == 0 ? AO_VERDICT_GOOD : verdict_of(r);
	ao_auto_str char *digest = ao_xstrdup(ao_variant_digest(edit->cased));
	ao_edit_stop_cases(edit);
	const char *why = r < 0 ? ao_err_text(err) : NULL;
	note_wait(NULL, "preflight: ", why, ao_machine_cased(p->machine, track, digest, verdict, why));
	return true;
}

/* ---- checks ---- */

static void check(ao_policies *p, const ao_task *task)
{
	const ao_object *parent = ao_store_get(ao_world_parents(p->world), task->key);
	const char *served = ao_machine_serves(p->machine, task->key);
	const char *lives = ao_machine_live(p->machine, task->track);
	const ao_variant *serving = served ? ao_map_get(p->variants, served) : NULL, *candidate = ao_map_get(p->variants, task->digest);
	const ao_variant *live = lives ? ao_map_get(p->variants, lives) : NULL;
	ao_auto_err ao_err *err = NULL;
	ao_machine_check verdict = {.verdict = AO_VERDICT_GOOD};
	if (parent && parent->stub)
		verdict.restarts = true; /* everything is taken from it, and that is not done to all at once either */
	else if (parent && candidate)
		ao_check_parent(&(ao_check_options){p->reconciler, p->world, p->openapi, serving ? serving->loaded.bundle : NULL,
						    candidate->loaded.bundle, live ? live->loaded.bundle : NULL},
				parent, &verdict, &p->edits[task->track].sums, &err);
	ao_auto_str char *key = ao_xstrdup(task->key), *digest = ao_xstrdup(task->digest);
	note_wait(key, "preflight: ", verdict.why, ao_machine_checked(p->machine, task->track, key, digest, &verdict));
}

/* ---- the record ---- */

void ao_errands_written(ao_policies *p, bool good)
{
	if (p->writing.manifest) {
		if (!good) {
			ao_timer_start(p->tick, REWRITE_MS);
			return;
		}
		p->writing.manifest = false;
		ao_report_news(p, &(ao_task){.news = AO_NEWS_LIVE, .digest = p->record.tracks[AO_ROLLOUT_MAIN].live.digest});
		ao_info(AO_POLICY, p->subject, "the manifest has changed: starting all watches again");
		p->with.on_manifest(p->with.arg);
		return;
	}
	if (!p->machine)
		return;
	ao_machine_tick(p->machine, ao_mono_ms());
	ao_machine_written(p->machine, p->writing.version, good);
	p->sweep = p->sweep || cJSON_GetArraySize(p->kinds); /* what the record does not name is not needed */
	ao_policies_turn_soon(p);
}

static void write_record(ao_policies *p, const ao_task *task)
{
	ao_rollout_record record;
	p->writing.version = task->version;
	ao_machine_record(p->machine, &record);
	ao_record_write_start(p, &record);
}

/**
 * The world that is watched is made for another manifest: the bundle is live at once in the record, and what was begun for that world ends.
 * Who leads then brings parents to it at the usual pace.
 */
static void leave_world(ao_policies *p, const char *digest)
{
	ao_record_write_stop(p);
	ao_rollout_record_clear(&p->record);
	ao_machine_record(p->machine, &p->record);
	ao_rollout_line *main = &p->record.tracks[AO_ROLLOUT_MAIN];
	ao_rollout_choice_set(&main->live, digest, NULL);
	ao_rollout_choice_clear(&main->to);
	main->stage = AO_ROLLOUT_REST;
	ao_rollout_record_revise(&p->record, digest);
	const ao_edit *canary = &p->edits[AO_ROLLOUT_CANARY];
	if (canary->digest) /* it may fit the world to come */
		ao_rollout_record_pardon(&p->record, AO_ROLLOUT_CANARY, &(ao_rollout_choice){canary->digest, canary->selection});
	ao_machine_free(p->machine);
	p->machine = NULL;
	p->writing.manifest = true;
	ao_errands_change_manifest(p);
}

void ao_errands_change_manifest(ao_policies *p)
{
	ao_rollout_record record;
	ao_rollout_record_copy(&p->record, &record);
	ao_record_write_start(p, &record);
}

/* ---- all of it ---- */

/** @return false when the machine is gone */
static bool say(ao_policies *p, const ao_task *task)
{
	const ao_variant *variant = task->digest ? ao_map_get(p->variants, task->digest) : NULL;
	ao_report_news(p, task);
	p->sweep = true;
	if (task->news == AO_NEWS_ACCEPTED && task->track == AO_ROLLOUT_MAIN && variant && !fits(p, variant)) {
		ao_auto_str char *digest = ao_xstrdup(task->digest);
		leave_world(p, digest);
		return false;
	}
	if (task->news == AO_NEWS_LIVE && task->track == AO_ROLLOUT_MAIN)
		p->with.on_live(p->with.arg);
	return true;
}

/** @return false when the machine is gone */
static bool run(ao_policies *p, const ao_task *task)
{
	switch (task->kind) {
	case AO_TASK_LOAD:
		ao_errands_load(p, task->digest);
		break;
	case AO_TASK_CASES:
		begin_cases(p, task);
		break;
	case AO_TASK_CHECK:
		check(p, task);
		break;
	case AO_TASK_REDO:
		ao_reconciler_parent_changed(p->reconciler, task->key);
		break;
	case AO_TASK_WRITE:
		write_record(p, task);
		break;
	case AO_TASK_SAY:
		return say(p, task);
	}
	return true;
}

/** An edit of the manifest is live at once: no news of it comes when the last parent has left what was there before. */
static void forget_missing(ao_policies *p)
{
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++) {
		ao_rollout_counts counts;
		ao_machine_count(p->machine, track, &counts);
		if (counts.moving || counts.waiting)
			return;
	}
	if (p->missing_digest && !ao_machine_uses(p->machine, p->missing_digest))
		ao_report_unused(p);
}

void ao_errands_run(ao_policies *p)
{
	uint64_t until_ms = ao_mono_ms() + SLICE_MS;
	ao_task task;
	for (bool more = true; more;) {
		if (ao_timer_active(p->anew))
			return; /* the world is about to be made anew: nothing else is begun */
		more = ao_machine_next(p->machine, &task);
		if (more && !run(p, &task))
			return;
		for (ao_rollout_track track = 0; !more && track < AO_ROLLOUT_TRACKS; track++)
			more = next_case(p, track);
		if (more && ao_mono_ms() >= until_ms) {
			ao_timer_start(p->turn, 1);
			return;
		}
	}
	if (p->sweep)
		sweep(p);
	forget_missing(p);
}

void ao_errands_stop(ao_policies *p)
{
	ao_record_write_stop(p);
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++)
		ao_edit_stop_cases(&p->edits[i]);
}
