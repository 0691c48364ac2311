/* worker.c -- the thread, and the two lists under one lock that it shares with the loop; session.c does the work. */
#include "transport/rabbitmq/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/rabbitmq/session.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE (1024 * 1024)

struct ao_rabbit_worker {
	void (*wake)(void *arg);
	void *arg;
	pthread_t thread;
	bool started;               /* the loop's */
	int event;                  /* tells the thread of mail, and to stop */
	ao_rabbit_session *session; /* the thread's, while there is one */

	pthread_mutex_t lock;
	ao_rabbit_list mailbox, finished;
	bool stop, connected;
	uint64_t connects;
};

/* ---- the thread ---- */

/** @return false when it is time to end */
static bool empty_mailbox(ao_rabbit_worker *w)
{
	pthread_mutex_lock(&w->lock);
	bool stop = w->stop;
	ao_rabbit_session_add(w->session, &w->mailbox);
	pthread_mutex_unlock(&w->lock);
	return !stop;
}

static void hand_back(ao_rabbit_worker *w)
{
	ao_rabbit_list finished = {0};
	ao_rabbit_session_take(w->session, &finished);
	bool any = finished.first != NULL;
	pthread_mutex_lock(&w->lock);
	ao_rabbit_list_append(&w->finished, &finished);
	w->connected = ao_rabbit_session_connected(w->session);
	w->connects = ao_rabbit_session_connects(w->session);
	pthread_mutex_unlock(&w->lock);
	if (any)
		w->wake(w->arg);
}

static void wait(ao_rabbit_worker *w)
{
	struct pollfd fds[2] = {{.fd = w->event, .events = POLLIN}};
	uint64_t now = ao_mono_ms(), due = ao_rabbit_session_due(w->session);
	fds[1].fd = ao_rabbit_session_fd(w->session, &fds[1].events);
	int timeout = due == UINT64_MAX ? -1 : due <= now ? 0 : due - now > INT_MAX ? INT_MAX : (int)(due - now);
	poll(fds, 2, timeout);
	eventfd_t count;
	if (fds[0].revents)
		eventfd_read(w->event, &count);
}

static void *run(void *arg)
{
	ao_rabbit_worker *w = arg;
	while (empty_mailbox(w)) {
		ao_rabbit_session_turn(w->session);
		hand_back(w);
		wait(w);
	}
	return NULL;
}

/* ---- the loop's side ---- */

ao_rabbit_worker *ao_rabbit_worker_new(const ao_rabbit_config *config, void (*wake)(void *arg), void *arg)
{
	ao_rabbit_worker *w = ao_xcalloc(1, sizeof(*w));
	w->session = ao_rabbit_session_new(config);
	w->wake = wake;
	w->arg = arg;
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ao_require(w->event >= 0);
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

/** @return 0 or what pthread_create() says: the machine may be short of threads */
static int start(ao_rabbit_worker *w)
{
	pthread_attr_t attr;
	sigset_t all, before;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&w->thread, &attr, run, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	w->started = rc == 0;
	return rc;
}

void ao_rabbit_worker_put(ao_rabbit_worker *w, ao_rabbit_call *call)
{
	int rc = w->started ? 0 : start(w);
	if (rc)
		ao_rabbit_call_fail(call, -EIO, "BrokerUnreachable", "queue %s: no thread can be started: %s", ao_rabbit_call_name(call),
				    strerror(rc));
	pthread_mutex_lock(&w->lock);
	ao_rabbit_list_put(rc ? &w->finished : &w->mailbox, call);
	pthread_mutex_unlock(&w->lock);
	if (rc)
		w->wake(w->arg);
	else
		eventfd_write(w->event, 1);
}

ao_rabbit_call *ao_rabbit_worker_take(ao_rabbit_worker *w)
{
	pthread_mutex_lock(&w->lock);
	ao_rabbit_call *first = w->finished.first;
	w->finished = (ao_rabbit_list){0};
	pthread_mutex_unlock(&w->lock);
	return first;
}

void ao_rabbit_worker_stats(ao_rabbit_worker *w, bool *ret_connected, uint64_t *ret_connects)
{
	pthread_mutex_lock(&w->lock);
	*ret_connected = w->connected;
	*ret_connects = w->connects;
	pthread_mutex_unlock(&w->lock);
}

void ao_rabbit_worker_free(ao_rabbit_worker *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	eventfd_write(w->event, 1);
	if (w->started)
		pthread_join(w->thread, NULL);
	ao_rabbit_session_free(w->session);
	ao_rabbit_list_free(&w->mailbox);
	ao_rabbit_list_free(&w->finished);
	pthread_mutex_destroy(&w->lock);
	close(w->event);
	free(w);
}
