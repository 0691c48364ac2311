#pragma once
/**
 * sha256.h -- the digest that a file is pinned by.
 * Threads: any.
 */
#include <stdbool.h>
#include <stddef.h>

#define AO_SHA256_HEX 65 /* 64 digits and the NUL */

/** 64 lower-case hex digits of the SHA-256 of `bytes`. */
void ao_sha256(const void *bytes, size_t len, char ret[AO_SHA256_HEX]);

/**
 * Reads a digest as people write it: hex digits of either case, "sha256:" in front or not.
 * @return false when the text is not a digest
 */
bool ao_sha256_read(const char *text, char ret[AO_SHA256_HEX]);
