#pragma once
/**
 * file.h -- reading a whole file, with a cap.
 * Threads: any.
 */
#include "base/buf.h"
#include "base/err.h"

/**
 * Appends the file's bytes to `out`; "-" is standard input.
 * @return 0; -ENOENT, -EPERM, -EIO with the path and the cause; -E2BIG when it is larger than out's cap
 */
int ao_file_read(const char *path, ao_buf *out, ao_err **reterr);
