#pragma once
/**
 * keeper_private.h -- shared between keeper.c (what is wanted), call.c (asking brokers), records.c (whose the queues are), drains.c (what
 * becomes of those that are not read any more) and health.c.
 * Private to queues/.
 */
#include "base/map.h"
#include "queues/brokers.h"
#include "queues/drain.h"
#include "queues/keeper.h"
#include "queues/whose.h"

typedef struct ao_kept_queue ao_kept_queue;

/** A parent that has queues. */
typedef struct ao_queue_owner {
	char *key, *namespace_, *name, *uid;
	ao_kept_queue *first; /* in the order of the plan that first had them */
	cJSON *records;       /* what is known of its queues, in the form of its status; NULL: nothing, see `heir` */
	bool heir;            /* an operator that kept no records has worked on it */
} ao_queue_owner;

/** A queue whose messages go into another one of the same parent. */
typedef struct ao_queue_drain {
	ao_drain machine;
	ao_drain_settings settings;
	char *into;
	bool replaced; /* the parent's pods read `into` */
	bool lasting, retained;
	bool deleted;        /* a call of ours took it away */
	ao_drain_state told; /* what was told last */
	const char *trouble;
	ao_timer *timer;
} ao_queue_drain;

struct ao_kept_queue {
	ao_queues *queues;
	ao_queue_owner *owner;
	char *name;
	cJSON *want;
	ao_broker_verb verb; /* ENSURE, or DELETE when it is to go */
	ao_access *access;
	char *account;   /* whose queues it showed last; NULL: it has not said */
	uint64_t digest; /* of verb, want and access */
	uint64_t good;   /* `digest` when the queue was last found to be right; 0: never */
	bool existed;
	ao_whose whose;
	bool leaving; /* the parent has moved to another broker: the queue goes as soon as nobody needs it */
	bool told_left, told_shared;
	ao_queue_drain *drain;      /* its messages go elsewhere; NULL: they do not */
	bool drain_call;            /* `call` is one of the drain */
	ao_kept_queue *next_shared; /* another queue of the same name, which may be at the same place */

	ao_access_call *call;
	ao_broker_verb asked;   /* verb of `call` */
	bool only_looked;       /* ... but for DELETE it only looks at what stays */
	uint64_t asked_digest;  /* digest when it was sent */
	uint64_t answered_ms;   /* of the last ENSURE or DELETE; 0: never */
	uint64_t failed_digest; /* what the last failure was about */
	int error;              /* of the last answer */
	char *reason, *message; /* never NULL */
	unsigned failures;
	uint64_t woken_ms; /* when it was last tried because its broker was reached again; 0: never */
	ao_timer *retry;
	int64_t messages, in_flight, dead; /* dead: in its dead letter queue; each -1 when not known */
	char *kept;                        /* the last DELETE was answered, but the queue stays: the text says why; or NULL */

	void (*waiter)(void *arg); /* not NULL: among those that are waited for */
	void *waiter_arg;
	ao_kept_queue *next_waited, *previous_waited;
	ao_timer *patience;

	bool due;                      /* to be looked at in this round */
	ao_kept_queue *next;           /* of the same parent */
	ao_kept_queue *before, *after; /* of all */
};

struct ao_queues {
	ao_queues_options with;
	ao_brokers *brokers;
	ao_map *owners; /* uid -> ao_queue_owner */
	ao_map *shared; /* name -> the first ao_kept_queue of those that have this name */
	ao_kept_queue *first;
	ao_kept_queue *first_waited; /* as many as there are passes, at most */
	ao_timer *health;
	ao_kept_queue *look_at; /* health: the next that may be due */
	unsigned looking;       /* health: INSPECT calls in flight */
};

/** Is what they have at the same place for sure? They have one name. */
bool ao_queues_is_one(const ao_kept_queue *q, const ao_kept_queue *other);
/** Another parent that has the same queue and keeps it, or NULL. Where that may be, there is one, too. */
ao_kept_queue *ao_queues_sharer(const ao_kept_queue *q);
/** Another parent that empties the same queue, or NULL. @param waiting  only one whose pods may read it still */
ao_kept_queue *ao_queues_drainer(const ao_kept_queue *q, bool waiting);
/** Nobody waits for it any more. @return the waiter, to be called with waiter_arg; NULL: nobody waited */
void (*ao_queues_leave_waiter(ao_kept_queue *q))(void *arg);

/** Does somebody else need what a deletion would take away? Then it stays, and that is told. */
bool ao_queues_spare(ao_kept_queue *q);

void ao_queues_event(const ao_kept_queue *q, bool warning, const char *reason, const char *note);
/** The same, and in the log. */
void ao_queues_report(const ao_kept_queue *q, bool warning, const char *reason, const char *note);

/* call.c */
/** A queue that was to be deleted stays: remembers it, and says it in the log and as an Event. Takes the text. */
void ao_queues_kept(ao_kept_queue *q, bool warning, char *note);
/** Asks the broker for what is wanted. A call in flight is dropped. */
void ao_queues_ask(ao_kept_queue *q);
void ao_queues_look(ao_kept_queue *q);
/** Ends the call in flight, if any, and stops trying again. */
void ao_queues_stop(ao_kept_queue *q);
/** A broker works again: queues that failed because it did not are tried now. */
void ao_queues_on_back(void *arg, ao_access *access, bool may_enter);

/* records.c */
/** Reads what the parent's status says of its queues. */
void ao_queues_recall(const ao_queues *queues, ao_queue_owner *owner, const ao_object *parent);
/** Is it the one of this queue? A status may hold anything. */
bool ao_queues_is_record(const ao_kept_queue *q, const cJSON *record);
/** Another parent of which nothing is known but its records, and they have the queue; or NULL. */
const ao_queue_owner *ao_queues_claimant(const ao_kept_queue *q);
/** The account that the record of this queue is about, or NULL; borrowed. */
const char *ao_queues_account(const ao_kept_queue *q);
/** Do the credentials show other queues now than when it was last seen? */
bool ao_queues_is_in_another_account(const ao_kept_queue *q, const ao_broker_answer *answer);
/** Takes what the records say of a queue that is new to us, or at another place than before. Its access must be set. */
void ao_queues_recall_one(ao_kept_queue *q);
/** Takes a broker's answer to ENSURE. @return whether the parent's status has to say something new */
bool ao_queues_saw(ao_kept_queue *q, const ao_broker_answer *answer);
/** The queue is gone, or is not wanted any more: the parent's status need not remember it. */
void ao_queues_unrecord(ao_kept_queue *q);
/** A plan does not have the queue any more. It stays, and says so if it is ours. */
void ao_queues_tell_unread(const ao_kept_queue *q);
/** Another parent goes that has the same queue: from now on the queue is this parent's. It is not where that only may be. */
void ao_queues_inherit(ao_kept_queue *q, const ao_kept_queue *from);

/* drains.c */
/** Takes what a queue of a plan says of this: {into, lasting, deletion, quiet, patience}. */
void ao_queues_set_drain(ao_kept_queue *q, const cJSON *queue);
void ao_queues_free_drain(ao_kept_queue *q);
/** Is it being emptied, and not at the end of that? */
bool ao_queues_drains(const ao_kept_queue *q);
/** Goes on with it. A queue that is not drained is fine. */
void ao_queues_drain(ao_kept_queue *q);
/** The same with all queues of a parent, one of which may have become right. */
void ao_queues_drain_all(ao_queue_owner *owner);
/** Do the parent's pods read another queue than this one, so that senders may be turned away from it? */
bool ao_queues_may_turn(const ao_queue_owner *owner, const char *name);
/** Is a queue that is emptied read or owned by another parent, too? Then what comes to it is not to be taken from it. */
bool ao_queues_is_anothers(const ao_queue_owner *owner, const char *name);
/** For policies: [{name, drain, reason, message, lasting, messages}] of those whose messages go into this one; NULL: there are none. */
cJSON *ao_queues_drains_into(const ao_kept_queue *target);
/** For the parent's status: adds `into`, `drain` and `reason` to its records. */
void ao_queues_describe_drains(const ao_queue_owner *owner, cJSON *records);

/* health.c */
void ao_queues_on_health(void *arg);
/** Looks at further queues, a bounded number at a time. */
void ao_queues_look_on(ao_queues *queues);
