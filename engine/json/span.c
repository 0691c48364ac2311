/* span.c -- a scanner that skips values by counting brackets outside strings. */
#include "json/span.h"

#include "base/mem.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static size_t skip_space(ao_span s, size_t i)
{
	while (i < s.len && (s.at[i] == ' ' || s.at[i] == '\t' || s.at[i] == '\n' || s.at[i] == '\r'))
		i++;
	return i;
}

/** @return the index after the string that opens at i, or 0 when it does not end */
static size_t skip_string(ao_span s, size_t i)
{
	for (i++; i < s.len; i++) {
		const char *quote = memchr(s.at + i, '"', s.len - i), *escape;
		if (!quote)
			return 0;
		escape = memchr(s.at + i, '\\', (size_t)(quote - (s.at + i)));
		if (!escape)
			return (size_t)(quote - s.at) + 1;
		i = (size_t)(escape - s.at) + 1; /* the escaped character is skipped by the loop */
	}
	return 0;
}

/** @return the index after the value at i, or 0 when it is malformed */
static size_t skip_value(ao_span s, size_t i)
{
	size_t depth = 0;
	do {
		i = skip_space(s, i);
		if (i >= s.len)
			return 0;
		char c = s.at[i];
		if (c == '"') {
			i = skip_string(s, i);
			if (!i)
				return 0;
		} else if (c == '{' || c == '[') {
			depth++;
			i++;
		} else if (c == '}' || c == ']') {
			if (!depth--)
				return 0;
			i++;
		} else if (c == ',' || c == ':') {
			if (!depth)
				return 0;
			i++;
		} else {
			while (i < s.len && !memchr(" \t\r\n,:]}[{\"", s.at[i], 11))
				i++;
		}
	} while (depth);
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
	i = skip_space(s, i);
	size_t end = skip_value(s, i);
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

ao_span ao_span_get(ao_span object, const char *key)
{
	size_t cursor = 0, len = strlen(key);
	ao_span name, value;
	while (ao_span_member(object, &cursor, &name, &value))
		if (name.len == len && memcmp(name.at, key, len) == 0)
			return value;
	return (ao_span){0};
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

static bool is_string(ao_span s) { return s.at && s.len >= 2 && s.at[0] == '"' && s.at[s.len - 1] == '"'; }

char *ao_span_text(ao_span string)
{
	if (!is_string(string))
		return NULL;
	if (!memchr(string.at, '\\', string.len))
		return ao_xstrndup(string.at + 1, string.len - 2);
	cJSON *tree = cJSON_ParseWithLength(string.at, string.len);
	char *text = cJSON_IsString(tree) ? ao_xstrdup(tree->valuestring) : NULL;
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
	long long value = strtoll(digits, &end, 10);
	return *end ? fallback : value;
}

/** Copies a value without the white space between tokens. */
static void put_compact(ao_span s, ao_buf *out)
{
	for (size_t i = 0; i < s.len;) {
		size_t start = i = skip_space(s, i);
		while (i < s.len && !memchr(" \t\r\n\"", s.at[i], 5))
			i++;
		if (i == start && i < s.len && s.at[i] == '"') {
			size_t end = skip_string(s, i);
			i = end ? end : s.len;
		}
		ao_buf_put(out, s.at + start, i - start);
	}
}

void ao_span_without(ao_span object, const char *path, ao_buf *out)
{
	size_t cursor = 0, len = strcspn(path, ".");
	ao_span key, value;
	bool first = true;
	if (skip_space(object, 0) >= object.len || object.at[skip_space(object, 0)] != '{') {
		put_compact(object, out);
		return;
	}
	ao_buf_put(out, "{", 1);
	while (ao_span_member(object, &cursor, &key, &value)) {
		bool here = key.len == len && memcmp(key.at, path, len) == 0;
		if (here && !path[len])
			continue;
		ao_buf_puts(out, first ? "\"" : ",\"");
		first = false;
		ao_buf_put(out, key.at, key.len);
		ao_buf_put(out, "\":", 2);
		if (here)
			ao_span_without(value, path + len + 1, out);
		else
			put_compact(value, out);
	}
	ao_buf_put(out, "}", 1);
}
