#pragma once
/**
 * args.h -- command line flags in kubectl's manner: --name value, --name=value, -n value, and also -name, as Go programs take it.
 * Threads: any.
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
	const char *value;  /* what help calls the value */
	const char *one_of; /* the values that are allowed: "text or json"; NULL: any */
	const char *help;
} ao_flag;

typedef struct ao_verb {
	const char *usage; /* "asya-operator render -f FILE [flags]" */
	const char *about; /* what it does, for --help */
	const ao_flag *flags;
	size_t flag_count;
	/** Called for a flag that is not in the table; may be NULL. @return true: the flag is known, and `value` was taken as its value */
	bool (*other)(void *arg, const char *name, const char *value);
	void *arg;
	const char **arguments; /* gets the arguments that are not flags; has room for argc, zeroed by the caller; NULL: none are allowed */
} ao_verb;

/**
 * Parses argv[1..].  Targets borrow from argv.
 * @return 0: go on; 1: help was asked for and printed; -EINVAL: "unknown flag: --x" and the like
 */
int ao_args_parse(const ao_verb *verb, int argc, char **argv, ao_err **reterr);
void ao_args_help(const ao_verb *verb);
