/*
 * policies.c -- the machine's eyes: tells it of parents, passes, ConfigMaps, settings and the time as they change.
 *
 * Each event ends with ao_policies_turn_soon().  What the machine then wants done is done in the loop's next turn (errands.c).
 */
#include "rollout/policies.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/selection.h"
#include "rollout/policies_private.h"

#include <stdio.h>
#include <string.h>

#define LOOK_MS 20
#define GONE_MS 1000 /* one that has another label now is gone for one watch, and another one tells of it in a moment */
#define CONFIG_MS 2000
#define SETTLING_MS 50
#define TICK_MS 250

void ao_policies_turn_soon(ao_policies *p)
{
	if (p->machine && !ao_timer_active(p->turn))
		ao_timer_start(p->turn, 0);
}

void ao_policies_look_soon(ao_policies *p) { ao_timer_start(p->look, LOOK_MS); }
void ao_policies_reload(ao_policies *p) { ao_policies_look_soon(p); }

/* ---- which bundle serves a parent ---- */

static ao_variant *at_hand(const ao_policies *p, const char *digest) { return digest ? ao_map_get(p->variants, digest) : NULL; }

ao_variant *ao_policies_variant(const ao_policies *p, const char *digest)
{
	ao_variant *own[] = {p->fallback, p->basis, p->heading};
	ao_variant *variant = at_hand(p, digest);
	for (size_t i = 0; !variant && i < AO_LEN(own); i++)
		if (own[i] && strcmp(ao_variant_digest(own[i]), digest) == 0)
			variant = own[i];
	return variant;
}

static ao_variant *serves(const ao_policies *p, const ao_object *parent)
{
	return p->machine ? at_hand(p, ao_machine_serves(p->machine, parent->key)) : NULL;
}

ao_variant *ao_policies_spokesman(const ao_policies *p)
{
	ao_variant *live = p->machine ? at_hand(p, ao_machine_live(p->machine, AO_ROLLOUT_MAIN)) : NULL;
	ao_variant *goal = p->machine && !live ? at_hand(p, ao_machine_goal(p->machine, AO_ROLLOUT_MAIN)) : NULL;
	return live ? live : goal ? goal : p->basis;
}

ao_bundle *ao_policies_bundle_of(ao_policies *p, const ao_object *parent)
{
	const ao_variant *variant = serves(p, parent);
	return (variant ? variant : ao_policies_spokesman(p))->loaded.bundle;
}

/** Was it a parent until the manifest changed? */
static bool is_parting(const ao_policies *p, const ao_object *stub)
{
	const ao_seen_parent *seen = ao_map_get(p->parents, stub->key);
	return seen && seen->parting && strcmp(seen->uid, stub->uid) == 0;
}

/** Is the bundle at hand whose manifest says who is chosen? Another one may have to stand in for it. */
static bool knows_manifest(const ao_policies *p)
{
	const char *live = ao_machine_live(p->machine, AO_ROLLOUT_MAIN);
	return at_hand(p, live ? live : ao_machine_goal(p->machine, AO_ROLLOUT_MAIN));
}

bool ao_policies_holds(const ao_policies *p, const ao_object *parent)
{
	/* What a stub has is taken away, so it must be known that the manifest which does not choose it is that of what is live, and where
	 * that is news, its turn must have come.  A bundle that others had before may be missing. */
	if (parent->stub)
		return !p->machine || (is_parting(p, parent) ? ao_machine_waits(p->machine, parent->key) : !knows_manifest(p));
	return !serves(p, parent);
}

bool ao_policies_apart(const ao_policies *p, const ao_object *parent)
{
	const char *live = p->machine ? ao_machine_live(p->machine, AO_ROLLOUT_MAIN) : NULL;
	const ao_variant *variant = serves(p, parent);
	return live && (!variant || strcmp(ao_variant_digest(variant), live) != 0);
}

const cJSON *ao_policies_settings(const ao_policies *p) { return p->fallback->loaded.settings; }
ao_variant *ao_policies_live(const ao_policies *p)
{
	ao_variant *live = p->machine ? at_hand(p, ao_machine_live(p->machine, AO_ROLLOUT_MAIN)) : NULL;
	return live ? ao_variant_ref(live) : NULL;
}

/* ---- parents ---- */

static void forget_parent(ao_policies *p, const char *key)
{
	ao_seen_parent *seen = ao_map_get(p->parents, key);
	if (!seen)
		return;
	ao_machine_gone(p->machine, key);
	ao_map_remove(p->parents, key); /* which may free the key */
	p->parting -= seen->parting;
	free(seen->uid);
	free(seen);
}

/** @return have its spec or its labels changed since it was seen last? */
static bool note_parent(ao_policies *p, const ao_object *parent, const cJSON *tree, const char *has, bool said)
{
	const cJSON *labels = ao_json_at(tree, "metadata", "labels");
	uint64_t digest = labels ? ao_json_digest(labels) : 0;
	ao_seen_parent *seen = ao_map_get(p->parents, parent->key);
	bool changed = !seen || seen->generation != parent->generation || seen->labels != digest;
	if (!seen) {
		seen = ao_xcalloc(1, sizeof(*seen));
		seen->uid = ao_xstrdup(parent->uid);
		ao_map_put(p->parents, parent->key, seen);
	}
	snprintf(seen->has, sizeof(seen->has), "%s", has);
	seen->said = said;
	seen->generation = parent->generation;
	seen->labels = digest;
	p->parting += (size_t)parent->stub - seen->parting;
	seen->parting = parent->stub;
	return changed;
}

static void see_parent(ao_policies *p, const ao_object *parent)
{
	const ao_seen_parent *known = ao_map_get(p->parents, parent->key);
	char *const *path = ao_world_manifest(p->world)->bundle_path;
	ao_auto_json cJSON *tree = NULL;
	if (known && strcmp(known->uid, parent->uid) != 0)
		forget_parent(p, parent->key); /* another parent of this name */
	ao_object_tree(parent, &tree, NULL);   /* what cannot be read has no bundle and is not ready */
	const cJSON *digest = path ? ao_json_at_path(tree, path) : NULL, *status = ao_json_at(tree, "status");
	bool decorates = ao_world_manifest(p->world)->decorates; /* whether it is ready is not our doing */
	bool said = !decorates && cJSON_IsString(digest);
	ao_auto_str char *has = ao_xstrdup(said ? digest->valuestring : ao_has_of(p, parent));
	bool unsaid = !decorates && has && status && !ao_status_tells_ready(status),
	     changed = note_parent(p, parent, tree, has ? has : "", said);
	ao_machine_seen(p->machine, &(ao_machine_parent){.key = parent->key,
							 .has = has,
							 .ready = decorates || unsaid || ao_status_is_ready(status),
							 .unsaid = unsaid,
							 .deleting = parent->deleting,
							 .changed = changed});
}

void ao_policies_parent_changed(ao_policies *p, const char *key)
{
	if (!p->machine)
		return;
	const ao_object *parent = ao_store_get(ao_world_parents(p->world), key);
	ao_machine_tick(p->machine, ao_mono_ms());
	if (parent && (!parent->stub || is_parting(p, parent)))
		see_parent(p, parent);
	else
		forget_parent(p, key);
	ao_policies_turn_soon(p);
}

static bool selects(void *arg, const char *selection, const char *key)
{
	const ao_policies *p = arg;
	const ao_object *parent = ao_store_get(ao_world_parents(p->world), key);
	return parent && ao_selection_concerns(selection, parent);
}

void ao_policies_on_pass(ao_policies *p, const ao_pass_report *report)
{
	if (!p->machine)
		return;
	ao_seen_parent *seen = ao_map_get(p->parents, report->key);
	if (seen && report->carried && !report->failed)
		snprintf(seen->has, sizeof(seen->has), "%s", report->bundle);
	ao_machine_tick(p->machine, ao_mono_ms());
	ao_machine_reported(p->machine, &(ao_machine_report){.key = report->key,
							     .bundle = report->bundle,
							     .carried = report->carried,
							     .failed = report->failed,
							     .unsure = report->unsure,
							     .refused = report->refused,
							     .rolling_out = report->rolling_out,
							     .ready = report->ready,
							     .unsaid = report->unsaid});
	p->sweep = p->sweep || cJSON_GetArraySize(p->kinds); /* it may have taken the last object of a kind away */
	ao_policies_turn_soon(p);
}

/* ---- the machine's life ---- */

static void tell_machine(ao_policies *p)
{
	ao_rollout_choice choices[AO_ROLLOUT_TRACKS];
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++)
		choices[i] = (ao_rollout_choice){p->edits[i].digest, p->edits[i].selection};
	ao_machine_tick(p->machine, ao_mono_ms());
	ao_machine_set(p->machine, &p->settings);
	ao_machine_want(p->machine, &choices[AO_ROLLOUT_MAIN], &choices[AO_ROLLOUT_CANARY]);
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++) {
		ao_report_undone(p, track);
		ao_report_unmarked(p, track);
		if (ao_machine_trial(p->machine, track) == AO_TRIAL_NONE)
			ao_wanted_clear(&p->edits[track].wanted); /* it is loaded already, or refused */
	}
}

/** Obeys what people wrote while no operator led. */
static void hear_all(ao_policies *p)
{
	ao_informer *informers[] = {p->maps, p->canary_maps, p->records, p->named_maps};
	for (size_t i = 0; p->maps && i < AO_LEN(informers); i++) {
		size_t cursor = 0;
		for (const ao_object *map; informers[i] && (map = ao_store_next(ao_informer_store(informers[i]), &cursor));)
			if (informers[i] != p->records || map == ao_recall_map(p))
				ao_commands_hear(p, map, informers[i] == p->records, i == 1 ? AO_ROLLOUT_CANARY : AO_ROLLOUT_MAIN);
	}
}

/** An edit that replaces no pods does not wait for places. One that was chosen so, and loses everything instead, is to wait for its turn. */
static void unchoose_stubs(ao_policies *p)
{
	size_t cursor = 0;
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(p->world), &cursor));) {
		ao_rollout_mover *mover = parent->stub ? ao_rollout_record_mover(&p->record, parent->key) : NULL;
		if (mover && !mover->slot && !mover->done)
			ao_rollout_record_unmove(&p->record, mover);
	}
}

static void begin(ao_policies *p)
{
	size_t cursor = 0;
	unchoose_stubs(p);
	p->machine = ao_machine_new(
	    &(ao_machine_options){.settings = p->settings, .fallback = ao_variant_digest(p->fallback), .selects = selects, .arg = p},
	    p->recorded ? &p->record : NULL);
	ao_machine_tick(p->machine, ao_mono_ms());
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(p->world), &cursor));) {
		if (!parent->stub || ao_has_another(p, parent))
			see_parent(p, parent);
		if (parent->stub)
			ao_reconciler_parent_changed(p->reconciler, parent->key); /* it may have been held, or have been served already */
	}
	ao_has_all_seen(p);
	tell_machine(p);
	ao_machine_synced(p->machine);
	ao_report_refused_before(p, AO_ROLLOUT_MAIN);
	ao_report_refused_before(p, AO_ROLLOUT_CANARY);
	hear_all(p);
}

static void look(void *arg)
{
	ao_policies *p = arg;
	if (p->on_recalled) {
		ao_recall_go_on(p);
		return;
	}
	if (!p->reconciler) {
		ao_fallback_look(p);
		return;
	}
	if (!ao_world_synced(p->world) || p->writing.manifest) /* everything begins anew when that is written */
		return;
	if (p->on_started && ao_setting_files_settling(p->with.load->files)) {
		ao_timer_start(p->look, SETTLING_MS);
		return;
	}
	if (p->stuck) {
		ao_policies_try_start(p);
		return;
	}
	if (!ao_setting_namespaces_settled(p->with.load->namespaces))
		return; /* they would seem to say nothing any more; on_change of theirs looks again */
	if (!ao_edits_look(p))
		return;
	if (!p->machine)
		begin(p);
	else
		tell_machine(p);
	ao_put_back_look(p);
	ao_policies_turn_soon(p);
}

/** Passes may begin when it is known and recorded which bundles serve, and each of them is at hand or cannot be loaded. */
void ao_policies_try_start(ao_policies *p)
{
	void (*fn)(void *arg) = p->on_started;
	const char *goal = p->machine ? ao_machine_goal(p->machine, AO_ROLLOUT_MAIN) : NULL;
	bool begun = p->machine && ao_machine_begun(p->machine) && goal && (p->missing || (at_hand(p, goal) && !p->fetching));
	if (!fn || !(begun || p->stuck))
		return;
	p->on_started = NULL;
	ao_report_params(p);
	fn(p->on_started_arg);
}

/* ---- time ---- */

static void tick(void *arg)
{
	ao_policies *p = arg;
	if (p->writing.manifest && !p->writing.open)
		ao_errands_change_manifest(p);
	if (!p->machine)
		return;
	ao_machine_tick(p->machine, ao_mono_ms());
	ao_policies_turn_soon(p);
}

/** Those that are not chosen any more, and from whom all was taken, are no parents. */
static void forget_parted(ao_policies *p)
{
	size_t cursor = 0;
	const char *key;
	if (!p->parting || !ao_machine_begun(p->machine))
		return;
	for (const ao_seen_parent *seen; (seen = ao_map_next(p->parents, &cursor, &key));)
		if (seen->parting && !ao_machine_waits(p->machine, key))
			forget_parent(p, key);
}

static void turn(void *arg)
{
	ao_policies *p = arg;
	if (!p->machine)
		return;
	ao_errands_run(p);
	if (!p->machine)
		return; /* another manifest: everything begins anew */
	ao_policies_try_start(p);
	if (!ao_machine_busy(p->machine))
		forget_parted(p);
	else if (!ao_timer_active(p->tick))
		ao_timer_start(p->tick, TICK_MS);
}

/* ---- ConfigMaps ---- */

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	ao_policies *p = arg;
	if (change == AO_UPDATED && before->full_digest == object->full_digest)
		return;
	bool twice = informer == p->named_maps && ao_store_get(ao_informer_store(p->maps), object->key); /* the other watch tells of it */
	if (change != AO_DELETED && !twice)
		ao_commands_hear(p, object, false, informer == p->canary_maps ? AO_ROLLOUT_CANARY : AO_ROLLOUT_MAIN);
	ao_timer_start(p->look, change == AO_DELETED ? GONE_MS : LOOK_MS);
}

static void on_record_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	ao_policies *p = arg;
	(void)informer;
	if (strcmp(object->name, p->record_name) != 0 || (change == AO_UPDATED && before->full_digest == object->full_digest))
		return;
	if (change != AO_DELETED)
		ao_commands_hear(p, object, true, AO_ROLLOUT_MAIN);
	ao_recall_watch(p, change == AO_DELETED ? NULL : object);
}

static void on_maps_synced(void *arg, ao_informer *informer, bool absent)
{
	(void)informer, (void)absent;
	ao_policies_look_soon(arg);
}

static ao_informer *watch(ao_policies *p, const char *selector,
			  void (*fn)(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before))
{
	const ao_manifest *manifest = p->fallback->loaded.manifest;
	ao_informer *informer = ao_informer_new(p->with.loop, p->with.kube,
						&(ao_informer_options){
						    .resource = &ao_config_maps,
						    .namespace_ = p->with.namespace_,
						    .label_selector = selector,
						    .store = {.annotation = manifest->class_annotation,
							      .annotation_value = ao_load_scope(p->with.load)->class_,
							      .keep_managed = true},
						    .on_change = fn,
						    .on_synced = on_maps_synced,
						    .arg = p,
						});
	ao_informer_start(informer);
	return informer;
}

static void watch_all(ao_policies *p)
{
	const ao_manifest *manifest = p->fallback->loaded.manifest;
	const char *label = manifest->policies_label;
	ao_auto_str char *main = ao_xasprintf("%s=true", label), *canary = ao_xasprintf("%s-canary=true", label),
			 *record = ao_xasprintf("%s-record=true", label), *name = ao_edit_maps_named(manifest);
	p->maps = watch(p, main, on_change);
	p->canary_maps = watch(p, canary, on_change);
	p->records = watch(p, record, on_record_change);
	p->named_maps = name ? watch(p, name, on_change) : NULL; /* no selector says "or" */
}

void ao_policies_allow(ao_policies *p) { p->with.forbidden = false; }

void ao_policies_recall(ao_policies *p, ao_events *events, void (*fn)(void *arg), void *arg)
{
	p->events = events;
	p->on_recalled = fn;
	p->on_recalled_arg = arg;
	if (!p->maps && !p->with.forbidden && p->fallback->loaded.manifest->policies_label)
		watch_all(p);
	ao_policies_look_soon(p);
}

/** What looks at it finds out whether any text has changed. */
static void on_file(void *arg) { ao_policies_look_soon(arg); }

static void watch_files(ao_policies *p)
{
	const ao_load_options *load = p->with.load;
	const char *folder = ao_load_folder(load->bundle_dir);
	if (!p->config && load->config_file)
		p->config = ao_file_watch_new(p->with.loop, load->config_file, CONFIG_MS, on_file, p);
	if (!p->folder && folder)
		p->folder = ao_file_watch_new(p->with.loop, folder, CONFIG_MS, on_file, p);
}

void ao_policies_lead(ao_policies *p, ao_world *world, ao_reconciler *reconciler, const ao_openapi *openapi)
{
	p->world = world;
	p->reconciler = reconciler;
	p->openapi = openapi;
	watch_files(p);
}

void ao_policies_world_synced(ao_policies *p, void (*fn)(void *arg), void *arg)
{
	p->on_started = fn;
	p->on_started_arg = arg;
	ao_policies_look_soon(p);
}

void ao_policies_rest(ao_policies *p)
{
	size_t cursor = 0;
	ao_errands_stop(p);
	ao_timer_stop(p->look);
	ao_timer_stop(p->turn);
	ao_timer_stop(p->tick);
	ao_timer_stop(p->anew);
	ao_machine_free(p->machine);
	p->machine = NULL;
	for (ao_seen_parent *seen; (seen = ao_map_next(p->parents, &cursor, NULL));) {
		free(seen->uid);
		free(seen);
	}
	ao_map_free(p->parents);
	p->parents = ao_map_new();
	p->parting = 0;
	ao_map_free_all(p->edited); /* who leads meanwhile writes the annotations */
	p->edited = ao_map_new();
	ao_commands_forget(p, false);
	p->world = NULL;
	p->reconciler = NULL;
	p->on_started = NULL;
}

/* ---- the beginning and the end ---- */

static void make_writers(ao_policies *p)
{
	const ao_manifest *manifest = p->fallback->loaded.manifest;
	const ao_scope *scope = ao_load_scope(p->with.load);
	ao_auto_str char *state = ao_xasprintf("%s-state", manifest->policies_label),
			 *edited = ao_xasprintf("%s-edited", manifest->policies_label);
	p->record_name = ao_record_name(scope, manifest->component);
	p->notes = ao_annotations_new(p->with.kube, &ao_config_maps, state, manifest->field_manager);
	p->edit_notes = ao_annotations_new(p->with.kube, &ao_config_maps, edited, manifest->field_manager);
	p->archive = ao_archive_new(p->with.kube, p->with.namespace_, manifest, scope);
}

int ao_policies_new(const ao_policies_options *options, ao_policies **ret, ao_err **reterr)
{
	ao_policies *p = ao_xcalloc(1, sizeof(*p));
	p->with = *options;
	int r = ao_fallback_load(p, reterr);
	if (r < 0) {
		free(p->edits[AO_ROLLOUT_MAIN].trouble);
		free(p);
		return r;
	}
	p->subject = options->load->beside_others ? p->fallback->loaded.manifest->component : NULL;
	p->basis = ao_variant_ref(p->fallback);
	p->variants = ao_map_new();
	p->parents = ao_map_new();
	p->unkept = ao_map_new();
	p->heard = ao_map_new();
	p->edited = ao_map_new();
	p->look = ao_timer_new(options->loop, look, p);
	p->turn = ao_timer_new(options->loop, turn, p);
	p->tick = ao_timer_new(options->loop, tick, p);
	p->anew = ao_timer_new(options->loop, ao_kinds_anew, p);
	make_writers(p);
	if (p->edits[AO_ROLLOUT_MAIN].trouble)
		watch_files(p); /* who stands by says so until they are put right */
	ao_info(AO_POLICY, p->subject, "bundle %s with %d policies", ao_variant_digest(p->fallback),
		cJSON_GetArraySize(ao_bundle_policies(p->fallback->loaded.bundle)));
	*ret = p;
	return 0;
}

void ao_policies_free(ao_policies *p)
{
	if (!p)
		return;
	size_t cursor = 0;
	ao_policies_rest(p);
	ao_commands_forget(p, true);
	ao_archive_free(p->archive);
	for (ao_variant *v; (v = ao_map_next(p->variants, &cursor, NULL));)
		ao_variant_unref(v);
	ao_map_free(p->variants);
	ao_variant_unref(p->fallback);
	ao_variant_unref(p->basis);
	ao_variant_unref(p->heading);
	cJSON_Delete(p->kinds);
	ao_annotations_free(p->notes);
	ao_annotations_free(p->edit_notes);
	ao_informer_free(p->maps);
	ao_informer_free(p->canary_maps);
	ao_informer_free(p->named_maps);
	ao_informer_free(p->records);
	ao_timer_free(p->look);
	ao_timer_free(p->turn);
	ao_timer_free(p->tick);
	ao_timer_free(p->anew);
	ao_file_watch_free(p->config);
	ao_file_watch_free(p->folder);
	ao_rollout_record_clear(&p->record);
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++)
		ao_edit_clear(&p->edits[i]);
	ao_map_free(p->parents);
	ao_map_free_all(p->had);
	ao_map_free_all(p->unkept);
	ao_map_free(p->heard);
	ao_map_free_all(p->edited);
	free(p->record_name);
	free(p->record_text);
	free(p->recalling);
	free(p->stuck);
	free(p->missing);
	free(p->missing_digest);
	free(p->unwritable);
	free(p->noted);
	free(p);
}
