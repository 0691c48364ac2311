/* quantity.c -- keeps a quantity as a whole number of nano-units in 128 bits, which is exact.  There is no floating point. */
#include "kube/quantity.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

#define MAX_WIDE ((wide)1 << 126)
#define NANO 9

static bool multiply(wide *value, wide factor)
{
	if (*value > MAX_WIDE / factor)
		return false;
	*value *= factor;
	return true;
}

/** value * 10^power. What is smaller than a nano-unit is rounded up, as Kubernetes does. */
static bool scale_ten(wide *value, long power)
{
	bool rest = false;
	for (; power > 0 && *value; power--)
		if (!multiply(value, 10))
			return false;
	for (; power < 0 && *value; power++) {
		rest = rest || *value % 10;
		*value /= 10;
	}
	*value += rest;
	return true;
}

/** Applies the suffix: a binary one to the value, a decimal one or an exponent to the power. */
static bool take_suffix(const char *suffix, wide *value, long *power)
{
	static const char binary[] = "KMGTPE", decimal[] = "num kMGTPE"; /* 10^-9, 10^-6, ... */
	const char *at;
	char *end;
	if (!*suffix)
		return true;
	if ((at = strchr(binary, suffix[0])) && suffix[1] == 'i' && !suffix[2])
		return multiply(value, (wide)1 << (10 * (at - binary + 1)));
	if ((suffix[0] == 'e' || suffix[0] == 'E') && suffix[1]) {
		long exponent = strtol(suffix + 1, &end, 10);
		*power += exponent;
		return !*end && !isspace((unsigned char)suffix[1]) && exponent > -100 && exponent < 100;
	}
	at = suffix[0] != ' ' ? strchr(decimal, suffix[0]) : NULL;
	if (!at || suffix[1])
		return false;
	*power += 3 * (at - decimal) - 9;
	return true;
}

typedef struct quantity {
	bool negative;
	wide nano;
} quantity;

/** @return false when the text is not a quantity, or is beyond 2^126 nano-units on the way */
static bool parse(const char *text, quantity *ret)
{
	bool negative = *text == '-', digit = false, point = false;
	long power = NANO;
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
		value += (wide)(*text - '0');
		power -= point;
	}
	if (!digit || !take_suffix(text, &value, &power) || !scale_ten(&value, power))
		return false;
	*ret = (quantity){negative && value, value};
	return true;
}

bool ao_quantity_equal(const char *a, const char *b)
{
	quantity x, y;
	return parse(a, &x) && parse(b, &y) && x.negative == y.negative && x.nano == y.nano;
}
