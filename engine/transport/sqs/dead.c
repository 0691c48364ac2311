/* dead.c -- an entry for each dead letter queue and way in which it is wanted; old ones go when a new one comes.
 *
 * The task of an entry belongs to no call, because the call that started it may be cancelled while others wait. */
#include "transport/sqs/dead.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "loop/frame.h"
#include "json/json.h"

#include <string.h>

#define FRESH_MS 3000
#define TASK_MS 30000

typedef struct ao_sqs_dead_entry {
	ao_sqs_dead *dead;
	char *key;
	ao_sqs_wanted *wanted;
	ao_sqs_task *task;
	char *arn;
	uint64_t looked_ms;
	bool known; /* since looked_ms */
	ao_sqs_dead_waiter *waiters;
} entry;

struct ao_sqs_dead {
	ao_sqs_account *account;
	ao_map *entries;
	ao_frame frame;
};

static void free_entry(entry *e)
{
	ao_sqs_wanted_free(e->wanted);
	free(e->arn);
	free(e->key);
	free(e);
}

static void destroy(void *arg)
{
	ao_sqs_dead *dead = arg;
	size_t cursor = 0;
	entry *e;
	while ((e = ao_map_next(dead->entries, &cursor, NULL)))
		free_entry(e);
	ao_map_free(dead->entries);
	free(dead);
}

static bool is_known(const entry *e) { return e->known && ao_mono_ms() - e->looked_ms < FRESH_MS; }

static void drop_old(ao_sqs_dead *dead)
{
	size_t cursor = 0;
	entry *e;
	while ((e = ao_map_next(dead->entries, &cursor, NULL))) {
		if (e->task || e->waiters || is_known(e))
			continue;
		ao_map_remove(dead->entries, e->key);
		free_entry(e);
	}
}

/** One after the other, because each of them may do anything, even free all of this. */
static void tell_everybody(entry *e, const ao_broker_answer *answer, const char *arn)
{
	ao_auto_frame ao_frame *frame = ao_frame_enter(&e->dead->frame);
	while (e->waiters) {
		ao_sqs_dead_waiter *waiter = e->waiters;
		ao_sqs_dead_leave(waiter);
		waiter->fn(waiter->arg, answer, arn);
	}
}

static void on_looked(void *arg, const ao_broker_answer *answer, const char *arn)
{
	entry *e = arg;
	e->task = NULL;
	e->looked_ms = ao_mono_ms();
	e->known = !answer->error && arn;
	free(e->arn);
	e->arn = ao_xstrdup(arn); /* stays right, whatever is created or deleted: it is made of the name */
	if (answer->error || arn) {
		tell_everybody(e, answer, arn);
		return;
	}
	ao_auto_str char *text = ao_xasprintf("queue \"%s\": the answer holds no QueueArn", e->wanted->name);
	tell_everybody(e, &(ao_broker_answer){.error = -EPROTO, .reason = "BrokerError", .message = text}, NULL);
}

static bool may_change(void *arg)
{
	const entry *e = arg;
	for (const ao_sqs_dead_waiter *w = e->waiters; w; w = w->next)
		if (w->may(w->arg))
			return true;
	return false;
}

static void start(entry *e)
{
	e->task = ao_sqs_task_start(e->dead->account, &(ao_sqs_task_request){.verb = AO_BROKER_ENSURE,
									     .with_arn = true,
									     .wanted = e->wanted,
									     .deadline_ms = ao_mono_ms() + TASK_MS,
									     .may = may_change,
									     .fn = on_looked,
									     .arg = e});
}

/* ---- what a call uses ---- */

static char *key_of(const ao_sqs_wanted *dead)
{
	uint64_t attributes = ao_json_digest(dead->attributes), tags = ao_json_digest(dead->tags);
	return ao_xasprintf("%s %d %016llx %016llx", dead->name, dead->create, (unsigned long long)attributes, (unsigned long long)tags);
}

static entry *find_entry(ao_sqs_dead *dead, const ao_sqs_wanted *wanted)
{
	ao_auto_str char *key = key_of(wanted);
	entry *e = ao_map_get(dead->entries, key);
	if (e)
		return e;
	drop_old(dead);
	e = ao_xcalloc(1, sizeof(*e));
	*e = (entry){.dead = dead, .key = AO_TAKE(key), .wanted = ao_sqs_wanted_copy(wanted)};
	ao_map_put(dead->entries, e->key, e);
	return e;
}

const char *ao_sqs_dead_need(ao_sqs_dead *dead, const ao_sqs_wanted *wanted, bool fresh, ao_sqs_dead_waiter *waiter)
{
	entry *e = find_entry(dead, wanted->dead);
	if (is_known(e) && !fresh && !e->task)
		return e->arn;
	waiter->in = e;
	waiter->next = e->waiters;
	e->waiters = waiter;
	if (!e->task)
		start(e);
	return NULL;
}

void ao_sqs_dead_leave(ao_sqs_dead_waiter *waiter)
{
	entry *e = waiter->in;
	if (!e)
		return;
	ao_sqs_dead_waiter **at = &e->waiters;
	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
	waiter->next = NULL;
	waiter->in = NULL;
}

ao_sqs_dead *ao_sqs_dead_new(ao_sqs_account *account)
{
	ao_sqs_dead *dead = ao_xcalloc(1, sizeof(*dead));
	*dead = (ao_sqs_dead){.account = account, .entries = ao_map_new()};
	ao_frame_init(&dead->frame, destroy, dead);
	return dead;
}

void ao_sqs_dead_free(ao_sqs_dead *dead)
{
	size_t cursor = 0;
	entry *e;
	if (!dead || dead->frame.freed)
		return;
	while ((e = ao_map_next(dead->entries, &cursor, NULL))) {
		while (e->waiters)
			ao_sqs_dead_leave(e->waiters);
		if (e->task)
			ao_sqs_task_cancel(e->task);
		e->task = NULL;
	}
	ao_frame_free(&dead->frame);
}
