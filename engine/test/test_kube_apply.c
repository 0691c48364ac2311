/* Creating, changing, taking over and deleting on a real API server. */
#include "kube/apply.h"
#include "kube/remove.h"

#include "test/test_kube_cluster.h"
#include "test/test_kube_golden.h"

#include <ctype.h>

static const ao_resource DEPLOYMENTS = {"apps/v1", "Deployment", "deployments", false};
static const char *const LEGACY[] = {"manager", "ours", NULL};

typedef struct outcome {
	bool done, created;
	int error;
	char message[512];
	cJSON *object;
} outcome;

static void on_applied(void *arg, const ao_kube_answer *answer, bool created)
{
	outcome *o = arg;
	o->done = true;
	o->created = created;
	o->error = answer->error;
	snprintf(o->message, sizeof(o->message), "%s", answer->message);
	if (!answer->error)
		assert_int_equal(ao_json_parse(answer->body, answer->body_len, &o->object, NULL), 0);
}

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return tree;
}

static char *path_of(cluster *c, const ao_resource *resource, const char *name, const char *query)
{
	ao_auto_str char *path = ao_resource_path(resource, c->space, name, NULL);
	return ao_xasprintf("%s%s", path, query);
}

/** What an informer's store would hold of the object now; NULL when it is not there. The caller frees the store. */
static const ao_object *observe(cluster *c, const ao_resource *resource, const char *name, ao_store **ret_store)
{
	ao_auto_str char *path = path_of(c, resource, name, "");
	ao_auto_json cJSON *live = NULL;
	*ret_store = ao_store_new(&(ao_store_options){.manager = "ours", .legacy_managers = LEGACY});
	if (ask(c, "GET", path, NULL, NULL, &live) < 0)
		return NULL;
	ao_auto_str char *text = ao_json_print(live);
	const ao_object *object = NULL;
	assert_int_equal(ao_store_put(*ret_store, (ao_span){text, strlen(text)}, &object, NULL), 0);
	return object;
}

static ao_apply_request request_of(cluster *c, const ao_resource *resource, const cJSON *desired, const ao_object *observed, outcome *o)
{
	return (ao_apply_request){
	    .kube = c->kube,
	    .resource = resource,
	    .desired = desired,
	    .observed = observed,
	    .manager = "ours",
	    .legacy_managers = LEGACY,
	    .fn = on_applied,
	    .arg = o,
	};
}

/** Makes the server hold `desired`, as core does it: observe, write. @return the object, or NULL with o->error */
static cJSON *apply(cluster *c, const ao_resource *resource, const cJSON *desired, bool dry_run, outcome *o)
{
	ao_store *store;
	const ao_object *observed = observe(c, resource, ao_json_str(desired, "metadata", "name"), &store);
	*o = (outcome){0};
	ao_apply_request request = request_of(c, resource, desired, observed, o);
	request.dry_run = dry_run;
	ao_apply_start(&request);
	ao_store_free(store); /* nothing of it is needed any more */
	assert_false(o->done);
	assert_true(ao_loop_run_until(c->loop, &o->done, 40000));
	return o->object;
}

static cJSON *apply_ok(cluster *c, const cJSON *desired, bool created)
{
	outcome o;
	cJSON *object = apply(c, &DEPLOYMENTS, desired, false, &o);
	if (o.error)
		fail_msg("%s", o.message);
	assert_int_equal(o.created, created);
	ao_auto_str char *path = NULL;
	if (!ao_apply_equal(desired, object, &path))
		fail_msg("%s differs after it was applied", path);
	return object;
}

static cJSON *read_back(cluster *c, const char *name)
{
	ao_auto_str char *path = path_of(c, &DEPLOYMENTS, name, "");
	cJSON *live = NULL;
	assert_int_equal(ask(c, "GET", path, NULL, NULL, &live), 0);
	return live;
}

/** A paused Deployment: no pods. @param extra  members of spec, ending with a comma; @param env  items */
static cJSON *deployment(cluster *c, const char *name, const char *extra, const char *env)
{
	ao_auto_str char *text = ao_xasprintf(
	    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\"},\"spec\":{%s"
	    "\"paused\":true,\"selector\":{\"matchLabels\":{\"app\":\"%s\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"%s\"}},"
	    "\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"i:1\",\"env\":[%s]}]}}}}",
	    name, c->space, extra, name, name, env);
	return parse(text);
}

#define ENV_A "{\"name\":\"A\",\"value\":\"1\"}"
#define ENV_AB ENV_A ",{\"name\":\"B\",\"value\":\"2\"}"

/** Written by another client, as the predecessor did. */
static void post_as(cluster *c, const char *manager, const cJSON *object)
{
	ao_auto_str char *query = ao_xasprintf("?fieldManager=%s", manager), *path = path_of(c, &DEPLOYMENTS, NULL, query),
			 *body = ao_json_print(object);
	assert_int_equal(ask(c, "POST", path, NULL, body, NULL), 0);
}

static void merge_as(cluster *c, const char *manager, const char *name, const char *body)
{
	ao_auto_str char *query = ao_xasprintf("?fieldManager=%s", manager), *path = path_of(c, &DEPLOYMENTS, name, query);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, body, NULL), 0);
}

static int env_count(const cJSON *object)
{
	return cJSON_GetArraySize(ao_json_at(ao_json_at(object, "spec", "template", "spec", "containers")->child, "env"));
}

static int64_t replicas_of(const cJSON *object)
{
	int64_t replicas = -1;
	ao_json_int(ao_json_at(object, "spec", "replicas"), &replicas);
	return replicas;
}

/** The operations by which `manager` holds fields of the main resource: "Update", "Apply", "UpdateApply". */
static char *holds(const cJSON *object, const char *manager)
{
	ao_buf out = ao_buf_init(256);
	const cJSON *entry;
	cJSON_ArrayForEach (entry, ao_json_at(object, "metadata", "managedFields")) {
		if (strcmp(ao_json_str(entry, "manager"), manager) == 0 && !ao_json_str(entry, "subresource"))
			ao_buf_puts(&out, ao_json_str(entry, "operation"));
	}
	return ao_buf_steal(&out);
}

static void assert_holds(const cJSON *object, const char *manager, const char *operations)
{
	ao_auto_str char *text = holds(object, manager);
	assert_string_equal(text, operations);
}

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

static void add_owner(cJSON *object, const char *uid)
{
	ao_auto_str char *text =
	    ao_xasprintf("[{\"apiVersion\":\"v1\",\"kind\":\"Owner\",\"name\":\"o\",\"uid\":\"%s\",\"controller\":true}]", uid);
	ao_json_set(ao_json_at(object, "metadata"), "ownerReferences", parse(text));
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
			assert_non_null(strstr(o.message, "Deployment lost exists already and is not ours"));
			continue;
		}
		assert_int_equal(o.error, 0);
		ao_auto_json cJSON *now = read_back(c, "lost");
		assert_int_equal(env_count(now), request.dry_run ? 2 : 1); /* nothing of the earlier rendering is left over */
		assert_holds(now, "ours", request.dry_run ? "Update" : "Apply");
		cJSON_Delete(o.object);
	}
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(created_then_changed),
	    CASE(taken_over_from_a_predecessor),
	    CASE(a_stranger_called_manager_keeps_its_fields),
	    CASE(the_same_taken_over_changes_nothing),
	    CASE(replicas_are_not_lost),
	    CASE(nothing_foreign_is_overwritten),
	    CASE(what_we_made_unawares_is_ours),
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
