/* version.c -- which build this is and which policies are in it. */
#include "version.h"
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "script/bundle.h"

#include <stdio.h>

int ao_cli_version(int argc, char **argv)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_json cJSON *out = cJSON_CreateObject();
	ao_err *err = NULL;
	const char *output = "text";
	const ao_flag flags[] = {AO_OUTPUT_FLAG(&output, "text, json or yaml", "text")};
	static const ao_example examples[] = {
	    {"which build, and which policies are in it", "version"}, {"for a script", "version -o json"}, {0}};
	int r = ao_args_parse(&(ao_verb){.usage = "version [flags]",
					 .about = "Prints the version and the digest of the built-in bundle.",
					 .flags = flags,
					 .flag_count = AO_LEN(flags),
					 .examples = examples},
			      argc, argv, &err);
	if (r != 0)
		return r > 0 ? 0 : ao_cli_fail(err, 2);
	ao_sources_builtin(&sources);
	if (ao_bundle_load(&sources, NULL, NULL, &bundle, &err) < 0)
		return ao_cli_fail(err, 1);
	ao_json_set_str(out, "version", AO_VERSION);
	ao_json_set_str(out, "bundle", ao_bundle_digest(bundle));
	if (ao_output_value(ao_output_read(output), out))
		return 0;
	printf("%s %s, built-in bundle %s\n", AO_PROGRAM, AO_VERSION, ao_bundle_digest(bundle));
	return 0;
}
