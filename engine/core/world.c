/* world.c -- informers, and the way from a changed object to the parent it concerns. */
#include "core/world.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

typedef struct watched {
	ao_world *world;
	const ao_kind *kind;
	ao_informer *informer;
} watched;

struct ao_world {
	const ao_manifest *manifest;
	ao_world_listener listener;
	watched *watched; /* one per kind, same order */
	bool synced;
};

static const ao_kind *parent_kind(const ao_world *world) { return &world->manifest->kinds[0]; }

static void on_parent_change(ao_world *world, ao_change change, const ao_object *object, const ao_object *before)
{
	if (change == AO_UPDATED && before->spec_digest == object->spec_digest)
		return; /* only its status: our own write */
	world->listener.on_parent(world->listener.arg, object->key);
}

static void wake(ao_world *world, const char *namespace_, const char *name)
{
	ao_auto_str char *key = *namespace_ ? ao_xasprintf("%s/%s", namespace_, name) : ao_xstrdup(name);
	if (ao_store_get(ao_world_parents(world), key))
		world->listener.on_dependent(world->listener.arg, key);
}

/** The parent of the child that owns this object. */
static void wake_grandparent(ao_world *world, const ao_kind *kind, const ao_object *object)
{
	ao_auto_str char *key = ao_xasprintf("%s/%s", object->namespace_, object->owner_name);
	for (size_t i = 0; i < world->manifest->kind_count; i++) {
		const ao_kind *of = &world->manifest->kinds[i];
		if (of->role != AO_ROLE_CHILD || strcmp(of->resource.kind, kind->owner) != 0)
			continue;
		const ao_object *owner = ao_store_get(ao_world_store(world, of), key);
		if (owner && strcmp(owner->uid, object->owner_uid) == 0)
			wake(world, owner->namespace_, owner->owner_name);
	}
}

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	(void)informer;
	watched *w = arg;
	ao_world *world = w->world;
	switch (w->kind->role) {
	case AO_ROLE_PARENT:
		on_parent_change(world, change, object, before);
		break;
	case AO_ROLE_CHILD:
		if (strcmp(object->owner_kind, parent_kind(world)->resource.kind) == 0)
			wake(world, object->namespace_, object->owner_name);
		break;
	case AO_ROLE_SHARED:
		world->listener.on_shared(world->listener.arg, w->kind, object->key);
		break;
	case AO_ROLE_RELATED:
		if (w->kind->owner)
			wake_grandparent(world, w->kind, object);
		else if (*object->label)
			wake(world, object->namespace_, object->label);
		break;
	}
}

static void on_synced(void *arg, ao_informer *informer, bool absent)
{
	watched *w = arg;
	ao_world *world = w->world;
	if (absent)
		ao_warn(AO_CORE, NULL, "%s (%s) is not installed in this cluster; waiting for it", w->kind->resource.kind,
			w->kind->resource.api_version);
	else if (world->synced)
		ao_info(AO_CORE, NULL, "%s (%s) is installed now", w->kind->resource.kind, w->kind->resource.api_version);
	(void)informer;
	if (world->synced) {
		if (world->listener.on_installed)
			world->listener.on_installed(world->listener.arg);
		return;
	}
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		if (!ao_informer_synced(world->watched[i].informer) && !ao_informer_absent(world->watched[i].informer))
			return;
	world->synced = true;
	world->listener.on_synced(world->listener.arg);
}

ao_world *ao_world_new(ao_loop *loop, ao_kube *kube, const ao_manifest *manifest, const ao_world_listener *listener)
{
	ao_world *world = ao_xcalloc(1, sizeof(*world));
	world->manifest = manifest;
	world->listener = *listener;
	world->watched = ao_xcalloc(manifest->kind_count, sizeof(*world->watched));
	for (size_t i = 0; i < manifest->kind_count; i++) {
		watched *w = &world->watched[i];
		const ao_kind *kind = &manifest->kinds[i];
		*w = (watched){.world = world, .kind = kind};
		ao_informer_options options = {
		    .resource = &kind->resource,
		    .label_selector = kind->selector ? kind->selector : kind->label,
		    .store =
			{
			    .index_label = kind->label,
			    .managers = (const char *const *)manifest->legacy_managers,
			    .projection = kind->projection,
			    .owner_kind = kind->role == AO_ROLE_CHILD ? manifest->kinds[0].resource.kind : kind->owner,
			},
		    .on_change = on_change,
		    .on_synced = on_synced,
		    .arg = w,
		};
		w->informer = ao_informer_new(loop, kube, &options);
	}
	return world;
}

void ao_world_start(ao_world *world)
{
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		ao_informer_start(world->watched[i].informer);
}

void ao_world_free(ao_world *world)
{
	if (!world)
		return;
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		ao_informer_free(world->watched[i].informer);
	free(world->watched);
	free(world);
}

bool ao_world_synced(const ao_world *world) { return world->synced; }
const ao_manifest *ao_world_manifest(const ao_world *world) { return world->manifest; }
ao_store *ao_world_parents(ao_world *world) { return ao_informer_store(world->watched[0].informer); }

ao_store *ao_world_store(ao_world *world, const ao_kind *kind)
{
	return ao_informer_store(world->watched[kind - world->manifest->kinds].informer);
}

bool ao_world_absent(const ao_world *world, const ao_kind *kind)
{
	return ao_informer_absent(world->watched[kind - world->manifest->kinds].informer);
}

const ao_object *ao_world_find(ao_world *world, const ao_kind *kind, const cJSON *desired)
{
	const char *namespace_ = ao_json_str(desired, "metadata", "namespace"), *name = ao_json_str(desired, "metadata", "name");
	ao_auto_str char *key = namespace_ ? ao_xasprintf("%s/%s", namespace_, name) : ao_xstrdup(name);
	return ao_store_get(ao_world_store(world, kind), key);
}

int ao_world_tree(const ao_kind *kind, const ao_object *object, cJSON **ret, ao_err **reterr)
{
	cJSON *tree = NULL;
	if (ao_object_tree(object, &tree, reterr) < 0)
		return ao_err_wrap(reterr, "%s %s", kind->resource.kind, object->key);
	ao_json_set_str(tree, "apiVersion", kind->resource.api_version);
	ao_json_set_str(tree, "kind", kind->resource.kind);
	*ret = tree;
	return 0;
}

const ao_object *ao_world_took(ao_world *world, const ao_kind *kind, const ao_kube_answer *answer)
{
	const ao_object *object = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = ao_store_put_answer(ao_world_store(world, kind), answer->body, answer->body_len, &object, &err);
	if (r < 0 && r != -ENOENT) /* that one: it was deleted while the answer was on its way */
		ao_warn(AO_CORE, NULL, "the server's answer is no %s: %s", kind->resource.kind, ao_err_text(err));
	return object;
}

const ao_object *ao_world_saw(ao_world *world, const ao_kind *kind, const ao_kube_answer *answer)
{
	const ao_object *object = NULL;
	int r = ao_store_put(ao_world_store(world, kind), (ao_span){answer->body, answer->body_len}, &object, NULL);
	return r < 0 ? NULL : object;
}

typedef struct each_child {
	const ao_kind *kind;
	void (*fn)(void *arg, const ao_kind *kind, const ao_object *object);
	void *arg;
} each_child;

static void child_visitor(void *arg, const ao_object *object)
{
	each_child *each = arg;
	each->fn(each->arg, each->kind, object);
}

void ao_world_each_child(ao_world *world, const char *parent_uid, void (*fn)(void *arg, const ao_kind *kind, const ao_object *object),
			 void *arg)
{
	for (size_t i = 0; i < world->manifest->kind_count; i++) {
		each_child each = {&world->manifest->kinds[i], fn, arg};
		if (each.kind->role == AO_ROLE_CHILD)
			ao_store_each_owned(ao_world_store(world, each.kind), parent_uid, child_visitor, &each);
	}
}

uint64_t ao_world_watch_restarts(const ao_world *world)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		sum += ao_informer_restarts(world->watched[i].informer);
	return sum;
}

/** Collects trees into an array; the first that cannot be read is kept as the error. */
typedef struct collector {
	ao_world *world;
	const ao_kind *kind;
	cJSON *array;
	int code;
	ao_err *err;
} collector;

static void collect(collector *c, const ao_kind *kind, const ao_object *object)
{
	cJSON *tree = NULL;
	if (c->code)
		return;
	c->code = ao_world_tree(kind, object, &tree, &c->err);
	if (tree)
		cJSON_AddItemToArray(c->array, tree);
}

static void collect_child(void *arg, const ao_kind *kind, const ao_object *object) { collect(arg, kind, object); }

static void collect_related(void *arg, const ao_object *object)
{
	collector *c = arg;
	collect(c, c->kind, object);
}

/** What is owned by this child, of the kind being collected. */
static void collect_owned(void *arg, const ao_kind *kind, const ao_object *child)
{
	collector *c = arg;
	if (strcmp(kind->resource.kind, c->kind->owner) == 0)
		ao_store_each_owned(ao_world_store(c->world, c->kind), child->uid, collect_related, c);
}

static void collect_absent(const ao_world *world, cJSON *snapshot)
{
	cJSON *absent = cJSON_AddArrayToObject(snapshot, "absent");
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		if (ao_world_absent(world, &world->manifest->kinds[i]))
			cJSON_AddItemToArray(absent, cJSON_CreateString(world->manifest->kinds[i].resource.kind));
}

static void collect_all(const ao_object *parent, cJSON *snapshot, collector *c)
{
	ao_world *world = c->world;
	c->array = cJSON_AddArrayToObject(snapshot, "children");
	ao_world_each_child(world, parent->uid, collect_child, c);
	c->array = cJSON_AddArrayToObject(snapshot, "related");
	for (size_t i = 0; i < world->manifest->kind_count; i++) {
		c->kind = &world->manifest->kinds[i];
		if (c->kind->role == AO_ROLE_RELATED && c->kind->owner)
			ao_world_each_child(world, parent->uid, collect_owned, c);
		else if (c->kind->role == AO_ROLE_RELATED)
			ao_store_each_labelled(ao_world_store(world, c->kind), parent->namespace_, parent->name, collect_related, c);
	}
	collect_absent(world, snapshot);
}

int ao_world_snapshot(ao_world *world, const ao_object *parent, cJSON **ret, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = cJSON_CreateObject();
	cJSON *tree = NULL;
	int r = ao_world_tree(parent_kind(world), parent, &tree, reterr);
	if (r < 0)
		return r;
	char now[AO_TIME_TEXT];
	ao_time_second_text(ao_wall_ms(), now);
	ao_json_set_str(snapshot, "now", now);
	ao_json_set(snapshot, "parent", tree);
	collector c = {.world = world};
	collect_all(parent, snapshot, &c);
	if (c.code < 0) {
		ao_err_set(reterr, c.code, "%s", ao_err_text(c.err));
		ao_err_free(c.err);
		return c.code;
	}
	*ret = AO_TAKE(snapshot);
	return 0;
}
