/*
 * carry_queues.c -- the queues of a plan, one after the other.
 *
 * Objects come after the queues they work on.  But what once had its queue is kept up to date also while the broker is away.
 */
#include "reconcile/pass.h"

#include "base/log.h"

static void next_queue(ao_pass *pass);

void ao_pass_queue_error(ao_pass *pass, const char *verb, const char *name, const ao_queues_fact *fact)
{
	cJSON *error = ao_pass_note_error(pass, verb, "Queue", "queue", name);
	ao_json_set_str(error, "reason", fact->reason);
	ao_json_set_str(error, "message", fact->message);
	pass->blocked = true;
}

static void on_patience(void *arg) { next_queue(arg); }

static void next_queue(ao_pass *pass)
{
	ao_queues *queues = pass->reconciler->with.queues;
	const ao_object *object = ao_pass_object(pass);
	if (!object) {
		ao_pass_finish(pass);
		return;
	}
	for (const cJSON *queue; (queue = cJSON_GetArrayItem(ao_json_at(pass->plan, "queues"), pass->queue_index)); pass->queue_index++) {
		ao_queues_fact fact;
		bool waited = pass->queue_waited;
		pass->queue_waited = false;
		ao_queues_state state = ao_queues_want(queues, object, queue, AO_BROKER_ENSURE, waited ? NULL : on_patience, pass, &fact);
		if (state == AO_QUEUES_WAIT) {
			pass->queue_waited = true;
			return;
		}
		if (state == AO_QUEUES_FAILED)
			ao_pass_queue_error(pass, "ensure", ao_json_str(queue, "name"), &fact);
		if (state != AO_QUEUES_DONE && !fact.existed) {
			ao_pass_status(pass);
			return;
		}
	}
	ao_pass_carry_out_objects(pass);
}

void ao_pass_carry_out_queues(ao_pass *pass)
{
	ao_queues_keep(pass->reconciler->with.queues, pass->parent->uid, ao_json_at(pass->plan, "queues"));
	next_queue(pass);
}
