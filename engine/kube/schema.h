#pragma once
/**
 * schema.h -- compiles the server's OpenAPI v3 schemas to a small table, and checks objects against them before they are sent.
 *
 * Checked are types, unknown fields, missing required fields, enumerations, 32-bit ranges, and keys that occur twice in a list that the
 * server merges by key (which it answers with HTTP 500).  Not checked are CEL rules, patterns, and everything else that is left to the
 * server's own validation.
 * Ownership: a schema owns its table; the document is only read.
 * Threads: any; a schema does not change once it is compiled.
 */
#include "base/err.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ao_schema ao_schema;

#define AO_SCHEMA_MAX_DOCUMENT ((size_t)8 << 20) /* bytes */

/**
 * Compiles the schemas of some kinds, and all schemas that they refer to, from an OpenAPI v3 document.
 *
 * @param wanted  says which kinds; NULL means every kind that the document has under x-kubernetes-group-version-kind
 * @return 0; -EINVAL the document is malformed, -E2BIG it is too large
 */
int ao_schema_compile(const char *document, size_t len, bool (*wanted)(void *arg, const char *api_version, const char *kind), void *arg,
		      ao_schema **ret, ao_err **reterr);
void ao_schema_free(ao_schema *schema); /* NULL is fine */

bool ao_schema_has(const ao_schema *schema, const char *api_version, const char *kind);
size_t ao_schema_bytes(const ao_schema *schema); /* what the table takes */

/**
 * Checks an object.  Also settles what Lua cannot say in JSON: an empty `{}` becomes `[]` where the schema has a list, and an empty `[]`
 * becomes `{}` where it has an object.  Null members count as absent.  A kind that the schema does not have passes.
 *
 * @param reterr  "spec.template.spec.containers[0].env[2].value: must be a string, not a number; write it in quotes"
 * @return 0; -EINVAL; -ENOTSUP a field or one of the values of an enumeration that the schema does not have, but a newer one may
 */
int ao_schema_check(const ao_schema *schema, cJSON *object, ao_err **reterr);
