#pragma once
/**
 * mem.h -- small allocations, and releasing them at the end of a scope.
 *
 * The one memory rule: a small allocation whose size we chose ourselves aborts when it fails, so no caller
 * tests for it.  Anything sized by the network, a file or Lua goes through ao_buf (buf.h), which has a cap.
 *
 * The one cleanup rule: a local that owns something is declared with the `ao_auto_*` macro of its type and is
 * released on every way out.  To hand it over, return AO_TAKE(local).
 * Threads: any.
 */
#include <stddef.h>
#include <stdlib.h>

void *ao_xmalloc(size_t size);
void *ao_xcalloc(size_t count, size_t size);
void *ao_xrealloc(void *ptr, size_t size);
char *ao_xstrdup(const char *s);              /* NULL gives NULL */
char *ao_xstrndup(const char *s, size_t len); /* s need not be terminated; may be NULL when len is 0 */
char *ao_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline void ao_free_charp(char **p) { free(*p); }

/** A local `char *` that is freed when it goes out of scope. */
#define ao_auto_str __attribute__((cleanup(ao_free_charp)))

/** Hands over what `p` owns: the value, leaving NULL behind for the cleanup. */
#define AO_TAKE(p)                                                                                                                         \
	__extension__({                                                                                                                    \
		__typeof__(p) ao_taken_ = (p);                                                                                             \
		(p) = NULL;                                                                                                                \
		ao_taken_;                                                                                                                 \
	})

#define AO_LEN(array) (sizeof(array) / sizeof((array)[0]))
