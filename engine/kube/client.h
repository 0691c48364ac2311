#pragma once
/**
 * client.h -- requests to the API server: authentication, retry where the server asks for it, and answers told apart.
 *
 * Watches have connections of their own: one that a server sends away (GOAWAY) lives on for them, and nothing waits for its end.
 * At most 16 writes are in flight, fewer where the server is busy (window.h), and four more for which somebody waits.  Others are in line, those
 * of a higher rank before the rest, and each eighth place goes to the one that has waited longest.
 * After a 429 or 5xx with Retry-After nothing at all is sent for as long as the server
 * asks (at most two minutes), by siblings neither; after a 429 without it that call alone rests, for 1 s doubling to 30 s.  Such calls are sent
 * again, up to 10 times and within their time; everything else is the caller's to retry (the work queue does).  A write is refused with -EPERM when the gate says no (lease
 * lost), when it comes, when its turn comes, or when it would be sent again.
 * The token file is read again each minute and at once after a 401, which is then retried once.  Before a first token could be read nothing
 * is sent: calls end with -EIO.  Files with certificates are read again, too, for new connections.  What the server warns of is logged once.
 * Threads: the loop thread only.  Callbacks run on the loop, never from inside ao_kube_send().
 */
#include "base/err.h"
#include "kube/config.h"
#include "kube/resource.h"
#include "net/http.h"

#include <cjson/cJSON.h>

typedef struct ao_kube ao_kube;
typedef struct ao_kube_call ao_kube_call;

typedef struct ao_kube_answer {
	long status; /* HTTP status; 0: no answer */
	int error;   /* 0 for 2xx; else -ENOENT the server says NotFound of what was asked for, -EEXIST AlreadyExists, -ESTALE Conflict or
			Gone (409, 410), -EPROTO a 2xx that is not the object asked for, -EINVAL other 4xx and typed-patch 500, -EPERM 401/403
			or no lease, -EIO 5xx, redirects, no answer, and a 404 or 409 without a Status, -EAGAIN 429, -ETIME, -E2BIG */
	const char *reason;  /* Status.reason ("AlreadyExists", "Invalid", ...), or "" */
	const char *message; /* Status.message, the transport's error or "HTTP status N: text"; never NULL */
	bool unsure; /* a write that left, without an answer of the server: that may have carried it out, so look before it is judged */
	const char *body; /* the raw answer, NUL-terminated, borrowed */
	size_t body_len;
} ao_kube_answer;

typedef void (*ao_kube_fn)(void *arg, const ao_kube_answer *answer);

/** The one object that a request is about. A 2xx must bring it back, and "not found" must be said of it, to be believed. */
typedef struct ao_kube_object {
	const ao_resource *resource; /* borrowed until fn; NULL: the request is about something else, any 2xx is fine */
	const char *namespace_;      /* NULL or "": there is none */
	const char *name, *uid;      /* NULL: not known, any is fine */
} ao_kube_object;

/** Which write goes first when more want to than may. */
typedef enum {
	AO_KUBE_USUAL,  /* finalizers, children, records */
	AO_KUBE_URGENT, /* somebody waits for it */
	AO_KUBE_STATUS,
	AO_KUBE_EVENT,
	AO_KUBE_RANKS
} ao_kube_rank;

typedef struct ao_kube_request {
	const char *method;
	const char *path;         /* with query, from ao_resource_path() */
	const char *content_type; /* NULL: application/json */
	const char *body;         /* copied; NULL: none */
	ao_kube_object object;    /* texts copied */
	ao_kube_rank rank;        /* of a write */
	bool metadata_only;       /* of what is listed or watched the server sends no more than that, where it can */
	uint64_t timeout_ms;      /* for all attempts, from the first on; 0 means 30000 */
	size_t max_body;          /* 0 means 4 MiB */
	ao_kube_fn fn;            /* called once, unless the call is cancelled; may be NULL */
	void *arg;
	/* watches: pieces of a 2xx body; then timeout_ms 0 means none, but the answer must begin within 30 s */
	int (*on_data)(void *arg, const char *bytes, size_t len);
} ao_kube_request;

#define AO_JSON_PATCH "application/json-patch+json"
#define AO_MERGE_PATCH "application/merge-patch+json"
#define AO_APPLY_PATCH "application/apply-patch+yaml"

/** @param config borrowed for the client's life */
int ao_kube_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, ao_kube **ret, ao_err **reterr);
/**
 * Another client for the same server with a connection of its own: the server lets one carry 100 requests, watches among them.  It must be
 * freed before the first.
 */
ao_kube *ao_kube_sibling(const ao_kube *kube);
void ao_kube_free(ao_kube *kube); /* cancels every call */

/** Every request but GET first asks `gate(arg)`, and again when it leaves; false refuses it. NULL: no gate. */
void ao_kube_set_gate(ao_kube *kube, bool (*gate)(void *arg), void *arg);
/** What the gate says now, for what is written elsewhere. */
bool ao_kube_may_write(const ao_kube *kube);

ao_kube_call *ao_kube_send(ao_kube *kube, const ao_kube_request *request);
void ao_kube_cancel(ao_kube_call *call);

/** Shuts down every connection: what is under way ends with -EIO, what comes next connects anew. */
void ao_kube_reset(ao_kube *kube);

/** For metrics: called for each attempt that ended, with status 0 when there was no answer; for a stream when it begins. */
void ao_kube_on_answer(ao_kube *kube, void (*fn)(void *arg, const char *method, long status, uint64_t took_ms), void *arg);
/** For metrics: called with the path of each stream that ended, or got no answer; not for one that was refused or cancelled. */
void ao_kube_on_stream(ao_kube *kube, void (*fn)(void *arg, const char *path), void *arg);
const char *ao_kube_host(const ao_kube *kube);

/** An error that may be gone the next time without anybody's doing. */
static inline bool ao_kube_is_passing(int error) { return error == -EIO || error == -EPROTO || error == -ETIME || error == -EAGAIN; }

/** Makes the answer an error: "<verb> <what>: <message> (<reason>)". @return answer->error */
int ao_kube_answer_err(const ao_kube_answer *answer, const char *what, ao_err **reterr);
