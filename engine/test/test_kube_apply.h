#pragma once
/** test_kube_apply.h -- paused Deployments that tests create, change and take over on a real API server. */
#include "kube/apply.h"

#include "test/test_kube_cluster.h"

static const ao_resource DEPLOYMENTS = {"apps/v1", "Deployment", "deployments", false};
static const char *const LEGACY[] = {"manager", "ours", NULL};

typedef struct outcome {
	bool done, created;
	int error;
	char message[512];
	cJSON *object;
} outcome;

static inline void on_applied(void *arg, const ao_kube_answer *answer, bool created)
{
	outcome *o = arg;
	o->done = true;
	o->created = created;
	o->error = answer->error;
	snprintf(o->message, sizeof(o->message), "%s", answer->message);
	if (!answer->error)
		assert_int_equal(ao_json_parse(answer->body, answer->body_len, &o->object, NULL), 0);
}

static inline cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return tree;
}

static inline char *path_of(cluster *c, const ao_resource *resource, const char *name, const char *query)
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

static inline ao_apply_request request_of(cluster *c, const ao_resource *resource, const cJSON *desired, const ao_object *observed,
					  outcome *o)
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
static inline cJSON *apply(cluster *c, const ao_resource *resource, const cJSON *desired, bool dry_run, outcome *o)
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

static inline cJSON *apply_ok(cluster *c, const cJSON *desired, bool created)
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

static inline cJSON *read_back(cluster *c, const char *name)
{
	ao_auto_str char *path = path_of(c, &DEPLOYMENTS, name, "");
	cJSON *live = NULL;
	assert_int_equal(ask(c, "GET", path, NULL, NULL, &live), 0);
	return live;
}

/** A paused Deployment: no pods. @param extra  members of spec, ending with a comma; @param env  items */
static inline cJSON *deployment(cluster *c, const char *name, const char *extra, const char *env)
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
static inline void post_as(cluster *c, const char *manager, const cJSON *object)
{
	ao_auto_str char *query = ao_xasprintf("?fieldManager=%s", manager), *path = path_of(c, &DEPLOYMENTS, NULL, query),
			 *body = ao_json_print(object);
	assert_int_equal(ask(c, "POST", path, NULL, body, NULL), 0);
}

static inline void merge_as(cluster *c, const char *manager, const char *name, const char *body)
{
	ao_auto_str char *query = ao_xasprintf("?fieldManager=%s", manager), *path = path_of(c, &DEPLOYMENTS, name, query);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, body, NULL), 0);
}

static inline int env_count(const cJSON *object)
{
	return cJSON_GetArraySize(ao_json_at(ao_json_at(object, "spec", "template", "spec", "containers")->child, "env"));
}

static inline int64_t replicas_of(const cJSON *object)
{
	int64_t replicas = -1;
	ao_json_int(ao_json_at(object, "spec", "replicas"), &replicas);
	return replicas;
}

/** The operations by which `manager` holds fields of the main resource: "Update", "Apply", "UpdateApply". */
static inline char *holds(const cJSON *object, const char *manager)
{
	ao_buf out = ao_buf_init(256);
	const cJSON *entry;
	cJSON_ArrayForEach (entry, ao_json_at(object, "metadata", "managedFields")) {
		if (strcmp(ao_json_str(entry, "manager"), manager) == 0 && !ao_json_str(entry, "subresource"))
			ao_buf_puts(&out, ao_json_str(entry, "operation"));
	}
	return ao_buf_steal(&out);
}

static inline void assert_holds(const cJSON *object, const char *manager, const char *operations)
{
	ao_auto_str char *text = holds(object, manager);
	assert_string_equal(text, operations);
}

static inline void add_owner(cJSON *object, const char *uid)
{
	ao_auto_str char *text =
	    ao_xasprintf("[{\"apiVersion\":\"v1\",\"kind\":\"Owner\",\"name\":\"o\",\"uid\":\"%s\",\"controller\":true}]", uid);
	ao_json_set(ao_json_at(object, "metadata"), "ownerReferences", parse(text));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)
