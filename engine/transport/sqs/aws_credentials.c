/* aws_credentials.c -- a cache of one set of keys, with everybody who waits for the next one in a list.
 *
 * Waiters are called one by one and may do anything, even free all of this: hence the second list, and the frame. */
#include "transport/sqs/aws_credentials.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/frame.h"

#include <string.h>

#define MARGIN_MS (5 * 60 * 1000)
#define LAST_MS 2000       /* a request signed so close to the end may arrive after it */
#define FAILED_FOR_MS 5000 /* a failure stands that long before anybody asks again */
#define AHEAD_MS 30000     /* between two fetches while the keys still are good: a server may give the same ones again */

struct ao_aws_credentials {
	ao_aws_source *source;
	ao_aws_keys keys; /* id NULL: none */
	uint64_t margin_ms;
	uint64_t asked_ms; /* when the last fetch ended */
	bool failed;       /* ... and failed */
	ao_aws_fetched failure;
	char *failure_message;
	bool fetching;
	ao_aws_waiter *first, *last;
	ao_aws_waiter *told_first; /* to be called now */
	ao_timer *retell;          /* tells a remembered failure to those who come later */
	ao_frame frame;
};

/* ---- waiters ---- */

static void join(ao_aws_credentials *c, ao_aws_waiter *waiter)
{
	waiter->in = c;
	waiter->next = NULL;
	waiter->prev = c->last;
	*(c->last ? &c->last->next : &c->first) = waiter;
	c->last = waiter;
}

void ao_aws_waiter_leave(ao_aws_waiter *waiter)
{
	ao_aws_credentials *c = waiter->in;
	if (!c)
		return;
	if (waiter->prev)
		waiter->prev->next = waiter->next;
	else if (c->first == waiter)
		c->first = waiter->next;
	else
		c->told_first = waiter->next;
	if (waiter->next)
		waiter->next->prev = waiter->prev;
	else if (c->last == waiter)
		c->last = waiter->prev;
	waiter->prev = waiter->next = NULL;
	waiter->in = NULL;
}

static void destroy(void *arg)
{
	ao_aws_credentials *c = arg;
	ao_aws_source_free(c->source);
	ao_timer_free(c->retell);
	ao_aws_keys_clear(&c->keys);
	free(c->failure_message);
	free(c);
}

/** A waiter that joins while the others are being told waits for the next time. */
static void tell_everybody(ao_aws_credentials *c, const ao_aws_fetched *what)
{
	ao_auto_frame ao_frame *frame = ao_frame_enter(&c->frame);
	const ao_aws_fetched told = *what;
	ao_auto_str char *message = ao_xstrdup(what->message);
	c->told_first = c->first;
	c->first = c->last = NULL;
	while (c->told_first) {
		ao_aws_waiter *waiter = c->told_first;
		ao_aws_waiter_leave(waiter);
		waiter->fn(waiter->arg, told.error, told.reason, message);
	}
}

/* ---- asking ---- */

static void remember_failure(ao_aws_credentials *c, const ao_aws_fetched *fetched)
{
	if (c->keys.id)
		ao_warn(AO_TRANSPORT, NULL, "no new AWS credentials, using the old ones until they end: %s", fetched->message);
	free(c->failure_message);
	c->failure_message = ao_xstrdup(fetched->message);
	c->failure = (ao_aws_fetched){.error = fetched->error, .reason = fetched->reason, .message = c->failure_message};
	c->failed = true;
}

/** A span that has to fit into the margin, however small a test makes that. */
static uint64_t at_most(const ao_aws_credentials *c, uint64_t ms) { return ms < c->margin_ms / 4 ? ms : c->margin_ms / 4; }

static bool is_good(const ao_aws_credentials *c, const ao_aws_keys *keys)
{
	return keys->id && (!keys->expires_ms || ao_mono_ms() + at_most(c, LAST_MS) < keys->expires_ms);
}

static void on_fetched(void *arg, const ao_aws_fetched *fetched)
{
	static const ao_aws_fetched too_short = {.error = -EPROTO,
						 .reason = "BrokerError",
						 .message =
						     "AWS credentials: the new keys have ended already; is this machine's clock right?"};
	ao_aws_credentials *c = arg;
	c->fetching = false;
	c->asked_ms = ao_mono_ms();
	if (!fetched->error && !is_good(c, fetched->keys))
		fetched = &too_short;
	if (fetched->error) {
		remember_failure(c, fetched);
	} else {
		ao_aws_keys_clear(&c->keys);
		c->keys = *fetched->keys;
		*fetched->keys = (ao_aws_keys){0};
		c->failed = false;
		ao_debug(AO_TRANSPORT, NULL, "got AWS credentials");
	}
	tell_everybody(c, fetched);
}

static void fetch(ao_aws_credentials *c)
{
	if (c->fetching)
		return;
	c->fetching = true;
	ao_aws_source_fetch(c->source, on_fetched, c);
}

static void retell(void *arg)
{
	ao_aws_credentials *c = arg;
	tell_everybody(c, &c->failure);
}

const ao_aws_keys *ao_aws_credentials_get(ao_aws_credentials *c, ao_aws_waiter *waiter)
{
	const ao_aws_keys *fixed = ao_aws_source_fixed(c->source);
	if (fixed)
		return fixed;
	uint64_t now = ao_mono_ms(), since = now - c->asked_ms;
	if (is_good(c, &c->keys)) {
		if (c->keys.expires_ms && now + c->margin_ms >= c->keys.expires_ms && since >= at_most(c, AHEAD_MS))
			fetch(c);
		return &c->keys;
	}
	ao_aws_keys_clear(&c->keys);
	join(c, waiter);
	if (c->fetching)
		return NULL;
	if (c->failed && since < FAILED_FOR_MS)
		ao_timer_start(c->retell, 0);
	else
		fetch(c);
	return NULL;
}

bool ao_aws_credentials_refused(ao_aws_credentials *c, const char *id)
{
	if (ao_aws_source_fixed(c->source))
		return false;
	if (c->keys.id && strcmp(c->keys.id, id) == 0)
		ao_aws_keys_clear(&c->keys);
	return true;
}

/* ---- life ---- */

int ao_aws_credentials_new(ao_loop *loop, const ao_aws_options *options, ao_aws_credentials **ret, ao_err **reterr)
{
	ao_aws_source *source;
	int r = ao_aws_source_new(loop, options, &source, reterr);
	if (r < 0)
		return r;
	ao_aws_credentials *c = ao_xcalloc(1, sizeof(*c));
	c->source = source;
	c->margin_ms = options->margin_ms ? options->margin_ms : MARGIN_MS;
	c->retell = ao_timer_new(loop, retell, c);
	ao_frame_init(&c->frame, destroy, c);
	*ret = c;
	return 0;
}

void ao_aws_credentials_free(ao_aws_credentials *c)
{
	if (!c || c->frame.freed)
		return;
	while (c->first)
		ao_aws_waiter_leave(c->first);
	while (c->told_first)
		ao_aws_waiter_leave(c->told_first);
	ao_frame_free(&c->frame);
}
