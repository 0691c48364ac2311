#pragma once
/**
 * log.h -- the one logging rule: one line per fact on stderr, with a level, the room it comes from and the object
 * it is about.  A line never holds a secret.
 *
 * A line in text format: `2026-01-02T15:04:05.000Z INFO  core   asya/resize: created Deployment resize`.
 * In JSON format the same as {"ts","level","logger","object","msg"}.
 * A message is cut at 16 KiB; in text format its further lines (a traceback) begin with a tab, and control characters become '?'.
 * INFO is what an administrator wants to read at two in the morning: changes, not passes. DEBUG is each pass.
 * Threads: any.
 */
#include <stdbool.h>

typedef enum { AO_LOG_DEBUG, AO_LOG_INFO, AO_LOG_WARN, AO_LOG_ERROR } ao_log_level;

/** The room a line comes from; its name is printed in every line. */
typedef enum { AO_MAIN, AO_NET, AO_KUBE, AO_LEASE, AO_SCRIPT, AO_CORE, AO_TRANSPORT, AO_POLICY, AO_LOG_ROOMS } ao_log_room;

void ao_log_setup(ao_log_level level, bool json);
bool ao_log_enabled(ao_log_level level);

/** @param object what the line is about ("namespace/name"), or NULL */
void ao_log(ao_log_level level, ao_log_room room, const char *object, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define ao_debug(room, object, ...)                                                                                                        \
	do {                                                                                                                               \
		if (ao_log_enabled(AO_LOG_DEBUG))                                                                                          \
			ao_log(AO_LOG_DEBUG, room, object, __VA_ARGS__);                                                                   \
	} while (0)
#define ao_info(room, object, ...) ao_log(AO_LOG_INFO, room, object, __VA_ARGS__)
#define ao_warn(room, object, ...) ao_log(AO_LOG_WARN, room, object, __VA_ARGS__)
#define ao_error(room, object, ...) ao_log(AO_LOG_ERROR, room, object, __VA_ARGS__)

/** Aborts when an invariant of ours is broken; for what the outside world can cause, return an error instead. */
#define ao_require(condition)                                                                                                              \
	do {                                                                                                                               \
		if (!(condition))                                                                                                          \
			ao_require_failed(#condition, __FILE__, __LINE__);                                                                 \
	} while (0)
void ao_require_failed(const char *condition, const char *file, int line) __attribute__((noreturn));
