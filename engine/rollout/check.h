#pragma once
/**
 * check.h -- what a bundle would make of one parent, compared with the bundle that serves it now.
 * Threads: the loop thread only.
 */
#include "policy/changes.h"
#include "policy/plan.h"
#include "reconcile/reconcile.h"
#include "rollout/machine/machine.h"

typedef struct ao_check_options {
	const ao_reconciler *reconciler; /* knows what policies are shown of a parent */
	ao_world *world;                 /* ... and what else the candidate may ask for */
	const ao_openapi *openapi;
	ao_bundle *serving; /* NULL: the parent is held. Nobody can say whether its pods restart, so it is assumed that they do */
	ao_bundle *candidate;
	ao_bundle *live; /* or NULL. A held parent on which it raises an error, too, is no worse with the candidate */
} ao_check_options;

/** Sums over all parents that were looked at, for people. */
typedef struct ao_check_sums {
	size_t parents;      /* looked at */
	size_t refused;      /* parents that the candidate refuses and the other bundle does not */
	ao_changes *changes; /* of the others; NULL: no parent was looked at */
} ao_check_sums;
void ao_check_sums_clear(ao_check_sums *sums);

/**
 * @param ret   `why` points into *reterr
 * @param sums  the parent is added to them when the verdict is good
 */
void ao_check_parent(const ao_check_options *options, const ao_object *parent, ao_machine_check *ret, ao_check_sums *sums, ao_err **reterr);
