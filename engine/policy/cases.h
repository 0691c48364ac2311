#pragma once
/**
 * cases.h -- runs the cases that lie beside policies: YAML files named `*.case.yaml`, in the form that lua/cases.lua describes.
 * Threads: the loop thread only.
 */
#include "policy/load.h"

typedef struct ao_cases_count {
	size_t passed, failed;
} ao_cases_count;

/**
 * Runs every case of `files` with the bundle that was loaded from `sources`.
 *
 * @param count   may be NULL: then the first failure ends the run
 * @param reterr  "slow.case.yaml: case 'scales by two': Deployment.spec.replicas: wanted 4, got 5": the first failure
 * @return 0; -EINVAL a case failed, or a document is not a case
 */
int ao_cases_run(const ao_loaded *loaded, const ao_sources *sources, const ao_sources *files, ao_cases_count *count, ao_err **reterr);
