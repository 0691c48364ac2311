#pragma once
/**
 * lines.h -- cuts a byte stream into lines, each handed on as soon as its newline is there.
 * What is kept of an unfinished line is capped.
 * Threads: one owner at a time.
 */
#include "base/buf.h"

typedef struct ao_lines {
	ao_buf carry; /* the unfinished line */
} ao_lines;

/** @return 0 to go on; anything else stops and is returned by ao_lines_feed() */
typedef int (*ao_line_fn)(void *arg, const char *line, size_t len); /* without the newline, not terminated; empty lines are skipped */

static inline ao_lines ao_lines_init(size_t max_line) { return (ao_lines){.carry = ao_buf_init(max_line)}; }
/** @return 0; -E2BIG a line beyond the cap; or what `fn` returned */
int ao_lines_feed(ao_lines *lines, const char *bytes, size_t len, ao_line_fn fn, void *arg);
void ao_lines_free(ao_lines *lines);
