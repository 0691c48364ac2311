#pragma once
/**
 * strict.h -- what is checked before cJSON sees a text, and the path that errors name.  Private to json/.
 * Threads: any.
 */
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/** One open array or object on the way to where a reader is. */
typedef struct ao_json_level {
	bool object;
	const char *key; /* borrowed, of the member we are in; NULL before the first */
	size_t key_len;
	size_t index; /* of the item we are in */
} ao_json_level;

/** "spec.ports[0].port", cut off at 512 bytes; "" at the root. The caller frees. */
char *ao_json_path(const ao_json_level *levels, size_t depth);

/** Walks exactly one JSON value of `len` bytes. Errors as ao_json_parse(). */
int ao_json_check(const char *text, size_t len, ao_err **reterr);
