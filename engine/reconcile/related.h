#pragma once
/**
 * related.h -- what is related to a parent: by a label, through the child that owns it, or by rules.
 * Threads: the loop thread only.
 */
#include "reconcile/relations.h"
#include "reconcile/world.h"

/**
 * Calls fn for each related object, kind by kind in manifest order, and for what rules select last.
 * @param rules_of  the key under which the rules are known
 */
void ao_related_each(ao_world *world, ao_relations *relations, const ao_object *parent, const char *rules_of,
		     void (*fn)(void *arg, const ao_kind *kind, const ao_object *object), void *arg);
