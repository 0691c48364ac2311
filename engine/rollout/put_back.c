/*
 * put_back.c -- ConfigMaps that a tool manages: says which files were edited beside the tool, and which edits the tool has put back.
 *
 * The label app.kubernetes.io/managed-by names the tool, and managedFields say who wrote that label and who wrote each file.  The edits that
 * are known stand in the annotation `<label>-edited`, with the bundle that they made, so that a successor knows them, too.
 */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define TOOL "app.kubernetes.io/managed-by"
#define MAX_NAMES 253 /* bytes: the longest name that a key of a ConfigMap may have; an Event holds 1024 in all */

/* ---- names of files ---- */

/** Those of `names` that are not in `others`, as a text; NULL: there are none. The caller frees. */
static char *names_without(const cJSON *names, const cJSON *others)
{
	const cJSON *each;
	ao_auto_buf ao_buf text = ao_buf_init(MAX_NAMES);
	cJSON_ArrayForEach (each, names)
		if (cJSON_IsString(each) && ao_json_index(others, each->valuestring) < 0)
			ao_buf_printf(&text, "%s%s", text.len ? ", " : "", each->valuestring);
	return text.overflow ? ao_xasprintf("%s and more", text.data) : ao_xstrdup(text.data);
}

/* ---- what is said ---- */

static void warn(ao_policies *p, const ao_object *map, const char *reason, const char *note)
{
	ao_warn(AO_POLICY, p->subject, "ConfigMap %s: %s", map->name, note);
	ao_report_event(p, map, true, reason, note);
}

static void say_edited(ao_policies *p, const ao_object *map, const char *tool, const char *names)
{
	ao_auto_str char *note =
	    ao_xasprintf("%s: edited in a ConfigMap that %s manages, which may put back its own text whenever it writes. Keep the edit in "
			 "a ConfigMap of "
			 "your own: labelled %s=true, with a file of the same name, and a name that comes after %s in the alphabet",
			 names, tool, p->fallback->loaded.manifest->policies_label, map->name);
	warn(p, map, "PoliciesEditedBeside", note);
}

/** @return the number of the revision that this bundle was live as; 0: it never was */
static unsigned revision_of(const ao_policies *p, const char *digest)
{
	ao_auto_rollout_record ao_rollout_record record = {0};
	unsigned number = 0;
	ao_machine_record(p->machine, &record);
	for (size_t i = 0; digest && i < record.revision_count; i++)
		if (strcmp(record.revisions[i].digest, digest) == 0)
			number = record.revisions[i].number;
	return number;
}

static void say_put_back(ao_policies *p, const ao_object *map, const char *tool, const char *names, const char *digest)
{
	unsigned revision = revision_of(p, digest);
	ao_auto_str char *kept = revision ? ao_archive_where(p->archive, digest) : NULL;
	ao_auto_str char *texts = kept ? ao_xasprintf(", and ConfigMap %s holds its files", kept) : ao_xstrdup("");
	ao_auto_str char *way =
	    revision ? ao_xasprintf("Revision %u has it still: `asya-operator rollout undo --to-revision %u` goes back to it%s", revision,
				    revision, texts)
		     : ao_xstrdup("It was not live before, so no revision has it");
	ao_auto_str char *note = ao_xasprintf("%s: %s has put back its own text, and the edit is gone from here. %s", names, tool, way);
	warn(p, map, "PoliciesPutBack", note);
}

/* ---- one ConfigMap ---- */

/** What is known of a ConfigMap's edits as the annotation says it. @return NULL: there are none; the caller frees */
static char *known_text(const ao_policies *p, const ao_object *map, const cJSON *tree)
{
	const char *told = ao_map_get(p->edited, map->uid);
	ao_auto_str char *key = ao_xasprintf("%s-edited", p->fallback->loaded.manifest->policies_label);
	const char *text = told ? told : ao_json_str(tree, "metadata", "annotations", key);
	return text && *text ? ao_xstrdup(text) : NULL;
}

static char *edits_text(const cJSON *files, const char *digest)
{
	if (!cJSON_GetArraySize(files))
		return NULL;
	ao_auto_json cJSON *json = cJSON_CreateObject();
	ao_json_set(json, "files", cJSON_Duplicate(files, 1));
	ao_json_set_str(json, "bundle", digest);
	return ao_json_print(json);
}

static void look_at(ao_policies *p, const ao_object *map)
{
	ao_auto_json cJSON *tree = NULL, *known = NULL;
	if (map->deleting || ao_object_tree(map, &tree, NULL) < 0)
		return;
	const char *tool = ao_json_str(tree, "metadata", "labels", TOOL), *wanted = p->edits[AO_ROLLOUT_MAIN].digest;
	ao_auto_json cJSON *files = tool ? ao_managed_edits(tree, TOOL) : NULL;
	if (!files)
		return;
	ao_auto_str char *before = known_text(p, map, tree), *now = edits_text(files, wanted);
	if (before == now || (before && now && strcmp(before, now) == 0))
		return;
	if (before)
		ao_json_parse(before, strlen(before), &known, NULL);
	const cJSON *known_files = ao_json_at(known, "files");
	ao_auto_str char *came = names_without(files, known_files), *went = names_without(known_files, files);
	if (went)
		say_put_back(p, map, tool, went, ao_json_str(known, "bundle"));
	if (came)
		say_edited(p, map, tool, came);
	free(ao_map_put(p->edited, map->uid, ao_xstrdup(now ? now : "")));
	ao_annotations_put(p->edit_notes, map->namespace_, map->name, now);
}

void ao_put_back_look(ao_policies *p)
{
	const ao_edit_maps maps = ao_edit_maps_of(p, AO_ROLLOUT_MAIN);
	ao_edit_cursor cursor = {0};
	for (const ao_object *map; (map = ao_edit_maps_next(&maps, &cursor));)
		look_at(p, map);
}
