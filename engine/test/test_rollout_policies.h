#pragma once
/** test_rollout_policies.h -- the policies of an operator, of which a peer plays the server. */
#include "rollout/policies_private.h"
#include "serve/instruments.h"
#include "test/test_kube_peer.h"

#define WAIT_MS 10000
#define MAPS_END /* of what there is when a watch of ConfigMaps begins */                                                                  \
	"{\"type\":\"BOOKMARK\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"6\","         \
	"\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"

static ao_metrics *metrics;

static inline void do_nothing(void *arg) { (void)arg; }
static inline void set_true(void *arg) { *(bool *)arg = true; }

/** @param events  those that it begins with */
static inline void begin_watch(peer_conn *conn, const char *events)
{
	ao_auto_str char *stream = ao_xasprintf(
	    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n", strlen(events), events);
	peer_send(conn, stream);
}

/** Of anything else there is nothing, which is answered here. */
static inline bool is_watch(peer_conn *conn, const char *request)
{
	if (strstr(request, "watch=1"))
		return true;
	peer_reply(conn, "404 Not Found", "", "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no\"}");
	return false;
}

/** @param load  borrowed until end_policies() */
static inline ao_policies *begin_policies(played *p, void (*answer)(peer_conn *conn, const char *request), const ao_load_options *load)
{
	ao_policies *policies = NULL;
	metrics = ao_metrics_new();
	ao_instruments_describe(metrics);
	ao_log_setup(AO_LOG_ERROR, false);
	play(p, answer, NULL);
	assert_int_equal(ao_policies_new(&(ao_policies_options){.loop = p->loop,
								.kube = p->kube,
								.namespace_ = "ops",
								.load = load,
								.metrics = metrics,
								.on_live = do_nothing,
								.on_manifest = do_nothing},
					 &policies, NULL),
			 0);
	return policies;
}

static inline void recall_policies(played *p, ao_policies *policies)
{
	bool recalled = false;
	ao_policies_recall(policies, NULL, set_true, &recalled);
	assert_true(ao_loop_run_until(p->loop, &recalled, WAIT_MS));
}

static inline void end_policies(played *p, ao_policies *policies)
{
	ao_policies_free(policies);
	end_play(p);
	ao_metrics_free(metrics);
}
