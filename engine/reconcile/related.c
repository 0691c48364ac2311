/* related.c -- goes through the kinds of the manifest, then through what the parent has asked for by rules. */
#include "reconcile/related.h"

#include <string.h>

/** Visits what is related to a parent, kind by kind. */
typedef struct relation {
	ao_world *world;
	const ao_object *parent;
	const ao_kind *kind; /* the one being visited */
	void (*fn)(void *arg, const ao_kind *kind, const ao_object *object);
	void *arg;
} relation;

/** Does an earlier row of the same kind show this object already? */
static bool is_shown(const relation *r, const ao_object *object)
{
	for (const ao_kind *kind = ao_world_manifest(r->world)->kinds; kind < r->kind; kind++) {
		bool rival = kind->role == AO_ROLE_RELATED && kind->label && strcmp(kind->resource.kind, r->kind->resource.kind) == 0;
		const ao_object *other = rival ? ao_store_get(ao_world_store(r->world, kind), object->key) : NULL;
		if (other && strcmp(other->label, kind->same ? r->parent->label : r->parent->name) == 0)
			return true;
	}
	return false;
}

static void related_visitor(void *arg, const ao_object *object)
{
	const relation *r = arg;
	if (r->kind->same && is_shown(r, object))
		return;
	r->fn(r->arg, r->kind, object);
}

/** What is owned by this child, of the kind being visited. */
static void owner_visitor(void *arg, const ao_kind *kind, const ao_object *child)
{
	relation *r = arg;
	if (strcmp(kind->resource.kind, r->kind->owner) == 0)
		ao_store_each_owned(ao_world_store(r->world, r->kind), child->uid, related_visitor, r);
}

void ao_related_each(ao_world *world, ao_relations *relations, const ao_object *parent, const char *rules_of,
		     void (*fn)(void *arg, const ao_kind *kind, const ao_object *object), void *arg)
{
	const ao_manifest *manifest = ao_world_manifest(world);
	for (size_t i = 0; i < manifest->kind_count; i++) {
		relation r = {world, parent, &manifest->kinds[i], fn, arg};
		if (r.kind->role == AO_ROLE_RELATED && r.kind->owner)
			ao_world_each_child(world, parent->uid, owner_visitor, &r);
		else if (r.kind->role == AO_ROLE_RELATED && r.kind->label && (!r.kind->same || *parent->label))
			ao_store_each_labelled(ao_world_store(world, r.kind), parent->namespace_,
					       r.kind->same ? parent->label : parent->name, related_visitor, &r);
	}
	ao_relations_each(relations, rules_of, fn, arg);
}
