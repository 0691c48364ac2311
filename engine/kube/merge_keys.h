#pragma once
/**
 * merge_keys.h -- how Kubernetes tells the items of a list apart.
 *
 * The table is lua/merge_keys.lua, which policies merge by; the build makes C of it.
 * Threads: any.
 */
#include <cjson/cJSON.h>
#include <stdbool.h>

typedef struct ao_merge_keys {
	const char *list;    /* its name; NULL ends the table */
	const char *keys[3]; /* NULL-terminated; none: a set of plain values */
} ao_merge_keys;

/** What a key is when an item leaves it out. */
typedef struct ao_merge_default {
	const char *key, *value;
} ao_merge_default;

extern const ao_merge_keys ao_merge_keys_rows[];   /* generated */
extern const ao_merge_default ao_merge_defaults[]; /* generated */

/** The row for a member of an object that is a list, in which every item can be told apart; NULL: the list is one value. */
const ao_merge_keys *ao_merge_keys_of(const cJSON *list);
/** Do two items have the same value of this key? */
bool ao_merge_same(const cJSON *a, const cJSON *b, const char *key);
