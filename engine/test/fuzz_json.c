/* fuzz_json.c -- any bytes: what the strict parser takes, prints and reads back as itself, in all styles. */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

static void reads_back(const cJSON *value, const char *text)
{
	ao_auto_json cJSON *again = NULL;
	ao_require(ao_json_parse(text, strlen(text), &again, NULL) == 0);
	ao_require(ao_json_equal(value, again) && ao_json_equal(again, value));
	ao_auto_str char *canonical = ao_json_canonical(value), *canonical_again = ao_json_canonical(again);
	ao_require(strcmp(canonical, canonical_again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	ao_auto_json cJSON *value = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = ao_json_parse((const char *)data, len, &value, &err);
	ao_require((r == 0) == (value != NULL) && (r < 0) == (err != NULL));
	if (r < 0 || fuzz_has_duplicates(value))
		return 0;
	ao_auto_str char *compact = ao_json_print(value), *canonical = ao_json_canonical(value), *pretty = ao_json_pretty(value);
	reads_back(value, compact);
	reads_back(value, canonical);
	reads_back(value, pretty);
	ao_require(cJSON_IsObject(value) == 0 || !ao_json_merge_diff(value, value));
	return 0;
}
