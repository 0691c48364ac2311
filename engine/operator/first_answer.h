#pragma once
/**
 * first_answer.h -- the very first request: repeated until the API server answers, because one that is away is waited for at any other time,
 * too.  The pod is alive meanwhile, and not ready.
 * Threads: the loop thread only, outside of callbacks: it turns the loop.
 */
#include "kube/client.h"

/**
 * Gets an object.  What keeps it from an answer is logged, once as long as it stays the same.
 *
 * @param stopping     ends the waiting when it becomes true
 * @param ret_message  what the server said; the caller frees
 * @return the answer's error; -EINTR `stopping` came first
 */
int ao_first_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *path, const ao_kube_object *object,
		    const bool *stopping, char **ret_message);
