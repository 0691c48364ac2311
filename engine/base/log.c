/* log.c -- formats a line into one buffer and writes it with one write(2), so that lines never mix. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64 * 1024)

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
static const char *const room_names[AO_LOG_ROOMS] = {"main", "net", "kube", "lease", "script", "core", "transport", "policy"};

static ao_log_level threshold = AO_LOG_INFO;
static bool as_json;

void ao_log_setup(ao_log_level level, bool json)
{
	threshold = level;
	as_json = json;
}

bool ao_log_enabled(ao_log_level level) { return level >= threshold; }

static void format_json(ao_buf *line, const char *stamp, ao_log_level level, ao_log_room room, const char *object, const char *msg)
{
	ao_buf_printf(line, "{\"ts\":\"%s\",\"level\":\"%s\",\"logger\":\"%s\"", stamp, level_names[level], room_names[room]);
	if (object) {
		ao_buf_puts(line, ",\"object\":");
		ao_buf_put_json_string(line, object);
	}
	ao_buf_puts(line, ",\"msg\":");
	ao_buf_put_json_string(line, msg);
	ao_buf_puts(line, "}\n");
}

void ao_log(ao_log_level level, ao_log_room room, const char *object, const char *fmt, ...)
{
	if (!ao_log_enabled(level))
		return;
	char *msg = NULL;
	va_list args;
	va_start(args, fmt);
	int len = vasprintf(&msg, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	char stamp[AO_TIME_TEXT];
	ao_time_text(ao_wall_ms(), stamp);
	ao_buf line = ao_buf_init(LINE_MAX_BYTES);
	if (as_json)
		format_json(&line, stamp, level, room, object, msg);
	else
		ao_buf_printf(&line, "%s %-5s %-6s %s%s%s\n", stamp, level_names[level], room_names[room], object ? object : "",
			      object ? ": " : "", msg);
	free(msg);
	if (write(STDERR_FILENO, line.data ? line.data : "", line.len) < 0) {
		/* nobody is left to tell */
	}
	ao_buf_free(&line);
}

void ao_require_failed(const char *condition, const char *file, int line)
{
	ao_error(AO_MAIN, NULL, "broken invariant at %s:%d: %s", file, line, condition);
	abort();
}
