/* test_reconcile_shared.c -- what an edit takes away from an object that parents share. A peer hears what is written. */
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

static const char POLICY[] = "return require 'policy'.define { name = 'p', render = function(actor, ctx, plan) plan:shared('text',"
			     " { apiVersion = 'v1', kind = 'Text', metadata = { name = 't', namespace = 's' }, data = { a = '1', b = "
			     "actor.metadata.annotations.b } }) end }";

static void hear(peer_conn *conn, const char *request)
{
	bool *written = conn->owner->arg;
	*written = *written || (strncmp(request, "PATCH ", 6) == 0 && strstr(request, "/texts/t") && !strstr(request, "\"b\""));
	peer_abort(conn);
}

static void what_is_wanted_no_more_is_taken_away(void **state)
{
	(void)state;
	operator_ o;
	peer p;
	bool written = false;
	begin(&o, POLICY, NULL);
	peer_start(&p, o.loop, hear, &written);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
	hold(&o, "Text", "{\"metadata\":{\"name\":\"t\",\"namespace\":\"s\",\"uid\":\"u-t\"},\"data\":{\"a\":\"1\",\"b\":\"2\"}}");
	hold_parent(&o, "\"b\":\"2\"", "");
	const ao_parent *parent = look(&o);
	for (int turns = 0; turns < 200 && !parent->settled; turns++)
		ao_loop_run_until(o.loop, &written, 10);
	assert_true(parent->settled);
	assert_false(written);
	hold_parent(&o, "", "");
	ao_reconciler_parent_changed(o.reconciler, "s/a");
	assert_true(ao_loop_run_until(o.loop, &written, 3000));
	peer_stop(&p);
	end(&o);
	peer_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_wanted_no_more_is_taken_away),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
