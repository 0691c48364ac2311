/* reconcile.c -- which parent gets a pass and when; the beginning and the end of a pass.  carry.c and status.c are its middle. */
#include "reconcile/reconcile.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "policy/record.h"
#include "reconcile/finalizer.h"
#include "reconcile/pass.h"
#include "serve/instruments.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define SCHEMAS_INTERVAL_MS 60000
#define STATUS_INTERVAL_MS 1000 /* a storm of changes in what belongs to a parent costs one pass a second */

static void free_memos(ao_map *memos)
{
	size_t cursor = 0;
	for (ao_memo *memo; (memo = ao_map_next(memos, &cursor, NULL));)
		free(memo);
	ao_map_free(memos);
}

static void free_parent(ao_parent *parent)
{
	free_memos(parent->memos);
	cJSON_Delete(parent->invalid);
	cJSON_Delete(parent->policy_error);
	free(parent->rendered);
	free(parent->carried);
	free(parent->key);
	free(parent->uid);
	free(parent);
}

static void forget(ao_reconciler *r, const char *key)
{
	ao_parent *parent = ao_map_remove(r->parents, key);
	if (parent) {
		ao_queues_forget(r->with.queues, parent->uid);
		free_parent(parent);
	}
	ao_queue_forget(r->queue, key);
}

/** What we remember of this object; nothing when another object of the same name was there before. */
static ao_parent *remember(ao_reconciler *r, const ao_object *object)
{
	ao_parent *parent = ao_map_get(r->parents, object->key);
	if (parent && strcmp(parent->uid, object->uid) == 0)
		return parent;
	if (parent) {
		ao_queues_forget(r->with.queues, parent->uid);
		free_parent(parent);
	}
	parent = ao_xcalloc(1, sizeof(*parent));
	*parent = (ao_parent){.key = ao_xstrdup(object->key), .uid = ao_xstrdup(object->uid), .memos = ao_map_new()};
	ao_map_put(r->parents, object->key, parent);
	return parent;
}

const ao_object *ao_pass_object(const ao_pass *pass)
{
	const ao_object *object = ao_store_get(ao_world_parents(pass->reconciler->with.world), pass->parent->key);
	return object && strcmp(object->uid, pass->parent->uid) == 0 ? object : NULL;
}

ao_bundle *ao_pass_bundle(const ao_pass *pass, const ao_object *object)
{
	const ao_reconciler_options *with = &pass->reconciler->with;
	return with->bundle_of(with->arg, object);
}

cJSON *ao_pass_note_error(ao_pass *pass, const char *verb, const char *kind, const char *role, const char *name)
{
	cJSON *error = cJSON_CreateObject();
	ao_json_set_str(error, "role", role);
	ao_json_set_str(error, "kind", kind);
	ao_json_set_str(error, "name", name);
	ao_json_set_str(error, "verb", verb);
	cJSON_AddItemToArray(pass->errors, error);
	return error;
}

void ao_pass_error(ao_pass *pass, const char *verb, const ao_kind *kind, const char *role, const char *name, const ao_kube_answer *answer)
{
	cJSON *error = ao_pass_note_error(pass, verb, kind->resource.kind, role, name);
	ao_json_set(error, "code", cJSON_CreateNumber((double)answer->status));
	ao_json_set_str(error, "reason", answer->reason);
	ao_json_set_str(error, "message", answer->message);
	pass->failed = true;
	ao_instruments_apply(pass->reconciler->with.metrics, kind->resource.kind, "error");
	ao_warn(AO_CORE, pass->parent->key, "cannot %s %s %s: %s", verb, kind->resource.kind, name, answer->message);
}

void ao_pass_parent_error(ao_pass *pass, const char *verb, const ao_kube_answer *answer)
{
	const ao_object *object = ao_pass_object(pass);
	if (answer->error == -ENOENT)
		ao_debug(AO_CORE, pass->parent->key, "cannot %s it: %s", verb, answer->message);
	else if (object)
		ao_pass_error(pass, verb, &pass->reconciler->manifest->kinds[0], "parent", object->name, answer);
}

static void free_pass(ao_pass *pass)
{
	if (pass->call)
		ao_kube_cancel(pass->call);
	if (pass->apply)
		ao_apply_cancel(pass->apply);
	if (pass->remove)
		ao_remove_cancel(pass->remove);
	ao_shared_cancel(pass->reconciler->with.shared, pass);
	ao_queues_cancel(pass->reconciler->with.queues, pass);
	cJSON_Delete(pass->plan);
	cJSON_Delete(pass->errors);
	cJSON_Delete(pass->changed);
	free(pass->previous);
	free(pass->difference);
	free(pass->deleting_key);
	free(pass->left);
	free(pass->deleting_name);
	free(pass->deleting_uid);
	free(pass);
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

void ao_pass_finish(ao_pass *pass)
{
	ao_reconciler *r = pass->reconciler;
	ao_auto_str char *key = ao_xstrdup(pass->parent->key);
	bool failed = pass->failed;
	double requeue_after = pass->requeue_after;
	uint64_t took_ms = ao_mono_ms() - pass->started_ms;

	ao_parent *parent = pass->parent;
	ao_auto_str char *bundle = ao_xstrdup(pass->bundle);
	ao_pass_report report = {.key = key,
				 .bundle = bundle,
				 .carried = *bundle && parent->settled && !parent->invalid && !parent->policy_error,
				 .failed = failed || pass->blocked,
				 .rolling_out = parent->rolling_out,
				 .refused = parent->invalid || parent->policy_error};
	parent->pass = NULL;
	free_pass(pass);
	parent->times.passes++;
	parent->times.failures += report.failed;
	parent->times.failed = report.failed;
	parent->times.ended_ms = ao_wall_ms();
	parent->times.pass_ms = took_ms;
	count_pass(r, report.failed, report.refused, requeue_after, took_ms);
	ao_debug(AO_CORE, key, "pass ended after %llu ms%s", (unsigned long long)took_ms, failed ? ", will be tried again" : "");
	bool gone = !ao_store_get(ao_world_parents(r->with.world), key);
	ao_queue_done(r->queue, key, failed && !gone ? AO_QUEUE_RETRY : AO_QUEUE_OK);
	if (gone)
		forget(r, key);
	else if (!failed && requeue_after > 0)
		ao_queue_add_after(r->queue, key, (uint64_t)(requeue_after * 1000));
	if (r->with.on_pass && *bundle)
		r->with.on_pass(r->with.arg, &report);
}

/* ---- the beginning of a pass ---- */

typedef struct child_check {
	ao_parent *parent;
	size_t found;
	bool changed;
} child_check;

static void check_child(void *arg, const ao_kind *kind, const ao_object *object)
{
	child_check *check = arg;
	ao_auto_str char *id = ao_xasprintf("%s %s", kind->resource.kind, object->key);
	const ao_memo *memo = ao_map_get(check->parent->memos, id);
	check->found++;
	if (!memo || memo->observed != object->spec_digest)
		check->changed = true;
}

/** Would rendering again give what the last good pass gave, and is all of it still there? */
static bool nothing_to_carry_out(const ao_reconciler *r, const ao_pass *pass, const ao_object *object)
{
	ao_parent *parent = pass->parent;
	if (!parent->settled || parent->spec_digest != object->spec_digest || strcmp(parent->bundle, pass->bundle) != 0)
		return false;
	child_check check = {.parent = parent};
	ao_world_each_child(r->with.world, object->uid, check_child, &check);
	return !check.changed && check.found == ao_map_count(parent->memos);
}

/** Keeps the verdict on the parent that came with the plan, for status passes that do not render. */
static void remember_plan(ao_pass *pass)
{
	ao_parent *parent = pass->parent;
	cJSON_Delete(parent->invalid);
	parent->invalid = NULL;
	const cJSON *invalid = pass->plan ? ao_json_at(pass->plan, "invalid") : NULL;
	if (cJSON_IsObject(invalid))
		parent->invalid = cJSON_Duplicate(invalid, 1);
}

static void remember_policy_error(ao_pass *pass, const ao_plan_blame *blame, const ao_err *err)
{
	ao_parent *parent = pass->parent;
	ao_error(AO_POLICY, parent->key, "%s", ao_err_text(err));
	parent->policy_error = cJSON_CreateObject();
	ao_json_set_str(parent->policy_error, "policy", blame->policy);
	ao_json_set_str(parent->policy_error, "hook", blame->hook);
	ao_json_set_str(parent->policy_error, "message", ao_err_text(err));
	parent->unfit = strcmp(blame->hook, "schema") == 0;
	if (parent->unfit)
		ao_reconciler_doubt_schemas(pass->reconciler);
}

static int take_snapshot(const ao_reconciler *r, const ao_object *object, cJSON **ret, ao_err **reterr)
{
	int code = ao_world_snapshot(r->with.world, object, ret, reterr);
	if (code == 0)
		ao_json_set(*ret, "queues", ao_queues_facts(r->with.queues, object->uid));
	return code;
}

int ao_pass_snapshot(ao_pass *pass, const ao_object *object, cJSON **ret, ao_err **reterr)
{
	return take_snapshot(pass->reconciler, object, ret, reterr);
}

/** Asks the bundle; an error or an invalid parent leaves pass->plan without objects, and so the children as they are. */
void ao_pass_plan(ao_pass *pass, const ao_object *object)
{
	ao_reconciler *r = pass->reconciler;
	ao_auto_json cJSON *snapshot = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_call_stats stats = {0};
	ao_plan_blame blame = {0};
	int code = ao_pass_snapshot(pass, object, &snapshot, &err);
	uint64_t started_ns = ao_mono_ns();
	if (code == 0)
		code = ao_plan_make(ao_pass_bundle(pass, object), r->with.openapi, snapshot, &pass->plan, &stats, &blame, &err);
	pass->parent->times.plan_ns = ao_mono_ns() - started_ns;
	ao_instruments_call(r->with.metrics, "plan", &stats, pass->parent->times.plan_ns);
	if (r->with.record_dir && snapshot)
		ao_record_write(r->with.record_dir, ao_pass_bundle(pass, object), snapshot);
	cJSON_Delete(pass->parent->policy_error);
	pass->parent->policy_error = NULL;
	pass->parent->unfit = false;
	if (code < 0) {
		ao_instruments_policy_error(r->with.metrics, blame.policy, blame.hook);
		remember_policy_error(pass, &blame, err);
	}
	remember_plan(pass);
}

/** What the parent's status says was rendered last, possibly by an operator before this one. */
static char *read_previous_digest(const ao_pass *pass, const ao_object *object)
{
	ao_auto_json cJSON *tree = NULL;
	char *const *path = pass->reconciler->manifest->digest_path;
	if (!path || ao_object_tree(object, &tree, NULL) < 0)
		return NULL;
	const cJSON *at = tree;
	for (size_t i = 0; at && path[i]; i++)
		at = cJSON_IsObject(at) ? cJSON_GetObjectItemCaseSensitive(at, path[i]) : NULL;
	return cJSON_IsString(at) ? ao_xstrdup(at->valuestring) : NULL;
}

void ao_pass_render(ao_pass *pass)
{
	const ao_object *object = ao_pass_object(pass);
	if (!object) {
		ao_pass_finish(pass);
		return;
	}
	ao_parent *parent = pass->parent;
	pass->spec_digest = object->spec_digest;
	snprintf(pass->bundle, sizeof(pass->bundle), "%s", ao_bundle_digest(ao_pass_bundle(pass, object)));
	if (nothing_to_carry_out(pass->reconciler, pass, object)) {
		ao_pass_status(pass);
		return;
	}
	pass->previous = parent->carried ? ao_xstrdup(parent->carried) : read_previous_digest(pass, object);
	parent->settled = false;
	ao_pass_plan(pass, object);
	snprintf(parent->bundle, sizeof(parent->bundle), "%s", pass->bundle);
	if (parent->invalid || parent->policy_error) {
		/* nothing is carried out; the same parent would fail the same way, so only a change brings it back */
		parent->settled = true;
		parent->spec_digest = pass->spec_digest;
		ao_pass_status(pass);
		return;
	}
	ao_pass_carry_out(pass);
}

/* ---- which kind of pass ---- */

/** First the finalizer, because from the first child on there is something to clean up. */
static void begin(ao_pass *pass, const ao_object *object)
{
	const char *finalizer = pass->reconciler->manifest->finalizer;
	ao_auto_json cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_object_tree(object, &tree, &err) < 0) {
		ao_error(AO_CORE, object->key, "cannot be read: %s", ao_err_text(err));
		ao_pass_finish(pass);
		return;
	}
	bool held = finalizer && ao_finalizer_held(tree, finalizer);
	if (object->deleting && held)
		ao_pass_release(pass, tree);
	else if (object->deleting)
		ao_pass_finish(pass);
	else if (finalizer && !held)
		ao_pass_add_finalizer(pass, object, tree);
	else
		ao_pass_render(pass);
}

static void start_pass(void *arg, const char *key)
{
	ao_reconciler *r = arg;
	const ao_object *object = ao_store_get(ao_world_parents(r->with.world), key);
	if (!object) {
		ao_auto_str char *gone = ao_xstrdup(key); /* the queue may free its own when it is told */
		ao_queue_done(r->queue, gone, AO_QUEUE_OK);
		forget(r, gone);
		return;
	}
	ao_pass *pass = ao_xcalloc(1, sizeof(*pass));
	*pass = (ao_pass){
	    .reconciler = r,
	    .parent = remember(r, object),
	    .started_ms = ao_mono_ms(),
	    .errors = cJSON_CreateArray(),
	    .changed = cJSON_CreateArray(),
	};
	pass->parent->pass = pass;
	begin(pass, object);
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
			ao_queue_add(r->queue, parent->key);
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

ao_reconciler *ao_reconciler_new(const ao_reconciler_options *options)
{
	ao_reconciler *r = ao_xcalloc(1, sizeof(*r));
	r->with = *options;
	r->manifest = ao_world_manifest(options->world);
	r->label = ao_xasprintf("controller=\"%s\"", r->manifest->kinds[0].resource.kind);
	for (char *c = r->label; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	for (size_t i = 0; i < AO_LEN(RESULTS); i++)
		count_result(r, RESULTS[i], 0);
	ao_metric_add(r->with.metrics, "controller_runtime_reconcile_errors_total", r->label, 0);
	ao_metric_add(r->with.metrics, "controller_runtime_terminal_reconcile_errors_total", r->label, 0);
	r->parents = ao_map_new();
	r->queue =
	    ao_queue_new(options->loop, &(ao_queue_options){.max_active = options->max_concurrent, .on_time = on_time}, start_pass, r);
	return r;
}

void ao_reconciler_free(ao_reconciler *r)
{
	if (!r)
		return;
	size_t cursor = 0;
	for (ao_parent *parent; (parent = ao_map_next(r->parents, &cursor, NULL));) {
		if (parent->pass)
			free_pass(parent->pass);
		free_parent(parent);
	}
	ao_map_free(r->parents);
	ao_queue_free(r->queue);
	free(r->label);
	free(r);
}

void ao_reconciler_redo(ao_reconciler *r, const char *key)
{
	ao_parent *parent = ao_map_get(r->parents, key);
	if (parent)
		parent->settled = false;
	ao_queue_add(r->queue, key);
}

void ao_reconciler_parent_changed(ao_reconciler *r, const char *key) { ao_queue_add(r->queue, key); }

void ao_reconciler_dependent_changed(ao_reconciler *r, const char *key)
{
	const ao_parent *parent = ao_map_get(r->parents, key);
	uint64_t since = parent && parent->status_ms ? ao_mono_ms() - parent->status_ms : STATUS_INTERVAL_MS;
	if (since >= STATUS_INTERVAL_MS)
		ao_queue_add(r->queue, key);
	else
		ao_queue_add_after(r->queue, key, STATUS_INTERVAL_MS - since);
}

void ao_reconciler_pause(ao_reconciler *r) { ao_queue_pause(r->queue); }
void ao_reconciler_resume(ao_reconciler *r) { ao_queue_resume(r->queue); }

void ao_reconciler_collect(ao_reconciler *r)
{
	ao_metrics *m = r->with.metrics;
	ao_queue_stats stats = ao_queue_get_stats(r->queue);
	ao_auto_str char *name = ao_xasprintf("name=%s", strchr(r->label, '"'));
	ao_metric_set(m, "workqueue_depth", name, (double)stats.waiting);
	ao_metric_set(m, "workqueue_adds_total", name, (double)stats.adds);
	ao_metric_set(m, "workqueue_retries_total", name, (double)stats.retries);
	ao_metric_set(m, "workqueue_unfinished_work_seconds", name, stats.unfinished);
	ao_metric_set(m, "workqueue_longest_running_processor_seconds", name, stats.longest);
	ao_metric_set(m, "controller_runtime_active_workers", r->label, (double)stats.active);
	ao_metric_set(m, "controller_runtime_max_concurrent_reconciles", r->label, (double)r->with.max_concurrent);
}

int ao_reconciler_tell(const ao_reconciler *r, const ao_object *object, cJSON **ret_snapshot, cJSON **ret_times, ao_err **reterr)
{
	static const ao_parent unknown = {0};
	const ao_parent *known = ao_map_get(r->parents, object->key), *parent = known ? known : &unknown;
	const ao_pass_times *t = &parent->times;
	int code = take_snapshot(r, object, ret_snapshot, reterr);
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

ao_queue_stats ao_reconciler_stats(const ao_reconciler *r) { return ao_queue_get_stats(r->queue); }
