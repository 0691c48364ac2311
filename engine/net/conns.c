/* conns.c -- curl opens and closes sockets through the two callbacks below, so the list is exactly what is open.
 *
 * TCP_USER_TIMEOUT and keep-alive find a peer whose machine or network is gone; they do not find one that is stopped or
 * a middle box that acknowledges and drops.  For that there is tcpi_last_data_recv: when did a byte last arrive?
 *
 * Curl does not say which socket a request goes over, only from which port of ours, so that is what a connection is known by. */
#include "net/conns.h"

#include "base/mem.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define UNACKED_MS 15000
#define KEEP_IDLE_S 10
#define KEEP_INTERVAL_S 5
#define KEEP_PROBES 2

typedef struct conn {
	int fd;
	char *origin;
	bool http2, shut;
	bool leaving; /* it takes no new requests */
	struct conn *next;
} conn;

struct ao_conns {
	conn *first;
};

ao_conns *ao_conns_new(void) { return ao_xcalloc(1, sizeof(ao_conns)); }

static void conn_free(conn *c)
{
	free(c->origin);
	free(c);
}

void ao_conns_free(ao_conns *conns)
{
	while (conns->first) {
		conn *c = conns->first;
		conns->first = c->next;
		conn_free(c);
	}
	free(conns);
}

static void set_int(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof(value)); }

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	ao_conn_opener *opener = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		return CURL_SOCKET_BAD;
	if (address->family == AF_INET || address->family == AF_INET6) {
		set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE_S);
		set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL_S);
		set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_PROBES);
		set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS);
	}
	conn *c = ao_xcalloc(1, sizeof(*c));
	*c = (conn){.fd = fd, .origin = ao_xstrdup(opener->origin), .next = opener->conns->first};
	opener->conns->first = c;
	return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
	ao_conns *conns = arg;
	for (conn **link = &conns->first; *link; link = &(*link)->next) {
		if ((*link)->fd != fd)
			continue;
		conn *c = *link;
		*link = c->next;
		conn_free(c);
		break;
	}
	return close(fd);
}

void ao_conns_attach(ao_conn_opener *opener, CURL *easy)
{
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, opener);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, opener->conns); /* outlives the call, as the connection does */
}

void ao_conns_set_http2(ao_conns *conns, const char *origin)
{
	for (conn *c = conns->first; c; c = c->next)
		if (!c->http2 && strcmp(c->origin, origin) == 0)
			c->http2 = true;
}

static bool silent_for(const conn *c, uint64_t ms)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);
	return getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_last_data_recv >= ms;
}

/** Our port of it; 0 while it has none. */
static int port_of(const conn *c)
{
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(address);
	if (getsockname(c->fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

static conn *find(const ao_conns *conns, int port)
{
	conn *c = conns->first;
	while (c && port_of(c) != port)
		c = c->next;
	return c;
}

int ao_conns_silent(const ao_conns *conns, uint64_t ms, const char **ret_origin)
{
	for (conn *c = conns->first; c; c = c->next)
		if (c->http2 && !c->shut && !c->leaving && silent_for(c, ms)) {
			*ret_origin = c->origin;
			return port_of(c);
		}
	return 0;
}

void ao_conns_set_leaving(ao_conns *conns, int port)
{
	conn *c = find(conns, port);
	if (c)
		c->leaving = true;
}

static int shut(conn *c)
{
	if (c->shut)
		return 0;
	c->shut = true;
	shutdown(c->fd, SHUT_RDWR);
	return 1;
}

int ao_conns_shutdown(ao_conns *conns)
{
	int count = 0;
	for (conn *c = conns->first; c; c = c->next)
		count += shut(c);
	return count;
}

bool ao_conns_shutdown_silent(ao_conns *conns, int port, uint64_t ms)
{
	conn *c = find(conns, port);
	return c && silent_for(c, ms) && shut(c);
}

int ao_conns_shutdown_leaving(ao_conns *conns, uint64_t ms)
{
	int count = 0;
	for (conn *c = conns->first; c; c = c->next)
		if (c->leaving && silent_for(c, ms))
			count += shut(c);
	return count;
}
