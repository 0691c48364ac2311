#pragma once
/**
 * amqp_conn.h -- one AMQP 0-9-1 connection: found, opened, kept alive and closed without ever waiting.
 *
 * librabbitmq encodes and decodes the methods (amqp_framing.h); its own connection object is not used, because its login, its TLS and its
 * name look-up block and cannot be interrupted.  The owner polls ao_amqp_fd() and calls ao_amqp_go() on every event and at ao_amqp_due().
 * Channels are the caller's business: it opens, closes and reopens them by sending methods.
 * Threads: one owner at a time.
 */
#include "base/buf.h"
#include "base/err.h"

#include <amqp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#define AO_AMQP_CONNECT_MS 10000 /* from the start until the broker has let us in */

typedef struct ao_amqp ao_amqp;

/** Where to connect, and as whom; borrowed until ao_amqp_free(). */
typedef struct ao_amqp_target {
	const char *host;
	const char *port;
	const char *username, *password, *vhost;
	unsigned heartbeat_s; /* 0: none */
	SSL_CTX *tls;         /* NULL: plain TCP */
	const char *tls_name; /* the name that the certificate must be for; NULL means `host` */
} ao_amqp_target;

/** A method on a channel that is not 0; `method` is borrowed for the call. */
typedef void (*ao_amqp_fn)(void *arg, unsigned channel, const amqp_method_t *method);

/** A frame of the message that follows some methods: first its header, then its body in pieces. Borrowed for the call. */
typedef void (*ao_amqp_content_fn)(void *arg, unsigned channel, bool header, const uint8_t *bytes, size_t len);

/** Why the broker ended the connection, where it said so. */
typedef struct ao_amqp_farewell {
	unsigned code;               /* AMQP reply code; 0: it said nothing */
	amqp_method_number_t method; /* the one of ours that it refused; 0: none */
	char text[256];
} ao_amqp_farewell;

/** Starts connecting. `fn` and `content` are called from inside ao_amqp_go() only. */
ao_amqp *ao_amqp_new(const ao_amqp_target *target, ao_amqp_fn fn, ao_amqp_content_fn content, void *arg);
/** What to poll for. @return the descriptor */
int ao_amqp_fd(const ao_amqp *amqp, short *ret_events);
/** ao_mono_ms() at which ao_amqp_go() must be called even without an event. */
uint64_t ao_amqp_due(const ao_amqp *amqp);
/**
 * Moves on as far as it goes.
 * @return 0; below 0 the connection is over and only ao_amqp_free() is left: -EIO unreachable or lost, -ETIME silent, -EPERM login refused,
 *         -EINVAL no such virtual host, -EPROTO an answer that is not AMQP. The message names host and port
 */
int ao_amqp_go(ao_amqp *amqp, ao_err **reterr);
bool ao_amqp_ready(const ao_amqp *amqp);
const char *ao_amqp_user(const ao_amqp *amqp); /* as whom it has logged in */
unsigned ao_amqp_channel_max(const ao_amqp *amqp);
/** ao_mono_ms() of the last byte from the broker. */
uint64_t ao_amqp_last_in(const ao_amqp *amqp);
const ao_amqp_farewell *ao_amqp_get_farewell(const ao_amqp *amqp);
/** @return 0; -E2BIG when the method does not fit into a frame: nothing was sent */
int ao_amqp_send(ao_amqp *amqp, unsigned channel, amqp_method_number_t id, void *method);
/** What follows a method that has a message with it. @param header  the payload of a header frame, as a broker sent it */
void ao_amqp_send_content(ao_amqp *amqp, unsigned channel, const ao_buf *header, const ao_buf *body);
/** Says goodbye; ao_amqp_go() returns -EIO when the broker has answered, -ETIME when it does not. */
void ao_amqp_close(ao_amqp *amqp);
/** Closes at once, with a goodbye if there was none. NULL is fine. */
void ao_amqp_free(ao_amqp *amqp);
