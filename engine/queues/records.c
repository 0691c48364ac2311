/*
 * records.c -- whose the queues of a parent are: whose.h decides, the parent's status remembers.
 *
 * The records begin with what the status said when we first saw the parent.  From then on the status is written from the records in memory.
 */
#include "base/mem.h"
#include "queues/keeper_private.h"
#include "json/json.h"

#include <string.h>

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
	else if (status && status->child)
		owner->heir = true;
	else
		owner->records = cJSON_CreateArray();
}

bool ao_queues_is_record(const ao_kept_queue *q, const cJSON *record)
{
	const char *name = ao_json_str(record, "name"), *transport = ao_json_str(record, "transport");
	return name && transport && strcmp(name, q->name) == 0 && strcmp(transport, ao_access_transport(q->access)) == 0;
}

static cJSON *record_of(const ao_kept_queue *q)
{
	cJSON *record;
	cJSON_ArrayForEach (record, q->owner->records)
		if (ao_queues_is_record(q, record))
			return record;
	return NULL;
}

const ao_queue_owner *ao_queues_claimant(const ao_kept_queue *q)
{
	size_t cursor = 0;
	for (const ao_queue_owner *each; (each = ao_map_next(q->queues->owners, &cursor, NULL));) {
		const cJSON *record;
		if (each == q->owner || each->first)
			continue;
		cJSON_ArrayForEach (record, each->records)
			if (ao_queues_is_record(q, record))
				return each;
	}
	return NULL;
}

void ao_queues_recall_one(ao_kept_queue *q)
{
	const cJSON *record = record_of(q);
	q->whose = (ao_whose){.owner = record ? ao_whose_of_word(ao_json_str(record, "owner")) : AO_WHOSE_UNKNOWN,
			      .heir = !q->owner->records && q->owner->heir};
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

bool ao_queues_saw(ao_kept_queue *q, const ao_broker_answer *answer)
{
	ao_whose_sight sight;
	bool news = sight_of(answer, &sight) && ao_whose_saw(&q->whose, sight);
	if (news)
		note(q);
	return news;
}

void ao_queues_disown(ao_kept_queue *q)
{
	q->whose = (ao_whose){.owner = AO_WHOSE_OTHER};
	note(q);
}

void ao_queues_unrecord(ao_kept_queue *q)
{
	cJSON *record = record_of(q);
	q->whose = (ao_whose){0};
	if (record)
		cJSON_Delete(cJSON_DetachItemViaPointer(q->owner->records, record));
}

void ao_queues_inherit(ao_kept_queue *q)
{
	if (!ao_whose_inherit(&q->whose))
		return;
	note(q);
	q->queues->with.on_change(q->queues->with.arg, q->owner->key, true);
}
