#pragma once
/**
 * test_base_stderr.h -- what a test makes the log say, read from a pipe in place of standard error.
 */
#include "base/buf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define PIPE_BYTES (256 * 1024)

static int saved, readable;

static inline void listen_to_stderr(void)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES);
	fflush(stderr);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	readable = ends[0];
}

/** Everything that was written since. The caller frees. */
static inline char *heard(void)
{
	ao_buf text = ao_buf_init(PIPE_BYTES);
	char chunk[4096];
	dup2(saved, STDERR_FILENO); /* closes the pipe's last writing end, so that reading ends */
	close(saved);
	for (ssize_t got; (got = read(readable, chunk, sizeof(chunk))) > 0;)
		ao_buf_put(&text, chunk, (size_t)got);
	close(readable);
	return ao_buf_steal(&text);
}
