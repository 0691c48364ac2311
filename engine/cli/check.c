/* check.c -- do these policies compile and load, and in which order do they run. */
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "core/load.h"

#include <stdio.h>

static void print_bundle(const ao_bundle *bundle)
{
	const cJSON *policy;
	printf("%-16s %-24s %s\n", "POLICY", "FILE", "ORIGIN");
	cJSON_ArrayForEach (policy, ao_bundle_policies(bundle))
		printf("%-16s %-24s %s\n", ao_json_str(policy, "name"), ao_json_str(policy, "file"), ao_json_str(policy, "origin"));
	printf("bundle %s ok\n", ao_bundle_digest(bundle));
}

int ao_cli_check(int argc, char **argv)
{
	ao_load_options load = {0};
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"policies", 0, .text = &load.policies_dir, .value = "DIR", .help = "policy files that replace built-in ones of the same name"},
	    {"config", 0, .text = &load.config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	};
	int r = ao_args_parse(&(ao_verb){.usage = "asya-operator check [flags]",
					 .about = "Says whether the policies load, and in which order they run.",
					 .flags = flags,
					 .flag_count = AO_LEN(flags)},
			      argc, argv, &err);
	if (r != 0)
		return r > 0 ? 0 : ao_cli_fail(err, 2);
	ao_auto_sources ao_sources sources = {0};
	ao_auto_loaded ao_loaded loaded = {0};
	if (ao_load_sources(&load, &sources, &err) < 0 || ao_load(&load, &sources, &loaded, &err) < 0)
		return ao_cli_fail(err, 1);
	print_bundle(loaded.bundle);
	return 0;
}
