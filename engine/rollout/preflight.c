/* preflight.c -- runs the cases, then looks at all parents, round by round, until none has changed since it was looked at. */
#include "rollout/preflight.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"

#include <string.h>

#define SLICE_MS 5
#define MAX_ROUNDS 5  /* parents that change all the time must not keep a bundle out for ever */
#define AGAIN_MS 1000 /* after a call that the sandbox's clock has stopped */
#define MAX_AGAIN_MS 60000

struct ao_preflight {
	ao_preflight_options with;
	ao_timer *timer;
	ao_map *seen; /* key -> seen_parent */
	char **keys;  /* of this round */
	size_t count, at;
	unsigned rounds;
	unsigned interrupted; /* times in a row */
	bool news;            /* this round looked at somebody */
	ao_preflight_result result;
	ao_err *err;
	char *key;
};

typedef struct seen_parent {
	uint64_t spec_digest;
	size_t children, pods, queues;
	bool refused;
} seen_parent;

static void free_keys(ao_preflight *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->keys[i]);
	free(p->keys);
	p->keys = NULL;
	p->count = p->at = 0;
}

static void free_values(ao_map *map)
{
	size_t cursor = 0;
	for (void *value; map && (value = ao_map_next(map, &cursor, NULL));)
		free(value);
	ao_map_free(map);
}

void ao_preflight_changes_free(ao_map *changes) { free_values(changes); }

void ao_preflight_cancel(ao_preflight *p)
{
	if (!p)
		return;
	ao_timer_free(p->timer);
	ao_cases_free(p->with.cases);
	free_keys(p);
	free_values(p->seen);
	free_values(p->result.changes);
	ao_err_free(p->err);
	free(p->key);
	free(p);
}

/* ---- two plans ---- */

static const cJSON *same_object(const cJSON *objects, const cJSON *wanted)
{
	const cJSON *item;
	const char *kind = ao_json_str(wanted, "kind"), *name = ao_json_str(wanted, "metadata", "name");
	cJSON_ArrayForEach (item, objects) {
		const cJSON *object = ao_json_at(item, "object") ? ao_json_at(item, "object") : item;
		const char *other_kind = ao_json_str(object, "kind"), *other_name = ao_json_str(object, "metadata", "name");
		if (kind && name && other_kind && other_name && strcmp(kind, other_kind) == 0 && strcmp(name, other_name) == 0)
			return object;
	}
	return NULL;
}

/** How many pods run from the template of this child now. */
static size_t pods_of(const cJSON *snapshot, const cJSON *object)
{
	const cJSON *child = same_object(ao_json_at(snapshot, "children"), object);
	const cJSON *running = ao_json_at(child, "status", "replicas");
	return cJSON_IsNumber(running) && running->valuedouble > 0 ? (size_t)running->valuedouble : 0;
}

/** Counts what differs between two plans. @return true when the template of running pods does */
static bool compare(const cJSON *snapshot, const cJSON *before, const cJSON *after, seen_parent *seen)
{
	const cJSON *item, *old = ao_json_at(before, "objects"), *new = ao_json_at(after, "objects");
	bool restarts = false;
	cJSON_ArrayForEach (item, new) {
		const cJSON *object = ao_json_at(item, "object"), *was = same_object(old, object);
		if (was && ao_json_equal(was, object))
			continue;
		seen->children++;
		const cJSON *template = ao_json_at(object, "spec", "template");
		if (was && template && !ao_json_equal(ao_json_at(was, "spec", "template"), template)) {
			restarts = true;
			seen->pods += pods_of(snapshot, object);
		}
	}
	cJSON_ArrayForEach (item, old)
		if (!same_object(new, ao_json_at(item, "object")))
			seen->children++;
	return restarts;
}

static const cJSON *same_queue(const cJSON *queues, const cJSON *wanted)
{
	const cJSON *item;
	const char *name = ao_json_str(wanted, "name"), *transport = ao_json_str(wanted, "transport");
	cJSON_ArrayForEach (item, queues) {
		const char *other = ao_json_str(item, "name"), *through = ao_json_str(item, "transport");
		if (name && transport && other && through && strcmp(name, other) == 0 && strcmp(transport, through) == 0)
			return item;
	}
	return NULL;
}

static size_t count_queues(const cJSON *before, const cJSON *after)
{
	const cJSON *item, *old = ao_json_at(before, "queues"), *new = ao_json_at(after, "queues");
	size_t count = 0;
	cJSON_ArrayForEach (item, new) {
		const cJSON *was = same_queue(old, item);
		count += !was || !ao_json_equal(was, item);
	}
	cJSON_ArrayForEach (item, old)
		count += !same_queue(new, item);
	return count;
}

/* ---- one parent ---- */

static int judge(ao_preflight *p, cJSON *snapshot, const cJSON *plan, ao_err **reterr)
{
	ao_auto_json cJSON *status = NULL, *outcome = cJSON_CreateObject();
	const cJSON *invalid = ao_json_at(plan, "invalid");
	ao_json_set(outcome, "errors", cJSON_CreateArray());
	ao_json_set(outcome, "changed", cJSON_CreateArray());
	if (cJSON_IsObject(invalid))
		ao_json_set(outcome, "invalid", cJSON_Duplicate(invalid, 1));
	ao_json_set_str(outcome, "bundle_digest", ao_bundle_digest(p->with.candidate));
	ao_json_set(snapshot, "outcome", AO_TAKE(outcome));
	return ao_bundle_status(p->with.candidate, snapshot, &status, NULL, reterr);
}

/** @return 0; -EINTR the clock stopped a call: look again later; negative when the candidate must not go live */
static int look_at(ao_preflight *p, const ao_object *parent, seen_parent *seen, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = NULL, *before = NULL, *after = NULL;
	if (ao_world_snapshot(p->with.world, parent, &snapshot, NULL) < 0)
		return 0; /* unreadable for either bundle */
	int was = ao_plan_make(p->with.bundle_of(p->with.arg, parent), p->with.openapi, snapshot, &before, NULL, NULL, reterr);
	if (was == -EINTR)
		return was;
	int is = ao_plan_make(p->with.candidate, p->with.openapi, snapshot, &after, NULL, NULL, reterr);
	if (is < 0)
		return was < 0 && is != -EINTR ? 0 : is; /* no worse than it was */
	seen->refused = cJSON_IsObject(ao_json_at(after, "invalid")) && !cJSON_IsObject(ao_json_at(before, "invalid"));
	bool restarts = !seen->refused && compare(snapshot, before, after, seen);
	seen->queues = seen->refused ? 0 : count_queues(before, after);
	if (seen->children) {
		ao_preflight_change *change = ao_xcalloc(1, sizeof(*change));
		change->restarts = restarts;
		free(ao_map_put(p->result.changes, parent->key, change));
	}
	return judge(p, snapshot, after, reterr);
}

static void wait_for_better_times(ao_preflight *p, const char *key, const ao_err *err)
{
	uint64_t wait_ms = ao_backoff_ms(AGAIN_MS, MAX_AGAIN_MS, p->interrupted++);
	ao_warn(AO_POLICY, key, "preflight: %s: tried again in %llu s", ao_err_text(err), (unsigned long long)wait_ms / 1000);
	ao_timer_start(p->timer, wait_ms);
	if (p->with.on_interrupted)
		p->with.on_interrupted(p->with.arg, p->interrupted);
}

/** @return as step() */
static int run_case(ao_preflight *p)
{
	ao_auto_err ao_err *err = NULL;
	int r = ao_cases_next(p->with.cases, &err);
	if (r == -EINTR) {
		wait_for_better_times(p, NULL, err);
		return r;
	}
	p->interrupted = 0;
	if (r < 0)
		p->err = AO_TAKE(err);
	if (r == 0)
		ao_cases_free(AO_TAKE(p->with.cases));
	return r < 0 ? r : 0;
}

/** @return as step() */
static int look(ao_preflight *p, const char *key)
{
	const ao_object *parent = ao_store_get(ao_world_parents(p->with.world), key);
	if (!parent || parent->deleting || (p->with.concerns && !p->with.concerns(p->with.arg, parent)))
		return 0;
	seen_parent *known = ao_map_get(p->seen, key);
	if (known && known->spec_digest == parent->spec_digest)
		return 0;
	p->news = true;
	free(ao_map_remove(p->result.changes, key));
	seen_parent *seen = ao_xcalloc(1, sizeof(*seen));
	seen->spec_digest = parent->spec_digest;
	free(ao_map_put(p->seen, key, seen));
	ao_auto_err ao_err *err = NULL;
	int r = look_at(p, parent, seen, &err);
	if (r == -EINTR) {
		free(ao_map_remove(p->seen, key));
		wait_for_better_times(p, key, err);
		return r;
	}
	p->interrupted = 0;
	if (r < 0) {
		p->key = ao_xstrdup(key);
		p->err = AO_TAKE(err);
	}
	return r;
}

/* ---- rounds ---- */

static void begin_round(ao_preflight *p)
{
	const ao_store *store = ao_world_parents(p->with.world);
	size_t cursor = 0;
	free_keys(p);
	p->keys = ao_xcalloc(ao_store_count(store) + 1, sizeof(*p->keys));
	for (const ao_object *object; (object = ao_store_next(store, &cursor));)
		p->keys[p->count++] = ao_xstrdup(object->key);
	p->news = false;
	p->rounds++;
}

static void finish(ao_preflight *p)
{
	size_t cursor = 0;
	for (seen_parent *seen; (seen = ao_map_next(p->seen, &cursor, NULL));) {
		p->result.parents++;
		p->result.children += seen->children;
		p->result.pods += seen->pods;
		p->result.queues += seen->queues;
		p->result.refused += seen->refused;
	}
	p->result.error = p->err ? ao_err_text(p->err) : NULL;
	p->result.key = p->key;
	p->with.on_done(p->with.arg, &p->result);
	ao_preflight_cancel(p);
}

/** @return 0 there is more to do; 1 that was all; -EINTR not now, the timer runs; negative when the candidate has failed, with p->err */
static int step(ao_preflight *p)
{
	if (p->with.cases)
		return run_case(p);
	if (p->at == p->count) {
		if (p->rounds && (!p->news || p->rounds >= MAX_ROUNDS))
			return 1;
		begin_round(p);
		return 0;
	}
	int r = look(p, p->keys[p->at]);
	p->at += r != -EINTR;
	return r;
}

static void slice(void *arg)
{
	ao_preflight *p = arg;
	uint64_t until_ms = ao_mono_ms() + SLICE_MS;
	do {
		int r = step(p);
		if (r == -EINTR)
			return;
		if (r != 0) {
			finish(p);
			return;
		}
	} while (ao_mono_ms() < until_ms);
	ao_timer_start(p->timer, 1);
}

ao_preflight *ao_preflight_start(const ao_preflight_options *options)
{
	ao_preflight *p = ao_xcalloc(1, sizeof(*p));
	p->with = *options;
	p->seen = ao_map_new();
	p->result.changes = ao_map_new();
	p->timer = ao_timer_new(options->loop, slice, p);
	ao_timer_start(p->timer, 0);
	return p;
}
