/* lines.c -- a line that lies whole in the bytes at hand is handed on from there; only what is cut is copied.
 *
 * While `fn` runs the struct holds no line, so that `fn` may free it (or what it is part of) and return non-zero. */
#include "net/lines.h"

#include <errno.h>
#include <string.h>

#define KEEP_BYTES (64 * 1024) /* more than an object of the usual size; a rare giant gives its memory back */

/** Completes the carried line with `len` bytes and hands it on. */
static int finish_carry(ao_lines *lines, const char *bytes, size_t len, ao_line_fn fn, void *arg)
{
	ao_buf_put(&lines->carry, bytes, len);
	if (lines->carry.overflow)
		return -E2BIG;
	ao_auto_buf ao_buf line = lines->carry;
	lines->carry = ao_buf_init(line.cap);
	int rc = fn(arg, line.data, line.len);
	if (rc)
		return rc;
	if (line.size > KEEP_BYTES)
		return 0;
	lines->carry = line; /* its memory serves the next cut line */
	line = ao_buf_init(0);
	ao_buf_clear(&lines->carry);
	return 0;
}

int ao_lines_feed(ao_lines *lines, const char *bytes, size_t len, ao_line_fn fn, void *arg)
{
	const char *end = bytes + len;
	while (bytes < end) {
		const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
		if (!newline) {
			ao_buf_put(&lines->carry, bytes, (size_t)(end - bytes));
			return lines->carry.overflow ? -E2BIG : 0;
		}
		size_t line_len = (size_t)(newline - bytes);
		int rc = 0;
		if (lines->carry.len)
			rc = finish_carry(lines, bytes, line_len, fn, arg);
		else if (line_len > lines->carry.cap)
			rc = -E2BIG;
		else if (line_len)
			rc = fn(arg, bytes, line_len);
		if (rc)
			return rc;
		bytes = newline + 1;
	}
	return 0;
}

void ao_lines_free(ao_lines *lines) { ao_buf_free(&lines->carry); }
