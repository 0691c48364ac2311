#pragma once
/**
 * text.h -- bytes from Lua made fit for JSON, logs and terminals.
 * Threads: any.
 */
#include <stdbool.h>
#include <stddef.h>

/** True when the bytes are UTF-8 as RFC 3629 has it: nothing overlong, no surrogates, nothing above U+10FFFF. */
bool ao_text_is_utf8(const char *text, size_t len);

/** A copy of at most `max` bytes in which control characters but tabs and line ends, and bytes that are not UTF-8, became '?'. */
char *ao_text_clean(const char *text, size_t len, size_t max);
