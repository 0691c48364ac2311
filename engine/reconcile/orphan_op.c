/*
 * orphan_op.c -- has Kubernetes let go of what a parent had?
 *
 * After kubectl delete --cascade=orphan it takes the owner references off the children, and then its finalizer off the parent, all of that in
 * milliseconds.  An operator that was away meanwhile finds a parent that is being deleted and has no children, as after an operator that ended
 * while it took them away.  So it asks for those that the plan names: one that is there, was written by us and has no owner was let go, and
 * what it works on must stay.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/managed.h"
#include "reconcile/pass.h"

static const cJSON *current(const ao_pass *pass) { return ao_json_at(pass->ops[pass->at].item, "object"); }

static const ao_kind *kind_of(const ao_pass *pass, const cJSON *object) { return ao_manifest_kind(pass->reconciler->manifest, object); }

bool ao_pass_is_orphaning(const ao_pass *pass) { return ao_map_get(pass->reconciler->orphaning, pass->parent->uid) != NULL; }

void ao_pass_note_orphaning(ao_reconciler *reconciler, const char *uid) { ao_map_put(reconciler->orphaning, uid, reconciler); }

/** We may not know whether it was let go. What it would work on stays, and the parent may go. */
static void give_up(ao_pass *pass, const char *message)
{
	ao_auto_str char *note =
	    ao_xasprintf("what it had at brokers is left there, because it cannot be known whether a child still works on it: %s", message);
	ao_pass_tell_left(pass, note);
	ao_pass_note_orphaning(pass->reconciler, pass->parent->uid);
}

static void on_read(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const ao_manifest *manifest = pass->reconciler->manifest;
	ao_auto_json cJSON *live = NULL;
	ao_kube_answer wrong = *answer;
	pass->call = NULL;
	if (!wrong.error && ao_json_parse(answer->body, answer->body_len, &live, NULL) < 0) {
		wrong.error = -EBADMSG;
		wrong.message = "the server's answer makes no sense";
	}
	if (wrong.status == 403 && ao_pass_waited_long(pass)) {
		give_up(pass, wrong.message);
		ao_pass_resume(pass, AO_OP_DONE);
		return;
	}
	if (wrong.error && wrong.error != -ENOENT) {
		const cJSON *object = current(pass);
		ao_pass_error(pass, "read", kind_of(pass, object), ao_json_str(pass->ops[pass->at].item, "role"),
			      ao_json_str(object, "metadata", "name"), &wrong);
		ao_pass_resume(pass, AO_OP_STOP);
		return;
	}
	if (live && !ao_apply_owner(live) && ao_managed_by(live, manifest->field_manager, (const char *const *)manifest->legacy_managers))
		ao_pass_note_orphaning(pass->reconciler, pass->parent->uid);
	ao_pass_resume(pass, AO_OP_DONE);
}

/** Can it be an orphan? What we have deleted ourselves is none, nor is one of a kind that is not installed, or that we are not to see. */
static bool is_doubtful(const ao_pass *pass, const ao_kind *kind, const cJSON *item)
{
	const ao_world *world = pass->reconciler->with.world;
	const cJSON *object = ao_json_at(item, "object");
	if (!kind || kind->by_label || !ao_json_str(object, "metadata", "name") || cJSON_IsTrue(ao_json_at(item, "shared")))
		return false;
	ao_auto_str char *id = ao_memo_id(kind, object);
	const ao_memo *memo = ao_map_get(pass->parent->memos, id);
	return !(memo && memo->taken) && !ao_world_absent(world, kind) && !ao_world_denied(world, kind);
}

ao_op_result ao_op_ask_orphan(ao_pass *pass, const cJSON *item)
{
	const cJSON *object = ao_json_at(item, "object");
	const ao_kind *kind = kind_of(pass, object);
	const char *namespace_ = ao_json_str(object, "metadata", "namespace"), *name = ao_json_str(object, "metadata", "name");
	if (ao_pass_is_orphaning(pass) || !is_doubtful(pass, kind, item))
		return AO_OP_DONE;
	ao_auto_str char *path = ao_resource_path(&kind->resource, namespace_, name, NULL);
	pass->call = ao_kube_send(
	    pass->reconciler->with.kube,
	    &(ao_kube_request){
		.method = "GET", .path = path, .object = {&kind->resource, namespace_, name, NULL}, .fn = on_read, .arg = pass});
	return AO_OP_WAIT;
}
