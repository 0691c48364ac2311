/* amqp_tls.c -- OpenSSL fed from memory: secrets never become files. */
#include "transport/rabbitmq/amqp_tls.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

static int add_anchors(SSL_CTX *ctx, const char *pem, ao_err **reterr)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509 *cert;
	size_t count = 0;
	while ((cert = PEM_read_bio_X509(bio, NULL, NULL, (void *)(uintptr_t) ""))) {
		X509_STORE_add_cert(store, cert);
		X509_free(cert);
		count++;
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text is an error to PEM_read */
	return count ? 0 : ao_err_set(reterr, -EINVAL, "secret ca: holds no PEM certificate");
}

static int use_cert(SSL_CTX *ctx, const char *pem, ao_err **reterr)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, (void *)(uintptr_t) ""), *issuer;
	bool good = cert && SSL_CTX_use_certificate(ctx, cert) == 1;
	X509_free(cert);
	while (good && (issuer = PEM_read_bio_X509(bio, NULL, NULL, (void *)(uintptr_t) "")))
		SSL_CTX_add_extra_chain_cert(ctx, issuer); /* takes it */
	BIO_free(bio);
	ERR_clear_error();
	return good ? 0 : ao_err_set(reterr, -EINVAL, "secret cert: holds no PEM certificate");
}

static int use_key(SSL_CTX *ctx, const char *pem, ao_err **reterr)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) ""); /* "": never ask a terminal for a pass phrase */
	BIO_free(bio);
	bool fits = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
	const bool readable = key != NULL;
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (!readable)
		return ao_err_set(reterr, -EINVAL, "secret key: holds no PEM private key without a pass phrase");
	return fits ? 0 : ao_err_set(reterr, -EINVAL, "secret key: does not belong to the certificate in secret cert");
}

int ao_amqp_tls_new(const char *ca_pem, const char *cert_pem, const char *key_pem, bool insecure, SSL_CTX **ret, ao_err **reterr)
{
	if (!cert_pem != !key_pem)
		return ao_err_set(reterr, -EINVAL, "secret %s: missing; a client certificate needs both cert and key",
				  cert_pem ? "key" : "cert");
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx)
		return ao_err_set(reterr, -EIO, "OpenSSL cannot be used");
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	int r = ca_pem ? add_anchors(ctx, ca_pem, reterr) : 0;
	if (!ca_pem)
		SSL_CTX_set_default_verify_paths(ctx);
	if (r == 0 && cert_pem)
		r = use_cert(ctx, cert_pem, reterr);
	if (r == 0 && key_pem)
		r = use_key(ctx, key_pem, reterr);
	if (r < 0)
		SSL_CTX_free(ctx);
	else
		*ret = ctx;
	return r;
}

static bool is_address(const char *name)
{
	struct in6_addr any;
	return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

SSL *ao_amqp_tls_connect(SSL_CTX *ctx, const char *name, int fd)
{
	SSL *ssl = SSL_new(ctx);
	if (!ssl)
		abort(); /* small allocations do */
	if (is_address(name)) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	} else {
		SSL_set_tlsext_host_name(ssl, name);
		SSL_set1_host(ssl, name);
	}
	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	return ssl;
}

char *ao_amqp_tls_error(SSL *ssl)
{
	long verify = SSL_get_verify_result(ssl);
	unsigned long code = ERR_get_error();
	ERR_clear_error();
	if (verify != X509_V_OK)
		return ao_xasprintf("its certificate is not accepted: %s", X509_verify_cert_error_string(verify));
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	return ao_xasprintf("TLS: %s", reason ? reason : "the peer ended the connection");
}
