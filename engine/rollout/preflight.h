#pragma once
/**
 * preflight.h -- finds out what a new bundle would make of every live parent, before the bundle serves any of them.
 *
 * First its cases are run.  Then each parent is planned by the bundle that serves it now and by the new one, and judged by the new one's
 * status hooks.  A case that fails, or an error on a parent that the old bundle can plan, fails the preflight.
 * Runs in slices of 5 ms between other work.  Parents that change meanwhile are looked at again, and so is what the sandbox's clock has
 * stopped, each time after a longer pause.
 * Threads: the loop thread only.
 */
#include "base/map.h"
#include "policy/cases.h"
#include "policy/plan.h"
#include "reconcile/world.h"

typedef struct ao_preflight ao_preflight;

/** What would happen to one parent. */
typedef struct ao_preflight_change {
	bool restarts; /* pods of its workload would be replaced */
} ao_preflight_change;

typedef struct ao_preflight_result {
	const char *error; /* NULL: passed; else why a case or a plan failed */
	const char *key;   /* the parent whose plan failed; NULL: it was a case */
	size_t parents;    /* looked at */
	size_t children;   /* that would be changed, made or removed */
	size_t pods;       /* that would be replaced */
	size_t queues;     /* that would be asked for in another way, or not any more */
	size_t refused;    /* parents that the new bundle refuses and the old one did not */
	ao_map *changes;   /* key -> ao_preflight_change, of parents that change; free with ao_preflight_changes_free() when taken */
} ao_preflight_result;

typedef struct ao_preflight_options {
	ao_loop *loop;
	ao_world *world;
	const ao_openapi *openapi;
	ao_bundle *candidate; /* borrowed until on_done */
	ao_cases *cases;      /* of it; taken; or NULL */
	/** The bundle that serves a parent now. */
	ao_bundle *(*bundle_of)(void *arg, const ao_object *parent);
	/** Is the candidate meant for this parent? NULL: for all. */
	bool (*concerns)(void *arg, const ao_object *parent);
	/** The sandbox's clock stops it again and again; `times` counts. May be NULL. */
	void (*on_interrupted)(void *arg, unsigned times);
	/** Once, from the loop; the preflight is gone afterwards. `changes` may be taken (AO_TAKE). */
	void (*on_done)(void *arg, ao_preflight_result *result);
	void *arg;
} ao_preflight_options;

ao_preflight *ao_preflight_start(const ao_preflight_options *options);
void ao_preflight_cancel(ao_preflight *preflight); /* NULL is fine */
void ao_preflight_changes_free(ao_map *changes);   /* NULL is fine */
