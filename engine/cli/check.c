/* check.c -- do these policies load, in which order do they run, do their cases hold?  --live: what does the cluster say of its own? */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/own.h"
#include "cli/page.h"
#include "cli/session.h"
#include "policy/cases.h"
#include "policy/plan.h"

#include <stdio.h>
#include <string.h>

static void print_bundle(const ao_bundle *bundle, bool wide)
{
	const cJSON *policy;
	printf(wide ? "%-16s %-24s %-24s %s\n" : "%-16s %-24s %s\n", "POLICY", "FILE", "ORIGIN", "DOES");
	cJSON_ArrayForEach (policy, ao_bundle_policies(bundle)) {
		const char *doc = ao_json_str(policy, "doc");
		printf(wide ? "%-16s %-24s %-24s %s\n" : "%-16s %-24s %s\n", ao_json_str(policy, "name"), ao_json_str(policy, "file"),
		       ao_json_str(policy, "origin"), doc ? doc : "");
	}
}

static void print_names(const ao_bundle *bundle)
{
	const cJSON *policy;
	cJSON_ArrayForEach (policy, ao_bundle_policies(bundle))
		printf("%s\n", ao_json_str(policy, "name"));
}

/** Prints what became of each policy ConfigMap, as its annotation says. */
static void print_states(const ao_bundle *bundle, const cJSON *list)
{
	const cJSON *map;
	ao_auto_str char *key = ao_xasprintf("%s-state", ao_json_str(ao_bundle_manifest(bundle), "policies_label"));
	cJSON_ArrayForEach (map, ao_json_at(list, "items")) {
		const char *state = ao_json_str(map, "metadata", "annotations", key);
		bool bad = state && (strncmp(state, "rejected", 8) == 0 || strncmp(state, "rolled back", 11) == 0);
		printf("configmap %s: ", ao_json_str(map, "metadata", "name"));
		ao_page_print(bad ? AO_RED : AO_GREEN, "%s\n", state ? state : "no operator has looked at it yet");
	}
}

/** Shapes in which no case was rendered: nobody knows what the policies make of them. */
static void note_shapes(const ao_shapes *shapes, bool all)
{
	const cJSON *row, *warning;
	cJSON_ArrayForEach (warning, shapes->warnings)
		fprintf(stderr, "warning: %s\n", warning->valuestring);
	if (all)
		printf("%-28s %8s %8s\n", "SHAPE", "RENDERED", "REFUSED");
	cJSON_ArrayForEach (row, shapes->tried) {
		int rendered = ao_json_at(row, "rendered")->valueint, refused = ao_json_at(row, "refused")->valueint;
		if (all)
			printf("%-28s %8d %8d\n", ao_json_str(row, "shape"), rendered, refused);
		else if (!rendered)
			fprintf(stderr, "note: no case was rendered as %s%s\n", ao_json_str(row, "shape"),
				refused ? ": all were refused" : "");
	}
}

static void print_lines(const cJSON *row)
{
	const cJSON *range;
	const char *before = "; never: ";
	printf("%s: %d of %d lines run", ao_json_str(row, "file"), ao_json_at(row, "run")->valueint, ao_json_at(row, "lines")->valueint);
	cJSON_ArrayForEach (range, ao_json_at(row, "never")) {
		int first = ao_json_at(range, "first")->valueint, last = ao_json_at(range, "last")->valueint;
		printf(first == last ? "%s%d" : "%s%d-%d", before, first, last);
		before = ", ";
	}
	printf("\n");
}

/** Lines that no case has run. The cases of built-in files are tests of the operator: they are not here. @param all  those files, too */
static void note_lines(const ao_shapes *shapes, bool all)
{
	const cJSON *row;
	ao_auto_json cJSON *report = shapes->coverage ? ao_coverage_report(shapes->coverage) : NULL;
	cJSON_ArrayForEach (row, report)
		if (all || strcmp(ao_json_str(row, "origin"), "built-in") != 0)
			print_lines(row);
}

static void print_value(ao_output output, const ao_bundle *bundle, const ao_cases_count *count, const ao_shapes *shapes)
{
	ao_auto_json cJSON *out = cJSON_CreateObject();
	ao_json_set_str(out, "bundle", ao_bundle_digest(bundle));
	ao_json_set(out, "policies", cJSON_Duplicate(ao_bundle_policies(bundle), 1));
	ao_json_set(out, "casesPassed", cJSON_CreateNumber((double)count->passed));
	ao_json_set(out, "casesFailed", cJSON_CreateNumber((double)count->failed));
	ao_json_set(out, "shapes", cJSON_Duplicate(shapes->tried, 1));
	ao_json_set(out, "warnings", cJSON_Duplicate(shapes->warnings, 1));
	if (shapes->coverage)
		ao_json_set(out, "lines", ao_coverage_report(shapes->coverage));
	ao_output_value(output, out);
}

typedef struct checking {
	ao_load_options load;
	ao_session_flags flags;
	bool live, coverage;
	ao_output output;
} checking;

static int run_cases(const checking *c, const ao_loaded *loaded, const ao_sources *sources, const cJSON *list, ao_err **reterr)
{
	ao_auto_openapi ao_openapi *openapi = NULL;
	ao_auto_coverage ao_coverage *coverage = NULL;
	ao_auto_err ao_err *failed = NULL;
	ao_shapes shapes = {0};
	ao_cases_count count = {0};
	bool people = c->output == AO_OUTPUT_TEXT || c->output == AO_OUTPUT_WIDE;
	int r = ao_plan_schemas(loaded->manifest, NULL, &openapi, reterr);
	if (r == 0 && c->coverage)
		r = ao_coverage_new(sources, &coverage, reterr);
	if (r < 0)
		return r;
	shapes.openapi = openapi;
	shapes.coverage = coverage;
	r = ao_cases_run(loaded, sources, sources, &shapes, &count, &failed);
	if (people)
		print_bundle(loaded->bundle, c->output == AO_OUTPUT_WIDE);
	else if (c->output == AO_OUTPUT_NAME)
		print_names(loaded->bundle);
	else
		print_value(c->output, loaded->bundle, &count, &shapes);
	if (people && c->live)
		print_states(loaded->bundle, list);
	if (people) {
		note_shapes(&shapes, c->coverage);
		note_lines(&shapes, c->output == AO_OUTPUT_WIDE);
	}
	ao_shapes_clear(&shapes);
	if (r < 0)
		return ao_err_set(reterr, r, "%s%s", ao_err_text(failed), count.failed > 1 ? " (and others)" : "");
	if (people)
		printf("bundle %s ok, %zu cases hold\n", ao_bundle_digest(loaded->bundle), count.passed);
	return 0;
}

static int check(const checking *c, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	ao_auto_session ao_session session = {0};
	ao_auto_json cJSON *list = NULL, *config = NULL;
	ao_auto_manifest ao_manifest *base = NULL;
	ao_load_options load = c->load;
	int r = c->live ? ao_session_open(&c->flags, &session, reterr) : 0;
	if (r == 0 && c->live)
		r = ao_own_settings(&session, &load, &config, reterr);
	if (r == 0 && c->live)
		r = ao_session_manifest(&session, &base, reterr);
	if (base) {
		load.parent = &base->kinds[0].resource;
		load.scope = &session.scope;
	}
	if (r == 0)
		r = c->live ? ao_session_sources(&session, &load, &sources, &list, reterr) : ao_load_sources(&load, &sources, reterr);
	if (r == 0)
		r = ao_load(&load, &sources, &loaded, reterr);
	if (r == 0 && loaded.unclaimed)
		r = ao_err_set(reterr, -EINVAL, "%s", loaded.unclaimed);
	return r == 0 ? run_cases(c, &loaded, &sources, list, reterr) : r;
}

int ao_cli_check(int argc, char **argv)
{
	checking c = {.load = {.on_note = ao_cli_note, .limits = AO_CLI_LIMITS}};
	const char *output = "text";
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"policies", 0, .text = &c.load.policies_dir, .value = "DIR",
	     .help = "policy files that replace built-in ones of the same name"},
	    {"config", 0, .text = &c.load.config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    AO_PROFILE_FLAG(&c.load.profile),
	    {"live", 0, .yes = &c.live, .help = "include the policy ConfigMaps of the cluster, and say what became of them"},
	    {"coverage", 0, .yes = &c.coverage,
	     .help = "say how many cases were rendered as which shape of a parent, and which lines none has run"},
	    AO_OUTPUT_FLAG(&output, "text, wide, name, json or yaml", "text"),
	    AO_SESSION_FLAGS(&c.flags),
	};
	static const ao_example examples[] = {
	    {"the built-in policies", "check"},
	    {"those of a folder over them, and which shapes and lines of them no case has tried",
	     "check --policies my-policies --coverage"},
	    {"what each policy does", "check -o wide"},
	    {"the policies of a cluster", "check --live --operator-namespace asya-system"},
	    {0},
	};
	int r = ao_args_parse(&(ao_verb){.usage = "check [flags]",
					 .about = "Says whether the policies load, in which order they run, and whether their cases hold.",
					 .flags = flags,
					 .flag_count = AO_LEN(flags),
					 .examples = examples},
			      argc, argv, &err);
	if (r != 0)
		return r > 0 ? 0 : ao_cli_fail(err, 2);
	c.output = ao_output_read(output);
	c.load.bundle_dir = c.flags.bundle_dir;
	return check(&c, &err) < 0 ? ao_cli_fail(err, 1) : 0;
}
