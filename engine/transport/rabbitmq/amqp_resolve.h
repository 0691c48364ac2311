#pragma once
/**
 * amqp_resolve.h -- a host name looked up without waiting for it.
 *
 * getaddrinfo() cannot be interrupted and takes half a minute when a name server is dead, so it runs on a thread of its own, which may be
 * left behind at any time.  A literal address costs no thread.
 * Threads: one owner at a time.
 */
#include "base/err.h"

#include <netdb.h>

typedef struct ao_resolve ao_resolve;

ao_resolve *ao_resolve_start(const char *host, const char *port);
/** Readable when the answer is there. */
int ao_resolve_fd(const ao_resolve *resolve);
/**
 * @param ret  the addresses, valid until ao_resolve_free(); NULL while the answer is not there
 * @return 0; -EIO with the resolver's words
 */
int ao_resolve_answer(ao_resolve *resolve, const struct addrinfo **ret, ao_err **reterr);
/** Legal at any time; NULL is fine. */
void ao_resolve_free(ao_resolve *resolve);
