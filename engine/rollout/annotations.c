/* annotations.c -- a map of the objects whose annotation is being written or waits for that. */
#include "rollout/annotations.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"

#include <stdlib.h>

typedef struct note {
	ao_annotations *notes;
	char *key, *path;
	bool waits;         /* `text` is to be written next */
	char *text;         /* or NULL: the annotation is to go */
	char *off;          /* another annotation that is to go next; or NULL */
	ao_kube_call *call; /* in flight */
} note;

struct ao_annotations {
	ao_kube *kube;
	const ao_resource *resource;
	char *key, *manager;
	ao_map *open; /* "namespace/name" -> note */
};

static void free_note(note *n)
{
	if (n->call)
		ao_kube_cancel(n->call);
	free(n->key);
	free(n->path);
	free(n->text);
	free(n->off);
	free(n);
}

static void write_next(note *n);

static void on_written(void *arg, const ao_kube_answer *answer)
{
	note *n = arg;
	n->call = NULL;
	if (answer->error)
		ao_debug(AO_CORE, n->key, "cannot annotate it: %s", answer->message);
	if (n->waits || n->off) {
		write_next(n);
		return;
	}
	ao_map_remove(n->notes->open, n->key);
	free_note(n);
}

static void write_next(note *n)
{
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	cJSON *annotations = ao_json_object(ao_json_object(patch, "metadata"), "annotations");
	if (n->waits)
		ao_json_set(annotations, n->notes->key, n->text ? cJSON_CreateString(n->text) : cJSON_CreateNull());
	if (n->off)
		ao_json_set(annotations, n->off, cJSON_CreateNull());
	ao_auto_str char *body = ao_json_print(patch);
	free(AO_TAKE(n->text));
	free(AO_TAKE(n->off));
	n->waits = false;
	n->call =
	    ao_kube_send(n->notes->kube,
			 &(ao_kube_request){
			     .method = "PATCH", .path = n->path, .content_type = AO_MERGE_PATCH, .body = body, .fn = on_written, .arg = n});
}

ao_annotations *ao_annotations_new(ao_kube *kube, const ao_resource *resource, const char *key, const char *manager)
{
	ao_annotations *notes = ao_xcalloc(1, sizeof(*notes));
	*notes = (ao_annotations){
	    .kube = kube, .resource = resource, .key = ao_xstrdup(key), .manager = ao_xstrdup(manager), .open = ao_map_new()};
	return notes;
}

void ao_annotations_free(ao_annotations *notes)
{
	if (!notes)
		return;
	size_t cursor = 0;
	for (note *n; (n = ao_map_next(notes->open, &cursor, NULL));)
		free_note(n);
	ao_map_free(notes->open);
	free(notes->key);
	free(notes->manager);
	free(notes);
}

static note *open_note(ao_annotations *notes, const char *namespace_, const char *name)
{
	ao_auto_str char *key = ao_xasprintf("%s/%s", namespace_, name);
	note *n = ao_map_get(notes->open, key);
	if (n)
		return n;
	ao_auto_str char *path = ao_resource_path(notes->resource, namespace_, name, NULL);
	n = ao_xcalloc(1, sizeof(*n));
	*n = (note){.notes = notes, .key = AO_TAKE(key), .path = ao_xasprintf("%s?fieldManager=%s", path, notes->manager)};
	ao_map_put(notes->open, n->key, n);
	return n;
}

void ao_annotations_put(ao_annotations *notes, const char *namespace_, const char *name, const char *text)
{
	note *n = open_note(notes, namespace_, name);
	free(n->text);
	n->text = ao_xstrdup(text);
	n->waits = true;
	if (!n->call)
		write_next(n);
}

void ao_annotations_take_off(ao_annotations *notes, const char *namespace_, const char *name, const char *other)
{
	note *n = open_note(notes, namespace_, name);
	free(n->off);
	n->off = ao_xstrdup(other);
	if (!n->call)
		write_next(n);
}
