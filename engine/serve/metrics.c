/* metrics.c -- families in the order in which they were described; the series of a family are sorted. */
#include "serve/metrics.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DROPPED "metrics_values_dropped_total"

static const double usual_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

typedef struct series {
	double value;      /* counter, gauge; the sum of a histogram */
	uint64_t count;    /* histogram */
	uint64_t *buckets; /* histogram: one per bound, not cumulated */
} series;

typedef struct family {
	char *name, *help;
	ao_metric_type type;
	const double *bounds; /* of a histogram */
	size_t bound_count;
	ao_map *series; /* labels -> series */
} family;

struct ao_metrics {
	ao_metrics *all; /* whose view this is; NULL: it is none, and has the families */
	char *mark;      /* of a view */
	family *families;
	size_t count;
	void (*collect)(void *arg);
	void *arg;
};

ao_metrics *ao_metrics_new(void)
{
	ao_metrics *metrics = ao_xcalloc(1, sizeof(*metrics));
	ao_metrics_describe(metrics, DROPPED, AO_COUNTER, "Values not kept because their metric has too many series already.");
	ao_metric_add(metrics, DROPPED, "", 0);
	return metrics;
}

static void free_series(family *f)
{
	size_t cursor = 0;
	for (series *s; (s = ao_map_next(f->series, &cursor, NULL));) {
		free(s->buckets);
		free(s);
	}
	ao_map_free(f->series);
}

/* ---- families ---- */

void ao_metrics_free(ao_metrics *metrics)
{
	if (!metrics)
		return;
	for (size_t i = 0; i < metrics->count; i++)
		free_series(&metrics->families[i]);
	for (size_t i = 0; i < metrics->count; i++) {
		free(metrics->families[i].name);
		free(metrics->families[i].help);
	}
	free(metrics->families);
	free(metrics->mark);
	free(metrics);
}

ao_metrics *ao_metrics_view(ao_metrics *metrics, const char *mark)
{
	ao_metrics *view = ao_xcalloc(1, sizeof(*view));
	view->all = metrics;
	view->mark = ao_xstrdup(mark);
	return view;
}

static family *look_for(ao_metrics *metrics, const char *name)
{
	if (metrics->all)
		return look_for(metrics->all, name);
	for (size_t i = 0; i < metrics->count; i++)
		if (strcmp(metrics->families[i].name, name) == 0)
			return &metrics->families[i];
	return NULL;
}

static family *find_family(ao_metrics *metrics, const char *name)
{
	family *f = look_for(metrics, name);
	ao_require(f);
	return f;
}

static bool describe(ao_metrics *metrics, const family *as)
{
	if (metrics->all)
		return describe(metrics->all, as);
	if (look_for(metrics, as->name))
		return false;
	metrics->families = ao_xrealloc(metrics->families, (metrics->count + 1) * sizeof(family));
	family *f = &metrics->families[metrics->count++];
	*f = *as;
	f->name = ao_xstrdup(as->name);
	f->help = ao_xstrdup(as->help);
	f->series = ao_map_new();
	return true;
}

bool ao_metrics_describe(ao_metrics *metrics, const char *name, ao_metric_type type, const char *help)
{
	return describe(metrics,
			&(family){(char *)(uintptr_t)name, (char *)(uintptr_t)help, type, usual_bounds, AO_LEN(usual_bounds), NULL});
}

bool ao_metrics_describe_histogram(ao_metrics *metrics, const char *name, const double *bounds, size_t count, const char *help)
{
	return describe(metrics, &(family){(char *)(uintptr_t)name, (char *)(uintptr_t)help, AO_HISTOGRAM, bounds, count, NULL});
}

/* ---- series ---- */

/** Escapes what the text format wants escaped. In help texts quotes stay as they are. */
static void put_escaped(ao_buf *out, const char *text, bool quotes)
{
	for (const char *c = text; *c; c++)
		if (*c == '\n')
			ao_buf_puts(out, "\\n");
		else if (*c == '\\')
			ao_buf_puts(out, "\\\\");
		else if (*c == '"' && quotes)
			ao_buf_puts(out, "\\\"");
		else
			ao_buf_put(out, c, 1);
}

char *ao_metric_labels_(const char *name, ...)
{
	ao_auto_buf ao_buf out = ao_buf_init(64 * 1024);
	va_list values;
	va_start(values, name);
	for (const char *at = name; at; at = va_arg(values, const char *)) {
		const char *value = va_arg(values, const char *);
		ao_buf_printf(&out, "%s%s=\"", out.len ? "," : "", at);
		put_escaped(&out, value ? value : "", true);
		ao_buf_puts(&out, "\"");
	}
	va_end(values);
	return ao_xstrdup(out.data ? out.data : "");
}

/** Are these the labels of what is counted through the view? */
static bool is_of(const ao_metrics *view, const char *labels)
{
	size_t len = strlen(view->mark);
	return strncmp(labels, view->mark, len) == 0 && (!labels[len] || labels[len] == ',');
}

void ao_metric_clear(ao_metrics *metrics, const char *name)
{
	family *f = find_family(metrics, name);
	size_t cursor = 0;
	const char *labels;
	if (!metrics->all) {
		free_series(f);
		f->series = ao_map_new();
		return;
	}
	for (series *s; (s = ao_map_next(f->series, &cursor, &labels));)
		if (is_of(metrics, labels)) {
			ao_map_remove(f->series, labels);
			free(s->buckets);
			free(s);
		}
}

void ao_metrics_rest(ao_metrics *view)
{
	const ao_metrics *all = view->all;
	const char *labels;
	for (size_t i = 0; i < all->count; i++) {
		size_t cursor = 0;
		for (series *s; all->families[i].type == AO_GAUGE && (s = ao_map_next(all->families[i].series, &cursor, &labels));)
			if (is_of(view, labels))
				s->value = 0;
	}
}

/** The series with these labels, which is made when it is new; NULL when there is no room for it. */
static series *touch(ao_metrics *metrics, family *f, const char *labels)
{
	if (metrics->all) {
		ao_auto_str char *marked = ao_xasprintf("%s%s%s", metrics->mark, *labels ? "," : "", labels);
		return touch(metrics->all, f, marked);
	}
	series *s = ao_map_get(f->series, labels);
	if (!s && ao_map_count(f->series) >= AO_METRIC_SERIES) {
		ao_metric_add(metrics, DROPPED, "", 1);
		return NULL;
	}
	if (!s) {
		s = ao_xcalloc(1, sizeof(*s));
		if (f->type == AO_HISTOGRAM)
			s->buckets = ao_xcalloc(f->bound_count, sizeof(*s->buckets));
		ao_map_put(f->series, labels, s);
	}
	return s;
}

void ao_metric_add(ao_metrics *metrics, const char *name, const char *labels, double delta)
{
	series *s = touch(metrics, find_family(metrics, name), labels);
	if (s)
		s->value += delta;
}

void ao_metric_set(ao_metrics *metrics, const char *name, const char *labels, double value)
{
	series *s = touch(metrics, find_family(metrics, name), labels);
	if (s)
		s->value = value;
}

void ao_metric_raise(ao_metrics *metrics, const char *name, const char *labels, double value)
{
	series *s = touch(metrics, find_family(metrics, name), labels);
	if (s && value > s->value)
		s->value = value;
}

void ao_metric_observe(ao_metrics *metrics, const char *name, const char *labels, double seconds)
{
	family *f = find_family(metrics, name);
	series *s = touch(metrics, f, labels);
	if (!s)
		return;
	s->value += seconds;
	s->count++;
	for (size_t i = 0; i < f->bound_count; i++)
		if (seconds <= f->bounds[i]) {
			s->buckets[i]++;
			break;
		}
}

void ao_metrics_on_collect(ao_metrics *metrics, void (*fn)(void *arg), void *arg)
{
	metrics->collect = fn;
	metrics->arg = arg;
}

/* ---- the page ---- */

/** The shortest text that reads back as exactly this number, as Go's client prints it. */
static void put_number(ao_buf *out, double value)
{
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	ao_buf_puts(out, isnan(value) ? "NaN" : isinf(value) ? (value > 0 ? "+Inf" : "-Inf") : text);
}

static void put_line(ao_buf *out, const family *f, const char *suffix, const char *labels, double value)
{
	ao_buf_printf(out, *labels ? "%s%s{%s} " : "%s%s%s ", f->name, suffix, labels);
	put_number(out, value);
	ao_buf_puts(out, "\n");
}

static void print_histogram(const family *f, const char *labels, const series *s, ao_buf *out)
{
	uint64_t below = 0;
	for (size_t i = 0; i <= f->bound_count; i++) {
		below = i < f->bound_count ? below + s->buckets[i] : s->count;
		ao_buf_printf(out, "%s_bucket{%s%sle=\"", f->name, labels, *labels ? "," : "");
		put_number(out, i < f->bound_count ? f->bounds[i] : INFINITY);
		ao_buf_printf(out, "\"} %llu\n", (unsigned long long)below);
	}
	put_line(out, f, "_sum", labels, s->value);
	put_line(out, f, "_count", labels, (double)s->count);
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
	ao_buf_printf(out, "# HELP %s ", f->name);
	put_escaped(out, f->help, false);
	ao_buf_printf(out, "\n# TYPE %s %s\n", f->name, types[f->type]);
	for (size_t i = 0; i < count; i++) {
		const series *s = ao_map_get(f->series, labels[i]);
		if (f->type == AO_HISTOGRAM)
			print_histogram(f, labels[i], s, out);
		else
			put_line(out, f, "", labels[i], s->value);
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
