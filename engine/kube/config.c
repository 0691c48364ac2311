/* config.c -- kubeconfig files merged as kubectl merges them, or the files that the kubelet puts into every pod. */
#include "kube/config.h"

#include "base/base64.h"
#include "base/file.h"
#include "base/mem.h"
#include "json/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE (1024 * 1024)
#define POD_FILES "/var/run/secrets/kubernetes.io/serviceaccount"

static const char *const sections[] = {"clusters", "users", "contexts"};

/* ---- reading and merging files ---- */

/** Adds the entries of one file to `merged`; the first file that has a name wins. Each entry remembers its file's folder. */
static int add_file(cJSON *merged, const char *path, ao_err **reterr)
{
	ao_auto_buf ao_buf text = ao_buf_init(MAX_FILE);
	ao_auto_json cJSON *documents = NULL;
	int r = ao_file_read(path, &text, reterr);
	if (r == 0)
		r = ao_yaml_parse(text.data ? text.data : "", text.len, path, &documents, reterr);
	if (r < 0)
		return ao_err_wrap(reterr, "kubeconfig");
	const cJSON *config = cJSON_GetArrayItem(documents, 0);
	if (!cJSON_IsObject(config))
		return ao_err_set(reterr, -EINVAL, "kubeconfig %s is empty; point --kubeconfig or KUBECONFIG at a real one", path);
	const char *slash = strrchr(path, '/');
	ao_auto_str char *folder = slash ? ao_xstrndup(path, (size_t)(slash - path)) : ao_xstrdup(".");
	for (size_t i = 0; i < AO_LEN(sections); i++) {
		const cJSON *entry;
		cJSON_ArrayForEach(entry, ao_json_at(config, sections[i]))
		{
			const char *name = ao_json_str(entry, "name");
			cJSON *section = ao_json_object(merged, sections[i]);
			if (!name || ao_json_at(section, name))
				continue;
			cJSON *copy = cJSON_Duplicate(entry, 1);
			ao_json_set_str(copy, "folder", folder);
			ao_json_set(section, name, copy);
		}
	}
	const char *current = ao_json_str(config, "current-context");
	if (current && *current && !ao_json_at(merged, "current-context"))
		ao_json_set_str(merged, "current-context", current);
	return 0;
}

/** The files of $KUBECONFIG; those that do not exist are passed over as long as one does. */
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
	return found ? 0 : ao_err_set(reterr, -ENOENT, "kubeconfig: no file of KUBECONFIG=%s exists", list);
}

/* ---- one context ---- */

typedef struct loading {
	const cJSON *merged;
	const char *source;
	ao_kubeconfig *config;
} loading;

static void list_names(const cJSON *section, ao_buf *out)
{
	const cJSON *entry;
	cJSON_ArrayForEach(entry, section) ao_buf_printf(out, "%s%s", out->len ? ", " : "", entry->string);
}

static const cJSON *find(const loading *l, const char *section, const char *singular, const char *name, ao_err **reterr)
{
	const cJSON *entry = name && *name ? ao_json_at(l->merged, section, name) : NULL;
	if (entry)
		return entry;
	ao_auto_buf ao_buf names = ao_buf_init(4096);
	list_names(ao_json_at(l->merged, section), &names);
	if (!name || !*name)
		ao_err_set(reterr, -EINVAL, "kubeconfig %s: no %s is chosen; set current-context or use --context (it has: %s)", l->source,
			   singular, names.len ? names.data : "none");
	else
		ao_err_set(reterr, -EINVAL, "kubeconfig %s: unknown %s '%s' (it has: %s)", l->source, singular, name,
			   names.len ? names.data : "none");
	return NULL;
}

/** A PEM from "<key>-data" (base64) or from the file that "<key>" names. */
static int read_pem(const loading *l, const cJSON *entry, const cJSON *fields, const char *key, char **ret, ao_err **reterr)
{
	ao_auto_str char *data_key = ao_xasprintf("%s-data", key);
	const char *data = ao_json_str(fields, data_key), *path = ao_json_str(fields, key);
	ao_auto_buf ao_buf pem = ao_buf_init(MAX_FILE);
	if (data && *data) {
		if (!ao_base64_decode(data, &pem))
			return ao_err_set(reterr, -EINVAL, "kubeconfig %s: %s of '%s' is no base64", l->source, data_key,
					  ao_json_str(entry, "name"));
	} else if (path && *path) {
		ao_auto_str char *full = *path == '/' ? ao_xstrdup(path) : ao_xasprintf("%s/%s", ao_json_str(entry, "folder"), path);
		if (ao_file_read(full, &pem, reterr) < 0)
			return ao_err_wrap(reterr, "kubeconfig %s: %s of '%s'", l->source, key, ao_json_str(entry, "name"));
	} else {
		return 0;
	}
	*ret = ao_buf_steal(&pem);
	return 0;
}

static int read_cluster(loading *l, const cJSON *entry, ao_err **reterr)
{
	const cJSON *cluster = ao_json_at(entry, "cluster");
	const char *server = ao_json_str(cluster, "server"), *name = ao_json_str(entry, "name");
	if (!server || !*server)
		return ao_err_set(reterr, -EINVAL, "kubeconfig %s: cluster '%s' has no server", l->source, name);
	if (ao_json_at(cluster, "tls-server-name") || ao_json_at(cluster, "proxy-url"))
		return ao_err_set(
		    reterr, -EINVAL,
		    "kubeconfig %s: cluster '%s' uses tls-server-name or proxy-url, which are not supported; use the server's own name",
		    l->source, name);
	size_t len = strlen(server);
	while (len && server[len - 1] == '/')
		len--;
	l->config->server = ao_xstrndup(server, len);
	l->config->insecure = cJSON_IsTrue(ao_json_at(cluster, "insecure-skip-tls-verify"));
	return read_pem(l, entry, cluster, "certificate-authority", &l->config->ca_pem, reterr);
}

static int read_user(loading *l, const cJSON *entry, ao_err **reterr)
{
	const cJSON *user = ao_json_at(entry, "user");
	ao_kubeconfig *config = l->config;
	if (ao_json_at(user, "exec") || ao_json_at(user, "auth-provider"))
		return ao_err_set(reterr, -EINVAL,
				  "kubeconfig %s: user '%s' needs a credential plugin, which is not supported; use a token, a client "
				  "certificate, or run in the cluster",
				  l->source, ao_json_str(entry, "name"));
	const char *token_file = ao_json_str(user, "tokenFile");
	if (token_file && *token_file)
		config->token_file =
		    *token_file == '/' ? ao_xstrdup(token_file) : ao_xasprintf("%s/%s", ao_json_str(entry, "folder"), token_file);
	config->token = ao_xstrdup(ao_json_str(user, "token"));
	config->username = ao_xstrdup(ao_json_str(user, "username"));
	config->password = ao_xstrdup(ao_json_str(user, "password"));
	int r = read_pem(l, entry, user, "client-certificate", &config->client_cert_pem, reterr);
	if (r == 0)
		r = read_pem(l, entry, user, "client-key", &config->client_key_pem, reterr);
	if (r == 0 && !config->client_cert_pem != !config->client_key_pem)
		r = ao_err_set(reterr, -EINVAL, "kubeconfig %s: user '%s' needs client-certificate and client-key together", l->source,
			       ao_json_str(entry, "name"));
	return r;
}

static int read_context(loading *l, const char *context, ao_err **reterr)
{
	const char *name = context ? context : ao_json_str(l->merged, "current-context");
	const cJSON *chosen = find(l, "contexts", "context", name, reterr);
	if (!chosen)
		return -EINVAL;
	const cJSON *cluster = find(l, "clusters", "cluster", ao_json_str(chosen, "context", "cluster"), reterr);
	int r = cluster ? read_cluster(l, cluster, reterr) : -EINVAL;
	const char *user_name = ao_json_str(chosen, "context", "user");
	if (r == 0 && user_name && *user_name) {
		const cJSON *user = find(l, "users", "user", user_name, reterr);
		r = user ? read_user(l, user, reterr) : -EINVAL;
	}
	const char *namespace_ = ao_json_str(chosen, "context", "namespace");
	l->config->namespace_ = ao_xstrdup(namespace_ && *namespace_ ? namespace_ : "default");
	return r;
}

/* ---- in the cluster ---- */

static int load_in_cluster(ao_kubeconfig *config, ao_err **reterr)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	ao_auto_buf ao_buf ca = ao_buf_init(MAX_FILE), namespace_ = ao_buf_init(256);
	bool ipv6 = strchr(host, ':') != NULL;
	config->server = ao_xasprintf("https://%s%s%s:%s", ipv6 ? "[" : "", host, ipv6 ? "]" : "", port ? port : "443");
	config->token_file = ao_xstrdup(POD_FILES "/token");
	config->source = ao_xstrdup("in-cluster");
	if (ao_file_read(POD_FILES "/ca.crt", &ca, reterr) < 0)
		return ao_err_wrap(reterr, "in-cluster configuration");
	config->ca_pem = ao_buf_steal(&ca);
	bool known = ao_file_read(POD_FILES "/namespace", &namespace_, NULL) == 0 && namespace_.len;
	config->namespace_ = known ? ao_buf_steal(&namespace_) : ao_xstrdup("default");
	return 0;
}

static bool in_cluster(void) { return getenv("KUBERNETES_SERVICE_HOST") && access(POD_FILES "/token", F_OK) == 0; }

/* ---- the whole ---- */

/** Chooses the files. @return 1 in-cluster; 0 `merged` is filled */
static int choose(const char *path, cJSON *merged, char **ret_source, ao_err **reterr)
{
	const char *env = getenv("KUBECONFIG"), *home = getenv("HOME");
	if (path || !env || !*env) {
		if (!path && in_cluster())
			return 1;
		*ret_source = path ? ao_xstrdup(path) : ao_xasprintf("%s/.kube/config", home ? home : "");
		if (!path && access(*ret_source, F_OK) < 0)
			return ao_err_set(reterr, -ENOENT,
					  "no kubeconfig: %s does not exist, KUBECONFIG is not set and this is no pod; use --kubeconfig",
					  *ret_source);
		return add_file(merged, *ret_source, reterr);
	}
	*ret_source = ao_xstrdup(env);
	return add_list(merged, env, reterr);
}

int ao_kubeconfig_load(const char *path, const char *context, ao_kubeconfig **ret, ao_err **reterr)
{
	ao_auto_kubeconfig ao_kubeconfig *config = ao_xcalloc(1, sizeof(*config));
	ao_auto_json cJSON *merged = cJSON_CreateObject();
	int r = choose(path, merged, &config->source, reterr);
	if (r == 1)
		r = load_in_cluster(config, reterr);
	else if (r == 0)
		r = read_context(&(loading){merged, config->source, config}, context, reterr);
	if (r == 0)
		*ret = AO_TAKE(config);
	return r;
}

static void forget(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

void ao_kubeconfig_free(ao_kubeconfig *config)
{
	if (!config)
		return;
	free(config->server);
	free(config->ca_pem);
	free(config->client_cert_pem);
	forget(config->client_key_pem);
	forget(config->token);
	free(config->token_file);
	free(config->username);
	forget(config->password);
	free(config->namespace_);
	free(config->source);
	free(config);
}
