#pragma once
/**
 * auth.h -- says who we are in each request: by a fixed token, a token file that is read again, a user name, or what a plugin says.  Private
 * to kube/.
 *
 * A kubelet puts a new token into the file long before the old one ends.  So the file is read again at the first request after 60 s, and
 * needs no timer.  When it cannot be read, or holds no token, we keep the token that we have.  Without one nothing is sent: it would be sent as nobody.
 * Threads: the loop thread only.
 */
#include "kube/config.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ao_auth ao_auth;

/** Somebody who is told when a plugin has ended. */
typedef struct ao_auth_waiter {
	void (*fn)(void *arg); /* must not free the ao_auth */
	void *arg;
	struct ao_auth_waiter *next;
} ao_auth_waiter;

/** @param config  borrowed until the last ao_auth_free() @param loop  where a plugin runs; NULL: nothing needs one */
ao_auth *ao_auth_new(ao_loop *loop, const ao_kubeconfig *config);
/** Another owner of the same credentials. @return auth */
ao_auth *ao_auth_share(ao_auth *auth);
void ao_auth_free(ao_auth *auth); /* NULL is fine; credentials are overwritten with the last owner */

/** @param waiter  borrowed until ao_auth_leave() */
void ao_auth_wait(ao_auth *auth, ao_auth_waiter *waiter);
void ao_auth_leave(ao_auth *auth, const ao_auth_waiter *waiter);

/** May requests be sent? @return 0; -EAGAIN a plugin runs, waiters will be told; -EIO there are no credentials (yet), see ao_auth_why() */
int ao_auth_ready(ao_auth *auth);
/** Why there are none. Borrowed. */
const char *ao_auth_why(const ao_auth *auth);
/** Client certificate and key that a plugin gave, or NULL. Borrowed until the loop turns. */
void ao_auth_identity(ao_auth *auth, const char **ret_cert_pem, const char **ret_key_pem);

/** "Authorization: Bearer ...", or NULL. The caller hands it to ao_secret_free(). */
char *ao_auth_header(ao_auth *auth);
/** "user:password" for basic authentication, or NULL; only when there is no token. The caller hands it to ao_secret_free(). */
char *ao_auth_userpwd(const ao_auth *auth);
/**
 * Call it when the server refused what was sent at `sent_ms` (ao_mono_ms()).  The next request reads the file again, unless it has been
 * read since then.
 * The same with a plugin.
 * @return false when there is neither, so that another attempt would be refused, too
 */
bool ao_auth_refused(ao_auth *auth, uint64_t sent_ms);
