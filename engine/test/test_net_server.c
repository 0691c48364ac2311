/* The probe server, spoken to over plain sockets. */
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/server.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
	ao_loop *loop;
	ao_server *server;
	ao_buf seen;
	bool free_in_handler;
} fixture;

static void handle(void *arg, const ao_server_request *request, ao_server_reply *reply)
{
	fixture *f = arg;
	ao_buf_clear(&f->seen);
	ao_buf_printf(&f->seen, "%s?%s%s", request->path, request->query, request->loopback ? " local" : "");
	if (f->free_in_handler)
		ao_server_free(f->server);
	if (strcmp(request->path, "/healthz") == 0)
		ao_buf_puts(&reply->body, "ok");
	else if (strcmp(request->path, "/big") == 0)
		for (int i = 0; i < 200000; i++)
			ao_buf_puts(&reply->body, "0123456789");
	else if (strcmp(request->path, "/overflow") == 0)
		for (int i = 0; i < 2000; i++)
			ao_buf_printf(&reply->body, "%010000d", i);
	else
		reply->status = 404;
}

static void setup(fixture *f)
{
	*f = (fixture){.loop = ao_loop_new(), .seen = ao_buf_init(1 << 16)};
	assert_int_equal(ao_server_new(f->loop, "127.0.0.1:0", handle, f, &f->server, NULL), 0);
}

static void teardown(fixture *f)
{
	if (!f->free_in_handler)
		ao_server_free(f->server);
	assert_int_equal(ao_loop_close(f->loop), 0);
	ao_buf_free(&f->seen);
}

static int dial(const fixture *f)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)ao_server_port(f->server))};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		fail_msg("send: %s", strerror(errno));
}

/** Collects what the server sends until it contains `until` (NULL: until it closes). @return false when it closed or after 3 s */
static bool hear(const fixture *f, int fd, const char *until, ao_buf *heard)
{
	const bool never = false;
	char chunk[65536];
	for (int i = 0; i < 600; i++) {
		ao_loop_run_until(f->loop, &never, 5);
		ssize_t len;
		while ((len = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
			ao_buf_put(heard, chunk, (size_t)len);
		if (until && heard->data && strstr(heard->data, until))
			return true;
		if (len == 0 || (len < 0 && errno == ECONNRESET))
			return !until;
	}
	return false;
}

/** One request on a connection of its own, which the server must close. */
static char *exchange(const fixture *f, const char *request)
{
	ao_buf heard = ao_buf_init(32 << 20);
	int fd = dial(f);
	say(fd, request);
	assert_true(hear(f, fd, NULL, &heard));
	close(fd);
	return ao_buf_steal(&heard);
}

static void answers_and_keeps_alive(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	int fd = dial(&f);
	for (int i = 0; i < 3; i++) {
		ao_auto_buf ao_buf heard = ao_buf_init(4096);
		say(fd, "GET /healthz?a=%20b HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(hear(&f, fd, "\r\n\r\nok", &heard));
		assert_string_equal(f.seen.data, "/healthz?a=%20b local");
		assert_non_null(strstr(heard.data, "HTTP/1.1 200 OK\r\n"));
		assert_non_null(strstr(heard.data, "Content-Type: text/plain; charset=utf-8\r\n"));
		assert_non_null(strstr(heard.data, "Content-Length: 2\r\n"));
	}
	close(fd);
	ao_auto_str char *old = exchange(&f, "GET /healthz HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(old, "Connection: close"));
	teardown(&f);
}

static void head_has_no_body_and_paths_are_decoded(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	ao_auto_str char *head = exchange(&f, "HEAD /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(head, "Content-Length: 2\r\n"));
	assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
	ao_auto_str char *missing = exchange(&f, "GET /a%2Fb%20c HTTP/1.1\r\nConnection: close\r\n\r\n");
	assert_string_equal(f.seen.data, "/a/b c? local");
	assert_non_null(strstr(missing, "404 Not Found"));
	teardown(&f);
}

static void nonsense_ends_the_connection(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	static const char *const cases[][2] = {
	    {"POST /healthz HTTP/1.1\r\n\r\n", " 405 "},
	    {"POST /healthz HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", " 413 "},
	    {"GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", " 413 "},
	    {"GET /%zz HTTP/1.1\r\n\r\n", " 400 "},
	    {"GET /%00 HTTP/1.1\r\n\r\n", " 400 "},
	    {"GET healthz HTTP/1.1\r\n\r\n", " 400 "},
	    {"CONNECT x:1 HTTP/1.1\r\n\r\n", " 405 "},
	    {"hello\r\n\r\n", " 400 "},
	    {"\x16\x03\x01", " 400 "},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *heard = exchange(&f, cases[i][0]);
		assert_non_null(strstr(heard, cases[i][1]));
		assert_non_null(strstr(heard, "Connection: close"));
	}
	assert_null(f.seen.data);

	ao_buf huge = ao_buf_init(1 << 20);
	ao_buf_puts(&huge, "GET / HTTP/1.1\r\nX: ");
	for (int i = 0; i < 2000; i++)
		ao_buf_puts(&huge, "0123456789");
	ao_auto_str char *heard = exchange(&f, huge.data);
	assert_non_null(strstr(heard, " 431 "));
	ao_buf_free(&huge);
	teardown(&f);
}

static void requests_ahead_of_answers_get_one_answer(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	ao_auto_str char *heard = exchange(&f, "GET /healthz HTTP/1.1\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n");
	const char *first = strstr(heard, "200 OK");
	assert_non_null(first);
	assert_null(strstr(first + 1, "200 OK"));
	assert_non_null(strstr(heard, "Connection: close"));
	teardown(&f);
}

static void a_request_may_come_in_pieces_and_an_answer_be_large(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	int fd = dial(&f);
	ao_auto_buf ao_buf heard = ao_buf_init(32 << 20);
	for (const char *c = "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"; *c; c++) {
		const bool never = false;
		say(fd, (char[]){*c, 0});
		ao_loop_run_until(f.loop, &never, 1);
	}
	assert_true(hear(&f, fd, NULL, &heard));
	assert_true(heard.len > 2000000);
	close(fd);
	ao_auto_str char *overflow = exchange(&f, "GET /overflow HTTP/1.1\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(overflow, " 500 "));
	teardown(&f);
}

static void the_idlest_makes_room(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	const bool never = false;
	int fds[64];
	for (size_t i = 0; i < AO_LEN(fds); i++) {
		fds[i] = dial(&f);
		if (i == 0)
			ao_loop_run_until(f.loop, &never, 20);
	}
	ao_loop_run_until(f.loop, &never, 20);
	ao_auto_str char *heard = exchange(&f, "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(heard, "200 OK"));
	char byte;
	assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[63], &byte, 1, MSG_DONTWAIT), -1);
	for (size_t i = 0; i < AO_LEN(fds); i++)
		close(fds[i]);
	teardown(&f);
}

static void may_be_freed_by_its_handler(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	f.free_in_handler = true;
	int other = dial(&f);
	ao_auto_str char *heard = exchange(&f, "GET /healthz HTTP/1.1\r\n\r\n");
	assert_string_equal(heard, "");
	close(other);
	ao_server_free(NULL);
	teardown(&f);
}

static void addresses(void **state)
{
	(void)state;
	fixture f;
	setup(&f);
	ao_server *server = NULL;
	static const char *const bad[] = {"", "8081", "127.0.0.1", ":", ":x", ":99999", "127.0.0.1:80x", "no.such.host.invalid:1"};
	for (size_t i = 0; i < AO_LEN(bad); i++) {
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_server_new(f.loop, bad[i], handle, &f, &server, &err), -EINVAL);
		assert_non_null(strstr(ao_err_text(err), bad[i]));
	}
	ao_auto_str char *taken = ao_xasprintf("127.0.0.1:%d", ao_server_port(f.server));
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_server_new(f.loop, taken, handle, &f, &server, &err), -EIO);
	assert_non_null(strstr(ao_err_text(err), taken));
	assert_null(server);

	assert_int_equal(ao_server_new(f.loop, ":0", handle, &f, &server, NULL), 0);
	assert_true(ao_server_port(server) > 0);
	fixture any = {.loop = f.loop, .server = server};
	int fd = dial(&any); /* over IPv4, whatever ":0" is bound to */
	ao_auto_buf ao_buf heard = ao_buf_init(4096);
	say(fd, "GET /healthz HTTP/1.1\r\n\r\n");
	assert_true(hear(&f, fd, "\r\n\r\nok", &heard));
	assert_string_equal(f.seen.data, "/healthz? local");
	close(fd);
	ao_server_free(server);
	teardown(&f);
}

/** As on a node that was booted with ipv6.disable=1: such a socket cannot be had. For the rest of this process. */
static void lose_ipv6(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = {.len = AO_LEN(code), .filter = code};
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
	assert_int_equal(socket(AF_INET6, SOCK_STREAM, 0), -1);
}

static void without_ipv6_every_address_means_those_of_ipv4(void **state)
{
	(void)state;
	ao_loop *loop = ao_loop_new();
	ao_server *server = NULL;
	ao_auto_err ao_err *err = NULL;
	lose_ipv6();
	if (ao_server_new(loop, ":0", handle, NULL, &server, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	assert_true(ao_server_port(server) > 0);
	assert_int_equal(ao_server_new(loop, "[::1]:0", handle, NULL, &server, &err), -EIO); /* somebody wants just that */
	ao_server_free(server);
	assert_int_equal(ao_loop_close(loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_and_keeps_alive),
	    cmocka_unit_test(head_has_no_body_and_paths_are_decoded),
	    cmocka_unit_test(nonsense_ends_the_connection),
	    cmocka_unit_test(requests_ahead_of_answers_get_one_answer),
	    cmocka_unit_test(a_request_may_come_in_pieces_and_an_answer_be_large),
	    cmocka_unit_test(the_idlest_makes_room),
	    cmocka_unit_test(may_be_freed_by_its_handler),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(without_ipv6_every_address_means_those_of_ipv4), /* last */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
