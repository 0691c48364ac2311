#pragma once
/**
 * serve.h -- /healthz, /livez, /readyz, /metrics and /debug/ of the running operator.
 *
 * The loop itself answers everything, so that an answer proves that the loop runs.  When another bundle serves than the one that is
 * configured (degraded), the process stays ready, because a restart would not help.  ?verbose says so.
 * /debug/ is on the port of the metrics, and only for clients on this host unless `debug_remote` is set.
 * Threads: the loop thread only.
 */
#include "serve/metrics.h"
#include "serve/probes.h"

typedef struct ao_serve ao_serve;

typedef struct ao_serve_options {
	const char *metrics_address, *probe_address; /* "0" or "": off */
	ao_metrics *metrics;
	bool debug_remote;
	void (*health)(void *arg, ao_checks *checks); /* adds the checks of what a restart mends */
	void (*ready)(void *arg, ao_checks *checks);
	void (*debug)(void *arg, const char *rest, ao_server_reply *reply);
	void *arg;
} ao_serve_options;

int ao_serve_new(ao_loop *loop, const ao_serve_options *options, ao_serve **ret, ao_err **reterr);
void ao_serve_free(ao_serve *serve); /* NULL is fine */
