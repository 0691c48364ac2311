#pragma once
/**
 * cut.h -- what a store keeps of an object as the server sent it.  Private to kube/.
 *
 * One walk over the text, no tree: identity, owner, label and digests are read while the text is copied without spaces, apiVersion, kind
 * and (unless asked for) managedFields; of a pod only the members of a fixed table are copied.
 * Threads: any.
 */
#include "kube/store.h"

/** The strings of an object, each NUL-terminated in ao_cut.strings. */
typedef enum {
	AO_CUT_KEY,
	AO_CUT_NAMESPACE,
	AO_CUT_NAME, /* the end of the key */
	AO_CUT_UID,
	AO_CUT_VERSION,
	AO_CUT_OWNER_UID,
	AO_CUT_OWNER_KIND,
	AO_CUT_OWNER_NAME,
	AO_CUT_LABEL,
	AO_CUT_ANNOTATION, /* the one that the options ask for */
	AO_CUT_STRINGS
} ao_cut_string;

typedef struct ao_cut {
	ao_buf strings;
	size_t at[AO_CUT_STRINGS]; /* offsets into strings; 0 is "" */
	ao_buf text;
	int64_t generation;
	bool deleting, stub;
	ao_managed held;
	uint64_t spec_digest;
} ao_cut;

ao_cut ao_cut_init(void);
void ao_cut_free(ao_cut *cut);
static inline const char *ao_cut_str(const ao_cut *cut, ao_cut_string which) { return cut->strings.data + cut->at[which]; }

/** Fills `cut`, whose buffers are reused. @return 0; -EINVAL no object with metadata.name and uid; -E2BIG larger than 16 MiB */
int ao_cut_make(ao_cut *cut, ao_span object, const ao_store_options *options, ao_err **reterr);
