/* fuzz_policy.c -- any bytes as a policy's text: loading and planning end within their limits, with a plan or an error. */
#include "fuzz.h"

#include "base/log.h"
#include "script/bundle.h"

#include <string.h>

static const char MANIFEST[] = "return require 'policy'.manifest { parent = { apiVersion = 'v1', kind = 'Widget', plural = 'widgets' },\n"
			       "  children = { { apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps' } }, settings = {} }\n";
static const char SNAPSHOT[] = "{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\",\"namespace\":\"n\"},"
			       "\"spec\":{\"list\":[1,2,3],\"text\":\"some\"}},\"children\":[],\"related\":[]}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static cJSON *snapshot;
	if (!snapshot)
		ao_require(ao_json_parse(SNAPSHOT, strlen(SNAPSHOT), &snapshot, NULL) == 0);
	ao_auto_sources ao_sources sources = {0};
	ao_sources_put(&sources, "manifest.lua", MANIFEST, strlen(MANIFEST), "fuzz");
	ao_sources_put(&sources, "policy.lua", (const char *)data, len, "fuzz");
	const ao_limits limits = {.steps = 200000, .heap = 4u << 20, .output = 64u << 10, .cpu_ms = 2000};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_err ao_err *err = NULL, *err_plan = NULL;
	int r = ao_bundle_load(&sources, NULL, &limits, &bundle, &err);
	ao_require((r == 0) == (bundle != NULL) && (r < 0) == (err != NULL));
	if (r < 0)
		return 0;
	ao_auto_json cJSON *plan = NULL;
	r = ao_bundle_plan(bundle, snapshot, &plan, NULL, &err_plan);
	ao_require((r == 0) == (plan != NULL) && (r < 0) == (err_plan != NULL));
	return 0;
}
