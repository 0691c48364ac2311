/*
 * controller.c -- load, lead, rest.
 *
 * Start: reach the server, however long that takes, and load the policies of the base and of --policies.
 * Lead: when the lease is ours, read what the one before us left, then list everything.  Work begins only when all of it is known.
 */
#include "operator/controller.h"

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
#include "version.h"

#include <string.h>
#include <unistd.h>

#define PIN_AGAIN_MS 5000 /* after the sandbox's clock has stopped the policies */
#define QUEUE_HEALTH_MS 300000
#define RESYNC_MS (10 * 3600 * 1000ull)
#define SHUT_OUT_MS 30000

struct ao_controller {
	ao_controller_options with;
	ao_load_options load; /* those of `with`, with `files`, `namespaces`, `parent` and `finalizer` */
	ao_resource parent;   /* what its parents are: as the record says, else as the bundle that it began with says */
	char *finalizer;      /* that they hold: as the record says, then as the manifest that they are watched by; or NULL */
	ao_setting_files *files;
	ao_setting_namespaces *namespaces;
	char *lease_name; /* the manifest's name of the lease, with our class */
	ao_kube *kube;
	ao_lease *lease;        /* NULL without leader election */
	ao_rivals *rivals;      /* as `lease` */
	ao_later_answer *later; /* the record, when we were not allowed to read it; or NULL */
	ao_policies *policies;
	ao_manifest *manifest; /* everything here was made for it */
	ao_events *events;
	ao_world *world;
	ao_shared *shared;
	ao_queues *queues;
	ao_openapi *openapi;
	ao_reconciler *reconciler;
	ao_timer *pin, *resync;
};

/* ---- the bundle ---- */

static void on_live(void *arg);
static void on_manifest(void *arg);
static bool may_write(void *arg);

/** The record may be read now. What was done without it was done as at the first start; it goes on from what the record says. */
static void on_record(void *arg, const cJSON *map)
{
	ao_controller *c = arg;
	ao_resource parent = {0};
	ao_auto_err ao_err *err = NULL;
	const char *text = ao_json_str(map, "data", "record");
	if (*c->with.stopping)
		return;
	ao_auto_str char *finalizer = NULL;
	ao_record_parent(text ? text : "", &parent, &finalizer);
	int r = ao_load_check_parents(parent.kind ? &parent : NULL, finalizer, c->manifest, &err);
	ao_resource_clear(&parent);
	if (r < 0) {
		ao_err_wrap(&err, "the record could not be read at the start (`asya-operator release -A` takes off what was put on since)");
		c->with.on_end(c->with.arg, err);
		return;
	}
	ao_info(AO_CORE, NULL, "policy ConfigMaps may be read now: going on from the record of what was live");
	ao_policies_allow(c->policies);
	if (may_write(c))
		on_manifest(c);
}

static int prepare_policies(ao_controller *c, ao_err **reterr)
{
	ao_auto_json cJSON *manifest = NULL, *record = NULL;
	ao_auto_manifest ao_manifest *first = NULL;
	bool forbidden = false;
	int r = ao_load_base_manifest(c->load.bundle_dir, &manifest, reterr);
	if (r < 0)
		return r;
	ao_auto_str char *name = ao_record_name(ao_load_scope(&c->load), ao_json_str(manifest, "component"));
	uint64_t patience_ms = c->with.shut_out_ms ? c->with.shut_out_ms : SHUT_OUT_MS;
	r = ao_first_answer(c->with.loop, c->kube, c->with.config, c->with.namespace_, name, patience_ms, c->with.stopping, &forbidden,
			    &record, reterr);
	if (r < 0)
		return r;
	const char *text = ao_json_str(record, "data", "record");
	ao_record_parent(text ? text : "", &c->parent, &c->finalizer);
	c->load.parent = c->parent.kind ? &c->parent : NULL;
	c->load.finalizer = c->finalizer;
	r = ao_policies_new(&(ao_policies_options){.loop = c->with.loop,
						   .kube = c->kube,
						   .namespace_ = c->with.namespace_,
						   .load = &c->load,
						   .metrics = c->with.metrics,
						   .forbidden = forbidden,
						   .on_live = on_live,
						   .on_manifest = on_manifest,
						   .arg = c},
			    &c->policies, reterr);
	if (r == 0 && !c->load.parent)
		r = ao_policies_manifest(c->policies, &first, reterr);
	if (first) {
		c->parent = first->kinds[0].resource;
		first->kinds[0].resource = (ao_resource){0};
		c->load.parent = &c->parent;
	}
	if (r == 0 && forbidden)
		c->later = ao_later_answer_new(c->with.loop, c->kube, c->with.namespace_, name, patience_ms, on_record, c);
	return r;
}

/** Files or namespaces say something else. */
static void on_settings_change(void *arg)
{
	ao_controller *c = arg;
	if (c->policies)
		ao_policies_reload(c->policies);
}

static void on_file_read(void *arg, const char *setting, const char *result)
{
	ao_instruments_file_read(((ao_controller *)arg)->with.metrics, setting, result);
}

static void on_namespaces_note(void *arg, const char *note)
{
	(void)arg;
	ao_info(AO_POLICY, NULL, "%s", note);
}

/** The Event is about the operator's Lease, in the operator's own namespace, because the object that needs the file may not exist yet. */
static void on_files_news(void *arg, bool warning, const char *reason, const char *note)
{
	ao_controller *c = arg;
	if (c->events)
		ao_events_say(c->events, ao_event_about(&ao_leases, c->with.namespace_, c->lease_name, ""), warning, reason, "ReadSettings",
			      note);
}

/* ---- metrics, probes and pages ---- */

static void on_answer(void *arg, const char *method, long status, uint64_t took_ms)
{
	ao_controller *c = arg;
	ao_instruments_request(c->with.metrics, ao_kube_host(c->kube), method, status, took_ms);
}

static void on_stream(void *arg, const char *path)
{
	ao_controller *c = arg;
	if (c->world)
		ao_instruments_stream(c->with.metrics, c->manifest, path);
}

static bool leads(const ao_controller *c) { return c->lease ? ao_lease_held(c->lease) : c->world != NULL; }

void ao_controller_collect(ao_controller *c)
{
	ao_metrics *m = c->with.metrics;
	ao_instruments_files(m, c->files);
	if (c->manifest) {
		ao_auto_str char *name = ao_metric_labels("name", c->lease_name);
		ao_metric_set(m, "leader_election_master_status", name, leads(c));
		ao_policies_collect(c->policies);
	}
	if (c->reconciler)
		ao_reconciler_collect(c->reconciler);
	if (c->queues)
		ao_queues_collect(c->queues, m);
	if (c->world)
		ao_instruments_parents(m, c->manifest, ao_world_parents(c->world));
}

uint64_t ao_controller_overdue_ms(const ao_controller *c) { return c->lease ? ao_lease_overdue_ms(c->lease) : 0; }

void ao_controller_ready(ao_controller *c, ao_checks *checks)
{
	ao_auto_buf ao_buf policies = ao_buf_init(16 * 1024), files = ao_buf_init(16 * 1024), rivals = ao_buf_init(1024);
	if (c->policies)
		ao_policies_tell(c->policies, &policies);
	ao_checks_add(checks, "policies", c->policies ? NULL : ao_xstrdup("not loaded yet"), ao_xstrdup(policies.data));
	if (!c->policies)
		return;
	ao_setting_files_tell(c->files, &files);
	ao_checks_add(checks, "files", NULL, ao_xstrdup(files.data));
	ao_checks_add(checks, "leader", NULL, ao_xstrdup(leads(c) ? "yes" : "no, standing by"));
	ao_checks_add(checks, "caches", NULL, c->world ? ao_world_tell(c->world) : ao_xstrdup("not needed while standing by"));
	ao_rivals_tell(c->rivals, &rivals);
	ao_checks_add(checks, "rivals", NULL, ao_xstrdup(rivals.data));
}

static ao_bundle *bundle_of(void *arg, const ao_object *parent) { return ao_policies_bundle_of(((ao_controller *)arg)->policies, parent); }
static bool is_held(void *arg, const ao_object *parent) { return ao_policies_holds(((ao_controller *)arg)->policies, parent); }
static bool is_apart(void *arg, const ao_object *parent) { return ao_policies_apart(((ao_controller *)arg)->policies, parent); }

bool ao_controller_leads(const ao_controller *c) { return c->reconciler != NULL; }

const char *ao_controller_debug_path(const ao_controller *c) { return c->manifest ? c->manifest->debug_path : NULL; }

void ao_controller_debug(ao_controller *c, const char *rest, ao_server_reply *reply)
{
	static const ao_debug nobody = {0};
	if (!c) {
		ao_debug_reply(&nobody, rest, reply);
		return;
	}
	ao_debug_reply(&(ao_debug){c->manifest, c->reconciler, c->world, c->with.recorder, bundle_of, c}, rest, reply);
}

/* ---- leading ---- */

static void on_parent(void *arg, const char *key, bool edited)
{
	ao_controller *c = arg;
	ao_policies_parent_changed(c->policies, key);
	if (edited)
		ao_reconciler_parent_edited(c->reconciler, key);
	else
		ao_reconciler_parent_changed(c->reconciler, key);
}
static void on_dependent(void *arg, const char *key) { ao_reconciler_dependent_changed(((ao_controller *)arg)->reconciler, key); }

static void on_shared_change(void *arg, const ao_kind *kind, const char *key)
{
	ao_shared_changed(((ao_controller *)arg)->shared, kind, key);
}

static void wake_all(ao_controller *c)
{
	size_t cursor = 0;
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(c->world), &cursor));)
		ao_reconciler_dependent_changed(c->reconciler, parent->key);
}

static void on_installed(void *arg)
{
	ao_controller *c = arg;
	wake_all(c);
	ao_reconciler_doubt_schemas(c->reconciler);
}

/** A duration among the settings. @param usual_ms  when it is absent or no duration, which `usual` says in words */
static uint64_t duration_of(const ao_controller *c, const char *setting, uint64_t usual_ms, const char *usual)
{
	uint64_t ms = usual_ms;
	const char *text = ao_json_str(ao_policies_settings(c->policies), setting);
	if (text && !ao_duration_read(text, &ms))
		ao_warn(AO_CORE, NULL, "%s \"%s\" is not a valid duration (write 5m or 30s); using %s", setting, text, usual);
	return ms;
}

/** The net below all that wakes parents: now and then each is compared with the cache. Where nothing differs, nothing is sent. */
static void plan_resync(ao_controller *c)
{
	uint64_t ms = duration_of(c, "resyncInterval", RESYNC_MS, "10h");
	if (ms)
		ao_timer_start(c->resync, ms - ms / 10 + ao_jitter_ms(ms / 5));
}

static void on_resync(void *arg)
{
	ao_controller *c = arg;
	wake_all(c);
	plan_resync(c);
}

/** Shared objects that exist without any parent. */
static void pin_shared(ao_controller *c)
{
	ao_auto_json cJSON *result = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_variant *live = ao_policies_live(c->policies);
	if (!live)
		return; /* on_live() comes when it is at hand */
	int r = ao_bundle_shared(live->loaded.bundle, &result, NULL, &err);
	ao_variant_unref(live);
	if (r < 0) {
		ao_error(AO_POLICY, NULL, "%s", ao_err_text(err));
		if (r == -EINTR)
			ao_timer_start(c->pin, PIN_AGAIN_MS);
		return;
	}
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(result, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		const char *namespace_ = ao_json_str(object, "metadata", "namespace");
		if (namespace_ &&
		    !ao_scope_covers(ao_load_scope(&c->load),
				     namespace_)) /* we do not see that namespace, and may not have the right to write there */
			continue;
		ao_shared_pin(c->shared, ao_manifest_kind(c->manifest, object), ao_json_str(item, "role"), object);
	}
}

static void on_live(void *arg)
{
	ao_controller *c = arg;
	if (c->shared && ao_rivals_clear(c->rivals))
		pin_shared(c);
	if (c->reconciler)
		ao_reconciler_live_changed(c->reconciler);
}

/** The policies of the ConfigMaps have been tried on every parent. From now on parents may be changed. */
static void on_policies_ready(void *arg)
{
	ao_controller *c = arg;
	pin_shared(c);
	if (!*c->with.stopping)
		ao_reconciler_resume(c->reconciler);
}

/** The server's schemas are known, or could not be had. Only now may the first object be checked and sent. */
static void on_schemas(void *arg)
{
	ao_controller *c = arg;
	ao_policies_world_synced(c->policies, on_policies_ready, c);
}

static void on_pass(void *arg, const ao_pass_report *report) { ao_policies_on_pass(((ao_controller *)arg)->policies, report); }

/** Nobody else works on these parents. */
static void on_clear(void *arg)
{
	ao_controller *c = arg;
	ao_openapi_refresh(c->openapi, on_schemas, c);
}

static void on_taken(void *arg, const char *key) { ao_reconciler_parent_changed(((ao_controller *)arg)->reconciler, key); }

static void on_synced(void *arg)
{
	ao_controller *c = arg;
	ao_info(AO_CORE, NULL, "caches are filled: %zu %s", ao_store_count(ao_world_parents(c->world)),
		c->manifest->kinds[0].resource.plural);
	plan_resync(c);
	if (c->rivals)
		ao_rivals_begin(c->rivals, c->world);
	else
		on_clear(c);
}

static void on_seen(void *arg, const ao_object *it, const ao_object *before) { ao_rivals_saw(((ao_controller *)arg)->rivals, it, before); }

static void on_queue_change(void *arg, const char *key, bool work)
{
	ao_controller *c = arg;
	if (work)
		ao_reconciler_parent_changed(c->reconciler, key);
	else
		ao_reconciler_dependent_changed(c->reconciler, key);
}

static void build_world(ao_controller *c)
{
	ao_world_listener listener = {on_parent, on_dependent, on_shared_change, on_synced, on_installed, on_seen, c};
	ao_instruments_lead(c->with.metrics, c->manifest);
	c->world = ao_world_new(c->with.loop, c->kube, c->manifest, ao_load_scope(&c->load), &listener);
	c->shared = ao_shared_new(c->with.loop, c->kube, c->world, c->events);
	c->queues = ao_queues_new(&(ao_queues_options){
	    .loop = c->with.loop,
	    .kube = c->kube,
	    .events = c->events,
	    .parent_kind = &c->manifest->kinds[0].resource,
	    .records_path = c->manifest->records_path,
	    .digest_path = c->manifest->digest_path,
	    .health_ms = duration_of(c, "healthCheckInterval", QUEUE_HEALTH_MS, "5m"),
	    .on_change = on_queue_change,
	    .arg = c,
	});
	c->reconciler = ao_reconciler_new(&(ao_reconciler_options){
	    .loop = c->with.loop,
	    .kube = c->kube,
	    .world = c->world,
	    .shared = c->shared,
	    .queues = c->queues,
	    .bundle_of = bundle_of,
	    .is_held = is_held,
	    .is_apart = is_apart,
	    .on_pass = on_pass,
	    .claim = ao_rivals_claim(c->rivals),
	    .build = AO_VERSION,
	    .arg = c,
	    .openapi = c->openapi,
	    .events = c->events,
	    .metrics = c->with.metrics,
	    .max_concurrent = c->with.max_concurrent,
	    .recorder = c->with.recorder,
	});
	ao_setting_files_start(c->files);
	ao_setting_namespaces_start(c->namespaces);
	ao_reconciler_pause(c->reconciler); /* until everything is known */
	ao_policies_lead(c->policies, c->world, c->reconciler, c->openapi);
	ao_world_start(c->world);
}

static void end_leading(ao_controller *c)
{
	ao_timer_stop(c->resync);
	ao_rivals_rest(c->rivals);
	if (c->policies)
		ao_policies_rest(c->policies);
	ao_reconciler_free(c->reconciler);
	ao_queues_free(c->queues);
	ao_shared_free(c->shared);
	ao_world_free(c->world);
	ao_openapi_free(c->openapi);
	c->reconciler = NULL;
	c->queues = NULL;
	c->shared = NULL;
	c->world = NULL;
	c->openapi = NULL;
}

static int take_manifest(ao_controller *c, ao_err **reterr)
{
	ao_openapi_free(AO_TAKE(c->openapi));
	ao_manifest_free(AO_TAKE(c->manifest));
	int r = ao_policies_manifest(c->policies, &c->manifest, reterr);
	return r < 0 ? r : ao_plan_schemas(c->manifest, c->kube, &c->openapi, reterr);
}

/** It is known now what was live, and so which world to watch. */
static void on_recalled(void *arg)
{
	ao_controller *c = arg;
	ao_auto_err ao_err *err = NULL;
	if (take_manifest(c, &err) < 0) {
		c->with.on_end(c->with.arg, err);
		return;
	}
	free(c->finalizer);
	c->load.finalizer = c->finalizer = ao_xstrdup(c->manifest->finalizer);
	if (!*c->with.stopping)
		build_world(c);
}

static void start_leading(void *arg)
{
	ao_controller *c = arg;
	ao_policies_recall(c->policies, c->events, on_recalled, c);
}

static void on_manifest(void *arg)
{
	end_leading(arg);
	start_leading(arg);
}

static void on_lost(void *arg, const char *why)
{
	ao_controller *c = arg;
	ao_auto_err ao_err *err = NULL;
	ao_err_set(&err, -EPERM, "the lease %s was lost: %s", c->lease_name, why);
	c->with.on_end(c->with.arg, err);
}

static void on_older(void *arg, const char *lease)
{
	ao_controller *c = arg;
	ao_auto_err ao_err *err = NULL;
	ao_err_set(&err, -EPERM, "the operator of lease %s has been working on the same objects for longer", lease);
	c->with.on_end(c->with.arg, err);
}

static bool may_write(void *arg)
{
	ao_controller *c = arg;
	return !c->lease || ao_lease_held(c->lease);
}

/* ---- stopping ---- */

void ao_controller_end(ao_controller *c)
{
	if (c->reconciler)
		ao_reconciler_end(c->reconciler);
}

/** What is on its way to a broker may arrive when the next one leads already. */
bool ao_controller_ended(const ao_controller *c)
{
	return !c->reconciler || (ao_reconciler_ended(c->reconciler) && !(c->queues && ao_queues_are_changing(c->queues)));
}

void ao_controller_release(ao_controller *c, void (*done)(void *arg), void *arg)
{
	if (c->queues)
		ao_queues_halt(c->queues);
	if (c->lease)
		ao_lease_release(c->lease, done, arg);
	else
		done(arg);
}

/* ---- the whole life ---- */

static int start_lease(ao_controller *c, ao_err **reterr)
{
	int r = ao_lease_new(c->with.loop, c->with.config, AO_USER_AGENT,
			     &(ao_lease_options){.namespace_ = c->with.namespace_,
						 .name = c->lease_name,
						 .component = c->manifest->component,
						 .on_acquired = start_leading,
						 .on_lost = on_lost,
						 .arg = c},
			     &c->lease, reterr);
	if (r < 0)
		return r;
	c->rivals = ao_rivals_new(&(ao_rivals_options){.loop = c->with.loop,
						       .kube = c->kube,
						       .events = c->events,
						       .namespace_ = c->with.namespace_,
						       .lease = c->lease_name,
						       .on_clear = on_clear,
						       .on_taken = on_taken,
						       .on_older = on_older,
						       .arg = c});
	ao_lease_start(c->lease);
	return 0;
}

int ao_controller_start(ao_controller *c, ao_err **reterr)
{
	char instance[256] = "";
	int r = prepare_policies(c, reterr);
	if (r == 0)
		r = take_manifest(c, reterr);
	if (r < 0)
		return r;
	c->lease_name = ao_scope_name(ao_load_scope(&c->load), c->manifest->lease);
	gethostname(instance, sizeof(instance) - 1);
	c->events = ao_events_new(c->with.loop, c->kube, c->manifest->component, instance);
	ao_kube_set_gate(c->kube, may_write, c);
	if (c->with.leader_elect)
		return start_lease(c, reterr);
	start_leading(c);
	return 0;
}

int ao_controller_new(const ao_controller_options *options, ao_controller **ret, ao_err **reterr)
{
	ao_controller *c = ao_xcalloc(1, sizeof(*c));
	c->with = *options;
	int r = ao_kube_new(options->loop, options->config, AO_USER_AGENT, &c->kube, reterr);
	if (r < 0) {
		free(c);
		return r;
	}
	ao_kube_on_answer(c->kube, on_answer, c);
	ao_kube_on_stream(c->kube, on_stream, c);
	c->load = *options->load;
	c->load.files = c->files =
	    ao_setting_files_new(&(ao_setting_files_options){options->loop, on_settings_change, on_file_read, on_files_news, c});
	c->load.namespaces = c->namespaces =
	    ao_setting_namespaces_new(&(ao_setting_namespaces_options){options->loop, c->kube, on_settings_change, on_namespaces_note, c});
	c->pin = ao_timer_new(options->loop, on_live, c);
	c->resync = ao_timer_new(options->loop, on_resync, c);
	*ret = c;
	return 0;
}

void ao_controller_free(ao_controller *c)
{
	if (!c)
		return;
	end_leading(c);
	ao_later_answer_free(c->later);
	ao_policies_free(c->policies);
	ao_setting_files_free(c->files);
	ao_setting_namespaces_free(c->namespaces);
	ao_events_free(c->events);
	ao_lease_free(c->lease);
	ao_rivals_free(c->rivals);
	ao_kube_free(c->kube);
	ao_timer_free(c->pin);
	ao_timer_free(c->resync);
	ao_manifest_free(c->manifest);
	ao_resource_clear(&c->parent);
	free(c->finalizer);
	free(c->lease_name);
	free(c);
}
