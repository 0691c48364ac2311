#pragma once
/**
 * whose.h -- whose a queue is, and what may become of it when its parent goes: the whole rule, without I/O.
 *
 * A queue belongs to a parent when it was made for this parent: it did not exist when the parent first wanted it, and was made afterwards.
 * A queue that existed before belongs to somebody else; the parent uses it, and it stays.  The answer is kept in the parent's status, so
 * that it outlives this process.  An operator before us may have kept no such records, but it made the queues of its parents itself.  Such
 * a parent is an heir: the queue that it finds counts as its own once the queue is seen with the settings that are wanted,
 * unless it has another name than the one that the parent reads.
 *
 *            nothing known --we made it-------------------> parent's
 *            nothing known --found as wanted--------------> another's (an heir: parent's)
 *            nothing known --found with other settings----> another's (an heir: still nothing known)
 *            another's     --it was gone, and we made it--> parent's
 *
 * What is known is known of one place: of the broker that the parent's transport led to.  Where it leads to another one now, a queue of the
 * same name is another's until it is gone and we made it; what we made remains ours where it is, and nobody looks there.  A place is where the
 * configuration leads, and the account that the broker shows, which other credentials change.  Records of older operators say no place, or no
 * account: the first who reads one takes it for the place where it looks.
 *
 * A queue that is the parent's remains the parent's.  While its settings do not fit it is not deleted (transport.h); they may fit again.
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
	bool tried; /* it was not there, we began to make it, and no answer came: if it is found as wanted next, it is ours */
} ao_whose;

typedef enum {
	AO_WHOSE_TRIED,    /* it was not there; whether we have made it is not known */
	AO_WHOSE_MADE,     /* it was not there, and we have made it */
	AO_WHOSE_FOUND,    /* it was there, as wanted */
	AO_WHOSE_MISMATCH, /* it was there, with other settings */
} ao_whose_sight;

/** Is a record about the queue at this place? @param recorded  NULL: an older operator wrote it; @param place  NULL: it is not known */
bool ao_whose_is_here(const char *recorded, const char *place);
/**
 * What is known of a queue that is seen for the first time, or at another place than before.
 * @param here       what is recorded of this place
 * @param elsewhere  something is recorded of another place
 * @param heir       nothing at all is recorded, because the operator before us kept no records
 */
ao_whose ao_whose_recall(ao_whose_owner here, bool elsewhere, bool heir);
/** Takes what came of asking a broker to ensure it. @return whether `owner` has changed */
bool ao_whose_saw(ao_whose *w, ao_whose_sight sight);
/** Another parent with the same queue owned it and goes: it belongs to this parent now. @return as ao_whose_saw() */
bool ao_whose_inherit(ao_whose *w);
/** May it be deleted with its parent, if it is as wanted? */
bool ao_whose_may_delete(const ao_whose *w);

/** The words of a status: "Actor" and "Other". */
const char *ao_whose_word(ao_whose_owner owner);   /* NULL for AO_WHOSE_UNKNOWN */
ao_whose_owner ao_whose_of_word(const char *word); /* NULL is fine */
