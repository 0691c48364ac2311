#pragma once
/**
 * text.h -- bytes from Lua made fit for JSON, logs and terminals.
 * Threads: any.
 */
#include <stddef.h>

/** A copy of at most `max` bytes in which control characters but tabs and line ends, and bytes that are not UTF-8, became '?'. */
char *ao_text_clean(const char *text, size_t len, size_t max);
