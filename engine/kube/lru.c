/* lru.c -- the entries of a hash map on a ring, most recent first.  The head of the ring is not an entry. */
#include "kube/lru.h"

#include "base/map.h"
#include "base/mem.h"

#include <string.h>

typedef struct entry {
	struct entry *newer, *older;
	void *value;
	char key[];
} entry;

struct ao_lru {
	ao_map *map;
	size_t cap;
	void (*free_value)(void *value);
	entry head; /* head.older: the newest; head.newer: the oldest */
};

ao_lru *ao_lru_new(size_t cap, void (*free_value)(void *value))
{
	ao_lru *lru = ao_xcalloc(1, sizeof(*lru));
	lru->map = ao_map_new();
	lru->cap = cap;
	lru->free_value = free_value;
	lru->head.newer = lru->head.older = &lru->head;
	return lru;
}

static void unlink_entry(entry *e)
{
	e->newer->older = e->older;
	e->older->newer = e->newer;
}

static void link_newest(ao_lru *lru, entry *e)
{
	e->newer = &lru->head;
	e->older = lru->head.older;
	e->older->newer = e;
	lru->head.older = e;
}

static void forget(ao_lru *lru, entry *e)
{
	ao_map_remove(lru->map, e->key);
	unlink_entry(e);
	lru->free_value(e->value);
	free(e);
}

void ao_lru_free(ao_lru *lru)
{
	if (!lru)
		return;
	while (lru->head.older != &lru->head)
		forget(lru, lru->head.older);
	ao_map_free(lru->map);
	free(lru);
}

void *ao_lru_get(ao_lru *lru, const char *key)
{
	entry *e = ao_map_get(lru->map, key);
	if (!e)
		return NULL;
	unlink_entry(e);
	link_newest(lru, e);
	return e->value;
}

void ao_lru_put(ao_lru *lru, const char *key, void *value)
{
	entry *old = ao_map_get(lru->map, key);
	if (old)
		forget(lru, old);
	size_t len = strlen(key) + 1;
	entry *e = ao_xmalloc(sizeof(*e) + len);
	e->value = value;
	memcpy(e->key, key, len);
	ao_map_put(lru->map, key, e);
	link_newest(lru, e);
	if (ao_map_count(lru->map) > lru->cap)
		forget(lru, lru->head.newer);
}

size_t ao_lru_count(const ao_lru *lru) { return ao_map_count(lru->map); }
