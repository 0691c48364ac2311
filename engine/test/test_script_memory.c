/* No more memory from the n-th allocation on, for every n: loading and calling fail cleanly, and the next call works. */
#include "script/vm.h"
#include "script_case.h"

static int teardown(void **state)
{
	(void)state;
	ao_vm_fail_at = 0;
	return 0;
}

static const char body[] = "local t = {} for i = 1, 20 do t[i] = { name = 'n' .. i } end\n"
			   "local ok, e = pcall(function() return ('x'):rep(3000) .. #t end)\n"
			   "plan:queue { name = 'q', list = t, s = ok and #e or 'failed' }";

static void test_loading_survives(void **state)
{
	(void)state;
	ao_auto_sources ao_sources sources = {0};
	put_render(&sources, body);
	bool loaded = false;
	for (uint64_t n = 1; !loaded; n += n < 400 ? 1 : n / 40) {
		ao_bundle *bundle = NULL;
		ao_auto_err ao_err *err = NULL;
		ao_vm_fail_at = n;
		int r = ao_bundle_load(&sources, NULL, NULL, &bundle, &err);
		ao_vm_fail_at = 0;
		loaded = r == 0;
		assert_true(loaded || (r == -E2BIG && bundle == NULL));
		ao_bundle_free(bundle);
		cJSON *manifest = NULL;
		ao_vm_fail_at = n;
		r = ao_bundle_peek_manifest(&sources, &manifest, NULL);
		ao_vm_fail_at = 0;
		assert_true(r == -E2BIG || (r == 0 && manifest));
		cJSON_Delete(manifest);
	}
}

static void test_calls_survive(void **state)
{
	(void)state;
	ao_auto_bundle ao_bundle *bundle = load_render(body, NULL);
	ao_auto_json cJSON *good = NULL;
	assert_int_equal(plan(bundle, &good, NULL, NULL), 0);
	bool worked = false;
	for (uint64_t n = 1; !worked; n++) {
		ao_auto_json cJSON *result = NULL, *again = NULL;
		ao_auto_err ao_err *err = NULL;
#ifdef AO_SANITIZE /* the machine is loaded again before a call: let that have its memory */
		ao_bundle_free(bundle);
		bundle = load_render(body, NULL);
#endif
		ao_vm_fail_at = n;
		int r = plan(bundle, &result, NULL, &err);
		ao_vm_fail_at = 0;
		worked = r == 0;
		if (!worked && (r != -E2BIG || result))
			fail_msg("n = %llu: %d, %s", (unsigned long long)n, r, ao_err_text(err));
		if (worked)
			assert_true(ao_json_equal(good, result));
		assert_int_equal(plan(bundle, &again, NULL, NULL), 0);
		assert_true(ao_json_equal(good, again));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_loading_survives, teardown),
	    cmocka_unit_test_teardown(test_calls_survive, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
