/* managed.c -- reads managedFields in one walk for the store, and as a tree for the one patch that changes them. */
#include "kube/managed.h"

#include "base/hash.h"
#include "base/mem.h"

#include <limits.h>
#include <string.h>

/* ---- reading ---- */

static bool is_legacy(ao_span manager, const char *const *legacy)
{
	for (; legacy && *legacy; legacy++)
		if (ao_span_is(manager, *legacy))
			return true;
	return false;
}

/** What counts of one entry. */
typedef struct field_set {
	ao_span manager, operation, subresource, fields;
} field_set;

/** Few do, and looking for the words is far quicker than for the field. */
static bool owns_replicas(ao_span fields)
{
	static const char WORDS[] = "\"f:replicas\"";
	return fields.at && memmem(fields.at, fields.len, WORDS, sizeof(WORDS) - 1) && ao_span_at(fields, "f:spec", "f:replicas").at;
}

/** Has an object no member but these? */
static bool has_only(ao_span object, const char *one, const char *other)
{
	ao_walk walk = {.text = object};
	bool first = true, only = true;
	ao_span key;
	if (!object.at || ao_walk_opens(&walk) != '{')
		return true;
	ao_walk_enter(&walk, '{');
	while (only && ao_walk_next(&walk, &first, &key)) {
		only = ao_span_is_key(key, one) || ao_span_is_key(key, other);
		ao_walk_skip(&walk);
	}
	return only;
}

static bool holds_marks(ao_span fields)
{
	return has_only(fields, "f:metadata", "f:metadata") && has_only(ao_span_get(fields, "f:metadata"), "f:labels", "f:annotations");
}

static field_set read_entry(ao_walk *walk)
{
	field_set entry = {0};
	bool first = true;
	ao_span key;
	if (ao_walk_opens(walk) != '{') {
		ao_walk_skip(walk);
		return entry;
	}
	ao_walk_enter(walk, '{');
	while (ao_walk_next(walk, &first, &key)) {
		ao_span value = ao_walk_skip(walk);
		if (ao_span_is_key(key, "manager"))
			entry.manager = value;
		else if (ao_span_is_key(key, "operation"))
			entry.operation = value;
		else if (ao_span_is_key(key, "subresource"))
			entry.subresource = value;
		else if (ao_span_is_key(key, "fieldsV1"))
			entry.fields = value;
	}
	return entry;
}

ao_managed ao_managed_scan(ao_walk *walk, const char *manager, const char *const *legacy)
{
	ao_managed held = {.post_at = -1};
	unsigned ours = 0, others = 0;
	bool first = true;
	if (ao_walk_opens(walk) != '[') {
		ao_walk_skip(walk);
		return held;
	}
	ao_walk_enter(walk, '[');
	for (int at = 0; ao_walk_next(walk, &first, NULL); at++) {
		field_set entry = read_entry(walk);
		bool update = ao_span_is(entry.operation, "Update");
		if (!update && ao_span_is(entry.subresource, "status") && manager && ao_span_is(entry.manager, manager))
			held.applied_status = true;
		if ((entry.subresource.at && !ao_span_is(entry.subresource, "")) || !(update || ao_span_is(entry.operation, "Apply")))
			continue;
		if (!manager || !ao_span_is(entry.manager, manager)) {
			others += update && is_legacy(entry.manager, legacy);
			continue;
		}
		held.post_at = update && !ours && at <= SCHAR_MAX ? (signed char)at : -1;
		held.applied = held.applied || !update;
		held.made = held.made || (!update && !holds_marks(entry.fields));
		held.to_claim = held.to_claim || update;
		held.owns_replicas = held.owns_replicas || owns_replicas(entry.fields);
		held.fields += entry.fields.at ? ao_hash_words(AO_HASH_INIT, entry.fields.at, entry.fields.len) : 0;
		ours++;
	}
	held.legacy_beside = ours && others;
	held.to_claim = held.to_claim || (!ours && others);
	return held;
}

/* ---- the patch ---- */

/** An entry of the main resource by this manager? */
static bool is_by(const cJSON *entry, const char *manager)
{
	const char *by = ao_json_str(entry, "manager"), *subresource = ao_json_str(entry, "subresource");
	return by && strcmp(by, manager) == 0 && !(subresource && *subresource);
}

static bool is_operation(const cJSON *entry, const char *wanted)
{
	const char *operation = ao_json_str(entry, "operation");
	return operation && strcmp(operation, wanted) == 0;
}

static bool holds_any(const cJSON *entries, const char *manager)
{
	const cJSON *entry;
	cJSON_ArrayForEach (entry, entries)
		if (is_by(entry, manager) && (is_operation(entry, "Update") || is_operation(entry, "Apply")))
			return true;
	return false;
}

/** Does this entry become part of ours? It does when it is ours, or an Update of a predecessor. @param legacy  NULL: none counts */
static bool is_claimed(const cJSON *entry, const char *ours, const char *const *legacy)
{
	if (is_by(entry, ours))
		return is_operation(entry, "Update") || is_operation(entry, "Apply");
	for (; legacy && *legacy; legacy++)
		if (is_by(entry, *legacy) && is_operation(entry, "Update"))
			return true;
	return false;
}

bool ao_managed_by(const cJSON *live, const char *manager, const char *const *legacy)
{
	const cJSON *entry;
	cJSON_ArrayForEach (entry, ao_json_at(live, "metadata", "managedFields"))
		if (is_claimed(entry, manager, legacy))
			return true;
	return false;
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

static void add_step(cJSON *patch, const char *op, int at, const char *below, cJSON *value)
{
	ao_auto_str char *path = ao_xasprintf("/metadata/managedFields/%d%s", at, below);
	cJSON_AddItemToArray(patch, ao_json_patch_step(op, path, value));
}

static cJSON *new_patch(const char *uid)
{
	cJSON *patch = cJSON_CreateArray();
	if (uid)
		cJSON_AddItemToArray(patch, ao_json_patch_step("test", "/metadata/uid", cJSON_CreateString(uid)));
	return patch;
}

/** The first of the entries claimed becomes `merged`; the others go, from the last on, so that those before keep their places. */
static void add_changes(cJSON *patch, const cJSON *entries, const char *manager, const char *const *legacy, cJSON *merged)
{
	int first = 0;
	while (!is_claimed(cJSON_GetArrayItem(entries, first), manager, legacy))
		first++;
	for (int at = cJSON_GetArraySize(entries) - 1; at >= first; at--) {
		const cJSON *entry = cJSON_GetArrayItem(entries, at);
		if (!is_claimed(entry, manager, legacy))
			continue;
		add_step(patch, "test", at, "", cJSON_Duplicate(entry, 1));
		add_step(patch, at == first ? "replace" : "remove", at, "", at == first ? merged : NULL);
	}
}

cJSON *ao_managed_patch(const cJSON *live, const char *manager, const char *const *legacy, bool returned, bool drop_replicas)
{
	ao_auto_json cJSON *merged = cJSON_CreateObject();
	bool changes = false;
	const cJSON *entry, *entries = ao_json_at(live, "metadata", "managedFields");
	if (!returned && holds_any(entries, manager))
		legacy = NULL;
	ao_json_set_str(merged, "manager", manager);
	ao_json_set_str(merged, "operation", "Apply");
	ao_json_set_str(merged, "fieldsType", "FieldsV1");
	cJSON_ArrayForEach (entry, entries) {
		if (!is_claimed(entry, manager, legacy))
			continue;
		changes = changes || is_operation(entry, "Update");
		take_over(merged, entry);
	}
	cJSON *spec = ao_json_at(merged, "fieldsV1", "f:spec");
	if (drop_replicas && ao_json_at(spec, "f:replicas")) {
		cJSON_DeleteItemFromObjectCaseSensitive(spec, "f:replicas");
		changes = true;
	}
	if (!changes)
		return NULL;
	cJSON *patch = new_patch(ao_json_str(live, "metadata", "uid"));
	add_changes(patch, entries, manager, legacy, AO_TAKE(merged));
	return patch;
}

cJSON *ao_managed_post_patch(const char *uid, const char *manager, int post_at, bool drop_replicas)
{
	cJSON *patch = new_patch(uid);
	add_step(patch, "test", post_at, "/manager", cJSON_CreateString(manager));
	add_step(patch, "test", post_at, "/operation", cJSON_CreateString("Update"));
	if (drop_replicas)
		add_step(patch, "remove", post_at, "/fieldsV1/f:spec/f:replicas", NULL);
	add_step(patch, "replace", post_at, "/operation", cJSON_CreateString("Apply"));
	return patch;
}

/* ---- edits beside a tool ---- */

static const cJSON *fields_of(const cJSON *entry)
{
	const char *subresource = ao_json_str(entry, "subresource");
	return subresource && *subresource ? NULL : ao_json_at(entry, "fieldsV1");
}

cJSON *ao_managed_edits(const cJSON *live, const char *label)
{
	ao_auto_str char *label_field = ao_xasprintf("f:%s", label);
	const cJSON *entry, *key, *entries = ao_json_at(live, "metadata", "managedFields");
	ao_auto_json cJSON *edits = cJSON_CreateArray();
	bool managed = false;
	cJSON_ArrayForEach (entry, entries)
		managed = managed || ao_json_at(fields_of(entry), "f:metadata", "f:labels", label_field);
	cJSON_ArrayForEach (key, ao_json_at(live, "data")) {
		bool tools = false, others = false;
		ao_auto_str char *field = ao_xasprintf("f:%s", key->string);
		cJSON_ArrayForEach (entry, entries) {
			bool holds = ao_json_at(fields_of(entry), "f:data", field) != NULL;
			bool tool = ao_json_at(fields_of(entry), "f:metadata", "f:labels", label_field) != NULL;
			tools = tools || (holds && tool);
			others = others || (holds && !tool);
		}
		if (others && !tools)
			cJSON_AddItemToArray(edits, cJSON_CreateString(key->string));
	}
	return managed ? AO_TAKE(edits) : NULL;
}
