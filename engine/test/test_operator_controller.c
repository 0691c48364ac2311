/* test_operator_controller.c -- a bundle that is for other parents than the record is of, when a controller starts. A peer plays the server. */
#include "base/log.h"
#include "operator/controller.h"
#include "serve/instruments.h"
#include "test/patience.h"
#include "test/test_kube_peer.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define BUNDLE "policies/examples/greeting"
#define GREETING "{\"apiVersion\":\"demo.example.com/v2\",\"kind\":\"Greeting\"}"
#define OTHER "{\"apiVersion\":\"demo.example.com/v1\",\"kind\":\"Other\"}"
#define EDIT "return require 'policy'.manifest { parent = 'demo.example.com/v1 Other', component = 'greeting-operator', children = {} }"

#define OURS "{\"apiVersion\":\"demo.example.com/v1\",\"kind\":\"Greeting\",\"finalizer\":\"demo.example.com/finalizer\"}"
#define THEIRS "{\"apiVersion\":\"demo.example.com/v1\",\"kind\":\"Greeting\",\"finalizer\":\"before.example.com/finalizer\"}"
#define NO_FINALIZER                                                                                                                       \
	"return require 'policy'.manifest { parent = 'demo.example.com/v1 Greeting', children = { 'v1 ConfigMap', 'apps/v1 Deployment' "   \
	"}, "                                                                                                                              \
	"finalizer = false }"

#define OLD_FINALIZER                                                                                                                      \
	"return require 'policy'.manifest { parent = 'demo.example.com/v1 Greeting', children = { 'v1 ConfigMap', 'apps/v1 Deployment' "   \
	"}, component = 'greeting-operator', finalizer = 'before.example.com/finalizer' }"

#define SHUT_OUT_MS 300

static const char *parent;    /* as the record says; NULL: there is none */
static int refused, refusals; /* with which status, and how often, before it is shown; -1: always */
static int away;              /* so often before that the server does not know what to say */
static uint64_t shut_out_ms;  /* of a controller that is only to start; 0: as usual */
static const char *config;    /* a file, or NULL */
static const char *bundle = BUNDLE;
static bool listed, ended; /* the ConfigMaps; the controller */

static void answer(peer_conn *conn, const char *request)
{
	ao_auto_json cJSON *map = cJSON_CreateObject();
	listed = listed || strstr(request, "/namespaces/ops/configmaps?");
	if (away) {
		away--;
		peer_reply(conn, "503 Service Unavailable", "", "{\"kind\":\"Status\",\"message\":\"starting\"}");
		return;
	}
	if (strstr(request, "/configmaps/greeting-operator-policies-live") && refusals) {
		refusals -= refusals > 0;
		ao_auto_str char *status = ao_xasprintf("%d Refused", refused);
		peer_reply(conn, status, "", "{\"kind\":\"Status\",\"message\":\"no right\"}");
		return;
	}
	if (!strstr(request, "/configmaps/greeting-operator-policies-live") || !parent) {
		peer_reply(conn, "404 Not Found", "",
			   "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no\",\"details\":{\"name\":\"greeting-"
			   "operator-policies-live\",\"kind\":\"configmaps\"}}");
		return;
	}
	ao_json_set_str(map, "apiVersion", "v1");
	ao_json_set_str(map, "kind", "ConfigMap");
	ao_json_set_str(ao_json_object(map, "metadata"), "name", "greeting-operator-policies-live");
	ao_json_set_str(ao_json_object(map, "metadata"), "namespace", "ops");
	ao_json_set_str(ao_json_object(map, "metadata"), "uid", "u");
	ao_auto_str char *record = ao_xasprintf("{\"version\":1,\"parent\":%s}", parent);
	ao_json_set_str(ao_json_object(map, "data"), "record", record);
	ao_auto_str char *body = ao_json_print(map);
	peer_reply(conn, "200 OK", "", body);
}

static void set_true(void *arg) { *(bool *)arg = true; }

static void on_end(void *arg, const ao_err *why)
{
	(void)arg, (void)why;
	ended = true;
}

/**
 * @param until  not NULL: what is to become true when the record may be read then
 * @return as ao_controller_start(); the caller frees `*ret_ready`, what /readyz says then
 */
static int run(const char *of, const char *policies_dir, const bool *until, char **ret_ready, ao_err **reterr)
{
	played p;
	ao_controller *controller = NULL;
	bool stopping = false;
	ao_checks checks = {0};
	ao_metrics *metrics = ao_metrics_new();
	const ao_load_options load = {.bundle_dir = bundle, .policies_dir = policies_dir, .config_file = config};
	parent = of;
	listed = ended = false;
	ao_log_setup(AO_LOG_ERROR, false);
	ao_instruments_describe(metrics);
	play(&p, answer, NULL);
	p.config.source = (char *)"test";
	ao_timer *watchdog = ao_timer_new(p.loop, set_true, &stopping);
	ao_timer_start(watchdog, 10000);
	assert_int_equal(ao_controller_new(&(ao_controller_options){.loop = p.loop,
								    .config = &p.config,
								    .namespace_ = "ops",
								    .load = &load,
								    .metrics = metrics,
								    .leader_elect = !until,
								    .max_concurrent = 1,
								    .shut_out_ms = until ? SHUT_OUT_MS : shut_out_ms,
								    .stopping = &stopping,
								    .on_end = on_end},
					   &controller, NULL),
			 0);
	int r = ao_controller_start(controller, reterr);
	if (until) {
		assert_int_equal(r, 0);
		assert_false(listed);
		refusals = 0;
		if (!ao_loop_run_until(p.loop, until, patient_ms(20 * SHUT_OUT_MS)))
			fail_msg("the record is never read");
	}
	ao_controller_ready(controller, &checks);
	for (size_t i = 0; i < checks.count; i++)
		if (strcmp(checks.items[i].name, "policies") == 0)
			*ret_ready = ao_xstrdup(checks.items[i].note);
	ao_checks_clear(&checks);
	ao_controller_free(controller);
	ao_timer_free(watchdog);
	end_play(&p);
	ao_metrics_free(metrics);
	return r;
}

static int start(const char *of, const char *policies_dir, char **ret_ready, ao_err **reterr)
{
	return run(of, policies_dir, NULL, ret_ready, reterr);
}

/** @param why  the words with which it does not start; NULL: it starts */
static void assert_starts(const char *record, const char *why)
{
	ao_auto_str char *ready = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = start(record, NULL, &ready, &err);
	bool as_told = why ? r == -EINVAL && strstr(ao_err_text(err), why) : r == 0;
	if (!as_told)
		fail_msg("with the record of %s it %s", record, r ? ao_err_text(err) : "starts");
}

static void parents_of_the_first_kind_are_not_left_behind(void **state)
{
	(void)state;
	assert_starts(NULL, NULL);
	assert_starts(GREETING, NULL);
	assert_starts("{}", NULL);
	assert_starts(OTHER, "the parent is Greeting (demo.example.com/v1), and this operator works on Other (demo.example.com/v1)");
}

/** A bundle of another domain has another finalizer: that of before would stay on all parents, and none could be deleted. */
static void a_finalizer_that_parents_hold_is_not_left_behind(void **state)
{
	(void)state;
	assert_starts(OURS, NULL);
	assert_starts(THEIRS, "the finalizer is demo.example.com/finalizer, and parents hold before.example.com/finalizer");
}

static void write_file(const char *folder, const char *name, const char *text)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	int put = fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_true(put >= 0);
}

static void remove_folder(const char *folder)
{
	ao_auto_str char *command = ao_xasprintf("rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

/** @param edit  of the manifest, in a folder of policies. @return what /readyz says; the caller frees */
static char *ready_with(const char *record, const char *edit)
{
	char folder[] = "/tmp/ao-controller-XXXXXX";
	char *ready = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_non_null(mkdtemp(folder));
	write_file(folder, "manifest.lua", edit);
	int r = start(record, folder, &ready, &err);
	remove_folder(folder);
	assert_int_equal(r, 0);
	return ready;
}

static void policies_for_another_kind_leave_the_bundle_in_service(void **state)
{
	(void)state;
	ao_auto_str char *ready = ready_with(GREETING, EDIT);
	if (!ready || !strstr(ready, "the parent is Other (demo.example.com/v1), and this operator works on Greeting"))
		fail_msg("it begins to work on others: %s", ready);
}

static void policies_without_the_finalizer_leave_the_bundle_in_service(void **state)
{
	(void)state;
	ao_auto_str char *ready = ready_with(OURS, NO_FINALIZER);
	if (!ready || !strstr(ready, "the finalizer is none, and parents hold demo.example.com/finalizer"))
		fail_msg("nobody takes the finalizer off any more: %s", ready);
}

/** The operator that ran refused it and went on; the next one, after a drain at night, must not leave nobody. */
static void a_configuration_that_cannot_be_used_ends_only_who_begins_without_a_record(void **state)
{
	(void)state;
	static const struct {
		const char *record, *text;
		int r;
	} ROWS[] = {
	    {GREETING, "params: {message: [", 0}, {GREETING, NULL, 0}, {NULL, "params: {message: [", -EINVAL}, {OTHER, "a: [", -EINVAL}};
	char path[] = "/tmp/ao-config-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	config = path;
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *ready = NULL;
		ao_auto_err ao_err *err = NULL;
		if (ROWS[i].text)
			assert_int_equal(pwrite(fd, ROWS[i].text, strlen(ROWS[i].text), 0), strlen(ROWS[i].text));
		config = ROWS[i].text ? path : "/nowhere/config.yaml";
		int r = start(ROWS[i].record, NULL, &ready, &err);
		if (r != ROWS[i].r || !strstr(r ? ao_err_text(err) : ready ? ready : "", config))
			fail_msg("row %zu: %d, %s, %s", i, r, r ? ao_err_text(err) : "it starts", ready ? ready : "ready");
	}
	config = NULL;
	close(fd);
	unlink(path);
}

/** What can be used is: without the manifest among the policies nobody would take the finalizer off that it says. */
static void a_configuration_that_cannot_be_used_takes_no_policies_along(void **state)
{
	(void)state;
	config = "/nowhere/config.yaml";
	ao_auto_str char *ready = ready_with(THEIRS, OLD_FINALIZER);
	config = NULL;
	if (!ready || !strstr(ready, "/nowhere/config.yaml"))
		fail_msg("%s", ready);
}

/** The same code says that people end it: it ended without a word, and well. */
static void a_bundle_that_takes_too_long_to_load_is_told_of(void **state)
{
	(void)state;
	char folder[] = "/tmp/ao-controller-XXXXXX";
	ao_auto_str char *ready = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_non_null(mkdtemp(folder));
	write_file(folder, "manifest.lua", "return require 'policy'.manifest { parent = 'demo.example.com/v1 Greeting', children = {} }");
	write_file(folder, "slow.lua", "local a, b = ('x'):rep(200000), ('x'):rep(199999) .. 'y'\nwhile a <= b do end");
	bundle = folder;
	int r = start(NULL, NULL, &ready, &err);
	bundle = BUNDLE;
	remove_folder(folder);
	assert_int_equal(r, -ETIME);
	assert_int_equal(err->code, -ETIME);
	assert_non_null(strstr(err->msg, "stopped by the clock"));
}

/** The authorizer of a server that has just started knows no rights yet; others are granted a moment after us. */
static void a_record_that_is_refused_for_a_moment_is_waited_for(void **state)
{
	(void)state;
	static const int STATUSES[] = {403, 401};
	for (size_t i = 0; i < AO_LEN(STATUSES); i++) {
		ao_auto_str char *ready = NULL;
		refused = STATUSES[i];
		refusals = 2;
		if (start(OTHER, NULL, &ready, NULL) != -EINVAL)
			fail_msg("after a %d it begins without a record", refused);
	}
}

/** ... also where the server was away before for longer than that: it has just started. */
static void a_right_is_waited_for_from_the_moment_when_it_is_missed(void **state)
{
	(void)state;
	ao_auto_str char *ready = NULL;
	refused = 403;
	refusals = away = 1;
	shut_out_ms = SHUT_OUT_MS;
	int r = start(OTHER, NULL, &ready, NULL);
	shut_out_ms = 0;
	if (r != -EINVAL)
		fail_msg("it begins without a record");
}

/** With one record, which is refused at the start, the controller goes on; with the other one it ends. */
static void assert_told_apart_later(const char *ours, const char *wrong)
{
	ao_auto_str char *ready = NULL, *other = NULL;
	refused = 403;
	refusals = -1;
	run(ours, NULL, &listed, &ready, NULL);
	assert_false(ended);
	refusals = -1;
	run(wrong, NULL, &ended, &other, NULL);
	assert_false(listed);
}

/** Nobody is served worse for that, but what is done meanwhile is not what the record says. */
static void a_record_that_may_be_read_later_is_read_then(void **state)
{
	(void)state;
	assert_told_apart_later(GREETING, OTHER);
}

/** The next start says what is wrong, and what to do. Who goes on takes the finalizer of before off from nobody, and gives all another one. */
static void a_record_that_may_be_read_later_is_of_the_same_finalizer(void **state)
{
	(void)state;
	assert_told_apart_later(OURS, THEIRS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parents_of_the_first_kind_are_not_left_behind),
	    cmocka_unit_test(policies_for_another_kind_leave_the_bundle_in_service),
	    cmocka_unit_test(a_finalizer_that_parents_hold_is_not_left_behind),
	    cmocka_unit_test(policies_without_the_finalizer_leave_the_bundle_in_service),
	    cmocka_unit_test(a_configuration_that_cannot_be_used_ends_only_who_begins_without_a_record),
	    cmocka_unit_test(a_configuration_that_cannot_be_used_takes_no_policies_along),
	    cmocka_unit_test(a_bundle_that_takes_too_long_to_load_is_told_of),
	    cmocka_unit_test(a_record_that_is_refused_for_a_moment_is_waited_for),
	    cmocka_unit_test(a_right_is_waited_for_from_the_moment_when_it_is_missed),
	    cmocka_unit_test(a_record_that_may_be_read_later_is_read_then),
	    cmocka_unit_test(a_record_that_may_be_read_later_is_of_the_same_finalizer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
