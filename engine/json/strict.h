#pragma once
/**
 * strict.h -- what is checked before cJSON sees a text.  Private to json/.
 */
#include "base/err.h"

#include <stddef.h>

/** Walks exactly one JSON value of `len` bytes. Errors as ao_json_parse(). */
int ao_json_check(const char *text, size_t len, ao_err **reterr);
