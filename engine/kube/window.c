/*
 * window.c -- counts, round by round, how many of the writes in flight are only waiting, as TCP Vegas does: all of them, less those that an
 * idle server would have in work, which is the share that its shortest answer has of the usual one.  A few that wait keep the server busy;
 * more do nothing but wait.  It begins narrow, and anew with each time whose shortest answer is looked for, because how fast an idle server
 * answers is not to be learned from one that we keep busy.
 */
#include "kube/window.h"

#define FEW_WAIT 3 /* fewer than that, and one more may go */
#define MANY_WAIT 6
#define SOON_MS 20   /* an answer in that time has not waited, whatever the shortest one is */
#define AGE_MS 60000 /* the shortest answer is one of the last two such times: the way to the server may change */

ao_window ao_window_init(void) { return (ao_window){.size = AO_WINDOW_LEAST}; }

/** Notes an answer. @return how long one takes of a server that is idle */
static uint64_t shortest(ao_window *w, uint64_t now_ms, uint64_t took_ms)
{
	uint64_t age_ms = now_ms - w->aged_ms;
	if (age_ms >= AGE_MS) {
		w->recent_ms = age_ms < 2 * AGE_MS ? w->least_ms : 0;
		w->least_ms = 0;
		w->aged_ms = now_ms;
		w->size = AO_WINDOW_LEAST;
	}
	if (!w->least_ms || took_ms < w->least_ms)
		w->least_ms = took_ms;
	uint64_t least = w->recent_ms && w->recent_ms < w->least_ms ? w->recent_ms : w->least_ms;
	return least > SOON_MS ? least : SOON_MS;
}

void ao_window_answered(ao_window *w, uint64_t now_ms, uint64_t took_ms, unsigned in_flight, bool waiting)
{
	uint64_t soon_ms = shortest(w, now_ms, took_ms);
	w->sum_ms += took_ms;
	w->in_flight += in_flight;
	w->full |= waiting;
	if (++w->answers < w->size)
		return;
	uint64_t usual_ms = w->sum_ms / w->answers;
	unsigned in_flight_usually = w->in_flight / w->answers;
	double wait = usual_ms > soon_ms ? in_flight_usually * (1 - (double)soon_ms / (double)usual_ms) : 0;
	if (wait > MANY_WAIT && w->size > AO_WINDOW_LEAST)
		w->size--;
	else if (wait < FEW_WAIT && w->full && w->size < AO_WINDOW_MOST)
		w->size++;
	w->sum_ms = w->answers = w->in_flight = w->full = 0;
}
