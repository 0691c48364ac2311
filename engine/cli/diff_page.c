/* diff_page.c -- a single change begins with its name.  Equal changes are printed once: first their number, at the end their names.  The
 * other formats have one change after the other. */
#include "cli/diff_page.h"

#include "base/mem.h"
#include "cli/page.h"

#include <stdio.h>
#include <string.h>

#define MAX_NAMES 10
#define MAX_VALUE 300

void ao_diff_list(void *list, const ao_change_item *change)
{
	cJSON *one = cJSON_CreateObject();
	ao_json_set_str(one, "kind", change->kind);
	ao_json_set_str(one, "namespace", change->namespace_);
	ao_json_set_str(one, "name", change->name);
	ao_json_set_str(one, "parent", change->parent);
	ao_json_set_str(one, "action", ao_change_word(change->action));
	ao_json_set(one, "fields", change->fields ? cJSON_Duplicate(change->fields, 1) : cJSON_CreateArray());
	ao_json_set(one, "pods", cJSON_CreateNumber((double)change->pods));
	cJSON_AddItemToArray(list, one);
}

static void print_value(const char *before, const cJSON *value, bool whole)
{
	ao_auto_str char *text = value ? ao_json_print(value) : NULL;
	bool cut = text && !whole && strlen(text) > MAX_VALUE;
	if (text)
		ao_page_print(AO_PLAIN, "%s%.*s%s", before, cut ? MAX_VALUE : (int)strlen(text), text, cut ? "..." : "");
}

static void print_field(const cJSON *field, bool whole)
{
	const cJSON *was = ao_json_at(field, "was"), *is = ao_json_at(field, "is");
	ao_page_print(was && is ? AO_YELLOW
		      : was     ? AO_RED
		      : is      ? AO_GREEN
				: AO_RED,
		      "  %s %s",
		      was && is ? "~"
		      : was     ? "-"
		      : is      ? "+"
				: "!",
		      ao_json_str(field, "path"));
	print_value(": ", was, whole);
	print_value(was ? " -> " : ": ", is, whole);
	ao_page_print(AO_PLAIN, "\n");
}

static void print_names(const ao_change_group *g)
{
	size_t shown = g->count > MAX_NAMES ? MAX_NAMES : g->count;
	ao_page_print(AO_PLAIN, "  of ");
	for (size_t i = 0; i < shown; i++)
		ao_page_print(AO_PLAIN, "%s%s", i ? ", " : "", g->names[i]);
	if (shown < g->count)
		ao_page_print(AO_PLAIN, " and %zu others", g->count - shown);
	ao_page_print(AO_PLAIN, "\n");
}

static void print_group(void *arg, const ao_change_group *g)
{
	const char *plural = arg;
	const cJSON *field;
	bool queue = strcmp(g->kind, AO_CHANGE_QUEUE) == 0, one = g->count == 1;
	if (one)
		ao_page_print(AO_BOLD, "%s %s", g->kind, g->names[0]);
	else
		ao_page_print(AO_BOLD, "%zu %s: %s", g->parents ? g->parents : g->count, g->parents ? plural : "shared", g->kind);
	if (one && queue)
		ao_page_print(AO_BOLD, " of %s", g->first_parent);
	ao_page_print(AO_PLAIN, "%s%s\n", g->action == AO_CHANGE_CHANGED ? "" : " ",
		      g->action == AO_CHANGE_CHANGED ? "" : ao_change_word(g->action));
	cJSON_ArrayForEach (field, g->fields)
		print_field(field, false);
	if (!g->alike)
		ao_page_print(AO_PLAIN, "  (as in %s; the others have other values)\n", g->first_parent);
	if (!one)
		print_names(g);
	if (g->pods)
		ao_page_print(AO_PLAIN, "  %s %zu pods\n", g->action == AO_CHANGE_DELETED ? "ends" : "replaces", g->pods);
}

static void print_one(const cJSON *change)
{
	const cJSON *field;
	const char *action = ao_json_str(change, "action"), *namespace_ = ao_json_str(change, "namespace");
	int pods = ao_json_at(change, "pods")->valueint;
	ao_page_print(AO_BOLD, "%s %s%s%s", ao_json_str(change, "kind"), namespace_ ? namespace_ : "", namespace_ ? "/" : "",
		      ao_json_str(change, "name"));
	if (ao_json_str(change, "parent"))
		ao_page_print(AO_BOLD, " of %s", ao_json_str(change, "parent"));
	ao_page_print(AO_PLAIN, " %s\n", action);
	cJSON_ArrayForEach (field, ao_json_at(change, "fields"))
		print_field(field, true);
	if (pods)
		ao_page_print(AO_PLAIN, "  %s %d pods\n", strcmp(action, ao_change_word(AO_CHANGE_DELETED)) == 0 ? "ends" : "replaces",
			      pods);
}

static void print_name(const cJSON *change)
{
	ao_auto_str char *name = ao_output_name(NULL, ao_json_str(change, "kind"), ao_json_str(change, "name"));
	ao_page_print(AO_PLAIN, "%s\n", name);
}

void ao_diff_print(const ao_changes *changes, const cJSON *list, const char *plural, size_t parents, ao_output output)
{
	const cJSON *change;
	ao_changes_count count = ao_changes_count_all(changes);
	if (ao_output_value(output, list))
		return;
	ao_page_begin();
	if (output == AO_OUTPUT_TEXT)
		ao_changes_each(changes, print_group, (void *)plural);
	cJSON_ArrayForEach (change, list) {
		if (output == AO_OUTPUT_NAME)
			print_name(change);
		else if (output == AO_OUTPUT_WIDE)
			print_one(change);
	}
	fprintf(stderr, "%zu %s looked at, %zu children", parents, plural, count.children);
	if (count.queues)
		fprintf(stderr, " and %zu queues", count.queues);
	fprintf(stderr, " differ\n");
	ao_page_end();
}
