#pragma once
/**
 * amqp_link.h -- bytes to and from one address, over TCP or TLS, never waiting.
 *
 * Poll `fd` for ao_amqp_link_events() and call ao_amqp_link_go(): it connects, shakes hands, then moves `out` to the peer and the peer's
 * bytes to `in`.  The reader drops from `in` what it has used.
 * Threads: one owner at a time.
 */
#include "base/buf.h"
#include "base/err.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <stdint.h>

typedef struct ao_amqp_link {
	int fd;
	bool open;                  /* TCP and TLS are there */
	bool more;                  /* there may be more to read without a new event */
	bool stuck;                 /* the bytes in `out` wait for an event */
	uint64_t last_in, last_out; /* ao_mono_ms() of the last bytes moved */
	ao_buf in, out;
	/* private */
	SSL *ssl;
	bool connected, full; /* full: stuck for want of room to write */
} ao_amqp_link;

/**
 * Starts connecting; ao_amqp_link_go() says what goes wrong.
 * @param tls   NULL for plain TCP
 * @param name  the name that the certificate must be for
 */
ao_amqp_link *ao_amqp_link_new(const struct addrinfo *address, SSL_CTX *tls, const char *name);
short ao_amqp_link_events(const ao_amqp_link *link);
/** @return 0; -EIO when the peer is gone: only after everything it had sent is in `in` and was seen by an earlier call */
int ao_amqp_link_go(ao_amqp_link *link, ao_err **reterr);
/** Closes at once; a last attempt is made to write what is in `out`. NULL is fine. */
void ao_amqp_link_free(ao_amqp_link *link);
