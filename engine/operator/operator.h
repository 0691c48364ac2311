#pragma once
/**
 * operator.h -- the running operator: a loop, made from a kubeconfig and bundles, that ends on SIGTERM.
 *
 * With one bundle it also ends when that cannot be loaded or has lost its lease, so that whoever started it sees that.  With several, one that
 * cannot work rests and is begun anew now and then, and the others go on.
 * Threads: called once, from the main thread, which becomes the loop thread.
 */
#include "policy/load.h"
#include "policy/recorder.h"

#include <stdbool.h>

typedef struct ao_operator_options {
	ao_load_options load;       /* of each bundle; which one, `bundles` says */
	const char *const *bundles; /* as ao_load_options.bundle_dir; `load.policies_dir` lies over the only one, or the built-in one */
	size_t bundle_count;        /* at least 1 */
	const char *kubeconfig, *context; /* NULL: as kubectl would find them */
	const char *namespace_;           /* our own, for lease and policy ConfigMaps; NULL: the kubeconfig's */
	const char *metrics_address;      /* "0" turns it off */
	const char *probe_address;
	ao_recorder *recorder; /* --record, or NULL; the caller frees it afterwards */
	bool leader_elect;
	bool debug_remote;     /* /debug/ answers other hosts, too */
	size_t max_concurrent; /* parents worked on at the same time */
} ao_operator_options;

/**
 * Runs until told to stop.
 * @return 0 after SIGTERM or SIGINT; -EIO the API server cannot be reached at start; -EPERM the lease was lost; -EINVAL wrong configuration
 */
int ao_operator_run(const ao_operator_options *options, ao_err **reterr);
