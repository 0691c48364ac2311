/*
 * map.c -- open addressing with linear probing and tombstones; grows at three quarters full.
 *
 * There are thousands of parents, each with a map of its three children: small maps are small.
 */
#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

typedef struct slot {
	char *key; /* NULL: never used, or removed when value is TOMB */
	void *value;
} slot;

struct ao_map {
	slot *slots;
	size_t size; /* a power of two; 0 before the first put */
	size_t used; /* live and removed slots: what probing must walk over */
	size_t live;
};

static char tomb;
#define TOMB ((void *)&tomb)
#define FIRST_SIZE 4

/** @return the slot that has the key, or would; where there are no slots, one that is empty and stays so */
static slot *find(const ao_map *map, const char *key)
{
	static slot none;
	if (!map || !map->size)
		return &none;
	slot *reusable = NULL;
	for (size_t i = ao_hash_str(key);; i++) {
		slot *s = &map->slots[i & (map->size - 1)];
		if (s->key && strcmp(s->key, key) == 0)
			return s;
		if (!s->key && s->value == TOMB && !reusable)
			reusable = s;
		if (!s->key && s->value != TOMB)
			return reusable ? reusable : s;
	}
}

static void rehash(ao_map *map, size_t size)
{
	slot *old = map->slots;
	size_t old_size = map->size;
	map->slots = ao_xcalloc(size, sizeof(slot));
	map->size = size;
	map->used = map->live;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].key)
			*find(map, old[i].key) = old[i];
	free(old);
}

ao_map *ao_map_new(void) { return ao_xcalloc(1, sizeof(ao_map)); }

void ao_map_free(ao_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->size; i++)
		free(map->slots[i].key);
	free(map->slots);
	free(map);
}

void ao_map_free_all(ao_map *map)
{
	size_t cursor = 0;
	for (void *value; map && (value = ao_map_next(map, &cursor, NULL));)
		free(value);
	ao_map_free(map);
}

void *ao_map_get(const ao_map *map, const char *key)
{
	slot *s = find(map, key);
	return s->key ? s->value : NULL;
}

void *ao_map_put(ao_map *map, const char *key, void *value)
{
	if ((map->used + 1) * 4 > map->size * 3)
		rehash(map, !map->size ? FIRST_SIZE : map->live * 2 >= map->size ? map->size * 2 : map->size);
	slot *s = find(map, key);
	if (s->key) {
		void *old = s->value;
		s->value = value;
		return old;
	}
	if (s->value != TOMB)
		map->used++;
	map->live++;
	*s = (slot){.key = ao_xstrdup(key), .value = value};
	return NULL;
}

void *ao_map_remove(ao_map *map, const char *key)
{
	slot *s = find(map, key);
	if (!s->key)
		return NULL;
	void *old = s->value;
	free(s->key);
	*s = (slot){.value = TOMB};
	map->live--;
	return old;
}

size_t ao_map_count(const ao_map *map) { return map ? map->live : 0; }

const char *ao_map_key(const ao_map *map, const char *key) { return find(map, key)->key; }

void *ao_map_next(const ao_map *map, size_t *cursor, const char **ret_key)
{
	while (map && *cursor < map->size) {
		slot *s = &map->slots[(*cursor)++];
		if (!s->key)
			continue;
		if (ret_key)
			*ret_key = s->key;
		return s->value;
	}
	return NULL;
}
