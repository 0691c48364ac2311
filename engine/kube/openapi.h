#pragma once
/**
 * openapi.h -- the schemas that planned objects are checked against: the server's own, and where it has none, those in the binary.
 *
 * The server's schemas are fetched by group and version, and again only when the hash in their URL has changed.  The core group is never
 * asked for, because that is 1.6 MB for two small kinds.  The built-in schemas serve the core group, and every kind until the server's
 * schemas are there.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "kube/schema.h"

typedef struct ao_openapi ao_openapi;

typedef struct ao_openapi_options {
	ao_kube *kube;       /* NULL: offline, only the built-in schemas */
	const char *bundled; /* an OpenAPI v3 document; compiled at once */
	size_t bundled_len;
	const ao_resource *const
	    *kinds; /* NULL-terminated kinds that are of interest; borrowed for the object's life; NULL: those bundled */
} ao_openapi_options;

/** @return 0; -EINVAL, -E2BIG the built-in document is malformed or too large */
int ao_openapi_new(const ao_openapi_options *options, ao_openapi **ret, ao_err **reterr);
void ao_openapi_free(ao_openapi *openapi); /* cancels a fetch; NULL is fine */

/**
 * Fetches what the server has changed since the last time.  Joins a fetch that is under way.
 * @param fn  called once, from the loop, when everything is known or could not be had; may be NULL.  What could not be had is logged, and
 *            what was known stays.
 */
void ao_openapi_refresh(ao_openapi *openapi, void (*fn)(void *arg), void *arg);

/** A number that grows whenever a schema has changed. */
unsigned ao_openapi_version(const ao_openapi *openapi);

/** A digest of what the server's schemas are, the same in every process; never 0. */
uint64_t ao_openapi_digest(const ao_openapi *openapi);

/** Checks and settles an object as ao_schema_check() does. */
int ao_openapi_check(const ao_openapi *openapi, cJSON *object, ao_err **reterr);

static inline void ao_openapi_freep(ao_openapi **o) { ao_openapi_free(*o); }
#define ao_auto_openapi __attribute__((cleanup(ao_openapi_freep)))
