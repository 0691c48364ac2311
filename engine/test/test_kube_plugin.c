/* test_kube_plugin.c -- who we are to a real API server: through a plugin, as somebody else, by another name and through a proxy. */
#include "base/clock.h"
#include "base/file.h"
#include "test/test_kube_account.h"
#include "test/test_net_peer.h"

#include <sys/stat.h>

#define V1 "client.authentication.k8s.io/v1"
#define V1BETA1 "client.authentication.k8s.io/v1beta1"

static char folder[] = "/tmp/ao-plugin-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	ao_auto_str char *command = ao_xasprintf("rm -r %s", folder);
	return end_cluster(state) || system(command);
}

static void put_file(const char *name, const char *text)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

/** What the plugin is: a script of sh. It counts its runs in `runs`, and keeps what it was told in `told`. */
static void put_plugin(const char *body)
{
	ao_auto_str char *text =
	    ao_xasprintf("#!/bin/sh\ncd '%s'\necho run >>runs\nprintf '%%s' \"$KUBERNETES_EXEC_INFO\" >told\n%s\n", folder, body);
	ao_auto_str char *runs = ao_xasprintf("%s/runs", folder);
	unlink(runs);
	put_file("plugin", text);
}

/** What it prints: an ExecCredential with this status. */
static char *says(const char *version, const char *status)
{
	return ao_xasprintf("cat <<'END'\n{\"apiVersion\": \"%s\", \"kind\": \"ExecCredential\", \"status\": %s}\nEND", version, status);
}

static int runs(void)
{
	ao_auto_str char *path = ao_xasprintf("%s/runs", folder);
	FILE *file = fopen(path, "r");
	int count = 0, c;
	while (file && (c = fgetc(file)) != EOF)
		count += c == '\n';
	if (file)
		fclose(file);
	return count;
}

/** A client whose kubeconfig has these fields in its cluster and its user. */
static cluster client(const cluster *c, const char *in_cluster, const char *in_user)
{
	cluster other = *c;
	ao_auto_err ao_err *err = NULL;
	ao_auto_str char *ca = ao_xasprintf("%s/ca.pem", folder), *path = ao_xasprintf("%s/config", folder);
	put_file("ca.pem", c->config->ca_pem);
	ao_auto_str char *text = ao_xasprintf("clusters: [{name: c, cluster: {server: '%s', certificate-authority: '%s'%s}}]\n"
					      "users: [{name: u, user: {%s}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
					      "current-context: x\n",
					      c->config->server, ca, in_cluster, in_user);
	put_file("config", text);
	if (ao_kubeconfig_load(path, NULL, &other.config, &err) < 0 ||
	    ao_kube_new(c->loop, other.config, "asya-test", &other.kube, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	return other;
}

static cluster with_plugin(const cluster *c, const char *version, const char *more)
{
	ao_auto_str char *user = ao_xasprintf("exec: {command: ./plugin, apiVersion: %s, interactiveMode: Never%s}", version, more);
	return client(c, "", user);
}

/** The name of who the server takes us for, with what it knows of him. The caller frees it. */
static char *who_am_i(cluster *c, cJSON **ret)
{
	ao_auto_json cJSON *answer = NULL;
	const char *path = "/apis/authentication.k8s.io/v1/selfsubjectreviews",
		   *body = "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}";
	int r = ask(c, "POST", path, NULL, body, &answer);
	if (r < 0)
		return ao_xasprintf("error %d", r);
	if (ret)
		*ret = cJSON_Duplicate(ao_json_at(answer, "status", "userInfo"), 1);
	return ao_xstrdup(ao_json_str(answer, "status", "userInfo", "username"));
}

static void expect_name(cluster *c, const char *name)
{
	ao_auto_str char *found = who_am_i(c, NULL);
	assert_string_equal(found, name);
}

/** The error of a request. The caller frees it. */
typedef struct verdict {
	bool done;
	int error;
	char *message;
} verdict;

static void on_verdict(void *arg, const ao_kube_answer *answer)
{
	verdict *v = arg;
	*v = (verdict){true, answer->error, ao_xstrdup(answer->message)};
}

static void expect_error(cluster *c, const char *text)
{
	verdict v = {0};
	uint64_t started = ao_mono_ms();
	ao_kube_send(c->kube, &(ao_kube_request){.method = "GET", .path = "/version", .fn = on_verdict, .arg = &v});
	assert_false(v.done);
	assert_true(ao_loop_run_until(c->loop, &v.done, 20000));
	assert_int_equal(v.error, -EIO);
	if (!strstr(v.message, text))
		fail_msg("'%s' does not hold '%s'", v.message, text);
	free(v.message);
	assert_true(ao_mono_ms() - started < 15000);
}

static void a_plugin_says_who_we_are(void **state)
{
	cluster *c = need_cluster(state, __func__);
	static const char *const VERSIONS[] = {V1, V1BETA1};
	make_account(c, "plugged");
	ao_auto_str char *token = make_token(c, "plugged"), *status = ao_xasprintf("{\"token\": \"%s\"}", token);
	ao_auto_str char *name = ao_xasprintf("system:serviceaccount:%s:plugged", c->space);
	for (size_t i = 0; i < AO_LEN(VERSIONS); i++) {
		ao_auto_str char *script = says(VERSIONS[i], status);
		put_plugin(script);
		cluster other = with_plugin(c, VERSIONS[i], "");
		cluster sibling = other;
		sibling.kube = ao_kube_sibling(other.kube);
		reply many[5] = {0};
		for (size_t k = 0; k < AO_LEN(many); k++)
			ao_kube_send(other.kube, &(ao_kube_request){.method = "GET", .path = "/version", .fn = on_reply, .arg = &many[k]});
		for (size_t k = 0; k < AO_LEN(many); k++) {
			assert_true(ao_loop_run_until(c->loop, &many[k].done, 10000));
			assert_int_equal(many[k].error, 0);
			free(many[k].body);
		}
		expect_name(&other, name);
		expect_name(&sibling, name);
		assert_int_equal(runs(), 1);
		ao_kube_free(sibling.kube);
		disconnect(&other);
	}
}

static void a_plugin_may_give_a_certificate(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *status = cJSON_CreateObject();
	ao_json_set_str(status, "clientCertificateData", c->config->client_cert_pem);
	ao_json_set_str(status, "clientKeyData", c->config->client_key_pem);
	ao_auto_str char *text = ao_json_print(status), *script = says(V1, text), *admin = who_am_i(c, NULL);
	put_plugin(script);
	cluster other = with_plugin(c, V1, "");
	expect_name(&other, admin);
	disconnect(&other);
}

/** An answer that expires is asked for again, and so is one that the server refuses. */
static void a_credential_is_kept_as_long_as_it_is_good(void **state)
{
	cluster *c = need_cluster(state, __func__);
	make_account(c, "first");
	make_account(c, "second");
	char later[AO_TIME_TEXT];
	ao_time_second_text(ao_wall_ms() + 3000, later);
	ao_auto_str char *first = make_token(c, "first"), *second = make_token(c, "second");
	ao_auto_str char *one = ao_xasprintf("{\"token\": \"%s\", \"expirationTimestamp\": \"%s\"}", first, later);
	ao_auto_str char *two = ao_xasprintf("{\"token\": \"wrong\"}"), *three = ao_xasprintf("{\"token\": \"%s\"}", second);
	char *say[] = {says(V1, one), says(V1, two), says(V1, three)};
	ao_auto_str char *name = ao_xasprintf("system:serviceaccount:%s:first", c->space);
	ao_auto_str char *then = ao_xasprintf("system:serviceaccount:%s:second", c->space);
	put_plugin(say[0]);
	cluster other = with_plugin(c, V1, "");
	expect_name(&other, name);
	expect_name(&other, name);
	assert_int_equal(runs(), 1);
	ao_auto_str char *both = ao_xasprintf("if [ $(wc -l <runs) = 1 ]; then\n%s\nelse\n%s\nfi", say[1], say[2]);
	pass_time(c->loop, 3500);
	put_plugin(both);
	expect_name(&other, then); /* the first answer of the script is refused by the server */
	expect_name(&other, then);
	assert_int_equal(runs(), 2);
	disconnect(&other);
	for (size_t i = 0; i < AO_LEN(say); i++)
		free(say[i]);
}

static void a_plugin_is_told_what_it_asks_for(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *told = NULL;
	put_plugin("[ \"$1 $2 $COLOUR $HOME\" = \"get token red $HOME\" ] && echo '{\"apiVersion\": \"" V1
		   "\", \"kind\": \"ExecCredential\", "
		   "\"status\": {\"token\": \"x\"}}'");
	setenv("COLOUR", "blue", 1);
	ao_auto_str char *user =
	    ao_xasprintf("exec: {command: ./plugin, apiVersion: %s, interactiveMode: Never, args: [get, token], provideClusterInfo: true, "
			 "env: [{name: COLOUR, value: red}]}",
			 V1);
	cluster other = client(c, ", extensions: [{name: client.authentication.k8s.io/exec, extension: {audience: a}}]", user);
	ao_auto_str char *name = who_am_i(&other, NULL);
	assert_string_equal(name, "error -1"); /* the server does not take "x", but the plugin gave it */
	disconnect(&other);
	ao_auto_str char *path = ao_xasprintf("%s/told", folder);
	ao_auto_buf ao_buf text = ao_buf_init(1 << 20);
	assert_int_equal(ao_file_read(path, &text, NULL), 0);
	assert_int_equal(ao_json_parse(text.data, text.len, &told, NULL), 0);
	assert_string_equal(ao_json_str(told, "apiVersion"), V1);
	assert_true(cJSON_IsFalse(ao_json_at(told, "spec", "interactive")));
	assert_string_equal(ao_json_str(told, "spec", "cluster", "server"), c->config->server);
	assert_string_equal(ao_json_str(told, "spec", "cluster", "config", "audience"), "a");
	assert_int_equal(strncmp(ao_json_str(told, "spec", "cluster", "certificate-authority-data"), "LS0tLS1CRUdJTi", 14), 0);
}

static void a_plugin_that_fails_is_named(void **state)
{
	cluster *c = need_cluster(state, __func__);
	static const struct {
		const char *script, *why;
	} ROWS[] = {
	    {"echo 'first' >&2; echo 'not logged in' >&2; exit 3",
	     "credential plugin ./plugin of user 'u': it ended with exit code 3: not logged in"},
	    {"kill -9 $$", "it was ended by signal 9"},
	    {"echo secret-thing", "what it printed is not valid JSON"},
	    {"echo '{}'", "it did not print an ExecCredential"},
	    {"echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1BETA1 "\"}'", "it speaks " V1BETA1 ", the kubeconfig says " V1},
	    {"echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1 "\", \"status\": {}}'",
	     "holds neither token nor clientCertificateData"},
	    {"echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1 "\", \"status\": {\"clientCertificateData\": \"x\"}}'",
	     "needs clientCertificateData and clientKeyData together"},
	    {"echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1 "\", \"status\": {\"token\": \"a b\"}}'",
	     "its token is empty or holds"},
	    {"echo '{\"kind\": \"ExecCredential\", \"apiVersion\": \"" V1
	     "\", \"status\": {\"token\": \"a\", \"expirationTimestamp\": \"2020-01-01T00:00:00Z\"}}'",
	     "what it gave had expired at 2020-01-01T00:00:00Z"},
	    {"head -c 2000000 /dev/zero; sleep 60", "it printed more than 1 MiB"},
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		put_plugin(ROWS[i].script);
		cluster other = with_plugin(c, V1, "");
		expect_error(&other, ROWS[i].why);
		expect_error(&other, ROWS[i].why); /* it rests */
		assert_int_equal(runs(), 1);
		disconnect(&other);
	}
	cluster other =
	    client(c, "", "exec: {command: no-such-plugin, apiVersion: " V1 ", interactiveMode: Never, installHint: get it at h}");
	expect_error(&other, "no-such-plugin of user 'u': it cannot be started: no such file or directory; get it at h");
	disconnect(&other);
	other = client(c, "", "exec: {command: ./plugin, apiVersion: " V1 ", interactiveMode: Always}");
	expect_error(&other, "its interactiveMode is Always, and there is no terminal");
	disconnect(&other);
}

/** It recovers without anybody's doing, the loop turns meanwhile, and a client can go at any time. */
static void a_slow_plugin_stops_nothing(void **state)
{
	cluster *c = need_cluster(state, __func__);
	reply waiting = {0};
	put_plugin("echo $$ >pid; sleep 600 & sleep 600");
	cluster other = with_plugin(c, V1, "");
	ao_kube_send(other.kube, &(ao_kube_request){.method = "GET", .path = "/version", .fn = on_reply, .arg = &waiting});
	ao_kube_call *call =
	    ao_kube_send(other.kube, &(ao_kube_request){.method = "GET", .path = "/version", .fn = on_reply, .arg = &waiting});
	ao_auto_str char *admin = who_am_i(c, NULL);
	assert_non_null(strstr(admin, "admin"));
	ao_kube_cancel(call);
	assert_false(waiting.done);
	uint64_t started = ao_mono_ms();
	disconnect(&other);
	assert_true(ao_mono_ms() - started < 10000); /* it would sleep for ten minutes */
	ao_auto_str char *left =
	    ao_xasprintf("for i in 1 2 3 4 5 6 7 8 9; do kill -0 -- -$(cat %s/pid) 2>/dev/null || exit 0; sleep 0.2; done; exit 1", folder);
	assert_int_equal(system(left), 0);

	make_account(c, "plugged");
	ao_auto_str char *token = make_token(c, "plugged"), *status = ao_xasprintf("{\"token\": \"%s\"}", token), *good = says(V1, status);
	ao_auto_str char *script = ao_xasprintf("[ $(wc -l <runs) -gt 1 ] || exit 1\n%s", good);
	ao_auto_str char *name = ao_xasprintf("system:serviceaccount:%s:plugged", c->space);
	put_plugin(script);
	other = with_plugin(c, V1, "");
	expect_error(&other, "it ended with exit code 1");
	pass_time(c->loop, 1100);
	expect_name(&other, name);
	disconnect(&other);
}

/** The certificate and key of the test's admin, as fields of a user. The caller frees it. */
static char *admin_files(const cluster *c)
{
	put_file("cert.pem", c->config->client_cert_pem);
	put_file("key.pem", c->config->client_key_pem);
	return ao_xasprintf("client-certificate: '%s/cert.pem', client-key: '%s/key.pem'", folder, folder);
}

static void acts_as_somebody_else(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *who = NULL;
	ao_auto_str char *files = admin_files(c);
	ao_auto_str char *user =
	    ao_xasprintf("%s, as: jane, as-uid: '77', as-groups: [one, two], as-user-extra: {example.com/why: [a, b]}", files);
	cluster other = client(c, "", user);
	ao_auto_str char *name = who_am_i(&other, &who), *text = ao_json_print(who);
	assert_string_equal(name, "jane");
	assert_string_equal(ao_json_str(who, "uid"), "77");
	assert_non_null(strstr(text, "\"one\",\"two\""));
	assert_non_null(strstr(text, "\"example.com/why\":[\"a\",\"b\"]"));
	disconnect(&other);
}

static void knows_the_server_by_another_name(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_str char *files = admin_files(c), *admin = who_am_i(c, NULL);
	cluster other = client(c, ", tls-server-name: kubernetes.default", files);
	expect_name(&other, admin);
	disconnect(&other);
	other = client(c, ", tls-server-name: somebody.example", files);
	expect_error(&other, "somebody.example");
	disconnect(&other);
}

static char asked[128];

static void note_connect(peer_conn *conn, const char *request)
{
	snprintf(asked, sizeof(asked), "%.*s", (int)strcspn(request, "\r\n"), request);
	peer_send(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
}

static void goes_through_its_proxy(void **state)
{
	cluster *c = need_cluster(state, __func__);
	static peer p;
	peer_start(&p, c->loop, note_connect, NULL);
	ao_auto_str char *proxy = ao_xasprintf(", proxy-url: 'http://127.0.0.1:%d'", p.port);
	ao_auto_str char *wanted = ao_xasprintf("CONNECT %s HTTP/1.1", strstr(c->config->server, "://") + 3);
	setenv("NO_PROXY", "127.0.0.1", 1);
	cluster other = client(c, proxy, "token: x");
	expect_error(&other, "403");
	assert_string_equal(asked, wanted);
	disconnect(&other);
	unsetenv("NO_PROXY");
	peer_stop(&p);
	pass_time(c->loop, 100);
	peer_free(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_plugin_says_who_we_are),
	    CASE(a_plugin_may_give_a_certificate),
	    CASE(a_credential_is_kept_as_long_as_it_is_good),
	    CASE(a_plugin_is_told_what_it_asks_for),
	    CASE(a_plugin_that_fails_is_named),
	    CASE(a_slow_plugin_stops_nothing),
	    CASE(acts_as_somebody_else),
	    CASE(knows_the_server_by_another_name),
	    CASE(goes_through_its_proxy),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
