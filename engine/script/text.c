/* text.c -- one decoder of UTF-8 sequences, used by the test and by the copy. */
#include "script/text.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

/** Bytes of the valid sequence at `s`, or 0. */
static size_t sequence(const unsigned char *s, size_t len)
{
	if (s[0] < 0x80)
		return 1;
	size_t need = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || len < need)
		return 0;
	uint32_t code = s[0] & (0x7fU >> need);
	for (size_t i = 1; i < need; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fU);
	}
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (code < least[need] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return need;
}

bool ao_text_is_utf8(const char *text, size_t len)
{
	const unsigned char *s = (const unsigned char *)text;
	for (size_t i = 0; i < len;) {
		uint64_t eight;
		if (len - i >= sizeof(eight) && (memcpy(&eight, s + i, sizeof(eight)), (eight & 0x8080808080808080ULL) == 0)) {
			i += sizeof(eight); /* ASCII, as nearly all of it is */
			continue;
		}
		size_t n = sequence(s + i, len - i);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

char *ao_text_clean(const char *text, size_t len, size_t max)
{
	char *out = ao_xmalloc((len < max ? len : max) + 1), *end = out;
	const unsigned char *s = (const unsigned char *)text;
	for (size_t i = 0; i < len;) {
		size_t n = sequence(s + i, len - i);
		if ((size_t)(end - out) + (n ? n : 1) > max)
			break;
		if (n == 0 || s[i] == 0x7f || (s[i] < 0x20 && s[i] != '\n' && s[i] != '\t'))
			*end++ = '?';
		else
			end = (char *)memcpy(end, s + i, n) + n;
		i += n ? n : 1;
	}
	*end = '\0';
	return out;
}
