/*
 * schema_compile.c -- compiles the text of an OpenAPI document to the table.
 *
 * The text is walked as spans and never parsed to a tree, because apps/v1 is 720 KB, and the kinds that we render need a tenth of it.
 * A definition is compiled once, under its name.  Its index is known before its members are compiled, so that it may refer to itself.
 */
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "kube/schema_table.h"
#include "json/span.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NODES 40000
#define MAX_DEPTH 64
#define PRESERVE "x-kubernetes-preserve-unknown-fields"
#define MAX_POOL ((size_t)1 << 20)

typedef struct definition {
	ao_span text;
	uint32_t node; /* AO_NO_NODE until it is compiled */
} definition;

typedef struct compiler {
	ao_schema *schema;
	ao_map *definitions; /* name -> definition */
	ao_map *words;       /* text -> its place in the pool, plus 1 */
	ao_buf pool;
	unsigned depth;
	int error;
} compiler;

/** The members of a schema that count, found in one walk over it. */
typedef struct facts {
	ao_span all_of, one_of, reference, type, format, int_or_string, preserve, fallback;
	ao_span properties, required, further, items, list_type, list_keys, words;
} facts;

static uint32_t compile(compiler *c, ao_span text);

static facts facts_of(ao_span text)
{
	facts f = {0};
	const struct {
		const char *key;
		ao_span *value;
	} members[] = {
	    {"allOf", &f.all_of},
	    {"oneOf", &f.one_of},
	    {"$ref", &f.reference},
	    {"type", &f.type},
	    {"format", &f.format},
	    {"x-kubernetes-int-or-string", &f.int_or_string},
	    {PRESERVE, &f.preserve},
	    {"default", &f.fallback},
	    {"properties", &f.properties},
	    {"required", &f.required},
	    {"additionalProperties", &f.further},
	    {"items", &f.items},
	    {"x-kubernetes-list-type", &f.list_type},
	    {"x-kubernetes-list-map-keys", &f.list_keys},
	    {"enum", &f.words},
	};
	size_t cursor = 0;
	ao_span key, value;
	while (ao_span_member(text, &cursor, &key, &value))
		for (size_t i = 0; i < AO_LEN(members); i++)
			if (!members[i].value->at && ao_span_is_key(key, members[i].key))
				*members[i].value = value;
	return f;
}

static bool is_true(ao_span value) { return value.at && value.len == 4 && memcmp(value.at, "true", 4) == 0; }

static uint32_t grow(void **items, size_t *count, size_t size)
{
	if ((*count & (*count - 1)) == 0)
		*items = ao_xrealloc(*items, (*count ? *count * 2 : 1) * size);
	memset((char *)*items + *count * size, 0, size);
	return (uint32_t)(*count)++;
}

static uint32_t new_node(compiler *c)
{
	ao_schema *s = c->schema;
	if (s->node_count >= MAX_NODES) {
		c->error = -E2BIG;
		return 0; /* there is one by now */
	}
	uint32_t index = grow((void **)&s->nodes, &s->node_count, sizeof(*s->nodes));
	s->nodes[index].item = AO_NO_NODE;
	return index;
}

/** The place of a text in the pool. Equal texts share a place. */
static uint32_t pooled(compiler *c, const char *text)
{
	uintptr_t known = (uintptr_t)ao_map_get(c->words, text);
	if (known)
		return (uint32_t)known - 1;
	uint32_t at = (uint32_t)c->pool.len;
	ao_buf_put(&c->pool, text, strlen(text) + 1);
	if (c->pool.overflow)
		c->error = -E2BIG;
	ao_map_put(c->words, text, (void *)((uintptr_t)at + 1));
	return at;
}

static void add_words(compiler *c, uint32_t node, ao_span list)
{
	ao_schema *s = c->schema;
	size_t cursor = 0;
	ao_span item;
	s->nodes[node].word = (uint32_t)s->word_count;
	while (ao_span_item(list, &cursor, &item)) {
		ao_auto_str char *text = ao_span_text(item);
		if (!text)
			continue;
		uint32_t at = pooled(c, text), index = grow((void **)&s->words, &s->word_count, sizeof(*s->words));
		s->words[index] = at;
		s->nodes[node].words++;
	}
}

static uint32_t compile_definition(compiler *c, const char *reference)
{
	const char *name = strrchr(reference, '/');
	definition *d = ao_map_get(c->definitions, name ? name + 1 : reference);
	if (!d) {
		c->error = -EINVAL;
		return 0;
	}
	if (d->node != AO_NO_NODE)
		return d->node;
	d->node = new_node(c);
	uint32_t copy = compile(c, d->text), place = d->node;
	c->schema->nodes[place] = c->schema->nodes[copy];
	return place;
}

/* ---- objects ---- */

typedef struct found {
	char *name;
	ao_span text;
} found;

static int by_name(const void *a, const void *b) { return strcmp(((const found *)a)->name, ((const found *)b)->name); }

static bool lists(ao_span list, const char *name)
{
	size_t cursor = 0;
	ao_span item;
	while (ao_span_item(list, &cursor, &item))
		if (ao_span_is(item, name))
			return true;
	return false;
}

/** Is there a real default? The server's own types write "" and 0 for "no default"; such a field must be given if it is required. */
static bool has_default(ao_span value) { return value.at && !ao_span_is(value, "") && !(value.len == 1 && *value.at == '0'); }

static uint32_t compile_facts(compiler *c, const facts *f);

/** Compiles the members first: the properties of a node lie side by side, and those of its members must not come between them. */
static void add_properties(compiler *c, uint32_t node, ao_span properties, ao_span required)
{
	found *all = NULL;
	size_t count = 0, cursor = 0;
	ao_span key, value;
	while (ao_span_member(properties, &cursor, &key, &value)) {
		all = ao_xrealloc(all, (count + 1) * sizeof(*all));
		all[count++] = (found){ao_xstrndup(key.at, key.len), value};
	}
	if (count)
		qsort(all, count, sizeof(*all), by_name);
	ao_schema_property *made = ao_xcalloc(count + 1, sizeof(*made));
	for (size_t i = 0; i < count; i++) {
		facts f = facts_of(all[i].text);
		made[i] = (ao_schema_property){
		    .name = pooled(c, all[i].name),
		    .node = compile_facts(c, &f),
		    .required = lists(required, all[i].name),
		    .has_default = has_default(f.fallback),
		};
	}
	ao_schema *s = c->schema;
	s->nodes[node].first = (uint32_t)s->property_count;
	s->nodes[node].count = (uint32_t)count;
	for (size_t i = 0; i < count; i++) {
		uint32_t index = grow((void **)&s->properties, &s->property_count, sizeof(*s->properties));
		s->properties[index] = made[i];
		free(all[i].name);
	}
	free(made);
	free(all);
}

static void compile_object(compiler *c, uint32_t node, const facts *f)
{
	c->schema->nodes[node].type = AO_OBJECT;
	c->schema->nodes[node].open = is_true(f->further) || is_true(f->preserve);
	if (f->further.at && *f->further.at == '{') {
		uint32_t item = compile(c, f->further);
		c->schema->nodes[node].item = item;
	}
	add_properties(c, node, f->properties, f->required);
}

static void compile_array(compiler *c, uint32_t node, const facts *f)
{
	uint32_t item = f->items.at ? compile(c, f->items) : AO_NO_NODE;
	ao_schema_node *n = &c->schema->nodes[node];
	n->type = AO_ARRAY;
	n->item = item;
	n->list_map = ao_span_is(f->list_type, "map");
	n->list_set = ao_span_is(f->list_type, "set");
	if (n->list_map)
		add_words(c, node, f->list_keys);
}

/* ---- any ---- */

static void compile_typed(compiler *c, uint32_t node, const facts *f)
{
	ao_schema_node *n = &c->schema->nodes[node];
	if (ao_span_is(f->type, "object") && !f->properties.at && !f->further.at)
		n->type = AO_ANY; /* RawExtension, FieldsV1: an object with rules of its own */
	else if (ao_span_is(f->type, "object"))
		compile_object(c, node, f);
	else if (ao_span_is(f->type, "array"))
		compile_array(c, node, f);
	else if (ao_span_is(f->type, "integer"))
		*n = (ao_schema_node){.type = AO_INTEGER, .int32 = ao_span_is(f->format, "int32"), .item = AO_NO_NODE};
	else if (ao_span_is(f->type, "number"))
		n->type = AO_NUMBER;
	else if (ao_span_is(f->type, "boolean"))
		n->type = AO_BOOLEAN;
	else if (ao_span_is(f->type, "string")) {
		n->type = AO_STRING;
		add_words(c, node, f->words);
	}
}

/** Where the server uses `oneOf` and `anyOf` for types, they mean "string or number". An `allOf` of one item wraps a reference. */
static uint32_t compile_plain(compiler *c, const facts *f)
{
	ao_span first = {0};
	size_t cursor = 0;
	if (f->all_of.at && ao_span_item(f->all_of, &cursor, &first) && !f->type.at)
		return compile(c, first);
	if (f->reference.at) {
		ao_auto_str char *name = ao_span_text(f->reference);
		return compile_definition(c, name ? name : "");
	}
	uint32_t node = new_node(c);
	if (is_true(f->int_or_string) || (!f->type.at && f->one_of.at))
		c->schema->nodes[node].type = AO_SCALAR;
	else
		compile_typed(c, node, f);
	return node;
}

static uint32_t compile_facts(compiler *c, const facts *f)
{
	if (c->error || c->depth >= MAX_DEPTH) {
		c->error = c->error ? c->error : -E2BIG;
		return 0;
	}
	c->depth++;
	uint32_t node = compile_plain(c, f);
	c->depth--;
	return node;
}

static uint32_t compile(compiler *c, ao_span text)
{
	facts f = facts_of(text);
	return compile_facts(c, &f);
}

/* ---- roots ---- */

static void add_root(compiler *c, const char *name, const char *api_version, const char *kind)
{
	ao_schema *s = c->schema;
	uint32_t version_at = pooled(c, api_version), kind_at = pooled(c, kind), node = compile_definition(c, name);
	uint32_t index = grow((void **)&s->roots, &s->root_count, sizeof(*s->roots));
	s->roots[index] = (ao_schema_root){version_at, kind_at, node};
}

static void add_roots_of(compiler *c, definition *d, const char *name, bool (*wanted)(void *, const char *, const char *), void *arg)
{
	size_t cursor = 0;
	ao_span item, list = ao_span_get(d->text, "x-kubernetes-group-version-kind");
	while (ao_span_item(list, &cursor, &item)) {
		ao_auto_str char *group = ao_span_text(ao_span_get(item, "group"));
		ao_auto_str char *version = ao_span_text(ao_span_get(item, "version"));
		ao_auto_str char *kind = ao_span_text(ao_span_get(item, "kind"));
		if (!group || !version || !kind)
			continue;
		ao_auto_str char *api_version = ao_xasprintf("%s%s%s", group, *group ? "/" : "", version);
		if (!wanted || wanted(arg, api_version, kind))
			add_root(c, name, api_version, kind);
	}
}

static void find_definitions(compiler *c, ao_span document)
{
	size_t cursor = 0;
	ao_span key, value, schemas = ao_span_at(document, "components", "schemas");
	while (ao_span_member(schemas, &cursor, &key, &value)) {
		ao_auto_str char *name = ao_xstrndup(key.at, key.len);
		definition *d = ao_xcalloc(1, sizeof(*d));
		*d = (definition){value, AO_NO_NODE};
		free(ao_map_put(c->definitions, name, d));
	}
}

static void compiler_clear(compiler *c)
{
	size_t cursor = 0;
	for (definition *d; (d = ao_map_next(c->definitions, &cursor, NULL));)
		free(d);
	ao_map_free(c->definitions);
	ao_map_free(c->words);
	ao_buf_free(&c->pool);
	ao_schema_free(c->schema);
}

int ao_schema_compile(const char *document, size_t len, bool (*wanted)(void *arg, const char *api_version, const char *kind), void *arg,
		      ao_schema **ret, ao_err **reterr)
{
	if (len > AO_SCHEMA_MAX_DOCUMENT)
		return ao_err_set(reterr, -E2BIG, "the OpenAPI document is larger than %zu bytes", AO_SCHEMA_MAX_DOCUMENT);
	compiler c = {
	    .schema = ao_xcalloc(1, sizeof(ao_schema)), .definitions = ao_map_new(), .words = ao_map_new(), .pool = ao_buf_init(MAX_POOL)};
	new_node(&c); /* so that node 0 exists whatever goes wrong */
	find_definitions(&c, (ao_span){document, len});
	size_t cursor = 0;
	const char *name;
	for (definition *d; !c.error && (d = ao_map_next(c.definitions, &cursor, &name));)
		add_roots_of(&c, d, name, wanted, arg);
	if (ao_map_count(c.definitions) == 0)
		c.error = -EINVAL;
	int r = c.error;
	if (r == 0) {
		c.schema->pool_len = c.pool.len;
		c.schema->pool = ao_buf_steal(&c.pool);
		*ret = AO_TAKE(c.schema);
	}
	compiler_clear(&c);
	return r == 0 ? 0 : ao_err_set(reterr, r, r == -E2BIG ? "the OpenAPI document holds too much" : "not an OpenAPI v3 document");
}

void ao_schema_free(ao_schema *s)
{
	if (!s)
		return;
	free(s->nodes);
	free(s->properties);
	free(s->words);
	free(s->roots);
	free(s->pool);
	free(s);
}
