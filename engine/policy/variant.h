#pragma once
/**
 * variant.h -- a loaded bundle with what it was loaded from.  References are counted, because several parties may need it.
 *
 * Threads: the loop thread only.
 */
#include "policy/cases.h"

typedef struct ao_variant {
	unsigned references;
	ao_loaded loaded;
	ao_sources sources; /* all files; they must be kept, together with the settings that policies see. See ao_variant_shed(). */
} ao_variant;

/**
 * Loads a bundle.
 *
 * @param sources   taken: the caller's are empty then, whatever comes of it
 * @param settings  all of them
 * @param seen      those that policies see
 * @return 0; as ao_load_with()
 */
int ao_variant_load(const ao_load_options *options, ao_sources *sources, const cJSON *settings, const cJSON *seen, ao_variant **ret,
		    ao_err **reterr);
/** The same of one that is kept. It may be of the time when the process had the class that the manifest names now: our record is called by that class. */
int ao_variant_load_kept(const ao_load_options *options, ao_sources *sources, const cJSON *seen, ao_variant **ret, ao_err **reterr);
/** The same from the base and --policies, with the current settings. */
int ao_variant_load_base(const ao_load_options *options, ao_variant **ret, ao_err **reterr);
/** Its texts are kept elsewhere and not needed any more: frees them. */
void ao_variant_shed(ao_variant *variant);
ao_variant *ao_variant_ref(ao_variant *variant);
void ao_variant_unref(ao_variant *variant); /* NULL is fine */

static inline const char *ao_variant_digest(const ao_variant *v) { return ao_bundle_digest(v->loaded.bundle); }
