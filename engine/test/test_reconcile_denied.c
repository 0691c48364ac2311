/*
 * test_reconcile_denied.c -- what the log says when a right is missing that every parent needs, and that no more is asked for than what an
 * operator has a right to.  A peer plays the server.
 */
#include "test/patience.h"
#include "test/test_base_stderr.h"
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

#define PARENTS 3
#define POLICY                                                                                                                             \
	"return require 'policy'.define { name = 'p', relate = function() return { { kind = 'Seen', name = 'x' } } end,"                   \
	" render = function() end }"

static void answer(peer_conn *conn, const char *request)
{
	static const char DENIED[] = "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"seens is forbidden\"}";
	if (strstr(request, "/seens"))
		peer_reply(conn, "403 Forbidden", "", DENIED);
	else
		peer_abort(conn);
}

static bool is_denied(const operator_ *o)
{
	for (size_t i = 0; i < o->manifest->kind_count; i++)
		if (ao_world_denied(o->world, &o->manifest->kinds[i]))
			return true;
	return false;
}

static bool all_failed(const operator_ *o)
{
	size_t cursor = 0, failed = 0;
	for (const ao_parent *parent; (parent = ao_map_next(o->reconciler->parents, &cursor, NULL));)
		failed += parent->policy_error != NULL;
	return failed == PARENTS;
}

static void await(operator_ *o, bool (*fn)(const operator_ *o))
{
	for (int turns = 0; !fn(o) && turns < 500; turns++) {
		bool never_done = false;
		ao_loop_run_until(o->loop, &never_done, 10);
	}
	assert_true(fn(o));
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;
	for (const char *at = text; (at = strstr(at, part)); at++)
		n++;
	return n;
}

static void a_right_that_is_missing_is_told_once_and_not_for_each_parent(void **state)
{
	(void)state;
	operator_ o;
	peer server;
	begin(&o, POLICY, NULL);
	peer_start(&server, o.loop, answer, NULL);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", server.port);
	listen_to_stderr();
	ao_world_start(o.world);
	await(&o, is_denied);
	for (int i = 0; i < PARENTS; i++) {
		ao_auto_str char *text = ao_xasprintf("{\"metadata\":{\"name\":\"%d\",\"namespace\":\"s\",\"uid\":\"u%d\",\"generation\":1,"
						      "\"finalizers\":[\"test.io/f\"]},\"spec\":{},\"status\":{}}",
						      i, i);
		ao_auto_str char *key = ao_xasprintf("s/%d", i);
		hold(&o, "Owner", text);
		ao_reconciler_parent_changed(o.reconciler, key);
	}
	await(&o, all_failed);
	ao_auto_str char *said = heard();
	peer_stop(&server);
	end(&o);
	peer_free(&server);
	if (count(said, "is not allowed to list seens") != 1)
		fail_msg("the log says:\n%s", said);
}

#define LIVE                                                                                                                               \
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"generation\":1,\"resourceVersion\":\"6\","                      \
	"\"finalizers\":[\"test.io/f\"]},\"spec\":{},\"status\":{}}"

#define IS(request, text) (strncmp(request, text, sizeof(text) - 1) == 0)

/** The rights of `manifest` and of the chart: parents may be listed and patched. What was put is older than what the server has. */
static void answer_lister(peer_conn *conn, const char *request)
{
	bool *done = conn->owner->arg;
	if (IS(request, "PATCH /apis/test.io/v1/namespaces/s/owners/a/status?")) {
		*done = strstr(request, "\"resourceVersion\":\"6\"") != NULL;
		peer_reply(conn, "409 Conflict", "", "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"it was changed\"}");
	} else if (IS(request, "GET /apis/test.io/v1/namespaces/s/owners?fieldSelector=metadata.name%3Da ")) {
		peer_reply(conn, "200 OK", "",
			   "{\"apiVersion\":\"test.io/v1\",\"kind\":\"OwnerList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[" LIVE
			   "]}");
	} else if (IS(request, "GET /apis/test.io/v1/namespaces/s/owners/a ")) {
		peer_reply(conn, "403 Forbidden", "", "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"may not get it\"}");
	} else {
		peer_abort(conn);
	}
}

static void a_parent_whose_status_came_too_late_is_looked_at_though_it_may_only_be_listed(void **state)
{
	(void)state;
	operator_ o;
	peer server;
	bool done = false;
	begin(&o, "return require 'policy'.define { name = 'p', render = function() end }", NULL);
	peer_start(&server, o.loop, answer_lister, &done);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", server.port);
	hold_parent(&o, "", "");
	ao_reconciler_parent_changed(o.reconciler, "s/a");
	ao_loop_run_until(o.loop, &done, patient_ms(5000));
	peer_stop(&server);
	end(&o);
	peer_free(&server);
	if (!done)
		fail_msg("no status was written to what is there now");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_right_that_is_missing_is_told_once_and_not_for_each_parent),
	    cmocka_unit_test(a_parent_whose_status_came_too_late_is_looked_at_though_it_may_only_be_listed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
