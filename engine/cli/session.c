/* session.c -- the loop runs while we wait for an answer, and not in between. */
#include "cli/session.h"

#include "base/mem.h"
#include "kube/discovery.h"
#include "rollout/wanted.h"
#include "version.h"

#define TIMEOUT_MS 30000
#define MAX_QUERY 4096 /* bytes: names of labels and namespaces have some hundred at most */

/** The class that the manifest names stands in for that of the process. A manifest that cannot be read is told of by who needs it. */
static void take_class(const char *bundle_dir, ao_session *session)
{
	ao_auto_json cJSON *manifest = NULL;
	session->class_ = ao_xstrdup(session->scope.class_);
	if (ao_load_base_manifest(bundle_dir, &manifest, NULL) < 0)
		return;
	const ao_scope scope = ao_scope_of(&session->scope, manifest);
	char *class_ = ao_xstrdup(scope.class_);
	free(session->scope.class_);
	session->scope.class_ = class_;
	session->scope.own = scope.own;
}

int ao_session_open(const ao_session_flags *flags, ao_session *ret, ao_err **reterr)
{
	ao_session session = {0};
	int r = ao_scope_read(flags->class_, flags->watched, &session.scope, reterr);
	if (r == 0)
		r = ao_kubeconfig_load(flags->kubeconfig, flags->context, &session.config, reterr);
	if (r < 0) {
		ao_scope_clear(&session.scope);
		return r;
	}
	take_class(flags->bundle_dir, &session);
	session.loop = ao_loop_new();
	session.bundle_dir = flags->bundle_dir;
	session.namespace_ = flags->namespace_ ? flags->namespace_ : session.config->namespace_;
	r = ao_kube_new(session.loop, session.config, AO_USER_AGENT, &session.kube, reterr);
	if (r < 0)
		ao_session_close(&session);
	else
		*ret = session;
	return r;
}

void ao_session_close(ao_session *session)
{
	if (!session->loop)
		return;
	ao_kube_free(session->kube);
	ao_kubeconfig_free(session->config);
	ao_loop_close(session->loop);
	ao_scope_clear(&session->scope);
	free(session->class_);
	*session = (ao_session){0};
}

typedef struct waited {
	bool done;
	const char *what;
	int code;
	cJSON *object;
	ao_err *err;
} waited;

static void on_answer(void *arg, const ao_kube_answer *answer)
{
	waited *w = arg;
	w->done = true;
	w->code = answer->error ? ao_kube_answer_err(answer, w->what, &w->err)
				: ao_json_parse(answer->body, answer->body_len, &w->object, &w->err);
}

int ao_session_send(ao_session *session, const ao_kube_request *request, cJSON **ret, ao_err **reterr)
{
	waited w = {.what = request->path, .code = -ETIME};
	ao_kube_request with = *request;
	with.timeout_ms = TIMEOUT_MS;
	with.max_body = 64 << 20;
	with.fn = on_answer;
	with.arg = &w;
	ao_kube_call *call = ao_kube_send(session->kube, &with);
	if (!ao_loop_run_until(session->loop, &w.done, TIMEOUT_MS + 1000))
		ao_kube_cancel(call);
	if (w.code == 0 && ret)
		*ret = AO_TAKE(w.object);
	else if (w.code < 0)
		ao_err_set(reterr, w.code, "%s", w.err ? ao_err_text(w.err) : "no answer");
	cJSON_Delete(w.object);
	ao_err_free(w.err);
	return w.code;
}

int ao_session_get(ao_session *session, const char *path, cJSON **ret, ao_err **reterr)
{
	return ao_session_send(session, &(ao_kube_request){.method = "GET", .path = path}, ret, reterr);
}

typedef struct doubt {
	bool done, absent;
} doubt;

static void on_discovery(void *arg, bool absent, const char *message)
{
	(void)message;
	*(doubt *)arg = (doubt){true, absent};
}

bool ao_session_lacks(ao_session *session, const ao_resource *resource)
{
	doubt d = {0};
	ao_discovery *discovery = ao_discovery_start(session->kube, resource, on_discovery, &d);
	if (!ao_loop_run_until(session->loop, &d.done, 2 * (TIMEOUT_MS + 1000)))
		ao_discovery_free(discovery);
	return d.absent;
}

/** Takes the ConfigMaps of other classes out of a list of policy ConfigMaps. */
static void drop_others(const ao_session *session, const ao_manifest *manifest, cJSON *list)
{
	cJSON *items = ao_json_at(list, "items"), *item, *next;
	for (item = items ? items->child : NULL; item; item = next) {
		next = item->next;
		if (!ao_scope_serves(&session->scope, manifest, item))
			cJSON_Delete(cJSON_DetachItemViaPointer(items, item));
	}
}

int ao_session_manifest(const ao_session *session, ao_manifest **ret, ao_err **reterr)
{
	ao_auto_json cJSON *peeked = NULL;
	int r = ao_load_base_manifest(session->bundle_dir, &peeked, reterr);
	return r < 0 ? r : ao_manifest_read(peeked, ret, reterr);
}

/** Adds those that have the name of the bundle in a label, and are not there yet. */
static int add_named(ao_session *session, const char *selector, const char *path, cJSON *list, ao_err **reterr)
{
	ao_auto_json cJSON *more = NULL;
	ao_auto_buf ao_buf query = ao_buf_init(MAX_QUERY);
	ao_buf_printf(&query, "%s?labelSelector=", path);
	ao_resource_put_value(&query, selector);
	int r = ao_session_get(session, query.data, &more, reterr);
	cJSON *items = ao_json_at(list, "items"), *named = ao_json_at(more, "items"), *item;
	while (r == 0 && items && (item = cJSON_DetachItemFromArray(named, 0))) {
		bool there = false;
		const cJSON *each;
		cJSON_ArrayForEach (each, items)
			there = there || ao_json_equal(ao_json_at(each, "metadata", "uid"), ao_json_at(item, "metadata", "uid"));
		if (there)
			cJSON_Delete(item);
		else
			cJSON_AddItemToArray(items, item);
	}
	return r;
}

int ao_session_config_maps(ao_session *session, const ao_manifest *manifest, const char *suffix, cJSON **ret, ao_err **reterr)
{
	if (!manifest->policies_label) {
		*ret = cJSON_CreateObject();
		return 0;
	}
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, session->namespace_, NULL, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?labelSelector=%s%s%%3Dtrue", path, manifest->policies_label, suffix),
			 *named = ao_edit_maps_named(manifest);
	int r = ao_session_get(session, query, ret, reterr);
	if (r == 0 && !*suffix && named)
		r = add_named(session, named, path, *ret, reterr);
	if (r == 0)
		drop_others(session, manifest, *ret);
	return r;
}

int ao_session_sources(ao_session *session, const ao_load_options *load, ao_sources *ret, cJSON **list, ao_err **reterr)
{
	ao_auto_json cJSON *maps = NULL;
	ao_auto_manifest ao_manifest *manifest = NULL;
	int r = ao_load_base(session->bundle_dir, ret, reterr);
	if (r == 0)
		r = ao_session_manifest(session, &manifest, reterr);
	if (r == 0)
		r = ao_session_config_maps(session, manifest, "", &maps, reterr);
	if (r < 0)
		return r;
	ao_load_config_maps(ret, maps, manifest->profile_annotation);
	if (list)
		*list = AO_TAKE(maps);
	return load->policies_dir ? ao_sources_dir(ret, load->policies_dir, reterr) : 0;
}
