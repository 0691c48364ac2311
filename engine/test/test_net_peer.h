#pragma once
/**
 * test_net_peer.h -- an HTTP/1.1 server that misbehaves as a test tells it to, on the test's own loop.
 *
 * The test's `answer` is called with each whole request (head and body) and says what to send with peer_send(),
 * peer_close() or peer_abort(), now or later.
 */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct peer peer;
typedef struct peer_conn peer_conn;

struct peer_conn {
	uv_tcp_t uv;
	peer *owner;
	ao_buf in;
	bool ended; /* the client closed */
	peer_conn *next;
};

struct peer {
	ao_loop *loop;
	uv_tcp_t uv;
	int port;
	void (*answer)(peer_conn *conn, const char *request);
	void *arg;
	peer_conn *conns; /* newest first, never removed */
	int accepted, requests, open, most_open;
};

typedef struct peer_write {
	uv_write_t uv;
	char *bytes;
} peer_write;

static void peer_written(uv_write_t *write, int status)
{
	(void)status;
	peer_write *w = (peer_write *)write;
	free(w->bytes);
	free(w);
}

static inline void peer_send_bytes(peer_conn *conn, const char *bytes, size_t len)
{
	peer_write *w = ao_xcalloc(1, sizeof(*w));
	w->bytes = ao_xstrndup(bytes, len);
	uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)len);
	ao_require(uv_write(&w->uv, (uv_stream_t *)&conn->uv, &buf, 1, peer_written) == 0);
}

static inline void peer_send(peer_conn *conn, const char *text) { peer_send_bytes(conn, text, strlen(text)); }

/** A whole answer with a length. */
static inline void peer_reply(peer_conn *conn, const char *status, const char *headers, const char *body)
{
	ao_auto_str char *text = ao_xasprintf("HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
	peer_send(conn, text);
}

static void peer_conn_closed(uv_handle_t *handle)
{
	peer_conn *conn = handle->data;
	conn->owner->open--;
	ao_buf_free(&conn->in);
}

static inline void peer_close(peer_conn *conn)
{
	if (!uv_is_closing((uv_handle_t *)&conn->uv))
		uv_close((uv_handle_t *)&conn->uv, peer_conn_closed);
}

static inline void peer_abort(peer_conn *conn) { uv_tcp_close_reset(&conn->uv, peer_conn_closed); }

static void peer_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	peer_conn *conn = stream->data;
	if (len < 0) {
		conn->ended = true;
		peer_close(conn);
	} else {
		ao_buf_put(&conn->in, buf->base, (size_t)len);
	}
	free(buf->base);
	char *end = conn->in.data ? strstr(conn->in.data, "\r\n\r\n") : NULL;
	if (len < 0 || !end)
		return;
	const char *length = strstr(conn->in.data, "Content-Length: ");
	size_t body = length && length < end ? (size_t)atol(length + 16) : 0;
	if (conn->in.len < (size_t)(end + 4 - conn->in.data) + body)
		return;
	conn->owner->requests++;
	ao_auto_str char *request = ao_buf_steal(&conn->in);
	conn->owner->answer(conn, request);
}

static void peer_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
	(void)handle;
	*buf = uv_buf_init(ao_xmalloc(size), (unsigned)size);
}

static void peer_accept(uv_stream_t *stream, int status)
{
	peer *p = stream->data;
	ao_require(status == 0);
	peer_conn *conn = ao_xcalloc(1, sizeof(*conn));
	*conn = (peer_conn){.owner = p, .in = ao_buf_init(1 << 20), .next = p->conns};
	p->conns = conn;
	p->accepted++;
	if (++p->open > p->most_open)
		p->most_open = p->open;
	uv_tcp_init(ao_loop_raw(p->loop), &conn->uv);
	conn->uv.data = conn;
	ao_require(uv_accept(stream, (uv_stream_t *)&conn->uv) == 0);
	uv_read_start((uv_stream_t *)&conn->uv, peer_alloc, peer_read);
}

static inline void peer_start(peer *p, ao_loop *loop, void (*answer)(peer_conn *conn, const char *request), void *arg)
{
	*p = (peer){.loop = loop, .answer = answer, .arg = arg};
	uv_tcp_init(ao_loop_raw(loop), &p->uv);
	p->uv.data = p;
	struct sockaddr_in address;
	uv_ip4_addr("127.0.0.1", 0, &address);
	ao_require(uv_tcp_bind(&p->uv, (struct sockaddr *)&address, 0) == 0);
	ao_require(uv_listen((uv_stream_t *)&p->uv, 16, peer_accept) == 0);
	int len = sizeof(address);
	uv_tcp_getsockname(&p->uv, (struct sockaddr *)&address, &len);
	p->port = ntohs(address.sin_port);
}

/** Closes the peer; its memory goes with peer_free() after the loop. */
static inline void peer_stop(peer *p)
{
	for (peer_conn *conn = p->conns; conn; conn = conn->next)
		peer_close(conn);
	uv_close((uv_handle_t *)&p->uv, NULL);
}

static inline void peer_free(peer *p)
{
	while (p->conns) {
		peer_conn *conn = p->conns;
		p->conns = conn->next;
		free(conn);
	}
}
