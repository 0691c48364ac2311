/* shape.c -- one walk over the value, with the edit distance to known keys where one is not known. */
#include "transport/shape.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_KEY 64 /* longer ones are no slips of ours */

/* ---- suggestions ---- */

static size_t least(size_t a, size_t b, size_t c)
{
	size_t d = a < b ? a : b;
	return d < c ? d : c;
}

/** How many letters must be added, left out or changed, upper and lower case being the same. */
static size_t distance(const char *a, const char *b)
{
	size_t row[MAX_KEY + 1], len = strlen(b);
	if (len > MAX_KEY || strlen(a) > MAX_KEY)
		return MAX_KEY;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];
		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t same = corner + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
			corner = row[j];
			row[j] = least(row[j] + 1, row[j - 1] + 1, same);
		}
	}
	return row[len];
}

static const char *nearest(const char *key, const ao_shape *fields)
{
	const char *best = NULL;
	size_t least_far = strlen(key) < 4 ? 2 : 3;
	for (; fields->key; fields++) {
		size_t far = *fields->key == '*' ? MAX_KEY : distance(key, fields->key);
		if (far < least_far) {
			least_far = far;
			best = fields->key;
		}
	}
	return best;
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
		if (!field->key) {
			const char *near = nearest(member->string, fields);
			return ao_err_set(reterr, -EINVAL, "%s.%s: unknown key%s%s%s", path, member->string, near ? "; did you mean " : "",
					  near ? near : "", near ? "?" : "");
		}
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
