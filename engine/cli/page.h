#pragma once
/**
 * page.h -- output for people: through a pager and in colours when they look at a terminal, plain when a program reads it.
 *
 * $PAGER (default: less -FRX where there is one) and $NO_COLOR are honoured.
 * Threads: the main thread.
 */
#include <stdbool.h>

/** Begins to page stdout when that is a terminal. */
void ao_page_begin(void);
/** Waits until the reader has left. */
void ao_page_end(void);

typedef enum { AO_PLAIN, AO_GREEN, AO_RED, AO_YELLOW, AO_BOLD } ao_colour;
/** printf in a colour; a newline is not added. */
void ao_page_print(ao_colour colour, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
