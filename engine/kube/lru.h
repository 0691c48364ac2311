#pragma once
/**
 * lru.h -- a map with a cap, which drops the entry that was not used for the longest time.  Private to kube/.
 *
 * Ownership: the map owns its values and frees them with the function it was given.
 * Threads: one owner.
 */
#include <stddef.h>

typedef struct ao_lru ao_lru;

ao_lru *ao_lru_new(size_t cap, void (*free_value)(void *value));
void ao_lru_free(ao_lru *lru); /* NULL is fine */

void *ao_lru_get(ao_lru *lru, const char *key);             /* NULL when absent; otherwise it becomes the most recent one */
void ao_lru_put(ao_lru *lru, const char *key, void *value); /* replaces a value; may drop the oldest entry */
size_t ao_lru_count(const ao_lru *lru);
