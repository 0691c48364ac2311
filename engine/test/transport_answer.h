#pragma once
/**
 * transport_answer.h -- calls of a broker, waited for, with answers that are kept: what the tests of every transport begin with.
 *
 * Each answer is held to the words of transport.h: its reason is one of those, and an error has a message.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "test/patience.h"
#include "transport/transport.h"
#include "json/json.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct outcome {
	bool done;
	ao_broker_answer answer; /* message and kept are the copies below */
	const char *reason;      /* of the answer; lasts */
	char *message, *kept, *why, *cost;
	cJSON *seen; /* the answer's, copied as its texts are */
	uint64_t took_ms, started_ms;
	ao_broker_call *call; /* NULL once it is answered */
} outcome;

/** The reason as a constant. Fails for one that transport.h does not have. */
static inline const char *known_reason(const char *reason)
{
	static const char *const REASONS[] = {"",
					      "BrokerUnreachable",
					      "BrokerTimeout",
					      "AccessDenied",
					      "QueueMismatch",
					      "QueueMissing",
					      "QueueNotEmpty",
					      "QueueDeletedRecently",
					      "Throttled",
					      "InvalidConfiguration",
					      "BrokerError"};
	for (size_t i = 0; i < AO_LEN(REASONS); i++)
		if (strcmp(REASONS[i], reason) == 0)
			return REASONS[i];
	fail_msg("transport.h has no reason %s", reason);
	return NULL;
}

/** Frees the texts; the rest of the answer stays. */
static inline void forget(outcome *o)
{
	free(AO_TAKE(o->message));
	free(AO_TAKE(o->kept));
	free(AO_TAKE(o->why));
	free(AO_TAKE(o->cost));
	cJSON_Delete(AO_TAKE(o->seen));
	o->answer.seen = NULL;
	o->answer.why = o->answer.cost = NULL;
	o->answer.message = "";
	o->answer.kept = o->answer.kept ? "" : NULL;
}
#define auto_outcome __attribute__((cleanup(forget))) outcome

static inline void on_answer(void *arg, const ao_broker_answer *answer)
{
	outcome *o = arg;
	assert_false(o->done);
	forget(o);
	o->done = true;
	o->answer = *answer;
	o->answer.kept = o->kept = ao_xstrdup(answer->kept);
	o->answer.why = o->why = ao_xstrdup(answer->why);
	o->answer.cost = o->cost = ao_xstrdup(answer->cost);
	o->answer.seen = o->seen = answer->seen ? cJSON_Duplicate(answer->seen, true) : NULL;
	o->answer.reason = o->reason = known_reason(answer->reason);
	o->answer.message = o->message = ao_xstrdup(answer->message);
	o->took_ms = ao_mono_ms() - o->started_ms;
	o->call = NULL;
	assert_int_equal(*answer->message != '\0', answer->error != 0);
	assert_int_equal(*answer->reason != '\0', answer->error != 0);
	if (getenv("AO_TEST_DEBUG") && answer->error)
		fprintf(stderr, "   %d %s: %s (retry %d ms)\n", answer->error, answer->reason, answer->message, (int)answer->retry_ms);
}

static inline cJSON *json(const char *text)
{
	cJSON *value = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &value, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return value;
}

/** Starts a call; it may not be answered at once. */
static inline void begin(ao_broker *broker, ao_broker_verb verb, const char *queue, uint64_t timeout_ms, outcome *o)
{
	ao_auto_json cJSON *tree = json(queue);
	o->done = false;
	o->started_ms = ao_mono_ms();
	o->call =
	    ao_broker_send(broker, &(ao_broker_request){.verb = verb, .queue = tree, .timeout_ms = timeout_ms, .fn = on_answer, .arg = o});
	assert_false(o->done);
}

/** The same for a MOVE or PEEK. */
static inline void begin_move(ao_broker *broker, const char *queue, const char *to, uint64_t most, uint64_t timeout_ms, outcome *o)
{
	ao_auto_json cJSON *tree = json(queue);
	o->done = false;
	o->started_ms = ao_mono_ms();
	o->call = ao_broker_send(broker, &(ao_broker_request){.verb = to ? AO_BROKER_MOVE : AO_BROKER_PEEK,
							      .queue = tree,
							      .to = to,
							      .most = most,
							      .timeout_ms = timeout_ms,
							      .fn = on_answer,
							      .arg = o});
	assert_false(o->done);
}

static inline void await(ao_loop *loop, outcome *o) { assert_true(ao_loop_run_until(loop, &o->done, 60000)); }

/** One call, waited for. @return its error */
static inline int ask(ao_loop *loop, ao_broker *broker, ao_broker_verb verb, const char *queue, outcome *o)
{
	begin(broker, verb, queue, 0, o);
	await(loop, o);
	return o->answer.error;
}

static inline void run_for(ao_loop *loop, uint64_t ms)
{
	const bool never = false;
	ao_loop_run_until(loop, &never, ms);
}

/* ---- a loop that must not stand still ---- */

/** Its time is that of a thread beside the loop, so that a machine which stands still, or is busy, counts for nothing. */
typedef struct ticker {
	ao_timer *timer;
	pthread_t thread;
	atomic_bool ended;
	atomic_uint beats; /* of the thread, 10 ms or more each */
	unsigned last, worst;
} ticker;

static inline void *beat(void *arg)
{
	ticker *t = arg;
	for (; !t->ended; t->beats++)
		usleep(10000);
	return NULL;
}

static inline void tick(void *arg)
{
	ticker *t = arg;
	unsigned now = t->beats;
	if (now - t->last > t->worst)
		t->worst = now - t->last;
	t->last = now;
	ao_timer_start(t->timer, 10);
}

static inline void start_ticking(ticker *t, ao_loop *loop)
{
	*t = (ticker){.timer = ao_timer_new(loop, tick, t)};
	assert_int_equal(pthread_create(&t->thread, NULL, beat, t), 0);
	ao_timer_start(t->timer, 10);
}

static inline void stop_ticking(ticker *t)
{
	t->ended = true;
	pthread_join(t->thread, NULL);
	ao_timer_free(t->timer);
	assert_in_range(t->worst, 0, 30);
}
