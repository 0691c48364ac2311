/* migrate_plan.c -- compares two plans of the same policies for each parent. The counts of messages are those of its status. */
#include "cli/migrate_plan.h"

#include "base/map.h"
#include "base/mem.h"
#include "cli/listed.h"
#include "cli/page.h"
#include "cli/sides.h"
#include "policy/changes.h"
#include "policy/plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct planning {
	ao_sides *sides;
	ao_listed listed;
	const ao_manifest *manifest;
	const ao_migrate_options *options;
	cJSON *rows;
} planning;

/* ---- one parent ---- */

static const cJSON *find_queue(const cJSON *plan, const char *transport)
{
	const cJSON *queue;
	cJSON_ArrayForEach (queue, ao_json_at(plan, "queues")) {
		const char *its = ao_json_str(queue, "transport");
		if (its && strcmp(its, transport) == 0 && !ao_json_at(queue, "leaving") && !ao_json_at(queue, "into"))
			return queue;
	}
	return NULL;
}

static void add_queues(cJSON *row, const cJSON *now, const cJSON *then)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *queue;
	cJSON_ArrayForEach (queue, ao_json_at(then, "queues")) {
		const char *transport = ao_json_str(queue, "transport"), *to = ao_json_str(queue, "name");
		if (!transport || find_queue(then, transport) != queue)
			continue;
		const cJSON *before = find_queue(now, transport);
		cJSON *one = cJSON_CreateObject();
		ao_json_set_str(one, "transport", transport);
		ao_json_set_str(one, "from", before ? ao_json_str(before, "name") : NULL);
		ao_json_set_str(one, "to", to);
		cJSON_AddItemToArray(list, one);
	}
	ao_json_set(row, "queues", list);
}

static const cJSON *object_of(const cJSON *plan, const char *kind, const char *name)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		const char *its_kind = ao_json_str(object, "kind"), *its_name = ao_json_str(object, "metadata", "name");
		if (its_kind && its_name && strcmp(its_kind, kind) == 0 && strcmp(its_name, name) == 0)
			return object;
	}
	return NULL;
}

static void add_restarts(cJSON *row, const cJSON *snapshot, const cJSON *now, const cJSON *then)
{
	cJSON *list = cJSON_CreateArray();
	const cJSON *child;
	cJSON_ArrayForEach (child, ao_json_at(snapshot, "children")) {
		const char *kind = ao_json_str(child, "kind"), *name = ao_json_str(child, "metadata", "name");
		const cJSON *was = kind && name ? object_of(now, kind, name) : NULL, *is = was ? object_of(then, kind, name) : NULL;
		if (!is || !ao_changes_replace_pods(was, is))
			continue;
		cJSON *one = cJSON_CreateObject();
		ao_json_set_str(one, "kind", kind);
		ao_json_set_str(one, "name", name);
		ao_json_set(one, "pods", cJSON_CreateNumber((double)ao_changes_pods_of(child)));
		cJSON_AddItemToArray(list, one);
	}
	ao_json_set(row, "restarts", list);
}

static void add_counts(const planning *p, cJSON *row, const cJSON *parent)
{
	const struct {
		const char *key;
		char *const *path;
	} counts[] = {{"messages", p->manifest->waiting_path}, {"inFlight", p->manifest->in_flight_path}};
	for (size_t i = 0; i < AO_LEN(counts); i++) {
		const cJSON *count = counts[i].path ? ao_json_at_path(parent, counts[i].path) : NULL;
		if (cJSON_IsNumber(count))
			ao_json_set(row, counts[i].key, cJSON_Duplicate(count, 1));
	}
}

static bool is_draining(const planning *p, const cJSON *parent)
{
	const cJSON *record, *records = p->manifest->records_path ? ao_json_at_path(parent, p->manifest->records_path) : NULL;
	cJSON_ArrayForEach (record, records) {
		const char *drain = ao_json_str(record, "drain");
		if (drain && (strcmp(drain, "waiting") == 0 || strcmp(drain, "moving") == 0))
			return true;
	}
	return false;
}

static void refuse(cJSON *row, const char *why)
{
	ao_json_set_str(row, "state", AO_MIGRATE_REFUSED);
	ao_json_set_str(row, "message", why);
}

static void compare(const planning *p, cJSON *row, const cJSON *snapshot, const cJSON *now, const cJSON *then)
{
	const char *from = ao_json_str(now, "profile"), *invalid = ao_json_str(then, "invalid", "message");
	ao_json_set_str(row, "from", from);
	add_queues(row, now, then);
	add_restarts(row, snapshot, now, then);
	add_counts(p, row, ao_json_at(snapshot, "parent"));
	if (invalid)
		refuse(row, invalid);
	else if (from && strcmp(from, p->options->to) == 0)
		ao_json_set_str(row, "state", is_draining(p, ao_json_at(snapshot, "parent")) ? AO_MIGRATE_UNDER_WAY : AO_MIGRATE_DONE);
	else
		ao_json_set_str(row, "state", AO_MIGRATE_NEEDED);
}

static cJSON *plan_parent(const planning *p, const ao_object *parent)
{
	ao_auto_json cJSON *snapshot = NULL, *now = NULL, *then = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_bundle *bundle = ao_sides_would(p->sides, parent)->loaded.bundle;
	cJSON *row = cJSON_CreateObject();
	ao_json_set_str(row, "namespace", parent->namespace_);
	ao_json_set_str(row, "name", parent->name);
	ao_json_set_str(row, "to", p->options->to);
	cJSON_AddItemToArray(p->rows, row);
	int r = ao_world_snapshot(p->listed.world, parent, &snapshot, &err);
	if (r == 0)
		r = ao_plan_make(bundle, p->listed.openapi, snapshot, &now, NULL, NULL, &err);
	if (r == 0) {
		cJSON *metadata = ao_json_object(ao_json_at(snapshot, "parent"), "metadata");
		ao_json_set_str(ao_json_object(metadata, "annotations"), p->manifest->profile_annotation, p->options->to);
		r = ao_plan_make(bundle, p->listed.openapi, snapshot, &then, NULL, NULL, &err);
	}
	if (r < 0)
		refuse(row, ao_err_text(err));
	else
		compare(p, row, snapshot, now, then);
	return row;
}

/* ---- all of them ---- */

static bool is_chosen(const ao_migrate_options *options, const char *namespace_, const ao_object *parent)
{
	if (parent->deleting || (namespace_ && strcmp(parent->namespace_, namespace_) != 0))
		return false;
	for (size_t i = 0; options->names[i]; i++)
		if (strcmp(options->names[i], parent->name) == 0)
			return true;
	return !options->names[0];
}

static int check_names(const planning *p, const char *namespace_, ao_err **reterr)
{
	const char *const *names = (const char *const *)p->options->names;
	for (size_t i = 0; names[i]; i++) {
		ao_auto_str char *key = ao_xasprintf("%s/%s", namespace_, names[i]);
		if (!ao_store_get(ao_world_parents(p->listed.world), key))
			return ao_err_set(reterr, -ENOENT, "there is no %s %s in namespace %s", p->manifest->kinds[0].resource.kind,
					  names[i], namespace_);
	}
	return 0;
}

static bool is_state(const cJSON *row, const char *state) { return strcmp(ao_json_str(row, "state"), state) == 0; }

/** Those of the same namespaces that stay where they are for now: they must be reached by new names, too. */
static void add_others(const planning *p, const char *chosen_namespace, ao_map *namespaces)
{
	size_t cursor = 0;
	for (const ao_object *o; (o = ao_store_next(ao_world_parents(p->listed.world), &cursor));) {
		if (o->deleting || is_chosen(p->options, chosen_namespace, o) || !ao_map_get(namespaces, o->namespace_))
			continue;
		cJSON *row = plan_parent(p, o);
		if (is_state(row, AO_MIGRATE_NEEDED))
			ao_json_set_str(row, "state", AO_MIGRATE_BESIDE);
		else
			cJSON_Delete(cJSON_DetachItemViaPointer(p->rows, row));
	}
}

static void note_awaited(const planning *p)
{
	ao_map *awaited = ao_map_new();
	static char yes;
	cJSON *row;
	cJSON_ArrayForEach (row, p->rows)
		if (is_state(row, AO_MIGRATE_BESIDE) || is_state(row, AO_MIGRATE_REFUSED))
			ao_map_put(awaited, ao_json_str(row, "namespace"), &yes);
	cJSON_ArrayForEach (row, p->rows)
		if (ao_map_get(awaited, ao_json_str(row, "namespace")))
			ao_json_set(row, "awaited", cJSON_CreateBool(true));
	ao_map_free(awaited);
}

static int plan_all(planning *p, const char *namespace_, ao_err **reterr)
{
	size_t cursor = 0;
	static char yes;
	int r = check_names(p, namespace_, reterr);
	if (r < 0)
		return r;
	ao_map *namespaces = ao_map_new();
	for (const ao_object *o; (o = ao_store_next(ao_world_parents(p->listed.world), &cursor));)
		if (is_chosen(p->options, namespace_, o)) {
			plan_parent(p, o);
			ao_map_put(namespaces, o->namespace_, &yes);
		}
	add_others(p, namespace_, namespaces);
	ao_map_free(namespaces);
	note_awaited(p);
	return 0;
}

int ao_migrate_plan(ao_session *session, const ao_load_options *load, const ao_migrate_options *options, ao_manifest **ret_manifest,
		    cJSON **ret, ao_err **reterr)
{
	planning p = {.options = options, .rows = cJSON_CreateArray()};
	ao_manifest *manifest = NULL;
	const char *usual = options->namespace_ ? options->namespace_ : session->config->namespace_;
	int r = ao_sides_new(session, load, &p.sides, reterr);
	if (r == 0)
		r = ao_sides_manifest(p.sides, &manifest, reterr);
	p.manifest = manifest;
	if (r == 0 && (!manifest->profile_annotation || !manifest->names_annotation))
		r = ao_err_set(reterr, -EINVAL, "the policies of this cluster have no profiles");
	if (r == 0)
		r = ao_listed_read(session, manifest, &p.listed, reterr);
	if (r == 0)
		r = plan_all(&p, options->everywhere ? NULL : usual, reterr);
	ao_listed_clear(&p.listed);
	ao_sides_free(p.sides);
	if (r < 0) {
		ao_manifest_free(manifest);
		cJSON_Delete(p.rows);
		return r;
	}
	*ret_manifest = manifest;
	*ret = p.rows;
	return 0;
}

/* ---- what is printed ---- */

size_t ao_migrate_refused(const cJSON *rows)
{
	size_t refused = 0;
	const cJSON *row;
	cJSON_ArrayForEach (row, rows)
		refused += is_state(row, AO_MIGRATE_REFUSED);
	return refused;
}

static void print_row(const cJSON *row)
{
	const char *state = ao_json_str(row, "state"), *message = ao_json_str(row, "message"), *from = ao_json_str(row, "from");
	const cJSON *each, *messages = ao_json_at(row, "messages"), *flying = ao_json_at(row, "inFlight");
	bool needed = is_state(row, AO_MIGRATE_NEEDED);
	printf("%s/%s: ", ao_json_str(row, "namespace"), ao_json_str(row, "name"));
	ao_page_print(message ? AO_RED : needed ? AO_YELLOW : AO_GREEN, "%s", state);
	printf(message ? ": %s\n" : "\n", message);
	if (!needed)
		return;
	printf("  profile %s -> %s\n", from ? from : "?", ao_json_str(row, "to"));
	cJSON_ArrayForEach (each, ao_json_at(row, "queues")) {
		printf("  queue %s -> %s (%s)", ao_json_str(each, "from") ? ao_json_str(each, "from") : "none", ao_json_str(each, "to"),
		       ao_json_str(each, "transport"));
		if (messages)
			printf(", %.0f messages", messages->valuedouble);
		if (flying)
			printf(", %.0f in flight", flying->valuedouble);
		printf("\n");
	}
	cJSON_ArrayForEach (each, ao_json_at(row, "restarts"))
		printf("  restarts %s %s, %.0f pods\n", ao_json_str(each, "kind"), ao_json_str(each, "name"),
		       ao_json_at(each, "pods")->valuedouble);
}

void ao_migrate_print(const cJSON *rows, const ao_migrate_options *options, const char *plural)
{
	const cJSON *row;
	size_t needed = 0, chosen = 0;
	if (ao_output_value(options->output, rows))
		return;
	cJSON_ArrayForEach (row, rows) {
		bool is_needed = is_state(row, AO_MIGRATE_NEEDED);
		needed += is_needed;
		chosen += !is_state(row, AO_MIGRATE_BESIDE);
		if (options->output != AO_OUTPUT_NAME)
			print_row(row);
		else if (is_needed)
			printf("%s/%s\n", ao_json_str(row, "namespace"), ao_json_str(row, "name"));
	}
	if (options->output != AO_OUTPUT_NAME)
		printf("%zu of %zu %s to be migrated to profile %s\n", needed, chosen, plural, options->to);
}
