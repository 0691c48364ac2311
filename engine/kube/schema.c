/* schema.c -- walks an object and its schema side by side.  The path of an error is put together on the way back up. */
#include "kube/schema.h"

#include "base/mem.h"
#include "base/suggest.h"
#include "kube/merge_keys.h"
#include "kube/schema_table.h"
#include "json/json.h"

#include <math.h>
#include <string.h>

#define MAX_DEPTH 64

static int check(const ao_schema *s, uint32_t index, cJSON *value, unsigned depth, ao_err **reterr);

static const char *text(const ao_schema *s, uint32_t at) { return s->pool + at; }

static const ao_schema_root *find_root(const ao_schema *s, const char *api_version, const char *kind)
{
	for (size_t i = 0; i < s->root_count; i++)
		if (strcmp(text(s, s->roots[i].kind), kind) == 0 && strcmp(text(s, s->roots[i].api_version), api_version) == 0)
			return &s->roots[i];
	return NULL;
}

bool ao_schema_has(const ao_schema *s, const char *api_version, const char *kind) { return find_root(s, api_version, kind) != NULL; }

size_t ao_schema_bytes(const ao_schema *s)
{
	return sizeof(*s) + s->node_count * sizeof(*s->nodes) + s->property_count * sizeof(*s->properties) +
	       s->word_count * sizeof(*s->words) + s->root_count * sizeof(*s->roots) + s->pool_len;
}

static const ao_schema_property *find_property(const ao_schema *s, const ao_schema_node *node, const char *name)
{
	size_t low = node->first, high = node->first + node->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, text(s, s->properties[middle].name));
		if (order == 0)
			return &s->properties[middle];
		*(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
	}
	return NULL;
}

/* ---- errors ---- */

static const char *type_of(const cJSON *value)
{
	return cJSON_IsObject(value)   ? "an object"
	       : cJSON_IsArray(value)  ? "a list"
	       : cJSON_IsString(value) ? "a string"
	       : cJSON_IsBool(value)   ? "a boolean"
	       : cJSON_IsNull(value)   ? "null"
				       : "a number";
}

/** Leaves the value itself out of the text, because it may be a secret. */
static int wrong_type(const ao_schema_node *node, const cJSON *value, ao_err **reterr)
{
	static const char *const NAMES[] = {"anything",   "an object", "a list",    "a string",
					    "an integer", "a number",  "a boolean", "a string or a number"};
	bool quote = node->type == AO_STRING && (cJSON_IsNumber(value) || cJSON_IsBool(value));
	return ao_err_set(reterr, -EINVAL, ": must be %s, not %s%s", NAMES[node->type], type_of(value),
			  quote ? "; write it in quotes" : "");
}

/** Puts a step in front of the path. Adds a dot when the path so far begins with a name. */
static int below(int r, ao_err **reterr, const char *name)
{
	if (reterr && *reterr) {
		char first = (*reterr)->msg[0];
		ao_auto_str char *rest = ao_xstrdup((*reterr)->msg);
		ao_err_set(reterr, r, "%s%s%s", name, first == ':' || first == '[' ? "" : ".", rest);
	}
	return r;
}

static int below_index(int r, ao_err **reterr, int index)
{
	ao_auto_str char *step = ao_xasprintf("[%d]", index);
	return below(r, reterr, step);
}

static int unknown_field(const ao_schema *s, const ao_schema_node *node, const char *name, ao_err **reterr)
{
	ao_suggest near = ao_suggest_for(name);
	for (size_t i = 0; i < node->count; i++)
		ao_suggest_offer(&near, text(s, s->properties[node->first + i].name));
	ao_auto_str char *hint = ao_suggest_text(&near);
	return ao_err_set(reterr, -ENOTSUP, "%.200s: unknown field%s", name, hint);
}

/* ---- lists ---- */

/** The value by which the server tells list items apart: one member of the item, or the item itself in a set. */
static const cJSON *key_of(const cJSON *item, const char *key) { return key ? ao_json_at(item, key) : item; }

static bool same_keys(const ao_schema *s, const ao_schema_node *node, const cJSON *a, const cJSON *b)
{
	if (node->list_set)
		return ao_json_equal(a, b);
	for (uint32_t i = 0; i < node->words; i++)
		if (!ao_merge_same(a, b, text(s, s->words[node->word + i])))
			return false;
	return node->words > 0;
}

static int no_twins(const ao_schema *s, const ao_schema_node *node, const cJSON *list, ao_err **reterr)
{
	int i = 0;
	const cJSON *item, *other;
	cJSON_ArrayForEach (item, list) {
		int j = 0;
		cJSON_ArrayForEach (other, list) {
			if (j >= i)
				break;
			if (same_keys(s, node, item, other)) {
				const char *key = node->words ? text(s, s->words[node->word]) : NULL;
				const cJSON *value = key_of(item, key);
				ao_auto_str char *number = ao_xasprintf("%.0f", cJSON_IsNumber(value) ? value->valuedouble : 0);
				return ao_err_set(reterr, -EINVAL, "[%d]: %s%s%.100s is in the list already, at [%d]", i, key ? key : "",
						  key ? " " : "",
						  cJSON_IsString(value)   ? value->valuestring
						  : cJSON_IsNumber(value) ? number
									  : "",
						  j);
			}
			j++;
		}
		i++;
	}
	return 0;
}

static int check_list(const ao_schema *s, const ao_schema_node *node, cJSON *list, unsigned depth, ao_err **reterr)
{
	int index = 0;
	cJSON *item;
	cJSON_ArrayForEach (item, list) {
		int r = node->item == AO_NO_NODE ? 0 : check(s, node->item, item, depth, reterr);
		if (r < 0)
			return below_index(r, reterr, index);
		index++;
	}
	return node->list_map || node->list_set ? no_twins(s, node, list, reterr) : 0;
}

/* ---- objects ---- */

static int check_required(const ao_schema *s, const ao_schema_node *node, const cJSON *object, ao_err **reterr)
{
	for (uint32_t i = 0; i < node->count; i++) {
		const ao_schema_property *p = &s->properties[node->first + i];
		const cJSON *value = p->required && !p->has_default ? ao_json_at(object, text(s, p->name)) : NULL;
		if (p->required && !p->has_default && (!value || cJSON_IsNull(value)))
			return ao_err_set(reterr, -EINVAL, "%s: is missing", text(s, p->name));
	}
	return 0;
}

static int check_object(const ao_schema *s, const ao_schema_node *node, cJSON *object, unsigned depth, ao_err **reterr)
{
	cJSON *member;
	cJSON_ArrayForEach (member, object) {
		const ao_schema_property *p = find_property(s, node, member->string);
		uint32_t child = p ? p->node : node->item;
		if (!p && child == AO_NO_NODE) {
			if (node->open)
				continue;
			return unknown_field(s, node, member->string, reterr);
		}
		int r = cJSON_IsNull(member) ? 0 : check(s, child, member, depth, reterr);
		if (r < 0)
			return below(r, reterr, member->string);
	}
	return check_required(s, node, object, reterr);
}

/* ---- any value ---- */

/** Settles what an empty table of Lua is: it could be a list or an object, and the schema knows which. */
static void settle_empty(const ao_schema_node *node, cJSON *value)
{
	bool empty = (cJSON_IsObject(value) || cJSON_IsArray(value)) && !value->child;
	if (empty && (node->type == AO_ARRAY || node->type == AO_OBJECT))
		value->type = (value->type & ~0xff) | (node->type == AO_ARRAY ? cJSON_Array : cJSON_Object);
}

static int check_string(const ao_schema *s, const ao_schema_node *node, const cJSON *value, ao_err **reterr)
{
	if (!node->words || !*value->valuestring) /* to the server "" is the same as absent */
		return 0;
	ao_auto_buf ao_buf all = ao_buf_init(1000);
	for (uint32_t i = 0; i < node->words; i++) {
		const char *word = text(s, s->words[node->word + i]);
		if (strcmp(word, value->valuestring) == 0)
			return 0;
		ao_buf_printf(&all, "%s%s", i ? ", " : "", word);
	}
	return ao_err_set(reterr, -ENOTSUP, ": \"%.100s\" is not one of %s", value->valuestring, all.data);
}

static int check_integer(const ao_schema_node *node, const cJSON *value, ao_err **reterr)
{
	double n = value->valuedouble;
	if (n != floor(n))
		return ao_err_set(reterr, -EINVAL, ": must be an integer, not a fraction");
	if (node->int32 && (n > INT32_MAX || n < INT32_MIN))
		return ao_err_set(reterr, -EINVAL, ": is beyond what 32 bits hold");
	return 0;
}

static int check(const ao_schema *s, uint32_t index, cJSON *value, unsigned depth, ao_err **reterr)
{
	const ao_schema_node *node = &s->nodes[index];
	if (depth >= MAX_DEPTH)
		return ao_err_set(reterr, -EINVAL, ": is nested too deeply");
	settle_empty(node, value);
	switch ((ao_schema_type)node->type) {
	case AO_ANY:
		return 0;
	case AO_OBJECT:
		return cJSON_IsObject(value) ? check_object(s, node, value, depth + 1, reterr) : wrong_type(node, value, reterr);
	case AO_ARRAY:
		return cJSON_IsArray(value) ? check_list(s, node, value, depth + 1, reterr) : wrong_type(node, value, reterr);
	case AO_STRING:
		return cJSON_IsString(value) ? check_string(s, node, value, reterr) : wrong_type(node, value, reterr);
	case AO_INTEGER:
		return cJSON_IsNumber(value) ? check_integer(node, value, reterr) : wrong_type(node, value, reterr);
	case AO_NUMBER:
		return cJSON_IsNumber(value) ? 0 : wrong_type(node, value, reterr);
	case AO_BOOLEAN:
		return cJSON_IsBool(value) ? 0 : wrong_type(node, value, reterr);
	case AO_SCALAR:
		return cJSON_IsNumber(value) || cJSON_IsString(value) ? 0 : wrong_type(node, value, reterr);
	}
	return 0;
}

int ao_schema_check(const ao_schema *s, cJSON *object, ao_err **reterr)
{
	const char *api_version = ao_json_str(object, "apiVersion"), *kind = ao_json_str(object, "kind");
	const ao_schema_root *root = api_version && kind ? find_root(s, api_version, kind) : NULL;
	return root ? check(s, root->node, object, 0, reterr) : 0;
}
