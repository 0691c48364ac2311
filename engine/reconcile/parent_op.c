/*
 * parent_op.c -- what a plan wants beside children: labels on the parent, and Secrets that hold values of other Secrets.
 *
 * Nobody but this file and those that it calls sees what such a Secret holds: no more than its metadata is watched, and nothing is compared.
 * So it is written with each plan that is carried out; the server finds out that nothing has changed.  One that has the name and another
 * owner is left as it is: it is read first, and written to by its uid.  One that is not there is made without values, because only a POST is
 * refused when somebody else makes it meanwhile.
 */
#include "base/log.h"
#include "base/mem.h"
#include "queues/secrets.h"
#include "reconcile/pass.h"

#include <string.h>

static const ao_resource SECRETS = {.api_version = "v1", .kind = "Secret", .plural = "secrets"};

/* ---- labels ---- */

/** The labels that the parent lacks or has otherwise; NULL: it has them all. The caller frees. */
static cJSON *missing_labels(const cJSON *wanted, const cJSON *parent)
{
	const cJSON *label;
	ao_auto_json cJSON *missing = cJSON_CreateObject();
	cJSON_ArrayForEach (label, wanted) {
		const char *is = ao_json_str(parent, "metadata", "labels", label->string);
		if (!is || strcmp(is, label->valuestring) != 0)
			ao_json_set_str(missing, label->string, label->valuestring);
	}
	return missing->child ? AO_TAKE(missing) : NULL;
}

static void on_labelled(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (answer->error)
		ao_pass_parent_error(pass, "label", answer);
	else
		ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0], AO_WROTE_OBJECT, answer, NULL);
	ao_pass_resume(pass, answer->error ? AO_OP_STOP : AO_OP_DONE);
}

ao_op_result ao_op_label_parent(ao_pass *pass, const cJSON *wanted)
{
	const ao_object *object = ao_pass_object(pass);
	ao_auto_json cJSON *tree = NULL, *patch = cJSON_CreateObject();
	if (ao_object_tree(object, &tree, NULL) < 0)
		return AO_OP_END;
	cJSON *labels = missing_labels(wanted, tree);
	if (!labels)
		return AO_OP_DONE;
	ao_json_set(ao_json_object(patch, "metadata"), "labels", labels);
	ao_pass_patch(pass, object, NULL, AO_MERGE_PATCH, patch, on_labelled);
	return AO_OP_WAIT;
}

/* ---- Secrets ---- */

static const cJSON *current(const ao_pass *pass) { return pass->ops[pass->at].item; }

/** @param status  as for ao_pass_skip_namespace() */
static void fail(ao_pass *pass, const char *verb, const char *reason, const char *message, bool heals, long status)
{
	const cJSON *item = current(pass);
	const char *name = ao_json_str(item, "object", "metadata", "name");
	cJSON *error = ao_pass_note_error(pass, verb, SECRETS.kind, ao_json_str(item, "role"), name);
	ao_json_set_str(error, "reason", reason);
	ao_json_set_str(error, "message", message);
	pass->outcome.failed = true;
	pass->outcome.heals |= heals;
	ao_warn(AO_CORE, pass->parent->key, "cannot %s Secret %s: %s", verb, name, message);
	ao_pass_resume(pass, ao_pass_skip_namespace(pass, status));
}

static void fail_with(ao_pass *pass, const char *verb, const ao_kube_answer *answer)
{
	int error = answer->error;
	bool heals = ao_kube_is_passing(error) || error == -ESTALE || error == -EEXIST;
	fail(pass, verb, *answer->reason ? answer->reason : "SecretUnwritable", answer->message, heals, answer->status);
}

/** Sends the Secret, which is then wiped, and its text, too. */
static void send_secret(ao_pass *pass, cJSON *secret, ao_kube_fn fn)
{
	const ao_reconciler *r = pass->reconciler;
	const char *namespace_ = ao_json_str(secret, "metadata", "namespace"), *name = ao_json_str(secret, "metadata", "name");
	const char *uid = ao_json_str(secret, "metadata", "uid");
	ao_auto_str char *path = ao_resource_path(&SECRETS, namespace_, uid ? name : NULL, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s%s", path, r->manifest->field_manager, uid ? "&force=true" : "");
	char *text = ao_json_print(secret);
	pass->call = ao_kube_send(r->with.kube, &(ao_kube_request){.method = uid ? "PATCH" : "POST",
								   .path = query,
								   .content_type = uid ? AO_APPLY_PATCH : NULL,
								   .body = text,
								   .object = {&SECRETS, namespace_, name, uid},
								   .rank = ao_pass_rank(pass),
								   .fn = fn,
								   .arg = pass});
	explicit_bzero(text, strlen(text));
	free(text);
	ao_secrets_wipe(secret);
}

static void tell(ao_pass *pass, const char *verb)
{
	ao_pass_tell_change(pass, verb, SECRETS.kind, ao_json_str(current(pass), "object", "metadata", "name"), NULL);
}

/** Most writes change nothing, as the version says. Those that do are told: whoever else writes to it each time after us is seen by that. */
static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (answer->error) {
		fail_with(pass, "write", answer);
		return;
	}
	ao_span version = ao_span_at((ao_span){answer->body, answer->body_len}, "metadata", "resourceVersion");
	if (pass->copy_version && !ao_span_is(version, pass->copy_version))
		tell(pass, "updated");
	ao_pass_resume(pass, AO_OP_DONE);
}

static void read_sources(ao_pass *pass);

static void on_made(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (answer->error) {
		fail_with(pass, "create", answer);
		return;
	}
	pass->copy_uid = ao_span_text(ao_span_at((ao_span){answer->body, answer->body_len}, "metadata", "uid"));
	tell(pass, "created");
	read_sources(pass);
}

/** Makes it without values and labels: what is set by the apply that follows can be taken away by a later one. */
static void make(ao_pass *pass, const cJSON *object)
{
	cJSON *empty = cJSON_Duplicate(object, 1);
	cJSON_DeleteItemFromObjectCaseSensitive(empty, "stringData");
	cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(empty, "metadata"), "labels");
	cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(empty, "metadata"), "annotations");
	send_secret(pass, empty, on_made);
}

static void on_read(void *arg, const ao_secrets_answer *answer)
{
	ao_pass *pass = arg;
	const cJSON *value, *object = ao_json_at(current(pass), "object");
	pass->secrets = NULL;
	if (answer->error) {
		fail(pass, "fill", answer->reason, answer->message, answer->error == -EIO, answer->error == -EIO ? 0 : 200);
		return;
	}
	if (!pass->copy_uid) {
		make(pass, object);
		return;
	}
	cJSON *filled = cJSON_Duplicate(object, 1), *data = ao_json_object(filled, "data");
	ao_json_set_str(ao_json_object(filled, "metadata"), "uid", pass->copy_uid);
	cJSON_ArrayForEach (value, answer->values)
		ao_json_set_str(data, value->string, value->valuestring);
	send_secret(pass, filled, on_written);
}

static void read_sources(ao_pass *pass)
{
	pass->secrets = ao_secrets_read_encoded(pass->reconciler->with.kube, ao_json_at(current(pass), "sources"), on_read, pass);
}

/** Why the Secret that is there must not be written to; NULL: it is the parent's own. The caller frees. */
static char *why_foreign(const cJSON *there, const cJSON *wanted)
{
	const cJSON *owner = ao_apply_owner(there), *wanted_owner = ao_apply_owner(wanted);
	const char *is = ao_json_str(owner, "uid"), *ours = ao_json_str(wanted_owner, "uid");
	if (is && ours && strcmp(is, ours) == 0)
		return NULL;
	ao_auto_str char *whose = ao_apply_whose(there);
	return ao_xasprintf("it exists already and %s; rename one of them or delete it", whose);
}

static void on_there(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	cJSON *there = NULL;
	pass->call = NULL;
	if (answer->error == -ENOENT) {
		read_sources(pass);
		return;
	}
	if (answer->error) {
		fail_with(pass, "read", answer);
		return;
	}
	if (ao_json_parse(answer->body, answer->body_len, &there, NULL) < 0) {
		fail(pass, "read", "SecretUnreadable", "the server's answer makes no sense", true, answer->status);
		return;
	}
	ao_auto_str char *foreign = why_foreign(there, ao_json_at(current(pass), "object"));
	if (!foreign) {
		pass->copy_uid = ao_xstrdup(ao_json_str(there, "metadata", "uid"));
		pass->copy_version = ao_xstrdup(ao_json_str(there, "metadata", "resourceVersion"));
	}
	ao_secrets_wipe(there);
	if (foreign) /* of a parent that had the name before, it may be about to go */
		fail(pass, "write", "AlreadyExists", foreign, true, answer->status);
	else
		read_sources(pass);
}

ao_op_result ao_op_copy_secret(ao_pass *pass, const cJSON *item)
{
	const char *namespace_ = ao_json_str(item, "object", "metadata", "namespace"),
		   *name = ao_json_str(item, "object", "metadata", "name");
	ao_auto_str char *path = ao_resource_path(&SECRETS, namespace_, name, NULL);
	free(AO_TAKE(pass->copy_uid));
	free(AO_TAKE(pass->copy_version));
	pass->call = ao_kube_send(
	    pass->reconciler->with.kube,
	    &(ao_kube_request){.method = "GET", .path = path, .object = {&SECRETS, namespace_, name, NULL}, .fn = on_there, .arg = pass});
	return AO_OP_WAIT;
}
