/* call.c -- asks brokers, takes their answers, tries again. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "queues/keeper_private.h"
#include "json/json.h"

#include <string.h>

#define FIRST_RETRY_MS 1000
#define MAX_RETRY_MS 30000
#define MIN_RETRY_MS 100
#define SAY_LEFT_AFTER 4 /* failures, so that pods which still read the queue have time to go */
#define MIN_WAKE_MS 5000 /* when only this queue fails, it must not be tried again at each success of the others */

static void say(char **slot, const char *text)
{
	char *copy = ao_xstrdup(text ? text : "");
	free(*slot);
	*slot = copy;
}

void ao_queues_event(const ao_kept_queue *q, bool warning, const char *reason, const char *note)
{
	const ao_queue_owner *owner = q->owner;
	ao_event about = ao_event_about(q->queues->with.parent_kind, owner->namespace_, owner->name, owner->uid);
	ao_events_say(q->queues->with.events, about, warning, reason, NULL, note);
}

void ao_queues_report(const ao_kept_queue *q, bool warning, const char *reason, const char *note)
{
	ao_log(warning ? AO_LOG_WARN : AO_LOG_INFO, AO_CORE, q->owner->key, "%s", note);
	ao_queues_event(q, warning, reason, note);
}

void ao_queues_kept(ao_kept_queue *q, bool warning, char *note)
{
	free(q->kept);
	q->kept = note;
	ao_queues_report(q, warning, "QueueKept", note);
}

/** An operation that waits goes on now; without one the parent is told when there is news. */
static void tell(ao_kept_queue *q, bool news, bool work)
{
	void (*waiter)(void *arg) = ao_queues_leave_waiter(q);
	if (q->patience)
		ao_timer_stop(q->patience);
	if (waiter)
		waiter(q->waiter_arg);
	else if (news)
		q->queues->with.on_change(q->queues->with.arg, q->owner->key, work);
}

static void try_again(ao_kept_queue *q, uint64_t delay_ms);

/** Others may have got a queue since its deletion failed. The parent that waits for that is told; they may go before it. */
static void on_retry(void *arg)
{
	ao_kept_queue *q = arg;
	if (q->leaving && q->drain) {
		ao_queues_drain(q);
	} else if (q->leaving && q->asked != AO_BROKER_DELETE) { /* that failed before it was left: now it waits for ao_queues_moved() */
		q->failures = 0;
		q->queues->with.on_change(q->queues->with.arg, q->owner->key, false);
	} else if (!q->call && ao_queues_spare(q)) {
		try_again(q, MAX_RETRY_MS);
		q->queues->with.on_change(q->queues->with.arg, q->owner->key, true);
	} else if (!q->call) {
		ao_queues_ask(q);
	}
}

static void try_again(ao_kept_queue *q, uint64_t delay_ms)
{
	if (!q->retry)
		q->retry = ao_timer_new(q->queues->with.loop, on_retry, q);
	ao_timer_start(q->retry, delay_ms);
}

/** A dead letter queue that is named after the queue is its own; what lies in one that many share is not told of each of them. */
static bool has_own_dead(const ao_kept_queue *q)
{
	const char *dead = ao_json_str(q->want, "deadLetter", "name");
	size_t len = strlen(q->name);
	return dead && strncmp(dead, q->name, len) == 0 && dead[len] == '-';
}

/** @return true when there is news */
static bool take_counts(ao_kept_queue *q, const ao_broker_answer *answer)
{
	int64_t dead = answer->dead_known && has_own_dead(q) ? answer->dead : -1;
	bool news = q->messages != answer->messages || q->in_flight != answer->in_flight || q->dead != dead;
	q->messages = answer->messages;
	q->in_flight = answer->in_flight;
	q->dead = dead;
	return news;
}

static void report_made(const ao_kept_queue *q, bool again, const ao_broker_answer *answer)
{
	const char *done = answer->created ? (again ? "restored" : "created") : "repaired";
	const char *reason = !answer->created ? "Repaired" : again ? "Restored" : "Created";
	ao_auto_str char *note = ao_xasprintf("%s queue %s", done, q->name);
	if (q->error)
		ao_info(AO_CORE, q->owner->key, "queue %s is all right again", q->name);
	if (answer->created || answer->repaired)
		ao_queues_report(q, again && answer->created, reason, note);
}

/** What somebody else took away meanwhile is not worth a word. */
static void report_deleted(ao_kept_queue *q, const ao_broker_answer *answer)
{
	ao_auto_str char *messages = ao_broker_count_text(answer->error ? -1 : answer->messages);
	ao_auto_str char *note = ao_xasprintf("deleted queue %s with %s", q->name, messages);
	q->messages = q->in_flight = q->dead = -1;
	free(q->kept);
	q->kept = NULL;
	if (answer->deleted)
		ao_queues_report(q, false, "Deleted", note);
	if (answer->kept)
		ao_queues_kept(q, true, ao_xstrdup(answer->kept));
	if (q->only_looked && (answer->exists || answer->error))
		ao_queues_kept(q, true,
			       ao_xasprintf("queue %s stays at its broker with %s: it was not made for this %s", q->name, messages,
					    q->queues->with.parent_kind->kind));
}

static void succeeded(ao_kept_queue *q, const ao_broker_answer *answer)
{
	bool news = q->good != q->asked_digest || q->error || q->digest != q->asked_digest, counted = take_counts(q, answer);
	if (q->asked == AO_BROKER_ENSURE)
		news |= ao_queues_saw(q, answer);
	if (q->asked == AO_BROKER_DELETE)
		report_deleted(q, answer);
	else
		report_made(q, q->existed, answer);
	if (q->asked == AO_BROKER_DELETE && q->leaving)
		ao_queues_unrecord(q);
	q->good = q->asked_digest;
	q->existed = q->asked == AO_BROKER_ENSURE;
	q->error = 0;
	q->failures = 0;
	say(&q->reason, "");
	say(&q->message, "");
	ao_queues_drain_all(q->owner);
	tell(q, news || counted, news);
}

/** A queue that a parent has left and that others still use, or that holds messages, is worth saying once; it goes when it can. */
static void report_left(ao_kept_queue *q)
{
	if (!q->leaving || q->told_left || q->failures < SAY_LEFT_AFTER)
		return;
	q->told_left = true;
	ao_auto_str char *note = ao_xasprintf("at %s, where nobody reads it any more: %s", ao_access_transport(q->access), q->message);
	ao_queues_event(q, true, "QueueKept", note);
}

static void failed(ao_kept_queue *q, const ao_broker_answer *answer)
{
	bool news =
	    q->good || q->digest != q->asked_digest || strcmp(q->reason, answer->reason) != 0 || strcmp(q->message, answer->message) != 0;
	if (q->asked == AO_BROKER_ENSURE)
		news |= ao_queues_saw(q, answer);
	q->good = 0;
	q->failed_digest = q->asked_digest;
	q->error = answer->error;
	q->existed = q->existed || answer->exists;
	say(&q->reason, answer->reason && *answer->reason ? answer->reason : "BrokerError");
	say(&q->message, answer->message);
	if (answer->messages >= 0)
		take_counts(q, answer);
	if (news)
		ao_warn(AO_CORE, q->owner->key, "%s (%s)", q->message, q->reason);
	uint64_t delay = ao_backoff_ms(FIRST_RETRY_MS, MAX_RETRY_MS, q->failures++);
	report_left(q);
	if (answer->retry_ms)
		delay = answer->retry_ms + MIN_RETRY_MS;
	try_again(q, delay < MAX_RETRY_MS ? delay : MAX_RETRY_MS);
	tell(q, news, true);
}

static void on_asked(void *arg, const ao_broker_answer *answer)
{
	ao_kept_queue *q = arg;
	q->call = NULL;
	q->answered_ms = ao_mono_ms();
	if (answer->error && !q->only_looked) /* a look at what stays is not tried again */
		failed(q, answer);
	else
		succeeded(q, answer);
}

void ao_queues_stop(ao_kept_queue *q)
{
	if (q->retry)
		ao_timer_stop(q->retry);
	if (q->call && q->asked == AO_BROKER_INSPECT && !q->drain_call)
		q->queues->looking--;
	ao_access_cancel(q->call);
	q->call = NULL;
	q->drain_call = false;
}

void ao_queues_ask(ao_kept_queue *q)
{
	ao_queues_stop(q);
	q->asked = q->verb;
	q->asked_digest = q->digest;
	q->only_looked = q->verb == AO_BROKER_DELETE && !ao_whose_may_delete(&q->whose);
	q->call = ao_access_ask(q->access, &(ao_broker_request){.verb = q->only_looked ? AO_BROKER_INSPECT : q->verb,
								.queue = q->want,
								.account = ao_queues_account(q),
								.fn = on_asked,
								.arg = q});
}

/* ---- looking ---- */

static void on_looked(void *arg, const ao_broker_answer *answer)
{
	ao_kept_queue *q = arg;
	ao_queues *queues = q->queues;
	q->call = NULL;
	queues->looking--;
	if (answer->error == -EAGAIN) {
		/* asked too often: no news */
	} else if (answer->error) {
		failed(q, answer);
	} else if (!answer->exists || (answer->dead_missing && !cJSON_IsFalse(ao_json_at(q->want, "create")))) {
		const char *name = answer->exists ? ao_json_str(q->want, "deadLetter", "name") : q->name;
		ao_warn(AO_CORE, q->owner->key, "queue %s is not there any more", name);
		ao_queues_ask(q);
	} else if (ao_queues_is_in_another_account(q, answer)) {
		ao_queues_ask(q);
	} else if (take_counts(q, answer)) {
		tell(q, true, false);
	}
	ao_queues_look_on(queues);
}

void ao_queues_look(ao_kept_queue *q)
{
	q->asked = AO_BROKER_INSPECT;
	q->asked_digest = q->digest;
	q->queues->looking++;
	q->call = ao_access_send(q->access, AO_BROKER_INSPECT, q->want, on_looked, q);
}

void ao_queues_on_back(void *arg, ao_access *access, bool may_enter)
{
	ao_queues *queues = arg;
	uint64_t now = ao_mono_ms();
	for (ao_kept_queue *q = queues->first; q; q = q->after) {
		bool concerned = may_enter || q->error == -EIO || q->error == -ETIME;
		if (q->access != access || !q->error || q->call || !concerned || (q->woken_ms && now - q->woken_ms < MIN_WAKE_MS))
			continue;
		q->woken_ms = now;
		try_again(q, 0);
	}
}
