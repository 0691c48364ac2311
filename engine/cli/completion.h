#pragma once
/**
 * completion.h -- what may stand at the end of a command line, for shells.
 *
 * `asya-operator AO_COMPLETE WORD...` completes the last word, in the format that kubectl expects of kubectl_complete-NAME, too: a candidate
 * in each line, a tab and what it is; at last a colon and a number.  The scripts of `completion` ask for this at each press of the key, so
 * they know no verb and no flag.
 * Threads: the main thread.
 */
#include "cli/args.h"

#define AO_COMPLETE "__complete"

/** What else fits where a word ends: the numbers are kubectl's. */
typedef enum { AO_COMPLETE_FILES = 0, AO_COMPLETE_NOTHING = 4, AO_COMPLETE_FOLDERS = 16 } ao_complete_also;

/** Prints a candidate when it begins with `beginning`. @param what  its first line is shown; may be NULL */
void ao_completion_offer(const char *beginning, const char *candidate, const char *what);
void ao_completion_end(ao_complete_also also);

/** Completes the last of a verb's words, of which there may be none. */
void ao_completion_print(const ao_verb *verb, int count, char **words);

/** Is this the name by which kubectl asks a plugin for completions, kubectl_complete-NAME? */
bool ao_completion_is_asked(const char *argv0);
