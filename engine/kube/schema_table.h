#pragma once
/**
 * schema_table.h -- the table that schema_compile.c makes and schema.c reads.  Private to kube/.
 *
 * A node is one type.  The properties of a node lie side by side, sorted by name.  All texts lie in one pool, each ended by a NUL.
 */
#include "kube/schema.h"

#include <stdint.h>

#define AO_NO_NODE UINT32_MAX

typedef enum {
	AO_ANY, /* anything passes: no type is given, or unknown fields are preserved */
	AO_OBJECT,
	AO_ARRAY,
	AO_STRING,
	AO_INTEGER,
	AO_NUMBER,
	AO_BOOLEAN,
	AO_SCALAR, /* string or number: int-or-string, quantities */
} ao_schema_type;

typedef struct ao_schema_node {
	uint8_t type;
	bool open : 1;     /* AO_OBJECT: further properties pass unchecked */
	bool int32 : 1;    /* AO_INTEGER */
	bool list_map : 1; /* AO_ARRAY: words are its keys */
	bool list_set : 1; /* AO_ARRAY: of unique scalars */
	uint32_t item;     /* AO_ARRAY: of items; AO_OBJECT: of further properties; or AO_NO_NODE */
	uint32_t first;    /* index of the first property */
	uint32_t count;    /* of properties */
	uint32_t word;     /* index of the first word: values of an enumeration (AO_STRING), keys (AO_ARRAY) */
	uint32_t words;
} ao_schema_node;

typedef struct ao_schema_property {
	uint32_t name; /* in the pool */
	uint32_t node;
	bool required;
	bool has_default; /* the server fills it in: it need not be there, required or not */
} ao_schema_property;

typedef struct ao_schema_root {
	uint32_t api_version, kind; /* in the pool */
	uint32_t node;
} ao_schema_root;

struct ao_schema {
	ao_schema_node *nodes;
	ao_schema_property *properties;
	uint32_t *words; /* in the pool */
	ao_schema_root *roots;
	char *pool;
	size_t node_count, property_count, word_count, root_count, pool_len;
};
