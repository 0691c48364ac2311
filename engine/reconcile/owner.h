#pragma once
/**
 * owner.h -- which parent a child belongs to, as the child itself says.
 *
 * It says so by its controlling owner reference, or, where no such reference to the parent may be (in another namespace than the parent's),
 * by a label with the parent's uid and an annotation with its key.  Both are indexed alike, by the uid; see ao_store_options.
 * Threads: any.
 */
#include "kube/store.h"
#include "policy/manifest.h"

/** The key of the parent that a child names, be it known or not; NULL: it names none of our kind. The caller frees. */
char *ao_owner_key(const ao_manifest *manifest, const ao_kind *kind, const ao_object *child);
/** The key of the owner of this kind that the owner reference of an object names. The caller frees. */
char *ao_owner_key_of(const ao_kind *owner, const ao_object *object);
