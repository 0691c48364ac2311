/* incluster.c -- token and authority stay in their files, because the kubelet replaces them.  The rest is read once. */
#include "kube/incluster.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_FILE (1024 * 1024)
#define MAX_NAME 256

bool ao_incluster_here(const char *folder)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	ao_auto_str char *token = ao_xasprintf("%s/token", folder);
	return host && *host && access(token, F_OK) == 0;
}

int ao_incluster_load(const char *folder, ao_kubeconfig *config, ao_err **reterr)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	bool ipv6 = host && strchr(host, ':'), port_set = port && *port;
	ao_auto_buf ao_buf ca = ao_buf_init(MAX_FILE), space = ao_buf_init(MAX_NAME);
	ao_auto_str char *ca_file = ao_xasprintf("%s/ca.crt", folder), *space_file = ao_xasprintf("%s/namespace", folder);
	if (ao_file_read(ca_file, &ca, reterr) < 0)
		return ao_err_wrap(reterr, "in-cluster configuration");
	if (!ca.data || !strstr(ca.data, "-----BEGIN "))
		return ao_err_set(reterr, -EINVAL, "in-cluster configuration: %s holds no PEM certificate", ca_file);
	config->source = ao_xstrdup("in-cluster");
	config->server = ao_xasprintf("https://%s%s%s:%s", ipv6 ? "[" : "", host ? host : "kubernetes.default.svc", ipv6 ? "]" : "",
				      port_set ? port : "443");
	config->ca_pem = ao_buf_steal(&ca);
	config->ca_file = AO_TAKE(ca_file);
	config->token_file = ao_xasprintf("%s/token", folder);
	ao_file_read(space_file, &space, NULL);
	ao_auto_str char *name = ao_buf_steal(&space);
	config->namespace_ = ao_secret_clean(name) ? AO_TAKE(name) : ao_xstrdup("default");
	return 0;
}
