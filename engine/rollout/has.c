/*
 * has.c -- which bundle each parent has whose status does not say it: it is somebody else's, the manifest names no field for it, or the schema
 * of the CRD does not know that field, and the server drops it.
 *
 * Then the record says it, by their uids.  One that it does not name has what is live, or gets it: so at rest it names nobody, however many
 * there are.  When those that have another one are more than it can name, it says what most of them have, and names the rest: then nobody is
 * taken to have what is live without being named, and whatever comes of an edit comes at its pace.
 */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAMED 16000 /* of 40 bytes: a ConfigMap holds 1 MiB */
#define OTHERS "others" /* among the digests: what those have that are not named */

/** Nothing of another bundle is on one that has none: it may have the live one at once. NULL: there is none, either, or its status says it. */
static const char *digest_of(const ao_seen_parent *seen, const char *live) { return seen->said ? NULL : *seen->has ? seen->has : live; }

/** What need not be said: what is live, or what most parents have. */
static const char *find_others(const ao_policies *p, const char *live)
{
	ao_auto_json cJSON *counts = cJSON_CreateObject();
	size_t cursor = 0, count = 0, most = 0;
	const char *others = live;
	for (const ao_seen_parent *seen; (seen = ao_map_next(p->parents, &cursor, NULL));) {
		const char *digest = digest_of(seen, live);
		if (!digest || (live && strcmp(digest, live) == 0))
			continue;
		const cJSON *before = ao_json_at(counts, digest);
		size_t of_this = before ? (size_t)before->valuedouble + 1 : 1;
		ao_json_set(counts, digest, cJSON_CreateNumber((double)of_this));
		count++;
		others = of_this > most ? digest : others;
		most = of_this > most ? of_this : most;
	}
	return count > MAX_NAMED ? others : live;
}

static int by_uid(const void *a, const void *b)
{
	return strcmp((*(const ao_seen_parent *const *)a)->uid, (*(const ao_seen_parent *const *)b)->uid);
}

cJSON *ao_has_json(const ao_policies *p, const char *live)
{
	cJSON *has = cJSON_CreateObject();
	const char *others = find_others(p, live);
	const ao_seen_parent **named = ao_xcalloc(ao_map_count(p->parents) + 1, sizeof(*named)), *seen;
	size_t cursor = 0, count = 0;
	while ((seen = ao_map_next(p->parents, &cursor, NULL)))
		if (digest_of(seen, live) && !(others && strcmp(digest_of(seen, live), others) == 0))
			named[count++] = seen;
	qsort(named, count, sizeof(*named), by_uid);
	if (count > MAX_NAMED)
		ao_warn(AO_POLICY, p->subject, "the record names %d of the %zu parents that have another bundle than most", MAX_NAMED,
			count);
	if (others != live)
		ao_json_set_str(has, OTHERS, others);
	for (size_t i = 0; i < count && i < MAX_NAMED; i++) {
		cJSON *uids = ao_json_at(has, digest_of(named[i], live));
		uids = uids ? uids : cJSON_AddArrayToObject(has, digest_of(named[i], live));
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
	const char *others = ao_json_str(json, "has", OTHERS);
	if (others)
		ao_map_put(p->had, OTHERS, ao_xstrdup(others));
	cJSON_ArrayForEach (uids, ao_json_at(json, "has"))
		cJSON_ArrayForEach (uid, uids)
			if (cJSON_IsString(uid))
				free(ao_map_put(p->had, uid->valuestring, ao_xstrdup(uids->string)));
}

/** What the record says that we found. One that it need not name may be new, unless it is somebody else's: there that makes no difference. */
static const char *had_by(const ao_policies *p, const char *uid)
{
	const char *had = ao_map_get(p->had, uid), *others = ao_map_get(p->had, OTHERS);
	const char *live = ao_world_manifest(p->world)->decorates ? p->record.tracks[AO_ROLLOUT_MAIN].live.digest : NULL;
	return had ? had : others ? others : live;
}

void ao_has_all_seen(ao_policies *p) { ao_map_free_all(AO_TAKE(p->had)); }

const char *ao_has_of(const ao_policies *p, const ao_object *parent)
{
	const ao_seen_parent *known = ao_map_get(p->parents, parent->key);
	if (known && strcmp(known->uid, parent->uid) == 0)
		return *known->has ? known->has : NULL;
	return p->had ? had_by(p, parent->uid) : NULL;
}

bool ao_has_another(const ao_policies *p, const ao_object *stub)
{
	const char *had = p->had ? had_by(p, stub->uid) : NULL, *live = p->record.tracks[AO_ROLLOUT_MAIN].live.digest;
	const ao_rollout_mover *mover = ao_rollout_record_mover(&p->record, stub->key);
	bool another = had && !(live && strcmp(had, live) == 0);
	return (mover && mover->slot) || ((another || mover) && ao_reconciler_has_traces(p->reconciler, stub));
}
