/* json.c -- the strict parser, one printer for three styles, look-ups and differences on cJSON trees. */
#include "json/json.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/strict.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (64 * 1024 * 1024)

int ao_json_parse(const char *text, size_t len, cJSON **ret, ao_err **reterr)
{
	if (!len)
		text = ""; /* an ao_buf that nothing was written to has no text at all */
	int r = ao_json_check(text, len, reterr);
	if (r < 0)
		return r;
	cJSON *tree = cJSON_ParseWithLength(text, len);
	if (!tree)
		return ao_err_set(reterr, -EINVAL, "malformed JSON");
	*ret = tree;
	return 0;
}

/* ---- printing ---- */

typedef struct print_style {
	bool sorted;
	int indent; /* spaces per level; 0: compact */
} print_style;

static void print_value(const cJSON *value, const print_style *style, int depth, ao_buf *out);

static void print_integer(long long n, ao_buf *out)
{
	char text[24], *at = text + sizeof(text);
	unsigned long long rest = n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n;
	do
		*--at = (char)('0' + rest % 10);
	while (rest /= 10);
	if (n < 0)
		*--at = '-';
	ao_buf_put(out, at, (size_t)(text + sizeof(text) - at));
}

static void print_number(double n, ao_buf *out)
{
	char text[40];
	if (n == floor(n) && fabs(n) <= (double)AO_JSON_MAX_INT) {
		print_integer((long long)n, out);
		return;
	}
	/* the fewest digits that read back as the same number */
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, n);
		if (!strpbrk(text, ".en")) /* read as an integer, it would be one beyond what is kept */
			snprintf(text, sizeof(text), "%.*e", precision - 1, n);
		if (strtod(text, NULL) == n)
			break;
	}
	ao_buf_puts(out, isfinite(n) ? text : "null");
}

static void new_line(const print_style *style, int depth, ao_buf *out)
{
	if (style->indent)
		ao_buf_printf(out, "\n%*s", depth * style->indent, "");
}

static int by_key(const void *a, const void *b) { return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string); }

static void print_member(const cJSON *member, bool first, const print_style *style, int depth, ao_buf *out)
{
	if (!first)
		ao_buf_put(out, ",", 1);
	new_line(style, depth + 1, out);
	ao_buf_put_json_string(out, member->string);
	ao_buf_put(out, ": ", style->indent ? 2 : 1);
	print_value(member, style, depth + 1, out);
}

static void print_sorted(const cJSON *object, const print_style *style, int depth, ao_buf *out)
{
	size_t count = 0;
	const cJSON *member, *few[32], **sorted = few;
	cJSON_ArrayForEach (member, object)
		count++;
	if (count > AO_LEN(few))
		sorted = ao_xcalloc(count, sizeof(cJSON *));
	count = 0;
	cJSON_ArrayForEach (member, object)
		sorted[count++] = member;
	qsort(sorted, count, sizeof(cJSON *), by_key);
	for (size_t i = 0; i < count; i++)
		print_member(sorted[i], i == 0, style, depth, out);
	if (sorted != few)
		free(sorted);
}

/** As what policies return is. */
static bool is_sorted(const cJSON *object)
{
	for (const cJSON *member = object->child; member && member->next; member = member->next)
		if (strcmp(member->string, member->next->string) > 0)
			return false;
	return true;
}

static void print_object(const cJSON *object, const print_style *style, int depth, ao_buf *out)
{
	const cJSON *member;
	ao_buf_put(out, "{", 1);
	if (style->sorted && !is_sorted(object))
		print_sorted(object, style, depth, out);
	else
		cJSON_ArrayForEach (member, object)
			print_member(member, member == object->child, style, depth, out);
	if (object->child)
		new_line(style, depth, out);
	ao_buf_put(out, "}", 1);
}

static void print_array(const cJSON *array, const print_style *style, int depth, ao_buf *out)
{
	const cJSON *item;
	ao_buf_put(out, "[", 1);
	cJSON_ArrayForEach (item, array) {
		if (item != array->child)
			ao_buf_put(out, ",", 1);
		new_line(style, depth + 1, out);
		print_value(item, style, depth + 1, out);
	}
	if (array->child)
		new_line(style, depth, out);
	ao_buf_put(out, "]", 1);
}

static void print_value(const cJSON *value, const print_style *style, int depth, ao_buf *out)
{
	if (cJSON_IsObject(value))
		print_object(value, style, depth, out);
	else if (cJSON_IsArray(value))
		print_array(value, style, depth, out);
	else if (cJSON_IsString(value))
		ao_buf_put_json_string(out, value->valuestring);
	else if (cJSON_IsNumber(value))
		print_number(value->valuedouble, out);
	else
		ao_buf_puts(out, cJSON_IsTrue(value) ? "true" : cJSON_IsFalse(value) ? "false" : "null");
}

static char *print(const cJSON *value, print_style style)
{
	ao_buf out = ao_buf_init(MAX_TEXT);
	print_value(value, &style, 0, &out);
	if (style.indent)
		ao_buf_puts(&out, "\n");
	return ao_buf_steal(&out);
}

char *ao_json_print(const cJSON *value) { return print(value, (print_style){0}); }
char *ao_json_canonical(const cJSON *value) { return print(value, (print_style){.sorted = true}); }
char *ao_json_pretty(const cJSON *value) { return print(value, (print_style){.indent = 2}); }

uint64_t ao_json_digest(const cJSON *value)
{
	ao_auto_str char *text = ao_json_canonical(value);
	return ao_hash_str(text);
}

/* ---- comparing ---- */

#define MANY 32 /* members from which on a table is cheaper than walking the list */

/** Finds members of one object by key, for somebody who asks in the order of a similar one. */
typedef struct finder {
	const cJSON *object, *next; /* `next` is the likely answer */
	ao_map *by_key;             /* NULL until needed */
} finder;

static finder finder_of(const cJSON *object) { return (finder){.object = object, .next = object ? object->child : NULL}; }

static void finder_free(finder *f) { ao_map_free(f->by_key); }
#define auto_finder __attribute__((cleanup(finder_free)))

static const cJSON *look_up(finder *f, const char *key)
{
	const cJSON *member;
	if (!f->by_key && cJSON_GetArraySize(f->object) > MANY) {
		f->by_key = ao_map_new();
		cJSON_ArrayForEach (member, f->object)
			if (!ao_map_get(f->by_key, member->string))
				ao_map_put(f->by_key, member->string, (cJSON *)(uintptr_t)member);
	}
	return f->by_key ? ao_map_get(f->by_key, key) : cJSON_GetObjectItemCaseSensitive(f->object, key);
}

static const cJSON *find(finder *f, const char *key)
{
	const cJSON *found = f->next && strcmp(f->next->string, key) == 0 ? f->next : look_up(f, key);
	if (found)
		f->next = found->next;
	return found;
}

static bool equal_objects(const cJSON *a, const cJSON *b)
{
	const cJSON *member;
	auto_finder finder in_b = finder_of(b);
	if (cJSON_GetArraySize(a) != cJSON_GetArraySize(b))
		return false;
	cJSON_ArrayForEach (member, a)
		if (!ao_json_equal(member, find(&in_b, member->string)))
			return false;
	return true;
}

static bool equal_arrays(const cJSON *a, const cJSON *b)
{
	const cJSON *x = a->child, *y = b->child;
	for (; x && y; x = x->next, y = y->next)
		if (!ao_json_equal(x, y))
			return false;
	return x == y;
}

bool ao_json_equal(const cJSON *a, const cJSON *b)
{
	if (!a || !b)
		return a == b;
	if ((a->type & 0xff) != (b->type & 0xff))
		return false;
	if (cJSON_IsObject(a))
		return equal_objects(a, b);
	if (cJSON_IsArray(a))
		return equal_arrays(a, b);
	if (cJSON_IsString(a))
		return strcmp(a->valuestring, b->valuestring) == 0;
	return !cJSON_IsNumber(a) || a->valuedouble == b->valuedouble;
}

/** What a merge patch must say so that `old` (NULL: absent) becomes `value`, or NULL when it is that already. */
static cJSON *change_to(const cJSON *old, const cJSON *value)
{
	/* a patch cannot store null: wanting null is wanting nothing there, else we would ask for it for ever */
	if (cJSON_IsNull(value))
		return old && !cJSON_IsNull(old) ? cJSON_CreateNull() : NULL;
	if (cJSON_IsObject(value) && cJSON_IsObject(old))
		return ao_json_merge_diff(old, value);
	return ao_json_equal(old, value) ? NULL : cJSON_Duplicate(value, 1);
}

cJSON *ao_json_merge_diff(const cJSON *from, const cJSON *to)
{
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	const cJSON *member;
	auto_finder finder in_from = finder_of(from), in_to = finder_of(to);
	cJSON_ArrayForEach (member, to) {
		cJSON *change = change_to(find(&in_from, member->string), member);
		if (change)
			cJSON_AddItemToObject(patch, member->string, change);
	}
	cJSON_ArrayForEach (member, from)
		if (!find(&in_to, member->string) && !cJSON_IsNull(member))
			cJSON_AddItemToObject(patch, member->string, cJSON_CreateNull());
	return patch->child ? AO_TAKE(patch) : NULL;
}

/* ---- looking up and setting ---- */

static const cJSON *walk(const cJSON *object, va_list path)
{
	const char *key;
	while (object && (key = va_arg(path, const char *)))
		object = cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
	return object;
}

cJSON *ao_json_at_(const cJSON *object, ...)
{
	va_list path;
	va_start(path, object);
	const cJSON *found = walk(object, path);
	va_end(path);
	return (cJSON *)(uintptr_t)found;
}

const char *ao_json_str_(const cJSON *object, ...)
{
	va_list path;
	va_start(path, object);
	const cJSON *found = walk(object, path);
	va_end(path);
	return cJSON_IsString(found) ? found->valuestring : NULL;
}

void ao_json_set(cJSON *obj, const char *key, cJSON *value)
{
	ao_require(cJSON_IsObject(obj)); /* else the value would be lost without a word */
	if (cJSON_GetObjectItemCaseSensitive(obj, key))
		cJSON_ReplaceItemInObjectCaseSensitive(obj, key, value);
	else
		cJSON_AddItemToObject(obj, key, value);
}

cJSON *ao_json_object(cJSON *obj, const char *key)
{
	cJSON *found = cJSON_GetObjectItemCaseSensitive(obj, key);
	if (cJSON_IsObject(found))
		return found;
	found = cJSON_CreateObject();
	ao_json_set(obj, key, found);
	return found;
}

int ao_json_index(const cJSON *list, const char *text)
{
	int index = 0;
	const cJSON *item;
	cJSON_ArrayForEach (item, list) {
		if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
			return index;
		index++;
	}
	return -1;
}

cJSON *ao_json_item(const cJSON *list, const char *key, const char *text)
{
	cJSON *item;
	cJSON_ArrayForEach (item, list) {
		const char *other = ao_json_str(item, key);
		if (other && strcmp(other, text) == 0)
			return item;
	}
	return NULL;
}

cJSON *ao_json_at_path(const cJSON *tree, char *const *path)
{
	const cJSON *at = tree;
	for (; at && *path; path++)
		at = cJSON_GetObjectItemCaseSensitive(at, *path);
	return (cJSON *)at;
}

void ao_json_put_path(cJSON *tree, char *const *path, cJSON *value)
{
	for (; path[1]; path++)
		tree = ao_json_object(tree, path[0]);
	ao_json_set(tree, path[0], value);
}

void ao_json_set_str(cJSON *obj, const char *key, const char *text)
{
	if (text)
		ao_json_set(obj, key, cJSON_CreateString(text));
	else
		cJSON_DeleteItemFromObjectCaseSensitive(obj, key);
}

bool ao_json_int(const cJSON *value, int64_t *ret)
{
	if (!cJSON_IsNumber(value) || value->valuedouble != floor(value->valuedouble) || fabs(value->valuedouble) > (double)AO_JSON_MAX_INT)
		return false;
	*ret = (int64_t)value->valuedouble;
	return true;
}

cJSON *ao_json_patch_step(const char *op, const char *path, cJSON *value)
{
	cJSON *step = cJSON_CreateObject();
	ao_json_set_str(step, "op", op);
	ao_json_set_str(step, "path", path);
	if (value)
		ao_json_set(step, "value", value);
	return step;
}
