/* test_operator_bundles.c -- bundles of one process whose controllers do what a test says. */
#include "base/log.h"
#include "base/mem.h"
#include "operator/bundles.h"
#include "serve/instruments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const DIRS[] = {AO_BUILTIN, "policies/examples/greeting"};

typedef struct fixture {
	ao_loop *loop;
	ao_metrics *metrics;
	ao_bundles *bundles;
	ao_timer *act, *watchdog;
	bool stopping, ended, late;
} fixture;

/* ---- the controllers ---- */

struct ao_controller {
	ao_controller_options with;
	ao_timer *release;
	void (*done)(void *arg);
	void *arg;
};

static ao_controller *latest; /* that of the last bundle */
static int begun, freed;

static void on_release(void *arg)
{
	ao_controller *c = arg;
	c->done(c->arg);
}

int ao_controller_new(const ao_controller_options *options, ao_controller **ret, ao_err **reterr)
{
	(void)reterr;
	ao_controller *c = latest = *ret = ao_xcalloc(1, sizeof(*c));
	c->with = *options;
	c->release = ao_timer_new(options->loop, on_release, c);
	begun++;
	return 0;
}

void ao_controller_free(ao_controller *c)
{
	if (!c)
		return;
	freed++;
	ao_timer_free(c->release);
	free(c);
}

void ao_controller_release(ao_controller *c, void (*done)(void *arg), void *arg)
{
	c->done = done;
	c->arg = arg;
	ao_timer_start(c->release, 50);
}

void ao_controller_collect(ao_controller *c) { ao_metric_set(c->with.metrics, "leader_election_master_status", "name=\"l\"", 1); }

int ao_controller_start(ao_controller *c, ao_err **reterr) { return (void)c, (void)reterr, 0; }
void ao_controller_end(ao_controller *c) { (void)c; }
bool ao_controller_ended(const ao_controller *c) { return (void)c, true; }
uint64_t ao_controller_overdue_ms(const ao_controller *c) { return (void)c, 0; }
void ao_controller_ready(ao_controller *c, ao_checks *checks) { (void)c, (void)checks; }
bool ao_controller_leads(const ao_controller *c) { return (void)c, true; }
const char *ao_controller_debug_path(const ao_controller *c) { return (void)c, NULL; }
void ao_controller_debug(ao_controller *c, const char *rest, ao_server_reply *reply) { (void)c, (void)rest, (void)reply; }

/* ---- around them ---- */

static void lose(ao_controller *c)
{
	ao_auto_err ao_err *why = NULL;
	ao_err_set(&why, -EPERM, "the lease was lost");
	c->with.on_end(c->with.arg, why);
}

static void on_ended(void *arg)
{
	fixture *f = arg;
	f->ended = true;
	ao_loop_stop(f->loop);
}

static void on_late(void *arg)
{
	((fixture *)arg)->late = true;
	on_ended(arg);
}

static void on_collect(void *arg) { ao_bundles_collect(((fixture *)arg)->bundles); }

/** Runs two bundles; 10 ms later comes `act`. */
static void run(fixture *f, ao_timer_fn act)
{
	static const ao_kubeconfig config = {.namespace_ = (char *)"ops"};
	static const ao_operator_options options = {.bundles = DIRS, .bundle_count = AO_LEN(DIRS)};
	*f = (fixture){.loop = ao_loop_new(), .metrics = ao_metrics_new()};
	begun = freed = 0;
	ao_log_setup(AO_LOG_ERROR, false);
	ao_instruments_describe(f->metrics);
	ao_metrics_on_collect(f->metrics, on_collect, f);
	f->bundles = ao_bundles_new(f->loop, &config, f->metrics, &options, &f->stopping, &f->ended);
	f->act = ao_timer_new(f->loop, act, f);
	f->watchdog = ao_timer_new(f->loop, on_late, f);
	ao_timer_start(f->act, 10);
	ao_timer_start(f->watchdog, 3000);
	assert_int_equal(ao_bundles_run(f->bundles, NULL), 0);
	assert_int_equal(begun, 2);
}

static void end(fixture *f)
{
	ao_bundles_free(f->bundles);
	ao_metrics_free(f->metrics);
	ao_timer_free(f->act);
	ao_timer_free(f->watchdog);
	assert_int_equal(ao_loop_close(f->loop), 0);
	assert_int_equal(freed, 2);
}

/* ---- tests ---- */

static void stop_and_lose(void *arg)
{
	fixture *f = arg;
	f->stopping = true;
	ao_bundles_end(f->bundles);
	ao_bundles_release(f->bundles, on_ended, f);
	lose(latest);
}

/** It is about to be asked for its lease, or has been: whoever waits for the answer gets it. */
static void a_bundle_that_ends_while_all_are_stopped_holds_nobody_up(void **state)
{
	fixture f;
	(void)state;
	run(&f, stop_and_lose);
	assert_false(f.late);
	end(&f);
}

static void print_later(void *arg)
{
	fixture *f = arg;
	ao_timer_start(f->watchdog, 100); /* time enough to let it rest */
	ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
	ao_metrics_print(f->metrics, &text); /* as long as it leads */
	assert_non_null(strstr(text.data, "leader_election_master_status{bundle=\"greeting-operator\",name=\"l\"} 1"));
	lose(latest);
}

static void a_bundle_that_rests_does_not_lead(void **state)
{
	fixture f;
	(void)state;
	run(&f, print_later);
	ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
	ao_metrics_print(f.metrics, &text);
	assert_int_equal(freed, 1);
	assert_non_null(strstr(text.data, "leader_election_master_status{bundle=\"asya-operator\",name=\"l\"} 1"));
	assert_non_null(strstr(text.data, "leader_election_master_status{bundle=\"greeting-operator\",name=\"l\"} 0"));
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bundle_that_ends_while_all_are_stopped_holds_nobody_up),
	    cmocka_unit_test(a_bundle_that_rests_does_not_lead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
