#pragma once
/**
 * record_text.h -- the record as the text that stands in its ConfigMap, and back.
 *
 * It is JSON that people can read: which bundle each track has, where an edit goes and how far it is, which parents are on their way, what
 * was refused and why, what was live before, and in which ConfigMaps the texts of bundles are kept.
 * Threads: any.
 */
#include "base/map.h"
#include "policy/scope.h"
#include "rollout/machine/record.h"
#include "json/json.h"

/** Name of the record's ConfigMap. The caller frees. */
char *ao_record_name(const ao_scope *scope, const char *component);

/** Which ConfigMaps keep the texts of a bundle: their numbers, in order. */
typedef struct ao_kept {
	unsigned slots[8];
	size_t count;
} ao_kept;

#define AO_KEPT_SLOTS 64 /* ConfigMaps of texts, at most */

/**
 * @param kept   digest -> ao_kept
 * @param kinds  those that policies declare and that are watched, an array of {apiVersion, kind, plural}; or NULL
 * @param has    which parents have which bundle, as has.c says, where their statuses do not say it; or NULL
 * @param parent     what the parents are; or NULL
 * @param finalizer  what they hold; or NULL
 * @param pace       how fast edits go, in the form of the setting `rollout`; or NULL
 * @return the caller frees
 */
char *ao_record_text(const ao_rollout_record *record, const ao_map *kept, const cJSON *kinds, const cJSON *has, const ao_resource *parent,
		     const char *finalizer, const cJSON *pace);

/**
 * @param ret   cleared by the caller; untouched on errors
 * @param kept  gets new values, which the caller frees
 * @return 0; -EINVAL it is not a valid record (edited by hand?); -ENOTSUP it was written by a newer version
 */
int ao_record_read(const char *text, ao_rollout_record *ret, ao_map *kept, ao_err **reterr);

/** The kinds in the text of a record; rows that are not valid are left out. @return an array, never NULL; the caller frees */
cJSON *ao_record_kinds(const char *text);

/** How fast edits went, as the text of a record says. @return NULL: it does not say it; the caller frees */
cJSON *ao_record_pace(const char *text);

/**
 * What the parents are, as the text of a record says.
 *
 * @param ret            the caller clears it; empty: the text does not say it
 * @param ret_finalizer  that they hold; NULL: the text does not say it; the caller frees
 */
void ao_record_parent(const char *text, ao_resource *ret, char **ret_finalizer);

/** "12 of 40 reached, 3 on their way, 25 waiting, 0 failed", for people. The caller frees. */
char *ao_counts_text(const ao_rollout_counts *counts);
