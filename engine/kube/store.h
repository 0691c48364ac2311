#pragma once
/**
 * store.h -- the observed objects of one kind, as compact text.
 *
 * An object is one block: its JSON text, without metadata.managedFields unless the informer was told to keep them (a pod: only the members
 * the informer was told to keep), and beside it what look-ups need.  Texts that look much like another one of the store are kept as
 * differences from that (delta.h) and made again when they are read.  Trees are made from them for one call and freed.
 * Three indexes: by key ("namespace/name"; "name" when cluster-scoped), by the uid of the controlling owner, and by the value
 * of one label ("namespace/value").
 * apiVersion and kind are cut out as well: lists leave them out, watches do not, and a store holds one kind.
 * Ownership: the store owns its objects; a pointer is good until the next ao_store_put() or ao_store_remove() of that key.
 * Threads: the loop thread only.
 */
#include "kube/delta.h"
#include "kube/managed.h"
#include "json/json.h"
#include "json/span.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ao_object {
	const char *key; /* "namespace/name" */
	const char *namespace_, *name, *uid, *resource_version;
	const char *owner_uid; /* of the ownerReference with controller: true, or "" */
	const char *owner_kind, *owner_name;
	const char *label; /* value of the indexed label, or "" */
	int64_t generation;
	bool deleting;
	bool stub;       /* it is not among those that the options choose: only its identity is kept */
	ao_managed held; /* what managedFields say of the managers told to ao_store_new() */
	uint64_t
	    spec_digest; /* of everything but status and the server's own metadata and annotations: what a person or we could have changed */
	uint64_t full_digest; /* of the text */
	size_t len;           /* of the text, which ao_object_span() tells */
	const char *kept;    /* the text, NUL-terminated, or its differences from `base`, until any object is put: both may become others */
	ao_delta_base *base; /* NULL: `kept` is the text */
} ao_object;

typedef struct ao_store ao_store;

/** What of an object is kept; full_digest is of that only. */
typedef enum {
	AO_WHOLE,
	AO_PROJECTION_POD, /* name, namespace, uid, labels, owners and times of metadata, spec.nodeName, conditions and container states */
	AO_PROJECTION_STATUS, /* name, namespace, uid, labels, owners and times of metadata, and the whole status */
	/** The same of metadata, and nothing else; its resourceVersion stands for what is not kept, in the text and in both digests. */
	AO_PROJECTION_METADATA,
} ao_projection;

/** Something that an object may have. */
typedef struct ao_trait {
	char **path; /* NULL-terminated */
	char *value; /* the text that is there; NULL: any value will do */
} ao_trait;

typedef struct ao_store_options {
	const char *index_label;            /* label to index, or NULL */
	const char *manager;                /* our field manager; NULL: managedFields are not looked at */
	const char *const *legacy_managers; /* those of our predecessors, NULL-terminated; or NULL */
	ao_projection projection;
	bool keep_managed; /* managedFields stay in the text: somebody asks who wrote what */
	/** Keep only objects whose controlling owner has this kind; NULL: all. Others are dropped where they arrive. */
	const char *owner_kind;
	/**
	 * Owned is what has this label and was written by our manager, or a predecessor: the label's value is the uid of the owner, and that of
	 * the annotation the name.  NULL: as owner references say.
	 */
	const char *owner_label, *owner_annotation;
	/** Keep only objects whose annotation of this name is `annotation_value`; one that is absent is "". NULL: all. */
	const char *annotation, *annotation_value;
	/** What an object must have to be kept as more than a stub; borrowed for the store's life. */
	const ao_trait *traits;
	size_t trait_count;
	const char *const *namespaces; /* NULL-terminated: each is filled by an informer of its own; NULL: one informer fills all */
} ao_store_options;

/** @param options copied */
ao_store *ao_store_new(const ao_store_options *options);
ao_store *ao_store_ref(ao_store *store); /* one more ao_store_free() until it goes */
void ao_store_free(ao_store *store);

/**
 * Takes an object as the server sent it.
 * @param ret  the stored object
 * @return 0; -EINVAL the text is no object with metadata.name and uid (nothing is stored); -ENOENT the options do not want it (an earlier
 *         version is removed, *ret untouched; no ao_err is made)
 */
int ao_store_put(ao_store *store, ao_span object, const ao_object **ret, ao_err **reterr);
/** @return true when it was there */
bool ao_store_remove(ao_store *store, const char *key);
const ao_object *ao_store_get(const ao_store *store, const char *key); /* or NULL */
size_t ao_store_count(const ao_store *store);
/** Is what it keeps AO_PROJECTION_METADATA? Then nobody need send it more. */
bool ao_store_holds_metadata(const ao_store *store);

/** Walks all objects; start with *cursor = 0. Do not change the store meanwhile. */
const ao_object *ao_store_next(const ao_store *store, size_t *cursor);
/** Bytes of all objects and indexes, without what malloc adds. */
size_t ao_store_bytes(const ao_store *store);
/** Calls fn for each object whose controlling owner has this uid, in the order of their keys. fn must not change the store. */
void ao_store_each_owned(const ao_store *store, const char *owner_uid, void (*fn)(void *arg, const ao_object *object), void *arg);
/** Calls fn for each object of that namespace whose indexed label has this value, in the order of their keys. */
void ao_store_each_labelled(const ao_store *store, const char *namespace_, const char *value,
			    void (*fn)(void *arg, const ao_object *object), void *arg);

/** The tree of an object. @return 0; -EINVAL a number that cannot be kept, ... */
int ao_object_tree(const ao_object *object, cJSON **ret, ao_err **reterr);

/** The text of an object, compact JSON, NUL-terminated: borrowed from it, or from *ret_made. @param ret_made  NULL, or the caller frees it */
ao_span ao_object_span(const ao_object *object, char **ret_made);
/** A copy of the text at that path of an object; NULL when there is none, or no path. The caller frees. */
char *ao_object_text(const ao_object *object, char *const *path);

/** What an answer of the server did to a store. */
typedef struct ao_answered {
	const ao_object *object; /* what the store holds now: the answer, or something newer; NULL: nothing */
	ao_object *before;       /* what it replaced or removed; the caller frees it with ao_object_free(); NULL: nothing */
	bool taken;              /* `object` is the answer */
	uint64_t spec_digest;    /* of the answer, whatever the store holds */
} ao_answered;

/**
 * After a write of ours: the server's answer goes into the cache at once when it is newer, so that the next pass sees it.  The event that
 * tells the same is no news then: what the answer shows beyond our write is the caller's to tell.
 * @param ret  set unless -EINVAL
 * @return as ao_store_put(); -ENOENT with an error also when the watch has already told that the object is gone
 */
int ao_store_put_answer(ao_store *store, const char *body, size_t len, ao_answered *ret, ao_err **reterr);

/* ---- for informers; `namespace_` is the one the informer fills, NULL when the store has only one informer ---- */

/**
 * ao_store_put() that hands over the version it replaced (or, with -ENOENT, removed); NULL when there was none.
 * The caller frees it with ao_object_free().
 * @param live  an event after the list: when it is older than an answer of ours that is here already, nothing changes: -ESTALE, without
 * an error
 */
int ao_store_swap(ao_store *store, ao_span object, bool live, const ao_object **ret, ao_object **ret_before, ao_err **reterr);
/** Removes what a DELETED event tells about and hands it over; NULL when there is none, or a newer one. */
ao_object *ao_store_take(ao_store *store, ao_span object);
void ao_object_free(ao_object *object); /* one that was handed over; NULL is fine */

/** Begins a list: what is not put from now on will be stale. */
void ao_store_mark(ao_store *store, const char *namespace_);
/**
 * Ends a list that the server made at `version`: call until NULL. Takes one stale object; answers to writes made after the list are kept.
 * The store may be changed between calls.
 */
ao_object *ao_store_take_stale(ao_store *store, const char *namespace_, const char *version);

/** The resourceVersion up to which the watch has told everything; "" before the first list. */
void ao_store_set_version(ao_store *store, const char *namespace_, const char *version);
const char *ao_store_version(const ao_store *store, const char *namespace_);
/** Is a older than b? Compared as unsigned integers of any length; false when one of them is no such thing. */
bool ao_version_older(const char *a, const char *b);
