/* discovery.c -- one list, or two; an answer that is no such list decides nothing. */
#include "kube/discovery.h"

#include "base/mem.h"
#include "json/span.h"

#include <string.h>

struct ao_discovery {
	ao_kube *kube;
	const ao_resource *resource;
	ao_kube_call *call;
	void (*fn)(void *arg, bool absent, const char *message);
	void *arg;
};

static void finish(ao_discovery *d, bool absent, const char *message)
{
	void (*fn)(void *arg, bool absent, const char *message) = d->fn;
	void *arg = d->arg;
	free(d);
	fn(arg, absent, message);
}

static void ask(ao_discovery *d, const char *path, ao_kube_fn fn)
{
	d->call = ao_kube_send(d->kube, &(ao_kube_request){.method = "GET", .path = path, .fn = fn, .arg = d});
}

/** The list under `key` of an answer of that kind, whole; or an absent span. */
static ao_span list_of(const ao_kube_answer *answer, const char *kind, const char *key)
{
	ao_span body = {answer->body, answer->body_len};
	ao_span list = ao_span_get(body, key), item;
	size_t cursor = 0;
	bool good = !answer->error && ao_span_is_object(body) && ao_span_is(ao_span_get(body, "kind"), kind);
	while (good && ao_span_item(list, &cursor, &item))
		;
	return good && ao_span_ended(list, cursor) ? list : (ao_span){0};
}

/** Does the list hold an object with this text under `key`? */
static bool has(ao_span list, const char *key, const char *text)
{
	size_t cursor = 0;
	ao_span item;
	while (ao_span_item(list, &cursor, &item))
		if (ao_span_is(ao_span_get(item, key), text))
			return true;
	return false;
}

static void finish_unknown(ao_discovery *d, const ao_kube_answer *answer)
{
	finish(d, false, answer->error ? answer->message : "the answer is not a valid list of what the server knows");
}

static void on_groups(void *arg, const ao_kube_answer *answer)
{
	ao_discovery *d = arg;
	ao_span groups = list_of(answer, "APIGroupList", "groups"), group;
	size_t cursor = 0;
	bool listed = false;
	if (!groups.at) {
		finish_unknown(d, answer);
		return;
	}
	while (!listed && ao_span_item(groups, &cursor, &group))
		listed = has(ao_span_get(group, "versions"), "groupVersion", d->resource->api_version);
	finish(d, !listed, listed ? "the server lists its group, but not what is in it" : "");
}

static void on_resources(void *arg, const ao_kube_answer *answer)
{
	ao_discovery *d = arg;
	ao_span resources = list_of(answer, "APIResourceList", "resources");
	bool listed = has(resources, "name", d->resource->plural);
	if (resources.at)
		finish(d, !listed, listed ? "HTTP status 404, but the server lists the kind" : "");
	else if (answer->status == 404 && strchr(d->resource->api_version, '/'))
		ask(d, "/apis", on_groups); /* the last kind of a group takes the group with it */
	else
		finish_unknown(d, answer);
}

ao_discovery *ao_discovery_start(ao_kube *kube, const ao_resource *resource, void (*fn)(void *arg, bool absent, const char *message),
				 void *arg)
{
	ao_discovery *d = ao_xcalloc(1, sizeof(*d));
	*d = (ao_discovery){.kube = kube, .resource = resource, .fn = fn, .arg = arg};
	ao_auto_str char *path = ao_resource_group_path(resource);
	ask(d, path, on_resources);
	return d;
}

void ao_discovery_free(ao_discovery *d)
{
	if (!d)
		return;
	ao_kube_cancel(d->call);
	free(d);
}
