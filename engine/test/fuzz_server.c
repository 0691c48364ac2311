/* fuzz_server.c -- any bytes from a client of the probe server, in pieces: it answers or hangs up, and serves the next one. */
#include "fuzz.h"

#include "base/log.h"
#include "net/server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS 50 /* of the loop, a millisecond each at most, until the client is let go */

static void serve(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	(void)arg;
	ao_require(request->path && request->query && request->path[0] == '/');
	ao_buf_puts(&reply->body, request->path);
}

static int connect_to(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ao_require(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static ao_loop *loop;
	static ao_server *server;
	const bool never = false;
	char answer[4096];
	if (len < 1)
		return 0;
	if (!loop) {
		loop = ao_loop_new();
		ao_require(ao_server_new(loop, "127.0.0.1:0", serve, NULL, &server, NULL) == 0);
	}
	int fd = connect_to(ao_server_port(server));
	size_t piece = 1 + (size_t)data[0] * 8;
	for (size_t at = 1; at < len; at += piece) {
		ssize_t sent = send(fd, data + at, piece < len - at ? piece : len - at, MSG_NOSIGNAL);
		if (sent < 0)
			break;
		ao_loop_run_until(loop, &never, 0);
	}
	shutdown(fd, SHUT_WR);
	ssize_t got = -1;
	for (int i = 0; i < TURNS && got != 0; i++) {
		ao_loop_run_until(loop, &never, 1);
		while ((got = recv(fd, answer, sizeof(answer), 0)) > 0)
			;
	}
	close(fd);
	ao_loop_run_until(loop, &never, 0);
	return 0;
}
