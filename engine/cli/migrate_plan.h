#pragma once
/**
 * migrate_plan.h -- what a migration would do to each parent: its queues, its pods.
 *
 * A row is {namespace, name, from, to, state, queues: [{transport, from, to}], messages, inFlight, restarts: [{kind, name, pods}], message,
 * awaited}.  `awaited`: others of its namespace are not there yet and may use its old name.
 * Threads: the main thread.
 */
#include "cli/output.h"
#include "cli/session.h"
#include "policy/manifest.h"

#define AO_MIGRATE_NEEDED "to be migrated"
#define AO_MIGRATE_UNDER_WAY "on its way"
#define AO_MIGRATE_BESIDE "gets its new queue beside the old one" /* was not chosen, and is in the namespace of one that was */
#define AO_MIGRATE_DONE "there already"
#define AO_MIGRATE_REFUSED "refused" /* `message` says why */

typedef struct ao_migrate_options {
	const char *to;
	const char *namespace_; /* NULL with names: the usual one */
	const char **names;     /* the last one is NULL */
	bool everywhere;
	ao_output output;
} ao_migrate_options;

/**
 * Asks the policies of the cluster, once for each parent as it is and once as it would be.
 * @param ret_manifest  the caller frees it, as it does `ret`
 * @return 0; -EINVAL there are no profiles; -ENOENT a parent that was named is not there; as ao_sides_new()
 */
int ao_migrate_plan(ao_session *session, const ao_load_options *load, const ao_migrate_options *options, ao_manifest **ret_manifest,
		    cJSON **ret, ao_err **reterr);
/** @param plural  what parents are called */
void ao_migrate_print(const cJSON *rows, const ao_migrate_options *options, const char *plural);
/** How many cannot be migrated. */
size_t ao_migrate_refused(const cJSON *rows);
