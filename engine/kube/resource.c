/* resource.c -- URL paths of the Kubernetes API. */
#include "kube/resource.h"

#include "base/buf.h"
#include "base/mem.h"

#include <ctype.h>
#include <string.h>

#define MAX_PATH 4096

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

static void put_part(ao_buf *path, const char *part)
{
	ao_buf_put(path, "/", 1);
	for (; *part; part++)
		if (isalnum((unsigned char)*part) || strchr("-._~", *part))
			ao_buf_put(path, part, 1);
		else
			ao_buf_printf(path, "%%%02X", (unsigned char)*part);
}

char *ao_resource_path(const ao_resource *r, const char *namespace_, const char *name, const char *subresource)
{
	ao_buf path = ao_buf_init(MAX_PATH);
	/* the slash of "apps/v1" is part of the path */
	ao_buf_printf(&path, "%s/%s", strchr(r->api_version, '/') ? "/apis" : "/api", r->api_version);
	if (namespace_ && !r->cluster_scoped) {
		ao_buf_puts(&path, "/namespaces");
		put_part(&path, namespace_);
	}
	put_part(&path, r->plural);
	if (name)
		put_part(&path, name);
	if (subresource)
		put_part(&path, subresource);
	return ao_buf_steal(&path);
}
