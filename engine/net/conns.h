#pragma once
/**
 * conns.h -- the sockets curl has open for one client, because curl itself keeps a dead one for ever.  Inside net/ only.
 *
 * Threads: the loop thread only.
 */
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ao_conns ao_conns;

/** On whose behalf a socket is opened; part of a call, valid while its transfer runs. */
typedef struct ao_conn_opener {
	ao_conns *conns;
	const char *origin; /* "https://host:port" */
} ao_conn_opener;

ao_conns *ao_conns_new(void);
/** To be called after the multi handle is gone, because that closes its sockets through us. */
void ao_conns_free(ao_conns *conns);

/** Makes curl open and close the sockets of this transfer through `opener->conns`. */
void ao_conns_attach(ao_conn_opener *opener, CURL *easy);

/** Notes that the connections to `origin` speak HTTP/2. */
void ao_conns_set_http2(ao_conns *conns, const char *origin);
/**
 * An HTTP/2 connection on which no byte arrived for `ms`, and that is not leaving.
 * @return our port of it, 0: there is none. `*ret_origin` is borrowed.
 */
int ao_conns_silent(const ao_conns *conns, uint64_t ms, const char **ret_origin);
/** Notes that the connection from this port takes no new requests. It may be gone. */
void ao_conns_set_leaving(ao_conns *conns, int port);
/** Shuts down every socket. Legal anywhere, inside curl's callbacks too: curl sees the end of the stream next. @return how many */
int ao_conns_shutdown(ao_conns *conns);
/** The same for the connection from this port, when no byte arrived on it for `ms`. @return was it? */
bool ao_conns_shutdown_silent(ao_conns *conns, int port, uint64_t ms);
/** The same for those that are leaving. @return how many */
int ao_conns_shutdown_leaving(ao_conns *conns, uint64_t ms);
