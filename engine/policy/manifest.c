/* manifest.c -- reads the manifest from JSON.  An error names the field that is missing. */
#include "policy/manifest.h"

#include "base/mem.h"

#include <string.h>

static int required(const cJSON *object, const char *where, const char *key, char **ret, ao_err **reterr)
{
	const char *text = ao_json_str(object, key);
	if (!text || !*text)
		return ao_err_set(reterr, -EINVAL, "manifest: %s.%s must be a non-empty string", where, key);
	*ret = ao_xstrdup(text);
	return 0;
}

/** What of the objects is kept. Of children that a plan compares all is needed; the others are copied, or kept as they are. */
static int read_projection(const cJSON *object, const char *where, ao_kind *kind, ao_err **reterr)
{
	static const char *const NAMES[] = {
	    [AO_PROJECTION_POD] = "pod", [AO_PROJECTION_STATUS] = "status", [AO_PROJECTION_METADATA] = "metadata"};
	const char *projection = ao_json_str(object, "projection");
	bool related = kind->role == AO_ROLE_RELATED;
	if (!projection)
		return 0;
	for (size_t i = AO_PROJECTION_POD; i < AO_LEN(NAMES); i++)
		if (strcmp(projection, NAMES[i]) == 0)
			kind->projection = (ao_projection)i;
	if (related ? kind->projection != AO_WHOLE : kind->role == AO_ROLE_CHILD && kind->projection == AO_PROJECTION_METADATA)
		return 0;
	return ao_err_set(reterr, -EINVAL, "manifest: %s.projection \"%s\" is not %s", where, projection,
			  related ? "one of pod, status and metadata" : "metadata, the one that is for children");
}

static int read_related(const cJSON *object, const char *where, ao_kind *kind, ao_err **reterr)
{
	const char *same = ao_json_str(object, "same_label");
	kind->label = ao_xstrdup(same ? same : ao_json_str(object, "label"));
	kind->same = same != NULL;
	kind->owner = ao_xstrdup(ao_json_str(object, "owner"));
	kind->rules = kind->optional = cJSON_IsTrue(ao_json_at(object, "rules"));
	if (!!kind->label + !!kind->owner + kind->rules != 1)
		return ao_err_set(reterr, -EINVAL, "manifest: %s needs one of label, same_label, owner and rules, which say whose it is",
				  where);
	return 0;
}

/** "Cluster", or nothing. */
static int read_scope(const cJSON *object, const char *where, ao_kind *kind, ao_err **reterr)
{
	const char *scope = ao_json_str(object, "scope");
	kind->resource.cluster_scoped = scope && strcmp(scope, "Cluster") == 0;
	if (scope && !kind->resource.cluster_scoped)
		return ao_err_set(reterr, -EINVAL, "manifest: %s.scope \"%s\" is not Cluster", where, scope);
	return 0;
}

static int read_kind(const cJSON *object, const char *where, ao_kind_role role, ao_kind *kind, ao_err **reterr)
{
	*kind = (ao_kind){.role = role};
	int r = required(object, where, "apiVersion", &kind->resource.api_version, reterr);
	if (r == 0)
		r = required(object, where, "kind", &kind->resource.kind, reterr);
	if (r == 0)
		r = required(object, where, "plural", &kind->resource.plural, reterr);
	if (r == 0)
		r = read_scope(object, where, kind, reterr);
	if (r < 0)
		return r;
	kind->selector = ao_xstrdup(ao_json_str(object, "selector"));
	if (role == AO_ROLE_CHILD && cJSON_IsTrue(ao_json_at(object, "shared")))
		kind->role = AO_ROLE_SHARED;
	kind->by_label = kind->role == AO_ROLE_CHILD && ao_json_str(object, "owned_by");
	r = read_projection(object, where, kind, reterr);
	return r == 0 && role == AO_ROLE_RELATED ? read_related(object, where, kind, reterr) : r;
}

static int read_kinds(const cJSON *list, const char *name, ao_kind_role role, ao_manifest *m, ao_err **reterr)
{
	const cJSON *item;
	size_t index = 0;
	cJSON_ArrayForEach (item, list) {
		ao_auto_str char *where = ao_xasprintf("%s[%zu]", name, ++index);
		m->kinds = ao_xrealloc(m->kinds, (m->kind_count + 1) * sizeof(*m->kinds));
		int r = read_kind(item, where, role, &m->kinds[m->kind_count++], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_declared(const cJSON *list, ao_manifest *m, ao_err **reterr)
{
	size_t first = m->kind_count;
	int r = read_kinds(list, "kinds", AO_ROLE_CHILD, m, reterr);
	for (size_t i = first; i < m->kind_count; i++)
		m->kinds[i].declared = m->kinds[i].optional = true;
	return r;
}

/** A NULL-terminated copy of a JSON array of strings, with `extra` first when it is not NULL. */
static char **string_list(const cJSON *list, const char *extra)
{
	char **strings = ao_xcalloc((size_t)cJSON_GetArraySize(list) + 2, sizeof(*strings));
	size_t count = 0;
	if (extra)
		strings[count++] = ao_xstrdup(extra);
	const cJSON *item;
	cJSON_ArrayForEach (item, list)
		if (cJSON_IsString(item) && !(extra && strcmp(item->valuestring, extra) == 0))
			strings[count++] = ao_xstrdup(item->valuestring);
	return strings;
}

static char **split_path(const char *dotted)
{
	if (!dotted)
		return NULL;
	char **steps = ao_xcalloc(strlen(dotted) + 2, sizeof(*steps));
	size_t count = 0;
	for (const char *at = dotted;; at++) {
		size_t len = strcspn(at, ".");
		steps[count++] = ao_xstrndup(at, len);
		at += len;
		if (!*at)
			return steps;
	}
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static bool is_name(const char *text) { return text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")] == '\0'; }

/** {name, help, label, path}: how parents are counted in /metrics. */
static int read_gauge(const cJSON *gauge, ao_manifest *m, ao_err **reterr)
{
	ao_auto_str char *path = NULL;
	if (!gauge)
		return 0;
	int r = required(gauge, "gauge", "name", &m->gauge, reterr);
	if (r == 0)
		r = required(gauge, "gauge", "help", &m->gauge_help, reterr);
	if (r == 0)
		r = required(gauge, "gauge", "label", &m->gauge_label, reterr);
	if (r == 0)
		r = required(gauge, "gauge", "path", &path, reterr);
	if (r == 0 && (!is_name(m->gauge) || !is_name(m->gauge_label) || strcmp(m->gauge_label, "namespace") == 0))
		r = ao_err_set(reterr, -EINVAL,
			       "manifest: gauge.name and gauge.label must be of a-z and _, and the label namespace is taken");
	m->gauge_path = split_path(path);
	return r;
}

/** [{path, value}]: which parents are decorated. */
static void read_traits(const cJSON *list, ao_manifest *m)
{
	const cJSON *item;
	m->decorates = cJSON_IsArray(list);
	m->traits = ao_xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*m->traits));
	cJSON_ArrayForEach (item, list)
		m->traits[m->trait_count++] =
		    (ao_trait){string_list(ao_json_at(item, "path"), NULL), ao_xstrdup(ao_json_str(item, "value"))};
}

/** By what children by label are found, and watched: others of their kinds are not ours to see. */
static void read_owner(ao_manifest *m)
{
	m->owner_label = ao_xasprintf("%s/owner-uid", m->component);
	m->owner_annotation = ao_xasprintf("%s/owner", m->component);
	for (size_t i = 0; i < m->kind_count; i++) {
		ao_kind *kind = &m->kinds[i];
		kind->by_label = kind->by_label || (m->decorates && kind->role == AO_ROLE_CHILD);
		if (!kind->by_label)
			continue;
		ao_auto_str char *more = kind->selector;
		kind->selector = ao_xasprintf("%s%s%s", m->owner_label, more ? "," : "", more ? more : "");
	}
}

int ao_manifest_read(const cJSON *json, ao_manifest **ret, ao_err **reterr)
{
	ao_auto_manifest ao_manifest *m = ao_xcalloc(1, sizeof(*m));
	m->kinds = ao_xcalloc(1, sizeof(*m->kinds));
	m->kind_count = 1;
	int r = read_kind(ao_json_at(json, "parent"), "parent", AO_ROLE_PARENT, &m->kinds[0], reterr);
	if (r == 0)
		r = read_kinds(ao_json_at(json, "children"), "children", AO_ROLE_CHILD, m, reterr);
	if (r == 0)
		r = read_declared(ao_json_at(json, "kinds"), m, reterr);
	if (r == 0)
		r = read_kinds(ao_json_at(json, "related"), "related", AO_ROLE_RELATED, m, reterr);
	if (r == 0)
		r = required(json, "manifest", "field_manager", &m->field_manager, reterr);
	if (r == 0)
		r = required(json, "manifest", "lease", &m->lease, reterr);
	if (r == 0)
		r = required(json, "manifest", "component", &m->component, reterr);
	if (r == 0)
		r = read_gauge(ao_json_at(json, "gauge"), m, reterr);
	if (r < 0)
		return r;
	read_traits(ao_json_at(json, "decorate"), m);
	m->patches_status = cJSON_IsTrue(ao_json_at(json, "patches_status"));
	read_owner(m);
	m->debug_path = ao_xstrdup(ao_manifest_debug_path(json));
	for (size_t i = 0; i < m->kind_count; i++)
		m->parent_label = m->kinds[i].same ? m->kinds[i].label : m->parent_label;
	m->made = ao_xcalloc(m->kind_count + 1, sizeof(*m->made));
	for (size_t i = 0, count = 0; i < m->kind_count; i++)
		if (m->kinds[i].role == AO_ROLE_CHILD || m->kinds[i].role == AO_ROLE_SHARED)
			m->made[count++] = &m->kinds[i].resource;
	m->finalizer = ao_xstrdup(ao_json_str(json, "finalizer"));
	m->legacy_managers = string_list(ao_json_at(json, "legacy_managers"), m->field_manager);
	m->digest_path = split_path(ao_json_str(json, "rendered_digest"));
	m->bundle_path = split_path(ao_json_str(json, "bundle_digest"));
	m->records_path = split_path(ao_json_str(json, "queue_records"));
	m->settled_path = split_path(ao_json_str(json, "settled_digest"));
	m->claim_path = split_path(ao_json_str(json, "claim"));
	m->policies_label = ao_xstrdup(ao_json_str(json, "policies_label"));
	m->bundle_label = ao_xstrdup(ao_json_str(json, "bundle_label"));
	m->class_annotation = ao_xstrdup(ao_json_str(json, "class_annotation"));
	m->profile_annotation = ao_xstrdup(ao_json_str(json, "profile", "annotation"));
	m->names_annotation = ao_xstrdup(ao_json_str(json, "profile", "names"));
	m->waiting_path = split_path(ao_json_str(json, "queue_counts", "waiting"));
	m->in_flight_path = split_path(ao_json_str(json, "queue_counts", "in_flight"));
	m->install = ao_xstrdup(ao_json_str(json, "install"));
	*ret = AO_TAKE(m);
	return 0;
}

void ao_manifest_free(ao_manifest *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->kind_count; i++) {
		ao_resource_clear(&m->kinds[i].resource);
		free(m->kinds[i].selector);
		free(m->kinds[i].label);
		free(m->kinds[i].owner);
	}
	free(m->kinds);
	free(m->made);
	free(m->finalizer);
	free(m->field_manager);
	free_list(m->legacy_managers);
	free(m->lease);
	free(m->component);
	free(m->owner_label);
	for (size_t i = 0; i < m->trait_count; i++) {
		free_list(m->traits[i].path);
		free(m->traits[i].value);
	}
	free(m->traits);
	free(m->owner_annotation);
	free_list(m->digest_path);
	free_list(m->bundle_path);
	free_list(m->records_path);
	free_list(m->settled_path);
	free_list(m->claim_path);
	free(m->gauge);
	free(m->gauge_help);
	free(m->gauge_label);
	free_list(m->gauge_path);
	free(m->debug_path);
	free(m->policies_label);
	free(m->bundle_label);
	free(m->class_annotation);
	free(m->profile_annotation);
	free(m->names_annotation);
	free_list(m->waiting_path);
	free_list(m->in_flight_path);
	free(m->install);
	free(m);
}

/* ---- one world for two manifests ---- */

static bool holds(const cJSON *list, const cJSON *kind)
{
	const cJSON *each;
	cJSON_ArrayForEach (each, list)
		if (ao_json_equal(each, kind))
			return true;
	return false;
}

bool ao_manifest_holds(const cJSON *world, const cJSON *row)
{
	return holds(ao_json_at(world, "children"), row) || holds(ao_json_at(world, "kinds"), row);
}

const cJSON *ao_manifest_same_kind(const cJSON *rows, const cJSON *row)
{
	const char *api_version = ao_json_str(row, "apiVersion"), *kind = ao_json_str(row, "kind");
	const cJSON *each;
	cJSON_ArrayForEach (each, rows)
		if (strcmp(ao_json_str(each, "apiVersion"), api_version) == 0 && strcmp(ao_json_str(each, "kind"), kind) == 0)
			return each;
	return NULL;
}

void ao_manifest_add_kinds(cJSON *rows, const cJSON *more)
{
	const cJSON *row;
	cJSON_ArrayForEach (row, more)
		if (!ao_manifest_same_kind(rows, row))
			cJSON_AddItemToArray(rows, cJSON_Duplicate(row, 1));
}

bool ao_manifest_fits(const cJSON *manifest, const cJSON *world)
{
	static const char *const SAME[] = {"parent",           "finalizer",     "field_manager", "legacy_managers",
					   "rendered_digest",  "bundle_digest", "queue_records", "policies_label",
					   "class_annotation", "profile",       "decorate",      "patches_status"};
	const cJSON *kind;
	for (size_t i = 0; i < AO_LEN(SAME); i++) {
		const cJSON *value = ao_json_at(manifest, SAME[i]);
		if (value && !ao_json_equal(value, ao_json_at(world, SAME[i])))
			return false;
	}
	cJSON_ArrayForEach (kind, ao_json_at(manifest, "children"))
		if (!ao_manifest_holds(world, kind))
			return false;
	cJSON_ArrayForEach (kind, ao_json_at(manifest, "related"))
		if (!holds(ao_json_at(world, "related"), kind))
			return false;
	return true;
}

/* ---- two manifests in one process ---- */

/** "asya.sh" of "asya.sh/v1"; "" of "v1". The length of the group. */
static size_t group_of(const char *api_version)
{
	const char *slash = strchr(api_version, '/');
	return slash ? (size_t)(slash - api_version) : 0;
}

bool ao_manifest_one_kind(const ao_resource *a, const ao_resource *b)
{
	const char *x = a->api_version, *y = b->api_version;
	return group_of(x) == group_of(y) && strncmp(x, y, group_of(x)) == 0 && strcmp(a->kind, b->kind) == 0;
}

/** The kind of the parents, borrowed. */
static ao_resource parent_of(const cJSON *manifest)
{
	return (ao_resource){.api_version = (char *)ao_json_str(manifest, "parent", "apiVersion"),
			     .kind = (char *)ao_json_str(manifest, "parent", "kind")};
}

const char *ao_manifest_debug_path(const cJSON *manifest)
{
	const char *path = ao_json_str(manifest, "debug_path");
	return path ? path : ao_json_str(manifest, "parent", "plural");
}

static const char *own_of(const cJSON *manifest, const char *field)
{
	return strcmp(field, "debug_path") == 0 ? ao_manifest_debug_path(manifest) : ao_json_str(manifest, field);
}

/** Is no object of both? The class of an object must be where both look for it. */
static bool is_class_apart(const cJSON *a, const cJSON *b, const char *class_)
{
	const char *x = ao_json_str(a, "class"), *y = ao_json_str(b, "class"), *at = ao_json_str(a, "class_annotation");
	return at && ao_json_equal(ao_json_at(a, "class_annotation"), ao_json_at(b, "class_annotation")) &&
	       strcmp(x ? x : class_, y ? y : class_) != 0;
}

int ao_manifest_apart(const cJSON *a, const char *a_name, const cJSON *b, const char *b_name, const char *class_, ao_err **reterr)
{
	static const char *const OWN[] = {"component", "lease", "policies_label", "debug_path"};
	const ao_resource first = parent_of(a), parent = parent_of(b);
	if (ao_manifest_one_kind(&first, &parent) && !is_class_apart(a, b, class_))
		return ao_err_set(
		    reterr, -EINVAL,
		    "the bundles %s and %s are both for %s (%s); one kind has one bundle: leave one out, or name a class in its "
		    "manifest",
		    a_name, b_name, parent.kind, parent.api_version);
	for (size_t i = 0; i < AO_LEN(OWN); i++) {
		const char *x = own_of(a, OWN[i]), *y = own_of(b, OWN[i]);
		if (x && y && strcmp(x, y) == 0)
			return ao_err_set(reterr, -EINVAL, "the bundles %s and %s have the same %s, %s; name another one in a manifest",
					  a_name, b_name, OWN[i], x);
	}
	return 0;
}

char *ao_kind_rule(const ao_kind *kind)
{
	const char *api_version = kind->resource.api_version, *slash = strchr(api_version, '/');
	ao_auto_str char *group = slash ? ao_xstrndup(api_version, (size_t)(slash - api_version)) : ao_xstrdup("\"\"");
	return ao_xasprintf("{apiGroups: [%s], resources: [%s], verbs: [get, list, watch%s]}", group, kind->resource.plural,
			    kind->role == AO_ROLE_RELATED ? "" : ", create, patch, delete");
}

const ao_kind *ao_manifest_kind(const ao_manifest *m, const cJSON *object)
{
	const char *api_version = ao_json_str(object, "apiVersion"), *kind = ao_json_str(object, "kind");
	for (size_t i = 0; api_version && kind && i < m->kind_count; i++) /* those that are only looked at come last */
		if (ao_resource_is(&m->kinds[i].resource, api_version, kind))
			return &m->kinds[i];
	return NULL;
}
