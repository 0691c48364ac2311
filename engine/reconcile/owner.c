/* owner.c -- an owner by reference is in the namespace of what it owns, or in none. */
#include "reconcile/owner.h"

#include "base/mem.h"

#include <string.h>

char *ao_owner_key_of(const ao_kind *owner, const ao_object *object)
{
	if (owner->resource.cluster_scoped)
		return ao_xstrdup(object->owner_name);
	return ao_xasprintf("%s/%s", object->namespace_, object->owner_name);
}

char *ao_owner_key(const ao_manifest *manifest, const ao_kind *kind, const ao_object *child)
{
	const ao_kind *parent = &manifest->kinds[0];
	if (kind->by_label)
		return ao_xstrdup(child->owner_name);
	return strcmp(child->owner_kind, parent->resource.kind) == 0 ? ao_owner_key_of(parent, child) : NULL;
}
