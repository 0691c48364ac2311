#pragma once
/**
 * circle.h -- is a child changed again and again, though its parent stays as it is?
 *
 * Policies may ask for objects that are made of what they make: of their own children, or of those of parents that ask for theirs.  Such a
 * circle has no end.  It turns once a second at most, as everything that others wake; people must be told.
 * Threads: any.
 */
#include <stdbool.h>
#include <stdint.h>

#define AO_CIRCLE_TURNS 20

typedef struct ao_circle {
	uint64_t pass, child, last_ms;
	int64_t generation;
	unsigned turns; /* in a row */
} ao_circle;

/**
 * A child was changed.
 * @param pass        the number of the pass: of several changes in one the first counts
 * @param child       a digest that tells it from others: those that are changed one after the other are no circle
 * @param generation  of the parent
 * @return true: this was turn AO_CIRCLE_TURNS in a row; once for each row
 */
bool ao_circle_turn(ao_circle *circle, uint64_t pass, uint64_t child, int64_t generation, uint64_t now_ms);
