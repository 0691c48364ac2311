/* record_write.c -- the record's way into the cluster: first the texts of the bundles that it names, then the record itself. */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/config_map.h"
#include "rollout/policies_private.h"

#include <string.h>

static void end(ao_policies *p, bool good)
{
	p->writing.open = false;
	ao_rollout_record_clear(&p->writing.record);
	ao_map_free(AO_TAKE(p->writing.refused));
	free(AO_TAKE(p->writing.text));
	if (good)
		ao_commands_written(p);
	ao_errands_written(p, good);
}

/* ---- which bundles it names ---- */

/** Calls fn for each digest until it returns true. @return did it? */
static bool any_named(ao_policies *p, bool (*fn)(ao_policies *p, const char *digest, void *arg), void *arg)
{
	const ao_rollout_record *r = &p->writing.record;
	bool stop = false;
	for (size_t i = 0; !stop && i < AO_ROLLOUT_TRACKS; i++) {
		const ao_rollout_line *line = &r->tracks[i];
		stop = (line->live.digest && fn(p, line->live.digest, arg)) || (line->to.digest && fn(p, line->to.digest, arg));
	}
	for (size_t i = 0; !stop && i < r->mover_count; i++)
		stop = fn(p, r->movers[i].digest, arg);
	for (size_t i = r->revision_count; !stop && i-- > 0;)
		stop = fn(p, r->revisions[i].digest, arg);
	return stop || (r->pinned && fn(p, r->pinned, arg));
}

static bool copy_kept(ao_policies *p, const char *digest, void *arg)
{
	const ao_kept *kept = ao_map_get(ao_archive_kept(p->archive), digest);
	if (kept && !ao_map_get(arg, digest)) {
		ao_kept *copy = ao_xcalloc(1, sizeof(*copy));
		*copy = *kept;
		ao_map_put(arg, digest, copy);
	}
	return false;
}

/** The texts of what is at hand, or serves a parent, stay even if the record does not name it: it may be named again. */
static void any_used(ao_policies *p, bool (*fn)(ao_policies *p, const char *digest, void *arg), void *arg)
{
	size_t cursor = 0;
	const char *digest;
	while (ao_map_next(p->variants, &cursor, &digest))
		fn(p, digest, arg);
	fn(p, ao_variant_digest(p->fallback), arg);
	fn(p, ao_variant_digest(p->basis), arg);
	cursor = 0;
	for (const ao_seen_parent *seen; (seen = ao_map_next(p->parents, &cursor, NULL));)
		if (*seen->has)
			fn(p, seen->has, arg);
}

/* ---- the record ---- */

/** Texts that are kept in the cluster need not be kept here. */
static void shed(ao_policies *p)
{
	size_t cursor = 0;
	const char *digest;
	for (ao_variant *v; (v = ao_map_next(p->variants, &cursor, &digest));)
		if (ao_archive_has(p->archive, digest))
			ao_variant_shed(v);
}

static void note_written(ao_policies *p)
{
	ao_archive_adopt(p->archive, AO_TAKE(p->writing.kept));
	shed(p);
	free(p->record_text);
	p->record_text = AO_TAKE(p->writing.text);
	end(p, true);
}

static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_policies *p = arg;
	ao_auto_err ao_err *err = NULL;
	p->writing.call = NULL;
	if (answer->error) {
		ao_kube_answer_err(answer, "cannot write which policies are live", &err);
		bool refused = answer->status == 403; /* that does not mend itself, and parents must be served all the same */
		if (refused)
			ao_report_unwritable(p, ao_err_text(err));
		else
			ao_warn(AO_POLICY, p->subject, "%s: tried again in a moment", ao_err_text(err));
		ao_map_free_all(AO_TAKE(p->writing.kept));
		end(p, refused);
		return;
	}
	ao_answered answered = {0};
	ao_store_put_answer(ao_informer_store(p->records), answer->body, answer->body_len, &answered, NULL); /* else the watch tells us */
	ao_object_free(answered.before);
	ao_report_unwritable(p, NULL);
	note_written(p);
}

/** Fails when somebody else has written the record since we last saw it. We look at that first. */
static void write_record(ao_policies *p)
{
	const ao_manifest *manifest = p->fallback->loaded.manifest;
	const char *class_ = ao_load_scope(p->with.load)->class_;
	const ao_object *map = ao_recall_map(p);
	ao_auto_str char *label = ao_xasprintf("%s-record", manifest->policies_label);
	p->writing.kept = ao_map_new();
	any_named(p, copy_kept, p->writing.kept);
	any_used(p, copy_kept, p->writing.kept);
	ao_auto_json cJSON *has = ao_has_json(p, p->writing.record.tracks[AO_ROLLOUT_MAIN].live.digest), *pace = ao_edit_pace(p);
	const ao_manifest *watched = ao_world_manifest(p->world);
	p->writing.text =
	    ao_record_text(&p->writing.record, p->writing.kept, p->kinds, has, &watched->kinds[0].resource, watched->finalizer, pace);
	ao_auto_str char *there = ao_recall_text(map);
	if (there && strcmp(there, p->writing.text) == 0) { /* a restart finds what was left, and leaves the same */
		note_written(p);
		return;
	}
	ao_auto_json cJSON *object = ao_config_map_make(p->record_name, label, manifest->component);
	cJSON *metadata = ao_json_object(object, "metadata");
	ao_json_set_str(metadata, "resourceVersion", map ? map->resource_version : NULL);
	if (*class_)
		ao_json_set_str(ao_json_object(metadata, "annotations"), manifest->class_annotation, class_);
	ao_json_set_str(ao_json_object(object, "data"), "record", p->writing.text);
	p->writing.call = ao_config_map_apply(p->with.kube, p->with.namespace_, manifest->field_manager, object, on_written, p);
}

/* ---- the texts ---- */

static void go_on(ao_policies *p);

static void note_unkept(ao_policies *p, const char *digest, const ao_err *why)
{
	ao_map_put(p->writing.refused, digest, p);
	if (ao_map_get(p->unkept, digest))
		return;
	ao_map_put(p->unkept, digest, ao_xstrdup(digest));
	ao_warn(AO_POLICY, p->subject,
		"the texts of bundle %s are not kept: %s: after a restart the parents that it serves wait for another bundle", digest,
		ao_err_text(why));
}

static void on_put(void *arg, const char *digest, const ao_err *error)
{
	ao_policies *p = arg;
	if (!p->writing.open)
		return;
	if (error && error->code == -EPERM)
		note_unkept(p, digest, error);
	if (!error || error->code == -EPERM) {
		go_on(p);
		return;
	}
	ao_warn(AO_POLICY, p->subject, "%s: tried again in a moment", ao_err_text(error));
	end(p, false);
}

/** @return true when it is being written now, or will be when another one is */
static bool put(ao_policies *p, const char *digest, void *arg)
{
	const ao_variant *variant = ao_policies_variant(p, digest);
	ao_auto_err ao_err *err = NULL;
	(void)arg;
	if (!variant || !variant->sources.count || ao_archive_has(p->archive, digest) || ao_map_get(p->writing.refused, digest))
		return false;
	int r = ao_archive_put(p->archive, digest, &variant->sources, ao_bundle_settings(variant->loaded.bundle), on_put, p, &err);
	if (r < 0 && r != -EBUSY)
		note_unkept(p, digest, err);
	return r == 0 || r == -EBUSY;
}

static void go_on(ao_policies *p)
{
	if (!any_named(p, put, NULL))
		write_record(p);
}

void ao_record_write_start(ao_policies *p, ao_rollout_record *record)
{
	ao_record_write_stop(p);
	p->writing.record = *record;
	p->writing.refused = ao_map_new();
	p->writing.open = true;
	p->writing.count++;
	if (p->maps)
		go_on(p);
	else
		end(p, true); /* it was said at the start that a restart forgets */
}

void ao_record_write_stop(ao_policies *p)
{
	if (p->writing.call)
		ao_kube_cancel(AO_TAKE(p->writing.call));
	ao_map_free_all(AO_TAKE(p->writing.kept));
	ao_map_free(AO_TAKE(p->writing.refused));
	free(AO_TAKE(p->writing.text));
	ao_rollout_record_clear(&p->writing.record);
	p->writing.open = false;
}
