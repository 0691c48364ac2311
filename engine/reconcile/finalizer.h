#pragma once
/**
 * finalizer.h -- finds one finalizer of an object, and takes it away without touching the others.
 * Threads: any.
 */
#include "json/json.h"

bool ao_finalizer_held(const cJSON *object, const char *finalizer);
/** The JSON patch that removes it; it fails (422) when the list has changed meanwhile. NULL: it is not there. The caller frees. */
cJSON *ao_finalizer_removal(const cJSON *object, const char *finalizer);
