#pragma once
/**
 * yaml.h -- YAML in and out through libyaml, as JSON trees.
 *
 * Reads what kubectl reads: several documents, anchors and merge keys (bounded), YAML 1.1 booleans
 * (true/false/yes/no/on/off), integers, floats, null; a duplicate key is an error.  Writes plain block style with strings
 * quoted whenever a reader could take them for something else.
 * Threads: any.
 */
#include "json/json.h"

/**
 * Parses all documents of a file.
 *
 * @param name    what errors call it: "actor.yaml:12:3: duplicate key 'image'"
 * @param ret     a JSON array of the documents, empty ones left out; the caller frees
 * @return 0; -EINVAL malformed; -E2BIG too many nodes after aliases (200,000), or too deep
 */
int ao_yaml_parse(const char *text, size_t len, const char *name, cJSON **ret, ao_err **reterr);

/** Appends one document (no "---"), block style, keys in tree order. */
void ao_yaml_print(const cJSON *value, ao_buf *out);
