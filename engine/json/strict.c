/*
 * strict.c -- one walk over a JSON text that refuses what cJSON would let through or change.
 *
 * It keeps the path of where it is, so that a number that cannot be kept is refused by name.
 */
#include "json/strict.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PATH 512
#define MAX_NUMBER 63 /* characters: more than any double has digits, and what cJSON is sure to take */

typedef struct walk {
	const char *at, *start, *end;
	ao_json_level levels[AO_JSON_MAX_DEPTH];
	size_t depth;
	ao_err **reterr;
} walk;

char *ao_json_path(const ao_json_level *levels, size_t depth)
{
	ao_buf path = ao_buf_init(MAX_PATH);
	for (const ao_json_level *l = levels; l < levels + depth; l++) {
		if (!l->object) {
			ao_buf_printf(&path, "[%zu]", l->index);
		} else if (l->key) {
			ao_buf_puts(&path, path.len ? "." : "");
			ao_buf_put(&path, l->key, l->key_len);
		}
	}
	return ao_buf_steal(&path);
}

static int fail(const walk *w, int code, const char *what)
{
	ao_auto_str char *path = ao_json_path(w->levels, w->depth);
	return ao_err_set(w->reterr, code, "%s%s%s at byte %zu", path, *path ? ": " : "", what, (size_t)(w->at - w->start));
}

static void skip_space(walk *w)
{
	while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\n' || *w->at == '\r'))
		w->at++;
}

/** The code unit of \uXXXX at w->at (which points at the u), or -1. */
static long code_unit(const walk *w)
{
	long value = 0;
	if (w->end - w->at < 5)
		return -1;
	for (int i = 1; i <= 4; i++) {
		int c = (unsigned char)w->at[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

static int check_escape(walk *w)
{
	w->at++;
	if (w->at >= w->end)
		return fail(w, -EINVAL, "string not ended");
	if (*w->at != 'u') {
		if (!memchr("\"\\/bfnrt", *w->at, 8))
			return fail(w, -EINVAL, "unknown escape");
		w->at++;
		return 0;
	}
	long unit = code_unit(w);
	if (unit <= 0)
		return fail(w, -EINVAL, unit == 0 ? "\\u0000 cannot be kept" : "malformed \\u escape");
	w->at += 5;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		w->at++;
		long low = w->at < w->end && w->at[-1] == '\\' && *w->at == 'u' ? code_unit(w) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(w, -EINVAL, "lone surrogate");
		w->at += 5;
	} else if (unit >= 0xdc00 && unit <= 0xdfff) {
		return fail(w, -EINVAL, "lone surrogate");
	}
	return 0;
}

/* What a string holds without being looked at closer: ASCII but control characters, the quote and the backslash. */
static const bool as_is[256] = {[0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7f] = true};

static int check_string(walk *w)
{
	w->at++;
	for (;;) {
		while (w->at < w->end && as_is[(unsigned char)*w->at])
			w->at++;
		if (w->at >= w->end)
			return fail(w, -EINVAL, "string not ended");
		unsigned char c = (unsigned char)*w->at;
		if (c == '"')
			break;
		if (c < 0x20)
			return fail(w, -EINVAL, "control character in a string");
		if (c == '\\') {
			int r = check_escape(w);
			if (r < 0)
				return r;
			continue;
		}
		size_t len = ao_utf8_len(w->at, (size_t)(w->end - w->at));
		if (!len)
			return fail(w, -EINVAL, "invalid UTF-8");
		w->at += len;
	}
	w->at++;
	return 0;
}

static bool digits(walk *w)
{
	const char *first = w->at;
	while (w->at < w->end && *w->at >= '0' && *w->at <= '9')
		w->at++;
	return w->at > first;
}

/** Integers must survive a double, everything must be finite. */
static int check_kept(walk *w, const char *first, bool integer)
{
	char text[MAX_NUMBER + 1];
	size_t len = (size_t)(w->at - first), shown = len < MAX_NUMBER ? len : MAX_NUMBER;
	memcpy(text, first, shown);
	text[shown] = '\0';
	/* compared as an integer: strtod() would round 2^53 + 1 to 2^53 before we could see it */
	if (shown == len && integer && len <= strlen("-9007199254740992") && llabs(strtoll(text, NULL, 10)) <= AO_JSON_MAX_INT)
		return 0;
	if (shown == len && !integer && isfinite(strtod(text, NULL)))
		return 0;
	w->at = first;
	ao_auto_str char *path = ao_json_path(w->levels, w->depth);
	return ao_err_set(w->reterr, -EINVAL, "%s%s%.40s%s cannot be kept exactly", path, *path ? ": " : "", text, shown > 40 ? "..." : "");
}

static int check_number(walk *w)
{
	const char *first = w->at;
	bool integer = true;
	if (*w->at == '-')
		w->at++;
	if (w->at < w->end && *w->at == '0')
		w->at++;
	else if (!digits(w))
		return fail(w, -EINVAL, "malformed value");
	if (w->at < w->end && *w->at == '.') {
		w->at++;
		integer = false;
		if (!digits(w))
			return fail(w, -EINVAL, "malformed number");
	}
	if (w->at < w->end && (*w->at == 'e' || *w->at == 'E')) {
		w->at++;
		integer = false;
		if (w->at < w->end && (*w->at == '+' || *w->at == '-'))
			w->at++;
		if (!digits(w))
			return fail(w, -EINVAL, "malformed number");
	}
	/* most numbers have few digits and need no conversion to be judged */
	return w->at - first <= 15 && integer ? 0 : check_kept(w, first, integer);
}

static int check_word(walk *w)
{
	static const char *const words[] = {"true", "false", "null"};
	for (size_t i = 0; i < AO_LEN(words); i++) {
		size_t len = strlen(words[i]);
		if ((size_t)(w->end - w->at) >= len && memcmp(w->at, words[i], len) == 0) {
			w->at += len;
			return 0;
		}
	}
	return check_number(w);
}

/** Opens a container or checks a scalar. */
static int check_value(walk *w)
{
	skip_space(w);
	if (w->at >= w->end)
		return fail(w, -EINVAL, "value missing");
	if (*w->at == '"')
		return check_string(w);
	if (*w->at != '{' && *w->at != '[')
		return check_word(w);
	if (w->depth == AO_JSON_MAX_DEPTH)
		return fail(w, -E2BIG, "nested too deeply");
	w->levels[w->depth++] = (ao_json_level){.object = *w->at == '{'};
	w->at++;
	return 1; /* opened */
}

static int check_key(walk *w)
{
	ao_json_level *l = &w->levels[w->depth - 1];
	skip_space(w);
	if (w->at >= w->end || *w->at != '"')
		return fail(w, -EINVAL, "key missing");
	const char *key = w->at + 1;
	int r = check_string(w);
	if (r < 0)
		return r;
	l->key = key;
	l->key_len = (size_t)(w->at - key) - 1;
	skip_space(w);
	if (w->at >= w->end || *w->at != ':')
		return fail(w, -EINVAL, "':' missing");
	w->at++;
	return 0;
}

/** After a value: closes what ends here. @return 1 when another value follows, 0 at the end of the text's value */
static int check_after(walk *w, bool opened)
{
	while (w->depth) {
		ao_json_level *l = &w->levels[w->depth - 1];
		skip_space(w);
		char c = w->at < w->end ? *w->at : '\0';
		if (c == (l->object ? '}' : ']')) {
			w->at++;
			w->depth--;
			opened = false;
			continue;
		}
		if (!opened) {
			if (c != ',')
				return fail(w, -EINVAL, "',' or the end of the list missing");
			w->at++;
			l->index++;
		}
		int r = l->object ? check_key(w) : 0;
		return r < 0 ? r : 1;
	}
	return 0;
}

int ao_json_check(const char *text, size_t len, ao_err **reterr)
{
	walk w;
	w.at = w.start = text;
	w.end = text + len;
	w.depth = 0; /* the levels are filled as they open */
	w.reterr = reterr;
	int r;
	do {
		r = check_value(&w);
		if (r >= 0)
			r = check_after(&w, r == 1);
	} while (r > 0);
	if (r < 0)
		return r;
	skip_space(&w);
	return w.at == w.end ? 0 : fail(&w, -EINVAL, "more text after the value");
}
