/* report.c -- tells people what became of an edit: log, Event, annotation, metrics, /readyz. */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define MAX_SUMMARY 600  /* bytes */
#define SUMMARY_GROUPS 5 /* of equal changes */

static const char *const LABELS[] = {"policies", "canary policies"};

static const char *label_of(const ao_task *news)
{
	return news->track == AO_ROLLOUT_CANARY && !news->digest ? "the end of canary policies" : LABELS[news->track];
}

/* ---- on the ConfigMaps ---- */

void ao_report_event(ao_policies *p, const ao_object *map, bool warning, const char *reason, const char *note)
{
	ao_event about = ao_event_about(&ao_config_maps, map->namespace_, map->name, map->uid);
	if (p->events)
		ao_events_say(p->events, about, warning, reason, "LoadPolicies", note);
}

void ao_report_record(ao_policies *p, bool warning, const char *reason, const char *note)
{
	const ao_object *map = ao_recall_map(p);
	if (warning)
		ao_error(AO_POLICY, p->subject, "%s", note);
	else
		ao_info(AO_POLICY, p->subject, "%s", note);
	if (map)
		ao_report_event(p, map, warning, reason, note);
}

/** The last ConfigMap after this one, in the order of names, that has a file of this name; NULL: there is none. */
static const ao_object *other_with(const ao_edit_maps *maps, const ao_object *map, const char *file)
{
	const ao_object *found = NULL;
	ao_edit_cursor cursor = {0};
	for (const ao_object *each; (each = ao_edit_maps_next(maps, &cursor));) {
		ao_auto_json cJSON *tree = NULL;
		if (strcmp(each->name, found ? found->name : map->name) > 0 && ao_object_tree(each, &tree, NULL) == 0 &&
		    ao_json_at(tree, "data", file))
			found = each;
	}
	return found;
}

/** Which files of this ConfigMap do not count, because another one has them, too. @return NULL: all count; the caller frees */
static char *outdone(const ao_edit_maps *maps, const ao_object *map)
{
	ao_auto_json cJSON *tree = NULL;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_SUMMARY);
	const cJSON *file;
	if (ao_object_tree(map, &tree, NULL) < 0)
		return NULL;
	cJSON_ArrayForEach (file, ao_json_at(tree, "data")) {
		const ao_object *other = other_with(maps, map, file->string);
		if (other)
			ao_buf_printf(&text, "%s%s is superseded by ConfigMap %s", text.len ? ", " : "", file->string, other->name);
	}
	return ao_xstrdup(text.data);
}

static void annotate(ao_policies *p, const ao_edit_maps *maps, const ao_object *map, const char *note)
{
	ao_auto_str char *files = outdone(maps, map), *whole = files ? ao_xasprintf("%s; %s", note, files) : ao_xstrdup(note);
	ao_annotations_put(p->notes, map->namespace_, map->name, whole);
}

/** Writes an Event and the annotation on every ConfigMap of a track. */
static void say(ao_policies *p, ao_rollout_track track, bool warning, const char *reason, const char *note)
{
	const ao_edit_maps maps = ao_edit_maps_of(p, track);
	ao_edit_cursor cursor = {0};
	for (const ao_object *map; (map = ao_edit_maps_next(&maps, &cursor));) {
		ao_report_event(p, map, warning, reason, note);
		annotate(p, &maps, map, note);
	}
}

static char *live_text(const ao_policies *p, ao_rollout_track track, const char *digest)
{
	const char *plural = p->fallback->loaded.manifest->kinds[0].resource.plural;
	bool canary = track == AO_ROLLOUT_CANARY && digest;
	return ao_xasprintf("live: bundle %s%s%s%s", digest ? digest : "none", canary ? ", as a canary for the " : "", canary ? plural : "",
			    canary ? " that it selects" : "");
}

/** Does the bundle that is wanted serve everybody? */
static bool is_live(const ao_policies *p, ao_rollout_track track)
{
	const ao_edit *edit = &p->edits[track];
	const char *live = ao_machine_live(p->machine, track), *goal = ao_machine_goal(p->machine, track);
	return edit->digest && live && goal && strcmp(edit->digest, live) == 0 && strcmp(live, goal) == 0;
}

void ao_report_unmarked(ao_policies *p, ao_rollout_track track)
{
	const ao_edit_maps maps = is_live(p, track) && !p->edits[track].trouble ? ao_edit_maps_of(p, track) : (ao_edit_maps){0};
	ao_auto_str char *key = ao_xasprintf("%s-state", p->fallback->loaded.manifest->policies_label);
	ao_edit_cursor cursor = {0};
	for (const ao_object *map; (map = ao_edit_maps_next(&maps, &cursor));) {
		ao_auto_json cJSON *tree = NULL;
		if (ao_object_tree(map, &tree, NULL) < 0 || ao_json_at(tree, "metadata", "annotations", key))
			continue;
		ao_auto_str char *note = live_text(p, track, p->edits[track].digest);
		annotate(p, &maps, map, note);
	}
}

/* ---- what became of it ---- */

static void set_text(char **to, const char *text)
{
	char *copy = ao_xstrdup(text);
	free(*to);
	*to = copy;
}

static void count(ao_policies *p, const char *result)
{
	ao_auto_str char *labels = ao_xasprintf("result=\"%s\"", result);
	ao_metric_add(p->with.metrics, "policy_reloads_total", labels, 1);
}

static void bad_news(ao_policies *p, ao_rollout_track track, const char *reason, const char *note)
{
	ao_error(AO_POLICY, p->subject, "%s %s", LABELS[track], note);
	set_text(&p->edits[track].trouble, note);
	say(p, track, true, reason, note);
}

/** @param key  of the parent that it failed on; or NULL */
static void reject(ao_policies *p, ao_rollout_track track, const char *key, const char *why)
{
	ao_auto_str char *note = ao_xasprintf("rejected, nothing was changed: %s%s%s", key ? key : "", key ? ": " : "", why ? why : "");
	count(p, "rejected");
	bad_news(p, track, "PoliciesRejected", note);
}

static void refused(ao_policies *p, const ao_task *news) { reject(p, news->track, news->key, news->text); }

/** How many children, pods and queues, and what happens to most of them; as long as an Event can hold. */
static char *summary_of(const ao_policies *p, const ao_task *news)
{
	const ao_check_sums *s = &p->edits[news->track].sums;
	const char *plural = p->fallback->loaded.manifest->kinds[0].resource.plural;
	ao_changes_count count = s->changes ? ao_changes_count_all(s->changes) : (ao_changes_count){0};
	ao_auto_buf ao_buf what = ao_buf_init(MAX_SUMMARY);
	if (s->changes)
		ao_changes_summary(s->changes, plural, SUMMARY_GROUPS, &what);
	return ao_xasprintf(
	    "bundle %s passed on %zu of %s: %zu children change, %zu pods restart, %zu queues change, %zu more refused%s%s%s",
	    news->digest ? news->digest : "none", s->parents, plural, count.children, count.pods, count.queues, s->refused,
	    what.len ? " (" : "", what.data ? what.data : "", what.len ? ")" : "");
}

static void accepted(ao_policies *p, const ao_task *news)
{
	ao_auto_str char *note = summary_of(p, news);
	ao_info(AO_POLICY, p->subject, "%s: %s", label_of(news), note);
	set_text(&p->edits[news->track].trouble, NULL);
	set_text(&p->edits[news->track].back, NULL);
	count(p, "accepted");
	if (news->digest)
		say(p, news->track, false, "PoliciesAccepted", note);
}

static void awaited(ao_policies *p, const ao_task *news)
{
	ao_auto_str char *summary = summary_of(p, news);
	ao_auto_str char *note = ao_xasprintf("waits for approval (annotate this ConfigMap with %s-rollout=approve, or =abort): %s",
					      p->fallback->loaded.manifest->policies_label, summary);
	ao_info(AO_POLICY, p->subject, "%s: %s", label_of(news), note);
	say(p, news->track, false, "PoliciesAwaitApproval", note);
}

/** Is that what sources hold now? If not, they were refused, and what was said of that stays. */
static bool is_wanted(const ao_policies *p, const ao_task *news)
{
	const char *wanted = p->edits[news->track].digest;
	return wanted && news->digest ? strcmp(wanted, news->digest) == 0 : !wanted && !news->digest;
}

void ao_report_unused(ao_policies *p)
{
	set_text(&p->missing, NULL);
	set_text(&p->missing_digest, NULL);
}

static void live(ao_policies *p, const ao_task *news)
{
	ao_auto_str char *note = live_text(p, news->track, news->digest);
	ao_info(AO_POLICY, p->subject, "%s %s", label_of(news), note);
	if (is_wanted(p, news))
		set_text(&p->edits[news->track].trouble, NULL);
	if (is_wanted(p, news) && news->digest)
		say(p, news->track, false, "PoliciesLive", note);
	if (news->track != AO_ROLLOUT_MAIN)
		return;
	ao_report_unused(p); /* every parent has another one now */
	ao_report_params(p);
}

static void back(ao_policies *p, const ao_task *news)
{
	ao_auto_str char *note = ao_xasprintf("is being rolled back: %s", news->text);
	if (!is_wanted(p, news)) { /* a person has changed the sources back: nobody is to blame */
		ao_info(AO_POLICY, p->subject, "%s: bundle %s goes back: %s", LABELS[news->track], news->digest, news->text);
		return;
	}
	set_text(&p->edits[news->track].back, news->text);
	count(p, "rolled_back");
	bad_news(p, news->track, "PoliciesRolledBack", note);
}

static void reverted(ao_policies *p, const ao_task *news)
{
	ao_edit *edit = &p->edits[news->track];
	const char *now = ao_machine_live(p->machine, news->track);
	ao_auto_str char *note = edit->back ? ao_xasprintf("rolled back: %s", edit->back) : live_text(p, news->track, now);
	ao_info(AO_POLICY, p->subject, "%s %s", LABELS[news->track], note);
	if (edit->back || !ao_machine_refusal(p->machine, news->track)) { /* else what was said of a newer edit stays */
		say(p, news->track, edit->back != NULL, edit->back ? "PoliciesRolledBack" : "PoliciesLive", note);
		set_text(&edit->trouble, edit->back ? note : NULL);
	}
	set_text(&edit->back, NULL);
}

/** One parent that an edit has reached, and that is not ready. */
static void late(ao_policies *p, const ao_task *news)
{
	ao_auto_str char *note = ao_xasprintf("%s after bundle %s reached it: %s", news->news == AO_NEWS_FAILED ? "failed" : "is slow",
					      news->digest, news->text);
	ao_auto_str char *about = ao_xasprintf("%s %s", news->key, note);
	ao_warn(AO_POLICY, news->key, "%s", note);
	if (news->news == AO_NEWS_FAILED)
		say(p, news->track, true, "PoliciesFailedOn", about);
}

static void missing(ao_policies *p, const ao_task *news)
{
	ao_auto_str char *note = ao_xasprintf(
	    "bundle %s is in use and cannot be loaded, so the children of the parents that it serves are left as they are: %s. Make the "
	    "policies load again (see `check`), or wait: the bundle that is wanted now reaches them at the pace of a rollout",
	    news->digest, news->text);
	set_text(&p->missing_digest, news->digest);
	set_text(&p->missing, note);
	ao_report_record(p, true, "PoliciesMissing", note);
}

void ao_report_news(ao_policies *p, const ao_task *news)
{
	static void (*const TELL[])(ao_policies * p, const ao_task *news) = {
	    [AO_NEWS_ACCEPTED] = accepted, [AO_NEWS_AWAITED] = awaited, [AO_NEWS_REFUSED] = refused,
	    [AO_NEWS_LIVE] = live,         [AO_NEWS_BACK] = back,       [AO_NEWS_REVERTED] = reverted,
	    [AO_NEWS_FAILED] = late,       [AO_NEWS_SLOW] = late,       [AO_NEWS_MISSING] = missing,
	};
	TELL[news->news](p, news);
}

void ao_report_unread(ao_policies *p, ao_rollout_track track, const char *why)
{
	ao_edit *edit = &p->edits[track];
	bool same = why && edit->unread && strcmp(edit->unread, why) == 0;
	if (same || (!why && !edit->unread))
		return;
	set_text(&edit->unread, why);
	if (why)
		reject(p, track, NULL, why);
	else
		set_text(&edit->trouble, NULL);
}

void ao_report_undone(ao_policies *p, ao_rollout_track track)
{
	ao_edit *edit = &p->edits[track];
	const char *live = ao_machine_live(p->machine, track), *goal = ao_machine_goal(p->machine, track);
	if (track == AO_ROLLOUT_CANARY && !edit->digest && !edit->unread && !live && !goal)
		set_text(&edit->trouble, NULL); /* it was refused, and is not asked for any more */
	if (!edit->trouble || edit->unread || !is_live(p, track))
		return;
	ao_auto_str char *note = live_text(p, track, live);
	ao_info(AO_POLICY, p->subject, "%s %s", LABELS[track], note);
	set_text(&edit->trouble, NULL);
	say(p, track, false, "PoliciesLive", note);
}

void ao_report_refused_before(ao_policies *p, ao_rollout_track track)
{
	const ao_rollout_refusal *refusal = ao_machine_refusal(p->machine, track);
	if (!refusal)
		return;
	ao_auto_str char *note = ao_xasprintf("rejected before this start, nothing was changed: %s%s%s", refusal->key ? refusal->key : "",
					      refusal->key ? ": " : "", refusal->why ? refusal->why : "");
	ao_warn(AO_POLICY, p->subject, "%s %s", LABELS[track], note);
	set_text(&p->edits[track].trouble, note);
}

void ao_report_found(ao_policies *p)
{
	ao_info(AO_POLICY, p->subject, "bundle %s, which was missing, can be loaded again", p->missing_digest);
	ao_report_unused(p);
}

void ao_report_unwritable(ao_policies *p, const char *why)
{
	if (why && !p->unwritable)
		ao_warn(AO_POLICY, p->subject, "%s: a restart will not know which policies were live", why);
	set_text(&p->unwritable, why);
}

void ao_report_params(ao_policies *p)
{
	const ao_edit *edit = &p->edits[AO_ROLLOUT_MAIN];
	const ao_variant *speaks = ao_policies_spokesman(p);
	bool refused = edit->trouble && edit->digest && strcmp(edit->digest, ao_variant_digest(speaks)) != 0;
	const char *text = refused ? NULL : speaks->loaded.unclaimed; /* why it was refused may be these very parameters */
	if (text && (!p->noted || strcmp(p->noted, text) != 0))
		ao_warn(AO_POLICY, p->subject, "settings: %s", text);
	set_text(&p->noted, text);
}

/* ---- readiness and metrics ---- */

/** Why not everything that was asked for is done, or NULL. */
static const char *trouble_of(const ao_policies *p)
{
	const char *texts[] = {p->stuck, p->missing, p->unwritable, p->edits[AO_ROLLOUT_MAIN].trouble, p->edits[AO_ROLLOUT_CANARY].trouble,
			       p->noted};
	for (size_t i = 0; i < AO_LEN(texts); i++)
		if (texts[i])
			return texts[i];
	return NULL;
}

static void tell_track(const ao_policies *p, ao_rollout_track track, ao_buf *out)
{
	const char *live = ao_machine_live(p->machine, track), *goal = ao_machine_goal(p->machine, track);
	ao_rollout_counts counts;
	ao_machine_count(p->machine, track, &counts);
	bool moves = (goal && (!live || strcmp(goal, live) != 0)) || (live && !goal) || counts.moving || counts.waiting;
	if (!moves)
		return;
	ao_auto_str char *text = ao_counts_text(&counts);
	ao_buf_printf(out, "; %srollout of %s: %s", track == AO_ROLLOUT_CANARY ? "canary " : "", goal ? goal : "none", text);
}

void ao_policies_tell(const ao_policies *p, ao_buf *out)
{
	const char *live = p->machine ? ao_machine_live(p->machine, AO_ROLLOUT_MAIN) : NULL,
		   *canary = p->machine ? ao_machine_live(p->machine, AO_ROLLOUT_CANARY) : NULL, *trouble = trouble_of(p);
	const char *digest = live ? live : ao_variant_digest(p->basis);
	if (trouble)
		ao_buf_printf(out, "degraded, bundle %s serves: %s", digest, trouble);
	else
		ao_buf_printf(out, "bundle %s%s%s", digest, canary ? ", canary " : "", canary ? canary : "");
	for (ao_rollout_track track = 0; p->machine && track < AO_ROLLOUT_TRACKS; track++)
		tell_track(p, track, out);
}

static void info(ao_policies *p, const char *digest, const char *track)
{
	ao_auto_str char *labels = ao_xasprintf("digest=\"%s\",track=\"%s\"", digest, track);
	ao_metric_set(p->with.metrics, "policy_bundle_info", labels, 1);
}

static void collect_stage(ao_policies *p, ao_rollout_track track)
{
	static const char *const TRIALS[] = {"", "loading", "cases", "checks", "approval"}, *const STAGES[] = {"rest", "forward", "back"};
	ao_trial_stage trial = ao_machine_trial(p->machine, track);
	ao_rollout_stage stage = ao_machine_stage(p->machine, track);
	ao_auto_str char *labels = ao_xasprintf("track=\"%s\",stage=\"%s\"", track == AO_ROLLOUT_CANARY ? "canary" : "main",
						trial != AO_TRIAL_NONE ? TRIALS[trial] : STAGES[stage]);
	ao_metric_set(p->with.metrics, "policy_edit_stage", labels, 1);
}

/** Parents by the bundle that serves them. */
static void collect_parents(ao_policies *p)
{
	size_t cursor = 0;
	ao_auto_json cJSON *counts = cJSON_CreateObject();
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(p->world), &cursor));) {
		if (parent->stub)
			continue;
		const char *digest = ao_machine_serves(p->machine, parent->key);
		const cJSON *count = ao_json_at(counts, digest ? digest : "");
		ao_json_set(counts, digest ? digest : "", cJSON_CreateNumber((count ? count->valuedouble : 0) + 1));
	}
	ao_metric_clear(p->with.metrics, "policy_parents");
	const cJSON *each;
	cJSON_ArrayForEach (each, counts) {
		ao_auto_str char *labels = ao_xasprintf("digest=\"%s\"", each->string);
		ao_metric_set(p->with.metrics, "policy_parents", labels, each->valuedouble);
	}
}

void ao_policies_collect(ao_policies *p)
{
	ao_rollout_counts sum = {0};
	const char *live = p->machine ? ao_machine_live(p->machine, AO_ROLLOUT_MAIN) : NULL,
		   *canary = p->machine ? ao_machine_live(p->machine, AO_ROLLOUT_CANARY) : NULL;
	ao_metric_clear(p->with.metrics, "policy_bundle_info");
	info(p, live ? live : ao_variant_digest(p->basis), "live");
	if (canary)
		info(p, canary, "canary");
	ao_metric_set(p->with.metrics, "policy_bundle_degraded", "", trouble_of(p) != NULL);
	ao_metric_clear(p->with.metrics, "policy_edit_stage");
	for (ao_rollout_track track = 0; p->machine && track < AO_ROLLOUT_TRACKS; track++) {
		ao_rollout_counts counts;
		ao_machine_count(p->machine, track, &counts);
		collect_stage(p, track);
		sum.waiting += counts.waiting;
		sum.moving += counts.moving;
		sum.failed += counts.failed;
	}
	ao_metric_set(p->with.metrics, "policy_rollout_waiting", "", sum.waiting);
	ao_metric_set(p->with.metrics, "policy_rollout_restarting", "", sum.moving);
	ao_metric_set(p->with.metrics, "policy_rollout_failed", "", sum.failed);
	if (p->machine)
		collect_parents(p);
}
