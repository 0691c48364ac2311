/*
 * operator.c -- start, lead, stop.
 *
 * Start: reach the server, however long that takes, load the policies of the binary and of --policies, open the probe ports.
 * Lead: when the lease is ours, read what the one before us left, then list everything.  Work begins only when all of it is known.
 * Stop: begin no new passes, give those in flight half a second, and give the lease back.
 */
#include "operator/operator.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/lease.h"
#include "loop/backoff.h"
#include "operator/debug.h"
#include "operator/first_answer.h"
#include "operator/rivals.h"
#include "rollout/policies.h"
#include "rollout/record_text.h"
#include "serve/instruments.h"
#include "serve/serve.h"
#include "version.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_MS 500
#define PIN_AGAIN_MS 5000 /* after the sandbox's clock has stopped the policies */
#define QUEUE_HEALTH_MS 300000
#define RESYNC_MS (10 * 3600 * 1000ull)

typedef struct operator_ {
	const ao_operator_options *options;
	ao_loop *loop;
	ao_kubeconfig *config;
	const char *namespace_;
	const ao_scope *scope;
	char *lease_name; /* the manifest's name of the lease, with our class */
	ao_kube *kube;
	ao_lease *lease;   /* NULL without leader election */
	ao_rivals *rivals; /* as `lease` */
	ao_metrics *metrics;
	ao_serve *serve;
	ao_setting_files *files;
	ao_load_options load; /* those of `options`, with `files` */
	ao_heartbeat *heartbeat;
	ao_policies *policies;
	ao_manifest *manifest; /* everything here was made for it */
	ao_events *events;
	ao_world *world;
	ao_shared *shared;
	ao_queues *queues;
	ao_openapi *openapi;
	ao_reconciler *reconciler;
	ao_timer *drain, *pin, *resync;
	uint64_t drain_until_ms;
	bool stopping;
	int result;
	ao_err *err; /* why, when result < 0 */
} operator_;

/* ---- the bundle ---- */

static void on_live(void *arg);
static void on_manifest(void *arg);

static int prepare_policies(operator_ *op, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_json cJSON *manifest = NULL;
	bool forbidden = false;
	ao_sources_builtin(&sources);
	int r = ao_bundle_peek_manifest(&sources, &manifest, reterr);
	if (r < 0)
		return r;
	ao_auto_str char *record = ao_record_name(op->scope, ao_json_str(manifest, "component"));
	r = ao_first_answer(op->loop, op->kube, op->config, op->namespace_, record, &op->stopping, &forbidden, reterr);
	if (r < 0)
		return r;
	return ao_policies_new(&(ao_policies_options){.loop = op->loop,
						      .kube = op->kube,
						      .namespace_ = op->namespace_,
						      .load = &op->load,
						      .metrics = op->metrics,
						      .forbidden = forbidden,
						      .on_live = on_live,
						      .on_manifest = on_manifest,
						      .arg = op},
			       &op->policies, reterr);
}

static void on_files_change(void *arg)
{
	operator_ *op = arg;
	if (op->policies)
		ao_policies_reload(op->policies);
}

static void on_file_read(void *arg, const char *setting, const char *result)
{
	ao_instruments_file_read(((operator_ *)arg)->metrics, setting, result);
}

/** The Event is about the operator's Lease, in the operator's own namespace, because the object that needs the file may not exist yet. */
static void on_files_news(void *arg, bool warning, const char *reason, const char *note)
{
	operator_ *op = arg;
	if (op->events)
		ao_events_say(op->events, ao_event_about(&ao_leases, op->namespace_, op->lease_name, ""), warning, reason, "ReadSettings",
			      note);
}

/* ---- metrics and probes ---- */

static void on_answer(void *arg, const char *method, long status, uint64_t took_ms)
{
	operator_ *op = arg;
	ao_instruments_request(op->metrics, ao_kube_host(op->kube), method, status, took_ms);
}

static void on_stream(void *arg, const char *path)
{
	operator_ *op = arg;
	if (op->world)
		ao_instruments_stream(op->metrics, op->manifest, path);
}

static void on_beat(void *arg, uint64_t late_ms)
{
	ao_metric_observe(((operator_ *)arg)->metrics, "loop_lag_seconds", "", (double)late_ms / 1000);
}

static bool leads(const operator_ *op) { return op->lease ? ao_lease_held(op->lease) : op->world != NULL; }

static void on_collect(void *arg)
{
	operator_ *op = arg;
	ao_metrics *m = op->metrics;
	ao_instruments_process(m);
	ao_instruments_files(m, op->files);
	if (op->manifest) {
		ao_auto_str char *name = ao_metric_labels("name", op->lease_name);
		ao_metric_set(m, "leader_election_master_status", name, leads(op));
		ao_policies_collect(op->policies);
	}
	if (op->reconciler)
		ao_reconciler_collect(op->reconciler);
	if (op->queues)
		ao_queues_collect(op->queues, m);
	if (op->world)
		ao_instruments_parents(m, op->manifest, ao_world_parents(op->world));
}

static void on_health(void *arg, ao_checks *checks)
{
	operator_ *op = arg;
	ao_checks_add_health(checks, ao_heartbeat_late_ms(op->heartbeat), op->lease ? ao_lease_overdue_ms(op->lease) : 0);
}

/** A process that stands by is ready, and so is one whose caches are filling: it would help neither to lose its traffic. */
static void on_ready(void *arg, ao_checks *checks)
{
	operator_ *op = arg;
	ao_auto_buf ao_buf policies = ao_buf_init(16 * 1024), files = ao_buf_init(16 * 1024), rivals = ao_buf_init(1024);
	if (op->policies)
		ao_policies_tell(op->policies, &policies);
	ao_checks_add(checks, "ping", NULL, NULL);
	ao_checks_add(checks, "policies", op->policies ? NULL : ao_xstrdup("not loaded yet"), ao_xstrdup(policies.data));
	if (!op->policies)
		return;
	ao_setting_files_tell(op->files, &files);
	ao_checks_add(checks, "files", NULL, ao_xstrdup(files.data));
	ao_checks_add(checks, "leader", NULL, ao_xstrdup(leads(op) ? "yes" : "no, standing by"));
	ao_checks_add(checks, "caches", NULL, op->world ? ao_world_tell(op->world) : ao_xstrdup("not needed while standing by"));
	ao_rivals_tell(op->rivals, &rivals);
	ao_checks_add(checks, "rivals", NULL, ao_xstrdup(rivals.data));
}

static ao_bundle *bundle_of(void *arg, const ao_object *parent) { return ao_policies_bundle_of(((operator_ *)arg)->policies, parent); }
static bool is_held(void *arg, const ao_object *parent) { return ao_policies_holds(((operator_ *)arg)->policies, parent); }
static bool is_apart(void *arg, const ao_object *parent) { return ao_policies_apart(((operator_ *)arg)->policies, parent); }

static void on_debug(void *arg, const char *rest, ao_server_reply *reply)
{
	operator_ *op = arg;
	ao_debug_reply(&(ao_debug){op->manifest, op->reconciler, op->world, op->options->recorder, bundle_of, op}, rest, reply);
}

/* ---- leading ---- */

static void on_parent(void *arg, const char *key, bool edited)
{
	operator_ *op = arg;
	ao_policies_parent_changed(op->policies, key);
	if (edited)
		ao_reconciler_parent_edited(op->reconciler, key);
	else
		ao_reconciler_parent_changed(op->reconciler, key);
}
static void on_dependent(void *arg, const char *key) { ao_reconciler_dependent_changed(((operator_ *)arg)->reconciler, key); }

static void on_shared_change(void *arg, const ao_kind *kind, const char *key) { ao_shared_changed(((operator_ *)arg)->shared, kind, key); }

static void wake_all(operator_ *op)
{
	size_t cursor = 0;
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(op->world), &cursor));)
		ao_reconciler_dependent_changed(op->reconciler, parent->key);
}

static void on_installed(void *arg)
{
	operator_ *op = arg;
	wake_all(op);
	ao_reconciler_doubt_schemas(op->reconciler);
}

/** A duration among the settings. @param usual_ms  when it is absent or no duration, which `usual` says in words */
static uint64_t duration_of(const operator_ *op, const char *setting, uint64_t usual_ms, const char *usual)
{
	uint64_t ms = usual_ms;
	const char *text = ao_json_str(ao_policies_settings(op->policies), setting);
	if (text && !ao_duration_read(text, &ms))
		ao_warn(AO_CORE, NULL, "%s \"%s\" is not a valid duration (write 5m or 30s); using %s", setting, text, usual);
	return ms;
}

/** The net below all that wakes parents: now and then each is compared with the cache. Where nothing differs, nothing is sent. */
static void plan_resync(operator_ *op)
{
	uint64_t ms = duration_of(op, "resyncInterval", RESYNC_MS, "10h");
	if (ms)
		ao_timer_start(op->resync, ms - ms / 10 + ao_jitter_ms(ms / 5));
}

static void on_resync(void *arg)
{
	operator_ *op = arg;
	wake_all(op);
	plan_resync(op);
}

/** Shared objects that exist without any parent. */
static void pin_shared(operator_ *op)
{
	ao_auto_json cJSON *result = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_variant *live = ao_policies_live(op->policies);
	if (!live)
		return; /* on_live() comes when it is at hand */
	int r = ao_bundle_shared(live->loaded.bundle, &result, NULL, &err);
	ao_variant_unref(live);
	if (r < 0) {
		ao_error(AO_POLICY, NULL, "%s", ao_err_text(err));
		if (r == -EINTR)
			ao_timer_start(op->pin, PIN_AGAIN_MS);
		return;
	}
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(result, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		const char *namespace_ = ao_json_str(object, "metadata", "namespace");
		if (namespace_ &&
		    !ao_scope_covers(op->scope, namespace_)) /* we do not see that namespace, and may not have the right to write there */
			continue;
		ao_shared_pin(op->shared, ao_manifest_kind(op->manifest, object), ao_json_str(item, "role"), object);
	}
}

static void on_live(void *arg)
{
	operator_ *op = arg;
	if (op->shared && ao_rivals_clear(op->rivals))
		pin_shared(op);
	if (op->reconciler)
		ao_reconciler_live_changed(op->reconciler);
}

/** The policies of the ConfigMaps have been tried on every parent. From now on parents may be changed. */
static void on_policies_ready(void *arg)
{
	operator_ *op = arg;
	pin_shared(op);
	if (!op->stopping)
		ao_reconciler_resume(op->reconciler);
}

/** The server's schemas are known, or could not be had. Only now may the first object be checked and sent. */
static void on_schemas(void *arg)
{
	operator_ *op = arg;
	ao_policies_world_synced(op->policies, on_policies_ready, op);
}

static void on_pass(void *arg, const ao_pass_report *report) { ao_policies_on_pass(((operator_ *)arg)->policies, report); }

/** Nobody else works on these parents. */
static void on_clear(void *arg)
{
	operator_ *op = arg;
	ao_openapi_refresh(op->openapi, on_schemas, op);
}

static void on_taken(void *arg, const char *key) { ao_reconciler_parent_changed(((operator_ *)arg)->reconciler, key); }

static void on_synced(void *arg)
{
	operator_ *op = arg;
	ao_info(AO_CORE, NULL, "caches are filled: %zu %s", ao_store_count(ao_world_parents(op->world)),
		op->manifest->kinds[0].resource.plural);
	plan_resync(op);
	if (op->rivals)
		ao_rivals_begin(op->rivals, op->world);
	else
		on_clear(op);
}

static void on_seen(void *arg, const ao_object *it, const ao_object *before) { ao_rivals_saw(((operator_ *)arg)->rivals, it, before); }

static void on_queue_change(void *arg, const char *key, bool work)
{
	operator_ *op = arg;
	if (work)
		ao_reconciler_parent_changed(op->reconciler, key);
	else
		ao_reconciler_dependent_changed(op->reconciler, key);
}

static void build_world(operator_ *op)
{
	ao_world_listener listener = {on_parent, on_dependent, on_shared_change, on_synced, on_installed, on_seen, op};
	ao_instruments_lead(op->metrics, op->manifest);
	op->world = ao_world_new(op->loop, op->kube, op->manifest, op->scope, &listener);
	op->shared = ao_shared_new(op->loop, op->kube, op->world, op->events);
	op->queues = ao_queues_new(&(ao_queues_options){
	    .loop = op->loop,
	    .kube = op->kube,
	    .events = op->events,
	    .parent_kind = &op->manifest->kinds[0].resource,
	    .records_path = op->manifest->records_path,
	    .health_ms = duration_of(op, "healthCheckInterval", QUEUE_HEALTH_MS, "5m"),
	    .on_change = on_queue_change,
	    .arg = op,
	});
	op->reconciler = ao_reconciler_new(&(ao_reconciler_options){
	    .loop = op->loop,
	    .kube = op->kube,
	    .world = op->world,
	    .shared = op->shared,
	    .queues = op->queues,
	    .bundle_of = bundle_of,
	    .is_held = is_held,
	    .is_apart = is_apart,
	    .on_pass = on_pass,
	    .claim = ao_rivals_claim(op->rivals),
	    .arg = op,
	    .openapi = op->openapi,
	    .events = op->events,
	    .metrics = op->metrics,
	    .max_concurrent = op->options->max_concurrent,
	    .recorder = op->options->recorder,
	});
	ao_setting_files_start(op->files);
	ao_reconciler_pause(op->reconciler); /* until everything is known */
	ao_policies_lead(op->policies, op->world, op->reconciler, op->openapi);
	ao_world_start(op->world);
}

static void end_leading(operator_ *op)
{
	ao_timer_stop(op->resync);
	ao_rivals_rest(op->rivals);
	if (op->policies)
		ao_policies_rest(op->policies);
	ao_reconciler_free(op->reconciler);
	ao_queues_free(op->queues);
	ao_shared_free(op->shared);
	ao_world_free(op->world);
	ao_openapi_free(op->openapi);
	op->reconciler = NULL;
	op->queues = NULL;
	op->shared = NULL;
	op->world = NULL;
	op->openapi = NULL;
}

static int take_manifest(operator_ *op, ao_err **reterr)
{
	ao_openapi_free(AO_TAKE(op->openapi));
	ao_manifest_free(AO_TAKE(op->manifest));
	int r = ao_policies_manifest(op->policies, &op->manifest, reterr);
	return r < 0 ? r : ao_plan_schemas(op->manifest, op->kube, &op->openapi, reterr);
}

/** It is known now what was live, and so which world to watch. */
static void on_recalled(void *arg)
{
	operator_ *op = arg;
	if (take_manifest(op, &op->err) < 0) {
		op->result = op->err->code;
		ao_loop_stop(op->loop);
		return;
	}
	if (!op->stopping)
		build_world(op);
}

static void start_leading(void *arg)
{
	operator_ *op = arg;
	ao_policies_recall(op->policies, op->events, on_recalled, op);
}

static void on_manifest(void *arg)
{
	end_leading(arg);
	start_leading(arg);
}

static void on_lost(void *arg, const char *why)
{
	operator_ *op = arg;
	op->result = ao_err_set(&op->err, -EPERM, "the lease %s was lost: %s", op->lease_name, why);
	ao_loop_stop(op->loop);
}

static void on_older(void *arg, const char *lease)
{
	operator_ *op = arg;
	op->result = ao_err_set(&op->err, -EPERM, "the operator of lease %s has been working on the same objects for longer", lease);
	ao_loop_stop(op->loop);
}

static bool may_write(void *arg)
{
	operator_ *op = arg;
	return !op->lease || ao_lease_held(op->lease);
}

/* ---- stopping ---- */

static void on_released(void *arg) { ao_loop_stop(((operator_ *)arg)->loop); }

static void give_back_lease(operator_ *op)
{
	if (op->lease)
		ao_lease_release(op->lease, on_released, op);
	else
		ao_loop_stop(op->loop);
}

static void on_drain(void *arg)
{
	operator_ *op = arg;
	if (op->reconciler && !ao_reconciler_ended(op->reconciler) && ao_mono_ms() < op->drain_until_ms)
		ao_timer_start(op->drain, 10);
	else
		give_back_lease(op);
}

static void on_signal(void *arg, int signo)
{
	operator_ *op = arg;
	if (op->stopping) {
		ao_warn(AO_CORE, NULL, "%s again: stopping at once", strsignal(signo));
		ao_loop_stop(op->loop);
		return;
	}
	ao_info(AO_CORE, NULL, "%s: stopping", strsignal(signo));
	op->stopping = true;
	op->drain_until_ms = ao_mono_ms() + DRAIN_MS;
	if (op->reconciler)
		ao_reconciler_end(op->reconciler);
	ao_timer_start(op->drain, 0);
}

/* ---- the whole life ---- */

static int start_lease(operator_ *op, ao_err **reterr)
{
	int r = ao_lease_new(op->loop, op->config, AO_USER_AGENT,
			     &(ao_lease_options){.namespace_ = op->namespace_,
						 .name = op->lease_name,
						 .component = op->manifest->component,
						 .on_acquired = start_leading,
						 .on_lost = on_lost,
						 .arg = op},
			     &op->lease, reterr);
	if (r < 0)
		return r;
	op->rivals = ao_rivals_new(&(ao_rivals_options){.loop = op->loop,
							.kube = op->kube,
							.events = op->events,
							.namespace_ = op->namespace_,
							.lease = op->lease_name,
							.on_clear = on_clear,
							.on_taken = on_taken,
							.on_older = on_older,
							.arg = op});
	ao_lease_start(op->lease);
	return 0;
}

static int start(operator_ *op, ao_err **reterr)
{
	const ao_operator_options *o = op->options;
	int r = ao_kubeconfig_load(o->kubeconfig, o->context, &op->config, reterr);
	if (r == 0)
		r = ao_kube_new(op->loop, op->config, AO_USER_AGENT, &op->kube, reterr);
	if (r < 0)
		return r;
	op->namespace_ = o->namespace_ ? o->namespace_ : op->config->namespace_;
	op->scope = ao_load_scope(&o->load);
	if (*op->scope->class_)
		ao_info(AO_CORE, NULL, "operator class %s", op->scope->class_);
	for (size_t i = 0; op->scope->namespaces && op->scope->namespaces[i]; i++)
		ao_info(AO_CORE, NULL, "watching namespace %s", op->scope->namespaces[i]);
	ao_kube_on_answer(op->kube, on_answer, op);
	ao_kube_on_stream(op->kube, on_stream, op);
	r = ao_serve_new(
	    op->loop,
	    &(ao_serve_options){o->metrics_address, o->probe_address, op->metrics, o->debug_remote, on_health, on_ready, on_debug, op},
	    &op->serve, reterr);
	if (r == 0)
		r = prepare_policies(op, reterr);
	if (r == 0)
		r = take_manifest(op, reterr);
	if (r < 0)
		return r;
	op->lease_name = ao_scope_name(op->scope, op->manifest->lease);
	char instance[256] = "";
	gethostname(instance, sizeof(instance) - 1);
	op->events = ao_events_new(op->loop, op->kube, op->manifest->component, instance);
	ao_kube_set_gate(op->kube, may_write, op);
	if (o->leader_elect)
		return start_lease(op, reterr);
	start_leading(op);
	return 0;
}

static void stop(operator_ *op)
{
	end_leading(op);
	ao_policies_free(op->policies);
	ao_setting_files_free(op->files);
	ao_events_free(op->events);
	ao_lease_free(op->lease);
	ao_rivals_free(op->rivals);
	ao_serve_free(op->serve);
	ao_kube_free(op->kube);
	ao_timer_free(op->drain);
	ao_timer_free(op->pin);
	ao_timer_free(op->resync);
	ao_heartbeat_free(op->heartbeat);
	ao_manifest_free(op->manifest);
	free(op->lease_name);
	ao_kubeconfig_free(op->config);
	ao_metrics_free(op->metrics);
	ao_require(ao_loop_close(op->loop) == 0);
}

int ao_operator_run(const ao_operator_options *options, ao_err **reterr)
{
	operator_ op = {.options = options, .loop = ao_loop_new(), .metrics = ao_metrics_new()};
	mallopt(M_ARENA_MAX, 1); /* one thread allocates; give memory back early */
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	signal(SIGPIPE, SIG_IGN);
	ao_instruments_describe(op.metrics);
	ao_metrics_on_collect(op.metrics, on_collect, &op);
	op.load = options->load;
	op.load.files = op.files =
	    ao_setting_files_new(&(ao_setting_files_options){op.loop, on_files_change, on_file_read, on_files_news, &op});
	op.heartbeat = ao_heartbeat_new(op.loop, on_beat, &op);
	op.drain = ao_timer_new(op.loop, on_drain, &op);
	op.pin = ao_timer_new(op.loop, on_live, &op);
	op.resync = ao_timer_new(op.loop, on_resync, &op);
	ao_loop_on_signal(op.loop, SIGTERM, on_signal, &op);
	ao_loop_on_signal(op.loop, SIGINT, on_signal, &op);
	int r = start(&op, reterr);
	if (r == -EINTR)
		r = 0;
	if (r == 0 && !op.stopping)
		ao_loop_run(op.loop);
	if (r == 0 && op.result < 0)
		r = ao_err_set(reterr, op.result, "%s", ao_err_text(op.err));
	ao_err_free(op.err);
	stop(&op);
	return r;
}
