/* yaml_scalar.c -- the rules of the YAML library that kubectl uses: YAML 1.1 less base 60, and timestamps stay strings. */
#include "json/yaml_scalar.h"

#include "base/mem.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const truths[] = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL};
static const char *const lies[] = {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL};
static const char *const endless[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};

#define LONGEST_WORD 5

static const char *after_sign(const char *text) { return text + (*text == '-' || *text == '+'); }

static bool word(const char *text, ao_yaml_scalar *ret)
{
	if (one_of(text, nulls))
		*ret = (ao_yaml_scalar){.kind = AO_YAML_NULL};
	else if (one_of(text, truths))
		*ret = (ao_yaml_scalar){.kind = AO_YAML_BOOL, .truth = true};
	else if (one_of(text, lies))
		*ret = (ao_yaml_scalar){.kind = AO_YAML_BOOL};
	else if (one_of(after_sign(text), endless))
		*ret = (ao_yaml_scalar){.kind = AO_YAML_FLOAT};
	else
		return false;
	return true;
}

static int digit_of(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99; }

/** The base that a number is written in; *digits moves behind its prefix. A leading zero alone means octal, as in file modes. */
static int base_of(const char **digits)
{
	if ((*digits)[0] != '0' || !(*digits)[1])
		return 10;
	char mark = (char)((*digits)[1] | 0x20);
	int base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
	*digits += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	return base;
}

static bool integer(const char *text, ao_yaml_scalar *ret)
{
	const char *digits = after_sign(text);
	long long value = 0, most = AO_JSON_MAX_INT + 1; /* counting stops there: all beyond is refused alike */
	int base = base_of(&digits);
	if (!*digits)
		return false;
	for (; *digits; digits++) {
		int digit = digit_of(*digits);
		if (digit >= base)
			return false;
		value = value * base + digit;
		if (value > most)
			value = most;
	}
	*ret = (ao_yaml_scalar){.kind = AO_YAML_INT, .number = (double)(*text == '-' ? -value : value), .kept = value <= AO_JSON_MAX_INT};
	return true;
}

static const char *skip_digits(const char *s) { return s + strspn(s, "0123456789"); }

/** [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool floating(const char *text, ao_yaml_scalar *ret)
{
	const char *s = after_sign(text), *first = s;
	s = skip_digits(s);
	bool whole = s > first;
	if (*s == '.') {
		const char *fraction = ++s;
		s = skip_digits(s);
		if (!whole && s == fraction)
			return false;
	} else if (!whole) {
		return false;
	}
	if (*s == 'e' || *s == 'E') {
		const char *exponent = after_sign(s + 1);
		s = skip_digits(exponent);
		if (s == exponent)
			return false;
	}
	if (*s)
		return false;
	double value = strtod(text, NULL);
	*ret = (ao_yaml_scalar){.kind = AO_YAML_FLOAT, .number = value, .kept = isfinite(value)};
	return true;
}

/** A copy without the underscores that may group digits. */
static char *ungrouped(const char *text)
{
	char *copy = ao_xstrdup(text), *to = copy;
	for (const char *from = text; *from; from++)
		if (*from != '_')
			*to++ = *from;
	*to = '\0';
	return copy;
}

ao_yaml_scalar ao_yaml_resolve(const char *text)
{
	ao_yaml_scalar found = {.kind = AO_YAML_STRING};
	if (strnlen(text, LONGEST_WORD + 1) <= LONGEST_WORD && word(text, &found))
		return found;
	if (!*text || !strchr("+-.0123456789", *text))
		return found;
	ao_auto_str char *plain = *text != '.' && strchr(text, '_') ? ungrouped(text) : NULL;
	const char *number = plain ? plain : text;
	if (!integer(number, &found))
		floating(number, &found);
	return found;
}
