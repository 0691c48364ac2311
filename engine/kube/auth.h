#pragma once
/**
 * auth.h -- who we are in each request: a fixed token, a token file that is read again, or a user name.  Private to kube/.
 *
 * A kubelet puts a new token into the file long before the old one ends, so the file is read again at the first request after
 * 60 s; no timer runs for it.  A file that cannot be read, or holds no token, leaves the one we have.
 * Threads: the loop thread only.
 */
#include "kube/config.h"

#include <stdint.h>

typedef struct ao_auth ao_auth;

/** @param config borrowed for life */
ao_auth *ao_auth_new(const ao_kubeconfig *config);
void ao_auth_free(ao_auth *auth); /* NULL is fine; credentials are overwritten */

/** "Authorization: Bearer ...", or NULL. The caller hands it to ao_secret_free(). */
char *ao_auth_header(ao_auth *auth);
/** "user:password" for basic authentication, or NULL; only when there is no token. The caller hands it to ao_secret_free(). */
char *ao_auth_userpwd(const ao_auth *auth);
/**
 * The server refused what was sent at `sent_ms` (ao_mono_ms()): unless the file was read since, the next request reads it again.
 * @return false when there is no file, so that another attempt cannot go better
 */
bool ao_auth_refused(ao_auth *auth, uint64_t sent_ms);
