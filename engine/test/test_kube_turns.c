/* test_kube_turns.c -- whose turn it is among writes that wait, and what a server that refuses them says of how many it can take. */
#include "kube/client.h"
#include "kube/window.h"
#include "test/test_net_peer.h"

#define MANY 40

typedef struct fixture {
	ao_loop *loop;
	peer peer;
	ao_kubeconfig config;
	ao_kube *kube;
	int refuses; /* requests, with 429; what comes later */
	bool silent; /* ... gets no answer */
	int edits;   /* of which somebody waited for the answer */
	bool done;
} fixture;

static void answer(peer_conn *conn, const char *request)
{
	const fixture *f = conn->owner->arg;
	(void)request;
	if (conn->owner->requests <= f->refuses)
		peer_reply(conn, "429 Too Many Requests", "", "{}");
	else if (!f->silent)
		peer_reply(conn, "200 OK", "", "{}");
}

static void setup(fixture *f)
{
	f->loop = ao_loop_new();
	ao_log_setup(AO_LOG_ERROR, false);
	peer_start(&f->peer, f->loop, answer, f);
	f->config = (ao_kubeconfig){.server = ao_xasprintf("http://127.0.0.1:%d", f->peer.port)};
	assert_int_equal(ao_kube_new(f->loop, &f->config, "asya-test", &f->kube, NULL), 0);
}

static void teardown(fixture *f)
{
	ao_kube_free(f->kube);
	peer_stop(&f->peer);
	assert_int_equal(ao_loop_close(f->loop), 0);
	peer_free(&f->peer);
	free(f->config.server);
}

static void write_one(fixture *f, ao_kube_rank rank, ao_kube_fn fn)
{
	ao_kube_send(f->kube, &(ao_kube_request){.method = "PATCH", .path = "/x", .body = "{}", .rank = rank, .fn = fn, .arg = f});
}

static void on_edit(void *arg, const ao_kube_answer *got)
{
	fixture *f = arg;
	(void)got;
	f->edits++;
	write_one(f, AO_KUBE_URGENT, on_edit); /* somebody else has edited something meanwhile */
}

static void on_done(void *arg, const ao_kube_answer *got)
{
	fixture *f = arg;
	(void)got;
	f->done = true;
}

/** The lane beside the window is for some edits; where there are many, they share the window with what others have waited for. */
static void edits_without_an_end_leave_a_turn_for_others(void **state)
{
	(void)state;
	static const ao_kube_rank RANKS[] = {AO_KUBE_USUAL, AO_KUBE_STATUS, AO_KUBE_EVENT};
	for (size_t i = 0; i < AO_LEN(RANKS); i++) {
		fixture f = {0};
		setup(&f);
		for (int edit = 0; edit < MANY; edit++)
			write_one(&f, AO_KUBE_URGENT, on_edit);
		write_one(&f, RANKS[i], on_done);
		ao_loop_run_until(f.loop, &f.done, 10000);
		assert_true(f.done);
		assert_in_range(f.edits, 0, 5 * MANY);
		teardown(&f);
	}
}

static void refusals_are_not_taken_for_a_server_that_has_time(void **state)
{
	(void)state;
	const bool never = false;
	fixture f = {.refuses = MANY, .silent = true};
	setup(&f);
	for (int i = 0; i < MANY; i++)
		write_one(&f, AO_KUBE_USUAL, on_done);
	for (int turns = 0; turns < 2000 && f.peer.requests < MANY + AO_WINDOW_LEAST; turns++) /* each comes again after a second or more */
		ao_loop_run_until(f.loop, &never, 10);
	ao_loop_run_until(f.loop, &never, 700);
	assert_int_equal(f.peer.requests - MANY, AO_WINDOW_LEAST);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(edits_without_an_end_leave_a_turn_for_others),
	    cmocka_unit_test(refusals_are_not_taken_for_a_server_that_has_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
