/* base64.c -- six bits at a time. */
#include "base/base64.h"

#include <ctype.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ao_base64_encode(const void *bytes, size_t len, ao_buf *out)
{
	const unsigned char *at = bytes;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		unsigned bits = (unsigned)at[i] << 16 | (have > 1 ? (unsigned)at[i + 1] << 8 : 0) | (have > 2 ? at[i + 2] : 0);
		char four[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63], alphabet[bits & 63]};
		memset(four + have + 1, '=', 3 - have);
		ao_buf_put(out, four, sizeof(four));
	}
}

bool ao_base64_decode(const char *text, ao_buf *out)
{
	unsigned bits = 0, have = 0;
	size_t digits = 0;
	for (; *text && *text != '='; text++) {
		if (isspace((unsigned char)*text))
			continue;
		const char *found = strchr(alphabet, *text);
		if (!found)
			return false;
		bits = bits << 6 | (unsigned)(found - alphabet);
		have += 6;
		digits++;
		if (have >= 8) {
			have -= 8;
			ao_buf_put(out, (char[]){(char)(bits >> have)}, 1);
		}
	}
	while (*text == '=' || isspace((unsigned char)*text))
		text++;
	return !*text && digits % 4 != 1;
}
