/* prune_op.c -- deletes children: those that the plan does not want any more, or all children of a parent that is being deleted. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/plan.h"
#include "reconcile/pass.h"

#include <string.h>

#define LOOK_AGAIN_S 5.0

static void note_which(ao_pass *pass, const ao_kind *kind, const ao_object *child)
{
	free(pass->child.key);
	free(pass->child.name);
	free(pass->child.uid);
	pass->child.key = ao_xstrdup(child->key);
	pass->child.name = ao_xstrdup(child->name);
	pass->child.uid = ao_xstrdup(child->uid);
	pass->child.kind = kind;
}

ao_op_result ao_pass_delete_child(ao_pass *pass, const ao_kind *kind, const ao_object *child, ao_kube_fn fn)
{
	note_which(pass, kind, child);
	pass->child.remove = ao_remove_start(pass->reconciler->with.kube, &kind->resource, child, fn, pass);
	return AO_OP_WAIT;
}

static void note_failure(ao_pass *pass, const ao_kube_answer *answer)
{
	ao_pass_error(pass, "delete", pass->child.kind, "", pass->child.name, answer);
}

/* ---- what is no longer wanted ---- */

typedef struct leftover {
	ao_pass *pass;
	const ao_kind *kind;
	char *key;
} leftover;

/** Keeps the last child that the plan does not want: the latest kind of the manifest goes first. A plan that waits lacks what comes later. */
static void find_leftover(void *arg, const ao_kind *kind, const ao_object *object)
{
	leftover *found = arg;
	ao_auto_str char *id = ao_memo_id_of(kind, object->key);
	const ao_memo *memo = ao_map_get(found->pass->parent->memos, id);
	if ((memo && memo->seen) || object->deleting)
		return;
	bool partial = found->pass->parent->waits || found->pass->parent->invalid; /* the latter: a parent that goes */
	if (partial || ao_plan_keeps(found->pass->plan.tree, kind->resource.kind, object->namespace_, object->name)) {
		ao_parent_leave(found->pass->parent, id, object);
		return;
	}
	free(found->key);
	found->key = ao_xstrdup(object->key);
	found->kind = kind;
}

static void on_pruned(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const ao_kind *kind = pass->child.kind;
	ao_world *world = pass->reconciler->with.world;
	const ao_object *object = ao_store_get(ao_world_store(world, kind), pass->child.key);
	pass->child.remove = NULL;
	if (answer->error && answer->error != -ENOENT && object) {
		note_failure(pass, answer);
		ao_pass_resume(pass, AO_OP_STOP);
		return;
	}
	if (object || !answer->error)
		ao_pass_note_change(pass, "deleted", kind, pass->child.name);
	ao_world_deleted(world, kind, pass->child.key, pass->child.uid, answer);
	ao_pass_resume(pass, AO_OP_AGAIN);
}

static void drop_old_memos(ao_parent *parent)
{
	size_t cursor = 0;
	const char *id;
	for (ao_memo *memo; (memo = ao_map_next(parent->memos, &cursor, &id));)
		if (!memo->seen)
			free(ao_map_remove(parent->memos, id));
}

ao_op_result ao_op_prune(ao_pass *pass, const cJSON *item)
{
	(void)item;
	leftover found = {.pass = pass};
	ao_parent *parent = pass->parent;
	free(pass->object.difference);
	pass->object.difference = NULL;
	ao_world_each_child(pass->reconciler->with.world, parent->uid, find_leftover, &found);
	if (found.key) {
		ao_auto_str char *key = found.key;
		return ao_pass_delete_child(pass, found.kind, ao_store_get(ao_world_store(pass->reconciler->with.world, found.kind), key),
					    on_pruned);
	}
	drop_old_memos(parent);
	free(parent->carried);
	parent->carried = ao_xstrdup(parent->rendered);
	parent->settled = true;
	parent->spec_digest = pass->plan.spec_digest;
	parent->generation = pass->plan.generation;
	return AO_OP_DONE;
}

/* ---- for a parent that goes ---- */

typedef struct next_child {
	bool waited_long;
	const ao_kind *kind;
	const ao_object *object;
} next_child;

static void find_child(void *arg, const ao_kind *kind, const ao_object *object)
{
	next_child *found = arg;
	if (object->deleting && found->waited_long)
		return;
	found->kind = kind;
	found->object = object;
}

static void on_deleted(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->child.remove = NULL;
	if (answer->error && answer->error != -ENOENT) {
		note_failure(pass, answer);
		ao_pass_resume(pass, AO_OP_STOP);
		return;
	}
	ao_auto_str char *id = ao_memo_id_of(pass->child.kind, pass->child.key);
	ao_parent_memo(pass->parent, id)->taken = pass->parent->lost_child = true;
	ao_info(AO_CORE, pass->parent->key, "deleted %s %s", pass->child.kind->resource.kind, pass->child.name);
	pass->outcome.requeue_after = LOOK_AGAIN_S; /* the watch tells earlier that it is gone */
	ao_pass_resume(pass, AO_OP_END);
}

/** Kubernetes may have let go of it just now, which its watch has not told yet: then it has another resourceVersion, and stays. */
static ao_op_result delete_as_observed(ao_pass *pass, const ao_kind *kind, const ao_object *child)
{
	note_which(pass, kind, child);
	pass->child.remove = ao_remove_as_observed(pass->reconciler->with.kube, &kind->resource, child, on_deleted, pass);
	return AO_OP_WAIT;
}

ao_op_result ao_op_children(ao_pass *pass, const cJSON *item)
{
	(void)item;
	ao_parent *parent = pass->parent;
	if (!parent->release_ms)
		parent->release_ms = ao_mono_ms();
	parent->settled = false;
	next_child found = {.waited_long = ao_pass_waited_long(pass)};
	ao_world_each_child(pass->reconciler->with.world, parent->uid, find_child, &found);
	if (!found.object)
		return AO_OP_DONE;
	if (!found.object->deleting)
		return delete_as_observed(pass, found.kind, found.object);
	parent->lost_child = true;
	pass->outcome.requeue_after = LOOK_AGAIN_S;
	pass->plan.previous = ao_xstrdup(parent->carried);
	return AO_OP_STOP; /* somebody else's finalizer holds it: that is worth saying */
}
