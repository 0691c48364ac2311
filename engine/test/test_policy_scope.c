/* test_policy_scope.c -- whose an object is, and what classes and namespaces may be called. */
#include "base/mem.h"
#include "policy/scope.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &tree, NULL), 0);
	return tree;
}

static void names_are_checked(void **state)
{
	(void)state;
	char sixty_three[64], sixty_four[65];
	memset(sixty_three, 'a', 63);
	memset(sixty_four, 'a', 64);
	sixty_three[63] = sixty_four[64] = '\0';
	const struct {
		const char *class_, *namespaces;
		bool good;
	} cases[] = {
	    {"", "", true},          {"blue", "a,b", true}, {"b-2", " a , ,b ", true}, {"2", NULL, true},     {sixty_three, NULL, true},
	    {sixty_four, "", false}, {"Blue", "", false},   {"a.b", "", false},        {"-a", "", false},     {"a-", "", false},
	    {"a b", "", false},      {"a/../b", "", false}, {"", "a,B", false},        {"", "kube/x", false}, {"", sixty_four, false},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_scope ao_scope scope = {0};
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_scope_read(cases[i].class_, cases[i].namespaces, &scope, &err), cases[i].good ? 0 : -EINVAL);
		assert_int_equal(err == NULL, cases[i].good);
	}
}

static void flags_win_over_the_environment(void **state)
{
	(void)state;
	setenv("ASYA_OPERATOR_CLASS", "green", 1);
	setenv("ASYA_WATCH_NAMESPACES", "b,a,b", 1);
	ao_scope env = {0}, flags = {0};
	assert_int_equal(ao_scope_read(NULL, NULL, &env, NULL), 0);
	assert_int_equal(ao_scope_read("", "c", &flags, NULL), 0);
	unsetenv("ASYA_OPERATOR_CLASS");
	unsetenv("ASYA_WATCH_NAMESPACES");
	assert_string_equal(env.class_, "green");
	assert_string_equal(env.namespaces[0], "b");
	assert_string_equal(env.namespaces[1], "a");
	assert_null(env.namespaces[2]); /* each once */
	assert_true(ao_scope_covers(&env, "a"));
	assert_false(ao_scope_covers(&env, "c"));
	assert_string_equal(flags.class_, "");
	assert_true(ao_scope_covers(&flags, "c"));
	ao_auto_str char *lease = ao_scope_name(&env, "lease.io"), *usual = ao_scope_name(&AO_SCOPE_ALL, "lease.io");
	assert_string_equal(lease, "lease.io-green");
	assert_string_equal(usual, "lease.io");
	assert_true(ao_scope_covers(&AO_SCOPE_ALL, "anything"));
	ao_scope_clear(&env);
	ao_scope_clear(&flags);
}

static void the_annotation_tells_whose_it_is(void **state)
{
	(void)state;
	ao_scope blue = {.class_ = (char *)"blue"};
	ao_manifest manifest = {.class_annotation = (char *)"x/c"}, without = {0};
	ao_auto_json cJSON *bare = parse("{\"metadata\":{}}"), *empty = parse("{\"metadata\":{\"annotations\":{\"x/c\":\"\"}}}"),
			   *theirs = parse("{\"metadata\":{\"annotations\":{\"x/c\":\"red\"}}}"), *ours = parse("{}");
	assert_true(ao_scope_serves(&AO_SCOPE_ALL, &manifest, bare) && !ao_scope_serves(&blue, &manifest, bare));
	assert_true(ao_scope_serves(&AO_SCOPE_ALL, &manifest, empty) && !ao_scope_serves(&blue, &manifest, empty));
	assert_false(ao_scope_serves(&AO_SCOPE_ALL, &manifest, theirs) || ao_scope_serves(&blue, &manifest, theirs));
	assert_true(ao_scope_serves(&AO_SCOPE_ALL, &without, theirs)); /* who knows no classes takes all */
	ao_scope_sign(&AO_SCOPE_ALL, &manifest, ours);
	assert_null(ours->child);
	ao_scope_sign(&blue, &manifest, ours);
	assert_true(ao_scope_serves(&blue, &manifest, ours));
}

/** @param own  of the manifest that it began with. @param edit  of the one that an edit has */
static int edit_class(const char *own, const char *edit)
{
	ao_scope blue = {.class_ = (char *)"blue"};
	ao_auto_json cJSON *manifest = parse(own), *edited = parse(edit);
	const ao_scope scope = ao_scope_of(&blue, manifest);
	return ao_scope_keeps_class(&scope, edited, NULL);
}

static void a_manifest_may_name_a_class_of_its_own_which_no_edit_changes(void **state)
{
	(void)state;
	char *names[] = {(char *)"a", NULL};
	ao_scope blue = {.class_ = (char *)"blue", .namespaces = names};
	ao_auto_json cJSON *none = parse("{}"), *red = parse("{\"class\":\"red\"}");
	const ao_scope as_process = ao_scope_of(&blue, none), own = ao_scope_of(&blue, red);
	ao_auto_str char *lease = ao_scope_name(&own, "lease.io");
	assert_string_equal(as_process.class_, "blue");
	assert_string_equal(lease, "lease.io-red");
	assert_ptr_equal(own.namespaces, names);
	assert_int_equal(edit_class("{}", "{}"), 0);
	assert_int_equal(edit_class("{}", "{\"class\":\"blue\"}"), 0);
	assert_int_equal(edit_class("{}", "{\"class\":\"red\"}"), -EINVAL);
	assert_int_equal(edit_class("{\"class\":\"red\"}", "{\"class\":\"red\"}"), 0);
	assert_int_equal(edit_class("{\"class\":\"red\"}", "{}"), -EINVAL); /* that would be the process's, from the next start on */
	assert_int_equal(edit_class("{\"class\":\"red\"}", "{\"class\":\"blue\"}"), -EINVAL);
}

static void a_kind_in_no_namespace_needs_all_of_them(void **state)
{
	(void)state;
	ao_kind kinds[] = {{.resource = {.api_version = (char *)"x/v1", .kind = (char *)"Tenant"}},
			   {.resource = {.api_version = (char *)"v1", .kind = (char *)"Namespace", .cluster_scoped = true}}};
	ao_manifest manifest = {.kinds = kinds, .kind_count = 2}, without = {.kinds = kinds, .kind_count = 1};
	ao_auto_scope ao_scope some = {0};
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_scope_read("", "a,b", &some, NULL), 0);
	assert_int_equal(ao_scope_admits(&AO_SCOPE_ALL, &manifest, NULL), 0);
	assert_int_equal(ao_scope_admits(&some, &without, NULL), 0);
	assert_int_equal(ao_scope_admits(&some, &manifest, &err), -EINVAL);
	assert_string_equal(ao_err_text(err),
			    "Namespace (v1) is in no namespace: the bundle needs all namespaces; leave --watch-namespaces out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_are_checked),
	    cmocka_unit_test(flags_win_over_the_environment),
	    cmocka_unit_test(the_annotation_tells_whose_it_is),
	    cmocka_unit_test(a_manifest_may_name_a_class_of_its_own_which_no_edit_changes),
	    cmocka_unit_test(a_kind_in_no_namespace_needs_all_of_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
