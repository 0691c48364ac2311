#pragma once
/**
 * controller.h -- what works on the parents of one bundle: its policies, lease, rivals, world, queues and reconciler.
 *
 * A process has one for each bundle that it serves.  Everything that belongs to a bundle is in here, the client with its connections too, so
 * that a controller neither waits for another one nor ends with it.  They share the loop and the metrics.
 * Threads: the loop thread only.
 */
#include "kube/config.h"
#include "net/server.h"
#include "policy/load.h"
#include "policy/recorder.h"
#include "serve/metrics.h"
#include "serve/probes.h"

typedef struct ao_controller ao_controller;

typedef struct ao_controller_options {
	ao_loop *loop;
	const ao_kubeconfig *config;
	const char *namespace_; /* our own, for lease and policy ConfigMaps */
	const ao_load_options *load;
	ao_metrics *metrics;
	ao_recorder *recorder; /* of every plan; or NULL */
	bool leader_elect;
	size_t max_concurrent;
	uint64_t shut_out_ms; /* so long a right to read the record is waited for, and then between looks for it; 0: 30 s */
	const bool *stopping; /* the process ends: nothing new is begun */
	void (*on_end)(void *arg, const ao_err *why); /* it cannot go on, and is to be freed, but not from inside the call */
	void *arg;
} ao_controller_options;

/** Nothing is sent before ao_controller_start(). Everything in `options` is borrowed. @return 0; -EINVAL the kubeconfig is wrong */
int ao_controller_new(const ao_controller_options *options, ao_controller **ret, ao_err **reterr);
void ao_controller_free(ao_controller *controller); /* NULL is fine */

/**
 * Waits for the server, which turns the loop, loads the policies, and begins to ask for the lease.
 * @return 0; -EINTR `stopping` became true; -EINVAL, -ETIME the bundle cannot be loaded; else what the server said
 */
int ao_controller_start(ao_controller *controller, ao_err **reterr);

/** Begins no new passes. */
void ao_controller_end(ao_controller *controller);
/** After that: is nothing under way any more? */
bool ao_controller_ended(const ao_controller *controller);
/** Gives the lease back, then calls done(arg), perhaps from inside. */
void ao_controller_release(ao_controller *controller, void (*done)(void *arg), void *arg);

/** For health: see ao_lease_overdue_ms(). */
uint64_t ao_controller_overdue_ms(const ao_controller *controller);
/** Adds the checks of /readyz. A process that stands by is ready, and so is one whose caches are filling: to lose its traffic would help neither. */
void ao_controller_ready(ao_controller *controller, ao_checks *checks);
void ao_controller_collect(ao_controller *controller);
/** Does it know the objects that it works on? */
bool ao_controller_leads(const ao_controller *controller);
/** What /debug/ calls its parents; NULL: that is not known yet. Borrowed. */
const char *ao_controller_debug_path(const ao_controller *controller);
/** @param controller  NULL: there is none that could answer. @param rest  what follows "/debug" in the path */
void ao_controller_debug(ao_controller *controller, const char *rest, ao_server_reply *reply);
