#pragma once
/**
 * text.h -- makes bytes from Lua fit for JSON, logs and terminals.
 * Threads: any.
 */
#include <stddef.h>

/** A copy of at most `max` bytes. Bytes that are not UTF-8, and control characters other than tab and line end, become '?'. */
char *ao_text_clean(const char *text, size_t len, size_t max);
