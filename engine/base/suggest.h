#pragma once
/**
 * suggest.h -- "did you mean ...?": the known word nearest to a misspelt one.
 * Threads: any.
 */

typedef struct ao_suggest {
	const char *word;  /* what was written */
	const char *best;  /* the nearest candidate so far, borrowed; NULL: none is near enough to be meant */
	unsigned distance; /* of best, in letters changed, added, dropped or swapped */
} ao_suggest;

static inline ao_suggest ao_suggest_for(const char *word) { return (ao_suggest){.word = word}; }
void ao_suggest_offer(ao_suggest *suggest, const char *candidate);
/** "; did you mean X?" or "". The caller frees. */
char *ao_suggest_text(const ao_suggest *suggest);
