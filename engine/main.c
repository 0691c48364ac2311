/* main.c -- picks the verb; without one the operator runs, as the image of old did. */
#include "base/mem.h"
#include "cli/cli.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *about;
} verbs[] = {
    {"run", ao_cli_run, "run the operator (the default)"},
    {"render", ao_cli_render, "print the children of a file of actors, offline"},
    {"check", ao_cli_check, "load policies and say what is wrong with them"},
    {"diff", ao_cli_diff, "show what policies would change in the live cluster"},
    {"replay", ao_cli_replay, "run policies on a recorded snapshot"},
    {"rollout", ao_cli_rollout, "show and steer how an edit of policies reaches actors"},
    {"release", ao_cli_release, "take our finalizer off, to live without an operator"},
    {"version", ao_cli_version, "print version and built-in bundle"},
};

static int usage(FILE *out, int exit_code)
{
	fprintf(out, "Usage: %s [VERB] [flags]; VERB --help says more\n\n", AO_PROGRAM);
	for (size_t i = 0; i < AO_LEN(verbs); i++)
		fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].about);
	return exit_code;
}

int main(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return usage(stdout, 0);
	if (argc < 2 || argv[1][0] == '-')
		return ao_cli_run(argc, argv);
	for (size_t i = 0; i < AO_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "error: unknown verb '%s'\n", argv[1]);
	return usage(stderr, 2);
}
