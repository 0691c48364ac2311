/* setting_namespaces.c -- an informer, and for each annotation that was asked for the digest of what was answered last. */
#include "policy/setting_namespaces.h"

#include "base/map.h"
#include "base/mem.h"
#include "kube/informer.h"

#include <string.h>

#define MAX_TEXT 63     /* of an annotation; a longer one is not shown as it is */
#define AGAIN_MS 600000 /* until it is tried again whether they may be listed */

static const ao_resource all_namespaces = {
    .api_version = (char *)"v1", .kind = (char *)"Namespace", .plural = (char *)"namespaces", .cluster_scoped = true};

struct ao_setting_namespaces {
	ao_setting_namespaces_options with;
	ao_map *asked;         /* annotation -> digest of what was answered last, a uint64_t */
	ao_informer *informer; /* NULL: it has not begun, or it was refused a moment ago */
	ao_timer *again;
	bool started, refused;
};

static void look(void *arg);

ao_setting_namespaces *ao_setting_namespaces_new(const ao_setting_namespaces_options *options)
{
	ao_setting_namespaces *n = ao_xcalloc(1, sizeof(*n));
	*n = (ao_setting_namespaces){.with = *options, .asked = ao_map_new()};
	n->again = ao_timer_new(options->loop, look, n);
	return n;
}

void ao_setting_namespaces_free(ao_setting_namespaces *n)
{
	if (!n)
		return;
	ao_informer_free(n->informer);
	ao_timer_free(n->again);
	ao_map_free_all(n->asked);
	free(n);
}

bool ao_setting_namespaces_seen(const ao_setting_namespaces *n)
{
	return n && n->informer && ao_informer_synced(n->informer) && !ao_informer_absent(n->informer);
}

bool ao_setting_namespaces_settled(const ao_setting_namespaces *n)
{
	return !n || !ao_map_count(n->asked) || n->refused || ao_setting_namespaces_seen(n);
}

bool ao_setting_namespaces_refused(const ao_setting_namespaces *n) { return n && n->refused; }

/* ---- what they say ---- */

static cJSON *answer(const ao_setting_namespaces *n, const char *annotation)
{
	size_t cursor = 0;
	ao_auto_json cJSON *said = cJSON_CreateObject();
	if (!ao_setting_namespaces_seen(n))
		return NULL;
	for (const ao_object *object; (object = ao_store_next(ao_informer_store(n->informer), &cursor));) {
		ao_auto_str char *made = NULL;
		ao_span annotations = ao_span_at(ao_object_span(object, &made), "metadata", "annotations");
		ao_auto_str char *text = ao_span_text(ao_span_get(annotations, annotation));
		if (!text || !*text)
			continue;
		size_t len = strlen(text);
		ao_auto_str char *instead = len > MAX_TEXT ? ao_xasprintf("(%zu bytes)", len) : NULL;
		ao_json_set_str(said, object->name, instead ? instead : text);
	}
	return cJSON_GetArraySize(said) ? AO_TAKE(said) : NULL;
}

static uint64_t digest_of(const cJSON *said) { return said ? ao_json_digest(said) : 0; }

cJSON *ao_setting_namespaces_get(ao_setting_namespaces *n, const char *annotation)
{
	cJSON *said = n ? answer(n, annotation) : NULL;
	if (!n)
		return NULL;
	uint64_t *digest = ao_map_get(n->asked, annotation);
	if (!digest) {
		digest = ao_xcalloc(1, sizeof(*digest));
		ao_map_put(n->asked, annotation, digest);
		if (n->started && !n->informer)
			ao_timer_start(n->again, 0);
	}
	*digest = digest_of(said);
	return said;
}

/* ---- how they are watched ---- */

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	const ao_setting_namespaces *n = arg;
	size_t cursor = 0;
	const char *annotation;
	(void)informer;
	(void)object;
	if (!ao_setting_namespaces_seen(n) || (change == AO_UPDATED && before->full_digest == object->full_digest))
		return;
	for (const uint64_t *digest; (digest = ao_map_next(n->asked, &cursor, &annotation));) {
		ao_auto_json cJSON *said = answer(n, annotation);
		if (digest_of(said) != *digest) {
			n->with.on_change(n->with.arg);
			return;
		}
	}
}

/** Says once that they cannot be seen, or can be again. */
static void tell_refused(ao_setting_namespaces *n, bool refused)
{
	size_t cursor = 0;
	const char *annotation = NULL;
	if (n->refused == refused)
		return;
	n->refused = refused;
	ao_map_next(n->asked, &cursor, &annotation);
	ao_auto_str char *note =
	    refused ? ao_xasprintf(
			  "is not allowed to list namespaces, so what they say with the annotation %s is not known; it takes a ClusterRole "
			  "with {apiGroups: [\"\"], resources: [namespaces], verbs: [list, watch]}, the chart's rbac.readNamespaces",
			  annotation)
		    : ao_xstrdup("is allowed to list namespaces now");
	n->with.on_note(n->with.arg, note);
}

static void on_synced(void *arg, ao_informer *informer, bool absent)
{
	ao_setting_namespaces *n = arg;
	(void)informer;
	tell_refused(n, absent);
	if (absent)
		ao_timer_start(n->again, 0); /* it cannot be freed here */
	n->with.on_change(n->with.arg);
}

/** Begins to watch, or ends what was refused, which would ask all too often. */
static void look(void *arg)
{
	ao_setting_namespaces *n = arg;
	if (n->informer && ao_informer_absent(n->informer)) {
		ao_informer_free(AO_TAKE(n->informer));
		ao_timer_start(n->again, AGAIN_MS);
	}
	if (n->informer || ao_timer_active(n->again))
		return;
	n->informer = ao_informer_new(
	    n->with.loop, n->with.kube,
	    &(ao_informer_options){.resource = &all_namespaces, .patient = true, .on_change = on_change, .on_synced = on_synced, .arg = n});
	ao_informer_start(n->informer);
}

void ao_setting_namespaces_start(ao_setting_namespaces *n)
{
	n->started = true;
	if (ao_map_count(n->asked) && !n->informer && !ao_timer_active(n->again))
		ao_timer_start(n->again, 0);
}
