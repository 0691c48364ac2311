#pragma once
/**
 * window.h -- how many writes may be in flight, so that they wait with us and not with the server.
 *
 * A server that has more to do than it can takes longer for each request, and gets no more done.  What waits there waits for everybody, and is
 * served as it came; in our own line the important goes first.
 * Threads: any; one at a time.
 */
#include <stdbool.h>
#include <stdint.h>

#define AO_WINDOW_MOST 16 /* no server was faster with more */
#define AO_WINDOW_LEAST 4

typedef struct ao_window {
	unsigned size;
	uint64_t least_ms, recent_ms; /* the shortest answer of this time and of the one before; 0: none yet */
	uint64_t aged_ms;             /* when that time began */
	uint64_t sum_ms;              /* of the answers of this round, ... */
	unsigned answers, in_flight;  /* ... how many there were, and the sum of what was in flight at each */
	bool full;                    /* more wanted to go in this round */
} ao_window;

ao_window ao_window_init(void);
/**
 * A write was answered.
 * @param in_flight  it, and those beside it
 * @param waiting    were others in line?
 */
void ao_window_answered(ao_window *window, uint64_t now_ms, uint64_t took_ms, unsigned in_flight, bool waiting);
