#pragma once
/**
 * file_watch.h -- tells when a file has changed, by looking at it every few seconds.
 *
 * It looks instead of waiting for inotify, because a mounted ConfigMap is a link to a link whose target is exchanged, and many file
 * systems report nothing then.
 * Threads: the loop thread only.
 */
#include "loop/loop.h"

typedef struct ao_file_watch ao_file_watch;

/**
 * Calls fn(arg) after each change of what is at `path` (copied); a file that is not there counts as another content.  Calls it once unasked,
 * `interval_ms` after the beginning: so the caller may have read the file just before, or may do so just after, and misses nothing.
 */
ao_file_watch *ao_file_watch_new(ao_loop *loop, const char *path, unsigned interval_ms, void (*fn)(void *arg), void *arg);
void ao_file_watch_free(ao_file_watch *watch); /* NULL is fine; fn is not called any more */
