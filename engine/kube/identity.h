#pragma once
/**
 * identity.h -- the certificates that the server is trusted for and that we show it, read again from their files.  Private to kube/.
 *
 * An authority is replaced every few years, a client certificate every few weeks or days.  The files are read again at the first request
 * after a minute, and at the first one after a connection that could not be made.  What cannot be used leaves what was there.
 * Threads: the loop thread only.
 */
#include "kube/config.h"

#include <stdint.h>

typedef struct ao_identity ao_identity;

/** @param config  borrowed until ao_identity_free(); what it holds is what there is first */
ao_identity *ao_identity_new(const ao_kubeconfig *config);
void ao_identity_free(ao_identity *identity); /* NULL is fine; the key is overwritten */
/** Reads the files again when it is time. @return has anything changed? */
bool ao_identity_renew(ao_identity *identity);
/** No connection could be made: the next request reads the files again, unless that was done within the last second. */
void ao_identity_doubt(ao_identity *identity);

/** PEM texts or NULL, borrowed until they change. */
const char *ao_identity_ca(const ao_identity *identity);
const char *ao_identity_cert(const ao_identity *identity);
const char *ao_identity_key(const ao_identity *identity);
