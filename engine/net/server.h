#pragma once
/**
 * server.h -- a small HTTP/1.1 server for probes, metrics and debugging: http_parser on libuv.
 *
 * It knows GET and HEAD, keep-alive, and no TLS.  A request head beyond 16 KiB, a body, or a client that is silent
 * for 10 s ends the connection.  There are at most 64 connections; the idlest one makes room for a new one.
 * Threads: the loop thread only.
 */
#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct ao_server ao_server;

typedef struct ao_server_request {
	const char *path;  /* decoded, without the query */
	const char *query; /* raw text after '?', or "" */
	bool loopback;     /* the client is on this host */
} ao_server_request;

typedef struct ao_server_reply {
	int status;
	const char *content_type; /* static; preset to "text/plain; charset=utf-8" */
	ao_buf body;              /* preset empty, cap 16 MiB */
} ao_server_reply;

/** Fills `reply`, whose status is preset to 200. */
typedef void (*ao_server_fn)(void *arg, const ao_server_request *request, ao_server_reply *reply);

/**
 * Listens at `address`: ":8081", "127.0.0.1:0", "[::1]:8081".
 * @return 0; -EINVAL the address makes no sense; -EIO it cannot be bound (the text says which and why)
 */
int ao_server_new(ao_loop *loop, const char *address, ao_server_fn fn, void *arg, ao_server **ret, ao_err **reterr);
int ao_server_port(const ao_server *server);
void ao_server_free(ao_server *server); /* closes connections too; NULL is fine */
