/*
 * operator.c -- start, work, stop: the loop, the ports, the signals, and the controller of the bundle.
 *
 * Stop: begin no new passes, give those in flight half a second, and give the lease back.
 */
#include "operator/operator.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "operator/controller.h"
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
	ao_controller *controller;
	ao_timer *drain;
	uint64_t drain_until_ms;
	bool stopping;
	int result;
	ao_err *err; /* why, when result < 0 */
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
	if (op->controller)
		ao_controller_collect(op->controller);
}

static void on_health(void *arg, ao_checks *checks)
{
	operator_ *op = arg;
	ao_checks_add_health(checks, ao_heartbeat_late_ms(op->heartbeat), ao_controller_overdue_ms(op->controller));
}

static void on_ready(void *arg, ao_checks *checks)
{
	ao_checks_add(checks, "ping", NULL, NULL);
	ao_controller_ready(((operator_ *)arg)->controller, checks);
}

static void on_debug(void *arg, const char *rest, ao_server_reply *reply)
{
	ao_controller_debug(((operator_ *)arg)->controller, rest, reply);
}

/** The controller cannot go on. */
static void on_end(void *arg, const ao_err *why)
{
	operator_ *op = arg;
	op->result = ao_err_set(&op->err, why->code, "%s", ao_err_text(why));
	ao_loop_stop(op->loop);
}

/* ---- stopping ---- */

static void on_released(void *arg) { ao_loop_stop(((operator_ *)arg)->loop); }

static void on_drain(void *arg)
{
	operator_ *op = arg;
	if (!ao_controller_ended(op->controller) && ao_mono_ms() < op->drain_until_ms)
		ao_timer_start(op->drain, 10);
	else
		ao_controller_release(op->controller, on_released, op);
}

static void on_signal(void *arg, int signo)
{
	operator_ *op = arg;
	if (op->stopping) {
		ao_warn(AO_CORE, NULL, "%s again: stopping at once", strsignal(signo));
		ao_loop_stop(op->loop);
		return;
	}
	ao_info(AO_CORE, NULL, "%s: stopping", strsignal(signo));
	op->stopping = true;
	op->drain_until_ms = ao_mono_ms() + DRAIN_MS;
	ao_controller_end(op->controller);
	ao_timer_start(op->drain, 0);
}

/* ---- the whole life ---- */

static int start(operator_ *op, ao_err **reterr)
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
	r = ao_controller_new(&(ao_controller_options){.loop = op->loop,
						       .config = op->config,
						       .namespace_ = o->namespace_ ? o->namespace_ : op->config->namespace_,
						       .load = &o->load,
						       .metrics = op->metrics,
						       .recorder = o->recorder,
						       .leader_elect = o->leader_elect,
						       .max_concurrent = o->max_concurrent,
						       .stopping = &op->stopping,
						       .on_end = on_end,
						       .arg = op},
			      &op->controller, reterr);
	if (r == 0)
		r = ao_serve_new(op->loop,
				 &(ao_serve_options){o->metrics_address, o->probe_address, op->metrics, o->debug_remote, on_health,
						     on_ready, on_debug, op},
				 &op->serve, reterr);
	return r < 0 ? r : ao_controller_start(op->controller, reterr);
}

static void stop(operator_ *op)
{
	ao_controller_free(op->controller);
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
	int r = start(&op, reterr);
	if (r == -EINTR)
		r = 0;
	if (r == 0 && !op.stopping)
		ao_loop_run(op.loop);
	if (r == 0 && op.result < 0)
		r = ao_err_set(reterr, op.result, "%s", ao_err_text(op.err));
	ao_err_free(op.err);
	stop(&op);
	return r;
}
