#pragma once
/**
 * whose.h -- whose a queue is, and what may become of it when its parent goes: the whole rule, without I/O.
 *
 * A queue belongs to a parent when it was made for it: it was not there when the parent first wanted it, and since then somebody made it.
 * One that was there before is somebody else's; the parent uses it, and it stays.  The answer is kept in the parent's status, so that it
 * outlives this process.  A parent that an operator without such records has judged is an heir: the queue it finds counts as its own once
 * it is seen to have the settings wanted, because that operator made its queues itself.
 *
 *            nothing known --we made it-------------------> parent's
 *            nothing known --found as wanted--------------> another's (an heir: parent's)
 *            nothing known --found with other settings----> another's (an heir: still nothing known)
 *            another's     --it was gone, and we made it--> parent's
 *
 * What is the parent's stays so: settings that no longer fit keep it from being deleted (transport.h), and may fit again.
 * Threads: any.
 */
#include <stdbool.h>

typedef enum {
	AO_WHOSE_UNKNOWN,
	AO_WHOSE_PARENT, /* made for the parent */
	AO_WHOSE_OTHER,  /* was there before */
} ao_whose_owner;

/** What is known of one queue of one parent; zeroed: nothing. */
typedef struct ao_whose {
	ao_whose_owner owner;
	bool heir;  /* nothing is recorded, because the operator before us kept no records */
	bool tried; /* it was not there, we began to make it, and no answer came: what is found next as wanted is ours */
} ao_whose;

typedef enum {
	AO_WHOSE_TRIED,    /* it was not there; whether we have made it is not known */
	AO_WHOSE_MADE,     /* it was not there, and we have made it */
	AO_WHOSE_FOUND,    /* it was there, as wanted */
	AO_WHOSE_MISMATCH, /* it was there, with other settings */
} ao_whose_sight;

/** A broker was asked to make sure of it. @return whether `owner` is another than before */
bool ao_whose_saw(ao_whose *w, ao_whose_sight sight);
/** The parent that it belonged to goes, and leaves it to this one, which has it, too. @return as ao_whose_saw() */
bool ao_whose_inherit(ao_whose *w);
/** May it be deleted with its parent, if it is as wanted? */
bool ao_whose_may_delete(const ao_whose *w);

/** "Actor" and "Other", as a status has them... */
const char *ao_whose_word(ao_whose_owner owner);   /* NULL for AO_WHOSE_UNKNOWN */
ao_whose_owner ao_whose_of_word(const char *word); /* NULL is fine */
