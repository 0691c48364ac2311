#pragma once
/**
 * relay.h -- a TCP server that passes everything on to a real one, and cuts one connection at a byte of the test's choice.
 *
 * Threads: one of its own for each connection; the functions are for the test's thread.
 */
#include "base/mem.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct relay {
	int fd, port;        /* where it listens on 127.0.0.1 */
	int to;              /* the real one's port there */
	atomic_llong left;   /* bytes of the client until the cut; below 0: no cut is to come */
	atomic_llong passed; /* bytes of the client */
	atomic_int open;
	atomic_bool holds; /* what the real one answers waits */
	pthread_t thread;
} relay;

typedef struct relay_line {
	relay *relay;
	int client, server;
} relay_line;

static inline int relay_connect(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

/** @return false at the end of the line */
static inline bool relay_pass(relay_line *line, bool of_client)
{
	char bytes[2048];
	ssize_t len = recv(of_client ? line->client : line->server, bytes, sizeof(bytes), 0);
	if (len <= 0)
		return false;
	if (of_client) {
		long long left = atomic_load(&line->relay->left);
		if (left >= 0 && left < len) {
			send(line->server, bytes, (size_t)left, MSG_NOSIGNAL);
			usleep(30000); /* the server is to work on it */
			atomic_store(&line->relay->left, -1);
			return false;
		}
		if (left >= 0)
			atomic_fetch_sub(&line->relay->left, len);
		atomic_fetch_add(&line->relay->passed, len);
	}
	while (!of_client && atomic_load(&line->relay->holds))
		usleep(1000);
	return send(of_client ? line->server : line->client, bytes, (size_t)len, MSG_NOSIGNAL) == len;
}

static inline void *relay_run(void *arg)
{
	relay_line *line = arg;
	struct pollfd fds[2] = {{.fd = line->client, .events = POLLIN}, {.fd = line->server, .events = POLLIN}};
	bool on = true;
	while (on && poll(fds, 2, -1) > 0)
		for (int i = 0; i < 2 && on; i++)
			on = !fds[i].revents || relay_pass(line, i == 0);
	close(line->client);
	close(line->server);
	atomic_fetch_sub(&line->relay->open, 1);
	free(line);
	return NULL;
}

static inline void *relay_listen(void *arg)
{
	relay *r = arg;
	int fd;
	while ((fd = accept(r->fd, NULL, NULL)) >= 0) {
		relay_line *line = ao_xcalloc(1, sizeof(*line));
		pthread_t thread;
		*line = (relay_line){.relay = r, .client = fd, .server = relay_connect(r->to)};
		atomic_fetch_add(&r->open, 1);
		assert_int_equal(pthread_create(&thread, NULL, relay_run, line), 0);
		pthread_detach(thread);
	}
	return NULL;
}

/** @param port  of 127.0.0.1, where the real one is. @param cut  after so many bytes of clients one connection is cut; below 0: none is */
static inline void relay_start(relay *r, int port, long long cut)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	memset(r, 0, sizeof(*r));
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r->to = port;
	r->left = cut;
	assert_int_equal(bind(r->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(r->fd, 100), 0);
	getsockname(r->fd, (struct sockaddr *)&at, &size);
	r->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&r->thread, NULL, relay_listen, r), 0);
}

/** Every client must have gone. */
static inline void relay_stop(relay *r)
{
	shutdown(r->fd, SHUT_RDWR);
	pthread_join(r->thread, NULL);
	close(r->fd);
	for (int i = 0; i < 5000 && atomic_load(&r->open); i++)
		usleep(1000);
	assert_int_equal(atomic_load(&r->open), 0);
}
