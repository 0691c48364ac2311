/* report.c -- tells people what became of an edit (log, Event, annotation, metrics, /readyz), and keeps the live files. */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define MAX_LIVE (900 * 1024) /* bytes of files; a ConfigMap can hold 1 MiB */

static const char *const TRACK[] = {"policies", "canary policies", "the end of canary policies"};

/* ---- on the ConfigMaps ---- */

static void annotate(ao_policies *p, const ao_object *map, const char *state)
{
	if (!p->notes) {
		ao_auto_str char *key = ao_xasprintf("%s-state", p->main->loaded.manifest->policies_label);
		p->notes = ao_annotations_new(p->with.kube, &p->resource, key, p->main->loaded.manifest->field_manager);
	}
	ao_annotations_put(p->notes, map->namespace_, map->name, state);
}

static void emit(ao_policies *p, const ao_object *map, bool warning, const char *reason, const char *note)
{
	ao_events_say(p->events, ao_event_about(&p->resource, map->namespace_, map->name, map->uid), warning, reason, "LoadPolicies", note);
}

/** Writes an Event and the annotation on every ConfigMap of a track. */
static void say(ao_policies *p, ao_track track, bool warning, const char *reason, const char *note)
{
	ao_informer *informer = track == AO_TRACK_MAIN ? p->maps : p->canary_maps;
	if (!informer)
		return;
	size_t cursor = 0;
	for (const ao_object *map; (map = ao_store_next(ao_informer_store(informer), &cursor));) {
		emit(p, map, warning, reason, note);
		annotate(p, map, note);
	}
}

/* ---- what became of it ---- */

static void set_trouble(ao_policies *p, const char *text)
{
	free(p->trouble);
	p->trouble = ao_xstrdup(text);
}

static void bad_news(ao_policies *p, ao_track track, const char *mark, const char *result, const char *reason, const char *note)
{
	ao_auto_str char *labels = ao_xasprintf("result=\"%s\"", result);
	ao_error(AO_POLICY, NULL, "%s %s", TRACK[track], note);
	free(p->rejected[track]);
	p->rejected[track] = ao_xstrdup(mark);
	ao_metric_add(p->with.metrics, "policy_reloads_total", labels, 1);
	say(p, track, true, reason, note);
	set_trouble(p, note);
}

void ao_policies_rejected(ao_policies *p, ao_track track, const ao_variant *candidate, const char *why)
{
	ao_auto_str char *note = ao_xasprintf("rejected, nothing was changed: %s", why);
	bad_news(p, track, candidate ? ao_variant_digest(candidate) : why, "rejected", "PoliciesRejected", note);
}

void ao_policies_taken_back(ao_policies *p, ao_track track, const ao_variant *variant, const char *why)
{
	ao_auto_str char *note = ao_xasprintf("rolled back: %s", why);
	bad_news(p, track, ao_variant_digest(variant), "rolled_back", "PoliciesRolledBack", note);
}

void ao_policies_accepted(ao_policies *p, ao_track track, const ao_preflight_result *result)
{
	ao_auto_str char *note =
	    ao_xasprintf("bundle %s passed on %zu of %s: %zu children change, %zu pods restart, %zu queues change, %zu more refused",
			 ao_variant_digest(p->candidate), result->parents, p->main->loaded.manifest->kinds[0].resource.plural,
			 result->children, result->pods, result->queues, result->refused);
	ao_info(AO_POLICY, NULL, "%s: %s", TRACK[track], note);
	free(p->rejected[track]);
	p->rejected[track] = NULL;
	ao_metric_add(p->with.metrics, "policy_reloads_total", "result=\"accepted\"", 1);
	if (track != AO_TRACK_UNCANARY)
		say(p, track, false, "PoliciesAccepted", note);
	set_trouble(p, NULL);
}

void ao_policies_rolled_out(ao_policies *p, ao_track track)
{
	const ao_variant *v = track == AO_TRACK_CANARY ? p->canary : p->main;
	ao_auto_str char *note = ao_xasprintf("live: bundle %s", v ? ao_variant_digest(v) : "none");
	ao_info(AO_POLICY, NULL, "%s %s", TRACK[track], note);
	if (track != AO_TRACK_UNCANARY)
		say(p, track, false, "PoliciesLive", note);
	set_trouble(p, NULL);
}

void ao_policies_note_params(ao_policies *p)
{
	const char *text = p->main->loaded.unclaimed;
	if (text && (!p->noted || strcmp(p->noted, text) != 0))
		ao_warn(AO_POLICY, NULL, "%s (the parameters apply once a ConfigMap brings the policy)", text);
	free(p->noted);
	p->noted = ao_xstrdup(text);
}

/** Why not everything that was asked for is done, or NULL. */
static const char *trouble_of(const ao_policies *p) { return p->trouble ? p->trouble : p->main->loaded.unclaimed; }

void ao_policies_tell(const ao_policies *p, ao_buf *out)
{
	const char *digest = ao_variant_digest(p->main), *trouble = trouble_of(p);
	if (trouble)
		ao_buf_printf(out, "degraded, bundle %s serves: %s", digest, trouble);
	else
		ao_buf_printf(out, "bundle %s%s%s", digest, p->canary ? ", canary " : "", p->canary ? ao_variant_digest(p->canary) : "");
	if (p->rollout) {
		ao_rollout_stats stats = ao_rollout_get_stats(p->rollout);
		ao_buf_printf(out, "; rollout: %zu waiting, %zu restarting, %zu done, %zu failed", stats.waiting, stats.restarting,
			      stats.done, stats.failed);
	}
}

static void info(ao_policies *p, const ao_variant *v, const char *track)
{
	ao_auto_str char *labels = ao_xasprintf("digest=\"%s\",track=\"%s\"", v ? ao_variant_digest(v) : "", track);
	ao_metric_set(p->with.metrics, "policy_bundle_info", labels, 1);
}

void ao_policies_collect(ao_policies *p)
{
	ao_metric_clear(p->with.metrics, "policy_bundle_info");
	info(p, p->main, "live");
	if (p->canary)
		info(p, p->canary, "canary");
	ao_metric_set(p->with.metrics, "policy_bundle_degraded", "", trouble_of(p) != NULL);
	ao_rollout_stats stats = p->rollout ? ao_rollout_get_stats(p->rollout) : (ao_rollout_stats){0};
	ao_metric_set(p->with.metrics, "policy_rollout_waiting", "", (double)stats.waiting);
	ao_metric_set(p->with.metrics, "policy_rollout_restarting", "", (double)stats.restarting);
}

/* ---- what is live ---- */

static void on_recorded(void *arg, const ao_kube_answer *answer)
{
	const ao_policies *p = arg;
	ao_auto_err ao_err *err = NULL;
	if (answer->error) {
		ao_kube_answer_err(answer, "cannot keep the live policies", &err);
		ao_warn(AO_POLICY, NULL, "%s: after a restart in namespace %s they are preflighted again", ao_err_text(err),
			p->with.namespace_);
	}
}

static cJSON *live_object(const ao_policies *p, const char *name)
{
	cJSON *object = cJSON_CreateObject();
	size_t bytes = 0;
	ao_json_set_str(object, "apiVersion", "v1");
	ao_json_set_str(object, "kind", "ConfigMap");
	cJSON *metadata = ao_json_object(object, "metadata"), *data = ao_json_object(object, "data");
	ao_auto_str char *key = ao_xasprintf("%s-state", p->main->loaded.manifest->policies_label);
	ao_auto_str char *state = ao_xasprintf("live: bundle %s; written by the operator, edits are ignored", ao_variant_digest(p->main));
	ao_json_set_str(metadata, "name", name);
	ao_json_set_str(ao_json_object(metadata, "annotations"), key, state);
	for (size_t i = 0; i < p->main->own.count; i++) {
		const ao_source *file = &p->main->own.items[i];
		ao_json_set_str(data, file->name, file->text);
		bytes += file->len;
	}
	if (bytes <= MAX_LIVE)
		return object;
	ao_warn(AO_POLICY, NULL,
		"the policies of all ConfigMaps do not fit into one ConfigMap: after a restart they are preflighted again");
	cJSON_Delete(object);
	return NULL;
}

void ao_policies_record(ao_policies *p)
{
	if (!p->recorded && p->main->own.count == 0)
		return; /* built in: there is nothing to remember */
	ao_auto_str char *name = ao_policies_live_name(ao_load_scope(p->with.load), p->main->loaded.manifest->component);
	ao_auto_json cJSON *object = live_object(p, name);
	if (!object)
		return;
	ao_auto_str char *body = ao_json_print(object), *path = ao_resource_path(&p->resource, p->with.namespace_, name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?force=true&fieldManager=%s", path, p->main->loaded.manifest->field_manager);
	p->recorded = true;
	ao_kube_send(p->with.kube, &(ao_kube_request){.method = "PATCH",
						      .path = query,
						      .content_type = AO_APPLY_PATCH,
						      .body = body,
						      .object = {&p->resource, p->with.namespace_, name, NULL},
						      .fn = on_recorded,
						      .arg = p});
}
