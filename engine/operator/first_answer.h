#pragma once
/**
 * first_answer.h -- the very first request is repeated until the API server answers.  The operator waits for a server that is away at any
 * other time, too.  Meanwhile the pod is alive, but not ready.
 * Threads: the loop thread only, outside of callbacks: it turns the loop.
 */
#include "kube/client.h"
#include "json/json.h"

/**
 * Gets a ConfigMap that may be missing.  The reason why there is no answer is logged once, and again when it changes.
 *
 * @param stopping       ends the waiting when it becomes true
 * @param ret_forbidden  set when we may not read it; untouched otherwise
 * @param ret            the ConfigMap; NULL: it is missing, or cannot be read; the caller frees
 * @return 0; -EINTR `stopping` became true first, and no error is set; else what the server said
 */
int ao_first_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *namespace_, const char *name,
		    const bool *stopping, bool *ret_forbidden, cJSON **ret, ao_err **reterr);
