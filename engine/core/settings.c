/* settings.c -- one value per declared setting, from the last source that has one. */
#include "core/settings.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_FILE (256 * 1024) /* the longest string a policy may hold */

/** Where a value came from, for messages. */
typedef struct origin {
	const char *what; /* "environment variable", "flag", "config file" */
	const char *name;
} origin;

static int wrong(const origin *from, const char *expected, ao_err **reterr)
{
	return ao_err_set(reterr, -EINVAL, "%s %s: expected %s", from->what, from->name, expected);
}

static int text_to_bool(const origin *from, const char *text, cJSON **ret, ao_err **reterr)
{
	bool yes = strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0;
	if (!yes && strcasecmp(text, "false") != 0 && strcmp(text, "0") != 0)
		return wrong(from, "true or false", reterr);
	*ret = cJSON_CreateBool(yes);
	return 0;
}

static int text_to_int(const origin *from, const char *text, cJSON **ret, ao_err **reterr)
{
	char *end;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno || end == text || *end || n > AO_JSON_MAX_INT || n < -AO_JSON_MAX_INT)
		return wrong(from, "an integer", reterr);
	*ret = cJSON_CreateNumber((double)n);
	return 0;
}

/** A file setting holds a path and becomes the file's content; a file that is not there leaves the setting unset. */
static int path_to_content(const origin *from, const char *path, cJSON **ret, ao_err **reterr)
{
	ao_auto_buf ao_buf content = ao_buf_init(MAX_FILE);
	ao_auto_err ao_err *err = NULL;
	int r = ao_file_read(path, &content, &err);
	if (r < 0)
		return ao_err_set(reterr, r, "%s %s: %s", from->what, from->name, ao_err_text(err));
	if (!content.len)
		return ao_err_set(reterr, -EINVAL, "%s %s: %s is empty", from->what, from->name, path);
	*ret = cJSON_CreateString(content.data);
	return 0;
}

static int from_text(const origin *from, const char *type, const char *text, cJSON **ret, ao_err **reterr)
{
	if (strcmp(type, "boolean") == 0)
		return text_to_bool(from, text, ret, reterr);
	if (strcmp(type, "integer") == 0)
		return text_to_int(from, text, ret, reterr);
	if (strcmp(type, "file") == 0)
		return path_to_content(from, text, ret, reterr);
	if (strcmp(type, "json") == 0) {
		if (ao_json_parse(text, strlen(text), ret, reterr) < 0)
			return ao_err_wrap(reterr, "%s %s", from->what, from->name);
		return 0;
	}
	*ret = cJSON_CreateString(text);
	return 0;
}

/** A value of the config file: already typed, except that a file setting still is a path. */
static int from_json(const origin *from, const char *type, const cJSON *value, cJSON **ret, ao_err **reterr)
{
	int64_t n;
	if (cJSON_IsString(value) && strcmp(type, "json") != 0)
		return from_text(from, type, value->valuestring, ret, reterr);
	if (strcmp(type, "boolean") == 0 && !cJSON_IsBool(value))
		return wrong(from, "true or false", reterr);
	if (strcmp(type, "integer") == 0 && !ao_json_int(value, &n))
		return wrong(from, "an integer", reterr);
	if ((strcmp(type, "string") == 0 || strcmp(type, "file") == 0) && !cJSON_IsString(value))
		return wrong(from, "a string", reterr);
	*ret = cJSON_Duplicate(value, 1);
	return 0;
}

/** @param ret  the value of one setting, or NULL when no source has one */
static int collect_one(const cJSON *declared, const cJSON *file, const cJSON *flags, cJSON **ret, ao_err **reterr)
{
	const char *name = declared->string, *env = ao_json_str(declared, "env"), *type = ao_json_str(declared, "type");
	const char *flag = ao_json_str(flags, name), *in_env = env ? getenv(env) : NULL;
	const cJSON *in_file = file ? ao_json_at(file, name) : NULL, *fallback = ao_json_at(declared, "default");
	if (!type)
		type = "string";
	if (flag)
		return from_text(&(origin){"flag", name}, type, flag, ret, reterr);
	if (in_env && *in_env)
		return from_text(&(origin){"environment variable", env}, type, in_env, ret, reterr);
	if (in_file && !cJSON_IsNull(in_file))
		return from_json(&(origin){"config file:", name}, type, in_file, ret, reterr);
	*ret = fallback && !cJSON_IsNull(fallback) ? cJSON_Duplicate(fallback, 1) : NULL;
	return 0;
}

static int refuse_unknown(const cJSON *declared, const cJSON *file, ao_err **reterr)
{
	if (file && !cJSON_IsObject(file))
		return ao_err_set(reterr, -EINVAL, "config file: expected a mapping of setting names to values");
	const cJSON *item;
	cJSON_ArrayForEach (item, file)
		if (strcmp(item->string, "params") != 0 && !ao_json_at(declared, item->string)) {
			ao_auto_buf ao_buf known = ao_buf_init(4096);
			const cJSON *setting;
			cJSON_ArrayForEach (setting, declared)
				ao_buf_printf(&known, "%s, ", setting->string);
			return ao_err_set(reterr, -EINVAL, "config file: unknown setting '%s' (known: %sparams)", item->string,
					  known.data ? known.data : "");
		}
	return 0;
}

int ao_settings_collect(const cJSON *manifest, const cJSON *file, const cJSON *flags, cJSON **ret, ao_err **reterr)
{
	const cJSON *declared = ao_json_at(manifest, "settings");
	int r = refuse_unknown(declared, file, reterr);
	if (r < 0)
		return r;
	ao_auto_json cJSON *settings = cJSON_CreateObject();
	const cJSON *setting;
	cJSON_ArrayForEach (setting, declared) {
		cJSON *value = NULL;
		r = collect_one(setting, file, flags, &value, reterr);
		if (r < 0)
			return r;
		if (value)
			ao_json_set(settings, setting->string, value);
	}
	const cJSON *params = file ? ao_json_at(file, "params") : NULL;
	if (params)
		ao_json_set(settings, "params", cJSON_Duplicate(params, 1));
	*ret = AO_TAKE(settings);
	return 0;
}

const char *ao_settings_flag(const cJSON *manifest, const char *flag)
{
	const cJSON *setting;
	cJSON_ArrayForEach (setting, ao_json_at(manifest, "settings")) {
		const char *name = ao_json_str(setting, "flag");
		if (name && strcmp(name, flag) == 0)
			return setting->string;
	}
	return NULL;
}
