/*
 * yaml.c -- libyaml's parser events to JSON trees, and block style out.
 *
 * Anchors keep the finished tree of their node; an alias copies it, against a budget of nodes, so that a few lines cannot
 * become gigabytes.
 */
#include "json/yaml.h"

#include "base/map.h"
#include "base/mem.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_NODES 200000

typedef struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	const char *name;
	ao_map *anchors; /* name -> cJSON, owned */
	size_t nodes;
	size_t depth;
	ao_err **reterr;
} reader;

static int fail_at(reader *r, yaml_mark_t mark, int code, const char *what)
{
	return ao_err_set(r->reterr, code, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static int fail(reader *r, int code, const char *what) { return fail_at(r, r->event.start_mark, code, what); }

static int next_event(reader *r)
{
	yaml_event_delete(&r->event);
	if (yaml_parser_parse(&r->parser, &r->event))
		return 0;
	return fail_at(r, r->parser.problem_mark, -EINVAL, r->parser.problem ? r->parser.problem : "malformed YAML");
}

/* ---- scalars ---- */

static bool one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const truths[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", NULL};
static const char *const lies[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", NULL};

/** Decimal, 0x, 0o, 0b and old octal integers. */
static bool parse_integer(const char *text, long long *ret)
{
	bool negative = *text == '-';
	const char *digits = text + (*text == '-' || *text == '+');
	int base = 10;
	if (digits[0] == '0' && digits[1]) {
		char mark = (char)tolower((unsigned char)digits[1]);
		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		digits += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	}
	if (!isxdigit((unsigned char)*digits))
		return false;
	char *end;
	errno = 0;
	unsigned long long value = strtoull(digits, &end, base);
	if (*end)
		return false;
	*ret = errno || value > (unsigned long long)AO_JSON_MAX_INT + 1 ? AO_JSON_MAX_INT + 1 : (long long)value;
	if (negative)
		*ret = -*ret;
	return true;
}

static bool is_float(const char *text)
{
	const char *s = text + (*text == '-' || *text == '+');
	bool digit = false, mark = false;
	for (; *s; s++) {
		if (isdigit((unsigned char)*s))
			digit = true;
		else if (*s == '.' || ((*s == 'e' || *s == 'E') && digit))
			mark = true;
		else if (!((*s == '-' || *s == '+') && (s[-1] == 'e' || s[-1] == 'E')))
			return false;
	}
	return digit && mark;
}

static int plain_scalar(reader *r, const char *text, cJSON **ret)
{
	long long n;
	if (one_of(text, nulls)) {
		*ret = cJSON_CreateNull();
	} else if (one_of(text, truths) || one_of(text, lies)) {
		*ret = cJSON_CreateBool(one_of(text, truths));
	} else if (parse_integer(text, &n)) {
		if (n > AO_JSON_MAX_INT || n < -AO_JSON_MAX_INT)
			return fail(r, -EINVAL, "number cannot be kept exactly; put it in quotes");
		*ret = cJSON_CreateNumber((double)n);
	} else if (is_float(text)) {
		char *end;
		double value = strtod(text, &end);
		if (*end)
			*ret = cJSON_CreateString(text);
		else if (!isfinite(value))
			return fail(r, -EINVAL, "number cannot be kept; put it in quotes");
		else
			*ret = cJSON_CreateNumber(value);
	} else {
		*ret = cJSON_CreateString(text);
	}
	return 0;
}

static int scalar(reader *r, cJSON **ret)
{
	const char *text = (const char *)r->event.data.scalar.value, *tag = (const char *)r->event.data.scalar.tag;
	if (strlen(text) != r->event.data.scalar.length)
		return fail(r, -EINVAL, "a NUL character cannot be kept");
	bool string = !r->event.data.scalar.plain_implicit || (tag && strcmp(tag, "tag:yaml.org,2002:str") == 0);
	if (!string)
		return plain_scalar(r, text, ret);
	*ret = cJSON_CreateString(text);
	return 0;
}

/* ---- structure ---- */

static int node(reader *r, cJSON **ret);

static int spend(reader *r, size_t nodes)
{
	r->nodes += nodes;
	return r->nodes > MAX_NODES ? fail(r, -E2BIG, "too many nodes") : 0;
}

static size_t count_nodes(const cJSON *value)
{
	size_t count = 1;
	const cJSON *item;
	cJSON_ArrayForEach(item, value) count += count_nodes(item);
	return count;
}

static int alias(reader *r, cJSON **ret)
{
	const cJSON *anchored = ao_map_get(r->anchors, (const char *)r->event.data.alias.anchor);
	if (!anchored)
		return fail(r, -EINVAL, "unknown alias");
	int code = spend(r, count_nodes(anchored));
	if (code == 0)
		*ret = cJSON_Duplicate(anchored, 1);
	return code;
}

static int sequence(reader *r, cJSON **ret)
{
	ao_auto_json cJSON *list = cJSON_CreateArray();
	for (;;) {
		int code = next_event(r);
		if (code < 0)
			return code;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		cJSON *item = NULL;
		code = node(r, &item);
		if (code < 0)
			return code;
		cJSON_AddItemToArray(list, item);
	}
	*ret = AO_TAKE(list);
	return 0;
}

/** `<<: *base`: fields of the base that the mapping does not set itself. */
static void merge(cJSON *into, const cJSON *base)
{
	const cJSON *item;
	if (cJSON_IsArray(base))
		cJSON_ArrayForEach(item, base) merge(into, item);
	else
		cJSON_ArrayForEach(item, base) if (!cJSON_GetObjectItemCaseSensitive(into, item->string))
			cJSON_AddItemToObject(into, item->string, cJSON_Duplicate(item, 1));
}

/** One "key: value" pair; the event is the key. */
static int pair(reader *r, cJSON *map, cJSON *merged)
{
	if (r->event.type != YAML_SCALAR_EVENT)
		return fail(r, -EINVAL, "a key must be a plain text");
	ao_auto_str char *key = ao_xstrdup((const char *)r->event.data.scalar.value);
	bool merging = strcmp(key, "<<") == 0 && r->event.data.scalar.plain_implicit;
	if (!merging && cJSON_GetObjectItemCaseSensitive(map, key)) {
		ao_auto_str char *what = ao_xasprintf("duplicate key '%s'", key);
		return fail(r, -EINVAL, what);
	}
	cJSON *value = NULL;
	int code = next_event(r);
	if (code == 0)
		code = node(r, &value);
	if (code < 0)
		return code;
	if (merging)
		cJSON_AddItemToArray(merged, value);
	else
		cJSON_AddItemToObject(map, key, value);
	return 0;
}

static int mapping(reader *r, cJSON **ret)
{
	ao_auto_json cJSON *map = cJSON_CreateObject(), *merged = cJSON_CreateArray();
	for (;;) {
		int code = next_event(r);
		if (code < 0)
			return code;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		code = pair(r, map, merged);
		if (code < 0)
			return code;
	}
	merge(map, merged);
	*ret = AO_TAKE(map);
	return 0;
}

static const char *anchor_of(const yaml_event_t *event)
{
	const yaml_char_t *anchor = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.anchor
	                            : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.anchor
	                            : event->type == YAML_MAPPING_START_EVENT  ? event->data.mapping_start.anchor
	                                                                       : NULL;
	return (const char *)anchor;
}

/** The node that the current event begins. */
static int node(reader *r, cJSON **ret)
{
	ao_auto_str char *anchor = ao_xstrdup(anchor_of(&r->event));
	int code = spend(r, 1);
	if (code == 0 && ++r->depth > AO_JSON_MAX_DEPTH)
		code = fail(r, -E2BIG, "nested too deeply");
	if (code == 0)
		code = r->event.type == YAML_ALIAS_EVENT            ? alias(r, ret)
		       : r->event.type == YAML_SEQUENCE_START_EVENT ? sequence(r, ret)
		       : r->event.type == YAML_MAPPING_START_EVENT  ? mapping(r, ret)
		       : r->event.type == YAML_SCALAR_EVENT         ? scalar(r, ret)
		                                                    : fail(r, -EINVAL, "malformed YAML");
	r->depth--;
	if (code == 0 && anchor)
		cJSON_Delete(ao_map_put(r->anchors, anchor, cJSON_Duplicate(*ret, 1)));
	return code;
}

static int documents(reader *r, cJSON *list)
{
	for (;;) {
		int code = next_event(r);
		if (code < 0)
			return code;
		if (r->event.type == YAML_STREAM_END_EVENT)
			return 0;
		if (r->event.type != YAML_DOCUMENT_START_EVENT)
			continue;
		cJSON *document = NULL;
		code = next_event(r);
		if (code == 0)
			code = node(r, &document);
		if (code < 0)
			return code;
		if (cJSON_IsNull(document))
			cJSON_Delete(document);
		else
			cJSON_AddItemToArray(list, document);
	}
}

int ao_yaml_parse(const char *text, size_t len, const char *name, cJSON **ret, ao_err **reterr)
{
	reader r = {.name = name, .reterr = reterr, .anchors = ao_map_new()};
	ao_auto_json cJSON *list = cJSON_CreateArray();
	yaml_parser_initialize(&r.parser);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	int code = documents(&r, list);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	size_t cursor = 0;
	for (cJSON *anchored; (anchored = ao_map_next(r.anchors, &cursor, NULL));)
		cJSON_Delete(anchored);
	ao_map_free(r.anchors);
	if (code == 0)
		*ret = AO_TAKE(list);
	return code;
}
