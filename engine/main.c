/* main.c -- picks the verb; without one the operator runs, as the image of old did.  kubectl calls us as its plugin, too. */
#include "base/mem.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *about;
} verbs[] = {
    {"run", ao_cli_run, "run the operator"},
    {"render", ao_cli_render, "print the children of a file of actors, offline"},
    {"check", ao_cli_check, "load policies and say what is wrong with them"},
    {"diff", ao_cli_diff, "show what policies would change in the live cluster"},
    {"replay", ao_cli_replay, "run policies on a recorded snapshot"},
    {"rollout", ao_cli_rollout, "show and steer how an edit of policies reaches actors"},
    {"queue", ao_cli_queue, "show what waits in actors' queues, and send dead letters back"},
    {"migrate", ao_cli_migrate, "take objects to another profile without losing a message"},
    {"release", ao_cli_release, "take our finalizer off, to live without an operator"},
    {"init", ao_cli_init, "write a bundle for a kind of your own, to begin with"},
    {"manifest", ao_cli_manifest, "print what kubectl apply makes a running operator of"},
    {"sdk", ao_cli_sdk, "write what tests of policies need, and what an editor knows them by"},
    {"completion", ao_cli_completion, "print a script that completes command lines in bash, zsh or fish"},
    {"version", ao_cli_version, "print version and built-in bundle"},
};

static int usage(FILE *out, int exit_code)
{
	fprintf(out, ao_args_is_plugin() ? "Usage: %s VERB [flags]" : "Usage: %s [VERB] [flags]; without a verb, the operator runs",
		ao_args_program());
	fprintf(out, "\nVERB --help says more, with examples\n\n");
	for (size_t i = 0; i < AO_LEN(verbs); i++)
		fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].about);
	return exit_code;
}

static int run_verb(const char *name, int argc, char **argv)
{
	for (size_t i = 0; i < AO_LEN(verbs); i++)
		if (strcmp(name, verbs[i].name) == 0)
			return verbs[i].run(argc, argv);
	fprintf(stderr, "error: unknown verb '%s'\n", name);
	return usage(stderr, 2);
}

/** Completes the last of these words. A verb that is complete says itself what may follow. @param bare  flags without a verb are those of run */
static int complete(bool bare, int count, char **words)
{
	const char *verb = count && words[0][0] == '-' && bare ? "run" : count > 1 ? words[0] : NULL;
	if (!verb) {
		for (size_t i = 0; i < AO_LEN(verbs); i++)
			ao_completion_offer(count ? words[0] : "", verbs[i].name, verbs[i].about);
		ao_completion_end(AO_COMPLETE_NOTHING);
		return 0;
	}
	int rest = verb == words[0];
	char **argv = ao_xcalloc((size_t)count + 3, sizeof(*argv));
	argv[0] = (char *)verb;
	argv[1] = (char *)AO_COMPLETE;
	memcpy(argv + 2, words + rest, (size_t)(count - rest) * sizeof(*argv));
	int code = run_verb(verb, count - rest + 2, argv);
	free(argv);
	return code;
}

int main(int argc, char **argv)
{
	const char *first = argc > 1 ? argv[1] : NULL;
	ao_args_called(argv[0]);
	if (ao_completion_is_asked(argv[0]))
		return complete(false, argc - 1, argv + 1);
	if (first && strcmp(first, AO_COMPLETE) == 0)
		return complete(!ao_args_is_plugin(), argc - 2, argv + 2);
	if (first && (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0))
		return usage(stdout, 0);
	if (!first && ao_args_is_plugin())
		return usage(stdout, 0);
	if (!first || (first[0] == '-' && !ao_args_is_plugin()))
		return ao_cli_run(argc, argv);
	return run_verb(first, argc - 1, argv + 1);
}
