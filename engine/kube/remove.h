#pragma once
/**
 * remove.h -- deletes one object, and says that it is gone only when the server has said so of this very object.
 *
 * DELETE with a precondition on the uid, background propagation.  A conflict may mean that another object has that name now; reading it
 * tells. Threads: the loop thread only; callbacks run on the loop.
 */
#include "kube/client.h"
#include "kube/store.h"

typedef struct ao_remove ao_remove;

/**
 * @param resource  borrowed until fn
 * @param observed  borrowed for the call
 * @param fn        once: error 0 when it is deleted, body then being the object, which goes on until its finalizers are done, or a Status;
 *                  -ENOENT when it was gone before, and perhaps another has its name; everything else is to be tried again
 */
ao_remove *ao_remove_start(ao_kube *kube, const ao_resource *resource, const ao_object *observed, ao_kube_fn fn, void *arg);
/** The same, unless it has changed since it was observed: -ESTALE. */
ao_remove *ao_remove_as_observed(ao_kube *kube, const ao_resource *resource, const ao_object *observed, ao_kube_fn fn, void *arg);
void ao_remove_cancel(ao_remove *removal);
