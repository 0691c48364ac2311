/*
 * resource.c -- URL paths of the Kubernetes API.
 *
 * The server decodes a path before it cuts it into segments, and both libcurl and the server fold "." and "..": with a name such as
 * "../x", "." or "", escaping once would lead to another object, or a whole collection.  No name in Kubernetes is like that, so these are
 * escaped twice: what arrives is a name with a '%' in it, which no object has, and the answer is 404, 400 or 422.
 */
#include "kube/resource.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

const ao_resource ao_leases = {.api_version = (char *)"coordination.k8s.io/v1", .kind = (char *)"Lease", .plural = (char *)"leases"};
const ao_resource ao_config_maps = {.api_version = (char *)"v1", .kind = (char *)"ConfigMap", .plural = (char *)"configmaps"};

#define MAX_PATH (16 * 1024)

void ao_resource_clear(ao_resource *r)
{
	free(r->api_version);
	free(r->kind);
	free(r->plural);
	*r = (ao_resource){0};
}

bool ao_resource_is(const ao_resource *r, const char *api_version, const char *kind)
{
	return strcmp(r->api_version, api_version) == 0 && strcmp(r->kind, kind) == 0;
}

/** What a path segment of Kubernetes may be: client-go's IsValidPathSegmentName. */
static bool is_segment(const char *part) { return *part && strcmp(part, ".") != 0 && strcmp(part, "..") != 0 && !strpbrk(part, "/%"); }

static void put_part(ao_buf *path, const char *part)
{
	const char *escape = is_segment(part) ? "%" : "%25";
	bool dots = part[strspn(part, ".")] == '\0';
	ao_buf_put(path, "/", 1);
	if (!*part)
		ao_buf_puts(path, escape);
	for (; *part; part++)
		if (isalnum((unsigned char)*part) || strchr("-_~", *part) || (*part == '.' && !dots))
			ao_buf_put(path, part, 1);
		else
			ao_buf_printf(path, "%s%02X", escape, (unsigned char)*part);
}

char *ao_resource_group_path(const ao_resource *r)
{
	/* the slash of "apps/v1" is part of the path */
	return ao_xasprintf("%s/%s", strchr(r->api_version, '/') ? "/apis" : "/api", r->api_version);
}

/** Cut off it might be the path of something else. */
static char *steal_whole(ao_buf *path)
{
	if (!path->overflow)
		return ao_buf_steal(path);
	ao_buf_free(path);
	return ao_xstrdup("/too-long");
}

char *ao_resource_path(const ao_resource *r, const char *namespace_, const char *name, const char *subresource)
{
	ao_auto_str char *group = ao_resource_group_path(r);
	ao_buf path = ao_buf_init(MAX_PATH);
	ao_buf_puts(&path, group);
	if (namespace_ && !r->cluster_scoped) {
		ao_buf_puts(&path, "/namespaces");
		put_part(&path, namespace_);
	}
	put_part(&path, r->plural);
	if (name)
		put_part(&path, name);
	if (subresource)
		put_part(&path, subresource);
	return steal_whole(&path);
}

void ao_resource_put_value(ao_buf *query, const char *value)
{
	for (; *value; value++)
		if (isalnum((unsigned char)*value) || strchr("-_.~", *value))
			ao_buf_put(query, value, 1);
		else
			ao_buf_printf(query, "%%%02X", (unsigned char)*value);
}

char *ao_resource_named_path(const ao_resource *r, const char *namespace_, const char *name)
{
	ao_buf named = ao_buf_init(MAX_PATH);
	ao_auto_str char *path = ao_resource_path(r, namespace_, NULL, NULL), *wanted = ao_xasprintf("metadata.name=%s", name);
	ao_buf_printf(&named, "%s?fieldSelector=", path);
	ao_resource_put_value(&named, wanted);
	return steal_whole(&named);
}
