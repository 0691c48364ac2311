#pragma once
/**
 * sides.h -- the two sides of a comparison: the bundle that serves a parent now, and the one that would serve it.
 *
 * The parent's status names the bundle that serves it.  Its texts are those that the operator keeps, or the ConfigMaps as they are.  The
 * bundle that would serve it is made of ConfigMaps, --policies and settings; parents of a canary have one of their own.
 * Threads: the main thread.
 */
#include "cli/session.h"
#include "policy/variant.h"

typedef struct ao_sides ao_sides;

/**
 * Reads the ConfigMaps of the operator's namespace and loads the bundles that would serve.  Files that settings ask for are fetched, as the
 * operator does it.  A file that cannot be fetched is named on stderr, and what needs it counts as unchanged.
 *
 * @param session  borrowed, as is `load`, until ao_sides_free()
 * @return 0; as ao_session_get(), ao_load_settings() and ao_variant_load()
 */
int ao_sides_new(ao_session *session, const ao_load_options *load, ao_sides **ret, ao_err **reterr);
void ao_sides_free(ao_sides *sides); /* NULL is fine; before the session is closed */

/** Is what namespaces say asked for, and not to be had here? Then the bundles are not those of the operator where namespaces say something. */
bool ao_sides_blind(const ao_sides *sides);
/** The bundle that would serve the parents outside of the canary. Borrowed. */
const ao_variant *ao_sides_main(const ao_sides *sides);
/** The manifest of a world in which both sides are seen: with all kinds that policies declare. @return as ao_manifest_read() */
int ao_sides_manifest(const ao_sides *sides, ao_manifest **ret, ao_err **reterr);
/** The bundle that would serve this parent. Borrowed. */
const ao_variant *ao_sides_would(const ao_sides *sides, const ao_object *parent);
/** The bundle that serves this parent now. It may have to be fetched, and then the parent may be gone afterwards. Borrowed. */
const ao_variant *ao_sides_serving(ao_sides *sides, const ao_object *parent);
