#pragma once
/**
 * policies.h -- which bundle serves which parent, and how a new one gets there.
 *
 * The files of ConfigMaps labelled `<label>=true` in our namespace lie over those of the binary and of --policies; ConfigMaps labelled
 * `<label>-canary=true` lie over all of these, for the parents that their annotation `<label>-canary-selector` or
 * `<label>-canary-percent` names.  `<label>` is the manifest's policies_label.  ConfigMaps of another class (scope.h) are ignored.
 *
 * An edit is loaded beside the bundle that serves, and its cases are run.  It is preflighted on every parent that it concerns, and rolled
 * out a few workloads at a time.  Whatever goes wrong, the last good bundle stays.
 *
 * What became of an edit is said in the log, in metrics, in an Event on the ConfigMaps, and in their annotation `<label>-state`.
 *
 * The files that are live are kept in a ConfigMap of our own (`<component>-policies-live`, with the class).  So a restart comes back to
 * them, and not to an edit that was refused.
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
	void (*on_live)(void *arg);     /* another bundle serves: its shared objects that need no parent may have changed */
	void (*on_manifest)(void *arg); /* the live bundle has another manifest now: world and reconciler must be made anew */
	void *arg;
} ao_policies_options;

/** What the server has at start. */
typedef struct ao_policies_found {
	const cJSON *live; /* the ConfigMap with the live files, or NULL */
	bool forbidden;    /* we are not allowed to read ConfigMaps */
} ao_policies_found;

/**
 * Loads the bundle that serves at start: the files that were live last, over those of the binary and of --policies.
 * @return 0; -EINVAL when not even the built-in bundle loads (the settings are wrong)
 */
int ao_policies_new(const ao_policies_options *options, const ao_policies_found *found, ao_policies **ret, ao_err **reterr);
void ao_policies_free(ao_policies *policies); /* NULL is fine */

/** Name of the ConfigMap that keeps the live files. The caller frees. */
char *ao_policies_live_name(const ao_scope *scope, const char *component);

/** Begins to watch and to preflight. `fn` is called once, when the reconciler may begin. Nothing happens before the world is synced. */
void ao_policies_lead(ao_policies *policies, ao_world *world, ao_reconciler *reconciler, const ao_openapi *openapi, ao_events *events);
void ao_policies_world_synced(ao_policies *policies, void (*fn)(void *arg), void *arg);
/** Stops all that. Must be called before the world and the reconciler are freed. */
void ao_policies_rest(ao_policies *policies);

ao_bundle *ao_policies_bundle_of(ao_policies *policies, const ao_object *parent);
void ao_policies_on_pass(ao_policies *policies, const ao_pass_report *report);
/** Tries a bundle again that was refused because of this parent. Called by the world's listener. */
void ao_policies_parent_changed(ao_policies *policies, const char *key);

/** Is another bundle on its way to this parent, and has not reached it yet? */
bool ao_policies_holds(const ao_policies *policies, const ao_object *parent);
/** Loads the bundle again soon, because settings may have changed. */
void ao_policies_reload(ao_policies *policies);

/** The bundle that serves, with one more reference: its manifest stays as long as the caller holds it. */
ao_variant *ao_policies_live(const ao_policies *policies);
/** Writes one line for /readyz: which bundle serves, why it is not the one in the ConfigMaps, and how far a rollout is. */
void ao_policies_tell(const ao_policies *policies, ao_buf *out);
void ao_policies_collect(ao_policies *policies);
