/* record_text.c -- one function to write and one to read for each part of the record. */
#include "rollout/record_text.h"

#include "base/mem.h"

#include <string.h>

#define VERSION 1
#define MAX_PRETTY (256 * 1024)
#define MAX_KINDS 64

static const char *const TRACKS[AO_ROLLOUT_TRACKS] = {"main", "canary"};
static const char *const STAGES[] = {"rest", "forward", "back"};
static const char *const MARKS[] = {"well", "failed", "slow"};

char *ao_record_name(const ao_scope *scope, const char *component)
{
	ao_auto_str char *base = ao_xasprintf("%s-policies-live", component);
	return ao_scope_name(scope, base);
}

char *ao_counts_text(const ao_rollout_counts *c)
{
	return ao_xasprintf("%u of %u reached, %u on their way, %u waiting, %u failed", c->reached, c->parents, c->moving, c->waiting,
			    c->failed);
}

/* ---- to text ---- */

static void put_flag(cJSON *object, const char *name, bool value)
{
	if (value)
		ao_json_set(object, name, cJSON_CreateBool(true));
}

static void put_number(cJSON *object, const char *name, unsigned value) { ao_json_set(object, name, cJSON_CreateNumber(value)); }

static cJSON *choice_json(const ao_rollout_choice *choice)
{
	cJSON *json = cJSON_CreateObject();
	ao_json_set_str(json, "bundle", choice->digest);
	ao_json_set_str(json, "selection", choice->selection);
	return json;
}

static cJSON *line_json(const ao_rollout_line *line)
{
	const ao_rollout_counts *c = &line->counts;
	cJSON *json = cJSON_CreateObject();
	if (line->live.digest)
		ao_json_set(json, "live", choice_json(&line->live));
	if (line->stage != AO_ROLLOUT_REST)
		ao_json_set(json, "to", choice_json(&line->to));
	ao_json_set_str(json, "stage", STAGES[line->stage]);
	put_flag(json, "paused", line->paused);
	cJSON *counts = ao_json_object(json, "counts");
	put_number(counts, "parents", c->parents);
	put_number(counts, "reached", c->reached);
	put_number(counts, "moving", c->moving);
	put_number(counts, "waiting", c->waiting);
	put_number(counts, "failed", c->failed);
	put_number(counts, "slow", c->slow);
	return json;
}

static cJSON *mover_json(const ao_rollout_mover *mover)
{
	cJSON *json = cJSON_CreateObject();
	ao_json_set_str(json, "parent", mover->key);
	ao_json_set_str(json, "bundle", mover->digest);
	ao_json_set_str(json, "mark", mover->mark == AO_ROLLOUT_WELL ? NULL : MARKS[mover->mark]);
	put_flag(json, "carriedOut", mover->done);
	put_flag(json, "replacesPods", mover->slot);
	put_flag(json, "wasReady", mover->was_ready);
	put_flag(json, "saidReady", mover->said_ready);
	return json;
}

static cJSON *refusal_json(const ao_rollout_refusal *refusal)
{
	cJSON *json = choice_json(&refusal->what);
	ao_json_set_str(json, "track", TRACKS[refusal->track]);
	ao_json_set_str(json, "parent", refusal->key);
	ao_json_set_str(json, "why", refusal->why);
	return json;
}

static cJSON *kept_json(const ao_map *kept)
{
	cJSON *json = cJSON_CreateObject();
	size_t cursor = 0;
	const char *digest;
	for (const ao_kept *k; (k = ao_map_next(kept, &cursor, &digest));) {
		cJSON *slots = cJSON_AddArrayToObject(json, digest);
		for (size_t i = 0; i < k->count; i++)
			cJSON_AddItemToArray(slots, cJSON_CreateNumber(k->slots[i]));
	}
	return json;
}

static cJSON *parent_json(const ao_resource *parent, const char *finalizer)
{
	cJSON *json = cJSON_CreateObject();
	ao_json_set_str(json, "apiVersion", parent->api_version);
	ao_json_set_str(json, "kind", parent->kind);
	ao_json_set_str(json, "finalizer", finalizer);
	return json;
}

char *ao_record_text(const ao_rollout_record *record, const ao_map *kept, const cJSON *kinds, const cJSON *has, const ao_resource *parent,
		     const char *finalizer, const cJSON *pace)
{
	ao_auto_json cJSON *json = cJSON_CreateObject();
	put_number(json, "version", VERSION);
	if (parent)
		ao_json_set(json, "parent", parent_json(parent, finalizer));
	if (pace)
		ao_json_set(json, "rollout", cJSON_Duplicate(pace, 1));
	for (size_t i = 0; i < AO_ROLLOUT_TRACKS; i++)
		ao_json_set(json, TRACKS[i], line_json(&record->tracks[i]));
	cJSON *movers = cJSON_AddArrayToObject(json, "underWay"), *refusals = cJSON_AddArrayToObject(json, "refused"),
	      *revisions = cJSON_AddArrayToObject(json, "revisions");
	for (size_t i = 0; i < record->mover_count; i++)
		cJSON_AddItemToArray(movers, mover_json(&record->movers[i]));
	for (size_t i = 0; i < record->refusal_count; i++)
		cJSON_AddItemToArray(refusals, refusal_json(&record->refusals[i]));
	for (size_t i = 0; i < record->revision_count; i++) {
		cJSON *revision = cJSON_CreateObject();
		put_number(revision, "number", record->revisions[i].number);
		ao_json_set_str(revision, "bundle", record->revisions[i].digest);
		cJSON_AddItemToArray(revisions, revision);
	}
	ao_json_set_str(json, "wentBackTo", record->pinned);
	ao_json_set_str(json, "insteadOf", record->instead_of);
	ao_json_set(json, "kept", kept_json(kept));
	if (cJSON_GetArraySize(kinds))
		ao_json_set(json, "kinds", cJSON_Duplicate(kinds, 1));
	if (cJSON_GetArraySize(has))
		ao_json_set(json, "has", cJSON_Duplicate(has, 1));
	char *text = ao_json_pretty(json);
	if (strlen(text) <= MAX_PRETTY)
		return text;
	free(text); /* thousands of parents are not well: their marks must fit into a ConfigMap */
	return ao_json_print(json);
}

/* ---- from text ---- */

/** @return the place of the text in a list; `fallback` when it is not there at all; -1: it is none of them */
static int index_of(const cJSON *object, const char *name, const char *const *list, size_t count, int fallback)
{
	const cJSON *value = ao_json_at(object, name);
	for (size_t i = 0; cJSON_IsString(value) && i < count; i++)
		if (strcmp(list[i], value->valuestring) == 0)
			return (int)i;
	return value ? -1 : fallback;
}

static int wrong(ao_err **reterr, const char *field) { return ao_err_set(reterr, -EINVAL, "its field %s is missing or not valid", field); }

static bool read_number(const cJSON *object, const char *name, unsigned *ret)
{
	int64_t n = 0;
	if (!ao_json_int(ao_json_at(object, name), &n) || n < 0 || n > UINT32_MAX)
		return false;
	*ret = (unsigned)n;
	return true;
}

static int read_choice(const cJSON *json, const char *field, ao_rollout_choice *ret, ao_err **reterr)
{
	const char *digest = ao_json_str(json, "bundle");
	if (json && !cJSON_IsObject(json))
		return wrong(reterr, field);
	ao_rollout_choice_set(ret, digest, ao_json_str(json, "selection"));
	return 0;
}

static int read_line(const cJSON *json, size_t track, ao_rollout_line *ret, ao_err **reterr)
{
	int stage = index_of(json, "stage", STAGES, AO_LEN(STAGES), -1);
	if (stage < 0)
		return wrong(reterr, track ? "canary.stage" : "main.stage");
	ret->stage = (ao_rollout_stage)stage;
	ret->paused = cJSON_IsTrue(ao_json_at(json, "paused"));
	int r = read_choice(ao_json_at(json, "live"), "live", &ret->live, reterr);
	if (r == 0)
		r = read_choice(ao_json_at(json, "to"), "to", &ret->to, reterr);
	if (r == 0 && track == AO_ROLLOUT_MAIN && stage != AO_ROLLOUT_REST && !ret->to.digest)
		r = wrong(reterr, "main.to");
	const cJSON *counts = ao_json_at(json, "counts");
	ao_rollout_counts *c = &ret->counts;
	read_number(counts, "parents", &c->parents); /* for people only */
	read_number(counts, "reached", &c->reached);
	read_number(counts, "moving", &c->moving);
	read_number(counts, "waiting", &c->waiting);
	read_number(counts, "failed", &c->failed);
	read_number(counts, "slow", &c->slow);
	return r;
}

static int read_mover(const cJSON *json, ao_rollout_record *record, ao_err **reterr)
{
	int mark = index_of(json, "mark", MARKS, AO_LEN(MARKS), AO_ROLLOUT_WELL);
	ao_rollout_mover mover = {.key = (char *)ao_json_str(json, "parent"), .digest = (char *)ao_json_str(json, "bundle")};
	if (mark < 0 || !mover.key || !mover.digest)
		return wrong(reterr, "underWay");
	mover.mark = (ao_rollout_mark)mark;
	mover.done = cJSON_IsTrue(ao_json_at(json, "carriedOut"));
	mover.slot = cJSON_IsTrue(ao_json_at(json, "replacesPods"));
	mover.was_ready = cJSON_IsTrue(ao_json_at(json, "wasReady"));
	mover.said_ready = cJSON_IsTrue(ao_json_at(json, "saidReady"));
	ao_rollout_record_move(record, &mover);
	return 0;
}

static int read_refusal(const cJSON *json, ao_rollout_record *record, ao_err **reterr)
{
	int track = index_of(json, "track", TRACKS, AO_LEN(TRACKS), -1);
	ao_rollout_choice what = {(char *)ao_json_str(json, "bundle"), (char *)ao_json_str(json, "selection")};
	if (track < 0 || !what.digest)
		return wrong(reterr, "refused");
	ao_rollout_record_refuse(record, (ao_rollout_track)track, &what, ao_json_str(json, "parent"), ao_json_str(json, "why"));
	return 0;
}

static int read_revision(const cJSON *json, ao_rollout_record *record, ao_err **reterr)
{
	unsigned number;
	const char *digest = ao_json_str(json, "bundle");
	if (!read_number(json, "number", &number) || !digest || record->revision_count == AO_ROLLOUT_REVISIONS)
		return wrong(reterr, "revisions");
	record->revisions[record->revision_count++] = (ao_rollout_revision){number, ao_xstrdup(digest)};
	return 0;
}

static int read_kept(const cJSON *json, ao_map *kept, ao_err **reterr)
{
	const cJSON *slot;
	ao_kept read = {.count = 0};
	cJSON_ArrayForEach (slot, json) {
		int64_t n;
		if (!ao_json_int(slot, &n) || n < 0 || n >= AO_KEPT_SLOTS || read.count == AO_LEN(read.slots))
			return wrong(reterr, "kept");
		read.slots[read.count++] = (unsigned)n;
	}
	ao_kept *copy = ao_xcalloc(1, sizeof(*copy));
	*copy = read;
	free(ao_map_put(kept, json->string, copy));
	return 0;
}

static int read_lists(const cJSON *json, ao_rollout_record *record, ao_map *kept, ao_err **reterr)
{
	const cJSON *item;
	int r = 0;
	cJSON_ArrayForEach (item, ao_json_at(json, "underWay"))
		r = r < 0 ? r : read_mover(item, record, reterr);
	cJSON_ArrayForEach (item, ao_json_at(json, "refused"))
		r = r < 0 ? r : read_refusal(item, record, reterr);
	cJSON_ArrayForEach (item, ao_json_at(json, "revisions"))
		r = r < 0 ? r : read_revision(item, record, reterr);
	cJSON_ArrayForEach (item, ao_json_at(json, "kept"))
		r = r < 0 ? r : read_kept(item, kept, reterr);
	return r;
}

static bool is_kind(const cJSON *row)
{
	static const char *const FIELDS[] = {"apiVersion", "kind", "plural"};
	for (size_t i = 0; i < AO_LEN(FIELDS); i++) {
		const char *value = ao_json_str(row, FIELDS[i]);
		if (!value || !*value)
			return false;
	}
	return true;
}

cJSON *ao_record_kinds(const char *text)
{
	ao_auto_json cJSON *json = NULL;
	cJSON *kinds = cJSON_CreateArray();
	const cJSON *row;
	if (ao_json_parse(text, strlen(text), &json, NULL) == 0)
		cJSON_ArrayForEach (row, ao_json_at(json, "kinds"))
			if (is_kind(row) && cJSON_GetArraySize(kinds) < MAX_KINDS)
				cJSON_AddItemToArray(kinds, cJSON_Duplicate(row, 1));
	return kinds;
}

cJSON *ao_record_pace(const char *text)
{
	ao_auto_json cJSON *json = NULL;
	return ao_json_parse(text, strlen(text), &json, NULL) < 0 ? NULL : cJSON_DetachItemFromObjectCaseSensitive(json, "rollout");
}

void ao_record_parent(const char *text, ao_resource *ret, char **ret_finalizer)
{
	ao_auto_json cJSON *json = NULL;
	*ret = (ao_resource){0};
	*ret_finalizer = NULL;
	if (ao_json_parse(text, strlen(text), &json, NULL) < 0)
		return;
	const cJSON *parent = ao_json_at(json, "parent");
	const char *api_version = ao_json_str(parent, "apiVersion"), *kind = ao_json_str(parent, "kind");
	if (api_version && kind)
		*ret = (ao_resource){.api_version = ao_xstrdup(api_version), .kind = ao_xstrdup(kind)};
	*ret_finalizer = ao_xstrdup(ao_json_str(parent, "finalizer"));
}

int ao_record_read(const char *text, ao_rollout_record *ret, ao_map *kept, ao_err **reterr)
{
	ao_auto_json cJSON *json = NULL;
	ao_auto_rollout_record ao_rollout_record record = {0};
	unsigned version;
	int r = ao_json_parse(text, strlen(text), &json, reterr);
	if (r < 0)
		return -EINVAL;
	if (!read_number(json, "version", &version) || version < 1)
		return wrong(reterr, "version");
	if (version > VERSION)
		return ao_err_set(reterr, -ENOTSUP, "it is of version %u, and this operator knows versions up to %d", version, VERSION);
	for (size_t i = 0; r == 0 && i < AO_ROLLOUT_TRACKS; i++)
		r = read_line(ao_json_at(json, TRACKS[i]), i, &record.tracks[i], reterr);
	if (r == 0)
		r = read_lists(json, &record, kept, reterr);
	if (r < 0)
		return r;
	const char *pinned = ao_json_str(json, "wentBackTo"), *instead = ao_json_str(json, "insteadOf");
	record.pinned = pinned && instead ? ao_xstrdup(pinned) : NULL;
	record.instead_of = pinned && instead ? ao_xstrdup(instead) : NULL;
	*ret = record;
	record = (ao_rollout_record){0};
	return 0;
}
