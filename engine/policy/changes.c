/*
 * changes.c -- groups by a text: kind, action and fields, with a placeholder for the parent's name.
 *
 * There may be as many different changes as there are parents.  Beyond a cap they share one group for each kind, without fields.
 */
#include "policy/changes.h"

#include "base/map.h"
#include "base/mem.h"
#include "policy/plan.h"
#include "policy/redact.h"
#include "json/difference.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GROUPS 1000
#define MAX_TEXT (256 * 1024) /* of what a group is known by */
#define MAX_VALUE 80          /* bytes of a value in a summary */
#define MAX_FIELDS 3          /* in a line of a summary */

typedef struct member {
	char *parent, *name;
	size_t pods;
} member;

typedef struct group {
	char *kind;
	ao_change_action action;
	cJSON *fields;
	char *text; /* of the first change as it is, without the placeholder */
	bool alike;
	member *members;
	size_t count, size;
} group;

struct ao_changes {
	ao_map *groups;  /* what they are known by -> group */
	ao_map *parents; /* those that have members; the values mean nothing */
	void (*on_add)(void *arg, const ao_change_item *change);
	void *arg;
};

const char *ao_change_word(ao_change_action action)
{
	static const char *const WORDS[] = {"created", "changed", "deleted", "refused"};
	return WORDS[action];
}

ao_changes *ao_changes_new(void (*on_add)(void *arg, const ao_change_item *change), void *arg)
{
	ao_changes *c = ao_xcalloc(1, sizeof(*c));
	*c = (ao_changes){ao_map_new(), ao_map_new(), on_add, arg};
	return c;
}

static void free_member(member *m)
{
	free(m->parent);
	free(m->name);
}

static void free_group(group *g)
{
	for (size_t i = 0; i < g->count; i++)
		free_member(&g->members[i]);
	free(g->members);
	cJSON_Delete(g->fields);
	free(g->kind);
	free(g->text);
	free(g);
}

void ao_changes_free(ao_changes *c)
{
	if (!c)
		return;
	size_t cursor = 0;
	for (group *g; (g = ao_map_next(c->groups, &cursor, NULL));)
		free_group(g);
	ao_map_free(c->groups);
	ao_map_free(c->parents);
	free(c);
}

/* ---- groups ---- */

static bool is_word(char c) { return isalnum((unsigned char)c); }

/** The text with "{name}" where the name stands as a word of its own. */
static char *without_name(const char *text, const char *name)
{
	ao_auto_buf ao_buf out = ao_buf_init(2 * MAX_TEXT);
	size_t len = name ? strlen(name) : 0;
	for (const char *at = text; *at;) {
		const char *found = len ? strstr(at, name) : NULL;
		if (!found)
			found = at + strlen(at);
		bool whole = *found && (found == text || !is_word(found[-1])) && !is_word(found[len]);
		ao_buf_put(&out, at, (size_t)(found - at));
		if (*found)
			ao_buf_puts(&out, whole ? "{name}" : name);
		at = *found ? found + len : found;
	}
	return ao_buf_steal(&out);
}

static const char *name_in(const char *key)
{
	const char *slash = key ? strchr(key, '/') : NULL;
	return slash ? slash + 1 : key;
}

static group *group_for(ao_changes *c, const ao_change_item *change)
{
	ao_auto_str char *fields = change->fields ? ao_json_print(change->fields) : NULL;
	bool crowded = ao_map_count(c->groups) >= MAX_GROUPS || (fields && strlen(fields) > MAX_TEXT);
	ao_auto_str char *alike = fields && !crowded ? without_name(fields, name_in(change->parent)) : NULL;
	ao_auto_str char *id = ao_xasprintf("%s %d %s", change->kind, (int)change->action, alike ? alike : "");
	group *g = ao_map_get(c->groups, id);
	if (!g && ao_map_count(c->groups) >= MAX_GROUPS) {
		free(id);
		id = ao_xasprintf("%s %d ", change->kind, (int)change->action);
		g = ao_map_get(c->groups, id);
	}
	if (!g) {
		g = ao_xcalloc(1, sizeof(*g));
		*g = (group){.kind = ao_xstrdup(change->kind), .action = change->action, .text = ao_xstrdup(fields), .alike = true};
		g->fields = change->fields && !crowded ? cJSON_Duplicate(change->fields, 1) : cJSON_CreateArray();
		ao_map_put(c->groups, id, g);
	}
	g->alike = g->alike && (!fields || (g->text && strcmp(g->text, fields) == 0));
	return g;
}

void ao_changes_add(ao_changes *c, const ao_change_item *change)
{
	group *g = group_for(c, change);
	if (g->count == g->size) {
		g->size = g->size ? 2 * g->size : 4;
		g->members = ao_xrealloc(g->members, g->size * sizeof(*g->members));
	}
	g->members[g->count++] = (member){
	    .parent = ao_xstrdup(change->parent ? change->parent : ""),
	    .name = change->namespace_ ? ao_xasprintf("%s/%s", change->namespace_, change->name) : ao_xstrdup(change->name),
	    .pods = change->pods,
	};
	if (change->parent)
		ao_map_put(c->parents, change->parent, c);
	if (c->on_add)
		c->on_add(c->arg, change);
}

void ao_changes_forget(ao_changes *c, const char *parent)
{
	size_t cursor = 0;
	const char *id;
	if (!ao_map_remove(c->parents, parent))
		return;
	for (group *g; (g = ao_map_next(c->groups, &cursor, &id));) {
		size_t kept = 0;
		for (size_t i = 0; i < g->count; i++)
			if (strcmp(g->members[i].parent, parent) == 0)
				free_member(&g->members[i]);
			else
				g->members[kept++] = g->members[i];
		g->count = kept;
		if (!kept)
			free_group(ao_map_remove(c->groups, id));
	}
}

/* ---- two plans ---- */

static bool is_same(const cJSON *a, const cJSON *b, const char *key)
{
	const char *x = ao_json_str(a, key), *y = ao_json_str(b, key);
	return x && y && strcmp(x, y) == 0;
}

/** Of an object: its kind, namespace and name. */
typedef struct identity {
	const char *kind, *namespace_, *name;
} identity;

static identity identity_of(const cJSON *object)
{
	const cJSON *metadata = ao_json_at(object, "metadata");
	return (identity){ao_json_str(object, "kind"), ao_json_str(metadata, "namespace"), ao_json_str(metadata, "name")};
}

static const cJSON *find_child(const cJSON *children, const cJSON *wanted)
{
	const identity id = identity_of(wanted);
	const cJSON *child;
	cJSON_ArrayForEach (child, children)
		if (ao_plan_is(child, id.kind, id.namespace_, id.name))
			return child;
	return NULL;
}

/** What a plan has in which objects are: those that are compared, and Secrets that others are copied into. */
static const char *const LISTS[] = {"objects", "copies"};

static const cJSON *find_item(const cJSON *plan, const cJSON *wanted)
{
	const identity id = identity_of(wanted);
	const cJSON *item = NULL;
	for (size_t i = 0; !item && i < AO_LEN(LISTS); i++)
		item = ao_plan_find(plan, LISTS[i], id.kind, id.namespace_, id.name);
	return item;
}

static const cJSON *find_queue(const cJSON *list, const cJSON *wanted)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, list)
		if (is_same(item, wanted, "name") && is_same(item, wanted, "transport"))
			return item;
	return NULL;
}

/** What pods are made from: the template of a workload, or what a pod itself says. NULL: it makes none. */
static const cJSON *pods_from(const cJSON *object)
{
	const cJSON *spec = ao_json_at(object, "spec"), *template = ao_json_at(spec, "template");
	return template || !ao_json_at(spec, "containers") ? template : spec;
}

bool ao_changes_replace_pods(const cJSON *was, const cJSON *is)
{
	const cJSON *before = pods_from(was), *after = pods_from(is);
	return before && after && !ao_json_equal(before, after);
}

size_t ao_changes_pods_of(const cJSON *child)
{
	static const char *const COUNTS[] = {"replicas", "currentNumberScheduled", "active"};
	const cJSON *status = ao_json_at(child, "status"), *running = NULL;
	for (size_t i = 0; !cJSON_IsNumber(running) && i < AO_LEN(COUNTS); i++)
		running = ao_json_at(status, COUNTS[i]);
	if (ao_json_at(child, "spec", "containers"))
		return 1;
	return cJSON_IsNumber(running) && running->valuedouble > 0 ? (size_t)running->valuedouble : 0;
}

/** The same, where one that differs in anything may be made anew, as its kind has it. @param item  of the plan that has `is` */
static bool stops_pods(const cJSON *item, const cJSON *was, const cJSON *is)
{
	const char *update = ao_json_str(item, "update");
	bool anew = update && strstr(update, "Recreate") && pods_from(is);
	return anew ? !ao_json_equal(was, is) : ao_changes_replace_pods(was, is);
}

/** @param was, is  NULL: there is none. @param stops  the pods of what was */
static void add_object(ao_changes *c, const char *parent, const cJSON *was, const cJSON *is, bool stops, const cJSON *children)
{
	const cJSON *object = is ? is : was;
	ao_auto_json cJSON *fields = was && is ? ao_json_differences(was, is) : NULL;
	size_t pods = stops ? ao_changes_pods_of(find_child(children, object)) : 0;
	ao_changes_add(c, &(ao_change_item){.parent = parent,
					    .kind = ao_json_str(object, "kind"),
					    .namespace_ = ao_json_str(object, "metadata", "namespace"),
					    .name = ao_json_str(object, "metadata", "name"),
					    .action = !was  ? AO_CHANGE_CREATED
						      : !is ? AO_CHANGE_DELETED
							    : AO_CHANGE_CHANGED,
					    .fields = fields,
					    .pods = pods});
}

static void add_queue(ao_changes *c, const char *parent, const cJSON *was, const cJSON *is)
{
	const cJSON *queue = is ? is : was;
	ao_auto_json cJSON *fields = was && is ? ao_json_differences(was, is) : NULL;
	ao_changes_add(c, &(ao_change_item){.parent = parent,
					    .kind = AO_CHANGE_QUEUE,
					    .namespace_ = ao_json_str(queue, "transport"),
					    .name = ao_json_str(queue, "name"),
					    .action = !was  ? AO_CHANGE_CREATED
						      : !is ? AO_CHANGE_DELETED
							    : AO_CHANGE_CHANGED,
					    .fields = fields});
}

void ao_changes_add_queues(ao_changes *c, const char *parent, const cJSON *before, const cJSON *after)
{
	const cJSON *item, *old = ao_json_at(before, "queues"), *new = ao_json_at(after, "queues");
	cJSON_ArrayForEach (item, new) {
		const cJSON *was = find_queue(old, item);
		if (!was || !ao_json_equal(was, item))
			add_queue(c, parent, was, item);
	}
	cJSON_ArrayForEach (item, old)
		if (!find_queue(new, item))
			add_queue(c, parent, item, NULL);
}

/** Adds what the new plan has otherwise, or more. @return whether that replaces pods, be there any now or not */
static bool add_wanted(ao_changes *c, const char *parent, const cJSON *before, const cJSON *item, const cJSON *children)
{
	const cJSON *is = ao_json_at(item, "object"), *old = find_item(before, is), *was = ao_json_at(old, "object");
	const cJSON *from = ao_json_at(item, "sources"), *from_before = ao_json_at(old, "sources");
	if (was && ao_json_equal(was, is) && (from && from_before ? ao_json_equal(from, from_before) : from == from_before))
		return false;
	bool stops = was && stops_pods(item, was, is);
	add_object(c, parent, was, is, stops, children);
	return stops;
}

/** Does what the plan lacks stay all the same? A plan that waits may want it later, and one that is refused changes nothing. */
static bool stays(const cJSON *plan, const cJSON *object)
{
	const identity id = identity_of(object);
	return ao_json_at(plan, "waits") || ao_json_at(plan, "invalid") || ao_plan_keeps(plan, id.kind, id.namespace_, id.name);
}

/** A copy that nobody watches goes with its parent. */
static bool is_unseen(const cJSON *item, const cJSON *children)
{
	return ao_json_at(item, "sources") && !find_child(children, ao_json_at(item, "object"));
}

/**
 * Does a child run pods that would end?  It goes, or the new plan wants it, and the one before does not say how: that failed, refused the
 * parent or kept the child, which others have made before.
 */
static bool ends_pods(const cJSON *before, const cJSON *after, const cJSON *children)
{
	const cJSON *child;
	cJSON_ArrayForEach (child, children)
		if (ao_changes_pods_of(child) && (find_item(after, child) ? !find_item(before, child) : !stays(after, child)))
			return true;
	return false;
}

bool ao_changes_add_plans(ao_changes *c, const char *parent, const cJSON *before, const cJSON *after, const cJSON *children)
{
	const cJSON *item;
	bool replaces = ends_pods(before, after, children);
	for (size_t i = 0; i < AO_LEN(LISTS); i++) {
		cJSON_ArrayForEach (item, ao_json_at(after, LISTS[i]))
			replaces = add_wanted(c, parent, before, item, children) || replaces;
		cJSON_ArrayForEach (item, ao_json_at(before, LISTS[i])) {
			const cJSON *was = ao_json_at(item, "object");
			if (!find_item(after, was) && !stays(after, was) && !is_unseen(item, children))
				add_object(c, parent, was, NULL, true, children);
		}
	}
	ao_changes_add_queues(c, parent, before, after);
	return replaces;
}

/* ---- what there is ---- */

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static size_t count_parents(const group *g)
{
	size_t count = 0;
	const char **keys = ao_xcalloc(g->count, sizeof(*keys));
	for (size_t i = 0; i < g->count; i++)
		keys[i] = g->members[i].parent;
	qsort(keys, g->count, sizeof(*keys), by_text);
	for (size_t i = 0; i < g->count; i++)
		count += *keys[i] && (i == 0 || strcmp(keys[i - 1], keys[i]) != 0);
	free(keys);
	return count;
}

/** The largest first; what is equally large in a fixed order. */
static int by_size(const void *a, const void *b)
{
	const group *x = *(const group *const *)a, *y = *(const group *const *)b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	int order = strcmp(x->kind, y->kind);
	if (order == 0)
		order = strcmp(x->members[0].name, y->members[0].name);
	return order ? order : (int)x->action - (int)y->action;
}

void ao_changes_each(const ao_changes *c, void (*fn)(void *arg, const ao_change_group *group), void *arg)
{
	size_t cursor = 0, count = 0;
	const group **sorted = ao_xcalloc(ao_map_count(c->groups) + 1, sizeof(*sorted));
	for (const group *g; (g = ao_map_next(c->groups, &cursor, NULL));)
		sorted[count++] = g;
	qsort(sorted, count, sizeof(*sorted), by_size);
	for (size_t i = 0; i < count; i++) {
		const group *g = sorted[i];
		const char **names = ao_xcalloc(g->count, sizeof(*names));
		ao_change_group told = {g->kind, g->action, g->fields,           g->alike, g->count, count_parents(g),
					0,       names,     g->members[0].parent};
		for (size_t k = 0; k < g->count; k++) {
			names[k] = g->members[k].name;
			told.pods += g->members[k].pods;
		}
		qsort(names, g->count, sizeof(*names), by_text);
		fn(arg, &told);
		free(names);
	}
	free(sorted);
}

ao_changes_count ao_changes_count_all(const ao_changes *c)
{
	ao_changes_count count = {0};
	size_t cursor = 0;
	for (const group *g; (g = ao_map_next(c->groups, &cursor, NULL));) {
		bool queue = strcmp(g->kind, AO_CHANGE_QUEUE) == 0;
		count.queues += queue ? g->count : 0;
		count.children += queue ? 0 : g->count;
		for (size_t i = 0; i < g->count; i++)
			count.pods += g->action == AO_CHANGE_CHANGED ? g->members[i].pods : 0;
	}
	return count;
}

/* ---- the summary ---- */

/** Values at these places are never shown, because people keep passwords there. */
static bool may_be_secret(const ao_change_group *g, const char *path)
{
	static const char *const PLACES[] = {"env[", "env", "command", "args", "data", "stringData", "config", "secrets"};
	if (strcmp(g->kind, "Secret") == 0)
		return true;
	for (size_t i = 0; i < AO_LEN(PLACES); i++)
		for (const char *at = path; (at = strstr(at, PLACES[i])); at++)
			if ((at == path || !is_word(at[-1])) && !is_word(at[strlen(PLACES[i])]))
				return true;
	return false;
}

/** Would a value be taken out of what is shown elsewhere? @param value  at that path, or NULL */
static bool is_hidden(const char *path, const cJSON *value)
{
	const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
	if (dot > path && dot[-1] == ']' && strcmp(name, "value") == 0)
		return true; /* a variable, or a header */
	ao_auto_redaction ao_redaction *redaction = ao_redaction_new(NULL);
	ao_auto_json cJSON *tree = cJSON_CreateObject();
	ao_json_set(tree, name, cJSON_Duplicate(value, 1));
	ao_auto_json cJSON *shown = cJSON_Duplicate(tree, 1);
	ao_redact(redaction, shown);
	return !ao_json_equal(shown, tree);
}

/** "spec.template.spec.containers[app].image" as "app image". */
static void put_path(ao_buf *out, const char *path)
{
	static const char CONTAINERS[] = "spec.containers[";
	const char *found = strstr(path, CONTAINERS), *name = found ? found + sizeof(CONTAINERS) - 1 : NULL;
	size_t len = name ? strcspn(name, "]") : 0;
	if (!name || !name[len])
		ao_buf_puts(out, path);
	else if (name[len + 1] == '.')
		ao_buf_printf(out, "%.*s %s", (int)len, name, name + len + 2);
	else
		ao_buf_printf(out, "container %.*s", (int)len, name);
}

static void put_value(ao_buf *out, const cJSON *value)
{
	ao_auto_str char *text = ao_json_print(value);
	size_t len = strlen(text), quotes = cJSON_IsString(value) && len > 2 ? 1 : 0;
	ao_buf_printf(out, "%.*s%s", len - 2 * quotes > MAX_VALUE ? MAX_VALUE : (int)(len - 2 * quotes), text + quotes,
		      len - 2 * quotes > MAX_VALUE ? "..." : "");
}

static void put_field(ao_buf *out, const ao_change_group *g, const cJSON *field)
{
	const cJSON *was = ao_json_at(field, "was"), *is = ao_json_at(field, "is");
	const char *path = ao_json_str(field, "path");
	bool plain = g->alike && !cJSON_IsObject(was) && !cJSON_IsObject(is) && !may_be_secret(g, path) && !is_hidden(path, was) &&
		     !is_hidden(path, is);
	put_path(out, path);
	if (g->action == AO_CHANGE_REFUSED)
		return;
	if (was && is && plain) {
		ao_buf_puts(out, " ");
		put_value(out, was);
		ao_buf_puts(out, " -> ");
		put_value(out, is);
	} else if (is && plain) {
		ao_buf_puts(out, " added: ");
		put_value(out, is);
	} else {
		ao_buf_puts(out, was && is ? " changed" : is ? " added" : " removed");
	}
}

typedef struct summary {
	const char *plural;
	size_t shown, max_groups, more;
	ao_buf *out;
} summary;

static void put_group(void *arg, const ao_change_group *g)
{
	summary *s = arg;
	const cJSON *field;
	int fields = 0, all = cJSON_GetArraySize(g->fields);
	if (s->shown >= s->max_groups) {
		s->more++;
		return;
	}
	ao_buf_printf(s->out, "%s%zu %s: %s", s->shown++ ? "; " : "", g->parents ? g->parents : g->count, g->parents ? s->plural : "shared",
		      g->kind);
	ao_buf_puts(s->out, all ? ": " : " ");
	if (!all || g->action == AO_CHANGE_REFUSED)
		ao_buf_printf(s->out, "%s%s", ao_change_word(g->action), all ? ": " : "");
	cJSON_ArrayForEach (field, g->fields) {
		if (fields++ == MAX_FIELDS)
			break;
		ao_buf_puts(s->out, fields > 1 ? ", " : "");
		put_field(s->out, g, field);
	}
	if (all > MAX_FIELDS)
		ao_buf_printf(s->out, " and %d more fields", all - MAX_FIELDS);
	if (g->pods)
		ao_buf_printf(s->out, ", %s %zu pods", g->action == AO_CHANGE_DELETED ? "ends" : "replaces", g->pods);
}

void ao_changes_summary(const ao_changes *c, const char *plural, size_t max_groups, ao_buf *out)
{
	summary s = {.plural = plural, .max_groups = max_groups, .out = out};
	ao_changes_each(c, put_group, &s);
	if (s.more)
		ao_buf_printf(out, "%sand %zu other kinds of change", s.shown ? "; " : "", s.more);
}
