/* suggest.c -- edit distance with swaps of neighbours, on words short enough to be names. */
#include "base/suggest.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define MAX_WORD 64
#define FAR 1000

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

static unsigned distance(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned row[3][MAX_WORD + 1];
	if (n > MAX_WORD || m > MAX_WORD)
		return FAR;
	for (size_t j = 0; j <= m; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
			now[j] = least(least(now[j - 1], before[j]) + 1, before[j - 1] + (x != y));
			bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
			if (swapped)
				now[j] = least(now[j], earlier[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

void ao_suggest_offer(ao_suggest *suggest, const char *candidate)
{
	unsigned d = distance(suggest->word, candidate);
	size_t shorter = least((unsigned)strlen(suggest->word), (unsigned)strlen(candidate));
	if (d > 3 || d > shorter / 2 || (suggest->best && d >= suggest->distance))
		return;
	suggest->best = candidate;
	suggest->distance = d;
}

char *ao_suggest_text(const ao_suggest *suggest)
{
	return suggest->best ? ao_xasprintf("; did you mean %s?", suggest->best) : ao_xstrdup("");
}
