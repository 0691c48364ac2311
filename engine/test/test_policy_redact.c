/* What a record of an actor does not tell: values of variables, arguments, Secrets, and what settings say in confidence. */
#include "base/mem.h"
#include "policy/load.h"
#include "policy/record.h"
#include "policy/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/** Everything that must not be found in a record holds this word. */
#define HUSH "hush"

static const char SETTINGS[] = "{\"gatewayURL\": \"http://me:hush-gateway@gateway\", \"params\": {\"stamp\": {\"api_token\": "
			       "\"hush-of-the-settings\"}}, \"transports\": "
			       "{\"rabbitmq\": {\"enabled\": true, \"config\": {\"host\": \"mq\", \"management\": {\"url\": "
			       "\"http://me:hush-management@mq:15672\"}}}}}";

static const char STAMP[] = "local policy, schema = require 'policy', require 'schema'\n"
			    "return policy.define { name = 'stamp', after = { 'workload' }, params = { api_token = schema.string() }, "
			    "render = function(actor, ctx, plan) plan:get('workload').metadata.annotations = "
			    "{ x = 'Bearer ' .. ctx.params.api_token } end }\n";

static const char SNAPSHOT[] =
    "{\"now\": \"2026-01-02T03:04:05Z\", \"children\": [{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"s\"}, "
    "\"data\": {\"k\": \"hush-data\"}, \"stringData\": {\"k\": \"hush-text\"}}], \"related\": [], \"parent\": {\"apiVersion\": "
    "\"asya.sh/v1alpha1\", \"kind\": \"Actor\", \"metadata\": {\"name\": \"a\", \"namespace\": \"n\", \"annotations\": "
    "{\"kubectl.kubernetes.io/last-applied-configuration\": \"hush\", \"plain\": \"b\", \"proxy\": \"see http://u:hush-proxy@p/ for "
    "it\"}}, "
    "\"spec\": {\"transport\": \"rabbitmq\", \"scaling\": {\"enabled\": true}, \"workload\": {\"template\": {\"spec\": {\"containers\": "
    "[{\"name\": \"asya-runtime\", \"image\": \"app:1\", \"args\": [\"serve\", \"--password=hush-arg\"], \"env\": ["
    "{\"name\": \"DATABASE_URL\", \"value\": \"postgres://u:hush-url@db/x\"}, {\"name\": \"DB_PASS\", \"value\": \"hush-pass\"}, "
    "{\"name\": \"COPY\", \"value\": \"hush-pass\"}, {\"name\": \"EMPTY\", \"value\": \"\"}, {\"name\": \"ASYA_HANDLER\", \"value\": "
    "\"m.f\"}, "
    "{\"name\": \"REF\", \"valueFrom\": {\"secretKeyRef\": {\"name\": \"db\", \"key\": \"password\"}}}]}, {\"name\": \"other\", \"image\": "
    "\"b:1\", \"command\": [\"sh\", \"-c\", \"login hush-command\"], \"livenessProbe\": {\"httpGet\": {\"port\": 1, \"httpHeaders\": "
    "[{\"name\": \"Authorization\", \"value\": \"hush-header\"}]}}}]}}}}}}";

static cJSON *record_of(const char *snapshot_text)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_json cJSON *snapshot = cJSON_Parse(snapshot_text), *settings = cJSON_Parse(SETTINGS);
	assert_non_null(snapshot);
	assert_non_null(settings);
	ao_sources_builtin(&sources);
	ao_sources_put(&sources, "stamp.lua", STAMP, strlen(STAMP), "test");
	assert_int_equal(ao_bundle_load(&sources, settings, NULL, &bundle, NULL), 0);
	return ao_record_make(bundle, snapshot);
}

static const cJSON *parent_container(const cJSON *record, int index)
{
	return cJSON_GetArrayItem(ao_json_at(record, "snapshot", "parent", "spec", "workload", "template", "spec", "containers"), index);
}

/** The value of a variable of the runtime container. */
static const char *variable(const cJSON *record, const char *name)
{
	const cJSON *each;
	cJSON_ArrayForEach (each, ao_json_at(parent_container(record, 0), "env"))
		if (strcmp(ao_json_str(each, "name"), name) == 0)
			return ao_json_str(each, "value");
	return NULL;
}

static void nothing_that_may_be_a_secret_is_recorded(void **state)
{
	(void)state;
	ao_auto_json cJSON *record = record_of(SNAPSHOT);
	ao_auto_str char *text = ao_json_pretty(record);
	assert_non_null(ao_json_at(record, "plan"));
	const char *found = strstr(text, HUSH);
	if (found)
		fail_msg("the record tells '%.60s'", found);
}

static void what_is_harmless_stays_and_equal_values_stay_equal(void **state)
{
	(void)state;
	ao_auto_json cJSON *record = record_of(SNAPSHOT);
	const char *pass = variable(record, "DB_PASS"), *url = variable(record, "DATABASE_URL");
	assert_int_equal(strncmp(pass, "REDACTED:", 9), 0);
	assert_int_equal(strlen(pass), 9 + 12);
	assert_string_equal(pass, variable(record, "COPY"));
	assert_string_not_equal(pass, url);
	assert_string_equal(variable(record, "EMPTY"), "");
	assert_string_equal(variable(record, "ASYA_HANDLER"), "m.f");
	assert_string_equal(ao_json_str(parent_container(record, 0), "image"), "app:1");
	assert_int_equal(cJSON_GetArraySize(ao_json_at(parent_container(record, 0), "args")), 2);
	assert_string_equal(ao_json_str(record, "snapshot", "parent", "metadata", "annotations", "plain"), "b");
	assert_string_equal(
	    ao_json_str(cJSON_GetArrayItem(ao_json_at(parent_container(record, 0), "env"), 5), "valueFrom", "secretKeyRef", "key"),
	    "password");
	ao_auto_json cJSON *again = record_of(SNAPSHOT);
	assert_string_equal(variable(again, "DB_PASS"), pass);
}

/** Policies make the same of what a record shows: so it can be replayed. */
static void the_plan_of_a_record_is_that_of_what_it_shows(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_auto_bundle ao_bundle *bundle = NULL;
	ao_auto_json cJSON *record = record_of(SNAPSHOT), *plan = NULL;
	ao_sources_builtin(&sources);
	ao_sources_put(&sources, "stamp.lua", STAMP, strlen(STAMP), "test");
	assert_int_equal(ao_bundle_load(&sources, ao_json_at(record, "settings"), NULL, &bundle, NULL), 0);
	assert_int_equal(ao_bundle_plan(bundle, ao_json_at(record, "snapshot"), &plan, NULL, NULL), 0);
	ao_auto_str char *recorded = ao_json_canonical(ao_json_at(record, "plan")), *replayed = ao_json_canonical(plan);
	assert_string_equal(recorded, replayed);
}

/** What policies are shown of the value of a Secret. The caller frees it. */
static char *shown(const char *uid, const char *key, const char *value)
{
	ao_auto_str char *text = ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"uid\":\"%s\"},"
					      "\"data\":{\"%s\":\"%s\"}}",
					      uid, key, value);
	ao_auto_json cJSON *secret = cJSON_Parse(text);
	ao_redact_secret(secret);
	return ao_xstrdup(ao_json_at(secret, "data")->child->valuestring);
}

/** A checksum of a Secret in a template of pods replaces them when the value is another one, and at no other time. */
static void another_value_of_a_secret_is_shown_as_another_one(void **state)
{
	(void)state;
	ao_auto_str char *one = shown("u", "pw", "aHVzaA=="), *again = shown("u", "pw", "aHVzaA=="),
			 *rotated = shown("u", "pw", "aHVzaDI="), *elsewhere = shown("v", "pw", "aHVzaA=="),
			 *of_key = shown("u", "p", "waHVzaA==");
	ao_auto_json cJSON *written = cJSON_CreateString(one);
	assert_string_equal(one, again);
	if (strcmp(one, rotated) == 0)
		fail_msg("before and after a rotation policies are shown %s", one);
	assert_string_not_equal(one, elsewhere); /* nobody finds out that two have the same one */
	assert_string_not_equal(one, of_key);
	assert_null(strstr(one, "aHVzaA"));
	assert_true(ao_redact_is_hidden(written));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_that_may_be_a_secret_is_recorded),
	    cmocka_unit_test(what_is_harmless_stays_and_equal_values_stay_equal),
	    cmocka_unit_test(the_plan_of_a_record_is_that_of_what_it_shows),
	    cmocka_unit_test(another_value_of_a_secret_is_shown_as_another_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
