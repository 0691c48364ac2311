/* file_watch.c -- uv_fs_poll, with the owner freed in its close callback. */
#include "loop/file_watch.h"

#include "base/mem.h"

struct ao_file_watch {
	uv_fs_poll_t uv;
	ao_timer *first; /* what changes before uv's own first look, which the thread pool takes, is not told by it */
	void (*fn)(void *arg);
	void *arg;
};

static void on_poll(uv_fs_poll_t *uv, int status, const uv_stat_t *before, const uv_stat_t *now)
{
	(void)status, (void)before, (void)now;
	ao_file_watch *watch = (ao_file_watch *)uv;
	watch->fn(watch->arg);
}

static void on_first(void *arg)
{
	const ao_file_watch *watch = arg;
	watch->fn(watch->arg);
}

ao_file_watch *ao_file_watch_new(ao_loop *loop, const char *path, unsigned interval_ms, void (*fn)(void *arg), void *arg)
{
	ao_file_watch *watch = ao_xcalloc(1, sizeof(*watch));
	watch->fn = fn;
	watch->arg = arg;
	watch->first = ao_timer_new(loop, on_first, watch);
	ao_timer_start(watch->first, interval_ms);
	uv_fs_poll_init(ao_loop_raw(loop), &watch->uv);
	uv_fs_poll_start(&watch->uv, on_poll, path, interval_ms);
	return watch;
}

static void on_closed(uv_handle_t *handle) { free(handle); }

void ao_file_watch_free(ao_file_watch *watch)
{
	if (!watch)
		return;
	ao_timer_free(watch->first);
	uv_close((uv_handle_t *)&watch->uv, on_closed);
}
