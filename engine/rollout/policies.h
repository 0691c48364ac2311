#pragma once
/**
 * policies.h -- which bundle serves which parent, and how a new one gets there.
 *
 * The files of ConfigMaps labelled `<label>=true` in our namespace, or `<bundle_label>=<component>`, lie over those of the binary and of
 * --policies; ConfigMaps labelled `<label>-canary=true` lie over all of these, for the parents that their annotation `<label>-canary-selector` or
 * `<label>-canary-percent` names.  `<label>` is the manifest's policies_label.  ConfigMaps of another class (scope.h) are ignored.
 *
 * What they and the settings hold is the bundle that is wanted.  machine/ decides how it reaches parents.  This module tells the machine
 * what happens, and does what the machine wants done.  What must not be forgotten is written to a ConfigMap, the record
 * (`<component>-policies-live`, with the class).  The texts of bundles in use are written to other ConfigMaps.  So a successor goes on
 * where its predecessor was.
 *
 * What became of an edit is said in the log, in metrics, in an Event on the ConfigMaps, and in their annotation `<label>-state`.  People
 * steer by the annotation `<label>-rollout`, on the record or on the ConfigMap that was edited.
 *
 * Call in this order: new, recall (when the lease is won), lead, world_synced; then events; rest, and perhaps recall again; free.
 * Threads: the loop thread only.
 */
#include "policy/variant.h"
#include "reconcile/reconcile.h"

typedef struct ao_policies ao_policies;

typedef struct ao_policies_options {
	ao_loop *loop;
	ao_kube *kube;
	const char *namespace_;
	const ao_load_options *load;
	ao_metrics *metrics;
	bool forbidden;                 /* we may not read ConfigMaps here, yet: what is in the binary and --policies serves */
	void (*on_live)(void *arg);     /* another bundle is live: it may want other shared objects that need no parent */
	void (*on_manifest)(void *arg); /* the live bundle needs another world: call rest, recall, lead */
	void *arg;
} ao_policies_options;

/** Loads the bundle of the binary and of --policies. @return 0; -EINVAL it cannot be loaded (the settings are wrong); -ETIME not in time */
int ao_policies_new(const ao_policies_options *options, ao_policies **ret, ao_err **reterr);
void ao_policies_free(ao_policies *policies); /* NULL is fine */

/** We may read ConfigMaps now: when the lease is won, or recall() is called again, they are read. */
void ao_policies_allow(ao_policies *policies);
/** Reads what a predecessor left, and loads the bundle that was live. `fn` is called once, from the loop. */
void ao_policies_recall(ao_policies *policies, ao_events *events, void (*fn)(void *arg), void *arg);
/** The manifest that the world is to be made for. @return as ao_manifest_read() */
int ao_policies_manifest(const ao_policies *policies, ao_manifest **ret, ao_err **reterr);
/** Takes what it needs to lead. Nothing happens before the world is synced. */
void ao_policies_lead(ao_policies *policies, ao_world *world, ao_reconciler *reconciler, const ao_openapi *openapi);
/** `fn` is called once, when parents can be served and passes may begin. */
void ao_policies_world_synced(ao_policies *policies, void (*fn)(void *arg), void *arg);
/** Stops all that. Must be called before the world and the reconciler are freed. */
void ao_policies_rest(ao_policies *policies);

/** The bundle to ask about a parent. When the parent is held, ask it only for the status. Lives until the loop runs again. */
ao_bundle *ao_policies_bundle_of(ao_policies *policies, const ao_object *parent);
/** is_held and is_apart of reconcile.h. */
bool ao_policies_holds(const ao_policies *policies, const ao_object *parent);
bool ao_policies_apart(const ao_policies *policies, const ao_object *parent);
void ao_policies_on_pass(ao_policies *policies, const ao_pass_report *report);
/** A parent came, went or changed. Called by the world's listener, before its pass. */
void ao_policies_parent_changed(ao_policies *policies, const char *key);
/** Settings may have changed: looks soon at what is wanted now. */
void ao_policies_reload(ao_policies *policies);

/** The operator's settings as they were at the start, those for the engine alone among them. Borrowed. */
const cJSON *ao_policies_settings(const ao_policies *policies);
/** The bundle that is live, with one more reference; NULL: that is not known, or it is not at hand. It speaks for shared objects. */
ao_variant *ao_policies_live(const ao_policies *policies);
/** Writes one line for /readyz: which bundle serves, why it is not the one in the ConfigMaps, and how far a rollout is. */
void ao_policies_tell(const ao_policies *policies, ao_buf *out);
void ao_policies_collect(ao_policies *policies);
