/* test_kube_standstill.c -- a loop that stands still for a while, as policies that the clock stops make it: no answer is taken for lost,
 * and each watch comes back. On a real API server. */
#include "kube/informer.h"
#include "test/test_kube_account.h"

#define WATCHES 16
#define ROUNDS 3
#define STILL_MS 700

static void stand_still(uint64_t ms) { usleep((useconds_t)ms * 1000); }

static void an_answer_that_is_there_is_not_too_late(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster slow = through_faults(c);
	assert_int_equal(ask(&slow, "GET", "/version", NULL, NULL, NULL), 0); /* connected */
	add_fault("{\"act\": \"delay\", \"ms\": 200, \"path\": \"/version\"}");
	reply r = {0};
	ao_kube_send(slow.kube, &(ao_kube_request){.method = "GET", .path = "/version", .timeout_ms = 500, .fn = on_reply, .arg = &r});
	pass_time(c->loop, 50);
	stand_still(STILL_MS); /* it comes, and the deadline passes */
	assert_true(ao_loop_run_until(c->loop, &r.done, 5000));
	assert_int_equal(r.error, 0);
	free(r.body);
	disconnect_faults(&slow);
}

/* ---- many watches ---- */

typedef struct crowd {
	ao_informer *informers[WATCHES];
	unsigned synced, seen;
	bool done;
	uint64_t seed;
} crowd;

static unsigned chance(crowd *w, unsigned n)
{
	w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(w->seed >> 33) % n;
}

static void on_synced(void *arg, ao_informer *informer, bool absent)
{
	crowd *w = arg;
	(void)informer, (void)absent;
	w->done = ++w->synced == WATCHES;
}

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	crowd *w = arg;
	(void)informer, (void)object, (void)before;
	w->seen += change == AO_ADDED;
	w->done = w->seen == WATCHES;
}

/** The connection of all is cut; while they come back, the loop stands still now and then. All see what is new afterwards. */
static void come_back(cluster *c, unsigned round)
{
	cluster proxied = through_proxy(c);
	crowd w = {.seed = round};
	for (unsigned i = 0; i < WATCHES; i++) {
		w.informers[i] = ao_informer_new(c->loop, proxied.kube,
						 &(ao_informer_options){.resource = &CONFIG_MAPS,
									.namespace_ = c->space,
									.label_selector = "standstill=yes",
									.on_synced = on_synced,
									.on_change = on_change,
									.arg = &w});
		ao_informer_start(w.informers[i]);
	}
	assert_true(ao_loop_run_until(c->loop, &w.done, patient_ms(10000)));
	set_network("cut");
	set_network("pass");
	for (unsigned i = 0; i < 12; i++) {
		pass_time(c->loop, chance(&w, 300));
		if (chance(&w, 3) == 0)
			stand_still(chance(&w, STILL_MS));
	}
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_auto_str char *body = ao_xasprintf("{\"metadata\":{\"name\":\"still-%u\",\"labels\":{\"standstill\":\"yes\"}}}", round);
	w.seen = 0;
	w.done = false;
	assert_int_equal(ask(c, "POST", path, NULL, body, NULL), 0);
	if (w.seen < WATCHES && !ao_loop_run_until(c->loop, &w.done, patient_ms(8000)))
		fail_msg("round %u: %u of %d watches saw it", round, w.seen, WATCHES);
	for (unsigned i = 0; i < WATCHES; i++)
		ao_informer_free(w.informers[i]);
	disconnect(&proxied);
}

static void every_watch_comes_back(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	for (unsigned round = 0; round < ROUNDS; round++)
		come_back(c, round);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(an_answer_that_is_there_is_not_too_late, open_cluster, close_cluster),
	    cmocka_unit_test_setup_teardown(every_watch_comes_back, open_cluster, close_cluster),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
