#pragma once
/**
 * test_queues_bench.h -- a keeper between parents and brokers that a test plays.
 *
 * The brokers are two tables of queues in this file, one for each `host`, of which "h#1" is another name of "h", as of a cloud account that is
 * named or not, or for each `account`, which such a broker tells of itself; a test holds back what it wants to come late.  What brokers do
 * with such calls is tested with real ones (test_transport_conformance.h).
 */
#include "queues/keeper.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/broker.h"
#include "json/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- brokers ---- */

typedef struct queue {
	char host[16], name[32];
	int64_t messages;
} queue;

typedef struct fake_call {
	ao_broker_call base;
	ao_broker_request with;
	cJSON *queue;
	char *to, *account;
	struct fake_call *next;
} fake_call;

typedef struct fake_broker {
	ao_broker base;
	char host[16];
	bool tells; /* that this is its account */
} fake_broker;

static queue queues_there[16];
static fake_call *calls;
static int64_t lost;            /* messages that went with a queue */
static int held_verb;           /* calls with it are not carried out; -1: all are */
static const char *text;        /* of all parents */
static unsigned turned, behind; /* ENSURE calls that take bindings from another queue, or leave them to it */
static int refused_verb;        /* calls with it fail; -1: none does */
static const char *shown;       /* all brokers show the queues of that account; NULL: of their own */
static bool dead_gone;          /* what INSPECT says of dead letter queues */
static unsigned asked[AO_BROKER_PEEK + 1];

static inline queue *find(const char *host, const char *name)
{
	for (size_t i = 0; i < AO_LEN(queues_there); i++)
		if (strcmp(queues_there[i].host, host) == 0 && strcmp(queues_there[i].name, name) == 0)
			return &queues_there[i];
	return NULL;
}

static inline queue *put(const char *host, const char *name, int64_t messages)
{
	queue *q = find(host, name);
	q = q ? q : find("", "");
	assert_non_null(q);
	snprintf(q->host, sizeof(q->host), "%s", host);
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->messages = messages;
	return q;
}

static inline int fake_make(ao_loop *loop, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr)
{
	(void)loop;
	(void)secrets;
	if (strcmp(ao_json_str(config, "host"), "?") == 0)
		return ao_err_set(reterr, -EINVAL, "host: makes no sense");
	fake_broker *b = ao_xcalloc(1, sizeof(*b));
	b->base.type = &ao_rabbitmq_type;
	snprintf(b->host, sizeof(b->host), "%.*s", (int)strcspn(ao_json_str(config, "host"), "#"), ao_json_str(config, "host"));
	b->tells = ao_json_str(config, "account");
	if (b->tells)
		snprintf(b->host, sizeof(b->host), "%s", ao_json_str(config, "account"));
	*ret = &b->base;
	return 0;
}

static inline const char *fake_account(const ao_broker *broker)
{
	const fake_broker *b = (const fake_broker *)(const void *)broker;
	return shown ? shown : b->tells ? b->host : NULL;
}

static inline void fake_free(ao_broker *broker) { free(broker); }

static inline ao_broker_call *fake_send(ao_broker *broker, const ao_broker_request *request)
{
	fake_call *c = ao_xcalloc(1, sizeof(*c)), **last = &calls;
	*c = (fake_call){.base = {broker}, .with = *request, .queue = cJSON_Duplicate(request->queue, 1), .to = ao_xstrdup(request->to)};
	c->account = ao_xstrdup(request->account);
	ao_broker_allow(&c->base, request->until_ms);
	asked[request->verb]++;
	while (*last)
		last = &(*last)->next;
	*last = c;
	return &c->base;
}

static inline void free_call(fake_call *c)
{
	for (fake_call **at = &calls; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	cJSON_Delete(c->queue);
	free(c->to);
	free(c->account);
	free(c);
}

static inline void fake_cancel(ao_broker_call *call) { free_call((fake_call *)(void *)call); }

static inline ao_broker_stats fake_stats(const ao_broker *broker)
{
	(void)broker;
	return (ao_broker_stats){.connected = true};
}

static inline char *fake_place(const cJSON *config)
{
	const char *host = ao_json_str(config, "host");
	size_t len = strcspn(host, "#");
	return strcmp(host, "?") == 0 ? NULL : ao_xasprintf("%.*s %s", (int)len, host, host[len] ? host + len + 1 : "");
}

const ao_broker_type ao_rabbitmq_type = {"rabbitmq", fake_make, fake_free, fake_send, fake_cancel, fake_stats, fake_place, fake_account};
const ao_broker_type ao_sqs_type = {"sqs", fake_make, fake_free, fake_send, fake_cancel, fake_stats, fake_place, fake_account};

static inline ao_broker_answer carry_out(const fake_call *c)
{
	const char *account = fake_account(c->base.broker), *name = ao_json_str(c->queue, "name");
	const char *host = account ? account : ((const fake_broker *)(const void *)c->base.broker)->host;
	ao_broker_answer answer = {.reason = "", .message = "", .messages = -1, .in_flight = -1, .account = account};
	queue *q = find(host, name), *to = c->to ? find(host, c->to) : NULL;
	answer.exists = q != NULL;
	answer.dead_missing = q && dead_gone && c->with.verb == AO_BROKER_INSPECT;
	const cJSON *instead = c->with.verb == AO_BROKER_ENSURE ? ao_json_at(c->queue, "instead") : NULL;
	turned += cJSON_IsTrue(ao_json_at(instead, "turned"));
	behind = instead && !cJSON_IsTrue(ao_json_at(instead, "turned"));
	if (!ao_broker_is_allowed(&c->base)) {
		answer.error = -EAGAIN;
		answer.reason = "BrokerError";
		answer.message = AO_BROKER_NOT_ALLOWED;
	} else if ((int)c->with.verb == refused_verb) {
		answer.error = -EIO;
		answer.reason = "BrokerUnreachable";
	} else if (c->with.verb == AO_BROKER_ENSURE && !q) {
		q = put(host, name, 0);
		answer.exists = answer.created = true;
	} else if (c->with.verb == AO_BROKER_MOVE && (!q || !to)) {
		answer.error = -ENOENT;
		answer.reason = "QueueMissing";
	} else if (c->with.verb == AO_BROKER_MOVE) {
		answer.moved = (uint64_t)q->messages < c->with.most ? (uint64_t)q->messages : c->with.most;
		q->messages -= (int64_t)answer.moved;
		to->messages += (int64_t)answer.moved;
	} else if (c->with.verb == AO_BROKER_DELETE && q && q->messages && cJSON_IsTrue(ao_json_at(c->queue, "ifEmpty"))) {
		answer.error = -EBUSY;
		answer.reason = "QueueNotEmpty";
	} else if (c->with.verb == AO_BROKER_DELETE && c->account && account && strcmp(c->account, account) != 0) {
		answer.kept = "another's account";
	} else if (c->with.verb == AO_BROKER_DELETE && q) {
		lost += q->messages;
		*q = (queue){0};
		q = NULL;
		answer.deleted = true;
		answer.exists = false;
	}
	answer.messages = q ? q->messages : -1;
	answer.in_flight = q ? 0 : -1;
	return answer;
}

static inline void serve(void)
{
	for (fake_call *c = calls, *next; c; c = next) {
		next = c->next;
		if ((int)c->with.verb == held_verb)
			continue;
		ao_broker_answer answer = carry_out(c);
		ao_broker_fn fn = c->with.fn;
		void *arg = c->with.arg;
		free_call(c);
		fn(arg, &answer);
		next = calls; /* the callback may have ended others */
	}
}

/* ---- parents ---- */

typedef struct bench {
	ao_loop *loop;
	ao_kube *kube;
	ao_events *events;
	ao_queues *queues;
} bench;

static inline void on_change(void *arg, const char *parent_key, bool work)
{
	(void)arg;
	(void)parent_key;
	(void)work;
}

static inline int begin(void **state)
{
	static const ao_resource kind = {(char *)"asya.sh/v1alpha1", (char *)"Parent", (char *)"parents", false};
	static char *const records[] = {(char *)"status", (char *)"queues", NULL}, *const digest[] = {(char *)"status",
												      (char *)"renderedDigest", NULL};
	static ao_kubeconfig nowhere = {.server = (char *)"http://127.0.0.1:1"};
	bench *b = ao_xcalloc(1, sizeof(*b));
	memset(queues_there, 0, sizeof(queues_there));
	memset(asked, 0, sizeof(asked));
	lost = turned = behind = 0;
	dead_gone = false;
	shown = NULL;
	held_verb = refused_verb = -1;
	text = "{}";
	b->loop = ao_loop_new();
	assert_int_equal(ao_kube_new(b->loop, &nowhere, "test", &b->kube, NULL), 0);
	b->events = ao_events_new(b->loop, b->kube, "test", "here");
	b->queues = ao_queues_new(&(ao_queues_options){.loop = b->loop,
						       .kube = b->kube,
						       .events = b->events,
						       .parent_kind = &kind,
						       .records_path = records,
						       .digest_path = digest,
						       .health_ms = 600000,
						       .on_change = on_change});
	*state = b;
	return 0;
}

static inline int end(void **state)
{
	bench *b = *state;
	ao_queues_free(b->queues);
	ao_events_free(b->events);
	ao_kube_free(b->kube);
	assert_null(calls);
	assert_int_equal(ao_loop_close(b->loop), 0);
	free(b);
	return 0;
}

/** Lets time pass, and the brokers work: in as many turns, however long the machine takes for each. */
static inline void pass_time(bench *b, uint64_t ms)
{
	static const bool never;
	for (uint64_t passed = 0; passed < ms; passed += 2, serve())
		ao_loop_run_until(b->loop, &never, 2);
}

/** Lets time pass until there were so many calls since the test began. */
static inline void await_asked(bench *b, ao_broker_verb verb, unsigned count)
{
	for (int i = 0; i < 2000 && asked[verb] < count; i++)
		pass_time(b, 2);
	pass_time(b, 20);
	assert_int_equal(asked[verb], count);
}

static inline void wait_for_call(bench *b, ao_broker_verb verb)
{
	held_verb = (int)verb;
	for (int i = 0; i < 2000; i++) {
		pass_time(b, 2);
		for (const fake_call *c = calls; c; c = c->next)
			if (c->with.verb == verb)
				return;
	}
	fail_msg("no such call comes");
}

static inline ao_object parent(const char *name)
{
	return (ao_object){.key = name, .namespace_ = "ns", .name = name, .uid = name, .kept = text, .len = strlen(text)};
}

/** A queue of a plan. @param into  NULL: it is read */
static inline cJSON *planned(const char *host, const char *name, const char *into)
{
	cJSON *q = cJSON_CreateObject();
	ao_json_set_str(q, "name", name);
	ao_json_set_str(q, "transport", "main");
	ao_json_set_str(q, "type", "rabbitmq");
	ao_json_set_str(ao_json_object(q, "config"), "host", host);
	ao_json_set_str(ao_json_object(q, "want"), "name", name);
	ao_json_set_str(q, "deletion", into ? "DeleteIfEmpty" : "Delete");
	ao_json_set_str(q, "into", into);
	ao_json_set(q, "quiet", cJSON_CreateNumber(0.02));
	return q;
}

static inline void read_it(bench *b, const char *who, const char *host, const char *name)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *q = planned(host, name, NULL);
	ao_queues_want(b->queues, &object, q, AO_BROKER_ENSURE, NULL, NULL, NULL);
}

static inline void leave_it(bench *b, const char *who, const char *host, const char *name, const char *into)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *q = planned(host, name, into);
	ao_queues_leave(b->queues, &object, q);
}

static inline void delete_it(bench *b, const char *who, const char *host, const char *name)
{
	ao_object object = parent(who);
	ao_auto_json cJSON *q = planned(host, name, NULL);
	ao_queues_want(b->queues, &object, q, AO_BROKER_DELETE, NULL, NULL, NULL);
}
