/* log.c -- formats a line into one buffer and writes it with one write(2), so that lines never mix. */
#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A byte may become six in JSON: the longest message and object must leave the line whole. */
#define MAX_MESSAGE (16 * 1024)
#define MAX_OBJECT 1024
#define MAX_LINE (8 * (MAX_MESSAGE + MAX_OBJECT))

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

/** At most `max` bytes of `text`, ending with dots and not within a character when it was longer. The caller frees. */
static char *shortened(const char *text, size_t max)
{
	size_t len = strlen(text);
	if (len <= max)
		return ao_xstrdup(text);
	len = max - strlen("...");
	while (len && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return ao_xasprintf("%.*s...", (int)len, text);
}

/** Text for a terminal: no escapes from outside, and what follows a line end is indented, so that it cannot pass for a line of ours. */
static void put_clean(ao_buf *line, const char *text)
{
	while (*text) {
		size_t len = ao_utf8_len(text, 4);
		if (*text == '\n')
			ao_buf_puts(line, "\n\t");
		else if (!len || ((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			ao_buf_puts(line, "?");
		else
			ao_buf_put(line, text, len);
		text += len ? len : 1;
	}
}

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

static void format_text(ao_buf *line, const char *stamp, ao_log_level level, ao_log_room room, const char *object, const char *msg)
{
	ao_buf_printf(line, "%s %-5s %-6s ", stamp, level_names[level], room_names[room]);
	if (object) {
		put_clean(line, object);
		ao_buf_puts(line, ": ");
	}
	put_clean(line, msg);
	ao_buf_puts(line, "\n");
}

void ao_log(ao_log_level level, ao_log_room room, const char *object, const char *fmt, ...)
{
	if (!ao_log_enabled(level))
		return;
	char *text = NULL;
	va_list args;
	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	char stamp[AO_TIME_TEXT];
	ao_time_text(ao_wall_ms(), stamp);
	ao_auto_str char *msg = shortened(text, MAX_MESSAGE), *subject = object ? shortened(object, MAX_OBJECT) : NULL;
	free(text);
	ao_auto_buf ao_buf line = ao_buf_init(MAX_LINE);
	(as_json ? format_json : format_text)(&line, stamp, level, room, subject, msg);
	if (write(STDERR_FILENO, line.data, line.len) < 0) {
		/* nobody is left to tell */
	}
}

void ao_require_failed(const char *condition, const char *file, int line)
{
	ao_error(AO_MAIN, NULL, "broken invariant at %s:%d: %s", file, line, condition);
	abort();
}
