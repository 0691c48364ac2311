/*
 * parent_op.c -- what a plan wants beside children: labels on the parent, and Secrets that hold values of other Secrets.
 *
 * Nobody but this file and those that it calls sees what such a Secret holds: it is neither watched nor compared.  So it is written with each
 * plan that is carried out; the server finds out that nothing has changed.
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

static void fail(ao_pass *pass, const char *verb, const char *reason, const char *message, bool heals)
{
	const cJSON *item = current(pass);
	const char *name = ao_json_str(item, "object", "metadata", "name");
	cJSON *error = ao_pass_note_error(pass, verb, SECRETS.kind, ao_json_str(item, "role"), name);
	ao_json_set_str(error, "reason", reason);
	ao_json_set_str(error, "message", message);
	pass->outcome.failed = true;
	pass->outcome.heals |= heals;
	ao_warn(AO_CORE, pass->parent->key, "cannot %s Secret %s: %s", verb, name, message);
	ao_pass_resume(pass, AO_OP_STOP);
}

static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (answer->error)
		fail(pass, "write", *answer->reason ? answer->reason : "SecretUnwritable", answer->message,
		     ao_kube_is_passing(answer->error) || answer->error == -ESTALE);
	else
		ao_pass_resume(pass, AO_OP_DONE);
}

static void on_read(void *arg, const ao_secrets_answer *answer)
{
	ao_pass *pass = arg;
	const ao_reconciler *r = pass->reconciler;
	const cJSON *value, *object = ao_json_at(current(pass), "object");
	const char *namespace_ = ao_json_str(object, "metadata", "namespace"), *name = ao_json_str(object, "metadata", "name");
	pass->secrets = NULL;
	if (answer->error) {
		fail(pass, "fill", answer->reason, answer->message, answer->error == -EIO);
		return;
	}
	cJSON *filled = cJSON_Duplicate(object, 1), *data = ao_json_object(filled, "data");
	cJSON_ArrayForEach (value, answer->values)
		ao_json_set_str(data, value->string, value->valuestring);
	ao_auto_str char *path = ao_resource_path(&SECRETS, namespace_, name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s&force=true", path, r->manifest->field_manager);
	char *text = ao_json_print(filled);
	ao_secrets_wipe(filled);
	pass->call = ao_kube_send(r->with.kube, &(ao_kube_request){.method = "PATCH",
								   .path = query,
								   .content_type = AO_APPLY_PATCH,
								   .body = text,
								   .object = {&SECRETS, namespace_, name, NULL},
								   .rank = ao_pass_rank(pass),
								   .fn = on_written,
								   .arg = pass});
	explicit_bzero(text, strlen(text));
	free(text);
}

ao_op_result ao_op_copy_secret(ao_pass *pass, const cJSON *item)
{
	pass->secrets = ao_secrets_read_encoded(pass->reconciler->with.kube, ao_json_at(item, "sources"), on_read, pass);
	return AO_OP_WAIT;
}
