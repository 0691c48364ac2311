/* replay.c -- runs the policies on a recorded snapshot again, offline. */
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/session.h"
#include "policy/load.h"
#include "json/difference.h"
#include "json/yaml.h"

#include <stdio.h>
#include <string.h>

#define MAX_RECORD (16 * 1024 * 1024)

static int read_record(const char *path, cJSON **ret, ao_err **reterr)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_RECORD);
	ao_auto_json cJSON *record = NULL;
	int r = ao_file_read(path, &text, reterr);
	if (r == 0)
		r = ao_json_parse(text.data ? text.data : "", text.len, &record, reterr);
	if (r < 0)
		return ao_err_wrap(reterr, "%s", path);
	if (!cJSON_IsObject(ao_json_at(record, "snapshot")))
		return ao_err_set(reterr, -EINVAL, "%s: not a record: it has no snapshot (%s run --record DIR writes them)", path,
				  ao_args_program());
	*ret = AO_TAKE(record);
	return 0;
}

/** A case for spec/policies/cases or a ConfigMap. It passes when the policies make this plan; after a failure, when they make any plan. */
static int print_case(const cJSON *record)
{
	ao_auto_json cJSON *case_ = cJSON_CreateObject();
	ao_auto_buf ao_buf text = ao_buf_init(MAX_RECORD);
	const char *error = ao_json_str(record, "error"), *name = ao_json_str(record, "snapshot", "parent", "metadata", "name");
	ao_auto_str char *title = error ? ao_xasprintf("%s: once failed with: %.*s", name, (int)strcspn(error, "\n"), error)
					: ao_xasprintf("%s: as recorded", name);
	ao_json_set_str(case_, "title", title);
	ao_json_set(case_, "settings", cJSON_Duplicate(ao_json_at(record, "settings"), 1));
	ao_json_set(case_, "snapshot", cJSON_Duplicate(ao_json_at(record, "snapshot"), 1));
	if (!error)
		ao_json_set(case_, "plan", cJSON_Duplicate(ao_json_at(record, "plan"), 1));
	ao_yaml_print(case_, &text);
	printf("---\n%s", text.data ? text.data : "");
	return 0;
}

/** What was planned then and is not now, or the other way round: a field in each line. */
static void print_differences(const cJSON *was, const cJSON *plan)
{
	ao_auto_json cJSON *fields = ao_json_differences(was, plan);
	const cJSON *one;
	cJSON_ArrayForEach (one, fields) {
		const cJSON *before = ao_json_at(one, "was"), *now = ao_json_at(one, "is");
		fprintf(stderr, "  %s %s\n", before && now ? "~" : before ? "-" : "+", ao_json_str(one, "path"));
	}
}

/** @return 0 the outcome is the recorded one, 1 it is another */
static int compare(const cJSON *record, const cJSON *plan, const char *error, const char *bundle)
{
	const cJSON *was = ao_json_at(record, "plan");
	const char *was_error = ao_json_str(record, "error"), *recorded = ao_json_str(record, "bundle");
	if (error)
		fprintf(stderr, "error: %s\n", error);
	if (was && plan && ao_json_equal(was, plan)) {
		fprintf(stderr, "the plan is the recorded one, byte for byte\n");
		return 0;
	}
	if (error && was_error && strcmp(error, was_error) == 0) {
		fprintf(stderr, "the error is the recorded one\n");
		return 0;
	}
	fprintf(stderr, "this is not what was recorded%s%s\n", was_error ? ", which was: " : "", was_error ? was_error : "");
	if (recorded && strcmp(recorded, bundle) != 0)
		fprintf(
		    stderr,
		    "note: these are not the policies that were recorded, or secrets are missing: --policies DIR or --live brings those\n");
	if (was && plan)
		print_differences(was, plan);
	return 1;
}

static void print_plan(const cJSON *plan)
{
	ao_auto_str char *text = plan ? ao_json_pretty(plan) : NULL;
	if (text)
		fputs(text, stdout);
}

/** @param live  the cluster is asked for policies, too */
static int read_sources(const char *policies_dir, const ao_session_flags *flags, bool live, ao_sources *ret, ao_err **reterr)
{
	ao_load_options load = {.bundle_dir = flags->bundle_dir, .policies_dir = policies_dir};
	ao_auto_session ao_session session = {0};
	if (!live)
		return ao_load_sources(&load, ret, reterr);
	int r = ao_session_open(flags, &session, reterr);
	return r == 0 ? ao_session_sources(&session, &load, ret, NULL, reterr) : r;
}

static int replay(const char *path, const char *policies_dir, const ao_session_flags *flags, bool live, bool to_spec, bool full,
		  int *exit_code, ao_err **reterr)
{
	ao_auto_json cJSON *record = NULL, *plan = NULL;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = read_record(path, &record, reterr);
	if (r == 0 && to_spec)
		return print_case(record);
	if (r == 0)
		r = read_sources(policies_dir, flags, live, &sources, reterr);
	if (r == 0)
		r = ao_bundle_load(&sources, ao_json_at(record, "settings"), AO_CLI_LIMITS, &bundle, reterr);
	if (r < 0)
		return r;
	int made = ao_bundle_plan(bundle, ao_json_at(record, "snapshot"), &plan, NULL, &err);
	if (full)
		print_plan(plan);
	*exit_code = compare(record, plan, made < 0 ? ao_err_text(err) : NULL, ao_bundle_digest(bundle));
	return 0;
}

int ao_cli_replay(int argc, char **argv)
{
	const char *policies_dir = NULL, **files = ao_xcalloc((size_t)argc + 1, sizeof(*files));
	bool to_spec = false, live = false, full = false;
	ao_session_flags session = {0};
	int exit_code = 0;
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"policies", 0, .text = &policies_dir, .value = "DIR", .help = "policy files that replace built-in ones of the same name"},
	    {"live", 0, .yes = &live, .help = "with the policy ConfigMaps of the cluster"},
	    {"full", 0, .yes = &full, .help = "print the whole plan, too"},
	    {"to-spec", 0, .yes = &to_spec, .help = "print the record as a case for spec/policies/cases or NAME.case.yaml instead"},
	    AO_SESSION_FLAGS(&session),
	};
	static const ao_example examples[] = {
	    {"do my policies still make the plan that was recorded?", "replay record.json --policies my-policies"},
	    {"do those of a cluster?", "replay record.json --live --operator-namespace asya-system"},
	    {"a test case of it", "replay record.json --to-spec"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "replay FILE [flags]",
		       .about = "Runs the policies on a snapshot recorded by `run --record DIR`; exit 1 when another plan comes out.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags),
		       .arguments = files,
		       .argument = "FILE",
		       .examples = examples},
	    argc, argv, &err);
	if (r == 0 && (!files[0] || files[1]))
		r = ao_err_set(&err, -EINVAL, "replay needs one FILE");
	if (r == 0)
		r = replay(files[0], policies_dir, &session, live, to_spec, full, &exit_code, &err);
	free(files);
	return r < 0 ? ao_cli_fail(err, 2) : exit_code;
}
