#pragma once
/**
 * reconcile.h -- brings the children of each parent to what the bundle wants, and its status to what is true.
 *
 * One key of the work queue is one parent; a pass over it is:
 *   finalizer -> snapshot -> plan -> queues -> each object in order (create, apply, or nothing) -> prune -> status;
 * over one that is to go: its children -> its queues -> finalizer.
 * Nothing that already is as wanted causes a request.  An error in a policy or an invalid parent leaves the children as
 * they are; an error of the server stops the pass at that object, is shown in the status, and the key comes back after its back-off.
 * A pass whose parent and children look as they did after the last good one runs only the status.
 * Threads: the loop thread only.
 */
#include "kube/event.h"
#include "loop/workqueue.h"
#include "policy/plan.h"
#include "queues/keeper.h"
#include "reconcile/shared.h"
#include "reconcile/world.h"
#include "serve/metrics.h"

typedef struct ao_reconciler ao_reconciler;

/** How a pass over a parent went. */
typedef struct ao_pass_report {
	const char *key;    /* borrowed */
	const char *bundle; /* digest of the bundle that judged it; borrowed */
	bool carried;       /* the whole plan is in the cluster */
	bool failed;        /* ... or will be tried again */
	bool unsure;        /* the status was written without an answer: what it says is not known */
	bool rolling_out;   /* its pods are still being replaced, says the bundle */
	bool ready;         /* as the status says now */
	bool refused;       /* the parent is invalid, or the policies failed on it */
} ao_pass_report;

typedef struct ao_reconciler_options {
	ao_loop *loop;
	ao_kube *kube;
	ao_world *world;
	ao_shared *shared;
	ao_queues *queues;
	/** Which bundle makes the plan of a parent; it may change from call to call, and lives until the loop runs again. */
	ao_bundle *(*bundle_of)(void *arg, const ao_object *parent);
	/** The bundle that made its children cannot be asked: they are left as they are, and only its status is written. */
	bool (*is_held)(void *arg, const ao_object *parent);
	/** The bundle of this parent is not the one that is live: shared objects that exist are not its business. */
	bool (*is_apart)(void *arg, const ao_object *parent);
	void (*on_pass)(void *arg, const ao_pass_report *report); /* at the end of each pass; may be NULL */
	void *arg;
	ao_openapi *openapi;
	ao_events *events;
	ao_metrics *metrics;
	size_t max_concurrent;
	const char *record_dir; /* every plan is recorded there; or NULL */
} ao_reconciler_options;

/** Everything in `options` is borrowed for the reconciler's life. */
ao_reconciler *ao_reconciler_new(const ao_reconciler_options *options);
/** Passes in flight are dropped where they stand. */
void ao_reconciler_free(ao_reconciler *reconciler);

/** From the world's listener. */
void ao_reconciler_parent_changed(ao_reconciler *reconciler, const char *key);
void ao_reconciler_dependent_changed(ao_reconciler *reconciler, const char *key);
/** Another bundle is live: parents whose shared objects had to wait for that are planned again. */
void ao_reconciler_live_changed(ao_reconciler *reconciler);
/** Something does not fit a schema, here or at the server: looks whether the server's have changed, at most once a minute. */
void ao_reconciler_doubt_schemas(ao_reconciler *reconciler);
/** Hands out no more work; what is in flight goes on. */
void ao_reconciler_pause(ao_reconciler *reconciler);
void ao_reconciler_resume(ao_reconciler *reconciler);
/** Fills in the gauges of the work queue. */
void ao_reconciler_collect(ao_reconciler *reconciler);
/**
 * What policies are shown of a parent now, and the times of its passes: {running, settled, passes, failures, ...}.
 * @return 0; as ao_world_snapshot()
 */
int ao_reconciler_tell(const ao_reconciler *reconciler, const ao_object *parent, cJSON **ret_snapshot, cJSON **ret_times, ao_err **reterr);
ao_workqueue_stats ao_reconciler_stats(const ao_reconciler *reconciler);
