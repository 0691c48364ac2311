/* replay.c -- runs the policies on a recorded snapshot again, offline. */
#include "base/file.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
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
		return ao_err_set(reterr, -EINVAL, "%s: not a record: it has no snapshot (asya-operator run --record DIR writes them)",
				  path);
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

/** @return 0 the outcome is the recorded one, 1 it is another */
static int compare(const cJSON *record, const cJSON *plan, const char *error)
{
	const cJSON *was = ao_json_at(record, "plan"), *one;
	const char *was_error = ao_json_str(record, "error");
	ao_auto_str char *before = was ? ao_json_canonical(was) : NULL, *now = plan ? ao_json_canonical(plan) : NULL;
	if (error)
		fprintf(stderr, "error: %s\n", error);
	if (now) {
		ao_auto_str char *text = ao_json_pretty(plan);
		fputs(text, stdout);
	}
	if (before && now && strcmp(before, now) == 0) {
		fprintf(stderr, "the plan is the recorded one, byte for byte\n");
		return 0;
	}
	if (error && was_error && strcmp(error, was_error) == 0) {
		fprintf(stderr, "the error is the recorded one\n");
		return 0;
	}
	fprintf(stderr, "this is not what was recorded%s%s\n", was_error ? ", which was: " : "", was_error ? was_error : "");
	ao_auto_json cJSON *fields = before && now ? ao_json_differences(was, plan) : cJSON_CreateArray();
	cJSON_ArrayForEach (one, fields)
		fprintf(stderr, "  %s\n", ao_json_str(one, "path"));
	return 1;
}

static int replay(const char *path, const char *policies_dir, bool to_spec, int *exit_code, ao_err **reterr)
{
	ao_auto_json cJSON *record = NULL, *plan = NULL;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = read_record(path, &record, reterr);
	if (r == 0 && to_spec)
		return print_case(record);
	if (r == 0)
		r = ao_load_sources(&(ao_load_options){.policies_dir = policies_dir}, &sources, reterr);
	if (r == 0)
		r = ao_bundle_load(&sources, ao_json_at(record, "settings"), NULL, &bundle, reterr);
	if (r < 0)
		return r;
	int made = ao_bundle_plan(bundle, ao_json_at(record, "snapshot"), &plan, NULL, &err);
	*exit_code = compare(record, plan, made < 0 ? ao_err_text(err) : NULL);
	return 0;
}

int ao_cli_replay(int argc, char **argv)
{
	const char *policies_dir = NULL, **files = ao_xcalloc((size_t)argc + 1, sizeof(*files));
	bool to_spec = false;
	int exit_code = 0;
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"policies", 0, .text = &policies_dir, .value = "DIR", .help = "policy files that replace built-in ones of the same name"},
	    {"to-spec", 0, .yes = &to_spec, .help = "print the record as a case for spec/policies/cases or NAME.case.yaml instead"},
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "asya-operator replay FILE [flags]",
		       .about = "Runs the policies on a snapshot recorded by `run --record DIR`; exit 1 when another plan comes out.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags),
		       .arguments = files},
	    argc, argv, &err);
	if (r == 0 && (!files[0] || files[1]))
		r = ao_err_set(&err, -EINVAL, "replay needs one FILE");
	if (r == 0)
		r = replay(files[0], policies_dir, to_spec, &exit_code, &err);
	free(files);
	return r < 0 ? ao_cli_fail(err, 2) : exit_code;
}
