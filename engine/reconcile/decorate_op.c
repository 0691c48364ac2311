/*
 * decorate_op.c -- what policies put on a parent that is somebody else's.
 *
 * It is one server-side apply under our name, so that the server knows which labels and annotations are ours, and takes away those that are
 * in it no more.  It is never forced: where another manager has one of them, nothing is written, and that manager is named.
 * What we put there before we began is in no memory of ours: an apply that repeats it finds out, and changes nothing.
 */
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/pass.h"

#include <string.h>

/** What is to be sent, without what says whose it is; the caller frees. */
static cJSON *wanted_of(const cJSON *patch)
{
	static const char *const PARTS[] = {"labels", "annotations"};
	cJSON *wanted = cJSON_CreateObject();
	for (size_t i = 0; i < AO_LEN(PARTS); i++) {
		const cJSON *part = ao_json_at(patch, PARTS[i]);
		if (cJSON_GetArraySize(part))
			ao_json_set(ao_json_object(wanted, "metadata"), PARTS[i], cJSON_Duplicate(part, 1));
	}
	return wanted;
}

/** Is there anything to write? @param tree  the parent as it is */
static bool is_due(const ao_parent *parent, const ao_object *object, const cJSON *wanted, const cJSON *tree)
{
	if (!wanted->child || (parent->waits && object->held.applied))
		return object->held.applied && !parent->waits; /* what a plan that waits lacks may come later */
	return !ao_apply_equal(wanted, tree, NULL) || (object->held.applied && parent->patched != ao_json_digest(wanted));
}

/** Somebody else has a field: only he, or other policies, can mend that. */
static void tell_conflict(ao_pass *pass, const char *message)
{
	ao_auto_str char *note = ao_xasprintf("nothing was put on it, because others have fields of it: %s", message);
	ao_pass_event(pass, ao_pass_object(pass), true, "FieldsOfOthers", "Decorate", note);
}

static void on_patched(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	ao_parent *parent = pass->parent;
	pass->call = NULL;
	if (!answer->error) {
		ao_auto_json cJSON *wanted = wanted_of(pass->ops[pass->at].item);
		parent->patched = ao_json_digest(wanted);
		ao_info(AO_CORE, parent->key, "put labels and annotations on it");
		ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0], AO_WROTE_OBJECT, answer, NULL);
		ao_pass_resume(pass, AO_OP_DONE);
		return;
	}
	if (answer->unsure)
		parent->patched = 0;
	bool heals = pass->outcome.heals, foreign = strstr(answer->message, "Apply failed with") != NULL;
	ao_pass_parent_error(pass, "decorate", answer);
	if (foreign && ao_pass_object(pass)) {
		pass->outcome.heals = heals;
		tell_conflict(pass, answer->message);
	}
	parent->settled = false;
	ao_pass_resume(pass, AO_OP_STOP);
}

ao_op_result ao_op_decorate(ao_pass *pass, const cJSON *patch)
{
	const ao_object *object = ao_pass_object(pass);
	const ao_kind *kind = &pass->reconciler->manifest->kinds[0];
	ao_auto_json cJSON *wanted = wanted_of(patch), *tree = NULL;
	if (ao_world_tree(kind, object, &tree, NULL) < 0)
		return AO_OP_END;
	if (!is_due(pass->parent, object, wanted, tree))
		return AO_OP_DONE;
	cJSON *metadata = ao_json_object(wanted, "metadata");
	ao_json_set_str(wanted, "apiVersion", kind->resource.api_version);
	ao_json_set_str(wanted, "kind", kind->resource.kind);
	ao_json_set_str(metadata, "name", object->name);
	ao_json_set_str(metadata, "namespace", *object->namespace_ ? object->namespace_ : NULL);
	ao_json_set_str(metadata, "uid", object->uid);
	ao_pass_patch(pass, object, NULL, AO_APPLY_PATCH, wanted, on_patched);
	return AO_OP_WAIT;
}
