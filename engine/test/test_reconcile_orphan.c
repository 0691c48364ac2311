/*
 * test_reconcile_orphan.c -- a parent that is to go and has no children: were they taken away by an operator before us, or has Kubernetes let
 * go of them?  A peer plays the server; queues are not asked for at brokers, but noted.
 */
#include "reconcile/settled.h"
#include "test/patience.h"
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

#define POLICY                                                                                                                             \
	"return require 'policy'.define { name = 'p', kinds = { { apiVersion = 'v1', kind = 'Other', plural = 'others' } },"               \
	" validate = function(owner) if owner.spec.bad then return require 'policy'.invalid('spec.bad', 'no') end end,"                    \
	" render = function(owner, ctx, plan) plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' } }) end,"    \
	" queues = function(owner, ctx, plan) plan:queue { name = 'q', transport = 't' } end }"
#define GONE_OF(plural)                                                                                                                    \
	"{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"no\",\"details\":{\"name\":\"a\",\"kind\":\"" plural "\"}}"
#define GONE GONE_OF("things")
#define NO_PAGE "404 page not found\n"
#define FORBIDDEN "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"may not get things\"}"
#define DENIED "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"a webhook denied it\"}"
#define CONFLICT "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"the resourceVersion is another one\"}"
#define MOVED                                                                                                                              \
	"{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"moved\",\"namespace\":\"s\",\"uid\":\"u-moved\","              \
	"\"resourceVersion\":\"8\"}}"
#define LET_GO                                                                                                                             \
	"{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u-a\","                      \
	"\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Apply\"}]}}"

/** One child that is as it was made until somebody deletes it, and others that are left to finish. */
#define KEEPS                                                                                                                              \
	"return require 'policy'.define { name = 'p', kinds = { { apiVersion = 'v1', kind = 'Other', plural = 'others',"                   \
	" update = 'OnDelete' } }, render = function(owner, ctx, plan) plan:add('other', { apiVersion = 'v1', kind = 'Other',"             \
	" metadata = { name = 'a' }, spec = { n = 2 } })"                                                                                  \
	" for _, child in ipairs(ctx.children) do if child.kind == 'Thing' then plan:keep(child) end end end,"                             \
	" queues = function(owner, ctx, plan) plan:queue { name = 'q', transport = 't' } end }"
#define WAITS                                                                                                                              \
	"return require 'policy'.define { name = 'p', finalize_seconds = 60, finalize = function() return 'the backup' end,"               \
	" status = function(owner, ctx, status) status.phase = 'Going' end }"
#define BY_US "\"managedFields\":[{\"manager\":\"m\",\"operation\":\"Apply\"}]"

typedef struct fixture {
	operator_ o;
	peer peer;
	const char *status, *body;   /* of the answer to who asks for the child */
	const char *things, *others; /* what there is of a kind beside it, in a list */
	bool denies;                 /* the deletion of children */
	bool hides;                  /* what there is */
	bool lacks;                  /* the kinds */
	cJSON *told;                 /* of its status; NULL: nothing yet */
	bool asked, tried, killed, listed, released, tells;
} fixture;

static bool deleted; /* the queue */

/* ---- what plan_op.c and its neighbours call of queue_op.c ---- */

ao_op_result ao_op_ensure_queue(ao_pass *pass, const cJSON *queue) { return (void)pass, (void)queue, AO_OP_DONE; }
ao_op_result ao_op_delete_queue(ao_pass *pass, const cJSON *queue)
{
	(void)pass;
	assert_string_equal(ao_json_str(queue, "name"), "q");
	deleted = true;
	return AO_OP_DONE;
}
ao_op_result ao_op_leave_queues(ao_pass *pass, const cJSON *item) { return (void)pass, (void)item, AO_OP_DONE; }
void ao_pass_leave(ao_pass *pass, char *sentence)
{
	(void)pass;
	free(sentence);
}

static void answer_list(fixture *f, peer_conn *conn, const char *kind, const char *items)
{
	f->listed = true;
	ao_auto_str char *list =
	    ao_xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"%sList\",\"metadata\":{\"resourceVersion\":\"9\"},\"items\":[%s]}", kind,
			 items ? items : "");
	if (f->lacks)
		peer_reply(conn, "404 Not Found", "", NO_PAGE);
	else
		peer_reply(conn, f->hides ? "403 Forbidden" : "200 OK", "", f->hides ? FORBIDDEN : list);
}

static void answer(peer_conn *conn, const char *request)
{
	fixture *f = conn->owner->arg;
	if (strncmp(request, "GET /api/v1/namespaces/s/things?", 32) == 0) {
		answer_list(f, conn, "Thing", f->things);
	} else if (strncmp(request, "GET /api/v1/namespaces/s/others?", 32) == 0) {
		answer_list(f, conn, "Other", f->others);
	} else if (strncmp(request, "PATCH ", 6) == 0 && strstr(request, "/owners/a/status")) {
		cJSON_Delete(f->told);
		f->told = cJSON_Parse(strstr(request, "\r\n\r\n"));
		f->tells = true;
		peer_abort(conn);
	} else if (strncmp(request, "GET /api/v1/namespaces/s/things/a", 33) == 0 ||
		   strncmp(request, "GET /api/v1/namespaces/s/others/a", 33) == 0) {
		f->asked = true;
		peer_reply(conn, f->status, "", f->body);
	} else if (strncmp(request, "GET /api/v1/things?", 19) == 0 || strncmp(request, "GET /api/v1/others?", 19) == 0) {
		peer_reply(conn, "404 Not Found", "", NO_PAGE);
	} else if (strncmp(request, "GET /api/v1 ", 12) == 0) {
		peer_reply(conn, "200 OK", "", "{\"kind\":\"APIResourceList\",\"resources\":[]}");
	} else if (strncmp(request, "DELETE /api/v1/namespaces/s/things/moved", 40) == 0 && strstr(request, "\"resourceVersion\":\"7\"")) {
		f->tried = true;
		peer_reply(conn, "409 Conflict", "", CONFLICT);
	} else if (strncmp(request, "GET /api/v1/namespaces/s/things/moved", 37) == 0) {
		peer_reply(conn, "200 OK", "", MOVED);
	} else if (strncmp(request, "DELETE /api/v1/namespaces/s/things/", 35) == 0) {
		f->tried = f->killed = true;
		peer_reply(conn, f->denies ? "400 Bad Request" : "200 OK", "",
			   f->denies ? DENIED : "{\"kind\":\"Status\",\"status\":\"Success\"}");
	} else if (strncmp(request, "PATCH ", 6) == 0 && strstr(request, "/metadata/finalizers/0")) {
		f->released = true;
		peer_reply(conn, "200 OK", "", "{}");
	} else {
		peer_abort(conn);
	}
}

static void begin_with_policy(fixture *f, const char *policy, const char *status, const char *body)
{
	*f = (fixture){.status = status, .body = body};
	deleted = false;
	begin(&f->o, policy, NULL);
	peer_start(&f->peer, f->o.loop, answer, f);
	f->o.config.server = ao_xasprintf("http://127.0.0.1:%d", f->peer.port);
}

static void begin_to_lead(fixture *f, const char *status, const char *body) { begin_with_policy(f, POLICY, status, body); }

/** One that is to go. */
static void find(fixture *f, const char *spec, const char *status)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"generation\":1,\"resourceVersion\":\"5\","
			 "\"deletionTimestamp\":\"2999-01-01T00:00:00Z\",\"finalizers\":[\"test.io/f\"]},\"spec\":{%s},\"status\":{%s}}",
			 spec, status);
	hold(&f->o, "Owner", text);
	ao_reconciler_parent_changed(f->o.reconciler, "s/a");
}

static void await_release(fixture *f)
{
	if (!ao_loop_run_until(f->o.loop, &f->released, patient_ms(3000)))
		fail_msg("the parent is never let go of");
}

/** Waits for the release, which leaves the queue. */
static void must_keep_queue(fixture *f)
{
	await_release(f);
	if (deleted)
		fail_msg("the queue was deleted, and a child that was let go works on it");
}

/** Its watch tells that a child is not the parent's any more. */
static void lose(fixture *f, const char *key)
{
	ao_store_remove(ao_world_store(f->o.world, &f->o.manifest->kinds[1]), key);
	ao_reconciler_parent_changed(f->o.reconciler, "s/a");
}

static void leave(fixture *f)
{
	ao_auto_str char *url = f->o.config.server;
	peer_stop(&f->peer);
	end(&f->o);
	peer_free(&f->peer);
	cJSON_Delete(f->told);
}

static void a_queue_stays_with_a_child_that_was_let_go(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "200 OK", LET_GO);
	find(&f, "", "");
	await_release(&f);
	assert_false(deleted);
	leave(&f);
}

static void a_queue_goes_with_children_that_an_operator_before_us_has_deleted(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	find(&f, "", "");
	await_release(&f);
	assert_true(deleted);
	leave(&f);
}

/** They are not asked for either: that they are gone is known. */
static void a_queue_goes_with_children_that_we_have_deleted(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	hold_child(&f.o, "a", "");
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.tried, 3000);
	lose(&f, "s/a");
	await_release(&f);
	assert_true(deleted);
	assert_false(f.asked);
	leave(&f);
}

/** Policies may have a child made after the others were let go, when they are asked whether the parent may go. */
static void a_queue_stays_with_one_child_though_another_was_deleted(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "200 OK", LET_GO);
	hold_child(&f.o, "backup", "");
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.tried, 3000);
	lose(&f, "s/backup");
	must_keep_queue(&f);
	leave(&f);
}

static void a_queue_stays_with_a_child_that_could_not_be_deleted_and_was_let_go(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "200 OK", LET_GO);
	f.denies = true;
	hold_child(&f.o, "a", "");
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.tried, 3000);
	lose(&f, "s/a");
	must_keep_queue(&f);
	leave(&f);
}

/** The watch of the parent may be quicker than that of its children. */
static void a_child_that_was_let_go_is_not_deleted_before_its_watch_tells(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	hold(&f.o, "Thing",
	     "{\"metadata\":{\"name\":\"moved\",\"namespace\":\"s\",\"uid\":\"u-moved\",\"resourceVersion\":\"7\"," OWNED "}}");
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.tried, 3000);
	bool killed = f.killed;
	lose(&f, "s/moved");
	await_release(&f);
	leave(&f);
	if (killed)
		fail_msg("a child was deleted that is not the parent's any more");
}

/** The parent was edited, or its policies, while nobody was there, so that its plan has other names or kinds now. */
static void a_queue_stays_with_a_child_that_was_let_go_and_is_not_in_the_plan_any_more(void **state)
{
	(void)state;
	static const char *const LET_GO_ARE[] = {"{\"metadata\":{\"name\":\"x\",\"labels\":{\"app\":\"a\"}," BY_US "}}",
						 "{\"metadata\":{\"name\":\"old-a\"," BY_US "}}"};
	for (size_t i = 0; i < 2 * AO_LEN(LET_GO_ARE); i++) {
		fixture f;
		begin_to_lead(&f, "404 Not Found", GONE);
		*(i % 2 ? &f.things : &f.others) = LET_GO_ARE[i / 2];
		find(&f, "", "");
		must_keep_queue(&f);
		leave(&f);
	}
}

/** Those of other parents, and of somebody else, which have its name by chance; and one that it does not have by chance. */
static void a_queue_goes_though_others_have_children_that_were_let_go(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	f.things = "{\"metadata\":{\"name\":\"old-b\"," BY_US "}},{\"metadata\":{\"name\":\"old-a\"," BY_US
		   ",\"ownerReferences\":[{\"uid\":\"u-b\",\"controller\":true}]}}";
	f.others = "{\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"manager\":\"helm\",\"operation\":\"Apply\"}]}}";
	find(&f, "", "");
	await_release(&f);
	assert_true(f.listed);
	assert_true(deleted);
	leave(&f);
}

/** Its plan names no children, so nobody knows whom to ask for. */
static void a_queue_stays_where_children_of_an_invalid_parent_may_work_on_it(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "200 OK", LET_GO);
	find(&f, "\"bad\":true", "\"rendered\":\"0123456789abcdef\"");
	must_keep_queue(&f);
	leave(&f);
}

static void a_queue_goes_with_an_invalid_parent_that_never_had_children_or_whose_we_have_deleted(void **state)
{
	(void)state;
	for (int had = 0; had < 2; had++) {
		fixture f;
		begin_to_lead(&f, "404 Not Found", GONE);
		if (had)
			hold_child(&f.o, "a", "");
		find(&f, "\"bad\":true", had ? "\"rendered\":\"0123456789abcdef\"" : "");
		if (had) {
			ao_loop_run_until(f.o.loop, &f.tried, 3000);
			lose(&f, "s/a");
		}
		await_release(&f);
		assert_true(deleted);
		leave(&f);
	}
}

/** Such an answer alone says nothing: a proxy that has lost its server sends the same. */
static void a_queue_goes_where_a_kind_of_the_plan_is_not_installed(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", NO_PAGE);
	ao_world_start(f.o.world);
	for (int turns = 0; turns < 300 && !ao_world_absent(f.o.world, &f.o.manifest->kinds[1]); turns++)
		ao_loop_run_until(f.o.loop, &f.released, 10);
	assert_true(ao_world_absent(f.o.world, &f.o.manifest->kinds[1]));
	find(&f, "", "");
	await_release(&f);
	assert_true(deleted);
	leave(&f);
}

/** It is uninstalled in the moment when it is looked through: that ends when the watch of it has asked the server what there is. */
static void a_parent_may_go_though_a_kind_goes_just_then(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	f.lacks = true;
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.listed, 3000);
	assert_false(f.released);
	ao_world_start(f.o.world);
	await_release(&f);
	assert_true(deleted);
	leave(&f);
}

/** An operator that was there all the time has seen whether they were let go of: nobody need look for them. */
static void nobody_looks_for_children_that_were_let_go_where_we_have_seen_them_go(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	hold_child(&f.o, "a", "");
	hold_parent(&f.o, "", "");
	look(&f.o);
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.tried, 3000);
	lose(&f, "s/a");
	await_release(&f);
	assert_true(deleted);
	assert_false(f.listed);
	leave(&f);
}

/** The status of a parent with so many children, whose plan was carried out. The caller frees it. */
static char *carried_out(size_t children)
{
	fixture f;
	ao_auto_str char *settled = ao_settled_with_fields("", &(ao_settled){.child_count = children});
	begin_to_lead(&f, "404 Not Found", GONE);
	hold_parent(&f.o, "", "");
	char *status = ao_xasprintf("\"rendered\":\"%s\",\"settled\":\"%s\"", look(&f.o)->rendered, settled);
	leave(&f);
	return status;
}

/** When all of a fleet is deleted while no operator runs, each look would be a list of the whole namespace. */
static void nobody_looks_for_children_that_were_let_go_where_the_plan_is_what_was_carried_out(void **state)
{
	(void)state;
	fixture f;
	ao_auto_str char *status = carried_out(1);
	begin_to_lead(&f, "404 Not Found", GONE);
	find(&f, "", status);
	await_release(&f);
	assert_true(f.asked);
	assert_true(deleted);
	assert_false(f.listed);
	leave(&f);
}

/** One that still ran was left to finish: that plan did not name it, but it was there, and works on the queue. */
static void a_queue_stays_with_a_child_that_was_kept_and_then_let_go(void **state)
{
	(void)state;
	fixture f;
	ao_auto_str char *status = carried_out(2);
	begin_to_lead(&f, "404 Not Found", GONE);
	f.things = "{\"metadata\":{\"name\":\"old-a\"," BY_US "}}";
	find(&f, "", status);
	must_keep_queue(&f);
	leave(&f);
}

/** What its status says when an operator has carried out another plan than that of one child, and has let another one finish. */
static char *carried_out_but_for_one(void)
{
	fixture f;
	ao_auto_str char *settled = ao_settled_with_fields("", &(ao_settled){.child_count = 1});
	ao_auto_str char *before = ao_xasprintf("\"rendered\":\"0123456789abcdef\",\"settled\":\"%s\"", settled);
	begin_with_policy(&f, KEEPS, "404 Not Found", GONE);
	hold(&f.o, "Other", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u-a\"," OWNED "},\"spec\":{\"n\":1}}");
	hold_child(&f.o, "old-a", "");
	hold_parent(&f.o, "", before);
	assert_non_null(look(&f.o)->outdated);
	assert_true(ao_loop_run_until(f.o.loop, &f.tells, patient_ms(3000)));
	const char *rendered = ao_json_str(f.told, "status", "rendered"), *now = ao_json_str(f.told, "status", "settled");
	assert_non_null(rendered);
	char *status = ao_xasprintf("\"rendered\":\"%s\",\"settled\":\"%s\"", rendered, now ? now : settled);
	leave(&f);
	return status;
}

/** While another child is not as it is wanted, the status says nothing of how its children are, but how many they are is told. */
static void a_queue_stays_with_a_child_that_was_kept_beside_one_that_is_outdated(void **state)
{
	(void)state;
	fixture f;
	ao_auto_str char *status = carried_out_but_for_one();
	begin_with_policy(&f, KEEPS, "404 Not Found", GONE_OF("others"));
	f.things = "{\"metadata\":{\"name\":\"old-a\"," BY_US "}}";
	find(&f, "", status);
	must_keep_queue(&f);
	leave(&f);
}

/** An operator before us told of the plan alone. */
static void a_queue_stays_with_a_child_that_was_let_go_where_nobody_has_counted_them(void **state)
{
	(void)state;
	ao_auto_str char *status = carried_out(1);
	static const char *const CUT[] = {"/1", ",\"settled\""};
	for (size_t i = 0; i < AO_LEN(CUT); i++) {
		fixture f;
		char *at = strstr(status, CUT[i]);
		assert_non_null(at);
		snprintf(at, 2, "%s", i ? "" : "\"");
		begin_to_lead(&f, "404 Not Found", GONE);
		f.things = "{\"metadata\":{\"name\":\"old-a\"," BY_US "}}";
		find(&f, "", status);
		must_keep_queue(&f);
		leave(&f);
	}
}

/** Policies that want something done first may wait so long that another operator takes over: it asks the status what was there. */
static void the_status_of_one_that_goes_says_what_was_carried_out_before(void **state)
{
	(void)state;
	fixture f;
	begin_with_policy(&f, WAITS, "404 Not Found", GONE);
	find(&f, "", "\"rendered\":\"0123456789abcdef\",\"settled\":\"=0123456789abcdef/2\"");
	assert_true(ao_loop_run_until(f.o.loop, &f.tells, patient_ms(3000)));
	assert_string_equal(ao_json_str(f.told, "status", "phase"), "Going");
	assert_null(ao_json_at(f.told, "status", "rendered"));
	assert_null(ao_json_at(f.told, "status", "settled"));
	leave(&f);
}

static void a_parent_may_go_though_nobody_may_look_for_what_was_let_go(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "404 Not Found", GONE);
	f.hides = true;
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.listed, 3000);
	assert_false(f.released);
	((ao_parent *)ao_map_get(f.o.reconciler->parents, "s/a"))->release_ms = 1;
	await_release(&f);
	assert_false(deleted);
	leave(&f);
}

/** The right may come back in a moment; when it does not, the parent is not held for ever. */
static void a_parent_may_go_though_one_of_its_kinds_may_not_be_read(void **state)
{
	(void)state;
	fixture f;
	begin_to_lead(&f, "403 Forbidden", FORBIDDEN);
	find(&f, "", "");
	ao_loop_run_until(f.o.loop, &f.asked, 3000);
	assert_false(f.released);
	((ao_parent *)ao_map_get(f.o.reconciler->parents, "s/a"))->release_ms = 1;
	await_release(&f);
	assert_false(deleted);
	leave(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_queue_stays_with_a_child_that_was_let_go),
	    cmocka_unit_test(a_queue_goes_with_children_that_an_operator_before_us_has_deleted),
	    cmocka_unit_test(a_queue_goes_with_children_that_we_have_deleted),
	    cmocka_unit_test(a_queue_stays_with_one_child_though_another_was_deleted),
	    cmocka_unit_test(a_queue_stays_with_a_child_that_could_not_be_deleted_and_was_let_go),
	    cmocka_unit_test(a_child_that_was_let_go_is_not_deleted_before_its_watch_tells),
	    cmocka_unit_test(a_queue_stays_with_a_child_that_was_let_go_and_is_not_in_the_plan_any_more),
	    cmocka_unit_test(a_queue_goes_though_others_have_children_that_were_let_go),
	    cmocka_unit_test(nobody_looks_for_children_that_were_let_go_where_we_have_seen_them_go),
	    cmocka_unit_test(a_queue_stays_with_a_child_that_was_kept_and_then_let_go),
	    cmocka_unit_test(a_queue_stays_with_a_child_that_was_kept_beside_one_that_is_outdated),
	    cmocka_unit_test(a_queue_stays_with_a_child_that_was_let_go_where_nobody_has_counted_them),
	    cmocka_unit_test(the_status_of_one_that_goes_says_what_was_carried_out_before),
	    cmocka_unit_test(nobody_looks_for_children_that_were_let_go_where_the_plan_is_what_was_carried_out),
	    cmocka_unit_test(a_parent_may_go_though_nobody_may_look_for_what_was_let_go),
	    cmocka_unit_test(a_queue_stays_where_children_of_an_invalid_parent_may_work_on_it),
	    cmocka_unit_test(a_queue_goes_with_an_invalid_parent_that_never_had_children_or_whose_we_have_deleted),
	    cmocka_unit_test(a_queue_goes_where_a_kind_of_the_plan_is_not_installed),
	    cmocka_unit_test(a_parent_may_go_though_a_kind_goes_just_then),
	    cmocka_unit_test(a_parent_may_go_though_one_of_its_kinds_may_not_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
