/* test_reconcile_copy.c -- the copy of a Secret: only what is the parent's own is written to. A peer plays the server. */
#include "queues/secrets.h"
#include "reconcile/pass.h"
#include "test/test_net_peer.h"
#include "json/json.h"

#define SECRET(namespace_, name, rest)                                                                                                     \
	"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" namespace_                       \
	"\",\"uid\":\"u-" name "\"" rest "}"
#define VERSION(version) ",\"resourceVersion\":\"" version "\""
#define OWNED(uid) ",\"ownerReferences\":[{\"kind\":\"Thing\",\"name\":\"other\",\"uid\":\"" uid "\",\"controller\":true}]}"
#define SOURCE SECRET("ops", "broker", "},\"data\":{\"pw\":\"aHVudGVyMg==\"}")
#define ABSENT "{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"no\",\"details\":{\"name\":\"a-creds\",\"kind\":\"secrets\"}}"

static const char *const ITEM =
    "{\"role\":\"credentials\",\"sources\":{\"password\":{\"namespace\":\"ops\",\"name\":\"broker\",\"key\":\"pw\"}},\"object\":"
    "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"type\":\"Opaque\",\"metadata\":{\"name\":\"a-creds\",\"namespace\":\"n\","
    "\"ownerReferences\":[{\"apiVersion\":\"x/v1\",\"kind\":\"Thing\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true}]}}}";

typedef struct fixture {
	ao_loop *loop;
	peer peer;
	ao_kubeconfig config;
	ao_manifest manifest;
	ao_reconciler reconciler;
	ao_parent parent;
	ao_op op;
	ao_pass pass;
	cJSON *item;
	const char *there; /* the Secret that has the name of the copy; NULL: none */
	bool changes;      /* writing to it changes it */
	ao_buf asked, written, told;
	bool ended;
	ao_op_result result;
} fixture;

/* ---- what parent_op.c calls of pass.c ---- */

static fixture *current;

void ao_pass_resume(ao_pass *pass, ao_op_result result)
{
	(void)pass;
	current->ended = true;
	current->result = result;
	ao_loop_stop(current->loop);
}

cJSON *ao_pass_note_error(ao_pass *pass, const char *verb, const char *kind, const char *role, const char *name)
{
	(void)verb, (void)kind, (void)role, (void)name;
	cJSON *error = cJSON_CreateObject();
	cJSON_AddItemToArray(pass->outcome.errors, error);
	return error;
}

ao_op_result ao_pass_skip_namespace(ao_pass *pass, long status) { return (void)pass, status ? AO_OP_STOP : AO_OP_END; }

void ao_pass_parent_error(ao_pass *pass, const char *verb, const ao_kube_answer *answer) { (void)pass, (void)verb, (void)answer; }

void ao_pass_tell_change(ao_pass *pass, const char *verb, const char *kind, const char *name, const char *difference)
{
	(void)pass;
	assert_null(difference);
	ao_buf_printf(&current->told, "%s %s %s\n", verb, kind, name);
}

const ao_object *ao_pass_object(const ao_pass *pass)
{
	(void)pass;
	return NULL;
}

void ao_pass_patch(ao_pass *pass, const ao_object *object, const char *subresource, const char *content_type, const cJSON *patch,
		   ao_kube_fn fn)
{
	(void)pass, (void)object, (void)subresource, (void)content_type, (void)patch, (void)fn;
}

/* ---- the server ---- */

static void answer(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	bool source = strstr(request, "/secrets/broker") != NULL, get = strncmp(request, "GET", 3) == 0;
	ao_buf_printf(&f->asked, "%.*s%s ", (int)strcspn(request, " "), request, source ? " source" : "");
	if (source || (get && f->there)) {
		peer_reply(conn, "200 OK", "", source ? SOURCE : f->there);
	} else if (get) {
		peer_reply(conn, "404 Not Found", "", ABSENT);
	} else {
		ao_buf_printf(&f->written, "%s\n", strstr(request, "\r\n\r\n") + 4);
		peer_reply(conn, "200 OK", "",
			   f->changes ? SECRET("n", "a-creds", VERSION("2") OWNED("u")) : SECRET("n", "a-creds", VERSION("1") OWNED("u")));
	}
}

static void run(fixture *f, const char *there, bool changes)
{
	*f = (fixture){.loop = ao_loop_new(),
		       .there = there,
		       .changes = changes,
		       .manifest = {.field_manager = (char *)"m"},
		       .parent = {.key = "n/a"}};
	current = f;
	f->asked = f->written = f->told = ao_buf_init(1 << 16);
	ao_log_setup(AO_LOG_ERROR, false);
	peer_start(&f->peer, f->loop, answer, f);
	f->config = (ao_kubeconfig){.server = ao_xasprintf("http://127.0.0.1:%d", f->peer.port)};
	assert_int_equal(ao_kube_new(f->loop, &f->config, "asya-test", &f->reconciler.with.kube, NULL), 0);
	assert_int_equal(ao_json_parse(ITEM, strlen(ITEM), &f->item, NULL), 0);
	f->reconciler.manifest = &f->manifest;
	f->op = (ao_op){.item = f->item};
	f->pass = (ao_pass){.reconciler = &f->reconciler, .parent = &f->parent, .ops = &f->op, .op_count = 1};
	f->pass.outcome.errors = cJSON_CreateArray();
	assert_int_equal(ao_op_copy_secret(&f->pass, f->item), AO_OP_WAIT);
	ao_loop_run_until(f->loop, &f->ended, 10000);
	assert_true(f->ended);
}

static void end(fixture *f)
{
	ao_secrets_cancel(f->pass.secrets);
	free(f->pass.copy_uid);
	free(f->pass.copy_version);
	cJSON_Delete(f->pass.outcome.errors);
	ao_kube_free(f->reconciler.with.kube);
	peer_stop(&f->peer);
	assert_int_equal(ao_loop_close(f->loop), 0);
	peer_free(&f->peer);
	cJSON_Delete(f->item);
	ao_buf_free(&f->asked);
	ao_buf_free(&f->written);
	ao_buf_free(&f->told);
	free(f->config.server);
}

static void a_secret_that_is_not_the_parents_stays_as_it_is(void **state)
{
	static const char *const THERE[] = {SECRET("n", "a-creds", "},\"data\":{\"password\":\"dGhlaXJz\"}"),
					    SECRET("n", "a-creds", OWNED("u2"))};
	static const char *const WHOSE[] = {"is not ours", "belongs to Thing other"};
	(void)state;
	for (size_t i = 0; i < AO_LEN(THERE); i++) {
		fixture f;
		run(&f, THERE[i], true);
		assert_null(f.written.data);
		assert_int_equal(f.result, AO_OP_STOP);
		assert_non_null(strstr(ao_json_str(f.pass.outcome.errors->child, "message"), WHOSE[i]));
		end(&f);
	}
}

static void the_parents_own_is_written_by_its_uid(void **state)
{
	fixture f;
	(void)state;
	run(&f, SECRET("n", "a-creds", OWNED("u")), true);
	assert_int_equal(f.result, AO_OP_DONE);
	assert_string_equal(f.asked.data, "GET GET source PATCH ");
	assert_non_null(strstr(f.written.data, "\"uid\":\"u-a-creds\""));
	assert_non_null(strstr(f.written.data, "\"data\":{\"password\":\"aHVudGVyMg==\"}"));
	end(&f);
}

/** What is made by an apply alone could be put over one that was made meanwhile. */
static void one_that_is_not_there_is_made_before_it_is_filled(void **state)
{
	fixture f;
	(void)state;
	run(&f, NULL, true);
	assert_int_equal(f.result, AO_OP_DONE);
	assert_string_equal(f.asked.data, "GET GET source POST GET source PATCH ");
	assert_non_null(strstr(strchr(f.written.data, '\n'), "\"uid\":\"u-a-creds\""));
	assert_null(memmem(f.written.data, (size_t)(strchr(f.written.data, '\n') - f.written.data), "aHVudGVyMg", 10));
	assert_string_equal(f.told.data ? f.told.data : "", "created Secret a-creds\n");
	end(&f);
}

/** Somebody else may write to it, too, each time after us. That is seen in the log, and rest is not. */
static void what_a_write_has_changed_is_told(void **state)
{
	(void)state;
	for (int changes = 0; changes < 2; changes++) {
		fixture f;
		run(&f, SECRET("n", "a-creds", VERSION("1") OWNED("u")), changes);
		assert_int_equal(f.result, AO_OP_DONE);
		assert_string_equal(f.told.data ? f.told.data : "", changes ? "updated Secret a-creds\n" : "");
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_secret_that_is_not_the_parents_stays_as_it_is),
	    cmocka_unit_test(the_parents_own_is_written_by_its_uid),
	    cmocka_unit_test(one_that_is_not_there_is_made_before_it_is_filled),
	    cmocka_unit_test(what_a_write_has_changed_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
