/* test_kube_lease_record.c -- what a Lease says, and what we write into one. */
#include "base/mem.h"
#include "kube/lease_record.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const ao_lease_claim US = {"ns", "l", "us", 15000, "c"};

static cJSON *record_of(const char *spec)
{
	cJSON *object = NULL;
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"name\":\"l\",\"resourceVersion\":\"7\",\"managedFields\":[{}],\"labels\":{\"a\":\"b\"}},"
			 "\"spec\":%s}",
			 spec);
	assert_int_equal(ao_json_parse(text, strlen(text), &object, NULL), 0);
	return object;
}

static void expect_spec(cJSON *object, const char *want)
{
	ao_auto_str char *spec = ao_json_canonical(ao_json_at(object, "spec"));
	assert_string_equal(spec, want);
	cJSON_Delete(object);
}

#define AT "1970-01-01T00:00:01.500000Z"

static void records_are_written_as_others_read_them(void **state)
{
	(void)state;
	ao_lease_record r = {0};
	expect_spec(ao_lease_record_claimed(&r, &US, 1500),
		    "{\"acquireTime\":\"" AT "\",\"holderIdentity\":\"us\",\"leaseDurationSeconds\":15,"
		    "\"leaseTransitions\":0,\"renewTime\":\"" AT "\"}");
	const char *theirs =
	    "{\"holderIdentity\":\"them\",\"leaseTransitions\":4,\"acquireTime\":\"x\",\"renewTime\":\"y\",\"strategy\":\"s\"}";
	ao_lease_record_see(&r, record_of(theirs), 0);
	cJSON *next = ao_lease_record_claimed(&r, &US, 1500);
	assert_string_equal(ao_json_str(next, "metadata", "resourceVersion"), "7");
	assert_string_equal(ao_json_str(next, "metadata", "labels", "a"), "b");
	assert_string_equal(ao_json_str(next, "metadata", "labels", "app.kubernetes.io/name"), "c");
	assert_null(ao_json_at(next, "metadata", "managedFields"));
	assert_string_equal(ao_json_str(next, "kind"), "Lease");
	expect_spec(next, "{\"acquireTime\":\"" AT "\",\"holderIdentity\":\"us\",\"leaseDurationSeconds\":15,\"leaseTransitions\":5,"
			  "\"renewTime\":\"" AT "\",\"strategy\":\"s\"}");
	const char *ours = "{\"holderIdentity\":\"us\",\"leaseTransitions\":5,\"acquireTime\":\"x\",\"renewTime\":\"y\"}";
	ao_lease_record_see(&r, record_of(ours), 0);
	expect_spec(ao_lease_record_claimed(&r, &US, 1500), "{\"acquireTime\":\"x\",\"holderIdentity\":\"us\",\"leaseDurationSeconds\":15,"
							    "\"leaseTransitions\":5,\"renewTime\":\"" AT "\"}");
	expect_spec(ao_lease_record_released(&r, &US, 1500),
		    "{\"acquireTime\":\"" AT "\",\"holderIdentity\":\"\",\"leaseDurationSeconds\":1,"
		    "\"leaseTransitions\":5,\"renewTime\":\"" AT "\"}");
	ao_lease_record_see(&r, record_of("{}"), 0); /* somebody made it by hand */
	expect_spec(ao_lease_record_claimed(&r, &US, 1500),
		    "{\"acquireTime\":\"" AT "\",\"holderIdentity\":\"us\",\"leaseDurationSeconds\":15,"
		    "\"leaseTransitions\":1,\"renewTime\":\"" AT "\"}");
	ao_lease_record_clear(&r);
}

static void expiry_is_judged_by_our_clock(void **state)
{
	(void)state;
	static const struct {
		const char *spec;
		uint64_t after_ms;
		bool is_free;
	} cases[] = {
	    {"{}", 0, true},
	    {"{\"holderIdentity\":\"\",\"leaseDurationSeconds\":60}", 0, true},
	    {"{\"holderIdentity\":\"them\",\"leaseDurationSeconds\":60}", 59999, false}, /* its holder's time, not ours */
	    {"{\"holderIdentity\":\"them\",\"leaseDurationSeconds\":60}", 60000, true},
	    {"{\"holderIdentity\":\"them\",\"leaseDurationSeconds\":2}", 1999, false},
	    {"{\"holderIdentity\":\"them\",\"leaseDurationSeconds\":2}", 2000, true},
	    {"{\"holderIdentity\":\"them\"}", 14999, false},
	    {"{\"holderIdentity\":\"them\",\"leaseDurationSeconds\":-1}", 15000, true},
	    {"{\"holderIdentity\":\"them\",\"leaseDurationSeconds\":2,\"renewTime\":\"2999-01-01T00:00:00.000000Z\"}", 2000, true},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_lease_record r = {0};
		ao_lease_record_see(&r, record_of(cases[i].spec), 1000);
		ao_lease_record_forget(&r);
		ao_lease_record_see(&r, record_of(cases[i].spec), 1000 + cases[i].after_ms); /* seen again, not changed */
		assert_int_equal(ao_lease_record_is_free(&r, &US, 1000 + cases[i].after_ms), cases[i].is_free);
		ao_lease_record_clear(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(records_are_written_as_others_read_them),
	    cmocka_unit_test(expiry_is_judged_by_our_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
