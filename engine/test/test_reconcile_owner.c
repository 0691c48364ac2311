/* test_reconcile_owner.c -- which parent a child says is its own, wherever either of them is. */
#include "base/mem.h"
#include "reconcile/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void assert_key(const ao_manifest *m, const ao_kind *kind, const ao_object *child, const char *wanted)
{
	ao_auto_str char *key = ao_owner_key(m, kind, child);
	if (wanted)
		assert_string_equal(key, wanted);
	else
		assert_null(key);
}

static void a_child_names_its_parent(void **state)
{
	(void)state;
	ao_kind inside[] = {{.resource = {.kind = (char *)"Team"}}},
		cluster[] = {{.resource = {.kind = (char *)"Tenant", .cluster_scoped = true}}};
	const ao_manifest teams = {.kinds = inside, .kind_count = 1}, tenants = {.kinds = cluster, .kind_count = 1};
	const ao_kind by_reference = {.role = AO_ROLE_CHILD}, by_label = {.role = AO_ROLE_CHILD, .by_label = true};
	const ao_object here = {.namespace_ = "one", .owner_kind = "Team", .owner_name = "a"},
			there = {.namespace_ = "two", .owner_kind = "Tenant", .owner_name = "ants"},
			nowhere = {.namespace_ = "", .owner_kind = "Tenant", .owner_name = "ants"},
			marked = {.namespace_ = "two", .owner_kind = "", .owner_name = "one/a"};
	assert_key(&teams, &by_reference, &here, "one/a");
	assert_key(&tenants, &by_reference, &there, "ants");
	assert_key(&tenants, &by_reference, &nowhere, "ants");
	assert_key(&teams, &by_reference, &there, NULL); /* of another kind */
	assert_key(&teams, &by_label, &marked, "one/a");
}

static void an_owner_between_is_in_the_same_namespace_or_in_none(void **state)
{
	(void)state;
	const ao_kind inside = {0}, cluster = {.resource = {.cluster_scoped = true}};
	const ao_object pod = {.namespace_ = "one", .owner_name = "set"};
	ao_auto_str char *near = ao_owner_key_of(&inside, &pod), *far = ao_owner_key_of(&cluster, &pod);
	assert_string_equal(near, "one/set");
	assert_string_equal(far, "set");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_child_names_its_parent),
	    cmocka_unit_test(an_owner_between_is_in_the_same_namespace_or_in_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
