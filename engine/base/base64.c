/* base64.c -- six bits at a time. */
#include "base/base64.h"

#include <ctype.h>
#include <string.h>

bool ao_base64_decode(const char *text, ao_buf *out)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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
