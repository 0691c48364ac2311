#pragma once
/**
 * managed.h -- metadata.managedFields: which manager holds which fields, and the patch that makes them ours.
 *
 * A force-apply beside an Update entry never removes a field, because the Update entry still owns it.  So Update entries of ours (a POST)
 * and of a predecessor become one Apply entry of ours first.
 *
 * A predecessor's name need not be its own: every operator that kubebuilder made writes as "manager".  Its Update entry is a predecessor's
 * only while we hold nothing of the object, or when its caller knows that the predecessor has been back since.
 *
 * We give up spec.replicas unless we set it.  A field falls back to its default when its last owner stops applying it, and the default of 1
 * would scale a workload down.
 *
 * Who put the label on an object that says who manages it is the tool that will write its own text there again.  What somebody else holds
 * of such an object is an edit beside the tool.
 * Threads: any.
 */
#include "json/json.h"
#include "json/span.h"

#include <stdint.h>

/** Entries of subresources do not count, but for the first of these. */
typedef struct ao_managed {
	bool applied_status; /* there is an Apply entry of ours of the status */
	bool applied;        /* there is an Apply entry of ours */
	bool made;           /* ... that holds more than labels and annotations: the object is ours */
	bool to_claim;       /* an Update entry has to become ours before an apply: our own, or a predecessor's while we have none */
	bool legacy_beside;  /* a predecessor's name holds an Update entry beside one of ours */
	bool owns_replicas;  /* an entry of ours, or a predecessor's Apply entry, holds spec.replicas */
	signed char post_at; /* where in the list our Update entry is, when it is all that we hold: as our POST left it; else -1 */
	uint64_t fields; /* digest of which fields we hold, Update or Apply: what we wrote once and do not want any more is among them */
} ao_managed;

/**
 * Reads managedFields without a tree, and steps over them.
 * @param walk     stands before them
 * @param manager  ours; NULL: none
 * @param legacy   the predecessors' names, NULL-terminated, ours may be among them; or NULL
 */
ao_managed ao_managed_scan(ao_walk *walk, const char *manager, const char *const *legacy);

/**
 * The JSON patch after which `manager` holds by Apply all fields that it and its predecessors hold by Update now.  It tests the entries that
 * it changes and nothing else, so that writers of the status are not in its way.
 *
 * @param live           the object with its managedFields
 * @param legacy         as above
 * @param returned       the predecessor has been back: its Update entry counts beside ours, too
 * @param drop_replicas  we do not set spec.replicas: leave it to its other owners
 * @return the patch (the caller frees), or NULL when nothing is to be done
 */
cJSON *ao_managed_patch(const cJSON *live, const char *manager, const char *const *legacy, bool returned, bool drop_replicas);

/** The same for what our POST left at `post_at`, without looking. @param uid  of the object */
cJSON *ao_managed_post_patch(const char *uid, const char *manager, int post_at, bool drop_replicas);

/** Has `manager` or a predecessor written to it? @param live, legacy  as above */
bool ao_managed_by(const cJSON *live, const char *manager, const char *const *legacy);

/**
 * The keys of `data` that were written beside the tool: others hold them, and none who holds the label does.
 *
 * @param live   a ConfigMap with its managedFields
 * @param label  key of the label that names the tool
 * @return an array of names (the caller frees), empty when there are none; NULL: nobody who is known holds the label
 */
cJSON *ao_managed_edits(const cJSON *live, const char *label);
