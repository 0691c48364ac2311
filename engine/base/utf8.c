/* utf8.c -- the table of well-formed sequences of RFC 3629, as comparisons. */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

static size_t length_of(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	return lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

size_t ao_utf8_len(const char *s, size_t left)
{
	if (!left)
		return 0;
	unsigned char lead = (unsigned char)s[0];
	size_t len = length_of(lead);
	if (!len || len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
	unsigned char second = len > 1 ? (unsigned char)s[1] : 0;
	if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
	    (lead == 0xf4 && second > 0x8f))
		return 0;
	return len;
}

/** Eight bytes of ASCII, none of them NUL: taking 1 from each sets the top bit of a byte that was 0. */
static bool are_plain(const char *bytes)
{
	uint64_t eight;
	memcpy(&eight, bytes, sizeof(eight));
	return ((eight | (eight - 0x0101010101010101ULL)) & 0x8080808080808080ULL) == 0;
}

bool ao_utf8_is_text(const char *bytes, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		n = 8; /* nearly all text is plain */
		if (len - i >= n && are_plain(bytes + i))
			continue;
		n = ao_utf8_len(bytes + i, len - i);
		if (!n || !bytes[i])
			return false;
	}
	return true;
}
