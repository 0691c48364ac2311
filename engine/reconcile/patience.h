#pragma once
/**
 * patience.h -- how long news of a parent may wait for the better one that will follow it.
 *
 * Threads: any.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What there is to tell. */
typedef struct ao_news {
	bool pressing; /* somebody has to know it now, or nothing is on its way */
	bool calm;     /* its conditions are those that were told: counts alone have changed */
	bool changed;  /* children were written since it was told last: their controllers will have more to tell */
	bool first;    /* nothing has been told yet */
	size_t crowd;  /* parents of which nothing has been told yet, because theirs waits */
} ao_news;

/** @return from the time on when there was something to tell; 0: it does not wait */
uint64_t ao_patience_ms(const ao_news *news);
