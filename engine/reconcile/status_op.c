/*
 * status_op.c -- the end of each pass: asks the bundle what is true now and writes what differs from the parent's status.
 *
 * A parent on its way has another status soon: the one that its new children give, or more of the same counts.  Such a status is held back
 * for a moment, its Events with it, and the key comes back; what is true then is written.  An error, and what must outlive us, never waits;
 * and an operator that is asked to end tells first what it has held back.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/pass.h"
#include "reconcile/patience.h"
#include "reconcile/relate.h"
#include "reconcile/settled.h"
#include "serve/instruments.h"

#include <errno.h>
#include <string.h>

#define UNASKED_S 1.0     /* policies that were not asked may have no more to wait for: of some children no news comes that makes us look */
#define DROPPED_MS 600000 /* what a server does not keep is said again then: it may */

/** What happened in this pass, for the status hooks. */
static cJSON *outcome_of(ao_pass *pass, const ao_object *object)
{
	const ao_manifest *manifest = pass->reconciler->manifest;
	const ao_parent *parent = pass->parent;
	cJSON *outcome = cJSON_CreateObject();
	ao_json_set(outcome, "errors", cJSON_Duplicate(pass->outcome.errors, 1));
	ao_json_set(outcome, "changed", cJSON_Duplicate(pass->outcome.changed, 1));
	if (parent->invalid)
		ao_json_set(outcome, "invalid", cJSON_Duplicate(parent->invalid, 1));
	if (parent->refused)
		ao_json_set(outcome, "refused", cJSON_Duplicate(parent->refused, 1));
	if (parent->waits)
		ao_json_set(outcome, "waits", cJSON_Duplicate(parent->waits, 1));
	if (pass->outcome.finalize)
		ao_json_set(outcome, "finalize", cJSON_Duplicate(pass->outcome.finalize, 1));
	if (parent->outdated)
		ao_json_set(outcome, "outdated", cJSON_Duplicate(parent->outdated, 1));
	if (parent->policy_error)
		ao_json_set(outcome, "policy_error", cJSON_Duplicate(parent->policy_error, 1));
	if (pass->held)
		ao_json_set(outcome, "held", cJSON_CreateBool(true));
	/* a digest is only worth keeping when all that it stands for was carried out */
	bool carried = !pass->held && parent->settled && !parent->invalid && !parent->policy_error;
	bool stays = pass->held || object->deleting; /* one that goes was all that its status says, whatever is made for a hook finalize */
	ao_auto_str char *rendered = stays ? ao_object_text(object, manifest->digest_path) : NULL;
	ao_auto_str char *bundle = carried ? NULL : ao_object_text(object, manifest->bundle_path);
	ao_json_set_str(outcome, "rendered_digest", stays ? rendered : carried ? parent->rendered : pass->plan.previous);
	ao_json_set_str(outcome, "bundle_digest", carried ? pass->plan.bundle : bundle);
	/* the parent may have been edited since its plan was made: that generation is the next pass's */
	if (!pass->held && parent->settled && !parent->policy_error)
		ao_json_set(outcome, "generation", cJSON_CreateNumber((double)parent->generation));
	return outcome;
}

static bool is_warning(const cJSON *event)
{
	const char *type = ao_json_str(event, "type");
	return type && strcmp(type, "Warning") == 0;
}

static void emit_events(ao_pass *pass, const cJSON *events, const ao_object *object)
{
	const cJSON *event;
	cJSON_ArrayForEach (event, events) {
		ao_pass_event(pass, object, is_warning(event), ao_json_str(event, "reason"), ao_json_str(event, "action"),
			      ao_json_str(event, "note"));
	}
}

static void on_read_again(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	ao_kube_answer one = *answer;
	ao_span object;
	size_t cursor = 0;
	if (!answer->error && ao_span_item(ao_span_get((ao_span){answer->body, answer->body_len}, "items"), &cursor, &object)) {
		one.body = object.at;
		one.body_len = object.len;
		ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0], AO_WROTE_STATUS, &one, NULL);
	}
	ao_pass_resume(pass, AO_OP_END);
}

/**
 * The parent was changed since we saw it. What tells us of that may be long in coming, so we look; then its status is made again. We have a
 * right to list parents, and none to get one.
 */
static void read_again(ao_pass *pass, const ao_kube_answer *conflict)
{
	const ao_resource *kind = &pass->reconciler->manifest->kinds[0].resource;
	const ao_object *object = ao_pass_object(pass);
	ao_debug(AO_CORE, pass->parent->key, "its status is made again: %s", conflict->message);
	pass->outcome.failed = pass->outcome.heals = true;
	if (!object) {
		ao_pass_resume(pass, AO_OP_END);
		return;
	}
	ao_auto_str char *path = ao_resource_named_path(kind, object->namespace_, object->name);
	pass->call =
	    ao_kube_send(pass->reconciler->with.kube, &(ao_kube_request){.method = "GET", .path = path, .fn = on_read_again, .arg = pass});
}

/** A CRD that is older than we are does not know all that we say: nothing comes of saying it once more, until it is a newer one. */
static bool is_dropped(const ao_parent *parent, const cJSON *difference)
{
	return !parent->unsure && parent->dropped && ao_mono_ms() - parent->dropped_ms < DROPPED_MS &&
	       ao_json_digest(difference) == parent->dropped;
}

static void note_dropped(ao_pass *pass, const ao_kube_answer *answer)
{
	ao_auto_json cJSON *kept = NULL, *dropped = NULL;
	ao_span status = ao_span_get((ao_span){answer->body, answer->body_len}, "status");
	if (status.at && ao_json_parse(status.at, status.len, &kept, NULL) < 0)
		return;
	dropped = ao_json_merge_diff(kept, pass->outcome.status);
	pass->parent->dropped = dropped ? ao_json_digest(dropped) : 0;
	pass->parent->dropped_ms = ao_mono_ms();
}

static void on_status_written(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	ao_parent *parent = pass->parent;
	pass->call = NULL;
	parent->unsure = answer->unsure || (answer->error && parent->unsure);
	if (answer->error == -ESTALE) {
		read_again(pass, answer);
		return;
	}
	if (answer->error) {
		ao_pass_parent_error(pass, "write the status of", answer);
	} else {
		note_dropped(pass, answer);
		ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0], AO_WROTE_STATUS, answer, NULL);
	}
	ao_pass_resume(pass, AO_OP_END);
}

/**
 * Writes what differs. resourceVersion makes it fail where the object is no longer what we saw: a status made of something old never
 * replaces a newer one, nor reaches a namesake (the server ignores a uid here).
 * @return true when a write was started
 */
static bool write_difference(ao_pass *pass, const ao_object *object, const cJSON *before, const cJSON *after)
{
	cJSON *difference = ao_json_merge_diff(before, after);
	if (!difference && pass->parent->unsure) /* nothing differs from what we saw, if that is still what is there: ask */
		difference = cJSON_Duplicate(after, 1);
	if (!difference)
		return false;
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	ao_json_set(patch, "status", difference);
	if (is_dropped(pass->parent, difference))
		return false;
	pass->outcome.status = cJSON_Duplicate(after, 1);
	ao_json_set_str(ao_json_object(patch, "metadata"), "resourceVersion", object->resource_version);
	pass->parent->status_ms = ao_mono_ms();
	ao_pass_patch(pass, object, "status", AO_MERGE_PATCH, patch, on_status_written);
	return true;
}

/**
 * A status with the one condition that Kubernetes itself knows by convention; everything else in it stays as it was.
 * @param generation  what was carried out last; 0: nothing yet
 */
static cJSON *broken_status(const cJSON *before, const char *message, int64_t generation)
{
	cJSON *status = cJSON_IsObject(before) ? cJSON_Duplicate(before, 1) : cJSON_CreateObject();
	cJSON *conditions = ao_json_at(status, "conditions");
	if (!cJSON_IsArray(conditions)) {
		conditions = cJSON_CreateArray();
		ao_json_set(status, "conditions", conditions);
	}
	cJSON *ready = ao_json_item(conditions, "type", "Ready");
	const char *was = ready ? ao_json_str(ready, "status") : NULL;
	if (!ready) {
		ready = cJSON_CreateObject();
		cJSON_AddItemToArray(conditions, ready);
	}
	if (!was || strcmp(was, "False") != 0) {
		char now[AO_TIME_TEXT];
		ao_time_second_text(ao_wall_ms(), now);
		ao_json_set_str(ready, "lastTransitionTime", now);
	}
	ao_json_set_str(ready, "type", "Ready");
	ao_json_set_str(ready, "status", "False");
	ao_json_set_str(ready, "reason", "PolicyError");
	ao_json_set_str(ready, "message", message);
	if (generation)
		ao_json_set(ready, "observedGeneration", cJSON_CreateNumber((double)generation));
	return status;
}

/** Adds the records of whose its queues are, whatever policies say: these must outlive us. @param written  an object with the status */
static void put_records(const ao_pass *pass, const ao_object *object, cJSON *written)
{
	char *const *path = pass->reconciler->manifest->records_path;
	cJSON *records = path ? ao_queues_records(pass->reconciler->with.queues, object) : NULL;
	if (records)
		ao_json_put_path(written, path, records);
}

/** Adds a digest of the outcome, unless the policies have put one there. */
static void put_digest(char *const *path, const cJSON *digest, cJSON *written)
{
	if (path && digest && !ao_json_at_path(written, path))
		ao_json_put_path(written, path, cJSON_Duplicate(digest, 1));
}

/** Adds which plan was carried out, and of which bundle: an operator after us, and a rollout, know it from there. */
static void put_digests(const ao_pass *pass, const cJSON *outcome, cJSON *written)
{
	const ao_manifest *manifest = pass->reconciler->manifest;
	put_digest(manifest->digest_path, ao_json_at(outcome, "rendered_digest"), written);
	put_digest(manifest->bundle_path, ao_json_at(outcome, "bundle_digest"), written);
}

/** Adds who works on it. A claim of our lease stays as it is: it says since when. @param before  the object; @param written  one with the status */
static void put_claim(const ao_pass *pass, const cJSON *before, cJSON *written)
{
	const cJSON *ours = pass->reconciler->with.claim;
	char *const *path = pass->reconciler->manifest->claim_path;
	const cJSON *there = path ? ao_json_at_path(before, path) : NULL;
	bool stays = !ours || (ao_json_equal(ao_json_at(there, "lease"), ao_json_at(ours, "lease")) && ao_json_at(there, "since"));
	const cJSON *claim = stays ? there : ours;
	if (path && claim)
		ao_json_put_path(written, path, cJSON_Duplicate(claim, 1));
}

/** Does it say which fields of children were ours, or how many they were, and that is another thing now? Most often we restored something. */
static bool is_past(const char *had, const char *now) { return strcmp(ao_settled_fields(had), ao_settled_fields(now)) != 0; }

/**
 * Adds what may spare an operator after us a plan, or a write. It is told with news, and is none unless it would cost that write. Of one that
 * goes it stays: who wants to know whether a child was let go of asks what there was before.
 */
static void put_settled(const ao_pass *pass, const ao_object *object, const cJSON *before, cJSON *written)
{
	char *const *path = pass->reconciler->manifest->settled_path;
	const cJSON *there = path ? ao_json_at_path(before, path) : NULL;
	if (there)
		ao_json_put_path(written, path, cJSON_Duplicate(there, 1));
	const char *had = cJSON_IsString(there) ? there->valuestring : NULL;
	bool news = !ao_json_equal(ao_json_at(before, "status"), ao_json_at(written, "status"));
	if (!path || object->deleting || !(news || (had && ao_settled_fields(had))))
		return;
	ao_auto_str char *text = ao_plan_settled(pass, object, had);
	if (text && (news || is_past(had, text)))
		ao_json_put_path(written, path, cJSON_CreateString(text));
}

/** @param since  when it was held back first; 0: it is not. @param untold  nothing has been told of the parent yet */
static void set_held(const ao_pass *pass, uint64_t since, bool untold)
{
	ao_parent *parent = pass->parent;
	pass->reconciler->untold -= parent->untold;
	parent->held_ms = since;
	parent->untold = untold;
	pass->reconciler->untold += parent->untold;
}

/** The status hooks themselves failed. Nothing else can tell the user, so the engine says it, as an Event and as a condition. */
static ao_op_result report_broken_status(ao_pass *pass, const ao_object *object, const ao_err *err)
{
	ao_error(AO_POLICY, object->key, "%s", ao_err_text(err));
	ao_bundle *bundle = ao_pass_bundle(pass, object);
	ao_instruments_policy_error(pass->reconciler->with.metrics, ao_bundle_failed_policy(bundle), ao_bundle_failed_hook(bundle));
	ao_pass_event(pass, object, true, "PolicyError", NULL, ao_err_text(err));
	ao_auto_json cJSON *tree = NULL, *after = cJSON_CreateObject();
	pass->parent->ready = false;
	set_held(pass, 0, false);
	if (pass->reconciler->manifest->decorates || ao_object_tree(object, &tree, NULL) < 0)
		return AO_OP_END;
	ao_json_set(after, "status", broken_status(ao_json_at(tree, "status"), ao_err_text(err), pass->parent->generation));
	put_records(pass, object, after);
	put_claim(pass, tree, after);
	bool written = write_difference(pass, object, ao_json_at(tree, "status"), ao_json_at(after, "status"));
	return written ? AO_OP_WAIT : AO_OP_END;
}

/* ---- what can wait ---- */

/** Was anything not done, or is it not known what the status says? */
static bool is_wrong(const ao_pass *pass, const ao_object *object)
{
	const ao_parent *parent = pass->parent;
	bool failed = pass->outcome.failed || pass->outcome.blocked || cJSON_GetArraySize(pass->outcome.errors);
	return failed || parent->invalid || parent->refused || parent->policy_error || pass->held || object->deleting || parent->unsure;
}

/** Is there something that somebody has to know now? */
static bool is_pressing(const ao_pass *pass, const ao_object *object, const cJSON *result)
{
	const cJSON *event;
	cJSON_ArrayForEach (event, ao_json_at(result, "events"))
		if (is_warning(event))
			return true;
	return is_wrong(pass, object) || !pass->parent->rolling_out;
}

static bool is_same(const cJSON *a, const cJSON *b) { return (!cJSON_GetArraySize(a) && !cJSON_GetArraySize(b)) || ao_json_equal(a, b); }

/** Was something told at this path, and is another thing to be told now? */
static bool is_moved(char *const *path, const cJSON *before, const cJSON *after)
{
	const cJSON *had = path ? ao_json_at_path(before, path) : NULL;
	return had && !ao_json_equal(had, ao_json_at_path(after, path));
}

/**
 * Are the children another bundle's from now on, or made of another plan? The rollout takes our report of a bundle as told, and an operator
 * after us knows only what was told: where an edit was taken back meanwhile, it would look for nothing that the edit has left over.
 */
static bool is_remade(const ao_pass *pass, const cJSON *before, const cJSON *after)
{
	const ao_manifest *manifest = pass->reconciler->manifest;
	return is_moved(manifest->bundle_path, before, after) || is_moved(manifest->digest_path, before, after);
}

/** What is recorded for an operator after us does not wait. */
static ao_news news_of(const ao_pass *pass, const ao_object *object, const cJSON *before, const cJSON *after)
{
	char *const *records = pass->reconciler->manifest->records_path;
	return (ao_news){
	    .pressing = is_pressing(pass, object, after) || is_same(ao_json_at(before, "status"), ao_json_at(after, "status")) ||
			is_remade(pass, before, after) ||
			(records && !is_same(ao_json_at_path(before, records), ao_json_at_path(after, records))),
	    .calm = is_same(ao_json_at(before, "status", "conditions"), ao_json_at(after, "status", "conditions")),
	    .changed = cJSON_GetArraySize(pass->outcome.changed),
	    .first = !ao_json_at(before, "status", "conditions"),
	    .crowd = pass->reconciler->untold,
	};
}

/** Holds the status back, unless that was done for long enough, or there is no later. @return whether it is held */
static bool hold(ao_pass *pass, const ao_news *news)
{
	ao_parent *parent = pass->parent;
	uint64_t now = ao_mono_ms(), since = parent->held_ms ? parent->held_ms : now, patience = ao_patience_ms(news);
	set_held(pass, 0, false);
	if (now - since >= patience || pass->reconciler->ending)
		return false;
	set_held(pass, since, news->first);
	parent->status_ms = now;
	parent->changed = AO_TAKE(pass->outcome.changed);
	pass->outcome.requeue_after = ao_pass_sooner(pass->outcome.requeue_after, (double)(since + patience - now) / 1000);
	return true;
}

/**
 * Has the pass just made the children of a parent that has no status yet?  Their controllers have not seen them, so there is nothing to
 * tell but what would be held back: the policies need not be asked.
 */
static bool is_beginning(const ao_pass *pass, const ao_object *object)
{
	const ao_manifest *manifest = pass->reconciler->manifest;
	ao_auto_str char *made = NULL;
	ao_span text = ao_object_span(object, &made);
	if (!pass->parent->settled || !cJSON_GetArraySize(pass->outcome.changed) || pass->parent->held_ms || is_wrong(pass, object) ||
	    ao_span_at(text, "status", "conditions").at || ao_span_at_path(text, manifest->digest_path).at ||
	    ao_span_at_path(text, manifest->bundle_path).at)
		return false;
	ao_auto_json cJSON *records = manifest->records_path ? ao_queues_records(pass->reconciler->with.queues, object) : NULL;
	return !cJSON_GetArraySize(records);
}

/** What was done in passes whose status was held back is told with this one. */
static void take_changes(ao_pass *pass)
{
	cJSON *earlier = AO_TAKE(pass->parent->changed), *item;
	if (!earlier)
		return;
	while ((item = cJSON_DetachItemFromArray(pass->outcome.changed, 0)))
		cJSON_AddItemToArray(earlier, item);
	cJSON_Delete(pass->outcome.changed);
	pass->outcome.changed = earlier;
}

/** The soonest of the wishes to be looked at again: the plan's, the status's, and what the pass itself has. */
static double requeue_of(const ao_pass *pass, const cJSON *result)
{
	const cJSON *a = pass->plan.tree ? ao_json_at(pass->plan.tree, "requeue_after") : NULL, *b = ao_json_at(result, "requeue_after");
	double from_plan = cJSON_IsNumber(a) ? a->valuedouble : 0, from_status = cJSON_IsNumber(b) ? b->valuedouble : 0;
	return ao_pass_sooner(pass->outcome.requeue_after, ao_pass_sooner(from_plan, from_status));
}

static const cJSON *ready_of(const cJSON *status) { return ao_json_item(ao_json_at(status, "conditions"), "type", "Ready"); }

bool ao_status_is_ready(const cJSON *status)
{
	const char *holds = ao_json_str(ready_of(status), "status");
	return holds && strcmp(holds, "True") == 0;
}

bool ao_status_tells_ready(const cJSON *status) { return ready_of(status); }

static bool reads_planned(const ao_pass *pass) { return pass->parent->settled && !pass->parent->rolling_out; }

/** Its pods read what the plan says: the queues that they have left can be emptied, unless another parent may have them, too. */
static void leave_queues(const ao_pass *pass, const ao_object *object)
{
	ao_reconciler *r = pass->reconciler;
	if (reads_planned(pass) && (!ao_queues_waits(r->with.queues, object->uid) || ao_reconciler_all_planned(r)))
		ao_queues_moved(r->with.queues, object->uid);
}

static bool waits_for_others(const ao_pass *pass, const ao_object *object)
{
	return reads_planned(pass) && ao_queues_waits(pass->reconciler->with.queues, object->uid);
}

/** The plan's Events, and when to look again; the status's are not known, when it was not asked for. */
static void tell_plan(ao_pass *pass, const ao_object *object, const cJSON *result)
{
	if (pass->plan.tree)
		emit_events(pass, ao_json_at(pass->plan.tree, "events"), object);
	pass->outcome.requeue_after = requeue_of(pass, result);
	if (waits_for_others(pass, object))
		pass->outcome.requeue_after = ao_pass_sooner(pass->outcome.requeue_after, 1);
}

ao_op_result ao_op_status(ao_pass *pass, const cJSON *item)
{
	(void)item;
	ao_reconciler *r = pass->reconciler;
	const ao_object *object = ao_pass_object(pass);
	ao_auto_json cJSON *snapshot = NULL, *result = NULL;
	ao_auto_err ao_err *err = NULL;
	take_changes(pass);
	bool decorates = r->manifest->decorates; /* then there is no status to write, only what the hooks say */
	if (!decorates && is_beginning(pass, object) && hold(pass, &(ao_news){.changed = true, .first = true, .crowd = r->untold})) {
		pass->parent->rolling_out = true;
		pass->parent->ready = false;
		tell_plan(pass, object, NULL);
		pass->outcome.requeue_after = ao_pass_sooner(pass->outcome.requeue_after, UNASKED_S);
		return AO_OP_END;
	}
	ao_bundle *bundle = ao_pass_bundle(pass, object);
	int code = pass->held ? ao_relate(r->with.world, bundle, object, &err) : 0; /* others were asked for their plan */
	if (code == 0)
		code = ao_reconciler_snapshot(r, object, &snapshot, &err);
	if (code == 0) {
		ao_json_set(snapshot, "outcome", outcome_of(pass, object));
		ao_call_stats stats = {0};
		uint64_t started_ns = ao_mono_ns();
		code = ao_bundle_status(bundle, snapshot, &result, &stats, &err);
		pass->parent->times.status_ns = ao_mono_ns() - started_ns;
		ao_instruments_call(r->with.metrics, "status", &stats, pass->parent->times.status_ns);
	}
	if (code == -EINTR) {
		ao_pass_interrupted(pass, err);
		pass->parent->settled = false; /* the Events of the plan are told with the status */
		pass->parent->changed = AO_TAKE(pass->outcome.changed);
		return AO_OP_END;
	}
	if (code < 0)
		return report_broken_status(pass, object, err);
	pass->parent->rolling_out = cJSON_IsTrue(ao_json_at(result, "rolling_out")) || pass->parent->waits || pass->parent->replacing;
	pass->parent->unsaid = !decorates && !ao_status_tells_ready(ao_json_at(result, "status"));
	pass->parent->ready = decorates || pass->parent->unsaid || ao_status_is_ready(ao_json_at(result, "status"));
	leave_queues(pass, object);
	tell_plan(pass, object, result);
	put_records(pass, object, result);
	put_digests(pass, ao_json_at(snapshot, "outcome"), result);
	const cJSON *before = ao_json_at(snapshot, "parent");
	put_claim(pass, before, result);
	put_settled(pass, object, before, result);
	const ao_news news = news_of(pass, object, before, result);
	if (!decorates && hold(pass, &news))
		return AO_OP_END;
	emit_events(pass, ao_json_at(result, "events"), object);
	if (decorates)
		return AO_OP_END;
	bool written = write_difference(pass, object, ao_json_at(before, "status"), ao_json_at(result, "status"));
	return written ? AO_OP_WAIT : AO_OP_END;
}
