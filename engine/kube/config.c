/*
 * config.c -- merges kubeconfig files as kubectl does, or reads what the kubelet puts into every pod (incluster.c).
 *
 * The files become one tree: {"clusters": {NAME: {"name", "cluster", "file"}}, "users", "contexts", "current-context"}.  Then the chosen
 * context is read (config_user.c has the user).  A field that we do not support is refused and never passed over, because without it we
 * would act as another user.
 */
#include "kube/config.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "kube/config_entry.h"
#include "kube/incluster.h"
#include "json/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_FILE (1024 * 1024)
#define MAX_LISTED 2048

/* ---- reading and merging files ---- */

/** Adds the entries of one list. The first file that has a name wins. Within one file a name may occur only once. */
static int add_section(cJSON *merged, const cJSON *config, const char *section, const char *path, ao_err **reterr)
{
	const cJSON *entries = ao_json_at(config, section), *entry;
	if (entries && !cJSON_IsArray(entries) && !cJSON_IsNull(entries))
		return ao_err_set(reterr, -EINVAL, "'%s' must be a list of entries with a name", section);
	cJSON *known = ao_json_object(merged, section);
	cJSON_ArrayForEach (entry, entries) {
		const char *name = ao_json_str(entry, "name");
		if (!name)
			return ao_err_set(reterr, -EINVAL, "an entry of '%s' has no name", section);
		const char *file = ao_json_str(known, name, "file");
		if (file && strcmp(file, path) == 0)
			return ao_err_set(reterr, -EINVAL, "'%s' has two entries called '%s'; remove or rename one", section, name);
		if (file)
			continue;
		cJSON *copy = cJSON_Duplicate(entry, 1);
		ao_json_set_str(copy, "file", path);
		ao_json_set(known, name, copy);
	}
	return 0;
}

static int add_tree(cJSON *merged, const cJSON *config, const char *path, ao_err **reterr)
{
	static const char *const sections[] = {"clusters", "users", "contexts"};
	if (!config)
		return ao_err_set(reterr, -EINVAL, "the file is empty; point --kubeconfig or KUBECONFIG at a real one");
	const char *kind = ao_json_str(config, "kind");
	if (!cJSON_IsObject(config) || (kind && strcmp(kind, "Config") != 0))
		return ao_err_set(reterr, -EINVAL, "that is not a kubeconfig; point --kubeconfig or KUBECONFIG at a real one");
	for (size_t i = 0; i < AO_LEN(sections); i++) {
		int r = add_section(merged, config, sections[i], path, reterr);
		if (r < 0)
			return r;
	}
	const char *current = ao_json_str(config, "current-context");
	if (current && *current && !ao_json_at(merged, "current-context"))
		ao_json_set_str(merged, "current-context", current);
	return 0;
}

static int add_file(cJSON *merged, const char *path, ao_err **reterr)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_FILE);
	ao_auto_json cJSON *documents = NULL;
	int r = ao_file_read(path, &text, reterr);
	if (r == 0)
		r = ao_yaml_parse(text.data ? text.data : "", text.len, path, &documents, reterr);
	if (text.data)
		explicit_bzero(text.data, text.len);
	if (r < 0) {
		ao_err_wrap(reterr, "kubeconfig");
		return r;
	}
	r = add_tree(merged, cJSON_GetArrayItem(documents, 0), path, reterr);
	if (r < 0)
		ao_err_wrap(reterr, "kubeconfig %s", path);
	return r;
}

/** Reads the files of $KUBECONFIG. Files that do not exist are passed over, as long as one exists. */
static int add_list(cJSON *merged, const char *list, ao_err **reterr)
{
	ao_auto_str char *copy = ao_xstrdup(list);
	size_t found = 0;
	char *rest = copy, *path;
	while ((path = strsep(&rest, ":"))) {
		if (!*path || access(path, F_OK) < 0)
			continue;
		int r = add_file(merged, path, reterr);
		if (r < 0)
			return r;
		found++;
	}
	if (found)
		return 0;
	return ao_err_set(reterr, -ENOENT, "kubeconfig: no file of KUBECONFIG=%s exists; correct or unset it", list);
}

/* ---- one entry ---- */

static void list_names(const cJSON *section, ao_buf *out)
{
	const cJSON *each;
	cJSON_ArrayForEach (each, section)
		ao_buf_printf(out, "%s%s", out->len ? ", " : "", each->string);
	if (!out->len)
		ao_buf_puts(out, "none");
}

/** @param user  what refers to the entry: "context 'x'", or NULL for the command line */
static int find(const cJSON *merged, const char *singular, const char *name, const char *user, ao_config_entry *ret, ao_err **reterr)
{
	ao_auto_str char *section = ao_xasprintf("%ss", singular);
	const cJSON *all = ao_json_at(merged, section), *found = ao_json_at(all, name);
	if (found) {
		*ret = (ao_config_entry){singular, name, ao_json_str(found, "file"), ao_json_at(found, singular)};
		return 0;
	}
	ao_auto_buf ao_buf names = ao_buf_init(MAX_LISTED);
	list_names(all, &names);
	return ao_err_set(reterr, -EINVAL, "%s%sunknown %s '%s' (it has: %s)", user ? user : "", user ? " names the " : "", singular, name,
			  names.data);
}

/* ---- a cluster ---- */

static int read_server(const ao_config_entry *e, ao_kubeconfig *config, ao_err **reterr)
{
	int r = ao_config_copy(e, "server", &config->server, reterr);
	if (r < 0)
		return r;
	if (!config->server)
		return ao_err_set(reterr, -EINVAL, "cluster '%s' has no server; set it to https://HOST:PORT", e->name);
	const char *host = strstr(config->server, "://");
	if (strncasecmp(config->server, "https://", 8) != 0 && strncasecmp(config->server, "http://", 7) != 0)
		return ao_err_set(reterr, -EINVAL, "server of cluster '%s' must begin with https://", e->name);
	host += 3;
	if (memchr(host, '@', strcspn(host, "/?#")))
		return ao_err_set(reterr, -EINVAL, "server of cluster '%s' must hold no user name; put it into the user", e->name);
	if (strpbrk(host, "?# \t\r\n") || !*host || *host == '/')
		return ao_err_set(reterr, -EINVAL, "server of cluster '%s' is not an address; set it to https://HOST:PORT", e->name);
	size_t len = strlen(config->server);
	while (config->server[len - 1] == '/')
		config->server[--len] = '\0';
	return 0;
}

static int read_proxy(const ao_config_entry *e, ao_kubeconfig *config, ao_err **reterr)
{
	static const char *const schemes[] = {"http://", "https://", "socks5://"};
	int r = ao_config_copy(e, "proxy-url", &config->proxy_url, reterr);
	for (size_t i = 0; r == 0 && config->proxy_url && i < AO_LEN(schemes); i++)
		if (strncasecmp(config->proxy_url, schemes[i], strlen(schemes[i])) == 0)
			return 0;
	if (r == 0 && config->proxy_url)
		r = ao_err_set(reterr, -EINVAL, "proxy-url of cluster '%s' must begin with http://, https:// or socks5://", e->name);
	return r;
}

static int read_cluster(const ao_config_entry *e, ao_kubeconfig *config, ao_err **reterr)
{
	const cJSON *insecure = ao_json_at(e->fields, "insecure-skip-tls-verify");
	int r = read_server(e, config, reterr);
	if (r == 0)
		r = ao_config_copy(e, "tls-server-name", &config->tls_server_name, reterr);
	if (r == 0)
		r = read_proxy(e, config, reterr);
	if (r == 0)
		r = ao_config_pem(e, "certificate-authority", &config->ca_pem, &config->ca_file, reterr);
	if (r < 0)
		return r;
	if (insecure && !cJSON_IsBool(insecure) && !cJSON_IsNull(insecure))
		return ao_err_set(reterr, -EINVAL, "insecure-skip-tls-verify of cluster '%s' must be true or false", e->name);
	config->insecure = cJSON_IsTrue(insecure);
	if (config->insecure && config->ca_pem)
		return ao_err_set(reterr, -EINVAL,
				  "cluster '%s' has both insecure-skip-tls-verify and a certificate-authority; remove one of them",
				  e->name);
	return 0;
}

/* ---- a context ---- */

/** The entry that a context names. @return 1; 0: it names none */
static int find_named(const cJSON *merged, const ao_config_entry *context, const char *singular, ao_config_entry *ret, ao_err **reterr)
{
	const char *name = NULL;
	int r = ao_config_text(context, singular, &name, reterr);
	if (r < 0 || !name)
		return r;
	ao_auto_str char *namer = ao_xasprintf("context '%s'", context->name);
	r = find(merged, singular, name, namer, ret, reterr);
	return r < 0 ? r : 1;
}

static int read_parts(const cJSON *merged, const ao_config_entry *context, ao_kubeconfig *config, ao_err **reterr)
{
	ao_config_entry cluster, user;
	int r = find_named(merged, context, "cluster", &cluster, reterr);
	if (r == 0)
		r = ao_err_set(reterr, -EINVAL, "context '%s' names no cluster", context->name);
	if (r > 0)
		r = read_cluster(&cluster, config, reterr);
	if (r == 0)
		r = find_named(merged, context, "user", &user, reterr);
	return r > 0 ? ao_config_user(&user, &cluster, config, reterr) : r; /* a server may want no user */
}

static int read_context(const cJSON *merged, const char *name, ao_kubeconfig *config, ao_err **reterr)
{
	const cJSON *contexts = ao_json_at(merged, "contexts");
	ao_config_entry context;
	if (!name)
		name = ao_json_str(merged, "current-context");
	if (!cJSON_GetArraySize(contexts))
		return ao_err_set(reterr, -EINVAL, "there are no contexts; point --kubeconfig or KUBECONFIG at a complete file");
	if (!name) {
		ao_auto_buf ao_buf names = ao_buf_init(MAX_LISTED);
		list_names(contexts, &names);
		return ao_err_set(reterr, -EINVAL, "no context is chosen; set current-context or use --context (it has: %s)", names.data);
	}
	int r = find(merged, "context", name, NULL, &context, reterr);
	if (r == 0)
		r = read_parts(merged, &context, config, reterr);
	if (r == 0)
		r = ao_config_copy(&context, "namespace", &config->namespace_, reterr);
	if (r == 0 && !config->namespace_)
		config->namespace_ = ao_xstrdup("default");
	return r;
}

/* ---- the whole ---- */

static int add_home(cJSON *merged, char **ret_source, ao_err **reterr)
{
	const char *home = getenv("HOME"), *host = getenv("KUBERNETES_SERVICE_HOST");
	*ret_source = ao_xasprintf("%s/.kube/config", home ? home : "");
	if (access(*ret_source, F_OK) == 0)
		return add_file(merged, *ret_source, reterr);
	if (host && *host)
		return ao_err_set(reterr, -ENOENT,
				  "no credentials: this pod has no %s/token; set automountServiceAccountToken: true, or use --kubeconfig",
				  AO_INCLUSTER_FILES);
	return ao_err_set(reterr, -ENOENT,
			  "no kubeconfig: %s does not exist, KUBECONFIG is not set and this is not a pod; use --kubeconfig", *ret_source);
}

static int load_files(const char *path, const char *context, ao_kubeconfig *config, ao_err **reterr)
{
	const char *env = getenv("KUBECONFIG");
	ao_auto_json cJSON *merged = cJSON_CreateObject();
	int r;
	if (path) {
		config->source = ao_xstrdup(path);
		r = add_file(merged, path, reterr);
	} else if (env && *env) {
		config->source = ao_xstrdup(env);
		r = add_list(merged, env, reterr);
	} else {
		r = add_home(merged, &config->source, reterr);
	}
	if (r < 0)
		return r;
	r = read_context(merged, context, config, reterr);
	if (r < 0)
		ao_err_wrap(reterr, "kubeconfig %s", config->source);
	return r;
}

int ao_kubeconfig_load(const char *path, const char *context, ao_kubeconfig **ret, ao_err **reterr)
{
	ao_auto_kubeconfig ao_kubeconfig *config = ao_xcalloc(1, sizeof(*config));
	const char *env = getenv("KUBECONFIG");
	path = path && *path ? path : NULL;
	context = context && *context ? context : NULL;
	bool files = path || context || (env && *env) || !ao_incluster_here(AO_INCLUSTER_FILES);
	int r = files ? load_files(path, context, config, reterr) : ao_incluster_load(AO_INCLUSTER_FILES, config, reterr);
	if (r == 0)
		*ret = AO_TAKE(config);
	return r;
}

void ao_kubeconfig_free(ao_kubeconfig *config)
{
	if (!config)
		return;
	free(config->server);
	free(config->tls_server_name);
	ao_secret_free(config->proxy_url); /* it may hold a password */
	free(config->ca_pem);
	free(config->client_cert_pem);
	ao_secret_free(config->client_key_pem);
	ao_secret_free(config->token);
	free(config->token_file);
	free(config->ca_file);
	free(config->client_cert_file);
	free(config->client_key_file);
	free(config->username);
	ao_secret_free(config->password);
	ao_config_free_user(config);
	free(config->namespace_);
	free(config->source);
	free(config);
}
