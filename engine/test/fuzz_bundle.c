/* fuzz_bundle.c -- any files as a bundle, the manifest among them: it loads and plans, or says what is wrong. A file begins at "-- file NAME". */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"
#include "script/bundle.h"

#include <string.h>

#define MARK "-- file "
#define MAX_FILES 16

static const char SNAPSHOT[] = "{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\",\"namespace\":\"n\"},"
			       "\"spec\":{\"list\":[1,2,3],\"text\":\"some\"}},\"children\":[],\"related\":[]}";

/** Cuts the input into files. A name ends with its line and may be anything. */
static void take_files(ao_sources *sources, const char *at, const char *end)
{
	for (int i = 0; i < MAX_FILES && at < end; i++) {
		const char *mark = memmem(at, (size_t)(end - at), MARK, strlen(MARK));
		if (!mark)
			return;
		const char *name = mark + strlen(MARK), *line = memchr(name, '\n', (size_t)(end - name));
		if (!line)
			return;
		const char *text = line + 1, *next = memmem(text, (size_t)(end - text), MARK, strlen(MARK));
		ao_auto_str char *key = ao_xstrndup(name, (size_t)(line - name));
		if (!next)
			next = end;
		ao_sources_put(sources, key, text, (size_t)(next - text), "fuzz");
		at = next;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static cJSON *snapshot;
	if (!snapshot)
		ao_require(ao_json_parse(SNAPSHOT, strlen(SNAPSHOT), &snapshot, NULL) == 0);
	ao_auto_sources ao_sources sources = {0};
	take_files(&sources, (const char *)data, (const char *)data + len);
	ao_auto_json cJSON *manifest = NULL, *plan = NULL, *status = NULL;
	ao_auto_err ao_err *err_manifest = NULL, *err = NULL, *err_plan = NULL, *err_status = NULL;
	int r = ao_bundle_peek_manifest(&sources, &manifest, &err_manifest);
	ao_require((r == 0) == (manifest != NULL) && (r < 0) == (err_manifest != NULL));
	const ao_limits limits = {.steps = 200000, .heap = 4u << 20, .output = 64u << 10, .cpu_ms = 2000};
	ao_auto_bundle ao_bundle *bundle = NULL;
	r = ao_bundle_load(&sources, NULL, &limits, &bundle, &err);
	ao_require((r == 0) == (bundle != NULL) && (r < 0) == (err != NULL));
	if (r < 0)
		return 0;
	r = ao_bundle_plan(bundle, snapshot, &plan, NULL, &err_plan);
	ao_require((r == 0) == (plan != NULL) && (r < 0) == (err_plan != NULL));
	r = ao_bundle_status(bundle, snapshot, &status, NULL, &err_status);
	ao_require((r == 0) == (status != NULL) && (r < 0) == (err_status != NULL));
	return 0;
}
