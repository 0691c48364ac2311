/* rollout.c -- one small state for each changed parent.  A timer looks at the parents that are under way. */
#include "rollout/rollout.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define LOOK_MS 250

typedef enum { HELD, RELEASED, DONE, FAILED } stage;

typedef struct member {
	stage stage;
	bool restarts, was_ready, carried, rolling_out;
	uint64_t since_ms; /* when it was released */
} member;

struct ao_rollout {
	ao_rollout_options with;
	char bundle[17];
	ao_map *members; /* key -> member */
	ao_timer *timer;
	bool ended;
};

/** @return NULL when the parent is gone or being deleted: there is nothing to wait for, and nothing that could fail */
static const ao_object *find_standing(const ao_rollout *r, const char *key)
{
	const ao_object *object = ao_store_get(ao_world_parents(r->with.world), key);
	return object && !object->deleting ? object : NULL;
}

static bool is_ready(const ao_rollout *r, const char *key)
{
	const ao_object *object = find_standing(r, key);
	ao_auto_json cJSON *tree = NULL;
	const cJSON *condition;
	if (!object || ao_object_tree(object, &tree, NULL) < 0)
		return false;
	cJSON_ArrayForEach (condition, ao_json_at(tree, "status", "conditions")) {
		const char *type = ao_json_str(condition, "type"), *status = ao_json_str(condition, "status");
		if (type && strcmp(type, "Ready") == 0)
			return status && strcmp(status, "True") == 0;
	}
	return false;
}

ao_rollout_stats ao_rollout_get_stats(const ao_rollout *r)
{
	ao_rollout_stats stats = {0};
	size_t cursor = 0;
	for (const member *m; (m = ao_map_next(r->members, &cursor, NULL));) {
		stats.waiting += m->stage == HELD;
		stats.restarting += m->stage == RELEASED && m->restarts;
		stats.done += m->stage == DONE;
		stats.failed += m->stage == FAILED;
	}
	return stats;
}

static void release(ao_rollout *r, const char *key, member *m)
{
	m->stage = RELEASED;
	m->was_ready = is_ready(r, key);
	m->since_ms = ao_mono_ms();
	ao_reconciler_redo(r->with.reconciler, key);
}

/**
 * A parent is done when its plan is carried out, all its new pods are there, and it is ready.  A parent that is late has failed, unless it
 * was not ready before the rollout either.
 */
static void look_at(ao_rollout *r, const char *key, member *m)
{
	bool late = ao_mono_ms() - m->since_ms >= r->with.ready_ms;
	if (!find_standing(r, key))
		m->stage = DONE;
	else if (m->stage == HELD)
		return;
	else if (m->carried && (!m->restarts || (!m->rolling_out && is_ready(r, key))))
		m->stage = DONE;
	else if (late)
		m->stage = m->was_ready ? FAILED : DONE;
	if (m->stage == FAILED)
		ao_warn(AO_POLICY, key, "not ready %llu s after bundle %s reached it", (unsigned long long)(r->with.ready_ms / 1000),
			r->bundle);
}

static void end(ao_rollout *r, const char *failed)
{
	r->ended = true;
	ao_timer_stop(r->timer);
	r->with.on_done(r->with.arg, failed); /* may free us */
}

static void look(void *arg)
{
	ao_rollout *r = arg;
	size_t cursor = 0, under_way = 0;
	const char *key;
	for (member *m; (m = ao_map_next(r->members, &cursor, &key));)
		if (m->stage == HELD || m->stage == RELEASED)
			look_at(r, key, m);
	ao_rollout_stats stats = ao_rollout_get_stats(r);
	if (stats.failed > r->with.max_failed) {
		ao_auto_str char *why = ao_xasprintf("%zu of the changed workloads did not become ready again", stats.failed);
		end(r, why);
		return;
	}
	cursor = 0;
	for (member *m; (m = ao_map_next(r->members, &cursor, &key));) {
		if (m->stage == HELD && (!m->restarts || stats.restarting < r->with.max_restarting)) {
			stats.restarting += m->restarts;
			release(r, key, m);
		}
		under_way += m->stage == HELD || m->stage == RELEASED;
	}
	if (under_way)
		ao_timer_start(r->timer, LOOK_MS);
	else
		end(r, NULL);
}

ao_rollout *ao_rollout_start(const ao_rollout_options *options)
{
	ao_rollout *r = ao_xcalloc(1, sizeof(*r));
	size_t cursor = 0;
	const char *key;
	r->with = *options;
	r->members = ao_map_new();
	strncpy(r->bundle, options->bundle, sizeof(r->bundle) - 1);
	for (ao_preflight_change *change; (change = ao_map_next(options->changes, &cursor, &key));) {
		member *m = ao_xcalloc(1, sizeof(*m));
		m->restarts = change->restarts;
		ao_map_put(r->members, key, m);
	}
	ao_preflight_changes_free(options->changes);
	r->with.changes = NULL;
	r->timer = ao_timer_new(options->loop, look, r);
	ao_timer_start(r->timer, 0);
	return r;
}

void ao_rollout_free(ao_rollout *r)
{
	if (!r)
		return;
	size_t cursor = 0;
	for (member *m; (m = ao_map_next(r->members, &cursor, NULL));)
		free(m);
	ao_map_free(r->members);
	ao_timer_free(r->timer);
	free(r);
}

bool ao_rollout_holds(const ao_rollout *r, const char *key)
{
	const member *m = ao_map_get(r->members, key);
	return m && m->stage == HELD;
}

void ao_rollout_on_pass(ao_rollout *r, const ao_pass_report *report)
{
	member *m = ao_map_get(r->members, report->key);
	if (!m || m->stage != RELEASED || strcmp(report->bundle, r->bundle) != 0)
		return;
	m->rolling_out = report->rolling_out;
	if (report->carried || report->refused)
		m->carried = true;
	if (!r->ended && m->carried)
		ao_timer_start(r->timer, m->restarts ? LOOK_MS : 1);
}

void ao_rollout_each_released(const ao_rollout *r, void (*fn)(void *arg, const char *key), void *arg)
{
	size_t cursor = 0;
	const char *key;
	for (const member *m; (m = ao_map_next(r->members, &cursor, &key));)
		if (m->stage != HELD)
			fn(arg, key);
}
