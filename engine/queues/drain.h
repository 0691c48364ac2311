#pragma once
/**
 * drain.h -- the way of a queue that its parent does not read any more: messages go into the queue that the parent reads, then the old one
 * goes.  The whole rule, without I/O.
 *
 *   WAITING --the parent's pods read the new queue, and senders are turned to it--> MOVING
 *   MOVING  --a move finds nothing, and a look neither--> WATCHING
 *   WATCHING --a message comes, or one is in flight--> MOVING
 *   WATCHING --nothing came for `quiet_ms`, and it was ours--> GOING
 *   GOING   --the broker finds it in use after all--> MOVING
 *   GOING   --the broker took it away, or it is not there--> GONE
 *   any     --another parent has it as its own--> RELEASED: nothing is moved and nothing is deleted
 *
 * It promises: nothing is moved before pods read the queue that messages go into; nothing is moved out of a queue that is not ours, or that
 * is another's as well; a queue is deleted only when two moves and two looks, `quiet_ms` apart, found nothing, and the broker is told to
 * delete it only if that is so still.  Nothing of it has to be remembered: a machine that begins anew does all looks anew.
 * Messages that cannot be moved are taken twice at most: a broker may drop what is delivered again and again.  Then it only looks, until they
 * are gone.
 * A machine never gives up.  When it takes too long it says why, and both queues stay.
 *
 * Threads: any.
 */
#include <stdbool.h>
#include <stdint.h>

typedef enum {
	AO_DRAIN_WAITING,
	AO_DRAIN_MOVING,
	AO_DRAIN_WATCHING,
	AO_DRAIN_GOING,
	AO_DRAIN_GONE,     /* at its end: the record of it can be dropped */
	AO_DRAIN_RELEASED, /* the same, and it stays at its broker: it is another's, or not ours, or to stay */
} ao_drain_state;

typedef enum {
	AO_DRAIN_NOTHING,
	AO_DRAIN_MOVE,   /* a bounded number of messages */
	AO_DRAIN_LOOK,   /* is it there, and what does it hold? */
	AO_DRAIN_DELETE, /* if it is empty and nobody reads it */
} ao_drain_action;

typedef struct ao_drain_settings {
	uint64_t quiet_ms;    /* without a message before it goes; at least 1 */
	uint64_t patience_ms; /* to drain in, before that is called trouble */
} ao_drain_settings;

typedef struct ao_drain_facts {
	bool replaced; /* the parent's pods read the queue that messages go into */
	bool turned;   /* that queue is right, and senders that do not name a queue reach it alone */
	bool ours;     /* the old one was made for the parent (whose.h) */
	bool shared;   /* another parent has the old one */
	bool retained; /* it is to stay at its broker */
	bool lasting;  /* senders may go on to use its name: it is emptied again and again, and stays */
} ao_drain_facts;

typedef struct ao_drain_answer {
	int error;                   /* 0: it was done */
	const char *reason;          /* of an error: a constant word of transport.h */
	bool exists;                 /* MOVE, LOOK; of an error: it was seen before that */
	int64_t moved;               /* MOVE */
	bool worn;                   /* MOVE: some were got and given back, which the broker may count against them */
	int64_t messages, in_flight; /* LOOK; -1: not known */
} ao_drain_answer;

typedef struct ao_drain {
	ao_drain_state state;
	ao_drain_facts facts;
	ao_drain_action asked; /* and not answered yet */
	ao_drain_settings set;
	bool moved_all;                     /* the last move found nothing, and no message was seen since */
	uint64_t began_ms;                  /* when we began, or when it was last known to be empty */
	uint64_t next_ms;                   /* not before */
	uint64_t empty_ms;                  /* since when it is known to be empty; 0: it is not */
	uint64_t looked_ms;                 /* when a look last found it empty; 0: none did since empty_ms */
	uint64_t moved_ms;                  /* when a move last found something; 0: none did */
	unsigned failures, idle;            /* in a row */
	unsigned worn;                      /* moves that left something, since it was last empty */
	bool refused;                       /* the broker found it in use when it was to go */
	char reason[32];                    /* of the last failure; "": it was none */
	int64_t total, messages, in_flight; /* moved by this machine; as last seen, -1: not known */
} ao_drain;

void ao_drain_begin(ao_drain *d, const ao_drain_settings *settings, uint64_t now_ms);
/** Tells what is so now. */
void ao_drain_tell(ao_drain *d, const ao_drain_facts *facts);
/**
 * What to do now; it counts as asked until ao_drain_answered().
 * @param ret_ms  gets, with AO_DRAIN_NOTHING, after how long to ask again; 0: when the facts change, or the answer comes
 */
ao_drain_action ao_drain_next(ao_drain *d, uint64_t now_ms, uint64_t *ret_ms);
/** How many messages a MOVE may take. */
uint64_t ao_drain_most(const ao_drain *d);
/** What came of it. A call that was given up is one with an error. */
void ao_drain_answered(ao_drain *d, const ao_drain_answer *answer, uint64_t now_ms);

/** Is it known to hold nothing? Nobody needs to wait for it any longer, though it is still there. */
bool ao_drain_is_empty(const ao_drain *d);
/**
 * Why it takes so long, as one word for a condition: PodsNotReplaced, NotTurned, MessagesComing, MessagesInFlight, MessagesRefused, QueueInUse, QueueForeign,
 * or the broker's.  NULL: it does not, yet.
 */
const char *ao_drain_trouble(const ao_drain *d, uint64_t now_ms);
/** "waiting", "moving", ... */
const char *ao_drain_word(ao_drain_state state);
