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
/** Answers for `probe` ("readyz"). @param rest  what follows in the path: "/NAME" for one check; "", "/" or "/readyz" for all */
void ao_checks_reply(const ao_checks *checks, const char *probe, const char *rest, const char *query, ao_server_reply *reply);

/**
 * The heartbeat is a timer that should fire every second.  When it is late, everything else on the loop is as late.
 */
typedef struct ao_heartbeat ao_heartbeat;

#define AO_LAG_LIMIT_MS 5000 /* when the loop is this late, the liveness probe fails, so that the process is started anew */

/** @param on_beat  called at each beat, with how late it came; may be NULL */
ao_heartbeat *ao_heartbeat_new(ao_loop *loop, void (*on_beat)(void *arg, uint64_t late_ms), void *arg);
void ao_heartbeat_free(ao_heartbeat *heartbeat); /* NULL is fine */
/** How late the last beat came, or how long the next one is overdue. */
uint64_t ao_heartbeat_late_ms(const ao_heartbeat *heartbeat);

/**
 * Adds the checks of what a restart mends: a loop that lags, and a leader that neither renews its lease nor ends.  They do not fail while a
 * server or a broker is away.
 */
void ao_checks_add_health(ao_checks *checks, uint64_t late_ms, uint64_t lease_overdue_ms);
