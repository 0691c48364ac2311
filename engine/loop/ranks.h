#pragma once
/**
 * ranks.h -- lines of what waits for its turn, one a rank.
 *
 * The first of the highest rank is next, and each eighth time the one that has waited longest, whatever its rank, so that none starves.
 * The links lie inside of what waits: nothing is allocated, and who frees what waits takes it out of its line before.
 * Threads: the loop thread only.
 */
#include <stdint.h>

#define AO_RANKS 4 /* 0 is the highest */

/** Inside of what waits. */
typedef struct ao_ranked {
	void *of; /* what waits; the caller's */
	struct ao_ranked *next, *previous;
	unsigned rank;
	uint64_t since;
} ao_ranked;

/** Zeroed: nobody waits. */
typedef struct ao_ranks {
	ao_ranked *first[AO_RANKS], *last[AO_RANKS];
	unsigned turns;
} ao_ranks;

/** Goes to the end of the line of its rank. @param since  when it began to wait, as any number that grows */
void ao_ranks_join(ao_ranks *ranks, ao_ranked *item, unsigned rank, uint64_t since);
/** Leaves the line that it is in. */
void ao_ranks_leave(ao_ranks *ranks, ao_ranked *item);
/** Who is first in the line of a rank; it stays there. @return its `of`; NULL: nobody is */
void *ao_ranks_first(const ao_ranks *ranks, unsigned rank);
/** Whose turn it is; it stays in its line until it leaves. @return its `of`; NULL: nobody waits */
void *ao_ranks_turn(ao_ranks *ranks);
