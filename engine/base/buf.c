/* buf.c -- growth by doubling up to the cap. */
#include "base/buf.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 64
#define MAX_SIZE (SIZE_MAX / 4) /* whatever the cap says: doubling must not wrap */

static bool reserve(ao_buf *buf, size_t more)
{
	size_t cap = buf->cap < MAX_SIZE ? buf->cap : MAX_SIZE;
	if (buf->overflow || more > cap || buf->len > cap - more) {
		buf->overflow = true;
		return false;
	}
	size_t need = buf->len + more + 1;
	if (need <= buf->size)
		return true;
	size_t size = buf->size ? buf->size : FIRST_SIZE;
	while (size < need)
		size *= 2;
	if (size > cap + 1)
		size = cap + 1;
	buf->data = ao_xrealloc(buf->data, size);
	buf->size = size;
	return true;
}

void ao_buf_put_growing(ao_buf *buf, const void *bytes, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void ao_buf_printf(ao_buf *buf, const char *fmt, ...)
{
	char few[256], *text = few; /* most need no allocation */
	va_list args, again;
	va_start(args, fmt);
	va_copy(again, args);
	int len = vsnprintf(few, sizeof(few), fmt, args);
	if (len >= (int)sizeof(few))
		len = vasprintf(&text, fmt, again);
	va_end(again);
	va_end(args);
	if (len < 0) {
		buf->overflow = true;
		return;
	}
	ao_buf_put(buf, text, (size_t)len);
	if (text != few)
		free(text);
}

/* What a JSON string holds as it is: ASCII but control characters, the quote and the backslash. */
static const bool as_is[256] = {[0x20 ... '"' - 1] = true, ['"' + 1 ... '\\' - 1] = true, ['\\' + 1 ... 0x7f] = true};

static void put_escaped(ao_buf *buf, unsigned char c)
{
	static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	if (c >= 0x80)
		ao_buf_puts(buf, "\xef\xbf\xbd"); /* U+FFFD: one bad byte must not spoil the text around it */
	else if (c >= 0x20)
		ao_buf_put(buf, (char[]){'\\', (char)c}, 2);
	else if (letters[c])
		ao_buf_put(buf, (char[]){'\\', letters[c]}, 2);
	else
		ao_buf_printf(buf, "\\u%04x", c);
}

void ao_buf_put_json_string(ao_buf *buf, const char *s)
{
	ao_buf_put(buf, "\"", 1);
	for (;;) {
		const char *run = s;
		while (as_is[(unsigned char)*s])
			s++;
		size_t len = (unsigned char)*s >= 0x80 ? ao_utf8_len(s, 4) : 0;
		s += len;
		ao_buf_put(buf, run, (size_t)(s - run));
		if (len)
			continue;
		if (!*s)
			break;
		put_escaped(buf, (unsigned char)*s++);
	}
	ao_buf_put(buf, "\"", 1);
}

void ao_buf_drop_front(ao_buf *buf, size_t len)
{
	if (len > buf->len)
		len = buf->len;
	if (!len)
		return;
	buf->len -= len;
	memmove(buf->data, buf->data + len, buf->len + 1);
}

void ao_buf_clear(ao_buf *buf)
{
	buf->len = 0;
	buf->overflow = false;
	if (buf->data)
		buf->data[0] = '\0';
}

char *ao_buf_steal(ao_buf *buf)
{
	char *data = buf->data ? buf->data : ao_xstrdup("");
	*buf = ao_buf_init(buf->cap);
	return data;
}

void ao_buf_free(ao_buf *buf)
{
	free(buf->data);
	*buf = ao_buf_init(buf->cap);
}
