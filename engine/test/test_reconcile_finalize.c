/* test_reconcile_finalize.c -- a parent that is to go, and policies that do not let it. */
#include "base/mem.h"
#include "reconcile/pass.h"
#include "test/test_kube_store.h"

static const char MANIFEST[] =
    "return require 'policy'.manifest { parent = 'test.io/v1 Owner', component = 'c', children = { 'v1 ConfigMap' } }";
static const char POLICY[] =
    "return require 'policy'.define { name = 'p', finalize_seconds = 60, finalize = function() return 'the backup' end }";

static ao_bundle *bundle;
static const ao_object *parent;
static unsigned patched;

/* ---- what finalize_op.c calls of its neighbours; policies are stopped by the clock each time ---- */

const ao_object *ao_pass_object(const ao_pass *pass) { return (void)pass, parent; }
ao_bundle *ao_pass_bundle(const ao_pass *pass, const ao_object *object) { return (void)pass, (void)object, bundle; }
bool ao_pass_make_plan(ao_pass *pass, const ao_object *object)
{
	(void)object;
	pass->outcome.failed = pass->outcome.heals = true;
	return false;
}
void ao_pass_patch(ao_pass *pass, const ao_object *object, const char *subresource, const char *content_type, const cJSON *patch,
		   ao_kube_fn fn)
{
	(void)pass, (void)object, (void)subresource, (void)content_type, (void)fn;
	assert_string_equal(ao_json_str(patch, "metadata", "annotations", "c/finalized"), "u");
	patched++;
}
ao_op *ao_pass_push(ao_pass *pass, ao_op_result (*run)(ao_pass *pass, const cJSON *item), const cJSON *item)
{
	return (void)pass, (void)run, (void)item, NULL;
}
void ao_pass_push_objects(ao_pass *pass) { (void)pass; }
void ao_pass_event(ao_pass *pass, const ao_object *object, bool warning, const char *reason, const char *action, const char *note)
{
	(void)pass, (void)object, (void)warning, (void)reason, (void)action, (void)note;
}
void ao_pass_resume(ao_pass *pass, ao_op_result result) { (void)pass, (void)result; }
void ao_pass_parent_error(ao_pass *pass, const char *verb, const ao_kube_answer *answer) { (void)pass, (void)verb, (void)answer; }
ao_op_result ao_op_plan_deletion(ao_pass *pass, const cJSON *item) { return (void)pass, (void)item, AO_OP_END; }
ao_op_result ao_op_children(ao_pass *pass, const cJSON *item) { return (void)pass, (void)item, AO_OP_END; }

static int load(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	ao_sources_put(&sources, "manifest.lua", MANIFEST, strlen(MANIFEST), "test");
	ao_sources_put(&sources, "p.lua", POLICY, strlen(POLICY), "test");
	return ao_bundle_load(&sources, NULL, NULL, &bundle, NULL);
}

static int unload(void **state)
{
	(void)state;
	ao_bundle_free(bundle);
	return 0;
}

static void policies_that_the_clock_stops_each_time_have_their_time_and_no_more(void **state)
{
	(void)state;
	static const struct {
		const char *since;
		uint64_t stopped_ms;
		ao_op_result result;
		unsigned patched;
	} cases[] = {{"2999-01-01T00:00:00Z", 1, AO_OP_END, 0},
		     {"2020-01-01T00:00:00Z", 0, AO_OP_END, 0}, /* we may have been away for long: they are asked again */
		     {"2020-01-01T00:00:00Z", 1, AO_OP_WAIT, 1}};
	ao_manifest manifest = {.component = (char *)"c"};
	ao_reconciler reconciler = {.manifest = &manifest};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_store *store = ao_store_new(&(ao_store_options){0});
		ao_auto_str char *text = ao_xasprintf("{\"metadata\":{\"name\":\"a\",\"namespace\":\"n\",\"uid\":\"u\",\"annotations\":{},"
						      "\"deletionTimestamp\":\"%s\"}}",
						      cases[i].since);
		ao_parent known = {.key = "n/a", .stopped_ms = cases[i].stopped_ms};
		ao_pass pass = {.reconciler = &reconciler, .parent = &known};
		parent = put(store, text);
		patched = 0;
		assert_int_equal(ao_op_finalize(&pass, NULL), cases[i].result);
		assert_int_equal(patched, cases[i].patched);
		free(pass.plan.previous);
		ao_store_free(store);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(policies_that_the_clock_stops_each_time_have_their_time_and_no_more),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
