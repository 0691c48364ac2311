#pragma once
/**
 * watch.h -- one watch stream: a request whose answer is a line for each event.  Private to kube/.
 * Threads: the loop thread only; callbacks run on the loop.
 */
#include "kube/client.h"
#include "json/span.h"

typedef struct ao_watch ao_watch;

typedef enum {
	AO_WATCH_PUT,     /* ADDED or MODIFIED */
	AO_WATCH_DELETED, /* the object as it was, with the resourceVersion of its end */
	AO_WATCH_BOOKMARK,
	AO_WATCH_LISTED, /* the bookmark that ends the initial events */
} ao_watch_event;

/** How a stream ended. */
typedef struct ao_watch_end {
	int error;           /* 0: as each stream ends after a while; else as ao_kube_answer.error, -EPROTO for what is no event */
	long status;         /* of the HTTP answer, or the code of an ERROR event */
	const char *message; /* borrowed for the call */
	bool useless;        /* it ended within a second: whatever came of it, to begin again at once would be a loop */
} ao_watch_end;

typedef struct ao_watch_request {
	ao_kube *kube;
	const char *path;    /* of the collection, ending with '?' or '&' */
	bool metadata_only;  /* as of a request; the store that it is for keeps no more */
	const char *version; /* go on after this resourceVersion; NULL: first send what there is (WatchList) */
	/** May call ao_watch_free(). */
	void (*on_event)(void *arg, ao_watch_event event, ao_span object);
	/** Once, unless freed before; the handle is gone. */
	void (*on_end)(void *arg, const ao_watch_end *end);
	void *arg;
} ao_watch_request;

/** Everything in `request` is copied. */
ao_watch *ao_watch_start(const ao_watch_request *request);
void ao_watch_free(ao_watch *watch); /* NULL is fine */
