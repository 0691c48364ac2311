/* pass.c -- makes the list of a pass's operations, and runs it. */
#include "reconcile/pass.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "queues/secrets.h"
#include "reconcile/finalizer.h"
#include "serve/instruments.h"

#include <string.h>

#define STUCK_MS 60000

/* ---- the driver ---- */

void ao_pass_free(ao_pass *pass)
{
	if (pass->call)
		ao_kube_cancel(pass->call);
	ao_secrets_cancel(pass->secrets);
	if (pass->object.apply)
		ao_apply_cancel(pass->object.apply);
	if (pass->child.remove)
		ao_remove_cancel(pass->child.remove);
	ao_list_free(pass->sought.list);
	ao_shared_cancel(pass->reconciler->with.shared, pass);
	ao_queues_cancel(pass->reconciler->with.queues, pass);
	cJSON_Delete(pass->plan.tree);
	cJSON_Delete(pass->outcome.errors);
	cJSON_Delete(pass->outcome.changed);
	cJSON_Delete(pass->outcome.finalize);
	cJSON_Delete(pass->outcome.status);
	free(pass->plan.previous);
	free(pass->copy_uid);
	free(pass->copy_version);
	free(pass->rolling.standings);
	free(pass->rolling.ops);
	free(pass->object.difference);
	free(pass->child.key);
	free(pass->child.name);
	free(pass->child.uid);
	free(pass->outcome.left);
	free(pass->ops);
	free(pass);
}

void ao_pass_resume(ao_pass *pass, ao_op_result result)
{
	while (result != AO_OP_WAIT) {
		if (result == AO_OP_END || !ao_pass_object(pass)) {
			ao_reconciler_finish(pass);
			return;
		}
		if (result == AO_OP_DONE)
			while (pass->ops[++pass->at].early)
				; /* the last one never is */
		else if (result == AO_OP_STOP)
			pass->at = pass->op_count - 1;
		result = pass->ops[pass->at].run(pass, pass->ops[pass->at].item);
	}
}

ao_op *ao_pass_push(ao_pass *pass, ao_op_result (*run)(ao_pass *pass, const cJSON *item), const cJSON *item)
{
	size_t last = pass->op_count++; /* the status, or nothing yet */
	pass->ops = ao_xrealloc(pass->ops, pass->op_count * sizeof(*pass->ops));
	if (last) {
		pass->ops[last] = pass->ops[last - 1];
		last--;
	}
	pass->ops[last] = (ao_op){.run = run, .item = item};
	return &pass->ops[last];
}

static const char *namespace_of(const ao_op *op) { return op->item ? ao_json_str(op->item, "object", "metadata", "namespace") : NULL; }

ao_op_result ao_pass_skip_namespace(ao_pass *pass, long status)
{
	const char *failed = namespace_of(&pass->ops[pass->at]);
	if (!status)
		return AO_OP_STOP;
	for (size_t i = pass->at + 1; i < pass->op_count - 1; i++) {
		const char *namespace_ = namespace_of(&pass->ops[i]);
		pass->ops[i].early |= !failed || !namespace_ || strcmp(namespace_, failed) == 0;
	}
	return AO_OP_DONE;
}

static void list_deletion(ao_pass *pass)
{
	if (ao_pass_is_orphaning(pass))
		ao_pass_push_orphaning(pass);
	else
		ao_pass_push(pass, ao_op_finalize, NULL); /* which pushes the rest */
}

void ao_pass_start(ao_reconciler *reconciler, ao_parent *parent, const ao_object *object)
{
	const char *finalizer = reconciler->manifest->finalizer;
	ao_auto_json cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_pass *pass = ao_xcalloc(1, sizeof(*pass));
	*pass = (ao_pass){
	    .reconciler = reconciler,
	    .parent = parent,
	    .started_ms = ao_mono_ms(),
	    .edited = parent->edited,
	    .outcome = {.errors = cJSON_CreateArray(), .changed = cJSON_CreateArray()},
	};
	parent->pass = pass;
	parent->edited = false;
	parent->met_going |= object->deleting && !parent->times.passes;
	bool readable = ao_object_tree(object, &tree, &err) == 0;
	if (!readable)
		ao_error(AO_CORE, object->key, "cannot be read: %s", ao_err_text(err));
	bool held = finalizer && ao_finalizer_held(tree, finalizer);
	if (!readable || parent->released || (object->deleting && !held)) {
		ao_reconciler_finish(pass);
		return;
	}
	ao_pass_push(pass, ao_op_status, NULL);
	pass->held = !object->deleting && reconciler->with.is_held(reconciler->with.arg, object);
	if (object->deleting) {
		list_deletion(pass);
	} else if (!pass->held) {
		if (finalizer && !held) /* first, because from the first child on there is something to clean up */
			ao_pass_push(pass, ao_op_add_finalizer, NULL);
		ao_pass_push(pass, ao_op_plan, NULL);
	}
	ao_pass_resume(pass, AO_OP_AGAIN);
}

/* ---- what operations share ---- */

const ao_object *ao_pass_object(const ao_pass *pass)
{
	const ao_object *object = ao_store_get(ao_world_parents(pass->reconciler->with.world), pass->parent->key);
	return object && strcmp(object->uid, pass->parent->uid) == 0 ? object : NULL;
}

ao_bundle *ao_pass_bundle(const ao_pass *pass, const ao_object *object)
{
	const ao_reconciler_options *with = &pass->reconciler->with;
	return with->bundle_of(with->arg, object);
}

void ao_pass_patch(ao_pass *pass, const ao_object *object, const char *subresource, const char *content_type, const cJSON *patch,
		   ao_kube_fn fn)
{
	const ao_kind *kind = &pass->reconciler->manifest->kinds[0];
	ao_auto_str char *path = ao_resource_path(&kind->resource, object->namespace_, object->name, subresource);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s", path, pass->reconciler->manifest->field_manager);
	ao_auto_str char *text = ao_json_print(patch);
	pass->call = ao_kube_send(pass->reconciler->with.kube,
				  &(ao_kube_request){.method = "PATCH",
						     .path = query,
						     .content_type = content_type,
						     .body = text,
						     .object = {&kind->resource, object->namespace_, object->name, object->uid},
						     .rank = subresource ? AO_KUBE_STATUS : ao_pass_rank(pass),
						     .fn = fn,
						     .arg = pass});
}

cJSON *ao_pass_note_error(ao_pass *pass, const char *verb, const char *kind, const char *role, const char *name)
{
	cJSON *error = cJSON_CreateObject();
	ao_json_set_str(error, "role", role);
	ao_json_set_str(error, "kind", kind);
	ao_json_set_str(error, "name", name);
	ao_json_set_str(error, "verb", verb);
	cJSON_AddItemToArray(pass->outcome.errors, error);
	return error;
}

void ao_pass_error(ao_pass *pass, const char *verb, const ao_kind *kind, const char *role, const char *name, const ao_kube_answer *answer)
{
	cJSON *error = ao_pass_note_error(pass, verb, kind->resource.kind, role, name);
	ao_json_set(error, "code", cJSON_CreateNumber((double)answer->status));
	ao_json_set_str(error, "reason", answer->reason);
	ao_json_set_str(error, "message", answer->message);
	pass->outcome.failed = true;
	pass->outcome.heals |= ao_kube_is_passing(answer->error) || answer->error == -ESTALE || answer->error == -ENOENT;
	ao_instruments_apply(pass->reconciler->with.metrics, kind->resource.kind, "error");
	ao_warn(AO_CORE, pass->parent->key, "cannot %s %s %s: %s", verb, kind->resource.kind, name, answer->message);
}

void ao_pass_parent_error(ao_pass *pass, const char *verb, const ao_kube_answer *answer)
{
	const ao_object *object = ao_pass_object(pass);
	if (answer->error == -ENOENT)
		ao_debug(AO_CORE, pass->parent->key, "cannot %s it: %s", verb, answer->message);
	else if (object)
		ao_pass_error(pass, verb, &pass->reconciler->manifest->kinds[0], "parent", object->name, answer);
}

static void tell_circle(ao_pass *pass, const char *kind, const char *name)
{
	uint64_t child = ao_hash(ao_hash(AO_HASH_INIT, kind, strlen(kind) + 1), name, strlen(name));
	const ao_object *object = ao_pass_object(pass);
	const ao_parent *parent = pass->parent;
	if (!object || !(parent->basis.reads & AO_READ_RELATED) ||
	    !ao_circle_turn(&pass->parent->circle, parent->times.passes, child, object->generation, ao_mono_ms()))
		return;
	ao_auto_str char *note = ao_xasprintf(
	    "%s %s was changed %d times in a row though this object stayed as it is, because objects changed that policies ask for. Are "
	    "these made of it? A circle has no end; it turns once a second at most",
	    kind, name, AO_CIRCLE_TURNS);
	ao_warn(AO_CORE, parent->key, "%s", note);
	ao_pass_event(pass, object, true, "RelationCircle", NULL, note);
}

void ao_pass_tell_change(ao_pass *pass, const char *verb, const char *kind, const char *name, const char *difference)
{
	ao_info(AO_CORE, pass->parent->key, "%s %s %s%s%s%s", verb, kind, name, difference ? " (" : "", difference ? difference : "",
		difference ? ")" : "");
	if (strcmp(verb, "updated") == 0)
		tell_circle(pass, kind, name);
}

void ao_pass_tell_left(ao_pass *pass, const char *note)
{
	const ao_object *object = ao_pass_object(pass);
	ao_warn(AO_CORE, pass->parent->key, "%s", note);
	if (object)
		ao_pass_event(pass, object, true, "QueueLeft", NULL, note);
}

bool ao_pass_waited_long(const ao_pass *pass) { return ao_mono_ms() - pass->parent->release_ms > STUCK_MS; }

void ao_pass_note_change(ao_pass *pass, const char *verb, const ao_kind *kind, const char *name)
{
	const char *difference = pass->object.difference;
	cJSON *change = cJSON_CreateObject();
	ao_json_set_str(change, "verb", verb);
	ao_json_set_str(change, "kind", kind->resource.kind);
	ao_json_set_str(change, "name", name);
	ao_json_set_str(change, "path", difference);
	cJSON_AddItemToArray(pass->outcome.changed, change);
	ao_instruments_apply(pass->reconciler->with.metrics, kind->resource.kind, verb);
	ao_pass_tell_change(pass, verb, kind->resource.kind, name, difference);
}

void ao_pass_interrupted(ao_pass *pass, const ao_err *err)
{
	pass->outcome.failed = pass->outcome.heals = true;
	ao_warn(AO_CORE, pass->parent->key, "%s: will be tried again", ao_err_text(err));
}

void ao_pass_event(ao_pass *pass, const ao_object *object, bool warning, const char *reason, const char *action, const char *note)
{
	const ao_resource *kind = &pass->reconciler->manifest->kinds[0].resource;
	ao_event about = ao_event_about(kind, object->namespace_, object->name, object->uid);
	ao_events_say(pass->reconciler->with.events, about, warning, reason, action, note);
}
