/*
 * patience.c -- a child that was just made runs within seconds, and until then there is nothing worth telling but an error.  Where a whole fleet
 * begins, its pods begin one after the other, and "is being created" of each is as many writes as they need to be created.
 */
#include "reconcile/patience.h"

#define NEAR_MS 1000     /* children that were just written are looked at by their controllers in that time */
#define FIRST_MS 3000    /* ... and new ones run in that time */
#define CROWDED_MS 30000 /* ... while many others are to run, too */
#define CROWD 16
#define CALM_MS 5000 /* counts alone are no news that somebody waits for */

uint64_t ao_patience_ms(const ao_news *news)
{
	if (news->pressing)
		return 0;
	if (news->calm)
		return CALM_MS;
	if (!news->changed)
		return 0;
	if (!news->first)
		return NEAR_MS;
	return news->crowd < CROWD ? FIRST_MS : CROWDED_MS;
}
