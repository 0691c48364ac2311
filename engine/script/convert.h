#pragma once
/**
 * convert.h -- JSON trees to Lua values and back; private to script/.
 *
 * To Lua: null becomes json.null, an array becomes a table with the metatable json.array_mt, an object becomes a plain table, and integers
 * stay integers.
 * To JSON: a plain table with keys 1..n is an array, too, and an empty plain table is an object.  Keys come out sorted.
 * JSON -> Lua -> JSON is the identity, except for the order of keys.
 */
#include "script/vm.h"

/** Takes json.null and json.array_mt from the SDK's module json. Call it before any conversion. Raises. */
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
