/* test_reconcile_patch.c -- labels, and fields of the status, that policies put on somebody else's object. A peer plays the server. */
#define KINDS                                                                                                                              \
	"return require 'policy'.manifest { parent = 'v1 Item', domain = 'd.io', component = 'm', field_manager = 'm', decorate = { "      \
	"annotations = { paint = "                                                                                                         \
	"true } }, patches = true }"
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

static const char POLICY[] = "return require 'policy'.define { name = 'p', render = function(actor, ctx, plan)"
			     " plan:patch { labels = { p = '1', q = actor.metadata.annotations.q } } end }";

typedef struct server {
	bool silent;   /* carries out what it is asked, and does not say so */
	bool asked[2]; /* for the labels without q, and with it */
} server;

/** @param fields  that we hold. @param annotations, labels  members, beside those that are always there */
static char *held_text(const char *fields, const char *annotations, const char *labels)
{
	return ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Item\",\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\","
			    "\"annotations\":{\"paint\":\"1\"%s},\"labels\":{\"p\":\"1\"%s},\"managedFields\":[{\"manager\":\"m\","
			    "\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{%s}}]}}",
			    annotations, labels, fields);
}

static char *item_text(const char *annotations, const char *labels) { return held_text("", annotations, labels); }

static void hold_item(operator_ *o, const char *annotations, const char *labels)
{
	ao_auto_str char *text = item_text(annotations, labels);
	hold(o, "Item", text);
	ao_reconciler_parent_changed(o->reconciler, "s/a");
}

static void answer(peer_conn *conn, const char *request)
{
	server *s = conn->owner->arg;
	ao_auto_str char *body = item_text("", "");
	s->asked[strstr(request, "\"q\"") != NULL] |= strncmp(request, "PATCH ", 6) == 0;
	if (s->silent)
		peer_abort(conn);
	else
		peer_reply(conn, "200 OK", "", body);
}

static void a_label_whose_answer_was_lost_can_be_taken_back(void **state)
{
	(void)state;
	const bool never_done = false;
	operator_ o;
	peer p;
	server s = {0};
	begin(&o, POLICY, NULL);
	peer_start(&p, o.loop, answer, &s);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
	hold_item(&o, "", "");
	assert_true(ao_loop_run_until(o.loop, &s.asked[false], 5000));
	ao_loop_run_until(o.loop, &never_done, 300);
	s = (server){.silent = true};
	hold_item(&o, ",\"q\":\"2\"", "");
	assert_true(ao_loop_run_until(o.loop, &s.asked[true], 5000));
	hold_item(&o, "", ",\"q\":\"2\"");
	assert_true(ao_loop_run_until(o.loop, &s.asked[false], 5000));
	peer_stop(&p);
	end(&o);
	peer_free(&p);
}

/** The record of a rollout, or a child, is of the kind of the parents, too: an apply of labels, or of nothing, would empty it. */
static void what_we_have_made_is_not_decorated(void **state)
{
	(void)state;
	for (int chosen = 0; chosen < 2; chosen++) {
		const bool never_done = false;
		operator_ o;
		peer p;
		server s = {0};
		begin(&o, POLICY, NULL);
		peer_start(&p, o.loop, answer, &s);
		ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
		ao_auto_str char *made = held_text("\"f:data\":{\"f:a\":{}}", "", ",\"r\":\"1\"");
		memcpy(strstr(made, "paint"), chosen ? "paint" : "point", 5);
		hold(&o, "Item", made);
		ao_reconciler_parent_changed(o.reconciler, "s/a");
		ao_loop_run_until(o.loop, &never_done, 300);
		assert_false(s.asked[0] || s.asked[1]);
		peer_stop(&p);
		end(&o);
		peer_free(&p);
	}
}

#define STATUSES                                                                                                                           \
	"return require 'policy'.manifest { parent = 'v1 Item', domain = 'd.io', component = 'm', field_manager = 'm', decorate = { "      \
	"annotations = { paint = true } }, patches_status = true }"
static const char STATUS_POLICY[] = "return require 'policy'.define { name = 'p', render = function(item, _, plan)"
				    " plan:patch { status = { colour = item.status and item.status.theirs or 'red' } } end }";

/** An item of whose status we hold something. @param annotations, status  members */
static char *status_text(const char *annotations, const char *status)
{
	return ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Item\",\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\","
			    "\"annotations\":{%s},\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Apply\",\"subresource\":\"status\","
			    "\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{}}]},\"status\":{%s}}",
			    annotations, status);
}

/** What the server was asked to put into the status. */
typedef struct statuses {
	bool red, blue, nothing, other;
} statuses;

static void answer_status(peer_conn *conn, const char *request)
{
	statuses *s = conn->owner->arg;
	static const char AT[] = "PATCH /api/v1/namespaces/s/items/a/status?fieldManager=m ";
	bool at = strncmp(request, AT, sizeof(AT) - 1) == 0, red = at && strstr(request, "\"status\":{\"colour\":\"red\"}"),
	     blue = at && strstr(request, "\"status\":{\"colour\":\"blue\"}"), nothing = at && !strstr(request, "\"status\":");
	s->red |= red, s->blue |= blue, s->nothing |= nothing;
	s->other |= strncmp(request, "PATCH ", 6) == 0 && !red && !blue && !nothing;
	ao_auto_str char *body = status_text("\"paint\":\"1\"", red    ? "\"colour\":\"red\""
								: blue ? "\"theirs\":\"blue\",\"colour\":\"blue\""
								       : "");
	peer_reply(conn, "200 OK", "", body);
}

static void hold_status(operator_ *o, const char *annotations, const char *status)
{
	ao_auto_str char *text = status_text(annotations, status);
	hold(o, "Item", text);
	ao_reconciler_parent_changed(o->reconciler, "s/a");
}

static void await_end_of_pass(operator_ *o)
{
	const bool never_done = false;
	for (int turns = 0; turns < 200; turns++) {
		const ao_parent *parent = ao_map_get(o->reconciler->parents, "s/a");
		if (parent && parent->settled && !parent->pass)
			return;
		ao_loop_run_until(o->loop, &never_done, 10);
	}
	fail_msg("the pass does not end");
}

/** ... and when the object is not chosen any more, of a process that knows nothing of what was before it. */
static void fields_of_a_status_are_put_back_follow_it_and_are_taken_away(void **state)
{
	(void)state;
	operator_ o;
	peer p;
	statuses s = {0};
	begin_with(&o, STATUSES, STATUS_POLICY, NULL);
	peer_start(&p, o.loop, answer_status, &s);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
	hold_status(&o, "\"paint\":\"1\"", "");
	assert_true(ao_loop_run_until(o.loop, &s.red, 5000));
	await_end_of_pass(&o);
	s.red = false;
	hold_status(&o, "\"paint\":\"1\"", "");
	assert_true(ao_loop_run_until(o.loop, &s.red, 5000));
	await_end_of_pass(&o);
	hold_status(&o, "\"paint\":\"1\"", "\"colour\":\"red\",\"theirs\":\"blue\"");
	assert_true(ao_loop_run_until(o.loop, &s.blue, 5000));
	assert_false(s.nothing);
	peer_stop(&p);
	end(&o);
	peer_free(&p);

	begin_with(&o, STATUSES, STATUS_POLICY, NULL);
	peer_start(&p, o.loop, answer_status, &s);
	ao_auto_str char *again = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
	hold_status(&o, "", "\"colour\":\"blue\"");
	assert_true(ao_loop_run_until(o.loop, &s.nothing, 5000));
	assert_false(s.other);
	peer_stop(&p);
	end(&o);
	peer_free(&p);
}

static unsigned asked;

/** Takes the status for what it is, and writes it as it always does: otherwise. */
static void answer_in_its_own_words(peer_conn *conn, const char *request)
{
	asked += strncmp(request, "PATCH ", 6) == 0;
	ao_auto_str char *body = status_text("\"paint\":\"1\"", "\"colour\":\"RED\"");
	peer_reply(conn, "200 OK", "", body);
}

static void what_the_server_keeps_otherwise_is_not_put_again_and_again(void **state)
{
	(void)state;
	const bool never_done = false;
	operator_ o;
	peer p;
	asked = 0;
	begin_with(&o, STATUSES, STATUS_POLICY, NULL);
	peer_start(&p, o.loop, answer_in_its_own_words, NULL);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", p.port);
	hold_status(&o, "\"paint\":\"1\"", "");
	ao_loop_run_until(o.loop, &never_done, 3500);
	assert_int_equal(asked, 1);
	hold_status(&o, "\"paint\":\"1\"", ""); /* somebody has taken it away */
	ao_loop_run_until(o.loop, &never_done, 3500);
	assert_int_equal(asked, 2);
	peer_stop(&p);
	end(&o);
	peer_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_label_whose_answer_was_lost_can_be_taken_back),
	    cmocka_unit_test(what_we_have_made_is_not_decorated),
	    cmocka_unit_test(fields_of_a_status_are_put_back_follow_it_and_are_taken_away),
	    cmocka_unit_test(what_the_server_keeps_otherwise_is_not_put_again_and_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
