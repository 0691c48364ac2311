#pragma once
/**
 * test_kube_cluster.h -- a real API server for tests: $AO_TEST_KUBECONFIG; and its test bed ($BED_DIR) where something is to break.
 *
 * Tests without one skip, loudly.  Each test program works in a namespace of its own.
 */
#include "base/log.h"
#include "base/mem.h"
#include "kube/client.h"
#include "kube/store.h"
#include "test/patience.h"
#include "json/json.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct cluster {
	ao_loop *loop;
	ao_kubeconfig *config;
	ao_kube *kube;
	char space[32]; /* the namespace */
} cluster;

static const ao_resource CONFIG_MAPS = {"v1", "ConfigMap", "configmaps", false};

typedef struct reply {
	bool done;
	int error;
	long status;
	char *body;
} reply;

static inline void on_reply(void *arg, const ao_kube_answer *answer)
{
	reply *r = arg;
	r->done = true;
	r->error = answer->error;
	r->status = answer->status;
	r->body = ao_xstrndup(answer->body, answer->body_len);
}

/** One request, waited for. @param ret  the answer when it is no error; may be NULL. @return the answer's error */
static inline int ask(cluster *c, const char *method, const char *path, const char *type, const char *body, cJSON **ret)
{
	reply r = {0};
	ao_kube_send(c->kube,
		     &(ao_kube_request){.method = method, .path = path, .content_type = type, .body = body, .fn = on_reply, .arg = &r});
	assert_true(ao_loop_run_until(c->loop, &r.done, 40000));
	if (ret && !r.error)
		assert_int_equal(ao_json_parse(r.body, strlen(r.body), ret, NULL), 0);
	free(r.body);
	return r.error;
}

static char halted[64]; /* a component of the bed that a test has killed or paused; empty: none */

/** "bed WHAT DIR ARGUMENTS". The loop stands still meanwhile, for a second or more on a busy machine. */
static inline void bed(const char *what, const char *arguments)
{
	ao_auto_str char *command = ao_xasprintf("spec/bed/bed %s '%s' %s >/dev/null", what, getenv("BED_DIR"), arguments);
	assert_int_equal(system(command), 0);
	snprintf(halted, sizeof(halted), "%s", strcmp(what, "kill") == 0 || strcmp(what, "pause") == 0 ? arguments : "");
}

/** A test that failed may have left a component stopped. The next one shall not fail for that. */
static inline void undo_halt(void)
{
	ao_auto_str char *component = ao_xstrdup(halted);
	if (*component) /* whether it was killed or paused */
		bed("restart", component);
}

/** What the bed's env file says of `key`, a number; 0: nothing. */
static inline int bed_number(const char *key)
{
	ao_auto_str char *path = ao_xasprintf("%s/env", getenv("BED_DIR")), *wanted = ao_xasprintf("%s=", key);
	char line[512];
	int number = 0;
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, wanted, strlen(wanted)) == 0)
			number = atoi(line + strlen(wanted));
	fclose(file);
	return number;
}

/** One line to the control port of a proxy of the bed, which is started when need be: this takes no time. The caller frees the answer. */
static inline char *tell_proxy(const char *proxy, const char *key, const char *line)
{
	char answer[4096] = "";
	if (!bed_number(key))
		bed(proxy, "");
	const struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)bed_number(key)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	dprintf(fd, "%s\n", line);
	for (size_t len = 0; !strchr(answer, '\n'); len = strlen(answer))
		assert_true(read(fd, answer + len, sizeof(answer) - 1 - len) > 0);
	close(fd);
	assert_null(strstr(answer, "\"error\""));
	return ao_xstrdup(answer);
}

/** The TCP proxy's fault from now on: "silent", "pass", ... */
static inline void set_network(const char *fault) { free(tell_proxy("proxy", "BED_PROXY_CONTROL_PORT", fault)); }

static inline bool has_bed(const char *test)
{
	if (!getenv("BED_DIR"))
		fprintf(stderr, "SKIPPED %s: no test bed; set BED_DIR\n", test);
	return getenv("BED_DIR") != NULL;
}

static inline void connect_to(cluster *c, const char *kubeconfig)
{
	ao_auto_err ao_err *err = NULL;
	c->loop = ao_loop_new();
	if (ao_kubeconfig_load(kubeconfig, NULL, &c->config, &err) < 0 || ao_kube_new(c->loop, c->config, "asya-test", &c->kube, &err) < 0)
		fail_msg("%s: %s", kubeconfig, ao_err_text(err));
	snprintf(c->space, sizeof(c->space), "unit-%d", (int)getpid());
}

/** Another client on the same loop, with the kubeconfig of that name in the bed. */
static inline cluster through(const cluster *c, const char *kubeconfig)
{
	cluster other = *c;
	ao_auto_err ao_err *err = NULL;
	ao_auto_str char *file = ao_xasprintf("%s/%s", getenv("BED_DIR"), kubeconfig);
	if (ao_kubeconfig_load(file, NULL, &other.config, &err) < 0 ||
	    ao_kube_new(c->loop, other.config, "asya-test", &other.kube, &err) < 0)
		fail_msg("%s: %s", file, ao_err_text(err));
	return other;
}

/** ... through the bed's TCP proxy. */
static inline cluster through_proxy(const cluster *c)
{
	set_network("pass");
	return through(c, "kubeconfig-proxy");
}

static inline void clear_faults(void) { free(tell_proxy("faults", "BED_FAULTS_CONTROL_PORT", "{\"do\": \"clear\"}")); }

/** From now on the proxy that speaks HTTP follows this rule, too: a JSON object (spec/bed/README.md). */
static inline void add_fault(const char *rule)
{
	ao_auto_str char *line = ao_xasprintf("{\"do\": \"add\", %s", rule + 1);
	free(tell_proxy("faults", "BED_FAULTS_CONTROL_PORT", line));
}

/** ... through the proxy that speaks HTTP, which has no rule yet. disconnect_faults() takes away those it got. */
static inline cluster through_faults(const cluster *c)
{
	clear_faults();
	return through(c, "kubeconfig-faults");
}

static inline void disconnect(cluster *c)
{
	ao_kube_free(c->kube);
	ao_kubeconfig_free(c->config);
}

static inline void disconnect_faults(cluster *c)
{
	disconnect(c);
	clear_faults();
}

static inline int open_cluster(void **state)
{
	static cluster c;
	const char *kubeconfig = getenv("AO_TEST_KUBECONFIG");
	c = (cluster){0};
	*state = NULL;
	if (!kubeconfig)
		return 0;
	undo_halt();
	ao_log_setup(getenv("AO_TEST_DEBUG") ? AO_LOG_DEBUG : AO_LOG_WARN, false);
	connect_to(&c, kubeconfig);
	ao_auto_str char *body = ao_xasprintf("{\"metadata\":{\"name\":\"%s\"}}", c.space);
	int r = ask(&c, "POST", "/api/v1/namespaces", NULL, body, NULL);
	assert_true(r == 0 || r == -EEXIST);
	*state = &c;
	return 0;
}

static inline int close_cluster(void **state)
{
	cluster *c = *state;
	if (!c)
		return 0;
	disconnect(c);
	assert_int_equal(ao_loop_close(c->loop), 0);
	return 0;
}

static inline int end_cluster(void **state)
{
	int r = open_cluster(state);
	cluster *c = *state;
	if (!c)
		return r;
	ao_auto_str char *path = ao_xasprintf("/api/v1/namespaces/%s", c->space);
	ask(c, "DELETE", path, NULL, NULL, NULL);
	return close_cluster(state);
}

/** In each test first: the cluster, or the test is skipped. */
static inline cluster *need_cluster(void **state, const char *test)
{
	if (!*state) {
		fprintf(stderr, "SKIPPED %s: no API server; set AO_TEST_KUBECONFIG\n", test);
		skip();
	}
	return *state;
}
