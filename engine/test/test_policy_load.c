/* What a configuration says: parameters that come before their policy, and settings of one bundle among several. */
#include "base/mem.h"
#include "policy/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char CHEAP[] = "return require 'policy'.define { name = 'cheap', params = { tier = require 'schema'.string() } }";

/** Loads the built-in policies, and `cheap` if asked, with this config file. */
static int load(const char *config, bool cheap, ao_loaded *ret, ao_err **reterr)
{
	char path[] = "/tmp/ao-load-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, config, strlen(config)) == (ssize_t)strlen(config));
	close(fd);
	ao_load_options options = {.config_file = path};
	ao_auto_sources ao_sources sources = {0};
	assert_int_equal(ao_load_sources(&options, &sources, NULL), 0);
	if (cheap)
		ao_sources_put(&sources, "cheap.lua", CHEAP, strlen(CHEAP), "configmap ns/team");
	int r = ao_load(&options, &sources, ret, reterr);
	unlink(path);
	return r;
}

#define SQS_KEYS                                                                                                                           \
	"accountId, actorRoleArn, credentials, endpoint, instanceMetadata, queues, region, scalerExternalId, scalerRoleArn, tags, "        \
	"visibilityTimeout, waitTimeSeconds"

static void settings_of_nobody_are_named_and_no_error(void **state)
{
	(void)state;
	static const struct {
		const char *config, *unclaimed;
		bool cheap;
	} ROWS[] = {
	    {"params: {cheap: {tier: spot}}", "params: there is no policy 'cheap' in the bundle", false},
	    {"params: {cheap: {tier: spot}}", NULL, true},
	    {"params: {scalling: {}}", "params: there is no policy 'scalling' in the bundle; did you mean scaling?", false},
	    {"params: {cheap: 5, chaep: {}}", "params: there is no policy 'cheap' in the bundle; nor 'chaep' in the bundle", false},
	    {"params: {chaep: {}}", "params: there is no policy 'chaep' in the bundle; did you mean cheap?", true},
	    {"params: {}", NULL, false},
	    {"gatewayURL: http://x", NULL, false},
	    {"transports: {transports: {a: {type: sqs, enabled: true, config: {region: r}}}}", NULL, false},
	    {"transports: {transports: null}", NULL, false},
	    {"transports: {a: {type: sqs, enabled: true, config: {regoin: r}}}",
	     "transports.a.config: unknown parameter 'regoin' (known: " SQS_KEYS ")", false},
	    {"{params: {cheap: {}}, transports: {foo: 1, transports: {b: 5, a: {enabled: false, config: {x: y}, typ: sqs}}}}",
	     "params: there is no policy 'cheap' in the bundle; transports.foo: is not a valid key beside transports.transports; "
	     "transports.a: unknown parameter 'typ' (known: config, enabled, type); transports.b: must be a mapping, not the number 5",
	     false},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_loaded ao_loaded loaded = {0};
		ao_auto_err ao_err *err = NULL;
		if (load(ROWS[i].config, ROWS[i].cheap, &loaded, &err) < 0)
			fail_msg("%s: %s", ROWS[i].config, ao_err_text(err));
		if (ROWS[i].unclaimed)
			assert_string_equal(loaded.unclaimed, ROWS[i].unclaimed);
		else
			assert_null(loaded.unclaimed);
	}
}

static void parameters_of_a_policy_that_is_there_are_checked(void **state)
{
	(void)state;
	ao_auto_loaded ao_loaded loaded = {0};
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(load("params: {cheap: {tier: 5}}", true, &loaded, &err), -EINVAL);
	assert_non_null(strstr(ao_err_text(err), "cheap.lua: params of policy 'cheap'"));
}

static void a_configuration_for_several_bundles_is_read_by_each(void **state)
{
	(void)state;
	static const struct {
		const char *config, *url, *error;
	} ROWS[] = {
	    {"{gatewayURL: http://a, page: 5, bundles: {}}", "http://a", NULL},
	    {"{gatewayURL: http://a, bundles: {asya-operator: {gatewayURL: http://b}, other: {page: 5}}}", "http://b", NULL},
	    {"{gatewayURL: http://a, bundles: {asya-operator: null}}", "http://a", NULL},
	    {"bundles: {asya-operator: {page: 5}}", NULL, "config file: unknown setting 'page'"},
	    {"bundles: {asya-operator: 5}", NULL, "config file: bundles.asya-operator: expected a mapping"},
	    {"bundles: 5", NULL, "config file: bundles: expected a mapping of components"},
	    {"page: 5", NULL, "config file: unknown setting 'page'"},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_loaded ao_loaded loaded = {0};
		ao_auto_err ao_err *err = NULL;
		int r = load(ROWS[i].config, false, &loaded, &err);
		if (ROWS[i].error ? r != -EINVAL || !strstr(ao_err_text(err), ROWS[i].error) : r != 0)
			fail_msg("%s: %s", ROWS[i].config, err ? ao_err_text(err) : "was taken");
		if (r == 0)
			assert_string_equal(ao_json_str(loaded.settings, "gatewayURL"), ROWS[i].url);
	}
}

/** An edit comes to an operator that watches one kind of parents. */
static void a_later_manifest_is_for_the_same_parents(void **state)
{
	(void)state;
	static const ao_resource SAME = {.api_version = (char *)"demo.example.com/v2", .kind = (char *)"Greeting"};
	static const ao_resource OTHERS[] = {{.api_version = (char *)"demo.example.com/v1", .kind = (char *)"Other"},
					     {.api_version = (char *)"other.example.com/v1", .kind = (char *)"Greeting"}};
	for (size_t i = 0; i <= AO_LEN(OTHERS); i++) {
		bool same = i == AO_LEN(OTHERS);
		ao_load_options options = {.bundle_dir = "policies/examples/greeting", .parent = same ? &SAME : &OTHERS[i]};
		ao_auto_sources ao_sources sources = {0};
		ao_auto_loaded ao_loaded loaded = {0};
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_load_sources(&options, &sources, NULL), 0);
		assert_int_equal(ao_load(&options, &sources, &loaded, &err), same ? 0 : -EINVAL);
		assert_true(same || strstr(ao_err_text(err), "the parent is Greeting (demo.example.com/v1), and this operator works on"));
		assert_true(same ||
			    strstr(ao_err_text(err), "Take it back, or start the operator with a bundle, and rights, for the other kind"));
		assert_true(same || strstr(ao_err_text(err), "deletes the record, the ConfigMap COMPONENT-policies-live"));
	}
}

/** Which lease it takes an operator says before it reads ConfigMaps. Whoever stops it must take that one. */
static void the_lease_is_the_bases(void **state)
{
	(void)state;
	static const char TEXT[] =
	    "return require 'policy'.manifest { parent = 'demo.example.com/v1 Greeting', children = {}, lease = 'another' }";
	ao_auto_sources ao_sources sources = {0};
	ao_auto_manifest ao_manifest *manifest = NULL;
	ao_auto_err ao_err *refused = NULL, *err = NULL;
	assert_int_equal(ao_load_base("policies/examples/greeting", &sources, NULL), 0);
	ao_sources_lay(&sources, "manifest.lua", TEXT, strlen(TEXT), "configmap ops/edit");
	assert_int_equal(ao_load_manifest("policies/examples/greeting", &sources, &manifest, &refused, &err), 0);
	assert_null(refused);
	assert_string_equal(manifest->lease, "greeting-operator.demo.example.com");
}

/** Who works on what an operator worked on must not take the word of an edit that it has refused. */
static void a_refused_manifest_is_nobodys(void **state)
{
	(void)state;
	static const char OF[] = "return require 'policy'.manifest { parent = '%s', children = {} }", *const DIR =
													  "policies/examples/greeting";
	static const struct {
		const char *parent, *refused, *is;
	} ROWS[] = {
	    {"other.example.com/v1 Worker", "the parent is Worker (other.example.com/v1), and this operator works on Greeting",
	     "demo.example.com/v1"},
	    {"nonsense", "manifest.lua:1: policy.manifest.parent", "demo.example.com/v1"},
	    {"demo.example.com/v2 Greeting", NULL, "demo.example.com/v2"},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_sources ao_sources sources = {0};
		ao_auto_manifest ao_manifest *manifest = NULL;
		ao_auto_err ao_err *refused = NULL, *err = NULL;
		ao_auto_str char *text = ao_xasprintf(OF, ROWS[i].parent);
		assert_int_equal(ao_load_base(DIR, &sources, NULL), 0);
		ao_sources_lay(&sources, "manifest.lua", text, strlen(text), "configmap ops/edit");
		assert_int_equal(ao_load_manifest(DIR, &sources, &manifest, &refused, &err), 0);
		assert_string_equal(manifest->kinds[0].resource.api_version, ROWS[i].is);
		assert_string_equal(manifest->kinds[0].resource.kind, "Greeting");
		assert_int_equal(!ROWS[i].refused, !refused);
		assert_true(!refused || strstr(ao_err_text(refused), ROWS[i].refused));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settings_of_nobody_are_named_and_no_error),
	    cmocka_unit_test(parameters_of_a_policy_that_is_there_are_checked),
	    cmocka_unit_test(a_configuration_for_several_bundles_is_read_by_each),
	    cmocka_unit_test(a_later_manifest_is_for_the_same_parents),
	    cmocka_unit_test(a_refused_manifest_is_nobodys),
	    cmocka_unit_test(the_lease_is_the_bases),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
