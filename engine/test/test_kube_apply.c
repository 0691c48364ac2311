/* Creating, changing and deleting on a real API server. */
#include "kube/remove.h"

#include "test/test_kube_apply.h"
#include "test/test_kube_golden.h"

#include <ctype.h>

/* ---- cases ---- */

static void created_then_changed(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *first = deployment(c, "change", "", ENV_AB), *second = deployment(c, "change", "", ENV_A);
	ao_auto_json cJSON *created = apply_ok(c, first, true);
	assert_holds(created, "ours", "Update");
	ao_auto_json cJSON *changed = apply_ok(c, second, false);
	assert_int_equal(env_count(changed), 1); /* what we stop rendering goes */
	assert_holds(changed, "ours", "Apply");
	ao_auto_json cJSON *back = apply_ok(c, first, false);
	assert_int_equal(env_count(back), 2);
	bool unchanged = false;
	for (int i = 0; i < 20 && !unchanged; i++) { /* a controller may write the status meanwhile */
		ao_auto_json cJSON *one = apply_ok(c, first, false), *other = apply_ok(c, first, false);
		unchanged = strcmp(ao_json_str(one, "metadata", "resourceVersion"), ao_json_str(other, "metadata", "resourceVersion")) == 0;
	}
	assert_true(unchanged);
}

static void replicas_are_not_lost(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *with = deployment(c, "scale", "\"replicas\":3,", ENV_A), *without = deployment(c, "scale", "", ENV_A);
	ao_auto_json cJSON *more = deployment(c, "scale", "\"replicas\":4,", ENV_A);
	ao_auto_json cJSON *created = apply_ok(c, with, true), *changed = apply_ok(c, more, false); /* ours by Apply now */
	assert_int_equal(replicas_of(changed), 4);
	ao_auto_json cJSON *released = apply_ok(c, without, false);
	assert_int_equal(replicas_of(released), 4);
	merge_as(c, "autoscaler", "scale", "{\"spec\":{\"replicas\":7}}");
	ao_auto_json cJSON *other = deployment(c, "scale", "", ENV_AB), *kept = apply_ok(c, other, false);
	assert_int_equal(replicas_of(kept), 7);
	ao_auto_json cJSON *set = apply_ok(c, with, false); /* we want to set them again */
	assert_int_equal(replicas_of(set), 3);
	(void)created;
}

static void a_wrong_object_is_the_policy_s_error(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *twice = deployment(c, "wrong", "", ENV_A "," ENV_A),
			   *unknown = deployment(c, "wrong", "\"nonsense\":1,", ENV_A), *fine = deployment(c, "wrong", "", ENV_A);
	outcome o;
	apply(c, &DEPLOYMENTS, unknown, false, &o);
	assert_int_equal(o.error, -EINVAL);
	ao_auto_json cJSON *created = apply_ok(c, fine, true);
	apply(c, &DEPLOYMENTS, twice, false, &o);
	assert_int_equal(o.error, -EINVAL);
	apply(c, &DEPLOYMENTS, unknown, false, &o);
	assert_int_equal(o.error, -EINVAL);
	assert_non_null(created);
}

/* ---- custom resources ---- */

static const ao_resource BOXES = {"apply.unit.test/v1", "Box", "boxes", false};

static const char CRD[] =
    "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"boxes.apply.unit.test\"},"
    "\"spec\":{\"group\":\"apply.unit.test\",\"scope\":\"Namespaced\",\"names\":{\"plural\":\"boxes\",\"kind\":\"Box\"},\"versions\":[{"
    "\"name\":\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"properties\":{\"spec\":{"
    "\"type\":\"object\",\"properties\":{\"size\":{\"type\":\"integer\"},\"lid\":{\"type\":\"object\",\"properties\":{\"hue\":"
    "{\"type\":\"string\"},\"by\":{\"type\":\"string\"}}},\"volumes\":{\"type\":\"array\",\"x-kubernetes-list-type\":\"map\","
    "\"x-kubernetes-list-map-keys\":[\"name\"],\"items\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":"
    "{\"type\":\"string\"},\"emptyDir\":{\"type\":\"object\",\"properties\":{\"limit\":{\"type\":\"string\"}}}}}}}}}}}}]}}";

static cJSON *box(cluster *c, const char *name, const char *spec)
{
	ao_auto_str char *text = ao_xasprintf(
	    "{\"apiVersion\":\"apply.unit.test/v1\",\"kind\":\"Box\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\"},\"spec\":%s}",
	    name, c->space, spec);
	return parse(text);
}

static cJSON *apply_box(cluster *c, const char *name, const char *spec, outcome *o)
{
	ao_auto_json cJSON *desired = box(c, name, spec);
	return apply(c, &BOXES, desired, false, o);
}

static void boxes_exist(cluster *c)
{
	outcome o = {.error = -ENOENT};
	ask(c, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", NULL, CRD, NULL);
	for (int i = 0; o.error && i < 100; i++) {
		cJSON_Delete(apply_box(c, "first", "{}", &o));
		usleep(100000);
	}
	assert_int_equal(o.error, 0);
}

static void assert_spec(const cJSON *object, const char *spec)
{
	ao_auto_json cJSON *wanted = parse(spec);
	ao_auto_str char *found = ao_json_print(ao_json_at(object, "spec"));
	if (!ao_json_equal(ao_json_at(object, "spec"), wanted))
		fail_msg("%s, wanted %s", found, spec);
}

/** The server would make null of an object that loses its last field, and refuse that. */
static void objects_of_custom_resources_are_emptied(void **state)
{
	static const char *const full =
	    "{\"size\":1,\"lid\":{\"hue\":\"red\"},\"volumes\":[{\"name\":\"a\"},{\"name\":\"b\",\"emptyDir\":{\"limit\":\"1\"}}]}";
	static const char *const rows[] = {
	    "{\"size\":2,\"lid\":{},\"volumes\":[{\"name\":\"a\"},{\"name\":\"b\",\"emptyDir\":{\"limit\":\"1\"}}]}",
	    "{\"size\":2,\"lid\":{\"hue\":\"red\"},\"volumes\":[{\"name\":\"a\"},{\"name\":\"b\",\"emptyDir\":{}}]}",
	    "{\"size\":2,\"lid\":{},\"volumes\":[{\"name\":\"b\",\"emptyDir\":{}}]}",
	    "{\"size\":2,\"volumes\":[{\"name\":\"a\",\"emptyDir\":{}},{\"name\":\"b\"}]}",
	};
	cluster *c = need_cluster(state, __func__);
	boxes_exist(c);
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_str char *name = ao_xasprintf("box-%zu", i);
		outcome o;
		cJSON_Delete(apply_box(c, name, full, &o));
		for (int again = 0; again < 2; again++) {
			ao_auto_json cJSON *object = apply_box(c, name, rows[i], &o);
			if (o.error)
				fail_msg("row %zu: %s", i, o.message);
			assert_spec(object, rows[i]);
		}
		ao_auto_json cJSON *object = apply_box(c, name, "{\"size\":3}", &o);
		assert_int_equal(o.error, 0);
		assert_spec(object, "{\"size\":3}");
	}
}

/** What somebody else put there is no reason to refuse anything, and stays. */
static void objects_that_others_fill_are_not_emptied(void **state)
{
	cluster *c = need_cluster(state, __func__);
	outcome o;
	boxes_exist(c);
	cJSON_Delete(apply_box(c, "theirs", "{\"lid\":{\"hue\":\"red\"}}", &o));
	ao_auto_str char *path = path_of(c, &BOXES, "theirs", "?fieldManager=somebody");
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, "{\"spec\":{\"lid\":{\"by\":\"me\"}}}", NULL), 0);
	ao_auto_json cJSON *object = apply_box(c, "theirs", "{\"lid\":{}}", &o);
	assert_int_equal(o.error, 0);
	assert_spec(object, "{\"lid\":{\"by\":\"me\"}}");
	assert_int_equal(
	    ask(c, "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boxes.apply.unit.test", NULL, NULL, NULL), 0);
}

static void another_object_of_that_name(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *ours = deployment(c, "again", "", ENV_A);
	ao_auto_json cJSON *first = apply_ok(c, ours, true);
	ao_store *store;
	const ao_object *observed = observe(c, &DEPLOYMENTS, "again", &store);
	ao_auto_str char *path = path_of(c, &DEPLOYMENTS, "again", "");
	assert_int_equal(ask(c, "DELETE", path, NULL, NULL, NULL), 0);
	for (int turn = 0; turn < 2; turn++) { /* gone, then replaced */
		outcome o = {0};
		ao_apply_request request = request_of(c, &DEPLOYMENTS, ours, observed, &o);
		ao_apply_start(&request);
		assert_true(ao_loop_run_until(c->loop, &o.done, 20000));
		assert_int_equal(o.error, turn ? -ESTALE : -ENOENT);
		reply r = {0};
		ao_remove_start(c->kube, &DEPLOYMENTS, observed, on_reply, &r);
		assert_true(ao_loop_run_until(c->loop, &r.done, 20000));
		assert_int_equal(r.error, -ENOENT);
		free(r.body);
		if (!turn)
			post_as(c, "somebody", ours);
	}
	ao_store_free(store);
	observed = observe(c, &DEPLOYMENTS, "again", &store);
	reply r = {0};
	ao_remove_start(c->kube, &DEPLOYMENTS, observed, on_reply, &r);
	assert_true(ao_loop_run_until(c->loop, &r.done, 20000));
	assert_int_equal(r.error, 0);
	free(r.body);
	ao_store_free(store);
	assert_null(observe(c, &DEPLOYMENTS, "again", &store));
	ao_store_free(store);
	assert_non_null(first);
}

static void dry_runs_change_nothing(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *first = deployment(c, "dry", "", ENV_AB), *second = deployment(c, "dry", "", ENV_A);
	outcome o;
	ao_store *store;
	ao_auto_json cJSON *would_create = apply(c, &DEPLOYMENTS, first, true, &o);
	assert_int_equal(o.error, 0);
	assert_null(observe(c, &DEPLOYMENTS, "dry", &store));
	ao_store_free(store);
	ao_auto_json cJSON *created = apply_ok(c, first, true), *would_change = apply(c, &DEPLOYMENTS, second, true, &o);
	assert_int_equal(o.error, 0);
	ao_auto_json cJSON *now = read_back(c, "dry");
	assert_int_equal(env_count(now), 2);
	assert_holds(now, "ours", "Update");
	assert_non_null(would_create);
	assert_non_null(would_change);
	assert_non_null(created);
}

static void cancelled_at_any_moment(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_json cJSON *first = deployment(c, "cancel", "", ENV_AB), *second = deployment(c, "cancel", "", ENV_A);
	post_as(c, "manager", first);
	ao_store *store;
	const ao_object *observed = observe(c, &DEPLOYMENTS, "cancel", &store);
	for (uint64_t ms = 0; ms < 30; ms++) {
		outcome o = {0};
		ao_apply_request request = request_of(c, &DEPLOYMENTS, second, observed, &o);
		ao_apply *a = ao_apply_start(&request);
		ao_loop_run_until(c->loop, &o.done, ms);
		if (!o.done)
			ao_apply_cancel(a);
		cJSON_Delete(o.object);
	}
	for (uint64_t ms = 0; ms < 10; ms++) {
		reply r = {0};
		ao_remove *removal = ao_remove_start(c->kube, &DEPLOYMENTS, observed, on_reply, &r);
		ao_loop_run_until(c->loop, &r.done, ms);
		if (!r.done)
			ao_remove_cancel(removal);
		free(r.body);
	}
	ao_store_free(store);
}

/* ---- golden children ---- */

/** Members that the server fills in by itself: left out, they must come back and make no difference. */
static bool is_default(const cJSON *member)
{
	static const char *const keys[] = {"progressDeadlineSeconds",
					   "revisionHistoryLimit",
					   "strategy",
					   "imagePullPolicy",
					   "terminationMessagePath",
					   "terminationMessagePolicy",
					   "dnsPolicy",
					   "restartPolicy",
					   "schedulerName",
					   "securityContext",
					   "resources",
					   "successThreshold",
					   "failureThreshold",
					   "terminationGracePeriodSeconds"};
	for (size_t i = 0; i < AO_LEN(keys); i++)
		if (strcmp(keys[i], member->string) == 0)
			return strcmp(member->string, "resources") != 0 || !member->child;
	return false;
}

static void strip(cJSON *at)
{
	cJSON *next;
	for (cJSON *member = at->child; member; member = next) {
		next = member->next;
		if (cJSON_IsObject(at) && is_default(member))
			cJSON_Delete(cJSON_DetachItemViaPointer(at, member));
		else
			strip(member);
	}
}

/** @return false when the kind is not installed */
static bool comes_back_equal(cluster *c, const cJSON *child)
{
	ao_auto_json cJSON *desired = cJSON_Duplicate(child, 1);
	ao_auto_str char *plural = ao_xasprintf("%ss", ao_json_str(child, "kind")), *path = NULL;
	for (char *p = plural; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	const ao_resource resource = {(char *)ao_json_str(child, "apiVersion"), (char *)ao_json_str(child, "kind"), plural, false};
	cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(desired, "metadata"), "ownerReferences");
	ao_json_set_str(ao_json_at(desired, "metadata"), "namespace", c->space);
	strip(desired);
	drop_duplicates(desired);
	outcome o;
	ao_auto_json cJSON *created = apply(c, &resource, desired, false, &o);
	if (o.error == -ENOENT)
		return false;
	if (o.error)
		fail_msg("%s: %s", plural, o.message);
	if (!ao_apply_equal(desired, created, &path))
		fail_msg("%s: %s differs after creation", plural, path);
	ao_auto_json cJSON *applied = apply(c, &resource, desired, false, &o);
	if (o.error || !ao_apply_equal(desired, applied, &path))
		fail_msg("%s: %s %s", plural, o.message, path ? path : "");
	assert_true(ao_json_equal(ao_json_at(created, "spec"), ao_json_at(applied, "spec")));
	assert_true(ao_json_equal(ao_json_at(created, "metadata", "generation"), ao_json_at(applied, "metadata", "generation")));
	return true;
}

static void real_children_come_back_equal(void **state)
{
	cluster *c = need_cluster(state, __func__);
	int count = 0, absent = 0;
	ao_auto_json cJSON *children = golden_children();
	for (const cJSON *child = children->child; child; child = child->next, count++)
		absent += !comes_back_equal(c, child);
	if (absent)
		fprintf(stderr, "%d of %d golden children are of kinds that this cluster does not know\n", absent, count);
	assert_true(count - absent >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(created_then_changed),
	    CASE(replicas_are_not_lost),
	    CASE(a_wrong_object_is_the_policy_s_error),
	    CASE(another_object_of_that_name),
	    CASE(dry_runs_change_nothing),
	    CASE(cancelled_at_any_moment),
	    CASE(real_children_come_back_equal),
	    CASE(objects_of_custom_resources_are_emptied),
	    CASE(objects_that_others_fill_are_not_emptied),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
