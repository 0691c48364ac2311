#pragma once
/**
 * finalizer.h -- finds one finalizer of an object, and takes it away without touching the others; and for how long policies may hold it.
 * Threads: any.
 */
#include "json/json.h"

bool ao_finalizer_held(const cJSON *object, const char *finalizer);
/** The JSON patch that removes it; it fails (422) when the list has changed meanwhile. NULL: it is not there. The caller frees. */
cJSON *ao_finalizer_removal(const cJSON *object, const char *finalizer);

/** How far policies are with a parent that is being deleted. */
typedef enum {
	AO_FINALIZE_DONE,
	AO_FINALIZE_WAITS,
	AO_FINALIZE_LATE, /* they are not done, and have had their time */
} ao_finalize;

/**
 * @param answer    `finalize` of the plan, {done, ...}; NULL: there is no plan, so nobody has said that it is done
 * @param since_ms  when the deletion was asked for, wall clock
 * @param seconds   for how long policies may take
 */
ao_finalize ao_finalize_judge(const cJSON *answer, int64_t since_ms, uint64_t seconds, int64_t now_ms);
