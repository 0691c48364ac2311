#pragma once
/**
 * bundles.h -- the bundles of a process: each with its controller, none in the way of another.
 *
 * A lease is a bundle's, not the process's: another process may serve some of the same bundles, such as the one before an upgrade that added
 * one, and nobody may work on the same parents as we do.
 * Threads: the loop thread only.
 */
#include "operator/controller.h"
#include "operator/operator.h"

typedef struct ao_bundles ao_bundles;

/**
 * Everything is borrowed.
 * @param stopping  becomes true when the process is to end: nothing is begun any more
 * @param ended     becomes true with ao_loop_stop()
 */
ao_bundles *ao_bundles_new(ao_loop *loop, const ao_kubeconfig *config, ao_metrics *metrics, const ao_operator_options *options,
			   const bool *stopping, const bool *ended);
void ao_bundles_free(ao_bundles *bundles); /* NULL is fine */

/**
 * Runs the loop until ao_loop_stop().  A bundle that is alone must work; of several, one that does not is told and begun again later.
 * @return 0; as ao_controller_start() and what ended the controller of the only bundle
 */
int ao_bundles_run(ao_bundles *bundles, ao_err **reterr);

/** Begins no new passes. */
void ao_bundles_end(ao_bundles *bundles);
/** After that: is nothing under way any more? */
bool ao_bundles_ended(const ao_bundles *bundles);
/** Gives the leases back, then calls done(arg), perhaps from inside. */
void ao_bundles_release(ao_bundles *bundles, void (*done)(void *arg), void *arg);

/** For health: see ao_lease_overdue_ms(). The longest. */
uint64_t ao_bundles_overdue_ms(const ao_bundles *bundles);
/** Adds the checks of /readyz. With several bundles, a check fails when it fails for each of them, and its note names them. */
void ao_bundles_ready(ao_bundles *bundles, ao_checks *checks);
void ao_bundles_collect(ao_bundles *bundles);
/** @param rest  what follows "/debug" in the path */
void ao_bundles_debug(ao_bundles *bundles, const char *rest, ao_server_reply *reply);
