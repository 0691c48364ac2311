/*
 * compare.c -- is what we want already there?
 *
 * The server adds defaults, other managers add fields, and values come back in another form; so this looks for each field of ours in
 * what is observed, and for nothing else.
 */
#include "base/mem.h"
#include "kube/apply.h"
#include "kube/quantity.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PATH 1024

/** The fields that name an item of a list; lists that are not here are compared by position. */
static const struct {
	const char *list;
	const char *keys[2];
} list_keys[] = {
    {"containers", {"name"}},
    {"initContainers", {"name"}},
    {"ephemeralContainers", {"name"}},
    {"env", {"name"}},
    {"volumes", {"name"}},
    {"volumeMounts", {"mountPath"}},
    {"volumeDevices", {"devicePath"}},
    {"ports", {"containerPort", "protocol"}},
    {"imagePullSecrets", {"name"}},
    {"hostAliases", {"ip"}},
    {"topologySpreadConstraints", {"topologyKey", "whenUnsatisfiable"}},
    {"ownerReferences", {"uid"}},
    {"conditions", {"type"}},
    {"claims", {"name"}},
    {"resourceClaims", {"name"}},
    {"schedulingGates", {"name"}},
};

typedef struct comparison {
	ao_buf path;
} comparison;

static bool same(comparison *c, const cJSON *desired, const cJSON *observed, bool quantity);

static const char *const *keys_of(const char *list)
{
	for (size_t i = 0; list && i < AO_LEN(list_keys); i++)
		if (strcmp(list_keys[i].list, list) == 0)
			return list_keys[i].keys;
	return NULL;
}

/** Values that the server leaves out when it stores them. */
static bool is_empty(const cJSON *value)
{
	return cJSON_IsNull(value) || cJSON_IsFalse(value) || (cJSON_IsNumber(value) && value->valuedouble == 0) ||
	       (cJSON_IsString(value) && !*value->valuestring) || ((cJSON_IsObject(value) || cJSON_IsArray(value)) && !value->child);
}

static bool same_key(const cJSON *a, const cJSON *b, const char *const *keys)
{
	const cJSON *first = ao_json_at(a, keys[0]);
	if (!first || !ao_json_equal(first, ao_json_at(b, keys[0])))
		return false;
	if (!keys[1])
		return true;
	/* the only second key that may be left out is a port's protocol, and then it is TCP */
	const char *x = ao_json_str(a, keys[1]), *y = ao_json_str(b, keys[1]);
	return strcmp(x ? x : "TCP", y ? y : "TCP") == 0;
}

/** The last item wins, as it does when a container starts with a variable given twice. */
static const cJSON *find_item(const cJSON *list, const cJSON *like, const char *const *keys)
{
	const cJSON *item, *found = NULL;
	cJSON_ArrayForEach(item, list) if (same_key(like, item, keys)) found = item;
	return found;
}

/** Runs one comparison with `step` added to the path; on a difference the path stays. */
static bool same_at(comparison *c, const char *step, const cJSON *desired, const cJSON *observed, bool quantity)
{
	ao_buf_puts(&c->path, step);
	return observed ? same(c, desired, observed, quantity) : is_empty(desired);
}

static void step_back(comparison *c, size_t len)
{
	c->path.len = len;
	if (c->path.data)
		c->path.data[len] = '\0';
}

static bool same_list(comparison *c, const cJSON *desired, const cJSON *observed)
{
	const char *const *keys = keys_of(desired->string);
	const cJSON *item, *other = observed->child;
	int index = 0;
	if (!keys && cJSON_GetArraySize(desired) != cJSON_GetArraySize(observed))
		return false;
	cJSON_ArrayForEach(item, desired)
	{
		size_t len = c->path.len;
		const cJSON *key = keys ? ao_json_at(item, keys[0]) : NULL;
		ao_auto_str char *step = cJSON_IsString(key) ? ao_xasprintf("[%s]", key->valuestring) : ao_xasprintf("[%d]", index);
		if (!same_at(c, step, item, keys ? find_item(observed, item, keys) : other, false))
			return false;
		step_back(c, len);
		other = other ? other->next : NULL;
		index++;
	}
	return true;
}

static bool holds_quantities(const char *key) { return key && (strcmp(key, "limits") == 0 || strcmp(key, "requests") == 0); }

static bool is_quantity(const char *key) { return strcmp(key, "sizeLimit") == 0 || strcmp(key, "divisor") == 0; }

static bool same_object(comparison *c, const cJSON *desired, const cJSON *observed)
{
	const cJSON *member;
	bool quantities = holds_quantities(desired->string);
	cJSON_ArrayForEach(member, desired)
	{
		size_t len = c->path.len;
		ao_auto_str char *step = ao_xasprintf("%s%s", len ? "." : "", member->string);
		if (!same_at(c, step, member, ao_json_at(observed, member->string), quantities || is_quantity(member->string)))
			return false;
		step_back(c, len);
	}
	return true;
}

/** A quantity may be written as a number. */
static bool same_quantity(const cJSON *desired, const cJSON *observed)
{
	ao_auto_str char *a = cJSON_IsString(desired) ? ao_xstrdup(desired->valuestring) : ao_json_print(desired);
	ao_auto_str char *b = cJSON_IsString(observed) ? ao_xstrdup(observed->valuestring) : ao_json_print(observed);
	return strcmp(a, b) == 0 || ao_quantity_equal(a, b);
}

static bool same(comparison *c, const cJSON *desired, const cJSON *observed, bool quantity)
{
	if (is_empty(desired) && is_empty(observed))
		return true;
	if (quantity && !cJSON_IsObject(desired) && !cJSON_IsArray(desired))
		return same_quantity(desired, observed);
	if (cJSON_IsObject(desired))
		return cJSON_IsObject(observed) && same_object(c, desired, observed);
	if (cJSON_IsArray(desired))
		return cJSON_IsArray(observed) && same_list(c, desired, observed);
	return ao_json_equal(desired, observed);
}

bool ao_apply_equal(const cJSON *desired, const cJSON *observed, char **ret_path)
{
	comparison c = {.path = ao_buf_init(MAX_PATH)};
	bool equal = same(&c, desired, observed, false);
	if (!equal && ret_path)
		*ret_path = ao_buf_steal(&c.path);
	ao_buf_free(&c.path);
	return equal;
}
