/* render.c -- prints what the policies make of a file of parents, without a cluster. */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/page.h"
#include "cli/session.h"
#include "policy/plan.h"
#include "json/yaml.h"

#include <stdio.h>
#include <string.h>

#define MAX_TEXT (16 * 1024 * 1024)

static int read_parents(const char *path, cJSON **ret, ao_err **reterr)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_TEXT);
	int r = ao_file_read(path, &text, reterr);
	return r < 0 ? r : ao_yaml_parse(text.data ? text.data : "", text.len, strcmp(path, "-") == 0 ? "stdin" : path, ret, reterr);
}

/** @return 1 when the document is a parent of this bundle, else 0 */
static int is_parent(const ao_manifest *manifest, const cJSON *document)
{
	return ao_manifest_kind(manifest, document) == &manifest->kinds[0];
}

/**
 * Adds the children of one parent to `items`. Unless `explain` is NULL, adds to it which policy set each field.
 * @return how many parts of the plan were refused, which was printed; negative on errors
 */
static int render_one(const ao_loaded *loaded, const ao_openapi *openapi, const char *file, const cJSON *parent, cJSON *items,
		      cJSON *explain, ao_err **reterr)
{
	const char *name = ao_json_str(parent, "metadata", "name");
	ao_auto_json cJSON *snapshot = cJSON_CreateObject(), *plan = NULL;
	char now[AO_TIME_TEXT];
	if (!name)
		return ao_err_set(reterr, -EINVAL, "%s: metadata.name is missing", file);
	ao_time_second_text(ao_wall_ms(), now);
	ao_json_set_str(snapshot, "now", now);
	cJSON *copy = cJSON_Duplicate(parent, 1);
	cJSON *metadata = ao_json_object(copy, "metadata");
	if (!loaded->manifest->kinds[0].resource.cluster_scoped && !ao_json_at(metadata, "namespace"))
		ao_json_set_str(metadata, "namespace", "default");
	ao_json_set(snapshot, "parent", copy);
	ao_json_set(snapshot, "children", cJSON_CreateArray());
	ao_json_set(snapshot, "related", cJSON_CreateArray());
	ao_json_set(snapshot, "explain", cJSON_CreateBool(explain != NULL));
	if (ao_plan_make(loaded->bundle, openapi, snapshot, &plan, NULL, NULL, reterr) < 0)
		return ao_err_wrap(reterr, "%s: %s", file, name);
	const cJSON *invalid = ao_json_at(plan, "invalid"), *item;
	if (cJSON_IsObject(invalid))
		return ao_err_set(reterr, -EINVAL, "%s: %s: %s", file, name, ao_json_str(invalid, "message"));
	cJSON_ArrayForEach (item, ao_json_at(plan, "copies"))
		cJSON_AddItemToArray(items, cJSON_Duplicate(ao_json_at(item, "object"), 1));
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects"))
		cJSON_AddItemToArray(items, cJSON_Duplicate(ao_json_at(item, "object"), 1));
	const cJSON *explained = explain ? ao_json_at(plan, "explain") : NULL;
	cJSON_ArrayForEach (item, explained)
		cJSON_AddItemToArray(explain, cJSON_Duplicate(item, 1));
	ao_auto_str char *who = ao_xasprintf("%s: %s", file, name);
	return ao_cli_refusals(who, plan);
}

static void print_items(const cJSON *items, ao_output output)
{
	const cJSON *item;
	if (output == AO_OUTPUT_JSON) {
		ao_output_list(items);
		return;
	}
	cJSON_ArrayForEach (item, items) {
		ao_auto_str char *name =
		    ao_output_name(ao_json_str(item, "apiVersion"), ao_json_str(item, "kind"), ao_json_str(item, "metadata", "name"));
		if (output == AO_OUTPUT_NAME)
			printf("%s\n", name);
		else if (item != items->child)
			printf("---\n");
		ao_output_value(output, item);
	}
}

static void print_explanation(const cJSON *explain, ao_output output)
{
	const cJSON *object, *field;
	if (output != AO_OUTPUT_TEXT) {
		ao_output_value(output, explain);
		return;
	}
	ao_page_begin();
	cJSON_ArrayForEach (object, explain) {
		ao_page_print(AO_BOLD, "%s %s\n", ao_json_str(object, "kind"), ao_json_str(object, "name"));
		cJSON_ArrayForEach (field, ao_json_at(object, "fields")) {
			ao_page_print(AO_GREEN, "  %-12s", ao_json_str(field, "policy"));
			ao_page_print(AO_PLAIN, " %s\n", ao_json_str(field, "path"));
		}
	}
	ao_page_end();
}

/** @return 1 when parts of plans were refused, else 0; negative on errors */
static int render_file(const ao_load_options *load, const char *file, ao_output output, bool explain, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	ao_auto_openapi ao_openapi *openapi = NULL;
	ao_auto_json cJSON *parents = NULL, *items = cJSON_CreateArray(), *explanation = cJSON_CreateArray();
	int r = ao_load_sources(load, &sources, reterr);
	if (r == 0)
		r = ao_load(load, &sources, &loaded, reterr);
	if (r == 0 && loaded.unclaimed)
		ao_cli_note(loaded.unclaimed);
	if (r == 0)
		r = ao_plan_schemas(loaded.manifest, NULL, &openapi, reterr);
	if (r == 0)
		r = read_parents(file, &parents, reterr);
	size_t rendered = 0;
	bool refused = false;
	const cJSON *document;
	for (document = parents ? parents->child : NULL; r >= 0 && document; document = document->next)
		if (is_parent(loaded.manifest, document)) {
			r = render_one(&loaded, openapi, file, document, items, explain ? explanation : NULL, reterr);
			refused = refused || r > 0;
			rendered++;
		}
	if (r >= 0 && !rendered)
		r = ao_err_set(reterr, -EINVAL, "%s: holds no %s (%s)", file, loaded.manifest->kinds[0].resource.kind,
			       loaded.manifest->kinds[0].resource.api_version);
	if (r >= 0 && explain)
		print_explanation(explanation, output);
	else if (r >= 0)
		print_items(items, output);
	return r < 0 ? r : refused;
}

int ao_cli_render(int argc, char **argv)
{
	ao_load_options load = {.on_note = ao_cli_note};
	const char *file = NULL, *word = NULL;
	bool explain = false;
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"filename", 'f', .text = &file, .value = "FILE", .help = "what to render, - for standard input"},
	    AO_BUNDLE_FLAG(&load.bundle_dir),
	    {"policies", 0, .text = &load.policies_dir, .value = "DIR", .help = "policy files that replace built-in ones of the same name"},
	    {"config", 0, .text = &load.config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    AO_PROFILE_FLAG(&load.profile),
	    {"explain", 0, .yes = &explain, .help = "print which policy set each field, instead of the children"},
	    AO_OUTPUT_FLAG(&word, "yaml, json, name or text", "yaml; with --explain text"),
	};
	static const ao_example examples[] = {
	    {"what becomes of an actor", "render -f actor.yaml"},
	    {"with policies that are being written; which of them set what", "render -f actor.yaml --policies my-policies --explain"},
	    {"only what there would be", "render -f actor.yaml -o name"},
	    {0},
	};
	int r = ao_args_parse(&(ao_verb){.usage = "render -f FILE [flags]",
					 .about = "Prints the children that the policies make, without a cluster.",
					 .flags = flags,
					 .flag_count = AO_LEN(flags),
					 .examples = examples},
			      argc, argv, &err);
	if (r > 0)
		return 0;
	static const ao_limits patient = {.steps = 100000000, .cpu_ms = 10000}; /* finding out who set what takes its time */
	ao_output output = ao_output_read(word ? word : explain ? "text" : "yaml");
	load.limits = explain ? &patient : AO_CLI_LIMITS;
	if (r == 0 && !file)
		r = ao_err_set(&err, -EINVAL, "render needs -f FILE");
	if (r == 0 && output == (explain ? AO_OUTPUT_NAME : AO_OUTPUT_TEXT))
		r = ao_err_set(&err, -EINVAL, "--output: %s is %s", word, explain ? "not for --explain" : "for --explain only");
	if (r < 0)
		return ao_cli_fail(err, 2);
	r = render_file(&load, file, output, explain, &err);
	return r < 0 ? ao_cli_fail(err, 1) : r;
}
