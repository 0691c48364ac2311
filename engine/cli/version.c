/* version.c -- which build this is and which policies are in it. */
#include "version.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "script/bundle.h"

#include <stdio.h>

int ao_cli_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_err *err = NULL;
	ao_sources_builtin(&sources);
	if (ao_bundle_load(&sources, NULL, NULL, &bundle, &err) < 0)
		return ao_cli_fail(err, 1);
	printf("%s %s, built-in bundle %s\n", AO_PROGRAM, AO_VERSION, ao_bundle_digest(bundle));
	return 0;
}
