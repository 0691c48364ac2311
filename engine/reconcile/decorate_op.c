/*
 * decorate_op.c -- what policies put on a parent that is somebody else's.
 *
 * It is one server-side apply under our name, so that the server knows which labels and annotations are ours, and takes away those that are
 * in it no more, and another one for its status.  They are never forced: where another manager has a field, nothing is written, and that
 * manager is named.
 * An object that we have made, as a child or as the record of a rollout, is not decorated: the server knows one set of fields of ours.
 * What we put there before we began is in no memory of ours: an apply that repeats it finds out, and changes nothing.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/pass.h"

#include <string.h>

/** What is to be sent, without what says whose it is; the caller frees. @param status  for the status, and not for the rest */
static cJSON *wanted_of(const cJSON *patch, bool status)
{
	static const char *const PARTS[] = {"labels", "annotations"};
	cJSON *wanted = cJSON_CreateObject();
	if (status && ao_json_at(patch, "status"))
		ao_json_set(wanted, "status", cJSON_Duplicate(ao_json_at(patch, "status"), 1));
	for (size_t i = 0; !status && i < AO_LEN(PARTS); i++) {
		const cJSON *part = ao_json_at(patch, PARTS[i]);
		if (cJSON_GetArraySize(part))
			ao_json_set(ao_json_object(wanted, "metadata"), PARTS[i], cJSON_Duplicate(part, 1));
	}
	return wanted;
}

/** Is there anything to write? @param tree  the parent as it is */
static bool is_due(const ao_parent *parent, const ao_object *object, bool status, const cJSON *wanted, const cJSON *tree)
{
	bool applied = status ? object->held.applied_status : object->held.applied;
	if (!wanted->child || (parent->waits && applied))
		return applied && !parent->waits; /* what a plan that waits lacks may come later */
	bool known = parent->put[status] == ao_json_digest(wanted);
	if (status && known && parent->answered == ao_plan_status_digest_of(object))
		return false; /* the server keeps it in its own words, and would not keep it otherwise if it were sent once more */
	return !ao_apply_equal(wanted, tree, NULL) || (applied && !known);
}

/** Somebody else has a field: only he, or other policies, can mend that. */
static void tell_conflict(ao_pass *pass, bool status, const char *message)
{
	ao_auto_str char *note =
	    ao_xasprintf("nothing was put %s, because others have fields of it: %s", status ? "into its status" : "on it", message);
	ao_pass_event(pass, ao_pass_object(pass), true, "FieldsOfOthers", "Decorate", note);
}

static void on_answer(ao_pass *pass, bool status, const ao_kube_answer *answer)
{
	ao_parent *parent = pass->parent;
	pass->call = NULL;
	if (!answer->error) {
		ao_auto_json cJSON *wanted = wanted_of(pass->ops[pass->at].item, status);
		parent->put[status] = ao_json_digest(wanted);
		parent->basis.status = status ? 0 : parent->basis.status; /* it is neither what the plan saw any more, nor ours alone */
		ao_info(AO_CORE, parent->key, "put %s it", status ? "fields into the status of" : "labels and annotations on");
		ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0],
				    status ? AO_WROTE_STATUS : AO_WROTE_OBJECT, answer, NULL);
		if (status)
			parent->answered = ao_plan_status_digest((ao_span){answer->body, answer->body_len});
		ao_pass_resume(pass, AO_OP_DONE);
		return;
	}
	if (answer->unsure)
		parent->put[status] = 0;
	bool heals = pass->outcome.heals, foreign = strstr(answer->message, "Apply failed with") != NULL;
	ao_pass_parent_error(pass, status ? "decorate the status of" : "decorate", answer);
	if (foreign && ao_pass_object(pass)) {
		pass->outcome.heals = heals;
		tell_conflict(pass, status, answer->message);
	}
	parent->settled = false;
	ao_pass_resume(pass, AO_OP_STOP);
}

static void on_patched(void *arg, const ao_kube_answer *answer) { on_answer(arg, false, answer); }
static void on_status_patched(void *arg, const ao_kube_answer *answer) { on_answer(arg, true, answer); }

static ao_op_result decorate(ao_pass *pass, const cJSON *patch, bool status)
{
	const ao_object *object = ao_pass_object(pass);
	const ao_kind *kind = &pass->reconciler->manifest->kinds[0];
	ao_auto_json cJSON *wanted = wanted_of(patch, status), *tree = NULL;
	if (ao_world_tree(kind, object, &tree, NULL) < 0)
		return AO_OP_END;
	if (!status && object->held.made)
		return AO_OP_DONE; /* an apply of labels alone would take all else from it */
	if (!is_due(pass->parent, object, status, wanted, tree))
		return AO_OP_DONE;
	cJSON *metadata = ao_json_object(wanted, "metadata");
	ao_json_set_str(wanted, "apiVersion", kind->resource.api_version);
	ao_json_set_str(wanted, "kind", kind->resource.kind);
	ao_json_set_str(metadata, "name", object->name);
	ao_json_set_str(metadata, "namespace", *object->namespace_ ? object->namespace_ : NULL);
	ao_json_set_str(metadata, "uid", object->uid);
	if (status)
		pass->parent->status_ms = ao_mono_ms(); /* what is made of the status, and put into it, turns once a second at most */
	ao_pass_patch(pass, object, status ? "status" : NULL, AO_APPLY_PATCH, wanted, status ? on_status_patched : on_patched);
	return AO_OP_WAIT;
}

ao_op_result ao_op_decorate(ao_pass *pass, const cJSON *patch) { return decorate(pass, patch, false); }
ao_op_result ao_op_decorate_status(ao_pass *pass, const cJSON *patch) { return decorate(pass, patch, true); }
