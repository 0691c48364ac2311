#pragma once
/**
 * lease.h -- leader election by a coordination.k8s.io/v1 Lease, with client-go's rules.
 *
 * The lease lasts 15 s, its renew deadline is 10 s, and the retry period is 2 s (candidates add up to a fifth).  Whether another holder's
 * lease has expired is judged by our own monotonic clock, from when its record last changed, and never by the times in the record.
 * The lease has an HTTP client of its own, so that no slow write delays a renewal.
 * A loss is final: `on_lost` is called once, and the process is expected to end.
 * Every callback may free the lease.
 * Threads: the loop thread only.
 */
#include "kube/client.h"

typedef struct ao_lease ao_lease;

typedef struct ao_lease_options {
	const char *namespace_, *name;
	const char *component;                          /* whose lease it is, for AO_NAME_LABEL; or NULL */
	const char *identity;                           /* NULL: <hostname>_<uuid> */
	uint64_t lease_ms, renew_deadline_ms, retry_ms; /* 0: 15000, 10000, 2000 */
	/**
	 * Take the lease from its holder.  The holder may notice that only when it next renews the lease, or fails to.  So write nothing
	 * before the leaseDurationSeconds of the old holder are over.
	 */
	bool seize;
	void (*on_acquired)(void *arg);
	void (*on_lost)(void *arg, const char *why);
	void (*on_holder)(void *arg, const char *identity); /* a new holder was seen, which may be us; may be NULL */
	void *arg;
} ao_lease_options;

/** @param config  borrowed until ao_lease_free(). @return 0; -EINVAL wrong times: it must be lease > deadline > 1.2 retries */
int ao_lease_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, const ao_lease_options *options, ao_lease **ret,
		 ao_err **reterr);
void ao_lease_start(ao_lease *lease);
/** True while we lead and our last successful renewal began less than renew_deadline_ms ago. Every write of the operator asks this. */
bool ao_lease_held(const ao_lease *lease);
/** For health: how long ago a leader should have renewed or ended. 0 while there is time, and when we do not lead. */
uint64_t ao_lease_overdue_ms(const ao_lease *lease);
/**
 * Gives the lease back, so that another replica starts within its retry period.  Then calls done(arg), at the latest after 1 s.
 * We do not hold the lease from this call on, so that no write of ours can follow a write of our successor.
 */
void ao_lease_release(ao_lease *lease, void (*done)(void *arg), void *arg);
void ao_lease_free(ao_lease *lease); /* NULL is fine; a lease that is held expires */
