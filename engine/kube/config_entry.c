/* config_entry.c -- the fields of one entry of a kubeconfig.  An error names the field, the entry and what is wrong. */
#include "kube/config_entry.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"

#include <string.h>

#define MAX_FILE (1024 * 1024)

int ao_config_text(const ao_config_entry *e, const char *key, const char **ret, ao_err **reterr)
{
	const cJSON *value = ao_json_at(e->fields, key);
	if (value && !cJSON_IsNull(value) && !cJSON_IsString(value))
		return ao_err_set(reterr, -EINVAL, "%s of %s '%s' must be text; put it in quotes", key, e->singular, e->name);
	*ret = cJSON_IsString(value) && *value->valuestring ? value->valuestring : NULL;
	return 0;
}

int ao_config_copy(const ao_config_entry *e, const char *key, char **ret, ao_err **reterr)
{
	const char *text = NULL;
	int r = ao_config_text(e, key, &text, reterr);
	if (r == 0)
		*ret = ao_xstrdup(text);
	return r;
}

int ao_config_path(const ao_config_entry *e, const char *key, char **ret, ao_err **reterr)
{
	const char *path = NULL, *slash = strrchr(e->file, '/');
	int r = ao_config_text(e, key, &path, reterr);
	if (r < 0 || !path)
		return r;
	if (*path == '/' || !slash)
		*ret = ao_xstrdup(path);
	else
		*ret = ao_xasprintf("%.*s/%s", (int)(slash - e->file), e->file, path);
	return 0;
}

int ao_config_pem(const ao_config_entry *e, const char *key, char **ret, char **ret_file, ao_err **reterr)
{
	ao_auto_str char *data_key = ao_xasprintf("%s-data", key), *path = NULL;
	ao_auto_buf ao_buf pem = ao_buf_init(MAX_FILE);
	const char *data = NULL;
	int r = ao_config_text(e, data_key, &data, reterr);
	if (r == 0)
		r = ao_config_path(e, key, &path, reterr);
	if (r < 0 || (!data && !path))
		return r;
	if (data && !ao_base64_decode(data, &pem))
		return ao_err_set(reterr, -EINVAL, "%s of %s '%s' is not base64", data_key, e->singular, e->name);
	r = data ? 0 : ao_file_read(path, &pem, reterr);
	if (r < 0) {
		ao_err_wrap(reterr, "%s of %s '%s'", key, e->singular, e->name);
		return r;
	}
	if (!pem.data || strlen(pem.data) != pem.len || !strstr(pem.data, "-----BEGIN "))
		return ao_err_set(reterr, -EINVAL, "%s of %s '%s' holds no PEM%s%s", data ? data_key : key, e->singular, e->name,
				  data ? "" : ": ", data ? "" : path);
	*ret = ao_buf_steal(&pem);
	*ret_file = data ? NULL : AO_TAKE(path);
	return 0;
}

int ao_config_refuse(const ao_config_entry *e, const char *key, const char *instead, ao_err **reterr)
{
	const cJSON *value = ao_json_at(e->fields, key);
	if (!value || cJSON_IsNull(value) || (cJSON_IsString(value) && !*value->valuestring))
		return 0;
	return ao_err_set(reterr, -EINVAL, "%s '%s' uses %s, which is not supported; %s", e->singular, e->name, key, instead);
}
