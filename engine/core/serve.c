/* serve.c -- two servers at most: controller-runtime's ports and paths. */
#include "core/serve.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct ao_serve {
	ao_serve_options with;
	ao_server *probes, *metrics;
};

static void reply_metrics(ao_serve *serve, ao_server_reply *reply)
{
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	ao_metrics_print(serve->with.metrics, &reply->body);
}

/** "/readyz" and "/readyz/readyz", as controller-runtime serves a check and the whole */
static bool is_path(const char *path, const char *name)
{
	size_t len = strlen(name);
	return strncmp(path, name, len) == 0 && (!path[len] || strcmp(path + len, name) == 0);
}

static void reply_ready(ao_serve *serve, const ao_server_request *request, ao_server_reply *reply)
{
	ao_auto_buf ao_buf checks = ao_buf_init(64 * 1024);
	bool ready = serve->with.ready(serve->with.arg, &checks);
	reply->status = ready ? 200 : 500;
	if (strstr(request->query, "verbose") || !ready) {
		ao_buf_put(&reply->body, checks.data ? checks.data : "", checks.len);
		ao_buf_puts(&reply->body, ready ? "readyz check passed\n" : "readyz check failed\n");
	} else {
		ao_buf_puts(&reply->body, "ok");
	}
}

static void on_probe(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	if (is_path(request->path, "/healthz"))
		ao_buf_puts(&reply->body, "ok");
	else if (is_path(request->path, "/readyz"))
		reply_ready(arg, request, reply);
	else
		reply->status = 404;
}

static void on_metrics(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	if (strcmp(request->path, "/metrics") == 0)
		reply_metrics(arg, reply);
	else
		reply->status = 404;
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

void ao_serve_describe(ao_metrics *m)
{
	ao_metrics_describe(m, "controller_runtime_reconcile_total", AO_COUNTER, "Passes over a parent, by result.");
	ao_metrics_describe(m, "controller_runtime_reconcile_errors_total", AO_COUNTER, "Passes that did not carry out everything.");
	ao_metrics_describe(m, "controller_runtime_reconcile_time_seconds", AO_HISTOGRAM, "How long a pass takes.");
	ao_metrics_describe(m, "controller_runtime_max_concurrent_reconciles", AO_GAUGE, "Parents worked on at the same time at most.");
	ao_metrics_describe(m, "controller_runtime_active_workers", AO_GAUGE, "Parents being worked on.");
	ao_metrics_describe(m, "workqueue_depth", AO_GAUGE, "Parents waiting for a pass.");
	ao_metrics_describe(m, "workqueue_adds_total", AO_COUNTER, "Keys added to the work queue.");
	ao_metrics_describe(m, "workqueue_retries_total", AO_COUNTER, "Passes tried again after an error.");
	ao_metrics_describe(m, "rest_client_requests_total", AO_COUNTER, "Requests to the API server, by code, method and host.");
	ao_metrics_describe(m, "rest_client_request_duration_seconds", AO_HISTOGRAM, "How long a request to the API server takes.");
	ao_metrics_describe(m, "leader_election_master_status", AO_GAUGE, "1 while this process leads.");
	ao_metrics_describe(m, "policy_call_seconds", AO_HISTOGRAM, "How long a call of the bundle takes.");
	ao_metrics_describe(m, "policy_errors_total", AO_COUNTER, "Calls of the bundle that failed.");
	ao_metrics_describe(m, "policy_bundle_info", AO_GAUGE, "1 for the bundle that serves, and for the canary.");
	ao_metrics_describe(m, "policy_bundle_degraded", AO_GAUGE, "1 while what the policy ConfigMaps hold is not what serves.");
	ao_metrics_describe(m, "policy_reloads_total", AO_COUNTER, "Edits of policies, by what became of them.");
	ao_metrics_describe(m, "policy_rollout_waiting", AO_GAUGE, "Parents that a new bundle has not reached yet.");
	ao_metrics_describe(m, "policy_rollout_restarting", AO_GAUGE, "Parents whose pods a new bundle is replacing.");
	ao_metrics_describe(m, "applies_total", AO_COUNTER, "Children written, by kind and verb.");
	ao_metrics_describe(m, "queue_messages", AO_GAUGE, "Messages that waited in a queue when it was last looked at.");
	ao_metrics_describe(m, "transport_up", AO_GAUGE, "1 while a transport's broker answers.");
	ao_metrics_describe(m, "watch_restarts_total", AO_COUNTER, "Watch streams that had to be started again.");
	ao_metrics_describe(m, "process_resident_memory_bytes", AO_GAUGE, "Resident memory.");
	ao_metrics_describe(m, "process_cpu_seconds_total", AO_COUNTER, "User and system CPU time.");
	ao_metrics_describe(m, "process_open_fds", AO_GAUGE, "Open file descriptors.");
}

static double count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	double count = -3; /* ".", ".." and the folder itself */
	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count;
}

void ao_serve_collect_process(ao_metrics *m)
{
	ao_auto_buf ao_buf statm = ao_buf_init(4096);
	unsigned long size, resident;
	struct timespec cpu;
	if (ao_file_read("/proc/self/statm", &statm, NULL) == 0 && sscanf(statm.data, "%lu %lu", &size, &resident) == 2)
		ao_metric_set(m, "process_resident_memory_bytes", "", (double)resident * (double)sysconf(_SC_PAGESIZE));
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
		ao_metric_set(m, "process_cpu_seconds_total", "", (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	ao_metric_set(m, "process_open_fds", "", count_fds());
}
