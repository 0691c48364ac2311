/* merge_keys.c -- looks things up in the generated table. */
#include "kube/merge_keys.h"

#include "json/json.h"

#include <string.h>

/** Does every item have what the row tells items apart by? */
static bool fits(const ao_merge_keys *row, const cJSON *list)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, list) {
		if (row->keys[0] ? !ao_json_at(item, row->keys[0]) : !cJSON_IsString(item))
			return false;
	}
	return true;
}

const ao_merge_keys *ao_merge_keys_of(const cJSON *list)
{
	for (const ao_merge_keys *row = ao_merge_keys_rows; list->string && row->list; row++)
		if (strcmp(row->list, list->string) == 0 && fits(row, list))
			return row;
	return NULL;
}

static const char *default_of(const char *key)
{
	const ao_merge_default *each = ao_merge_defaults;
	while (each->key && strcmp(each->key, key) != 0)
		each++;
	return each->value;
}

bool ao_merge_same(const cJSON *a, const cJSON *b, const char *key)
{
	const cJSON *x = ao_json_at(a, key), *y = ao_json_at(b, key);
	if (x && y)
		return ao_json_equal(x, y);
	const cJSON *there = x ? x : y;
	const char *absent = default_of(key);
	return !there || (absent && cJSON_IsString(there) && strcmp(there->valuestring, absent) == 0);
}
