/* test_reconcile_told.c -- when the first status of a parent is told whose child has just been made. A peer plays the server. */
#include "test/patience.h"
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

#define POLICY(status)                                                                                                                     \
	"return require 'policy'.define { name = 'p', render = function(actor, ctx, plan)"                                                 \
	" plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' }, spec = { n = 1 } }) end,"                      \
	" status = function(actor, ctx, status, plan) " status " end }"

typedef struct fixture {
	operator_ o;
	peer peer;
	peer_conn *creates; /* waits for the answer to the child that it is to make */
	bool asked, told;   /* for the child; the status */
} fixture;

static void answer(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	if (strncmp(request, "POST /api/v1/namespaces/s/things", 32) == 0) {
		f->creates = conn;
		f->asked = true;
		return;
	}
	f->told = f->told || (strstr(request, "/owners/a/status") && strstr(request, "\"phase\""));
	peer_abort(conn);
}

/** A parent comes, and its child is under way. */
static void setup(fixture *f, const char *policy)
{
	*f = (fixture){0};
	begin(&f->o, policy, NULL);
	peer_start(&f->peer, f->o.loop, answer, f);
	f->o.config.server = ao_xasprintf("http://127.0.0.1:%d", f->peer.port);
	hold_parent(&f->o, "", "");
	ao_reconciler_parent_changed(f->o.reconciler, "s/a");
	assert_true(ao_loop_run_until(f->o.loop, &f->asked, 5000));
}

static void make_child(const fixture *f)
{
	ao_auto_str char *child = child_text("a", "");
	ao_auto_str char *body = ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Thing\",%s", child + 1);
	peer_reply(f->creates, "201 Created", "", body);
}

static void teardown(fixture *f)
{
	ao_auto_str char *url = f->o.config.server;
	peer_stop(&f->peer);
	end(&f->o);
	peer_free(&f->peer);
}

/** The children are there and nothing says of what they were made: the operator after us would write each of them again. */
static void by_an_operator_that_is_asked_to_end_at_once(void **state)
{
	(void)state;
	fixture f;
	setup(&f, POLICY("status.phase = 'Creating' plan:rolling_out()"));
	ao_reconciler_end(f.o.reconciler);
	assert_false(ao_reconciler_ended(f.o.reconciler));
	make_child(&f);
	assert_true(ao_loop_run_until(f.o.loop, &f.told, 2000));
	teardown(&f);
}

/** Nothing becomes of such a child, so no news of it makes us look again: we do, however many others begin. */
static void soon_where_all_is_done_with_the_child(void **state)
{
	(void)state;
	fixture f;
	setup(&f, POLICY("status.phase = 'Done'"));
	f.o.reconciler->untold = 1000;
	make_child(&f);
	assert_true(ao_loop_run_until(f.o.loop, &f.told, patient_ms(8000)));
	teardown(&f);
}

#define PRUNED(version, phase)                                                                                                             \
	"{\"apiVersion\":\"test.io/"                                                                                                       \
	"v1\",\"kind\":\"Owner\",\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"generation\":1,"                         \
	"\"resourceVersion\":\"" version                                                                                                   \
	"\",\"finalizers\":[\"test.io/f\"],\"annotations\":{}},\"spec\":{},\"status\":{\"phase\":\"" phase "\"}}"

/** A server that keeps nothing of a status but the phase, because its CRD knows no more. */
static void answer_pruned(peer_conn *conn, const char *request)
{
	unsigned *written = conn->owner->arg;
	if (!strstr(request, "/owners/a/status")) {
		peer_abort(conn);
		return;
	}
	++*written;
	peer_reply(conn, "200 OK", "", *written > 1 ? PRUNED("11", "Done") : PRUNED("9", "Done"));
}

/** Has it written the status just so often, after another pass? */
static bool is_written_so_often(operator_ *o, const unsigned *written, unsigned count)
{
	const bool never = false;
	ao_reconciler_parent_changed(o->reconciler, "s/a");
	for (int turns = 0; turns < 50 && *written <= count; turns++)
		ao_loop_run_until(o->loop, &never, 10);
	return *written == count;
}

/** Each pass wrote it anew, and nothing came of that. */
static void once_what_the_server_does_not_keep(void **state)
{
	(void)state;
	operator_ o;
	peer p;
	unsigned written = 0;
	begin(&o, POLICY("status.phase, status.more = 'Done', 'x'"), NULL);
	peer_start(&p, o.loop, answer_pruned, &written);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
	hold_parent(&o, "", "");
	hold_child(&o, "a", "");
	assert_true(is_written_so_often(&o, &written, 1));
	assert_true(is_written_so_often(&o, &written, 1));
	hold(&o, "Owner", PRUNED("10", "of somebody else"));
	assert_true(is_written_so_often(&o, &written, 2));
	assert_true(is_written_so_often(&o, &written, 2));
	peer_stop(&p);
	end(&o);
	peer_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_an_operator_that_is_asked_to_end_at_once),
	    cmocka_unit_test(once_what_the_server_does_not_keep),
	    cmocka_unit_test(soon_where_all_is_done_with_the_child),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
