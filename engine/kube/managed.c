/* managed.c -- reads managedFields as spans for the store, and as a tree for the one patch that changes them. */
#include "kube/managed.h"

#include "base/mem.h"

#include <string.h>

/* ---- reading ---- */

static bool held_by_one_of(ao_span entry, const char *const *managers)
{
	ao_span manager = ao_span_get(entry, "manager");
	for (; managers && *managers; managers++)
		if (ao_span_is(manager, *managers))
			return true;
	return false;
}

ao_managed ao_managed_scan(ao_span fields, const char *const *managers)
{
	ao_managed held = {0};
	size_t cursor = 0;
	ao_span entry;
	while (ao_span_item(fields, &cursor, &entry)) {
		ao_span subresource = ao_span_get(entry, "subresource");
		if (!held_by_one_of(entry, managers) || (subresource.at && !ao_span_is(subresource, "")))
			continue;
		ao_span operation = ao_span_get(entry, "operation");
		if (ao_span_is(operation, "Update"))
			held.legacy_owned = true;
		else if (ao_span_is(operation, "Apply"))
			held.owns_replicas = held.owns_replicas || ao_span_at(entry, "fieldsV1", "f:spec", "f:replicas").at;
	}
	return held;
}

/* ---- the patch ---- */

static bool is_one_of(const char *manager, const char *ours, const char *const *legacy)
{
	if (strcmp(manager, ours) == 0)
		return true;
	for (; legacy && *legacy; legacy++)
		if (strcmp(manager, *legacy) == 0)
			return true;
	return false;
}

/** Does this entry become part of ours? It does when it is an Update of ours or of a predecessor, or our own Apply. */
static bool is_ours(const cJSON *entry, const char *ours, const char *const *legacy, bool *ret_update)
{
	const char *manager = ao_json_str(entry, "manager"), *operation = ao_json_str(entry, "operation"),
		   *subresource = ao_json_str(entry, "subresource");
	if (!manager || !operation || (subresource && *subresource))
		return false;
	*ret_update = strcmp(operation, "Update") == 0;
	return *ret_update ? is_one_of(manager, ours, legacy) : strcmp(operation, "Apply") == 0 && strcmp(manager, ours) == 0;
}

/** Adds the members of `from` to `into` at every depth: the union of two sets of fields. */
static void merge_fields(cJSON *into, const cJSON *from)
{
	const cJSON *member;
	cJSON_ArrayForEach (member, from) {
		cJSON *have = cJSON_GetObjectItemCaseSensitive(into, member->string);
		if (!have)
			cJSON_AddItemToObject(into, member->string, cJSON_Duplicate(member, 1));
		else if (cJSON_IsObject(have) && cJSON_IsObject(member))
			merge_fields(have, member);
	}
}

static void take_over(cJSON *merged, const cJSON *entry)
{
	const char *time = ao_json_str(entry, "time"), *latest = ao_json_str(merged, "time");
	const char *api_version = ao_json_str(entry, "apiVersion");
	if (time && (!latest || strcmp(time, latest) > 0))
		ao_json_set_str(merged, "time", time);
	if (api_version && !ao_json_at(merged, "apiVersion"))
		ao_json_set_str(merged, "apiVersion", api_version);
	merge_fields(ao_json_object(merged, "fieldsV1"), ao_json_at(entry, "fieldsV1"));
}

cJSON *ao_managed_patch(const cJSON *live, const char *manager, const char *const *legacy, bool drop_replicas)
{
	ao_auto_json cJSON *entries = cJSON_CreateArray(), *merged = cJSON_CreateObject();
	bool found = false, changes = false, update;
	const cJSON *entry, *version = ao_json_at(live, "metadata", "resourceVersion");
	ao_json_set_str(merged, "manager", manager);
	ao_json_set_str(merged, "operation", "Apply");
	ao_json_set_str(merged, "fieldsType", "FieldsV1");
	cJSON_ArrayForEach (entry, ao_json_at(live, "metadata", "managedFields")) {
		if (!is_ours(entry, manager, legacy, &update)) {
			cJSON_AddItemToArray(entries, cJSON_Duplicate(entry, 1));
			continue;
		}
		found = true;
		changes = changes || update;
		take_over(merged, entry);
	}
	cJSON *spec = ao_json_at(merged, "fieldsV1", "f:spec");
	if (drop_replicas && ao_json_at(spec, "f:replicas")) {
		cJSON_DeleteItemFromObjectCaseSensitive(spec, "f:replicas");
		changes = true;
	}
	if (!found || !changes || !version)
		return NULL;
	cJSON_InsertItemInArray(entries, 0, AO_TAKE(merged));
	cJSON *patch = cJSON_CreateArray();
	cJSON_AddItemToArray(patch, ao_json_patch_step("replace", "/metadata/managedFields", AO_TAKE(entries)));
	cJSON_AddItemToArray(patch, ao_json_patch_step("replace", "/metadata/resourceVersion", cJSON_Duplicate(version, 1)));
	return patch;
}
