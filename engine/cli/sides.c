/*
 * sides.c -- the side that would be is put together once.  A bundle that serves is fetched by its digest when the first parent needs it.
 *
 * The operator keeps the texts of a bundle when its sources do not hold it any more.  The texts of any other bundle are the ConfigMaps as
 * they are.
 */
#include "cli/sides.h"

#include "base/map.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "policy/selection.h"
#include "rollout/archive.h"

#include <string.h>

#define FILES_MS 5000
#define ANSWER_MS 40000

/** A bundle that serves a parent. */
typedef struct served {
	ao_variant *variant; /* NULL: it cannot be had */
	bool done;
} served;

typedef struct side {
	ao_variant *main, *canary; /* canary NULL: there is none */
} side;

struct ao_sides {
	ao_session *session;
	ao_load_options load; /* without --policies, which is among the sources here */
	ao_setting_files *files;
	ao_setting_namespaces *namespaces;
	bool arrived, told; /* files, and what namespaces say */
	ao_manifest *manifest;
	side would, as_is; /* with --policies, and without */
	char *selection;   /* which parents the canary is for */
	ao_archive *archive;
	ao_map *serving; /* digest -> served */
};

static void set_true(void *arg) { *(bool *)arg = true; }

static void clear_side(side *it)
{
	ao_variant_unref(it->main);
	ao_variant_unref(it->canary);
}

static const ao_variant *variant_for(const ao_sides *s, const side *it, const ao_object *parent)
{
	return it->canary && ao_selection_concerns(s->selection, parent) ? it->canary : it->main;
}

void ao_sides_free(ao_sides *s)
{
	if (!s)
		return;
	size_t cursor = 0;
	ao_archive_free(s->archive);
	for (served *each; s->serving && (each = ao_map_next(s->serving, &cursor, NULL));) {
		ao_variant_unref(each->variant);
		free(each);
	}
	ao_map_free(s->serving);
	clear_side(&s->would);
	clear_side(&s->as_is);
	ao_setting_files_free(s->files);
	ao_setting_namespaces_free(s->namespaces);
	ao_manifest_free(s->manifest);
	free(s->selection);
	free(s);
}

/* ---- what would be ---- */

static void on_note(void *arg, const char *note)
{
	(void)arg;
	ao_cli_note(note);
}

/** Waits once for a file that is not there yet, and for what namespaces say. @return was there anything to wait for? */
static bool await_settings(ao_sides *s)
{
	bool files = !s->arrived && ao_setting_files_missing(s->files), namespaces = !ao_setting_namespaces_settled(s->namespaces);
	if (files) {
		ao_setting_files_start(s->files);
		ao_loop_run_until(s->session->loop, &s->arrived, FILES_MS);
		s->arrived = true;
	}
	if (namespaces) {
		ao_setting_namespaces_start(s->namespaces);
		ao_loop_run_until(s->session->loop, &s->told, ANSWER_MS);
	}
	return files || namespaces;
}

/** @param sources  stay the caller's */
static int load_variant(ao_sides *s, const ao_sources *sources, ao_variant **ret, ao_err **reterr)
{
	ao_auto_json cJSON *settings = NULL, *seen = NULL;
	ao_auto_sources ao_sources copy = {0};
	int r = ao_load_settings(&s->load, sources, &settings, &seen, reterr);
	if (r == 0 && await_settings(s)) {
		cJSON_Delete(AO_TAKE(settings));
		cJSON_Delete(AO_TAKE(seen));
		r = ao_load_settings(&s->load, sources, &settings, &seen, reterr);
	}
	ao_sources_put_all(&copy, sources);
	return r < 0 ? r : ao_variant_load(&s->load, &copy, settings, seen, ret, reterr);
}

/** @param sources  those of the main bundle; the canary's are added */
static int load_side(ao_sides *s, ao_sources *sources, const cJSON *canaries, side *ret, ao_err **reterr)
{
	int r = load_variant(s, sources, &ret->main, reterr);
	if (r < 0 || !ao_load_config_maps(sources, canaries, s->manifest->profile_annotation))
		return r;
	r = load_variant(s, sources, &ret->canary, reterr);
	return r < 0 ? ao_err_wrap(reterr, "canary") : 0;
}

static int select_parents(ao_sides *s, const cJSON *canaries, ao_err **reterr)
{
	const cJSON *first = cJSON_GetArrayItem(ao_json_at(canaries, "items"), 0);
	int r = first ? ao_selection_of(first, s->manifest->policies_label, &s->selection, reterr) : 0;
	return r < 0 ? ao_err_wrap(reterr, "canary") : 0;
}

static int load_sides(ao_sides *s, const char *policies_dir, ao_err **reterr)
{
	ao_auto_sources ao_sources with = {0}, without = {0};
	ao_auto_json cJSON *maps = NULL, *canaries = NULL;
	int r = ao_session_config_maps(s->session, s->manifest, "", &maps, reterr);
	if (r == 0)
		r = ao_session_config_maps(s->session, s->manifest, "-canary", &canaries, reterr);
	if (r == 0)
		r = select_parents(s, canaries, reterr);
	if (r < 0)
		return r;
	r = ao_load_base(s->session->bundle_dir, &without, reterr);
	if (r < 0)
		return r;
	ao_load_config_maps(&without, maps, s->manifest->profile_annotation);
	ao_sources_put_all(&with, &without);
	r = policies_dir ? ao_sources_dir(&with, policies_dir, reterr) : 0;
	if (r == 0)
		r = load_side(s, &with, canaries, &s->would, reterr);
	if (r == 0 && policies_dir && load_side(s, &without, canaries, &s->as_is, NULL) < 0) { /* they may be what is to be mended */
		clear_side(&s->as_is);
		s->as_is = (side){0};
	}
	return r;
}

/* ---- what serves ---- */

/** The operator's record says where the texts of bundles are. Without a record it is not known which bundles serve. */
static void open_archive(ao_sides *s)
{
	ao_auto_json cJSON *object = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_rollout_record record = {0};
	ao_map *kept = ao_map_new();
	ao_auto_str char *name = ao_record_name(&s->session->scope, s->manifest->component);
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, s->session->namespace_, name, NULL);
	int r = ao_session_get(s->session, path, &object, &err);
	const char *text = r == 0 ? ao_json_str(object, "data", "record") : NULL;
	if (text)
		r = ao_record_read(text, &record, kept, &err);
	if (r < 0 && r != -ENOENT) {
		ao_auto_str char *note = ao_xasprintf("it is not known which policies serve now: %s", ao_err_text(err));
		ao_cli_note(note);
	}
	ao_rollout_record_clear(&record);
	s->archive = ao_archive_new(s->session->kube, s->session->namespace_, s->manifest, &s->session->scope);
	ao_archive_adopt(s->archive, kept);
}

typedef struct fetch {
	ao_sides *sides;
	served *to;
	ao_err *err;
} fetch;

static void on_fetched(void *arg, const char *digest, ao_sources *sources, const cJSON *seen, const ao_err *error)
{
	fetch *f = arg;
	(void)digest;
	f->to->done = true;
	if (error)
		ao_err_set(&f->err, error->code, "%s", ao_err_text(error));
	else
		ao_variant_load_kept(&f->sides->load, sources, seen, &f->to->variant, &f->err);
}

/** @param it  gets the bundle; none when it is not kept, which needs no note */
static void fetch_kept(ao_sides *s, const char *digest, served *it)
{
	fetch f = {.sides = s, .to = it};
	if (!s->archive)
		open_archive(s);
	if (!ao_archive_has(s->archive, digest))
		return;
	ao_archive_get(s->archive, digest, on_fetched, &f);
	if (!ao_loop_run_until(s->session->loop, &it->done, ANSWER_MS)) {
		ao_archive_free(AO_TAKE(s->archive)); /* its callback must not find a frame that is gone */
		ao_err_set(&f.err, -ETIME, "no answer");
	}
	if (f.err) {
		ao_auto_str char *note = ao_xasprintf("bundle %s, which serves now, cannot be read: %s", digest, ao_err_text(f.err));
		ao_cli_note(note);
	}
	ao_err_free(f.err);
}

const ao_variant *ao_sides_serving(ao_sides *s, const ao_object *parent)
{
	const ao_variant *as_is = variant_for(s, s->as_is.main ? &s->as_is : &s->would, parent);
	ao_auto_str char *digest = ao_object_text(parent, s->manifest->bundle_path);
	if (!digest || strcmp(ao_variant_digest(as_is), digest) == 0)
		return as_is;
	served *known = ao_map_get(s->serving, digest);
	if (!known) {
		known = ao_xcalloc(1, sizeof(*known));
		ao_map_put(s->serving, digest, known);
		fetch_kept(s, digest, known); /* the parent may be gone from here on */
	}
	return known->variant ? known->variant : as_is;
}

/* ---- both ---- */

bool ao_sides_blind(const ao_sides *s) { return ao_setting_namespaces_refused(s->namespaces); }

const ao_variant *ao_sides_main(const ao_sides *s) { return s->would.main; }

int ao_sides_manifest(const ao_sides *s, ao_manifest **ret, ao_err **reterr)
{
	const ao_variant *others[] = {s->would.canary, s->as_is.main, s->as_is.canary};
	ao_auto_json cJSON *manifest = cJSON_Duplicate(ao_bundle_manifest(s->would.main->loaded.bundle), 1);
	for (size_t i = 0; i < AO_LEN(others); i++)
		if (others[i])
			ao_manifest_add_kinds(ao_json_at(manifest, "kinds"),
					      ao_json_at(ao_bundle_manifest(others[i]->loaded.bundle), "kinds"));
	return ao_manifest_read(manifest, ret, reterr);
}

const ao_variant *ao_sides_would(const ao_sides *s, const ao_object *parent) { return variant_for(s, &s->would, parent); }

int ao_sides_new(ao_session *session, const ao_load_options *load, ao_sides **ret, ao_err **reterr)
{
	ao_sides *s = ao_xcalloc(1, sizeof(*s));
	*s = (ao_sides){.session = session, .load = *load, .serving = ao_map_new()};
	s->files = ao_setting_files_new(&(ao_setting_files_options){.loop = session->loop, .on_change = set_true, .arg = &s->arrived});
	s->load.files = s->files;
	s->load.namespaces = s->namespaces =
	    ao_setting_namespaces_new(&(ao_setting_namespaces_options){session->loop, session->kube, set_true, on_note, &s->told});
	s->load.policies_dir = NULL;
	s->load.scope = &session->scope;
	int r = ao_session_manifest(session, &s->manifest, reterr);
	if (r == 0)
		s->load.parent = &s->manifest->kinds[0].resource;
	if (r == 0)
		r = load_sides(s, load->policies_dir, reterr);
	if (r < 0)
		ao_sides_free(s);
	else
		*ret = s;
	return r;
}
