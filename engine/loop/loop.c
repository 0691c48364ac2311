/* loop.c -- a uv_loop_t with a handle of its own that keeps it alive, so that "runs until stopped" is also true of
 * a loop on which nothing happens yet.
 *
 * Closing: handles that the rooms above have closed get their turns first, since a close callback may close
 * something further.  A handle that is still open then is a leak: it is named in the log and closed by force. */
#include "loop/loop.h"

#include "base/log.h"
#include "base/mem.h"

#include <signal.h>

#define CLOSE_TURNS 1000 /* more than any chain of close callbacks is long */

typedef struct signal_watch {
	uv_signal_t uv;
	void (*fn)(void *arg, int signo);
	void *arg;
	struct signal_watch *next;
} signal_watch;

struct ao_loop {
	uv_loop_t uv;
	uv_async_t keep_alive;
	uv_prepare_t before_poll; /* of ao_loop_run_until() */
	signal_watch *signals;
	bool stopped; /* survives a uv_run() that ended for another reason */
};

struct ao_timer {
	uv_timer_t uv;
	ao_timer_fn fn;
	void *arg;
};

ao_loop *ao_loop_new(void)
{
	ao_loop *loop = ao_xcalloc(1, sizeof(*loop));
	ao_require(uv_loop_init(&loop->uv) == 0);
	ao_require(uv_async_init(&loop->uv, &loop->keep_alive, NULL) == 0);
	ao_require(uv_prepare_init(&loop->uv, &loop->before_poll) == 0);
	signal(SIGPIPE, SIG_IGN); /* a peer that went away is an error code, not the end of us */
	return loop;
}

uv_loop_t *ao_loop_raw(ao_loop *loop) { return &loop->uv; }

void ao_loop_run(ao_loop *loop)
{
	while (!loop->stopped)
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	loop->stopped = false;
}

typedef struct until {
	const bool *done;
	bool expired;
} until;

static void until_expired(void *arg) { ((until *)arg)->expired = true; }

/** A turn runs its timers first and then waits for sockets. It must not wait when one of those timers has set `done`. */
static void until_check(uv_prepare_t *handle)
{
	const until *u = uv_handle_get_data((uv_handle_t *)handle);
	if (*u->done || u->expired)
		uv_stop(handle->loop);
}

bool ao_loop_run_until(ao_loop *loop, const bool *done, uint64_t timeout_ms)
{
	until u = {.done = done};
	ao_timer *timer = ao_timer_new(loop, until_expired, &u);
	ao_timer_start(timer, timeout_ms);
	uv_handle_set_data((uv_handle_t *)&loop->before_poll, &u);
	uv_prepare_start(&loop->before_poll, until_check);
	while (!*done && !u.expired && !loop->stopped)
		uv_run(&loop->uv, UV_RUN_ONCE);
	uv_prepare_stop(&loop->before_poll);
	ao_timer_free(timer);
	return *done;
}

void ao_loop_stop(ao_loop *loop)
{
	loop->stopped = true;
	uv_stop(&loop->uv);
}

static void count_closing(uv_handle_t *handle, void *arg)
{
	if (uv_is_closing(handle))
		++*(int *)arg;
}

/** Turns the loop until no handle is on its way out any more. */
static void run_closing(ao_loop *loop)
{
	for (int turn = 0; turn < CLOSE_TURNS; turn++) {
		int closing = 0;
		uv_walk(&loop->uv, count_closing, &closing);
		if (!closing)
			return;
		uv_run(&loop->uv, UV_RUN_NOWAIT);
	}
}

static void report_open(uv_handle_t *handle, void *arg)
{
	if (uv_is_closing(handle))
		return;
	ao_error(AO_MAIN, NULL, "the loop closes with an open %s handle", uv_handle_type_name(uv_handle_get_type(handle)));
	uv_close(handle, NULL);
	++*(int *)arg;
}

static void signal_closed(uv_handle_t *handle) { free(uv_handle_get_data(handle)); }

int ao_loop_close(ao_loop *loop)
{
	while (loop->signals) {
		signal_watch *watch = loop->signals;
		loop->signals = watch->next;
		uv_close((uv_handle_t *)&watch->uv, signal_closed);
	}
	uv_close((uv_handle_t *)&loop->keep_alive, NULL);
	uv_close((uv_handle_t *)&loop->before_poll, NULL);
	run_closing(loop);

	int left = 0;
	uv_walk(&loop->uv, report_open, &left);
	run_closing(loop);
	if (uv_loop_close(&loop->uv) == UV_EBUSY) { /* requests of the thread pool: they end by themselves */
		uv_run(&loop->uv, UV_RUN_DEFAULT);
		ao_require(uv_loop_close(&loop->uv) == 0);
	}
	free(loop);
	return left;
}

static void signal_seen(uv_signal_t *handle, int signo)
{
	signal_watch *watch = uv_handle_get_data((uv_handle_t *)handle);
	watch->fn(watch->arg, signo);
}

void ao_loop_on_signal(ao_loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	signal_watch *watch = ao_xcalloc(1, sizeof(*watch));
	*watch = (signal_watch){.fn = fn, .arg = arg, .next = loop->signals};
	loop->signals = watch;
	ao_require(uv_signal_init(&loop->uv, &watch->uv) == 0);
	uv_handle_set_data((uv_handle_t *)&watch->uv, watch);
	ao_require(uv_signal_start(&watch->uv, signal_seen, signo) == 0);
}

ao_timer *ao_timer_new(ao_loop *loop, ao_timer_fn fn, void *arg)
{
	ao_timer *timer = ao_xcalloc(1, sizeof(*timer));
	timer->fn = fn;
	timer->arg = arg;
	uv_timer_init(&loop->uv, &timer->uv);
	uv_handle_set_data((uv_handle_t *)&timer->uv, timer);
	return timer;
}

static void timer_fired(uv_timer_t *handle)
{
	ao_timer *timer = uv_handle_get_data((uv_handle_t *)handle);
	timer->fn(timer->arg);
}

void ao_timer_start(ao_timer *timer, uint64_t delay_ms)
{
	/* The loop's idea of now is as old as its turn: add what has passed since, or a timer set after long work fires early.
	 * At least 1, because a timer for "now" that starts itself again would never let the loop reach its sockets. */
	uint64_t now = uv_hrtime() / 1000000, turn = uv_now(timer->uv.loop);
	uint64_t late = now > turn ? now - turn : 0;
	uint64_t delay = delay_ms > UINT64_MAX / 4 ? UINT64_MAX / 4 : delay_ms;
	uv_timer_start(&timer->uv, timer_fired, delay + late ? delay + late : 1, 0);
}

void ao_timer_stop(ao_timer *timer) { uv_timer_stop(&timer->uv); }
bool ao_timer_active(const ao_timer *timer) { return uv_is_active((const uv_handle_t *)&timer->uv); }

static void timer_closed(uv_handle_t *handle) { free(uv_handle_get_data(handle)); }

void ao_timer_free(ao_timer *timer)
{
	if (timer)
		uv_close((uv_handle_t *)&timer->uv, timer_closed);
}
