/* test_reconcile_patch.c -- labels that policies put on somebody else's object. A peer plays the server. */
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

/** @param annotations, labels  members, beside those that are always there */
static char *item_text(const char *annotations, const char *labels)
{
	return ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Item\",\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\","
			    "\"annotations\":{\"paint\":\"1\"%s},\"labels\":{\"p\":\"1\"%s},\"managedFields\":[{\"manager\":\"m\","
			    "\"operation\":\"Apply\",\"apiVersion\":\"v1\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{}}]}}",
			    annotations, labels);
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_label_whose_answer_was_lost_can_be_taken_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
