/* text.c -- bytes that Lua made, tested and cleaned. */
#include "script/text.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

bool ao_text_is_utf8(const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint64_t eight;
		if (len - i >= sizeof(eight) && (memcpy(&eight, text + i, sizeof(eight)), (eight & 0x8080808080808080ULL) == 0)) {
			i += sizeof(eight); /* ASCII, as nearly all of it is */
			continue;
		}
		size_t n = ao_utf8_len(text + i, len - i);
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
		size_t n = ao_utf8_len(text + i, len - i);
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
