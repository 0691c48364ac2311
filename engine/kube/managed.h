#pragma once
/**
 * managed.h -- metadata.managedFields: which manager holds which fields, and the patch that makes them ours.
 *
 * A force-apply beside an Update entry never removes a field, because the Update entry still owns it.  So Update entries of ours (a POST)
 * and of a predecessor become one Apply entry of ours first.
 *
 * We give up spec.replicas unless we set it.  A field falls back to its default when its last owner stops applying it, and the default of 1
 * would scale a workload down.
 * Threads: any.
 */
#include "json/json.h"
#include "json/span.h"

typedef struct ao_managed {
	bool legacy_owned;  /* one of `managers` holds an Update entry without subresource */
	bool owns_replicas; /* an Apply entry of one of them holds spec.replicas */
} ao_managed;

/** Reads managedFields without a tree. @param managers NULL-terminated, or NULL */
ao_managed ao_managed_scan(ao_span fields, const char *const *managers);

/**
 * The JSON patch after which `manager` holds by Apply all fields that it and the legacy managers hold by Update now.
 *
 * @param live           the object with its managedFields
 * @param legacy         NULL-terminated; may be NULL
 * @param drop_replicas  we do not set spec.replicas: leave it to its other owners
 * @return the patch (the caller frees), or NULL when nothing is to be done
 */
cJSON *ao_managed_patch(const cJSON *live, const char *manager, const char *const *legacy, bool drop_replicas);
