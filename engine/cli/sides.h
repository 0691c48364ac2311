#pragma once
/**
 * sides.h -- the two sides of a comparison: the bundle that serves a parent now, and the one that ConfigMaps, --policies and settings would make.
 *
 * What serves a parent is the bundle that its status names, from the texts that the operator keeps, or from the ConfigMaps as they are.  What would is the bundle of its track:
 * parents of a canary have one of their own.
 * Threads: the main thread.
 */
#include "cli/session.h"
#include "policy/variant.h"

typedef struct ao_sides ao_sides;

/**
 * Reads the ConfigMaps of the operator's namespace and loads what would be.  Files that settings ask for are fetched, as the operator does;
 * one that cannot be had is named on stderr, and what needs it is not changed.
 *
 * @param session  borrowed, as is `load`, until ao_sides_free()
 * @return 0; as ao_session_get(), ao_load_settings() and ao_variant_load()
 */
int ao_sides_new(ao_session *session, const ao_load_options *load, ao_sides **ret, ao_err **reterr);
void ao_sides_free(ao_sides *sides); /* NULL is fine; before the session is closed */

/** What would serve parents that are of no canary. Borrowed. */
const ao_variant *ao_sides_main(const ao_sides *sides);
/** What would serve a parent. Borrowed. */
const ao_variant *ao_sides_would(const ao_sides *sides, const ao_object *parent);
/** What serves a parent; it may be fetched first, after which the parent may be gone. Borrowed. */
const ao_variant *ao_sides_serving(ao_sides *sides, const ao_object *parent);
