#pragma once
/**
 * relate.h -- asks a bundle's hook relate which objects a parent wants to see, and shows them to its policies.
 * Threads: the loop thread only.
 */
#include "reconcile/world.h"
#include "script/bundle.h"

/**
 * Asks for the rules of a parent, which hold from now on: snapshots have what they select, and its changes wake the parent.  Does nothing for
 * a bundle without the hook.
 * @return 0; as ao_bundle_relate(); -E2BIG the rules select too much
 */
int ao_relate(ao_world *world, ao_bundle *bundle, const ao_object *parent, ao_err **reterr);

/** Puts what the rules of `bundle` select into `related` of a snapshot of the parent, which may have been made for another bundle. @return as above */
int ao_relate_snapshot(ao_world *world, ao_bundle *bundle, const ao_object *parent, cJSON *snapshot, ao_err **reterr);
