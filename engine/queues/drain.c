/* drain.c -- the machine in the header's comment, as code. */
#include "queues/drain.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define POLL_MS 1000     /* between two tries while it holds something that cannot be moved now */
#define IDLE_MS 5000     /* the same at most, when nothing has come for a while */
#define FOREIGN_MS 30000 /* between two looks at what is not ours */
#define MAX_DELAY_MS 30000
#define BATCH 100   /* messages of one move: the facts are looked at anew before the next one */
#define REST 100000 /* ... of the last one, when some messages cannot be moved: those that can be are to go with it */
#define HELD 3      /* looks in a row that find nothing but what somebody holds, before that is trouble where messages are meant to come */
#define MAX_WORN 2  /* moves that get messages and give them back: a broker may drop one that was delivered three times */

void ao_drain_begin(ao_drain *d, const ao_drain_settings *settings, uint64_t now_ms)
{
	*d = (ao_drain){.set = *settings, .began_ms = now_ms, .messages = -1, .in_flight = -1};
}

static bool at_end(const ao_drain *d) { return d->state == AO_DRAIN_GONE || d->state == AO_DRAIN_RELEASED; }

/** What was seen of the emptiness counts no more. */
static void doubt(ao_drain *d)
{
	d->empty_ms = d->looked_ms = 0;
	d->moved_all = false;
}

void ao_drain_tell(ao_drain *d, const ao_drain_facts *facts)
{
	if (at_end(d))
		return;
	d->facts = *facts;
	if (facts->shared) {
		d->state = AO_DRAIN_RELEASED;
	} else if (!facts->replaced || !facts->turned) {
		d->state = AO_DRAIN_WAITING;
		doubt(d);
	} else if (d->state == AO_DRAIN_WAITING) {
		d->state = AO_DRAIN_MOVING;
		d->next_ms = 0;
	}
}

/* ---- what to do ---- */

static bool may_move(const ao_drain *d) { return d->facts.ours && d->worn < MAX_WORN; }
static bool has_been_quiet(const ao_drain *d) { return d->looked_ms && d->looked_ms - d->empty_ms >= d->set.quiet_ms; }

static ao_drain_action wanted(const ao_drain *d)
{
	switch (d->state) {
	case AO_DRAIN_MOVING:
	case AO_DRAIN_WATCHING:
		return may_move(d) && !d->moved_all ? AO_DRAIN_MOVE : AO_DRAIN_LOOK;
	case AO_DRAIN_GOING:
		return AO_DRAIN_DELETE;
	default:
		return AO_DRAIN_NOTHING;
	}
}

ao_drain_action ao_drain_next(ao_drain *d, uint64_t now_ms, uint64_t *ret_ms)
{
	ao_drain_action action = d->asked ? AO_DRAIN_NOTHING : wanted(d);
	*ret_ms = 0;
	if (action == AO_DRAIN_NOTHING)
		return action;
	if (now_ms < d->next_ms) {
		*ret_ms = d->next_ms - now_ms;
		return AO_DRAIN_NOTHING;
	}
	return d->asked = action;
}

uint64_t ao_drain_most(const ao_drain *d) { return d->failures ? 1 : d->worn ? REST : BATCH; }

/* ---- what came of it ---- */

static uint64_t slower(unsigned times, uint64_t limit_ms)
{
	uint64_t delay = POLL_MS;
	for (; times && delay < limit_ms; times--)
		delay *= 2;
	return delay < limit_ms ? delay : limit_ms;
}

static void failed(ao_drain *d, const ao_drain_answer *answer, uint64_t now_ms)
{
	snprintf(d->reason, sizeof(d->reason), "%s", answer->reason ? answer->reason : "BrokerError");
	d->next_ms = now_ms + slower(d->failures++, MAX_DELAY_MS);
	d->refused = d->refused || (d->state == AO_DRAIN_GOING && answer->error == -EBUSY);
	doubt(d);
	if (d->state == AO_DRAIN_GOING || d->state == AO_DRAIN_WATCHING)
		d->state = AO_DRAIN_MOVING;
}

/** Something is in it: it is not over yet. */
static void holds_something(ao_drain *d, uint64_t now_ms)
{
	if (d->empty_ms)
		d->began_ms = now_ms; /* it was empty until now: a new trouble, if any */
	doubt(d);
	d->state = AO_DRAIN_MOVING;
}

static void moved(ao_drain *d, const ao_drain_answer *answer, uint64_t now_ms)
{
	d->total += answer->moved;
	if (answer->worn)
		d->worn = answer->moved ? d->worn + 1 : MAX_WORN;
	if (answer->moved || answer->worn) {
		d->idle = 0;
		d->moved_ms = now_ms;
		d->messages = -1;
		holds_something(d, now_ms);
		d->next_ms = now_ms;
		return;
	}
	d->moved_all = true;
	d->next_ms = now_ms;
}

static void looked(ao_drain *d, const ao_drain_answer *answer, uint64_t now_ms)
{
	d->messages = answer->messages;
	d->in_flight = answer->in_flight;
	d->moved_all = false;                            /* the next look is preceded by a move */
	if (answer->messages || answer->in_flight > 0) { /* what nobody has counted is not empty */
		holds_something(d, now_ms);
		d->next_ms = now_ms + (may_move(d) ? slower(d->idle++, IDLE_MS) : FOREIGN_MS);
		return;
	}
	if (d->worn) { /* somebody took them out; this look followed no move */
		d->worn = 0;
		d->next_ms = now_ms;
		return;
	}
	if (!d->empty_ms)
		d->empty_ms = now_ms;
	d->looked_ms = now_ms;
	d->state = AO_DRAIN_WATCHING;
	if (!has_been_quiet(d) || d->facts.lasting) {
		uint64_t left = d->empty_ms + d->set.quiet_ms - now_ms, pause = slower(d->idle++, IDLE_MS);
		d->next_ms = now_ms + (left < pause && !d->facts.lasting ? left : pause);
		return;
	}
	d->state = d->facts.ours && !d->facts.retained ? AO_DRAIN_GOING : AO_DRAIN_RELEASED;
	d->next_ms = now_ms;
}

/** One that is to last is made again, by others. */
static void gone(ao_drain *d, uint64_t now_ms)
{
	d->state = d->facts.lasting ? AO_DRAIN_MOVING : AO_DRAIN_GONE;
	d->next_ms = now_ms + slower(d->idle++, IDLE_MS);
}

/** A move says that there is nothing to move from with an error; `exists` tells this from a queue that there is nothing to move to. */
static bool is_missing(ao_drain_action asked, const ao_drain_answer *answer)
{
	bool names_it = answer->error == -ENOENT && answer->reason && strcmp(answer->reason, "QueueMissing") == 0;
	return !answer->exists && (!answer->error || (asked == AO_DRAIN_MOVE && names_it));
}

void ao_drain_answered(ao_drain *d, const ao_drain_answer *answer, uint64_t now_ms)
{
	ao_drain_action asked = d->asked;
	d->asked = AO_DRAIN_NOTHING;
	if (!asked || at_end(d) || d->state == AO_DRAIN_WAITING)
		return; /* an answer to what is not wanted any more */
	bool missing = is_missing(asked, answer);
	if (answer->error && !missing) {
		failed(d, answer, now_ms);
		return;
	}
	d->failures = 0;
	d->reason[0] = '\0';
	if (asked == AO_DRAIN_DELETE || missing)
		gone(d, now_ms);
	else if (asked == AO_DRAIN_MOVE)
		moved(d, answer, now_ms);
	else
		looked(d, answer, now_ms);
}

/* ---- what is told ---- */

bool ao_drain_is_empty(const ao_drain *d) { return at_end(d) || d->empty_ms; }

/** Somebody has taken all that is there. */
static bool is_held(const ao_drain *d) { return d->in_flight > 0 && !d->messages; }

/** ... and it is not us: a broker may count what we have moved for `quiet_ms`. */
static bool is_held_long(const ao_drain *d, uint64_t now_ms)
{
	return is_held(d) && d->idle >= HELD && now_ms - d->moved_ms >= d->set.quiet_ms;
}

const char *ao_drain_trouble(const ao_drain *d, uint64_t now_ms)
{
	bool late = now_ms - d->began_ms >= d->set.patience_ms;
	if (at_end(d))
		return NULL;
	if (late && d->refused)
		return "QueueInUse";
	if (d->empty_ms)
		return NULL;
	if (d->state != AO_DRAIN_WAITING && !d->facts.ours)
		return d->next_ms ? "QueueForeign" : NULL; /* before the first look it may not be there at all */
	if (d->worn >= MAX_WORN)
		return "MessagesRefused";
	if (!late)
		return NULL;
	if (d->state == AO_DRAIN_WAITING)
		return d->facts.replaced ? "NotTurned" : "PodsNotReplaced";
	if (d->facts.lasting && !d->reason[0] && !is_held_long(d, now_ms))
		return NULL; /* messages are meant to come */
	return d->reason[0] ? d->reason : is_held(d) ? "MessagesInFlight" : "MessagesComing";
}

const char *ao_drain_word(ao_drain_state state)
{
	static const char *const WORDS[] = {"waiting", "moving", "watching", "going", "gone", "released"};
	return WORDS[state];
}
