/*
 * policies.c -- decides what happens next: an edit is loaded, preflighted, rolled out, or taken back.
 *
 * There is at most one preflight and one rollout.  look() compares what the ConfigMaps hold with the bundle that serves, and starts the
 * first thing that has to be done.  It is called again when that has ended.
 */
#include "rollout/policies.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "rollout/policies_private.h"

#include <string.h>

#define LOOK_MS 20
#define CONFIG_MS 2000
#define SETTLING_MS 50
#define MAX_RESTARTING 5
#define MAX_FAILED 1
#define READY_MS 300000
#define AGAIN_MS 1000 /* after the sandbox's clock has stopped loading */
#define MAX_AGAIN_MS 60000
#define FIRST_TRIES 3 /* of loading at the start, where nothing waits for the loop */
#define PATIENCE 5    /* times that the clock may do so before the operator starts with what it has */

static void look_soon(ao_policies *p) { ao_timer_start(p->look, LOOK_MS); }

static void forget_refusal(ao_policies *p) { free(AO_TAKE(p->refused_by)); }

/* ---- which bundle serves a parent ---- */

static ao_variant *variant_of(ao_policies *p, const ao_object *parent)
{
	if (p->rollout && ao_rollout_holds(p->rollout, parent->key)) {
		ao_variant *held = ao_map_get(p->held_by, parent->key);
		if (held)
			return held;
	}
	return p->canary && ao_variant_concerns(p->canary, parent) ? p->canary : p->main;
}

ao_bundle *ao_policies_bundle_of(ao_policies *p, const ao_object *parent) { return variant_of(p, parent)->loaded.bundle; }

static ao_bundle *bundle_of(void *arg, const ao_object *parent) { return ao_policies_bundle_of(arg, parent); }

void ao_policies_on_pass(ao_policies *p, const ao_pass_report *report)
{
	if (p->rollout)
		ao_rollout_on_pass(p->rollout, report);
}

void ao_policies_parent_changed(ao_policies *p, const char *key)
{
	if (!p->refused_by || strcmp(p->refused_by, key) != 0)
		return;
	ao_info(AO_POLICY, key, "it has changed: the policies that were rejected because of it are tried again");
	forget_refusal(p);
	free(AO_TAKE(p->rejected[p->refused_track]));
	look_soon(p);
}

bool ao_policies_holds(const ao_policies *p, const ao_object *parent) { return p->rollout && ao_rollout_holds(p->rollout, parent->key); }

void ao_policies_reload(ao_policies *p) { look_soon(p); }

ao_variant *ao_policies_live(const ao_policies *p) { return ao_variant_ref(p->main); }

/* ---- the rollout ---- */

static void forget_held(ao_policies *p)
{
	size_t cursor = 0;
	for (ao_variant *v; (v = ao_map_next(p->held_by, &cursor, NULL));)
		ao_variant_unref(v);
	ao_map_free(p->held_by);
	p->held_by = ao_map_new();
}

static void redo(void *arg, const char *key) { ao_reconciler_redo(((ao_policies *)arg)->reconciler, key); }

static void set_variant(ao_variant **slot, ao_variant *variant)
{
	ao_variant *old = *slot;
	*slot = variant ? ao_variant_ref(variant) : NULL;
	ao_variant_unref(old);
}

/** Gives all parents their old bundle back. Those that the new one had reached get their old plan again. */
static void fall_back(ao_policies *p, const char *why)
{
	const ao_variant *failed = p->track == AO_TRACK_MAIN ? p->main : p->canary;
	if (failed)
		ao_policies_taken_back(p, p->track, failed, why);
	if (p->track == AO_TRACK_MAIN) {
		set_variant(&p->main, p->good);
		p->with.on_live(p->with.arg);
	} else {
		set_variant(&p->canary, NULL);
	}
	ao_rollout_each_released(p->rollout, redo, p);
}

static void on_rolled_out(void *arg, const char *failed)
{
	ao_policies *p = arg;
	ao_rollout *rollout = p->rollout;
	if (failed && p->track != AO_TRACK_UNCANARY)
		fall_back(p, failed);
	else
		ao_policies_rolled_out(p, p->track);
	if (!failed && p->track == AO_TRACK_MAIN) {
		set_variant(&p->good, p->main);
		ao_policies_record(p);
	}
	p->rollout = NULL;
	ao_rollout_free(rollout);
	forget_held(p);
	look_soon(p);
}

static double number(const ao_variant *v, const char *name, double fallback)
{
	const cJSON *value = ao_json_at(v->loaded.settings, "rollout", name);
	return cJSON_IsNumber(value) && value->valuedouble >= 0 ? value->valuedouble : fallback;
}

/** Each parent that changes keeps its old bundle until its turn comes. */
static void start_rollout(ao_policies *p, ao_map *changes)
{
	size_t cursor = 0;
	const char *key;
	double restarting = number(p->main, "maxRestarting", MAX_RESTARTING);
	ao_map *held_by = ao_map_new();
	while (ao_map_next(changes, &cursor, &key)) {
		const ao_object *parent = ao_store_get(ao_world_parents(p->world), key);
		if (parent)
			ao_map_put(held_by, key, ao_variant_ref(variant_of(p, parent)));
	}
	ao_rollout_free(p->rollout);
	forget_held(p);
	ao_map_free(p->held_by);
	p->held_by = held_by;
	p->rollout = ao_rollout_start(&(ao_rollout_options){
	    .loop = p->with.loop,
	    .world = p->world,
	    .reconciler = p->reconciler,
	    .bundle = ao_variant_digest(p->candidate),
	    .changes = changes,
	    .max_restarting = restarting >= 1 ? (size_t)restarting : 1,
	    .max_failed = (size_t)number(p->main, "maxFailed", MAX_FAILED),
	    .ready_ms = (uint64_t)(number(p->main, "readySeconds", READY_MS / 1000) * 1000),
	    .on_done = on_rolled_out,
	    .arg = p,
	});
}

/* ---- the preflight ---- */

/** Called once it is known which bundle serves. */
static void tell_started(ao_policies *p)
{
	void (*fn)(void *arg) = p->on_started;
	p->on_started = NULL;
	p->first = false; /* from now on some bundle was live */
	ao_policies_note_params(p);
	if (fn)
		fn(p->on_started_arg);
}

static void drop_candidate(ao_policies *p)
{
	ao_variant_unref(p->candidate);
	p->candidate = NULL;
}

/** Drops everything that was made for the old manifest. The new bundle is live at once, without a rollout. */
static void change_manifest(ao_policies *p)
{
	set_variant(&p->main, p->candidate);
	set_variant(&p->good, p->candidate);
	drop_candidate(p);
	ao_policies_record(p);
	ao_info(AO_POLICY, NULL, "the manifest has changed: starting all watches again");
	p->with.on_manifest(p->with.arg);
}

static void go_live(ao_policies *p, ao_preflight_result *result)
{
	if (p->track == AO_TRACK_MAIN && !ao_variant_same_manifest(p->main, p->candidate)) {
		change_manifest(p);
		return;
	}
	if (p->first &&
	    p->track == AO_TRACK_MAIN) { /* no bundle was live before, so there is nothing to roll out; a canary always has a rollout */
		set_variant(&p->good, p->candidate);
		set_variant(&p->main, p->candidate);
		ao_preflight_changes_free(AO_TAKE(result->changes));
		result->changes = ao_map_new();
	}
	start_rollout(p, AO_TAKE(result->changes)); /* before the slots change: it looks up which bundle serves each parent now */
	if (p->track == AO_TRACK_MAIN)
		set_variant(&p->main, p->candidate);
	else
		set_variant(&p->canary, p->track == AO_TRACK_CANARY ? p->candidate : NULL);
	drop_candidate(p);
	if (p->track == AO_TRACK_MAIN)
		p->with.on_live(p->with.arg);
	tell_started(p);
}

static void on_preflight(void *arg, ao_preflight_result *result)
{
	ao_policies *p = arg;
	p->preflight = NULL;
	if (result->error && p->track != AO_TRACK_UNCANARY) {
		const char *key = result->key;
		ao_auto_str char *why = ao_xasprintf("%s%s%s", key ? key : "", key ? ": " : "", result->error);
		ao_policies_rejected(p, p->track, p->candidate, why);
		p->refused_by = ao_xstrdup(key);
		p->refused_track = p->track;
		drop_candidate(p);
		look_soon(p);
		return;
	}
	ao_policies_accepted(p, p->track, result);
	go_live(p, result);
}

static void on_interrupted(void *arg, unsigned times)
{
	ao_policies *p = arg;
	if (p->on_started && times == PATIENCE)
		tell_started(p);
}

/** A canary that is taken back, or another one that takes its place, concerns those that the old one served, too. */
static bool concerns(void *arg, const ao_object *parent)
{
	const ao_policies *p = arg;
	bool had = p->canary && ao_variant_concerns(p->canary, parent);
	switch (p->track) {
	case AO_TRACK_MAIN:
		return !had;
	case AO_TRACK_CANARY:
		return ao_variant_concerns(p->candidate, parent);
	case AO_TRACK_UNCANARY:
		return had;
	}
	return false;
}

static void start_preflight(ao_policies *p, ao_track track, ao_variant *candidate)
{
	ao_preflight_cancel(p->preflight);
	drop_candidate(p);
	forget_refusal(p);
	p->candidate = candidate;
	p->track = track;
	ao_cases *cases = AO_TAKE(p->cases);
	p->preflight = ao_preflight_start(&(ao_preflight_options){
	    .loop = p->with.loop,
	    .world = p->world,
	    .openapi = p->openapi,
	    .candidate = candidate->loaded.bundle,
	    .cases = cases,
	    .bundle_of = bundle_of,
	    .concerns = concerns,
	    .on_interrupted = on_interrupted,
	    .on_done = on_preflight,
	    .arg = p,
	});
}

/* ---- what is to be done ---- */

static void add_list(cJSON *items, const ao_informer *informer)
{
	size_t cursor = 0;
	const ao_store *store = informer ? ao_informer_store((ao_informer *)informer) : NULL;
	for (const ao_object *object; store && (object = ao_store_next(store, &cursor));) {
		cJSON *tree = NULL;
		if (!object->deleting && ao_object_tree(object, &tree, NULL) == 0)
			cJSON_AddItemToArray(items, tree);
	}
}

static cJSON *list_of(const ao_informer *informer)
{
	cJSON *list = cJSON_CreateObject();
	add_list(cJSON_AddArrayToObject(list, "items"), informer);
	return list;
}

/** Nobody is to blame for what the sandbox's clock stops. */
static void try_again(ao_policies *p, ao_track track, const ao_err *err)
{
	uint64_t wait_ms = ao_backoff_ms(AGAIN_MS, MAX_AGAIN_MS, p->interrupted[track]++);
	ao_warn(AO_POLICY, NULL, "%s: tried again in %llu s", ao_err_text(err), (unsigned long long)wait_ms / 1000);
	ao_timer_start(p->look, wait_ms);
}

/** Loads it, with its cases. @return NULL when there is nothing new to try */
static ao_variant *new_candidate(ao_policies *p, ao_track track, const cJSON *const *lists, const ao_variant *serving, const char *selector,
				 const char *percent)
{
	ao_variant *candidate = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = ao_variant_load(p->with.load, lists, &candidate, &err);
	if (r == 0 && track == AO_TRACK_CANARY)
		r = ao_variant_limit(candidate, selector, percent, &err);
	const char *mark = r < 0 ? ao_err_text(err) : ao_variant_digest(candidate);
	bool whole = r == 0, again = p->rejected[track] && strcmp(p->rejected[track], mark) == 0;
	bool same = r == 0 && serving && strcmp(ao_variant_digest(serving), mark) == 0 && serving->percent == candidate->percent &&
		    strcmp(serving->selector ? serving->selector : "", candidate->selector ? candidate->selector : "") == 0;
	ao_cases_free(AO_TAKE(p->cases));
	if (r == 0 && !again && !same)
		r = ao_variant_cases(p->with.load, candidate, &p->cases, &err);
	if (r == -EINTR) {
		try_again(p, track, err);
		ao_variant_unref(candidate);
		return NULL;
	}
	p->interrupted[track] = 0;
	if (r < 0 && !again)
		ao_policies_rejected(p, track, whole ? candidate : NULL, ao_err_text(err));
	if (same && p->rejected[track]) { /* the edit was undone */
		free(p->rejected[track]);
		p->rejected[track] = NULL;
		ao_policies_rolled_out(p, track);
	}
	if (r == 0 && !again && !same)
		return candidate;
	ao_variant_unref(candidate);
	return NULL;
}

/** @return true when a preflight was started */
static bool look_at_canary(ao_policies *p, const cJSON *main_list)
{
	ao_auto_json cJSON *list = list_of(p->canary_maps);
	const cJSON *first = cJSON_GetArrayItem(ao_json_at(list, "items"), 0);
	if (!first) {
		free(p->rejected[AO_TRACK_CANARY]);
		p->rejected[AO_TRACK_CANARY] = NULL;
		if (p->canary)
			start_preflight(p, AO_TRACK_UNCANARY, ao_variant_ref(p->main));
		return p->canary != NULL;
	}
	const char *label = p->main->loaded.manifest->policies_label;
	ao_auto_str char *selector_key = ao_xasprintf("%s-canary-selector", label), *percent_key = ao_xasprintf("%s-canary-percent", label);
	const cJSON *annotations = ao_json_at(first, "metadata", "annotations");
	ao_variant *candidate = new_candidate(p, AO_TRACK_CANARY, (const cJSON *const[]){main_list, list, NULL}, p->canary,
					      ao_json_str(annotations, selector_key), ao_json_str(annotations, percent_key));
	if (candidate && !ao_variant_same_manifest(p->main, candidate)) {
		ao_policies_rejected(p, AO_TRACK_CANARY, candidate, "a canary cannot change the manifest");
		ao_variant_unref(candidate);
		candidate = NULL;
	}
	if (candidate)
		start_preflight(p, AO_TRACK_CANARY, candidate);
	return candidate != NULL;
}

/** At the start it is better to have the right policies a little later, but not to do nothing for ever. */
static bool is_worth_waiting_for(const ao_policies *p)
{
	unsigned times = p->interrupted[AO_TRACK_MAIN];
	return p->on_started && times && times < PATIENCE;
}

static void look(void *arg)
{
	ao_policies *p = arg;
	if (!p->reconciler || !ao_world_synced(p->world))
		return;
	if (p->maps && (!ao_informer_synced(p->maps) || !ao_informer_synced(p->canary_maps)))
		return;
	if (p->on_started && ao_setting_files_settling(p->with.load->files)) {
		ao_timer_start(p->look, SETTLING_MS);
		return;
	}
	ao_auto_json cJSON *list = list_of(p->maps);
	ao_preflight_cancel(p->preflight);
	p->preflight = NULL;
	drop_candidate(p);
	ao_variant *candidate = new_candidate(p, AO_TRACK_MAIN, (const cJSON *const[]){list, NULL}, p->main, NULL, NULL);
	if (candidate)
		start_preflight(p, AO_TRACK_MAIN, candidate);
	else if (is_worth_waiting_for(p))
		return;
	else if (p->rollout || !look_at_canary(p, list))
		tell_started(p);
}

/* ---- watching ---- */

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	(void)informer, (void)object;
	if (change != AO_UPDATED || before->full_digest != object->full_digest)
		look_soon(arg);
}

static void on_maps_synced(void *arg, ao_informer *informer, bool absent)
{
	(void)informer, (void)absent;
	look_soon(arg);
}

static ao_informer *watch(ao_policies *p, const char *suffix)
{
	ao_auto_str char *selector = ao_xasprintf("%s%s=true", p->main->loaded.manifest->policies_label, suffix);
	ao_informer *informer = ao_informer_new(p->with.loop, p->with.kube,
						&(ao_informer_options){
						    .resource = &p->resource,
						    .namespace_ = p->with.namespace_,
						    .label_selector = selector,
						    .store = {.annotation = p->main->loaded.manifest->class_annotation,
							      .annotation_value = ao_load_scope(p->with.load)->class_},
						    .on_change = on_change,
						    .on_synced = on_maps_synced,
						    .arg = p,
						});
	ao_informer_start(informer);
	return informer;
}

static void on_config(void *arg)
{
	const ao_policies *p = arg;
	ao_info(AO_POLICY, NULL, "%s has changed", p->with.load->config_file);
	look_soon(arg);
}

void ao_policies_lead(ao_policies *p, ao_world *world, ao_reconciler *reconciler, const ao_openapi *openapi, ao_events *events)
{
	p->world = world;
	p->reconciler = reconciler;
	p->openapi = openapi;
	p->events = events;
	if (!p->config && p->with.load->config_file)
		p->config = ao_file_watch_new(p->with.loop, p->with.load->config_file, CONFIG_MS, on_config, p);
	if (!p->maps && !p->forbidden && p->main->loaded.manifest->policies_label) {
		p->maps = watch(p, "");
		p->canary_maps = watch(p, "-canary");
	}
}

void ao_policies_world_synced(ao_policies *p, void (*fn)(void *arg), void *arg)
{
	p->on_started = fn;
	p->on_started_arg = arg;
	look_soon(p);
}

void ao_policies_rest(ao_policies *p)
{
	ao_preflight_cancel(p->preflight);
	p->preflight = NULL;
	drop_candidate(p);
	ao_cases_free(AO_TAKE(p->cases));
	ao_rollout_free(p->rollout);
	p->rollout = NULL;
	forget_held(p);
	ao_timer_stop(p->look);
	p->world = NULL;
	p->reconciler = NULL;
}

/* ---- the beginning and the end ---- */

char *ao_policies_live_name(const ao_scope *scope, const char *component)
{
	ao_auto_str char *base = ao_xasprintf("%s-policies-live", component);
	return ao_scope_name(scope, base);
}

static void read_live(const cJSON *live, ao_sources *ret)
{
	const cJSON *file;
	cJSON_ArrayForEach (file, ao_json_at(live, "data"))
		if (cJSON_IsString(file))
			ao_sources_put(ret, file->string, file->valuestring, strlen(file->valuestring), "live");
}

static int load_first(ao_policies *p, const ao_policies_found *found, ao_err **reterr)
{
	ao_auto_sources ao_sources live = {0};
	ao_auto_err ao_err *err = NULL;
	read_live(found->live, &live);
	int r = -EINTR;
	for (unsigned tries = 0; r == -EINTR && tries < FIRST_TRIES; tries++)
		r = ao_variant_load_files(p->with.load, &live, &p->main, &err);
	if (r == 0)
		return 0;
	ao_load_options builtin = *p->with.load;
	if (!live.count && !builtin.policies_dir) { /* what was tried just now are the built-in policies */
		if (reterr)
			*reterr = AO_TAKE(err);
		return r;
	}
	builtin.policies_dir = NULL;
	ao_auto_str char *which = live.count ? ao_xstrdup("that were live cannot be used any more")
					     : ao_xasprintf("in %s cannot be used", p->with.load->policies_dir);
	ao_error(AO_POLICY, NULL, "the policies %s, the built-in ones serve: %s", which, ao_err_text(err));
	p->trouble = ao_xstrdup(ao_err_text(err));
	return ao_variant_load_files(&builtin, &(ao_sources){0}, &p->main, reterr);
}

/**
 * At the very first start no bundle is known to be good yet.  Then the ConfigMaps may serve from the start if they load.  Their preflight
 * comes before the first pass.
 */
int ao_policies_new(const ao_policies_options *options, const ao_policies_found *found, ao_policies **ret, ao_err **reterr)
{
	ao_policies *p = ao_xcalloc(1, sizeof(*p));
	p->with = *options;
	p->recorded = found->live != NULL;
	p->forbidden = found->forbidden;
	p->first = !p->recorded;
	p->resource = (ao_resource){.api_version = (char *)"v1", .kind = (char *)"ConfigMap", .plural = (char *)"configmaps"};
	int r = load_first(p, found, reterr);
	if (r < 0) {
		free(p->trouble);
		free(p);
		return r;
	}
	p->good = ao_variant_ref(p->main);
	p->held_by = ao_map_new();
	p->look = ao_timer_new(options->loop, look, p);
	ao_info(AO_POLICY, NULL, "bundle %s with %d policies", ao_variant_digest(p->main),
		cJSON_GetArraySize(ao_bundle_policies(p->main->loaded.bundle)));
	*ret = p;
	return 0;
}

void ao_policies_free(ao_policies *p)
{
	if (!p)
		return;
	ao_policies_rest(p);
	ao_annotations_free(p->notes);
	ao_informer_free(p->maps);
	ao_informer_free(p->canary_maps);
	ao_timer_free(p->look);
	ao_file_watch_free(p->config);
	ao_variant_unref(p->main);
	ao_variant_unref(p->good);
	ao_variant_unref(p->canary);
	ao_map_free(p->held_by);
	for (size_t i = 0; i < AO_LEN(p->rejected); i++)
		free(p->rejected[i]);
	free(p->refused_by);
	free(p->trouble);
	free(p->noted);
	free(p);
}
