#pragma once
/**
 * managed.h -- moving ownership of fields from Update entries to our Apply entry.  Private to kube/.
 */
#include "json/json.h"

/**
 * The JSON patch that makes one Apply entry of `manager` out of all main-resource entries that belong to us: Update entries of
 * `legacy_managers` (and of `manager`) and an Apply entry that exists already.
 *
 * @param live           the object with metadata.managedFields and resourceVersion
 * @param drop_replicas  leave spec.replicas to whoever else holds it
 * @return a patch, or NULL when there is nothing to move
 */
cJSON *ao_managed_patch(const cJSON *live, const char *manager, const char *const *legacy_managers, bool drop_replicas);
