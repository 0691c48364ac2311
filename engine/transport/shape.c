/* shape.c -- one walk over the value, with the nearest known key where one is not known. */
#include "transport/shape.h"

#include "base/mem.h"
#include "base/suggest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int refuse_unknown(const char *path, const char *key, const ao_shape *fields, ao_err **reterr)
{
	ao_suggest near = ao_suggest_for(key);
	for (; fields->key; fields++)
		if (*fields->key != '*')
			ao_suggest_offer(&near, fields->key);
	ao_auto_str char *hint = ao_suggest_text(&near);
	return ao_err_set(reterr, -EINVAL, "%s.%s: unknown key%s", path, key, hint);
}

/* ---- checking ---- */

static bool matches(const char *pattern, const char *key)
{
	if (*pattern != '*')
		return strcmp(pattern, key) == 0;
	size_t end = strlen(pattern + 1), len = strlen(key);
	return len > end && strcmp(key + len - end, pattern + 1) == 0;
}

static bool is_text(const cJSON *value) { return cJSON_IsString(value) || cJSON_IsNumber(value); }

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

static int check_uint(const cJSON *value, const char *path, const ao_shape *field, ao_err **reterr)
{
	int64_t n;
	if (!to_uint(value, &n))
		return ao_err_set(reterr, -EINVAL, "%s: expected a whole number from 0 up", path);
	if (field->max && n > field->max)
		return ao_err_set(reterr, -EINVAL, "%s: %lld is more than %lld", path, (long long)n, (long long)field->max);
	return 0;
}

static int check_texts(const cJSON *value, const char *path, ao_err **reterr)
{
	const cJSON *item;
	size_t i = 0;
	if (!cJSON_IsArray(value))
		return ao_err_set(reterr, -EINVAL, "%s: expected a list of strings", path);
	cJSON_ArrayForEach (item, value) {
		if (!is_text(item))
			return ao_err_set(reterr, -EINVAL, "%s[%zu]: expected a string", path, i);
		i++;
	}
	return 0;
}

static int check_value(const cJSON *value, const char *path, const ao_shape *field, ao_err **reterr)
{
	switch (field->type) {
	case AO_SHAPE_TEXT:
		return is_text(value) ? 0 : ao_err_set(reterr, -EINVAL, "%s: expected a string", path);
	case AO_SHAPE_UINT:
		return check_uint(value, path, field, reterr);
	case AO_SHAPE_BOOL:
		return cJSON_IsBool(value) ? 0 : ao_err_set(reterr, -EINVAL, "%s: expected true or false", path);
	case AO_SHAPE_TEXTS:
		return check_texts(value, path, reterr);
	case AO_SHAPE_OBJECT:
		break;
	}
	if (field->fields)
		return ao_shape_check(value, path, field->fields, reterr);
	return cJSON_IsObject(value) ? 0 : ao_err_set(reterr, -EINVAL, "%s: expected an object", path);
}

int ao_shape_check(const cJSON *object, const char *path, const ao_shape *fields, ao_err **reterr)
{
	if (!cJSON_IsObject(object))
		return ao_err_set(reterr, -EINVAL, "%s: expected an object", path);
	const cJSON *member;
	cJSON_ArrayForEach (member, object) {
		const ao_shape *field = fields;
		while (field->key && !matches(field->key, member->string))
			field++;
		if (!field->key)
			return refuse_unknown(path, member->string, fields, reterr);
		ao_auto_str char *below = ao_xasprintf("%s.%s", path, member->string);
		int r = cJSON_IsNull(member) ? 0 : check_value(member, below, field, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

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
	return cJSON_IsBool(value) ? cJSON_IsTrue(value) : fallback;
}
