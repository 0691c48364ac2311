#pragma once
/**
 * wanted.h -- what sources and settings hold now: the bundle of each track by its digest.  No policy is loaded for that.
 *
 * The files of ConfigMaps labelled `<label>=true`, or with the name of the bundle, lie over those of the binary and of --policies; those of
 * ConfigMaps labelled `<label>-canary=true` lie over all of these.  When two files have the same name, the ConfigMap that is later in the alphabet wins.
 * Threads: the loop thread only.
 */
#include "policy/variant.h"
#include "rollout/machine/record.h"

/** The ConfigMaps of a track, borrowed: of each label those that have it, and some may have both; NULL: none can be read, or none are named. */
typedef struct ao_edit_maps {
	const ao_store *labelled, *named;
} ao_edit_maps;

/** The selector of those that name a bundle, and are not for a canary. NULL: there are none; the caller frees. */
char *ao_edit_maps_named(const ao_manifest *manifest);

/** Where a walk over them stands; begin with {0}. */
typedef struct ao_edit_cursor {
	size_t at;
	bool named;
} ao_edit_cursor;

/** Each of them once, then NULL. Do not change the stores meanwhile. */
const ao_object *ao_edit_maps_next(const ao_edit_maps *maps, ao_edit_cursor *cursor);

typedef struct ao_wanted_options {
	const ao_load_options *load; /* borrowed, as all of these */
	ao_edit_maps maps, canary_maps;
	const char *label;
	const char *profile_annotation; /* or NULL */
	/** Of the bundle that is, or becomes, live: a file that is missing keeps its text there. May be NULL. */
	const cJSON *last_settings;
	const cJSON *last_manifest; /* ... and what it declares: what namespaces said stays while they cannot be seen */
} ao_wanted_options;

/** What would be loaded for one track. */
typedef struct ao_wanted {
	char digest[AO_BUNDLE_DIGEST];
	char *wrong;         /* why it cannot be put together; NULL: it can */
	ao_sources all, own; /* own: those that came from ConfigMaps */
	cJSON *settings, *seen;
} ao_wanted;

/**
 * Puts together what a track would have.
 *
 * @param ret  the caller clears it; it has a digest even when something is wrong, so that it can be refused
 * @return 0; -EINTR the sandbox's clock: look again
 */
int ao_wanted_get(const ao_wanted_options *options, ao_rollout_track track, ao_wanted *ret, ao_err **reterr);
void ao_wanted_clear(ao_wanted *wanted);
#define ao_auto_wanted __attribute__((cleanup(ao_wanted_clear)))

/**
 * Which parents the canary is for.
 *
 * @param ret  the selection; NULL: there is no canary; the caller frees
 * @return 0; -EINVAL the ConfigMaps do not say it, or they disagree
 */
int ao_wanted_selection(const ao_wanted_options *options, char **ret, ao_err **reterr);
