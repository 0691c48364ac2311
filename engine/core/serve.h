#pragma once
/**
 * serve.h -- /healthz, /readyz and /metrics of the running operator.
 *
 * Both probes are answered by the loop itself, so an answer is the loop's heartbeat.  A degraded bundle (the built-in one serving
 * because the configured one is broken) does not make the process unready: restarting it would not help; ?verbose says it.
 * Threads: the loop thread only.
 */
#include "core/metrics.h"
#include "net/server.h"

typedef struct ao_serve ao_serve;

typedef struct ao_serve_options {
	const char *metrics_address, *probe_address; /* "0" or "": off */
	ao_metrics *metrics;
	/** Appends "[+]name ok\n" or "[-]name: why\n" lines. @return false when not ready */
	bool (*ready)(void *arg, ao_buf *out);
	void *arg;
} ao_serve_options;

int ao_serve_new(ao_loop *loop, const ao_serve_options *options, ao_serve **ret, ao_err **reterr);
void ao_serve_free(ao_serve *serve); /* NULL is fine */
/** Describes every metric of the operator. */
void ao_serve_describe(ao_metrics *metrics);
/** Fills in the process_* gauges from /proc. */
void ao_serve_collect_process(ao_metrics *metrics);
