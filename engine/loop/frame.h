#pragma once
/**
 * frame.h -- lets what an object calls free the object.
 *
 * A function that runs callbacks goes on with its object afterwards, so a callback that frees the object must not take it away from under
 * the function.  Freeing therefore only marks the object while such a function is on the stack, and the last one to return destroys it:
 *
 *     static void on_answer(void *arg)
 *     {
 *             thing *t = arg;
 *             ao_auto_frame ao_frame *frame = ao_frame_enter(&t->frame);
 *             t->fn(t->arg);
 *             if (!frame->freed)
 *                     go_on(t);
 *     }
 *
 *     void thing_free(thing *t)
 *     {
 *             if (!t || t->frame.freed)
 *                     return;
 *             stop_all_that_could_call_us(t);
 *             ao_frame_free(&t->frame);
 *     }
 *
 * Every function that uses the object after a callback enters; those that call back as the last thing they do need not.
 * Threads: one owner at a time.
 */
#include <stdbool.h>

typedef struct ao_frame {
	void (*destroy)(void *owner);
	void *owner;
	unsigned depth; /* how many functions on the stack have entered */
	bool freed;     /* the owner was freed: nothing more is to be started, and nobody called back */
} ao_frame;

/** @param destroy  releases the owner and all it has; called once */
static inline void ao_frame_init(ao_frame *frame, void (*destroy)(void *owner), void *owner)
{
	*frame = (ao_frame){.destroy = destroy, .owner = owner};
}

static inline ao_frame *ao_frame_enter(ao_frame *frame)
{
	frame->depth++;
	return frame;
}

static inline void ao_frame_leave(ao_frame **frame)
{
	if (--(*frame)->depth == 0 && (*frame)->freed)
		(*frame)->destroy((*frame)->owner);
}

/** Destroys the owner, now or when the last function that entered returns. */
static inline void ao_frame_free(ao_frame *frame)
{
	frame->freed = true;
	if (!frame->depth)
		frame->destroy(frame->owner);
}

/** A local `ao_frame *` that is left when it goes out of scope, after every local that was declared behind it. */
#define ao_auto_frame __attribute__((cleanup(ao_frame_leave)))
