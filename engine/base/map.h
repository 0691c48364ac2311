#pragma once
/**
 * map.h -- a hash map from strings to pointers.
 *
 * NULL is an empty map to all that only read.
 * Keys are copied; values are borrowed (the map never frees them).  The order of a walk is unspecified: sort where
 * people or tests see it.  Do not add or remove while iterating, except ao_map_remove() of the current key.
 * Threads: one owner at a time.
 */
#include <stddef.h>
#include <stdint.h>

typedef struct ao_map ao_map;

ao_map *ao_map_new(void);
void ao_map_free(ao_map *map);     /* NULL is fine; values are not freed */
void ao_map_free_all(ao_map *map); /* ... with free() */

void *ao_map_get(const ao_map *map, const char *key);        /* NULL when absent */
void *ao_map_put(ao_map *map, const char *key, void *value); /* @return the value it replaced, or NULL; value != NULL */
void *ao_map_remove(ao_map *map, const char *key);           /* @return the removed value, or NULL */
size_t ao_map_count(const ao_map *map);
/** The map's own copy of a key, for a value that wants to know its own: good until the key is removed. NULL when absent */
const char *ao_map_key(const ao_map *map, const char *key);

/** Walks the map: start with *cursor = 0. @return the next value, or NULL at the end; *ret_key (may be NULL) is borrowed. */
void *ao_map_next(const ao_map *map, size_t *cursor, const char **ret_key);

static inline void ao_map_freep(ao_map **map) { ao_map_free(*map); }
#define ao_auto_map __attribute__((cleanup(ao_map_freep)))
