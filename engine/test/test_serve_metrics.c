/* test_serve_metrics.c -- the text format, its escapes and limits, and what is counted by names of the manifest. */
#include "base/mem.h"
#include "serve/instruments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_page(ao_metrics *metrics, const char *wanted)
{
	ao_auto_buf ao_buf out = ao_buf_init(8u << 20);
	ao_metrics_print(metrics, &out);
	if (!strstr(out.data, wanted))
		fail_msg("not on the page: %s\n%s", wanted, out.data);
}

static void labels_and_help_are_escaped(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_auto_str char *labels = ao_metric_labels("a", "say \"hi\"\\\n", "b", "");
	assert_true(ao_metrics_describe(metrics, "things", AO_GAUGE, "Things \"as\" a\\b\nare."));
	ao_metric_set(metrics, "things", labels, 1);
	assert_page(metrics,
		    "# HELP things Things \"as\" a\\\\b\\nare.\n# TYPE things gauge\nthings{a=\"say \\\"hi\\\"\\\\\\n\",b=\"\"} 1\n");
	ao_metrics_free(metrics);
}

static void a_name_is_taken_once(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	assert_true(ao_metrics_describe(metrics, "things", AO_GAUGE, "Things."));
	assert_false(ao_metrics_describe(metrics, "things", AO_COUNTER, "Others."));
	assert_page(metrics, "# HELP things Things.\n# TYPE things gauge\n");
	ao_metrics_free(metrics);
}

static void a_view_counts_beside_others(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_metrics *one = ao_metrics_view(metrics, "bundle=\"one\""), *other = ao_metrics_view(metrics, "bundle=\"one-more\"");
	assert_true(ao_metrics_describe(one, "things", AO_GAUGE, "Things."));
	assert_false(ao_metrics_describe(other, "things", AO_GAUGE, "Things."));
	ao_metric_set(one, "things", "", 1);
	ao_metric_set(one, "things", "a=\"b\"", 2);
	ao_metric_set(other, "things", "a=\"b\"", 3);
	assert_page(metrics, "things{bundle=\"one\"} 1\nthings{bundle=\"one\",a=\"b\"} 2\nthings{bundle=\"one-more\",a=\"b\"} 3\n");
	ao_metric_clear(one, "things");
	assert_page(metrics, "# TYPE things gauge\nthings{bundle=\"one-more\",a=\"b\"} 3\n");
	ao_metrics_free(one);
	ao_metrics_free(other);
	ao_metrics_free(metrics);
}

static void a_family_keeps_so_many_series(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_metrics_describe(metrics, "things", AO_GAUGE, "Things.");
	for (int i = 0; i < AO_METRIC_SERIES + 3; i++) {
		ao_auto_str char *labels = ao_xasprintf("i=\"%d\"", i);
		ao_metric_set(metrics, "things", labels, i);
	}
	ao_metric_set(metrics, "things", "i=\"0\"", 7); /* one that is there still moves */
	assert_page(metrics, "metrics_values_dropped_total 3\n");
	assert_page(metrics, "things{i=\"0\"} 7\n");
	ao_metric_clear(metrics, "things");
	ao_metric_set(metrics, "things", "i=\"new\"", 1);
	assert_page(metrics, "things{i=\"new\"} 1\n");
	ao_metrics_free(metrics);
}

static void histograms_have_the_bounds_of_dashboards(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_instruments_describe(metrics);
	ao_metric_observe(metrics, "workqueue_queue_duration_seconds", "name=\"x\"", 5e-6);
	ao_metric_observe(metrics, "workqueue_queue_duration_seconds", "name=\"x\"", 5000);
	ao_metric_observe(metrics, "controller_runtime_reconcile_time_seconds", "", 0.12);
	assert_page(metrics, "workqueue_queue_duration_seconds_bucket{name=\"x\",le=\"1e-08\"} 0\n");
	assert_page(metrics, "workqueue_queue_duration_seconds_bucket{name=\"x\",le=\"1e-06\"} 0\n"
			     "workqueue_queue_duration_seconds_bucket{name=\"x\",le=\"9.999999999999999e-06\"} 1\n");
	assert_page(metrics, "workqueue_queue_duration_seconds_bucket{name=\"x\",le=\"1000\"} 1\n"
			     "workqueue_queue_duration_seconds_bucket{name=\"x\",le=\"+Inf\"} 2\n");
	assert_page(metrics, "controller_runtime_reconcile_time_seconds_bucket{le=\"0.1\"} 0\n"
			     "controller_runtime_reconcile_time_seconds_bucket{le=\"0.15\"} 1\n");
	ao_metrics_free(metrics);
}

static void calls_are_told_apart_by_policy_and_hook(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_instruments_describe(metrics);
	ao_call_stats stats = {.steps = 10, .heap_peak = 500, .hook_count = 1, .hooks = {{"a\"b", "render", 1500000000}}};
	ao_instruments_call(metrics, "plan", &stats, 2000000000);
	stats.heap_peak = 400;
	ao_instruments_call(metrics, "plan", &stats, 2000000000);
	assert_page(metrics, "policy_hook_seconds_total{policy=\"a\\\"b\",hook=\"render\"} 3\n");
	assert_page(metrics, "policy_hook_calls_total{policy=\"a\\\"b\",hook=\"render\"} 2\n");
	assert_page(metrics, "policy_steps_total{call=\"plan\"} 20\n");
	assert_page(metrics, "policy_heap_peak_bytes{call=\"plan\"} 500\n");
	assert_page(metrics, "policy_call_seconds_sum{call=\"plan\"} 4\n");
	ao_metrics_free(metrics);
}

/** A manifest about Widgets, counted by status.phase */
static ao_manifest *widgets(void)
{
	ao_auto_json cJSON *json = NULL;
	ao_manifest *manifest = NULL;
	const char *text = "{\"parent\":{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\",\"plural\":\"widgets\"},"
			   "\"children\":[{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"plural\":\"secrets\"}],"
			   "\"field_manager\":\"m\",\"lease\":\"l\",\"component\":\"c\","
			   "\"gauge\":{\"name\":\"widgets\",\"help\":\"Widgets.\",\"label\":\"phase\",\"path\":\"status.phase\"}}";
	assert_int_equal(ao_json_parse(text, strlen(text), &json, NULL), 0);
	assert_int_equal(ao_manifest_read(json, &manifest, NULL), 0);
	return manifest;
}

static void watches_are_counted_by_kind(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_auto_manifest ao_manifest *manifest = widgets();
	ao_instruments_describe(metrics);
	ao_instruments_lead(metrics, manifest);
	ao_instruments_lead(metrics, manifest); /* a second time, as after a new manifest */
	assert_page(metrics, "watch_restarts_total{kind=\"Secret\"} 0\nwatch_restarts_total{kind=\"Widget\"} 0\n");
	ao_instruments_stream(metrics, manifest, "/apis/x.io/v1/widgets?watch=1");
	ao_instruments_stream(metrics, manifest, "/apis/x.io/v1/widgetsets?watch=1");
	ao_instruments_stream(metrics, manifest, "/api/v1/namespaces/n/secrets?watch=1");
	assert_page(metrics, "watch_restarts_total{kind=\"Secret\"} 1\nwatch_restarts_total{kind=\"Widget\"} 1\n");
	ao_metrics_free(metrics);
}

static void put(ao_store *store, const char *namespace_, const char *name, const char *status)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"%s\"}%s}", namespace_, name, name, status);
	const ao_object *object;
	assert_int_equal(ao_store_put(store, (ao_span){text, strlen(text)}, &object, NULL), 0);
}

static void parents_are_counted_by_state(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_auto_manifest ao_manifest *manifest = widgets();
	ao_store *store = ao_store_new(&(ao_store_options){0});
	ao_instruments_describe(metrics);
	ao_instruments_lead(metrics, manifest);
	put(store, "a", "one", ",\"status\":{\"phase\":\"Up\"}");
	put(store, "a", "two", ",\"status\":{\"phase\":\"Up\"}");
	put(store, "b", "three", "");
	put(store, "b", "four", ",\"status\":{\"phase\":{}}");
	ao_instruments_parents(metrics, manifest, store);
	assert_page(metrics, "# HELP widgets Widgets.\n# TYPE widgets gauge\n"
			     "widgets{namespace=\"a\",phase=\"Up\"} 2\nwidgets{namespace=\"b\",phase=\"\"} 2\n");
	ao_store_remove(store, "a/two");
	ao_instruments_parents(metrics, manifest, store);
	assert_page(metrics, "widgets{namespace=\"a\",phase=\"Up\"} 1\n");
	ao_store_free(store);
	ao_metrics_free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(labels_and_help_are_escaped),
	    cmocka_unit_test(a_name_is_taken_once),
	    cmocka_unit_test(a_view_counts_beside_others),
	    cmocka_unit_test(a_family_keeps_so_many_series),
	    cmocka_unit_test(histograms_have_the_bounds_of_dashboards),
	    cmocka_unit_test(calls_are_told_apart_by_policy_and_hook),
	    cmocka_unit_test(watches_are_counted_by_kind),
	    cmocka_unit_test(parents_are_counted_by_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
