#pragma once
/**
 * coverage.h -- which lines of the Lua files of a bundle have run, for those who test policies.
 *
 * A bundle that is loaded with one counts for it, in every call; a bundle without one pays nothing.
 * Ownership: the caller owns it, and keeps it for as long as the bundles that count for it.
 * Threads: the loop thread only.
 */
#include "script/bundle.h"

typedef struct ao_coverage ao_coverage;

/**
 * Finds the lines that can run.
 * @return 0; -EINVAL a file does not compile; -ETIME, -E2BIG, -EINTR as ao_bundle_load()
 */
int ao_coverage_new(const ao_sources *sources, ao_coverage **ret, ao_err **reterr);
void ao_coverage_free(ao_coverage *coverage); /* NULL is fine */

/** ao_bundle_load(), and the lines that run while it loads and in each call are counted. @param coverage  NULL: they are not */
int ao_bundle_load_covered(const ao_sources *sources, const cJSON *settings, const ao_limits *limits, ao_coverage *coverage,
			   ao_bundle **ret, ao_err **reterr);

/** Private to script/: a line of a chunk runs. Allocates nothing. @param chunk  "@x.lua"; the SDK's and unknown ones are not counted */
void ao_coverage_note(ao_coverage *coverage, const char *chunk, int line);

/**
 * What has run so far, by file: [{file, origin, lines, run, never: [{first, last}]}].
 * `lines` are those that can run.  A range of `never` may hold some that cannot, but none that ran.  The caller frees.
 */
cJSON *ao_coverage_report(const ao_coverage *coverage);

static inline void ao_coverage_freep(ao_coverage **c) { ao_coverage_free(*c); }
#define ao_auto_coverage __attribute__((cleanup(ao_coverage_freep)))
