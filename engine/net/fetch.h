#pragma once
/**
 * fetch.h -- downloads one file over HTTPS and makes sure it is the one that was asked for.
 *
 * Redirects are followed, to https only and five at most.  A token goes to the URL's own host (scheme, name and port) and nowhere else:
 * release servers redirect to a store that must not see it.  Proxies come from the environment (HTTPS_PROXY, NO_PROXY).
 * Each fetch has a client of its own, so no connection stays open between two of them.
 * Threads: the loop thread only.  The callback runs on the loop, never from inside ao_fetch_start().
 */
#include "base/err.h"
#include "loop/loop.h"

#include <stddef.h>

typedef struct ao_fetch ao_fetch;

typedef struct ao_fetched {
	int error;           /* 0; -ENOENT 404 and 410; -EPERM 401 and 403; -EPROTO another file than wanted, a redirect to nowhere;
				-E2BIG, -ETIME, -EINVAL (URL); -EIO everything else */
	const char *message; /* for people, when error: begins with the URL, never holds the token */
	const char *text;    /* the file, NUL-terminated, borrowed; UTF-8 without NUL */
	size_t len;
	const char *sha256; /* of the file, in hex */
	long retry_after_s; /* what the server asks for, or -1 */
} ao_fetched;

typedef struct ao_fetch_request {
	ao_loop *loop;
	const char *url;     /* https://..., without user and password; everything here is copied */
	const char *token;   /* sent as "Authorization: Bearer ..."; NULL: none */
	const char *accept;  /* media type; NULL: application/octet-stream */
	const char *sha256;  /* 64 lower-case hex digits that the file must have; NULL: any */
	const char *ca_pem;  /* the only trust anchors; NULL: the system's */
	size_t max_size;     /* of the file, at most */
	uint64_t timeout_ms; /* for all of it, redirects included */
	/** Called once unless cancelled; the fetch is gone afterwards. */
	void (*fn)(void *arg, const ao_fetched *fetched);
	void *arg;
} ao_fetch_request;

ao_fetch *ao_fetch_start(const ao_fetch_request *request);
void ao_fetch_cancel(ao_fetch *fetch); /* NULL is fine; not from inside its own callback */
