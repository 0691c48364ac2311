/* test_kube_goaway.c -- a server that sends its clients away, and one whose answers are lost on the way. */
#include "base/clock.h"
#include "kube/watch.h"
#include "test/test_kube_cluster.h"

#define WRITES 400
#define WATCHES 3

/* ---- many writes ---- */

typedef struct run {
	cluster *c;
	const char *prefix;
	unsigned sent, ended, wanted, at_once;
	bool done;
	int error; /* of the first that failed */
	char text[256];
} run;

static void send_more(run *r);

static void on_written(void *arg, const ao_kube_answer *answer)
{
	run *r = arg;
	r->done = ++r->ended == r->wanted;
	if (answer->error && !r->error) {
		r->error = answer->error;
		snprintf(r->text, sizeof(r->text), "write %u: %s", r->ended, answer->message);
	}
	send_more(r);
}

static void send_more(run *r)
{
	for (; r->sent < r->wanted && r->sent - r->ended < r->at_once; r->sent++) {
		ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, r->c->space, NULL, NULL);
		ao_auto_str char *body = ao_xasprintf("{\"metadata\":{\"name\":\"%s-%u\"}}", r->prefix, r->sent);
		ao_kube_send(r->c->kube, &(ao_kube_request){.method = "POST", .path = path, .body = body, .fn = on_written, .arg = r});
	}
}

/** Writes, `at_once` in flight; none may fail. @return how long they took */
static uint64_t write_many(cluster *c, const char *prefix, unsigned count, unsigned at_once)
{
	run r = {.c = c, .prefix = prefix, .wanted = count, .at_once = at_once};
	uint64_t begin = ao_mono_ms();
	send_more(&r);
	assert_true(ao_loop_run_until(c->loop, &r.done, 90000));
	if (r.error)
		fail_msg("%s", r.text);
	return ao_mono_ms() - begin;
}

/* ---- watches ---- */

typedef struct view {
	ao_watch *watch;
	bool listed, ended;
	unsigned events;
} view;

static void on_event(void *arg, ao_watch_event event, ao_span object)
{
	view *v = arg;
	(void)object;
	v->listed = v->listed || event == AO_WATCH_LISTED;
	v->events += event == AO_WATCH_PUT;
}

static void on_end(void *arg, const ao_watch_end *end)
{
	view *v = arg;
	(void)end;
	v->ended = true;
	v->watch = NULL;
}

static void open_view(cluster *c, view *v)
{
	ao_auto_str char *path = ao_xasprintf("/api/v1/namespaces/%s/configmaps?", c->space);
	*v = (view){0};
	v->watch = ao_watch_start(&(ao_watch_request){.kube = c->kube, .path = path, .on_event = on_event, .on_end = on_end, .arg = v});
	assert_true(ao_loop_run_until(c->loop, &v->listed, 5000));
}

/* ---- sent away ---- */

/** The old connection lives as long as the last watch on it: neither a write nor a new watch may wait for that. */
static void what_is_new_does_not_wait_for_old_watches(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	view views[WATCHES + 1];
	for (size_t i = 0; i < WATCHES; i++)
		open_view(&faulty, &views[i]);
	add_fault("{\"act\": \"goaway\", \"times\": 2}"); /* that of the next watch, and that of a write */
	open_view(&faulty, &views[WATCHES]);
	assert_true(write_many(&faulty, "first", 1, 1) < 5000);
	assert_true(write_many(&faulty, "then", 20, 3) < 5000);
	ao_watch_free(views[WATCHES].watch);
	open_view(&faulty, &views[WATCHES]); /* within 5 s */
	for (size_t i = 0; i < WATCHES; i++) {
		assert_false(views[i].ended);
		assert_true(views[i].events >= 21);
	}
	for (size_t i = 0; i <= WATCHES; i++)
		ao_watch_free(views[i].watch);
	disconnect_faults(&faulty);
}

/**
 * No server promises bookmarks.  What was sent away cannot be asked whether it lives, and need not be waited for: its watches move.  The rest
 * answers when asked, and is left alone however long it has nothing to say.
 */
static void a_quiet_watch_is_left_alone(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	view old, last, quiet;
	open_view(&faulty, &old);
	add_fault("{\"act\": \"goaway\", \"times\": 1}");
	open_view(&faulty, &last);
	open_view(&faulty, &quiet); /* on another connection than those */
	add_fault("{\"act\": \"hold\", \"ms\": 300000}");
	assert_true(ao_loop_run_until(c->loop, &old.ended, 50000));
	assert_true(ao_loop_run_until(c->loop, &last.ended, 1000));
	assert_false(ao_loop_run_until(c->loop, &quiet.ended, 70000));
	ao_watch_free(quiet.watch);
	disconnect_faults(&faulty);
}

static void a_dead_connection_is_given_up(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	view v;
	open_view(&proxied, &v);
	set_network("silent");
	uint64_t begin = ao_mono_ms();
	assert_true(ao_loop_run_until(c->loop, &v.ended, 40000));
	assert_in_range(ao_mono_ms() - begin, 10000, 25000);
	set_network("pass");
	disconnect(&proxied);
}

/** A request that the server did not look at any more is sent again: nobody hears of it. */
static void what_the_server_did_not_take_is_sent_again(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	add_fault("{\"act\": \"goaway\", \"share\": 0.3, \"seed\": 7}");
	write_many(&faulty, "few", WRITES, 2);
	write_many(&faulty, "many", WRITES, 16);
	disconnect_faults(&faulty);
}

/* ---- lost answers ---- */

typedef struct judged {
	bool done, unsure;
	int error;
	long status;
	char text[256];
} judged;

static void on_judged(void *arg, const ao_kube_answer *answer)
{
	judged *j = arg;
	*j = (judged){true, answer->unsure, answer->error, answer->status, ""};
	snprintf(j->text, sizeof(j->text), "%s", answer->message);
}

static judged write_one(cluster *c, const char *method, const char *name)
{
	judged j = {0};
	bool create = strcmp(method, "POST") == 0;
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, create ? NULL : name, NULL);
	ao_auto_str char *body = create ? ao_xasprintf("{\"metadata\":{\"name\":\"%s\"}}", name) : NULL;
	ao_kube_send(c->kube, &(ao_kube_request){.method = method, .path = path, .body = body, .fn = on_judged, .arg = &j});
	assert_true(ao_loop_run_until(c->loop, &j.done, 20000));
	return j;
}

static void a_write_without_an_answer_may_have_happened(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	static const struct {
		const char *rule, *method;
		int error;
		bool unsure;
	} cases[] = {
	    {"{\"act\": \"drop\"}", "POST", -EIO, true},  /* the server did it */
	    {"{\"act\": \"reset\"}", "POST", -EIO, true}, /* it did not, but who knows? */
	    {"{\"act\": \"cut\", \"bytes\": 10}", "POST", -EIO, true},
	    {"{\"act\": \"reset\"}", "GET", -EIO, false},                    /* nothing is to be done */
	    {"{\"act\": \"status\", \"status\": 500}", "POST", -EIO, false}, /* that is an answer */
	    {"{\"act\": \"refuse\"}", "POST", -EIO, false},                  /* it never left */
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		cluster faulty = through_faults(c);
		add_fault(cases[i].rule);
		ao_auto_str char *name = ao_xasprintf("lost-%zu", i);
		judged j = write_one(&faulty, cases[i].method, name);
		assert_int_equal(j.error, cases[i].error);
		assert_int_equal(j.unsure, cases[i].unsure);
		assert_int_equal(strstr(j.text, "; it may have been carried out") != NULL, cases[i].unsure);
		disconnect_faults(&faulty);
	}
}

static void patch(cluster *c, const char *path, const char *body, reply *r)
{
	ao_kube_send(c->kube, &(ao_kube_request){
				  .method = "PATCH", .path = path, .content_type = AO_MERGE_PATCH, .body = body, .fn = on_reply, .arg = r});
	assert_true(ao_loop_run_until(c->loop, &r->done, 20000));
}

/** The end of its stream is lost, the answer is not: it comes byte by byte, so that curl has the last one before the cut. */
static void a_whole_answer_is_an_answer(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, "whole", NULL);
	ao_auto_str char *body = ao_xasprintf("{\"data\":{\"a\":\"%04200d\"}}", 1); /* above 4 KB there is no Content-Length */
	assert_int_equal(write_one(c, "POST", "whole").error, 0);
	reply first = {0}, second = {0};
	patch(c, path, body, &first);
	cluster faulty = through_faults(c);
	ao_auto_str char *cut = ao_xasprintf("{\"act\": \"cut\", \"bytes\": %zu}", strlen(first.body));
	add_fault("{\"act\": \"drip\", \"ms\": 1}");
	add_fault(cut);
	body[strlen(body) - 4] = '2'; /* a change, of the same length */
	patch(&faulty, path, body, &second);
	assert_int_equal(second.error, 0);
	assert_int_equal(strlen(second.body), strlen(first.body));
	free(first.body);
	free(second.body);
	disconnect_faults(&faulty);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_is_new_does_not_wait_for_old_watches),
	    CASE(a_quiet_watch_is_left_alone),
	    CASE(a_dead_connection_is_given_up),
	    CASE(what_the_server_did_not_take_is_sent_again),
	    CASE(a_write_without_an_answer_may_have_happened),
	    CASE(a_whole_answer_is_an_answer),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
