#pragma once
/** fuzz.h -- what the fuzzers share. Each fuzz_<what>.c is a program of its own; `make fuzz` builds and runs them. */
#include "json/json.h"

#include <stdbool.h>
#include <stdint.h>

/** libFuzzer calls it. @return 0 always */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/** A key that occurs twice is let through by the parser, but then says nothing about equality. */
static inline bool fuzz_has_duplicates(const cJSON *value)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, value)
		if ((cJSON_IsObject(value) && cJSON_GetObjectItemCaseSensitive(value, item->string) != item) || fuzz_has_duplicates(item))
			return true;
	return false;
}
