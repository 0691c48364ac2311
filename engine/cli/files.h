#pragma once
/**
 * files.h -- files that verbs write for authors of policies.
 * Threads: the main thread.
 */
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/** Writes a file, and makes the folders above it. @param replace  false: a file that is there stays. @return 1: it stayed; 0; negative errno */
int ao_files_write(const char *path, const char *text, size_t len, bool replace, ao_err **reterr);
