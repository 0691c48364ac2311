/* test_rollout_fallback.c -- what an operator goes on by whose configuration cannot be used. A peer plays the server. */
#include "rollout/record_text.h"
#include "test/patience.h"
#include "test/test_rollout_policies.h"

#include <stdlib.h>
#include <unistd.h>

#define RECORD                                                                                                                             \
	"{\\\"version\\\":1,\\\"main\\\":{\\\"live\\\":{\\\"bundle\\\":\\\"before\\\"},\\\"to\\\":{\\\"bundle\\\":\\\"after\\\"},"         \
	"\\\"stage\\\":"                                                                                                                   \
	"\\\"forward\\\"},\\\"canary\\\":{\\\"stage\\\":\\\"rest\\\"}%s}"

static const ao_resource GREETING = {.api_version = (char *)"demo.example.com/v1", .kind = (char *)"Greeting"};
static const char *more; /* in the record */

static void answer(peer_conn *conn, const char *request)
{
	if (!is_watch(conn, request))
		return;
	ao_auto_str char *record = ao_xasprintf(RECORD, more);
	ao_auto_str char *map =
	    ao_xasprintf("{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":"
			 "\"greeting-operator-policies-live\",\"namespace\":\"ops\",\"uid\":\"u\",\"resourceVersion\":\"5\"},"
			 "\"data\":{\"record\":\"%s\"}}}\n",
			 record);
	ao_auto_str char *events = ao_xasprintf("%s%s", strstr(request, "policies-record") ? map : "", MAPS_END);
	begin_watch(conn, events);
}

/** An edit is on its way one by one, and was approved by a person: that it may go on is no reason to hurry. */
static void what_is_on_its_way_goes_on_at_its_pace(void **state)
{
	(void)state;
	static const struct {
		const char *recorded;
		unsigned restarting, percent, failed;
		uint64_t ready_ms;
		bool approval;
	} ROWS[] = {
	    {",\\\"rollout\\\":{\\\"maxRestarting\\\":1,\\\"maxFailed\\\":0,\\\"readySeconds\\\":1800,\\\"requireApproval\\\":true}", 1, 0,
	     0, 1800000, true},
	    {",\\\"rollout\\\":{\\\"maxRestarting\\\":\\\"10%\\\"}", 5, 10, 1, 300000, false},
	    {"", 5, 0, 1, 300000, false}, /* of a version that did not say it */
	};
	const ao_load_options load = {
	    .bundle_dir = "policies/examples/greeting", .config_file = "/nowhere/config.yaml", .parent = &GREETING};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		played p;
		more = ROWS[i].recorded;
		ao_policies *policies = begin_policies(&p, answer, &load);
		recall_policies(&p, policies);
		assert_true(policies->recorded);
		assert_true(ao_edits_look(policies));
		const ao_machine_settings is = policies->settings;
		end_policies(&p, policies);
		if (is.max_restarting != ROWS[i].restarting || is.max_percent != ROWS[i].percent || is.max_failed != ROWS[i].failed ||
		    is.ready_ms != ROWS[i].ready_ms || is.require_approval != ROWS[i].approval)
			fail_msg("row %zu: %u at once, or %u%%, %u may fail, after %llu ms%s", i, is.max_restarting, is.max_percent,
				 is.max_failed, (unsigned long long)is.ready_ms, is.require_approval ? ", with approval" : "");
	}
}

/** ... which the record says in a form that can be read again. */
static void the_pace_is_written_as_it_is_read(void **state)
{
	(void)state;
	static const struct {
		ao_machine_settings settings;
		const char *text;
	} ROWS[] = {{{.max_restarting = 2, .max_failed = 0, .ready_ms = 1500, .require_approval = true},
		     "{\"maxFailed\":0,\"maxRestarting\":2,\"minReadySeconds\":0,\"readySeconds\":1.5,\"requireApproval\":true}"},
		    {{.max_restarting = 5, .max_percent = 10, .max_failed = 1, .ready_ms = 300000, .min_ready_ms = 20000},
		     "{\"maxFailed\":1,\"maxRestarting\":\"10%\",\"minReadySeconds\":20,\"readySeconds\":300,\"requireApproval\":false}"}};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		const ao_policies p = {.settings = ROWS[i].settings};
		ao_rollout_record none = {0};
		ao_map *kept = ao_map_new();
		ao_auto_json cJSON *pace = ao_edit_pace(&p);
		ao_auto_str char *record = ao_record_text(&none, kept, NULL, NULL, NULL, NULL, pace);
		ao_auto_json cJSON *again = ao_record_pace(record);
		ao_auto_str char *text = ao_json_canonical(again);
		ao_map_free(kept);
		assert_string_equal(text, ROWS[i].text);
	}
}

static void write_config(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static char *told(const ao_policies *policies)
{
	ao_auto_buf ao_buf text = ao_buf_init(4096);
	ao_policies_tell(policies, &text);
	return ao_xstrdup(text.data);
}

/** Nobody looks at edits in a replica that stands by: it said for ever, and its metric, what the one that leads had seen to be mended. */
static void who_stands_by_says_no_longer_that_the_configuration_is_wrong(void **state)
{
	(void)state;
	played p;
	char path[] = "/tmp/ao-config-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	write_config(path, "params: [");
	const ao_load_options load = {.bundle_dir = "policies/examples/greeting", .config_file = path, .parent = &GREETING};
	ao_policies *policies = begin_policies(&p, answer, &load);
	ao_auto_str char *before = told(policies), *after = NULL;
	assert_non_null(strstr(before, "degraded"));
	write_config(path, "params: {greeting: {image: nginx}}\n");
	for (int i = 0; i < 40 && (!after || strstr(after, "degraded")); i++) {
		bool never = false;
		ao_loop_run_until(p.loop, &never, patient_ms(250));
		free(after);
		after = told(policies);
	}
	end_policies(&p, policies);
	if (strstr(after, "degraded"))
		fail_msg("%s", after);
	policies = begin_policies(&p, answer, &load); /* another one starts, and says the same */
	ao_auto_str char *others = told(policies);
	end_policies(&p, policies);
	unlink(path);
	assert_string_equal(after, others);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_on_its_way_goes_on_at_its_pace),
	    cmocka_unit_test(the_pace_is_written_as_it_is_read),
	    cmocka_unit_test(who_stands_by_says_no_longer_that_the_configuration_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
