/* reconcile.c -- which parent gets a pass and when, what is remembered of it between passes, and what follows the end of a pass. */
#include "reconcile/reconcile.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "reconcile/finalizer.h"
#include "reconcile/pass.h"
#include "script/embedded.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SCHEMAS_INTERVAL_MS 10000
#define KEPT 4 /* one place in so many is for edits alone, which else wait for the answers to writes that nobody waits for */
#define STATUS_INTERVAL_MS 1000 /* a storm of changes in what belongs to a parent costs one pass a second */

static void free_parent(ao_parent *parent)
{
	ao_map_free_all(parent->memos);
	cJSON_Delete(parent->invalid);
	cJSON_Delete(parent->refused);
	cJSON_Delete(parent->waits);
	cJSON_Delete(parent->outdated);
	cJSON_Delete(parent->policy_error);
	cJSON_Delete(parent->changed);
	free(parent->beside);
	free(parent->recalled);
	free(parent->finalizing);
	free(parent->rendered);
	free(parent->carried);
	free(parent->uid);
	free(parent);
}

static void leave(ao_reconciler *r, ao_parent *parent)
{
	ao_queues_forget(r->with.queues, parent->uid);
	ao_map_remove(r->orphaning, parent->uid);
	r->untold -= parent->untold;
	free_parent(parent);
}

static void forget(ao_reconciler *r, const char *key)
{
	ao_parent *parent = ao_map_remove(r->parents, key);
	if (parent)
		leave(r, parent);
	ao_workqueue_forget(r->queue, key);
}

/** What we remember of this object; nothing when another object of the same name was there before. */
static ao_parent *remember(ao_reconciler *r, const ao_object *object)
{
	ao_parent *parent = ao_map_get(r->parents, object->key);
	if (parent && strcmp(parent->uid, object->uid) == 0)
		return parent;
	if (parent)
		leave(r, parent);
	parent = ao_xcalloc(1, sizeof(*parent));
	parent->uid = ao_xstrdup(object->uid);
	ao_map_put(r->parents, object->key, parent);
	parent->key = ao_map_key(r->parents, object->key);
	return parent;
}

static const char *const RESULTS[] = {"success", "error", "requeue", "requeue_after"};

static void count_result(ao_reconciler *r, const char *result, double count)
{
	ao_auto_str char *labels = ao_xasprintf("%s,result=\"%s\"", r->label, result);
	ao_metric_add(r->with.metrics, "controller_runtime_reconcile_total", labels, count);
}

/** Counts the pass the way controller-runtime's dashboards expect. */
static void count_pass(ao_reconciler *r, bool failed, bool refused, double requeue_after, uint64_t took_ms)
{
	count_result(r, failed ? "error" : requeue_after > 0 ? "requeue_after" : "success", 1);
	ao_metric_add(r->with.metrics, "controller_runtime_reconcile_errors_total", r->label, failed);
	ao_metric_add(r->with.metrics, "controller_runtime_terminal_reconcile_errors_total", r->label, refused);
	ao_metric_observe(r->with.metrics, "controller_runtime_reconcile_time_seconds", r->label, (double)took_ms / 1000);
}

/** In how many seconds the plan is to be made again: when it asked for that, or soon, when the pass itself has changed what it was made from. */
static double replan_after(const ao_reconciler *r, const ao_parent *parent)
{
	const ao_object *object = ao_store_get(ao_world_parents(r->with.world), parent->key);
	uint64_t now = ao_mono_ms(), due = parent->basis.due_ms;
	if (!object || object->deleting || r->with.is_held(r->with.arg, object))
		return 0; /* one that is held is planned when its turn comes */
	if (due)
		return due > now ? (double)(due - now) / 1000 : 1;
	return ao_plan_is_stale(r, parent, object) ? STATUS_INTERVAL_MS / 1000.0 : 0;
}

void ao_reconciler_finish(ao_pass *pass)
{
	ao_reconciler *r = pass->reconciler;
	ao_auto_str char *key = ao_xstrdup(pass->parent->key);
	bool failed = pass->outcome.failed, heals = pass->outcome.heals;
	double requeue_after = ao_pass_sooner(pass->outcome.requeue_after, replan_after(r, pass->parent));
	uint64_t took_ms = ao_mono_ms() - pass->started_ms;

	ao_parent *parent = pass->parent;
	ao_auto_str char *bundle = ao_xstrdup(pass->plan.bundle);
	ao_pass_report report = {.key = key,
				 .bundle = bundle,
				 .carried = *bundle && parent->settled && !parent->invalid && !parent->policy_error,
				 .failed = failed || pass->outcome.blocked,
				 .unsure = parent->unsure,
				 .ready = parent->ready,
				 .unsaid = parent->unsaid,
				 .rolling_out = parent->rolling_out,
				 .refused = parent->invalid || parent->policy_error};
	parent->pass = NULL;
	ao_pass_free(pass);
	parent->times.passes++;
	parent->times.failures += report.failed;
	parent->times.failed = report.failed;
	parent->times.ended_ms = ao_wall_ms();
	parent->times.pass_ms = took_ms;
	count_pass(r, report.failed, report.refused, requeue_after, took_ms);
	ao_debug(AO_CORE, key, "pass ended after %llu ms%s", (unsigned long long)took_ms, failed ? ", will be tried again" : "");
	bool gone = !ao_store_get(ao_world_parents(r->with.world), key), held = parent->held_ms != 0;
	ao_workqueue_done(r->queue, key, !failed || gone ? AO_WORKQUEUE_OK : heals ? AO_WORKQUEUE_RETRY : AO_WORKQUEUE_SELDOM);
	if (gone)
		forget(r, key);
	else if (!failed && requeue_after > 0)
		ao_workqueue_add_after(r->queue, key, held ? AO_WORKQUEUE_LAST : AO_WORKQUEUE_USUAL, (uint64_t)(requeue_after * 1000));
	if (r->with.on_pass && *bundle)
		r->with.on_pass(r->with.arg, &report);
}

/* ---- the beginning of a pass ---- */

static void note_child(void *arg, const ao_kind *kind, const ao_object *object)
{
	(void)kind;
	(void)object;
	*(bool *)arg = true;
}

bool ao_reconciler_has_traces(const ao_reconciler *r, const ao_object *object)
{
	bool has = (object->held.applied && !object->held.made) || object->held.applied_status;
	ao_world_each_child(r->with.world, object->uid, note_child, &has);
	return has;
}

/** All that it has of ours is taken away: nothing. Somebody may wait for that. */
static void report_nothing(const ao_reconciler *r, const ao_object *stub)
{
	const ao_reconciler_options *with = &r->with;
	if (!with->on_pass || with->is_held(with->arg, stub))
		return;
	with->on_pass(with->arg,
		      &(ao_pass_report){
			  .key = stub->key, .bundle = ao_bundle_digest(with->bundle_of(with->arg, stub)), .carried = true, .ready = true});
}

static void start_pass(void *arg, const char *key)
{
	ao_reconciler *r = arg;
	const ao_object *object = ao_store_get(ao_world_parents(r->with.world), key);
	const ao_parent *known = ao_map_get(r->parents, key);
	bool dropped = r->ending && !(known && known->held_ms);
	bool nothing = object && object->stub && !known && !ao_reconciler_has_traces(r, object); /* it was never ours, or is not any more */
	if (!object || dropped || nothing) {
		ao_auto_str char *gone = ao_xstrdup(key); /* the queue may free its own when it is told */
		ao_workqueue_done(r->queue, gone, AO_WORKQUEUE_OK);
		if (!object)
			forget(r, gone);
		else if (nothing && !dropped)
			report_nothing(r, object);
		return;
	}
	ao_pass_start(r, remember(r, object), object);
}

/* ---- schemas ---- */

/** The server may know kinds or fields by now that it did not know before (an upgrade of somebody's CRDs, say): those refused get a second
 * look. */
static void on_schemas(void *arg)
{
	ao_reconciler *r = arg;
	size_t cursor = 0;
	for (ao_parent *parent; (parent = ao_map_next(r->parents, &cursor, NULL));)
		if (parent->unfit && ao_openapi_version(r->with.openapi) != r->schemas_version) {
			parent->settled = false;
			ao_workqueue_add(r->queue, parent->key, AO_WORKQUEUE_USUAL);
		}
}

void ao_reconciler_doubt_schemas(ao_reconciler *r)
{
	uint64_t now = ao_mono_ms();
	if (r->schemas_ms && now - r->schemas_ms < SCHEMAS_INTERVAL_MS)
		return;
	r->schemas_ms = now;
	r->schemas_version = ao_openapi_version(r->with.openapi);
	ao_openapi_refresh(r->with.openapi, on_schemas, r);
}

/* ---- from outside ---- */

static void on_time(void *arg, bool worked, double seconds)
{
	const ao_reconciler *r = arg;
	ao_auto_str char *name = ao_xasprintf("name=%s", strchr(r->label, '"'));
	ao_metric_observe(r->with.metrics, worked ? "workqueue_work_duration_seconds" : "workqueue_queue_duration_seconds", name, seconds);
}

/** Of all that makes plans of a bundle: two builds between releases may share a name. */
static uint64_t build_digest(const char *name)
{
	uint64_t digest = ao_hash(AO_HASH_INIT, name, strlen(name) + 1);
	for (const ao_embedded *file = ao_embedded_sdk; file->name; file++)
		digest = ao_hash_words(digest, file->text, file->len);
	return digest;
}

ao_reconciler *ao_reconciler_new(const ao_reconciler_options *options)
{
	ao_reconciler *r = ao_xcalloc(1, sizeof(*r));
	r->with = *options;
	r->manifest = ao_world_manifest(options->world);
	r->build = build_digest(options->build);
	r->label = ao_xasprintf("controller=\"%s\"", r->manifest->kinds[0].resource.kind);
	for (char *c = r->label; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	for (size_t i = 0; i < AO_LEN(RESULTS); i++)
		count_result(r, RESULTS[i], 0);
	ao_metric_add(r->with.metrics, "controller_runtime_reconcile_errors_total", r->label, 0);
	ao_metric_add(r->with.metrics, "controller_runtime_terminal_reconcile_errors_total", r->label, 0);
	r->parents = ao_map_new();
	r->orphaning = ao_map_new();
	r->queue = ao_workqueue_new(
	    options->loop,
	    &(ao_workqueue_options){.max_active = options->max_concurrent, .kept = options->max_concurrent / KEPT, .on_time = on_time},
	    start_pass, r);
	return r;
}

void ao_reconciler_free(ao_reconciler *r)
{
	if (!r)
		return;
	size_t cursor = 0;
	for (ao_parent *parent; (parent = ao_map_next(r->parents, &cursor, NULL));) {
		if (parent->pass)
			ao_pass_free(parent->pass);
		free_parent(parent);
	}
	ao_map_free(r->parents);
	ao_map_free(r->orphaning);
	ao_workqueue_free(r->queue);
	free(r->label);
	free(r);
}

/**
 * kubectl delete --cascade=orphan: what there is goes on without its parent.  Only the finalizer "orphan" says so, and Kubernetes takes that
 * off in milliseconds, so it is looked for in each version of a parent, and not when its pass begins.
 */
static void note_orphaning(ao_reconciler *r, const char *key)
{
	const ao_object *object = ao_store_get(ao_world_parents(r->with.world), key);
	ao_auto_json cJSON *tree = NULL;
	if (object && object->deleting && ao_object_tree(object, &tree, NULL) == 0 && ao_finalizer_held(tree, "orphan"))
		ao_pass_note_orphaning(r, object->uid);
}

void ao_reconciler_parent_changed(ao_reconciler *r, const char *key)
{
	note_orphaning(r, key);
	ao_workqueue_add(r->queue, key, AO_WORKQUEUE_USUAL);
}

void ao_reconciler_parent_edited(ao_reconciler *r, const char *key)
{
	note_orphaning(r, key);
	ao_parent *parent = ao_map_get(r->parents, key);
	if (parent && parent->pass && !*parent->pass->plan.bundle) { /* it may be our finalizer, and its plan will see it in any case */
		ao_workqueue_add(r->queue, key, AO_WORKQUEUE_LAST);
		return;
	}
	if (parent)
		parent->edited = true;
	ao_workqueue_add(r->queue, key, AO_WORKQUEUE_FIRST);
}

void ao_reconciler_live_changed(ao_reconciler *r)
{
	size_t cursor = 0;
	for (ao_parent *parent; (parent = ao_map_next(r->parents, &cursor, NULL));) {
		if (!parent->wants_shared)
			continue;
		parent->settled = false;
		ao_workqueue_add(r->queue, parent->key, AO_WORKQUEUE_USUAL);
	}
}

void ao_reconciler_dependent_changed(ao_reconciler *r, const char *key)
{
	const ao_parent *parent = ao_map_get(r->parents, key);
	uint64_t since = parent && parent->status_ms ? ao_mono_ms() - parent->status_ms : STATUS_INTERVAL_MS;
	ao_workqueue_add_after(r->queue, key, AO_WORKQUEUE_LAST, since >= STATUS_INTERVAL_MS ? 0 : STATUS_INTERVAL_MS - since);
}

void ao_reconciler_pause(ao_reconciler *r) { ao_workqueue_pause(r->queue); }
void ao_reconciler_resume(ao_reconciler *r) { ao_workqueue_resume(r->queue); }

void ao_reconciler_end(ao_reconciler *r)
{
	size_t cursor = 0;
	for (const ao_parent *parent; (parent = ao_map_next(r->parents, &cursor, NULL));) {
		r->ending = r->ending || parent->held_ms || parent->pass; /* a pass under way must not hold back what it comes to */
		if (parent->held_ms)
			ao_workqueue_add(r->queue, parent->key, AO_WORKQUEUE_FIRST);
	}
	if (!r->ending)
		ao_workqueue_pause(r->queue);
}

bool ao_reconciler_ended(const ao_reconciler *r)
{
	ao_workqueue_stats stats = ao_workqueue_get_stats(r->queue);
	return !stats.active && !(r->ending && stats.waiting);
}

void ao_reconciler_collect(ao_reconciler *r)
{
	ao_metrics *m = r->with.metrics;
	ao_workqueue_stats stats = ao_workqueue_get_stats(r->queue);
	ao_auto_str char *name = ao_xasprintf("name=%s", strchr(r->label, '"'));
	ao_metric_set(m, "workqueue_depth", name, (double)stats.waiting);
	ao_metric_set(m, "workqueue_adds_total", name, (double)stats.adds);
	ao_metric_set(m, "workqueue_retries_total", name, (double)stats.retries);
	ao_metric_set(m, "workqueue_unfinished_work_seconds", name, stats.unfinished);
	ao_metric_set(m, "workqueue_longest_running_processor_seconds", name, stats.longest);
	ao_metric_set(m, "controller_runtime_active_workers", r->label, (double)stats.active);
	ao_metric_set(m, "controller_runtime_max_concurrent_reconciles", r->label, (double)r->with.max_concurrent);
}

bool ao_reconciler_all_planned(ao_reconciler *r)
{
	size_t cursor = 0;
	for (const ao_object *object; !r->all_planned && (object = ao_store_next(ao_world_parents(r->with.world), &cursor));) {
		const ao_parent *parent = ao_map_get(r->parents, object->key);
		if (!object->deleting && !object->stub && !(parent && *parent->bundle))
			return false;
	}
	r->all_planned = true;
	return true;
}

int ao_reconciler_snapshot(const ao_reconciler *r, const ao_object *object, cJSON **ret, ao_err **reterr)
{
	int code = ao_world_snapshot(r->with.world, object, ret, reterr);
	if (code == 0)
		ao_json_set(*ret, "queues", ao_queues_facts(r->with.queues, object->uid));
	return code;
}

int ao_reconciler_tell(const ao_reconciler *r, const ao_object *object, cJSON **ret_snapshot, cJSON **ret_times, ao_err **reterr)
{
	static const ao_parent unknown = {0};
	const ao_parent *known = ao_map_get(r->parents, object->key), *parent = known ? known : &unknown;
	const ao_pass_times *t = &parent->times;
	int code = ao_reconciler_snapshot(r, object, ret_snapshot, reterr);
	if (code < 0)
		return code;
	cJSON *times = *ret_times = cJSON_CreateObject();
	ao_json_set(times, "running", cJSON_CreateBool(parent->pass != NULL));
	ao_json_set(times, "settled", cJSON_CreateBool(parent->settled));
	ao_json_set(times, "passes", cJSON_CreateNumber((double)t->passes));
	ao_json_set(times, "failures", cJSON_CreateNumber((double)t->failures));
	if (!t->ended_ms)
		return 0;
	char ended[AO_TIME_TEXT];
	ao_time_text(t->ended_ms, ended);
	ao_json_set_str(times, "last_pass_ended", ended);
	ao_json_set(times, "last_pass_failed", cJSON_CreateBool(t->failed));
	ao_json_set(times, "last_pass_ms", cJSON_CreateNumber((double)t->pass_ms));
	ao_json_set(times, "last_plan_ms", cJSON_CreateNumber((double)t->plan_ns / 1e6));
	ao_json_set(times, "last_status_ms", cJSON_CreateNumber((double)t->status_ns / 1e6));
	return 0;
}
