/*
 * config_user.c -- the user of a kubeconfig: its own credentials, a plugin that has them, and the user to act as.
 *
 * What a plugin is told of the cluster and what we act as is put into its final form here, so that nothing is left to fail later.
 */
#include "kube/config_entry.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (1024 * 1024)
#define MAX_CA_TEXT (2 * MAX_FILE)
#define MAX_HEADER (16 * 1024)
#define EXTENSION "client.authentication.k8s.io/exec"

static int wrong(const ao_config_entry *e, const char *what, const char *why, ao_err **reterr)
{
	return ao_err_set(reterr, -EINVAL, "%s of %s '%s' %s", what, e->singular, e->name, why);
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		ao_secret_free(list[i]);
	free(list);
}

/** Appends to a NULL-terminated list. @param text  taken */
static void push(char ***list, char *text)
{
	size_t count = 0;
	while (*list && (*list)[count])
		count++;
	*list = ao_xrealloc(*list, (count + 2) * sizeof(**list));
	(*list)[count] = text;
	(*list)[count + 1] = NULL;
}

/* ---- credentials ---- */

static int read_tokens(const ao_config_entry *e, ao_kubeconfig *config, ao_err **reterr)
{
	int r = ao_config_path(e, "tokenFile", &config->token_file, reterr);
	if (r == 0)
		r = ao_config_copy(e, "token", &config->token, reterr);
	if (r < 0)
		return r;
	if (config->token && !ao_secret_clean(config->token))
		return ao_err_set(reterr, -EINVAL, "token of user '%s' is empty or holds a space or a line break", e->name);
	if (!config->token_file || config->token)
		return 0;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_FILE);
	r = ao_file_read(config->token_file, &text, reterr);
	ao_auto_secret char *token = ao_buf_steal(&text);
	if (r < 0)
		ao_err_wrap(reterr, "tokenFile of user '%s'", e->name);
	else if (!ao_secret_clean(token))
		r = ao_err_set(reterr, -EINVAL, "tokenFile of user '%s' holds no token: %s", e->name, config->token_file);
	return r;
}

/* ---- a plugin ---- */

static int read_mode(const ao_config_entry *e, const cJSON *exec, ao_kube_plugin *plugin, ao_err **reterr)
{
	static const char *const modes[] = {
	    [AO_PLUGIN_NEVER] = "Never", [AO_PLUGIN_IF_AVAILABLE] = "IfAvailable", [AO_PLUGIN_ALWAYS] = "Always"};
	const char *mode = ao_json_str(exec, "interactiveMode");
	bool beta = strcmp(plugin->api_version, "client.authentication.k8s.io/v1beta1") == 0;
	if (!beta && strcmp(plugin->api_version, "client.authentication.k8s.io/v1") != 0)
		return wrong(e, "exec.apiVersion",
			     "must be client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1; "
			     "write the kubeconfig anew with a newer version of the plugin",
			     reterr);
	plugin->interactive = AO_PLUGIN_IF_AVAILABLE;
	if (!mode && beta)
		return 0;
	for (size_t i = 0; mode && i < AO_LEN(modes); i++)
		if (strcmp(mode, modes[i]) == 0) {
			plugin->interactive = (int)i;
			return 0;
		}
	return wrong(e, "exec.interactiveMode", "must be Never, IfAvailable or Always", reterr);
}

/** Arguments, or the variables of {name, value}. */
static int read_lists(const ao_config_entry *e, const cJSON *exec, ao_kube_plugin *plugin, ao_err **reterr)
{
	const cJSON *args = ao_json_at(exec, "args"), *env = ao_json_at(exec, "env"), *item;
	plugin->args = ao_xcalloc(1, sizeof(*plugin->args));
	plugin->env = ao_xcalloc(1, sizeof(*plugin->env));
	if ((args && !cJSON_IsArray(args) && !cJSON_IsNull(args)) || (env && !cJSON_IsArray(env) && !cJSON_IsNull(env)))
		return wrong(e, "exec.args and exec.env", "must be lists", reterr);
	cJSON_ArrayForEach (item, args) {
		if (!cJSON_IsString(item))
			return wrong(e, "exec.args", "must hold only text; put it in quotes", reterr);
		push(&plugin->args, ao_xstrdup(item->valuestring));
	}
	cJSON_ArrayForEach (item, env) {
		const char *name = ao_json_str(item, "name"), *value = ao_json_str(item, "value");
		if (!name || !*name || strchr(name, '=') || !value)
			return wrong(e, "exec.env", "must hold entries with the texts name and value", reterr);
		push(&plugin->env, ao_xasprintf("%s=%s", name, value));
	}
	return 0;
}

/** What the plugin is told of the cluster. */
static char *cluster_text(const ao_config_entry *cluster, const ao_kubeconfig *config)
{
	ao_auto_json cJSON *told = cJSON_CreateObject();
	const cJSON *extension;
	ao_json_set_str(told, "server", config->server);
	ao_json_set_str(told, "tls-server-name", config->tls_server_name);
	ao_json_set_str(told, "proxy-url", config->proxy_url);
	if (config->insecure)
		ao_json_set(told, "insecure-skip-tls-verify", cJSON_CreateBool(true));
	if (config->ca_pem) {
		ao_auto_buf ao_buf text = ao_buf_init(MAX_CA_TEXT);
		ao_base64_encode(config->ca_pem, strlen(config->ca_pem), &text);
		ao_json_set_str(told, "certificate-authority-data", text.data);
	}
	cJSON_ArrayForEach (extension, ao_json_at(cluster->fields, "extensions")) {
		const char *name = ao_json_str(extension, "name");
		if (name && strcmp(name, EXTENSION) == 0)
			ao_json_set(told, "config", cJSON_Duplicate(ao_json_at(extension, "extension"), 1));
	}
	return ao_json_print(told);
}

/** A command with a slash is a file beside the kubeconfig, unless its path is absolute. */
static int read_plugin(const ao_config_entry *e, const ao_config_entry *cluster, ao_kubeconfig *config, ao_err **reterr)
{
	const cJSON *exec = ao_json_at(e->fields, "exec");
	const char *command = ao_json_str(exec, "command"), *version = ao_json_str(exec, "apiVersion");
	if (!exec || cJSON_IsNull(exec))
		return 0;
	if (!command || !*command)
		return wrong(e, "exec.command", "must be text that is not empty", reterr);
	ao_kube_plugin *plugin = config->plugin = ao_xcalloc(1, sizeof(*plugin));
	ao_config_entry of_exec = {e->singular, e->name, e->file, exec};
	plugin->name = ao_xasprintf("%s of user '%s'", command, e->name);
	plugin->api_version = ao_xstrdup(version ? version : "");
	plugin->hint = ao_xstrdup(ao_json_str(exec, "installHint"));
	if (cJSON_IsTrue(ao_json_at(exec, "provideClusterInfo")))
		plugin->cluster = cluster_text(cluster, config);
	int r = strchr(command, '/') ? ao_config_path(&of_exec, "command", &plugin->command, reterr) : 0;
	if (r == 0 && !plugin->command)
		plugin->command = ao_xstrdup(command);
	if (r == 0)
		r = read_mode(e, exec, plugin, reterr);
	return r == 0 ? read_lists(e, exec, plugin, reterr) : r;
}

static void free_plugin(ao_kube_plugin *plugin)
{
	if (!plugin)
		return;
	free(plugin->name);
	free(plugin->command);
	free_list(plugin->args);
	free_list(plugin->env);
	free(plugin->api_version);
	free(plugin->hint);
	free(plugin->cluster);
	free(plugin);
}

/* ---- acting as somebody else ---- */

/** Adds "<name>: <value>". @return 0; -EINVAL when the value would not be one line */
static int put_header(const ao_config_entry *e, const char *field, const char *name, const cJSON *value, ao_kubeconfig *config,
		      ao_err **reterr)
{
	const char *text = cJSON_IsString(value) ? value->valuestring : NULL;
	if (!text || text[strcspn(text, "\r\n")])
		return wrong(e, field, "must hold only texts of one line", reterr);
	push(&config->impersonate, ao_xasprintf("%s: %s", name, text));
	return 0;
}

/** "Impersonate-Extra-<key>", with what must not stand in the name of a header percent-encoded. The caller frees it. */
static char *extra_name(const char *key)
{
	ao_buf name = ao_buf_init(MAX_HEADER);
	ao_buf_puts(&name, "Impersonate-Extra-");
	for (; *key; key++)
		if (isalnum((unsigned char)*key) || strchr("!#$&'*+-.^_`|~", *key))
			ao_buf_put(&name, key, 1);
		else
			ao_buf_printf(&name, "%%%02X", (unsigned char)*key);
	return ao_buf_steal(&name);
}

static int read_extra(const ao_config_entry *e, const cJSON *extra, ao_kubeconfig *config, ao_err **reterr)
{
	const cJSON *values, *value;
	if (extra && !cJSON_IsObject(extra))
		return wrong(e, "as-user-extra", "must be a mapping of lists", reterr);
	cJSON_ArrayForEach (values, extra) {
		ao_auto_str char *name = extra_name(values->string);
		if (!cJSON_IsArray(values))
			return wrong(e, "as-user-extra", "must be a mapping of lists", reterr);
		cJSON_ArrayForEach (value, values) {
			int r = put_header(e, "as-user-extra", name, value, config, reterr);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static const cJSON *present(const ao_config_entry *e, const char *key)
{
	const cJSON *value = ao_json_at(e->fields, key);
	bool empty =
	    !value || cJSON_IsNull(value) || (cJSON_IsString(value) && !*value->valuestring) || (!cJSON_IsString(value) && !value->child);
	return empty && !cJSON_IsNumber(value) && !cJSON_IsBool(value) ? NULL : value;
}

static int read_impersonation(const ao_config_entry *e, ao_kubeconfig *config, ao_err **reterr)
{
	const cJSON *as = present(e, "as"), *uid = present(e, "as-uid"), *groups = present(e, "as-groups"), *group;
	const cJSON *extra = present(e, "as-user-extra");
	int r = 0;
	if (!as && (uid || groups || extra))
		return wrong(e, "as-uid, as-groups or as-user-extra", "needs as, the name of the user to act as", reterr);
	if (groups && !cJSON_IsArray(groups))
		return wrong(e, "as-groups", "must be a list of texts", reterr);
	if (as)
		r = put_header(e, "as", "Impersonate-User", as, config, reterr);
	if (r == 0 && uid)
		r = put_header(e, "as-uid", "Impersonate-Uid", uid, config, reterr);
	cJSON_ArrayForEach (group, groups)
		if (r == 0)
			r = put_header(e, "as-groups", "Impersonate-Group", group, config, reterr);
	return r == 0 ? read_extra(e, extra, config, reterr) : r;
}

/* ---- a user ---- */

/** Credentials that stand in the kubeconfig win over those of a plugin, as for kubectl. */
static int read_credentials(const ao_config_entry *e, const ao_config_entry *cluster, ao_kubeconfig *config, ao_err **reterr)
{
	int r = read_tokens(e, config, reterr);
	if (r == 0)
		r = ao_config_copy(e, "username", &config->username, reterr);
	if (r == 0)
		r = ao_config_copy(e, "password", &config->password, reterr);
	if (r == 0)
		r = ao_config_pem(e, "client-certificate", &config->client_cert_pem, &config->client_cert_file, reterr);
	if (r == 0)
		r = ao_config_pem(e, "client-key", &config->client_key_pem, &config->client_key_file, reterr);
	if (r == 0 && !config->client_cert_pem != !config->client_key_pem)
		r = ao_err_set(reterr, -EINVAL, "user '%s' needs client-certificate and client-key together", e->name);
	if (r == 0 && !config->token && !config->token_file && !config->username)
		r = read_plugin(e, cluster, config, reterr);
	return r;
}

int ao_config_user(const ao_config_entry *e, const ao_config_entry *cluster, ao_kubeconfig *config, ao_err **reterr)
{
	int r = ao_config_refuse(e, "auth-provider", "use an exec plugin, a token or a client certificate", reterr);
	if (r == 0)
		r = read_credentials(e, cluster, config, reterr);
	return r == 0 ? read_impersonation(e, config, reterr) : r;
}

void ao_config_free_user(ao_kubeconfig *config)
{
	free_plugin(config->plugin);
	free_list(config->impersonate);
}
