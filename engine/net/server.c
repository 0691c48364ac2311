/* server.c -- one request at a time on a connection: http_parser is paused at the end of a message, the answer is
 * written, and only then is the next one read.  A client that sends its next request too early is told to close.
 *
 * One timer per connection gives a client 10 s to send a whole request, or to take an answer: dripping bytes gains nothing.
 * The read buffer is the server's, because libuv's read callback runs right after the one that asks for memory. */
#include "net/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <http_parser.h>
#include <netdb.h>
#include <string.h>

#define MAX_HEAD (16 * 1024)
#define MAX_CONNECTIONS 64
#define SILENT_MS 10000
#define MAX_REPLY (16u << 20)
#define BACKLOG 128

typedef struct client {
	uv_tcp_t uv;
	ao_server *server;
	struct client *prev, *next;
	ao_timer *timer;
	http_parser parser;
	ao_buf url;
	size_t head_bytes; /* since the last answer */
	int refuse;        /* the status that ends this connection, or 0 */
	bool complete, loopback, close_after;
	uint64_t last_active;
	uv_write_t write;
	ao_buf head, body; /* of the answer being written */
} client;

struct ao_server {
	uv_tcp_t uv;
	ao_loop *loop;
	ao_server_fn fn;
	void *arg;
	client *clients;
	size_t count;
	bool closing;
	char buffer[MAX_HEAD];
};

/* ---- the end of a connection ---- */

static void client_closed(uv_handle_t *handle)
{
	client *c = uv_handle_get_data(handle);
	ao_buf_free(&c->url);
	ao_buf_free(&c->head);
	ao_buf_free(&c->body);
	free(c);
}

static void client_close(client *c)
{
	if (uv_is_closing((uv_handle_t *)&c->uv))
		return;
	*(c->prev ? &c->prev->next : &c->server->clients) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->server->count--;
	ao_timer_free(c->timer);
	uv_close((uv_handle_t *)&c->uv, client_closed);
}

static void client_silent(void *arg) { client_close(arg); }

static void client_alive(client *c)
{
	c->last_active = ao_mono_ms();
	ao_timer_start(c->timer, SILENT_MS);
}

/* ---- answering ---- */

static void read_start(client *c);

static void written(uv_write_t *write, int status)
{
	client *c = uv_handle_get_data((uv_handle_t *)write->handle);
	if (uv_is_closing((uv_handle_t *)&c->uv))
		return;
	if (status < 0 || c->close_after) {
		client_close(c);
		return;
	}
	ao_buf_free(&c->head);
	ao_buf_free(&c->body);
	client_alive(c);
	read_start(c);
}

static void send_reply(client *c, const ao_server_reply *reply)
{
	c->head = ao_buf_init(1024);
	ao_buf_printf(&c->head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", reply->status,
		      http_status_str((enum http_status)reply->status), reply->content_type, reply->body.len,
		      c->close_after ? "Connection: close\r\n" : "");
	c->body = reply->body;
	uv_buf_t bufs[] = {uv_buf_init(c->head.data, (unsigned)c->head.len), uv_buf_init(c->body.data, (unsigned)c->body.len)};
	unsigned count = c->body.len && c->parser.method != HTTP_HEAD ? 2 : 1;
	client_alive(c);
	uv_read_stop((uv_stream_t *)&c->uv);
	if (uv_write(&c->write, (uv_stream_t *)&c->uv, bufs, count, written))
		client_close(c);
}

static int hex(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/** Decodes %XX in place. @return false for a bad escape or a NUL */
static bool decode_path(char *path)
{
	char *to = path;
	for (const char *from = path; *from; from++) {
		int c = (unsigned char)*from;
		if (c == '%') {
			int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
			if (low < 0 || high + low == 0)
				return false;
			c = high * 16 + low;
			from += 2;
		}
		*to++ = (char)c;
	}
	*to = '\0';
	return true;
}

/** Calls the handler, or says why not. */
static void make_reply(client *c, ao_server_reply *reply)
{
	ao_auto_str char *path = ao_xstrdup(c->url.data ? c->url.data : "");
	char *query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	if (c->refuse)
		reply->status = c->refuse;
	else if (c->parser.method != HTTP_GET && c->parser.method != HTTP_HEAD)
		reply->status = HTTP_STATUS_METHOD_NOT_ALLOWED;
	else if (path[0] != '/' || !decode_path(path))
		reply->status = HTTP_STATUS_BAD_REQUEST;
	if (reply->status != HTTP_STATUS_OK) {
		c->close_after = true;
	} else {
		const ao_server_request request = {.path = path, .query = query ? query : "", .loopback = c->loopback};
		c->server->fn(c->server->arg, &request, reply);
	}
	if (reply->body.overflow) {
		ao_buf_free(&reply->body);
		reply->status = HTTP_STATUS_INTERNAL_SERVER_ERROR;
	}
	if (!reply->body.len && reply->status >= 400)
		ao_buf_printf(&reply->body, "%s\n", http_status_str((enum http_status)reply->status));
}

static void answer(client *c)
{
	ao_server_reply reply = {.status = HTTP_STATUS_OK, .content_type = "text/plain; charset=utf-8", .body = ao_buf_init(MAX_REPLY)};
	make_reply(c, &reply);
	if (uv_is_closing((uv_handle_t *)&c->uv)) { /* the handler freed the server */
		ao_buf_free(&reply.body);
		return;
	}
	send_reply(c, &reply);
}

/* ---- reading ---- */

static int url_seen(http_parser *parser, const char *at, size_t len)
{
	client *c = parser->data;
	ao_buf_put(&c->url, at, len);
	return 0;
}

static int headers_complete(http_parser *parser)
{
	client *c = parser->data;
	bool body = (parser->flags & F_CHUNKED) || (parser->content_length && parser->content_length != UINT64_MAX);
	if (!body)
		return 0;
	c->refuse = HTTP_STATUS_PAYLOAD_TOO_LARGE;
	return -1;
}

static int message_complete(http_parser *parser)
{
	client *c = parser->data;
	c->complete = true;
	c->close_after = !http_should_keep_alive(parser);
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings parser_settings = {
    .on_url = url_seen, .on_headers_complete = headers_complete, .on_message_complete = message_complete};

static void bytes_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	client *c = uv_handle_get_data((uv_handle_t *)stream);
	if (len < 0) {
		client_close(c);
		return;
	}
	c->last_active = ao_mono_ms();
	c->head_bytes += (size_t)len;
	size_t used = http_parser_execute(&c->parser, &parser_settings, buf->base, (size_t)len);
	if (c->complete) {
		if (used < (size_t)len)
			c->close_after = true;
	} else if (HTTP_PARSER_ERRNO(&c->parser) != HPE_OK) {
		c->refuse = c->refuse ? c->refuse : HTTP_STATUS_BAD_REQUEST;
	} else if (c->head_bytes >= MAX_HEAD) {
		c->refuse = HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE;
	} else {
		return;
	}
	answer(c);
}

static void give_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	(void)wanted;
	client *c = uv_handle_get_data(handle);
	*buf = uv_buf_init(c->server->buffer, sizeof(c->server->buffer));
}

/** Reads the next request. */
static void read_start(client *c)
{
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->parser.data = c;
	c->head_bytes = 0;
	c->complete = false;
	ao_buf_clear(&c->url);
	if (uv_read_start((uv_stream_t *)&c->uv, give_buffer, bytes_read))
		client_close(c);
}

/* ---- listening ---- */

static bool is_loopback(const uv_tcp_t *uv)
{
	struct sockaddr_storage peer;
	int len = sizeof(peer);
	if (uv_tcp_getpeername(uv, (struct sockaddr *)&peer, &len))
		return false;
	if (peer.ss_family == AF_INET)
		return (ntohl(((struct sockaddr_in *)&peer)->sin_addr.s_addr) >> 24) == 127;
	const struct in6_addr *in6 = &((struct sockaddr_in6 *)&peer)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

static void make_room(ao_server *server)
{
	client *idlest = server->clients;
	for (client *c = server->clients; c; c = c->next)
		if (c->last_active <= idlest->last_active)
			idlest = c;
	if (server->count >= MAX_CONNECTIONS)
		client_close(idlest);
}

static void client_arrived(uv_stream_t *listener, int status)
{
	ao_server *server = uv_handle_get_data((uv_handle_t *)listener);
	if (status < 0) {
		ao_warn(AO_NET, NULL, "cannot accept a connection: %s", uv_strerror(status));
		return;
	}
	make_room(server);
	client *c = ao_xcalloc(1, sizeof(*c));
	c->server = server;
	c->url = ao_buf_init(MAX_HEAD);
	c->timer = ao_timer_new(server->loop, client_silent, c);
	uv_tcp_init(ao_loop_raw(server->loop), &c->uv);
	uv_handle_set_data((uv_handle_t *)&c->uv, c);
	c->next = server->clients;
	if (c->next)
		c->next->prev = c;
	server->clients = c;
	server->count++;
	if (uv_accept(listener, (uv_stream_t *)&c->uv)) {
		client_close(c);
		return;
	}
	c->loopback = is_loopback(&c->uv);
	client_alive(c);
	read_start(c);
}

/** Every address of this machine, over IPv4 too; a node that was booted without IPv6 knows no such socket. */
static const char *any_address(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT)
		return "0.0.0.0";
	if (fd >= 0)
		close(fd);
	return "::";
}

/** Splits "host:port"; an empty host means every address of this machine. */
static int resolve(const char *address, struct addrinfo **ret, ao_err **reterr)
{
	const char *colon = strrchr(address, ':');
	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) || atol(colon + 1) > 65535)
		return ao_err_set(reterr, -EINVAL, "\"%s\" is not an address such as :8081 or 127.0.0.1:8081", address);
	ao_auto_str char *host = ao_xstrndup(address, (size_t)(colon - address));
	size_t len = strlen(host);
	if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		memmove(host, host + 1, len - 1);
	}
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	int rc = getaddrinfo(host[0] ? host : any_address(), colon + 1, &hints, ret);
	return rc ? ao_err_set(reterr, -EINVAL, "\"%s\": %s", address, gai_strerror(rc)) : 0;
}

static int listen_at(ao_server *server, const struct sockaddr *address)
{
	uv_tcp_init(ao_loop_raw(server->loop), &server->uv);
	uv_handle_set_data((uv_handle_t *)&server->uv, server);
	int rc = uv_tcp_bind(&server->uv, address, 0);
	return rc ? rc : uv_listen((uv_stream_t *)&server->uv, BACKLOG, client_arrived);
}

static void server_closed(uv_handle_t *handle) { free(uv_handle_get_data(handle)); }

int ao_server_new(ao_loop *loop, const char *address, ao_server_fn fn, void *arg, ao_server **ret, ao_err **reterr)
{
	struct addrinfo *found = NULL;
	int rc = resolve(address, &found, reterr);
	if (rc)
		return rc;
	for (const struct addrinfo *try = found; try; try = try->ai_next) {
		ao_server *server = ao_xcalloc(1, sizeof(*server));
		*server = (ao_server){.loop = loop, .fn = fn, .arg = arg};
		rc = listen_at(server, try->ai_addr);
		if (rc == 0) {
			*ret = server;
			break;
		}
		uv_close((uv_handle_t *)&server->uv, server_closed);
	}
	freeaddrinfo(found);
	return rc ? ao_err_set(reterr, -EIO, "cannot listen at %s: %s", address, uv_strerror(rc)) : 0;
}

int ao_server_port(const ao_server *server)
{
	struct sockaddr_storage address;
	int len = sizeof(address);
	if (uv_tcp_getsockname(&server->uv, (struct sockaddr *)&address, &len))
		return 0;
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
						   : ((struct sockaddr_in *)&address)->sin_port);
}

void ao_server_free(ao_server *server)
{
	if (!server || server->closing)
		return;
	server->closing = true;
	while (server->clients)
		client_close(server->clients);
	uv_close((uv_handle_t *)&server->uv, server_closed);
}
