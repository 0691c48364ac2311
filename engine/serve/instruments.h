#pragma once
/**
 * instruments.h -- the metrics that there are, and functions that count events where they happen.
 *
 * Labels are names of kinds, policies, transports and namespaces.  They are never values of users' fields.
 * Threads: the loop thread only.
 */
#include "kube/store.h"
#include "policy/manifest.h"
#include "policy/setting_files.h"
#include "script/bundle.h"
#include "serve/metrics.h"

/** Describes every metric of the operator, except the one that the manifest names. */
void ao_instruments_describe(ao_metrics *metrics);
/** Fills in the process_* gauges from /proc. */
void ao_instruments_process(ao_metrics *metrics);

/** Counts one call of a bundle: "plan" or "status". */
void ao_instruments_call(ao_metrics *metrics, const char *call, const ao_call_stats *stats, uint64_t took_ns);
void ao_instruments_policy_error(ao_metrics *metrics, const char *policy, const char *hook);
/** @param result "created", "updated", "restored", "deleted" or "error" */
void ao_instruments_apply(ao_metrics *metrics, const char *kind, const char *result);
/** Counts a request to the API server; `status` 0: no answer. */
void ao_instruments_request(ao_metrics *metrics, const char *host, const char *method, long status, uint64_t took_ms);

/** Counts an attempt to read a file that a setting asks for: "ok" or "error". */
void ao_instruments_file_read(ao_metrics *metrics, const char *setting, const char *result);
/** Sets the gauges that say which of those files are there. */
void ao_instruments_files(ao_metrics *metrics, const ao_setting_files *files);

/** Call this when we begin to lead: counters by kind begin at 0, and parents are counted as the manifest says. */
void ao_instruments_lead(ao_metrics *metrics, const ao_manifest *manifest);
/** Counts a watch of this path that has ended and is begun again. Paths of kinds that are not in the manifest are not counted. */
void ao_instruments_stream(ao_metrics *metrics, const ao_manifest *manifest, const char *path);
/** Counts the parents by the field that the manifest names. Only that field is read; the objects are not parsed as a whole. */
void ao_instruments_parents(ao_metrics *metrics, const ao_manifest *manifest, const ao_store *parents);
