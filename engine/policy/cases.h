#pragma once
/**
 * cases.h -- runs the cases that lie beside policies: YAML files named `*.case.yaml`, in the form that lua/cases.lua describes.
 *
 * There may be hundreds of cases, each with a bundle of its own.  So a caller that has a loop to turn runs them one by one.
 * Threads: the loop thread only.
 */
#include "policy/load.h"
#include "policy/shapes.h"

typedef struct ao_cases ao_cases;

/**
 * @param loaded   borrowed for the life of the cases, as is `files`
 * @param sources  what it was loaded from; taken: the caller's is empty then
 * @param files    the files that hold the cases
 */
ao_cases *ao_cases_new(const ao_loaded *loaded, ao_sources *sources, const ao_sources *files);
void ao_cases_free(ao_cases *cases); /* NULL is fine */

/**
 * Runs the next case.
 *
 * @param reterr  "slow.case.yaml: case 'scales by two': Deployment.spec.replicas: wanted 4, got 5"
 * @return 1 it holds; 0 none is left; -EINVAL it failed or is not a valid case; -EINTR the sandbox's clock: it is the next one again
 */
int ao_cases_next(ao_cases *cases, ao_err **reterr);

typedef struct ao_cases_count {
	size_t passed, failed;
} ao_cases_count;

/**
 * Runs every case of `files` with the bundle that was loaded from `sources`.  A case that the clock stops has failed.
 *
 * @param shapes  or NULL; each case, and the manifest's example of a parent, is rendered in these shapes, too; cleared by the caller
 * @param reterr  the first failure
 * @return 0; -EINVAL, -EINTR as ao_cases_next()
 */
int ao_cases_run(const ao_loaded *loaded, const ao_sources *sources, const ao_sources *files, ao_shapes *shapes, ao_cases_count *count,
		 ao_err **reterr);
