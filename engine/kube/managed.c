/*
 * managed.c -- without this, nothing that we stop rendering would ever go: an Update entry keeps owning it (measurements.md d).
 */
#include "kube/managed.h"

#include "base/mem.h"

#include <string.h>

static bool is_ours(const cJSON *entry, const char *manager, const char *const *legacy_managers)
{
	const char *name = ao_json_str(entry, "manager"), *operation = ao_json_str(entry, "operation");
	const char *subresource = ao_json_str(entry, "subresource");
	if (!name || !operation || (subresource && *subresource))
		return false;
	if (strcmp(name, manager) == 0)
		return true;
	for (; strcmp(operation, "Update") == 0 && legacy_managers && *legacy_managers; legacy_managers++)
		if (strcmp(name, *legacy_managers) == 0)
			return true;
	return false;
}

static bool is_update(const cJSON *entry) { return strcmp(ao_json_str(entry, "operation"), "Update") == 0; }

/** FieldsV1 sets are nested objects: their union. */
static void unite(cJSON *into, const cJSON *fields)
{
	const cJSON *member;
	cJSON_ArrayForEach(member, fields)
	{
		cJSON *there = ao_json_at(into, member->string);
		if (!there)
			cJSON_AddItemToObject(into, member->string, cJSON_Duplicate(member, 1));
		else
			unite(there, member);
	}
}

static cJSON *step(const char *path, cJSON *value)
{
	cJSON *s = cJSON_CreateObject();
	ao_json_set_str(s, "op", "replace");
	ao_json_set_str(s, "path", path);
	ao_json_set(s, "value", value);
	return s;
}

cJSON *ao_managed_patch(const cJSON *live, const char *manager, const char *const *legacy_managers, bool drop_replicas)
{
	cJSON *entries = cJSON_CreateArray(), *fields = cJSON_CreateObject();
	const cJSON *entry, *latest = NULL;
	bool moved = false;
	cJSON_ArrayForEach(entry, ao_json_at(live, "metadata", "managedFields"))
	{
		if (!is_ours(entry, manager, legacy_managers)) {
			cJSON_AddItemToArray(entries, cJSON_Duplicate(entry, 1));
			continue;
		}
		moved = moved || is_update(entry);
		unite(fields, ao_json_at(entry, "fieldsV1"));
		latest = entry;
	}
	cJSON *spec = ao_json_at(fields, "f:spec");
	if (drop_replicas && ao_json_at(spec, "f:replicas")) {
		cJSON_DeleteItemFromObjectCaseSensitive(spec, "f:replicas");
		moved = true;
	}
	if (!moved || !latest) {
		cJSON_Delete(entries);
		cJSON_Delete(fields);
		return NULL;
	}
	cJSON *ours = cJSON_CreateObject();
	ao_json_set_str(ours, "manager", manager);
	ao_json_set_str(ours, "operation", "Apply");
	ao_json_set_str(ours, "apiVersion", ao_json_str(latest, "apiVersion"));
	ao_json_set_str(ours, "time", ao_json_str(latest, "time"));
	ao_json_set_str(ours, "fieldsType", "FieldsV1");
	ao_json_set(ours, "fieldsV1", fields);
	cJSON_AddItemToArray(entries, ours);
	cJSON *patch = cJSON_CreateArray();
	cJSON_AddItemToArray(patch, step("/metadata/managedFields", entries));
	/* makes the patch fail when somebody wrote meanwhile: their entry would be lost */
	cJSON_AddItemToArray(patch,
			     step("/metadata/resourceVersion", cJSON_CreateString(ao_json_str(live, "metadata", "resourceVersion"))));
	return patch;
}
