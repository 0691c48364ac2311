/* instruments.c -- a table of all metrics, and small functions that know the labels. */
#include "serve/instruments.h"

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/*
 * The bounds of controller-runtime and of client-go's work queue, so that existing dashboards keep working.  The powers of ten are not
 * round, because client-go gets them by multiplying.
 */
static const double pass_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1,  0.15, 0.2,  0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6,
				     0.7,   0.8,  0.9,   1,    1.25, 1.5,  1.75, 2,    2.5, 3,    3.5, 4,    4.5, 5,
				     6,     7,    8,     9,    10,   15,   20,   25,   30,  40,   50,  60};
static const double queue_bounds[] = {1e-08, 1e-07, 1e-06, 9.999999999999999e-06, 9.999999999999999e-05, 0.001, 0.01, 0.1, 1,
				      10,    100,   1000};
static const double request_bounds[] = {0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};

static const struct metric {
	const char *name;
	ao_metric_type type;
	const double *bounds;
	size_t bound_count;
	const char *help;
} metrics_[] = {
#define BOUNDS(b) AO_HISTOGRAM, b, AO_LEN(b)
    {"controller_runtime_reconcile_total", AO_COUNTER, NULL, 0, "Passes over a parent, by result."},
    {"controller_runtime_reconcile_errors_total", AO_COUNTER, NULL, 0, "Passes that did not carry out everything and are tried again."},
    {"controller_runtime_terminal_reconcile_errors_total", AO_COUNTER, NULL, 0,
     "Passes over a parent that is invalid or that a policy fails on; only a change brings it back."},
    {"controller_runtime_reconcile_time_seconds", BOUNDS(pass_bounds), "How long a pass takes."},
    {"controller_runtime_max_concurrent_reconciles", AO_GAUGE, NULL, 0, "Parents worked on at the same time at most."},
    {"controller_runtime_active_workers", AO_GAUGE, NULL, 0, "Parents being worked on."},
    {"workqueue_depth", AO_GAUGE, NULL, 0, "Parents waiting for a pass."},
    {"workqueue_adds_total", AO_COUNTER, NULL, 0, "Parents added to the work queue."},
    {"workqueue_queue_duration_seconds", BOUNDS(queue_bounds), "How long a parent waits for its pass."},
    {"workqueue_work_duration_seconds", BOUNDS(queue_bounds), "How long the work on a parent takes."},
    {"workqueue_unfinished_work_seconds", AO_GAUGE, NULL, 0, "How long the passes in flight have been running, added up."},
    {"workqueue_longest_running_processor_seconds", AO_GAUGE, NULL, 0, "How long the oldest pass in flight has been running."},
    {"workqueue_retries_total", AO_COUNTER, NULL, 0, "Passes tried again after an error."},
    {"rest_client_requests_total", AO_COUNTER, NULL, 0, "Requests to the API server, by code, method and host."},
    {"rest_client_request_duration_seconds", BOUNDS(request_bounds), "How long the API server takes to answer; a watch until it begins."},
    {"leader_election_master_status", AO_GAUGE, NULL, 0, "1 while this process leads."},
    {"policy_call_seconds", AO_HISTOGRAM, NULL, 0, "How long a call of the bundle takes, by call: plan or status."},
    {"policy_hook_seconds_total", AO_COUNTER, NULL, 0, "Time spent in policies, by policy and hook."},
    {"policy_hook_calls_total", AO_COUNTER, NULL, 0, "Calls of the bundle that ran a hook, by policy and hook."},
    {"policy_errors_total", AO_COUNTER, NULL, 0, "Calls of the bundle that failed, by the policy and hook to blame."},
    {"policy_steps_total", AO_COUNTER, NULL, 0, "Steps of the Lua machine, by call."},
    {"policy_heap_peak_bytes", AO_GAUGE, NULL, 0, "Largest Lua heap of any call so far, by call."},
    {"policy_bundle_info", AO_GAUGE, NULL, 0, "1 for the bundle that serves, and for the canary."},
    {"policy_bundle_degraded", AO_GAUGE, NULL, 0,
     "1 while what the policy ConfigMaps hold is not what serves, or parameters belong to no policy."},
    {"policy_reloads_total", AO_COUNTER, NULL, 0, "Edits of policies, by what became of them."},
    {"policy_rollout_waiting", AO_GAUGE, NULL, 0, "Parents that a new bundle has not reached yet."},
    {"policy_rollout_restarting", AO_GAUGE, NULL, 0, "Parents that are on their way to a new bundle."},
    {"policy_rollout_failed", AO_GAUGE, NULL, 0, "Parents that did not become ready with a new bundle."},
    {"policy_parents", AO_GAUGE, NULL, 0, "Parents by the bundle that serves them; without a digest: held as they are."},
    {"policy_edit_stage", AO_GAUGE, NULL, 0,
     "1 for the stage that an edit is at, by track: loading, cases, checks, approval, forward, back, or rest."},
    {"applies_total", AO_COUNTER, NULL, 0, "Writes of objects, by kind and result: created, updated, restored, deleted or error."},
    {"setting_file_ready", AO_GAUGE, NULL, 0, "1 while a file that a setting asks for is there."},
    {"setting_file_reads_total", AO_COUNTER, NULL, 0, "Attempts to read or fetch a file that a setting asks for, by result."},
    {"queue_messages", AO_GAUGE, NULL, 0, "Messages that waited in a queue when it was last looked at."},
    {"transport_up", AO_GAUGE, NULL, 0, "1 while a transport's broker answers."},
    {"watch_restarts_total", AO_COUNTER, NULL, 0,
     "Watches that ended and were begun again, by kind; each ends by itself after some minutes."},
    {"loop_lag_seconds", AO_HISTOGRAM, NULL, 0, "How late the event loop's heartbeat came, once a second."},
    {"process_resident_memory_bytes", AO_GAUGE, NULL, 0, "Resident memory."},
    {"process_virtual_memory_bytes", AO_GAUGE, NULL, 0, "Virtual memory."},
    {"process_cpu_seconds_total", AO_COUNTER, NULL, 0, "User and system CPU time."},
    {"process_start_time_seconds", AO_GAUGE, NULL, 0, "When the process started, in seconds since 1970."},
    {"process_open_fds", AO_GAUGE, NULL, 0, "Open file descriptors."},
    {"process_max_fds", AO_GAUGE, NULL, 0, "File descriptors that may be open."},
};

void ao_instruments_describe(ao_metrics *metrics)
{
	for (size_t i = 0; i < AO_LEN(metrics_); i++) {
		const struct metric *m = &metrics_[i];
		ao_require(m->bounds ? ao_metrics_describe_histogram(metrics, m->name, m->bounds, m->bound_count, m->help)
				     : ao_metrics_describe(metrics, m->name, m->type, m->help));
	}
}

/* ---- the process ---- */

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

/**
 * Reads the 22nd field of stat, in ticks since the machine started.  The name in the second field may hold anything, but it ends with the
 * last ')'.
 */
static double start_time(void)
{
	ao_auto_buf ao_buf stat = ao_buf_init(4096);
	struct timespec up, now;
	unsigned long long ticks;
	const char *at = ao_file_read("/proc/self/stat", &stat, NULL) == 0 ? strrchr(stat.data, ')') : NULL;
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %llu", &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &up);
	clock_gettime(CLOCK_REALTIME, &now);
	return (double)(now.tv_sec - up.tv_sec) + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void ao_instruments_process(ao_metrics *m)
{
	ao_auto_buf ao_buf statm = ao_buf_init(4096);
	unsigned long size, resident;
	struct timespec cpu;
	struct rlimit files;
	double page = (double)sysconf(_SC_PAGESIZE);
	if (ao_file_read("/proc/self/statm", &statm, NULL) == 0 && sscanf(statm.data, "%lu %lu", &size, &resident) == 2) {
		ao_metric_set(m, "process_virtual_memory_bytes", "", (double)size * page);
		ao_metric_set(m, "process_resident_memory_bytes", "", (double)resident * page);
	}
	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
		ao_metric_set(m, "process_cpu_seconds_total", "", (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		ao_metric_set(m, "process_max_fds", "", (double)files.rlim_cur);
	ao_metric_set(m, "process_start_time_seconds", "", start_time());
	ao_metric_set(m, "process_open_fds", "", count_fds());
}

/* ---- what happens ---- */

void ao_instruments_call(ao_metrics *m, const char *call, const ao_call_stats *stats, uint64_t took_ns)
{
	ao_auto_str char *labels = ao_metric_labels("call", call);
	ao_metric_observe(m, "policy_call_seconds", labels, (double)took_ns / 1e9);
	ao_metric_add(m, "policy_steps_total", labels, (double)stats->steps);
	ao_metric_raise(m, "policy_heap_peak_bytes", labels, (double)stats->heap_peak);
	for (size_t i = 0; i < stats->hook_count; i++) {
		ao_auto_str char *hook = ao_metric_labels("policy", stats->hooks[i].policy, "hook", stats->hooks[i].hook);
		ao_metric_add(m, "policy_hook_seconds_total", hook, (double)stats->hooks[i].ns / 1e9);
		ao_metric_add(m, "policy_hook_calls_total", hook, 1);
	}
}

void ao_instruments_policy_error(ao_metrics *m, const char *policy, const char *hook)
{
	ao_auto_str char *labels = ao_metric_labels("policy", policy, "hook", hook);
	ao_metric_add(m, "policy_errors_total", labels, 1);
}

void ao_instruments_apply(ao_metrics *m, const char *kind, const char *result)
{
	ao_auto_str char *labels = ao_metric_labels("kind", kind, "result", result);
	ao_metric_add(m, "applies_total", labels, 1);
}

void ao_instruments_request(ao_metrics *m, const char *host, const char *method, long status, uint64_t took_ms)
{
	ao_auto_str char *code = status ? ao_xasprintf("%ld", status) : ao_xstrdup("<error>");
	ao_auto_str char *labels = ao_metric_labels("code", code, "method", method, "host", host);
	ao_auto_str char *verb = ao_metric_labels("verb", method, "host", host);
	ao_metric_add(m, "rest_client_requests_total", labels, 1);
	ao_metric_observe(m, "rest_client_request_duration_seconds", verb, (double)took_ms / 1000);
}

/* ---- files of settings ---- */

void ao_instruments_file_read(ao_metrics *m, const char *setting, const char *result)
{
	ao_auto_str char *labels = ao_metric_labels("result", result, "setting", setting);
	ao_metric_add(m, "setting_file_reads_total", labels, 1);
}

static void set_ready(void *arg, const char *setting, bool there)
{
	ao_auto_str char *labels = ao_metric_labels("setting", setting);
	ao_metric_set(arg, "setting_file_ready", labels, there);
}

void ao_instruments_files(ao_metrics *m, const ao_setting_files *files)
{
	ao_metric_clear(m, "setting_file_ready");
	ao_setting_files_each(files, set_ready, m);
}

/* ---- what the manifest names ---- */

void ao_instruments_lead(ao_metrics *m, const ao_manifest *manifest)
{
	for (size_t i = 0; i < manifest->kind_count; i++) {
		ao_auto_str char *labels = ao_metric_labels("kind", manifest->kinds[i].resource.kind);
		ao_metric_add(m, "watch_restarts_total", labels, 0);
	}
	if (manifest->gauge)
		ao_metrics_describe(m, manifest->gauge, AO_GAUGE, manifest->gauge_help);
}

void ao_instruments_stream(ao_metrics *m, const ao_manifest *manifest, const char *path)
{
	for (size_t i = 0; i < manifest->kind_count; i++) {
		const ao_resource *resource = &manifest->kinds[i].resource;
		ao_auto_str char *of_kind = ao_resource_path(resource, NULL, NULL, NULL);
		size_t plural = strlen(resource->plural), group = strlen(of_kind) - plural, end = strcspn(path, "?");
		/* there may be a namespace between group and plural */
		if (strncmp(path, of_kind, group) != 0 || end < group + plural || path[end - plural - 1] != '/' ||
		    strncmp(path + end - plural, resource->plural, plural) != 0)
			continue;
		ao_auto_str char *labels = ao_metric_labels("kind", manifest->kinds[i].resource.kind);
		ao_metric_add(m, "watch_restarts_total", labels, 1);
		return;
	}
}

void ao_instruments_parents(ao_metrics *m, const ao_manifest *manifest, const ao_store *parents)
{
	size_t cursor = 0;
	if (!manifest->gauge)
		return;
	ao_metric_clear(m, manifest->gauge);
	for (const ao_object *parent; (parent = ao_store_next(parents, &cursor));) {
		if (parent->stub)
			continue;
		ao_auto_str char *state = ao_object_text(parent, manifest->gauge_path);
		ao_auto_str char *labels = ao_metric_labels("namespace", parent->namespace_, manifest->gauge_label, state ? state : "");
		ao_metric_add(m, manifest->gauge, labels, 1);
	}
}
