/* metrics.c -- families in the order they were described, series sorted within. */
#include "core/metrics.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <string.h>

static const double bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
#define BOUNDS AO_LEN(bounds)

typedef struct series {
	double value;      /* counter, gauge; the sum of a histogram */
	uint64_t count;    /* histogram */
	uint64_t *buckets; /* histogram: BOUNDS of them, not cumulated */
} series;

typedef struct family {
	const char *name, *help;
	ao_metric_type type;
	ao_map *series; /* labels -> series */
} family;

struct ao_metrics {
	family *families;
	size_t count;
	void (*collect)(void *arg);
	void *arg;
};

ao_metrics *ao_metrics_new(void) { return ao_xcalloc(1, sizeof(ao_metrics)); }

static void free_family(family *f)
{
	size_t cursor = 0;
	for (series *s; (s = ao_map_next(f->series, &cursor, NULL));) {
		free(s->buckets);
		free(s);
	}
	ao_map_free(f->series);
}

void ao_metrics_free(ao_metrics *metrics)
{
	if (!metrics)
		return;
	for (size_t i = 0; i < metrics->count; i++)
		free_family(&metrics->families[i]);
	free(metrics->families);
	free(metrics);
}

void ao_metrics_describe(ao_metrics *metrics, const char *name, ao_metric_type type, const char *help)
{
	metrics->families = ao_xrealloc(metrics->families, (metrics->count + 1) * sizeof(family));
	metrics->families[metrics->count++] = (family){name, help, type, ao_map_new()};
}

static family *find_family(ao_metrics *metrics, const char *name)
{
	family *f = NULL;
	for (size_t i = 0; i < metrics->count && !f; i++)
		if (strcmp(metrics->families[i].name, name) == 0)
			f = &metrics->families[i];
	ao_require(f);
	return f;
}

void ao_metric_clear(ao_metrics *metrics, const char *name)
{
	family *f = find_family(metrics, name);
	free_family(f);
	f->series = ao_map_new();
}

static series *touch(ao_metrics *metrics, const char *name, const char *labels)
{
	family *f = find_family(metrics, name);
	series *s = ao_map_get(f->series, labels);
	if (!s) {
		s = ao_xcalloc(1, sizeof(*s));
		if (f->type == AO_HISTOGRAM)
			s->buckets = ao_xcalloc(BOUNDS, sizeof(*s->buckets));
		ao_map_put(f->series, labels, s);
	}
	return s;
}

void ao_metric_add(ao_metrics *metrics, const char *name, const char *labels, double delta)
{
	touch(metrics, name, labels)->value += delta;
}
void ao_metric_set(ao_metrics *metrics, const char *name, const char *labels, double value) { touch(metrics, name, labels)->value = value; }

void ao_metric_observe(ao_metrics *metrics, const char *name, const char *labels, double seconds)
{
	series *s = touch(metrics, name, labels);
	s->value += seconds;
	s->count++;
	for (size_t i = 0; i < BOUNDS; i++)
		if (seconds <= bounds[i]) {
			s->buckets[i]++;
			break;
		}
}

void ao_metrics_on_collect(ao_metrics *metrics, void (*fn)(void *arg), void *arg)
{
	metrics->collect = fn;
	metrics->arg = arg;
}

static void print_histogram(const family *f, const char *labels, const series *s, ao_buf *out)
{
	const char *comma = *labels ? "," : "", *open = *labels ? "{" : "", *close = *labels ? "}" : "";
	uint64_t below = 0;
	for (size_t i = 0; i < BOUNDS; i++) {
		below += s->buckets[i];
		ao_buf_printf(out, "%s_bucket{%s%sle=\"%g\"} %llu\n", f->name, labels, comma, bounds[i], (unsigned long long)below);
	}
	ao_buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", f->name, labels, comma, (unsigned long long)s->count);
	ao_buf_printf(out, "%s_sum%s%s%s %.9g\n", f->name, open, labels, close, s->value);
	ao_buf_printf(out, "%s_count%s%s%s %llu\n", f->name, open, labels, close, (unsigned long long)s->count);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static void print_family(const family *f, ao_buf *out)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};
	size_t count = 0, cursor = 0;
	const char **labels = ao_xcalloc(ao_map_count(f->series) + 1, sizeof(*labels));
	while (ao_map_next(f->series, &cursor, &labels[count]))
		count++;
	qsort(labels, count, sizeof(*labels), by_text);
	if (count)
		ao_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, types[f->type]);
	for (size_t i = 0; i < count; i++) {
		const series *s = ao_map_get(f->series, labels[i]);
		if (f->type == AO_HISTOGRAM)
			print_histogram(f, labels[i], s, out);
		else if (*labels[i])
			ao_buf_printf(out, "%s{%s} %.15g\n", f->name, labels[i], s->value);
		else
			ao_buf_printf(out, "%s %.15g\n", f->name, s->value);
	}
	free(labels);
}

void ao_metrics_print(ao_metrics *metrics, ao_buf *out)
{
	if (metrics->collect)
		metrics->collect(metrics->arg);
	for (size_t i = 0; i < metrics->count; i++)
		print_family(&metrics->families[i], out);
}
