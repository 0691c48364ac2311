#pragma once
/**
 * operator.h -- the running operator: a loop, made from a kubeconfig and a bundle, that ends on SIGTERM or when the lease is lost.
 * Threads: called once, from the main thread, which becomes the loop thread.
 */
#include "policy/load.h"
#include "policy/recorder.h"

#include <stdbool.h>

typedef struct ao_operator_options {
	ao_load_options load;
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
