#pragma once
/**
 * informer.h -- keeps a store equal to what the server has: list in pages of 100, then watch with bookmarks.
 *
 * Resumes a cut watch from the last resourceVersion; lists again on 410 only; WatchList streaming where the server has it,
 * pages where it refuses.  Back-off 800 ms doubling to 30 s with jitter, forgotten after 2 minutes of quiet; it also holds for a second 410
 * within those minutes, and for a stream that ends within a second.  A 404 on the
 * collection, once discovery says so, too, means the kind is not installed: reported once, asked again every 30 s, the store empty
 * meanwhile. Several informers, one per namespace, may fill one store: `store.namespaces` names them, `into` is the store. One object that
 * cannot be read is reported and skipped; the others go on.
 * Threads: the loop thread only; callbacks run on the loop.
 */
#include "kube/client.h"
#include "kube/store.h"

typedef struct ao_informer ao_informer;

typedef enum { AO_ADDED, AO_UPDATED, AO_DELETED } ao_change;

typedef struct ao_informer_options {
	const ao_resource *resource; /* borrowed for the informer's life */
	const char *namespace_;      /* NULL: all */
	const char *label_selector;  /* or NULL */
	ao_store_options store;
	ao_store *into; /* a store shared with others, instead of one made as `store` says; or NULL */
	/** A refusal (403) of the first list counts as a kind that is absent, and is no news but to the listener: asked again all the same.
	 */
	bool patient;
	/** After the store changed. For AO_UPDATED `before` is a copy of the digests of the earlier version. For AO_DELETED the object is
	 * still readable, for this call only. */
	void (*on_change)(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before);
	/** Once, when the first list is complete (or the kind is known to be absent); then whenever `absent` flips. May be NULL. */
	void (*on_synced)(void *arg, ao_informer *informer, bool absent);
	void *arg;
} ao_informer_options;

ao_informer *ao_informer_new(ao_loop *loop, ao_kube *kube, const ao_informer_options *options);
void ao_informer_start(ao_informer *informer);
void ao_informer_free(ao_informer *informer);

ao_store *ao_informer_store(ao_informer *informer);
const ao_resource *ao_informer_resource(const ao_informer *informer);
bool ao_informer_synced(const ao_informer *informer);
bool ao_informer_absent(const ao_informer *informer);       /* the server does not know the kind, or ... */
bool ao_informer_forbidden(const ao_informer *informer);    /* ... does not let us list it: only when `patient` */
uint64_t ao_informer_restarts(const ao_informer *informer); /* watch streams started beyond the first */
