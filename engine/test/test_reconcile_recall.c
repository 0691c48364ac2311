/*
 * test_reconcile_recall.c -- a restart without a server: what an operator recorded of a parent is given to the next one, after something has
 * changed or nothing. Nobody answers, so no write is done; what each knows, and whom it has asked, is looked at from inside.
 */
#include "test/test_net_peer.h"
#include "test/test_reconcile_operator.h"

/** What the status would say for operators after it; NULL: nothing. */
static char *record_of(const operator_ *o, const ao_parent *parent)
{
	const ao_object *object = ao_store_get(ao_world_parents(o->world), "s/a");
	ao_pass pass = {.reconciler = o->reconciler, .parent = (ao_parent *)parent};
	snprintf(pass.plan.bundle, sizeof(pass.plan.bundle), "%s", ao_bundle_digest(o->bundle));
	ao_auto_str char *settled = ao_plan_settled(&pass, object, NULL);
	return settled ? ao_xasprintf("\"rendered\":\"%s\",\"settled\":\"%s\"", parent->carried, settled) : NULL;
}

#define ONE "plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' }, spec = { n = 1 } }) "
#define POLICY(body) "return require 'policy'.define { name = 'p', render = function(actor, ctx, plan) " body " end }"

/** The record that the policy leaves of a parent with one child. */
static char *settle(const char *policy, const char *more)
{
	operator_ o;
	begin(&o, policy, more);
	hold_parent(&o, "", "");
	hold_child(&o, "a", "");
	const ao_parent *parent = look(&o);
	assert_true(parent->settled);
	char *record = record_of(&o, parent);
	end(&o);
	return record;
}

static void nothing_is_planned_where_nothing_has_changed(void **state)
{
	(void)state;
	ao_auto_str char *record = settle(POLICY(ONE), NULL);
	assert_non_null(record);
	operator_ o;
	begin(&o, POLICY(ONE), NULL);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "\"ready\":1");
	assert_true(is_recalled(look(&o)));
	end(&o);
}

#define TWO                                                                                                                                \
	ONE "plan:add('other', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'b' },"                                            \
	    " spec = { n = 1, x = actor.metadata.annotations.x } })"

static void edit(operator_ *o, const char *annotations, const char *record)
{
	hold_parent(o, annotations, record);
	ao_reconciler_parent_changed(o->reconciler, "s/a");
}

/** The child that it writes to now. */
static const char *written(operator_ *o)
{
	for (int turns = 0; turns < 200; turns++) {
		const ao_parent *parent = ao_map_get(o->reconciler->parents, "s/a");
		const ao_pass *pass = parent ? parent->pass : NULL;
		bool never_done = false;
		if (pass && pass->object.apply)
			return ao_json_str(pass->ops[pass->at].item, "object", "metadata", "name");
		ao_loop_run_until(o->loop, &never_done, 10);
	}
	return NULL;
}

/** It is known what was made of each child, so those that look as they are wanted hold nothing that is wanted no more. */
static void an_edit_after_a_recall_writes_what_it_changes(void **state)
{
	(void)state;
	operator_ o;
	begin(&o, POLICY(TWO), NULL);
	hold_parent(&o, "", "");
	hold_child(&o, "a", "");
	hold_child(&o, "b", "");
	ao_auto_str char *record = record_of(&o, look(&o));
	assert_non_null(record);
	end(&o);

	begin(&o, POLICY(TWO), NULL);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "");
	hold_child(&o, "b", "");
	assert_true(is_recalled(look(&o)));
	edit(&o, "\"x\":\"2\"", record);
	const char *name = written(&o);
	assert_non_null(name);
	assert_string_equal(name, "b");
	end(&o);
}

/** What was made of it otherwise may have left something in it, though it looks as it is wanted. */
static void a_child_that_an_edit_makes_otherwise_is_written(void **state)
{
	(void)state;
	static const char LESS[] = POLICY("plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' }, "
					  "spec = not actor.metadata.annotations.x and { n = 1 } or nil })");
	ao_auto_str char *record = settle(LESS, NULL);
	assert_non_null(record);
	operator_ o;
	begin(&o, LESS, NULL);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "");
	assert_true(is_recalled(look(&o)));
	edit(&o, "\"x\":\"2\"", record);
	assert_non_null(written(&o));
	end(&o);
}

static bool asked[2]; /* was a server whose answers are lost asked for the child without x, and with it? */

static void lose_answer(peer_conn *conn, const char *request)
{
	asked[strstr(request, "\"x\"") != NULL] |= strstr(request, "/things/") != NULL;
	peer_abort(conn);
}

/** Whether the edit is in the child is not known, so that what takes it back is written, though the child has all that is wanted. */
static void an_edit_whose_answer_was_lost_can_be_taken_back(void **state)
{
	(void)state;
	static const char X[] = POLICY("plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' }, "
				       "spec = { n = 1, x = actor.metadata.annotations.x } })");
	ao_auto_str char *record = settle(X, NULL);
	operator_ o;
	peer server;
	begin(&o, X, NULL);
	peer_start(&server, o.loop, lose_answer, NULL);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", server.port);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "");
	assert_true(is_recalled(look(&o)));
	edit(&o, "\"x\":\"2\"", record);
	assert_true(ao_loop_run_until(o.loop, &asked[true], 2000));
	hold(&o, "Thing", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u-a\"," OWNED "},\"spec\":{\"n\":1,\"x\":\"2\"}}");
	edit(&o, "", record);
	assert_true(ao_loop_run_until(o.loop, &asked[false], 2000));
	peer_stop(&server);
	end(&o);
	peer_free(&server);
}

#define WITH_X OWNED ",\"labels\":{\"l\":\"%s\"}},\"spec\":{\"n\":1,\"x\":\"2\"}}"
#define THING_X "{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u-a\"," WITH_X

/** A server that has x in the child from then on. */
static void give_x(peer_conn *conn, const char *request)
{
	bool child = strstr(request, "/things/") != NULL, with_x = strstr(request, "\"x\"") != NULL;
	ao_auto_str char *body = ao_xasprintf(THING_X, "ours");
	asked[with_x] |= child;
	if (child && with_x)
		peer_reply(conn, "200 OK", "", body);
	else
		peer_abort(conn);
}

/** Has another edit planned. @return its status, in which that is told */
static char *plan_edit(operator_ *o, const char *annotations, const char *record)
{
	const ao_parent *parent = ao_map_get(o->reconciler->parents, "s/a");
	ao_auto_str char *was = ao_xstrdup(parent->rendered);
	const bool never = false;
	edit(o, annotations, record);
	for (int turns = 0; turns < 200 && strcmp(was, parent->rendered) == 0; turns++)
		ao_loop_run_until(o->loop, &never, 10);
	ao_loop_run_until(o->loop, &never, 100);
	return ao_xasprintf("\"rendered\":\"%s\"", parent->rendered);
}

/** What was recalled is true of a child until it is written: that somebody else changes it, while no plan wants it, does not make it true again. */
static void what_was_written_since_is_not_what_was_recalled(void **state)
{
	(void)state;
	static const char KEPT[] = POLICY("if actor.metadata.annotations.keep then plan:keep(ctx.child('Thing', 'a')) return end "
					  "plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a' }, "
					  "spec = { n = 1, x = actor.metadata.annotations.x } })");
	ao_auto_str char *record = settle(KEPT, NULL), *scaled = ao_xasprintf(THING_X, "of somebody else");
	operator_ o;
	peer server;
	asked[true] = asked[false] = false;
	begin(&o, KEPT, NULL);
	peer_start(&server, o.loop, give_x, NULL);
	ao_auto_str char *url = o.config.server = ao_xasprintf("http://127.0.0.1:%d", server.port);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "");
	assert_true(is_recalled(look(&o)));
	ao_auto_str char *edited = plan_edit(&o, "\"x\":\"2\"", record);
	assert_true(asked[true]);
	hold(&o, "Thing", scaled);
	ao_auto_str char *kept = plan_edit(&o, "\"keep\":\"1\"", edited);
	edit(&o, "", kept);
	assert_true(ao_loop_run_until(o.loop, &asked[false], 2000));
	peer_stop(&server);
	end(&o);
	peer_free(&server);
}

/** A child with what else it has in its spec, and the fields of that which we have written, and a label of somebody else. */
static void hold_written(operator_ *o, const char *more, const char *fields, const char *label)
{
	ao_auto_str char *text = ao_xasprintf(
	    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u-a\"," OWNED ",\"labels\":{\"l\":\"%s\"},\"managedFields\":"
	    "[{\"manager\":\"m\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"f:n\":{}%s}}}]},\"spec\":{\"n\":1%s}}",
	    label, fields, more);
	hold(o, "Thing", text);
}

/** Is the child, which has all that is wanted, written to by the operator after the one that has left it as it was wanted, without a label? */
static bool is_written_after(const char *policy, const char *more, const char *fields, const char *label)
{
	operator_ o;
	begin(&o, policy, NULL);
	hold_parent(&o, "", "");
	hold_written(&o, "", "", "");
	const ao_parent *parent = look(&o);
	assert_true(parent->settled);
	ao_auto_str char *record = record_of(&o, parent);
	ao_auto_str char *status = record ? ao_xstrdup(record) : ao_xasprintf("\"rendered\":\"%s\"", parent->carried);
	end(&o);

	begin(&o, policy, NULL);
	hold_parent(&o, "", status);
	hold_written(&o, more, fields, label);
	bool is_written = !look(&o)->settled; /* nobody answers */
	end(&o);
	return is_written;
}

/** The operator before it ended when it had written to the child and had not told that. What it was to tell is not wanted any more. */
static void what_was_left_in_a_child_that_nobody_has_told_of_is_taken_out(void **state)
{
	(void)state;
	static const char *const POLICIES[] = {POLICY(ONE), POLICY(ONE "local _ = ctx.now")};
	for (size_t i = 0; i < AO_LEN(POLICIES); i++) {
		assert_true(is_written_after(POLICIES[i], ",\"x\":2", ",\"f:x\":{}", ""));
		assert_false(is_written_after(POLICIES[i], ",\"x\":2", "", "")); /* somebody else's */
		assert_false(is_written_after(POLICIES[i], "", "", "theirs"));
		assert_false(is_written_after(POLICIES[i], "", "", ""));
	}
}

/** It holds nothing of ours: what its maker had beside that is left in it, or its pods would be restarted because another child is gone. */
static void a_child_that_was_taken_over_is_left_alone_where_another_is_missing(void **state)
{
	(void)state;
	static const char TAKEN_OVER[] =
	    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u-a\"," OWNED ",\"managedFields\":[{\"manager\":\"old\","
	    "\"operation\":\"Update\",\"fieldsV1\":{\"f:spec\":{\"f:n\":{},\"f:x\":{}}}}]},\"spec\":{\"n\":1,\"x\":2}}";
	ao_auto_str char *record = NULL;
	for (int restarted = 0; restarted < 2; restarted++) {
		operator_ o;
		begin(&o, POLICY(TWO), NULL);
		hold_parent(&o, "", restarted ? record : "");
		hold(&o, "Thing", TAKEN_OVER);
		if (!restarted)
			hold_child(&o, "b", "");
		const ao_parent *parent = look(&o);
		if (restarted)
			assert_string_equal(written(&o), "b");
		else
			record = record_of(&o, parent);
		assert_non_null(record);
		end(&o);
	}
}

/** The version before said nothing of fields. Its build was another one, so all is planned anew. */
static void an_upgrade_from_a_version_that_says_nothing_of_fields_writes_to_no_child(void **state)
{
	(void)state;
	static const char *const POLICIES[] = {POLICY(ONE), POLICY(ONE "local _ = ctx.now")};
	for (size_t i = 0; i < AO_LEN(POLICIES); i++) {
		operator_ o;
		ao_auto_str char *record = settle(POLICIES[i], NULL);
		assert_non_null(record);
		char *fields = strchr(record, '=');
		assert_non_null(fields);
		memmove(fields, strrchr(record, '"'), 2);
		begin(&o, POLICIES[i], NULL);
		o.reconciler->build ^= 1;
		hold_parent(&o, "", record);
		hold_written(&o, ",\"x\":2", ",\"f:x\":{}", "");
		const ao_parent *parent = look(&o);
		assert_false(is_recalled(parent));
		assert_true(parent->settled);
		end(&o);
	}
}

#define ASKS                                                                                                                               \
	"return require 'policy'.define { name = 'p', render = function(actor, ctx, plan) " ONE "end,"                                     \
	" relate = function() return { { kind = 'Seen', name = 'x' } } end }"

/** How many objects its policies are shown as related to it. */
static int count_related(operator_ *o)
{
	ao_auto_json cJSON *snapshot = NULL, *times = NULL;
	const ao_object *object = ao_store_get(ao_world_parents(o->world), "s/a");
	assert_int_equal(ao_reconciler_tell(o->reconciler, object, &snapshot, &times, NULL), 0);
	return cJSON_GetArraySize(ao_json_at(snapshot, "related"));
}

static void hold_seen(operator_ *o) { hold(o, "Seen", "{\"metadata\":{\"name\":\"x\",\"namespace\":\"s\",\"uid\":\"x\"}}"); }

/** Their policies read it for the status alone: no plan depends on it, but it is shown, and its changes wake the parent. */
static void a_recalled_parent_sees_what_it_is_related_to(void **state)
{
	(void)state;
	ao_auto_str char *record = settle(ASKS, NULL);
	assert_non_null(record);
	operator_ o;
	begin(&o, ASKS, NULL);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "");
	hold_seen(&o);
	assert_true(is_recalled(look(&o)));
	assert_int_equal(count_related(&o), 1);
	end(&o);
}

/** Its plan is left as it is, but its status is made. */
static void a_held_parent_sees_what_it_is_related_to(void **state)
{
	(void)state;
	operator_ o;
	begin(&o, ASKS, NULL);
	o.holds = true;
	hold_parent(&o, "", "");
	hold_child(&o, "a", "");
	hold_seen(&o);
	ao_reconciler_parent_changed(o.reconciler, "s/a");
	const ao_parent *parent = NULL;
	for (bool ended = false; !parent || !parent->times.status_ns; parent = ao_map_get(o.reconciler->parents, "s/a"))
		ao_loop_run_until(o.loop, &ended, 10);
	assert_int_equal(count_related(&o), 1);
	end(&o);
}

/** Is a parent planned again that was recorded so, has these members in its status beside, and that child? */
static bool is_planned_again(const char *policy, const char *more, const char *record, const char *beside, const char *old)
{
	operator_ o;
	ao_auto_str char *status = ao_xasprintf("%s%s", record, beside);
	begin(&o, policy, more);
	hold_parent(&o, "", status);
	hold_child(&o, "a", "");
	if (old)
		hold_child(&o, "old", old);
	bool planned = !is_recalled(look(&o));
	end(&o);
	return planned;
}

/** It has left that queue, and nothing but a plan says what becomes of the messages there. */
static void a_parent_with_records_of_queues_is_planned(void **state)
{
	(void)state;
	static const char OTHER[] = "return require 'policy'.define { name = 'p', render = function(actor, ctx, plan) " ONE "end,"
				    " queues = function(actor, ctx, plan) plan:queue { name = 'q', transport = 't' } end }";
	ao_auto_str char *record = settle(POLICY(ONE), OTHER);
	assert_non_null(record);
	assert_true(
	    is_planned_again(POLICY(ONE), OTHER, record, ",\"queues\":[{\"name\":\"q\",\"transport\":\"t\",\"owner\":\"Actor\"}]", NULL));
	assert_false(is_planned_again(POLICY(ONE), OTHER, record, ",\"queues\":[]", NULL));
}

/** Whether it is kept is not said by what digests are made of: a Job that still runs is left to finish, and is deleted when it has. */
static void what_was_kept_is_judged_again(void **state)
{
	(void)state;
	static const char KEEPS[] = POLICY(ONE "for _, child in ipairs(ctx.children) do if child.metadata.name == 'old' and "
					       "child.status.active then plan:keep(child) end end");
	operator_ o;
	begin(&o, KEEPS, NULL);
	hold_parent(&o, "", "");
	hold_child(&o, "a", "");
	hold_child(&o, "old", "\"active\":1");
	const ao_parent *parent = look(&o);
	assert_true(parent->settled);
	ao_auto_str char *record = record_of(&o, parent);
	end(&o);
	if (record)
		assert_true(is_planned_again(KEEPS, NULL, record, "", ""));
}

/** Other schemas than those that a plan was checked by, in the place of those that the server had. */
static ao_openapi *change_schemas(operator_ *o)
{
	static const ao_resource other = {.api_version = "other.io/v2", .kind = "Other", .plural = "others"};
	static const ao_resource *const kinds[] = {&other, NULL};
	ao_openapi *was = o->reconciler->with.openapi;
	const ao_manifest manifest = {.made = (const ao_resource **)kinds};
	assert_int_equal(ao_plan_schemas(&manifest, o->kube, &o->reconciler->with.openapi, NULL), 0);
	assert_true(ao_openapi_digest(was) != ao_openapi_digest(o->reconciler->with.openapi));
	return was;
}

/** They may have come with an upgrade of the cluster while we ran, and nothing of this parent was in their way or in that of the old ones. */
static void what_other_schemas_were_asked_about_is_planned(void **state)
{
	(void)state;
	operator_ o;
	begin(&o, POLICY(ONE), NULL);
	hold_parent(&o, "", "");
	hold_child(&o, "a", "");
	const ao_parent *parent = look(&o);
	o.openapi = change_schemas(&o);
	ao_auto_str char *record = record_of(&o, parent);
	ao_openapi_free(o.reconciler->with.openapi);
	end(&o);
	assert_non_null(record);

	begin(&o, POLICY(ONE), NULL);
	o.openapi = change_schemas(&o);
	hold_parent(&o, "", record);
	hold_child(&o, "a", "");
	bool recalled = is_recalled(look(&o));
	ao_openapi_free(o.reconciler->with.openapi);
	end(&o);
	assert_false(recalled);
}

/* ---- whoever is recalled would have had nothing to do ---- */

#define SCENES 60

/** What the server holds, and what the operator is made of, each a small number that stands in a text. */
typedef struct scene {
	unsigned spec, label, annotation, uid, profile, policy; /* of the parent, and of the policies */
	unsigned child_spec, child_label, child_uid, there, extra, extra_status, records;
} scene;

static unsigned seed = 19;

static unsigned any(unsigned below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % below;
}

static char *policy_of(const scene *s)
{
	return ao_xasprintf(
	    "return require 'policy'.define { name = 'p', render = function(actor, ctx, plan)"
	    " local there, extra = ctx.child('Thing', 'a'), ctx.child('Thing', 'extra')"
	    " plan:add('thing', { apiVersion = 'v1', kind = 'Thing', metadata = { name = 'a', labels = { l = '0' } },"
	    " spec = { n = actor.spec.n, p = %u, profile = ctx.profile, a = actor.metadata.annotations.x } })"
	    " if actor.spec.n == 1 then plan:label('wanted', 'yes') end"
	    " if extra and extra.status.active == 1 then plan:keep(extra) end"
	    " if there and there.spec.n == 2 then plan:event { reason = 'Was', note = 'n' } end end,"
	    " queues = function(actor, ctx, plan) if ctx.profile == 'other' then plan:queue { name = 'q', transport = 't' } end end }",
	    s->policy);
}

static void play(operator_ *o, const scene *s, const char *status)
{
	ao_auto_str char *policy = policy_of(s);
	begin(o, policy, policy);
	ao_auto_str char *parent = ao_xasprintf(
	    "{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u%u\",\"generation\":1,\"resourceVersion\":\"5\","
	    "\"finalizers\":[\"test.io/f\"],\"labels\":{\"wanted\":\"%s\"},\"annotations\":{\"x\":\"%u\",\"test.io/profile\":\"%s\"}},"
	    "\"spec\":{\"n\":%u},\"status\":{%s%s}}",
	    s->uid, s->label ? "no" : "yes", s->annotation, s->profile ? "other" : "plain", s->spec, status,
	    s->records ? ",\"queues\":[{\"name\":\"q\",\"transport\":\"t\",\"owner\":\"Actor\"}]" : "");
	hold(o, "Owner", parent);
	for (unsigned i = 0; i < 2; i++) {
		if (i ? !s->extra : !s->there)
			continue;
		ao_auto_str char *child = ao_xasprintf(
		    "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"s\",\"uid\":\"c%u\",\"labels\":{\"l\":\"%u\"},"
		    "\"ownerReferences\":[{\"apiVersion\":\"test.io/"
		    "v1\",\"kind\":\"Owner\",\"name\":\"a\",\"uid\":\"u%u\",\"controller\":true,\"blockOwnerDeletion\":true}]},"
		    "\"spec\":{\"n\":%u,\"p\":0,\"profile\":\"%s\",\"a\":\"0\"},\"status\":{\"active\":%u}}",
		    i ? "extra" : "a", s->child_uid + i * 9, s->child_label, s->uid, s->child_spec, s->profile ? "other" : "plain",
		    s->extra_status);
		hold(o, "Thing", child);
	}
}

static void disturb(scene *s)
{
	unsigned *const numbers[] = {&s->spec,   &s->label,        &s->annotation,  &s->uid,       &s->profile,
				     &s->policy, &s->child_spec,   &s->child_label, &s->child_uid, &s->there,
				     &s->extra,  &s->extra_status, &s->records};
	*numbers[any(AO_LEN(numbers))] ^= 1;
}

/** Has a plan of that parent, which was just made, done nothing, and is it the one that was carried out before? */
static bool is_at_rest(const ao_parent *parent, const char *rendered)
{
	const cJSON *plan = parent->pass ? parent->pass->plan.tree : NULL;
	return parent->settled && !parent->invalid && !parent->policy_error && strcmp(parent->rendered, rendered) == 0 &&
	       !cJSON_GetArraySize(ao_json_at(plan, "queues"));
}

/** @return what the first operator records, or NULL */
static char *settle_scene(const scene *s)
{
	operator_ o;
	play(&o, s, "\"x\":1");
	char *record = record_of(&o, look(&o));
	end(&o);
	return record;
}

/** @return what was rendered, when the next operator recalls it; or NULL */
static char *recall_scene(const scene *s, const char *record)
{
	operator_ o;
	play(&o, s, record);
	const ao_parent *parent = look(&o);
	char *rendered = is_recalled(parent) ? ao_xstrdup(parent->rendered) : NULL;
	end(&o);
	return rendered;
}

static void whoever_is_recalled_would_have_had_nothing_to_do(void **state)
{
	(void)state;
	unsigned recalled = 0;
	for (unsigned round = 0; round < SCENES; round++) {
		scene s = {.spec = 1, .child_spec = 1, .there = 1, .extra_status = 1};
		for (unsigned i = any(3); i; i--)
			disturb(&s);
		ao_auto_str char *record = settle_scene(&s);
		for (unsigned i = any(3); i; i--)
			disturb(&s);
		ao_auto_str char *rendered = record ? recall_scene(&s, record) : NULL;
		if (!rendered)
			continue;
		recalled++;
		*strstr(record, ",\"settled\"") = '\0';
		operator_ o;
		play(&o, &s, record);
		if (!is_at_rest(look(&o), rendered))
			fail_msg("round %u: there was something to do", round);
		end(&o);
	}
	assert_true(recalled > SCENES / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_is_planned_where_nothing_has_changed),
	    cmocka_unit_test(an_edit_after_a_recall_writes_what_it_changes),
	    cmocka_unit_test(a_child_that_an_edit_makes_otherwise_is_written),
	    cmocka_unit_test(an_edit_whose_answer_was_lost_can_be_taken_back),
	    cmocka_unit_test(what_was_written_since_is_not_what_was_recalled),
	    cmocka_unit_test(what_was_left_in_a_child_that_nobody_has_told_of_is_taken_out),
	    cmocka_unit_test(a_child_that_was_taken_over_is_left_alone_where_another_is_missing),
	    cmocka_unit_test(an_upgrade_from_a_version_that_says_nothing_of_fields_writes_to_no_child),
	    cmocka_unit_test(a_recalled_parent_sees_what_it_is_related_to),
	    cmocka_unit_test(a_held_parent_sees_what_it_is_related_to),
	    cmocka_unit_test(a_parent_with_records_of_queues_is_planned),
	    cmocka_unit_test(what_was_kept_is_judged_again),
	    cmocka_unit_test(what_other_schemas_were_asked_about_is_planned),
	    cmocka_unit_test(whoever_is_recalled_would_have_had_nothing_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
