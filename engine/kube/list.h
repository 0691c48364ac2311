#pragma once
/**
 * list.h -- a collection read page by page, each cut into its items without a tree.
 * Threads: the loop thread only; callbacks run on the loop.
 */
#include "kube/client.h"
#include "json/span.h"

typedef struct ao_list ao_list;

typedef struct ao_list_request {
	ao_kube *kube;
	const ao_resource *resource; /* borrowed until the end: a page must be a list of these */
	const char *path;            /* of the collection, ending with '?' or '&' */
	bool metadata_only;          /* as of a request; the store that it is for keeps no more */
	/** May call ao_list_free(). */
	void (*on_item)(void *arg, ao_span object);
	/**
	 * Once, unless freed before; the handle is gone.
	 * @param version  the resourceVersion of the list; NULL when answer->error. A 410 means that it took too long: start over.
	 */
	void (*on_end)(void *arg, const ao_kube_answer *answer, const char *version);
	void *arg;
} ao_list_request;

/** Everything in `request` is copied. */
ao_list *ao_list_start(const ao_list_request *request);
void ao_list_free(ao_list *list); /* NULL is fine */
