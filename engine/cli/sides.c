/*
 * sides.c -- what serves is what the operator has written down as live, and the canary that is labelled so; what would is what the ConfigMaps
 * hold now, with --policies over them, and the canary over all.
 */
#include "cli/sides.h"

#include "base/mem.h"

#include <string.h>

#define FILES_MS 5000

typedef struct loader {
	ao_session *session;
	ao_load_options load; /* without --policies, which is among the sources here */
	ao_setting_files *files;
	bool arrived;
} loader;

static void set_true(void *arg) { *(bool *)arg = true; }

const ao_variant *ao_side_for(const ao_side *side, const ao_object *parent)
{
	return side->canary && ao_variant_concerns(side->canary, parent) ? side->canary : side->main;
}

void ao_sides_clear(ao_sides *sides)
{
	ao_variant_unref(sides->would.main);
	ao_variant_unref(sides->would.canary);
	ao_variant_unref(sides->serves.main);
	ao_variant_unref(sides->serves.canary);
	ao_err_free(sides->why);
	*sides = (ao_sides){0};
}

/** A file that is not there yet is waited for once. */
static int load_variant(loader *l, const ao_sources *own, ao_variant **ret, ao_err **reterr)
{
	int r = ao_variant_load_files(&l->load, own, ret, reterr);
	if (r < 0 || l->arrived || !ao_setting_files_missing(l->files))
		return r;
	ao_setting_files_start(l->files);
	ao_loop_run_until(l->session->loop, &l->arrived, FILES_MS);
	l->arrived = true;
	ao_variant_unref(AO_TAKE(*ret));
	return ao_variant_load_files(&l->load, own, ret, reterr);
}

/** @param list  the ConfigMaps of canaries. Adds them to `own`, which holds the files of the main bundle. */
static int load_canary(loader *l, ao_sources *own, const cJSON *list, const char *label, ao_variant **ret, ao_err **reterr)
{
	const cJSON *annotations = ao_json_at(cJSON_GetArrayItem(ao_json_at(list, "items"), 0), "metadata", "annotations");
	ao_auto_str char *selector = ao_xasprintf("%s-canary-selector", label), *percent = ao_xasprintf("%s-canary-percent", label);
	ao_variant *canary = NULL;
	if (!ao_load_config_maps(own, list))
		return 0;
	int r = load_variant(l, own, &canary, reterr);
	if (r == 0)
		r = ao_variant_limit(canary, ao_json_str(annotations, selector), ao_json_str(annotations, percent), reterr);
	if (r < 0) {
		ao_variant_unref(canary);
		return ao_err_wrap(reterr, "canary");
	}
	*ret = canary;
	return 0;
}

static int load_side(loader *l, ao_sources *own, const cJSON *canaries, const ao_manifest *manifest, ao_side *ret, ao_err **reterr)
{
	int r = load_variant(l, own, &ret->main, reterr);
	return r == 0 ? load_canary(l, own, canaries, manifest->policies_label, &ret->canary, reterr) : r;
}

static int load_would(loader *l, const char *policies_dir, const ao_manifest *manifest, const cJSON *canaries, ao_side *ret,
		      ao_err **reterr)
{
	ao_auto_sources ao_sources own = {0};
	ao_auto_json cJSON *maps = NULL;
	int r = ao_session_config_maps(l->session, manifest, "", &maps, reterr);
	if (r == 0) {
		ao_load_config_maps(&own, maps);
		r = policies_dir ? ao_sources_dir(&own, policies_dir, reterr) : 0;
	}
	return r == 0 ? load_side(l, &own, canaries, manifest, ret, reterr) : r;
}

/** Where nothing is written down, the files of the binary serve. */
static int load_serving(loader *l, const ao_manifest *manifest, const cJSON *canaries, ao_side *ret, ao_err **reterr)
{
	ao_auto_sources ao_sources own = {0};
	ao_auto_json cJSON *live = NULL;
	ao_auto_err ao_err *err = NULL;
	const cJSON *file;
	int r = ao_session_live(l->session, manifest, &live, &err);
	if (r < 0 && r != -ENOENT)
		return ao_err_set(reterr, r, "%s", ao_err_text(err));
	cJSON_ArrayForEach (file, ao_json_at(live, "data"))
		if (cJSON_IsString(file))
			ao_sources_put(&own, file->string, file->valuestring, strlen(file->valuestring), "live");
	return load_side(l, &own, canaries, manifest, ret, reterr);
}

int ao_sides_load(ao_session *session, const ao_load_options *load, ao_sides *ret, ao_err **reterr)
{
	loader l = {.session = session, .load = *load};
	ao_auto_manifest ao_manifest *manifest = NULL;
	ao_auto_json cJSON *canaries = NULL;
	l.files = ao_setting_files_new(&(ao_setting_files_options){.loop = session->loop, .on_change = set_true, .arg = &l.arrived});
	l.load.files = l.files;
	l.load.policies_dir = NULL;
	int r = ao_session_manifest(&manifest, reterr);
	if (r == 0)
		r = ao_session_config_maps(session, manifest, "-canary", &canaries, reterr);
	if (r == 0)
		r = load_would(&l, load->policies_dir, manifest, canaries, &ret->would, reterr);
	if (r == 0 && load_serving(&l, manifest, canaries, &ret->serves, &ret->why) < 0) {
		ao_variant_unref(AO_TAKE(ret->serves.main));
		ao_variant_unref(AO_TAKE(ret->serves.canary));
	}
	ao_setting_files_free(l.files);
	return r;
}
