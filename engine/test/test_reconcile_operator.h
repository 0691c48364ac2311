#pragma once
/**
 * test_reconcile_operator.h -- one operator, from its beginning to its end, without a server: what the server holds is put into its stores.
 * Nobody answers, unless the test gives it the address of a peer; what it knows, and whom it has asked, is looked at from inside.
 */
#include "reconcile/pass.h"
#include "script_case.h"
#include "serve/instruments.h"

#include <stdio.h>

#ifndef KINDS /* the test has others */
#define KINDS                                                                                                                              \
	"return require 'policy'.manifest { parent = { apiVersion = 'test.io/v1', kind = 'Owner', plural = 'owners' },"                    \
	" children = { { apiVersion = 'v1', kind = 'Thing', plural = 'things' }, { apiVersion = 'v1', kind = 'Text', plural = 'texts', "   \
	"shared = true } },"                                                                                                               \
	" related = { { apiVersion = 'v1', kind = 'Seen', plural = 'seens', rules = true } },"                                             \
	" finalizer = 'test.io/f', field_manager = 'm', lease = 'l', component = 'c', rendered_digest = 'status.rendered', "               \
	"settled_digest = 'status.settled',"                                                                                               \
	" queue_records = 'status.queues', bundle_digest = 'status.bundle',"                                                               \
	" profile = { setting = 'profile', annotation = 'test.io/profile', base = 'plain' }, settings = { profile = { default = 'plain' "  \
	"} } }"
#endif

/** One operator, from its beginning to its end. */
typedef struct operator_ {
	ao_loop *loop;
	ao_kubeconfig config;
	ao_kube *kube;
	ao_manifest *manifest;
	ao_world *world;
	ao_events *events;
	ao_shared *shared;
	ao_queues *queues;
	ao_metrics *metrics;
	ao_openapi *openapi;
	ao_bundle *bundle;
	ao_reconciler *reconciler;
	bool holds; /* every parent */
} operator_;

static inline void on_parent(void *arg, const char *key, bool edited)
{
	(void)edited;
	ao_reconciler_parent_changed(((operator_ *)arg)->reconciler, key);
}

static inline void on_dependent(void *arg, const char *key) { ao_reconciler_dependent_changed(((operator_ *)arg)->reconciler, key); }

static inline void on_shared(void *arg, const ao_kind *kind, const char *key) { (void)arg, (void)kind, (void)key; }

static inline void on_nothing(void *arg) { (void)arg; }

static inline void on_queue(void *arg, const char *key, bool work) { (void)arg, (void)key, (void)work; }

static inline ao_bundle *bundle_of(void *arg, const ao_object *parent)
{
	(void)parent;
	return ((operator_ *)arg)->bundle;
}

static inline bool is_held(void *arg, const ao_object *parent)
{
	(void)parent;
	return ((operator_ *)arg)->holds;
}

static inline bool never(void *arg, const ao_object *parent)
{
	(void)arg, (void)parent;
	return false;
}

/** @param policy  the text of the only policy, beside the manifest; in the folder of a profile there is `more`, or nothing */
static inline void begin_with(operator_ *o, const char *manifest, const char *policy, const char *more)
{
	ao_auto_sources ao_sources sources = {0};
	put(&sources, "manifest.lua", manifest);
	put(&sources, "p.lua", policy);
	if (more)
		put(&sources, "profiles/other/p.lua", more);
	*o = (operator_){.loop = ao_loop_new(), .bundle = load_sources(&sources, NULL), .metrics = ao_metrics_new()};
	o->config = (ao_kubeconfig){.server = (char *)"https://127.0.0.1:1", .source = (char *)"test"};
	ao_instruments_describe(o->metrics);
	assert_int_equal(ao_kube_new(o->loop, &o->config, "test", &o->kube, NULL), 0);
	assert_int_equal(ao_manifest_read(ao_bundle_manifest(o->bundle), &o->manifest, NULL), 0);
	assert_int_equal(ao_plan_schemas(o->manifest, o->kube, &o->openapi, NULL), 0);
	ao_instruments_lead(o->metrics, o->manifest);
	ao_world_listener listener = {on_parent, on_dependent, on_shared, on_nothing, NULL, NULL, o};
	o->world = ao_world_new(o->loop, o->kube, o->manifest, &AO_SCOPE_ALL, &listener);
	o->events = ao_events_new(o->loop, o->kube, "c", "i");
	o->shared = ao_shared_new(o->loop, o->kube, o->world, o->events);
	o->queues = ao_queues_new(&(ao_queues_options){.loop = o->loop,
						       .kube = o->kube,
						       .events = o->events,
						       .parent_kind = &o->manifest->kinds[0].resource,
						       .records_path = o->manifest->records_path,
						       .on_change = on_queue,
						       .arg = o});
	o->reconciler = ao_reconciler_new(&(ao_reconciler_options){.loop = o->loop,
								   .kube = o->kube,
								   .world = o->world,
								   .shared = o->shared,
								   .queues = o->queues,
								   .bundle_of = bundle_of,
								   .is_held = is_held,
								   .is_apart = never,
								   .build = "test",
								   .arg = o,
								   .openapi = o->openapi,
								   .events = o->events,
								   .metrics = o->metrics,
								   .max_concurrent = 1});
}

static inline void begin(operator_ *o, const char *policy, const char *more) { begin_with(o, KINDS, policy, more); }

static inline void end(operator_ *o)
{
	ao_reconciler_free(o->reconciler);
	ao_queues_free(o->queues);
	ao_shared_free(o->shared);
	ao_world_free(o->world);
	ao_openapi_free(o->openapi);
	ao_events_free(o->events);
	ao_metrics_free(o->metrics);
	ao_manifest_free(o->manifest);
	ao_bundle_free(o->bundle);
	ao_kube_free(o->kube);
	assert_int_equal(ao_loop_close(o->loop), 0);
}

/** What the server holds, as JSON. */
static inline void hold(operator_ *o, const char *kind, const char *text)
{
	const ao_kind *of = NULL;
	for (size_t i = 0; i < o->manifest->kind_count; i++)
		if (strcmp(o->manifest->kinds[i].resource.kind, kind) == 0)
			of = &o->manifest->kinds[i];
	assert_non_null(of);
	const ao_object *object = NULL;
	assert_int_equal(ao_store_put(ao_world_store(o->world, of), (ao_span){text, strlen(text)}, &object, NULL), 0);
}

/** Lets the parent have its first pass. */
static inline const ao_parent *look(operator_ *o)
{
	ao_reconciler_parent_changed(o->reconciler, "s/a");
	for (int turns = 0; turns < 200; turns++) {
		const ao_parent *parent = ao_map_get(o->reconciler->parents, "s/a");
		bool never_done = false;
		if (parent && *parent->bundle)
			return parent;
		ao_loop_run_until(o->loop, &never_done, 10);
	}
	fail_msg("the parent had no pass");
	return NULL;
}

/** Was it recalled? Otherwise the policies were asked for its plan. */
static inline bool is_recalled(const ao_parent *parent) { return parent->settled && !parent->times.plan_ns; }

#define OWNED                                                                                                                              \
	"\"ownerReferences\":[{\"apiVersion\":\"test.io/"                                                                                  \
	"v1\",\"kind\":\"Owner\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true,\"blockOwnerDeletion\":true}]"

/** @param annotations, status  members */
static inline char *parent_text(const char *annotations, const char *status)
{
	return ao_xasprintf("{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"generation\":1,\"resourceVersion\":\"5\","
			    "\"finalizers\":[\"test.io/f\"],\"annotations\":{%s}},\"spec\":{},\"status\":{%s}}",
			    annotations, status);
}

static inline char *child_text(const char *name, const char *status)
{
	return ao_xasprintf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"s\",\"uid\":\"u-%s\"," OWNED
			    "},\"spec\":{\"n\":1},\"status\":{%s}}",
			    name, name, status);
}

static inline void hold_parent(operator_ *o, const char *annotations, const char *status)
{
	ao_auto_str char *text = parent_text(annotations, status);
	hold(o, "Owner", text);
}

static inline void hold_child(operator_ *o, const char *name, const char *status)
{
	ao_auto_str char *text = child_text(name, status);
	hold(o, "Thing", text);
}
