#pragma once
/**
 * output.h -- the formats of -o, as kubectl has them.
 * Threads: the main thread.
 */
#include "json/json.h"

typedef enum {
	AO_OUTPUT_TEXT, /* for people */
	AO_OUTPUT_WIDE, /* for people, with more in it */
	AO_OUTPUT_NAME, /* a name in each line, for scripts */
	AO_OUTPUT_JSON,
	AO_OUTPUT_YAML,
} ao_output;

/** @param word  one of those that the flag's table allows; any other means text */
ao_output ao_output_read(const char *word);
/** Prints a value as JSON or YAML. @return false: the format is neither, and nothing was printed */
bool ao_output_value(ao_output output, const cJSON *value);
/** Prints objects as one JSON object, a List. */
void ao_output_list(const cJSON *objects);
/** "thing.group.io/name", as kubectl's -o name writes it. @param api_version  NULL: not known. The caller frees. */
char *ao_output_name(const char *api_version, const char *kind, const char *name);
