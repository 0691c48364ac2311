#pragma once
/**
 * keeper.h -- keeps the queues that plans want: makes them, looks at them now and then, tries again after failures, and deletes them.
 *
 * A queue of a plan is {name, transport, type, config, secrets, want, deletion, leaving, into, lasting, quiet, patience}: `want` is the
 * broker's own description (rabbitmq.h, sqs.h). A failure is tried again by the keeper itself, after a back-off or as soon as the broker works again; the parent is
 * told when something about its queues has changed.  At each health interval every queue is looked at; one that is missing is made again.
 *
 * Threads: the loop thread only.  Callbacks run on the loop; only on_change may also be called from inside a function of this file.
 */
#include "kube/event.h"
#include "kube/store.h"
#include "serve/metrics.h"
#include "transport/transport.h"

typedef struct ao_queues ao_queues;

typedef struct ao_queues_options {
	ao_loop *loop;
	ao_kube *kube;
	ao_events *events;
	const ao_resource *parent_kind; /* what Events are about */
	char *const *records_path;      /* where the status of a parent keeps what ao_queues_records() made; NULL: nowhere */
	char *const *digest_path;       /* something else in it that only we write, whatever our age; NULL: there is nothing */
	uint64_t health_ms;             /* 0: queues are never looked at unasked */
	/** Something about a parent's queues has changed; `work`: more than counts of messages. */
	void (*on_change)(void *arg, const char *parent_key, bool work);
	void *arg;
} ao_queues_options;

typedef enum {
	AO_QUEUES_DONE,    /* it is as wanted, or gone */
	AO_QUEUES_FAILED,  /* `ret` says why; it is tried again, and on_change will be called */
	AO_QUEUES_PENDING, /* the broker has not answered yet; on_change will be called */
	AO_QUEUES_WAIT,    /* fn will be called within a fraction of a second */
} ao_queues_state;

/** What is known of one queue. Texts are borrowed until the loop runs again. */
typedef struct ao_queues_fact {
	const char *reason, *message;
	bool existed;     /* it was there once, as far as this process knows */
	const char *kept; /* AO_QUEUES_DONE of a deletion: what stays and why; NULL when nothing does */
} ao_queues_fact;

/** Everything in `options` is borrowed. */
ao_queues *ao_queues_new(const ao_queues_options *options);
void ao_queues_free(ao_queues *queues); /* NULL is fine */

/**
 * Wants a queue of a parent's plan made (AO_BROKER_ENSURE) or gone (AO_BROKER_DELETE).  A queue that another parent has as well is not
 * deleted.
 *
 * @param queue  copied
 * @param fn     NULL: AO_QUEUES_WAIT is never returned
 * @param ret    may be NULL
 */
ao_queues_state ao_queues_want(ao_queues *queues, const ao_object *parent, const cJSON *queue, ao_broker_verb verb, void (*fn)(void *arg),
			       void *arg, ao_queues_fact *ret);
/**
 * Wants a queue gone that the parent has left; its plan marks the queue with `leaving`.  No broker is asked before ao_queues_moved().  With
 * `into`, the name of another queue of the plan, its messages are moved there first (drain.h).  Otherwise a queue that is not empty is looked
 * at again and again until it is.  A queue with `into` that is not leaving but `lasting` is wanted made, and is emptied for good;
 * one that is only `lasting` goes with its parent.
 */
void ao_queues_leave(ao_queues *queues, const ao_object *parent, const cJSON *queue);
/** A parent goes, and this queue stays: nor does it go by another transport of the parent's, which may lead there. No broker is asked. */
void ao_queues_retain(ao_queues *queues, const ao_object *parent, const cJSON *queue);
/**
 * A parent cannot be planned: what its status says that it has is not emptied and not deleted for others.  That ends with ao_queues_forget(),
 * and when the parent has a plan with queues.
 */
void ao_queues_claim(ao_queues *queues, const ao_object *parent);
/** The pods of a parent that read the queues it leaves are gone. It must be known which other parents have which queues. */
void ao_queues_moved(ao_queues *queues, const char *parent_uid);
/** Does a queue of the parent wait for ao_queues_moved()? */
bool ao_queues_waits(const ao_queues *queues, const char *parent_uid);
/** Forgets the wait with this arg: its fn is not called. */
void ao_queues_cancel(ao_queues *queues, void *arg);
/** Forgets the queues of a parent that are not in `planned`; they stay at their brokers. */
void ao_queues_keep(ao_queues *queues, const char *parent_uid, const cJSON *planned);
/** Forgets a parent. */
void ao_queues_forget(ao_queues *queues, const char *parent_uid);

/**
 * For the parent's status: [{name, transport, owner, place, account}], the last three as in whose.h; with `into`, `drain` (drain.h) and maybe
 * `reason` while messages of it go elsewhere.  A queue is left out while nothing is known of it.  The caller frees.
 * @return NULL: nothing may be written yet, because an operator without records may have left queues to this parent
 */
cJSON *ao_queues_records(ao_queues *queues, const ao_object *parent);
/** Is one of these records about a queue of a plan, at the broker that the plan leads to? */
bool ao_queues_is_recorded(const cJSON *record, const cJSON *queue);
/**
 * For policies: [{name, transport, ready, messages, in_flight, dead_letters, reason, message, drains}], the last as [{name, drain, reason,
 * message, lasting, messages}] of the queues whose messages go into this one.  Unknown counts are left out, and so are queues that the
 * parent leaves; those that it reads come first.  dead_letters are those of a dead letter queue that is named after the queue: another has many to serve.
 * The caller frees.
 */
cJSON *ao_queues_facts(const ao_queues *queues, const char *parent_uid);
/** As ao_brokers_are_changing() and ao_brokers_halt(). */
bool ao_queues_are_changing(const ao_queues *queues);
void ao_queues_halt(ao_queues *queues);
void ao_queues_collect(ao_queues *queues, ao_metrics *metrics);
