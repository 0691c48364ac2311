#pragma once
/**
 * rivals.h -- another release, in another namespace, that wants the same parents.
 *
 * A lease is seen by its own namespace only, but the parents are seen by both.  So who works on a parent says so in its status: {lease,
 * since}, with the namespace and name of its lease, and when it began.  An operator that begins and finds the claim of another namespace's
 * lease does not know whether that one still lives.  It asks: it puts its own lease there, without `since`.  Who works on the parent puts
 * its claim back at once, and the one that has asked stands by and asks again later.  When no answer comes for longer than a lease lasts,
 * nobody is there, and it begins.  Only a question that is known to stand there counts: one that was lost is asked again, and one that a
 * process before us has left is asked and waited for anew.
 *
 * When two began at once, each sees its claims become the other's, and the one that began later ends.  Its process starts anew, and stands
 * by.  A claim that is merely there proves nothing: only one that comes in the place of another is a sign of life.  An operator that works
 * ends when that happens twice on a parent, with its answer in between: once may be a restore of old statuses.
 * Operators of different classes have leases of different names, and do not see each other's parents.
 * Threads: the loop thread only.
 */
#include "base/buf.h"
#include "kube/event.h"
#include "reconcile/world.h"

typedef struct ao_rivals ao_rivals;

typedef struct ao_rivals_options {
	ao_loop *loop;
	ao_kube *kube;
	ao_events *events;
	const char *namespace_, *lease;                 /* ours */
	void (*on_clear)(void *arg);                    /* work may begin */
	void (*on_taken)(void *arg, const char *key);   /* a parent of ours has another's claim or question: a pass puts ours back */
	void (*on_older)(void *arg, const char *lease); /* another began before us: we must end */
	void *arg;
} ao_rivals_options;

/** Everything in `options` is borrowed. */
ao_rivals *ao_rivals_new(const ao_rivals_options *options);
void ao_rivals_free(ao_rivals *rivals); /* NULL is fine */

/** All parents are known. Calls on_clear, from inside or later. @param world  borrowed until ao_rivals_rest() */
void ao_rivals_begin(ao_rivals *rivals, ao_world *world);
/** The world goes. */
void ao_rivals_rest(ao_rivals *rivals);
/** A parent has changed, be it in its status only. NULL is fine. */
void ao_rivals_saw(ao_rivals *rivals, const ao_object *parent, const ao_object *before);
/** May we work? Without rivals (NULL) always. */
bool ao_rivals_clear(const ao_rivals *rivals);
/** For /readyz: who stands by and who works, or nothing while nobody else is there. NULL is fine. */
void ao_rivals_tell(const ao_rivals *rivals, ao_buf *text);
/** {lease, since} of ours; complete as soon as on_clear is called. Borrowed. NULL gives NULL. */
const cJSON *ao_rivals_claim(const ao_rivals *rivals);
