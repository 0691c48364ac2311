#pragma once
/**
 * utf8.h -- telling UTF-8 from other bytes.
 * Threads: any.
 */
#include <stdbool.h>
#include <stddef.h>

/**
 * The length (1 to 4) of the UTF-8 sequence that begins at `s`.  0 when the bytes are not a sequence: overlong, a surrogate, above
 * U+10FFFF, or cut off by `left`.  In a terminated string `left` may be 4, because a NUL never continues a sequence.
 */
size_t ao_utf8_len(const char *s, size_t left);

/** UTF-8 without a NUL: what a Kubernetes string may hold. */
bool ao_utf8_is_text(const char *bytes, size_t len);
