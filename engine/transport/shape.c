/* shape.c -- one walk over the value, with the nearest known key where one is not known. */
#include "transport/shape.h"

#include "base/mem.h"
#include "base/suggest.h"

#include <stdlib.h>
#include <string.h>

/* ---- checking ---- */

static int expected(const char *path, const ao_shape *shape, const char *words, ao_err **reterr)
{
	return ao_err_set(reterr, -EINVAL, "%s%sexpected %s", path, *path ? ": " : "", shape->expected ? shape->expected : words);
}

static char *path_of(const char *path, const char *key) { return ao_xasprintf("%s%s%.64s", path, *path ? "." : "", key); }

static int refuse_unknown(const char *path, const ao_shape *fields, const char *key, ao_err **reterr)
{
	ao_suggest near = ao_suggest_for(key);
	for (; fields->key; fields++)
		if (*fields->key != '*')
			ao_suggest_offer(&near, fields->key);
	ao_auto_str char *hint = ao_suggest_text(&near);
	return ao_err_set(reterr, -EINVAL, "%s: unknown key%s", path, hint);
}

static bool matches(const char *pattern, const char *key)
{
	if (*pattern != '*')
		return strcmp(pattern, key) == 0;
	size_t end = strlen(pattern + 1), len = strlen(key);
	return len > end && strcmp(key + len - end, pattern + 1) == 0;
}

static bool is_text(const cJSON *value) { return cJSON_IsString(value) || cJSON_IsNumber(value); }

static bool is_absent(const ao_shape *shape, const cJSON *value)
{
	return cJSON_IsNull(value) || (shape->blank && cJSON_IsString(value) && !*value->valuestring);
}

static bool to_uint(const cJSON *value, int64_t *ret)
{
	if (!cJSON_IsString(value))
		return ao_json_int(value, ret) && *ret >= 0;
	char *end;
	errno = 0;
	long long n = strtoll(value->valuestring, &end, 10);
	*ret = n;
	return !errno && end != value->valuestring && !*end && n >= 0;
}

static bool to_bool(const cJSON *value, bool *ret)
{
	const char *text = cJSON_IsString(value) ? value->valuestring : "";
	*ret = cJSON_IsTrue(value) || strcmp(text, "true") == 0;
	return *ret || cJSON_IsFalse(value) || strcmp(text, "false") == 0;
}

static int check_uint(const cJSON *value, const char *path, const ao_shape *shape, ao_err **reterr)
{
	int64_t n;
	if (!to_uint(value, &n))
		return expected(path, shape, "a whole number from 0 up", reterr);
	if (!shape->max || n <= shape->max)
		return 0;
	if (shape->expected)
		return expected(path, shape, NULL, reterr);
	return ao_err_set(reterr, -EINVAL, "%s: %lld is more than %lld", path, (long long)n, (long long)shape->max);
}

static int check_texts(const cJSON *value, const char *path, const ao_shape *shape, ao_err **reterr)
{
	const cJSON *item;
	size_t i = 0;
	if (!cJSON_IsArray(value))
		return expected(path, shape, "a list of strings", reterr);
	cJSON_ArrayForEach (item, value) {
		if (!is_text(item))
			return ao_err_set(reterr, -EINVAL, "%s[%zu]: expected a string", path, i);
		i++;
	}
	return 0;
}

static int check_strings(const cJSON *value, const char *path, const ao_shape *shape, ao_err **reterr)
{
	const cJSON *item;
	if (!cJSON_IsObject(value))
		return expected(path, shape, "a map of strings", reterr);
	cJSON_ArrayForEach (item, value) {
		ao_auto_str char *below = is_text(item) || cJSON_IsBool(item) ? NULL : path_of(path, item->string);
		if (below)
			return ao_err_set(reterr, -EINVAL, "%s: expected a string", below);
	}
	return 0;
}

static int check_value(const cJSON *value, const char *path, const ao_shape *shape, ao_err **reterr);

static int check_object(const cJSON *value, const char *path, const ao_shape *shape, ao_err **reterr)
{
	const cJSON *member;
	if (!cJSON_IsObject(value))
		return expected(path, shape, "an object", reterr);
	if (!shape->fields)
		return 0;
	cJSON_ArrayForEach (member, value) {
		ao_auto_str char *below = path_of(path, member->string);
		const ao_shape *field = shape->fields;
		while (field->key && !matches(field->key, member->string))
			field++;
		if (!field->key)
			return refuse_unknown(below, shape->fields, member->string, reterr);
		int r = is_absent(field, member) ? 0 : check_value(member, below, field, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_value(const cJSON *value, const char *path, const ao_shape *shape, ao_err **reterr)
{
	bool truth;
	const char *words;
	switch (shape->type) {
	case AO_SHAPE_TEXT:
		return is_text(value) ? 0 : expected(path, shape, "a string", reterr);
	case AO_SHAPE_STRING:
		return cJSON_IsString(value) ? 0 : expected(path, shape, "a string", reterr);
	case AO_SHAPE_UINT:
		return check_uint(value, path, shape, reterr);
	case AO_SHAPE_BOOL:
		return cJSON_IsBool(value) ? 0 : expected(path, shape, "true or false", reterr);
	case AO_SHAPE_FLAG:
		return to_bool(value, &truth) ? 0 : expected(path, shape, "true or false", reterr);
	case AO_SHAPE_TEXTS:
		return check_texts(value, path, shape, reterr);
	case AO_SHAPE_STRINGS:
		return check_strings(value, path, shape, reterr);
	case AO_SHAPE_OBJECT:
		return check_object(value, path, shape, reterr);
	case AO_SHAPE_OTHER:
		words = shape->wrong(value);
		return words ? expected(path, shape, words, reterr) : 0;
	}
	return 0;
}

int ao_shape_check(const cJSON *value, const ao_shape *shape, ao_err **reterr) { return check_value(value, shape->key, shape, reterr); }

/* ---- reading ---- */

char *ao_shape_text(const cJSON *object, const char *key, const char *fallback)
{
	const cJSON *value = object ? ao_json_at(object, key) : NULL;
	if (cJSON_IsNumber(value))
		return ao_json_print(value);
	return ao_xstrdup(cJSON_IsString(value) ? value->valuestring : fallback);
}

int64_t ao_shape_uint(const cJSON *object, const char *key, int64_t fallback)
{
	int64_t n;
	const cJSON *value = object ? ao_json_at(object, key) : NULL;
	return value && to_uint(value, &n) ? n : fallback;
}

bool ao_shape_bool(const cJSON *object, const char *key, bool fallback)
{
	const cJSON *value = object ? ao_json_at(object, key) : NULL;
	bool truth;
	return value && to_bool(value, &truth) ? truth : fallback;
}

cJSON *ao_shape_strings(const cJSON *object, const char *key)
{
	cJSON *strings = cJSON_CreateObject();
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(object, key)) {
		ao_auto_str char *text = cJSON_IsString(item) ? ao_xstrdup(item->valuestring) : ao_json_print(item);
		ao_json_set_str(strings, item->string, text);
	}
	return strings;
}
