#pragma once
/**
 * lease.h -- leader election by a coordination.k8s.io/v1 Lease, with client-go's rules.
 *
 * Lease 15 s, renew deadline 10 s, retry 2 s (candidates add up to a fifth).  Another holder's expiry is judged by our own monotonic
 * clock since its record last changed, never by the times in it.  The lease has an HTTP client of its own, so that no
 * slow write delays a renewal.  Losing it is final: `on_lost` is called once and the process is expected to end.
 * Every callback may free the lease.
 * Threads: the loop thread only.
 */
#include "kube/client.h"

typedef struct ao_lease ao_lease;

typedef struct ao_lease_options {
	const char *namespace_, *name;
	const char *identity;                           /* NULL: <hostname>_<uuid> */
	uint64_t lease_ms, renew_deadline_ms, retry_ms; /* 0: 15000, 10000, 2000 */
	/** Take it from whoever holds it. He notices when he renews it, or has not: nothing may be done before his leaseDurationSeconds
	 * are over. */
	bool seize;
	void (*on_acquired)(void *arg);
	void (*on_lost)(void *arg, const char *why);
	void (*on_holder)(void *arg, const char *identity); /* another holder was seen (ourselves, too); may be NULL */
	void *arg;
} ao_lease_options;

/** @param config borrowed for the lease's life. @return 0; -EINVAL times that do not fit: it must be lease > deadline > 1.2 retries */
int ao_lease_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, const ao_lease_options *options, ao_lease **ret,
		 ao_err **reterr);
void ao_lease_start(ao_lease *lease);
/** True while we lead and our last successful renewal began less than renew_deadline_ms ago: what every write asks. */
bool ao_lease_held(const ao_lease *lease);
/** For health: how long ago a leader should have renewed, or ended; 0 while it has time, and when it does not lead. */
uint64_t ao_lease_overdue_ms(const ao_lease *lease);
/**
 * Gives the lease back so that another replica starts within its retry period; then calls done(arg), at the latest after 1 s.
 * From the call on the lease is not held, so that no write of ours follows one of our successor's.
 */
void ao_lease_release(ao_lease *lease, void (*done)(void *arg), void *arg);
void ao_lease_free(ao_lease *lease); /* NULL is fine; a lease that is held expires */
