/* openapi.c -- fetches an index, then one document after the other.  Each is compiled when it comes, and its text is freed. */
#include "kube/openapi.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"
#include "json/span.h"

#include <string.h>

#define INDEX "/openapi/v3"
#define TIMEOUT_MS 10000

typedef struct group {
	const char *api_version; /* borrowed from a kind */
	char *url;               /* where its document is, as the index says; NULL: the server has none */
	char *have;              /* the URL whose document is compiled */
	ao_schema *schema;       /* or NULL: the built-in one is used */
	struct group *next;
} group;

typedef struct waiting {
	void (*fn)(void *arg);
	void *arg;
	struct waiting *next;
} waiting;

struct ao_openapi {
	ao_kube *kube;
	const ao_resource *const *kinds;
	ao_schema *bundled;
	group *groups;
	group *fetching;
	ao_kube_call *call;
	unsigned version;
	waiting *waiting; /* in the order they came */
};

static void add_group(ao_openapi *o, const ao_resource *kind)
{
	if (!strchr(kind->api_version, '/'))
		return; /* the core group */
	group **last = &o->groups;
	for (; *last; last = &(*last)->next)
		if (strcmp((*last)->api_version, kind->api_version) == 0)
			return;
	*last = ao_xcalloc(1, sizeof(group));
	(*last)->api_version = kind->api_version;
}

int ao_openapi_new(const ao_openapi_options *options, ao_openapi **ret, ao_err **reterr)
{
	ao_schema *bundled = NULL;
	int r = ao_schema_compile(options->bundled, options->bundled_len, NULL, NULL, &bundled, reterr);
	if (r < 0)
		return ao_err_wrap(reterr, "built-in schemas");
	ao_openapi *o = ao_xcalloc(1, sizeof(*o));
	*o = (ao_openapi){.kube = options->kube, .kinds = options->kinds, .bundled = bundled};
	for (const ao_resource *const *kind = options->kinds; kind && *kind; kind++)
		add_group(o, *kind);
	*ret = o;
	return 0;
}

static waiting *take_waiting(waiting **list)
{
	waiting *first = *list;
	*list = first->next;
	return first;
}

void ao_openapi_free(ao_openapi *o)
{
	if (!o)
		return;
	if (o->call)
		ao_kube_cancel(o->call);
	while (o->groups) {
		group *g = o->groups;
		o->groups = g->next;
		ao_schema_free(g->schema);
		free(g->url);
		free(g->have);
		free(g);
	}
	while (o->waiting)
		free(take_waiting(&o->waiting));
	ao_schema_free(o->bundled);
	free(o);
}

/* ---- fetching ---- */

static void finish(ao_openapi *o)
{
	waiting *all = o->waiting;
	o->waiting = NULL;
	o->fetching = NULL;
	while (all) {
		waiting *w = take_waiting(&all);
		if (w->fn)
			w->fn(w->arg); /* the last call may free us */
		free(w);
	}
}

static bool of_interest(void *arg, const char *api_version, const char *kind)
{
	const ao_openapi *o = arg;
	for (const ao_resource *const *k = o->kinds; *k; k++)
		if (ao_resource_is(*k, api_version, kind))
			return true;
	return false;
}

static void fetch_from(ao_openapi *o, group *g);

static void on_document(void *arg, const ao_kube_answer *answer)
{
	ao_openapi *o = arg;
	group *g = o->fetching;
	ao_auto_err ao_err *err = NULL;
	ao_schema *schema = NULL;
	o->call = NULL;
	int r = answer->error ? ao_kube_answer_err(answer, g->api_version, &err)
			      : ao_schema_compile(answer->body, answer->body_len, of_interest, o, &schema, &err);
	if (r < 0) {
		ao_warn(AO_KUBE, NULL, "cannot use the server's schemas of %s, keeping the ones at hand: %s", g->api_version,
			ao_err_text(err));
	} else {
		ao_schema_free(g->schema);
		g->schema = schema;
		o->version++;
		free(g->have);
		g->have = ao_xstrdup(g->url);
		ao_debug(AO_KUBE, NULL, "schemas of %s take %zu bytes", g->api_version, ao_schema_bytes(schema));
	}
	fetch_from(o, g->next);
}

/** Fetches the documents of `g` and of the groups after it, one at a time, because each is half a megabyte of text. */
static void fetch_from(ao_openapi *o, group *g)
{
	while (g && (!g->url || (g->have && strcmp(g->url, g->have) == 0)))
		g = g->next;
	o->fetching = g;
	if (!g) {
		finish(o);
		return;
	}
	o->call = ao_kube_send(o->kube, &(ao_kube_request){.method = "GET",
							   .path = g->url,
							   .timeout_ms = TIMEOUT_MS,
							   .max_body = AO_SCHEMA_MAX_DOCUMENT,
							   .fn = on_document,
							   .arg = o});
}

static void on_index(void *arg, const ao_kube_answer *answer)
{
	ao_openapi *o = arg;
	o->call = NULL;
	if (answer->error) {
		ao_warn(AO_KUBE, NULL, "cannot read the server's schemas, keeping the ones at hand: %s", answer->message);
		finish(o);
		return;
	}
	ao_span paths = ao_span_get((ao_span){answer->body, answer->body_len}, "paths");
	for (group *g = o->groups; g; g = g->next) {
		ao_auto_str char *name = ao_xasprintf("apis/%s", g->api_version);
		free(g->url);
		g->url = ao_span_text(ao_span_at(paths, name, "serverRelativeURL"));
	}
	fetch_from(o, o->groups);
}

void ao_openapi_refresh(ao_openapi *o, void (*fn)(void *arg), void *arg)
{
	waiting **last = &o->waiting;
	while (*last)
		last = &(*last)->next;
	*last = ao_xcalloc(1, sizeof(**last));
	**last = (waiting){.fn = fn, .arg = arg};
	if (!o->call)
		o->call = ao_kube_send(
		    o->kube, &(ao_kube_request){.method = "GET", .path = INDEX, .timeout_ms = TIMEOUT_MS, .fn = on_index, .arg = o});
}

unsigned ao_openapi_version(const ao_openapi *o) { return o->version; }

uint64_t ao_openapi_digest(const ao_openapi *o)
{
	uint64_t digest = AO_HASH_INIT;
	for (const group *g = o->groups; g; g = g->next) {
		const char *have = g->have ? g->have : "";
		digest = ao_hash(digest, g->api_version, strlen(g->api_version) + 1);
		digest = ao_hash(digest, have, strlen(have) + 1);
	}
	return digest | 1;
}

/* ---- checking ---- */

int ao_openapi_check(const ao_openapi *o, cJSON *object, ao_err **reterr)
{
	const char *api_version = ao_json_str(object, "apiVersion"), *kind = ao_json_str(object, "kind");
	for (const group *g = o->groups; api_version && kind && g; g = g->next)
		if (g->schema && ao_schema_has(g->schema, api_version, kind))
			return ao_schema_check(g->schema, object, reterr);
	return ao_schema_check(o->bundled, object, reterr);
}
