/* files.c -- a file is made with the folders above it. */
#include "cli/files.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/** Makes the folders above `path`. */
static int make_folders(const char *path, ao_err **reterr)
{
	ao_auto_str char *copy = ao_xstrdup(path);
	for (char *slash = copy; (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		if (mkdir(copy, 0777) < 0 && errno != EEXIST)
			return ao_err_set(reterr, -errno, "%s: %s", copy, strerror(errno));
		*slash = '/';
	}
	return 0;
}

int ao_files_write(const char *path, const char *text, size_t len, bool replace, ao_err **reterr)
{
	int r = make_folders(path, reterr);
	if (r < 0)
		return r;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (replace ? O_TRUNC : O_EXCL), 0666);
	if (fd < 0 && errno == EEXIST && !replace)
		return 1;
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	bool good = out && fwrite(text, 1, len, out) == len;
	int code = good ? 0 : errno;
	if (out && fclose(out) != 0 && good)
		code = errno;
	return code ? ao_err_set(reterr, -code, "%s: %s", path, strerror(code)) : 0;
}
