#pragma once
/**
 * buf.h -- a growing byte buffer with a cap, always terminated by a NUL that `len` does not count.
 *
 * Everything sized by the network, a file or Lua is collected in one of these.  Writing past the cap writes
 * nothing more and sets `overflow`: write freely, test once at the end.
 * Ownership: the struct owns `data` until ao_buf_free() frees it or ao_buf_steal() hands it over.
 * Threads: one owner at a time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct ao_buf {
	char *data; /* NULL until the first write */
	size_t len;
	size_t size; /* allocated */
	size_t cap;  /* the most that `len` may become */
	bool overflow;
} ao_buf;

static inline ao_buf ao_buf_init(size_t cap) { return (ao_buf){.cap = cap}; }

void ao_buf_put_growing(ao_buf *buf, const void *bytes, size_t len); /* ao_buf_put() where there may be too little room */

/** Here because JSON is printed by the byte. */
static inline void ao_buf_put(ao_buf *buf, const void *bytes, size_t len)
{
	if (buf->overflow || len >= buf->size - buf->len) {
		ao_buf_put_growing(buf, bytes, len);
		return;
	}
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

static inline void ao_buf_puts(ao_buf *buf, const char *s) { ao_buf_put(buf, s, strlen(s)); }
void ao_buf_printf(ao_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ao_buf_put_json_string(ao_buf *buf, const char *s); /* quoted and escaped; bytes that are not UTF-8 become U+FFFD */
void ao_buf_drop_front(ao_buf *buf, size_t len);         /* forgets the first `len` bytes */
void ao_buf_clear(ao_buf *buf);                          /* keeps the memory */
char *ao_buf_steal(ao_buf *buf);                         /* the caller frees; never NULL */
void ao_buf_free(ao_buf *buf);

#define ao_auto_buf __attribute__((cleanup(ao_buf_free)))
