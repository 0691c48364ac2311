/* test_kube_resource.c -- paths, and names that must not lead astray, shown to a real API server. */
#include "kube/resource.h"

#include "test/test_kube_cluster.h"

static void paths_are_escaped(void **state)
{
	(void)state;
	static const ao_resource deployments = {"apps/v1", "Deployment", "deployments", false}, nodes = {"v1", "Node", "nodes", true};
	static const struct {
		const ao_resource *resource;
		const char *namespace_, *name, *subresource, *path;
	} cases[] = {
	    {&deployments, "a", "b", "status", "/apis/apps/v1/namespaces/a/deployments/b/status"},
	    {&deployments, NULL, NULL, NULL, "/apis/apps/v1/deployments"},
	    {&deployments, "a", NULL, NULL, "/apis/apps/v1/namespaces/a/deployments"},
	    {&deployments, "a", "x?y z\xc3\xa9", NULL, "/apis/apps/v1/namespaces/a/deployments/x%3Fy%20z%C3%A9"},
	    {&deployments, "a", "b.c-d_e~f:g", NULL, "/apis/apps/v1/namespaces/a/deployments/b.c-d_e~f%3Ag"},
	    {&deployments, "a", "../x", NULL, "/apis/apps/v1/namespaces/a/deployments/..%252Fx"},
	    {&deployments, "a", ".", NULL, "/apis/apps/v1/namespaces/a/deployments/%252E"},
	    {&deployments, "a", "..", NULL, "/apis/apps/v1/namespaces/a/deployments/%252E%252E"},
	    {&deployments, "a", "", NULL, "/apis/apps/v1/namespaces/a/deployments/%25"},
	    {&deployments, "a", "50%", NULL, "/apis/apps/v1/namespaces/a/deployments/50%2525"},
	    {&deployments, "", "b", NULL, "/apis/apps/v1/namespaces/%25/deployments/b"},
	    {&nodes, "a", "n", NULL, "/api/v1/nodes/n"},
	    {&nodes, NULL, "n", "status", "/api/v1/nodes/n/status"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *path = ao_resource_path(cases[i].resource, cases[i].namespace_, cases[i].name, cases[i].subresource);
		assert_string_equal(path, cases[i].path);
	}
	char *huge = ao_xmalloc(20001);
	memset(huge, 'a', 20000);
	huge[20000] = '\0';
	ao_auto_str char *path = ao_resource_path(&deployments, "a", huge, NULL), *named = ao_resource_named_path(&deployments, "a", huge);
	assert_string_equal(path, "/too-long");
	assert_string_equal(named, "/too-long");
	free(huge);
	ao_auto_str char *listed = ao_resource_named_path(&deployments, "a", "system:b");
	assert_string_equal(listed, "/apis/apps/v1/namespaces/a/deployments?fieldSelector=metadata.name%3Dsystem%3Ab");
}

static void resources_are_compared_and_cleared(void **state)
{
	(void)state;
	ao_resource r = {ao_xstrdup("apps/v1"), ao_xstrdup("Deployment"), ao_xstrdup("deployments"), false};
	assert_true(ao_resource_is(&r, "apps/v1", "Deployment"));
	assert_false(ao_resource_is(&r, "apps/v2", "Deployment"));
	assert_false(ao_resource_is(&r, "apps/v1", "ReplicaSet"));
	ao_resource_clear(&r);
	assert_null(r.kind);
	ao_resource_clear(&r);
}

/** Names that would be the collection, or another object, if a path were put together without care. */
static void strange_names_find_and_delete_nothing(void **state)
{
	cluster *c = need_cluster(state, __func__);
	static const char *const names[] = {"",       ".",      "..",   "../configmaps/kept", "kept/..", "kept/", "/", "kept%",
					    "./kept", "kept?x", "kept#"};
	ao_auto_str char *all = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL),
			 *kept = ao_resource_path(&CONFIG_MAPS, c->space, "kept", NULL);
	assert_int_equal(ask(c, "POST", all, NULL, "{\"metadata\":{\"name\":\"kept\"}}", NULL), 0);
	for (size_t i = 0; i < AO_LEN(names); i++) {
		ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, names[i], NULL);
		static const char *const methods[] = {"GET", "DELETE"};
		for (size_t m = 0; m < AO_LEN(methods); m++) {
			int r = ask(c, methods[m], path, NULL, NULL, NULL);
			if (r != -ENOENT && r != -EINVAL)
				fail_msg("%s %s: %d", methods[m], path, r);
		}
	}
	assert_int_equal(ask(c, "GET", kept, NULL, NULL, NULL), 0);
	assert_int_equal(ask(c, "DELETE", kept, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_are_escaped),
	    cmocka_unit_test(resources_are_compared_and_cleared),
	    cmocka_unit_test_setup_teardown(strange_names_find_and_delete_nothing, open_cluster, close_cluster),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
