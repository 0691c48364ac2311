#pragma once
/* test_kube_peer.h -- a client whose server is played by a peer, for what a real one does not do when it is asked to. */
#include "kube/client.h"
#include "test/test_net_peer.h"

typedef struct played {
	ao_loop *loop;
	peer peer;
	ao_kubeconfig config;
	ao_kube *kube;
} played;

static inline void play(played *p, void (*answer)(peer_conn *conn, const char *request), void *arg)
{
	p->loop = ao_loop_new();
	peer_start(&p->peer, p->loop, answer, arg);
	p->config = (ao_kubeconfig){.server = ao_xasprintf("http://127.0.0.1:%d", p->peer.port)};
	assert_int_equal(ao_kube_new(p->loop, &p->config, "asya-test", &p->kube, NULL), 0);
}

static inline void end_play(played *p)
{
	ao_kube_free(p->kube);
	peer_stop(&p->peer);
	assert_int_equal(ao_loop_close(p->loop), 0);
	peer_free(&p->peer);
	free(p->config.server);
}
