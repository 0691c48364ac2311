/* test_kube_identity.c -- certificates and keys whose files change, against a real API server. */
#include "test/test_kube_account.h"

typedef struct files {
	char folder[32];
	char ca[64], cert[64], key[64], kubeconfig[64];
} files;

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static files make_files(const cluster *c, const char *ca)
{
	files f = {.folder = "/tmp/ao-identity-XXXXXX"};
	assert_non_null(mkdtemp(f.folder));
	snprintf(f.ca, sizeof(f.ca), "%s/ca", f.folder);
	snprintf(f.cert, sizeof(f.cert), "%s/cert", f.folder);
	snprintf(f.key, sizeof(f.key), "%s/key", f.folder);
	snprintf(f.kubeconfig, sizeof(f.kubeconfig), "%s/kubeconfig", f.folder);
	write_text(f.ca, ca);
	write_text(f.cert, c->config->client_cert_pem);
	write_text(f.key, c->config->client_key_pem);
	ao_auto_str char *text = ao_xasprintf(
	    "{current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: "
	    "\"%s\", certificate-authority: ca}}], users: [{name: a, user: {client-certificate: cert, client-key: key}}]}",
	    c->config->server);
	write_text(f.kubeconfig, text);
	return f;
}

static void remove_files(const files *f)
{
	unlink(f->ca);
	unlink(f->cert);
	unlink(f->key);
	unlink(f->kubeconfig);
	rmdir(f->folder);
}

static cluster connect_with(const cluster *c, const files *f)
{
	cluster other = *c;
	ao_auto_err ao_err *err = NULL;
	if (ao_kubeconfig_load(f->kubeconfig, NULL, &other.config, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	assert_int_equal(ao_kube_new(c->loop, other.config, "asya-test", &other.kube, NULL), 0);
	return other;
}

static void an_authority_that_is_replaced(void **state)
{
	cluster *c = need_cluster(state, __func__);
	files f = make_files(c, c->config->client_cert_pem); /* a certificate, and of no authority that the server has */
	cluster other = connect_with(c, &f);
	assert_int_equal(ask(&other, "GET", "/api/v1/namespaces/default", NULL, NULL, NULL), -EIO);
	write_text(f.ca, c->config->ca_pem);
	pass_time(c->loop, 1100);
	assert_int_equal(ask(&other, "GET", "/api/v1/namespaces/default", NULL, NULL, NULL), 0);
	disconnect(&other);
	remove_files(&f);
}

/** Half a file, or none, is no reason to forget who we are. */
static void a_file_that_cannot_be_used(void **state)
{
	cluster *c = need_cluster(state, __func__);
	files f = make_files(c, c->config->ca_pem);
	cluster other = connect_with(c, &f);
	assert_int_equal(ask(&other, "GET", "/api/v1/namespaces/default", NULL, NULL, NULL), 0);
	write_text(f.ca, "");
	write_text(f.cert, "half a line");
	unlink(f.key);
	ao_kube_reset(other.kube);
	ask(&other, "GET", "/api/v1/namespaces/default", NULL, NULL, NULL); /* may meet the reset */
	pass_time(c->loop, 1100);
	assert_int_equal(ask(&other, "GET", "/api/v1/namespaces/default", NULL, NULL, NULL), 0);
	disconnect(&other);
	remove_files(&f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(an_authority_that_is_replaced),
	    CASE(a_file_that_cannot_be_used),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
