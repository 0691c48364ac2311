#pragma once
/**
 * variant.h -- one loaded bundle, counted by references, because several parties may still need it.
 *
 * While a new bundle is rolled out, parents that it has not reached yet are served by the bundle that they had.  Each holds a reference.
 * Threads: the loop thread only.
 */
#include "kube/store.h"
#include "policy/cases.h"

typedef struct ao_variant {
	unsigned references;
	ao_loaded loaded;
	ao_sources own;     /* the files that came from ConfigMaps: what has to be remembered */
	cJSON *config_maps; /* their names, for messages: ["ns/name", ...] */
	char *selector;     /* a canary's: which parents; see ao_variant_concerns() */
	unsigned percent;   /* ... or this share of them; 0: by selector */
} ao_variant;

/**
 * Loads a bundle from the files of the binary, --policies and ConfigMaps.
 *
 * @param lists  ConfigMapLists, later ones win; NULL-terminated
 * @return 0; -EINVAL with file and line
 */
int ao_variant_load(const ao_load_options *options, const cJSON *const *lists, ao_variant **ret, ao_err **reterr);
/** The same with files that were kept from an earlier run. */
int ao_variant_load_files(const ao_load_options *options, const ao_sources *own, ao_variant **ret, ao_err **reterr);
/** The cases among the variant's own files; they live as long as the variant. @return 0; as ao_load_sources() */
int ao_variant_cases(const ao_load_options *options, const ao_variant *variant, ao_cases **ret, ao_err **reterr);
ao_variant *ao_variant_ref(ao_variant *variant);
void ao_variant_unref(ao_variant *variant); /* NULL is fine */

static inline const char *ao_variant_digest(const ao_variant *v) { return ao_bundle_digest(v->loaded.bundle); }
/** Do both name the same kinds in the same way, so that one world serves both? */
bool ao_variant_same_manifest(const ao_variant *a, const ao_variant *b);

/**
 * Makes the variant a canary for some parents.
 *
 * @param selector  "team=ml,tier!=gold,beta,!legacy", or NULL
 * @param percent   "10", or NULL
 * @return 0; -EINVAL neither is given, or the one that is given is wrong
 */
int ao_variant_limit(ao_variant *variant, const char *selector, const char *percent, ao_err **reterr);
bool ao_variant_concerns(const ao_variant *variant, const ao_object *parent);
