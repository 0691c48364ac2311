/* test_kube_lease.c -- candidates on one loop against a real API server, over good and bad networks. */
#include "base/clock.h"
#include "kube/lease.h"
#include "test/test_kube_account.h"

static void times_must_fit(void **state)
{
	(void)state;
	static const struct {
		uint64_t lease, deadline, retry;
		int r;
	} cases[] = {
	    {0, 0, 0, 0}, {10000, 10000, 2000, -EINVAL}, {15000, 2400, 2000, -EINVAL}, {15000, 2401, 2000, 0}, {5000, 0, 0, -EINVAL}};
	ao_loop *loop = ao_loop_new();
	const ao_kubeconfig config = {.server = (char *)"https://127.0.0.1:1"};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_lease *lease = NULL;
		ao_auto_err ao_err *err = NULL;
		ao_lease_options options = {.namespace_ = "n", .name = "l"};
		options.lease_ms = cases[i].lease;
		options.renew_deadline_ms = cases[i].deadline;
		options.retry_ms = cases[i].retry;
		assert_int_equal(ao_lease_new(loop, &config, "t", &options, &lease, &err), cases[i].r);
		assert_int_equal(lease != NULL, cases[i].r == 0);
		assert_int_equal(err != NULL, cases[i].r != 0);
		ao_lease_free(lease);
	}
	assert_int_equal(ao_loop_close(loop), 0);
}

typedef struct candidate {
	cluster *c;
	ao_lease *lease;
	int acquired, lost, holders, given;
	bool free_when_acquired, free_when_lost, seizes;
	const ao_lease_options *times; /* NULL: QUICK */
	bool event;                    /* something was called */
	uint64_t at_ms;
	char holder[128], why[512];
} candidate;

static void on_acquired(void *arg)
{
	candidate *k = arg;
	k->acquired++;
	k->event = true;
	k->at_ms = ao_mono_ms();
	assert_true(ao_lease_held(k->lease));
	if (k->free_when_acquired)
		ao_lease_free(k->lease);
}

static void on_lost(void *arg, const char *why)
{
	candidate *k = arg;
	k->lost++;
	k->event = true;
	k->at_ms = ao_mono_ms();
	snprintf(k->why, sizeof(k->why), "%s", why);
	assert_false(ao_lease_held(k->lease));
	if (k->free_when_lost)
		ao_lease_free(k->lease);
}

static void on_holder(void *arg, const char *identity)
{
	candidate *k = arg;
	k->holders++;
	snprintf(k->holder, sizeof(k->holder), "%s", identity);
}

static void on_given(void *arg)
{
	candidate *k = arg;
	k->given++;
	k->event = true;
	k->at_ms = ao_mono_ms();
}

static const ao_lease_options QUICK = {.name = "leader", .lease_ms = 3000, .renew_deadline_ms = 2000, .retry_ms = 300},
			      PATIENT = {.name = "leader", .lease_ms = 8000, .renew_deadline_ms = 5000, .retry_ms = 600},
			      USUAL = {.name = "leader", .lease_ms = 9000, .renew_deadline_ms = 6000, .retry_ms = 1200}; /* x 0.6 */

static void stand(candidate *k, cluster *c, const ao_kubeconfig *config, const char *identity)
{
	ao_lease_options options = k->times ? *k->times : QUICK;
	k->c = c;
	options.namespace_ = c->space;
	options.identity = identity;
	options.seize = k->seizes;
	options.on_acquired = on_acquired;
	options.on_lost = on_lost;
	options.on_holder = on_holder;
	options.arg = k;
	assert_int_equal(ao_lease_new(c->loop, config, "asya-test", &options, &k->lease, NULL), 0);
	ao_lease_start(k->lease);
}

static void wait_event(candidate *k, uint64_t timeout_ms)
{
	k->event = false;
	assert_true(ao_loop_run_until(k->c->loop, &k->event, patient_ms(timeout_ms)));
}

static cJSON *live_lease(cluster *c)
{
	cJSON *lease = NULL;
	ao_auto_str char *path = ao_xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/leader", c->space);
	assert_int_equal(ask(c, "GET", path, NULL, NULL, &lease), 0);
	return lease;
}

static int transitions(cluster *c)
{
	ao_auto_json cJSON *lease = live_lease(c);
	int64_t count = -1;
	ao_json_int(ao_json_at(lease, "spec", "leaseTransitions"), &count);
	return (int)count;
}

static void delete_lease(cluster *c)
{
	ao_auto_str char *path = ao_xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/leader", c->space);
	ask(c, "DELETE", path, NULL, NULL, NULL);
}

static void one_leads_and_hands_over(void **state)
{
	cluster *c = need_cluster(state, __func__);
	candidate a = {0}, b = {0};
	stand(&a, c, c->config, "a");
	wait_event(&a, 5000);
	assert_int_equal(a.acquired, 1);
	stand(&b, c, c->config, "b");
	pass_time(c->loop, 4000); /* longer than the lease: renewals keep it */
	assert_int_equal(b.acquired, 0);
	assert_int_equal(a.acquired, 1);
	assert_int_equal(a.lost, 0);
	assert_true(ao_lease_held(a.lease));
	assert_false(ao_lease_held(b.lease));
	assert_string_equal(a.holder, "a");
	assert_string_equal(b.holder, "a");
	assert_int_equal(b.holders, 1);
	assert_int_equal(transitions(c), 0);

	ao_lease_release(a.lease, on_given, &a);
	assert_false(ao_lease_held(a.lease)); /* at once: nothing of ours may follow a successor's writes */
	assert_int_equal(a.given, 0);
	uint64_t begin = ao_mono_ms();
	wait_event(&b, 5000);
	assert_int_equal(b.acquired, 1);
	assert_true(b.at_ms - begin < patient_ms(1000));
	assert_int_equal(a.given, 1);
	assert_int_equal(a.lost, 0);
	assert_string_equal(b.holder, "b");
	assert_int_equal(transitions(c), 1);
	ao_lease_free(a.lease);
	ao_lease_release(b.lease, on_given, &b);
	wait_event(&b, 2000);
	ao_auto_json cJSON *left = live_lease(c);
	assert_string_equal(ao_json_str(left, "spec", "holderIdentity"), "");
	int64_t seconds = 0;
	assert_true(ao_json_int(ao_json_at(left, "spec", "leaseDurationSeconds"), &seconds) && seconds == 1);
	ao_lease_free(b.lease);
	delete_lease(c);
}

static void a_killed_leader_expires(void **state)
{
	cluster *c = need_cluster(state, __func__);
	candidate a = {.free_when_acquired = true}, b = {0};
	stand(&a, c, c->config, NULL);
	wait_event(&a, 5000); /* and is gone */
	stand(&b, c, c->config, NULL);
	wait_event(&b, 10000);
	assert_int_equal(b.acquired, 1);
	assert_in_range(b.at_ms - a.at_ms, 2900, patient_ms(5000));
	assert_string_not_equal(b.holder, "");
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	assert_memory_equal(b.holder, host, strlen(host));
	assert_int_equal(strlen(b.holder), strlen(host) + 1 + 36);
	ao_lease_free(b.lease); /* while it leads */
	delete_lease(c);
}

static void a_lease_can_be_given_back_at_any_time(void **state)
{
	cluster *c = need_cluster(state, __func__);
	for (int i = 0; i < 8; i++) {
		candidate a = {0}, b = {0};
		stand(&a, c, c->config, "a");
		stand(&b, c, c->config, "b");
		if (i)
			pass_time(c->loop, (uint64_t)i * 7); /* in the middle of a look, or of the first write */
		ao_lease_release(a.lease, on_given, &a);
		ao_lease_release(a.lease, on_given, &a);
		if (!a.given)
			wait_event(&a, 1500);
		assert_int_equal(a.given, 1);
		if (!b.acquired)
			wait_event(&b, 1500); /* not kept waiting by a lease that nobody knows of */
		assert_int_equal(b.acquired, 1);
		ao_lease_free(a.lease);
		ao_lease_release(b.lease, on_given, &b);
		wait_event(&b, 2000);
		ao_lease_free(b.lease);
	}
	candidate idle = {.c = c};
	ao_lease_options options = QUICK;
	options.namespace_ = c->space;
	assert_int_equal(ao_lease_new(c->loop, c->config, "asya-test", &options, &idle.lease, NULL), 0);
	ao_lease_release(idle.lease, on_given, &idle); /* never started */
	wait_event(&idle, 1000);
	ao_lease_free(idle.lease);
	delete_lease(c);
}

static void set_holder(cluster *c, const char *holder)
{
	ao_auto_str char *path = ao_xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/leader", c->space);
	ao_auto_str char *body = ao_xasprintf("{\"spec\":{\"holderIdentity\":\"%s\"}}", holder);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, body, NULL), 0);
}

static void a_lease_that_is_taken_away_is_lost(void **state)
{
	cluster *c = need_cluster(state, __func__);
	candidate a = {.free_when_lost = true};
	stand(&a, c, c->config, "a");
	wait_event(&a, 5000);
	set_holder(c, "thief");
	wait_event(&a, 2000);
	assert_int_equal(a.lost, 1);
	assert_string_equal(a.why, "held by 'thief'");
	ao_auto_json cJSON *left = live_lease(c);
	assert_string_equal(ao_json_str(left, "spec", "holderIdentity"), "thief");
	delete_lease(c);
}

static void one_that_seizes_takes_it_from_its_holder(void **state)
{
	cluster *c = need_cluster(state, __func__);
	candidate a = {0}, b = {.seizes = true};
	stand(&a, c, c->config, "a");
	wait_event(&a, 5000);
	stand(&b, c, c->config, "b");
	wait_event(&a, 5000);
	assert_int_equal(a.lost, 1);
	assert_string_equal(a.why, "held by 'b'");
	assert_int_equal(b.acquired, 1);
	assert_true(ao_lease_held(b.lease));
	ao_lease_free(a.lease);
	a = (candidate){0};
	stand(&a, c, c->config, "c"); /* who only stands by does not get it back */
	pass_time(c->loop, 4000);
	assert_int_equal(a.acquired + b.lost, 0);
	ao_lease_free(a.lease);
	ao_lease_free(b.lease);
	delete_lease(c);
}

/** Somebody else's write, or the end of the object, makes what we know old; that is no reason to lose it. */
static void old_knowledge_is_made_new(void **state)
{
	cluster *c = need_cluster(state, __func__);
	candidate a = {0};
	ao_auto_str char *path = ao_xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/leader", c->space);
	stand(&a, c, c->config, "a");
	wait_event(&a, 5000);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}", NULL), 0);
	pass_time(c->loop, 2500);
	assert_true(ao_lease_held(a.lease));
	ao_auto_json cJSON *labelled = live_lease(c);
	assert_string_equal(ao_json_str(labelled, "metadata", "labels", "x"), "y");
	delete_lease(c);
	pass_time(c->loop, 2500);
	assert_true(ao_lease_held(a.lease));
	assert_int_equal(a.lost, 0);
	assert_int_equal(a.acquired, 1);
	ao_lease_free(a.lease);
	delete_lease(c);
}

/** What `fn` writes to the log. The caller frees. */
static char *logged(void (*fn)(cluster *c), cluster *c)
{
	char path[] = "/tmp/ao-log-XXXXXX";
	int file = mkstemp(path), kept = dup(STDERR_FILENO);
	dup2(file, STDERR_FILENO);
	fn(c);
	dup2(kept, STDERR_FILENO);
	close(kept);
	ao_buf out = ao_buf_init(65536);
	char chunk[4096];
	lseek(file, 0, SEEK_SET);
	for (ssize_t n; (n = read(file, chunk, sizeof(chunk))) > 0;)
		ao_buf_put(&out, chunk, (size_t)n);
	close(file);
	unlink(path);
	return ao_buf_steal(&out);
}

static void stand_without_leave(cluster *c)
{
	make_account(c, "nobody");
	ao_auto_str char *token = make_token(c, "nobody");
	ao_kubeconfig config = config_with(c, token, NULL);
	candidate a = {0};
	stand(&a, c, &config, "a");
	pass_time(c->loop, 1500);
	assert_int_equal(a.acquired, 0);
	ao_lease_free(a.lease);
}

static void lead_beside_another_writer(cluster *c)
{
	candidate a = {0};
	ao_auto_str char *path = ao_xasprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases/leader", c->space);
	stand(&a, c, c->config, "a");
	wait_event(&a, 5000);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, "{\"metadata\":{\"labels\":{\"x\":\"y\"}}}", NULL), 0);
	pass_time(c->loop, 1000);
	assert_true(ao_lease_held(a.lease));
	ao_lease_free(a.lease);
	delete_lease(c);
}

static void says_that_somebody_else_wrote_it(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_str char *text = logged(lead_beside_another_writer, c);
	const char *first = strstr(text, "it was written by another process, reading it again: ");
	if (!first || !strstr(first, "the object has been modified"))
		fail_msg("wanted what was met in: %s", text);
}

static void says_once_what_the_account_lacks(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_str char *text = logged(stand_without_leave, c);
	ao_auto_str char *fix = ao_xasprintf("the service account needs get, create and update on leases in namespace %s", c->space);
	const char *first = strstr(text, fix);
	if (!first || strstr(first + 1, fix))
		fail_msg("wanted once '%s' in: %s", fix, text);
	assert_non_null(strstr(text, "leases.coordination.k8s.io"));
}

/* ---- bad networks ---- */

static void do_to(const char *what, const char *argument)
{
	if (strcmp(what, "proxy") == 0)
		set_network(argument);
	else
		bed(what, argument);
}

/** After a fault: lost at the deadline, said once with what was pending, and never written again. */
static void expect_lost(cluster *c, const ao_kubeconfig *config, const char *what, const char *fault, const char *cure, const char *pending)
{
	candidate a = {0};
	stand(&a, c, config, "a");
	wait_event(&a, 5000);
	pass_time(c->loop, 500);
	uint64_t begin = ao_mono_ms();
	do_to(what, fault);
	uint64_t done = ao_mono_ms(); /* the loop stood still until now */
	if (!a.lost)
		wait_event(&a, 5000);
	assert_int_equal(a.lost, 1);
	assert_in_range(a.at_ms, begin + 1000, done + patient_ms(2600)); /* 2 s from the start of the last renewal that succeeded */
	if (strncmp(a.why, "not renewed within 2000 ms: ", 28) || !strstr(a.why, pending))
		fail_msg("wanted '%s' in: %s", pending, a.why);
	do_to(strcmp(what, "proxy") ? cure : what, strcmp(what, "proxy") ? fault : cure);
	pass_time(c->loop, 1000); /* what was sent in time, and the network still held, arrives now */
	ao_auto_json cJSON *left = live_lease(c);
	pass_time(c->loop, 1500);
	ao_auto_json cJSON *later = live_lease(c);
	assert_true(ao_json_equal(left, later));
	assert_int_equal(a.lost, 1);
	ao_lease_release(a.lease, on_given, &a); /* nothing to give back */
	wait_event(&a, 500);
	ao_lease_free(a.lease);
	delete_lease(c);
}

static void a_server_that_is_gone_makes_it_lost(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	expect_lost(c, proxied.config, "proxy", "refuse", "pass", "no request was under way");
	expect_lost(c, proxied.config, "proxy", "silent", "pass", "PUT of the lease, begun ");
	disconnect(&proxied);
	expect_lost(c, c->config, "kill", "kube-apiserver", "start", "no request was under way");
}

/** Each renewal takes 0.42 of the deadline: two in a row fit, if nothing is waited for between them. */
static void a_slow_server_is_no_reason_to_lose_it(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	candidate a = {.times = &USUAL};
	stand(&a, c, faulty.config, "a");
	wait_event(&a, 5000);
	add_fault("{\"act\": \"delay\", \"ms\": 2500, \"method\": \"PUT\", \"path\": \"/leases/\"}");
	pass_time(c->loop, 14000);
	if (a.lost)
		fail_msg("lost: %s", a.why);
	assert_true(ao_lease_held(a.lease));
	ao_lease_free(a.lease);
	disconnect_faults(&faulty);
	delete_lease(c);
}

/** How many connections the proxy has seen. */
static int accepted(void)
{
	ao_auto_str char *text = tell_proxy("proxy", "BED_PROXY_CONTROL_PORT", "status");
	const char *count = strstr(text, "\"accepted\": ");
	assert_non_null(count);
	return atoi(count + strlen("\"accepted\": "));
}

static void a_dead_connection_is_replaced_in_time(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	candidate a = {.times = &PATIENT};
	stand(&a, c, proxied.config, "a");
	wait_event(&a, 5000);
	int before = accepted();
	set_network("silent");
	pass_time(c->loop, 2700); /* a renewal begins within 0.6 s, and is given up 1.5 s later */
	set_network("pass");
	pass_time(c->loop, 3500);
	assert_int_equal(a.lost, 0);
	assert_true(ao_lease_held(a.lease));
	assert_in_range(accepted(), before + 1, before + 2); /* a busy machine may be late once */
	set_network("cut");
	set_network("pass");
	pass_time(c->loop, 5500);
	assert_int_equal(a.lost, 0);
	assert_true(ao_lease_held(a.lease));
	assert_in_range(accepted(), before + 2, before + 3);

	set_network("silent");
	uint64_t begin = ao_mono_ms();
	ao_lease_release(a.lease, on_given, &a);
	wait_event(&a, 3000);
	assert_in_range(a.at_ms - begin, 900, patient_ms(2000)); /* not longer, whatever the network does */
	set_network("pass");
	ao_lease_free(a.lease);
	disconnect(&proxied);
	delete_lease(c);
}

static void a_restarted_server_is_no_reason_to_lose_it(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	candidate a = {.times = &PATIENT};
	stand(&a, c, proxied.config, "a");
	wait_event(&a, 5000);
	set_network("refuse");
	pass_time(c->loop, 1500);
	set_network("pass");
	pass_time(c->loop, 5500);
	assert_int_equal(a.lost, 0);
	assert_true(ao_lease_held(a.lease));
	ao_lease_free(a.lease);
	disconnect(&proxied);
	delete_lease(c);
}

/** A process that was stopped for longer than its deadline must not write when it goes on. */
static void a_leader_that_slept_does_not_write(void **state)
{
	cluster *c = need_cluster(state, __func__);
	candidate a = {0};
	stand(&a, c, c->config, "a");
	wait_event(&a, 5000);
	pass_time(c->loop, 700);
	ao_auto_json cJSON *before = live_lease(c);
	usleep(2500 * 1000); /* the loop stands still */
	assert_false(ao_lease_held(a.lease));
	wait_event(&a, 2000);
	assert_int_equal(a.lost, 1);
	ao_auto_json cJSON *after = live_lease(c);
	assert_true(ao_json_equal(before, after));
	ao_lease_free(a.lease);
	delete_lease(c);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_must_fit),
	    CASE(one_leads_and_hands_over),
	    CASE(a_killed_leader_expires),
	    CASE(a_lease_can_be_given_back_at_any_time),
	    CASE(a_lease_that_is_taken_away_is_lost),
	    CASE(one_that_seizes_takes_it_from_its_holder),
	    CASE(old_knowledge_is_made_new),
	    CASE(says_that_somebody_else_wrote_it),
	    CASE(says_once_what_the_account_lacks),
	    CASE(a_server_that_is_gone_makes_it_lost),
	    CASE(a_dead_connection_is_replaced_in_time),
	    CASE(a_restarted_server_is_no_reason_to_lose_it),
	    CASE(a_slow_server_is_no_reason_to_lose_it),
	    CASE(a_leader_that_slept_does_not_write),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
