/* test_reconcile_namespaces.c -- a parent with children in several namespaces, one of which takes nothing. A peer plays the server. */
#define KINDS                                                                                                                              \
	"return require 'policy'.manifest { parent = { apiVersion = 'test.io/v1', kind = 'Owner', plural = 'owners', scope = 'Cluster' }," \
	" children = { { apiVersion = 'v1', kind = 'Thing', plural = 'things' } }, finalizer = false, field_manager = 'm', lease = 'l', "  \
	"component = 'c' }"
#include "test/patience.h"
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

#define THING(namespace_, name)                                                                                                            \
	" plan:add('" namespace_ name "', { apiVersion = 'v1', kind = 'Thing', metadata = { namespace = '" namespace_ "', name = '" name   \
	"' } })"
#define COPY(namespace_)                                                                                                                   \
	" plan:copy_secret('copy " namespace_ "', { metadata = { namespace = '" namespace_                                                 \
	"', name = 'copy' } }, { key = { namespace = 'n', name = 'source', key = 'key' } })"
#define POLICY(render)                                                                                                                     \
	"return require 'policy'.define { name = 'p', render = function(owner, ctx, plan)" render " end,"                                  \
	" status = function(owner, ctx, status)"                                                                                           \
	" if #ctx.outcome.errors > 0 then status.phase = ctx.outcome.errors[1].message end end }"
#define REFUSED "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"the namespace is being terminated\"}"

typedef struct fixture {
	operator_ o;
	peer peer;
	ao_buf made; /* namespace/kind of each that the server was asked to make */
	bool deletes, told;
} fixture;

/** Makes what is to be made, but in the namespace "gone". */
static void answer_post(fixture *f, peer_conn *conn, const char *request)
{
	const char *kind = strstr(request, "/secrets") ? "Secret" : "Thing", *at = strstr(request, "/namespaces/") + 12;
	ao_auto_str char *namespace_ = ao_xstrndup(at, strcspn(at, "/"));
	const char *name = strstr(request, "\"name\":\"second\"") ? "second" : strcmp(kind, "Secret") == 0 ? "copy" : "first";
	ao_buf_printf(&f->made, "%s/%s ", namespace_, name);
	ao_auto_str char *body = ao_xasprintf(
	    "{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"metadata\":{\"namespace\":\"%s\",\"name\":\"%s\",\"uid\":\"u-%s-%s\","
	    "\"resourceVersion\":\"7\",\"ownerReferences\":[{\"kind\":\"Owner\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true}]}}",
	    kind, namespace_, name, namespace_, name);
	bool gone = strcmp(namespace_, "gone") == 0;
	peer_reply(conn, gone ? "403 Forbidden" : "201 Created", "", gone ? REFUSED : body);
}

static void answer(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	f->deletes = f->deletes || strncmp(request, "DELETE ", 7) == 0;
	if (strncmp(request, "POST /api/v1/namespaces/", 24) == 0) {
		answer_post(f, conn, request);
	} else if (strncmp(request, "GET /api/v1/namespaces/n/secrets/source", 39) == 0) {
		peer_reply(
		    conn, "200 OK", "",
		    "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"n\",\"name\":\"source\",\"uid\":\"u-s\"},"
		    "\"data\":{\"key\":\"eA==\"}}");
	} else if (strncmp(request, "GET ", 4) == 0) {
		peer_reply(conn, "404 Not Found", "",
			   "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"no\",\"details\":{\"name\":\"copy\",\"kind\":"
			   "\"secrets\"}}");
	} else if (strncmp(request, "PATCH /api/v1/namespaces/here/secrets/copy", 42) == 0) {
		peer_reply(conn, "200 OK", "",
			   "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"here\",\"name\":\"copy\",\"uid\":"
			   "\"u-here-copy\",\"resourceVersion\":\"8\"}}");
	} else {
		f->told = f->told || (strstr(request, "/owners/a/status") && strstr(request, "the namespace is being terminated"));
		peer_abort(conn);
	}
}

/** Lets the parent have a pass, until it has told that something failed. @return what the server was asked to make; the caller frees */
static char *make(const char *policy)
{
	fixture f = {.made = ao_buf_init(1 << 16)};
	begin(&f.o, policy, NULL);
	peer_start(&f.peer, f.o.loop, answer, &f);
	f.o.config.server = ao_xasprintf("http://127.0.0.1:%d", f.peer.port);
	ao_auto_str char *url = f.o.config.server;
	hold(&f.o, "Owner", "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"generation\":1,\"resourceVersion\":\"5\"},\"spec\":{}}");
	hold(&f.o, "Thing", "{\"metadata\":{\"namespace\":\"here\",\"name\":\"old\",\"uid\":\"u-old\"," OWNED "}}");
	ao_reconciler_parent_changed(f.o.reconciler, "a");
	assert_true(ao_loop_run_until(f.o.loop, &f.told, patient_ms(5000)));
	assert_false(f.deletes); /* what the plan lacks goes when all that it wants is there */
	peer_stop(&f.peer);
	end(&f.o);
	peer_free(&f.peer);
	char *made = ao_xstrdup(f.made.data);
	ao_buf_free(&f.made);
	return made;
}

static void others_get_their_children_and_in_the_one_that_fails_the_order_is_kept(void **state)
{
	(void)state;
	ao_auto_str char *made =
	    make(POLICY(THING("gone", "first") THING("here", "first") THING("gone", "second") THING("there", "first")));
	assert_string_equal(made, "gone/first here/first there/first ");
}

static void others_get_their_copies_and_what_needs_them(void **state)
{
	(void)state;
	ao_auto_str char *made = make(POLICY(COPY("gone") COPY("here") THING("gone", "first") THING("here", "first")));
	assert_string_equal(made, "gone/copy here/copy here/first ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(others_get_their_children_and_in_the_one_that_fails_the_order_is_kept),
	    cmocka_unit_test(others_get_their_copies_and_what_needs_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
