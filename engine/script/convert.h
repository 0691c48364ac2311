#pragma once
/**
 * convert.h -- JSON trees to Lua values and back; private to script/.
 *
 * null is json.null, an array a table with the metatable of json.array(), an object a plain table, integers stay integers.
 * On the way out a plain table with keys 1..n is an array too, an empty one an object; keys come out sorted.
 * JSON -> Lua -> JSON is the identity, the order of keys apart.
 */
#include "script/vm.h"

/** Takes null and the metatable of arrays from the SDK's module json. Raises; before any conversion. */
void ao_convert_open(lua_State *L);

/** Pushes `value`; NULL pushes nil. Raises. */
void ao_convert_push(lua_State *L, const cJSON *value);

/** A tree under construction. It outlives a raised error, so that its owner can free it. */
typedef struct ao_taken {
	cJSON *tree;
	size_t size; /* bytes of text so far; an item counts at least 8 */
	/* Private scratch. */
	cJSON **items;
	size_t item_space;
} ao_taken;

/**
 * Writes the value at `index` to taken->tree.  Raises with the path of what cannot be written.  When that is inside an item of a list, and
 * the item has a string `policy`, this policy is named as the one to blame.
 */
void ao_convert_take(lua_State *L, int index, ao_taken *taken);
void ao_taken_clear(ao_taken *taken);
#define ao_auto_taken __attribute__((cleanup(ao_taken_clear)))
