/* buf.c -- growth by doubling up to the cap. */
#include "base/buf.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_SIZE 64

static bool reserve(ao_buf *buf, size_t more)
{
	if (buf->overflow || more > buf->cap || buf->len > buf->cap - more) {
		buf->overflow = true;
		return false;
	}
	size_t need = buf->len + more + 1;
	if (need <= buf->size)
		return true;
	size_t size = buf->size ? buf->size : FIRST_SIZE;
	while (size < need)
		size *= 2;
	if (size > buf->cap + 1)
		size = buf->cap + 1;
	buf->data = ao_xrealloc(buf->data, size);
	buf->size = size;
	return true;
}

void ao_buf_put(ao_buf *buf, const void *bytes, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void ao_buf_puts(ao_buf *buf, const char *s) { ao_buf_put(buf, s, strlen(s)); }

void ao_buf_printf(ao_buf *buf, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = NULL;
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0) {
		buf->overflow = true;
		return;
	}
	ao_buf_put(buf, text, (size_t)len);
	free(text);
}

void ao_buf_put_json_string(ao_buf *buf, const char *s)
{
	ao_buf_put(buf, "\"", 1);
	for (const char *run = s;; s++) {
		unsigned char c = (unsigned char)*s;
		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		ao_buf_put(buf, run, (size_t)(s - run));
		run = s + 1;
		if (!c)
			break;
		if (c == '"' || c == '\\')
			ao_buf_put(buf, (char[]){'\\', (char)c}, 2);
		else if (c == '\n')
			ao_buf_put(buf, "\\n", 2);
		else
			ao_buf_printf(buf, "\\u%04x", c);
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
