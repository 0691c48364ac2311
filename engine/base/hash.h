#pragma once
/**
 * hash.h -- a 64-bit digest for telling "changed" from "unchanged" and for hash tables.
 *
 * FNV-1a, but for ao_hash_words().  Not for security: where an attacker could gain from a collision, use SHA-256.
 * Threads: any.
 */
#include <stddef.h>
#include <stdint.h>

#define AO_HASH_INIT 0xcbf29ce484222325ULL

/** Continues the digest `h` (start with AO_HASH_INIT) over more bytes. */
uint64_t ao_hash(uint64_t h, const void *bytes, size_t len);
uint64_t ao_hash_str(const char *s);
/** The same eight bytes at a time, for long texts. Its digests differ from machine to machine: they are not to be stored. */
uint64_t ao_hash_words(uint64_t h, const void *bytes, size_t len);
