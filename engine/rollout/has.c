/*
 * has.c -- which bundle each parent has, where parents have no status of ours to say it.
 *
 * Then the record says it, by their uids.  One that it does not name has what is live: so at rest it names nobody, however many there are.
 */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAMED 16000 /* of 40 bytes: a ConfigMap holds 1 MiB */

static int by_uid(const void *a, const void *b)
{
	return strcmp((*(const ao_seen_parent *const *)a)->uid, (*(const ao_seen_parent *const *)b)->uid);
}

cJSON *ao_has_json(const ao_policies *p, const char *live)
{
	if (!ao_world_manifest(p->world)->decorates)
		return NULL;
	cJSON *has = cJSON_CreateObject();
	const ao_seen_parent **named = ao_xcalloc(ao_map_count(p->parents) + 1, sizeof(*named)), *seen;
	size_t cursor = 0, count = 0;
	while ((seen = ao_map_next(p->parents, &cursor, NULL)))
		if (*seen->has && !(live && strcmp(seen->has, live) == 0))
			named[count++] = seen;
	qsort(named, count, sizeof(*named), by_uid);
	if (count > MAX_NAMED)
		ao_warn(AO_POLICY, p->subject, "the record names %d of the %zu parents that have another bundle than the live one",
			MAX_NAMED, count);
	for (size_t i = 0; i < count && i < MAX_NAMED; i++) {
		cJSON *uids = ao_json_at(has, named[i]->has);
		uids = uids ? uids : cJSON_AddArrayToObject(has, named[i]->has);
		cJSON_AddItemToArray(uids, cJSON_CreateString(named[i]->uid));
	}
	free(named);
	return has;
}

void ao_has_recall(ao_policies *p, const char *text)
{
	ao_auto_json cJSON *json = NULL;
	const cJSON *uids, *uid;
	ao_map_free_all(p->had);
	p->had = ao_map_new();
	if (!text || ao_json_parse(text, strlen(text), &json, NULL) < 0)
		return;
	cJSON_ArrayForEach (uids, ao_json_at(json, "has"))
		cJSON_ArrayForEach (uid, uids)
			if (cJSON_IsString(uid))
				free(ao_map_put(p->had, uid->valuestring, ao_xstrdup(uids->string)));
}

void ao_has_all_seen(ao_policies *p) { ao_map_free_all(AO_TAKE(p->had)); }

const char *ao_has_of(const ao_policies *p, const ao_object *parent)
{
	const ao_seen_parent *known = ao_map_get(p->parents, parent->key);
	if (known && strcmp(known->uid, parent->uid) == 0)
		return *known->has ? known->has : NULL;
	if (!p->had)
		return NULL;
	const char *had = ao_map_get(p->had, parent->uid);
	return had ? had : p->record.tracks[AO_ROLLOUT_MAIN].live.digest;
}

bool ao_has_another(const ao_policies *p, const ao_object *stub)
{
	const char *had = p->had ? ao_map_get(p->had, stub->uid) : NULL, *live = p->record.tracks[AO_ROLLOUT_MAIN].live.digest;
	const ao_rollout_mover *mover = ao_rollout_record_mover(&p->record, stub->key);
	bool another = had && !(live && strcmp(had, live) == 0);
	return (mover && mover->slot) || ((another || mover) && ao_reconciler_has_traces(p->reconciler, stub));
}
