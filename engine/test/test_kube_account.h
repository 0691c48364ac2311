#pragma once
/**
 * test_kube_account.h -- a service account of the test's namespace, and its token.
 */
#include "test/test_kube_cluster.h"

static inline void make_account(cluster *c, const char *name)
{
	ao_auto_str char *path = ao_xasprintf("/api/v1/namespaces/%s/serviceaccounts", c->space);
	ao_auto_str char *body = ao_xasprintf("{\"metadata\":{\"name\":\"%s\"}}", name);
	int r = ask(c, "POST", path, NULL, body, NULL);
	assert_true(r == 0 || r == -EEXIST);
}

/** The caller frees. */
static inline char *make_token(cluster *c, const char *name)
{
	ao_auto_json cJSON *answer = NULL;
	ao_auto_str char *path = ao_xasprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", c->space, name);
	assert_int_equal(ask(c, "POST", path, NULL, "{\"spec\":{}}", &answer), 0);
	return ao_xstrdup(ao_json_str(answer, "status", "token"));
}

/** The server of `c` for somebody who has nothing but a token. All borrowed. */
static inline ao_kubeconfig config_with(const cluster *c, const char *token, const char *token_file)
{
	return (ao_kubeconfig){
	    .server = c->config->server,
	    .ca_pem = c->config->ca_pem,
	    .token = (char *)(uintptr_t)token,
	    .token_file = (char *)(uintptr_t)token_file,
	    .namespace_ = c->config->namespace_,
	    .source = c->config->source,
	};
}

static inline void set_true(void *arg) { *(bool *)arg = true; }

/** Lets the loop turn for a while. */
static inline void pass_time(ao_loop *loop, uint64_t ms)
{
	bool over = false;
	ao_timer *timer = ao_timer_new(loop, set_true, &over);
	ao_timer_start(timer, ms);
	assert_true(ao_loop_run_until(loop, &over, ms + 5000));
	ao_timer_free(timer);
}
