#pragma once
/**
 * metrics.h -- counters, gauges and histograms in the Prometheus text format.
 *
 * A series is a name and its labels as they are printed: ao_metric_add(m, "reconcile_total", "result=\"success\"", 1).  Make labels whose
 * values come from outside with ao_metric_labels(), which escapes them.
 * A series appears when it is first touched.  ao_metrics_describe() gives a family its help text and type, which are printed from then on.
 * A family keeps AO_METRIC_SERIES series.  Values of further series are dropped and counted in metrics_values_dropped_total.
 * Threads: the loop thread only.
 */
#include "base/buf.h"

#include <stdbool.h>

typedef struct ao_metrics ao_metrics;

#define AO_METRIC_SERIES 2000

typedef enum { AO_COUNTER, AO_GAUGE, AO_HISTOGRAM } ao_metric_type;

ao_metrics *ao_metrics_new(void);
void ao_metrics_free(ao_metrics *metrics);
/**
 * The same metrics for one of several who count the same things: what is counted through the view has `mark` in front of its labels, and
 * ao_metric_clear() forgets only that.  Families are described for all.
 * @param mark  `bundle="x"`, copied. @return to be freed with ao_metrics_free(), before `metrics`
 */
ao_metrics *ao_metrics_view(ao_metrics *metrics, const char *mark);
/** Texts are copied. @return false when the name is taken: nothing was changed */
bool ao_metrics_describe(ao_metrics *metrics, const char *name, ao_metric_type type, const char *help);
/** Describes a histogram with bounds of its own: static, in ascending order. Other histograms have bounds from 1 ms to 60 s. */
bool ao_metrics_describe_histogram(ao_metrics *metrics, const char *name, const double *bounds, size_t count, const char *help);

/** `name="value",...` with the values escaped; the caller frees. */
char *ao_metric_labels_(const char *name, ...) __attribute__((sentinel));
#define ao_metric_labels(...) ao_metric_labels_(__VA_ARGS__, (const char *)NULL)

/** @param labels `a="b",c="d"`, or "" */
void ao_metric_add(ao_metrics *metrics, const char *name, const char *labels, double delta);
void ao_metric_set(ao_metrics *metrics, const char *name, const char *labels, double value);
/** Sets a gauge that only grows. */
void ao_metric_raise(ao_metrics *metrics, const char *name, const char *labels, double value);
/** Forgets every series of a family. */
void ao_metric_clear(ao_metrics *metrics, const char *name);
/** Sets every gauge of a view to 0: whoever kept them up to date is gone, and leads nothing. */
void ao_metrics_rest(ao_metrics *view);
/** Counts a value in the buckets of a histogram. */
void ao_metric_observe(ao_metrics *metrics, const char *name, const char *labels, double seconds);

/** Calls fn(arg) before each print, so that gauges are read only when they are asked for. */
void ao_metrics_on_collect(ao_metrics *metrics, void (*fn)(void *arg), void *arg);
void ao_metrics_print(ao_metrics *metrics, ao_buf *out);
