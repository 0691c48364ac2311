/* record.c -- redacts a snapshot, plans it again, writes a temporary file and renames it. */
#include "policy/record.h"

#include "base/log.h"
#include "base/mem.h"
#include "policy/redact.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

static void write_file(const char *dir, const char *key, bool failed, const cJSON *record)
{
	ao_auto_str char *name = ao_xstrdup(key), *text = ao_json_pretty(record);
	for (char *c = name; *c; c++)
		if (*c == '/')
			*c = '_';
	ao_auto_str char *path = ao_xasprintf("%s/%s%s.json", dir, name, failed ? ".failed" : "");
	ao_auto_str char *beside = ao_xasprintf("%s.new", path);
	FILE *file = fopen(beside, "we");
	bool ok = file && fputs(text, file) >= 0;
	ok = file && fclose(file) == 0 && ok && rename(beside, path) == 0;
	if (!ok)
		ao_warn(AO_CORE, key, "cannot record to %s: %s", path, strerror(errno));
}

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

void ao_record_write(const char *dir, ao_bundle *bundle, const cJSON *snapshot)
{
	ao_auto_json cJSON *record = ao_record_make(bundle, snapshot);
	const char *namespace_ = ao_json_str(snapshot, "parent", "metadata", "namespace"),
		   *name = ao_json_str(snapshot, "parent", "metadata", "name");
	ao_auto_str char *key = ao_xasprintf("%s/%s", namespace_ ? namespace_ : "", name ? name : "");
	write_file(dir, key, ao_json_at(record, "error") != NULL, record);
}
