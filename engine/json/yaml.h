#pragma once
/**
 * yaml.h -- YAML in and out through libyaml, as JSON trees.
 *
 * It reads what kubectl reads: several documents, anchors and merge keys (bounded), YAML 1.1 booleans
 * (true/false/yes/no/on/off/y/n), integers (0x, 0b, 0o, octal by a leading zero, digits grouped by _), floats, null, tags; timestamps
 * are strings.  It is stricter than kubectl in that a duplicate key, !!binary, and a number that JSON cannot keep are errors.  A key is
 * the text it is written with, also where kubectl would turn `on` into "true".
 * It writes block style, with a string in quotes whenever a reader could take it for something else.
 * Threads: any.
 */
#include "json/json.h"

/**
 * Parses all documents of a file.
 *
 * @param name    what errors call it: "actor.yaml:12:3: duplicate key 'image'"
 * @param ret     a JSON array of the documents, empty ones left out; the caller frees
 * @return 0; -EINVAL malformed; -E2BIG too many nodes after aliases (200,000), aliases that stand for more than 4 MiB, or too deep
 */
int ao_yaml_parse(const char *text, size_t len, const char *name, cJSON **ret, ao_err **reterr);

/** Appends one document (no "---"), block style, keys in tree order; ao_yaml_parse() reads the same value back. */
void ao_yaml_print(const cJSON *value, ao_buf *out);
