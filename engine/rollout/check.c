/* check.c -- two plans of one parent, and the status that the new one would lead to. */
#include "rollout/check.h"

#include "base/mem.h"

#include <string.h>

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
static bool compare(const cJSON *snapshot, const cJSON *before, const cJSON *after, ao_check_sums *seen)
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

/** Its status hooks run, too: one that raises would leave people without a status. */
static int judge(ao_bundle *candidate, cJSON *snapshot, const cJSON *plan, ao_err **reterr)
{
	ao_auto_json cJSON *status = NULL, *outcome = cJSON_CreateObject();
	const cJSON *invalid = ao_json_at(plan, "invalid");
	ao_json_set(outcome, "errors", cJSON_CreateArray());
	ao_json_set(outcome, "changed", cJSON_CreateArray());
	if (cJSON_IsObject(invalid))
		ao_json_set(outcome, "invalid", cJSON_Duplicate(invalid, 1));
	ao_json_set_str(outcome, "bundle_digest", ao_bundle_digest(candidate));
	ao_json_set(snapshot, "outcome", AO_TAKE(outcome));
	return ao_bundle_status(candidate, snapshot, &status, NULL, reterr);
}

/** @return 0; -EINTR the clock stopped a call: look again later; negative when the candidate must not go live */
static int look(const ao_check_options *o, const ao_object *parent, ao_machine_check *ret, ao_check_sums *sums, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = NULL, *before = NULL, *after = NULL;
	ao_auto_err ao_err *ignored = NULL;
	if (ao_world_snapshot(o->world, parent, &snapshot, NULL) < 0)
		return 0; /* unreadable for either bundle */
	int was = o->serving ? ao_plan_make(o->serving, o->openapi, snapshot, &before, NULL, NULL, &ignored) : 0;
	if (was == -EINTR) {
		*reterr = AO_TAKE(ignored);
		return was;
	}
	int is = ao_plan_make(o->candidate, o->openapi, snapshot, &after, NULL, NULL, reterr);
	if (is < 0)
		return was < 0 && is != -EINTR ? 0 : is; /* no worse than it was */
	ret->refuses = cJSON_IsObject(ao_json_at(after, "invalid")) && !cJSON_IsObject(ao_json_at(before, "invalid"));
	ret->restarts = !o->serving || (!ret->refuses && compare(snapshot, before, after, sums));
	sums->queues += ret->refuses || !o->serving ? 0 : count_queues(before, after);
	sums->refused += ret->refuses;
	return judge(o->candidate, snapshot, after, reterr);
}

void ao_check_parent(const ao_check_options *options, const ao_object *parent, ao_machine_check *ret, ao_check_sums *sums, ao_err **reterr)
{
	ao_check_sums more = {.parents = 1};
	*ret = (ao_machine_check){0};
	int r = look(options, parent, ret, &more, reterr);
	ret->verdict = r == -EINTR ? AO_VERDICT_AGAIN : r < 0 ? AO_VERDICT_WRONG : AO_VERDICT_GOOD;
	ret->why = r < 0 ? ao_err_text(*reterr) : NULL;
	if (r < 0)
		return;
	sums->parents += more.parents;
	sums->children += more.children;
	sums->pods += more.pods;
	sums->queues += more.queues;
	sums->refused += more.refused;
}
