/* test_kube_config.c -- kubeconfigs that are right, and one line for each that is wrong; a pod's files; tokens that are read again. */
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "kube/auth.h"
#include "kube/config.h"
#include "kube/incluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/ao-config-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	unsetenv("KUBECONFIG");
	unsetenv("KUBERNETES_SERVICE_HOST");
	ao_log_setup(AO_LOG_ERROR, false);
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

static ao_kubeconfig *load(const char *path, const char *context)
{
	ao_kubeconfig *config = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = ao_kubeconfig_load(path, context, &config, &err);
	if (r < 0)
		fail_msg("%s", ao_err_text(err));
	assert_null(err);
	return config;
}

/* "-----BEGIN X" in base64 */
#define PEM64 "LS0tLS1CRUdJTiBY"
#define PEM "-----BEGIN X"
#define USERS "users: [{name: u, user: {token: secret}}]\n"
#define CLUSTERS "clusters: [{name: c, cluster: {server: 'https://h:6443/'}}]\n"
#define CONTEXTS "contexts: [{name: x, context: {cluster: c, user: u, namespace: ns}}, {name: w, context: {cluster: nope, user: u}}]\n"

static void reads_a_context(void **state)
{
	(void)state;
	ao_auto_str char *ca = write_file("ca.pem", PEM " ca"), *token = write_file("token", " tok\n");
	ao_auto_str char *path = write_file(
	    "good",
	    "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: 'https://h:6443/p//', certificate-authority: ca.pem}}]\n"
	    "users: [{name: u, user: {client-certificate-data: " PEM64 ", client-certificate: gone, client-key-data: " PEM64 "}},\n"
	    "  {name: f, user: {tokenFile: token, username: me, password: pw}}]\n"
	    "contexts: [{name: x, context: {cluster: c, user: u, namespace: ns}}, {name: v, context: {cluster: c, user: f}},\n"
	    "  {name: nobody, context: {cluster: c}}]\n"
	    "current-context: x\n");
	ao_auto_kubeconfig ao_kubeconfig *config = load(path, NULL);
	assert_string_equal(config->server, "https://h:6443/p");
	assert_string_equal(config->ca_pem, PEM " ca");
	assert_string_equal(config->client_cert_pem, PEM);
	assert_string_equal(config->client_key_pem, PEM);
	assert_string_equal(config->namespace_, "ns");
	assert_string_equal(config->source, path);
	assert_null(config->token);
	assert_false(config->insecure);

	ao_auto_kubeconfig ao_kubeconfig *other = load(path, "v");
	assert_string_equal(other->token_file, token);
	assert_string_equal(other->username, "me");
	assert_string_equal(other->password, "pw");
	assert_string_equal(other->namespace_, "default");
	assert_null(other->client_cert_pem);

	ao_auto_kubeconfig ao_kubeconfig *nobody = load(path, "nobody");
	assert_null(nobody->username);
}

static void merges_the_files_of_the_environment(void **state)
{
	(void)state;
	ao_auto_str char *a = write_file("a", "current-context: x\n" CONTEXTS),
			 *b = write_file("b", CLUSTERS USERS "current-context: other\n");
	ao_auto_str char *c = write_file("c", "clusters: [{name: c, cluster: {server: 'https://later'}}]\nusers:\n");
	ao_auto_str char *list = ao_xasprintf("%s:/nowhere::%s:%s", a, b, c);
	setenv("KUBECONFIG", list, 1);
	ao_auto_kubeconfig ao_kubeconfig *config = load(NULL, NULL);
	ao_kubeconfig *one = NULL;
	assert_string_equal(config->token, "secret");
	assert_string_equal(config->server, "https://h:6443");

	ao_auto_str char *alone = write_file("alone", CLUSTERS "users: [{name: u, user: {token: other}}]\ncurrent-context: x\n" CONTEXTS);
	one = load(alone, NULL); /* --kubeconfig comes first */
	assert_string_equal(one->token, "other");
	ao_kubeconfig_free(one);

	setenv("KUBECONFIG", "/nowhere:/neither", 1);
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_kubeconfig_load(NULL, NULL, &one, &err), -ENOENT);
	assert_string_equal(ao_err_text(err), "kubeconfig: no file of KUBECONFIG=/nowhere:/neither exists; correct or unset it");
	unsetenv("KUBECONFIG");
}

static void falls_back_to_the_home_folder(void **state)
{
	(void)state;
	ao_auto_str char *home = ao_xstrdup(getenv("HOME")), *kube = ao_xasprintf("%s/.kube", folder);
	ao_kubeconfig *config = NULL;
	ao_auto_err ao_err *err = NULL;
	setenv("HOME", folder, 1);
	assert_int_equal(ao_kubeconfig_load(NULL, NULL, &config, &err), -ENOENT);
	assert_non_null(
	    strstr(ao_err_text(err), "/.kube/config does not exist, KUBECONFIG is not set and this is not a pod; use --kubeconfig"));
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	if (access(AO_INCLUSTER_FILES "/token", F_OK) < 0) {
		assert_int_equal(ao_kubeconfig_load(NULL, NULL, &config, &err), -ENOENT);
		assert_non_null(strstr(ao_err_text(err), "set automountServiceAccountToken: true"));
	}
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(mkdir(kube, 0700), 0);
	ao_auto_str char *path = write_file(".kube/config", CLUSTERS USERS CONTEXTS "current-context: x\n");
	config = load(NULL, NULL);
	assert_string_equal(config->source, path);
	ao_kubeconfig_free(config);
	if (home)
		setenv("HOME", home, 1);
}

/* ---- what is wrong ---- */

static void expect_error(const char *name, const char *text, const char *context, const char *why)
{
	ao_auto_str char *path = write_file(name, text);
	ao_kubeconfig *config = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_true(ao_kubeconfig_load(path, context, &config, &err) < 0);
	assert_null(config);
	if (!strstr(ao_err_text(err), why) || !strstr(ao_err_text(err), path))
		fail_msg("%s: wanted '%s', got '%s'", name, why, ao_err_text(err));
	assert_null(strchr(ao_err_text(err), '\n'));
	assert_null(strstr(ao_err_text(err), "secret"));
	assert_true(ao_kubeconfig_load(path, context, &config, NULL) < 0);
}

static void names_what_is_missing(void **state)
{
	(void)state;
	static const struct {
		const char *name, *text, *context, *why;
	} cases[] = {
	    {"empty", "", NULL, "the file is empty; point --kubeconfig or KUBECONFIG at a real one"},
	    {"comments", "# nothing\n---\n", NULL, "the file is empty"},
	    {"list", "[1, 2]", NULL, "that is not a kubeconfig"},
	    {"pod", "{apiVersion: v1, kind: Pod}", NULL, "that is not a kubeconfig"},
	    {"no-yaml", "a: [", NULL, "no-yaml:"},
	    {"map", "clusters: {c: {}}", NULL, "'clusters' must be a list of entries with a name"},
	    {"nameless", "users: [{user: {}}]", NULL, "an entry of 'users' has no name"},
	    {"twice", "users: [{name: a, user: {}}, {name: a, user: {}}]", NULL,
	     "'users' has two entries called 'a'; remove or rename one"},
	    {"no-contexts", CLUSTERS USERS, NULL, "there are no contexts; point --kubeconfig or KUBECONFIG at a complete file"},
	    {"no-context", CLUSTERS USERS CONTEXTS, NULL, "no context is chosen; set current-context or use --context (it has: x, w)"},
	    {"unknown-context", CLUSTERS USERS CONTEXTS, "z", "unknown context 'z' (it has: x, w)"},
	    {"unknown-cluster", CLUSTERS USERS CONTEXTS, "w", "context 'w' names the unknown cluster 'nope' (it has: c)"},
	    {"unknown-user", CLUSTERS CONTEXTS, "x", "context 'x' names the unknown user 'u' (it has: none)"},
	    {"no-cluster", "contexts: [{name: x, context: {}}]", "x", "context 'x' names no cluster"},
	    {"no-server", "clusters: [{name: c, cluster: {}}]\n" USERS CONTEXTS, "x",
	     "cluster 'c' has no server; set it to https://HOST:PORT"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++)
		expect_error(cases[i].name, cases[i].text, cases[i].context, cases[i].why);
	ao_auto_err ao_err *err = NULL;
	ao_kubeconfig *config = NULL;
	assert_int_equal(ao_kubeconfig_load("/nowhere/config", NULL, &config, &err), -ENOENT);
	assert_string_equal(ao_err_text(err), "kubeconfig: /nowhere/config: No such file or directory");
	assert_true(ao_kubeconfig_load(folder, NULL, &config, &err) < 0);
	assert_non_null(strstr(ao_err_text(err), "Is a directory"));
}

static void says_what_is_wrong_with_a_cluster(void **state)
{
	(void)state;
	static const struct {
		const char *name, *cluster, *why;
	} cases[] = {
	    {"no-scheme", "server: 'h:6443'", "server of cluster 'c' must begin with https://"},
	    {"password", "server: 'https://a:secret@h'", "server of cluster 'c' must hold no user name"},
	    {"no-host", "server: 'https:///x'", "server of cluster 'c' is not an address"},
	    {"query", "server: 'https://h?a'", "server of cluster 'c' is not an address"},
	    {"number", "server: 5", "server of cluster 'c' must be text; put it in quotes"},
	    {"bad-base64", "server: 'https://h', certificate-authority-data: '!!'",
	     "certificate-authority-data of cluster 'c' is not base64"},
	    {"no-pem",
	     "server: 'https://h', certificate-authority-data: Q0VSVA==", "certificate-authority-data of cluster 'c' holds no PEM"},
	    {"nul", "server: 'https://h', certificate-authority-data: 'LS0tLS1CRUdJTiAA'",
	     "certificate-authority-data of cluster 'c' holds no PEM"},
	    {"no-file", "server: 'https://h', certificate-authority: gone.pem", "certificate-authority of cluster 'c': "},
	    {"no-file", "server: 'https://h', certificate-authority: gone.pem", "/gone.pem: No such file"},
	    {"sni", "server: 'https://h', tls-server-name: 5", "tls-server-name of cluster 'c' must be text"},
	    {"proxy", "server: 'https://h', proxy-url: other", "proxy-url of cluster 'c' must begin with http://, https:// or socks5://"},
	    {"insecure", "server: 'https://h', insecure-skip-tls-verify: 'yes'",
	     "insecure-skip-tls-verify of cluster 'c' must be true or false"},
	    {"both", "server: 'https://h', insecure-skip-tls-verify: true, certificate-authority-data: " PEM64,
	     "cluster 'c' has both insecure-skip-tls-verify and a certificate-authority; remove one of them"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *text = ao_xasprintf("clusters: [{name: c, cluster: {%s}}]\n" USERS CONTEXTS, cases[i].cluster);
		expect_error(cases[i].name, text, "x", cases[i].why);
	}
	ao_auto_str char *fine =
	    write_file("fine", "clusters: [{name: c, cluster: {server: 'http://h', insecure-skip-tls-verify: true}}]\n" USERS CONTEXTS);
	ao_auto_kubeconfig ao_kubeconfig *config = load(fine, "x");
	assert_true(config->insecure);
}

static void says_what_is_wrong_with_a_user(void **state)
{
	(void)state;
	static const struct {
		const char *name, *user, *why;
	} cases[] = {
	    {"exec-version", "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1alpha1}",
	     "exec.apiVersion of user 'u' must be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1; write the"},
	    {"exec-command", "exec: {apiVersion: client.authentication.k8s.io/v1}", "exec.command of user 'u' must be text"},
	    {"exec-mode", "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}",
	     "exec.interactiveMode of user 'u' must be Never, IfAvailable or Always"},
	    {"exec-mode-2", "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1, interactiveMode: Maybe}",
	     "exec.interactiveMode of user 'u' must be"},
	    {"exec-args", "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1, args: [1]}",
	     "exec.args of user 'u' must hold"},
	    {"exec-env", "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1beta1, env: [{name: 'A=B', value: c}]}",
	     "exec.env of user 'u' must hold entries with"},
	    {"provider", "auth-provider: {name: gcp}", "user 'u' uses auth-provider, which is not supported"},
	    {"as", "token: secret, as: \"some\\nbody\"", "as of user 'u' must hold only texts of one line"},
	    {"as-number", "token: secret, as: 5", "as of user 'u' must hold only texts of one line"},
	    {"groups", "as-groups: [a]", "as-uid, as-groups or as-user-extra of user 'u' needs as"},
	    {"groups-text", "as: a, as-groups: b", "as-groups of user 'u' must be a list"},
	    {"extra", "as: a, as-user-extra: {b: c}", "as-user-extra of user 'u' must be a mapping of lists"},
	    {"half-pair", "client-key-data: " PEM64, "user 'u' needs client-certificate and client-key together"},
	    {"number", "token: 12345", "token of user 'u' must be text; put it in quotes"},
	    {"lines", "token: \"secret\\r\\nX-Evil: 1\"", "token of user 'u' is empty or holds a space or a line break"},
	    {"no-token-file", "tokenFile: gone", "tokenFile of user 'u': "},
	    {"empty-token-file", "tokenFile: blank", "tokenFile of user 'u' holds no token: "},
	};
	ao_auto_str char *blank = write_file("blank", "\n");
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *text = ao_xasprintf(CLUSTERS "users: [{name: u, user: {%s}}]\n" CONTEXTS, cases[i].user);
		expect_error(cases[i].name, text, "x", cases[i].why);
	}
}

static void refuses_files_beyond_a_mebibyte(void **state)
{
	(void)state;
	ao_auto_str char *path = write_file("huge", ""), *command = ao_xasprintf("head -c 1100000 /dev/zero | tr '\\0' '#' >%s", path);
	assert_int_equal(system(command), 0);
	ao_kubeconfig *config = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_kubeconfig_load(path, NULL, &config, &err), -E2BIG);
	assert_non_null(strstr(ao_err_text(err), "larger than 1048576 bytes"));
}

/* ---- a pod ---- */

static void reads_the_files_of_a_pod(void **state)
{
	(void)state;
	static const struct {
		const char *host, *port, *server;
	} cases[] = {
	    {"10.0.0.1", "443", "https://10.0.0.1:443"},
	    {"fd00::1", "6443", "https://[fd00::1]:6443"},
	    {"10.0.0.1", NULL, "https://10.0.0.1:443"},
	};
	ao_auto_str char *ca = write_file("ca.crt", PEM), *token = write_file("token", "t"), *space = write_file("namespace", "asya\n");
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_kubeconfig ao_kubeconfig *config = ao_xcalloc(1, sizeof(*config));
		setenv("KUBERNETES_SERVICE_HOST", cases[i].host, 1);
		cases[i].port ? setenv("KUBERNETES_SERVICE_PORT", cases[i].port, 1) : unsetenv("KUBERNETES_SERVICE_PORT");
		assert_true(ao_incluster_here(folder));
		assert_int_equal(ao_incluster_load(folder, config, NULL), 0);
		assert_string_equal(config->server, cases[i].server);
		assert_string_equal(config->ca_pem, PEM);
		assert_string_equal(config->token_file, token);
		assert_string_equal(config->namespace_, "asya");
		assert_string_equal(config->source, "in-cluster");
	}
	unlink(space);
	ao_auto_kubeconfig ao_kubeconfig *config = ao_xcalloc(1, sizeof(*config)), *broken = ao_xcalloc(1, sizeof(*broken));
	assert_int_equal(ao_incluster_load(folder, config, NULL), 0);
	assert_string_equal(config->namespace_, "default");
	ao_auto_err ao_err *err = NULL;
	free(write_file("ca.crt", "\n"));
	assert_int_equal(ao_incluster_load(folder, broken, &err), -EINVAL);
	assert_non_null(strstr(ao_err_text(err), "/ca.crt holds no PEM certificate"));
	unlink(ca);
	assert_int_equal(ao_incluster_load(folder, broken, &err), -ENOENT);
	unlink(token);
	assert_false(ao_incluster_here(folder));
	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_false(ao_incluster_here(folder));
}

/* ---- tokens ---- */

static void expect_header(ao_auth *auth, const char *want)
{
	ao_auto_secret char *header = ao_auth_header(auth);
	if (want)
		assert_string_equal(header, want);
	else
		assert_null(header);
}

static void reads_the_token_again_when_it_is_refused(void **state)
{
	(void)state;
	ao_auto_str char *path = write_file("token", " one\n");
	ao_kubeconfig config = {.token_file = path, .token = (char *)"fixed"};
	ao_auth *auth = ao_auth_new(NULL, &config);
	expect_header(auth, "Authorization: Bearer one");
	free(write_file("token", "two"));
	expect_header(auth, "Authorization: Bearer one"); /* its minute is not over */
	assert_true(ao_auth_refused(auth, 0));            /* what was sent before the file was read says nothing of what is in it */
	expect_header(auth, "Authorization: Bearer one");
	assert_true(ao_auth_refused(auth, UINT64_MAX));
	expect_header(auth, "Authorization: Bearer two");

	static const char *const bad[] = {"", " \n", "a\nb", "a b", "\x7f"};
	for (size_t i = 0; i < AO_LEN(bad); i++) {
		free(write_file("token", bad[i]));
		ao_auth_refused(auth, UINT64_MAX);
		expect_header(auth, "Authorization: Bearer two");
	}
	unlink(path);
	ao_auth_refused(auth, UINT64_MAX);
	expect_header(auth, "Authorization: Bearer two");
	free(write_file("token", "three"));
	ao_auth_refused(auth, UINT64_MAX);
	expect_header(auth, "Authorization: Bearer three");
	ao_auth_free(auth);

	unlink(path);
	auth = ao_auth_new(NULL, &config);
	expect_header(auth, "Authorization: Bearer fixed");
	ao_auth_free(auth);
}

static void sends_a_name_only_without_a_token(void **state)
{
	(void)state;
	ao_kubeconfig config = {.username = (char *)"n", .password = (char *)"p:w"};
	ao_auth *auth = ao_auth_new(NULL, &config);
	ao_auto_secret char *pair = ao_auth_userpwd(auth);
	assert_string_equal(pair, "n:p:w");
	expect_header(auth, NULL);
	assert_false(ao_auth_refused(auth, UINT64_MAX));
	config.token = (char *)"t";
	assert_null(ao_auth_userpwd(auth));
	expect_header(auth, "Authorization: Bearer t");
	ao_auth_free(auth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_a_context),
	    cmocka_unit_test(merges_the_files_of_the_environment),
	    cmocka_unit_test(falls_back_to_the_home_folder),
	    cmocka_unit_test(names_what_is_missing),
	    cmocka_unit_test(says_what_is_wrong_with_a_cluster),
	    cmocka_unit_test(says_what_is_wrong_with_a_user),
	    cmocka_unit_test(refuses_files_beyond_a_mebibyte),
	    cmocka_unit_test(reads_the_files_of_a_pod),
	    cmocka_unit_test(reads_the_token_again_when_it_is_refused),
	    cmocka_unit_test(sends_a_name_only_without_a_token),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
