#pragma once
/**
 * secrets.h -- texts out of Kubernetes Secrets.  They are read by name, never listed or logged, and wiped after use.
 *
 * Threads: the loop thread only.  Callbacks run on the loop, never from inside ao_secrets_read().
 */
#include "kube/client.h"

typedef struct ao_secrets_call ao_secrets_call;

/**
 * error: 0; -ENOENT no such Secret or key; -EPERM we are not allowed to read it; -EINVAL what it holds is not valid text; -EIO the server
 * could not be asked.  reason: SecretMissing, SecretForbidden, InvalidSecret, SecretUnreadable; "" on success.
 */
typedef struct ao_secrets_answer {
	int error;
	const char *reason, *message;
	const cJSON *values; /* {name: text}, base64 if that was asked for; NULL on failure; borrowed for the call, then wiped */
} ao_secrets_answer;

typedef void (*ao_secrets_fn)(void *arg, const ao_secrets_answer *answer);

/**
 * @param namespace_  of references that name none
 * @param refs  {name: {name: of the Secret, key, optional, namespace}}; copied. An optional value that is missing is left out.
 */
ao_secrets_call *ao_secrets_read(ao_kube *kube, const char *namespace_, const cJSON *refs, ao_secrets_fn fn, void *arg);
/** The same; values stay as they are stored, in base64, and may be any bytes. Every reference names its namespace. */
ao_secrets_call *ao_secrets_read_encoded(ao_kube *kube, const cJSON *refs, ao_secrets_fn fn, void *arg);
/** Overwrites every text of a tree and frees it. NULL is fine. */
void ao_secrets_wipe(cJSON *tree);
void ao_secrets_cancel(ao_secrets_call *call); /* fn is not called; NULL is fine */
