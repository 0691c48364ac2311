/* finalizer.c -- a JSON patch by position.  Its test makes sure that it does not remove another finalizer. */
#include "reconcile/finalizer.h"

#include "base/mem.h"

/** @return its position in the object's metadata, or -1 */
static int index_of(const cJSON *object, const char *finalizer)
{
	return ao_json_index(ao_json_at(object, "metadata", "finalizers"), finalizer);
}

bool ao_finalizer_held(const cJSON *object, const char *finalizer) { return index_of(object, finalizer) >= 0; }

ao_finalize ao_finalize_judge(const cJSON *answer, int64_t since_ms, uint64_t seconds, int64_t now_ms)
{
	if (answer && cJSON_IsTrue(ao_json_at(answer, "done")))
		return AO_FINALIZE_DONE;
	return now_ms >= since_ms + (int64_t)seconds * 1000 ? AO_FINALIZE_LATE : AO_FINALIZE_WAITS;
}

cJSON *ao_finalizer_removal(const cJSON *object, const char *finalizer)
{
	int index = index_of(object, finalizer);
	if (index < 0)
		return NULL;
	ao_auto_str char *path = ao_xasprintf("/metadata/finalizers/%d", index);
	cJSON *patch = cJSON_CreateArray();
	cJSON_AddItemToArray(patch, ao_json_patch_step("test", path, cJSON_CreateString(finalizer)));
	cJSON_AddItemToArray(patch, ao_json_patch_step("remove", path, NULL));
	return patch;
}
