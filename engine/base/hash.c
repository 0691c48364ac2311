/* hash.c -- FNV-1a, 64 bits. */
#include "base/hash.h"

#include <string.h>

uint64_t ao_hash(uint64_t h, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

uint64_t ao_hash_str(const char *s) { return ao_hash(AO_HASH_INIT, s, strlen(s)); }
