/* difference.c -- one walk over both trees; a path is put together going down. */
#include "json/difference.h"

#include "base/mem.h"

#include <string.h>

static void walk(cJSON *out, const char *path, const cJSON *was, const cJSON *is);

static void report(cJSON *out, const char *path, const cJSON *was, const cJSON *is)
{
	cJSON *one = cJSON_CreateObject();
	ao_json_set_str(one, "path", path);
	if (was)
		ao_json_set(one, "was", cJSON_Duplicate(was, 1));
	if (is)
		ao_json_set(one, "is", cJSON_Duplicate(is, 1));
	cJSON_AddItemToArray(out, one);
}

static void walk_member(cJSON *out, const char *path, const char *key, const cJSON *was, const cJSON *is)
{
	bool plain = !strpbrk(key, "./[]");
	ao_auto_str char *below = ao_xasprintf(plain ? "%s%s%s" : "%s%s\"%s\"", path, *path ? "." : "", key);
	walk(out, below, was, is);
}

static void walk_objects(cJSON *out, const char *path, const cJSON *was, const cJSON *is)
{
	const cJSON *member;
	cJSON_ArrayForEach (member, was)
		walk_member(out, path, member->string, member, cJSON_GetObjectItemCaseSensitive(is, member->string));
	cJSON_ArrayForEach (member, is)
		if (!cJSON_GetObjectItemCaseSensitive(was, member->string))
			walk_member(out, path, member->string, NULL, member);
}

/** Do all items have names, each its own? */
static bool has_names(const cJSON *list)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, list) {
		const char *name = ao_json_str(item, "name");
		if (!name || ao_json_item(list, "name", name) != item)
			return false;
	}
	return true;
}

static void walk_named(cJSON *out, const char *path, const cJSON *was, const cJSON *is)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, was) {
		ao_auto_str char *below = ao_xasprintf("%s[%s]", path, ao_json_str(item, "name"));
		walk(out, below, item, ao_json_item(is, "name", ao_json_str(item, "name")));
	}
	cJSON_ArrayForEach (item, is)
		if (!ao_json_item(was, "name", ao_json_str(item, "name"))) {
			ao_auto_str char *below = ao_xasprintf("%s[%s]", path, ao_json_str(item, "name"));
			walk(out, below, NULL, item);
		}
}

static void walk_lists(cJSON *out, const char *path, const cJSON *was, const cJSON *is)
{
	if (has_names(was) && has_names(is)) {
		walk_named(out, path, was, is);
		return;
	}
	const cJSON *a = was->child, *b = is->child;
	for (int i = 0; a || b; i++) {
		ao_auto_str char *below = ao_xasprintf("%s[%d]", path, i);
		walk(out, below, a, b);
		a = a ? a->next : NULL;
		b = b ? b->next : NULL;
	}
}

static void walk(cJSON *out, const char *path, const cJSON *was, const cJSON *is)
{
	if (ao_json_equal(was, is))
		return;
	if (cJSON_IsObject(was) && cJSON_IsObject(is))
		walk_objects(out, path, was, is);
	else if (cJSON_IsArray(was) && cJSON_IsArray(is))
		walk_lists(out, path, was, is);
	else
		report(out, path, was, is);
}

cJSON *ao_json_differences(const cJSON *was, const cJSON *is)
{
	cJSON *out = cJSON_CreateArray();
	walk(out, "", was, is);
	return out;
}
