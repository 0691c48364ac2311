/*
 * operator.c -- start, work, stop: the loop, the ports, the signals, and a controller for each bundle.
 *
 * Stop: begin no new passes, give those in flight and what is on its way to brokers half a second, and give the leases back.
 * A controller is begun and freed outside of the loop only, because to begin turns the loop.
 */
#include "operator/operator.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "operator/bundles.h"
#include "serve/instruments.h"
#include "serve/serve.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>

#define DRAIN_MS 500

typedef struct operator_ {
	const ao_operator_options *options;
	ao_loop *loop;
	ao_kubeconfig *config;
	ao_metrics *metrics;
	ao_serve *serve;
	ao_heartbeat *heartbeat;
	ao_bundles *bundles;
	ao_timer *drain;
	uint64_t drain_until_ms;
	bool stopping, ended;
} operator_;

/* ---- metrics and probes ---- */

static void on_beat(void *arg, uint64_t late_ms)
{
	ao_metric_observe(((operator_ *)arg)->metrics, "loop_lag_seconds", "", (double)late_ms / 1000);
}

static void on_collect(void *arg)
{
	operator_ *op = arg;
	ao_instruments_process(op->metrics);
	if (op->bundles)
		ao_bundles_collect(op->bundles);
}

static void on_health(void *arg, ao_checks *checks)
{
	operator_ *op = arg;
	ao_checks_add_health(checks, ao_heartbeat_late_ms(op->heartbeat), ao_bundles_overdue_ms(op->bundles));
}

static void on_ready(void *arg, ao_checks *checks)
{
	ao_checks_add(checks, "ping", NULL, NULL);
	ao_bundles_ready(((operator_ *)arg)->bundles, checks);
}

static void on_debug(void *arg, const char *rest, ao_server_reply *reply) { ao_bundles_debug(((operator_ *)arg)->bundles, rest, reply); }

/* ---- stopping ---- */

static void on_released(void *arg)
{
	operator_ *op = arg;
	op->ended = true;
	ao_loop_stop(op->loop);
}

static void on_drain(void *arg)
{
	operator_ *op = arg;
	if (!ao_bundles_ended(op->bundles) && ao_mono_ms() < op->drain_until_ms)
		ao_timer_start(op->drain, 10);
	else
		ao_bundles_release(op->bundles, on_released, op);
}

static void on_signal(void *arg, int signo)
{
	operator_ *op = arg;
	if (op->stopping) {
		ao_warn(AO_CORE, NULL, "%s again: stopping at once", strsignal(signo));
		on_released(op);
		return;
	}
	ao_info(AO_CORE, NULL, "%s: stopping", strsignal(signo));
	op->stopping = true;
	op->drain_until_ms = ao_mono_ms() + DRAIN_MS;
	if (op->bundles)
		ao_bundles_end(op->bundles);
	ao_timer_start(op->drain, 0);
}

/* ---- the whole life ---- */

static int run(operator_ *op, ao_err **reterr)
{
	const ao_operator_options *o = op->options;
	const ao_scope *scope = ao_load_scope(&o->load);
	int r = ao_kubeconfig_load(o->kubeconfig, o->context, &op->config, reterr);
	if (r < 0)
		return r;
	if (*scope->class_)
		ao_info(AO_CORE, NULL, "operator class %s", scope->class_);
	for (size_t i = 0; scope->namespaces && scope->namespaces[i]; i++)
		ao_info(AO_CORE, NULL, "watching namespace %s", scope->namespaces[i]);
	op->bundles = ao_bundles_new(op->loop, op->config, op->metrics, o, &op->stopping, &op->ended);
	r = ao_serve_new(
	    op->loop,
	    &(ao_serve_options){o->metrics_address, o->probe_address, op->metrics, o->debug_remote, on_health, on_ready, on_debug, op},
	    &op->serve, reterr);
	return r < 0 ? r : ao_bundles_run(op->bundles, reterr);
}

static void stop(operator_ *op)
{
	ao_bundles_free(op->bundles);
	ao_serve_free(op->serve);
	ao_timer_free(op->drain);
	ao_heartbeat_free(op->heartbeat);
	ao_kubeconfig_free(op->config);
	ao_metrics_free(op->metrics);
	ao_require(ao_loop_close(op->loop) == 0);
}

int ao_operator_run(const ao_operator_options *options, ao_err **reterr)
{
	operator_ op = {.options = options, .loop = ao_loop_new(), .metrics = ao_metrics_new()};
	mallopt(M_ARENA_MAX, 1); /* one thread allocates; give memory back early */
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	signal(SIGPIPE, SIG_IGN);
	ao_instruments_describe(op.metrics);
	ao_metrics_on_collect(op.metrics, on_collect, &op);
	op.heartbeat = ao_heartbeat_new(op.loop, on_beat, &op);
	op.drain = ao_timer_new(op.loop, on_drain, &op);
	ao_loop_on_signal(op.loop, SIGTERM, on_signal, &op);
	ao_loop_on_signal(op.loop, SIGINT, on_signal, &op);
	int r = run(&op, reterr);
	stop(&op);
	return r == -EINTR ? 0 : r;
}
