/* test_kube_stub.c -- what a store keeps of objects that it is not asked to keep. */
#include "test/test_kube_store.h"

#include <stdlib.h>

static void what_is_not_chosen_is_kept_as_a_stub(void **state)
{
	(void)state;
	char *label[] = {(char *)"metadata", (char *)"labels", (char *)"app", NULL}, *node[] = {(char *)"spec", (char *)"nodeName", NULL};
	const ao_trait traits[] = {{label, (char *)"x"}, {node, NULL}};
	ao_store *store = ao_store_new(&(ao_store_options){.traits = traits, .trait_count = 2});
	static const char TEXT[] =
	    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u-1\",\"resourceVersion\":\"%d\",\"labels\":{\"app\":\"%s\"}},"
	    "\"spec\":{%s},\"status\":{\"phase\":\"%s\"}}";
	static const struct {
		const char *label, *spec, *phase;
		bool stub;
	} ROWS[] = {
	    {"x", "\"nodeName\":\"m\"", "A", false}, {"y", "\"nodeName\":\"m\"", "A", true}, {"x", "", "A", true}, {"x", "", "B", true}};
	uint64_t stub = 0;
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_str char *text = ao_xasprintf(TEXT, (int)i + 1, ROWS[i].label, ROWS[i].spec, ROWS[i].phase);
		const ao_object *o = put(store, text);
		assert_int_equal(o->stub, ROWS[i].stub);
		assert_string_equal(o->uid, "u-1");
		if (o->stub) {
			assert_text(o, "{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u-1\"}}");
			assert_true(!stub || stub == o->spec_digest); /* what becomes of it is no news */
			stub = o->spec_digest;
		}
	}
	ao_store_free(store);
}

static void five_thousand_stubs_cost_little(void **state)
{
	(void)state;
	char *path[] = {(char *)"metadata", (char *)"labels", (char *)"decorated", NULL};
	const ao_trait trait = {path, NULL};
	ao_store *store = ao_store_new(&(ao_store_options){.traits = &trait, .trait_count = 1});
	ao_auto_str char *long_status = ao_xmalloc(8001);
	memset(long_status, 'x', 8000);
	long_status[8000] = '\0';
	for (int i = 0; i < 5000; i++) {
		ao_auto_str char *text = ao_xasprintf(
		    "{\"metadata\":{\"name\":\"some-deployment-7c9d8f6b5-%05d\",\"namespace\":\"some-namespace\","
		    "\"uid\":\"0b6f9a52-3c1d-4a55-9a26-%012d\",\"resourceVersion\":\"123456\"},\"status\":{\"message\":\"%s\"}}",
		    i, i, long_status);
		put(store, text);
	}
	assert_int_equal(ao_store_count(store), 5000);
	assert_true(ao_store_bytes(store) < 4 << 20);
	ao_store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_not_chosen_is_kept_as_a_stub),
	    cmocka_unit_test(five_thousand_stubs_cost_little),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
