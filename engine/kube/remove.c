/* remove.c -- DELETE, and after a conflict GET: an answer of that name with another uid is what "gone" looks like. */
#include "kube/remove.h"

#include "base/mem.h"

#include <string.h>

struct ao_remove {
	ao_kube *kube;
	const ao_resource *resource;
	char *namespace_, *name, *uid, *path;
	char *conflict; /* what the server said to the DELETE */
	ao_kube_call *call;
	ao_kube_fn fn;
	void *arg;
};

static void free_remove(ao_remove *r)
{
	free(r->namespace_);
	free(r->name);
	free(r->uid);
	free(r->path);
	free(r->conflict);
	free(r);
}

static void finish(ao_remove *r, const ao_kube_answer *answer)
{
	ao_kube_fn fn = r->fn;
	void *arg = r->arg;
	ao_auto_str char *conflict = AO_TAKE(r->conflict); /* the answer's message may be it */
	free_remove(r);
	fn(arg, answer);
}

static void request(ao_remove *r, const char *method, const char *uid, const char *body, ao_kube_fn fn)
{
	r->call = ao_kube_send(
	    r->kube,
	    &(ao_kube_request){
		.method = method, .path = r->path, .body = body, .object = {r->resource, r->namespace_, r->name, uid}, .fn = fn, .arg = r});
}

static void on_read(void *arg, const ao_kube_answer *answer)
{
	ao_remove *r = arg;
	ao_span uid = ao_span_at((ao_span){answer->body, answer->body_len}, "metadata", "uid");
	r->call = NULL;
	if (answer->error)
		finish(r, answer);
	else if (ao_span_is(uid, r->uid))
		finish(r, &(ao_kube_answer){.status = 409, .error = -ESTALE, .reason = "Conflict", .message = r->conflict, .body = ""});
	else
		finish(r, &(ao_kube_answer){.status = 404, .error = -ENOENT, .reason = "NotFound", .message = r->conflict, .body = ""});
}

static void on_deleted(void *arg, const ao_kube_answer *answer)
{
	ao_remove *r = arg;
	r->call = NULL;
	if (answer->error != -ESTALE) {
		finish(r, answer);
		return;
	}
	r->conflict = ao_xstrdup(answer->message);
	request(r, "GET", NULL, NULL, on_read);
}

/** @param version  that it must have; "": any */
static ao_remove *start(ao_kube *kube, const ao_resource *resource, const ao_object *observed, const char *version, ao_kube_fn fn,
			void *arg)
{
	ao_remove *r = ao_xcalloc(1, sizeof(*r));
	const char *namespace_ = *observed->namespace_ ? observed->namespace_ : NULL;
	*r = (ao_remove){
	    .kube = kube,
	    .resource = resource,
	    .namespace_ = ao_xstrdup(namespace_),
	    .name = ao_xstrdup(observed->name),
	    .uid = ao_xstrdup(observed->uid),
	    .path = ao_resource_path(resource, namespace_, observed->name, NULL),
	    .fn = fn,
	    .arg = arg,
	};
	ao_auto_str char *exact = *version ? ao_xasprintf(",\"resourceVersion\":\"%s\"", version) : ao_xstrdup("");
	ao_auto_str char *body = ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\","
					      "\"preconditions\":{\"uid\":\"%s\"%s}}",
					      r->uid, exact);
	request(r, "DELETE", r->uid, body, on_deleted);
	return r;
}

ao_remove *ao_remove_start(ao_kube *kube, const ao_resource *resource, const ao_object *observed, ao_kube_fn fn, void *arg)
{
	return start(kube, resource, observed, "", fn, arg);
}

ao_remove *ao_remove_as_observed(ao_kube *kube, const ao_resource *resource, const ao_object *observed, ao_kube_fn fn, void *arg)
{
	return start(kube, resource, observed, observed->resource_version, fn, arg);
}

void ao_remove_cancel(ao_remove *r)
{
	if (r->call)
		ao_kube_cancel(r->call);
	free_remove(r);
}
