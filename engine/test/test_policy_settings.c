/* test_policy_settings.c -- where a setting's value comes from, and what the manifest must hold. */
#include "base/mem.h"
#include "policy/manifest.h"
#include "policy/settings.h"
#include "serve/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &tree, NULL), 0);
	return tree;
}

static const char manifest[] = "{\"settings\":{\"name\":{\"env\":\"T_NAME\",\"flag\":\"name-flag\",\"default\":\"d\"},"
			       "\"count\":{\"env\":\"T_COUNT\",\"type\":\"integer\"},\"on\":{\"env\":\"T_ON\",\"type\":\"boolean\"},"
			       "\"doc\":{\"env\":\"T_DOC\",\"type\":\"json\"},\"file\":{\"env\":\"T_FILE\",\"type\":\"file\"},"
			       "\"said\":{\"type\":\"json\",\"namespaces\":\"x/p\"}}}";

static void later_sources_win(void **state)
{
	(void)state;
	static const struct {
		const char *file, *env, *flags, *value;
	} cases[] = {
	    {NULL, NULL, NULL, "d"},
	    {"{\"name\":\"f\"}", NULL, NULL, "f"},
	    {"{\"name\":\"f\"}", "e", NULL, "e"},
	    {"{\"name\":\"f\"}", "e", "{\"name\":\"g\"}", "g"},
	};
	ao_auto_json cJSON *declared = parse(manifest);
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *file = cases[i].file ? parse(cases[i].file) : NULL,
				   *flags = cases[i].flags ? parse(cases[i].flags) : NULL, *settings = NULL;
		setenv("T_NAME", cases[i].env ? cases[i].env : "", 1);
		assert_int_equal(ao_settings_collect(declared, &(ao_settings_from){.file = file, .flags = flags}, &settings, NULL), 0);
		assert_string_equal(ao_json_str(settings, "name"), cases[i].value);
		assert_null(ao_json_at(settings, "count"));
	}
	unsetenv("T_NAME");
}

static void wrong_values_name_their_source(void **state)
{
	(void)state;
	static const struct {
		const char *variable, *text, *why;
	} cases[] = {
	    {"T_COUNT", "many", "environment variable T_COUNT: expected an integer"},
	    {"T_ON", "maybe", "environment variable T_ON: expected true or false"},
	    {"T_DOC", "{\"a\":}", "environment variable T_DOC: a: malformed value at byte 5"},
	    {"T_FILE", "/nowhere/x", "environment variable T_FILE: /nowhere/x: No such file or directory"},
	};
	ao_auto_json cJSON *declared = parse(manifest);
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		cJSON *settings = NULL;
		ao_auto_err ao_err *err = NULL;
		setenv(cases[i].variable, cases[i].text, 1);
		assert_true(ao_settings_collect(declared, &(ao_settings_from){0}, &settings, &err) < 0);
		unsetenv(cases[i].variable);
		assert_string_equal(ao_err_text(err), cases[i].why);
	}
	ao_auto_json cJSON *file = parse("{\"nmae\":1}");
	ao_auto_err ao_err *err = NULL;
	cJSON *settings = NULL;
	assert_true(ao_settings_collect(declared, &(ao_settings_from){.file = file}, &settings, &err) < 0);
	assert_string_equal(ao_err_text(err), "config file: unknown setting 'nmae' (known: name, count, on, doc, file, said, params)");
}

static void what_namespaces_say_is_said_by_nobody_else(void **state)
{
	(void)state;
	ao_auto_json cJSON *declared = parse(manifest), *file = parse("{\"said\":{\"a\":\"1\"}}"), *settings = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_settings_collect(declared, &(ao_settings_from){0}, &settings, NULL), 0);
	assert_null(ao_json_at(settings, "said"));
	cJSON_Delete(AO_TAKE(settings));
	assert_int_equal(ao_settings_collect(declared, &(ao_settings_from){.file = file}, &settings, &err), -EINVAL);
	assert_string_equal(ao_err_text(err), "config file: said: expected nothing, because namespaces say it by an annotation");
}

static void a_manifest_names_what_it_lacks(void **state)
{
	(void)state;
	static const struct {
		const char *json, *why;
	} cases[] = {
	    {"{}", "manifest: parent.apiVersion must be a non-empty string"},
	    {"{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"K\",\"plural\":\"ks\"},\"children\":[{\"apiVersion\":\"v1\"}]}",
	     "manifest: children[1].kind"},
	    {"{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"K\",\"plural\":\"ks\"},\"related\":[{\"apiVersion\":\"v1\",\"kind\":\"P\","
	     "\"plural\":\"ps\"}]}",
	     "manifest: related[1] needs one of label, same_label, owner and rules, which say whose it is"},
	    {"{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"K\",\"plural\":\"ks\"},\"related\":[{\"apiVersion\":\"v1\",\"kind\":\"P\","
	     "\"plural\":\"ps\",\"label\":\"l\",\"owner\":\"O\"}]}",
	     "manifest: related[1] needs one of label, same_label, owner and rules, which say whose it is"},
	    {"{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"K\",\"plural\":\"ks\"},\"related\":[{\"apiVersion\":\"v1\",\"kind\":\"P\","
	     "\"plural\":\"ps\",\"label\":\"l\",\"projection\":\"some\"}]}",
	     "manifest: related[1].projection \"some\" is not one of pod, status and metadata"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *json = parse(cases[i].json);
		ao_manifest *read = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_manifest_read(json, &read, &err), -EINVAL);
		assert_non_null(strstr(ao_err_text(err), cases[i].why));
	}
}

static void metrics_print_as_prometheus_reads(void **state)
{
	(void)state;
	ao_metrics *metrics = ao_metrics_new();
	ao_auto_buf ao_buf out = ao_buf_init(65536);
	ao_metrics_describe(metrics, "things_total", AO_COUNTER, "Things.");
	ao_metrics_describe(metrics, "took_seconds", AO_HISTOGRAM, "Times.");
	ao_metric_add(metrics, "things_total", "kind=\"b\"", 2);
	ao_metric_add(metrics, "things_total", "kind=\"a\"", 1);
	ao_metric_observe(metrics, "took_seconds", "", 0.02);
	ao_metric_observe(metrics, "took_seconds", "", 100);
	ao_metrics_print(metrics, &out);
	ao_metrics_free(metrics);
	assert_non_null(
	    strstr(out.data,
		   "# HELP things_total Things.\n# TYPE things_total counter\nthings_total{kind=\"a\"} 1\nthings_total{kind=\"b\"} 2\n"));
	assert_non_null(strstr(out.data, "took_seconds_bucket{le=\"0.01\"} 0\n"));
	assert_non_null(strstr(out.data, "took_seconds_bucket{le=\"0.025\"} 1\n"));
	assert_non_null(strstr(out.data, "took_seconds_bucket{le=\"+Inf\"} 2\ntook_seconds_sum 100.02\ntook_seconds_count 2\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(later_sources_win),
	    cmocka_unit_test(wrong_values_name_their_source),
	    cmocka_unit_test(what_namespaces_say_is_said_by_nobody_else),
	    cmocka_unit_test(a_manifest_names_what_it_lacks),
	    cmocka_unit_test(metrics_print_as_prometheus_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
