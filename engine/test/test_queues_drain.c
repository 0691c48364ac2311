/*
 * Random histories of a parent whose queue gets another name, and back: no message is lost, and in the end the old queue is gone.
 *
 * The world has two queues, pods that read one of them each, senders that name a queue or leave that to an exchange, and one operator after
 * the other.  Calls are carried out late, or after their operator has died; answers get lost; a move is cut off in the middle.
 * AO_DRAIN_SEED=n runs one history, AO_DRAIN_SECONDS=n as many as that gives time for.
 */
#include "queues/drain.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HISTORIES 5000
#define STEPS 250
#define MESSAGES 64
#define PODS 3
#define QUIET_MS 5000
#define BATCH 4

enum { OLD, NEW, QUEUES };

/** What the broker has of one queue. */
typedef struct queue {
	bool there, bound;                     /* bound: to the exchange, with the key that senders use */
	int ready[MESSAGES], flying[MESSAGES]; /* how many copies of each message wait; are held by somebody */
} queue;

/** A call on its way to the broker, or its answer on the way back. */
typedef struct call {
	ao_drain_action action;
	int queue, into;
	bool checked;  /* DELETE of a broker that knows no condition: it was found empty, and goes next */
	bool orphaned; /* nobody waits for its answer */
} call;

typedef struct world {
	uint64_t seed, chance, now;
	bool by_exchange; /* senders name no queue, and the broker deletes on a condition */
	bool calm, faulty;
	queue queues[QUEUES];
	bool foreign;  /* the old queue was there before the parent */
	bool retained; /* it is to stay */
	bool rival;    /* another parent reads the old queue */
	int reads[PODS];
	unsigned seen[MESSAGES]; /* how often a pod has done it */
	bool sent[MESSAGES];
	int count;
	bool naming[QUEUES];      /* there are senders that use this name: it was announced, and not taken back */
	uint64_t sent_ms[QUEUES]; /* when they last did */
	/* what the parent wants */
	int main;
	bool lasting;
	/* its status */
	bool recorded[QUEUES];
	/* the operator */
	bool runs, ensured, final, knows_rival;
	ao_drain drain;
	bool drains;
	call calls[8];
	unsigned call_count, doubled;
	char story[16384];
	size_t told;
} world;

static unsigned chance(world *w, unsigned below)
{
	w->chance ^= w->chance << 13;
	w->chance ^= w->chance >> 7;
	w->chance ^= w->chance << 17;
	return (unsigned)((w->chance >> 11) % below);
}

static bool rarely(world *w, unsigned one_in) { return w->faulty && !w->calm && chance(w, one_in) == 0; }

static void tell(world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(world *w, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	size_t left = sizeof(w->story) - w->told;
	int len = vsnprintf(w->story + w->told, left, fmt, args);
	va_end(args);
	w->told += (size_t)len < left ? (size_t)len : 0;
	if (w->told > sizeof(w->story) / 2) { /* the end of the story is what matters */
		memmove(w->story, w->story + w->told / 2, w->told - w->told / 2 + 1);
		w->told -= w->told / 2;
	}
}

static void broken(const world *w, const char *what)
{
	fail_msg("AO_DRAIN_SEED=%llu: %s; %s at %llu ms: ... %s", (unsigned long long)w->seed, what, ao_drain_word(w->drain.state),
		 (unsigned long long)w->now, w->story);
}

static int holds(const queue *q, bool flying)
{
	int held = 0;
	for (int m = 0; m < MESSAGES; m++)
		held += flying ? q->flying[m] : q->ready[m];
	return held;
}

static int readers(const world *w, int which)
{
	int found = which == OLD && w->rival;
	for (int p = 0; p < PODS; p++)
		found += w->reads[p] == which;
	return found;
}

static void judge(const world *w)
{
	for (int m = 0; m < w->count; m++) {
		int copies = 0;
		for (int q = 0; q < QUEUES; q++)
			copies += w->queues[q].there ? w->queues[q].ready[m] + w->queues[q].flying[m] : 0;
		if (w->sent[m] && !copies && !w->seen[m])
			broken(w, "a message is lost");
	}
}

/* ---- senders and pods ---- */

/** A sender whose queue is not there keeps its message. */
static void send(world *w)
{
	int m = w->count, name = (int)chance(w, QUEUES);
	bool taken = false;
	if (m == MESSAGES || (!w->by_exchange && !w->naming[name]))
		return;
	for (int q = 0; q < QUEUES; q++) {
		queue *into = &w->queues[q];
		if (!into->there || !(w->by_exchange ? into->bound : q == name))
			continue;
		into->ready[m]++;
		w->sent_ms[q] = w->now;
		w->doubled += taken;
		taken = true;
	}
	if (w->by_exchange && !taken && w->ensured)
		broken(w, "the exchange has nobody to give a message to");
	w->sent[m] = taken;
	w->count += taken;
	tell(w, "sent %d, ", m);
}

static void pod(world *w)
{
	int p = (int)chance(w, PODS), which = w->reads[p];
	queue *q = which < 0 ? NULL : &w->queues[which];
	int m = (int)chance(w, MESSAGES);
	if (!q || !q->there)
		return;
	for (int i = 0; i < MESSAGES; i++, m = (m + 1) % MESSAGES) {
		if (q->flying[m] && chance(w, 2)) {
			q->flying[m]--;
			if (rarely(w, 3))
				q->ready[m]++; /* the pod died over it */
			else
				w->seen[m]++;
			return;
		}
		if (q->ready[m]) {
			q->ready[m]--;
			q->flying[m]++;
			return;
		}
	}
}

/** What died pods held comes back. */
static void give_back(world *w, int which)
{
	queue *q = &w->queues[which];
	for (int m = 0; m < MESSAGES; m++) {
		q->ready[m] += q->flying[m];
		q->flying[m] = 0;
	}
}

/** A rollout: pods are replaced one by one, once the operator has found the queue to be there. */
static void roll(world *w)
{
	int p = (int)chance(w, PODS), was = w->reads[p];
	if (!w->ensured || was == w->main)
		return;
	w->reads[p] = w->main;
	tell(w, "pod %d reads %d, ", p, w->main);
	if (was >= 0 && !readers(w, was))
		give_back(w, was);
}

/** Another parent that takes the old name has pods of its own: what comes to them is theirs. */
static void rival(world *w)
{
	queue *q = &w->queues[OLD];
	for (int m = 0; w->rival && q->there && m < MESSAGES; m++)
		for (; q->ready[m]; q->ready[m]--)
			w->seen[m]++;
}

/* ---- the broker ---- */

static int carry_out_move(world *w, const call *c, bool cut)
{
	queue *from = &w->queues[c->queue], *into = &w->queues[c->into];
	int moved = 0;
	if (c->queue == OLD && w->foreign)
		broken(w, "messages of a foreign queue are moved");
	for (int m = 0; m < MESSAGES && from->there && into->there && moved < BATCH; m++)
		for (; from->ready[m] && moved < BATCH; moved++) {
			into->ready[m]++;
			if (cut) { /* sent and not taken away */
				w->doubled++;
				return moved;
			}
			from->ready[m]--;
		}
	return moved;
}

/** @return false: not yet */
static bool carry_out_delete(world *w, call *c, ao_drain_answer *answer)
{
	queue *q = &w->queues[c->queue];
	bool busy = holds(q, false) || holds(q, true) || (w->by_exchange && readers(w, c->queue));
	if (c->queue == OLD && (w->foreign || w->retained))
		broken(w, "a queue that is to stay is deleted");
	if (q->there && busy && !c->checked) {
		*answer = (ao_drain_answer){.error = -EBUSY, .reason = "QueueNotEmpty", .exists = true};
		return true;
	}
	if (!w->by_exchange && !c->checked && chance(w, 2)) {
		c->checked = true;
		return false;
	}
	*q = (queue){0};
	*answer = (ao_drain_answer){.exists = false};
	tell(w, "queue %d is deleted, ", c->queue);
	return true;
}

static bool carry_out(world *w, call *c, ao_drain_answer *answer)
{
	const queue *q = &w->queues[c->queue];
	*answer = (ao_drain_answer){.exists = q->there};
	if (c->action == AO_DRAIN_DELETE)
		return carry_out_delete(w, c, answer);
	if (c->action == AO_DRAIN_MOVE && !q->there) {
		*answer = (ao_drain_answer){.error = -ENOENT, .reason = "QueueMissing"};
	} else if (c->action == AO_DRAIN_MOVE) {
		bool cut = rarely(w, 6);
		answer->moved = carry_out_move(w, c, cut);
		if (cut)
			*answer = (ao_drain_answer){.error = -EIO, .reason = "BrokerUnreachable", .exists = true};
		tell(w, "moved %d of %d%s, ", (int)answer->moved, c->queue, cut ? " and was cut off" : "");
	} else {
		answer->messages = holds(q, false);
		answer->in_flight = w->by_exchange ? -1 : holds(q, true);
		tell(w, "looked at %d: %d, ", c->queue, (int)answer->messages);
	}
	return true;
}

static void drop_call(world *w, unsigned i) { w->calls[i] = w->calls[--w->call_count]; }

static void serve(world *w)
{
	unsigned i = w->call_count ? chance(w, w->call_count) : 0;
	ao_drain_answer answer = {0};
	if (!w->call_count)
		return;
	call *c = &w->calls[i];
	bool never = rarely(w, 8);
	if (never)
		answer = (ao_drain_answer){.error = -ETIME, .reason = "BrokerTimeout"};
	else if (!carry_out(w, c, &answer))
		return;
	if (!never && rarely(w, 8)) /* done, and the answer got lost */
		answer = (ao_drain_answer){.error = -ETIME, .reason = "BrokerTimeout"};
	if (!c->orphaned)
		ao_drain_answered(&w->drain, &answer, w->now);
	drop_call(w, i);
}

/* ---- the operator ---- */

static int other(const world *w) { return w->main == OLD ? NEW : OLD; }

static bool is_replaced(const world *w)
{
	for (int p = 0; p < PODS; p++)
		if (w->reads[p] != w->main)
			return false;
	return true;
}

static bool is_busy(const world *w, int which)
{
	for (unsigned i = 0; i < w->call_count; i++)
		if (w->calls[i].queue == which && w->calls[i].action == AO_DRAIN_DELETE)
			return true;
	return false;
}

static void begin_drain(world *w)
{
	ao_drain_begin(&w->drain, &(ao_drain_settings){QUIET_MS, 60000}, w->now);
	w->drains = true;
}

/** Makes the queue right that the parent reads; the first half of it may be all. @return false: it died in between */
static bool ensure(world *w)
{
	queue *q = &w->queues[w->main], *left = &w->queues[other(w)];
	if (is_busy(w, w->main))
		return true; /* it waits for the answer to what was wanted before */
	if (!q->there)
		*q = (queue){.there = true};
	w->recorded[w->main] = true;
	w->final = !w->drains || w->drain.facts.replaced;
	if (w->final && !q->bound) {
		q->bound = true;
		if (!w->calm && w->by_exchange && chance(w, 8) == 0)
			send(w);
		if (rarely(w, 4))
			return false;
	}
	if (w->final && !(w->foreign && other(w) == OLD))
		left->bound = false;
	w->ensured = w->naming[w->main] = true;
	return true;
}

static void die(world *w)
{
	tell(w, "DIED, ");
	for (unsigned i = 0; i < w->call_count; i++) {
		w->calls[i].orphaned = true;
		if (w->calls[i].checked) /* its broker is quicker than a successor */
			w->queues[w->calls[i].queue] = (queue){0};
	}
	for (unsigned i = w->call_count; i-- > 0;)
		if (w->calls[i].checked)
			drop_call(w, i);
	w->runs = w->ensured = w->final = w->drains = w->knows_rival = false;
	w->drain = (ao_drain){0};
}

/** A pass: what the plan says, the queue, the facts, the record. */
static void pass(world *w)
{
	int left = other(w);
	w->runs = true;
	w->knows_rival = w->rival;
	if ((w->recorded[left] || w->lasting) && !w->drains)
		begin_drain(w);
	if (w->lasting && !w->queues[left].there && !is_busy(w, left)) {
		w->queues[left] = (queue){.there = true};
		w->recorded[left] = true;
	}
	if (!ensure(w)) {
		die(w);
		return;
	}
	if (!w->drains)
		return;
	bool replaced = w->drain.facts.replaced || is_replaced(w);
	ao_drain_tell(&w->drain, &(ao_drain_facts){.replaced = replaced,
						   .turned = replaced && w->final,
						   .ours = !(w->foreign && left == OLD),
						   .shared = w->rival && left == OLD,
						   .retained = w->retained && left == OLD,
						   .lasting = w->lasting});
	if (w->drain.state == AO_DRAIN_GONE || w->drain.state == AO_DRAIN_RELEASED)
		w->recorded[left] = w->drains = false;
}

static void act(world *w)
{
	uint64_t wait = 0;
	if (!w->runs || !w->drains || w->call_count == AO_LEN(w->calls))
		return;
	ao_drain_action action = ao_drain_next(&w->drain, w->now, &wait);
	int left = other(w);
	if (action == AO_DRAIN_NOTHING)
		return;
	if (!is_replaced(w) && action != AO_DRAIN_LOOK)
		broken(w, "messages are moved while pods still read the old queue");
	if (w->knows_rival && left == OLD && action != AO_DRAIN_LOOK)
		broken(w, "the queue of another is touched");
	if (action == AO_DRAIN_DELETE && w->lasting)
		broken(w, "a queue goes whose name is in use");
	if (action == AO_DRAIN_DELETE && !w->by_exchange && w->now - w->sent_ms[left] < QUIET_MS)
		broken(w, "a queue goes that was in use just now");
	w->calls[w->call_count++] = (call){.action = action, .queue = left, .into = w->main};
}

/** The parent wants to be read by its other name; who names the one it leaves goes on for a while. */
static void turn_round(world *w)
{
	w->main = other(w);
	tell(w, "TURNED to %d, ", w->main);
	for (unsigned i = 0; i < w->call_count; i++)
		w->calls[i].orphaned = true;
	w->ensured = w->final = w->drains = false;
	w->lasting = !w->by_exchange;
	w->drain = (ao_drain){0};
	pass(w);
}

static void wish(world *w)
{
	unsigned what = chance(w, 8);
	if (what == 0) {
		turn_round(w);
	} else if (what == 1 && w->main == NEW && !w->rival && !w->foreign && !w->retained) {
		w->rival = true;
		tell(w, "RIVAL, ");
		pass(w);
	} else if (what < 5 && w->lasting) { /* all senders use the new name now */
		w->naming[other(w)] = false;
		w->lasting = false;
		tell(w, "not lasting, ");
		pass(w);
	}
}

/* ---- histories ---- */

static void step(world *w)
{
	unsigned what = chance(w, 100);
	w->now += chance(w, 4) == 0 ? chance(w, 1500) : 0;
	if (what < 15 && !w->calm)
		send(w);
	else if (what < 35)
		pod(w);
	else if (what < 45)
		roll(w);
	else if (what < 60)
		serve(w);
	else if (what < 75)
		act(w);
	else if (what < 90)
		pass(w);
	else if (what < 93)
		rival(w);
	else if (what < 96 && !w->calm)
		wish(w);
	else if (rarely(w, 2))
		die(w);
	judge(w);
}

static bool is_over(const world *w)
{
	bool read = true;
	for (int m = 0; m < w->count; m++)
		read = read && w->seen[m];
	return read && !w->queues[other(w)].there && !w->drains;
}

static void come_to_rest(world *w)
{
	w->calm = true;
	w->naming[other(w)] = w->lasting = false;
	const queue *left = &w->queues[other(w)];
	bool stays = other(w) == OLD && (w->foreign || w->rival || w->retained);
	for (int i = 0; i < (stays ? 400 : 4000) && (i < 100 || !is_over(w)); i++) {
		step(w);
		w->now += 200;
	}
	if (left->there && !stays)
		broken(w, "the old queue does not go");
	for (int m = 0; m < w->count; m++)
		if (!w->seen[m] && !stays)
			broken(w, "a message is never read");
	if (!w->queues[w->main].there)
		broken(w, "the queue that is read is gone");
	unsigned repeats = 0;
	for (int m = 0; m < w->count; m++)
		repeats += w->seen[m] > 1 ? w->seen[m] - 1 : 0;
	if (!w->faulty && repeats > w->doubled)
		broken(w, "a message is read twice and nobody knows why");
}

static void run_history(uint64_t seed)
{
	static world w;
	w = (world){.seed = seed, .chance = seed * 0x9e3779b97f4a7c15ULL | 1, .now = 1000, .main = OLD};
	for (int i = 0; i < 10; i++)
		chance(&w, 2);
	w.by_exchange = chance(&w, 2);
	w.faulty = chance(&w, 4);
	w.foreign = chance(&w, 8) == 0;
	w.retained = chance(&w, 8) == 0;
	w.queues[OLD] = (queue){.there = true, .bound = true};
	w.recorded[OLD] = w.naming[OLD] = w.naming[NEW] = true;
	pass(&w);
	for (int i = 0; i < 20; i++)
		send(&w);
	turn_round(&w);
	for (int i = 0; i < STEPS; i++)
		step(&w);
	come_to_rest(&w);
}

static void no_history_loses_a_message(void **state)
{
	(void)state;
	const char *one = getenv("AO_DRAIN_SEED"), *seconds = getenv("AO_DRAIN_SECONDS");
	uint64_t until = ao_mono_ms() + (seconds ? strtoull(seconds, NULL, 10) : 0) * 1000;
	if (one) {
		run_history(strtoull(one, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= HISTORIES || (seconds && ao_mono_ms() < until); seed++)
		run_history(seed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_history_loses_a_message),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
