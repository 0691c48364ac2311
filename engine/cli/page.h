#pragma once
/**
 * page.h -- output for people: with a pager and colours on a terminal, and plain when a program reads it.
 *
 * $PAGER (default: less -FRX where there is one) and $NO_COLOR are honoured.
 * Threads: the main thread.
 */
#include <stdbool.h>

/** Sends stdout through a pager when it is a terminal. */
void ao_page_begin(void);
/** Waits until the person has left the pager. */
void ao_page_end(void);

typedef enum { AO_PLAIN, AO_GREEN, AO_RED, AO_YELLOW, AO_BOLD } ao_colour;
/** Like printf, in a colour. Adds no newline. */
void ao_page_print(ao_colour colour, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
