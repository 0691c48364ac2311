/* curl_loop.c -- curl tells which sockets and which timeout it waits for; uv_poll and a timer wait, and hand back what
 * happened through curl_multi_socket_action().
 *
 * Curl tells so from inside its own calls, where it must not be called again: a timeout of 0 therefore becomes work of
 * the loop's next turn, by an idle handle, because a timer would cost each request two waits of a millisecond.
 * A socket that libuv cannot watch (no memory for it, say) is looked at now and then: were curl told that it cannot be had, it would give
 * up every transfer of the multi handle, and those to come.
 * A poll handle lives until its close callback and is by then unknown to curl; so does this struct, for the idle handle. */
#include "net/curl_loop.h"

#include "base/log.h"
#include "base/mem.h"

#define LOOK_MS 50

typedef struct poll_watch {
	uv_poll_t uv;
	ao_curl_loop *curl;
	curl_socket_t fd;
	int events;
	bool watched;   /* by `uv` */
	ao_timer *look; /* else by this, or NULL */
	struct poll_watch *prev, *next;
} poll_watch;

struct ao_curl_loop {
	CURLM *multi;
	ao_loop *loop;
	ao_timer *timeout;
	uv_idle_t at_once; /* a timeout of 0 */
	poll_watch *polls;
	void (*turned)(void *arg);
	void *arg;
	int inside; /* depth of curl calls on the stack */
	bool closing;
};

static void action(ao_curl_loop *curl, curl_socket_t fd, int events)
{
	int running;
	curl->inside++;
	CURLMcode rc = curl_multi_socket_action(curl->multi, fd, events, &running);
	curl->inside--;
	if (rc != CURLM_OK)
		ao_error(AO_NET, NULL, "curl: %s", curl_multi_strerror(rc));
	curl->turned(curl->arg);
}

static void poll_ready(uv_poll_t *handle, int status, int events)
{
	poll_watch *watch = uv_handle_get_data((uv_handle_t *)handle);
	int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
	if (status < 0)
		flags = CURL_CSELECT_ERR | CURL_CSELECT_IN;
	action(watch->curl, watch->fd, flags);
}

static void poll_closed(uv_handle_t *handle) { free(uv_handle_get_data(handle)); }

static poll_watch *poll_new(ao_curl_loop *curl, curl_socket_t fd)
{
	poll_watch *watch = ao_xcalloc(1, sizeof(*watch));
	watch->curl = curl;
	watch->fd = fd;
	watch->next = curl->polls;
	if (watch->next)
		watch->next->prev = watch;
	curl->polls = watch;
	return watch;
}

static void look(void *arg);

static void poll_for(poll_watch *watch, int events)
{
	ao_loop *loop = watch->curl->loop;
	watch->events = events;
	watch->watched = watch->watched || uv_poll_init(ao_loop_raw(loop), &watch->uv, watch->fd) == 0;
	if (watch->watched) {
		uv_handle_set_data((uv_handle_t *)&watch->uv, watch);
		uv_poll_start(&watch->uv, events, poll_ready);
		return;
	}
	if (!watch->look)
		watch->look = ao_timer_new(loop, look, watch);
	ao_timer_start(watch->look, LOOK_MS);
}

static void look(void *arg)
{
	poll_watch *watch = arg;
	poll_for(watch, watch->events);
	if (!watch->watched)
		action(watch->curl, watch->fd, 0); /* curl looks itself; the watch may be gone then */
}

static void poll_free(poll_watch *watch)
{
	*(watch->prev ? &watch->prev->next : &watch->curl->polls) = watch->next;
	if (watch->next)
		watch->next->prev = watch->prev;
	curl_multi_assign(watch->curl->multi, watch->fd, NULL);
	ao_timer_free(watch->look);
	if (watch->watched)
		uv_close((uv_handle_t *)&watch->uv, poll_closed);
	else
		free(watch);
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	ao_curl_loop *curl = arg;
	poll_watch *watch = socket_arg;
	if (curl->closing)
		return 0;
	if (what == CURL_POLL_REMOVE) {
		if (watch)
			poll_free(watch);
		return 0;
	}
	if (!watch) {
		watch = poll_new(curl, fd);
		curl_multi_assign(curl->multi, fd, watch);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	poll_for(watch, events);
	return 0;
}

static void timeout_passed(void *arg) { action(arg, CURL_SOCKET_TIMEOUT, 0); }

static void next_turn(uv_idle_t *handle)
{
	uv_idle_stop(handle);
	timeout_passed(uv_handle_get_data((uv_handle_t *)handle));
}

static int timeout_wanted(CURLM *multi, long timeout_ms, void *arg)
{
	(void)multi;
	ao_curl_loop *curl = arg;
	if (curl->closing)
		return 0;
	ao_timer_stop(curl->timeout);
	uv_idle_stop(&curl->at_once);
	if (timeout_ms > 0)
		ao_timer_start(curl->timeout, (uint64_t)timeout_ms);
	else if (timeout_ms == 0)
		uv_idle_start(&curl->at_once, next_turn);
	return 0;
}

int ao_curl_loop_new(ao_loop *loop, void (*turned)(void *arg), void *arg, ao_curl_loop **ret, ao_err **reterr)
{
	CURLM *multi = curl_multi_init();
	if (!multi)
		return ao_err_set(reterr, -EIO, "libcurl cannot make a multi handle");
	ao_curl_loop *curl = ao_xcalloc(1, sizeof(*curl));
	*curl = (ao_curl_loop){.multi = multi, .loop = loop, .turned = turned, .arg = arg};
	curl->timeout = ao_timer_new(loop, timeout_passed, curl);
	uv_idle_init(ao_loop_raw(loop), &curl->at_once);
	uv_handle_set_data((uv_handle_t *)&curl->at_once, curl);
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, curl);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timeout_wanted);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, curl);
	*ret = curl;
	return 0;
}

static void loop_closed(uv_handle_t *handle) { free(uv_handle_get_data(handle)); }

void ao_curl_loop_free(ao_curl_loop *curl)
{
	ao_require(!curl->inside);
	curl->closing = true;
	while (curl->polls) /* before curl closes their sockets */
		poll_free(curl->polls);
	ao_timer_free(curl->timeout);
	curl_multi_cleanup(curl->multi);
	uv_close((uv_handle_t *)&curl->at_once, loop_closed);
}

CURLM *ao_curl_loop_multi(ao_curl_loop *curl) { return curl->multi; }
bool ao_curl_loop_inside(const ao_curl_loop *curl) { return curl->inside > 0; }

int ao_curl_loop_add(ao_curl_loop *curl, CURL *easy)
{
	curl->inside++;
	CURLMcode rc = curl_multi_add_handle(curl->multi, easy);
	curl->inside--;
	return rc == CURLM_OK ? 0 : -EIO;
}

void ao_curl_loop_remove(ao_curl_loop *curl, CURL *easy)
{
	curl->inside++;
	curl_multi_remove_handle(curl->multi, easy);
	curl->inside--;
}
