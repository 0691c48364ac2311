/* Whose objects and whose fields: taking over, and leaving alone, on a real API server. */
#include "test/test_kube_apply.h"

static void taken_over_from_a_predecessor(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *theirs = deployment(c, "taken", "\"replicas\":3,", ENV_AB), *ours = deployment(c, "taken", "", ENV_A);
	post_as(c, "manager", theirs);
	merge_as(c, "kubectl-edit", "taken", "{\"metadata\":{\"annotations\":{\"note\":\"mine\"}}}");
	merge_as(c, "kubectl-rollout", "taken", "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"restartedAt\":\"now\"}}}}}");
	merge_as(c, "injector", "taken",
		 "{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"i:1\",\"env\":[" ENV_AB
		 "]},{\"name\":\"injected\",\"image\":\"x\"}]}}}}");
	ao_auto_json cJSON *object = apply_ok(c, ours, false);
	assert_holds(object, "manager", "");
	assert_holds(object, "ours", "Apply");
	assert_holds(object, "kubectl-edit", "Update");
	assert_int_equal(env_count(object), 1);
	assert_int_equal(replicas_of(object), 3); /* not ours: stays */
	assert_string_equal(ao_json_str(object, "metadata", "annotations", "note"), "mine");
	assert_string_equal(ao_json_str(object, "spec", "template", "metadata", "annotations", "restartedAt"), "now");
	assert_int_equal(cJSON_GetArraySize(ao_json_at(object, "spec", "template", "spec", "containers")), 2);
}

/** Another operator that kubebuilder made, before and after the first change of ours. */
static void a_stranger_called_manager_keeps_its_fields(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *first = deployment(c, "stranger", "", ENV_AB), *second = deployment(c, "stranger", "", ENV_A);
	ao_auto_json cJSON *created = apply_ok(c, first, true);
	merge_as(c, "manager", "stranger", "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"theirs\":\"1\"}}}}}");
	ao_auto_json cJSON *changed = apply_ok(c, second, false);
	assert_string_equal(ao_json_str(changed, "spec", "template", "metadata", "annotations", "theirs"), "1");
	assert_holds(changed, "manager", "Update");
	assert_holds(changed, "ours", "Apply");
	assert_int_equal(env_count(changed), 1);
	merge_as(c, "manager", "stranger", "{\"spec\":{\"template\":{\"metadata\":{\"annotations\":{\"more\":\"2\"}}}}}");
	ao_auto_json cJSON *back = apply_ok(c, first, false);
	assert_string_equal(ao_json_str(back, "spec", "template", "metadata", "annotations", "more"), "2");
	assert_non_null(created);
}

static void the_same_taken_over_changes_nothing(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *same = deployment(c, "same", "", ENV_A);
	post_as(c, "manager", same);
	ao_auto_json cJSON *before = read_back(c, "same"), *after = apply_ok(c, same, false);
	assert_true(ao_json_equal(ao_json_at(before, "spec"), ao_json_at(after, "spec")));
	assert_true(ao_json_equal(ao_json_at(before, "metadata", "generation"), ao_json_at(after, "metadata", "generation")));
}

static void nothing_foreign_is_overwritten(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *ours = deployment(c, "foreign", "", ENV_A);
	post_as(c, "somebody", ours);
	outcome o = {0};
	ao_apply_request request = request_of(c, &DEPLOYMENTS, ours, NULL, &o);
	ao_apply_start(&request);
	assert_true(ao_loop_run_until(c->loop, &o.done, 20000));
	assert_int_equal(o.error, -EEXIST);
	assert_true(o.created);
	assert_non_null(strstr(o.message, "foreign"));
}

/** The answer to our POST was lost, and what we want has changed since. */
static void what_we_made_unawares_is_ours(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *made = deployment(c, "lost", "", ENV_AB), *wanted = deployment(c, "lost", "", ENV_A);
	static const char *const uids[] = {"u-1", "u-1", "u-2"};
	add_owner(made, uids[0]);
	post_as(c, "ours", made);
	for (size_t i = 0; i < AO_LEN(uids); i++) {
		outcome o = {0};
		add_owner(wanted, uids[i]);
		ao_apply_request request = request_of(c, &DEPLOYMENTS, wanted, NULL, &o);
		request.dry_run = i == 0;
		ao_apply_start(&request);
		assert_true(ao_loop_run_until(c->loop, &o.done, 20000));
		assert_true(o.created);
		if (strcmp(uids[i], uids[0]) != 0) {
			assert_int_equal(o.error, -EEXIST);
			assert_non_null(strstr(o.message, "Deployment lost exists already and belongs to Owner o"));
			continue;
		}
		assert_int_equal(o.error, 0);
		ao_auto_json cJSON *now = read_back(c, "lost");
		assert_int_equal(env_count(now), request.dry_run ? 2 : 1); /* nothing of the earlier rendering is left over */
		assert_holds(now, "ours", request.dry_run ? "Update" : "Apply");
		cJSON_Delete(o.object);
	}
}

/** Two parents want one name: it stays the first one's, whatever the other sees. */
static void what_another_owns_is_left_to_it(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *theirs = deployment(c, "owned", "", ENV_AB), *wanted = deployment(c, "owned", "", ENV_A);
	add_owner(theirs, "u-1");
	add_owner(wanted, "u-2");
	post_as(c, "ours", theirs);
	for (int dry_run = 0; dry_run < 2; dry_run++) {
		outcome o;
		apply(c, &DEPLOYMENTS, wanted, dry_run, &o);
		assert_int_equal(o.error, -EEXIST);
		assert_non_null(strstr(o.message, "Deployment owned exists already and belongs to Owner o;"));
	}
	ao_auto_json cJSON *now = read_back(c, "owned");
	assert_int_equal(env_count(now), 2);
	assert_holds(now, "ours", "Update");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(taken_over_from_a_predecessor),       CASE(a_stranger_called_manager_keeps_its_fields),
	    CASE(the_same_taken_over_changes_nothing), CASE(nothing_foreign_is_overwritten),
	    CASE(what_we_made_unawares_is_ours),       CASE(what_another_owns_is_left_to_it),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
