#pragma once
/**
 * sides.h -- the two sides of a comparison: the bundles that serve in a cluster, and those that its ConfigMaps and --policies would make.
 *
 * On each side parents of a canary have a bundle of their own.
 * Threads: the main thread.
 */
#include "cli/session.h"
#include "policy/variant.h"

typedef struct ao_side {
	ao_variant *main, *canary; /* NULL: there is none */
} ao_side;

typedef struct ao_sides {
	ao_side would;
	ao_side serves; /* `main` NULL: it does not load */
	ao_err *why;    /* why not; or NULL */
} ao_sides;

/**
 * Reads the ConfigMaps of the operator's namespace and loads both sides.  Files that settings ask for are fetched, as the operator does;
 * one that cannot be had is named on stderr, and what needs it is not changed.
 * @return 0; as ao_session_get() and ao_variant_load_files(), about the side that would be
 */
int ao_sides_load(ao_session *session, const ao_load_options *load, ao_sides *ret, ao_err **reterr);
void ao_sides_clear(ao_sides *sides); /* zeroed ones are fine */

/** The variant for a parent; NULL when the side does not load. Borrowed. */
const ao_variant *ao_side_for(const ao_side *side, const ao_object *parent);
