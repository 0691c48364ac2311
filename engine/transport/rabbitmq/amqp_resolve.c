/* amqp_resolve.c -- the thread and its caller share the question; the last of the two frees it. */
#include "transport/rabbitmq/amqp_resolve.h"

#include "base/log.h"
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ao_resolve {
	char *host, *port;
	int event;
	int rc; /* of getaddrinfo() or, negative and below its own, of pthread_create() */
	struct addrinfo *found;
	atomic_bool done; /* rc and found are there */
	atomic_int owners;
};

static void leave(ao_resolve *r)
{
	if (atomic_fetch_sub(&r->owners, 1) > 1)
		return;
	if (r->found)
		freeaddrinfo(r->found);
	close(r->event);
	free(r->host);
	free(r->port);
	free(r);
}

static void look_up(ao_resolve *r, int flags)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
	r->rc = getaddrinfo(r->host, r->port, &hints, &r->found);
	if (r->rc == EAI_NONAME && flags & AI_NUMERICHOST)
		return; /* a name, not an address: nothing is answered yet */
	atomic_store(&r->done, true);
	ao_require(eventfd_write(r->event, 1) == 0);
}

static void *run(void *arg)
{
	ao_resolve *r = arg;
	look_up(r, AI_ADDRCONFIG);
	leave(r);
	return NULL;
}

static int start_thread(ao_resolve *r)
{
	pthread_t thread;
	sigset_t all, before;
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc == 0)
		pthread_detach(thread);
	return rc;
}

ao_resolve *ao_resolve_start(const char *host, const char *port)
{
	ao_resolve *r = ao_xcalloc(1, sizeof(*r));
	*r = (ao_resolve){.host = ao_xstrdup(host), .port = ao_xstrdup(port), .event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .owners = 1};
	ao_require(r->event >= 0);
	look_up(r, AI_NUMERICHOST);
	if (atomic_load(&r->done))
		return r;
	atomic_fetch_add(&r->owners, 1);
	if (start_thread(r) != 0) {
		r->rc = EAI_AGAIN;
		atomic_store(&r->done, true);
		ao_require(eventfd_write(r->event, 1) == 0);
		leave(r);
	}
	return r;
}

int ao_resolve_fd(const ao_resolve *resolve) { return resolve->event; }

int ao_resolve_answer(ao_resolve *resolve, const struct addrinfo **ret, ao_err **reterr)
{
	if (!atomic_load(&resolve->done))
		return 0;
	if (resolve->rc != 0)
		return ao_err_set(reterr, -EIO, "the name %s cannot be looked up: %s", resolve->host, gai_strerror(resolve->rc));
	*ret = resolve->found;
	return 0;
}

void ao_resolve_free(ao_resolve *resolve)
{
	if (resolve)
		leave(resolve);
}
