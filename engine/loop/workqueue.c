/* workqueue.c -- three independent facts say what a key is doing: it waits in the line of its rank; it is being worked on (and is dirty when
 * it has to wait again afterwards); it is due at a later time (in a heap, with one timer for the earliest).
 *
 * Two things may make a key due: somebody asked (ao_workqueue_add_after), or its back-off.  They are kept apart, because work that
 * starts for any other reason makes the back-off pointless, but must not lose what was asked for.
 *
 * Work is started from an idle handle, which runs only while there is something to start: one slice, then one turn of
 * the loop, and so on. */
#include "loop/workqueue.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "loop/ranks.h"

#define NEVER UINT64_MAX
#define NOT_IN_HEAP SIZE_MAX

typedef struct item {
	char *key;
	ao_ranked in_line;
	ao_workqueue_rank rank;       /* of what waits, or will */
	ao_workqueue_rank asked_rank; /* of what is asked for at `asked_at` */
	bool waiting, active, dirty;
	bool first; /* active, and began as what somebody waits for */
	unsigned failures;
	uint64_t asked_at, backoff_at; /* NEVER: not */
	uint64_t backoff_end;          /* of the last back-off, though the work may have begun earlier */
	uint64_t added_ns, started_ns;
	size_t heap_index;
} item;

struct ao_workqueue {
	ao_loop *loop;
	ao_workqueue_options options;
	ao_workqueue_fn fn;
	void *arg;
	ao_map *items;
	ao_ranks line;
	item **heap; /* by due time, the earliest first */
	size_t heap_len, heap_size;
	uv_idle_t idle;
	ao_timer *timer;
	ao_workqueue_stats stats;
	size_t others; /* active, and nobody waits for them */
	bool paused, freed;
};

/* ---- the heap of delayed keys ---- */

static uint64_t due(const item *it) { return it->asked_at < it->backoff_at ? it->asked_at : it->backoff_at; }

static void heap_set(ao_workqueue *queue, size_t index, item *it)
{
	queue->heap[index] = it;
	it->heap_index = index;
}

static void heap_up(ao_workqueue *queue, item *it)
{
	size_t i = it->heap_index;
	for (; i > 0 && due(it) < due(queue->heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap_set(queue, i, queue->heap[(i - 1) / 2]);
	heap_set(queue, i, it);
}

static void heap_down(ao_workqueue *queue, item *it)
{
	size_t i = it->heap_index;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < queue->heap_len && due(queue->heap[child + 1]) < due(queue->heap[child]))
			child++;
		if (child >= queue->heap_len || due(it) <= due(queue->heap[child]))
			break;
		heap_set(queue, i, queue->heap[child]);
		i = child;
	}
	heap_set(queue, i, it);
}

static void heap_remove(ao_workqueue *queue, item *it)
{
	size_t hole = it->heap_index;
	item *last = queue->heap[--queue->heap_len];
	it->heap_index = NOT_IN_HEAP;
	if (last == it)
		return;
	heap_set(queue, hole, last);
	heap_up(queue, last);
	heap_down(queue, last);
}

static void heap_insert(ao_workqueue *queue, item *it)
{
	if (queue->heap_len == queue->heap_size) {
		queue->heap_size = queue->heap_size ? queue->heap_size * 2 : 64;
		queue->heap = ao_xrealloc(queue->heap, queue->heap_size * sizeof(*queue->heap));
	}
	heap_set(queue, queue->heap_len++, it);
	heap_up(queue, it);
}

static void set_timer(ao_workqueue *queue)
{
	if (!queue->heap_len) {
		ao_timer_stop(queue->timer);
		return;
	}
	uint64_t at = due(queue->heap[0]), now = ao_mono_ms();
	ao_timer_start(queue->timer, at > now ? at - now : 0);
}

/** Puts the item where its due times say, in the heap or out of it. */
static void place(ao_workqueue *queue, item *it)
{
	if (it->heap_index != NOT_IN_HEAP)
		heap_remove(queue, it);
	if (due(it) != NEVER)
		heap_insert(queue, it);
}

static void reschedule(ao_workqueue *queue, item *it)
{
	if (it->heap_index == NOT_IN_HEAP && due(it) == NEVER)
		return;
	place(queue, it);
	set_timer(queue);
}

/* ---- keys ---- */

static item *item_of(ao_workqueue *queue, const char *key)
{
	item *it = ao_map_get(queue->items, key);
	if (it)
		return it;
	it = ao_xcalloc(1, sizeof(*it));
	*it = (item){.key = ao_xstrdup(key), .asked_at = NEVER, .backoff_at = NEVER, .heap_index = NOT_IN_HEAP};
	ao_map_put(queue->items, key, it);
	return it;
}

static void item_free(item *it)
{
	free(it->key);
	free(it);
}

/** Forgets a key when nothing is left to be known about it. */
static void drop_if_idle(ao_workqueue *queue, item *it)
{
	if (it->waiting || it->active || it->failures || it->heap_index != NOT_IN_HEAP)
		return;
	ao_map_remove(queue->items, it->key);
	item_free(it);
}

static void hand_out(uv_idle_t *handle);

/** Is there a place for a key that nobody waits for? */
static bool is_open(const ao_workqueue *queue) { return queue->others + queue->options.kept < queue->options.max_active; }

static bool may_start(const ao_workqueue *queue)
{
	bool fits = is_open(queue) ? queue->stats.waiting : ao_ranks_first(&queue->line, AO_WORKQUEUE_FIRST) != NULL;
	return fits && queue->stats.active < queue->options.max_active && !queue->paused;
}

/** The idle handle runs exactly while there is work that may be started. */
static void set_idle(ao_workqueue *queue)
{
	if (may_start(queue))
		uv_idle_start(&queue->idle, hand_out);
	else
		uv_idle_stop(&queue->idle);
}

static void leave_line(ao_workqueue *queue, item *it)
{
	ao_ranks_leave(&queue->line, &it->in_line);
	it->waiting = false;
	queue->stats.waiting--;
}

static void join_line(ao_workqueue *queue, item *it)
{
	it->in_line.of = it;
	ao_ranks_join(&queue->line, &it->in_line, it->rank, it->added_ns);
	it->waiting = true;
	queue->stats.waiting++;
	set_idle(queue);
}

static void wake(ao_workqueue *queue, item *it, ao_workqueue_rank rank)
{
	bool known = it->waiting || it->dirty;
	if (known && it->rank <= rank)
		return;
	if (it->waiting)
		leave_line(queue, it);
	it->rank = rank;
	if (!known) {
		queue->stats.adds++;
		it->added_ns = uv_hrtime();
	}
	if (it->active)
		it->dirty = true;
	else
		join_line(queue, it);
}

static void delay_passed(void *arg)
{
	ao_workqueue *queue = arg;
	uint64_t now = ao_mono_ms();
	while (queue->heap_len && due(queue->heap[0]) <= now) {
		item *it = queue->heap[0];
		ao_workqueue_rank rank = it->asked_at <= now ? it->asked_rank : AO_WORKQUEUE_USUAL;
		it->asked_at = it->asked_at <= now ? NEVER : it->asked_at;
		it->backoff_at = it->backoff_at <= now ? NEVER : it->backoff_at;
		place(queue, it);
		wake(queue, it, rank);
	}
	set_timer(queue);
}

static double seconds_since(uint64_t ns) { return (double)(uv_hrtime() - ns) / 1e9; }

static void tell_time(const ao_workqueue *queue, bool worked, uint64_t since_ns)
{
	if (queue->options.on_time)
		queue->options.on_time(queue->arg, worked, seconds_since(since_ns));
}

static void start_next(ao_workqueue *queue)
{
	item *it = is_open(queue) ? ao_ranks_turn(&queue->line) : ao_ranks_first(&queue->line, AO_WORKQUEUE_FIRST);
	leave_line(queue, it);
	queue->stats.active++;
	it->active = true;
	it->first = it->rank == AO_WORKQUEUE_FIRST;
	queue->others += !it->first;
	it->started_ns = uv_hrtime();
	tell_time(queue, false, it->added_ns);
	if (it->backoff_at != NEVER) {
		it->backoff_at = NEVER;
		reschedule(queue, it);
	}
	ao_auto_str char *key = ao_xstrdup(it->key); /* the item may be gone before fn returns */
	queue->fn(queue->arg, key);
}

static void hand_out(uv_idle_t *handle)
{
	ao_workqueue *queue = uv_handle_get_data((uv_handle_t *)handle);
	uint64_t end = uv_hrtime() + queue->options.slice_ms * 1000000;
	while (!queue->freed && may_start(queue)) {
		start_next(queue);
		if (uv_hrtime() >= end)
			break;
	}
	if (!queue->freed)
		set_idle(queue);
}

/* ---- what the header offers ---- */

ao_workqueue *ao_workqueue_new(ao_loop *loop, const ao_workqueue_options *options, ao_workqueue_fn fn, void *arg)
{
	ao_workqueue *queue = ao_xcalloc(1, sizeof(*queue));
	*queue = (ao_workqueue){.loop = loop, .options = *options, .fn = fn, .arg = arg, .items = ao_map_new()};
	ao_workqueue_options *o = &queue->options;
	o->max_active = o->max_active ? o->max_active : 1;
	o->base_ms = o->base_ms ? o->base_ms : 5;
	o->max_ms = o->max_ms ? o->max_ms : 30000;
	o->seldom_max_ms = o->seldom_max_ms ? o->seldom_max_ms : 300000;
	o->slice_ms = o->slice_ms ? o->slice_ms : 10;
	uv_idle_init(ao_loop_raw(loop), &queue->idle);
	uv_handle_set_data((uv_handle_t *)&queue->idle, queue);
	queue->timer = ao_timer_new(loop, delay_passed, queue);
	return queue;
}

static void queue_closed(uv_handle_t *handle) { free(uv_handle_get_data(handle)); }

void ao_workqueue_free(ao_workqueue *queue)
{
	if (!queue)
		return;
	size_t cursor = 0;
	for (item *it; (it = ao_map_next(queue->items, &cursor, NULL));)
		item_free(it);
	ao_map_free(queue->items);
	free(queue->heap);
	ao_timer_free(queue->timer);
	queue->freed = true; /* for hand_out(), when the fn it called frees the queue */
	uv_close((uv_handle_t *)&queue->idle, queue_closed);
}

void ao_workqueue_add(ao_workqueue *queue, const char *key, ao_workqueue_rank rank) { wake(queue, item_of(queue, key), rank); }

void ao_workqueue_add_after(ao_workqueue *queue, const char *key, ao_workqueue_rank rank, uint64_t delay_ms)
{
	if (!delay_ms) {
		ao_workqueue_add(queue, key, rank);
		return;
	}
	item *it = item_of(queue, key);
	uint64_t now = ao_mono_ms(), at = delay_ms < NEVER - 1 - now ? now + delay_ms : NEVER - 1;
	if (it->asked_at == NEVER || rank < it->asked_rank)
		it->asked_rank = rank;
	if (at >= it->asked_at)
		return;
	it->asked_at = at;
	reschedule(queue, it);
}

/** Counts a failure, unless it came before the last back-off was over. */
static void count_failure(ao_workqueue *queue, item *it, ao_workqueue_result result)
{
	uint64_t now = ao_mono_ms(), most = result == AO_WORKQUEUE_SELDOM ? queue->options.seldom_max_ms : queue->options.max_ms;
	queue->stats.retries++;
	if (it->failures && now < it->backoff_end)
		return;
	it->backoff_end = now + ao_backoff_ms(queue->options.base_ms, most, it->failures++);
}

void ao_workqueue_done(ao_workqueue *queue, const char *key, ao_workqueue_result result)
{
	item *it = ao_map_get(queue->items, key);
	ao_require(it && it->active);
	it->active = false;
	queue->others -= !it->first;
	queue->stats.active--;
	queue->stats.done++;
	tell_time(queue, true, it->started_ns);
	if (result == AO_WORKQUEUE_OK)
		it->failures = 0;
	else
		count_failure(queue, it, result);
	if (it->dirty) { /* something changed meanwhile: now, whatever the back-off says */
		it->dirty = false;
		join_line(queue, it);
	} else if (result != AO_WORKQUEUE_OK) {
		it->backoff_at = it->backoff_end;
		reschedule(queue, it);
	}
	drop_if_idle(queue, it);
	set_idle(queue);
}

void ao_workqueue_forget(ao_workqueue *queue, const char *key)
{
	item *it = ao_map_get(queue->items, key);
	if (!it)
		return;
	it->failures = 0;
	it->asked_at = it->backoff_at = NEVER;
	reschedule(queue, it);
	drop_if_idle(queue, it);
}

void ao_workqueue_pause(ao_workqueue *queue)
{
	queue->paused = true;
	set_idle(queue);
}

void ao_workqueue_resume(ao_workqueue *queue)
{
	queue->paused = false;
	set_idle(queue);
}

ao_workqueue_stats ao_workqueue_get_stats(const ao_workqueue *queue)
{
	ao_workqueue_stats stats = queue->stats;
	stats.delayed = queue->heap_len;
	size_t cursor = 0;
	for (const item *it; stats.active && (it = ao_map_next(queue->items, &cursor, NULL));) {
		double seconds = it->active ? seconds_since(it->started_ns) : 0;
		stats.unfinished += seconds;
		stats.longest = seconds > stats.longest ? seconds : stats.longest;
	}
	return stats;
}
