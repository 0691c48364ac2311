/* file.c -- stdio, because a pipe or a terminal must work as well as a file. */
#include "base/file.h"

#include <stdio.h>
#include <string.h>

static int failed(const char *path, int cause, ao_err **reterr)
{
	int code = cause == ENOENT ? -ENOENT : cause == EACCES ? -EPERM : -EIO;
	return ao_err_set(reterr, code, "%s: %s", path, strerror(cause));
}

int ao_file_read(const char *path, ao_buf *out, ao_err **reterr)
{
	bool standard_input = strcmp(path, "-") == 0;
	FILE *file = standard_input ? stdin : fopen(path, "re");
	if (!file)
		return failed(path, errno, reterr);
	char chunk[16384];
	size_t got;
	while (!out->overflow && (got = fread(chunk, 1, sizeof(chunk), file)) > 0)
		ao_buf_put(out, chunk, got);
	int cause = ferror(file) ? errno : 0;
	if (!standard_input)
		fclose(file);
	if (cause)
		return failed(path, cause, reterr);
	if (out->overflow)
		return ao_err_set(reterr, -E2BIG, "%s: larger than %zu bytes", path, out->cap);
	return 0;
}
