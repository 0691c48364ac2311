/* test_kube_discovery.c -- what a real API server says of the kinds that it knows, and of others. */
#include "kube/discovery.h"

#include "test/test_kube_cluster.h"

typedef struct verdict {
	bool done, absent;
} verdict;

static void on_discovery(void *arg, bool absent, const char *message)
{
	assert_int_equal(absent, *message == '\0');
	*(verdict *)arg = (verdict){true, absent};
}

static void the_server_tells_what_it_knows(void **state)
{
	cluster *c = need_cluster(state, __func__);
	static const struct {
		ao_resource resource;
		bool absent;
	} cases[] = {
	    {{"v1", "ConfigMap", "configmaps", false}, false},
	    {{"apps/v1", "Deployment", "deployments", false}, false},
	    {{"v1", "Nope", "nopes", false}, true},
	    {{"apps/v1", "Nope", "nopes", false}, true},
	    {{"apps/v9", "Deployment", "deployments", false}, true},
	    {{"nobody.test/v1", "Nope", "nopes", false}, true},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		verdict v = {0};
		ao_discovery_start(c->kube, &cases[i].resource, on_discovery, &v);
		assert_true(ao_loop_run_until(c->loop, &v.done, 20000));
		assert_int_equal(v.absent, cases[i].absent);
	}
	for (uint64_t ms = 0; ms < 10; ms++) {
		verdict v = {0};
		ao_discovery *discovery = ao_discovery_start(c->kube, &cases[5].resource, on_discovery, &v);
		ao_loop_run_until(c->loop, &v.done, ms);
		if (!v.done)
			ao_discovery_free(discovery);
	}
	ao_discovery_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(the_server_tells_what_it_knows),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
