#pragma once
/**
 * http.h -- the one HTTP client: libcurl's multi interface driven by libuv.
 *
 * A client has one set of TLS settings and one connection per host (HTTP/2 where the server has it, streams waiting
 * their turn beyond `max_streams`).  Two clients never share a connection: the lease has one of its own.
 * A server that sends a client away (GOAWAY) still serves what it took; new requests go to a second connection meanwhile, and
 * what it did not take is sent again there.
 * libcurl never leaves a dead connection by itself, so the client does.  An HTTP/2 connection that was silent for 10 s while calls are open
 * is asked "OPTIONS *" (no PING can be had from libcurl 7.88), and shut down after 5 s without a byte; one that cannot be asked, because it
 * takes no more requests, after 30 s of silence.  Every stream on it then ends with -EIO.  HTTP/1.1 connections have TCP keep-alive and
 * TCP_USER_TIMEOUT.  That a call timed out, or that a stream has nothing to say, is no reason to give up a connection.
 * No redirect is followed (fetch.h does).  Proxies come from the environment (HTTPS_PROXY, NO_PROXY), unless the client has its own.
 * Threads: the loop thread only.  Callbacks run on the loop, never from inside ao_http_send().
 */
#include "base/err.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct ao_http ao_http;
typedef struct ao_http_call ao_http_call;

typedef struct ao_http_options {
	const char *ca_pem;   /* the only trust anchors; NULL means the system's */
	const char *cert_pem; /* client certificate and key, both or neither */
	const char *key_pem;
	bool insecure;            /* do not verify the server: only where a user asked for it */
	const char *user_agent;   /* NULL means none */
	unsigned max_streams;     /* concurrent requests per connection, 0 means 100; with http1 connections per host, 0 means 16 */
	unsigned max_connections; /* per host that speaks HTTP/2, 0 means 2: one, and one that the server told to go away */
	bool http1;               /* never HTTP/2, several connections: for brokers and AWS */
	const char *tls_name;     /* the server's certificate names it, and not the host of the URL; NULL: they are the same */
	const char *proxy;        /* for every request; NULL: as the environment says */
	bool direct;              /* never through a proxy: for addresses that mean this machine or its host */
} ao_http_options;

typedef struct ao_http_response {
	int error; /* 0: the server answered; -EIO, -ETIME, -E2BIG, -EPROTO, -EINVAL (URL, PEM), -ECANCELED, or what on_data returned */
	const char *error_text; /* for people, when error; says host and cause, never a header */
	bool sent;              /* with error: the request had left, so the server may have done what it says */
	long status;            /* HTTP status; 0 when it never came */
	const char *body;       /* NUL-terminated, borrowed for the call; what on_data got is not in it */
	size_t body_len;
	long retry_after_s;       /* the Retry-After header in seconds, or -1 */
	const char *content_type; /* "" when absent */
	const char *warnings;     /* the values of Warning headers, a line each; borrowed for the call */
	const char *location;     /* where a redirect leads to, made absolute; "" when it is none; borrowed for the call */
} ao_http_response;

typedef struct ao_http_request {
	const char *method; /* "GET", ... */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const void *body;
	size_t body_len;
	uint64_t timeout_ms;   /* for the whole exchange; 0: none */
	uint64_t answer_ms;    /* until its answer begins, the wait for a connection included; 0: none */
	uint64_t silence_ms;   /* no byte of the answer for that long ends it with -ETIME; 0: none */
	size_t max_body;       /* cap on the collected body: beyond it -E2BIG; 0 means 4 MiB */
	const char *aws_sigv4; /* CURLOPT_AWS_SIGV4 value or NULL; then `userpwd` is "key:secret" */
	const char *userpwd;
	/** When set, the body of a 2xx answer goes here piece by piece; non-zero ends the call with that error. Such answers are
	 * asked for uncompressed: the API server makes each watch event a gzip member of its own, which libcurl refuses. */
	int (*on_data)(void *arg, const char *bytes, size_t len);
	/** Asked when the request is about to go onto the wire, which may be long after ao_http_send(): false ends it with -ECANCELED.
	 * May be NULL. Must not call anything of the client. */
	bool (*may_leave)(void *arg);
	/** Called once at the end unless cancelled; the call object is gone afterwards. */
	void (*on_done)(void *arg, const ao_http_response *response);
	void *arg;
} ao_http_request;

/** @return 0. A PEM that cannot be used is found at the first request, so this fails only with a broken libcurl. */
int ao_http_new(ao_loop *loop, const ao_http_options *options, ao_http **ret, ao_err **reterr);
/** Cancels every call, closes the connections. Like ao_http_cancel() and ao_http_send() legal inside any callback; NULL is fine. */
void ao_http_free(ao_http *http);

/** Starts a request; everything in it is copied. Never fails: errors arrive in on_done. */
ao_http_call *ao_http_send(ao_http *http, const ao_http_request *request);
/** Ends a call; its on_done is not called. Must not be used after on_done has run. */
void ao_http_cancel(ao_http_call *call);
/** Trust anchors, client certificate and key from now on; copied. What is under way keeps what it has, and its connection. */
void ao_http_set_identity(ao_http *http, const char *ca_pem, const char *cert_pem, const char *key_pem);
/** Shuts down every connection: streams end with -EIO and the next request connects anew. */
void ao_http_reset(ao_http *http);
