/* span.c -- a scanner that skips values by counting brackets outside strings; each byte is looked at a bounded number of times. */
#include "json/span.h"

#include "base/mem.h"
#include "json/json.h"

#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** What a byte outside strings does. */
typedef enum { OTHER, SPACE, QUOTE, OPEN, CLOSE, BETWEEN } byte_kind;

static const unsigned char class_of[256] = {[' '] = SPACE, ['\t'] = SPACE, ['\n'] = SPACE, ['\r'] = SPACE,  ['"'] = QUOTE,  ['{'] = OPEN,
					    ['['] = OPEN,  ['}'] = CLOSE,  [']'] = CLOSE,  [','] = BETWEEN, [':'] = BETWEEN};

static byte_kind at(ao_span s, size_t i) { return class_of[(unsigned char)s.at[i]]; }

static size_t skip_space(ao_span s, size_t i)
{
	while (i < s.len && at(s, i) == SPACE)
		i++;
	return i;
}

#define EACH(byte) (0x0101010101010101ULL * (unsigned char)(byte))

/** The lowest bit that is set tells the first byte of the eight that is `byte`; 0: there is none. */
static uint64_t find_byte(uint64_t eight, char byte)
{
	uint64_t zero = eight ^ EACH(byte);
	return (zero - EACH(1)) & ~zero & EACH(0x80);
}

/** @return the index of the first quote or backslash from i on, or s.len */
static size_t find_special(ao_span s, size_t i)
{
	/* most strings are too short for memchr() to be worth its call */
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	for (; s.len - i >= sizeof(quote); i += sizeof(quote)) {
		const __m128i some = _mm_loadu_si128((const __m128i *)(const void *)(s.at + i));
		int found = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(some, quote), _mm_cmpeq_epi8(some, backslash)));
		if (found)
			return i + (size_t)__builtin_ctz((unsigned)found);
	}
#endif
	for (uint64_t eight; s.len - i >= sizeof(eight); i += sizeof(eight)) {
		memcpy(&eight, s.at + i, sizeof(eight));
		eight = le64toh(eight);
		uint64_t found = find_byte(eight, '"') | find_byte(eight, '\\');
		if (found)
			return i + (size_t)__builtin_ctzll(found) / 8;
	}
	while (i < s.len && s.at[i] != '"' && s.at[i] != '\\')
		i++;
	return i;
}

/** @return the index after the string that opens at i, or 0 when it does not end */
static size_t skip_string(ao_span s, size_t i)
{
	for (i++; i < s.len; i += 2) {
		i = find_special(s, i);
		if (i < s.len && s.at[i] == '"')
			return i + 1;
	}
	return 0;
}

/** @param spaced  set when there are spaces between tokens. @return the index after the array or object that opens at i, or 0 when it does
 * not end */
static size_t skip_container(ao_span s, size_t i, bool *spaced)
{
	size_t depth = 0;
	while (i < s.len) {
		byte_kind c = at(s, i);
		if (c == QUOTE) {
			i = skip_string(s, i);
			if (!i)
				return 0;
			continue;
		}
		i++;
		if (c == OPEN)
			depth++;
		else if (c == CLOSE && !--depth)
			return i;
		else if (c == SPACE)
			*spaced = true;
	}
	return 0;
}

/** @param spaced  as above. @return the index after the value at i, or 0 when there is none */
static size_t skip_value(ao_span s, size_t i, bool *spaced)
{
	if (i >= s.len)
		return 0;
	byte_kind c = at(s, i);
	if (c == QUOTE)
		return skip_string(s, i);
	if (c == OPEN)
		return skip_container(s, i, spaced);
	if (c != OTHER)
		return 0;
	while (i < s.len && at(s, i) == OTHER)
		i++;
	return i;
}

/** Steps over the opening bracket or a comma. @return the index of the next entry, or 0 at the end */
static size_t next_entry(ao_span s, size_t cursor, char open)
{
	size_t i = skip_space(s, cursor);
	if (i >= s.len)
		return 0;
	if (!cursor ? s.at[i] != open : s.at[i] != ',')
		return 0;
	i = skip_space(s, i + 1);
	return i < s.len && s.at[i] != '}' && s.at[i] != ']' ? i : 0;
}

static bool take_value(ao_span s, size_t i, size_t *cursor, ao_span *ret)
{
	bool spaced;
	i = skip_space(s, i);
	size_t end = skip_value(s, i, &spaced);
	if (!end)
		return false;
	*ret = (ao_span){s.at + i, end - i};
	*cursor = end;
	return true;
}

bool ao_span_member(ao_span object, size_t *cursor, ao_span *ret_key, ao_span *ret_value)
{
	size_t i = object.at ? next_entry(object, *cursor, '{') : 0;
	if (!i || object.at[i] != '"')
		return false;
	size_t end = skip_string(object, i);
	if (!end)
		return false;
	*ret_key = (ao_span){object.at + i + 1, end - i - 2};
	i = skip_space(object, end);
	return i < object.len && object.at[i] == ':' && take_value(object, i + 1, cursor, ret_value);
}

bool ao_span_item(ao_span array, size_t *cursor, ao_span *ret_item)
{
	size_t i = array.at ? next_entry(array, *cursor, '[') : 0;
	return i && take_value(array, i, cursor, ret_item);
}

bool ao_span_ended(ao_span walked, size_t cursor)
{
	size_t start = walked.at ? skip_space(walked, 0) : 0;
	if (start >= walked.len || at(walked, start) != OPEN)
		return false;
	char close = walked.at[start] == '{' ? '}' : ']';
	size_t end = skip_space(walked, cursor ? cursor : start + 1); /* an empty one is not entered */
	return end < walked.len && walked.at[end] == close && skip_space(walked, end + 1) == walked.len;
}

bool ao_span_is_object(ao_span text)
{
	size_t cursor = 0;
	ao_span key, value;
	while (ao_span_member(text, &cursor, &key, &value))
		;
	return ao_span_ended(text, cursor) && text.at[skip_space(text, 0)] == '{';
}

ao_span ao_span_get(ao_span object, const char *key)
{
	size_t cursor = 0;
	ao_span name, value;
	while (ao_span_member(object, &cursor, &name, &value))
		if (ao_span_is_key(name, key))
			return value;
	return (ao_span){0};
}

bool ao_span_pick(ao_span object, const char *const *keys, ao_span *ret)
{
	size_t cursor = 0, start = object.at ? skip_space(object, 0) : 0;
	ao_span name, value;
	for (size_t i = 0; keys[i]; i++)
		ret[i] = (ao_span){0};
	while (ao_span_member(object, &cursor, &name, &value))
		for (size_t i = 0; keys[i]; i++)
			if (!ret[i].at && ao_span_is_key(name, keys[i]))
				ret[i] = value;
	return ao_span_ended(object, cursor) && object.at[start] == '{';
}

ao_span ao_span_at_(ao_span object, ...)
{
	va_list path;
	const char *key;
	va_start(path, object);
	while (object.at && (key = va_arg(path, const char *)))
		object = ao_span_get(object, key);
	va_end(path);
	return object;
}

ao_span ao_span_at_path(ao_span object, char *const *path)
{
	for (; path && object.at && *path; path++)
		object = ao_span_get(object, *path);
	return path ? object : (ao_span){0};
}

static bool is_string(ao_span s) { return s.at && s.len >= 2 && s.at[0] == '"' && s.at[s.len - 1] == '"'; }

char *ao_span_text(ao_span string)
{
	if (!is_string(string) || memchr(string.at, '\0', string.len))
		return NULL;
	if (!memchr(string.at, '\\', string.len))
		return ao_xstrndup(string.at + 1, string.len - 2);
	cJSON *tree = NULL;
	if (ao_json_parse(string.at, string.len, &tree, NULL) < 0)
		return NULL;
	char *text = ao_xstrdup(tree->valuestring);
	cJSON_Delete(tree);
	return text;
}

bool ao_span_is(ao_span string, const char *text)
{
	size_t len = strlen(text);
	if (!is_string(string))
		return false;
	if (!memchr(string.at, '\\', string.len))
		return string.len == len + 2 && memcmp(string.at + 1, text, len) == 0;
	ao_auto_str char *unescaped = ao_span_text(string);
	return unescaped && strcmp(unescaped, text) == 0;
}

long long ao_span_int(ao_span number, long long fallback)
{
	char digits[24], *end;
	if (!number.at || !number.len || number.len >= sizeof(digits))
		return fallback;
	memcpy(digits, number.at, number.len);
	digits[number.len] = '\0';
	/* strtoll() would take a plus sign and spaces, which JSON does not */
	if (*digits != '-' && (*digits < '0' || *digits > '9'))
		return fallback;
	errno = 0;
	long long value = strtoll(digits, &end, 10);
	return errno || end != digits + number.len ? fallback : value;
}

bool ao_span_is_key(ao_span key, const char *text) { return key.len == strlen(text) && memcmp(key.at, text, key.len) == 0; }

void ao_span_put(ao_span s, ao_buf *out)
{
	size_t start = 0;
	for (size_t i = 0; i < s.len;) {
		byte_kind c = at(s, i);
		if (c == QUOTE) {
			size_t end = skip_string(s, i);
			i = end ? end : s.len;
		} else if (c == SPACE) {
			ao_buf_put(out, s.at + start, i - start);
			start = i = skip_space(s, i);
		} else {
			i++;
		}
	}
	ao_buf_put(out, s.at + start, s.len - start);
}

size_t ao_span_put_key(ao_span key, bool *first, ao_buf *out)
{
	if (!*first)
		ao_buf_put(out, ",", 1);
	*first = false;
	size_t start = out->len;
	ao_buf_put(out, "\"", 1);
	ao_buf_put(out, key.at, key.len);
	ao_buf_put(out, "\":", 2);
	return start;
}

bool ao_span_without(ao_span object, const char *path, ao_buf *out)
{
	size_t cursor = 0, len = strcspn(path, "."), start = skip_space(object, 0);
	ao_span key, value;
	bool first = true, whole = true, spaced;
	if (start >= object.len || object.at[start] != '{') {
		size_t end = skip_value(object, start, &spaced);
		ao_span_put(object, out);
		return end && skip_space(object, end) == object.len;
	}
	ao_buf_put(out, "{", 1);
	while (ao_span_member(object, &cursor, &key, &value)) {
		bool here = key.len == len && memcmp(key.at, path, len) == 0;
		if (here && !path[len])
			continue;
		ao_span_put_key(key, &first, out);
		if (here)
			whole = ao_span_without(value, path + len + 1, out) && whole;
		else
			ao_span_put(value, out);
	}
	ao_buf_put(out, "}", 1);
	return whole && ao_span_ended(object, cursor);
}

/* ---- a single walk ---- */

/** @return true when it is not broken and there is something more */
static bool look(ao_walk *walk)
{
	walk->at = skip_space(walk->text, walk->at);
	walk->broken |= walk->at >= walk->text.len;
	return !walk->broken;
}

/** Steps over one byte, which must be there. */
static bool expect(ao_walk *walk, char byte)
{
	walk->broken |= !look(walk) || walk->text.at[walk->at] != byte;
	walk->at += !walk->broken;
	return !walk->broken;
}

char ao_walk_opens(ao_walk *walk) { return look(walk) && at(walk->text, walk->at) == OPEN ? walk->text.at[walk->at] : '\0'; }

bool ao_walk_enter(ao_walk *walk, char open) { return expect(walk, open); }

bool ao_walk_next(ao_walk *walk, bool *first, ao_span *ret_key)
{
	if (!look(walk))
		return false;
	if (walk->text.at[walk->at] == (ret_key ? '}' : ']')) {
		walk->at++;
		return false;
	}
	if (!*first && !expect(walk, ','))
		return false;
	*first = false;
	if (!ret_key || !look(walk))
		return look(walk);
	size_t end = walk->text.at[walk->at] == '"' ? skip_string(walk->text, walk->at) : 0;
	walk->broken |= !end;
	if (!end)
		return false;
	*ret_key = (ao_span){walk->text.at + walk->at + 1, end - walk->at - 2};
	walk->at = end;
	return expect(walk, ':') && look(walk);
}

/** @return what it stepped over; absent when it is broken */
static ao_span step(ao_walk *walk, bool *spaced)
{
	size_t start = look(walk) ? walk->at : 0, end = walk->broken ? 0 : skip_value(walk->text, start, spaced);
	walk->broken |= !end;
	if (!end)
		return (ao_span){0};
	walk->at = end;
	return (ao_span){walk->text.at + start, end - start};
}

ao_span ao_walk_skip(ao_walk *walk)
{
	bool spaced;
	return step(walk, &spaced);
}

ao_span ao_walk_put(ao_walk *walk, ao_buf *out)
{
	bool spaced = false;
	ao_span value = step(walk, &spaced);
	if (walk->broken)
		return value;
	if (spaced)
		ao_span_put(value, out);
	else
		ao_buf_put(out, value.at, value.len);
	return value;
}

bool ao_walk_ended(const ao_walk *walk) { return !walk->broken && skip_space(walk->text, walk->at) == walk->text.len; }
