/* shared.c -- a table of wanted objects and a queue of those that may not be as wanted. */
#include "reconcile/shared.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/workqueue.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/** A pass that waits for an entry. */
typedef struct waiter {
	struct entry *of;
	ao_shared_fn fn;
	void *arg;
	bool due;                               /* is about to be told */
	struct waiter *next, *previous;         /* of the same entry */
	struct waiter *next_all, *previous_all; /* of all entries */
} waiter;

typedef struct entry {
	ao_shared *shared;
	char *id;        /* "ConfigMap asya/asya-runtime" */
	const char *key; /* points into id: "asya/asya-runtime" */
	const ao_kind *kind;
	char *role;
	cJSON *desired;
	uint64_t desired_digest;
	bool pinned;
	bool settled; /* the object was as desired when it looked like `observed_digest` */
	uint64_t observed_digest;
	bool leftovers;  /* it was wanted otherwise before, so that equal in effect is not enough */
	ao_apply *apply; /* in flight, writing what `applying_digest` stands for */
	uint64_t applying_digest;
	ao_kube_call *read; /* in flight: a look at an object that our watch does not show */
	waiter *waiters;
	char *last_error; /* what was logged last: repeated failures are said once */
	bool foreign;     /* it was said that it is another operator's */
} entry;

struct ao_shared {
	ao_kube *kube;
	ao_world *world;
	ao_events *events;
	ao_workqueue *queue;
	ao_map *entries;   /* id -> entry */
	ao_map *by_digest; /* desired_digest in hex -> the same entry: an object's name is part of it */
	waiter *waiters;   /* all of them: as many as there are passes, at most */
};

static void add_waiter(entry *e, ao_shared_fn fn, void *arg)
{
	ao_shared *shared = e->shared;
	waiter *w = ao_xmalloc(sizeof(*w));
	*w = (waiter){.of = e, .fn = fn, .arg = arg, .next = e->waiters, .next_all = shared->waiters};
	if (w->next)
		w->next->previous = w;
	if (w->next_all)
		w->next_all->previous_all = w;
	e->waiters = shared->waiters = w;
}

static void drop_waiter(waiter *w)
{
	*(w->previous ? &w->previous->next : &w->of->waiters) = w->next;
	if (w->next)
		w->next->previous = w->previous;
	*(w->previous_all ? &w->previous_all->next_all : &w->of->shared->waiters) = w->next_all;
	if (w->next_all)
		w->next_all->previous_all = w->previous_all;
	free(w);
}

static void free_entry(entry *e)
{
	if (e->apply)
		ao_apply_cancel(e->apply);
	if (e->read)
		ao_kube_cancel(e->read);
	while (e->waiters)
		drop_waiter(e->waiters);
	cJSON_Delete(e->desired);
	free(e->role);
	free(e->id);
	free(e->last_error);
	free(e);
}

static waiter *oldest_due(const entry *e)
{
	waiter *oldest = NULL;
	for (waiter *w = e->waiters; w; w = w->next)
		if (w->due)
			oldest = w;
	return oldest;
}

/** Those that come while it is told wait for the next answer, and one that goes is not told any more. */
static void tell_waiters(entry *e, const ao_kube_answer *answer)
{
	for (waiter *w = e->waiters; w; w = w->next)
		w->due = true;
	for (waiter *w; (w = oldest_due(e));) {
		ao_shared_fn fn = w->fn;
		void *arg = w->arg;
		drop_waiter(w);
		fn(arg, answer);
	}
}

/** Those that are in no namespace are everywhere. */
static bool has_parent_in(ao_world *world, const char *namespace_)
{
	size_t cursor = 0;
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(world), &cursor));)
		if ((!*parent->namespace_ || strcmp(parent->namespace_, namespace_) == 0) && !parent->deleting && !parent->stub)
			return true;
	return false;
}

#define DIGEST_TEXT 17

static const char *digest_text(uint64_t digest, char text[DIGEST_TEXT])
{
	snprintf(text, DIGEST_TEXT, "%016" PRIx64, digest);
	return text;
}

static void unindex(ao_shared *shared, const entry *e)
{
	char text[DIGEST_TEXT];
	ao_map_remove(shared->by_digest, digest_text(e->desired_digest, text));
}

static void forget(ao_shared *shared, entry *e)
{
	unindex(shared, e);
	ao_map_remove(shared->entries, e->id);
	ao_workqueue_forget(shared->queue, e->id);
	free_entry(e);
}

/** Notes that the object is as desired while it looks like that. */
static void settle(entry *e, uint64_t observed_digest)
{
	e->settled = true;
	e->observed_digest = observed_digest;
	free(e->last_error);
	e->last_error = NULL;
}

static void report_failure(entry *e, const ao_kube_answer *answer)
{
	if (e->last_error && strcmp(e->last_error, answer->message) == 0)
		return;
	free(e->last_error);
	e->last_error = ao_xstrdup(answer->message);
	ao_warn(AO_CORE, e->key, "cannot write the %s, trying again: %s", e->role, answer->message);
	/* About the namespace, not the object: as long as that is missing, it could hold no Event either. */
	const char *namespace_ = ao_json_str(e->desired, "metadata", "namespace");
	ao_auto_str char *note = ao_xasprintf("cannot write the %s %s, trying again: %s", e->role, e->key, answer->message);
	ao_events_emit(e->shared->events, &(ao_event){
					      .api_version = "v1",
					      .kind = namespace_ ? "Namespace" : e->kind->resource.kind,
					      .namespace_ = "",
					      .name = namespace_ ? namespace_ : e->key,
					      .warning = true,
					      .reason = "CannotWrite",
					      .note = note,
					  });
}

static void end_work(entry *e, const ao_kube_answer *answer)
{
	ao_shared *shared = e->shared;
	ao_auto_str char *id = ao_xstrdup(e->id);
	tell_waiters(e, answer);
	ao_workqueue_done(shared->queue, id, answer->error ? AO_WORKQUEUE_RETRY : AO_WORKQUEUE_OK);
}

static void fail(entry *e, const ao_kube_answer *answer)
{
	report_failure(e, answer);
	end_work(e, answer);
}

/** Does the object carry the mark of another class? Two operators of different versions would overwrite each other's text for ever. */
static bool is_foreign(entry *e, const cJSON *tree)
{
	const ao_world *world = e->shared->world;
	bool foreign = !ao_scope_serves(ao_world_scope(world), ao_world_manifest(world), tree);
	if (foreign && !e->foreign)
		ao_info(AO_CORE, e->key, "the %s belongs to the operator of another class and is used as it is", e->role);
	e->foreign = foreign;
	return foreign;
}

static bool is_as_desired(entry *e, const ao_object *observed)
{
	if (!observed)
		return false;
	if (e->settled && e->observed_digest == observed->spec_digest)
		return true;
	ao_auto_json cJSON *tree = NULL;
	return ao_world_tree(e->kind, observed, &tree, NULL) == 0 &&
	       (is_foreign(e, tree) || (!e->leftovers && ao_apply_equal(e->desired, tree, NULL)));
}

static void apply(entry *e, const ao_object *observed);

/** The object as it is, although our watch does not show it: from here on it is one that has to be changed. */
static void on_read(void *arg, const ao_kube_answer *answer)
{
	entry *e = arg;
	e->read = NULL;
	const ao_object *observed = answer->error ? NULL : ao_world_put_unlisted(e->shared->world, e->kind, e->key, answer);
	ao_kube_answer nothing = {
	    .error = -EPROTO, .reason = "", .message = "the server's answer is not the object that was asked for", .body = ""};
	if (observed && is_as_desired(e, observed)) {
		settle(e, observed->spec_digest);
		end_work(e, answer);
	} else if (observed)
		apply(e, observed);
	else
		fail(e, answer->error ? answer : &nothing);
}

/** It exists, and without the labels that we watch by, or as we made it when the answer was lost. Its name is ours, so it is made right. */
static void read_unseen(entry *e)
{
	const char *namespace_ = ao_json_str(e->desired, "metadata", "namespace"), *name = ao_json_str(e->desired, "metadata", "name");
	ao_auto_str char *path = ao_resource_path(&e->kind->resource, namespace_, name, NULL);
	e->read = ao_kube_send(
	    e->shared->kube,
	    &(ao_kube_request){
		.method = "GET", .path = path, .object = {&e->kind->resource, namespace_, name, NULL}, .fn = on_read, .arg = e});
}

static void on_applied(void *arg, const ao_kube_answer *answer, bool created)
{
	entry *e = arg;
	uint64_t digest = 0;
	e->apply = NULL;
	if (created && answer->error == -EEXIST) {
		read_unseen(e);
		return;
	}
	if (answer->error) {
		fail(e, answer);
		return;
	}
	e->settled = false;
	bool wanted = e->applying_digest == e->desired_digest;
	e->leftovers = e->leftovers && !wanted;
	if (ao_world_put_answer(e->shared->world, e->kind, AO_WROTE_OBJECT, answer, &digest) && wanted)
		settle(e, digest);
	ao_info(AO_CORE, e->key, "%s the %s", created ? "created" : "updated", e->role);
	end_work(e, answer);
}

static void apply(entry *e, const ao_object *observed)
{
	const ao_manifest *m = ao_world_manifest(e->shared->world);
	e->applying_digest = e->desired_digest;
	e->apply = ao_apply_start(&(ao_apply_request){
	    .kube = e->shared->kube,
	    .resource = &e->kind->resource,
	    .desired = e->desired,
	    .observed = observed,
	    .manager = m->field_manager,
	    .legacy_managers = (const char *const *)m->legacy_managers,
	    .fn = on_applied,
	    .arg = e,
	});
}

/** The queue's handler: makes one entry right. */
static void work(void *arg, const char *id)
{
	ao_shared *shared = arg;
	entry *e = ao_map_get(shared->entries, id);
	const char *namespace_ = e ? ao_json_str(e->desired, "metadata", "namespace") : NULL;
	if (e && !e->pinned && !e->waiters && namespace_ && !has_parent_in(shared->world, namespace_)) {
		ao_workqueue_done(shared->queue, id, AO_WORKQUEUE_OK);
		forget(shared, e);
		return;
	}
	const ao_object *observed = e ? ao_world_find(shared->world, e->kind, e->desired) : NULL;
	if (!e || is_as_desired(e, observed)) {
		if (e) {
			settle(e, observed->spec_digest);
			tell_waiters(e, &(ao_kube_answer){.status = 200, .reason = "", .message = ""});
		}
		ao_workqueue_done(shared->queue, id, AO_WORKQUEUE_OK);
		return;
	}
	apply(e, observed);
}

ao_shared *ao_shared_new(ao_loop *loop, ao_kube *kube, ao_world *world, ao_events *events)
{
	ao_shared *shared = ao_xcalloc(1, sizeof(*shared));
	shared->kube = kube;
	shared->world = world;
	shared->events = events;
	shared->entries = ao_map_new();
	shared->by_digest = ao_map_new();
	shared->queue = ao_workqueue_new(loop, &(ao_workqueue_options){.max_active = 4, .base_ms = 500, .max_ms = 60000}, work, shared);
	return shared;
}

void ao_shared_free(ao_shared *shared)
{
	if (!shared)
		return;
	size_t cursor = 0;
	for (entry *e; (e = ao_map_next(shared->entries, &cursor, NULL));)
		free_entry(e);
	ao_map_free(shared->entries);
	ao_map_free(shared->by_digest);
	ao_workqueue_free(shared->queue);
	free(shared);
}

/** The caller frees. */
static char *id_of(const ao_kind *kind, const cJSON *desired)
{
	const char *namespace_ = ao_json_str(desired, "metadata", "namespace"), *name = ao_json_str(desired, "metadata", "name");
	return ao_xasprintf("%s %s%s%s", kind->resource.kind, namespace_ ? namespace_ : "", namespace_ ? "/" : "", name ? name : "");
}

static entry *upsert(ao_shared *shared, const ao_kind *kind, const char *role, const cJSON *desired, uint64_t digest)
{
	ao_auto_str char *id = id_of(kind, desired);
	entry *e = ao_map_get(shared->entries, id);
	if (e && e->desired_digest == digest)
		return e;
	if (!e) {
		e = ao_xcalloc(1, sizeof(*e));
		*e = (entry){.shared = shared, .kind = kind, .id = AO_TAKE(id)};
		e->key = strchr(e->id, ' ') + 1;
		ao_map_put(shared->entries, e->id, e);
	} else {
		unindex(shared, e);
		e->leftovers = true;
	}
	cJSON_Delete(e->desired);
	free(e->role);
	e->desired = cJSON_Duplicate(desired, 1);
	ao_scope_sign(ao_world_scope(shared->world), ao_world_manifest(shared->world), e->desired);
	e->role = ao_xstrdup(role);
	e->desired_digest = digest;
	e->settled = false;
	char text[DIGEST_TEXT];
	ao_map_put(shared->by_digest, digest_text(digest, text), e);
	return e;
}

static bool is_right(const entry *e)
{
	const ao_object *observed = ao_world_find(e->shared->world, e->kind, e->desired);
	return observed && e->settled && e->observed_digest == observed->spec_digest;
}

bool ao_shared_want(ao_shared *shared, const ao_kind *kind, const char *role, const cJSON *desired, uint64_t digest, ao_shared_fn fn,
		    void *arg)
{
	entry *e = upsert(shared, kind, role, desired, digest);
	if (is_right(e))
		return true;
	if (fn)
		add_waiter(e, fn, arg);
	ao_workqueue_add(shared->queue, e->id, AO_WORKQUEUE_USUAL);
	return false;
}

bool ao_shared_is_theirs(ao_shared *shared, const ao_kind *kind, const cJSON *desired, uint64_t digest, bool *ret_alike)
{
	ao_auto_str char *id = id_of(kind, desired);
	const entry *e = ao_map_get(shared->entries, id);
	const ao_object *observed = ao_world_find(shared->world, kind, desired);
	ao_auto_json cJSON *tree = NULL;
	*ret_alike = e && e->desired_digest == digest;
	if (!e && observed && ao_world_tree(kind, observed, &tree, NULL) == 0)
		*ret_alike = ao_apply_equal(desired, tree, NULL);
	return e || observed;
}

bool ao_shared_is_right(const ao_shared *shared, uint64_t digest)
{
	char text[DIGEST_TEXT];
	const entry *e = ao_map_get(shared->by_digest, digest_text(digest, text));
	return e && is_right(e);
}

void ao_shared_pin(ao_shared *shared, const ao_kind *kind, const char *role, const cJSON *desired)
{
	entry *e = upsert(shared, kind, role, desired, ao_json_digest(desired));
	e->pinned = true;
	ao_workqueue_add(shared->queue, e->id, AO_WORKQUEUE_USUAL);
}

void ao_shared_cancel(ao_shared *shared, void *arg)
{
	for (waiter *w = shared->waiters, *next; w; w = next) {
		next = w->next_all;
		if (w->arg == arg)
			drop_waiter(w);
	}
}

void ao_shared_changed(ao_shared *shared, const ao_kind *kind, const char *key)
{
	ao_auto_str char *id = ao_xasprintf("%s %s", kind->resource.kind, key);
	if (ao_map_get(shared->entries, id))
		ao_workqueue_add(shared->queue, id, AO_WORKQUEUE_USUAL);
}
