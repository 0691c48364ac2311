/*
 * finalize_op.c -- the time between the wish that a parent goes and its deletion, which belongs to the policies.
 *
 * While their hook finalize is not done, the plan is carried out as ever, but for its queues, which stay as they are.  That the hook was done
 * is noted on the parent: what comes then deletes what the hook would look for, and an operator after us must not ask it again.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "reconcile/finalizer.h"
#include "reconcile/pass.h"

#include <stdio.h>
#include <string.h>

#define STOPPED_MS 60000 /* policies that the clock stops are asked again for so long, whenever the time is over */

/** The annotation that says so, by the uid: one that was restored from a backup has the annotation of its namesake. The caller frees it. */
static char *mark_of(const ao_pass *pass) { return ao_xasprintf("%s/finalized", pass->reconciler->manifest->component); }

void ao_pass_push_deletion(ao_pass *pass)
{
	ao_pass_push(pass, ao_op_children, NULL);
	ao_pass_push(pass, ao_op_plan_deletion, NULL); /* which pushes the queues, and the finalizer behind them */
}

static void on_marked(void *arg, const ao_kube_answer *answer)
{
	ao_pass *pass = arg;
	pass->call = NULL;
	if (answer->error) {
		ao_pass_parent_error(pass, "note on it that it is finalized", answer);
		ao_pass_resume(pass, AO_OP_END);
		return;
	}
	ao_world_put_answer(pass->reconciler->with.world, &pass->reconciler->manifest->kinds[0], AO_WROTE_OBJECT, answer, NULL);
	ao_pass_push_deletion(pass);
	ao_pass_resume(pass, AO_OP_DONE);
}

static ao_op_result mark(ao_pass *pass, const ao_object *object)
{
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	ao_auto_str char *key = mark_of(pass);
	cJSON *metadata = ao_json_object(patch, "metadata");
	ao_json_set_str(metadata, "uid", object->uid);
	ao_json_set_str(ao_json_object(metadata, "annotations"), key, object->uid);
	ao_pass_patch(pass, object, NULL, AO_MERGE_PATCH, patch, on_marked);
	return AO_OP_WAIT;
}

/** Tells once what policies wait for, and until when. */
static void tell(ao_pass *pass, const ao_object *object, const char *why, int64_t deadline_ms)
{
	char deadline[AO_TIME_TEXT];
	ao_time_second_text(deadline_ms, deadline);
	pass->outcome.finalize = cJSON_CreateObject();
	ao_json_set_str(pass->outcome.finalize, "message", why);
	ao_json_set_str(pass->outcome.finalize, "deadline", deadline);
	if (pass->parent->finalizing && strcmp(pass->parent->finalizing, why) == 0)
		return;
	free(pass->parent->finalizing);
	pass->parent->finalizing = ao_xstrdup(why);
	ao_auto_str char *note = ao_xasprintf("it stays until policies are done with it, until %s at the latest: %s", deadline, why);
	ao_info(AO_CORE, object->key, "%s", note);
	ao_pass_event(pass, object, false, "Finalizing", NULL, note);
}

static ao_op_result give_up(ao_pass *pass, const ao_object *object, const char *why, uint64_t seconds)
{
	ao_auto_str char *note = ao_xasprintf("policies were not done with it after %llu seconds, and it goes all the same: %s",
					      (unsigned long long)seconds, why);
	ao_warn(AO_CORE, object->key, "%s", note);
	ao_pass_event(pass, object, true, "FinalizeTimedOut", NULL, note);
	return mark(pass, object);
}

/** The clock stopped the policies, as it does now and then on a busy machine. When it always does, they have had their time, too. */
static ao_op_result on_stopped(ao_pass *pass, const ao_object *object, bool late, uint64_t seconds)
{
	ao_parent *parent = pass->parent;
	uint64_t now = ao_mono_ms();
	if (!parent->stopped_ms)
		parent->stopped_ms = now;
	if (!late || now - parent->stopped_ms < STOPPED_MS)
		return AO_OP_END;
	pass->outcome.failed = pass->outcome.heals = false;
	return give_up(pass, object, "they were stopped by the clock", seconds);
}

ao_op_result ao_op_finalize(ao_pass *pass, const cJSON *item)
{
	(void)item;
	const ao_object *object = ao_pass_object(pass);
	ao_parent *parent = pass->parent;
	ao_bundle *bundle = ao_pass_bundle(pass, object);
	uint64_t seconds = ao_bundle_finalize_seconds(bundle);
	ao_auto_str char *key = mark_of(pass);
	ao_auto_str char *marked = ao_object_text(object, (char *const[]){(char *)"metadata", (char *)"annotations", key, NULL});
	ao_auto_str char *asked = ao_object_text(object, (char *const[]){(char *)"metadata", (char *)"deletionTimestamp", NULL});
	int64_t since_ms, now_ms = ao_wall_ms();
	if (!seconds || (marked && strcmp(marked, object->uid) == 0) || !asked || !ao_time_read(asked, &since_ms)) {
		ao_pass_push_deletion(pass);
		return AO_OP_DONE;
	}
	snprintf(pass->plan.bundle, sizeof(pass->plan.bundle), "%s", ao_bundle_digest(bundle));
	pass->plan.previous = ao_xstrdup(parent->carried);
	if (!ao_pass_make_plan(pass, object))
		return on_stopped(pass, object, ao_finalize_judge(NULL, since_ms, seconds, now_ms) == AO_FINALIZE_LATE, seconds);
	parent->stopped_ms = 0;
	const cJSON *answer = pass->plan.tree ? ao_json_at(pass->plan.tree, "finalize") : NULL;
	ao_finalize verdict = ao_finalize_judge(answer, since_ms, seconds, now_ms);
	const char *said = parent->policy_error ? ao_json_str(parent->policy_error, "message") : ao_json_str(answer, "message");
	ao_auto_str char *why = ao_xstrdup(said ? said : "a policy is not done yet");
	if (verdict == AO_FINALIZE_DONE)
		return mark(pass, object);
	if (verdict == AO_FINALIZE_LATE)
		return give_up(pass, object, why, seconds);
	int64_t deadline_ms = since_ms + (int64_t)seconds * 1000;
	tell(pass, object, why, deadline_ms);
	pass->outcome.requeue_after = (double)(deadline_ms - now_ms + 1) / 1000;
	if (parent->policy_error)
		return AO_OP_STOP; /* what there is stays as it is */
	ao_pass_push_objects(pass);
	return AO_OP_DONE;
}
