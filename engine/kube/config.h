#pragma once
/**
 * config.h -- where the API server is and who we are, from a kubeconfig file or from the pod's own service account.
 *
 * An error is one line that names the file, the field and the fix.  It never holds a credential.
 * Ownership: the struct owns its strings.
 * Threads: any.
 */
#include "base/err.h"

#include <stdbool.h>

/** A program that says who we are (client.authentication.k8s.io). */
typedef struct ao_kube_plugin {
	char *name;         /* for messages: "aws of user 'u'" */
	char *command;      /* a path, or a name to be found in PATH */
	char **args, **env; /* NULL-terminated; "NAME=value" beside our own environment */
	char *api_version;
	char *hint;    /* how to install it; or NULL */
	char *cluster; /* JSON of the cluster for a plugin that asks for it, or NULL */
	enum { AO_PLUGIN_NEVER, AO_PLUGIN_IF_AVAILABLE, AO_PLUGIN_ALWAYS } interactive; /* does it talk to somebody at a terminal? */
} ao_kube_plugin;

typedef struct ao_kubeconfig {
	char *server;          /* "https://host:port", no trailing slash */
	char *tls_server_name; /* the name in the server's certificate where it is another one; or NULL */
	char *proxy_url;       /* NULL: as the environment says */
	char *ca_pem;          /* NULL: the system's anchors */
	char *client_cert_pem, *client_key_pem;
	char *ca_file, *client_cert_file, *client_key_file; /* where those are from, to be read again; NULL: from no file */
	char *token;                                        /* fixed bearer token */
	char *token_file;                                   /* bearer token that is re-read; wins over `token` */
	char *username, *password;                          /* basic auth, as kubeconfig still allows */
	ao_kube_plugin *plugin;                             /* says all this in its place; or NULL */
	char **impersonate; /* "Impersonate-User: x", ...: request headers, NULL-terminated; NULL: we are nobody else */
	bool insecure;
	char *namespace_; /* of the context or of the pod, else "default" */
	char *source;     /* for messages: the file's path or "in-cluster" */
} ao_kubeconfig;

/**
 * Loads the configuration as kubectl would.
 *
 * The first of these that there is: `path` (--kubeconfig; it must exist), $KUBECONFIG (a list with colons, merged, the first file wins),
 * in-cluster (KUBERNETES_SERVICE_HOST and the service account's files exist), ~/.kube/config.  Relative file names in a kubeconfig are
 * relative to its folder.  auth-provider plugins, which kubectl does not have any more either, are refused with a message that says what to
 * use instead.  An exec plugin is only read here; auth.h runs it.
 *
 * @param path     --kubeconfig, or NULL
 * @param context  --context, or NULL for the file's current-context
 */
int ao_kubeconfig_load(const char *path, const char *context, ao_kubeconfig **ret, ao_err **reterr);
void ao_kubeconfig_free(ao_kubeconfig *config);

static inline void ao_kubeconfig_freep(ao_kubeconfig **c) { ao_kubeconfig_free(*c); }
#define ao_auto_kubeconfig __attribute__((cleanup(ao_kubeconfig_freep)))
