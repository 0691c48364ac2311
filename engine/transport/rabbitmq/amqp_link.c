/* amqp_link.c -- a non-blocking socket, with OpenSSL on top of it where asked for. */
#include "transport/rabbitmq/amqp_link.h"

#include "base/clock.h"
#include "base/mem.h"
#include "transport/rabbitmq/amqp_tls.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_PENDING (96 * 1024 * 1024) /* our requests are small, but 16 moves may each have some messages on their way (move.c) */
#define READ_SIZE 16384
#define MAX_TURN 65536 /* what is read before the reader gets its turn */

ao_amqp_link *ao_amqp_link_new(const struct addrinfo *address, SSL_CTX *tls, const char *name)
{
	ao_amqp_link *link = ao_xcalloc(1, sizeof(*link));
	link->in = ao_buf_init(MAX_PENDING);
	link->out = ao_buf_init(MAX_PENDING);
	link->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return link;
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (connect(link->fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
		int cause = errno;
		close(link->fd);
		link->fd = -1;
		errno = cause;
	} else if (tls) {
		link->ssl = ao_amqp_tls_connect(tls, name, link->fd);
	}
	link->last_in = link->last_out = ao_mono_ms();
	return link;
}

short ao_amqp_link_events(const ao_amqp_link *link)
{
	if (!link->connected)
		return POLLOUT;
	return link->full ? POLLIN | POLLOUT : POLLIN;
}

static int failed(ao_err **reterr, int cause) { return ao_err_set(reterr, -EIO, "%s", strerror(cause)); }

static int finish_connect(ao_amqp_link *link, ao_err **reterr)
{
	int cause = 0;
	socklen_t len = sizeof(cause);
	struct pollfd ready = {.fd = link->fd, .events = POLLOUT};
	if (link->fd < 0)
		return failed(reterr, ENETUNREACH);
	if (poll(&ready, 1, 0) <= 0)
		return 0;
	if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &cause, &len) < 0)
		cause = errno;
	if (cause)
		return failed(reterr, cause);
	link->connected = true;
	return 0;
}

/** The result of an OpenSSL call: 0 try again later, else the connection is over. */
static int ssl_outcome(ao_amqp_link *link, int rc, ao_err **reterr)
{
	int kind = SSL_get_error(link->ssl, rc), cause = errno;
	if (kind == SSL_ERROR_WANT_WRITE)
		link->full = true;
	if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
		return 0;
	if (kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && !cause && link->open))
		return ao_err_set(reterr, -EIO, "the connection was closed by the other side");
	if (kind == SSL_ERROR_SYSCALL && cause)
		return failed(reterr, cause);
	ao_auto_str char *text = ao_amqp_tls_error(link->ssl);
	return ao_err_set(reterr, -EIO, "%s", text);
}

static int shake_hands(ao_amqp_link *link, ao_err **reterr)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_do_handshake(link->ssl);
	if (rc != 1)
		return ssl_outcome(link, rc, reterr);
	link->open = true;
	return 0;
}

/** @return bytes read; 0 for none now; -EIO */
static int read_some(ao_amqp_link *link, char *bytes, ao_err **reterr)
{
	ERR_clear_error();
	errno = 0;
	if (link->ssl) {
		int n = SSL_read(link->ssl, bytes, READ_SIZE);
		return n > 0 ? n : ssl_outcome(link, n, reterr);
	}
	ssize_t n = recv(link->fd, bytes, READ_SIZE, 0);
	if (n > 0)
		return (int)n;
	if (n == 0)
		return ao_err_set(reterr, -EIO, "the connection was closed by the other side");
	return errno == EAGAIN || errno == EINTR ? 0 : failed(reterr, errno);
}

static int read_in(ao_amqp_link *link, ao_err **reterr)
{
	char bytes[READ_SIZE];
	size_t total = 0;
	int n = 1;
	while (n > 0 && total < MAX_TURN) {
		ao_auto_err ao_err *err = NULL;
		n = read_some(link, bytes, &err);
		if (n > 0) {
			ao_buf_put(&link->in, bytes, (size_t)n);
			total += (size_t)n;
			link->last_in = ao_mono_ms();
		} else if (n < 0 && !total) {
			return ao_err_set(reterr, n, "%s", ao_err_text(err));
		}
	}
	link->more = n != 0; /* the end of the stream, too, is found again once the reader has had what came before it */
	return link->in.overflow ? ao_err_set(reterr, -EPROTO, "the other side sends more than is allowed") : 0;
}

static int write_out(ao_amqp_link *link, ao_err **reterr)
{
	while (link->out.len) {
		ERR_clear_error();
		errno = 0;
		size_t len = link->out.len < READ_SIZE ? link->out.len : READ_SIZE;
		ssize_t n = link->ssl ? SSL_write(link->ssl, link->out.data, (int)len) : send(link->fd, link->out.data, len, MSG_NOSIGNAL);
		if (n > 0) {
			ao_buf_drop_front(&link->out, (size_t)n);
			link->last_out = ao_mono_ms();
			continue;
		}
		link->stuck = true;
		if (link->ssl)
			return ssl_outcome(link, (int)n, reterr);
		link->full = true;
		return errno == EAGAIN || errno == EINTR ? 0 : failed(reterr, errno);
	}
	return link->out.overflow ? ao_err_set(reterr, -EIO, "the other side does not read any more") : 0;
}

int ao_amqp_link_go(ao_amqp_link *link, ao_err **reterr)
{
	int r = link->connected ? 0 : finish_connect(link, reterr);
	if (r < 0 || !link->connected)
		return r;
	link->full = link->more = link->stuck = false;
	if (!link->ssl)
		link->open = true;
	if (!link->open)
		r = shake_hands(link, reterr);
	if (r < 0 || !link->open)
		return r;
	size_t before = link->in.len;
	r = read_in(link, reterr);
	if (r < 0)
		return r;
	ao_auto_err ao_err *err = NULL;
	r = write_out(link, &err);
	if (r < 0 && link->in.len == before)
		return ao_err_set(reterr, r, "%s", ao_err_text(err));
	link->more |= r < 0; /* what was read before may say why */
	return 0;
}

static void wipe(ao_buf *buf)
{
	if (buf->data)
		explicit_bzero(buf->data, buf->size); /* the login went through it */
	ao_buf_free(buf);
}

void ao_amqp_link_free(ao_amqp_link *link)
{
	if (!link)
		return;
	if (link->open)
		write_out(link, NULL);
	if (link->ssl) {
		if (link->open)
			SSL_shutdown(link->ssl);
		SSL_free(link->ssl);
	}
	ERR_clear_error();
	if (link->fd >= 0)
		close(link->fd);
	wipe(&link->in);
	wipe(&link->out);
	free(link);
}
