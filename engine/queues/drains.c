/*
 * drains.c -- carries out what drain.h decides for each queue that a parent does not read any more.
 *
 * A call of a drain takes the queue's place for calls, so that nothing else is asked of the queue meanwhile, and what was wanted before
 * cannot be carried out last.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "queues/keeper_private.h"
#include "json/json.h"

#include <errno.h>
#include <string.h>

#define BUSY_MS 500
#define OTHERS_MS 1000 /* between two looks whether pods of another parent are replaced */
#define QUIET_S 30
#define PATIENCE_S 300

static uint64_t milliseconds(const cJSON *queue, const char *key, uint64_t usual_s)
{
	const cJSON *seconds = ao_json_at(queue, key);
	double ms = cJSON_IsNumber(seconds) ? seconds->valuedouble * 1000 : 0;
	return ms >= 1 && ms < 1e12 ? (uint64_t)ms : usual_s * 1000;
}

static void on_time(void *arg) { ao_queues_drain(arg); }

static void begin(ao_kept_queue *q)
{
	ao_queue_drain *d = q->drain;
	ao_drain_begin(&d->machine, &d->settings, ao_mono_ms());
	d->told = d->machine.state;
	d->trouble = NULL;
}

void ao_queues_free_drain(ao_kept_queue *q)
{
	if (!q->drain)
		return;
	ao_timer_free(q->drain->timer);
	free(q->drain->into);
	free(q->drain);
	q->drain = NULL;
}

bool ao_queues_drains(const ao_kept_queue *q)
{
	return q->drain && q->drain->machine.state != AO_DRAIN_GONE && q->drain->machine.state != AO_DRAIN_RELEASED;
}

void ao_queues_set_drain(ao_kept_queue *q, const cJSON *queue)
{
	const char *into = ao_json_str(queue, "into"), *deletion = ao_json_str(queue, "deletion");
	ao_drain_settings settings = {milliseconds(queue, "quiet", QUIET_S), milliseconds(queue, "patience", PATIENCE_S)};
	if (q->drain && (!into || strcmp(into, q->drain->into) != 0))
		ao_queues_free_drain(q);
	if (!into)
		return;
	bool is_new = !q->drain;
	if (is_new) {
		q->drain = ao_xcalloc(1, sizeof(*q->drain));
		q->drain->into = ao_xstrdup(into);
		q->drain->timer = ao_timer_new(q->queues->with.loop, on_time, q);
		if (q->retry)
			ao_timer_stop(q->retry);
	}
	q->drain->settings = settings;
	q->drain->machine.set = settings;
	q->drain->lasting = cJSON_IsTrue(ao_json_at(queue, "lasting"));
	q->drain->retained = deletion && strcmp(deletion, "Retain") == 0;
	if (is_new)
		begin(q);
}

/* ---- the facts ---- */

/** The queue that its messages go into, or NULL. */
static ao_kept_queue *target_of(const ao_kept_queue *q)
{
	for (ao_kept_queue *each = q->owner->first; each; each = each->next)
		if (each != q && strcmp(each->name, q->drain->into) == 0 && each->verb == AO_BROKER_ENSURE &&
		    strcmp(ao_access_transport(each->access), ao_access_transport(q->access)) == 0)
			return each;
	return NULL;
}

/** Does a queue wait for its senders, because another one still gets what they send? */
static bool is_behind(const ao_kept_queue *q)
{
	const cJSON *instead = ao_json_at(q->want, "instead");
	return instead && !cJSON_IsTrue(ao_json_at(instead, "turned"));
}

bool ao_queues_may_turn(const ao_queue_owner *owner, const char *name)
{
	for (const ao_kept_queue *q = owner->first; q; q = q->next)
		if (q->drain && q->drain->replaced && strcmp(q->name, name) == 0)
			return true;
	return false;
}

bool ao_queues_is_anothers(const ao_queue_owner *owner, const char *name)
{
	for (const ao_kept_queue *q = owner->first; q; q = q->next)
		if (q->drain && strcmp(q->name, name) == 0 && (ao_queues_sharer(q) || q->whose.owner == AO_WHOSE_OTHER))
			return true;
	return false;
}

static ao_drain_facts facts_of(const ao_kept_queue *q)
{
	const ao_queue_drain *d = q->drain;
	const ao_kept_queue *target = target_of(q), *sharer = ao_queues_sharer(q);
	return (ao_drain_facts){.replaced = d->replaced && !ao_queues_drainer(q, true) && !ao_queues_claimant(q),
				.turned = target && target->good && target->good == target->digest && !is_behind(target),
				.ours = ao_whose_may_delete(&q->whose),
				/* brokers may tell that they are two, and until then there is nothing to do but to wait for pods */
				.shared = sharer && (d->replaced || ao_queues_is_one(q, sharer)),
				.retained = d->retained,
				.lasting = d->lasting};
}

/* ---- what is told ---- */

static const char *words_of(const char *trouble)
{
	static const struct {
		const char *reason, *words;
	} ALL[] = {
	    {"PodsNotReplaced", "pods that read it are not replaced"},
	    {"NotTurned", "senders cannot be turned to the new queue"},
	    {"MessagesComing", "messages keep coming"},
	    {"MessagesInFlight", "somebody holds messages of it"},
	    {"MessagesRefused", "some of them cannot be moved, see the log; take them out"},
	    {"QueueInUse", "somebody reads it still"},
	    {"QueueForeign", "it was not made by this operator, so its messages are not moved; move them, or delete it"},
	};
	for (size_t i = 0; i < AO_LEN(ALL); i++)
		if (strcmp(trouble, ALL[i].reason) == 0)
			return ALL[i].words;
	return trouble;
}

static void tell_trouble(ao_kept_queue *q, const char *trouble)
{
	ao_auto_str char *held = ao_broker_count_text(q->drain->machine.messages);
	ao_auto_str char *note = ao_xasprintf("queue %s stays beside %s, with %s: %s", q->name, q->drain->into, held, words_of(trouble));
	ao_queues_report(q, true, "QueueKept", note);
}

/** Whoever else has it is its owner from now on. */
static void tell_released(ao_kept_queue *q)
{
	ao_kept_queue *other = ao_queues_sharer(q);
	ao_auto_str char *why = other ? ao_xasprintf("%s %s it, too", other->owner->key, ao_queues_is_one(q, other) ? "has" : "may have")
				      : ao_xstrdup(q->drain->retained ? "it is to stay" : "it was not made by this operator");
	ao_auto_str char *note = ao_xasprintf("queue %s stays at its broker: %s", q->name, why);
	ao_queues_report(q, false, "QueueKept", note);
	if (other && ao_whose_may_delete(&q->whose))
		ao_queues_inherit(other, q);
}

static void tell_gone(ao_kept_queue *q)
{
	ao_auto_str char *note = ao_xasprintf("deleted queue %s, whose messages are in %s now", q->name, q->drain->into);
	if (q->drain->deleted)
		ao_queues_report(q, false, "Deleted", note);
}

/** Tells what has changed. @return false: the drain is at its end */
static bool follow(ao_kept_queue *q)
{
	ao_queue_drain *d = q->drain;
	ao_drain_state state = d->machine.state;
	const char *trouble = ao_drain_trouble(&d->machine, ao_mono_ms());
	bool ended = state == AO_DRAIN_GONE || state == AO_DRAIN_RELEASED;
	bool troubled = (trouble != NULL) != (d->trouble != NULL) || (trouble && strcmp(trouble, d->trouble) != 0);
	if (state == d->told && !troubled)
		return !ended;
	if (troubled && trouble)
		tell_trouble(q, trouble);
	if (state != d->told && state == AO_DRAIN_RELEASED)
		tell_released(q);
	if (state != d->told && state == AO_DRAIN_GONE)
		tell_gone(q);
	if (ended && !d->lasting)
		ao_queues_unrecord(q);
	d->told = state;
	d->trouble = trouble;
	q->queues->with.on_change(q->queues->with.arg, q->owner->key, true);
	return !ended;
}

/* ---- what is done ---- */

/** What is wanted of a queue that takes another's place may have changed while a call was in flight, and no pass asks again for that. */
static void turn(ao_kept_queue *q)
{
	bool waits = ao_json_at(q->want, "instead") && q->verb == AO_BROKER_ENSURE && q->good != q->digest;
	if (waits && !q->call && !q->error)
		ao_queues_ask(q);
}

static void on_answer(void *arg, const ao_broker_answer *answer)
{
	ao_kept_queue *q = arg;
	ao_queue_drain *d = q->drain;
	bool drains = d && q->drain_call;
	q->call = NULL;
	q->drain_call = false;
	q->answered_ms = ao_mono_ms();
	if (!drains) { /* it was taken back: what is wanted now had to wait for this answer */
		ao_queues_drain_all(q->owner);
		q->queues->with.on_change(q->queues->with.arg, q->owner->key, true);
		return;
	}
	if (q->asked != AO_BROKER_MOVE && !answer->error) {
		q->messages = answer->messages;
		q->in_flight = answer->in_flight;
	}
	if (answer->moved)
		ao_info(AO_CORE, q->owner->key, "moved %llu messages from queue %s to %s", (unsigned long long)answer->moved, q->name,
			d->into);
	if (answer->left)
		ao_warn(AO_CORE, q->owner->key, "%llu messages stay in queue %s: %s", (unsigned long long)answer->left, q->name,
			answer->why ? answer->why : "nobody says why");
	d->deleted |= answer->deleted;
	ao_drain_answered(&d->machine,
			  &(ao_drain_answer){.error = answer->error,
					     .reason = answer->reason,
					     .exists = answer->exists,
					     .moved = (int64_t)answer->moved,
					     .worn = answer->worn,
					     .messages = answer->messages,
					     .in_flight = answer->in_flight},
			  ao_mono_ms());
	if (answer->kept)
		ao_queues_kept(q, true, ao_xstrdup(answer->kept));
	turn(q);
	ao_queues_drain(q);
}

/** Is a dead letter queue that of another queue, too? Then it does not go with this one. */
static bool has_shared_dead_letters(const ao_kept_queue *q)
{
	const char *name = ao_json_str(q->want, "deadLetter", "name");
	for (const ao_kept_queue *each = q->queues->first; name && each; each = each->after) {
		const char *theirs = each == q ? NULL : ao_json_str(each->want, "deadLetter", "name");
		if (theirs && strcmp(theirs, name) == 0 && ao_access_may_be_one_place(each->access, q->access))
			return true;
	}
	return false;
}

static void ask(ao_kept_queue *q, ao_drain_action action)
{
	static const ao_broker_verb VERBS[] = {
	    [AO_DRAIN_MOVE] = AO_BROKER_MOVE, [AO_DRAIN_LOOK] = AO_BROKER_INSPECT, [AO_DRAIN_DELETE] = AO_BROKER_DELETE};
	ao_auto_json cJSON *want = cJSON_Duplicate(q->want, 1);
	if (action == AO_DRAIN_DELETE) { /* from now on nobody knows that it is there, until it is asked for again */
		q->good = 0;
		q->existed = false;
	}
	ao_json_set(want, "ifEmpty", cJSON_CreateBool(true));
	if (action == AO_DRAIN_DELETE && has_shared_dead_letters(q))
		cJSON_DeleteItemFromObjectCaseSensitive(want, "deadLetter");
	q->asked = VERBS[action];
	q->asked_digest = 0;
	q->drain_call = true;
	q->call = ao_access_ask(q->access, &(ao_broker_request){.verb = q->asked,
								.queue = want,
								.to = q->drain->into,
								.account = ao_queues_account(q),
								.most = ao_drain_most(&q->drain->machine),
								.fn = on_answer,
								.arg = q});
}

void ao_queues_drain(ao_kept_queue *q)
{
	ao_queue_drain *d = q->drain;
	uint64_t wait_ms = 0, now = ao_mono_ms();
	if (!d)
		return;
	if (d->machine.state == AO_DRAIN_RELEASED && d->lasting && !ao_queues_sharer(q))
		begin(q);
	if (!q->drain_call && d->machine.asked) /* the call was dropped */
		ao_drain_answered(&d->machine, &(ao_drain_answer){.error = -ECANCELED, .reason = "BrokerTimeout"}, now);
	ao_drain_facts facts = facts_of(q);
	ao_drain_tell(&d->machine, &facts);
	if (!follow(q) || q->drain_call)
		return;
	if (q->call) { /* somebody else looks at it */
		ao_timer_start(d->timer, BUSY_MS);
		return;
	}
	ao_drain_action action = ao_drain_next(&d->machine, now, &wait_ms);
	if (action != AO_DRAIN_NOTHING)
		ask(q, action);
	else if (d->replaced && !facts.replaced)
		wait_ms = OTHERS_MS;
	else if (!wait_ms && !d->trouble)
		wait_ms = d->settings.patience_ms; /* to say so when nothing happens */
	if (wait_ms)
		ao_timer_start(d->timer, wait_ms);
}

void ao_queues_drain_all(ao_queue_owner *owner)
{
	for (ao_kept_queue *q = owner->first; q; q = q->next)
		turn(q);
	for (ao_kept_queue *q = owner->first; q; q = q->next)
		ao_queues_drain(q);
}

bool ao_queues_waits(const ao_queues *queues, const char *uid)
{
	const ao_queue_owner *owner = ao_map_get(queues->owners, uid);
	for (const ao_kept_queue *q = owner ? owner->first : NULL; q; q = q->next)
		if (q->drain && !q->drain->replaced)
			return true;
	return false;
}

/* ---- what others want to know ---- */

static void describe(const ao_kept_queue *q, cJSON *ret)
{
	const ao_queue_drain *d = q->drain;
	ao_json_set_str(ret, "drain", ao_drain_word(d->machine.state));
	ao_json_set_str(ret, "reason", d->trouble);
}

cJSON *ao_queues_drains_into(const ao_kept_queue *target)
{
	cJSON *list = NULL;
	for (const ao_kept_queue *q = target->owner->first; q; q = q->next) {
		if (!q->drain || target_of(q) != target || (!ao_queues_drains(q) && !q->drain->lasting))
			continue; /* one that has come to its end may stay planned: it is recorded at another place, too */
		cJSON *one = cJSON_CreateObject();
		ao_json_set_str(one, "name", q->name);
		describe(q, one);
		if (q->drain->trouble)
			ao_json_set_str(one, "message", words_of(q->drain->trouble));
		if (q->drain->lasting)
			ao_json_set(one, "lasting", cJSON_CreateBool(true));
		if (q->drain->machine.messages >= 0)
			ao_json_set(one, "messages", cJSON_CreateNumber((double)q->drain->machine.messages));
		list = list ? list : cJSON_CreateArray();
		cJSON_AddItemToArray(list, one);
	}
	return list;
}

void ao_queues_describe_drains(const ao_queue_owner *owner, cJSON *records)
{
	cJSON *record;
	cJSON_ArrayForEach (record, records) {
		static const char *const OURS[] = {"into", "drain", "reason"};
		for (size_t i = 0; i < AO_LEN(OURS); i++)
			cJSON_DeleteItemFromObjectCaseSensitive(record, OURS[i]);
		for (const ao_kept_queue *q = owner->first; q; q = q->next)
			if (q->drain && ao_queues_is_record(q, record)) {
				ao_json_set_str(record, "into", q->drain->into);
				describe(q, record);
			}
	}
}
