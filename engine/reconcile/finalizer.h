#pragma once
/**
 * finalizer.h -- a finalizer among those of an object, and how it is taken away without touching another's.
 * Threads: any.
 */
#include "json/json.h"

bool ao_finalizer_held(const cJSON *object, const char *finalizer);
/** The JSON patch that removes it and fails (422) when the list has moved meanwhile; NULL when it is not there. The caller frees. */
cJSON *ao_finalizer_removal(const cJSON *object, const char *finalizer);
