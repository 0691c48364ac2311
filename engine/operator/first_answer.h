#pragma once
/**
 * first_answer.h -- the very first request is repeated until the API server answers.  The operator waits for a server that is away at any
 * other time, too.  Meanwhile the pod is alive, but not ready.
 * Threads: the loop thread only, outside of callbacks: it turns the loop.
 */
#include "kube/client.h"

/**
 * Gets an object.  The reason why there is no answer is logged once, and again when it changes.
 *
 * @param stopping     ends the waiting when it becomes true
 * @param ret_message  what the server said; the caller frees
 * @return the answer's error; -EINTR `stopping` became true first
 */
int ao_first_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *path, const ao_kube_object *object,
		    const bool *stopping, char **ret_message);
