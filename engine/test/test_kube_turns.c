/* test_kube_turns.c -- whose turn it is among writes that wait, and what a server that refuses them says of how many it can take. */
#include "kube/window.h"
#include "test/test_kube_peer.h"

#define MANY 40

typedef struct fixture {
	played played;
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

static void write_one(fixture *f, ao_kube_rank rank, ao_kube_fn fn)
{
	ao_kube_send(f->played.kube, &(ao_kube_request){.method = "PATCH", .path = "/x", .body = "{}", .rank = rank, .fn = fn, .arg = f});
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
		ao_log_setup(AO_LOG_ERROR, false);
		play(&f.played, answer, &f);
		for (int edit = 0; edit < MANY; edit++)
			write_one(&f, AO_KUBE_URGENT, on_edit);
		write_one(&f, RANKS[i], on_done);
		ao_loop_run_until(f.played.loop, &f.done, 10000);
		assert_true(f.done);
		assert_in_range(f.edits, 0, 5 * MANY);
		end_play(&f.played);
	}
}

static void refusals_are_not_taken_for_a_server_that_has_time(void **state)
{
	(void)state;
	const bool never = false;
	fixture f = {.refuses = MANY, .silent = true};
	ao_log_setup(AO_LOG_ERROR, false);
	play(&f.played, answer, &f);
	for (int i = 0; i < MANY; i++)
		write_one(&f, AO_KUBE_USUAL, on_done);
	for (int turns = 0; turns < 2000 && f.played.peer.requests < MANY + AO_WINDOW_LEAST;
	     turns++) /* each comes again after a second or more */
		ao_loop_run_until(f.played.loop, &never, 10);
	ao_loop_run_until(f.played.loop, &never, 700);
	assert_int_equal(f.played.peer.requests - MANY, AO_WINDOW_LEAST);
	end_play(&f.played);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(edits_without_an_end_leave_a_turn_for_others),
	    cmocka_unit_test(refusals_are_not_taken_for_a_server_that_has_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
