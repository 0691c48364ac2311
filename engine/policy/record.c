/* record.c -- redacts a snapshot, and plans it again. */
#include "policy/record.h"

#include "base/mem.h"
#include "policy/redact.h"
#include "version.h"

cJSON *ao_record_make(ao_bundle *bundle, const cJSON *snapshot)
{
	cJSON *record = cJSON_CreateObject(), *plan = NULL, *copy = cJSON_Duplicate(snapshot, 1);
	ao_auto_err ao_err *err = NULL;
	cJSON *settings = cJSON_Duplicate(ao_bundle_settings(bundle), 1);
	const cJSON *harmless = ao_json_at(ao_bundle_manifest(bundle), "public_env");
	ao_auto_redaction ao_redaction *from_snapshot = ao_redaction_new(harmless), *from_settings = ao_redaction_new(harmless);
	ao_redact(from_snapshot, copy);
	ao_redact(from_settings, settings);
	int r = ao_bundle_plan(bundle, copy, &plan, NULL, &err);
	ao_json_set(record, "version", cJSON_CreateNumber(1));
	ao_json_set_str(record, "operator", AO_VERSION);
	ao_json_set_str(record, "bundle", ao_bundle_digest(bundle));
	ao_json_set(record, "settings", settings);
	ao_json_set(record, "snapshot", copy);
	if (r < 0)
		ao_json_set_str(record, "error", ao_err_text(err));
	else
		ao_json_set(record, "plan", plan);
	/* policies saw the settings as they are */
	ao_redact_traces(from_settings, ao_json_at(record, "plan"));
	ao_redact_traces(from_settings, ao_json_at(record, "error"));
	return record;
}
