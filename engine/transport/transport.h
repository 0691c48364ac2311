#pragma once
/**
 * transport.h -- one interface to message brokers: keep a queue, look at it, delete it; show its messages, move them to another queue.
 *
 * A broker object is one server (or cloud account) seen with one set of credentials.  The core makes one for each registry entry and
 * credential and keeps it, so connections live as long as they are of use.
 * Policies decide what a queue must look like.  They hand over JSON that only the broker's own room reads: the formats are in
 * rabbitmq/rabbitmq.h and sqs/sqs.h, and an unknown key is an error that names it.
 * No call ever blocks the loop, waits for another queue's trouble, or loses a message.  A queue that differs in what cannot be changed in
 * place is left alone and named in the answer; only `forceRecreate` replaces it, and only while it is empty.
 * Nor is a queue deleted that differs: whoever made it wanted something else of it.
 * Threads: the loop thread only.  Callbacks run on the loop, never from inside ao_broker_send().
 */
#include "base/err.h"
#include "loop/loop.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ao_broker ao_broker;
typedef struct ao_broker_call ao_broker_call;

typedef enum {
	AO_BROKER_ENSURE,  /* make the queue, its dead letter queue and its bindings right; counts come with the answer */
	AO_BROKER_INSPECT, /* only look: exists and counts; nothing is made or changed */
	AO_BROKER_DELETE,  /* a queue as wanted goes, and its own dead letter queue when that is empty; "gone already" is success */
	AO_BROKER_MOVE,    /* messages go from the queue to `to`, at most `most` of them; neither queue is made or changed */
	AO_BROKER_PEEK,    /* at most `most` messages are shown, and stay */
} ao_broker_verb;

/*
 * MOVE takes a message away from its queue only when the broker has said that the other one has it.  So a move may end at any point, by an
 * error, a time-out, ao_broker_cancel() or the end of the process, and loses nothing; what was on its way then may come twice (`again`).
 * It ends without an error when half of its time is over: who wants more asks again.
 * A message keeps its body, its properties and its headers.  One that cannot be sent as it is stays (`left`, `why`).  What is taken and not
 * moved is back in the queue when the call ends, or after a while that the message names (SQS).
 * PEEK takes messages, and gives them back: to a broker that is a delivery like any other (`cost`).
 */
#define AO_BROKER_PEEK_MOST 100 /* a PEEK shows no more, whatever `most` is */

/**
 * error: 0, or -EIO unreachable, -ETIME, -EPERM refused credentials or rights, -EINVAL configuration or mismatch, -ENOENT missing and
 * not ours to create, -EAGAIN come back later (retry_ms), -EBUSY not empty, -EPROTO.
 * reason: one CamelCase word for a condition: "" on success, else BrokerUnreachable, BrokerTimeout, AccessDenied, QueueMismatch,
 * QueueMissing, QueueNotEmpty, QueueDeletedRecently, Throttled, InvalidConfiguration, BrokerError.
 */
typedef struct ao_broker_answer {
	int error;
	const char *reason;
	const char *message; /* for people: host, queue, what differs, wanted and found, what to do; never a secret. "" on success */
	bool exists;         /* the main queue is there now */
	bool created;        /* ... and this call made it */
	bool repaired;       /* something about it was changed in place */
	bool deleted;        /* this call took it away */
	bool tried;          /* error: it was not there, and this call may have made it all the same */
	int64_t messages;    /* waiting, ready to be delivered; of one that was deleted: how many went with it; -1: not known */
	int64_t in_flight;   /* delivered and not acknowledged; -1: not known */
	bool dead_known;     /* ENSURE, INSPECT: `dead` messages wait in a dead letter queue that the broker counts at no price */
	int64_t dead;
	bool dead_missing; /* INSPECT: the queue is there, and its dead letter queue is not. Not every type looks */
	uint64_t retry_ms; /* when it makes sense to ask again; 0: after the caller's own back-off */
	const char *kept;  /* DELETE: which queue stays because it differs from what is wanted, in what, with how much; NULL: none does */
	uint64_t moved;    /* MOVE: are in `to` now; known of a call that failed, too */
	uint64_t left;     /* MOVE: were looked at and stay */
	bool worn;         /* MOVE: the broker may drop those that are left when they are looked at too often */
	uint64_t again;    /* MOVE: at most so many are in both queues, or twice in `to` */
	const char *why;   /* MOVE: why some are left; NULL: none is */
	const cJSON *seen; /* PEEK: [{id, size, body, receives, redelivered, headers, properties}]; no body: it is no text, or see `cut` */
	const char *cost;  /* PEEK: what it does to messages; NULL: nothing */
	const char *account; /* as ao_broker_account() now */
} ao_broker_answer;

typedef void (*ao_broker_fn)(void *arg, const ao_broker_answer *answer);

typedef struct ao_broker_request {
	ao_broker_verb verb;
	const cJSON *queue;  /* what is wanted, in the broker's own terms; has "name"; copied. MOVE and PEEK look at nothing but the name */
	const char *to;      /* MOVE: the name of the other queue; copied */
	const char *account; /* DELETE, MOVE: one that is another's is left alone; NULL: whosever it is; copied */
	const char *origin;  /* MOVE: others than those that came from this queue as dead letters stay; NULL: all go; copied */
	uint64_t most;       /* MOVE, PEEK */
	uint64_t timeout_ms; /* of the call once it is its turn; before that, of a broker that answers nobody. 0 means 30000 */
	uint64_t until_ms;   /* as ao_broker_allow(); 0: for ever */
	ao_broker_fn fn;     /* called once unless cancelled; strings borrowed for the call */
	void *arg;
} ao_broker_request;

/** What the engine shows about a broker in metrics and /debug. */
typedef struct ao_broker_stats {
	bool connected;
	uint64_t calls, errors, connects; /* since it was made */
	unsigned in_flight;
} ao_broker_stats;

/**
 * @param type     "rabbitmq" or "sqs"
 * @param config   the registry entry's `config`; copied
 * @param secrets  strings by name, read from Secrets (rabbitmq.h and sqs.h have the names); copied, wiped when freed; may be NULL
 * @return 0; -EINVAL with the path of the wrong key ("config.tls.caa: unknown key; did you mean ca?")
 */
int ao_broker_new(ao_loop *loop, const char *type, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr);
/**
 * Where the queues of a broker are, as a text that is the same for all configurations that say so in the same words: hosts, ports and
 * virtual host; endpoint, region and account.  One that does not say all of it ends with a blank.  The caller frees.
 */
char *ao_broker_place(const char *type, const cJSON *config);
/** Does it say all of it? */
bool ao_broker_is_whole_place(const char *place);
/** May that be one place? Yes also where one of them does not say all, and the other one says the rest of it. */
bool ao_broker_may_be_one_place(const char *place, const char *other);
/** Whose queues the broker says that it shows us; borrowed. @return NULL: it has not said so yet, or has but one account */
const char *ao_broker_account(const ao_broker *broker);
/** A few digits that tell places apart, for what outlives us. The caller frees. @return NULL: the configuration makes no sense */
char *ao_broker_place_digest(const char *type, const cJSON *config);
/** As ao_broker_may_be_one_place(), for another one of which only the digest is known: what says not all may be any of them. */
bool ao_broker_may_be_at(const char *place, const char *digest);
/** Cancels every call and closes connections in the background; NULL is fine. */
void ao_broker_free(ao_broker *broker);

ao_broker_call *ao_broker_send(ao_broker *broker, const ao_broker_request *request);
/** Its fn is not called. What was already sent to the broker may still happen. */
void ao_broker_cancel(ao_broker_call *call);
/**
 * A call may change something at the broker until then, on the clock of ao_mono_ms().  After that it ends with -EAGAIN before its next step that would:
 * a process that stood still between two of them goes on where it was, and by then the queue may be another's, with messages, or be gone with its
 * parent, and nobody would delete it again.  What a MOVE has sent to the other queue it still takes away from the first one.
 */
void ao_broker_allow(ao_broker_call *call, uint64_t until_ms);
/** "10 messages", "1 message"; "messages that nobody has counted" for -1. The caller frees. */
char *ao_broker_count_text(int64_t messages);
ao_broker_stats ao_broker_get_stats(const ao_broker *broker);
