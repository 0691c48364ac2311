/* ranks.c -- doubly linked lines, and whose turn it is. */
#include "loop/ranks.h"

#include <stdbool.h>
#include <stddef.h>

#define FAIR_TURN 8 /* that many turns, and the one that has waited longest is next */

void ao_ranks_join(ao_ranks *ranks, ao_ranked *item, unsigned rank, uint64_t since)
{
	ao_ranked *last = ranks->last[rank];
	item->rank = rank;
	item->since = since;
	item->next = NULL;
	item->previous = last;
	*(last ? &last->next : &ranks->first[rank]) = item;
	ranks->last[rank] = item;
}

void ao_ranks_leave(ao_ranks *ranks, ao_ranked *item)
{
	*(item->previous ? &item->previous->next : &ranks->first[item->rank]) = item->next;
	*(item->next ? &item->next->previous : &ranks->last[item->rank]) = item->previous;
}

void *ao_ranks_first(const ao_ranks *ranks, unsigned rank) { return ranks->first[rank] ? ranks->first[rank]->of : NULL; }

void *ao_ranks_turn(ao_ranks *ranks)
{
	ao_ranked *chosen = NULL;
	bool fair = (ranks->turns + 1) % FAIR_TURN == 0;
	for (size_t rank = 0; rank < AO_RANKS; rank++) {
		ao_ranked *item = ranks->first[rank];
		if (item && (!chosen || (fair && item->since < chosen->since)))
			chosen = item;
	}
	if (!chosen)
		return NULL;
	ranks->turns++;
	return chosen->of;
}
