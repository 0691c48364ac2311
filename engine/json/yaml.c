/*
 * yaml.c -- libyaml's parser events to JSON trees.
 *
 * An anchor points at the finished tree of its node, which lives in its document; an alias copies it, against budgets of nodes and of bytes,
 * so that a few lines cannot become gigabytes.
 */
#include "json/yaml.h"

#include "base/map.h"
#include "base/mem.h"
#include "json/strict.h"
#include "json/yaml_scalar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_NODES 200000
#define MAX_COPIED ((size_t)4 << 20) /* bytes of memory that aliases may take */
#define MANY 32                      /* members from which on a table is cheaper than walking the list */
#define TAG "tag:yaml.org,2002:"

typedef struct reader {
	yaml_parser_t parser;
	yaml_event_t event;
	const char *name, *text;
	size_t len;
	ao_map *anchors; /* name -> cJSON of this document */
	cJSON *aside;    /* what anchors may point at and the document does not hold: sources of merges, keys */
	size_t nodes, copied;
	ao_json_level levels[AO_JSON_MAX_DEPTH];
	size_t depth;
	ao_err **reterr;
} reader;

static int fail_at(reader *r, yaml_mark_t mark, int code, const char *what)
{
	return ao_err_set(r->reterr, code, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static int fail(reader *r, int code, const char *what) { return fail_at(r, r->event.start_mark, code, what); }

/** For bytes that are no text libyaml gives an offset only. */
static yaml_mark_t mark_of_offset(const reader *r, size_t offset)
{
	yaml_mark_t mark = {.index = offset};
	for (size_t i = 0; i < offset && i < r->len; i++) {
		mark.column++;
		if (r->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		}
	}
	return mark;
}

static int syntax_error(reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "malformed YAML";
	if (p->error == YAML_READER_ERROR)
		return fail_at(r, mark_of_offset(r, p->problem_offset), -EINVAL, problem);
	ao_auto_str char *what = p->context ? ao_xasprintf("%s %s", problem, p->context) : ao_xstrdup(problem);
	return fail_at(r, p->problem_mark, -EINVAL, what);
}

static int next_event(reader *r)
{
	yaml_event_delete(&r->event);
	return yaml_parser_parse(&r->parser, &r->event) ? 0 : syntax_error(r);
}

/* ---- scalars ---- */

static int refuse_number(reader *r, const char *text)
{
	ao_auto_str char *path = ao_json_path(r->levels, r->depth);
	ao_auto_str char *what = ao_xasprintf("%s%s%.40s cannot be kept exactly; put it in quotes", path, *path ? ": " : "", text);
	return fail(r, -EINVAL, what);
}

/** The kind that a tag asks for; STRING for all that we do not know, as kubectl has it. */
static ao_yaml_kind kind_of_tag(const char *tag)
{
	static const struct {
		const char *tag;
		ao_yaml_kind kind;
	} tags[] = {{TAG "null", AO_YAML_NULL}, {TAG "bool", AO_YAML_BOOL}, {TAG "int", AO_YAML_INT}, {TAG "float", AO_YAML_FLOAT}};
	for (size_t i = 0; i < AO_LEN(tags); i++)
		if (strcmp(tag, tags[i].tag) == 0)
			return tags[i].kind;
	return AO_YAML_STRING;
}

/** What the scalar of the current event is, by its tag, its quotes and its text. */
static int resolve(reader *r, const char *text, ao_yaml_scalar *ret)
{
	const char *tag = (const char *)r->event.data.scalar.tag;
	ao_yaml_kind wanted = tag ? kind_of_tag(tag) : AO_YAML_STRING;
	*ret = (ao_yaml_scalar){.kind = AO_YAML_STRING};
	if (tag && strcmp(tag, TAG "binary") == 0)
		return fail(r, -EINVAL, "!!binary is not supported");
	if (wanted == AO_YAML_STRING && (tag || !r->event.data.scalar.plain_implicit))
		return 0;
	*ret = ao_yaml_resolve(text);
	if (tag && ret->kind != wanted && !(wanted == AO_YAML_FLOAT && ret->kind == AO_YAML_INT)) {
		ao_auto_str char *what = ao_xasprintf("'%.40s' is not a valid !!%s", text, tag + strlen(TAG));
		return fail(r, -EINVAL, what);
	}
	return (ret->kind == AO_YAML_INT || ret->kind == AO_YAML_FLOAT) && !ret->kept ? refuse_number(r, text) : 0;
}

static int scalar(reader *r, cJSON **ret)
{
	const char *text = (const char *)r->event.data.scalar.value;
	ao_yaml_scalar found;
	if (strlen(text) != r->event.data.scalar.length)
		return fail(r, -EINVAL, "a NUL character cannot be kept");
	int code = resolve(r, text, &found);
	if (code < 0)
		return code;
	*ret = found.kind == AO_YAML_NULL     ? cJSON_CreateNull()
	       : found.kind == AO_YAML_BOOL   ? cJSON_CreateBool(found.truth)
	       : found.kind == AO_YAML_STRING ? cJSON_CreateString(text)
					      : cJSON_CreateNumber(found.number);
	return 0;
}

/* ---- structure ---- */

static int node(reader *r, cJSON **ret);

static int spend(reader *r, size_t nodes)
{
	r->nodes += nodes;
	return r->nodes > MAX_NODES ? fail(r, -E2BIG, "too many nodes") : 0;
}

static int too_deep(reader *r) { return fail(r, -E2BIG, "nested too deeply"); }

static size_t size_of_text(const char *text) { return text ? strlen(text) + 1 : 0; }

/** What a tree is made of, and how many arrays and objects lie within each other. */
typedef struct extent {
	size_t nodes, bytes, height;
} extent;

static extent measure(const cJSON *value)
{
	extent all = {.nodes = 1, .bytes = sizeof(*value) + size_of_text(value->string) + size_of_text(value->valuestring)};
	const cJSON *item;
	cJSON_ArrayForEach (item, value) {
		extent one = measure(item);
		all.nodes += one.nodes;
		all.bytes += one.bytes;
		all.height = one.height > all.height ? one.height : all.height;
	}
	all.height += cJSON_IsObject(value) || cJSON_IsArray(value);
	return all;
}

static int copy(reader *r, const cJSON *value, cJSON **ret)
{
	extent all = measure(value);
	int code = spend(r, all.nodes);
	r->copied += all.bytes;
	if (code == 0 && r->copied > MAX_COPIED)
		code = fail(r, -E2BIG, "aliases stand for more than 4 MiB");
	if (code == 0 && r->depth + all.height > AO_JSON_MAX_DEPTH)
		code = too_deep(r);
	if (code == 0)
		*ret = cJSON_Duplicate(value, 1);
	return code;
}

static int alias(reader *r, cJSON **ret)
{
	const cJSON *anchored = ao_map_get(r->anchors, (const char *)r->event.data.alias.anchor);
	return anchored ? copy(r, anchored, ret) : fail(r, -EINVAL, "unknown alias");
}

static int sequence(reader *r, cJSON **ret)
{
	ao_auto_json cJSON *list = cJSON_CreateArray();
	ao_json_level *level = &r->levels[r->depth - 1];
	for (;; level->index++) {
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

/** A mapping under construction. */
typedef struct mapping {
	cJSON *object, *merged; /* `merged`: the values of its << keys */
	size_t count;           /* of members */
	ao_map *keys;           /* key -> member, once there are many */
} mapping;

static void mapping_free(mapping *m)
{
	cJSON_Delete(m->object);
	cJSON_Delete(m->merged);
	ao_map_free(m->keys);
}

static bool has(const mapping *m, const char *key)
{
	return m->keys ? ao_map_get(m->keys, key) != NULL : cJSON_GetObjectItemCaseSensitive(m->object, key) != NULL;
}

static void add(mapping *m, const char *key, cJSON *value)
{
	cJSON *member;
	cJSON_AddItemToObject(m->object, key, value);
	if (++m->count == MANY) {
		m->keys = ao_map_new();
		cJSON_ArrayForEach (member, m->object)
			ao_map_put(m->keys, member->string, member);
	} else if (m->keys) {
		ao_map_put(m->keys, key, value);
	}
}

/** `<<: *base`: fields of the base that the mapping does not set itself. */
static int merge(reader *r, mapping *m, const cJSON *base)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, base) {
		cJSON *value = NULL;
		if (has(m, item->string))
			continue;
		int code = copy(r, item, &value);
		if (code < 0)
			return code;
		add(m, item->string, value);
	}
	return 0;
}

/** Of several bases the first that has a field wins. */
static int merge_all(reader *r, mapping *m)
{
	const cJSON *source, *base;
	cJSON_ArrayForEach (source, m->merged) {
		int code = cJSON_IsObject(source) ? merge(r, m, source) : 0;
		if (cJSON_IsArray(source))
			cJSON_ArrayForEach (base, source)
				if (code == 0)
					code = merge(r, m, base);
		if (code < 0)
			return code;
	}
	return 0;
}

static bool can_be_merged(const cJSON *value)
{
	const cJSON *item;
	if (!cJSON_IsArray(value))
		return cJSON_IsObject(value);
	cJSON_ArrayForEach (item, value)
		if (!cJSON_IsObject(item))
			return false;
	return true;
}

/** Keeps what an anchored key stands for, should an alias name it. */
static int note_key_anchor(reader *r)
{
	const char *anchor = (const char *)r->event.data.scalar.anchor;
	cJSON *value = NULL;
	int code = anchor ? scalar(r, &value) : 0;
	if (code < 0 || !anchor)
		return code;
	cJSON_AddItemToArray(r->aside, value);
	ao_map_put(r->anchors, anchor, value);
	return 0;
}

/** Checks the key of the current event. */
static int check_key(reader *r, const mapping *m, bool merging)
{
	if (r->event.type != YAML_SCALAR_EVENT)
		return fail(r, -EINVAL, "a key must be a plain text");
	const char *key = (const char *)r->event.data.scalar.value;
	if (strlen(key) != r->event.data.scalar.length)
		return fail(r, -EINVAL, "a NUL character cannot be kept");
	if (!merging && has(m, key)) {
		ao_auto_str char *what = ao_xasprintf("duplicate key '%s'", key);
		return fail(r, -EINVAL, what);
	}
	int code = spend(r, 1);
	return code < 0 ? code : note_key_anchor(r);
}

/** One "key: value" pair; the event is the key. */
static int pair(reader *r, mapping *m)
{
	bool merging = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.plain_implicit && !r->event.data.scalar.tag &&
		       strcmp((const char *)r->event.data.scalar.value, "<<") == 0;
	int code = check_key(r, m, merging);
	if (code < 0)
		return code;
	ao_auto_str char *key = ao_xstrdup((const char *)r->event.data.scalar.value);
	ao_json_level *level = &r->levels[r->depth - 1];
	level->key = key;
	level->key_len = strlen(key);
	ao_auto_json cJSON *value = NULL;
	code = next_event(r);
	yaml_mark_t mark = r->event.start_mark;
	if (code == 0)
		code = node(r, &value);
	level->key = NULL;
	if (code == 0 && merging && !can_be_merged(value))
		code = fail_at(r, mark, -EINVAL, "<< wants a mapping or a list of mappings");
	if (code < 0)
		return code;
	if (merging)
		cJSON_AddItemToArray(m->merged, AO_TAKE(value));
	else
		add(m, key, AO_TAKE(value));
	return 0;
}

static int read_mapping(reader *r, cJSON **ret)
{
	__attribute__((cleanup(mapping_free))) mapping m = {.object = cJSON_CreateObject(), .merged = cJSON_CreateArray()};
	for (;;) {
		int code = next_event(r);
		if (code < 0)
			return code;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			break;
		code = pair(r, &m);
		if (code < 0)
			return code;
	}
	int code = merge_all(r, &m);
	if (code < 0)
		return code;
	cJSON_AddItemToArray(r->aside, AO_TAKE(m.merged));
	*ret = AO_TAKE(m.object);
	return 0;
}

/** The array or object that the current event opens. */
static int container(reader *r, cJSON **ret)
{
	bool object = r->event.type == YAML_MAPPING_START_EVENT;
	if (r->depth == AO_JSON_MAX_DEPTH)
		return too_deep(r);
	r->levels[r->depth++] = (ao_json_level){.object = object};
	int code = object ? read_mapping(r, ret) : sequence(r, ret);
	r->depth--;
	return code;
}

static const char *anchor_of(const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL;
	if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor;
	else if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor;
	return (const char *)anchor;
}

/** The node that the current event begins. */
static int node(reader *r, cJSON **ret)
{
	ao_auto_str char *anchor = ao_xstrdup(anchor_of(&r->event));
	if (r->event.type == YAML_ALIAS_EVENT)
		return alias(r, ret);
	int code = spend(r, 1);
	if (code < 0)
		return code;
	code = r->event.type == YAML_SCALAR_EVENT ? scalar(r, ret) : container(r, ret);
	if (code == 0 && anchor)
		ao_map_put(r->anchors, anchor, *ret);
	return code;
}

/** Anchors are good for one document. */
static void forget_anchors(reader *r)
{
	ao_map_free(r->anchors);
	cJSON_Delete(r->aside);
	r->anchors = ao_map_new();
	r->aside = cJSON_CreateArray();
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
		forget_anchors(r);
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
	reader r = {.name = name, .text = len ? text : "", .len = len, .reterr = reterr};
	ao_auto_json cJSON *list = cJSON_CreateArray();
	if (!yaml_parser_initialize(&r.parser))
		abort(); /* out of memory */
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)r.text, len);
	int code = documents(&r, list);
	yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	cJSON_Delete(r.aside);
	ao_map_free(r.anchors);
	if (code == 0)
		*ret = AO_TAKE(list);
	return code;
}
