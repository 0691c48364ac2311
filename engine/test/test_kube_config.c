/* test_kube_config.c -- kubeconfigs that are right, and one line for each that is wrong. */
#include "base/mem.h"
#include "kube/config.h"
#include "kube/resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/ao-config-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	ao_auto_str char *command = ao_xasprintf("rm -r %s", folder);
	return system(command);
}

static char *write_file(const char *name, const char *text)
{
	char *path = ao_xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

#define USERS "users: [{name: u, user: {token: secret}}]\n"
#define CLUSTERS "clusters: [{name: c, cluster: {server: 'https://h:6443/'}}]\n"
#define CONTEXTS "contexts: [{name: x, context: {cluster: c, user: u, namespace: ns}}, {name: w, context: {cluster: nope, user: u}}]\n"

static void reads_a_context(void **state)
{
	(void)state;
	ao_auto_str char *ca = write_file("ca.pem", "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"),
			 *path = write_file(
			     "good", "clusters: [{name: c, cluster: {server: 'https://h:6443/', certificate-authority: ca.pem}}]\n"
				     "users: [{name: u, user: {client-certificate-data: "
				     "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClFRPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=, client-key-data: "
				     "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tClFRPT0KLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=}}]\n" CONTEXTS
				     "current-context: x\n");
	ao_auto_kubeconfig ao_kubeconfig *config = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_kubeconfig_load(path, NULL, &config, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	assert_string_equal(config->server, "https://h:6443");
	assert_string_equal(config->ca_pem, "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n");
	assert_string_equal(config->client_cert_pem, "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n");
	assert_string_equal(config->client_key_pem, "-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----\n");
	assert_string_equal(config->namespace_, "ns");
	assert_null(config->token);
}

static void merges_the_files_of_the_environment(void **state)
{
	(void)state;
	ao_auto_str char *a = write_file("a", "current-context: x\n" CONTEXTS),
			 *b = write_file("b", CLUSTERS USERS "current-context: other\n");
	ao_auto_str char *list = ao_xasprintf("%s:/nowhere:%s", a, b);
	ao_auto_kubeconfig ao_kubeconfig *config = NULL;
	setenv("KUBECONFIG", list, 1);
	assert_int_equal(ao_kubeconfig_load(NULL, NULL, &config, NULL), 0);
	unsetenv("KUBECONFIG");
	assert_string_equal(config->token, "secret");
}

static void says_what_is_wrong_in_one_line(void **state)
{
	(void)state;
	static const struct {
		const char *name, *text, *context, *why;
	} cases[] = {
	    {"empty", "", NULL, "is empty; point --kubeconfig or KUBECONFIG at a real one"},
	    {"no-yaml", "a: [", NULL, "no-yaml:"},
	    {"no-context", CLUSTERS USERS CONTEXTS, NULL, "no context is chosen; set current-context or use --context (it has: x, w)"},
	    {"unknown-context", CLUSTERS USERS CONTEXTS, "z", "unknown context 'z' (it has: x, w)"},
	    {"unknown-cluster", CLUSTERS USERS CONTEXTS, "w", "unknown cluster 'nope' (it has: c)"},
	    {"unknown-user", CLUSTERS CONTEXTS, "x", "unknown user 'u' (it has: none)"},
	    {"no-server", "clusters: [{name: c, cluster: {}}]\n" USERS CONTEXTS, "x", "cluster 'c' has no server"},
	    {"bad-base64", "clusters: [{name: c, cluster: {server: 'https://s', certificate-authority-data: '!!'}}]\n" USERS CONTEXTS, "x",
	     "certificate-authority-data of cluster 'c' is no base64"},
	    {"no-file", "clusters: [{name: c, cluster: {server: 'https://s', certificate-authority: gone.pem}}]\n" USERS CONTEXTS, "x",
	     "gone.pem: No such file"},
	    {"plugin", CLUSTERS "users: [{name: u, user: {exec: {command: aws}}}]\n" CONTEXTS, "x",
	     "user 'u' uses exec, which is not supported"},
	    {"half-pair",
	     CLUSTERS "users: [{name: u, user: {client-key-data: "
		      "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tClFRPT0KLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo=}}]\n" CONTEXTS,
	     "x", "needs client-certificate and client-key together"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *path = write_file(cases[i].name, cases[i].text);
		ao_kubeconfig *config = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_true(ao_kubeconfig_load(path, cases[i].context, &config, &err) < 0);
		assert_null(config);
		if (!strstr(ao_err_text(err), cases[i].why) || !strstr(ao_err_text(err), cases[i].name))
			fail_msg("%s: wanted '%s', got '%s'", cases[i].name, cases[i].why, ao_err_text(err));
		assert_null(strchr(ao_err_text(err), '\n'));
		assert_null(strstr(ao_err_text(err), "secret"));
	}
	ao_auto_err ao_err *err = NULL;
	ao_kubeconfig *config = NULL;
	assert_int_equal(ao_kubeconfig_load("/nowhere/config", NULL, &config, &err), -ENOENT);
	assert_string_equal(ao_err_text(err), "kubeconfig: /nowhere/config: No such file or directory");
}

static void paths_are_escaped(void **state)
{
	(void)state;
	ao_resource deployments = {.api_version = "apps/v1", .kind = "Deployment", .plural = "deployments"};
	ao_resource nodes = {.api_version = "v1", .kind = "Node", .plural = "nodes", .cluster_scoped = true};
	static const struct {
		int which;
		const char *namespace_, *name, *subresource, *path;
	} cases[] = {
	    {0, "a", "b", "status", "/apis/apps/v1/namespaces/a/deployments/b/status"},
	    {0, NULL, NULL, NULL, "/apis/apps/v1/deployments"},
	    {0, "a", "../x?y", NULL, "/apis/apps/v1/namespaces/a/deployments/..%252Fx%253Fy"},
	    {1, "a", "n", NULL, "/api/v1/nodes/n"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *path =
		    ao_resource_path(cases[i].which ? &nodes : &deployments, cases[i].namespace_, cases[i].name, cases[i].subresource);
		assert_string_equal(path, cases[i].path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_a_context),
	    cmocka_unit_test(merges_the_files_of_the_environment),
	    cmocka_unit_test(says_what_is_wrong_in_one_line),
	    cmocka_unit_test(paths_are_escaped),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
