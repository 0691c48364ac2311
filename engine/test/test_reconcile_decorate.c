/*
 * test_reconcile_decorate.c -- objects of somebody else, without a server: which children are theirs, and what becomes of those that others
 * made, or that are marked as theirs by others.
 */
#include "test/test_reconcile_operator.h"

#define DECORATOR                                                                                                                          \
	"return require 'policy'.manifest { parent = { apiVersion = 'test.io/v1', kind = 'Owner', plural = 'owners' }, domain = 'd.io',"   \
	" children = { { apiVersion = 'v1', kind = 'Thing', plural = 'things' } }, component = 'c', field_manager = 'm',"                  \
	" decorate = { annotations = { want = true } }, patches = true }"
#define POLICY                                                                                                                             \
	"return require 'policy'.define { name = 'p', render = function(owner, ctx, plan) plan:add('thing', { apiVersion = 'v1', kind = "  \
	"'Thing', metadata = { name = 'a' }, spec = { n = 1 } }) end }"

static void hold_owner(operator_ *o, bool chosen)
{
	ao_auto_str char *text = ao_xasprintf("{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"resourceVersion\":\"5\","
					      "\"annotations\":{%s}},\"spec\":{}}",
					      chosen ? "\"want\":\"1\"" : "");
	hold(o, "Owner", text);
}

/** @param manager  who has made it, with the label that says whose it is. A store may not take it */
static void hold_marked(operator_ *o, const char *name, const char *manager, const char *operation)
{
	ao_auto_str char *text =
	    ao_xasprintf("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"s\",\"uid\":\"u-%s\",\"labels\":{\"%s\":\"u\"},"
			 "\"annotations\":{\"%s\":\"s/a\"},\"managedFields\":[{\"manager\":\"%s\",\"operation\":\"%s\"}]},\"spec\":{}}",
			 name, name, o->manifest->owner_label, o->manifest->owner_annotation, manager, operation);
	const ao_object *object = NULL;
	ao_store_put(ao_world_store(o->world, &o->manifest->kinds[1]), (ao_span){text, strlen(text)}, &object, NULL);
}

/** The child that it deletes now; NULL: none. */
static const char *deleted(operator_ *o)
{
	ao_reconciler_parent_changed(o->reconciler, "s/a");
	for (int turns = 0; turns < 50; turns++) {
		const ao_parent *parent = ao_map_get(o->reconciler->parents, "s/a");
		bool never_done = false;
		if (parent && parent->pass && parent->pass->child.remove)
			return parent->pass->child.name;
		ao_loop_run_until(o->loop, &never_done, 10);
	}
	return NULL;
}

static const char *deleted_of(operator_ *o, bool chosen, const char *manager, const char *operation)
{
	begin_with(o, DECORATOR, chosen ? "return require 'policy'.define { name = 'p', render = function() end }" : POLICY, NULL);
	hold_owner(o, chosen);
	hold_marked(o, "x", manager, operation);
	return deleted(o);
}

/** A copy of a child under another name has its labels, too. */
static void what_others_made_is_not_deleted_whatever_its_labels_say(void **state)
{
	(void)state;
	for (int chosen = 0; chosen < 2; chosen++) {
		operator_ o;
		const char *gone = deleted_of(&o, chosen, "kubectl-create", "Update");
		if (gone)
			fail_msg("%s of somebody else is deleted, its parent %s", gone, chosen ? "is chosen" : "is a stub");
		end(&o);
	}
}

#define UNNAMED(domain, label)                                                                                                             \
	"return require 'policy'.manifest { parent = 'test.io/v1 Owner', domain = '" domain "', children = { 'v1 Thing' },"                \
	" decorate = { labels = { " label " = true } } }"

/** Each of two bundles says no more than it must, so that both call themselves alike; an object may have been chosen by both. */
static void what_another_bundle_made_for_the_same_object_is_not_deleted(void **state)
{
	(void)state;
	static const char NOTHING[] = "return require 'policy'.define { name = 'p', render = function() end }";
	operator_ first, second;
	begin_with(&first, UNNAMED("one.io", "a"), NOTHING, NULL);
	begin_with(&second, UNNAMED("two.io", "b"), NOTHING, NULL);
	hold(&second, "Owner", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"labels\":{\"a\":\"\",\"b\":\"\"}}}");
	hold_marked(&second, "x", first.manifest->field_manager, "Apply");
	const char *gone = deleted(&second);
	if (gone)
		fail_msg("%s of another bundle is deleted", gone);
	end(&second);
	end(&first);
}

static void what_we_made_is_deleted_when_nobody_wants_it(void **state)
{
	(void)state;
	static const char *const operations[] = {"Update", "Apply"};
	for (int i = 0; i < 4; i++) {
		operator_ o;
		const char *gone = deleted_of(&o, i % 2, "m", operations[i / 2]);
		assert_non_null(gone);
		assert_string_equal(gone, "x");
		end(&o);
	}
}

#define SHARING                                                                                                                            \
	"return require 'policy'.manifest { parent = 'test.io/v1 Owner', domain = 'd.io', decorate = { annotations = { want = true } },"   \
	" children = { { apiVersion = 'v1', kind = 'Thing', shared = true } } }"

static void nobody_waits(void *arg, const ao_kube_answer *answer) { (void)arg, (void)answer; }

/** Is a shared object in a namespace still seen to when it is told that it has changed, where the only parent there is that one? */
static bool is_seen_to(bool chosen)
{
	operator_ o;
	bool alike, known = true;
	begin_with(&o, SHARING, POLICY, NULL);
	hold_owner(&o, chosen);
	const ao_kind *kind = &o.manifest->kinds[1];
	ao_auto_json cJSON *desired =
	    cJSON_Parse("{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"namespace\":\"s\",\"name\":\"t\"}}");
	ao_shared_want(o.shared, kind, "r", desired, 1, nobody_waits, &o);
	ao_shared_cancel(o.shared, &o);
	ao_shared_changed(o.shared, kind, "s/t");
	for (int turns = 0; known && turns < 20; turns++) {
		bool never_done = false;
		ao_loop_run_until(o.loop, &never_done, 10);
		known = ao_shared_is_theirs(o.shared, kind, desired, 1, &alike);
	}
	end(&o);
	return known;
}

static void what_parents_share_is_left_when_the_last_that_was_chosen_goes(void **state)
{
	(void)state;
	assert_true(is_seen_to(true));
	assert_false(is_seen_to(false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_others_made_is_not_deleted_whatever_its_labels_say),
	    cmocka_unit_test(what_another_bundle_made_for_the_same_object_is_not_deleted),
	    cmocka_unit_test(what_parents_share_is_left_when_the_last_that_was_chosen_goes),
	    cmocka_unit_test(what_we_made_is_deleted_when_nobody_wants_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
