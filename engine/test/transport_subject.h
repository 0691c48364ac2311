#pragma once
/**
 * transport_subject.h -- what transport_conformance.h wants to know of a type of broker, and one test's own broker.
 */
#include "test/transport_answer.h"

/** What a queue is to be like; none of them: made with its usual settings, deleted whatever it holds. */
enum {
	WANT_OTHER = 1,    /* a setting is another than usual */
	WANT_DEAD = 2,     /* with a dead letter queue NAME-dlq */
	WANT_THEIRS = 4,   /* "create": false */
	WANT_IF_EMPTY = 8, /* "ifEmpty": true */
};

typedef struct transport_subject {
	const char *type;
	ao_loop *loop;       /* teardown closes it, which must leave nothing */
	const char *differs; /* what is said of a queue made with WANT_OTHER that was wanted without */
	int line;            /* so many calls take longer than 1.5 s */
	unsigned most;       /* calls in flight at most; 0: not known */
	void *arg;           /* the test file's own */
	/** @param port  of 127.0.0.1, where no broker is; 0: where one is. @param secret  NULL: one that the broker takes */
	ao_broker *(*open)(struct transport_subject *s, int port, const char *secret);
	char *(*want)(const char *name, unsigned traits); /* as policies write it; the caller frees */
	/* a plain client of the broker: */
	void (*publish)(struct transport_subject *s, const char *queue, int count);
	int (*count)(struct transport_subject *s, const char *queue);  /* messages waiting; -1: there is no such queue */
	void (*drop)(struct transport_subject *s, const char *queue);  /* whatever it holds, if it is there */
	void *(*take)(struct transport_subject *s, const char *queue); /* one message, which is in flight until ... */
	void (*give_back)(void *taken);
	void (*publish_rich)(struct transport_subject *s, const char *queue);                 /* a message with all that one may have */
	void (*expect_rich)(struct transport_subject *s, const char *queue);                  /* takes it, and finds all of that */
	int (*held)(struct transport_subject *s, const char *queue);                          /* messages waiting or in flight */
	void (*collect)(struct transport_subject *s, const char *queue, int *seen, int most); /* takes all; publish() numbers them from 0 */
	int (*port)(struct transport_subject *s);                                             /* of 127.0.0.1, where the broker is */
} transport_subject;

/** A test's own subject and broker. */
typedef struct trial {
	transport_subject *s;
	ao_broker *broker;
	outcome o;
} trial;

static inline trial start_trial(void **state, const char *test)
{
	if (!*state) {
		fprintf(stderr, "SKIPPED %s: no broker\n", test);
		skip();
	}
	transport_subject *s = *state;
	return (trial){.s = s, .broker = s->open(s, 0, NULL)};
}

static inline void end_trial(trial *t)
{
	ao_broker_free(t->broker);
	forget(&t->o);
}

static inline const ao_broker_answer *try_it(trial *t, ao_broker_verb verb, const char *name, unsigned traits)
{
	ao_auto_str char *queue = t->s->want(name, traits);
	ask(t->s->loop, t->broker, verb, queue, &t->o);
	return &t->o.answer;
}

static inline void expect_well(trial *t, ao_broker_verb verb, const char *name, unsigned traits)
{
	if (try_it(t, verb, name, traits)->error)
		fail_msg("%s: %s", name, t->o.message);
}

static inline void expect_error(const outcome *o, int error, const char *reason, const char *text)
{
	assert_int_equal(o->answer.error, error);
	assert_string_equal(o->reason, reason);
	if (!strstr(o->message, text))
		fail_msg("\"%s\" does not say \"%s\"", o->message ? o->message : "", text); /* gcc knows that each text has "" in it */
}
