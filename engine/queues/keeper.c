/*
 * keeper.c -- what is wanted, by parent.
 *
 * A pass asks for each queue of its plan and goes on when the queue is known to be right.  It waits for a broker for a moment at most: then
 * the pass ends, and the broker's answer brings the parent back.  So a slow broker holds up only the parents that use it.
 */
#include "queues/keeper.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "queues/keeper_private.h"
#include "json/json.h"

#include <string.h>

#define PATIENCE_MS 200
#define RECENT_MS 1000 /* a failure that is younger need not be asked about again */

/* ---- those who share a queue ---- */

static void leave_shared(ao_kept_queue *q)
{
	ao_map *shared = q->queues->shared;
	ao_kept_queue *head = ao_map_get(shared, q->name);
	if (head == q) {
		if (q->next_shared)
			ao_map_put(shared, q->name, q->next_shared);
		else
			ao_map_remove(shared, q->name);
	}
	for (; head && head != q; head = head->next_shared)
		if (head->next_shared == q) {
			head->next_shared = q->next_shared;
			break;
		}
	q->next_shared = NULL;
}

bool ao_queues_is_one(const ao_kept_queue *q, const ao_kept_queue *other) { return ao_access_is_one_place(q->access, other->access); }

/** Has the other one the same queue? Where it may be, nothing is taken away. */
static bool may_be_one(const ao_kept_queue *q, const ao_kept_queue *other)
{
	return q != other && ao_access_may_be_one_place(q->access, other->access);
}

ao_kept_queue *ao_queues_sharer(const ao_kept_queue *q)
{
	ao_kept_queue *found = NULL;
	for (ao_kept_queue *each = ao_map_get(q->queues->shared, q->name); each; each = each->next_shared)
		if (may_be_one(q, each) && each->verb != AO_BROKER_DELETE && !(found && ao_queues_is_one(q, found)))
			found = each;
	return found;
}

ao_kept_queue *ao_queues_drainer(const ao_kept_queue *q, bool waiting)
{
	for (ao_kept_queue *each = ao_map_get(q->queues->shared, q->name); each; each = each->next_shared)
		if (may_be_one(q, each) && ao_queues_drains(each) && !(waiting && each->drain->replaced))
			return each;
	return NULL;
}

/** Another parent that needs what a deletion would take away, or NULL. */
static ao_kept_queue *needed_by(const ao_kept_queue *q)
{
	ao_kept_queue *sharer = ao_queues_sharer(q);
	return sharer ? sharer : ao_queues_drainer(q, false);
}

static void tell_shared(ao_kept_queue *q, const ao_kept_queue *other)
{
	if (q->told_shared)
		return;
	q->told_shared = true;
	ao_auto_str char *note = ao_xasprintf("queue %s is also that of %s: they take each other's messages; give one of them another name",
					      q->name, other->owner->key);
	ao_queues_event(q, true, "QueueShared", note);
}

static void join_shared(ao_kept_queue *q)
{
	q->next_shared = ao_map_get(q->queues->shared, q->name);
	ao_map_put(q->queues->shared, q->name, q);
	for (ao_kept_queue *each = q->next_shared; each; each = each->next_shared) {
		if (each->owner == q->owner || strcmp(ao_access_place(q->access), ao_access_place(each->access)) != 0)
			continue; /* by another way to the same broker */
		tell_shared(each, q);
		tell_shared(q, each);
	}
}

/* ---- queues and their parents ---- */

static void free_queue(ao_kept_queue *q)
{
	ao_queues *queues = q->queues;
	ao_queues_stop(q);
	ao_queues_leave_waiter(q);
	if (queues->look_at == q)
		queues->look_at = q->after;
	*(q->before ? &q->before->after : &queues->first) = q->after;
	if (q->after)
		q->after->before = q->before;
	leave_shared(q);
	ao_queues_free_drain(q);
	ao_access_put(q->access);
	ao_timer_free(q->retry);
	ao_timer_free(q->patience);
	cJSON_Delete(q->want);
	free(q->name);
	free(q->reason);
	free(q->message);
	free(q->account);
	free(q->kept);
	free(q);
}

static ao_queue_owner *owner_of(ao_queues *queues, const ao_object *parent)
{
	ao_queue_owner *owner = ao_map_get(queues->owners, parent->uid);
	if (owner)
		return owner;
	owner = ao_xcalloc(1, sizeof(*owner));
	*owner = (ao_queue_owner){.key = ao_xstrdup(parent->key),
				  .namespace_ = ao_xstrdup(parent->namespace_),
				  .name = ao_xstrdup(parent->name),
				  .uid = ao_xstrdup(parent->uid)};
	ao_map_put(queues->owners, parent->uid, owner);
	ao_queues_recall(queues, owner, parent);
	return owner;
}

static bool is_it(const ao_kept_queue *q, const cJSON *planned)
{
	const char *name = ao_json_str(planned, "name"), *transport = ao_json_str(planned, "transport");
	return strcmp(q->name, name ? name : "") == 0 && strcmp(ao_access_transport(q->access), transport ? transport : "") == 0;
}

static ao_kept_queue *find(const ao_queue_owner *owner, const cJSON *planned)
{
	for (ao_kept_queue *q = owner->first; q; q = q->next)
		if (is_it(q, planned))
			return q;
	return NULL;
}

static ao_kept_queue *add_queue(ao_queues *queues, ao_queue_owner *owner, const char *name)
{
	ao_kept_queue *q = ao_xcalloc(1, sizeof(*q)), **last = &owner->first;
	*q = (ao_kept_queue){.queues = queues,
			     .owner = owner,
			     .name = ao_xstrdup(name),
			     .after = queues->first,
			     .messages = -1,
			     .in_flight = -1,
			     .dead = -1};
	q->reason = ao_xstrdup("");
	q->message = ao_xstrdup("");
	if (q->after)
		q->after->before = q;
	queues->first = q;
	while (*last)
		last = &(*last)->next;
	*last = q;
	return q;
}

/** What the broker is told: for a deletion, whether the queue must be empty. */
static cJSON *want_of(const cJSON *queue, ao_broker_verb verb)
{
	const cJSON *want = ao_json_at(queue, "want");
	const char *deletion = ao_json_str(queue, "deletion");
	cJSON *copy = cJSON_IsObject(want) ? cJSON_Duplicate(want, 1) : cJSON_CreateObject();
	if (!ao_json_at(copy, "name"))
		ao_json_set_str(copy, "name", ao_json_str(queue, "name"));
	if (verb == AO_BROKER_DELETE && deletion && strcmp(deletion, "DeleteIfEmpty") == 0)
		ao_json_set(copy, "ifEmpty", cJSON_CreateBool(true));
	return copy;
}

/** What is wanted as it is now: whether senders are turned away from another queue depends on who reads that. */
static void want_now(ao_kept_queue *q)
{
	cJSON *instead = ao_json_at(q->want, "instead");
	const char *other = ao_json_str(instead, "name");
	if (other && ao_queues_is_anothers(q->owner, other))
		cJSON_DeleteItemFromObjectCaseSensitive(q->want, "instead");
	else if (other && ao_queues_may_turn(q->owner, other))
		ao_json_set(instead, "turned", cJSON_CreateBool(true));
	uint64_t parts[] = {(uint64_t)q->verb, ao_json_digest(q->want), ao_hash_str(ao_access_id(q->access))};
	q->digest = ao_hash(AO_HASH_INIT, parts, sizeof(parts)) | 1;
}

/** What was seen on the old way counts no more. @param access  taken */
static void take_another_way(ao_kept_queue *q, ao_access *access)
{
	bool moves = strcmp(ao_access_place(q->access), ao_access_place(access)) != 0;
	ao_queues_stop(q);
	leave_shared(q);
	ao_queues_free_drain(q);
	ao_access_put(q->access);
	q->access = access;
	q->existed = false;
	free(q->account);
	q->account = NULL;
	if (moves) {
		ao_queues_recall_one(q);
		q->whose.heir = false;
	}
	join_shared(q);
}

static ao_kept_queue *upsert(ao_queues *queues, const ao_object *parent, const cJSON *queue, ao_broker_verb verb)
{
	const char *name = ao_json_str(queue, "name");
	ao_queue_owner *owner = owner_of(queues, parent);
	ao_kept_queue *q = find(owner, queue);
	ao_access *access = ao_access_get(queues->brokers, parent->namespace_, queue);
	if (!q) {
		q = add_queue(queues, owner, name ? name : "");
		q->access = access;
		ao_queues_recall_one(q);
		if (ao_json_at(queue, "into") || ao_json_at(queue, "lasting")) /* who kept no records knew no other names either */
			q->whose.heir = false;
		join_shared(q);
	} else if (q->access == access) {
		ao_access_put(access);
	} else {
		take_another_way(q, access);
	}
	cJSON_Delete(q->want);
	q->want = want_of(queue, verb);
	q->verb = verb;
	q->leaving = false;
	ao_queues_set_drain(q, queue);
	want_now(q);
	return q;
}

/* ---- what a pass asks for ---- */

static void on_patience(void *arg)
{
	ao_kept_queue *q = arg;
	void (*waiter)(void *arg) = ao_queues_leave_waiter(q);
	if (waiter)
		waiter(q->waiter_arg);
}

static void join_waited(ao_kept_queue *q)
{
	ao_queues *queues = q->queues;
	q->previous_waited = NULL;
	q->next_waited = queues->first_waited;
	if (q->next_waited)
		q->next_waited->previous_waited = q;
	queues->first_waited = q;
}

void (*ao_queues_leave_waiter(ao_kept_queue *q))(void *arg)
{
	void (*waiter)(void *arg) = q->waiter;
	if (!waiter)
		return NULL;
	*(q->previous_waited ? &q->previous_waited->next_waited : &q->queues->first_waited) = q->next_waited;
	if (q->next_waited)
		q->next_waited->previous_waited = q->previous_waited;
	q->waiter = NULL;
	return waiter;
}

static void wait_for(ao_kept_queue *q, void (*fn)(void *arg), void *arg)
{
	if (!q->waiter)
		join_waited(q);
	q->waiter = fn;
	q->waiter_arg = arg;
	if (!q->patience)
		q->patience = ao_timer_new(q->queues->with.loop, on_patience, q);
	ao_timer_start(q->patience, PATIENCE_MS);
}

static bool failed_just_now(const ao_kept_queue *q)
{
	return q->error && q->failed_digest == q->digest && ao_mono_ms() - q->answered_ms < RECENT_MS;
}

/** A queue that was to go stays for a parent that has no plan now. */
static bool is_claimed(ao_kept_queue *q)
{
	const ao_queue_owner *claimant = q->verb == AO_BROKER_DELETE && q->good != q->digest ? ao_queues_claimant(q) : NULL;
	if (!claimant)
		return false;
	ao_queues_stop(q);
	if (!q->kept)
		ao_queues_kept(q, false, ao_xasprintf("queue %s stays at its broker: %s has it, too", q->name, claimant->key));
	return true;
}

bool ao_queues_spare(ao_kept_queue *q)
{
	ao_kept_queue *other = q->verb == AO_BROKER_DELETE ? needed_by(q) : NULL;
	if (!other)
		return is_claimed(q);
	ao_queues_stop(q);
	bool one = ao_queues_is_one(q, other);
	if (!q->kept && (other->owner != q->owner || !one))
		ao_queues_kept(
		    q, false,
		    ao_xasprintf("queue %s stays at its broker: %s %s it, too", q->name, other->owner->key, one ? "has" : "may have"));
	if (ao_whose_may_delete(&q->whose))
		ao_queues_inherit(other, q);
	if (q->leaving && one)
		ao_queues_unrecord(q);
	return true;
}

static ao_queues_state state_of(ao_kept_queue *q, void (*fn)(void *arg), void *arg)
{
	if (ao_queues_spare(q) || q->good == q->digest)
		return AO_QUEUES_DONE;
	if (!q->call && failed_just_now(q))
		return AO_QUEUES_FAILED;
	/* a call about what was wanted before is not dropped: the broker may carry it out all the same, and must not do so last */
	if (!q->call || q->asked == AO_BROKER_INSPECT)
		ao_queues_ask(q);
	if (fn && ao_access_prompt(q->access)) {
		wait_for(q, fn, arg);
		return AO_QUEUES_WAIT;
	}
	return q->error ? AO_QUEUES_FAILED : AO_QUEUES_PENDING;
}

ao_queues_state ao_queues_want(ao_queues *queues, const ao_object *parent, const cJSON *queue, ao_broker_verb verb, void (*fn)(void *arg),
			       void *arg, ao_queues_fact *ret)
{
	ao_kept_queue *q = upsert(queues, parent, queue, verb);
	ao_queues_state state = state_of(q, fn, arg);
	ao_queues_drain(q);
	if (ret)
		*ret = (ao_queues_fact){q->reason, q->message, q->existed, q->kept};
	return state;
}

static bool is_retained(const cJSON *queue)
{
	const char *deletion = ao_json_str(queue, "deletion");
	return deletion && strcmp(deletion, "Retain") == 0;
}

void ao_queues_leave(ao_queues *queues, const ao_object *parent, const cJSON *queue)
{
	ao_kept_queue *q = upsert(queues, parent, queue, AO_BROKER_DELETE);
	q->leaving = true;
	if (q->drain) {
		ao_queues_drain(q);
		return;
	}
	if (!is_retained(queue) || q->good == q->digest)
		return;
	ao_queues_stop(q);
	ao_queues_kept(q, true,
		       ao_xasprintf("queue %s stays at %s, where nobody reads it any more", q->name, ao_access_transport(q->access)));
	ao_queues_unrecord(q);
	q->good = q->digest;
}

void ao_queues_retain(ao_queues *queues, const ao_object *parent, const cJSON *queue) { upsert(queues, parent, queue, AO_BROKER_ENSURE); }

void ao_queues_claim(ao_queues *queues, const ao_object *parent) { owner_of(queues, parent); }

void ao_queues_moved(ao_queues *queues, const char *uid)
{
	ao_queue_owner *owner = ao_map_get(queues->owners, uid);
	for (ao_kept_queue *q = owner ? owner->first : NULL; q; q = q->next) {
		if (q->drain)
			q->drain->replaced = true;
		else if (q->leaving && !q->call && !q->failures)
			state_of(q, NULL, NULL);
	}
	for (ao_kept_queue *q = owner ? owner->first : NULL; q; q = q->next) {
		uint64_t before = q->digest;
		want_now(q);
		if (q->digest != before && !q->leaving)
			state_of(q, NULL, NULL);
		ao_queues_drain(q);
	}
}

void ao_queues_cancel(ao_queues *queues, void *arg)
{
	for (ao_kept_queue *q = queues->first_waited, *next; q; q = next) {
		next = q->next_waited;
		if (q->waiter_arg == arg)
			ao_queues_leave_waiter(q);
	}
}

static bool is_planned(const cJSON *planned, const ao_kept_queue *q)
{
	const cJSON *queue;
	cJSON_ArrayForEach (queue, planned)
		if (is_it(q, queue))
			return true;
	return false;
}

void ao_queues_keep(ao_queues *queues, const char *uid, const cJSON *planned)
{
	ao_queue_owner *owner = ao_map_get(queues->owners, uid);
	if (!owner)
		return;
	for (ao_kept_queue **at = &owner->first; *at;) {
		ao_kept_queue *q = *at;
		if (is_planned(planned, q)) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		if (planned)
			ao_queues_tell_unread(q);
		free_queue(q);
	}
}

void ao_queues_forget(ao_queues *queues, const char *uid)
{
	ao_queues_keep(queues, uid, NULL);
	ao_queue_owner *owner = ao_map_remove(queues->owners, uid);
	if (!owner)
		return;
	cJSON_Delete(owner->records);
	free(owner->key);
	free(owner->namespace_);
	free(owner->name);
	free(owner->uid);
	free(owner);
}

/* ---- what others want to know ---- */

static cJSON *fact_of(const ao_kept_queue *q)
{
	cJSON *fact = cJSON_CreateObject();
	ao_json_set_str(fact, "name", q->name);
	ao_json_set_str(fact, "transport", ao_access_transport(q->access));
	ao_json_set(fact, "ready", cJSON_CreateBool(q->good != 0));
	if (q->messages >= 0)
		ao_json_set(fact, "messages", cJSON_CreateNumber((double)q->messages));
	if (q->in_flight >= 0)
		ao_json_set(fact, "in_flight", cJSON_CreateNumber((double)q->in_flight));
	if (q->dead >= 0)
		ao_json_set(fact, "dead_letters", cJSON_CreateNumber((double)q->dead));
	bool pending = !q->good && !q->error;
	ao_json_set_str(fact, "reason", pending ? "QueuePending" : q->reason);
	ao_json_set_str(fact, "message", pending ? "waiting for the broker" : q->message);
	cJSON *drains = ao_queues_drains_into(q);
	if (drains)
		ao_json_set(fact, "drains", drains);
	return fact;
}

cJSON *ao_queues_records(ao_queues *queues, const ao_object *parent)
{
	const ao_queue_owner *owner = owner_of(queues, parent);
	cJSON *records = owner->records ? cJSON_Duplicate(owner->records, 1) : NULL;
	ao_queues_describe_drains(owner, records);
	return records;
}

cJSON *ao_queues_facts(const ao_queues *queues, const char *uid)
{
	cJSON *facts = cJSON_CreateArray();
	const ao_queue_owner *owner = ao_map_get(queues->owners, uid);
	for (int emptied = 0; emptied < 2; emptied++) /* those that are read come first */
		for (const ao_kept_queue *q = owner ? owner->first : NULL; q; q = q->next)
			if (!q->leaving && !emptied == !q->drain)
				cJSON_AddItemToArray(facts, fact_of(q));
	return facts;
}

bool ao_queues_are_changing(const ao_queues *queues) { return ao_brokers_are_changing(queues->brokers); }
void ao_queues_halt(ao_queues *queues) { ao_brokers_halt(queues->brokers); }

void ao_queues_collect(ao_queues *queues, ao_metrics *metrics)
{
	ao_metric_clear(metrics, "queue_messages");
	for (const ao_kept_queue *q = queues->first; q; q = q->after) {
		ao_auto_str char *labels = ao_metric_labels("queue", q->name, "transport", ao_access_transport(q->access));
		if (q->messages >= 0)
			ao_metric_set(metrics, "queue_messages", labels, (double)q->messages);
	}
	ao_brokers_collect(queues->brokers, metrics);
}

ao_queues *ao_queues_new(const ao_queues_options *options)
{
	ao_queues *queues = ao_xcalloc(1, sizeof(*queues));
	queues->with = *options;
	queues->owners = ao_map_new();
	queues->shared = ao_map_new();
	queues->brokers = ao_brokers_new(options->loop, options->kube, ao_queues_on_back, queues);
	queues->health = ao_timer_new(options->loop, ao_queues_on_health, queues);
	if (options->health_ms)
		ao_timer_start(queues->health, options->health_ms);
	return queues;
}

void ao_queues_free(ao_queues *queues)
{
	if (!queues)
		return;
	size_t cursor = 0;
	for (ao_queue_owner *owner; (owner = ao_map_next(queues->owners, &cursor, NULL));) {
		ao_auto_str char *uid = ao_xstrdup(owner->uid);
		ao_queues_forget(queues, uid);
	}
	ao_timer_free(queues->health);
	ao_brokers_free(queues->brokers);
	ao_map_free(queues->owners);
	ao_map_free(queues->shared);
	free(queues);
}
