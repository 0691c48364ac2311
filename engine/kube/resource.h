#pragma once
/**
 * resource.h -- a kind of object and the URL paths it lives at.
 * Threads: any.
 */
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

typedef struct ao_resource {
	char *api_version; /* "apps/v1", "v1" */
	char *kind;        /* "Deployment" */
	char *plural;      /* "deployments" */
	bool cluster_scoped;
} ao_resource;

/** The label that says whose an object is, by the name of a component. */
#define AO_NAME_LABEL "app.kubernetes.io/name"

/** The kinds that the engine itself reads and writes. */
extern const ao_resource ao_config_maps, ao_leases;

void ao_resource_clear(ao_resource *r); /* frees the strings, not the struct */
bool ao_resource_is(const ao_resource *r, const char *api_version, const char *kind);

/**
 * "/apis/apps/v1/namespaces/asya/deployments/resize/status"; each part percent-escaped. A name that Kubernetes would never give ("..", "",
 * "a/b") yields a path at which nothing is, never that of another object or of the collection.
 * @param namespace_   NULL: all namespaces, or a cluster-scoped kind
 * @param name         NULL: the collection
 * @param subresource  NULL: the object itself
 * @return the caller frees
 */
char *ao_resource_path(const ao_resource *r, const char *namespace_, const char *name, const char *subresource);
/**
 * The collection, with no more in it than the object of that name: for those who may list a kind, but have no right to get one. Kubernetes
 * finds it as fast as by its own path. @param namespace_  as above  @return the caller frees
 */
char *ao_resource_named_path(const ao_resource *r, const char *namespace_, const char *name);
/** "/apis/apps/v1", where the server lists what it has of that group and version. @return the caller frees */
char *ao_resource_group_path(const ao_resource *r);
/** Appends a value of a query, percent-escaped. */
void ao_resource_put_value(ao_buf *query, const char *value);
