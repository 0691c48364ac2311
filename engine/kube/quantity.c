/* quantity.c -- quantities as a whole number of nano-units, in 128 bits: exact, no floating point. */
#include "kube/quantity.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

#define MAX_WIDE ((wide)1 << 120)

static bool multiply(wide *value, wide factor)
{
	if (*value > MAX_WIDE / factor || *value < -MAX_WIDE / factor)
		return false;
	*value *= factor;
	return true;
}

static bool scale_ten(wide *value, int power)
{
	for (; power > 0; power--)
		if (!multiply(value, 10))
			return false;
	for (; power < 0; power++) {
		if (*value % 10)
			return false;
		*value /= 10;
	}
	return true;
}

static bool scale_suffix(wide *value, const char *suffix)
{
	static const char binary[] = "KMGTPE";
	const char *at;
	char *end;
	if (!*suffix)
		return true;
	if ((at = strchr(binary, suffix[0])) && suffix[1] == 'i' && !suffix[2])
		return multiply(value, (wide)1 << (10 * (at - binary + 1)));
	if ((suffix[0] == 'e' || suffix[0] == 'E') && suffix[1]) {
		long power = strtol(suffix + 1, &end, 10);
		return !*end && power > -30 && power < 30 && scale_ten(value, (int)power);
	}
	if (suffix[1])
		return false;
	static const struct {
		char letter;
		int power;
	} decimal[] = {{'n', -9}, {'u', -6}, {'m', -3}, {'k', 3}, {'M', 6}, {'G', 9}, {'T', 12}, {'P', 15}, {'E', 18}};
	for (size_t i = 0; i < sizeof(decimal) / sizeof(decimal[0]); i++)
		if (decimal[i].letter == suffix[0])
			return scale_ten(value, decimal[i].power);
	return false;
}

/** @return false when the text is no quantity, or finer than a nano-unit */
static bool parse(const char *text, wide *ret)
{
	bool negative = *text == '-', digit = false, point = false;
	int power = 9;
	wide value = 0;
	if (*text == '-' || *text == '+')
		text++;
	for (; isdigit((unsigned char)*text) || (*text == '.' && !point); text++) {
		if (*text == '.') {
			point = true;
			continue;
		}
		digit = true;
		if (!multiply(&value, 10))
			return false;
		value += *text - '0';
		power -= point;
	}
	if (!digit || !scale_ten(&value, power) || !scale_suffix(&value, text))
		return false;
	*ret = negative ? -value : value;
	return true;
}

bool ao_quantity_equal(const char *a, const char *b)
{
	wide x, y;
	return parse(a, &x) && parse(b, &y) && x == y;
}
