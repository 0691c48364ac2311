/*
 * relations.c -- two indexes: from what a rule names to the parents that have such a rule, and from an object to the parents that it belongs to.
 *
 * A rule stands in one bucket: that of its name, of its first label, or of its namespace.  An object is looked up in the few buckets in which
 * a rule that selects it can stand.  What a parent that asks for too much belongs to is not kept, because nobody is shown it: with it a few
 * careless policies would fill the memory.  It is counted anew when something has changed.
 */
#include "reconcile/relations.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct asked {
	const ao_kind *kind;
	const cJSON *spec; /* of the asker's rules */
	char *bucket;
} asked;

typedef struct asker {
	char *key;
	cJSON *spec; /* the rules as they were given */
	asked *rules;
	size_t count;
	ao_map *related; /* id of an object -> its ao_kind; none when they are too many */
	size_t many;     /* how many they were when they were too many; 0: they are not */
	bool touched;    /* ... and one of them has come, changed or gone since */
} asker;

struct ao_relations {
	const ao_manifest *manifest;
	ao_store *const *stores;
	ao_map *askers;  /* key of a parent -> asker */
	ao_map *buckets; /* what rules name -> ao_map of key -> asker */
	ao_map *owners;  /* id of an object -> ao_map of key -> asker: whose it is */
	bool *denied;    /* one per kind, same order */
};

ao_relations *ao_relations_new(const ao_manifest *manifest, ao_store *const *stores)
{
	ao_relations *r = ao_xcalloc(1, sizeof(*r));
	*r = (ao_relations){manifest, stores, ao_map_new(), ao_map_new(), ao_map_new(), ao_xcalloc(manifest->kind_count, sizeof(bool))};
	return r;
}

/* ---- sets of askers ---- */

static void put_into(ao_map *sets, const char *id, asker *who)
{
	ao_map *set = ao_map_get(sets, id);
	if (!set) {
		set = ao_map_new();
		ao_map_put(sets, id, set);
	}
	ao_map_put(set, who->key, who);
}

static void take_from(ao_map *sets, const char *id, const char *key)
{
	ao_map *set = ao_map_get(sets, id);
	if (!set)
		return;
	ao_map_remove(set, key);
	if (!ao_map_count(set)) {
		ao_map_remove(sets, id);
		ao_map_free(set);
	}
}

static void free_sets(ao_map *sets)
{
	size_t cursor = 0;
	for (ao_map *set; (set = ao_map_next(sets, &cursor, NULL));)
		ao_map_free(set);
	ao_map_free(sets);
}

static void free_asker(asker *who)
{
	for (size_t i = 0; i < who->count; i++)
		free(who->rules[i].bucket);
	free(who->rules);
	cJSON_Delete(who->spec);
	ao_map_free(who->related);
	free(who->key);
	free(who);
}

void ao_relations_free(ao_relations *r)
{
	if (!r)
		return;
	size_t cursor = 0;
	for (asker *who; (who = ao_map_next(r->askers, &cursor, NULL));)
		free_asker(who);
	ao_map_free(r->askers);
	free_sets(r->buckets);
	free_sets(r->owners);
	free(r->denied);
	free(r);
}

static void drop_related(ao_relations *r, asker *who)
{
	size_t cursor = 0;
	const char *id;
	while (ao_map_next(who->related, &cursor, &id))
		take_from(r->owners, id, who->key);
	ao_map_free(who->related);
	who->related = ao_map_new();
}

void ao_relations_forget(ao_relations *r, const char *parent)
{
	asker *who = ao_map_remove(r->askers, parent);
	if (!who)
		return;
	for (size_t i = 0; i < who->count; i++)
		take_from(r->buckets, who->rules[i].bucket, who->key);
	drop_related(r, who);
	free_asker(who);
}

/** Forgets what is related when it is too much. */
static void bound(ao_relations *r, asker *who)
{
	size_t count = ao_map_count(who->related);
	who->many = count > AO_RELATED_MAX ? count : 0;
	who->touched = false;
	if (who->many)
		drop_related(r, who);
}

size_t ao_relations_count(const ao_relations *r) { return ao_map_count(r->askers); }

/* ---- rules and objects ---- */

static size_t index_of(const ao_relations *r, const ao_kind *kind) { return (size_t)(kind - r->manifest->kinds); }

/** The name of a bucket; NULL for what it is not about. The caller frees it. */
static char *bucket(size_t kind, const char *namespace_, const char *name, const char *label, const char *value)
{
	const char *where = namespace_ ? namespace_ : "*"; /* which no namespace is called */
	if (name)
		return ao_xasprintf("%zu %s name %s", kind, where, name);
	return label ? ao_xasprintf("%zu %s label %s=%s", kind, where, label, value) : ao_xasprintf("%zu %s", kind, where);
}

static char *bucket_of(const ao_relations *r, const asked *rule)
{
	const cJSON *first = ao_json_at(rule->spec, "labels") ? ao_json_at(rule->spec, "labels")->child : NULL;
	return bucket(index_of(r, rule->kind), ao_json_str(rule->spec, "namespace"), ao_json_str(rule->spec, "name"),
		      first ? first->string : NULL, first ? cJSON_GetStringValue(first) : NULL);
}

/** The id of an object, by which parents remember it. The caller frees it. */
static char *id_of(const ao_relations *r, const ao_kind *kind, const ao_object *object)
{
	return ao_xasprintf("%zu %s", index_of(r, kind), object->key);
}

static ao_span labels_of(const ao_object *object, char **ret_made)
{
	return ao_span_at(ao_object_span(object, ret_made), "metadata", "labels");
}

/** @param labels  of the object; NULL: they are looked up */
static bool selects(const asked *rule, const ao_kind *kind, const ao_object *object, const ao_span *labels)
{
	const char *namespace_ = ao_json_str(rule->spec, "namespace"), *name = ao_json_str(rule->spec, "name");
	if (rule->kind != kind || (namespace_ && strcmp(namespace_, object->namespace_) != 0) || (name && strcmp(name, object->name) != 0))
		return false;
	const cJSON *all = ao_json_at(rule->spec, "labels"), *wanted;
	if (!all)
		return true;
	ao_auto_str char *made = NULL;
	ao_span at = labels ? *labels : labels_of(object, &made);
	cJSON_ArrayForEach (wanted, all)
		if (!ao_span_is(ao_span_get(at, wanted->string), cJSON_GetStringValue(wanted)))
			return false;
	return true;
}

/** Adds to `found` (key -> asker) those in a bucket that have a rule for the object. Takes the bucket's name. */
static void look_into(const ao_relations *r, char *name, const ao_kind *kind, const ao_object *object, const ao_span *labels, ao_map *found)
{
	size_t cursor = 0;
	const ao_map *set = ao_map_get(r->buckets, name);
	free(name);
	for (asker *who; set && (who = ao_map_next(set, &cursor, NULL));)
		for (size_t i = 0; i < who->count; i++)
			if (selects(&who->rules[i], kind, object, labels))
				ao_map_put(found, who->key, who);
}

/** @return key -> asker; the caller frees the map */
static ao_map *find_askers(const ao_relations *r, const ao_kind *kind, const ao_object *object)
{
	ao_map *found = ao_map_new();
	size_t index = index_of(r, kind);
	ao_auto_str char *made = NULL;
	ao_span labels = labels_of(object, &made), key, value; /* made again once for all who may ask for it */
	const char *const places[] = {object->namespace_, NULL};
	for (size_t i = 0; i < AO_LEN(places); i++) {
		look_into(r, bucket(index, places[i], object->name, NULL, NULL), kind, object, &labels, found);
		look_into(r, bucket(index, places[i], NULL, NULL, NULL), kind, object, &labels, found);
		for (size_t cursor = 0; labels.at && ao_span_member(labels, &cursor, &key, &value);) {
			ao_auto_str char *name = ao_xstrndup(key.at, key.len), *text = ao_span_text(value);
			if (text)
				look_into(r, bucket(index, places[i], NULL, name, text), kind, object, &labels, found);
		}
	}
	return found;
}

/** Tells those who ask for too much, of whom nobody knows whether the object was among it. */
static void touch(const ao_relations *r, const ao_kind *kind, const ao_object *object, void (*fn)(void *arg, const char *parent), void *arg)
{
	ao_auto_map ao_map *concerned = find_askers(r, kind, object);
	size_t cursor = 0;
	for (asker *who; (who = ao_map_next(concerned, &cursor, NULL));)
		if (who->many) {
			who->touched = true;
			fn(arg, who->key);
		}
}

void ao_relations_tell(ao_relations *r, const ao_kind *kind, const ao_object *object, const ao_object *before, bool gone,
		       void (*fn)(void *arg, const char *parent), void *arg)
{
	ao_auto_str char *id = id_of(r, kind, object);
	ao_auto_map ao_map *now = gone ? ao_map_new() : find_askers(r, kind, object), *was = ao_map_remove(r->owners, id);
	size_t cursor = 0;
	const char *key;
	for (asker *who; was && (who = ao_map_next(was, &cursor, &key));)
		if (!ao_map_get(now, key)) {
			ao_map_remove(who->related, id);
			fn(arg, key);
		}
	if (before || gone)
		touch(r, kind, before ? before : object, fn, arg);
	cursor = 0;
	for (asker *who; (who = ao_map_next(now, &cursor, &key));) {
		fn(arg, key);
		who->touched = true;
		if (who->many)
			continue;
		ao_map_put(who->related, id, (void *)kind);
		put_into(r->owners, id, who);
		bound(r, who);
	}
}

/* ---- what a parent asks for ---- */

static const ao_kind *kind_of(const ao_relations *r, const cJSON *spec)
{
	const char *api_version = ao_json_str(spec, "apiVersion"), *kind = ao_json_str(spec, "kind");
	for (size_t i = 0; api_version && kind && i < r->manifest->kind_count; i++)
		if (r->manifest->kinds[i].rules && ao_resource_is(&r->manifest->kinds[i].resource, api_version, kind))
			return &r->manifest->kinds[i];
	return NULL;
}

static void relate(ao_relations *r, asker *who, const ao_kind *kind, const ao_object *object)
{
	ao_auto_str char *id = id_of(r, kind, object);
	ao_map_put(who->related, id, (void *)kind);
	put_into(r->owners, id, who);
}

/** Puts a rule among those of the asker. */
static void add_rule(ao_relations *r, asker *who, const cJSON *spec)
{
	const ao_kind *kind = kind_of(r, spec);
	if (!kind)
		return; /* of a manifest that this world was not made for */
	asked *rule = &who->rules[who->count++];
	*rule = (asked){.kind = kind, .spec = spec};
	rule->bucket = bucket_of(r, rule);
	put_into(r->buckets, rule->bucket, who);
}

/** Finds what a rule selects, up to `most` of all rules. */
static void find_related(ao_relations *r, asker *who, const asked *rule, size_t most)
{
	const char *namespace_ = ao_json_str(rule->spec, "namespace"), *name = ao_json_str(rule->spec, "name");
	const ao_store *store = r->stores[index_of(r, rule->kind)];
	if (namespace_ && name) {
		ao_auto_str char *key = *namespace_ ? ao_xasprintf("%s/%s", namespace_, name) : ao_xstrdup(name);
		const ao_object *object = ao_store_get(store, key);
		if (object && selects(rule, rule->kind, object, NULL))
			relate(r, who, rule->kind, object);
		return;
	}
	size_t cursor = 0;
	for (const ao_object *object; ao_map_count(who->related) < most && (object = ao_store_next(store, &cursor));)
		if (selects(rule, rule->kind, object, NULL))
			relate(r, who, rule->kind, object);
}

/** @param most  SIZE_MAX: to count them; else it is enough to know that they are too many still, and the number of before stays */
static void find_all(ao_relations *r, asker *who, size_t most)
{
	size_t before = who->many;
	for (size_t i = 0; i < who->count; i++)
		find_related(r, who, &who->rules[i], most);
	bound(r, who);
	if (who->many && before)
		who->many = before;
}

static void look_again(ao_relations *r, asker *who)
{
	if (who->many && who->touched)
		find_all(r, who, AO_RELATED_MAX + 1);
}

void ao_relations_deny(ao_relations *r, const ao_kind *kind, bool denied) { r->denied[index_of(r, kind)] = denied; }

static int check_denied(const ao_relations *r, const asker *who, ao_err **reterr)
{
	for (size_t i = 0; i < who->count; i++) {
		const ao_kind *kind = who->rules[i].kind;
		if (!r->denied[index_of(r, kind)])
			continue;
		ao_auto_str char *rule = ao_kind_rule(kind);
		return ao_err_set(reterr, -EACCES,
				  "relate: is not allowed to list %s, so nobody knows what there is. The rule that is missing: %s",
				  kind->resource.plural, rule);
	}
	return 0;
}

int ao_relations_set(ao_relations *r, const char *parent, const cJSON *rules, ao_err **reterr)
{
	asker *who = ao_map_get(r->askers, parent);
	if (!rules) {
		ao_relations_forget(r, parent);
		return 0;
	}
	if (!who || !ao_json_equal(who->spec, rules)) {
		ao_relations_forget(r, parent);
		who = ao_xcalloc(1, sizeof(*who));
		*who = (asker){.key = ao_xstrdup(parent), .spec = cJSON_Duplicate(rules, 1), .related = ao_map_new()};
		who->rules = ao_xcalloc((size_t)cJSON_GetArraySize(rules) + 1, sizeof(*who->rules));
		ao_map_put(r->askers, parent, who);
		const cJSON *spec;
		cJSON_ArrayForEach (spec, who->spec)
			add_rule(r, who, spec);
		find_all(r, who, SIZE_MAX);
	}
	look_again(r, who);
	if (who->many)
		return ao_err_set(reterr, -E2BIG, "relate: the rules select %zu objects, and policies are shown at most %d", who->many,
				  AO_RELATED_MAX);
	return check_denied(r, who, reterr);
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

void ao_relations_each(ao_relations *r, const char *parent, void (*fn)(void *arg, const ao_kind *kind, const ao_object *object), void *arg)
{
	asker *who = ao_map_get(r->askers, parent);
	if (!who)
		return;
	look_again(r, who);
	size_t cursor = 0, count = 0;
	const char **ids = ao_xcalloc(ao_map_count(who->related) + 1, sizeof(*ids));
	while (ao_map_next(who->related, &cursor, &ids[count]))
		count++;
	qsort(ids, count, sizeof(*ids), by_text);
	for (size_t i = 0; i < count; i++) {
		const ao_kind *kind = ao_map_get(who->related, ids[i]);
		const ao_object *object = ao_store_get(r->stores[index_of(r, kind)], strchr(ids[i], ' ') + 1);
		if (object)
			fn(arg, kind, object);
	}
	free(ids);
}
