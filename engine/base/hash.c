/* hash.c -- FNV-1a, 64 bits; by words, what is multiplied up is folded down after each. */
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

static uint64_t mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

uint64_t ao_hash_words(uint64_t h, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t word = 0;
	size_t left = len;
	for (; left >= sizeof(word); p += sizeof(word), left -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = mix(h, word);
	}
	word = 0;
	if (left)
		memcpy(&word, p, left);
	return mix(mix(h, word), len);
}
