#pragma once
/**
 * auth.h -- says who we are in each request: by a fixed token, a token file that is read again, or a user name.  Private to kube/.
 *
 * A kubelet puts a new token into the file long before the old one ends.  So the file is read again at the first request after 60 s, and
 * needs no timer.  When it cannot be read, or holds no token, we keep the token that we have.  Who has none yet must not ask as nobody.
 * Threads: the loop thread only.
 */
#include "kube/config.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ao_auth ao_auth;

/** @param config  borrowed until ao_auth_free() */
ao_auth *ao_auth_new(const ao_kubeconfig *config);
void ao_auth_free(ao_auth *auth); /* NULL is fine; credentials are overwritten */

/** @return false while there is a token file and nothing could be read from it yet: then nothing is to be sent */
bool ao_auth_ready(ao_auth *auth);
/** "Authorization: Bearer ...", or NULL. The caller hands it to ao_secret_free(). */
char *ao_auth_header(ao_auth *auth);
/** "user:password" for basic authentication, or NULL; only when there is no token. The caller hands it to ao_secret_free(). */
char *ao_auth_userpwd(const ao_auth *auth);
/**
 * Call it when the server refused what was sent at `sent_ms` (ao_mono_ms()).  The next request reads the file again, unless it has been
 * read since then.
 * @return false when there is no file, so that another attempt would be refused, too
 */
bool ao_auth_refused(ao_auth *auth, uint64_t sent_ms);
