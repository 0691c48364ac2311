/*
 * settings.c -- each declared setting gets its value from the last source that has one.
 *
 * Settings of type file come last, because other settings say where their files are.
 */
#include "policy/settings.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_URL 2048

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

static int from_text(const origin *from, const char *type, const char *text, cJSON **ret, ao_err **reterr)
{
	if (strcmp(type, "boolean") == 0)
		return text_to_bool(from, text, ret, reterr);
	if (strcmp(type, "integer") == 0)
		return text_to_int(from, text, ret, reterr);
	if (strcmp(type, "json") == 0) {
		if (ao_json_parse(text, strlen(text), ret, reterr) < 0)
			return ao_err_wrap(reterr, "%s %s", from->what, from->name);
		return 0;
	}
	*ret = cJSON_CreateString(text);
	return 0;
}

/** A value of the config file: already typed. */
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

/** The first environment variable of a setting that has a value. A setting may have several, older names last. */
static const char *in_environment(const cJSON *declared, const char **ret_name)
{
	const cJSON *env = ao_json_at(declared, "env"), *name = cJSON_IsArray(env) ? env->child : env;
	for (; name; name = cJSON_IsArray(env) ? name->next : NULL) {
		const char *value = cJSON_IsString(name) ? getenv(name->valuestring) : NULL;
		*ret_name = name->valuestring;
		if (value && *value)
			return value;
	}
	return NULL;
}

/** Is the value one that the manifest allows, where the manifest has a list of them? */
static int check_choice(const origin *from, const cJSON *declared, const cJSON *value, ao_err **reterr)
{
	const cJSON *choices = ao_json_at(declared, "values"), *choice;
	ao_auto_buf ao_buf known = ao_buf_init(4096);
	cJSON_ArrayForEach (choice, choices) {
		if (cJSON_Compare(choice, value, true))
			return 0;
		ao_buf_printf(&known, "%s%s", known.len ? " or " : "", choice->valuestring);
	}
	return known.len ? wrong(from, known.data, reterr) : 0;
}

/** A setting that is made of what namespaces say is made of nothing else. */
static int collect_said(const cJSON *declared, const ao_settings_from *with, const char *annotation, cJSON **ret, ao_err **reterr)
{
	const origin in_file = {"config file:", declared->string};
	if (with->file && ao_json_at(with->file, declared->string))
		return wrong(&in_file, "nothing, because namespaces say it by an annotation", reterr);
	*ret = ao_setting_namespaces_get(with->namespaces, annotation);
	return 0;
}

/** @param ret  the value of one setting, or NULL when no source has one; a setting of type file still holds its path */
static int collect_one(const cJSON *declared, const ao_settings_from *with, cJSON **ret, origin *from, ao_err **reterr)
{
	const char *annotation = ao_json_str(declared, "namespaces");
	if (annotation)
		return collect_said(declared, with, annotation, ret, reterr);
	const char *name = declared->string, *type = ao_json_str(declared, "type"), *env = NULL;
	const char *flag = ao_json_str(with->flags, name), *in_env = in_environment(declared, &env);
	const cJSON *in_file = with->file ? ao_json_at(with->file, name) : NULL, *fallback = ao_json_at(declared, "default");
	int r = 0;
	if (!type)
		type = "string";
	if (flag) {
		*from = (origin){"flag", name};
		r = from_text(from, type, flag, ret, reterr);
	} else if (in_env) {
		*from = (origin){"environment variable", env};
		r = from_text(from, type, in_env, ret, reterr);
	} else if (in_file && !cJSON_IsNull(in_file)) {
		*from = (origin){"config file:", name};
		r = from_json(from, type, in_file, ret, reterr);
	} else {
		*ret = fallback && !cJSON_IsNull(fallback) ? cJSON_Duplicate(fallback, 1) : NULL;
		return 0;
	}
	if (r == 0)
		r = check_choice(from, declared, *ret, reterr);
	if (r < 0) {
		cJSON_Delete(*ret);
		*ret = NULL;
	}
	return r;
}

/* ---- files ---- */

/** Do other settings say that the file is behind a URL? */
static bool is_remote(const cJSON *declared, const cJSON *settings)
{
	const cJSON *when = ao_json_at(declared, "remote", "when"), *condition;
	cJSON_ArrayForEach (condition, when)
		if (!cJSON_Compare(ao_json_at(settings, condition->string), condition, true))
			return false;
	return when != NULL;
}

/** The value of the setting that a field of `remote` names, or NULL. An empty value counts as unset. */
static const char *named(const cJSON *remote, const char *field, const cJSON *settings)
{
	const char *name = ao_json_str(remote, field), *value = name ? ao_json_str(settings, name) : NULL;
	return value && *value ? value : NULL;
}

/** Percent-encodes what is not allowed in a path; slashes stay. */
static void put_encoded(ao_buf *out, const char *text)
{
	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~/:@+", *text))
			ao_buf_put(out, text, 1);
		else
			ao_buf_printf(out, "%%%02X", (unsigned char)*text);
}

/**
 * "{base}/{repo}/x" with the settings of these names put in.
 *
 * @param hint     gets "repo (acme/x)" for each setting but the first, which names a host
 * @param missing  gets the names of settings that have no value
 */
static void put_url(const char *template, const cJSON *settings, ao_buf *url, ao_buf *hint, ao_buf *missing)
{
	bool first = true;
	while (*template) {
		size_t plain = strcspn(template, "{"), len = strcspn(template + plain, "}");
		ao_buf_put(url, template, plain);
		template += plain;
		if (!*template)
			break;
		ao_auto_str char *name = ao_xstrndup(template + 1, len ? len - 1 : 0);
		const char *value = ao_json_str(settings, name);
		template += template[len] ? len + 1 : len;
		if (!value || !*value)
			ao_buf_printf(missing, "%s%s", missing->len ? " and " : "", name);
		else
			put_encoded(url, value);
		if (!first && value && *value)
			ao_buf_printf(hint, "%s%s (%s)", hint->len ? ", " : "", name, value);
		first = false;
	}
}

static int get_remote(const cJSON *declared, const cJSON *settings, const ao_settings_from *with, ao_file_wanted *wanted, char **ret)
{
	const cJSON *remote = ao_json_at(declared, "remote");
	const char *release_template = ao_json_str(remote, "release");
	ao_auto_buf ao_buf release = ao_buf_init(MAX_URL), ignored = ao_buf_init(MAX_URL), unset = ao_buf_init(MAX_URL);
	ao_auto_buf ao_buf url = ao_buf_init(MAX_URL), hint = ao_buf_init(MAX_URL), missing = ao_buf_init(MAX_URL);
	put_url(ao_json_str(remote, "url"), settings, &url, &hint, &missing);
	ao_auto_str char *wrong_text = missing.len    ? ao_xasprintf("its address is not known: set %s", missing.data)
				       : url.overflow ? ao_xstrdup("its address is too long")
						      : NULL;
	wanted->url = url.data ? url.data : "";
	wanted->hint = hint.data;
	if (release_template)
		put_url(release_template, settings, &release, &ignored, &unset);
	wanted->release = unset.len || release.overflow || !release.data || strncmp(release.data, "https://", 8) != 0 ? NULL : release.data;
	wanted->wrong = wrong_text;
	wanted->sha256 = named(remote, "sha256", settings);
	wanted->token_file = named(remote, "token_file", settings);
	wanted->token_env = ao_json_str(remote, "token_env");
	wanted->ca_file = named(remote, "ca_file", settings);
	if (!with->files && with->on_note) {
		ao_auto_str char *note =
		    ao_xasprintf("%s: %s%s; the built-in file is used here", wanted->label, wrong_text ? wrong_text : wanted->url,
				 wrong_text ? "" : " is fetched only by a running operator");
		with->on_note(note);
	}
	return ao_setting_files_get(with->files, wanted, ret, NULL);
}

/** Puts the text of a file in the place of its path; `false` while it is not there. */
static int collect_file(const cJSON *declared, cJSON *settings, const ao_settings_from *with, const origin *from, ao_err **reterr)
{
	const char *name = declared->string, *label = ao_json_str(declared, "label"), *path = ao_json_str(settings, name);
	ao_file_wanted wanted = {.setting = name, .label = label ? label : name, .path = path && *path ? path : NULL};
	ao_auto_str char *text = NULL;
	ao_auto_err ao_err *err = NULL;
	bool remote = is_remote(declared, settings);
	int r = 0;
	if (remote) {
		wanted.path = NULL;
		r = get_remote(declared, settings, with, &wanted, &text);
	} else if (wanted.path) {
		r = ao_setting_files_get(with->files, &wanted, &text, &err);
	} else {
		ao_setting_files_forget(with->files, name);
	}
	if (r < 0)
		return ao_err_set(reterr, r, "%s %s: %s", from->what, from->name, ao_err_text(err));
	if (text)
		ao_json_set_str(settings, name, text);
	else if (with->files && (remote || wanted.path))
		ao_json_set(settings, name, cJSON_CreateBool(false));
	else
		cJSON_DeleteItemFromObjectCaseSensitive(settings, name);
	return 0;
}

/* ---- all of them ---- */

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

static bool is_file(const cJSON *declared)
{
	const char *type = ao_json_str(declared, "type");
	return type && strcmp(type, "file") == 0;
}

int ao_settings_collect(const cJSON *manifest, const ao_settings_from *from, cJSON **ret, ao_err **reterr)
{
	const cJSON *declared = ao_json_at(manifest, "settings"), *setting;
	int r = refuse_unknown(declared, from->file, reterr), count = cJSON_GetArraySize(declared), i = 0;
	ao_auto_json cJSON *settings = cJSON_CreateObject();
	origin *origins = ao_xcalloc((size_t)count + 1, sizeof(*origins));
	cJSON_ArrayForEach (setting, declared) {
		cJSON *value = NULL;
		if (r == 0)
			r = collect_one(setting, from, &value, &origins[i++], reterr);
		if (value)
			ao_json_set(settings, setting->string, value);
	}
	i = 0;
	cJSON_ArrayForEach (setting, declared) {
		if (r == 0 && is_file(setting))
			r = collect_file(setting, settings, from, &origins[i], reterr);
		i++;
	}
	free(origins);
	if (r < 0)
		return r;
	const cJSON *params = from->file ? ao_json_at(from->file, "params") : NULL;
	if (params)
		ao_json_set(settings, "params", cJSON_Duplicate(params, 1));
	*ret = AO_TAKE(settings);
	return 0;
}

cJSON *ao_settings_for_policies(const cJSON *manifest, const cJSON *settings)
{
	cJSON *seen = cJSON_Duplicate(settings, 1);
	const cJSON *setting;
	cJSON_ArrayForEach (setting, ao_json_at(manifest, "settings"))
		if (cJSON_IsTrue(ao_json_at(setting, "engine")))
			cJSON_DeleteItemFromObjectCaseSensitive(seen, setting->string);
	return seen;
}
