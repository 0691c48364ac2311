/*
 * queue_op.c -- one queue of a plan: made right, or deleted when its parent goes.
 *
 * Objects come after the queues that they work on.  But a parent that once had its queue is kept up to date while the broker is away, too.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queues/whose.h"
#include "reconcile/pass.h"

#include <string.h>

#define QUEUE_AGAIN_S 30.0

static void on_patience(void *arg) { ao_pass_resume(arg, AO_OP_AGAIN); }

/** What the keeper says of the queue; it is waited for once. */
static ao_queues_state want(ao_pass *pass, const cJSON *queue, ao_broker_verb verb, ao_queues_fact *fact)
{
	bool waited = pass->queue_waited;
	ao_queues_state state =
	    ao_queues_want(pass->reconciler->with.queues, ao_pass_object(pass), queue, verb, waited ? NULL : on_patience, pass, fact);
	pass->queue_waited = state == AO_QUEUES_WAIT;
	return state;
}

static void note_failure(ao_pass *pass, const char *verb, const cJSON *queue, const ao_queues_fact *fact)
{
	cJSON *error = ao_pass_note_error(pass, verb, "Queue", "queue", ao_json_str(queue, "name"));
	ao_json_set_str(error, "reason", fact->reason);
	ao_json_set_str(error, "message", fact->message);
	pass->outcome.blocked = true;
}

ao_op_result ao_op_ensure_queue(ao_pass *pass, const cJSON *queue)
{
	ao_queues_fact fact;
	if (cJSON_IsTrue(ao_json_at(queue, "leaving"))) {
		ao_queues_leave(pass->reconciler->with.queues, ao_pass_object(pass), queue);
		return AO_OP_DONE;
	}
	ao_queues_state state = want(pass, queue, AO_BROKER_ENSURE, &fact);
	if (state == AO_QUEUES_WAIT)
		return AO_OP_WAIT;
	if (state == AO_QUEUES_FAILED)
		note_failure(pass, "ensure", queue, &fact);
	return state == AO_QUEUES_DONE || fact.existed ? AO_OP_DONE : AO_OP_STOP;
}

/* ---- for a parent that goes ---- */

void ao_pass_leave(ao_pass *pass, char *sentence)
{
	char *before = pass->outcome.left;
	pass->outcome.left = before ? ao_xasprintf("%s; %s", before, sentence) : ao_xstrdup(sentence);
	free(before);
	free(sentence);
}

static bool is_retained(const cJSON *queue)
{
	const char *deletion = ao_json_str(queue, "deletion");
	return deletion && strcmp(deletion, "Retain") == 0;
}

/** Without the Secret there is no way in; in a namespace that goes it will not come back. */
static bool is_hopeless(const ao_pass *pass, const ao_queues_fact *fact)
{
	return strcmp(fact->reason, "SecretMissing") == 0 && ao_pass_waited_long(pass);
}

/** Takes the text. */
static void give_up(ao_pass *pass, char *note)
{
	ao_pass_tell_left(pass, note);
	ao_pass_leave(pass, note);
}

ao_op_result ao_op_delete_queue(ao_pass *pass, const cJSON *queue)
{
	ao_queues_fact fact;
	if (is_retained(queue)) {
		ao_queues_retain(pass->reconciler->with.queues, ao_pass_object(pass), queue);
		ao_pass_leave(pass, ao_xasprintf("queue %s stays at its broker, as it is to", ao_json_str(queue, "name")));
		return AO_OP_DONE;
	}
	ao_queues_state state = want(pass, queue, AO_BROKER_DELETE, &fact);
	if (state == AO_QUEUES_WAIT)
		return AO_OP_WAIT;
	if (state == AO_QUEUES_FAILED && is_hopeless(pass, &fact)) {
		give_up(pass, ao_xasprintf("queue %s is left at its broker: %s", ao_json_str(queue, "name"), fact.message));
		return AO_OP_DONE;
	}
	if (state == AO_QUEUES_FAILED)
		note_failure(pass, "delete", queue, &fact);
	if (state != AO_QUEUES_DONE) {
		pass->outcome.requeue_after = QUEUE_AGAIN_S; /* the keeper tells of news; that our patience ends is none */
		return AO_OP_STOP;
	}
	if (fact.kept)
		ao_pass_leave(pass, ao_xstrdup(fact.kept));
	return AO_OP_DONE;
}

static bool is_planned(const ao_pass *pass, const cJSON *record)
{
	const cJSON *queue;
	cJSON_ArrayForEach (queue, ao_json_at(pass->plan.tree, "queues"))
		if (ao_queues_is_recorded(record, queue))
			return true;
	return false;
}

ao_op_result ao_op_leave_queues(ao_pass *pass, const cJSON *item)
{
	(void)item;
	ao_auto_json cJSON *records = ao_queues_records(pass->reconciler->with.queues, ao_pass_object(pass));
	const cJSON *record;
	cJSON_ArrayForEach (record, records) {
		const char *name = ao_json_str(record, "name"), *transport = ao_json_str(record, "transport");
		bool ours = ao_whose_of_word(ao_json_str(record, "owner")) == AO_WHOSE_PARENT;
		if (name && transport && ours && !is_planned(pass, record))
			give_up(pass,
				ao_xasprintf("queue %s is left at %s: the configuration does not lead there any more", name, transport));
	}
	return AO_OP_DONE;
}
