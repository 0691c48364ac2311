/* object_op.c -- one object of a plan: created, updated in the way of its kind, or left alone because it is as wanted. */
#include "base/log.h"
#include "base/mem.h"
#include "policy/plan.h"
#include "reconcile/pass.h"
#include "reconcile/settled.h"

#include <string.h>

#define UNSURE 1 /* in the place of a digest, which differs from it: the child may hold something that we have rendered since we began */

ao_memo *ao_parent_memo(ao_parent *parent, const char *id)
{
	ao_memo *memo = ao_map_get(parent->memos, id);
	if (!memo) {
		if (!parent->memos)
			parent->memos = ao_map_new();
		memo = ao_xcalloc(1, sizeof(*memo));
		ao_map_put(parent->memos, id, memo);
	}
	return memo;
}

void ao_parent_leave(ao_parent *parent, const char *id, const ao_object *object)
{
	ao_memo *memo = ao_parent_memo(parent, id);
	if (memo->observed != object->spec_digest)
		*memo = (ao_memo){.desired = memo->desired ? UNSURE : 0, .observed = object->spec_digest};
	memo->seen = true;
}

char *ao_memo_id_of(const ao_kind *kind, const char *key) { return ao_xasprintf("%s %s", kind->resource.kind, key); }

char *ao_memo_id(const ao_kind *kind, const cJSON *desired)
{
	const char *namespace_ = ao_json_str(desired, "metadata", "namespace");
	return ao_xasprintf("%s %s%s%s", kind->resource.kind, namespace_ ? namespace_ : "", namespace_ ? "/" : "",
			    ao_json_str(desired, "metadata", "name"));
}

static ao_memo *memo_for(ao_pass *pass, const ao_kind *kind, const cJSON *desired)
{
	ao_auto_str char *id = ao_memo_id(kind, desired);
	return ao_parent_memo(pass->parent, id);
}

static ao_update way_of(const cJSON *item) { return ao_update_of(ao_json_str(item, "update")); }

/** The item of the plan that the running operation is about. */
static const cJSON *current(const ao_pass *pass) { return pass->ops[pass->at].item; }

static uint64_t current_digest(const ao_pass *pass) { return pass->ops[pass->at].digest; }

static const ao_kind *kind_of(const ao_pass *pass, const cJSON *desired) { return ao_manifest_kind(pass->reconciler->manifest, desired); }

static void note_failure(ao_pass *pass, const char *verb, const cJSON *item, const ao_kube_answer *answer)
{
	const cJSON *desired = ao_json_at(item, "object");
	ao_pass_error(pass, verb, kind_of(pass, desired), ao_json_str(item, "role"), ao_json_str(desired, "metadata", "name"), answer);
}

/** Does the plan hold what was carried out last, maybe by an operator before this one? */
static bool is_rendered_again(const ao_pass *pass)
{
	return pass->plan.previous && strcmp(pass->plan.previous, pass->parent->rendered) == 0;
}

/** Was this child rendered just so by the operator before this one? */
static bool is_recalled(const ao_parent *parent, uint64_t digest)
{
	return parent->recalled && ao_settled_has_own(parent->recalled, digest);
}

/**
 * Is this child already what the plan wants?  Yes when it is the very object we last saw to be right; or when it equals what we render in
 * effect and nothing we rendered earlier can be left over in it, that is when the digest of the last rendering, or of the child in it, is
 * today's, or when nobody of ours ever rendered it and its maker had seen the parent as it is (taken over: left alone until something really
 * changes).  What we made ourselves and ended before we could record it may have been made by other policies.  A child of a kind that is not
 * simply changed in place carries a digest of what was rendered, so equal in effect is all.
 */
static bool as_wanted(ao_pass *pass, const ao_kind *kind, const cJSON *item, uint64_t digest, const ao_object *observed)
{
	const cJSON *desired = ao_json_at(item, "object");
	ao_memo *memo = memo_for(pass, kind, desired);
	bool known = memo->desired != 0;
	if (known && memo->desired == digest && memo->observed == observed->spec_digest)
		return true;
	ao_auto_json cJSON *tree = NULL;
	free(pass->object.difference);
	pass->object.difference = NULL;
	if (ao_world_tree(kind, observed, &tree, NULL) < 0 || !ao_apply_equal(desired, tree, &pass->object.difference))
		return false;
	bool leftovers = known                               ? memo->desired != digest
			 : is_recalled(pass->parent, digest) ? false
			 : pass->plan.previous               ? (pass->plan.touched && observed->held.fields) || !is_rendered_again(pass)
							     : pass->plan.behind || (pass->plan.unrecorded && observed->held.post_at >= 0);
	leftovers = leftovers && way_of(item) == AO_UPDATE_IN_PLACE;
	if (!leftovers)
		*memo = (ao_memo){.desired = digest, .observed = observed->spec_digest, .seen = true};
	return !leftovers;
}

/** Is the object gone that we wanted to change? Its watch has not told us yet. For an apply the server does not call this "not found". */
static bool is_gone(const ao_kube_answer *answer)
{
	return answer->error == -ENOENT || (answer->error == -ESTALE && strstr(answer->message, "no existing object was found"));
}

static void on_applied(void *arg, const ao_kube_answer *answer, bool created)
{
	ao_pass *pass = arg;
	const cJSON *desired = ao_json_at(current(pass), "object");
	const ao_kind *kind = kind_of(pass, desired);
	pass->object.apply = NULL;
	if (answer->error) {
		if (answer->error == -EINVAL)
			ao_reconciler_doubt_schemas(pass->reconciler);
		if (answer->unsure)
			*memo_for(pass, kind, desired) = (ao_memo){.desired = UNSURE, .seen = true};
		ao_kube_answer plain = *answer;
		if (!created && is_gone(answer))
			plain.message = "it was deleted meanwhile, and is created anew once its watch says so";
		note_failure(pass, created ? "create" : "update", current(pass), &plain);
		ao_pass_resume(pass, ao_pass_skip_namespace(pass, answer->status));
		return;
	}
	pass->ops[pass->at].wrote = true;
	uint64_t observed; /* of the answer: what came after it, and is in the cache already, has yet to be compared */
	if (ao_world_put_answer(pass->reconciler->with.world, kind, AO_WROTE_OBJECT, answer, &observed))
		*memo_for(pass, kind, desired) = (ao_memo){.desired = current_digest(pass), .observed = observed, .seen = true};
	ao_pass_note_change(pass,
			    created                  ? "created"
			    : pass->object.restoring ? "restored"
						     : "updated",
			    kind, ao_json_str(desired, "metadata", "name"));
	/* whether what others wait for is ready by now, the next plan says */
	ao_pass_resume(pass, cJSON_IsTrue(ao_json_at(current(pass), "awaited")) ? AO_OP_STOP : AO_OP_DONE);
}

static void on_shared(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	if (answer->error)
		note_failure(pass, "write", current(pass), answer);
	ao_pass_resume(pass, answer->error ? ao_pass_skip_namespace(pass, answer->status) : AO_OP_DONE);
}

/** Nobody needs to ask the server: it does not know the kind, and the watch tells when it does. */
static void note_absent(ao_pass *pass, const ao_kind *kind, const cJSON *item)
{
	const char *name = ao_json_str(item, "object", "metadata", "name");
	cJSON *error = ao_pass_note_error(pass, "create", kind->resource.kind, ao_json_str(item, "role"), name);
	ao_auto_str char *message =
	    ao_xasprintf("%s (%s) is not installed in this cluster", kind->resource.kind, kind->resource.api_version);
	ao_json_set_str(error, "reason", "KindAbsent");
	ao_json_set_str(error, "message", message);
	pass->outcome.blocked = true;
}

static ao_op_result want_shared(ao_pass *pass, const ao_kind *kind, const cJSON *item)
{
	const ao_reconciler_options *with = &pass->reconciler->with;
	const cJSON *desired = ao_json_at(item, "object");
	uint64_t digest = current_digest(pass);
	bool alike;
	if (with->is_apart(with->arg, ao_pass_object(pass)) && ao_shared_is_theirs(with->shared, kind, desired, digest, &alike)) {
		pass->parent->wants_shared = pass->parent->wants_shared || !alike;
		return AO_OP_DONE;
	}
	pass->rolling.kind = NULL; /* others may change while it is written */
	return ao_shared_want(with->shared, kind, ao_json_str(item, "role"), desired, digest, on_shared, pass) ? AO_OP_DONE : AO_OP_WAIT;
}

/** Starts the write of a child. @param fn  called with the pass */
static void start_apply(ao_pass *pass, const ao_kind *kind, const cJSON *desired, const ao_object *observed, bool only_claim,
			void (*fn)(void *arg, const ao_kube_answer *answer, bool created))
{
	const ao_reconciler *r = pass->reconciler;
	pass->rolling.kind = NULL;
	pass->object.apply = ao_apply_start(&(ao_apply_request){
	    .kube = r->with.kube,
	    .resource = &kind->resource,
	    .desired = desired,
	    .observed = observed,
	    .manager = r->manifest->field_manager,
	    .legacy_managers = (const char *const *)r->manifest->legacy_managers,
	    .owner_label = kind->by_label ? r->manifest->owner_label : NULL,
	    .returned = pass->plan.returned,
	    .only_claim = only_claim,
	    .rank = ao_pass_rank(pass),
	    .fn = fn,
	    .arg = pass,
	});
}

static void on_claimed(void *arg, const ao_kube_answer *answer, bool created)
{
	ao_pass *pass = arg;
	const ao_kind *kind = kind_of(pass, ao_json_at(current(pass), "object"));
	(void)created;
	pass->object.apply = NULL;
	if (answer->error)
		note_failure(pass, "update", current(pass), answer);
	else
		ao_world_put_answer(pass->reconciler->with.world, kind, AO_WROTE_OBJECT, answer, NULL);
	ao_pass_resume(pass, answer->error ? ao_pass_skip_namespace(pass, answer->status) : AO_OP_DONE);
}

/** Leaves a child alone that is as wanted. But when a predecessor has written to it since we were here, the fields become ours. */
static ao_op_result leave_object(ao_pass *pass, const ao_kind *kind, const cJSON *desired, const ao_object *observed)
{
	if (!pass->plan.returned || !observed->held.legacy_beside)
		return AO_OP_DONE;
	start_apply(pass, kind, desired, observed, true, on_claimed);
	return AO_OP_WAIT;
}

/* ---- the ways of an update ---- */

/** Leaves a child as it is for now, and says why. */
static ao_op_result leave_outdated(ao_pass *pass, const ao_kind *kind, const cJSON *item, const ao_object *observed, const char *why)
{
	ao_parent *parent = pass->parent;
	cJSON *note = cJSON_CreateObject();
	ao_json_set_str(note, "role", ao_json_str(item, "role"));
	ao_json_set_str(note, "kind", kind->resource.kind);
	ao_json_set_str(note, "name", observed->name);
	ao_json_set_str(note, "message", why);
	if (!parent->outdated)
		parent->outdated = cJSON_CreateArray();
	cJSON_AddItemToArray(parent->outdated, note);
	parent->replacing |= way_of(item) != AO_UPDATE_ON_DELETE;
	ao_auto_str char *id = ao_memo_id(kind, ao_json_at(item, "object"));
	ao_parent_leave(parent, id, observed);
	return AO_OP_DONE;
}

/** How the children of a kind stand that are updated one by one: looked at once, and again after each write. */
static void look_at_all(ao_pass *pass, const ao_kind *kind)
{
	ao_auto_str char *difference = AO_TAKE(pass->object.difference); /* of the running operation; comparing the others overwrites it */
	pass->rolling.kind = kind;
	pass->rolling.count = 0;
	pass->rolling.standings = ao_xrealloc(pass->rolling.standings, pass->op_count * sizeof(*pass->rolling.standings));
	pass->rolling.ops = ao_xrealloc(pass->rolling.ops, pass->op_count * sizeof(*pass->rolling.ops));
	for (size_t i = 0; i < pass->op_count; i++) {
		const ao_op *op = &pass->ops[i];
		if (op->run != ao_op_object || kind_of(pass, ao_json_at(op->item, "object")) != kind || !ao_update_rolls(way_of(op->item)))
			continue;
		const ao_object *object = ao_world_find(pass->reconciler->with.world, kind, ao_json_at(op->item, "object"));
		bool wanted = i != pass->at && object && as_wanted(pass, kind, op->item, op->digest, object);
		pass->rolling.ops[pass->rolling.count] = i;
		pass->rolling.standings[pass->rolling.count++] =
		    (ao_standing){object && !object->deleting, wanted, !op->wrote && !ao_json_at(op->item, "unready")};
	}
	free(pass->object.difference);
	pass->object.difference = AO_TAKE(difference);
}

/** The operation whose child the outdated one of the running operation has to wait for, among those of its kind; NULL: there is none. */
static const ao_op *find_blocker(ao_pass *pass, const ao_kind *kind)
{
	size_t index = 0;
	if (pass->rolling.kind != kind)
		look_at_all(pass, kind);
	while (pass->rolling.ops[index] != pass->at)
		index++;
	long first = ao_update_waits_for(pass->rolling.standings, pass->rolling.count, index);
	return first < 0 ? NULL : &pass->ops[pass->rolling.ops[first]];
}

static void on_removed(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	const ao_kind *kind = pass->child.kind;
	pass->child.remove = NULL;
	if (answer->error && answer->error != -ENOENT) {
		note_failure(pass, "replace", current(pass), answer);
		ao_pass_resume(pass, ao_pass_skip_namespace(pass, answer->status));
		return;
	}
	ao_pass_note_change(pass, "deleted", kind, pass->child.name);
	ao_world_deleted(pass->reconciler->with.world, kind, pass->child.key, pass->child.uid, answer);
	ao_pass_resume(pass, AO_OP_AGAIN); /* it is made anew, or goes on until its finalizers are done */
}

/**
 * Does it lack nothing but the digest of what was rendered?  Then it was made before its kind had this way of an update, or by somebody before
 * us, and is as wanted: the digest is written to it as it stands.
 */
static bool lacks_digest_alone(const ao_pass *pass, const ao_kind *kind, const cJSON *desired, const ao_object *observed)
{
	ao_auto_str char *key = ao_plan_stamp(pass->reconciler->manifest->component);
	ao_auto_json cJSON *tree = NULL, *bare = cJSON_Duplicate(desired, 1);
	if (ao_world_tree(kind, observed, &tree, NULL) < 0 || ao_json_at(tree, "metadata", "annotations", key))
		return false;
	cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(bare, "metadata", "annotations"), key);
	return ao_apply_equal(bare, tree, NULL);
}

/** Brings a child that is there to what the plan wants of it, in the way of its kind. */
static ao_op_result update_object(ao_pass *pass, const ao_kind *kind, const cJSON *item, const ao_object *observed)
{
	ao_update way = way_of(item);
	if (way == AO_UPDATE_ON_DELETE)
		return leave_outdated(pass, kind, item, observed, "it is not as the plan wants it, and stays until somebody deletes it");
	if (ao_update_recreates(way) && observed->deleting)
		return leave_outdated(pass, kind, item, observed, "it is being deleted, and is made anew when it is gone");
	const ao_op *blocker = ao_update_rolls(way) ? find_blocker(pass, kind) : NULL;
	if (blocker) {
		const char *why = blocker->wrote ? "it was changed just now" : ao_json_str(blocker->item, "unready");
		ao_auto_str char *text =
		    ao_xasprintf("its turn comes when %s is ready%s%s", ao_json_str(blocker->item, "object", "metadata", "name"),
				 why ? ": " : "", why ? why : "");
		return leave_outdated(pass, kind, item, observed, text);
	}
	pass->rolling.kind = NULL;
	if (ao_update_recreates(way))
		return ao_pass_delete_child(pass, kind, observed, on_removed);
	start_apply(pass, kind, ao_json_at(item, "object"), observed, false, on_applied);
	return AO_OP_WAIT;
}

ao_op_result ao_op_object(ao_pass *pass, const cJSON *item)
{
	ao_reconciler *r = pass->reconciler;
	const cJSON *desired = ao_json_at(item, "object");
	const ao_kind *kind = kind_of(pass, desired);
	if (cJSON_IsTrue(ao_json_at(item, "shared")))
		return want_shared(pass, kind, item);
	const ao_object *observed = ao_world_find(r->with.world, kind, desired);
	ao_memo *memo = memo_for(pass, kind, desired);
	uint64_t digest = current_digest(pass);
	memo->seen = true;
	if (observed && as_wanted(pass, kind, item, digest, observed))
		return leave_object(pass, kind, desired, observed);
	if (!observed && ao_world_absent(r->with.world, kind)) {
		note_absent(pass, kind, item);
		return AO_OP_STOP;
	}
	pass->object.restoring = memo->desired ? memo->desired == digest : memo->observed && is_rendered_again(pass);
	if (observed && way_of(item) != AO_UPDATE_IN_PLACE && !lacks_digest_alone(pass, kind, desired, observed))
		return update_object(pass, kind, item, observed);
	start_apply(pass, kind, desired, observed, false, on_applied);
	return AO_OP_WAIT;
}
