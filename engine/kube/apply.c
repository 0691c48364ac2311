/*
 * apply.c -- one object: POST when it is absent; else, if need be, a managedFields patch, then the server-side apply.
 *
 * What our own POST left is claimed without looking: it is known where in managedFields its entry is.  Everything else is read first.
 * A POST that finds the name taken reads who has it, and so does a change of an object that has another owner.  An object whose controlling
 * owner is the one we render is ours: the answer to an earlier POST was lost, or the watch is behind.  Any other is left as it is.
 */
#include "kube/apply.h"

#include "base/mem.h"
#include "kube/managed.h"

#include <string.h>

#define MAX_MIGRATIONS 5

struct ao_apply {
	ao_kube *kube;
	const ao_resource *resource;
	const char *manager;
	const char *const *legacy_managers;
	const char *owner_label;
	bool dry_run, create, returned, only_claim;
	ao_kube_rank rank;
	char *namespace_, *name;
	char *uid;      /* of the object that is written to; NULL: none yet, so it is POSTed */
	cJSON *desired; /* what is sent in the end */
	char *refusal;  /* what the server said when it would have made null of an object that is to be empty; or NULL */
	unsigned migrations;
	ao_kube_call *call;
	void (*fn)(void *arg, const ao_kube_answer *answer, bool created);
	void *arg;
};

static void read_live(ao_apply *a);

static void free_apply(ao_apply *a)
{
	free(a->namespace_);
	free(a->name);
	free(a->uid);
	cJSON_Delete(a->desired);
	free(a->refusal);
	free(a);
}

static void finish(ao_apply *a, const ao_kube_answer *answer)
{
	void (*fn)(void *arg, const ao_kube_answer *, bool) = a->fn;
	void *arg = a->arg;
	bool created = a->create;
	free_apply(a);
	fn(arg, answer, created);
}

/** Ends with an error of our own, the server's answer being fine. */
static void fail(ao_apply *a, const ao_kube_answer *answer, int error, const char *message)
{
	ao_kube_answer wrong = *answer;
	wrong.error = error;
	wrong.message = message;
	finish(a, &wrong);
}

const cJSON *ao_apply_owner(const cJSON *object)
{
	const cJSON *owner;
	cJSON_ArrayForEach (owner, ao_json_at(object, "metadata", "ownerReferences"))
		if (cJSON_IsTrue(ao_json_at(owner, "controller")))
			return owner;
	return NULL;
}

/** The uid of the owner, or NULL. @param label  that names it; NULL: the controlling owner is meant */
static const char *owner_of(const cJSON *object, const char *label)
{
	const cJSON *owner = ao_apply_owner(object);
	if (label)
		return ao_json_str(object, "metadata", "labels", label);
	return owner ? ao_json_str(owner, "uid") : NULL;
}

char *ao_apply_whose(const cJSON *live)
{
	const cJSON *owner = ao_apply_owner(live);
	const char *kind = owner ? ao_json_str(owner, "kind") : NULL, *name = owner ? ao_json_str(owner, "name") : NULL;
	return kind && name ? ao_xasprintf("belongs to %s %s", kind, name) : ao_xstrdup("is not ours");
}

/** @param live  the object; NULL: it was not looked at */
static void fail_as_foreign(ao_apply *a, const cJSON *live)
{
	ao_auto_str char *whose = ao_apply_whose(live);
	ao_auto_str char *message =
	    ao_xasprintf("%s %s exists already and %s; rename one of them or delete it", a->resource->kind, a->name, whose);
	finish(a, &(ao_kube_answer){.status = 409, .error = -EEXIST, .reason = "AlreadyExists", .message = message, .body = ""});
}

static bool is_same(const char *a, const char *b) { return a && b && strcmp(a, b) == 0; }

bool ao_apply_is_ours(const ao_apply_request *with, const cJSON *live)
{
	bool owned = is_same(owner_of(live, with->owner_label), owner_of(with->desired, with->owner_label));
	return owned && (!with->owner_label || ao_managed_by(live, with->manager, with->legacy_managers));
}

/* ---- requests ---- */

static void request(ao_apply *a, const char *method, const char *path, const char *content_type, const char *body, ao_kube_fn fn)
{
	a->call = ao_kube_send(a->kube, &(ao_kube_request){
					    .method = method,
					    .path = path,
					    .content_type = content_type,
					    .body = body,
					    .object = {a->resource, a->namespace_, a->name, body ? a->uid : NULL},
					    .rank = a->rank,
					    .fn = fn,
					    .arg = a,
					});
}

/** The server makes null of an object of a custom resource that loses its last field, and then refuses it. */
static bool is_refused_as_null(const ao_apply *a, const ao_kube_answer *answer)
{
	return a->uid && !a->dry_run && !a->refusal && answer->error == -EINVAL && strstr(answer->message, "Invalid value: \"null\"");
}

static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_apply *a = arg;
	a->call = NULL;
	if (!a->uid && answer->error == -EEXIST && owner_of(a->desired, a->owner_label))
		read_live(a); /* it may be ours: of a POST whose answer was lost */
	else if (!a->uid && answer->error == -EEXIST)
		fail_as_foreign(a, NULL);
	else if (is_refused_as_null(a, answer)) {
		a->refusal = ao_xstrdup(answer->message);
		read_live(a);
	} else
		finish(a, answer);
}

static void write_object(ao_apply *a)
{
	ao_auto_str char *path = ao_resource_path(a->resource, a->namespace_, a->uid ? a->name : NULL, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s&fieldValidation=Strict%s%s", path, a->manager,
					       a->uid ? "&force=true" : "", a->dry_run ? "&dryRun=All" : "");
	/* with the uid of the one we mean, so that another of its name is never written to */
	ao_json_set_str(ao_json_object(a->desired, "metadata"), "uid", a->uid);
	ao_auto_str char *body = ao_json_print(a->desired);
	request(a, a->uid ? "PATCH" : "POST", query, a->uid ? AO_APPLY_PATCH : NULL, body, on_written);
}

static void on_migrated(void *arg, const ao_kube_answer *answer)
{
	ao_apply *a = arg;
	a->call = NULL;
	/* a patch of managedFields tests what it changes, and that has changed; another carries the resourceVersion */
	bool moved = answer->error == -ESTALE || (answer->error == -EINVAL && !a->refusal);
	if (moved && ++a->migrations < MAX_MIGRATIONS)
		read_live(a);
	else if (answer->error || a->only_claim)
		finish(a, answer);
	else
		write_object(a);
}

/** @return NULL when there is nothing to be emptied: the server then says again what is wrong */
static cJSON *emptying_patch(const ao_apply *a, const cJSON *live)
{
	const cJSON *version = ao_json_at(live, "metadata", "resourceVersion");
	cJSON *patch = version ? ao_apply_emptied(a->desired, live, a->refusal) : NULL;
	if (patch)
		cJSON_AddItemToArray(patch, ao_json_patch_step("replace", "/metadata/resourceVersion", cJSON_Duplicate(version, 1)));
	return patch;
}

/** What has to be patched before the apply can be sent; or NULL. */
static cJSON *patch_before(const ao_apply *a, const cJSON *live)
{
	bool drop_replicas = !ao_json_at(a->desired, "spec", "replicas");
	if (a->dry_run)
		return NULL;
	return a->refusal ? emptying_patch(a, live) : ao_managed_patch(live, a->manager, a->legacy_managers, a->returned, drop_replicas);
}

/** Sends what has to be patched first, then writes. */
static void send_patch(ao_apply *a, const cJSON *patch)
{
	ao_auto_str char *body = ao_json_print(patch);
	ao_auto_str char *path = ao_resource_path(a->resource, a->namespace_, a->name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s", path, a->manager);
	request(a, "PATCH", query, AO_JSON_PATCH, body, on_migrated);
}

static void on_live(void *arg, const ao_kube_answer *answer)
{
	ao_apply *a = arg;
	ao_auto_json cJSON *live = NULL;
	ao_auto_err ao_err *err = NULL;
	a->call = NULL;
	if (answer->error) {
		finish(a, answer);
		return;
	}
	if (ao_json_parse(answer->body, answer->body_len, &live, &err) < 0) {
		fail(a, answer, -EPROTO, ao_err_text(err));
		return;
	}
	const char *uid = ao_json_str(live, "metadata", "uid");
	const ao_apply_request with = {
	    .desired = a->desired, .manager = a->manager, .legacy_managers = a->legacy_managers, .owner_label = a->owner_label};
	bool ours = a->uid ? is_same(uid, a->uid) : uid && ao_apply_is_ours(&with, live);
	if (!ours && a->uid) {
		fail(a, answer, -ESTALE, "another object has that name now");
		return;
	}
	if (!ours) {
		fail_as_foreign(a, live);
		return;
	}
	if (!a->uid)
		a->uid = ao_xstrdup(uid); /* what it holds may be of an earlier rendering: from here on it is one to be changed */
	ao_auto_json cJSON *patch = patch_before(a, live);
	if (patch)
		send_patch(a, patch);
	else if (a->only_claim)
		finish(a, answer);
	else
		write_object(a);
}

static void read_live(ao_apply *a)
{
	ao_auto_str char *path = ao_resource_path(a->resource, a->namespace_, a->name, NULL);
	request(a, "GET", path, NULL, NULL, on_live);
}

ao_apply *ao_apply_start(const ao_apply_request *with)
{
	ao_apply *a = ao_xcalloc(1, sizeof(*a));
	const ao_object *observed = with->observed;
	*a = (ao_apply){
	    .kube = with->kube,
	    .resource = with->resource,
	    .manager = with->manager,
	    .legacy_managers = with->legacy_managers,
	    .owner_label = with->owner_label,
	    .dry_run = with->dry_run,
	    .returned = with->returned,
	    .only_claim = with->only_claim,
	    .rank = with->rank,
	    .create = !observed,
	    .namespace_ = ao_xstrdup(ao_json_str(with->desired, "metadata", "namespace")),
	    .name = ao_xstrdup(ao_json_str(with->desired, "metadata", "name")),
	    .uid = observed ? ao_xstrdup(observed->uid) : NULL,
	    .desired = cJSON_Duplicate(with->desired, 1),
	    .fn = with->fn,
	    .arg = with->arg,
	};
	const char *owner = owner_of(with->desired, with->owner_label);
	if (observed && owner && !is_same(observed->owner_uid, owner)) {
		free(AO_TAKE(a->uid)); /* it is to be the one that we want only when it has our owner */
		read_live(a);
		return a;
	}
	if (!observed || with->dry_run) {
		write_object(a);
		return a;
	}
	const ao_managed *held = &observed->held;
	bool drops_replicas = held->owns_replicas && !ao_json_at(with->desired, "spec", "replicas");
	bool returned = with->returned && held->legacy_beside;
	if (held->post_at >= 0 && !returned) {
		ao_auto_json cJSON *patch = ao_managed_post_patch(a->uid, a->manager, held->post_at, drops_replicas);
		send_patch(a, patch);
	} else if (held->to_claim || drops_replicas || returned || with->only_claim)
		read_live(a);
	else
		write_object(a);
	return a;
}

void ao_apply_cancel(ao_apply *a)
{
	if (a->call)
		ao_kube_cancel(a->call);
	free_apply(a);
}
