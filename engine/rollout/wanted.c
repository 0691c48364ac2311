/* wanted.c -- reads the ConfigMaps that the informers hold, and the settings. */
#include "rollout/wanted.h"

#include "base/hash.h"
#include "base/mem.h"
#include "policy/selection.h"

#include <stdio.h>
#include <string.h>

/* ---- sources ---- */

char *ao_edit_maps_named(const ao_manifest *m)
{
	if (!m->bundle_label || !m->policies_label)
		return NULL;
	return ao_xasprintf("%s=%s,%s-canary!=true", m->bundle_label, m->component, m->policies_label);
}

const ao_object *ao_edit_maps_next(const ao_edit_maps *maps, ao_edit_cursor *cursor)
{
	const ao_object *map = NULL;
	if (!cursor->named && maps->labelled && (map = ao_store_next(maps->labelled, &cursor->at)))
		return map;
	if (!cursor->named)
		*cursor = (ao_edit_cursor){.named = true};
	while (maps->named && (map = ao_store_next(maps->named, &cursor->at)))
		if (!maps->labelled || !ao_store_get(maps->labelled, map->key))
			break;
	return map;
}

static void put_maps(const ao_edit_maps *maps, const char *profile_annotation, ao_sources *to)
{
	ao_edit_cursor cursor = {0};
	ao_auto_json cJSON *list = cJSON_CreateObject();
	cJSON *items = cJSON_AddArrayToObject(list, "items");
	for (const ao_object *object; (object = ao_edit_maps_next(maps, &cursor));) {
		cJSON *tree = NULL;
		if (!object->deleting && ao_object_tree(object, &tree, NULL) == 0)
			cJSON_AddItemToArray(items, tree);
	}
	ao_load_config_maps(to, list, profile_annotation);
}

/** The digest of sources that cannot be put together: they are refused once, and again when anything in them changes. */
static void digest_wrong(ao_wanted *wanted)
{
	ao_auto_json cJSON *why = cJSON_CreateObject();
	ao_json_set_str(why, "wrong", wanted->wrong);
	ao_bundle_digest_of(&wanted->all, why, wanted->digest);
}

/* ---- settings ---- */

/** While a file cannot be read and nothing else has changed, takes the text that it had last. */
static void keep_files(const ao_wanted_options *options, cJSON *seen)
{
	ao_auto_json cJSON *kept = cJSON_Duplicate(seen, 1);
	const cJSON *setting;
	bool any = false;
	cJSON_ArrayForEach (setting, seen) {
		const char *text = ao_json_str(options->last_settings, setting->string);
		if (!cJSON_IsFalse(setting) || !text)
			continue;
		ao_json_set_str(kept, setting->string, text);
		any = true;
	}
	if (!any || !ao_json_equal(kept, options->last_settings))
		return;
	cJSON_ArrayForEach (setting, kept)
		ao_json_set(seen, setting->string, cJSON_Duplicate(setting, 1));
}

/** While namespaces cannot be seen, what they said last stays. */
static void keep_namespaces(const ao_wanted_options *options, ao_wanted *wanted)
{
	const cJSON *declared;
	if (ao_setting_namespaces_seen(options->load->namespaces))
		return;
	cJSON_ArrayForEach (declared, ao_json_at(options->last_manifest, "settings")) {
		const cJSON *last = ao_json_at(options->last_settings, declared->string);
		if (!last || !ao_json_str(declared, "namespaces"))
			continue;
		ao_json_set(wanted->settings, declared->string, cJSON_Duplicate(last, 1));
		ao_json_set(wanted->seen, declared->string, cJSON_Duplicate(last, 1));
	}
}

int ao_wanted_get(const ao_wanted_options *options, ao_rollout_track track, ao_wanted *ret, ao_err **reterr)
{
	ao_auto_err ao_err *err = NULL;
	*ret = (ao_wanted){0};
	put_maps(&options->maps, options->profile_annotation, &ret->own);
	if (track == AO_ROLLOUT_CANARY)
		put_maps(&options->canary_maps, options->profile_annotation, &ret->own);
	int r = ao_load_sources(options->load, &ret->all, &err);
	ao_sources_put_all(&ret->all, &ret->own);
	if (r == 0)
		r = ao_load_settings(options->load, &ret->all, &ret->settings, &ret->seen, &err);
	if (r == -EINTR) {
		if (reterr)
			*reterr = AO_TAKE(err);
		return r;
	}
	if (r < 0) {
		ret->wrong = ao_xstrdup(ao_err_text(err));
		digest_wrong(ret);
		return 0;
	}
	keep_namespaces(options, ret);
	keep_files(options, ret->seen);
	ao_bundle_digest_of(&ret->all, ret->seen, ret->digest);
	return 0;
}

void ao_wanted_clear(ao_wanted *wanted)
{
	free(wanted->wrong);
	ao_sources_clear(&wanted->all);
	ao_sources_clear(&wanted->own);
	cJSON_Delete(wanted->settings);
	cJSON_Delete(wanted->seen);
	*wanted = (ao_wanted){0};
}

/* ---- the canary's parents ---- */

int ao_wanted_selection(const ao_wanted_options *options, char **ret, ao_err **reterr)
{
	ao_edit_cursor cursor = {0};
	ao_auto_str char *selection = NULL, *first = NULL;
	for (const ao_object *map; (map = ao_edit_maps_next(&options->canary_maps, &cursor));) {
		ao_auto_str char *another = NULL;
		ao_auto_json cJSON *tree = NULL;
		if (map->deleting)
			continue;
		int r = ao_object_tree(map, &tree, reterr);
		if (r == 0)
			r = ao_selection_of(tree, options->label, &another, reterr);
		if (r < 0)
			return r;
		if (selection && strcmp(selection, another) != 0)
			return ao_err_set(reterr, -EINVAL,
					  "the canary ConfigMaps %s (%s) and %s (%s) are for different parents; there is one canary: give "
					  "both the same selector or percentage",
					  first, selection, map->name, another);
		if (!selection) {
			selection = AO_TAKE(another);
			first = ao_xstrdup(map->name);
		}
	}
	*ret = AO_TAKE(selection);
	return 0;
}
