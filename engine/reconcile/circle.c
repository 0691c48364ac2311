/* circle.c -- counts turns of one parent that follow each other closely. */
#include "reconcile/circle.h"

#define REST_MS 5000 /* what rests for so long is no circle */

bool ao_circle_turn(ao_circle *circle, uint64_t pass, uint64_t child, int64_t generation, uint64_t now_ms)
{
	if (circle->turns && circle->pass == pass)
		return false;
	bool same = circle->turns && circle->child == child && circle->generation == generation;
	bool goes_on = same && now_ms - circle->last_ms < REST_MS;
	*circle = (ao_circle){
	    .pass = pass, .child = child, .last_ms = now_ms, .generation = generation, .turns = goes_on ? circle->turns + 1 : 1};
	return circle->turns == AO_CIRCLE_TURNS;
}
