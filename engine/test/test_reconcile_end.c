/* test_reconcile_end.c -- an operator that is asked to end while it makes children. A peer plays the server. */
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

static const char POLICY[] = "return require 'policy'.define { name = 'p', render = function(actor, ctx, plan)"
			     " plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' }, spec = { n = 1 } }) end,"
			     " status = function(actor, ctx, status, plan) status.phase = 'Creating' plan:rolling_out() end }";

typedef struct server {
	peer_conn *creates; /* waits for the answer to the child that it is to make */
	bool asked, told;   /* for the child; the status */
} server;

static void answer(peer_conn *conn, const char *request)
{
	server *s = conn->owner->arg;
	if (strncmp(request, "POST /api/v1/namespaces/s/things", 32) == 0) {
		s->creates = conn;
		s->asked = true;
		return;
	}
	s->told = s->told || (strstr(request, "/owners/a/status") && strstr(request, "Creating"));
	peer_abort(conn);
}

/** The children are there and nothing says of what they were made: the operator after us would write each of them again. */
static void what_a_pass_under_way_has_made_is_told(void **state)
{
	(void)state;
	operator_ o;
	peer p;
	server s = {0};
	begin(&o, POLICY, NULL);
	peer_start(&p, o.loop, answer, &s);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port), *child = child_text("a", "");
	ao_auto_str char *body = ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Thing\",%s", child + 1);
	hold_parent(&o, "", "");
	ao_reconciler_parent_changed(o.reconciler, "s/a");
	assert_true(ao_loop_run_until(o.loop, &s.asked, 5000));
	ao_reconciler_end(o.reconciler);
	assert_false(ao_reconciler_ended(o.reconciler));
	peer_reply(s.creates, "201 Created", "", body);
	assert_true(ao_loop_run_until(o.loop, &s.told, 2000));
	peer_stop(&p);
	end(&o);
	peer_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_a_pass_under_way_has_made_is_told)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
