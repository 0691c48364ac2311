/*
 * world.c -- informers, and the way from a changed object to the parent it concerns.
 *
 * Everything is listed at once, and no work begins before all of it is known.  With a list of namespaces we cannot wait for that, because
 * one of them may not exist.  So the parents of a namespace are listed last there, and no parent is seen before its children.  Many
 * namespaces make more watches than one connection can carry, so every few namespaces share a connection of their own.
 */
#include "reconcile/world.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/redact.h"
#include "reconcile/owner.h"
#include "reconcile/related.h"

#include <string.h>

#define MAX_WATCHES 50 /* on one connection, which carries 100 requests */

/** One kind in one place. */
typedef struct watched {
	struct place *place;
	const ao_kind *kind;
	ao_informer *informer;
} watched;

/** A namespace, or all of them. */
typedef struct place {
	ao_world *world;
	const char *namespace_; /* NULL: all */
	watched *watched;       /* one per kind, same order */
	bool opened;            /* the list of its parents has begun */
	bool missed;            /* it was said that it cannot be seen */
} place;

struct ao_world {
	const ao_manifest *manifest;
	const ao_scope *scope;
	ao_world_listener listener;
	ao_store **stores; /* one per kind, same order */
	bool *absent;      /* one per kind: it was said that it is not installed */
	bool *denied;      /* ... that a policy's kind cannot be listed */
	ao_relations *relations;
	place *places;
	size_t place_count;
	ao_kube **clients; /* beside the one we were given */
	size_t client_count;
	bool synced;
};

static const ao_kind *parent_kind(const ao_world *world) { return &world->manifest->kinds[0]; }

/** Another object, or one that is being deleted now, or one that looks the same but has another generation (changed there and back in a gap
 * of the watch). */
static bool is_other(const ao_object *object, const ao_object *before)
{
	return strcmp(before->uid, object->uid) != 0 || before->deleting != object->deleting || before->generation != object->generation;
}

static void on_parent_change(ao_world *world, ao_change change, const ao_object *object, const ao_object *before)
{
	if (change == AO_UPDATED && world->listener.on_seen)
		world->listener.on_seen(world->listener.arg, object, before);
	if (change == AO_UPDATED && before->spec_digest == object->spec_digest && !is_other(object, before)) {
		if (world->manifest->patches_status && !object->stub) /* only its status: others' */
			world->listener.on_dependent(world->listener.arg, object->key);
		return; /* ... or our own write */
	}
	if (change == AO_DELETED)
		ao_relations_forget(world->relations, object->key);
	world->listener.on_parent(world->listener.arg, object->key, change == AO_UPDATED && !object->deleting);
}

static void wake_key(void *arg, const char *key)
{
	ao_world *world = arg;
	if (ao_store_get(ao_world_parents(world), key))
		world->listener.on_dependent(world->listener.arg, key);
}

static void wake_owner(ao_world *world, const ao_kind *kind, const ao_object *child)
{
	ao_auto_str char *key = ao_owner_key(world->manifest, kind, child);
	if (key)
		wake_key(world, key);
}

/** The parent of the child that owns this object. */
static void wake_grandparent(ao_world *world, const ao_kind *kind, const ao_object *object)
{
	for (size_t i = 0; i < world->manifest->kind_count; i++) {
		const ao_kind *of = &world->manifest->kinds[i];
		if (of->role != AO_ROLE_CHILD || strcmp(of->resource.kind, kind->owner) != 0)
			continue;
		ao_auto_str char *key = ao_owner_key_of(of, object);
		const ao_object *owner = ao_store_get(ao_world_store(world, of), key);
		if (owner && strcmp(owner->uid, object->owner_uid) == 0)
			wake_owner(world, of, owner);
	}
}

static void wake_labelled(ao_world *world, const ao_object *object)
{
	ao_auto_str char *key = ao_xasprintf("%s/%s", object->namespace_, object->label);
	wake_key(world, key);
}

static void wake_visitor(void *arg, const ao_object *parent) { wake_key(arg, parent->key); }

/** Wakes the parent that a change concerns. */
static void tell(ao_world *world, const ao_kind *kind, ao_change change, const ao_object *object, const ao_object *before)
{
	switch (kind->role) {
	case AO_ROLE_PARENT:
		on_parent_change(world, change, object, before);
		break;
	case AO_ROLE_CHILD:
		wake_owner(world, kind, object);
		if (before && strcmp(before->owner_name, object->owner_name) != 0)
			wake_owner(world, kind, before);
		break;
	case AO_ROLE_SHARED:
		world->listener.on_shared(world->listener.arg, kind, object->key);
		break;
	case AO_ROLE_RELATED:
		if (kind->rules)
			ao_relations_tell(world->relations, kind, object, before, change == AO_DELETED, wake_key, world);
		else if (kind->owner)
			wake_grandparent(world, kind, object);
		else if (kind->same && *object->label)
			ao_store_each_labelled(ao_world_parents(world), object->namespace_, object->label, wake_visitor, world);
		else if (*object->label)
			wake_labelled(world, object);
		break;
	}
}

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	(void)informer;
	const watched *w = arg;
	tell(w->place->world, w->kind, change, object, before);
}

/* ---- what is known ---- */

static bool is_forbidden(const place *p, const char **ret_plural)
{
	for (size_t i = 0; i < p->world->manifest->kind_count; i++)
		if (!p->watched[i].kind->optional && ao_informer_forbidden(p->watched[i].informer)) {
			*ret_plural = p->watched[i].kind->resource.plural;
			return true;
		}
	return false;
}

static bool is_known(const place *p, size_t first_kind)
{
	for (size_t i = first_kind; i < p->world->manifest->kind_count; i++)
		if (!ao_informer_synced(p->watched[i].informer))
			return false;
	return true;
}

static void look_at_place(place *p)
{
	const char *plural = NULL;
	bool forbidden = is_forbidden(p, &plural);
	if (forbidden && !p->missed) {
		ao_warn(AO_CORE, NULL,
			"is not allowed to list %s in namespace %s; does it exist, with our Role and RoleBinding in it? It is asked again",
			plural, p->namespace_);
		p->missed = true;
	}
	if (!forbidden && !p->opened && is_known(p, 1)) {
		p->opened = true;
		ao_informer_start(p->watched[0].informer);
	}
	if (!forbidden && p->missed && is_known(p, 0)) {
		ao_info(AO_CORE, NULL, "namespace %s can be seen now", p->namespace_);
		p->missed = false;
	}
}

static void tell_absent(const watched *w, bool absent)
{
	ao_world *world = w->place->world;
	bool *said = &world->absent[w->kind - world->manifest->kinds];
	if (*said == absent)
		return;
	*said = absent;
	if (absent) {
		const char *command = w->kind->role == AO_ROLE_PARENT ? world->manifest->install : NULL;
		ao_warn(AO_CORE, NULL, "%s (%s) is not installed in this cluster; waiting for it%s%s", w->kind->resource.kind,
			w->kind->resource.api_version, command ? ". Install it: " : "", command ? command : "");
	} else
		ao_info(AO_CORE, NULL, "%s (%s) is installed now", w->kind->resource.kind, w->kind->resource.api_version);
	if (world->synced && world->listener.on_installed)
		world->listener.on_installed(world->listener.arg);
}

/** What a policy declares may not be covered by our role, which knows the manifest's kinds only. */
static void tell_denied(const watched *w)
{
	ao_world *world = w->place->world;
	bool *said = &world->denied[w->kind - world->manifest->kinds], denied = ao_world_denied(world, w->kind);
	if (!w->kind->optional || *said == denied)
		return;
	*said = denied;
	ao_relations_deny(world->relations, w->kind, denied);
	ao_auto_str char *rule = ao_kind_rule(w->kind);
	if (denied)
		ao_warn(AO_CORE, NULL, "is not allowed to list %s, which %s. The rule for the chart's rbac.extraRules: %s",
			w->kind->resource.plural, w->kind->rules ? "policies ask for" : "a policy declares", rule);
	else
		ao_info(AO_CORE, NULL, "is allowed to list %s now", w->kind->resource.plural);
	if (!denied && world->synced && world->listener.on_installed)
		world->listener.on_installed(world->listener.arg);
}

static void on_synced(void *arg, ao_informer *informer, bool absent)
{
	const watched *w = arg;
	ao_world *world = w->place->world;
	const char *plural;
	if (!ao_informer_forbidden(informer))
		tell_absent(w, absent);
	tell_denied(w);
	look_at_place(w->place);
	if (world->synced)
		return;
	for (size_t i = 0; i < world->place_count; i++)
		if (!is_known(&world->places[i], 0) && !is_forbidden(&world->places[i], &plural))
			return;
	world->synced = true;
	world->listener.on_synced(world->listener.arg);
}

/* ---- life ---- */

static ao_store *new_store(const ao_world *world, const ao_kind *kind)
{
	bool parent = kind->role == AO_ROLE_PARENT;
	return ao_store_new(&(ao_store_options){
	    .index_label = parent ? world->manifest->parent_label : kind->label,
	    .manager = world->manifest->field_manager,
	    .legacy_managers = (const char *const *)world->manifest->legacy_managers,
	    .projection = kind->projection,
	    .owner_kind = kind->by_label                ? NULL
			  : kind->role == AO_ROLE_CHILD ? parent_kind(world)->resource.kind
							: kind->owner,
	    .owner_label = kind->by_label ? world->manifest->owner_label : NULL,
	    .owner_annotation = world->manifest->owner_annotation,
	    .annotation = parent ? world->manifest->class_annotation : NULL,
	    .annotation_value = world->scope->class_,
	    .traits = world->manifest->traits,
	    .trait_count = parent ? world->manifest->trait_count : 0,
	    .namespaces = (const char *const *)world->scope->namespaces,
	});
}

static void init_place(ao_loop *loop, ao_kube *kube, ao_world *world, place *p, const char *namespace_)
{
	*p = (place){.world = world, .namespace_ = namespace_, .opened = !namespace_ || world->manifest->kind_count == 1};
	p->watched = ao_xcalloc(world->manifest->kind_count, sizeof(*p->watched));
	for (size_t i = 0; i < world->manifest->kind_count; i++) {
		const ao_kind *kind = &world->manifest->kinds[i];
		p->watched[i] = (watched){.place = p, .kind = kind};
		p->watched[i].informer = ao_informer_new(loop, kube,
							 &(ao_informer_options){
							     .resource = &kind->resource,
							     .namespace_ = namespace_,
							     .label_selector = kind->selector ? kind->selector : kind->label,
							     .into = world->stores[i],
							     .patient = namespace_ || kind->optional,
							     .on_change = on_change,
							     .on_synced = on_synced,
							     .arg = &p->watched[i],
							 });
	}
}

ao_world *ao_world_new(ao_loop *loop, ao_kube *kube, const ao_manifest *manifest, const ao_scope *scope, const ao_world_listener *listener)
{
	ao_world *world = ao_xcalloc(1, sizeof(*world));
	*world = (ao_world){.manifest = manifest, .scope = scope, .listener = *listener, .place_count = 1};
	world->stores = ao_xcalloc(manifest->kind_count, sizeof(*world->stores));
	world->absent = ao_xcalloc(manifest->kind_count, sizeof(*world->absent));
	world->denied = ao_xcalloc(manifest->kind_count, sizeof(*world->denied));
	for (size_t i = 0; i < manifest->kind_count; i++)
		world->stores[i] = new_store(world, &manifest->kinds[i]);
	world->relations = ao_relations_new(manifest, world->stores);
	while (scope->namespaces && scope->namespaces[world->place_count])
		world->place_count++;
	world->places = ao_xcalloc(world->place_count, sizeof(*world->places));
	world->clients = ao_xcalloc(world->place_count, sizeof(ao_kube *));
	for (size_t i = 0, watches = 0; i < world->place_count; i++) {
		watches += manifest->kind_count;
		if (i && watches > MAX_WATCHES) {
			watches = manifest->kind_count;
			world->clients[world->client_count++] = ao_kube_sibling(kube);
		}
		ao_kube *client = world->client_count ? world->clients[world->client_count - 1] : kube;
		init_place(loop, client, world, &world->places[i], scope->namespaces ? scope->namespaces[i] : NULL);
	}
	return world;
}

void ao_world_start(ao_world *world)
{
	for (size_t i = 0; i < world->place_count; i++)
		for (size_t k = world->places[i].opened ? 0 : 1; k < world->manifest->kind_count; k++)
			ao_informer_start(world->places[i].watched[k].informer);
}

void ao_world_free(ao_world *world)
{
	if (!world)
		return;
	for (size_t i = 0; i < world->place_count; i++) {
		for (size_t k = 0; k < world->manifest->kind_count; k++)
			ao_informer_free(world->places[i].watched[k].informer);
		free(world->places[i].watched);
	}
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		ao_store_free(world->stores[i]);
	for (size_t i = 0; i < world->client_count; i++)
		ao_kube_free(world->clients[i]);
	free(world->clients);
	free(world->places);
	free(world->absent);
	free(world->denied);
	ao_relations_free(world->relations);
	free(world->stores);
	free(world);
}

bool ao_world_synced(const ao_world *world) { return world->synced; }

char *ao_world_tell(const ao_world *world)
{
	const char *install = world->manifest->install;
	if (!world->synced)
		return ao_xstrdup("filling");
	if (!ao_world_absent(world, parent_kind(world)))
		return ao_xstrdup("filled");
	return ao_xasprintf("waiting for the kind %s, which is not installed%s%s", parent_kind(world)->resource.kind, install ? ": " : "",
			    install ? install : "");
}
const ao_manifest *ao_world_manifest(const ao_world *world) { return world->manifest; }
const ao_scope *ao_world_scope(const ao_world *world) { return world->scope; }
ao_store *ao_world_parents(ao_world *world) { return world->stores[0]; }

ao_store *ao_world_store(ao_world *world, const ao_kind *kind) { return world->stores[kind - world->manifest->kinds]; }

bool ao_world_absent(const ao_world *world, const ao_kind *kind) { return world->absent[kind - world->manifest->kinds]; }

bool ao_world_denied(const ao_world *world, const ao_kind *kind)
{
	for (size_t i = 0; i < world->place_count; i++)
		if (kind->optional && ao_informer_forbidden(world->places[i].watched[kind - world->manifest->kinds].informer))
			return true;
	return false;
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

/* ---- answers ---- */

/** Is there nothing in the answer but what we wrote? */
static bool is_ours_alone(ao_wrote wrote, const ao_object *object, const ao_object *before)
{
	if (!before)
		return wrote == AO_WROTE_OBJECT; /* created */
	if (before->full_digest == object->full_digest)
		return true;
	if (wrote == AO_WROTE_STATUS)
		return before->spec_digest == object->spec_digest && !is_other(object, before);
	return strcmp(before->uid, object->uid) == 0 && (wrote == AO_WROTE_DELETION || before->deleting == object->deleting);
}

bool ao_world_put_answer(ao_world *world, const ao_kind *kind, ao_wrote wrote, const ao_kube_answer *answer, uint64_t *ret_digest)
{
	ao_answered took = {0};
	ao_auto_err ao_err *err = NULL;
	int r = ao_store_put_answer(ao_world_store(world, kind), answer->body, answer->body_len, &took, &err);
	if (r < 0 && r != -ENOENT) /* that one: it was deleted while the answer was on its way */
		ao_warn(AO_CORE, NULL, "the server's answer is not a valid %s: %s", kind->resource.kind, ao_err_text(err));
	if (r == -ENOENT && took.before)
		tell(world, kind, AO_DELETED, took.before, NULL);
	else if (took.taken && !is_ours_alone(wrote, took.object, took.before))
		tell(world, kind, took.before ? AO_UPDATED : AO_ADDED, took.object, took.before);
	ao_object_free(took.before);
	if (ret_digest && r == 0)
		*ret_digest = took.spec_digest;
	return r == 0;
}

void ao_world_deleted(ao_world *world, const ao_kind *kind, const char *key, const char *uid, const ao_kube_answer *answer)
{
	ao_store *store = ao_world_store(world, kind);
	const ao_object *object = ao_store_get(store, key);
	ao_span body = {answer->body, answer->body_len};
	if (!object || strcmp(object->uid, uid) != 0)
		return; /* the watch was here before us */
	if (answer->error == 0 && ao_span_is(ao_span_get(body, "kind"), kind->resource.kind))
		ao_world_put_answer(world, kind, AO_WROTE_DELETION, answer, NULL);
	else
		ao_store_remove(store, key);
}

const ao_object *ao_world_put_unlisted(ao_world *world, const ao_kind *kind, const char *key, const ao_kube_answer *answer)
{
	const ao_object *object = NULL;
	ao_object *before = NULL;
	ao_store *store = ao_world_store(world, kind);
	int r = ao_store_swap(store, (ao_span){answer->body, answer->body_len}, true, &object, &before, NULL);
	ao_object_free(before);
	return r == 0 || r == -ESTALE ? ao_store_get(store, key) : NULL; /* the latter: the watch knows a newer one */
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

/** Collects trees into an array; the first that cannot be read is kept as the error. */
typedef struct collector {
	ao_world *world;
	cJSON *array;
	int code;
	ao_err *err;
} collector;

static void collect_object(void *arg, const ao_kind *kind, const ao_object *object)
{
	collector *c = arg;
	cJSON *tree = NULL;
	if (c->code)
		return;
	c->code = ao_world_tree(kind, object, &tree, &c->err);
	ao_redact_secret(tree);
	if (tree)
		cJSON_AddItemToArray(c->array, tree);
}

static void collect_absent(const ao_world *world, cJSON *snapshot)
{
	cJSON *absent = cJSON_AddArrayToObject(snapshot, "absent");
	for (size_t i = 0; i < world->manifest->kind_count; i++)
		if (world->absent[i])
			cJSON_AddItemToArray(absent, cJSON_CreateString(world->manifest->kinds[i].resource.kind));
}

static void each_related(ao_world *world, const ao_object *parent, const char *rules_of,
			 void (*fn)(void *arg, const ao_kind *kind, const ao_object *object), void *arg)
{
	ao_related_each(world, world->relations, parent, rules_of, fn, arg);
}

int ao_world_relate(ao_world *world, const char *parent, const cJSON *rules, ao_err **reterr)
{
	return ao_relations_set(world->relations, parent, rules, reterr);
}

static void collect_all(const ao_object *parent, cJSON *snapshot, collector *c)
{
	c->array = cJSON_AddArrayToObject(snapshot, "children");
	ao_world_each_child(c->world, parent->uid, collect_object, c);
	c->array = cJSON_AddArrayToObject(snapshot, "related");
	each_related(c->world, parent, parent->key, collect_object, c);
	collect_absent(c->world, snapshot);
}

/** Added up, because objects come in no order. */
static void add_digest(void *arg, const ao_kind *kind, const ao_object *object)
{
	(void)kind;
	*(uint64_t *)arg += ao_hash(object->full_digest, object->uid, strlen(object->uid));
}

uint64_t ao_world_related_digest(ao_world *world, const ao_object *parent)
{
	uint64_t digest = AO_HASH_INIT;
	each_related(world, parent, parent->key, add_digest, &digest);
	return digest;
}

uint64_t ao_world_children_digest(ao_world *world, const ao_object *parent)
{
	uint64_t digest = AO_HASH_INIT;
	ao_world_each_child(world, parent->uid, add_digest, &digest);
	return digest;
}

uint64_t ao_world_absent_digest(const ao_world *world)
{
	size_t size = world->manifest->kind_count * sizeof(bool);
	return ao_hash(ao_hash(AO_HASH_INIT, world->absent, size), world->denied, size);
}

static int end_collecting(collector *c, ao_err **reterr)
{
	if (c->code == 0)
		return 0;
	ao_err_set(reterr, c->code, "%s", ao_err_text(c->err));
	ao_err_free(c->err);
	return c->code;
}

int ao_world_show_related(ao_world *world, const ao_object *parent, const cJSON *rules, cJSON *snapshot, ao_err **reterr)
{
	static const char ONCE[] = "?"; /* no parent's key */
	collector c = {.world = world, .array = cJSON_CreateArray()};
	ao_json_set(snapshot, "related", c.array);
	int r = ao_world_relate(world, ONCE, rules, reterr);
	if (r == 0) {
		each_related(world, parent, ONCE, collect_object, &c);
		r = end_collecting(&c, reterr);
	}
	ao_relations_forget(world->relations, ONCE);
	return r;
}

int ao_world_snapshot(ao_world *world, const ao_object *parent, cJSON **ret, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = cJSON_CreateObject();
	cJSON *tree = NULL;
	int r = ao_world_tree(parent_kind(world), parent, &tree, reterr);
	if (r < 0)
		return r;
	ao_redact_secret(tree);
	char now[AO_TIME_TEXT];
	ao_time_second_text(ao_wall_ms(), now);
	ao_json_set_str(snapshot, "now", now);
	ao_json_set(snapshot, "parent", tree);
	collector c = {.world = world};
	collect_all(parent, snapshot, &c);
	r = end_collecting(&c, reterr);
	if (r < 0)
		return r;
	*ret = AO_TAKE(snapshot);
	return 0;
}
