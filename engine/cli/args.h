#pragma once
/**
 * args.h -- command line flags in kubectl's manner: --name value, --name=value, -n value, also -name for those used to Go's.
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
	const char *value; /* what help calls the value */
	const char *help;
} ao_flag;

typedef struct ao_verb {
	const char *usage; /* "asya-operator render -f FILE [flags]" */
	const char *about; /* what it does, for --help */
	const ao_flag *flags;
	size_t flag_count;
	/** A flag the table does not have; may be NULL. @return true when it is known; *value is then its value */
	bool (*other)(void *arg, const char *name, const char *value);
	void *arg;
	const char **arguments; /* gets what is no flag; room for argc, zeroed by the caller; NULL: there must be none */
} ao_verb;

/**
 * Parses argv[1..]; targets borrow from argv.
 * @return 0 go on; 1 help was asked for and printed; -EINVAL "unknown flag: --x" and the like
 */
int ao_args_parse(const ao_verb *verb, int argc, char **argv, ao_err **reterr);
void ao_args_help(const ao_verb *verb);
