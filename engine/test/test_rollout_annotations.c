/* test_rollout_annotations.c -- a word that people wrote on an object goes when its answer is there, and not before. A peer plays the server. */
#include "kube/resource.h"
#include "rollout/annotations.h"
#include "test/test_kube_peer.h"

static peer_conn *asked; /* whose answer is not given yet */
static bool answered_first, word_gone, gone_early;

static void answer(peer_conn *conn, const char *request)
{
	word_gone = strstr(request, "\"word\":null") != NULL;
	gone_early = gone_early || (word_gone && !answered_first);
	if (word_gone)
		peer_reply(conn, "200 OK", "", "{}");
	else
		asked = conn;
}

static void whoever_wrote_a_word_finds_its_answer_when_it_is_gone(void **state)
{
	(void)state;
	const bool never = false;
	bool written = false;
	played p;
	play(&p, answer, NULL);
	ao_annotations *notes = ao_annotations_new(p.kube, &ao_config_maps, "state", "m");
	ao_annotations_put(notes, "ns", "map", "done");
	ao_annotations_take_off(notes, "ns", "map", "word");
	for (int turns = 0; turns < 200 && !asked; turns++)
		ao_loop_run_until(p.loop, &written, 10);
	ao_loop_run_until(p.loop, &never, 100);
	assert_non_null(asked);
	assert_false(word_gone);
	answered_first = true;
	peer_reply(asked, "200 OK", "", "{}");
	assert_true(ao_loop_run_until(p.loop, &word_gone, 2000));
	assert_false(gone_early);
	ao_loop_run_until(p.loop, &never, 50);
	ao_annotations_free(notes);
	end_play(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whoever_wrote_a_word_finds_its_answer_when_it_is_gone)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
