/* edits.c -- what sources and settings want of each track, and how fast it may go. */
#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "rollout/policies_private.h"
#include "rollout/record_text.h"

#include <string.h>

#define MAX_RESTARTING 5
#define MAX_FAILED 1
#define READY_S 300
#define MIN_READY_S 1 /* a pass takes some time */
#define AGAIN_MS 1000 /* after the sandbox's clock has stopped us */
#define MAX_AGAIN_MS 60000

/** What was said last, by files and namespaces, is in the bundle that parents are on their way to: what cannot be seen turns none back. */
static const ao_variant *said_last(const ao_policies *p)
{
	const char *goal = p->machine ? ao_machine_goal(p->machine, AO_ROLLOUT_MAIN) : NULL;
	const ao_variant *variant = goal ? ao_policies_variant(p, goal) : p->machine ? NULL : p->heading;
	return variant ? variant : ao_policies_spokesman(p);
}

static const ao_store *store_of(ao_informer *informer) { return informer ? ao_informer_store(informer) : NULL; }

ao_edit_maps ao_edit_maps_of(const ao_policies *p, ao_rollout_track track)
{
	if (track == AO_ROLLOUT_CANARY)
		return (ao_edit_maps){.labelled = store_of(p->canary_maps)};
	return (ao_edit_maps){store_of(p->maps), store_of(p->named_maps)};
}

static ao_wanted_options wanted_options(const ao_policies *p)
{
	const ao_variant *last = said_last(p);
	return (ao_wanted_options){.load = p->with.load,
				   .maps = ao_edit_maps_of(p, AO_ROLLOUT_MAIN),
				   .canary_maps = ao_edit_maps_of(p, AO_ROLLOUT_CANARY),
				   .label = p->fallback->loaded.manifest->policies_label,
				   .profile_annotation = p->fallback->loaded.manifest->profile_annotation,
				   .last_settings = ao_bundle_settings(last->loaded.bundle),
				   .last_manifest = ao_bundle_manifest(last->loaded.bundle)};
}

int ao_edit_want(ao_policies *p, ao_rollout_track track, const char *digest, ao_err **reterr)
{
	ao_wanted *wanted = &p->edits[track].wanted;
	ao_wanted_options options = wanted_options(p);
	if (digest && wanted->all.count && strcmp(wanted->digest, digest) == 0)
		return 0;
	ao_wanted_clear(wanted);
	return ao_wanted_get(&options, track, wanted, reterr);
}

static double number(const cJSON *rollout, const char *name, double fallback)
{
	const cJSON *value = ao_json_at(rollout, name);
	return cJSON_IsNumber(value) && value->valuedouble >= 0 ? value->valuedouble : fallback;
}

/** "10%" is a share of all parents, "3" a number as 3 is. What is neither leaves the number as it is. @return the share; 0: the number counts */
static unsigned read_share(const char *text, double *number)
{
	char *end = NULL;
	double n = text ? strtod(text, &end) : 0;
	if (!(n >= 1))
		return 0;
	if (strcmp(end, "%") == 0)
		return n > 100 ? 100 : (unsigned)n;
	*number = *end ? *number : n;
	return 0;
}

cJSON *ao_edit_pace(const ao_policies *p)
{
	const ao_machine_settings *s = &p->settings;
	cJSON *pace = cJSON_CreateObject();
	if (s->max_percent) {
		ao_auto_str char *share = ao_xasprintf("%u%%", s->max_percent);
		ao_json_set_str(pace, "maxRestarting", share);
	} else {
		ao_json_set(pace, "maxRestarting", cJSON_CreateNumber(s->max_restarting));
	}
	ao_json_set(pace, "maxFailed", cJSON_CreateNumber(s->max_failed));
	ao_json_set(pace, "readySeconds", cJSON_CreateNumber((double)s->ready_ms / 1000));
	ao_json_set(pace, "minReadySeconds", cJSON_CreateNumber((double)s->min_ready_ms / 1000));
	ao_json_set(pace, "requireApproval", cJSON_CreateBool(s->require_approval));
	return pace;
}

/** @param rollout  the setting of that name; NULL: nothing is said */
static void read_pace(ao_policies *p, const cJSON *rollout)
{
	double restarting = number(rollout, "maxRestarting", MAX_RESTARTING);
	double ready = number(rollout, "readySeconds", READY_S);
	unsigned percent = read_share(ao_json_str(rollout, "maxRestarting"), &restarting);
	ao_auto_json cJSON *before = ao_edit_pace(p);
	p->settings = (ao_machine_settings){
	    .max_restarting = restarting >= 1 ? (unsigned)restarting : 1,
	    .max_percent = percent,
	    .max_failed = (unsigned)number(rollout, "maxFailed", MAX_FAILED),
	    .ready_ms = ready >= MIN_READY_S ? (uint64_t)(ready * 1000) : MIN_READY_S * 1000,
	    .min_ready_ms = (uint64_t)(number(rollout, "minReadySeconds", 0) * 1000),
	    .require_approval = cJSON_IsTrue(ao_json_at(rollout, "requireApproval")),
	};
	ao_auto_json cJSON *now = ao_edit_pace(p);
	if (p->machine && !ao_json_equal(before, now))
		ao_machine_rewrite(p->machine); /* a successor may have to go on by it */
}

static void set_edit(ao_edit *edit, const char *digest, const char *selection)
{
	if (!edit->digest || !digest || strcmp(edit->digest, digest) != 0)
		edit->denials = 0; /* what the one before it lacked is not what this one lacks */
	free(edit->digest);
	free(edit->selection);
	edit->digest = ao_xstrdup(digest);
	edit->selection = ao_xstrdup(selection);
}

/** Settings cannot be read, and never could in this process. What is on its way goes on as it did, and not as without settings. */
static void read_pace_from_before(ao_policies *p)
{
	const cJSON *said = ao_json_at(p->fallback->loaded.settings, "rollout");
	ao_auto_json cJSON *recorded = p->without_config && !said && p->record_text ? ao_record_pace(p->record_text) : NULL;
	read_pace(p, recorded ? recorded : said);
}

/** @return 0; -EINTR look again */
static int want_main(ao_policies *p, ao_err **reterr)
{
	ao_edit *edit = &p->edits[AO_ROLLOUT_MAIN];
	int r = ao_edit_want(p, AO_ROLLOUT_MAIN, NULL, reterr);
	if (r < 0)
		return r;
	set_edit(edit, edit->wanted.digest, NULL);
	if (!edit->wanted.wrong)
		read_pace(p, ao_json_at(edit->wanted.settings, "rollout"));
	else if (!p->settings.max_restarting)
		read_pace_from_before(p);
	return 0;
}

/** What ConfigMaps hold cannot be understood, and nobody before us in this process did: what the record says of the canary stays. */
static void want_recorded_canary(const ao_policies *p, ao_edit *edit)
{
	const ao_rollout_line *line = &p->record.tracks[AO_ROLLOUT_CANARY];
	const ao_rollout_choice *goal = line->stage == AO_ROLLOUT_FORWARD ? &line->to : &line->live;
	if (!p->machine && p->recorded && !edit->digest)
		set_edit(edit, goal->digest, goal->selection);
}

static int want_canary(ao_policies *p, ao_err **reterr)
{
	ao_auto_str char *selection = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_edit *edit = &p->edits[AO_ROLLOUT_CANARY];
	ao_wanted_options options = wanted_options(p);
	int r = ao_wanted_selection(&options, &selection, &err);
	ao_report_unread(p, AO_ROLLOUT_CANARY, r < 0 ? ao_err_text(err) : NULL);
	if (r < 0) {
		want_recorded_canary(p, edit);
		return 0; /* what was wanted before stays */
	}
	if (!selection) {
		ao_wanted_clear(&edit->wanted);
		set_edit(edit, NULL, NULL);
		return 0;
	}
	r = ao_edit_want(p, AO_ROLLOUT_CANARY, NULL, reterr);
	if (r == 0)
		set_edit(edit, edit->wanted.digest, selection);
	return r;
}

bool ao_edits_look(ao_policies *p)
{
	ao_auto_err ao_err *err = NULL;
	int r = want_main(p, &err);
	if (r == 0)
		r = want_canary(p, &err);
	if (r == 0) {
		p->interrupted = 0;
		return true;
	}
	uint64_t wait_ms = ao_backoff_ms(AGAIN_MS, MAX_AGAIN_MS, p->interrupted++);
	ao_warn(AO_POLICY, p->subject, "%s: tried again in %llu s", ao_err_text(err), (unsigned long long)wait_ms / 1000);
	ao_timer_start(p->look, wait_ms);
	return false;
}

void ao_edit_stop_cases(ao_edit *edit)
{
	ao_cases_free(edit->cases);
	ao_variant_unref(edit->cased);
	ao_sources_clear(&edit->case_files);
	edit->cases = NULL;
	edit->cased = NULL;
}

void ao_edit_clear(ao_edit *edit)
{
	ao_edit_stop_cases(edit);
	ao_check_sums_clear(&edit->sums);
	ao_wanted_clear(&edit->wanted);
	free(edit->digest);
	free(edit->selection);
	free(edit->trouble);
	free(edit->back);
	free(edit->unread);
}
