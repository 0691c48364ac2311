#pragma once
/**
 * update.h -- how children of a kind are brought to what a plan wants of them, and which of them may be changed now.
 * Threads: any.
 */
#include <stdbool.h>
#include <stddef.h>

/** What is done with a child that is there, and is not as the plan wants it. */
typedef enum {
	AO_UPDATE_IN_PLACE,         /* it is changed */
	AO_UPDATE_RECREATE,         /* it is deleted, and made anew when it is gone */
	AO_UPDATE_ON_DELETE,        /* it stays until somebody deletes it */
	AO_UPDATE_ROLLING_IN_PLACE, /* it is changed, one child of its kind after the other, each one when the others are ready */
	AO_UPDATE_ROLLING_RECREATE, /* the same, and made anew */
} ao_update;

/** @param word  as policies write it, "RollingInPlace"; NULL, and anything else, is AO_UPDATE_IN_PLACE */
ao_update ao_update_of(const char *word);
static inline bool ao_update_rolls(ao_update how) { return how >= AO_UPDATE_ROLLING_IN_PLACE; }
static inline bool ao_update_recreates(ao_update how) { return how == AO_UPDATE_RECREATE || how == AO_UPDATE_ROLLING_RECREATE; }

/** How one of the children of a kind stands that are updated one by one. */
typedef struct ao_standing {
	bool there;  /* it exists, and is not being deleted */
	bool wanted; /* ... and is as the plan wants it */
	bool ready;  /* ... and is ready, as policies say */
} ao_standing;

/**
 * Which child must be made, or become ready, before the one at `index` may be changed?  A child that is ready is not touched while any other
 * one is not.  One that is not ready may be what the change is to mend: it waits only for those that were changed already.
 * @return its index; -1: none
 */
long ao_update_waits_for(const ao_standing *children, size_t count, size_t index);
