/*
 * orphan_op.c -- has Kubernetes let go of what a parent had?
 *
 * After kubectl delete --cascade=orphan it takes the owner references off the children, and then its finalizer off the parent, all of that in
 * milliseconds.  An operator that was away meanwhile finds a parent that is being deleted and has no children, as after an operator that ended
 * while it took them away.  So it asks for those that the plan names: one that is there, was written by us and has no owner was let go, and
 * what it works on must stay.  The parent, or its policies, may have been edited meanwhile, and a plan does not name what is left to finish:
 * so where the plan is not what was carried out last, who meets a parent that goes already looks through what there is of each kind, too.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/managed.h"
#include "reconcile/pass.h"

#include <string.h>

#define NAME_LEN 50 /* of a parent's name: what is named after it may have had to cut it */

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

/** It is not known whether `what` is there. A right may come back in a moment; when it does not, nobody is held for ever. */
static ao_op_result fail(ao_pass *pass, const char *verb, const ao_kind *kind, const char *role, const char *what,
			 const ao_kube_answer *answer)
{
	if (answer->status == 403 && ao_pass_waited_long(pass)) {
		give_up(pass, answer->message);
		return AO_OP_DONE;
	}
	ao_pass_error(pass, verb, kind, role, what, answer);
	return AO_OP_STOP;
}

/** Notes whether this one was let go. */
static void judge(ao_pass *pass, const ao_kind *kind, const cJSON *live)
{
	const ao_manifest *manifest = pass->reconciler->manifest;
	if (ao_apply_owner(live) || !ao_managed_by(live, manifest->field_manager, (const char *const *)manifest->legacy_managers))
		return;
	ao_info(AO_CORE, pass->parent->key, "%s %s was let go of, and may work on its queues", kind->resource.kind,
		ao_json_str(live, "metadata", "name"));
	ao_pass_note_orphaning(pass->reconciler, pass->parent->uid);
}

static void on_read(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const cJSON *object = current(pass);
	const ao_kind *kind = kind_of(pass, object);
	ao_auto_json cJSON *live = NULL;
	ao_kube_answer wrong = *answer;
	pass->call = NULL;
	if (!wrong.error && ao_json_parse(answer->body, answer->body_len, &live, NULL) < 0) {
		wrong.error = -EBADMSG;
		wrong.message = "the server's answer makes no sense";
	}
	ao_op_result result = AO_OP_DONE;
	if (wrong.error && wrong.error != -ENOENT)
		result = fail(pass, "read", kind, ao_json_str(pass->ops[pass->at].item, "role"), ao_json_str(object, "metadata", "name"),
			      &wrong);
	else if (live)
		judge(pass, kind, live);
	ao_pass_resume(pass, result);
}

/** May objects of this kind be let go of? Not of one that is not installed, or that we are not to see. */
static bool is_seen(const ao_pass *pass, const ao_kind *kind)
{
	const ao_world *world = pass->reconciler->with.world;
	return kind->role == AO_ROLE_CHILD && !kind->by_label && !ao_world_absent(world, kind) && !ao_world_denied(world, kind);
}

/** Can it be an orphan? What we have deleted ourselves is none. */
static bool is_doubtful(const ao_pass *pass, const ao_kind *kind, const cJSON *item)
{
	const cJSON *object = ao_json_at(item, "object");
	if (!kind || !ao_json_str(object, "metadata", "name") || cJSON_IsTrue(ao_json_at(item, "shared")))
		return false;
	ao_auto_str char *id = ao_memo_id(kind, object);
	const ao_memo *memo = ao_map_get(pass->parent->memos, id);
	return !(memo && memo->taken) && is_seen(pass, kind);
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

/* ---- those that the plan does not name ---- */

static bool is_in_plan(const ao_pass *pass, const char *name)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(pass->plan.tree, "objects")) {
		const char *planned = ao_json_str(item, "object", "metadata", "name");
		if (planned && !cJSON_IsTrue(ao_json_at(item, "shared")) && strcmp(planned, name) == 0)
			return true;
	}
	return false;
}

/** May it have been a child of this parent? Nothing that Kubernetes leaves on it says so for sure: then it may. */
static bool is_named_after(const ao_pass *pass, const cJSON *live)
{
	const char *slash = strrchr(pass->parent->key, '/'), *parent = slash ? slash + 1 : pass->parent->key;
	const char *name = ao_json_str(live, "metadata", "name");
	ao_auto_str char *begin = ao_xstrndup(parent, strnlen(parent, NAME_LEN));
	const cJSON *label;
	cJSON_ArrayForEach (label, ao_json_at(live, "metadata", "labels"))
		if (cJSON_IsString(label) && strcmp(label->valuestring, parent) == 0)
			return true;
	return name && (strstr(name, begin) || is_in_plan(pass, name));
}

static void on_listed(void *arg, ao_span item)
{
	ao_pass *pass = arg;
	ao_auto_json cJSON *live = NULL;
	if (ao_pass_is_orphaning(pass))
		return;
	if (ao_json_parse(item.at, item.len, &live, NULL) < 0)
		give_up(pass, "one in its namespace cannot be read");
	else if (is_named_after(pass, live))
		judge(pass, pass->sought.kind, live);
}

static void on_list_end(void *arg, const ao_kube_answer *answer, const char *version)
{
	ao_pass *pass = arg;
	const ao_kind *kind = pass->sought.kind;
	(void)version;
	pass->sought.list = NULL;
	ao_pass_resume(pass, answer->error ? fail(pass, "list", kind, "", kind->resource.plural, answer) : AO_OP_AGAIN);
}

ao_op_result ao_op_seek_orphans(ao_pass *pass, const cJSON *item)
{
	(void)item;
	const ao_manifest *manifest = pass->reconciler->manifest;
	const ao_object *object = ao_pass_object(pass);
	const ao_kind *kind = pass->sought.kind ? pass->sought.kind : manifest->kinds, *end = manifest->kinds + manifest->kind_count;
	while (++kind < end && !is_seen(pass, kind))
		;
	if (kind == end || ao_pass_is_orphaning(pass))
		return AO_OP_DONE;
	const char *namespace_ = kind->resource.cluster_scoped || !*object->namespace_ ? NULL : object->namespace_;
	ao_auto_str char *path = ao_resource_path(&kind->resource, namespace_, NULL, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?", path);
	pass->sought.kind = kind;
	pass->sought.list = ao_list_start(&(ao_list_request){.kube = pass->reconciler->with.kube,
							     .resource = &kind->resource,
							     .path = query,
							     .metadata_only = true,
							     .on_item = on_listed,
							     .on_end = on_list_end,
							     .arg = pass});
	return AO_OP_WAIT;
}
