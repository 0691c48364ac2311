#pragma once
/**
 * bundle.h -- a loaded set of policies: snapshot in, plan out.
 *
 * A bundle lives in a virtual machine of its own, with limits on steps, heap, string length, output and depth.  The heap of the machine is
 * an arena.  Its image is taken after loading and copied back before each call; sanitizer builds load the bundle again instead.  So no
 * state survives a call, and the same snapshot always gives the same plan.
 * Policies are pure: none of these calls does I/O.
 * Ownership: arguments are borrowed, results belong to the caller.
 * Threads: the loop thread only, never re-entrant.
 */
#include "json/json.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ao_bundle ao_bundle;

/** One file of a bundle. */
typedef struct ao_source {
	/** "workload.lua", "asya_runtime.py": a ConfigMap key; or "profiles/0.4/names.lua", which lies over "names.lua" in that profile */
	char *name;
	char *text; /* may hold any bytes */
	size_t len;
	char *origin; /* for messages and tools: "built-in", "./policies", "configmap asya-system/team-policies" */
} ao_source;

typedef struct ao_sources {
	ao_source *items;
	size_t count;
} ao_sources;

/** Adds a file, or replaces the file of that name: later sources win. Copies everything. */
void ao_sources_put(ao_sources *sources, const char *name, const char *text, size_t len, const char *origin);
/** The same; a file without folder takes away those of profiles that have its name: what comes later lies over all of them. */
void ao_sources_lay(ao_sources *sources, const char *name, const char *text, size_t len, const char *origin);
/** Lays all files of another set over these. */
void ao_sources_put_all(ao_sources *sources, const ao_sources *from);
/** The files compiled into the binary from policies/. */
void ao_sources_builtin(ao_sources *sources);
/** The name of a file of a profile. The caller frees it. */
char *ao_sources_profile_name(const char *profile, const char *name);
/** Adds all regular files of a folder, and of profiles/NAME in it, that are not hidden (at most 256 files of 1 MiB). @return 0; -ENOENT, -E2BIG, -EIO with the path */
int ao_sources_dir(ao_sources *sources, const char *path, ao_err **reterr);
void ao_sources_clear(ao_sources *sources);
#define ao_auto_sources __attribute__((cleanup(ao_sources_clear)))

/** Limits of one call; 0 means the default. */
typedef struct ao_limits {
	uint64_t steps;  /* VM instructions plus one per 64 bytes allocated; default 1,000,000 */
	size_t heap;     /* bytes; default 16 MiB */
	size_t string;   /* longest string; default 256 KiB */
	size_t output;   /* bytes of text in a result; default 2 MiB */
	uint64_t cpu_ms; /* the last resort: the thread's own time, which the step hook reads; default 500 */
} ao_limits;

/**
 * Compiles and loads a bundle.
 *
 * @param settings  the operator's settings by name (an object), or NULL for none; `params` in it holds policy parameters by policy name
 * @return 0; -EINVAL a file does not compile, is not a policy, or its parameters are wrong ("workload.lua:12: ..."); -ETIME, -E2BIG a limit;
 *         -EINTR the clock
 */
int ao_bundle_load(const ao_sources *sources, const cJSON *settings, const ao_limits *limits, ao_bundle **ret, ao_err **reterr);
void ao_bundle_free(ao_bundle *bundle);

/**
 * Reads the manifest alone, so that a caller knows which settings to collect. Loads no policies. The last one is remembered: to ask for that of
 * the same sources again costs little. The caller frees it.
 */
int ao_bundle_peek_manifest(const ao_sources *sources, cJSON **ret, ao_err **reterr);

const cJSON *ao_bundle_manifest(const ao_bundle *bundle); /* borrowed */
const cJSON *ao_bundle_settings(const ao_bundle *bundle); /* the settings it was loaded with; borrowed */
/** [{name, file, origin, doc, finalize, relate}] in the order they run; borrowed */
const cJSON *ao_bundle_policies(const ao_bundle *bundle);
/** For how many seconds policies may hold a parent that is being deleted, counted from then; 0: none has the hook finalize. */
uint64_t ao_bundle_finalize_seconds(const ao_bundle *bundle);
const cJSON *ao_bundle_problems(const ao_bundle *bundle); /* texts: what policies find wrong with the settings, and do without; borrowed */
const ao_limits *ao_bundle_limits(const ao_bundle *bundle); /* those that it was loaded with; borrowed */
const char *ao_bundle_digest(const ao_bundle *bundle);      /* 16 hex digits over names, texts and settings */

#define AO_BUNDLE_DIGEST 17 /* bytes, with the NUL */
/** The digest that a bundle of these sources and settings would have, for which nothing is loaded. */
void ao_bundle_digest_of(const ao_sources *sources, const cJSON *settings, char ret[AO_BUNDLE_DIGEST]);

/** Time within one hook of one policy. */
typedef struct ao_hook_time {
	char policy[128], hook[32];
	uint64_t ns;
} ao_hook_time;

#define AO_HOOK_TIMES 64

/** What a call cost. Filled in on success and on failure. */
typedef struct ao_call_stats {
	uint64_t steps;
	size_t heap_peak;
	ao_hook_time hooks[AO_HOOK_TIMES]; /* in the order they first ran; further ones are left out */
	size_t hook_count;
} ao_call_stats;

/**
 * Runs the hooks. `plan`: validate, render, queues. `status`: status. `shared`: shared objects.
 *
 * @param snapshot  see policies/README.md; NULL for shared
 * @param stats     may be NULL
 * @param reterr    "policy 'x', render: x.lua:12: attempt to index a nil value ..." and the last frames
 * @return 0; -EINVAL the policy raised or returned the wrong shape (path named); -ETIME steps spent; -E2BIG the cap on heap, strings or output;
 *         -EINTR stopped by the clock: the call is to be made again, and no policy is blamed
 */
int ao_bundle_plan(ao_bundle *bundle, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr);
int ao_bundle_status(ao_bundle *bundle, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr);
/** Runs a case (lua/cases.lua): `*ret` is {} when it holds, else {failure}. */
int ao_bundle_case(ao_bundle *bundle, const cJSON *case_, cJSON **ret, ao_err **reterr);
/** What a cluster needs to run an operator of this bundle: {objects}. @param options  as lua/deploy.lua has them */
int ao_bundle_objects(ao_bundle *bundle, const cJSON *options, cJSON **ret, ao_err **reterr);
int ao_bundle_shared(ao_bundle *bundle, cJSON **ret, ao_call_stats *stats, ao_err **reterr);

/** Does a policy have the hook relate? */
bool ao_bundle_relates(const ao_bundle *bundle);
/**
 * Asks the hook relate which objects a parent wants to see. `*ret` is {rules}, see reconcile/relations.h.
 * @param snapshot  {parent}
 * @return as above
 */
int ao_bundle_relate(ao_bundle *bundle, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats, ao_err **reterr);

/** Names of the policy and the hook in which the last call failed, or "". Borrowed until the next call. */
const char *ao_bundle_failed_policy(const ao_bundle *bundle);
const char *ao_bundle_failed_hook(const ao_bundle *bundle);

/** Where `log.info` of policies goes; default is the log with room AO_POLICY. */
void ao_bundle_on_log(ao_bundle *bundle, void (*fn)(void *arg, const char *level, const char *policy, const char *text), void *arg);

static inline void ao_bundle_freep(ao_bundle **b) { ao_bundle_free(*b); }
#define ao_auto_bundle __attribute__((cleanup(ao_bundle_freep)))
