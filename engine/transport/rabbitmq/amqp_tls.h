#pragma once
/**
 * amqp_tls.h -- the TLS side of a broker's configuration: trust anchors and client certificate, from PEM texts.
 * Threads: any; what is made is only read afterwards.
 */
#include "base/err.h"

#include <openssl/ssl.h>
#include <stdbool.h>

/**
 * @param ca_pem  the only trust anchors; NULL means the system's
 * @param cert_pem, key_pem  both or neither
 * @return 0; -EINVAL "secret ca: holds no PEM certificate"
 */
int ao_amqp_tls_new(const char *ca_pem, const char *cert_pem, const char *key_pem, bool insecure, SSL_CTX **ret, ao_err **reterr);

/** A connection that expects a certificate for `name` (a host name or an address). */
SSL *ao_amqp_tls_connect(SSL_CTX *ctx, const char *name, int fd);

/** The last failure of `ssl` in words for people. The caller frees. */
char *ao_amqp_tls_error(SSL *ssl);
