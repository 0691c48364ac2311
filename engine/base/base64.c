/* base64.c -- six bits at a time.  What writes into a buffer asks what writes into memory, a piece at a time. */
#include "base/base64.h"

#include <ctype.h>
#include <string.h>

#define PIECE 192 /* bytes; a multiple of three */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** The six bits that a letter stands for, or -1. */
static int bits_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	return c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t ao_base64_write(const void *bytes, size_t len, char *out)
{
	const unsigned char *at = bytes;
	char *end = out;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		unsigned bits = (unsigned)at[i] << 16 | (have > 1 ? (unsigned)at[i + 1] << 8 : 0) | (have > 2 ? at[i + 2] : 0);
		for (int k = 0; k < 4; k++)
			*end++ = k > (int)have ? '=' : alphabet[bits >> (18 - 6 * k) & 63];
	}
	return (size_t)(end - out);
}

void ao_base64_encode(const void *bytes, size_t len, ao_buf *out)
{
	char text[PIECE / 3 * 4];
	for (size_t i = 0; i < len; i += PIECE)
		ao_buf_put(out, text, ao_base64_write((const char *)bytes + i, len - i < PIECE ? len - i : PIECE, text));
}

/** Takes one letter in. @return 1: *ret_byte is the next byte; 0: no byte yet; -1: no letter of base64 */
static int take(char c, unsigned *bits, unsigned *have, char *ret_byte)
{
	int six = bits_of(c);
	if (six < 0)
		return -1;
	*bits = *bits << 6 | (unsigned)six;
	*have += 6;
	if (*have < 8)
		return 0;
	*have -= 8;
	*ret_byte = (char)(*bits >> *have);
	return 1;
}

bool ao_base64_read(const char *text, size_t len, char *out, size_t *ret_len)
{
	unsigned bits = 0, have = 0;
	size_t i = 0, written = 0;
	for (; i < len && text[i] != '='; i++) {
		int r = take(text[i], &bits, &have, out + written);
		if (r < 0)
			return false;
		written += (size_t)r;
	}
	size_t digits = i;
	while (i < len && text[i] == '=')
		i++;
	if (i < len || digits % 4 == 1)
		return false;
	*ret_len = written;
	return true;
}

bool ao_base64_decode(const char *text, ao_buf *out)
{
	unsigned bits = 0, have = 0;
	size_t digits = 0;
	for (; *text && *text != '='; text++) {
		char byte;
		if (isspace((unsigned char)*text))
			continue;
		int r = take(*text, &bits, &have, &byte);
		if (r < 0)
			return false;
		digits++;
		ao_buf_put(out, &byte, (size_t)r);
	}
	while (*text == '=' || isspace((unsigned char)*text))
		text++;
	return !*text && digits % 4 != 1;
}
