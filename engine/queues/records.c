/*
 * records.c -- whose the queues of a parent are: whose.h decides, the parent's status remembers.
 *
 * The records begin with what the status said when we first saw the parent.  From then on the status is written from the records in memory.
 */
#include "base/log.h"
#include "base/mem.h"
#include "queues/keeper_private.h"
#include "json/json.h"

#include <string.h>

#define MAX_ELSEWHERE 8 /* places that are remembered of one queue beside the present one */

/**
 * A status with the condition Ready is ours. Where it lacks our digest, too, the server drops what its CRD does not know: then there may
 * have been records, and what they said of others' queues must not be forgotten by calling these inherited.
 */
static bool is_pruned(const ao_queues *queues, const cJSON *tree, const cJSON *status)
{
	char *const *path = queues->with.digest_path;
	return path && !ao_json_at_path(tree, path) && ao_json_item(ao_json_at(status, "conditions"), "type", "Ready");
}

void ao_queues_recall(const ao_queues *queues, ao_queue_owner *owner, const ao_object *parent)
{
	ao_auto_json cJSON *tree = NULL;
	char *const *path = queues->with.records_path;
	const cJSON *records = NULL, *status = NULL;
	if (path && ao_object_tree(parent, &tree, NULL) == 0) {
		records = ao_json_at_path(tree, path);
		status = ao_json_at(tree, path[0]);
	}
	if (cJSON_IsArray(records))
		owner->records = cJSON_Duplicate(records, 1);
	else if (status && status->child && !is_pruned(queues, tree, status))
		owner->heir = true;
	else
		owner->records = cJSON_CreateArray();
}

static bool is_of(const cJSON *record, const char *name, const char *transport)
{
	const char *its_name = ao_json_str(record, "name"), *its_transport = ao_json_str(record, "transport");
	return its_name && its_transport && name && transport && strcmp(its_name, name) == 0 && strcmp(its_transport, transport) == 0;
}

/** Is it one of this queue, here or at another place? */
static bool is_namesake(const ao_kept_queue *q, const cJSON *record) { return is_of(record, q->name, ao_access_transport(q->access)); }

bool ao_queues_is_record(const ao_kept_queue *q, const cJSON *record)
{
	return is_namesake(q, record) && ao_whose_is_here(ao_json_str(record, "place"), ao_access_place_digest(q->access)) &&
	       ao_whose_is_here(ao_json_str(record, "account"), q->account);
}

bool ao_queues_is_recorded(const cJSON *record, const cJSON *queue)
{
	const char *type = ao_json_str(queue, "type");
	if (!is_of(record, ao_json_str(queue, "name"), ao_json_str(queue, "transport")))
		return false;
	ao_auto_str char *place = ao_broker_place_digest(type ? type : "", ao_json_at(queue, "config"));
	return ao_whose_is_here(ao_json_str(record, "place"), place);
}

static cJSON *record_of(const ao_kept_queue *q)
{
	cJSON *record;
	cJSON_ArrayForEach (record, q->owner->records)
		if (ao_queues_is_record(q, record))
			return record;
	return NULL;
}

const char *ao_queues_account(const ao_kept_queue *q) { return ao_json_str(record_of(q), "account"); }

static ao_whose_owner owner_in(const cJSON *record) { return ao_whose_of_word(ao_json_str(record, "owner")); }

/** @param ours  only one that says that it is ours there. @return the first record of the queue at another place, or NULL */
static cJSON *record_elsewhere(const ao_kept_queue *q, bool ours)
{
	cJSON *record;
	cJSON_ArrayForEach (record, q->owner->records)
		if (is_namesake(q, record) && !ao_queues_is_record(q, record) && (!ours || owner_in(record) == AO_WHOSE_PARENT))
			return record;
	return NULL;
}

/** May the record of another parent be about this queue? Two transports may lead to one broker, so what is at one place is one queue. */
static bool is_about(const ao_kept_queue *q, const cJSON *record)
{
	const char *name = ao_json_str(record, "name"), *place = ao_json_str(record, "place");
	bool known = name && place && ao_access_place_digest(q->access);
	return ao_queues_is_record(q, record) ||
	       (known && strcmp(name, q->name) == 0 && ao_broker_may_be_at(ao_access_place(q->access), place));
}

const ao_queue_owner *ao_queues_claimant(const ao_kept_queue *q)
{
	size_t cursor = 0;
	for (const ao_queue_owner *each; (each = ao_map_next(q->queues->owners, &cursor, NULL));) {
		const cJSON *record;
		if (each == q->owner || each->first)
			continue;
		cJSON_ArrayForEach (record, each->records)
			if (is_about(q, record))
				return each;
	}
	return NULL;
}

/** The first record of the queue, of whatever place. */
static cJSON *first_record(const ao_kept_queue *q)
{
	cJSON *record = q->owner->records->child;
	while (!is_namesake(q, record))
		record = record->next;
	return record;
}

/** Takes the text. */
static void say_left(const ao_kept_queue *q, char *note)
{
	ao_queues_report(q, true, "QueueLeft", note);
	free(note);
}

static void tell_left(const ao_kept_queue *q)
{
	say_left(q, ao_xasprintf("queue %s is left where transport %s led before, maybe with messages: nobody reads it there any more",
				 q->name, ao_access_transport(q->access)));
}

void ao_queues_tell_unread(const ao_kept_queue *q)
{
	if (q->whose.owner == AO_WHOSE_PARENT && !q->drain)
		say_left(q, ao_xasprintf("queue %s is left at %s, maybe with messages: it is not in the plan any more", q->name,
					 ao_access_transport(q->access)));
}

/**
 * Completes the record of the present place, and puts it before those of others: an older operator takes the first.  Of other places only
 * what is ours there is worth remembering; that it is left is told when another place comes before it.
 * @param record  in the list
 */
static void put_first(ao_kept_queue *q, cJSON *record)
{
	cJSON *records = q->owner->records, *next;
	int elsewhere = 0;
	if (!ao_access_place_digest(q->access))
		return; /* a configuration that makes no sense leads nowhere */
	for (cJSON *each = records->child; each; each = next) {
		next = each->next;
		bool other =
		    !ao_queues_is_record(q, each) || !ao_whose_is_here(ao_json_str(each, "account"), ao_json_str(record, "account"));
		bool stays = other && owner_in(each) == AO_WHOSE_PARENT && elsewhere < MAX_ELSEWHERE;
		if (each == record || !is_namesake(q, each))
			continue;
		elsewhere++;
		if (!stays)
			cJSON_Delete(cJSON_DetachItemViaPointer(records, each));
	}
	if (first_record(q) != record) {
		if (record_elsewhere(q, true))
			tell_left(q);
		cJSON_InsertItemInArray(records, 0, cJSON_DetachItemViaPointer(records, record));
	}
	ao_json_set_str(record, "place", ao_access_place_digest(q->access));
	if (q->account)
		ao_json_set_str(record, "account", q->account);
}

void ao_queues_recall_one(ao_kept_queue *q)
{
	cJSON *record = record_of(q);
	bool elsewhere = record_elsewhere(q, false) != NULL;
	q->whose = ao_whose_recall(record ? owner_in(record) : AO_WHOSE_UNKNOWN, elsewhere, !q->owner->records && q->owner->heir);
	if (record)
		put_first(q, record);
}

static void note(ao_kept_queue *q)
{
	cJSON *record = record_of(q);
	if (!q->owner->records)
		q->owner->records = cJSON_CreateArray();
	if (!record) {
		record = cJSON_CreateObject();
		ao_json_set_str(record, "name", q->name);
		ao_json_set_str(record, "transport", ao_access_transport(q->access));
		cJSON_AddItemToArray(q->owner->records, record);
		put_first(q, record);
	}
	ao_json_set_str(record, "owner", ao_whose_word(q->whose.owner));
}

/** @return false when the answer does not tell */
static bool sight_of(const ao_broker_answer *answer, ao_whose_sight *ret)
{
	if (answer->created)
		*ret = AO_WHOSE_MADE;
	else if (!answer->error)
		*ret = AO_WHOSE_FOUND;
	else if (answer->exists && strcmp(answer->reason, "QueueMismatch") == 0)
		*ret = AO_WHOSE_MISMATCH;
	else if (answer->tried)
		*ret = AO_WHOSE_TRIED;
	else
		return false;
	return true;
}

bool ao_queues_is_in_another_account(const ao_kept_queue *q, const ao_broker_answer *answer)
{
	return !ao_whose_is_here(q->account, answer->account);
}

/**
 * Whose queues credentials show is known when the broker has answered: with others in their Secret, or in the environment of another life, the
 * same configuration leads into another account.  A record without one is of an older operator; it gets it with the next change of the status.
 */
static void take_account(ao_kept_queue *q, const char *account)
{
	if (!account || (q->account && strcmp(q->account, account) == 0))
		return;
	free(q->account);
	q->account = ao_xstrdup(account);
	cJSON *record = record_of(q);
	if (record)
		ao_json_set_str(record, "account", account);
	if (record_elsewhere(q, false))
		ao_queues_recall_one(q);
}

bool ao_queues_saw(ao_kept_queue *q, const ao_broker_answer *answer)
{
	ao_whose_sight sight;
	take_account(q, answer->account);
	if (!sight_of(answer, &sight))
		return false;
	bool news = ao_whose_saw(&q->whose, sight) || (q->whose.owner != AO_WHOSE_UNKNOWN && !record_of(q));
	if (news)
		note(q);
	return news;
}

void ao_queues_unrecord(ao_kept_queue *q)
{
	cJSON *record = record_of(q);
	q->whose = ao_whose_recall(AO_WHOSE_UNKNOWN, record_elsewhere(q, false) != NULL, false);
	if (record)
		cJSON_Delete(cJSON_DetachItemViaPointer(q->owner->records, record));
}

void ao_queues_inherit(ao_kept_queue *q, const ao_kept_queue *from)
{
	if (!ao_queues_is_one(q, from) || !ao_whose_inherit(&q->whose))
		return;
	note(q);
	q->queues->with.on_change(q->queues->with.arg, q->owner->key, true);
}
