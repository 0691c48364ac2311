/* parents.c -- named ones are looked for one by one, others are listed page by page, so that a large cluster fits into memory. */
#include "cli/parents.h"

#include "base/mem.h"

#define MAX_QUERY (64 * 1024)

int ao_parents_get(ao_session *session, const ao_manifest *m, const char *namespace_, const char *name, cJSON **ret, ao_err **reterr)
{
	const ao_resource *resource = &m->kinds[0].resource;
	ao_auto_str char *path = ao_resource_named_path(resource, namespace_, name);
	ao_auto_json cJSON *list = NULL;
	int code = ao_session_get(session, path, &list, reterr);
	cJSON *items = ao_json_at(list, "items");
	if (code == 0 && !cJSON_GetArraySize(items))
		code = resource->cluster_scoped
			   ? ao_err_set(reterr, -ENOENT, "%s \"%s\" not found", resource->plural, name)
			   : ao_err_set(reterr, -ENOENT, "%s \"%s\" not found in namespace %s", resource->plural, name, namespace_);
	if (code == 0)
		*ret = cJSON_DetachItemFromArray(items, 0);
	return code;
}

static int each_named(ao_session *session, const ao_parents_request *q, const char *namespace_, const char *name, ao_err **reterr)
{
	ao_auto_json cJSON *object = NULL;
	int code = ao_parents_get(session, q->manifest, namespace_, name, &object, reterr);
	if (code < 0)
		return code;
	if (!q->all_classes && !ao_scope_serves(&session->scope, q->manifest, object)) {
		const char *class_ = ao_json_str(object, "metadata", "annotations", q->manifest->class_annotation);
		return ao_err_set(reterr, -EINVAL, "%s %s is of operator class '%s': name it with --operator-class, or use --all-classes",
				  q->manifest->kinds[0].resource.kind, name, class_ ? class_ : "");
	}
	q->on_parent(q->arg, object);
	return 0;
}

static int each_listed(ao_session *session, const ao_parents_request *q, const char *namespace_, ao_err **reterr)
{
	ao_auto_str char *path = ao_resource_path(&q->manifest->kinds[0].resource, namespace_, NULL, NULL), *more = ao_xstrdup("");
	do {
		ao_auto_buf ao_buf query = ao_buf_init(MAX_QUERY);
		ao_auto_json cJSON *page = NULL;
		const cJSON *item;
		ao_buf_printf(&query, "%s?limit=100&labelSelector=", path);
		ao_resource_put_value(&query, q->selector ? q->selector : "");
		ao_buf_puts(&query, "&continue=");
		ao_resource_put_value(&query, more);
		ao_auto_err ao_err *err = NULL;
		int code = ao_session_get(session, query.data, &page, &err);
		if (code < 0 && ao_session_lacks(session, &q->manifest->kinds[0].resource))
			return 0;
		if (code < 0)
			return ao_err_set(reterr, code, "%s", ao_err_text(err));
		cJSON_ArrayForEach (item, ao_json_at(page, "items"))
			if (q->all_classes || ao_scope_serves(&session->scope, q->manifest, item))
				q->on_parent(q->arg, item);
		free(more);
		more = ao_xstrdup(ao_json_str(page, "metadata", "continue"));
	} while (more && *more);
	return 0;
}

static void list(ao_session *session, const ao_parents_request *q, const char *namespace_)
{
	ao_err *err = NULL;
	int code = each_listed(session, q, namespace_, &err);
	q->on_error(q->arg, code, err);
}

void ao_parents_each(ao_session *session, const ao_parents_request *q)
{
	const char *namespace_ = q->namespace_ ? q->namespace_ : session->config->namespace_;
	char *const *watched = q->everywhere ? session->scope.namespaces : NULL;
	for (size_t i = 0; q->names[i]; i++) {
		ao_err *err = NULL;
		int code = each_named(session, q, namespace_, q->names[i], &err);
		q->on_error(q->arg, code, err);
	}
	for (; watched && *watched; watched++)
		list(session, q, *watched);
	if (!q->names[0] && !(q->everywhere && session->scope.namespaces))
		list(session, q, q->everywhere ? NULL : namespace_);
}
