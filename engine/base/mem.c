/* mem.c -- allocation that cannot fail: running out of memory for a few bytes leaves nothing sane to do. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *checked(void *ptr, size_t size)
{
	if (!ptr && size) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return ptr;
}

void *ao_xmalloc(size_t size) { return checked(malloc(size), size); }
void *ao_xcalloc(size_t count, size_t size) { return checked(calloc(count, size), count * size); }
void *ao_xrealloc(void *ptr, size_t size) { return checked(realloc(ptr, size), size); }

char *ao_xstrdup(const char *s) { return s ? ao_xstrndup(s, strlen(s)) : NULL; }

char *ao_xstrndup(const char *s, size_t len)
{
	char *copy = ao_xmalloc(len + 1);
	if (len)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *ao_xasprintf(const char *fmt, ...)
{
	va_list args;
	char *text = NULL;
	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	return checked(len < 0 ? NULL : text, 1);
}
