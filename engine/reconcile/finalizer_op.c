/* finalizer_op.c -- the finalizer is added before the first child is made, and removed when nothing of ours is left. */
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/finalizer.h"
#include "reconcile/pass.h"

static void on_added(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (answer->error) {
		ao_pass_parent_error(pass, "add the finalizer to", answer);
		ao_pass_resume(pass, AO_OP_END);
		return;
	}
	ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0], AO_WROTE_OBJECT, answer, NULL);
	const ao_object *object = ao_pass_object(pass);
	/* one that is to go by now gets another pass: whoever told the cache has woken it */
	ao_pass_resume(pass, object && object->deleting ? AO_OP_END : AO_OP_DONE);
}

static void on_removed(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (!answer->error)
		ao_info(AO_CORE, pass->parent->key, "released: %s",
			pass->outcome.left ? pass->outcome.left : "nothing of ours is left to clean up");
	else
		ao_pass_parent_error(pass, "release", answer);
	ao_pass_resume(pass, AO_OP_END);
}

/** Touches metadata.finalizers alone; resourceVersion makes it fail rather than undo somebody else's finalizer. */
ao_op_result ao_op_add_finalizer(ao_pass *pass, const cJSON *item)
{
	(void)item;
	const ao_object *object = ao_pass_object(pass);
	ao_auto_json cJSON *patch = cJSON_CreateObject(), *tree = NULL;
	if (ao_object_tree(object, &tree, NULL) < 0)
		return AO_OP_END;
	cJSON *metadata = ao_json_object(patch, "metadata");
	const cJSON *present = ao_json_at(tree, "metadata", "finalizers");
	cJSON *finalizers = cJSON_IsArray(present) ? cJSON_Duplicate(present, 1) : cJSON_CreateArray();
	cJSON_AddItemToArray(finalizers, cJSON_CreateString(pass->reconciler->manifest->finalizer));
	ao_json_set(metadata, "finalizers", finalizers);
	ao_json_set_str(metadata, "resourceVersion", object->resource_version);
	ao_pass_patch(pass, object, NULL, AO_MERGE_PATCH, patch, on_added);
	return AO_OP_WAIT;
}

ao_op_result ao_op_remove_finalizer(ao_pass *pass, const cJSON *item)
{
	(void)item;
	const ao_object *object = ao_pass_object(pass);
	ao_auto_json cJSON *patch = NULL, *tree = NULL;
	if (ao_object_tree(object, &tree, NULL) == 0)
		patch = ao_finalizer_removal(tree, pass->reconciler->manifest->finalizer);
	if (!patch)
		return AO_OP_END;
	ao_queues_forget(pass->reconciler->with.queues, object->uid); /* nothing is tried again for a parent that has been let go */
	ao_pass_patch(pass, object, NULL, AO_JSON_PATCH, patch, on_removed);
	return AO_OP_WAIT;
}
