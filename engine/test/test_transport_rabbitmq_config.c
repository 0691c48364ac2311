/* The configuration, and TLS: against a listener that the test opens in the running broker. */
#include "test_transport_rabbit.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static void mistakes_are_named_with_their_path(void **state)
{
	static const char *const cases[][2] = {
	    {"[]", "config: expected an object"},
	    {"{}", "config.host: missing"},
	    {"{\"host\":\"\"}", "config.host: missing"},
	    {"{\"hosts\":[]}", "config.host: missing"},
	    {"{\"Host\":\"a\"}", "config.Host: unknown key; did you mean host?"},
	    {"{\"host\":\"a\",\"prot\":1}", "config.prot: unknown key; did you mean port?"},
	    {"{\"host\":\"a\",\"somethingElse\":1}", "config.somethingElse: unknown key"},
	    {"{\"host\":{}}", "config.host: expected a string"},
	    {"{\"host\":\"amqp://user:pw@a\"}", "config.host: expected a host, not a URL"},
	    {"{\"host\":\"a b\"}", "config.host: \"a b\" is not a valid host"},
	    {"{\"host\":\"a,,b\"}", "config.host: \"\" is not a valid host"},
	    {"{\"host\":\"a:b\"}", "config.host: \"a:b\" is not a valid host"},
	    {"{\"host\":\"a:0\"}", "config.host: \"a:0\" is not a valid host"},
	    {"{\"host\":\"a:70000\"}", "config.host: \"a:70000\" is not a valid host"},
	    {"{\"host\":\"[::1\"}", "config.host: \"[::1\" is not a valid host"},
	    {"{\"host\":\"[::1]5\"}", "config.host: \"[::1]5\" is not a valid host"},
	    {"{\"hosts\":\"a\"}", "config.hosts: expected a list"},
	    {"{\"hosts\":[\"a\",{}]}", "config.hosts[1]: expected a string"},
	    {"{\"hosts\":[\"a\",\"b:x\"]}", "config.hosts[1]: \"b:x\" is not a valid host"},
	    {"{\"host\":\"a\",\"port\":65536}", "config.port: 65536 is more than 65535"},
	    {"{\"host\":\"a\",\"port\":-1}", "config.port: expected a whole number"},
	    {"{\"host\":\"a\",\"port\":1.5}", "config.port: expected a whole number"},
	    {"{\"host\":\"a\",\"port\":\"x\"}", "config.port: expected a whole number"},
	    {"{\"host\":\"a\",\"port\":\"\"}", "config.port: expected a whole number"},
	    {"{\"host\":\"a\",\"password\":\"hunter2\"}", "config.password: not here; put the password into a Secret"},
	    {"{\"host\":\"a\",\"passwordSecretRef\":\"x\"}", "config.passwordSecretRef: expected an object"},
	    {"{\"host\":\"a\",\"passwordSecretRef\":{\"nam\":\"x\"}}", "config.passwordSecretRef.nam: unknown key; did you mean name?"},
	    {"{\"host\":\"a\",\"passwordSecretRef\":{\"optional\":\"no\"}}", "config.passwordSecretRef.optional: expected true or false"},
	    {"{\"host\":\"a\",\"tls\":true}", "config.tls: expected an object"},
	    {"{\"host\":\"a\",\"tls\":{\"caa\":1}}", "config.tls.caa: unknown key"},
	    {"{\"host\":\"a\",\"tls\":{\"caSecretref\":{}}}", "config.tls.caSecretref: unknown key; did you mean caSecretRef?"},
	    {"{\"host\":\"a\",\"tls\":{\"enabled\":1}}", "config.tls.enabled: expected true or false"},
	    {"{\"host\":\"a\",\"management\":{\"url\":\"a:15672\"}}", "config.management.url: must begin with http"},
	    {"{\"host\":\"a\",\"management\":{\"url\":\"http://u:p@a\"}}", "config.management.url: expected scheme"},
	    {"{\"host\":\"a\",\"queues\":{\"autocreate\":true}}", "config.queues.autocreate: unknown key; did you mean autoCreate?"},
	    {"{\"host\":\"a\",\"queues\":{\"dlq\":{\"maxRetryCount\":\"many\"}}}",
	     "config.queues.dlq.maxRetryCount: expected a whole number"},
	};
	(void)state;
	ao_loop *loop = ao_loop_new();
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *config = json(cases[i][0]);
		ao_auto_err ao_err *err = NULL;
		ao_broker *broker = NULL;
		int r = ao_broker_new(loop, "rabbitmq", config, NULL, &broker, &err);
		if (r != -EINVAL || strncmp(ao_err_text(err), cases[i][1], strlen(cases[i][1])) != 0)
			fail_msg("%s: %d \"%s\"", cases[i][0], r, ao_err_text(err));
		assert_null(strstr(ao_err_text(err), "hunter2"));
		assert_null(broker);
	}
	assert_int_equal(ao_loop_close(loop), 0);
}

static void what_is_right_is_taken(void **state)
{
	static const char *const cases[] = {
	    "{\"host\":\"a\"}",
	    "{\"host\":\"a\",\"port\":0,\"username\":\"\",\"vhost\":\"\",\"exchange\":\"\"}",
	    "{\"host\":\"a, b:5673 ,[::1]:5,::1\",\"port\":\"5672\",\"username\":12345,\"vhost\":7,\"heartbeat\":\"30\",\"idleSeconds\":5}",
	    "{\"hosts\":[\"a\",\"b:1\"],\"port\":5672,\"passwordSecretRef\":{\"name\":\"n\",\"key\":\"k\",\"optional\":false}}",
	    "{\"host\":\"a\",\"otherSecretRef\":{\"name\":\"n\"},\"tls\":null,\"queues\":null,\"hosts\":null}",
	    "{\"host\":\"a\",\"tls\":{\"enabled\":false,\"caSecretRef\":{\"name\":\"n\"},\"serverName\":\"s\",\"insecureSkipVerify\":true}"
	    "}",
	    "{\"host\":\"a\",\"management\":{\"url\":\"https://a:15671/base/\",\"insecureSkipVerify\":true}}",
	    "{\"host\":\"a\",\"queues\":{\"autoCreate\":true,\"forceRecreate\":false,\"type\":\"quorum\",\"deletionPolicy\":\"Retain\","
	    "\"dlq\":{\"enabled\":true,\"maxRetryCount\":3,\"retentionDays\":\"14\"}}}",
	};
	(void)state;
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		rig r = setup_with(cases[i], "secret");
		assert_int_equal(ao_broker_get_stats(r.broker).calls, 0);
		teardown(&r);
	}
	ao_broker_free(NULL);
}

/* ---- TLS ---- */

static char folder[] = "/tmp/ao-tls-XXXXXX";

/** A CA, a server and a client certificate of it, and a CA that has nothing to do with them. */
static int make_certificates(void **state)
{
	static const char script[] =
	    "cd '%s' && key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && "
	    "for ca in ca other; do openssl req -x509 $key -keyout $ca.key -out $ca.pem -subj /CN=$ca -days 2; done && "
	    "printf 'subjectAltName=DNS:rabbit.test,IP:127.0.0.1\\n' >names && for who in server client; do "
	    "openssl req $key -keyout $who.key -out $who.csr -subj /CN=$who && "
	    "openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $who.pem -days 2 -extfile names; done";
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	ao_auto_str char *line = ao_xasprintf(script, folder), *quiet = ao_xasprintf("(%s) 2>/dev/null", line);
	return system(quiet);
}

static int drop_certificates(void **state)
{
	(void)state;
	ao_auto_str char *line = ao_xasprintf("rm -rf '%s'", folder);
	return system(line);
}

static char *pem(const char *name)
{
	ao_auto_str char *path = ao_xasprintf("%s/%s", folder, name);
	char *text = ao_xcalloc(1, 8192);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	assert_in_range(fread(text, 1, 8191, file), 100, 8190);
	fclose(file);
	return text;
}

static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	getsockname(fd, (struct sockaddr *)&at, &size);
	close(fd);
	return ntohs(at.sin_port);
}

/** @return its port; it ends with the broker */
static int open_tls_listener(bool clients_too)
{
	int port = free_port();
	ao_auto_str char *erlang =
	    ao_xasprintf("eval 'rabbit_networking:ensure_ssl(), rabbit_networking:start_ssl_listener({\"127.0.0.1\", %d}, "
			 "[{cacertfile,\"%s/ca.pem\"},{certfile,\"%s/server.pem\"},{keyfile,\"%s/server.key\"},{verify,verify_peer},"
			 "{fail_if_no_peer_cert,%s}], 2).'",
			 port, folder, folder, folder, clients_too ? "true" : "false");
	rabbitmqctl(erlang);
	return port;
}

static bool has_ctl(const char *test)
{
	if (!getenv("BED_RABBITMQCTL"))
		fprintf(stderr, "SKIPPED %s: no rabbitmqctl; set BED_RABBITMQCTL\n", test);
	return getenv("BED_RABBITMQCTL") != NULL;
}

typedef struct tls_case {
	const char *tls; /* of the configuration; NULL: none */
	const char *ca, *cert, *key;
	int error;
	const char *says;
} tls_case;

static void try_tls(int port, const tls_case *c)
{
	ao_auto_json cJSON *secrets = cJSON_CreateObject();
	ao_auto_str char *ca = c->ca ? pem(c->ca) : NULL, *cert = c->cert ? pem(c->cert) : NULL, *key = c->key ? pem(c->key) : NULL;
	ao_auto_str char *text = ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d,\"username\":\"%s\",\"tls\":%s}", port,
					      getenv("BED_RABBITMQ_USER"), c->tls ? c->tls : "null");
	ao_auto_json cJSON *config = json(text);
	ao_auto_err ao_err *err = NULL;
	rig r = {.loop = ao_loop_new()};
	ao_json_set_str(secrets, "password", getenv("BED_RABBITMQ_PASSWORD"));
	ao_json_set_str(secrets, "ca", ca);
	ao_json_set_str(secrets, "cert", cert);
	ao_json_set_str(secrets, "key", key);
	if (ao_broker_new(r.loop, "rabbitmq", config, secrets, &r.broker, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	for (int i = 0; i < 5; i++)
		assert_int_equal(call_for(&r, AO_BROKER_ENSURE, "{\"name\":\"unit-tls\"}", 5000, c->says).error, c->error);
	assert_int_equal(ao_broker_get_stats(r.broker).connects, c->error == 0);
	teardown(&r);
}

static void tls_trusts_whom_it_should(void **state)
{
	static const tls_case open_to_all[] = {
	    {"{}", "ca.pem", NULL, NULL, 0, NULL},
	    {"{\"enabled\":true,\"serverName\":\"rabbit.test\"}", "ca.pem", NULL, NULL, 0, NULL},
	    {"{\"serverName\":\"other.test\"}", "ca.pem", NULL, NULL, -EIO, "its certificate is not accepted: hostname mismatch"},
	    {"{}", "other.pem", NULL, NULL, -EIO, "its certificate is not accepted"},
	    {"{}", NULL, NULL, NULL, -EIO, "its certificate is not accepted"},
	    {"{\"insecureSkipVerify\":true}", NULL, NULL, NULL, 0, NULL},
	    {NULL, NULL, NULL, NULL, -EPROTO, "speaks TLS; set tls.enabled"},
	};
	static const tls_case to_clients[] = {
	    {"{}", "ca.pem", "client.pem", "client.key", 0, NULL},
	    {"{}", "ca.pem", NULL, NULL, -EIO, "TLS: "},
	};
	static const tls_case to_plain = {"{}", "ca.pem", NULL, NULL, -EIO, "TLS: "};
	NEED_RABBIT();
	if (!has_ctl(__func__))
		skip();
	ao_log_setup(AO_LOG_ERROR, false);
	int port = open_tls_listener(false);
	for (size_t i = 0; i < AO_LEN(open_to_all); i++)
		try_tls(port, &open_to_all[i]);
	port = open_tls_listener(true);
	for (size_t i = 0; i < AO_LEN(to_clients); i++)
		try_tls(port, &to_clients[i]);
	try_tls(atoi(getenv("BED_RABBITMQ_PORT")), &to_plain);
	plain_drop("unit-tls");
}

static void bad_pem_is_named(void **state)
{
	static const struct {
		const char *ca, *cert, *key, *says;
	} cases[] = {
	    {"rubbish", NULL, NULL, "secret ca: holds no PEM certificate"},
	    {NULL, "client.pem", NULL, "secret key: missing"},
	    {NULL, NULL, "client.key", "secret cert: missing"},
	    {NULL, "rubbish", "client.key", "secret cert: holds no PEM certificate"},
	    {NULL, "client.pem", "rubbish", "secret key: holds no PEM private key"},
	    {NULL, "client.pem", "server.key", "secret key: does not belong to the certificate"},
	};
	(void)state;
	ao_loop *loop = ao_loop_new();
	ao_auto_json cJSON *config = json("{\"host\":\"a\",\"tls\":{}}");
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_json cJSON *secrets = cJSON_CreateObject();
		const char *const keys[] = {"ca", "cert", "key"}, *const names[] = {cases[i].ca, cases[i].cert, cases[i].key};
		for (size_t k = 0; k < AO_LEN(keys); k++) {
			ao_auto_str char *text = names[k] && strchr(names[k], '.') ? pem(names[k]) : ao_xstrdup(names[k]);
			ao_json_set_str(secrets, keys[k], text);
		}
		ao_auto_err ao_err *err = NULL;
		ao_broker *broker = NULL;
		assert_int_equal(ao_broker_new(loop, "rabbitmq", config, secrets, &broker, &err), -EINVAL);
		assert_non_null(strstr(ao_err_text(err), cases[i].says));
	}
	assert_int_equal(ao_loop_close(loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mistakes_are_named_with_their_path),
	    cmocka_unit_test(what_is_right_is_taken),
	    cmocka_unit_test(bad_pem_is_named),
	    cmocka_unit_test(tls_trusts_whom_it_should),
	};
	return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
