#pragma once
/**
 * args.h -- the command line of a verb as one table: parsing, --help and the completion of shells all come from it.
 *
 * Flags are in kubectl's manner: --name value, --name=value, -n value, and also -name, as Go programs take it.
 * Threads: the main thread.
 */
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ao_flag {
	const char *name; /* without dashes */
	char letter;      /* or 0 */
	/* exactly one target; a bool flag takes no value unless given as --name=false */
	bool *yes;
	const char **text;
	const char *value;  /* what help calls the value; FILE and DIR are completed with files and folders */
	const char *one_of; /* the values that are allowed: "text, wide or json"; NULL: any */
	const char *help;
} ao_flag;

typedef struct ao_example {
	const char *what;    /* one line */
	const char *command; /* what follows the name of the program: "check --policies my-policies" */
} ao_example;

typedef struct ao_verb {
	const char *usage; /* what follows the name of the program: "render -f FILE [flags]" */
	const char *about; /* what it does, for --help */
	const ao_flag *flags;
	size_t flag_count;
	const char **arguments; /* gets the arguments that are not flags; has room for argc, zeroed by the caller; NULL: none are allowed */
	const char *argument;   /* what usage calls one; FILE is completed with files; may be NULL */
	const char *one_of;     /* the arguments that are allowed, as in ao_flag; NULL: any */
	bool names_follow;      /* ... only the first of them; any may follow */
	const ao_example *examples; /* the last one has no command; may be NULL */
} ao_verb;

/** The entry for --output. @param formats  "text, wide or json" @param usual  the one without the flag; both are literals */
#define AO_OUTPUT_FLAG(target, formats, usual)                                                                                             \
	{                                                                                                                                  \
		"output", 'o', .text = (target), .value = "FORMAT", .one_of = formats, .help = formats " (default " usual ")"              \
	}

/** The flag of verbs that make plans. */
#define AO_PROFILE_FLAG(target)                                                                                                            \
	{                                                                                                                                  \
		"profile", 0, .text = (target), .value = "NAME", .help = "the profile of parents that ask for none"                        \
	}

/** Says by which name this program was called; the main function does. @param argv0  kept */
void ao_args_called(const char *argv0);
/** "asya-operator"; "kubectl asya" when kubectl calls it as its plugin kubectl-asya. */
const char *ao_args_program(void);
/** The same as one word, as people type it in a shell: "asya-operator", "kubectl-asya". */
const char *ao_args_file(void);
/** Did kubectl call us? Its plugins do nothing without a verb. */
bool ao_args_is_plugin(void);

/**
 * Parses argv[1..].  Targets borrow from argv.  When argv[1] is AO_COMPLETE, the last word is completed instead (completion.h).
 * @return 0: go on; 1: help or a completion was asked for and printed; -EINVAL: "unknown flag: --x" and the like
 */
int ao_args_parse(const ao_verb *verb, int argc, char **argv, ao_err **reterr);

/**
 * The values of a flag that takes one, in a command line whose table is not known yet because it depends on them.
 * @param ret  has room for argc, zeroed by the caller. @return how many there are
 */
size_t ao_args_peek(const char *name, int argc, char **argv, const char **ret);

/* ---- for completion.c ---- */

/** The flag that a word like "--name=value" or "-n" means; NULL: none. @param value  gets what follows "=", or NULL; may be NULL */
const ao_flag *ao_args_flag(const ao_verb *verb, const char *word, const char **value);
/** Copies the next of "text, wide or json" and goes on to the one after it. @param ret  the caller frees. @return false: there is none */
bool ao_args_next(const char **list, char **ret);
