/*
 * store.c -- one block of memory per object: the struct, its short strings, its text.
 *
 * Nothing here builds a tree: spans find what look-ups need, the rest is copied as it came.
 */
#include "kube/store.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "kube/projection.h"

#include <stdlib.h>
#include <string.h>

#define MAX_OBJECT (8 * 1024 * 1024)

/** Objects that share an index value, sorted by key. */
typedef struct group {
	const ao_object **items;
	size_t count;
} group;

struct ao_store {
	ao_store_options options;
	char *index_label, *owner_kind;
	char **managers;
	ao_map *by_key, *by_owner, *by_label;
	ao_buf scratch; /* kept between objects */
};

/* ---- indexes ---- */

static size_t position(const group *g, const char *key)
{
	size_t low = 0, high = g->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (strcmp(g->items[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void index_add(ao_map *index, const char *value, const ao_object *object)
{
	group *g = ao_map_get(index, value);
	if (!g) {
		g = ao_xcalloc(1, sizeof(*g));
		ao_map_put(index, value, g);
	}
	size_t at = position(g, object->key);
	g->items = ao_xrealloc(g->items, (g->count + 1) * sizeof(*g->items));
	memmove(g->items + at + 1, g->items + at, (g->count - at) * sizeof(*g->items));
	g->items[at] = object;
	g->count++;
}

static void index_remove(ao_map *index, const char *value, const ao_object *object)
{
	group *g = ao_map_get(index, value);
	size_t at = g ? position(g, object->key) : 0;
	if (!g || at >= g->count || g->items[at] != object)
		return;
	memmove(g->items + at, g->items + at + 1, (g->count - at - 1) * sizeof(*g->items));
	if (--g->count)
		return;
	ao_map_remove(index, value);
	free(g->items);
	free(g);
}

static char *label_key(const char *namespace_, const char *value) { return ao_xasprintf("%s/%s", namespace_, value); }

static void link_object(ao_store *store, const ao_object *object)
{
	if (*object->owner_uid)
		index_add(store->by_owner, object->owner_uid, object);
	if (*object->label) {
		ao_auto_str char *key = label_key(object->namespace_, object->label);
		index_add(store->by_label, key, object);
	}
}

static void unlink_object(ao_store *store, const ao_object *object)
{
	if (*object->owner_uid)
		index_remove(store->by_owner, object->owner_uid, object);
	if (*object->label) {
		ao_auto_str char *key = label_key(object->namespace_, object->label);
		index_remove(store->by_label, key, object);
	}
}

/* ---- the store ---- */

static char **copy_list(const char *const *list)
{
	size_t count = 0;
	while (list && list[count])
		count++;
	char **copy = ao_xcalloc(count + 1, sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		copy[i] = ao_xstrdup(list[i]);
	return copy;
}

ao_store *ao_store_new(const ao_store_options *options)
{
	ao_store *store = ao_xcalloc(1, sizeof(*store));
	store->options = *options;
	store->index_label = ao_xstrdup(options->index_label);
	store->owner_kind = ao_xstrdup(options->owner_kind);
	store->managers = copy_list(options->managers);
	store->by_key = ao_map_new();
	store->by_owner = ao_map_new();
	store->by_label = ao_map_new();
	store->scratch = ao_buf_init(MAX_OBJECT);
	return store;
}

static void free_groups(ao_map *index)
{
	size_t cursor = 0;
	for (group *g; (g = ao_map_next(index, &cursor, NULL));) {
		free(g->items);
		free(g);
	}
	ao_map_free(index);
}

void ao_store_free(ao_store *store)
{
	if (!store)
		return;
	size_t cursor = 0;
	for (void *object; (object = ao_map_next(store->by_key, &cursor, NULL));)
		free(object);
	ao_map_free(store->by_key);
	free_groups(store->by_owner);
	free_groups(store->by_label);
	for (char **m = store->managers; *m; m++)
		free(*m);
	free(store->managers);
	free(store->index_label);
	free(store->owner_kind);
	ao_buf_free(&store->scratch);
	free(store);
}

const ao_object *ao_store_get(const ao_store *store, const char *key) { return ao_map_get(store->by_key, key); }
size_t ao_store_count(const ao_store *store) { return ao_map_count(store->by_key); }
const ao_object *ao_store_next(const ao_store *store, size_t *cursor) { return ao_map_next(store->by_key, cursor, NULL); }

bool ao_store_remove(ao_store *store, const char *key)
{
	ao_object *object = ao_map_remove(store->by_key, key);
	if (!object)
		return false;
	unlink_object(store, object);
	free(object);
	return true;
}

static void each(const ao_map *index, const char *value, void (*fn)(void *arg, const ao_object *object), void *arg)
{
	const group *g = ao_map_get(index, value);
	for (size_t i = 0; g && i < g->count; i++)
		fn(arg, g->items[i]);
}

void ao_store_each_owned(const ao_store *store, const char *owner_uid, void (*fn)(void *arg, const ao_object *object), void *arg)
{
	each(store->by_owner, owner_uid, fn, arg);
}

void ao_store_each_labelled(const ao_store *store, const char *namespace_, const char *value,
			    void (*fn)(void *arg, const ao_object *object), void *arg)
{
	ao_auto_str char *key = label_key(namespace_, value);
	each(store->by_label, key, fn, arg);
}

/* ---- taking an object in ---- */

/** What is found in the text, before it has a home. */
typedef struct found {
	char *namespace_, *name, *uid, *resource_version, *owner_uid, *owner_kind, *owner_name, *label;
} found;

static void free_found(found *f)
{
	free(f->namespace_);
	free(f->name);
	free(f->uid);
	free(f->resource_version);
	free(f->owner_uid);
	free(f->owner_kind);
	free(f->owner_name);
	free(f->label);
}

static void find_owner(ao_span metadata, found *f)
{
	ao_span owners = ao_span_get(metadata, "ownerReferences"), owner, controller;
	size_t cursor = 0;
	while (ao_span_item(owners, &cursor, &owner)) {
		controller = ao_span_get(owner, "controller");
		if (controller.len != 4 || memcmp(controller.at, "true", 4) != 0)
			continue;
		f->owner_uid = ao_span_text(ao_span_get(owner, "uid"));
		f->owner_kind = ao_span_text(ao_span_get(owner, "kind"));
		f->owner_name = ao_span_text(ao_span_get(owner, "name"));
		return;
	}
}

static bool is_manager(const ao_store *store, ao_span name)
{
	for (char *const *m = store->managers; *m; m++)
		if (ao_span_is(name, *m))
			return true;
	return false;
}

/** Looks at managedFields before they are cut away. */
static void find_ownership(const ao_store *store, ao_span metadata, ao_object *object)
{
	ao_span entries = ao_span_get(metadata, "managedFields"), entry;
	size_t cursor = 0;
	while (ao_span_item(entries, &cursor, &entry)) {
		if (ao_span_get(entry, "subresource").at || !is_manager(store, ao_span_get(entry, "manager")))
			continue;
		ao_span operation = ao_span_get(entry, "operation");
		if (ao_span_is(operation, "Update"))
			object->legacy_owned = true;
		else if (ao_span_at(entry, "fieldsV1", "f:spec", "f:replicas").at)
			object->owns_replicas = true;
	}
}

static bool server_owned(ao_span key)
{
	static const char *const keys[] = {"resourceVersion", "generation", "managedFields", "uid", "creationTimestamp", "selfLink"};
	for (size_t i = 0; i < AO_LEN(keys); i++)
		if (strlen(keys[i]) == key.len && memcmp(keys[i], key.at, key.len) == 0)
			return true;
	return false;
}

/** The digest of what a person or we could have changed, over compact text. */
static uint64_t digest_spec(ao_span object)
{
	uint64_t digest = AO_HASH_INIT;
	size_t cursor = 0, inner;
	ao_span key, value, name, field;
	while (ao_span_member(object, &cursor, &key, &value)) {
		bool metadata = key.len == 8 && memcmp(key.at, "metadata", 8) == 0;
		bool other = (key.len == 6 && memcmp(key.at, "status", 6) == 0) || (key.len == 4 && memcmp(key.at, "kind", 4) == 0) ||
			     (key.len == 10 && memcmp(key.at, "apiVersion", 10) == 0); /* lists leave kind and apiVersion out */
		if (other)
			continue;
		digest = ao_hash(digest, key.at, key.len);
		if (!metadata)
			digest = ao_hash(digest, value.at, value.len);
		inner = 0;
		while (metadata && ao_span_member(value, &inner, &name, &field))
			if (!server_owned(name)) {
				digest = ao_hash(digest, name.at, name.len);
				digest = ao_hash(digest, field.at, field.len);
			}
	}
	return digest;
}

static const char *place(char **at, const char *text)
{
	size_t len = strlen(text) + 1;
	char *placed = memcpy(*at, text, len);
	*at += len;
	return placed;
}

static size_t size_of(const char *text) { return text ? strlen(text) + 1 : 1; }

/** Builds the block. The order of placing is the order of the sum. */
static ao_object *build(const found *f, const ao_object *flags, const char *text, size_t len)
{
	size_t key_size = (f->namespace_ ? strlen(f->namespace_) + 1 : 0) + size_of(f->name);
	size_t size = sizeof(ao_object) + key_size + size_of(f->namespace_) + size_of(f->uid) + size_of(f->resource_version) +
		      size_of(f->owner_uid) + size_of(f->owner_kind) + size_of(f->owner_name) + size_of(f->label) + len + 1;
	ao_object *object = ao_xmalloc(size);
	char *at = (char *)(object + 1);
	*object = *flags;
	ao_auto_str char *key = f->namespace_ ? ao_xasprintf("%s/%s", f->namespace_, f->name) : ao_xstrdup(f->name);
	object->key = place(&at, key);
	object->name = f->namespace_ ? object->key + strlen(f->namespace_) + 1 : object->key;
	object->namespace_ = place(&at, f->namespace_ ? f->namespace_ : "");
	object->uid = place(&at, f->uid);
	object->resource_version = place(&at, f->resource_version ? f->resource_version : "");
	object->owner_uid = place(&at, f->owner_uid ? f->owner_uid : "");
	object->owner_kind = place(&at, f->owner_kind ? f->owner_kind : "");
	object->owner_name = place(&at, f->owner_name ? f->owner_name : "");
	object->label = place(&at, f->label ? f->label : "");
	memcpy(at, text, len + 1);
	object->text = at;
	object->len = len;
	return object;
}

static void adopt(ao_store *store, ao_object *object)
{
	ao_object *old = ao_map_get(store->by_key, object->key);
	if (old)
		unlink_object(store, old);
	ao_map_put(store->by_key, object->key, object);
	link_object(store, object);
	free(old);
}

static int take(ao_store *store, ao_span object, const found *f, ao_span metadata, const ao_object **ret, ao_err **reterr)
{
	ao_object flags = {.generation = ao_span_int(ao_span_get(metadata, "generation"), 0),
			   .deleting = ao_span_get(metadata, "deletionTimestamp").at != NULL};
	find_ownership(store, metadata, &flags);
	ao_buf_clear(&store->scratch);
	if (store->options.pod_projection)
		ao_project_pod(object, &store->scratch);
	else
		ao_span_without(object, "metadata.managedFields", &store->scratch);
	if (store->scratch.overflow)
		return ao_err_set(reterr, -EINVAL, "object %s is larger than %d bytes", f->name, MAX_OBJECT);
	flags.spec_digest = digest_spec((ao_span){store->scratch.data, store->scratch.len});
	flags.full_digest = ao_hash(AO_HASH_INIT, store->scratch.data, store->scratch.len);
	ao_object *built = build(f, &flags, store->scratch.data, store->scratch.len);
	adopt(store, built);
	*ret = built;
	return 0;
}

/** The value of a label; label keys hold dots and slashes, so they are one step. */
static char *find_label(const ao_store *store, ao_span metadata)
{
	return store->index_label ? ao_span_text(ao_span_at(metadata, "labels", store->index_label)) : NULL;
}

int ao_store_put(ao_store *store, ao_span object, const ao_object **ret, ao_err **reterr)
{
	ao_span metadata = ao_span_get(object, "metadata");
	found f = {
	    .namespace_ = ao_span_text(ao_span_get(metadata, "namespace")),
	    .name = ao_span_text(ao_span_get(metadata, "name")),
	    .uid = ao_span_text(ao_span_get(metadata, "uid")),
	    .resource_version = ao_span_text(ao_span_get(metadata, "resourceVersion")),
	    .label = find_label(store, metadata),
	};
	int r = 0;
	find_owner(metadata, &f);
	if (!f.name || !f.uid) {
		r = ao_err_set(reterr, -EINVAL, "no object with metadata.name and metadata.uid");
	} else if (store->owner_kind && (!f.owner_kind || strcmp(f.owner_kind, store->owner_kind) != 0)) {
		ao_auto_str char *key = f.namespace_ ? ao_xasprintf("%s/%s", f.namespace_, f.name) : ao_xstrdup(f.name);
		ao_store_remove(store, key);
		r = -ENOENT;
	} else {
		r = take(store, object, &f, metadata, ret, reterr);
	}
	free_found(&f);
	return r;
}

/** Resource versions are decimal numbers of any length. */
static int compare_versions(const char *a, const char *b)
{
	size_t x = strlen(a), y = strlen(b);
	return x != y ? (x < y ? -1 : 1) : strcmp(a, b);
}

int ao_store_put_answer(ao_store *store, const char *body, size_t len, const ao_object **ret, ao_err **reterr)
{
	ao_span object = {body, len}, metadata = ao_span_get(object, "metadata");
	ao_auto_str char *namespace_ = ao_span_text(ao_span_get(metadata, "namespace")),
			 *name = ao_span_text(ao_span_get(metadata, "name"));
	ao_auto_str char *version = ao_span_text(ao_span_get(metadata, "resourceVersion"));
	ao_auto_str char *key = !name ? NULL : namespace_ ? ao_xasprintf("%s/%s", namespace_, name) : ao_xstrdup(name);
	const ao_object *stored = key ? ao_store_get(store, key) : NULL;
	if (stored && version && compare_versions(version, stored->resource_version) <= 0) {
		*ret = stored;
		return 0;
	}
	return ao_store_put(store, object, ret, reterr);
}

int ao_object_tree(const ao_object *object, cJSON **ret, ao_err **reterr) { return ao_json_parse(object->text, object->len, ret, reterr); }
