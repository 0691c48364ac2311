#pragma once
/**
 * probes.h -- checks, and the answers of /healthz, /livez and /readyz in the words of kube-apiserver.
 *
 * GET /readyz: "ok", or 500 and every check.  ?verbose: every check.  /readyz/NAME: that one.  ?exclude=NAME: all but that one.
 * The note of a check follows the list as "note: NAME: ...", so that the list itself reads like kube-apiserver's.
 * Threads: the loop thread only.
 */
#include "loop/loop.h"
#include "net/server.h"

#define AO_CHECKS 8

typedef struct ao_check {
	const char *name; /* static */
	char *failure;    /* why it fails; NULL: it passes */
	char *note;       /* or NULL */
} ao_check;

typedef struct ao_checks {
	ao_check items[AO_CHECKS];
	size_t count;
} ao_checks;

/** @param failure,note  taken; may be NULL */
void ao_checks_add(ao_checks *checks, const char *name, char *failure, char *note);
void ao_checks_clear(ao_checks *checks);
/** Answers for `probe` ("readyz"); `rest` is what follows it in the path: "", "/", "/NAME" or "/readyz", which is all of them. */
void ao_checks_reply(const ao_checks *checks, const char *probe, const char *rest, const char *query, ao_server_reply *reply);

/**
 * The heartbeat is a timer that should fire every second.  When it is late, everything else on the loop has to wait as long.
 */
typedef struct ao_heartbeat ao_heartbeat;

#define AO_LAG_LIMIT_MS 5000 /* a loop that is this late is better started anew: the liveness probe fails */

/** @param on_beat  called at each beat, with how late it came; may be NULL */
ao_heartbeat *ao_heartbeat_new(ao_loop *loop, void (*on_beat)(void *arg, uint64_t late_ms), void *arg);
void ao_heartbeat_free(ao_heartbeat *heartbeat); /* NULL is fine */
/** How late the last beat came, or how long the next one is overdue. */
uint64_t ao_heartbeat_late_ms(const ao_heartbeat *heartbeat);

/**
 * Adds the checks of what a restart mends: a loop that lags, and a leader that neither renews nor ends.  A server or a broker that is away
 * is not among them.
 */
void ao_checks_add_health(ao_checks *checks, uint64_t late_ms, uint64_t lease_overdue_ms);
