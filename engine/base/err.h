#pragma once
/**
 * err.h -- the one error rule.
 *
 * A function that can fail returns `int`: 0, or a negative errno that says what a caller may do about it, and
 * takes `ao_err **reterr` as its last parameter.  `*reterr` is set on failure and untouched on success; outputs
 * named `ret_` are set on success and untouched on failure.  On the way up, each layer that knows more puts it in
 * front with ao_err_wrap().  `reterr` may be NULL where the caller wants only the code.
 *
 * The codes and what they mean everywhere:
 *   -EINVAL  the input is wrong (file, actor, policy): do not retry before it changes
 *   -ENOENT  what was asked for is not there
 *   -EPROTO  the peer answered something that makes no sense
 *   -E2BIG   a cap was reached
 *   -ETIME   a deadline or a step budget was spent
 *   -EINTR   the sandbox's clock ended it, which says nothing about the input: try again, blame nobody
 *   -EIO     the network or the disk failed: retry with back-off
 *   -EPERM   we are not allowed to (no lease, RBAC)
 * Threads: any; an ao_err belongs to one owner at a time.
 */
#include <errno.h>

typedef struct ao_err {
	int code;  /* negative errno */
	char *msg; /* one line unless it carries a traceback; never NULL */
} ao_err;

/** Makes an error. @return `code`, so that a caller can `return ao_err_set(...)`. Replaces an earlier *reterr. */
int ao_err_set(ao_err **reterr, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/** Puts "<fmt>: " before the message. @return the error's own code, or -EINVAL when reterr is NULL or empty. */
int ao_err_wrap(ao_err **reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** The message, or "unknown error" for NULL. Borrowed. */
const char *ao_err_text(const ao_err *err);

void ao_err_free(ao_err *err); /* NULL is fine */

static inline void ao_err_freep(ao_err **err) { ao_err_free(*err); }
#define ao_auto_err __attribute__((cleanup(ao_err_freep)))
