#pragma once
/**
 * loop.h -- the event loop: one libuv loop on one thread, timers and signals on it.
 *
 * Everything in the engine runs on this thread, but for the one thread that each RabbitMQ broker has.  Handles
 * close asynchronously, and what owns a handle is freed in its close callback.  That is why ao_timer_free() takes
 * effect inside the loop, and why ao_loop_close() lets the loop turn once more.
 * Threads: the loop thread only, except ao_loop_raw() used with uv_async_send().
 */
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct ao_loop ao_loop;
typedef struct ao_timer ao_timer;
typedef void (*ao_timer_fn)(void *arg);

ao_loop *ao_loop_new(void);
uv_loop_t *ao_loop_raw(ao_loop *loop);
/** Runs until ao_loop_stop(). */
void ao_loop_run(ao_loop *loop);
/** For tests: runs until `*done` is true or `timeout_ms` has passed. @return *done */
bool ao_loop_run_until(ao_loop *loop, const bool *done, uint64_t timeout_ms);
void ao_loop_stop(ao_loop *loop);
/**
 * Lets pending close callbacks run, closes the loop and frees it.
 * @return 0, or the number of handles somebody left open, each named in an error log line
 */
int ao_loop_close(ao_loop *loop);

/** Calls fn(arg, signo) on a signal, until the loop closes. */
void ao_loop_on_signal(ao_loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg);

/** A timer, stopped. */
ao_timer *ao_timer_new(ao_loop *loop, ao_timer_fn fn, void *arg);
void ao_timer_start(ao_timer *timer, uint64_t delay_ms); /* one shot; restarts a running one */
void ao_timer_stop(ao_timer *timer);
bool ao_timer_active(const ao_timer *timer);
void ao_timer_free(ao_timer *timer); /* NULL is fine; fn is not called any more */
