#pragma once
/**
 * fuzz_wire.h -- a peer on this machine that says what the input says, whatever it is asked, and hangs up.
 *
 * Each connection gets `head`, then the input in pieces of `piece` bytes.  The peer is a thread of its own, so that what is fuzzed may
 * block, and takes a copy of the input when somebody connects.
 */
#include "fuzz.h"

#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FUZZ_WIRE_MAX (64u << 10)
#define FUZZ_WIRE_PIECES 32 /* the rest goes in one */

typedef struct fuzz_wire {
	pthread_mutex_t lock;
	char text[FUZZ_WIRE_MAX];
	size_t len, head, piece;
	bool first; /* the peer speaks before it is asked */
	int fd, port;
} fuzz_wire;

static inline void fuzz_wire_serve_one(fuzz_wire *wire, int fd)
{
	static char text[FUZZ_WIRE_MAX];
	char asked[4096];
	pthread_mutex_lock(&wire->lock);
	size_t len = wire->len, at = 0, pieces = 0, piece = wire->head ? wire->head : wire->piece;
	memcpy(text, wire->text, len);
	pthread_mutex_unlock(&wire->lock);
	if (!wire->first && recv(fd, asked, sizeof(asked), 0) <= 0)
		return;
	while (at < len) {
		size_t now = pieces++ < FUZZ_WIRE_PIECES && piece < len - at ? piece : len - at;
		if (send(fd, text + at, now, MSG_NOSIGNAL) < 0)
			return;
		at += now;
		piece = wire->piece;
		sched_yield();
	}
	shutdown(fd, SHUT_WR);
	while (recv(fd, asked, sizeof(asked), 0) > 0)
		;
}

static inline void *fuzz_wire_serve(void *arg)
{
	fuzz_wire *wire = arg;
	const int on = 1;
	for (int fd; (fd = accept(wire->fd, NULL, NULL)) >= 0; close(fd)) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		fuzz_wire_serve_one(wire, fd);
	}
	return NULL;
}

/** Starts the peer; it lives as long as the program. */
static inline void fuzz_wire_start(fuzz_wire *wire)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	pthread_t thread;
	pthread_mutex_init(&wire->lock, NULL);
	wire->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ao_require(bind(wire->fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(wire->fd, 100) == 0);
	getsockname(wire->fd, (struct sockaddr *)&at, &size);
	wire->port = ntohs(at.sin_port);
	ao_require(pthread_create(&thread, NULL, fuzz_wire_serve, wire) == 0);
	pthread_detach(thread);
}

/** What the next connections are told. */
static inline void fuzz_wire_say(fuzz_wire *wire, const char *head, const uint8_t *data, size_t len, size_t piece)
{
	size_t before = strlen(head);
	if (len > FUZZ_WIRE_MAX - before)
		len = FUZZ_WIRE_MAX - before;
	pthread_mutex_lock(&wire->lock);
	memcpy(wire->text, head, before);
	memcpy(wire->text + before, data, len);
	wire->len = before + len;
	wire->head = before;
	wire->piece = piece ? piece : 1;
	pthread_mutex_unlock(&wire->lock);
}
