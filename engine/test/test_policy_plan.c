/* What a plan becomes where the server's schemas are older than the policies: fields that may go are left out, and told. */
#include "base/mem.h"
#include "policy/plan.h"
#include "policy/redact.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define PROPERTIES(spec)                                                                                                                   \
	"{\"components\":{\"schemas\":{\"t\":{\"type\":\"object\",\"properties\":{\"apiVersion\":{\"type\":\"string\"},"                   \
	"\"kind\":{\"type\":\"string\"},\"metadata\":{\"type\":\"object\",\"additionalProperties\":{}},\"spec\":{\"type\":\"object\","     \
	"\"properties\":" spec "}},\"x-kubernetes-group-version-kind\":[{\"group\":\"g\",\"version\":\"v1\",\"kind\":\"Thing\"}]}}}}"

static const char NEW[] = PROPERTIES("{\"size\":{\"type\":\"integer\"},\"mode\":{\"type\":\"string\",\"enum\":[\"old\",\"new\"]},"
				     "\"far\":{\"type\":\"object\",\"properties\":{\"away\":{\"type\":\"boolean\"}}}}");
static const char OLD[] = PROPERTIES("{\"size\":{\"type\":\"integer\"},\"mode\":{\"type\":\"string\",\"enum\":[\"old\"]},"
				     "\"far\":{\"type\":\"object\",\"properties\":{}}}");

static const char MANIFEST[] = "return require 'policy'.manifest { component = 'test', field_manager = 'test',\n"
			       "  lease = 'l', finalizer = 'a/b', parent = { apiVersion = 'v1', kind = 'Widget', plural = 'widgets' },\n"
			       "  children = { { apiVersion = 'g/v1', kind = 'Thing', plural = 'things' } }, settings = {} }\n";
static const char POLICY[] =
    "local policy = require 'policy'\n"
    "return policy.define { name = 'thing', render = function(parent, ctx, plan)\n"
    "  local secret = ctx.child('Secret', 's')\n"
    "  if secret then parent.spec.password = 'p=' .. secret.data.pw end\n"
    "  plan:add('thing', { apiVersion = 'g/v1', kind = 'Thing', metadata = { name = 'a' }, spec = parent.spec })\n"
    "  plan:optional('thing', 'spec.mode', { path = 'spec.mode', message = 'mode needs Things 2', condition = 'C', reason = 'R' })\n"
    "  plan:optional('thing', 'spec.far.away', { path = 'spec.far.away', message = 'far.away needs Things 3' })\n"
    "end }\n";

static ao_bundle *bundle;

static int load(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_sources_put(&sources, "manifest.lua", MANIFEST, strlen(MANIFEST), "test");
	ao_sources_put(&sources, "thing.lua", POLICY, strlen(POLICY), "test");
	return ao_bundle_load(&sources, NULL, NULL, &bundle, NULL);
}

static int unload(void **state)
{
	(void)state;
	ao_bundle_free(bundle);
	return 0;
}

/** The plan for a widget with that spec, or NULL and the error, which the caller frees. */
static cJSON *plan_with(const char *document, const char *spec, ao_err **err)
{
	ao_auto_openapi ao_openapi *openapi = NULL;
	ao_auto_str char *text = ao_xasprintf("{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\","
					      "\"namespace\":\"n\"},\"spec\":%s},\"children\":[],\"related\":[]}",
					      spec);
	ao_auto_json cJSON *snapshot = cJSON_Parse(text);
	cJSON *plan = NULL;
	ao_plan_blame blame = {0};
	assert_int_equal(ao_openapi_new(&(ao_openapi_options){.bundled = document, .bundled_len = strlen(document)}, &openapi, NULL), 0);
	int r = ao_plan_make(bundle, openapi, snapshot, &plan, NULL, &blame, err);
	assert_int_equal(r, plan ? 0 : -EINVAL);
	assert_string_equal(blame.hook, plan ? "" : "schema");
	return plan;
}

static void assert_spec(const cJSON *plan, const char *expected)
{
	ao_auto_str char *spec = ao_json_print(ao_json_at(cJSON_GetArrayItem(ao_json_at(plan, "objects"), 0), "object", "spec"));
	assert_string_equal(spec, expected);
}

static void a_server_that_has_them_gets_all_fields(void **state)
{
	(void)state;
	ao_auto_json cJSON *plan = plan_with(NEW, "{\"size\":1,\"mode\":\"new\",\"far\":{\"away\":true}}", NULL);
	assert_spec(plan, "{\"far\":{\"away\":true},\"mode\":\"new\",\"size\":1}");
	assert_null(ao_json_at(plan, "refused"));
}

static void an_older_server_gets_the_rest_and_what_is_missing_is_told(void **state)
{
	(void)state;
	ao_auto_json cJSON *plan = plan_with(OLD, "{\"size\":1,\"mode\":\"new\",\"far\":{\"away\":true}}", NULL);
	assert_spec(plan, "{\"far\":{},\"size\":1}");
	const cJSON *refused = ao_json_at(plan, "refused"), *first = cJSON_GetArrayItem(refused, 0),
		    *second = cJSON_GetArrayItem(refused, 1);
	assert_int_equal(cJSON_GetArraySize(refused), 2);
	assert_string_equal(ao_json_str(first, "field"), "spec.far.away");
	assert_string_equal(ao_json_str(first, "message"), "far.away needs Things 3");
	assert_string_equal(ao_json_str(second, "field"), "spec.mode");
	assert_string_equal(ao_json_str(second, "role"), "thing");
	assert_string_equal(ao_json_str(second, "kind"), "Thing");
	assert_string_equal(ao_json_str(second, "name"), "a");
	assert_string_equal(ao_json_str(second, "policy"), "thing");
	assert_string_equal(ao_json_str(second, "condition"), "C");
	assert_string_equal(ao_json_str(second, "reason"), "R");
}

/** A value that the older one knows is kept. */
static void what_fits_stays(void **state)
{
	(void)state;
	ao_auto_json cJSON *plan = plan_with(OLD, "{\"mode\":\"old\"}", NULL);
	assert_spec(plan, "{\"mode\":\"old\"}");
	assert_null(ao_json_at(plan, "refused"));
}

static void other_mistakes_stay_errors(void **state)
{
	(void)state;
	ao_auto_err ao_err *unknown = NULL, *type = NULL;
	assert_null(plan_with(OLD, "{\"mode\":\"new\",\"sise\":1}", &unknown));
	assert_string_equal(ao_err_text(unknown), "policy 'thing', role 'thing': Thing a: spec.sise: unknown field; did you mean size?");
	assert_null(plan_with(OLD, "{\"mode\":7}", &type));
	assert_string_equal(ao_err_text(type),
			    "policy 'thing', role 'thing': Thing a: spec.mode: must be a string, not a number; write it in quotes");
}

/** What becomes of the values of a copied Secret is not the plan's to compare, but it is not left over either. */
static void a_copied_secret_is_no_leftover(void **state)
{
	(void)state;
	ao_auto_json cJSON *plan = cJSON_Parse("{\"kept\":[{\"kind\":\"Node\",\"name\":\"m\"}],\"copies\":[{\"role\":\"r\",\"object\":"
					       "{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"n\",\"name\":\"s\"}}}]}");
	assert_true(ao_plan_keeps(plan, "Node", "", "m"));
	assert_false(ao_plan_keeps(plan, "Node", "n", "m"));
	assert_true(ao_plan_keeps(plan, "Secret", "n", "s"));
	assert_false(ao_plan_keeps(plan, "Secret", "other", "s"));
	assert_false(ao_plan_keeps(plan, "ConfigMap", "n", "s"));
}

/** It would be written where the value was: into stringData, which takes any text, or into a variable of pods, which are restarted. */
static void what_stands_for_the_value_of_a_secret_is_not_written_in_its_place(void **state)
{
	(void)state;
	static const char *const KINDS[] = {"Secret", "Other"};
	for (size_t i = 0; i < AO_LEN(KINDS); i++) {
		ao_auto_str char *text = ao_xasprintf("{\"parent\":{\"apiVersion\":\"v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\","
						      "\"namespace\":\"n\"},\"spec\":{%s}},"
						      "\"children\":[{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"metadata\":{\"name\":\"s\"},"
						      "\"data\":{\"pw\":\"aHVudGVyMg==\"}}]}",
						      i ? "\"text\":\"(hidden)\"" : "", KINDS[i]);
		ao_auto_json cJSON *snapshot = cJSON_Parse(text), *plan = NULL;
		ao_auto_err ao_err *err = NULL;
		ao_plan_blame blame = {0};
		ao_redact_secret(cJSON_GetArrayItem(ao_json_at(snapshot, "children"), 0));
		int r = ao_plan_make(bundle, NULL, snapshot, &plan, NULL, &blame, &err);
		if (i == 0 && r == 0)
			fail_msg("it is to hold %s",
				 ao_json_str(cJSON_GetArrayItem(ao_json_at(plan, "objects"), 0), "object", "spec", "password"));
		assert_int_equal(r, i ? 0 : -EINVAL);
		assert_string_equal(blame.policy, i ? "" : "thing");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_server_that_has_them_gets_all_fields),
	    cmocka_unit_test(an_older_server_gets_the_rest_and_what_is_missing_is_told),
	    cmocka_unit_test(what_fits_stays),
	    cmocka_unit_test(other_mistakes_stay_errors),
	    cmocka_unit_test(a_copied_secret_is_no_leftover),
	    cmocka_unit_test(what_stands_for_the_value_of_a_secret_is_not_written_in_its_place),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
