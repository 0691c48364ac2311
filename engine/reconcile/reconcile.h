#pragma once
/**
 * reconcile.h -- brings the children of each parent to what the bundle wants, and its status to what is true.
 *
 * One key of the work queue is one parent; a pass over it is:
 *   finalizer -> snapshot -> plan -> queues -> each object in order (create, apply, or nothing) -> prune -> status;
 * over a parent that is being deleted: the hook finalize -> its children -> its queues -> finalizer.
 * What is as wanted already causes no request.  When a policy fails or the parent is invalid, the children stay as they are.  An error of
 * the server stops the pass at that object and is shown in the status; the key comes back after its back-off.
 * When parent and children look as they did after the last good pass, only the status is run.
 * What somebody has edited goes first, and passes that bring no more than a status go last.  A status that is about to be followed by a
 * better one is held back for a moment, and told with it.
 * Threads: the loop thread only.
 */
#include "kube/event.h"
#include "policy/plan.h"
#include "policy/recorder.h"
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
	bool failed;        /* something was not carried out, and will be tried again */
	bool unsure;        /* the write of the status got no answer: it is not known what the status says */
	bool rolling_out;   /* the bundle says that pods are still being replaced */
	bool ready;         /* as the status says now */
	bool unsaid;        /* ... or does not say: then it counts as ready */
	bool refused;       /* the parent is invalid, or the policies failed on it */
} ao_pass_report;

/** Does the status of a parent say that it is ready? @param status  may be NULL */
bool ao_status_is_ready(const cJSON *status);
/**
 * Does it say whether it is?  Policies without a status never do: whoever waited for one of theirs to be ready would wait in vain, so it counts
 * as ready when it has what it is to have.
 */
bool ao_status_tells_ready(const cJSON *status);

typedef struct ao_reconciler_options {
	ao_loop *loop;
	ao_kube *kube;
	ao_world *world;
	ao_shared *shared;
	ao_queues *queues;
	/** The bundle that makes the plan of a parent. It lives until the loop runs again; another call may give another one. */
	ao_bundle *(*bundle_of)(void *arg, const ao_object *parent);
	/** True: the bundle that made its children cannot be asked. They are left as they are, and only the parent's status is written. */
	bool (*is_held)(void *arg, const ao_object *parent);
	/** True: the bundle of this parent is not the live one, so it must not change shared objects that exist. */
	bool (*is_apart)(void *arg, const ao_object *parent);
	void (*on_pass)(void *arg, const ao_pass_report *report); /* at the end of each pass; may be NULL */
	const cJSON *claim; /* {lease, since}: what a parent's status says of who works on it; NULL: that stays as it is */
	const char *build;  /* which build we are: what another one has settled is planned again */
	void *arg;
	ao_openapi *openapi;
	ao_events *events;
	ao_metrics *metrics;
	size_t max_concurrent;
	ao_recorder *recorder; /* of every plan; or NULL */
} ao_reconciler_options;

/** Everything in `options` is borrowed for the reconciler's life. */
ao_reconciler *ao_reconciler_new(const ao_reconciler_options *options);
/** Passes in flight are dropped where they stand. */
void ao_reconciler_free(ao_reconciler *reconciler);

/** Is anything there that we have made for this object, or put on it? */
bool ao_reconciler_has_traces(const ao_reconciler *reconciler, const ao_object *object);

/** From the world's listener. */
void ao_reconciler_parent_changed(ao_reconciler *reconciler, const char *key);
/** The same for one that somebody has changed: it goes before all others. */
void ao_reconciler_parent_edited(ao_reconciler *reconciler, const char *key);
void ao_reconciler_dependent_changed(ao_reconciler *reconciler, const char *key);
/** Another bundle is live: plans the parents again whose shared objects had to wait for that. */
void ao_reconciler_live_changed(ao_reconciler *reconciler);
/** Something does not fit a schema, here or at the server: looks whether the server's schemas have changed, at most every ten seconds. */
void ao_reconciler_doubt_schemas(ao_reconciler *reconciler);
/** Begins no more passes; those in flight go on. */
void ao_reconciler_pause(ao_reconciler *reconciler);
void ao_reconciler_resume(ao_reconciler *reconciler);
/** Begins no more passes for good, but those that tell what was held back. */
void ao_reconciler_end(ao_reconciler *reconciler);
/** After that: is nothing under way any more? */
bool ao_reconciler_ended(const ao_reconciler *reconciler);
/** Fills in the gauges of the work queue. */
void ao_reconciler_collect(ao_reconciler *reconciler);
/**
 * What policies are shown of a parent now, and the times of its passes: {running, settled, passes, failures, ...}.
 * @return 0; as ao_world_snapshot()
 */
int ao_reconciler_tell(const ao_reconciler *reconciler, const ao_object *parent, cJSON **ret_snapshot, cJSON **ret_times, ao_err **reterr);
