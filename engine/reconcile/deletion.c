/*
 * deletion.c -- the finalizer, and what happens before it is removed.
 *
 * Children go one by one, the latest kind of the manifest first, each only when the one before is gone: what scales a workload must not
 * find its queue missing.  Then the queues, as a plan made for the parent that goes says.  Who cannot be given a plan any more is let go.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/finalizer.h"
#include "reconcile/pass.h"

#include <stdio.h>
#include <string.h>

#define LOOK_AGAIN_S 5.0
#define QUEUE_AGAIN_S 30.0
#define STUCK_MS 60000 /* what somebody else's finalizer holds, or a Secret that is gone, is not waited for for ever */

/* ---- the finalizer ---- */

static void on_finalizer_added(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const ao_kind *kind = &pass->reconciler->manifest->kinds[0];
	pass->call = NULL;
	if (answer->error) {
		ao_pass_parent_error(pass, "add the finalizer to", answer);
		ao_pass_finish(pass);
		return;
	}
	ao_world_took(pass->reconciler->with.world, kind, AO_WROTE_OBJECT, answer, NULL);
	const ao_object *object = ao_pass_object(pass);
	if (object && object->deleting)
		ao_pass_finish(pass); /* whoever told the cache has woken it */
	else
		ao_pass_render(pass);
}

static void on_finalizer_removed(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (!answer->error)
		ao_info(AO_CORE, pass->parent->key, "released: %s", pass->left ? pass->left : "nothing of ours is left to clean up");
	else
		ao_pass_parent_error(pass, "release", answer);
	ao_pass_finish(pass);
}

static void send_patch(ao_pass *pass, const ao_object *object, const char *content_type, const cJSON *body, ao_kube_fn fn)
{
	const ao_kind *kind = &pass->reconciler->manifest->kinds[0];
	ao_auto_str char *path = ao_resource_path(&kind->resource, object->namespace_, object->name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s", path, pass->reconciler->manifest->field_manager);
	ao_auto_str char *text = ao_json_print(body);
	pass->call = ao_kube_send(pass->reconciler->with.kube,
				  &(ao_kube_request){.method = "PATCH",
						     .path = query,
						     .content_type = content_type,
						     .body = text,
						     .object = {&kind->resource, object->namespace_, object->name, object->uid},
						     .fn = fn,
						     .arg = pass});
}

/** Touches metadata.finalizers alone; resourceVersion makes it fail rather than undo somebody else's finalizer. */
void ao_pass_add_finalizer(ao_pass *pass, const ao_object *object, const cJSON *tree)
{
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	cJSON *metadata = ao_json_object(patch, "metadata");
	const cJSON *present = ao_json_at(tree, "metadata", "finalizers");
	cJSON *finalizers = cJSON_IsArray(present) ? cJSON_Duplicate(present, 1) : cJSON_CreateArray();
	cJSON_AddItemToArray(finalizers, cJSON_CreateString(pass->reconciler->manifest->finalizer));
	ao_json_set(metadata, "finalizers", finalizers);
	ao_json_set_str(metadata, "resourceVersion", object->resource_version);
	send_patch(pass, object, AO_MERGE_PATCH, patch, on_finalizer_added);
}

static void remove_finalizer(ao_pass *pass)
{
	const ao_object *object = ao_pass_object(pass);
	ao_auto_json cJSON *patch = NULL, *tree = NULL;
	if (object && ao_object_tree(object, &tree, NULL) == 0)
		patch = ao_finalizer_removal(tree, pass->reconciler->manifest->finalizer);
	if (!patch) {
		ao_pass_finish(pass);
		return;
	}
	ao_queues_forget(pass->reconciler->with.queues, object->uid); /* nothing is tried again for who has been let go */
	send_patch(pass, object, AO_JSON_PATCH, patch, on_finalizer_removed);
}

static void warn(ao_pass *pass, const ao_object *object, const char *reason, const char *note)
{
	const ao_resource *resource = &pass->reconciler->manifest->kinds[0].resource;
	ao_warn(AO_CORE, object->key, "%s", note);
	ao_events_emit(pass->reconciler->with.events, &(ao_event){
							  .api_version = resource->api_version,
							  .kind = resource->kind,
							  .namespace_ = object->namespace_,
							  .name = object->name,
							  .uid = object->uid,
							  .warning = true,
							  .reason = reason,
							  .note = note,
						      });
}

/** Takes a sentence about what stays. */
static void leave(ao_pass *pass, char *sentence)
{
	char *before = pass->left;
	pass->left = before ? ao_xasprintf("%s; %s", before, sentence) : ao_xstrdup(sentence);
	free(before);
	free(sentence);
}

/* ---- queues ---- */

static void next_queue(ao_pass *pass);

static void on_patience(void *arg) { next_queue(arg); }

static bool is_retained(const cJSON *queue)
{
	const char *deletion = ao_json_str(queue, "deletion");
	return deletion && strcmp(deletion, "Retain") == 0;
}

/** Without the Secret there is no way in; in a namespace that goes it will not come back. */
static bool is_hopeless(const ao_pass *pass, const ao_queues_fact *fact)
{
	return strcmp(fact->reason, "SecretMissing") == 0 && ao_mono_ms() - pass->parent->release_ms > STUCK_MS;
}

static void next_queue(ao_pass *pass)
{
	const ao_object *object = ao_pass_object(pass);
	if (!object) {
		ao_pass_finish(pass);
		return;
	}
	for (const cJSON *queue; (queue = cJSON_GetArrayItem(ao_json_at(pass->plan, "queues"), pass->queue_index)); pass->queue_index++) {
		ao_queues_fact fact;
		bool waited = pass->queue_waited;
		pass->queue_waited = false;
		if (is_retained(queue)) {
			leave(pass, ao_xasprintf("queue %s stays at its broker, as it is to", ao_json_str(queue, "name")));
			continue;
		}
		ao_queues_state state = ao_queues_want(pass->reconciler->with.queues, object, queue, AO_BROKER_DELETE,
						       waited ? NULL : on_patience, pass, &fact);
		if (state == AO_QUEUES_WAIT) {
			pass->queue_waited = true;
			return;
		}
		if (state == AO_QUEUES_FAILED && is_hopeless(pass, &fact)) {
			ao_auto_str char *note =
			    ao_xasprintf("queue %s is left at its broker: %s", ao_json_str(queue, "name"), fact.message);
			warn(pass, object, "QueueLeft", note);
			leave(pass, AO_TAKE(note));
			continue;
		}
		if (state == AO_QUEUES_FAILED)
			ao_pass_queue_error(pass, "delete", ao_json_str(queue, "name"), &fact);
		if (state != AO_QUEUES_DONE) {
			pass->requeue_after = QUEUE_AGAIN_S; /* the keeper tells of news; that our patience ends is none */
			ao_pass_status(pass);
			return;
		}
		if (fact.kept)
			leave(pass, ao_xstrdup(fact.kept));
	}
	remove_finalizer(pass);
}

/** Before every parent has had a plan it is not known whether somebody else has the same queue. */
static bool all_planned(ao_reconciler *r)
{
	size_t cursor = 0;
	for (const ao_object *object; !r->all_planned && (object = ao_store_next(ao_world_parents(r->with.world), &cursor));) {
		const ao_parent *parent = ao_map_get(r->parents, object->key);
		if (!object->deleting && !(parent && *parent->bundle))
			return false;
	}
	r->all_planned = true;
	return true;
}

static void release_queues(ao_pass *pass, const ao_object *object)
{
	const ao_parent *parent = pass->parent;
	snprintf(pass->bundle, sizeof(pass->bundle), "%s", ao_bundle_digest(ao_pass_bundle(pass, object)));
	pass->previous = ao_xstrdup(parent->carried);
	ao_pass_plan(pass, object);
	const cJSON *queues = ao_json_at(pass->plan, "queues"), *why = parent->policy_error ? parent->policy_error : parent->invalid;
	if (why && !cJSON_GetArraySize(queues)) {
		ao_auto_str char *note =
		    ao_xasprintf("released without a plan, what it had at brokers is left there: %s", ao_json_str(why, "message"));
		warn(pass, object, "QueueLeft", note);
		leave(pass, ao_xstrdup("what it had at brokers is left there"));
	}
	if (cJSON_GetArraySize(queues) && !all_planned(pass->reconciler) && ao_mono_ms() - parent->release_ms < STUCK_MS) {
		pass->requeue_after = 1;
		ao_pass_finish(pass);
		return;
	}
	next_queue(pass);
}

/* ---- children ---- */

typedef struct next_child {
	bool waited_long;
	const ao_kind *kind;
	const ao_object *object;
} next_child;

static void find_child(void *arg, const ao_kind *kind, const ao_object *object)
{
	next_child *found = arg;
	if (object->deleting && found->waited_long)
		return;
	found->kind = kind;
	found->object = object;
}

static void on_deleted(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->remove = NULL;
	if (answer->error && answer->error != -ENOENT) {
		ao_pass_error(pass, "delete", pass->deleting_kind, "", pass->deleting_name, answer);
		ao_pass_status(pass);
		return;
	}
	ao_info(AO_CORE, pass->parent->key, "deleted %s %s", pass->deleting_kind->resource.kind, pass->deleting_name);
	pass->requeue_after = LOOK_AGAIN_S; /* the watch tells earlier that it is gone */
	ao_pass_finish(pass);
}

/** kubectl delete --cascade=orphan: what there is goes on without its parent. */
static bool is_orphaning(const cJSON *tree) { return ao_finalizer_held(tree, "orphan"); }

void ao_pass_release(ao_pass *pass, const cJSON *tree)
{
	ao_reconciler *r = pass->reconciler;
	const ao_object *object = ao_pass_object(pass);
	ao_parent *parent = pass->parent;
	if (is_orphaning(tree)) {
		leave(pass, ao_xstrdup("its children and queues go on without it"));
		remove_finalizer(pass);
		return;
	}
	if (!parent->release_ms)
		parent->release_ms = ao_mono_ms();
	parent->settled = false;
	next_child found = {.waited_long = ao_mono_ms() - parent->release_ms > STUCK_MS};
	ao_world_each_child(r->with.world, object->uid, find_child, &found);
	if (!found.object) {
		release_queues(pass, object);
	} else if (found.object->deleting) {
		pass->requeue_after = LOOK_AGAIN_S;
		pass->previous = ao_xstrdup(parent->carried);
		ao_pass_status(pass); /* somebody else's finalizer holds it: that is worth saying */
	} else {
		ao_pass_delete(pass, found.kind, found.object, on_deleted);
	}
}
