/* test_kube_client.c -- writes in line, refused, cancelled, sent again; tokens that change: on a real API server. */
#include "base/clock.h"
#include "kube/window.h"
#include "test/test_kube_account.h"

/* ---- many writes ---- */

#define MANY 40

typedef struct many {
	cluster *c;
	ao_kube *kube;
	ao_kube_call *calls[MANY];
	int error[MANY];
	int answers, want;
	unsigned gates;   /* how often the gate was asked */
	int before[MANY]; /* how many answers had come before this one */
	int close_after;  /* answers; 0: never */
	int free_after;
	bool closed, done;
} many;

typedef struct one {
	many *m;
	int index;
} one;

static one ones[MANY];

static void on_many(void *arg, const ao_kube_answer *answer)
{
	const one *o = arg;
	many *m = o->m;
	m->error[o->index] = answer->error;
	m->before[o->index] = m->answers++;
	if (m->answers == m->close_after)
		m->closed = true;
	if (m->answers == m->free_after) {
		ao_kube_free(m->kube);
		m->kube = NULL;
	}
	m->done = m->answers == m->want;
}

static bool many_gate(void *arg)
{
	many *m = arg;
	m->gates++;
	return !m->closed;
}

static many start_many(cluster *c, const ao_kubeconfig *config)
{
	many m = {.c = c, .want = MANY};
	assert_int_equal(ao_kube_new(c->loop, config, "asya-test", &m.kube, NULL), 0);
	return m;
}

static ao_kube_rank usual(int index)
{
	(void)index;
	return AO_KUBE_USUAL;
}

static void send_ranked(many *m, ao_kube_rank (*rank_of)(int index))
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, m->c->space, NULL, NULL);
	ao_kube_set_gate(m->kube, many_gate, m);
	for (int i = 0; i < MANY; i++) {
		ao_auto_str char *body = ao_xasprintf("{\"metadata\":{\"name\":\"many-%d\"}}", i);
		ones[i] = (one){m, i};
		m->error[i] = 1;
		m->calls[i] = ao_kube_send(
		    m->kube,
		    &(ao_kube_request){.method = "POST", .path = path, .body = body, .rank = rank_of(i), .fn = on_many, .arg = &ones[i]});
	}
	assert_int_equal(m->answers, 0); /* never from inside ao_kube_send() */
}

static void send_many(many *m) { send_ranked(m, usual); }

static bool exists(cluster *c, int index)
{
	ao_auto_str char *name = ao_xasprintf("many-%d", index), *path = ao_resource_path(&CONFIG_MAPS, c->space, name, NULL);
	int r = ask(c, "GET", path, NULL, NULL, NULL);
	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static void delete_all(cluster *c)
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	assert_int_equal(ask(c, "DELETE", path, NULL, NULL, NULL), 0);
}

static void some_at_a_time_and_the_rest_in_line(void **state)
{
	cluster *c = need_cluster(state, __func__);
	many m = start_many(c, c->config);
	send_many(&m);
	assert_int_equal(m.gates, MANY);   /* each was asked for when it came ... */
	ao_kube_cancel(m.calls[MANY - 1]); /* the last in line */
	ao_kube_cancel(m.calls[20]);       /* one in the middle of it */
	m.want -= 2;
	assert_true(ao_loop_run_until(c->loop, &m.done, 20000));
	assert_int_equal(m.gates, MANY + MANY - AO_WINDOW_LEAST - 2 + MANY - 2); /* ... when its turn came, and when it left */
	for (int i = 0; i < MANY; i++)
		assert_int_equal(m.error[i], i == MANY - 1 || i == 20 ? 1 : 0);
	assert_false(exists(c, MANY - 1));
	assert_false(exists(c, 20));
	ao_kube_free(m.kube);
	delete_all(c);
}

static ao_kube_rank of_many_ranks(int index)
{
	return index < 16 ? AO_KUBE_USUAL : index < MANY - 2 ? AO_KUBE_EVENT : index == MANY - 2 ? AO_KUBE_STATUS : AO_KUBE_URGENT;
}

/** Those that came last are sent before most of the 22 Events in line. */
static void what_somebody_waits_for_goes_before_events(void **state)
{
	cluster *c = need_cluster(state, __func__);
	many m = start_many(c, c->config);
	send_ranked(&m, of_many_ranks);
	assert_true(ao_loop_run_until(c->loop, &m.done, 20000));
	assert_int_equal(m.gates, MANY + MANY - AO_WINDOW_LEAST - 1 +
				      MANY); /* all came, the one that somebody waits for was not in line, and all left */
	for (int urgent = MANY - 2; urgent < MANY; urgent++) {
		int events = 0;
		for (int i = 16; i < MANY - 2; i++)
			events += m.before[i] < m.before[urgent];
		assert_in_range(events, 0, 6);
	}
	ao_kube_free(m.kube);
	delete_all(c);
}

static void the_gate_stops_what_is_in_line(void **state)
{
	cluster *c = need_cluster(state, __func__);
	many m = start_many(c, c->config);
	int created = 0;
	m.close_after = 3;
	send_many(&m);
	assert_true(ao_loop_run_until(c->loop, &m.done, 20000));
	for (int i = 0; i < MANY; i++) {
		assert_true(m.error[i] == 0 || m.error[i] == -EPERM);
		assert_int_equal(exists(c, i), m.error[i] == 0);
		created += m.error[i] == 0;
	}
	assert_in_range(created, AO_WINDOW_LEAST, AO_WINDOW_LEAST + 3);
	ao_kube_free(m.kube);
	delete_all(c);
}

/** As after SIGSTOP: the gate was open when the requests were made, and a connection is there only later. */
static void a_gate_that_closes_before_a_request_has_left_stops_it(void **state)
{
	cluster *c = need_cluster(state, __func__);
	many m = start_many(c, c->config);
	send_many(&m);
	m.closed = true;
	assert_true(ao_loop_run_until(c->loop, &m.done, 20000));
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(m.error[i], -EPERM);
		assert_false(exists(c, i));
	}
	ao_kube_free(m.kube);
}

static void a_closed_gate_lets_only_reads_through(void **state)
{
	cluster *c = need_cluster(state, __func__);
	many m = start_many(c, c->config);
	m.closed = true;
	send_many(&m);
	ao_kube_cancel(m.calls[0]);
	m.want--;
	assert_true(ao_loop_run_until(c->loop, &m.done, 5000));
	for (int i = 1; i < MANY; i++)
		assert_int_equal(m.error[i], -EPERM);
	reply r = {0};
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_kube_send(m.kube, &(ao_kube_request){.method = "GET", .path = path, .fn = on_reply, .arg = &r});
	assert_true(ao_loop_run_until(c->loop, &r.done, 5000));
	assert_int_equal(r.error, 0);
	free(r.body);
	ao_kube_free(m.kube);
}

static void a_client_can_be_freed_at_any_time(void **state)
{
	cluster *c = need_cluster(state, __func__);
	many m = start_many(c, c->config);
	send_many(&m);
	ao_kube_free(m.kube); /* in flight and in line */

	many refused = start_many(c, c->config);
	refused.closed = true;
	send_many(&refused);
	ao_kube_free(refused.kube);

	many inside = start_many(c, c->config);
	inside.want = inside.free_after = 5; /* from inside a callback, with others in flight and in line */
	send_many(&inside);
	assert_true(ao_loop_run_until(c->loop, &inside.done, 20000));
	pass_time(c->loop, 300);
	assert_int_equal(m.answers, 0);
	assert_int_equal(refused.answers, 0);
	assert_int_equal(inside.answers, 5);
	ao_kube_free(NULL);
	delete_all(c);
}

/* ---- what a server says ---- */

static void the_server_tells_what_is_wrong(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *made = NULL;
	ao_auto_str char *all = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL),
			 *it = ao_resource_path(&CONFIG_MAPS, c->space, "it", NULL);
	static const ao_resource deployments = {"apps/v1", "Deployment", "deployments", false},
				 nothing = {"nobody.test/v9", "X", "xs", false};
	assert_int_equal(ask(c, "GET", it, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(ask(c, "POST", all, NULL, "{\"metadata\":{\"name\":\"it\"}}", &made), 0);
	assert_int_equal(ask(c, "POST", all, NULL, "{\"metadata\":{\"name\":\"it\"}}", NULL), -EEXIST);
	assert_int_equal(ask(c, "POST", all, NULL, "{\"metadata\":{\"name\":\"It\"}}", NULL), -EINVAL);
	assert_int_equal(ask(c, "POST", all, NULL, "{", NULL), -EINVAL);
	assert_int_equal(ask(c, "PATCH", it, AO_MERGE_PATCH, "{\"data\":{\"a\":\"b\"}}", NULL), 0);
	ao_json_set_str(ao_json_object(made, "data"), "a", "c");
	ao_auto_str char *stale = ao_json_print(made);
	assert_int_equal(ask(c, "PUT", it, NULL, stale, NULL), -ESTALE);
	assert_int_equal(ask(c, "DELETE", it, NULL, NULL, NULL), 0);

	ao_auto_str char *base = ao_resource_path(&deployments, c->space, "d", NULL),
			 *apply = ao_xasprintf("%s?fieldManager=t&force=true", base);
	const char *twice =
	    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"template\":{\"spec\":{"
	    "\"containers\":[{\"name\":\"a\",\"env\":[{\"name\":\"X\"},{\"name\":\"X\"}]}]}}}}";
	assert_int_equal(ask(c, "PATCH", apply, AO_APPLY_PATCH, twice, NULL), -EINVAL);
	ao_auto_str char *absent = ao_resource_path(&nothing, c->space, "x", NULL);
	assert_int_equal(ask(c, "GET", absent, NULL, NULL, NULL), -EIO); /* in plain text, as a proxy might say it */
}

static void too_much_is_cut_off(void **state)
{
	cluster *c = need_cluster(state, __func__);
	reply r = {0};
	ao_kube_send(c->kube, &(ao_kube_request){.method = "GET", .path = "/openapi/v2", .max_body = 10000, .fn = on_reply, .arg = &r});
	assert_true(ao_loop_run_until(c->loop, &r.done, 20000));
	assert_int_equal(r.error, -E2BIG);
	free(r.body);
}

/* ---- metrics ---- */

typedef struct told {
	int times;
	long status[16];
	char method[16][8];
} told;

static void on_told(void *arg, const char *method, long status, uint64_t took_ms)
{
	told *t = arg;
	assert_true(took_ms < 60000 && t->times < 16);
	snprintf(t->method[t->times], sizeof(t->method[0]), "%s", method);
	t->status[t->times++] = status;
}

typedef struct stream {
	bool data, done;
} stream;

static int on_stream(void *arg, const char *bytes, size_t len)
{
	(void)bytes, (void)len;
	((stream *)arg)->data = true;
	return 0;
}

static void on_stream_end(void *arg, const ao_kube_answer *answer)
{
	assert_int_equal(answer->error, 0);
	((stream *)arg)->done = true;
}

static void each_answer_is_counted(void **state)
{
	cluster *c = need_cluster(state, __func__);
	told t = {0};
	stream s = {0};
	ao_kube_on_answer(c->kube, on_told, &t);
	ask(c, "GET", "/api/v1/namespaces/default", NULL, NULL, NULL);
	ask(c, "DELETE", "/api/v1/namespaces/nobody", NULL, NULL, NULL);
	const char *watch = "/api/v1/namespaces?watch=1&timeoutSeconds=1";
	ao_kube_send(c->kube, &(ao_kube_request){.method = "GET", .path = watch, .fn = on_stream_end, .on_data = on_stream, .arg = &s});
	assert_true(ao_loop_run_until(c->loop, &s.data, 5000));
	assert_int_equal(t.times, 3); /* a stream when it begins */
	assert_true(ao_loop_run_until(c->loop, &s.done, 10000));
	assert_int_equal(t.times, 3);
	assert_int_equal(t.status[0], 200);
	assert_int_equal(t.status[1], 404);
	assert_string_equal(t.method[1], "DELETE");
	assert_int_equal(t.status[2], 200);
	const char *host = ao_kube_host(c->kube);
	assert_null(strchr(host, '/'));
	assert_non_null(strchr(host, ':'));
}

static void nobody_there(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_kubeconfig config = config_with(c, NULL, NULL);
	config.server = (char *)"https://127.0.0.1:1";
	cluster dead = *c;
	told t = {0};
	assert_int_equal(ao_kube_new(c->loop, &config, "asya-test", &dead.kube, NULL), 0);
	ao_kube_on_answer(dead.kube, on_told, &t);
	assert_int_equal(ask(&dead, "GET", "/version", NULL, NULL, NULL), -EIO);
	assert_int_equal(t.times, 1);
	assert_int_equal(t.status[0], 0);
	ao_kube_free(dead.kube);
}

static void silence_ends_with_the_time_out(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	assert_int_equal(ask(&proxied, "GET", "/version", NULL, NULL, NULL), 0);
	set_network("silent");
	uint64_t begin = ao_mono_ms();
	reply r = {0};
	ao_kube_send(proxied.kube, &(ao_kube_request){.method = "GET", .path = "/version", .timeout_ms = 400, .fn = on_reply, .arg = &r});
	assert_true(ao_loop_run_until(c->loop, &r.done, 5000));
	assert_int_equal(r.error, -ETIME);
	assert_in_range(ao_mono_ms() - begin, 390, patient_ms(2000));
	free(r.body);
	set_network("pass");
	disconnect(&proxied);
}

/* ---- credentials ---- */

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void a_refused_token_is_read_again(void **state)
{
	cluster *c = need_cluster(state, __func__);
	char path[] = "/tmp/ao-token-XXXXXX";
	close(mkstemp(path));
	make_account(c, "reader");
	ao_auto_str char *token = make_token(c, "reader");
	ao_kubeconfig config = config_with(c, NULL, path);
	cluster reader = *c;
	told t = {0};
	assert_int_equal(ao_kube_new(c->loop, &config, "asya-test", &reader.kube, NULL), 0);
	ao_kube_on_answer(reader.kube, on_told, &t);
	const char *review = "/apis/authentication.k8s.io/v1/selfsubjectreviews", *body = "{}";

	write_text(path, "nonsense");
	assert_int_equal(ask(&reader, "POST", review, NULL, body, NULL), -EPERM);
	assert_int_equal(t.times, 2); /* tried once more, then given up */
	assert_int_equal(t.status[1], 401);

	write_text(path, token); /* well within the minute */
	ao_auto_json cJSON *self = NULL;
	assert_int_equal(ask(&reader, "POST", review, NULL, body, &self), 0);
	ao_auto_str char *name = ao_xasprintf("system:serviceaccount:%s:reader", c->space);
	assert_string_equal(ao_json_str(self, "status", "userInfo", "username"), name);
	assert_int_equal(t.times, 4);
	assert_int_equal(t.status[2], 401);
	assert_int_equal(t.status[3], 201);

	unlink(path); /* what was read stays */
	assert_int_equal(ask(&reader, "POST", review, NULL, body, NULL), 0);
	assert_int_equal(t.times, 5);
	ao_kube_free(reader.kube);
}

static void a_fixed_token_is_refused_once(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_kubeconfig config = config_with(c, "nonsense", NULL), named = config_with(c, NULL, NULL);
	named.username = named.password = (char *)"nobody";
	const ao_kubeconfig *all[] = {&config, &named};
	for (size_t i = 0; i < AO_LEN(all); i++) {
		cluster stranger = *c;
		told t = {0};
		assert_int_equal(ao_kube_new(c->loop, all[i], "asya-test", &stranger.kube, NULL), 0);
		ao_kube_on_answer(stranger.kube, on_told, &t);
		assert_int_equal(ask(&stranger, "GET", "/api/v1/nodes", NULL, NULL, NULL), -EPERM);
		assert_int_equal(t.times, 1);
		ao_kube_free(stranger.kube);
	}
}

/* ---- Retry-After: a priority level of the server that has room for one request, which hangs because etcd does ---- */

#define FLOW "/apis/flowcontrol.apiserver.k8s.io/v1"

static void make_jam(cluster *c)
{
	ao_auto_str char *level =
	    ao_xasprintf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"type\":\"Limited\",\"limited\":{\"nominalConcurrencyShares\":0,"
			 "\"lendablePercent\":0,\"borrowingLimitPercent\":0,\"limitResponse\":{\"type\":\"Reject\"}}}}",
			 c->space);
	ao_auto_str char *schema = ao_xasprintf(
	    "{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"matchingPrecedence\":2,\"priorityLevelConfiguration\":{\"name\":\"%s\"},"
	    "\"rules\":[{\"subjects\":[{\"kind\":\"ServiceAccount\",\"serviceAccount\":{\"namespace\":\"%s\",\"name\":\"limited\"}}],"
	    "\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"namespaces\":[\"*\"]}]}]}}",
	    c->space, c->space, c->space);
	assert_int_equal(ask(c, "POST", FLOW "/prioritylevelconfigurations", NULL, level, NULL), 0);
	assert_int_equal(ask(c, "POST", FLOW "/flowschemas", NULL, schema, NULL), 0);
}

static void end_jam(cluster *c)
{
	ao_auto_str char *schema = ao_xasprintf(FLOW "/flowschemas/%s", c->space);
	ao_auto_str char *level = ao_xasprintf(FLOW "/prioritylevelconfigurations/%s", c->space);
	assert_int_equal(ask(c, "DELETE", schema, NULL, NULL, NULL), 0);
	assert_int_equal(ask(c, "DELETE", level, NULL, NULL, NULL), 0);
}

static void write_limited(cluster *limited, uint64_t timeout_ms, reply *r, ao_kube_call **ret_call)
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, limited->space, NULL, NULL);
	ao_kube_call *call = ao_kube_send(limited->kube, &(ao_kube_request){.method = "POST",
									    .path = path,
									    .body = "{\"metadata\":{\"name\":\"limited\"}}",
									    .timeout_ms = timeout_ms,
									    .fn = on_reply,
									    .arg = r});
	if (ret_call)
		*ret_call = call;
}

static bool not_closed(void *arg) { return !*(bool *)arg; }

static cluster make_limited(cluster *c, const ao_kubeconfig *config)
{
	cluster limited = *c;
	assert_int_equal(ao_kube_new(c->loop, config, "asya-test", &limited.kube, NULL), 0);
	return limited;
}

static void allow_limited(cluster *c)
{
	ao_auto_str char *path = ao_xasprintf("/apis/rbac.authorization.k8s.io/v1/namespaces/%s/rolebindings", c->space);
	ao_auto_str char *body =
	    ao_xasprintf("{\"metadata\":{\"name\":\"limited\"},\"roleRef\":{\"kind\":\"ClusterRole\",\"name\":\"admin\","
			 "\"apiGroup\":\"rbac.authorization.k8s.io\"},\"subjects\":[{\"kind\":\"ServiceAccount\","
			 "\"namespace\":\"%s\",\"name\":\"limited\"}]}",
			 c->space);
	make_account(c, "limited");
	assert_int_equal(ask(c, "POST", path, NULL, body, NULL), 0);
}

static void a_busy_server_is_asked_again(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	allow_limited(c);
	ao_auto_str char *token = make_token(c, "limited");
	ao_kubeconfig config = config_with(c, token, NULL);
	cluster limited = make_limited(c, &config), other = make_limited(c, &config);
	told t = {0};
	bool closed = false;
	reply holder = {0}, now = {0}, later = {0}, refused = {0}, cancelled = {0}, freed = {0};
	ao_kube_call *call = NULL;
	make_jam(c);
	pass_time(c->loop, 1500); /* until the server knows of its new level */
	bed("pause", "etcd");
	write_limited(&limited, 0, &holder, NULL);
	pass_time(c->loop, 300);
	write_limited(&limited, 500, &now, NULL); /* no time for a second attempt */
	write_limited(&other, 0, &freed, NULL);
	write_limited(&limited, 0, &cancelled, &call);
	ao_kube_set_gate(limited.kube, not_closed, &closed);
	write_limited(&limited, 0, &refused, NULL);
	pass_time(c->loop, 300);
	assert_int_equal(now.status, 429);
	assert_int_equal(now.error, -EAGAIN);
	assert_false(refused.done); /* these rest now */
	assert_false(freed.done);
	ao_kube_cancel(call);
	ao_kube_free(other.kube);
	closed = true;
	bool ended = ao_loop_run_until(c->loop, &refused.done, 20000);
	closed = false;
	ao_kube_on_answer(limited.kube, on_told, &t);
	write_limited(&limited, 0, &later, NULL);
	pass_time(c->loop, 300);
	bed("resume", "etcd");
	assert_true(ended);
	assert_int_equal(refused.error, -EPERM); /* the gate closed before its rest was over */
	assert_int_equal(refused.status, 0);
	assert_true(ao_loop_run_until(c->loop, &later.done, 20000));
	assert_int_equal(holder.error, 0);
	assert_int_equal(later.error, -EEXIST); /* it got through: that it came second is another matter */
	assert_true(t.times >= 3);
	assert_int_equal(t.status[0], 429);
	assert_false(cancelled.done);
	assert_false(freed.done);
	end_jam(c);
	ao_kube_free(limited.kube);
	free(holder.body);
	free(now.body);
	free(later.body);
	free(refused.body);
	delete_all(c);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(some_at_a_time_and_the_rest_in_line),
	    CASE(what_somebody_waits_for_goes_before_events),
	    CASE(the_gate_stops_what_is_in_line),
	    CASE(a_gate_that_closes_before_a_request_has_left_stops_it),
	    CASE(a_closed_gate_lets_only_reads_through),
	    CASE(a_client_can_be_freed_at_any_time),
	    CASE(the_server_tells_what_is_wrong),
	    CASE(too_much_is_cut_off),
	    CASE(each_answer_is_counted),
	    CASE(nobody_there),
	    CASE(silence_ends_with_the_time_out),
	    CASE(a_refused_token_is_read_again),
	    CASE(a_fixed_token_is_refused_once),
	    CASE(a_busy_server_is_asked_again),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
