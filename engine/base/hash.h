#pragma once
/**
 * hash.h -- a 64-bit digest for telling "changed" from "unchanged" and for hash tables.
 *
 * FNV-1a.  Not for security: where an attacker could gain from a collision, use SHA-256.
 * Threads: any.
 */
#include <stddef.h>
#include <stdint.h>

#define AO_HASH_INIT 0xcbf29ce484222325ULL

/** Continues the digest `h` (start with AO_HASH_INIT) over more bytes. */
uint64_t ao_hash(uint64_t h, const void *bytes, size_t len);
uint64_t ao_hash_str(const char *s);
