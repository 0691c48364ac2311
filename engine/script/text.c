/* text.c -- cleans bytes that come from Lua. */
#include "script/text.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

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
