/* lease_record.c -- client-go's rules for leaseTransitions, acquireTime and expiry.  Unknown fields of the object are kept. */
#include "kube/lease_record.h"

#include "base/clock.h"
#include "base/mem.h"
#include "kube/resource.h"
#include "json/json.h"

#include <string.h>

const char AO_LEASE_API_VERSION[] = "coordination.k8s.io/v1", AO_LEASE_KIND[] = "Lease";

void ao_lease_record_see(ao_lease_record *record, cJSON *object, uint64_t now_ms)
{
	const cJSON *spec = ao_json_at(object, "spec");
	ao_auto_str char *text = spec ? ao_json_canonical(spec) : ao_xstrdup("{}");
	cJSON_Delete(record->object);
	record->object = object;
	if (record->spec && strcmp(record->spec, text) == 0)
		return;
	free(record->spec);
	record->spec = AO_TAKE(text);
	record->changed_ms = now_ms;
}

void ao_lease_record_forget(ao_lease_record *record)
{
	cJSON_Delete(record->object);
	record->object = NULL;
}

void ao_lease_record_clear(ao_lease_record *record)
{
	ao_lease_record_forget(record);
	free(record->spec);
	record->spec = NULL;
}

const char *ao_lease_record_holder(const ao_lease_record *record)
{
	const char *holder = ao_json_str(record->object, "spec", "holderIdentity");
	return holder ? holder : "";
}

bool ao_lease_record_is_free(const ao_lease_record *record, const ao_lease_claim *claim, uint64_t now_ms)
{
	int64_t seconds = 0;
	if (!*ao_lease_record_holder(record))
		return true;
	bool says = ao_json_int(ao_json_at(record->object, "spec", "leaseDurationSeconds"), &seconds) && seconds > 0;
	return now_ms - record->changed_ms >= (says ? (uint64_t)seconds * 1000 : claim->lease_ms);
}

static cJSON *next(const ao_lease_record *record, const ao_lease_claim *claim, uint64_t seconds, const char *now)
{
	cJSON *object = record->object ? cJSON_Duplicate(record->object, 1) : cJSON_CreateObject();
	ao_json_set_str(object, "apiVersion", AO_LEASE_API_VERSION);
	ao_json_set_str(object, "kind", AO_LEASE_KIND);
	cJSON *metadata = ao_json_object(object, "metadata"), *spec = ao_json_object(object, "spec");
	cJSON_DeleteItemFromObjectCaseSensitive(metadata, "managedFields"); /* the server keeps its own */
	ao_json_set_str(metadata, "name", claim->name);
	ao_json_set_str(metadata, "namespace", claim->namespace_);
	if (claim->component)
		ao_json_set_str(ao_json_object(metadata, "labels"), AO_NAME_LABEL, claim->component);
	ao_json_set(spec, "leaseDurationSeconds", cJSON_CreateNumber((double)seconds));
	ao_json_set_str(spec, "renewTime", now);
	return object;
}

cJSON *ao_lease_record_claimed(const ao_lease_record *record, const ao_lease_claim *claim, int64_t wall_ms)
{
	char now[AO_TIME_TEXT];
	ao_time_micro_text(wall_ms, now);
	cJSON *object = next(record, claim, (claim->lease_ms + 999) / 1000, now), *spec = ao_json_object(object, "spec");
	if (strcmp(ao_lease_record_holder(record), claim->identity) != 0) {
		int64_t transitions = -1; /* the very first holder does not count as a transition */
		if (record->object) {
			transitions = 0;
			ao_json_int(ao_json_at(spec, "leaseTransitions"), &transitions);
		}
		ao_json_set(spec, "leaseTransitions", cJSON_CreateNumber((double)(transitions + 1)));
		ao_json_set_str(spec, "acquireTime", now);
	}
	ao_json_set_str(spec, "holderIdentity", claim->identity);
	return object;
}

cJSON *ao_lease_record_released(const ao_lease_record *record, const ao_lease_claim *claim, int64_t wall_ms)
{
	char now[AO_TIME_TEXT];
	ao_time_micro_text(wall_ms, now);
	cJSON *object = next(record, claim, 1, now), *spec = ao_json_object(object, "spec");
	ao_json_set_str(spec, "acquireTime", now);
	ao_json_set_str(spec, "holderIdentity", "");
	return object;
}
