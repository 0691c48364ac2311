/* serve.c -- at most two servers, with the ports and paths of controller-runtime. */
#include "serve/serve.h"

#include "base/mem.h"

#include <string.h>

struct ao_serve {
	ao_serve_options with;
	ao_server *probes, *metrics;
};

/** What follows `name` in the path, or NULL when the path does not begin with it. */
static const char *below(const char *path, const char *name)
{
	size_t len = strlen(name);
	return strncmp(path, name, len) == 0 && (!path[len] || path[len] == '/') ? path + len : NULL;
}

static void on_probe(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	static const char *const probes[] = {"/healthz", "/livez", "/readyz"};
	const ao_serve *serve = arg;
	for (size_t i = 0; i < AO_LEN(probes); i++) {
		const char *rest = below(request->path, probes[i]);
		ao_checks checks = {0};
		if (!rest)
			continue;
		(strcmp(probes[i], "/readyz") == 0 ? serve->with.ready : serve->with.health)(serve->with.arg, &checks);
		ao_checks_reply(&checks, probes[i] + 1, rest, request->query, reply);
		ao_checks_clear(&checks);
		return;
	}
	reply->status = 404;
	ao_buf_puts(&reply->body, "there is /healthz, /livez and /readyz\n");
}

static void on_metrics(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	const ao_serve *serve = arg;
	const char *rest = below(request->path, "/debug");
	if (strcmp(request->path, "/metrics") == 0) {
		reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
		ao_metrics_print(serve->with.metrics, &reply->body);
	} else if (rest && !request->loopback && !serve->with.debug_remote) {
		reply->status = 403;
		ao_buf_puts(&reply->body, "/debug/ is only for clients on this host: use kubectl port-forward, or the flag --debug\n");
	} else if (rest) {
		serve->with.debug(serve->with.arg, rest, reply);
	} else {
		reply->status = 404;
		ao_buf_puts(&reply->body, "there is /metrics and /debug/\n");
	}
	if (reply->body.overflow) { /* half a page could be taken for a whole one */
		ao_buf_free(&reply->body);
		reply->body = ao_buf_init(1024);
		reply->status = 500;
		reply->content_type = "text/plain; charset=utf-8";
		ao_buf_puts(&reply->body, "the answer is larger than this server can send\n");
	}
}

static bool is_off(const char *address) { return !address || !*address || strcmp(address, "0") == 0; }

int ao_serve_new(ao_loop *loop, const ao_serve_options *options, ao_serve **ret, ao_err **reterr)
{
	ao_serve *serve = ao_xcalloc(1, sizeof(*serve));
	serve->with = *options;
	int r = 0;
	if (!is_off(options->probe_address))
		r = ao_server_new(loop, options->probe_address, on_probe, serve, &serve->probes, reterr);
	if (r < 0)
		ao_err_wrap(reterr, "--health-probe-bind-address");
	if (r == 0 && !is_off(options->metrics_address)) {
		r = ao_server_new(loop, options->metrics_address, on_metrics, serve, &serve->metrics, reterr);
		if (r < 0)
			ao_err_wrap(reterr, "--metrics-bind-address");
	}
	if (r < 0) {
		ao_serve_free(serve);
		return r;
	}
	*ret = serve;
	return 0;
}

void ao_serve_free(ao_serve *serve)
{
	if (!serve)
		return;
	ao_server_free(serve->probes);
	ao_server_free(serve->metrics);
	free(serve);
}
