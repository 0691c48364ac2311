#pragma once
/**
 * difference.h -- where two trees differ, for people.
 * Threads: any.
 */
#include "json/json.h"

/**
 * Every place where two values differ, outermost first: [{path, was?, is?}].
 *
 * Lists whose items have names are compared by name ("containers[app].image"), others by position.
 * @return an array, empty when the values are equal; the caller frees
 */
cJSON *ao_json_differences(const cJSON *was, const cJSON *is);
