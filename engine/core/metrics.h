#pragma once
/**
 * metrics.h -- counters, gauges and histograms in the Prometheus text format.
 *
 * A series is a name and its labels as they are printed: ao_metric_add(m, "reconcile_total", "result=\"success\"", 1).
 * Series appear when first touched; ao_metrics_describe() gives a family its help text and type.
 * Threads: the loop thread only.
 */
#include "base/buf.h"

typedef struct ao_metrics ao_metrics;

typedef enum { AO_COUNTER, AO_GAUGE, AO_HISTOGRAM } ao_metric_type;

ao_metrics *ao_metrics_new(void);
void ao_metrics_free(ao_metrics *metrics);
/** @param name static text */
void ao_metrics_describe(ao_metrics *metrics, const char *name, ao_metric_type type, const char *help);

/** @param labels `a="b",c="d"`, or "" */
void ao_metric_add(ao_metrics *metrics, const char *name, const char *labels, double delta);
void ao_metric_set(ao_metrics *metrics, const char *name, const char *labels, double value);
/** Forgets every series of a family. */
void ao_metric_clear(ao_metrics *metrics, const char *name);
/** Into buckets from 1 ms to 60 s, values in seconds. */
void ao_metric_observe(ao_metrics *metrics, const char *name, const char *labels, double seconds);

/** Calls fn(arg) before each print, so that gauges are read when somebody looks. */
void ao_metrics_on_collect(ao_metrics *metrics, void (*fn)(void *arg), void *arg);
void ao_metrics_print(ao_metrics *metrics, ao_buf *out);
