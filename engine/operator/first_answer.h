#pragma once
/**
 * first_answer.h -- the very first request is repeated until the API server answers.  The operator waits for a server that is away at any
 * other time, too.  Meanwhile the pod is alive, but not ready.
 *
 * A server that has just started may know nobody's rights yet, and a right may be granted a moment after us: what is refused is asked for
 * once more, too, for a while before anything is begun, and after that for as long as it takes.
 * Threads: the loop thread only; ao_first_answer() outside of callbacks, because it turns the loop.
 */
#include "kube/client.h"
#include "json/json.h"

/**
 * Gets a ConfigMap that may be missing.  The reason why there is no answer is logged once, and again when it changes.
 *
 * @param patience_ms    how long a right to read it is waited for, from when it is missed first
 * @param stopping       ends the waiting when it becomes true
 * @param ret_forbidden  set when we may not read it; untouched otherwise
 * @param ret            the ConfigMap; NULL: it is missing, or cannot be read; the caller frees
 * @return 0; -EINTR `stopping` became true first, and no error is set; else what the server said
 */
int ao_first_answer(ao_loop *loop, ao_kube *kube, const ao_kubeconfig *config, const char *namespace_, const char *name,
		    uint64_t patience_ms, const bool *stopping, bool *ret_forbidden, cJSON **ret, ao_err **reterr);

typedef struct ao_later_answer ao_later_answer;

/**
 * Asks for a ConfigMap that we may not read, now and then, until we may.
 *
 * @param pace_ms  between two requests; there is jitter on top of it
 * @param fn       called once, from the loop. `map`: as ao_first_answer() returns it, borrowed
 */
ao_later_answer *ao_later_answer_new(ao_loop *loop, ao_kube *kube, const char *namespace_, const char *name, uint64_t pace_ms,
				     void (*fn)(void *arg, const cJSON *map), void *arg);
void ao_later_answer_free(ao_later_answer *later); /* NULL is fine */
