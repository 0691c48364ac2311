/* record.c -- redacts a snapshot, plans it again, writes a temporary file and renames it. */
#include "policy/record.h"

#include "base/log.h"
#include "base/mem.h"
#include "version.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define REDACTED "REDACTED"
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

static bool sounds_secret(const char *name)
{
	static const char *const WORDS[] = {"password", "passwd",  "secret",      "token",     "credential",
					    "apikey",   "api_key", "private_key", "access_key"};
	for (size_t i = 0; name && i < AO_LEN(WORDS); i++)
		if (strcasestr(name, WORDS[i]))
			return true;
	return false;
}

/**
 * Redacts {name, value} of an environment variable, and members whose own name says that they are secret.  References to Secrets stay: they
 * hold only names.
 */
void ao_record_redact(cJSON *value)
{
	cJSON *member, *next;
	const char *name = ao_json_str(value, "name");
	if (cJSON_IsObject(value) && sounds_secret(name) && cJSON_IsString(ao_json_at(value, "value")))
		ao_json_set_str(value, "value", REDACTED);
	for (member = value ? value->child : NULL; member; member = next) {
		next = member->next;
		bool object = cJSON_IsObject(value) && member->string;
		if (object && strcmp(member->string, LAST_APPLIED) == 0)
			cJSON_Delete(cJSON_DetachItemViaPointer(value, member));
		else if (object && cJSON_IsString(member) && sounds_secret(member->string) && !strstr(member->string, "Ref"))
			cJSON_SetValuestring(member, REDACTED);
		else
			ao_record_redact(member);
	}
}

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
	ao_record_redact(copy);
	ao_record_redact(settings);
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
