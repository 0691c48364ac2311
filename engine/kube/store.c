/*
 * store.c -- one block per object, chained into three hash tables of equal size; and a plain array of all, for walking.
 *
 * A block holds the header, the strings and the text; cut.c makes the latter two.  Removing swaps the last of the array into the hole.
 *
 * With each put one object is looked at: what has outlived most others that were told by its base is told by another one.  Else each object
 * that changes seldom would hold a base of its own, after days in which others change often.
 *
 * What a list has seen and how far a watch has told is known per namespace when each is filled on its own: a part.
 */
#include "kube/store.h"

#include "base/hash.h"
#include "base/mem.h"
#include "kube/cut.h"

#include <ctype.h>
#include <string.h>

#define FIRST_SIZE 16

typedef enum { BY_KEY, BY_OWNER, BY_LABEL, INDEXES } index_kind;

typedef struct entry {
	ao_object object; /* first: the public pointer is the block's */
	struct entry *next[INDEXES];
	uint32_t at;       /* in store->all */
	uint32_t size;     /* of the block: an object has 16 MiB at most */
	uint32_t told;     /* bytes of what is kept beside it; 0: it is in the block */
	uint32_t mark;     /* the list that saw it last */
	uint32_t answered; /* the list during which an answer of ours put it here */
	char bytes[];      /* strings, then the text unless it is told by a base */
} entry;

/** What one informer fills. */
typedef struct part {
	const char *namespace_; /* NULL: every other */
	uint32_t mark;
	size_t sweep; /* ao_store_take_stale() has seen what lies above */
	char *version;
} part;

struct ao_store {
	unsigned references;
	ao_store_options options; /* texts copied */
	part *parts;              /* one per namespace of the options, then one for every other */
	entry **buckets[INDEXES];
	entry **all;
	size_t size; /* of each table and of `all`, a power of two */
	size_t count;
	ao_delta_bases bases;
	size_t looked_at; /* of `all`, counted on */
	ao_cut cut;       /* scratch, as is the next */
	ao_buf delta;
};

static part *part_of(const ao_store *store, const char *namespace_)
{
	part *p = store->parts;
	while (p->namespace_ && !(namespace_ && strcmp(p->namespace_, namespace_) == 0))
		p++;
	return p;
}

/* ---- versions ---- */

static bool is_digits(const char *s)
{
	if (!*s)
		return false;
	while (isdigit((unsigned char)*s))
		s++;
	return !*s;
}

bool ao_version_older(const char *a, const char *b)
{
	if (!is_digits(a) || !is_digits(b))
		return false;
	a += strspn(a, "0");
	b += strspn(b, "0");
	size_t a_len = strlen(a), b_len = strlen(b);
	return a_len != b_len ? a_len < b_len : strcmp(a, b) < 0;
}

/* ---- the tables ---- */

static uint64_t hash_label(const char *namespace_, const char *value)
{
	return ao_hash(ao_hash(AO_HASH_INIT, namespace_, strlen(namespace_) + 1), value, strlen(value));
}

/** @return false when the object is not in that index */
static bool hash_of(const entry *e, index_kind kind, uint64_t *ret)
{
	const ao_object *o = &e->object;
	if (kind == BY_KEY)
		*ret = ao_hash_str(o->key);
	else if (kind == BY_OWNER)
		*ret = ao_hash_str(o->owner_uid);
	else
		*ret = hash_label(o->namespace_, o->label);
	return kind == BY_KEY || (kind == BY_OWNER ? *o->owner_uid : *o->label) != '\0';
}

static entry **bucket(const ao_store *store, index_kind kind, uint64_t hash) { return &store->buckets[kind][hash & (store->size - 1)]; }

static void link_entry(ao_store *store, entry *e)
{
	for (index_kind kind = BY_KEY; kind < INDEXES; kind++) {
		uint64_t hash;
		if (!hash_of(e, kind, &hash))
			continue;
		entry **head = bucket(store, kind, hash);
		e->next[kind] = *head;
		*head = e;
	}
}

static void unlink_entry(ao_store *store, entry *e)
{
	for (index_kind kind = BY_KEY; kind < INDEXES; kind++) {
		uint64_t hash;
		if (!hash_of(e, kind, &hash))
			continue;
		entry **at = bucket(store, kind, hash);
		while (*at != e)
			at = &(*at)->next[kind];
		*at = e->next[kind];
		e->next[kind] = NULL;
	}
}

static void resize(ao_store *store, size_t size)
{
	store->size = size;
	store->all = ao_xrealloc(store->all, size * sizeof(entry *));
	for (index_kind kind = BY_KEY; kind < INDEXES; kind++) {
		free(store->buckets[kind]);
		store->buckets[kind] = ao_xcalloc(size, sizeof(entry *));
	}
	for (size_t i = 0; i < store->count; i++)
		link_entry(store, store->all[i]);
}

static entry *find(const ao_store *store, const char *key)
{
	entry *e = *bucket(store, BY_KEY, ao_hash_str(key));
	while (e && strcmp(e->object.key, key) != 0)
		e = e->next[BY_KEY];
	return e;
}

static void add(ao_store *store, entry *e)
{
	if (store->count == store->size)
		resize(store, store->size * 2);
	e->at = store->count;
	store->all[store->count++] = e;
	link_entry(store, e);
}

/** Takes an entry out; its owner is the caller now. */
static void detach(ao_store *store, entry *e)
{
	unlink_entry(store, e);
	entry *last = store->all[--store->count];
	store->all[e->at] = last;
	last->at = e->at;
}

/* ---- life ---- */

static size_t count_strings(const char *const *strings)
{
	size_t count = 0;
	while (strings && strings[count])
		count++;
	return count;
}

static void free_strings(const char *const *strings)
{
	for (size_t i = 0; strings[i]; i++)
		free((char *)strings[i]);
	free((void *)strings);
}

static const char *const *copy_strings(const char *const *strings)
{
	size_t count = count_strings(strings);
	char **copy = ao_xcalloc(count + 1, sizeof(char *));
	for (size_t i = 0; i < count; i++)
		copy[i] = ao_xstrdup(strings[i]);
	return (const char *const *)copy;
}

ao_store *ao_store_new(const ao_store_options *options)
{
	ao_store *store = ao_xcalloc(1, sizeof(*store));
	store->references = 1;
	store->options = *options;
	store->options.index_label = ao_xstrdup(options->index_label);
	store->options.owner_kind = ao_xstrdup(options->owner_kind);
	store->options.owner_label = ao_xstrdup(options->owner_label);
	store->options.owner_annotation = ao_xstrdup(options->owner_annotation);
	store->options.annotation = ao_xstrdup(options->annotation);
	store->options.annotation_value = ao_xstrdup(options->annotation_value ? options->annotation_value : "");
	store->options.manager = ao_xstrdup(options->manager);
	store->options.legacy_managers = copy_strings(options->legacy_managers);
	store->options.namespaces = copy_strings(options->namespaces);
	size_t parts = count_strings(options->namespaces) + 1;
	store->parts = ao_xcalloc(parts, sizeof(part));
	for (size_t i = 0; i < parts; i++)
		store->parts[i] = (part){.namespace_ = store->options.namespaces[i], .version = ao_xstrdup("")};
	store->cut = ao_cut_init();
	store->delta = ao_buf_init(2 * AO_DELTA_MOST);
	resize(store, FIRST_SIZE);
	return store;
}

ao_store *ao_store_ref(ao_store *store)
{
	store->references++;
	return store;
}

void ao_store_free(ao_store *store)
{
	if (!store || --store->references)
		return;
	for (size_t i = 0; i < store->count; i++)
		ao_object_free(&store->all[i]->object);
	ao_delta_bases_close(&store->bases);
	for (index_kind kind = BY_KEY; kind < INDEXES; kind++)
		free(store->buckets[kind]);
	for (part *p = store->parts;; p++) {
		free(p->version);
		if (!p->namespace_)
			break;
	}
	free(store->parts);
	free_strings(store->options.legacy_managers);
	free_strings(store->options.namespaces);
	free((char *)store->options.manager);
	free((char *)store->options.index_label);
	free((char *)store->options.owner_kind);
	free((char *)store->options.owner_label);
	free((char *)store->options.owner_annotation);
	free((char *)store->options.annotation);
	free((char *)store->options.annotation_value);
	free(store->all);
	ao_buf_free(&store->delta);
	ao_cut_free(&store->cut);
	free(store);
}

/* ---- putting ---- */

/** Keeps what lies in store->delta as the differences from `base`, beside the block, so that others can take their place. */
static void keep_told(ao_store *store, entry *e, ao_delta_base *base)
{
	e->object.base = ao_delta_base_ref(base);
	e->told = store->delta.len;
	char *kept = ao_xmalloc(e->told);
	e->object.kept = memcpy(kept, store->delta.data, e->told);
}

static void drop_told(ao_object *object)
{
	if (!object->base)
		return;
	free((char *)object->kept);
	ao_delta_base_unref(object->base);
}

/** Looks at the next object in turn. */
static void tell_anew(ao_store *store)
{
	entry *e = store->all[store->looked_at++ % store->count];
	if (!e->object.base || !ao_delta_base_is_burden(e->object.base))
		return;
	ao_auto_str char *made = NULL;
	ao_span text = ao_object_span(&e->object, &made);
	ao_delta_base *base = ao_delta_bases_put(&store->bases, text, &store->delta);
	if (!base)
		return;
	drop_told(&e->object);
	keep_told(store, e, base);
}

static entry *make_entry(ao_store *store)
{
	const ao_cut *cut = &store->cut;
	ao_delta_base *base = ao_delta_bases_tell(&store->bases, (ao_span){cut->text.data, cut->text.len}, &store->delta);
	size_t strings = cut->strings.len, text = base ? 0 : cut->text.len + 1, size = sizeof(entry) + strings + text;
	entry *e = ao_xmalloc(size);
	memset(e, 0, sizeof(*e));
	e->size = size;
	memcpy(e->bytes, cut->strings.data, strings);
	memcpy(e->bytes + strings, cut->text.data, text);
	e->object = (ao_object){
	    .key = e->bytes + cut->at[AO_CUT_KEY],
	    .namespace_ = e->bytes + cut->at[AO_CUT_NAMESPACE],
	    .name = e->bytes + cut->at[AO_CUT_NAME],
	    .uid = e->bytes + cut->at[AO_CUT_UID],
	    .resource_version = e->bytes + cut->at[AO_CUT_VERSION],
	    .owner_uid = e->bytes + cut->at[AO_CUT_OWNER_UID],
	    .owner_kind = e->bytes + cut->at[AO_CUT_OWNER_KIND],
	    .owner_name = e->bytes + cut->at[AO_CUT_OWNER_NAME],
	    .label = e->bytes + cut->at[AO_CUT_LABEL],
	    .generation = cut->generation,
	    .deleting = cut->deleting,
	    .stub = cut->stub,
	    .held = cut->held,
	    .spec_digest = cut->spec_digest,
	    .full_digest = ao_hash_words(AO_HASH_INIT, cut->text.data, cut->text.len),
	    .len = cut->text.len,
	    .kept = e->bytes + strings,
	};
	if (base)
		keep_told(store, e, base);
	return e;
}

/** Have we written what lies in store->cut? A label alone does not say so: whoever copies an object copies its labels. */
static bool is_by_us(const ao_store *store)
{
	const ao_managed *held = &store->cut.held;
	return !store->options.manager || held->applied || held->to_claim;
}

/** Do the options want what lies in store->cut? */
static bool is_wanted(const ao_store *store)
{
	const char *kind = store->options.owner_kind, *annotation = store->options.annotation;
	if (kind && strcmp(kind, ao_cut_str(&store->cut, AO_CUT_OWNER_KIND)) != 0)
		return false;
	if (store->options.owner_label && !(*ao_cut_str(&store->cut, AO_CUT_OWNER_UID) && is_by_us(store)))
		return false;
	return !annotation || strcmp(ao_cut_str(&store->cut, AO_CUT_ANNOTATION), store->options.annotation_value) == 0;
}

/** Stores what lies in store->cut. @return the entry it replaced, or NULL */
static entry *commit(ao_store *store, entry **ret)
{
	entry *e = make_entry(store), *before = find(store, e->object.key);
	if (before)
		detach(store, before);
	e->mark = part_of(store, e->object.namespace_)->mark;
	add(store, e);
	tell_anew(store);
	*ret = e;
	return before;
}

/** Takes the object of that key out; NULL when there is none. */
static ao_object *take(ao_store *store, const char *key)
{
	entry *e = find(store, key);
	if (!e)
		return NULL;
	detach(store, e);
	return &e->object;
}

int ao_store_swap(ao_store *store, ao_span object, bool live, const ao_object **ret, ao_object **ret_before, ao_err **reterr)
{
	entry *e, *before;
	int r = ao_cut_make(&store->cut, object, &store->options, reterr);
	if (r < 0)
		return r;
	const char *key = ao_cut_str(&store->cut, AO_CUT_KEY);
	before = live ? find(store, key) : NULL;
	if (before && ao_version_older(ao_cut_str(&store->cut, AO_CUT_VERSION), before->object.resource_version))
		return -ESTALE;
	if (!is_wanted(store)) {
		*ret_before = take(store, key);
		return -ENOENT;
	}
	before = commit(store, &e);
	*ret = &e->object;
	*ret_before = before ? &before->object : NULL;
	return 0;
}

int ao_store_put(ao_store *store, ao_span object, const ao_object **ret, ao_err **reterr)
{
	ao_object *before = NULL;
	int r = ao_store_swap(store, object, false, ret, &before, reterr);
	ao_object_free(before);
	return r;
}

int ao_store_put_answer(ao_store *store, const char *body, size_t len, ao_answered *ret, ao_err **reterr)
{
	int r = ao_cut_make(&store->cut, (ao_span){body, len}, &store->options, reterr);
	if (r < 0)
		return r;
	const char *key = ao_cut_str(&store->cut, AO_CUT_KEY), *version = ao_cut_str(&store->cut, AO_CUT_VERSION);
	entry *old = find(store, key), *e;
	*ret = (ao_answered){.spec_digest = store->cut.spec_digest};
	if (old && ao_version_older(version, old->object.resource_version)) {
		ret->object = &old->object;
		return 0;
	}
	const part *p = part_of(store, ao_cut_str(&store->cut, AO_CUT_NAMESPACE));
	if (!old && is_digits(version) && is_digits(p->version) && !ao_version_older(p->version, version))
		return ao_err_set(reterr, -ENOENT, "%s has gone in the meantime", key);
	if (!is_wanted(store)) {
		ret->before = take(store, key);
		return -ENOENT;
	}
	uint32_t mark = old ? old->mark : p->mark - 1;
	old = commit(store, &e);
	e->mark = mark; /* an answer is no proof that the object is in the list under way ... */
	e->answered = p->mark;
	*ret = (ao_answered){&e->object, old ? &old->object : NULL, true, e->object.spec_digest};
	return 0;
}

/* ---- removing ---- */

ao_object *ao_store_take(ao_store *store, ao_span object)
{
	ao_span metadata = ao_span_get(object, "metadata");
	ao_auto_str char *namespace_ = ao_span_text(ao_span_get(metadata, "namespace")),
			 *name = ao_span_text(ao_span_get(metadata, "name")),
			 *version = ao_span_text(ao_span_get(metadata, "resourceVersion"));
	if (!name)
		return NULL;
	ao_auto_str char *key = namespace_ && *namespace_ ? ao_xasprintf("%s/%s", namespace_, name) : ao_xstrdup(name);
	const entry *e = find(store, key);
	bool newer = e && version && ao_version_older(version, e->object.resource_version);
	return newer ? NULL : take(store, key);
}

bool ao_store_remove(ao_store *store, const char *key)
{
	ao_object *object = take(store, key);
	ao_object_free(object);
	return object != NULL;
}

void ao_object_free(ao_object *object)
{
	if (object)
		drop_told(object);
	free(object);
}

void ao_store_mark(ao_store *store, const char *namespace_)
{
	part *p = part_of(store, namespace_);
	p->mark++;
	p->sweep = SIZE_MAX;
}

ao_object *ao_store_take_stale(ao_store *store, const char *namespace_, const char *version)
{
	part *p = part_of(store, namespace_);
	if (p->sweep > store->count)
		p->sweep = store->count;
	while (p->sweep) {
		entry *e = store->all[--p->sweep];
		bool newer = e->answered == p->mark && ao_version_older(version, e->object.resource_version);
		if (e->mark == p->mark || newer || part_of(store, e->object.namespace_) != p)
			continue; /* ... but one newer than the list will be told by the watch */
		detach(store, e);
		return &e->object;
	}
	return NULL;
}

void ao_store_set_version(ao_store *store, const char *namespace_, const char *version)
{
	part *p = part_of(store, namespace_);
	if (strcmp(p->version, version) == 0)
		return;
	free(p->version);
	p->version = ao_xstrdup(version);
}

const char *ao_store_version(const ao_store *store, const char *namespace_) { return part_of(store, namespace_)->version; }

/* ---- looking ---- */

const ao_object *ao_store_get(const ao_store *store, const char *key)
{
	const entry *e = find(store, key);
	return e ? &e->object : NULL;
}

size_t ao_store_count(const ao_store *store) { return store->count; }

bool ao_store_holds_metadata(const ao_store *store) { return store->options.projection == AO_PROJECTION_METADATA; }

size_t ao_store_bytes(const ao_store *store)
{
	size_t bytes = sizeof(*store) + (INDEXES + 1) * store->size * sizeof(entry *) + ao_delta_bases_share(&store->bases);
	for (size_t i = 0; i < store->count; i++)
		bytes += store->all[i]->size + store->all[i]->told + ao_delta_base_share(store->all[i]->object.base);
	return bytes;
}

const ao_object *ao_store_next(const ao_store *store, size_t *cursor)
{
	return *cursor < store->count ? &store->all[(*cursor)++]->object : NULL;
}

static int by_key(const void *a, const void *b)
{
	return strcmp((*(const entry *const *)a)->object.key, (*(const entry *const *)b)->object.key);
}

/** Is e what is looked for: owned by `value` (namespace_ NULL), or labelled with it in that namespace? */
static bool matches(const entry *e, const char *namespace_, const char *value)
{
	if (!namespace_)
		return strcmp(e->object.owner_uid, value) == 0;
	return strcmp(e->object.label, value) == 0 && strcmp(e->object.namespace_, namespace_) == 0;
}

static void each(const ao_store *store, index_kind kind, uint64_t hash, const char *namespace_, const char *value,
		 void (*fn)(void *arg, const ao_object *object), void *arg)
{
	size_t count = 0;
	if (!*value)
		return;
	for (entry *e = *bucket(store, kind, hash); e; e = e->next[kind])
		count += matches(e, namespace_, value);
	entry **found = ao_xcalloc(count + 1, sizeof(entry *));
	size_t i = 0;
	for (entry *e = *bucket(store, kind, hash); e; e = e->next[kind])
		if (matches(e, namespace_, value))
			found[i++] = e;
	qsort(found, count, sizeof(entry *), by_key);
	for (i = 0; i < count; i++)
		fn(arg, &found[i]->object);
	free(found);
}

void ao_store_each_owned(const ao_store *store, const char *owner_uid, void (*fn)(void *arg, const ao_object *object), void *arg)
{
	each(store, BY_OWNER, ao_hash_str(owner_uid), NULL, owner_uid, fn, arg);
}

void ao_store_each_labelled(const ao_store *store, const char *namespace_, const char *value,
			    void (*fn)(void *arg, const ao_object *object), void *arg)
{
	each(store, BY_LABEL, hash_label(namespace_, value), namespace_, value, fn, arg);
}

/** @param room  takes the text where it is to be made */
static ao_span read_into(const ao_object *object, char *room)
{
	if (!object->base)
		return (ao_span){object->kept, object->len};
	ao_delta_read(object->base, object->kept, object->len, room);
	return (ao_span){room, object->len};
}

/** The text, which is good until the next one is made: a block of that size for each would make malloc put its small ones together each time. */
static ao_span read_object(const ao_object *object)
{
	static char made[AO_DELTA_MOST + 1];
	return read_into(object, made);
}

ao_span ao_object_span(const ao_object *object, char **ret_made)
{
	*ret_made = object->base ? ao_xmalloc(object->len + 1) : NULL;
	return read_into(object, *ret_made);
}

int ao_object_tree(const ao_object *object, cJSON **ret, ao_err **reterr)
{
	ao_span text = read_object(object);
	return ao_json_parse(text.at, text.len, ret, reterr);
}

char *ao_object_text(const ao_object *object, char *const *path)
{
	return path ? ao_span_text(ao_span_at_path(read_object(object), path)) : NULL;
}
