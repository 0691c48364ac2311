/* sqs.c -- calls in the order they came, at most 16 of them at work: dead letter queue, queue, or the other way round.
 *
 * A call waits in line until pump() starts it from a timer, so nothing is answered from inside ao_broker_send(); its own timer ends it
 * wherever it is.  The receiver of an answer may free the broker: its frame keeps it until answer() returns. */
#include "transport/sqs/sqs.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/frame.h"
#include "transport/broker.h"
#include "transport/shape.h"
#include "transport/sqs/dead.h"
#include "transport/sqs/move.h"
#include "json/json.h"

#include <string.h>

#define MAX_IN_FLIGHT 16
#define TIMEOUT_MS 30000
#define GRACE_MS 20 /* a task that meets the deadline knows more about it, and gets to speak first */

typedef struct call call;

typedef struct broker {
	ao_broker base;
	ao_loop *loop;
	ao_sqs_config config;
	ao_sqs_account account;
	ao_sqs_dead *dead;
	ao_timer *pump;
	call *first, *last; /* waiting first to last, and at work */
	ao_broker_stats stats;
	uint64_t answered_ms; /* when SQS last answered a call, ao_mono_ms(); 0: never */
	ao_frame frame;
} broker;

struct call {
	ao_broker_call base;
	call *prev, *next;
	ao_broker_verb verb;
	ao_sqs_wanted *wanted; /* NULL: `wrong` says why */
	char *wrong;
	uint64_t timeout_ms, deadline_ms;
	ao_timer *timer;
	ao_sqs_task *task;
	ao_sqs_move *move;
	char *to, *origin; /* of MOVE */
	char *account;     /* of DELETE and MOVE */
	uint64_t most;
	ao_sqs_dead_waiter dead;
	bool started;
	bool ending;           /* its fn runs */
	bool dead_is_old;      /* the dead letter queue was looked at before this call, not for it */
	ao_broker_answer kept; /* without `create`: of the queue, while its dead letter queue is looked at */
	ao_broker_fn fn;
	void *arg;
};

static broker *broker_of(const call *c) { return (broker *)c->base.broker; }

/* ---- the end of a call ---- */

static void dispose(call *c)
{
	broker *b = broker_of(c);
	*(c->prev ? &c->prev->next : &b->first) = c->next;
	*(c->next ? &c->next->prev : &b->last) = c->prev;
	if (c->started)
		b->stats.in_flight--;
	if (c->task)
		ao_sqs_task_cancel(c->task);
	if (c->move)
		ao_sqs_move_cancel(c->move);
	ao_sqs_dead_leave(&c->dead);
	ao_timer_free(c->timer);
	ao_sqs_wanted_free(c->wanted);
	free(c->wrong);
	free(c->to);
	free(c->origin);
	free(c->account);
	free(c);
	if (b->first && !b->frame.freed)
		ao_timer_start(b->pump, 0);
}

static void destroy(void *arg)
{
	broker *b = arg;
	ao_sqs_dead_free(b->dead);
	ao_sqs_account_clear(&b->account);
	ao_sqs_config_clear(&b->config);
	ao_timer_free(b->pump);
	free(b);
}

static void answer(call *c, const ao_broker_answer *what)
{
	broker *b = broker_of(c);
	ao_auto_frame ao_frame *frame = ao_frame_enter(&b->frame);
	if (what->error)
		b->stats.errors++;
	if (what->error != -EIO && what->error != -ETIME)
		b->answered_ms = ao_mono_ms();
	c->ending = true;
	ao_broker_answer told = *what;
	told.account = b->account.id;
	c->fn(c->arg, &told);
	dispose(c);
}

/** @param kept  what is known of the queue all the same; may be NULL */
static void fail(call *c, int error, const char *reason, const ao_broker_answer *kept, const char *message)
{
	ao_broker_answer what = kept ? *kept : (ao_broker_answer){.messages = -1, .in_flight = -1};
	what.error = error;
	what.reason = reason;
	what.message = message;
	answer(c, &what);
}

/** As long as SQS answers those before it, a call in line is not late. @return how long it may go on; 0: it is late */
static uint64_t patience_ms(const call *c)
{
	uint64_t now = ao_mono_ms(), patient = broker_of(c)->answered_ms + c->timeout_ms;
	return !c->started && patient > now ? patient - now : 0;
}

static void too_late(void *arg)
{
	call *c = arg;
	uint64_t more = patience_ms(c);
	if (more) {
		ao_timer_start(c->timer, more + GRACE_MS);
		return;
	}
	const char *host = ao_sqs_api_host(broker_of(c)->account.api), *name = c->wanted ? c->wanted->name : "";
	unsigned long long limit = c->timeout_ms;
	ao_auto_str char *text = c->started ? ao_xasprintf("queue \"%s\": %s: not done within %llu ms", name, host, limit)
					    : ao_xasprintf("queue \"%s\": %s: other calls took %llu ms", name, host, limit);
	ao_broker_answer known = {.messages = -1, .in_flight = -1, .tried = c->task && ao_sqs_task_tried(c->task)};
	if (c->move)
		ao_sqs_move_tell(c->move, &known);
	fail(c, -ETIME, "BrokerTimeout", &known, text);
}

/* ---- the steps ---- */

static void need_dead(call *c, bool fresh);

static bool may_change(void *arg) { return ao_broker_is_allowed(&((const call *)arg)->base); }

/** AWS may refuse a queue's attributes because its dead letter queue has gone since we looked. */
static bool may_miss_dead(const call *c, const ao_broker_answer *what)
{
	return c->dead_is_old && (what->error == -EINVAL || (what->error == -EAGAIN && strcmp(what->reason, "BrokerError") == 0));
}

static void on_task(void *arg, const ao_broker_answer *what, const char *arn)
{
	call *c = arg;
	(void)arn;
	c->task = NULL;
	if (may_miss_dead(c, what)) {
		need_dead(c, true);
	} else if (what->error || c->verb != AO_BROKER_ENSURE || !c->wanted->dead || c->wanted->create) {
		answer(c, what);
	} else {
		c->kept = *what; /* its texts are empty ones that stay */
		need_dead(c, false);
	}
}

static void run_task(call *c, const char *dead_arn)
{
	c->task = ao_sqs_task_start(&broker_of(c)->account, &(ao_sqs_task_request){.verb = c->verb,
										   .wanted = c->wanted,
										   .may = may_change,
										   .dead_arn = dead_arn,
										   .account = c->account,
										   .deadline_ms = c->deadline_ms,
										   .fn = on_task,
										   .arg = c});
}

static void on_dead(void *arg, const ao_broker_answer *what, const char *arn)
{
	call *c = arg;
	if (what->error) {
		ao_auto_str char *text = ao_xasprintf("dead letter %s", what->message);
		ao_broker_answer kept = c->wanted->create ? (ao_broker_answer){.messages = -1, .in_flight = -1} : c->kept;
		kept.retry_ms = what->retry_ms;
		fail(c, what->error, what->reason, &kept, text);
	} else if (c->wanted->create) {
		run_task(c, arn);
	} else {
		answer(c, &c->kept);
	}
}

static void need_dead(call *c, bool fresh)
{
	const char *arn = ao_sqs_dead_need(broker_of(c)->dead, c->wanted, fresh, &c->dead);
	c->dead_is_old = arn;
	if (arn)
		on_dead(c, &(ao_broker_answer){0}, arn);
}

static void on_move(void *arg, const ao_broker_answer *what, const char *arn)
{
	call *c = arg;
	(void)arn;
	c->move = NULL;
	answer(c, what);
}

/** MOVE and PEEK. */
static void run_move(call *c)
{
	bool peeks = c->verb == AO_BROKER_PEEK;
	const char *wrong = peeks                                 ? NULL
			    : !c->to || !*c->to                   ? "its messages are to go to no queue"
			    : strcmp(c->to, c->wanted->name) == 0 ? "its messages are to go to itself"
								  : NULL;
	if (wrong) {
		ao_auto_str char *text = ao_xasprintf("queue \"%s\": %s", c->wanted->name, wrong);
		fail(c, -EINVAL, "InvalidConfiguration", NULL, text);
		return;
	}
	c->move = ao_sqs_move_start(&broker_of(c)->account, &(ao_sqs_move_request){.verb = c->verb,
										   .from = c->wanted->name,
										   .to = peeks ? NULL : c->to,
										   .origin = c->origin,
										   .account = c->account,
										   .most = c->most,
										   .timeout_ms = c->timeout_ms,
										   .deadline_ms = c->deadline_ms,
										   .may = may_change,
										   .fn = on_move,
										   .arg = c});
}

static void start(call *c)
{
	c->started = true;
	c->deadline_ms = ao_mono_ms() + c->timeout_ms;
	ao_timer_start(c->timer, c->timeout_ms + GRACE_MS);
	broker_of(c)->stats.in_flight++;
	if (!c->wanted)
		fail(c, -EINVAL, "InvalidConfiguration", NULL, c->wrong);
	else if (c->verb == AO_BROKER_MOVE || c->verb == AO_BROKER_PEEK)
		run_move(c);
	else if (c->verb == AO_BROKER_ENSURE && c->wanted->dead && c->wanted->create)
		need_dead(c, false);
	else
		run_task(c, NULL);
}

static void pump(void *arg)
{
	broker *b = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&b->frame);
	while (!frame->freed && b->stats.in_flight < MAX_IN_FLIGHT) {
		call *c = b->first;
		while (c && c->started)
			c = c->next;
		if (!c)
			break;
		start(c);
	}
}

/* ---- what transport.c calls ---- */

static ao_broker_call *broker_send(ao_broker *base, const ao_broker_request *request)
{
	broker *b = (broker *)base;
	ao_auto_err ao_err *err = NULL;
	call *c = ao_xcalloc(1, sizeof(*c));
	*c = (call){.base.broker = base, .prev = b->last, .verb = request->verb, .fn = request->fn, .arg = request->arg};
	ao_broker_allow(&c->base, request->until_ms);
	*(b->last ? &b->last->next : &b->first) = c;
	b->last = c;
	c->to = ao_xstrdup(request->to);
	c->origin = ao_xstrdup(request->origin);
	c->account = ao_xstrdup(request->account);
	c->most = request->most;
	b->stats.calls++;
	if (ao_sqs_wanted_read(request->queue, &c->wanted, &err) < 0)
		c->wrong = ao_xasprintf("queue: %s", ao_err_text(err));
	c->dead = (ao_sqs_dead_waiter){.may = may_change, .fn = on_dead, .arg = c};
	c->timeout_ms = request->timeout_ms ? request->timeout_ms : TIMEOUT_MS;
	c->timer = ao_timer_new(b->loop, too_late, c);
	ao_timer_start(c->timer, c->timeout_ms + GRACE_MS);
	ao_timer_start(b->pump, 0);
	return &c->base;
}

static void broker_cancel(ao_broker_call *base)
{
	call *c = (call *)base;
	if (!c->ending)
		dispose(c);
}

static ao_broker_stats broker_stats(const ao_broker *base)
{
	const broker *b = (const broker *)base;
	ao_broker_stats stats = b->stats;
	stats.connected = ao_sqs_api_connected(b->account.api, &stats.connects);
	return stats;
}

static void broker_free(ao_broker *base)
{
	broker *b = (broker *)base;
	if (b->frame.freed)
		return;
	b->frame.freed = true; /* or dispose() would start what waits */
	for (call *c = b->first, *next; c; c = next) {
		next = c->next;
		broker_cancel(&c->base);
	}
	ao_frame_free(&b->frame);
}

static int broker_make(ao_loop *loop, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr)
{
	ao_aws_credentials *credentials = NULL;
	broker *b = ao_xcalloc(1, sizeof(*b));
	b->base.type = &ao_sqs_type;
	b->loop = loop;
	int r = ao_sqs_config_read(config, &b->config, reterr);
	if (r == 0)
		r = ao_sqs_check_secrets(secrets, reterr);
	if (r == 0) {
		const ao_aws_options options = {
		    .region = b->config.region, .secrets = secrets, .instance_metadata = b->config.instance_metadata};
		r = ao_aws_credentials_new(loop, &options, &credentials, reterr);
	}
	if (r == 0)
		r = ao_sqs_api_new(loop, &b->config, credentials, &b->account.api, reterr);
	if (r < 0) {
		ao_aws_credentials_free(b->account.api ? NULL : credentials);
		ao_sqs_config_clear(&b->config);
		free(b);
		return r;
	}
	b->account.urls = ao_map_new();
	b->dead = ao_sqs_dead_new(&b->account);
	b->pump = ao_timer_new(loop, pump, b);
	ao_frame_init(&b->frame, destroy, b);
	*ret = &b->base;
	return 0;
}

static char *broker_place(const cJSON *config)
{
	ao_sqs_config read = {0};
	char *place = NULL;
	ao_auto_str char *account = ao_shape_text(config, "accountId", "");
	if (ao_sqs_config_read(config, &read, NULL) == 0)
		place = ao_xasprintf("%s %s %s", read.endpoint, read.region, account);
	ao_sqs_config_clear(&read);
	return place;
}

static const char *broker_account(const ao_broker *base) { return ((const broker *)base)->account.id; }

const ao_broker_type ao_sqs_type = {.name = "sqs",
				    .make = broker_make,
				    .free = broker_free,
				    .send = broker_send,
				    .cancel = broker_cancel,
				    .stats = broker_stats,
				    .place = broker_place,
				    .account = broker_account};
