/*
 * apply.c -- one object: POST when it is absent; else, if need be, GET and a managedFields patch, then the server-side apply.
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
	bool dry_run, create, drop_replicas;
	char *namespace_, *name;
	char *uid;  /* of the object we mean; NULL when it is created */
	char *body; /* what is sent in the end */
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
	free(a->body);
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

static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_apply *a = arg;
	a->call = NULL;
	if (a->create && answer->error == -EEXIST) {
		ao_kube_answer named = *answer;
		ao_auto_str char *message =
		    ao_xasprintf("%s %s exists already and is not ours; rename one of them or delete it", a->resource->kind, a->name);
		named.message = message;
		finish(a, &named);
		return;
	}
	finish(a, answer);
}

static void request(ao_apply *a, const char *method, const char *path, const char *content_type, const char *body, ao_kube_fn fn)
{
	a->call = ao_kube_send(a->kube, &(ao_kube_request){
					    .method = method,
					    .path = path,
					    .content_type = content_type,
					    .body = body,
					    .fn = fn,
					    .arg = a,
					});
}

static void write_object(ao_apply *a)
{
	ao_auto_str char *path = ao_resource_path(a->resource, a->namespace_, a->create ? NULL : a->name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s&fieldValidation=Strict%s%s", path, a->manager,
					       a->create ? "" : "&force=true", a->dry_run ? "&dryRun=All" : "");
	request(a, a->create ? "POST" : "PATCH", query, a->create ? NULL : AO_APPLY_PATCH, a->body, on_written);
}

static void on_migrated(void *arg, const ao_kube_answer *answer)
{
	ao_apply *a = arg;
	a->call = NULL;
	if (answer->error == -ESTALE && ++a->migrations < MAX_MIGRATIONS)
		read_live(a); /* somebody wrote its status meanwhile */
	else if (answer->error)
		finish(a, answer);
	else
		write_object(a);
}

/** Ends with an error of our own, the server's answer being fine. */
static void fail(ao_apply *a, const ao_kube_answer *answer, int error, const char *message)
{
	ao_kube_answer wrong = *answer;
	wrong.error = error;
	wrong.message = message;
	finish(a, &wrong);
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
	if (!uid || strcmp(uid, a->uid) != 0) {
		fail(a, answer, -ESTALE, "another object has that name now");
		return;
	}
	ao_auto_json cJSON *patch = ao_managed_patch(live, a->manager, a->legacy_managers, a->drop_replicas);
	if (!patch) {
		write_object(a);
		return;
	}
	ao_auto_str char *body = ao_json_print(patch);
	ao_auto_str char *path = ao_resource_path(a->resource, a->namespace_, a->name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s", path, a->manager);
	request(a, "PATCH", query, AO_JSON_PATCH, body, on_migrated);
}

static void read_live(ao_apply *a)
{
	ao_auto_str char *path = ao_resource_path(a->resource, a->namespace_, a->name, NULL);
	request(a, "GET", path, NULL, NULL, on_live);
}

/** The object as it is sent; with the uid of the one we mean, so that another of its name is never written to. */
static char *body_of(const ao_apply_request *with)
{
	if (!with->observed)
		return ao_json_print(with->desired);
	ao_auto_json cJSON *object = cJSON_Duplicate(with->desired, 1);
	ao_json_set_str(ao_json_object(object, "metadata"), "uid", with->observed->uid);
	return ao_json_print(object);
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
	    .dry_run = with->dry_run,
	    .create = !observed,
	    .namespace_ = ao_xstrdup(ao_json_str(with->desired, "metadata", "namespace")),
	    .name = ao_xstrdup(ao_json_str(with->desired, "metadata", "name")),
	    .uid = observed ? ao_xstrdup(observed->uid) : NULL,
	    .body = body_of(with),
	    .drop_replicas = !ao_json_at(with->desired, "spec", "replicas"),
	    .fn = with->fn,
	    .arg = with->arg,
	};
	bool migrate = observed && !with->dry_run && (observed->legacy_owned || (observed->owns_replicas && a->drop_replicas));
	if (migrate)
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

/* ---- deletion ---- */

ao_kube_call *ao_apply_delete(ao_kube *kube, const ao_resource *resource, const ao_object *observed, ao_kube_fn fn, void *arg)
{
	ao_auto_str char *path = ao_resource_path(resource, *observed->namespace_ ? observed->namespace_ : NULL, observed->name, NULL);
	ao_auto_str char *body = ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\","
					      "\"preconditions\":{\"uid\":\"%s\"}}",
					      observed->uid);
	return ao_kube_send(kube, &(ao_kube_request){.method = "DELETE", .path = path, .body = body, .fn = fn, .arg = arg});
}
