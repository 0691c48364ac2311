/*
 * carry.c -- carries out a plan: first its queues, then each object in order, one at a time, then what is no longer wanted goes.
 *
 * One at a time because the order has a meaning (a workload after what it mounts); many parents at once give the concurrency.
 */
#include "base/log.h"
#include "base/mem.h"
#include "policy/plan.h"
#include "reconcile/pass.h"
#include "serve/instruments.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void next_object(ao_pass *pass);

static cJSON *planned(const ao_pass *pass, int index) { return cJSON_GetArrayItem(ao_json_at(pass->plan, "objects"), index); }

static char *memo_id(const ao_kind *kind, const cJSON *desired)
{
	const char *namespace_ = ao_json_str(desired, "metadata", "namespace");
	return ao_xasprintf("%s %s%s%s", kind->resource.kind, namespace_ ? namespace_ : "", namespace_ ? "/" : "",
			    ao_json_str(desired, "metadata", "name"));
}

static ao_memo *memo_for(ao_pass *pass, const ao_kind *kind, const cJSON *desired)
{
	ao_auto_str char *id = memo_id(kind, desired);
	ao_memo *memo = ao_map_get(pass->parent->memos, id);
	if (!memo) {
		memo = ao_xcalloc(1, sizeof(*memo));
		ao_map_put(pass->parent->memos, id, memo);
	}
	return memo;
}

static void note_change(ao_pass *pass, const char *verb, const ao_kind *kind, const char *name)
{
	cJSON *change = cJSON_CreateObject();
	ao_json_set_str(change, "verb", verb);
	ao_json_set_str(change, "kind", kind->resource.kind);
	ao_json_set_str(change, "name", name);
	ao_json_set_str(change, "path", pass->difference);
	cJSON_AddItemToArray(pass->changed, change);
	ao_info(AO_CORE, pass->parent->key, "%s %s %s%s%s%s", verb, kind->resource.kind, name, pass->difference ? " (" : "",
		pass->difference ? pass->difference : "", pass->difference ? ")" : "");
	ao_instruments_apply(pass->reconciler->with.metrics, kind->resource.kind, verb);
}

/* ---- one object ---- */

/**
 * Is this child already what the plan wants?  Yes when it is the very object we last saw to be right; or when it equals what we render in
 * effect and nothing we rendered earlier can be left over in it, that is when the digest of the last rendering is today's, or when nobody
 * of ours ever rendered it (taken over: left alone until something really changes).
 */
static bool as_wanted(ao_pass *pass, ao_memo *memo, const ao_kind *kind, const cJSON *desired, uint64_t digest, const ao_object *observed)
{
	bool known = memo->desired != 0;
	if (known && memo->desired == digest && memo->observed == observed->spec_digest)
		return true;
	ao_auto_json cJSON *tree = NULL;
	free(pass->difference);
	pass->difference = NULL;
	if (ao_world_tree(kind, observed, &tree, NULL) < 0 || !ao_apply_equal(desired, tree, &pass->difference))
		return false;
	bool leftovers = known ? memo->desired != digest : pass->previous && strcmp(pass->previous, pass->parent->rendered) != 0;
	if (!leftovers)
		*memo = (ao_memo){.desired = digest, .observed = observed->spec_digest, .seen = true};
	return !leftovers;
}

static void on_applied(void *arg, const ao_kube_answer *answer, bool created)
{
	ao_pass *pass = arg;
	const cJSON *desired = ao_json_at(planned(pass, pass->index), "object");
	const ao_kind *kind = ao_manifest_kind(pass->reconciler->manifest, desired);
	const char *name = ao_json_str(desired, "metadata", "name");
	pass->apply = NULL;
	if (answer->error) {
		if (answer->error == -EINVAL)
			ao_reconciler_doubt_schemas(pass->reconciler);
		ao_pass_error(pass, created ? "create" : "update", kind, ao_json_str(planned(pass, pass->index), "role"), name, answer);
		ao_pass_status(pass);
		return;
	}
	uint64_t observed; /* of the answer: what came after it, and is in the cache already, has yet to be compared */
	if (ao_world_took(pass->reconciler->with.world, kind, AO_WROTE_OBJECT, answer, &observed))
		*memo_for(pass, kind, desired) = (ao_memo){ao_json_digest(desired), observed, true};
	note_change(pass, created ? "created" : pass->restoring ? "restored" : "updated", kind, name);
	pass->index++;
	next_object(pass);
}

static void on_shared(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const cJSON *item = planned(pass, pass->index), *desired = ao_json_at(item, "object");
	if (answer->error) {
		ao_pass_error(pass, "write", ao_manifest_kind(pass->reconciler->manifest, desired), ao_json_str(item, "role"),
			      ao_json_str(desired, "metadata", "name"), answer);
		ao_pass_status(pass);
		return;
	}
	pass->index++;
	next_object(pass);
}

/** Nobody needs to ask the server: it does not know the kind, and the watch tells when it does. */
static bool refuse_absent(ao_pass *pass, const ao_kind *kind, const cJSON *item)
{
	const char *name = ao_json_str(item, "object", "metadata", "name");
	cJSON *error = ao_pass_note_error(pass, "create", kind->resource.kind, ao_json_str(item, "role"), name);
	ao_auto_str char *message =
	    ao_xasprintf("%s (%s) is not installed in this cluster", kind->resource.kind, kind->resource.api_version);
	ao_json_set_str(error, "reason", "KindAbsent");
	ao_json_set_str(error, "message", message);
	pass->blocked = true;
	ao_pass_status(pass);
	return false;
}

/** @return true when the object is as wanted; false when a write was started that will go on with the pass */
static bool carry_object(ao_pass *pass, const cJSON *item)
{
	ao_reconciler *r = pass->reconciler;
	const cJSON *desired = ao_json_at(item, "object");
	const ao_kind *kind = ao_manifest_kind(r->manifest, desired);
	if (cJSON_IsTrue(ao_json_at(item, "shared")))
		return r->with.is_held(r->with.arg, ao_pass_object(pass)) ||
		       ao_shared_want(r->with.shared, kind, ao_json_str(item, "role"), desired, on_shared, pass);
	const ao_object *observed = ao_world_find(r->with.world, kind, desired);
	ao_memo *memo = memo_for(pass, kind, desired);
	uint64_t digest = ao_json_digest(desired);
	memo->seen = true;
	if (observed && as_wanted(pass, memo, kind, desired, digest, observed))
		return true;
	if (!observed && ao_world_absent(r->with.world, kind))
		return refuse_absent(pass, kind, item);
	pass->restoring = memo->desired == digest;
	pass->apply = ao_apply_start(&(ao_apply_request){
	    .kube = r->with.kube,
	    .resource = &kind->resource,
	    .desired = desired,
	    .observed = observed,
	    .manager = r->manifest->field_manager,
	    .legacy_managers = (const char *const *)r->manifest->legacy_managers,
	    .fn = on_applied,
	    .arg = pass,
	});
	return false;
}

/* ---- what is no longer wanted ---- */

typedef struct leftover {
	ao_pass *pass;
	const ao_kind *kind;
	char *key;
} leftover;

/** A child that the plan says to leave alone: neither wanted nor in the way. */
static bool is_kept(const ao_pass *pass, const ao_kind *kind, const ao_object *object)
{
	const cJSON *kept;
	cJSON_ArrayForEach (kept, ao_json_at(pass->plan, "kept")) {
		const char *name = ao_json_str(kept, "name"), *of = ao_json_str(kept, "kind");
		if (name && of && strcmp(name, object->name) == 0 && strcmp(of, kind->resource.kind) == 0)
			return true;
	}
	return false;
}

/** Remembers a kept child as it is, so that it does not look like news in the next pass. */
static void remember_kept(ao_pass *pass, const char *id, const ao_object *object)
{
	ao_memo *memo = ao_map_get(pass->parent->memos, id);
	if (!memo) {
		memo = ao_xcalloc(1, sizeof(*memo));
		ao_map_put(pass->parent->memos, id, memo);
	}
	*memo = (ao_memo){.observed = object->spec_digest, .seen = true};
}

/** Keeps the last child that the plan does not want: the latest kind of the manifest goes first. */
static void find_leftover(void *arg, const ao_kind *kind, const ao_object *object)
{
	leftover *found = arg;
	ao_auto_str char *id = ao_xasprintf("%s %s", kind->resource.kind, object->key);
	const ao_memo *memo = ao_map_get(found->pass->parent->memos, id);
	if ((memo && memo->seen) || object->deleting)
		return;
	if (is_kept(found->pass, kind, object)) {
		remember_kept(found->pass, id, object);
		return;
	}
	free(found->key);
	found->key = ao_xstrdup(object->key);
	found->kind = kind;
}

void ao_pass_delete(ao_pass *pass, const ao_kind *kind, const ao_object *child, ao_kube_fn fn)
{
	free(pass->deleting_key);
	free(pass->deleting_name);
	free(pass->deleting_uid);
	pass->deleting_key = ao_xstrdup(child->key);
	pass->deleting_name = ao_xstrdup(child->name);
	pass->deleting_uid = ao_xstrdup(child->uid);
	pass->deleting_kind = kind;
	pass->remove = ao_remove_start(pass->reconciler->with.kube, &kind->resource, child, fn, pass);
}

static void prune(ao_pass *pass);

static void on_deleted(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const ao_kind *kind = pass->deleting_kind;
	ao_world *world = pass->reconciler->with.world;
	const ao_object *object = ao_store_get(ao_world_store(world, kind), pass->deleting_key);
	pass->remove = NULL;
	if (answer->error && answer->error != -ENOENT && object) {
		ao_pass_error(pass, "delete", kind, "", pass->deleting_name, answer);
		ao_pass_status(pass);
		return;
	}
	if (object || !answer->error)
		note_change(pass, "deleted", kind, pass->deleting_name);
	ao_world_deleted(world, kind, pass->deleting_key, pass->deleting_uid, answer);
	prune(pass);
}

static void drop_old_memos(ao_parent *parent)
{
	size_t cursor = 0;
	const char *id;
	for (ao_memo *memo; (memo = ao_map_next(parent->memos, &cursor, &id));)
		if (!memo->seen)
			free(ao_map_remove(parent->memos, id));
}

static void prune(ao_pass *pass)
{
	leftover found = {.pass = pass};
	const ao_object *object = ao_pass_object(pass);
	if (!object) {
		ao_pass_finish(pass);
		return;
	}
	ao_world_each_child(pass->reconciler->with.world, object->uid, find_leftover, &found);
	if (found.key) {
		const ao_object *child = ao_store_get(ao_world_store(pass->reconciler->with.world, found.kind), found.key);
		free(pass->difference);
		pass->difference = NULL;
		ao_pass_delete(pass, found.kind, child, on_deleted);
		free(found.key);
		return;
	}
	drop_old_memos(pass->parent);
	free(pass->parent->carried);
	pass->parent->carried = ao_xstrdup(pass->parent->rendered);
	pass->parent->settled = true;
	pass->parent->spec_digest = pass->spec_digest;
	ao_pass_status(pass);
}

/* ---- the whole plan ---- */

static void next_object(ao_pass *pass)
{
	if (!ao_pass_object(pass)) {
		ao_pass_finish(pass);
		return;
	}
	for (const cJSON *item; (item = planned(pass, pass->index)); pass->index++)
		if (!carry_object(pass, item))
			return;
	prune(pass);
}

void ao_pass_carry_out(ao_pass *pass)
{
	size_t cursor = 0;
	for (ao_memo *memo; (memo = ao_map_next(pass->parent->memos, &cursor, NULL));)
		memo->seen = false;
	free(pass->parent->rendered);
	pass->parent->rendered = ao_xasprintf("%016" PRIx64, ao_plan_digest(pass->plan));
	ao_pass_carry_out_queues(pass);
}

void ao_pass_carry_out_objects(ao_pass *pass) { next_object(pass); }
