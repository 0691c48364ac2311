/*
 * lease.c -- a small state machine around one Lease object (lease_record.c knows what is in it).
 *
 * Standing by: read the lease each retry period, and take it when it is free.
 * Leading: write what we know each retry period, without reading first.  Read only when the server says that what we know is old.
 * Releasing: write an empty holder, for at most 1 s.
 *
 * The deadline counts from the START of the last renewal that succeeded.  When it passes, we have lost the lease, and any request in flight
 * is cancelled.  Another holder's lease expires a while after we last saw its record change, on our monotonic clock, so that clocks that
 * differ between nodes cannot make two leaders.
 *
 * Two renewals can time out before the deadline.  libcurl would send the second one on the same dead connection, so the connection is reset
 * after the first, and the next attempt starts at once.
 *
 * Callbacks are the last thing that a frame does, and may free the lease.
 */
#include "kube/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/lease_record.h"
#include "loop/backoff.h"
#include "loop/frame.h"
#include "json/json.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RELEASE_MS 1000

typedef enum { IDLE, STANDING_BY, LEADING, RELEASING, OVER } phase;

struct ao_lease {
	ao_lease_options with;
	ao_lease_claim claim;
	char *namespace_, *name, *identity, *component;
	uint64_t renew_deadline_ms, retry_ms;
	phase phase;
	ao_kube *kube;
	ao_timer *retry;    /* the next attempt */
	ao_timer *deadline; /* the end of a leader that cannot renew, or of a release that takes too long */
	ao_kube_call *call;
	ao_lease_record record;
	const char *method;  /* of the last request ... */
	uint64_t attempt_ms; /* ... and when it began */
	uint64_t renewed_ms; /* when our last successful renewal began */
	bool maybe_ours;     /* a write of ours went out and was not refused */
	char *holder;        /* the holder that was seen last */
	bool tell_holder;    /* ... and has not been told to on_holder */
	char *last_error;    /* what was logged last, because a repeated failure is logged once */
	void (*released)(void *arg);
	void *released_arg;
	ao_frame frame;
};

static void step(void *arg);
static void read_record(ao_lease *lease);

static void destroy(void *arg)
{
	ao_lease *lease = arg;
	ao_lease_record_clear(&lease->record);
	free(lease->holder);
	free(lease->last_error);
	free(lease->namespace_);
	free(lease->name);
	free(lease->identity);
	free(lease->component);
	free(lease);
}

/** Says who holds it now, as the last thing of a turn. */
static void report_holder(ao_lease *lease)
{
	if (!lease->tell_holder || lease->frame.freed || !lease->with.on_holder)
		return;
	lease->tell_holder = false;
	lease->with.on_holder(lease->with.arg, lease->holder);
}

/* ---- identity and time ---- */

static uint64_t random_number(void)
{
	uint64_t number = 0;
	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		number = ao_mono_ms() * 0x9e3779b97f4a7c15ULL ^ (uint64_t)getpid();
	return number;
}

/** "<hostname>_<a version 4 uuid>" */
static char *make_identity(void)
{
	char host[256] = "";
	unsigned long long a = random_number(), b = random_number();
	gethostname(host, sizeof(host) - 1);
	a = (a & 0xffffffffffff0fffULL) | 0x4000;
	b = (b & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
	return ao_xasprintf("%s_%08llx-%04llx-%04llx-%04llx-%012llx", host, a >> 32, a >> 16 & 0xffff, a & 0xffff, b >> 48,
			    b & 0xffffffffffffULL);
}

bool ao_lease_held(const ao_lease *lease) { return lease->phase == LEADING && ao_mono_ms() - lease->renewed_ms < lease->renew_deadline_ms; }

uint64_t ao_lease_overdue_ms(const ao_lease *lease)
{
	uint64_t since = ao_mono_ms() - lease->renewed_ms;
	return lease->phase == LEADING && since > lease->renew_deadline_ms ? since - lease->renew_deadline_ms : 0;
}

/**
 * The retry period counts from the start of the last attempt.  So a server that takes longer to answer is asked again at once, and two slow
 * renewals fit into the deadline.  Candidates add up to a fifth, so that they do not all ask at the same time.  A leader is alone, and adds
 * nothing.
 */
static void try_later(ao_lease *lease)
{
	uint64_t jitter = lease->phase == LEADING ? 0 : ao_jitter_ms(lease->retry_ms / 5);
	uint64_t passed = ao_mono_ms() - lease->attempt_ms, period = lease->retry_ms + jitter;
	ao_timer_start(lease->retry, passed < period ? period - passed : 0);
}

static bool is_ours(const ao_lease *lease) { return strcmp(ao_lease_record_holder(&lease->record), lease->identity) == 0; }

/* ---- what happened ---- */

static void works(ao_lease *lease)
{
	if (lease->last_error)
		ao_info(AO_LEASE, lease->name, "the server answers again");
	free(lease->last_error);
	lease->last_error = NULL;
}

static void failed(ao_lease *lease, const ao_kube_answer *answer)
{
	if (answer->error == -ETIME) /* libcurl would go on using a dead connection */
		ao_kube_reset(lease->kube);
	if (lease->last_error && strcmp(lease->last_error, answer->message) == 0)
		return;
	free(lease->last_error);
	lease->last_error = ao_xstrdup(answer->message);
	if (answer->error == -EPERM)
		ao_error(AO_LEASE, lease->name, "%s; the service account needs get, create and update on leases in namespace %s",
			 answer->message, lease->namespace_);
	else
		ao_warn(AO_LEASE, lease->name, "%s", answer->message);
}

/** Takes the Lease out of an answer. @return false when the answer is not an object */
static bool see(ao_lease *lease, const ao_kube_answer *answer)
{
	cJSON *object = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(answer->body, answer->body_len, &object, &err) < 0) {
		ao_kube_answer wrong = {.error = -EPROTO, .message = ao_err_text(err)};
		failed(lease, &wrong);
		return false;
	}
	ao_lease_record_see(&lease->record, object, ao_mono_ms());
	const char *holder = ao_lease_record_holder(&lease->record);
	if (*holder && (!lease->holder || strcmp(lease->holder, holder) != 0)) {
		free(lease->holder);
		lease->holder = ao_xstrdup(holder);
		lease->tell_holder = true;
		if (!is_ours(lease))
			ao_info(AO_LEASE, lease->name, "held by %s", holder);
	}
	return true;
}

/** Ends everything: from now on no timer runs, and no request. */
static void end(ao_lease *lease)
{
	lease->phase = OVER;
	ao_timer_stop(lease->retry);
	ao_timer_stop(lease->deadline);
	if (lease->call)
		ao_kube_cancel(lease->call);
	lease->call = NULL;
}

/** Says what a lease was waiting for when its time was over. The caller frees it. */
static char *pending(const ao_lease *lease)
{
	return lease->call ? ao_xasprintf("%s of the lease, begun %llu ms ago, has no answer", lease->method,
					  (unsigned long long)(ao_mono_ms() - lease->attempt_ms))
			   : ao_xstrdup("no request was under way");
}

static void lose(ao_lease *lease, char *why)
{
	ao_auto_str char *text = why;
	end(lease);
	ao_error(AO_LEASE, lease->name, "lost: %s", text);
	lease->with.on_lost(lease->with.arg, text);
}

static void finish_release(ao_lease *lease)
{
	end(lease);
	lease->released(lease->released_arg);
}

static void renewed(ao_lease *lease)
{
	bool first = lease->phase != LEADING;
	uint64_t passed = ao_mono_ms() - lease->attempt_ms;
	works(lease);
	lease->renewed_ms = lease->attempt_ms;
	lease->phase = LEADING;
	ao_timer_start(lease->deadline, passed < lease->renew_deadline_ms ? lease->renew_deadline_ms - passed : 0);
	try_later(lease);
	if (!first)
		return;
	ao_info(AO_LEASE, lease->name, "acquired by %s", lease->identity);
	lease->with.on_acquired(lease->with.arg);
}

/* ---- requests ---- */

static uint64_t patience(const ao_lease *lease)
{
	uint64_t retries = lease->retry_ms * 5 / 2, half = lease->renew_deadline_ms / 2;
	return lease->phase == RELEASING ? RELEASE_MS : retries < half ? retries : half;
}

static void request(ao_lease *lease, const char *method, const char *name, const char *body, ao_kube_fn fn)
{
	ao_auto_str char *path = ao_resource_path(&ao_leases, lease->namespace_, name, NULL);
	lease->method = method;
	lease->attempt_ms = ao_mono_ms();
	lease->call = ao_kube_send(
	    lease->kube,
	    &(ao_kube_request){.method = method, .path = path, .body = body, .timeout_ms = patience(lease), .fn = fn, .arg = lease});
}

static void after_failed_write(ao_lease *lease, const ao_kube_answer *answer)
{
	bool raced = answer->error == -ESTALE || answer->error == -EEXIST;
	bool unknown = answer->error == -ETIME || answer->error == -EIO || answer->error == -EAGAIN;
	if (!raced)
		failed(lease, answer);
	else if (lease->phase == LEADING) /* it may have been our own write, whose answer came too late */
		ao_warn(AO_LEASE, lease->name, "it was written by another process, reading it again: %s", answer->message);
	if (!unknown) {
		ao_lease_record_forget(&lease->record);
		lease->maybe_ours = lease->phase != STANDING_BY;
	}
	if (raced && lease->phase != STANDING_BY)
		read_record(lease);
	else if (lease->phase == LEADING && answer->error == -ETIME)
		step(lease);
	else if (lease->phase == RELEASING)
		finish_release(lease);
	else
		try_later(lease);
}

static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_lease *lease = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&lease->frame);
	lease->call = NULL;
	if (answer->error) {
		after_failed_write(lease, answer);
	} else if (!see(lease, answer)) {
		ao_lease_record_forget(&lease->record);
		try_later(lease);
	} else if (lease->phase == RELEASING) {
		ao_info(AO_LEASE, lease->name, "given back");
		finish_release(lease);
	} else {
		renewed(lease);
	}
	report_holder(lease);
}

static void write_record(ao_lease *lease)
{
	bool exists = lease->record.object != NULL;
	ao_auto_json cJSON *object = lease->phase == RELEASING ? ao_lease_record_released(&lease->record, &lease->claim, ao_wall_ms())
							       : ao_lease_record_claimed(&lease->record, &lease->claim, ao_wall_ms());
	ao_auto_str char *body = ao_json_print(object);
	lease->maybe_ours = true;
	request(lease, exists ? "PUT" : "POST", exists ? lease->name : NULL, body, on_written);
}

/** Decides what to do after the lease was read. */
static void decide(ao_lease *lease)
{
	bool ours = is_ours(lease);
	lease->maybe_ours = ours;
	if (lease->phase == RELEASING && !ours)
		finish_release(lease);
	else if (lease->phase == LEADING && !ours)
		lose(lease, ao_xasprintf("held by '%s'", ao_lease_record_holder(&lease->record)));
	else if (ours || lease->with.seize || ao_lease_record_is_free(&lease->record, &lease->claim, ao_mono_ms()))
		write_record(lease);
	else
		try_later(lease);
}

static void on_read(void *arg, const ao_kube_answer *answer)
{
	ao_lease *lease = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&lease->frame);
	lease->call = NULL;
	if (answer->error == -ENOENT && lease->phase == RELEASING) {
		finish_release(lease);
	} else if (answer->error == -ENOENT) {
		ao_lease_record_forget(&lease->record);
		write_record(lease);
	} else if (answer->error || !see(lease, answer)) {
		if (answer->error)
			failed(lease, answer);
		if (lease->phase == RELEASING)
			finish_release(lease);
		else if (lease->phase == LEADING && answer->error == -ETIME)
			step(lease);
		else
			try_later(lease);
	} else {
		works(lease);
		decide(lease);
	}
	report_holder(lease);
}

static void read_record(ao_lease *lease) { request(lease, "GET", lease->name, NULL, on_read); }

/** A leader writes without reading first, unless its time is over because the process was stopped. All others read. */
static void step(void *arg)
{
	ao_lease *lease = arg;
	if (lease->phase == LEADING && !ao_lease_held(lease))
		ao_timer_start(lease->deadline, 0);
	else if (lease->phase == LEADING && lease->record.object)
		write_record(lease);
	else
		read_record(lease);
}

static void on_deadline(void *arg)
{
	ao_lease *lease = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&lease->frame);
	if (lease->phase == LEADING) {
		ao_auto_str char *what = pending(lease);
		lose(lease, ao_xasprintf("not renewed within %llu ms: %s%s%s", (unsigned long long)lease->renew_deadline_ms, what,
					 lease->last_error ? "; before that: " : "", lease->last_error ? lease->last_error : ""));
	} else {
		if (lease->phase == RELEASING && lease->maybe_ours)
			ao_warn(AO_LEASE, lease->name, "could not be given back in time, it will expire");
		finish_release(lease);
	}
	report_holder(lease);
}

/* ---- from outside ---- */

static int check_times(const ao_lease_options *o, ao_err **reterr)
{
	if (o->lease_ms > o->renew_deadline_ms && o->renew_deadline_ms * 5 > o->retry_ms * 6)
		return 0;
	return ao_err_set(reterr, -EINVAL,
			  "lease times: the lease (%llu ms) must be longer than its renew deadline (%llu ms), and that "
			  "longer than 1.2 retry periods (%llu ms)",
			  (unsigned long long)o->lease_ms, (unsigned long long)o->renew_deadline_ms, (unsigned long long)o->retry_ms);
}

int ao_lease_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, const ao_lease_options *options, ao_lease **ret,
		 ao_err **reterr)
{
	ao_lease_options with = *options;
	ao_kube *kube = NULL;
	with.lease_ms = with.lease_ms ? with.lease_ms : 15000;
	with.renew_deadline_ms = with.renew_deadline_ms ? with.renew_deadline_ms : 10000;
	with.retry_ms = with.retry_ms ? with.retry_ms : 2000;
	int r = check_times(&with, reterr);
	if (r == 0)
		r = ao_kube_new(loop, config, user_agent, &kube, reterr);
	if (r < 0)
		return r;
	ao_lease *lease = ao_xcalloc(1, sizeof(*lease));
	ao_frame_init(&lease->frame, destroy, lease);
	lease->kube = kube;
	lease->namespace_ = ao_xstrdup(options->namespace_);
	lease->name = ao_xstrdup(options->name);
	lease->identity = options->identity ? ao_xstrdup(options->identity) : make_identity();
	lease->component = ao_xstrdup(options->component);
	lease->claim = (ao_lease_claim){lease->namespace_, lease->name, lease->identity, with.lease_ms, lease->component};
	lease->renew_deadline_ms = with.renew_deadline_ms;
	lease->retry_ms = with.retry_ms;
	with.namespace_ = with.name = with.identity = with.component = NULL; /* borrowed until here */
	lease->with = with;
	lease->retry = ao_timer_new(loop, step, lease);
	lease->deadline = ao_timer_new(loop, on_deadline, lease);
	*ret = lease;
	return 0;
}

void ao_lease_start(ao_lease *lease)
{
	if (lease->phase != IDLE)
		return;
	lease->phase = STANDING_BY;
	ao_timer_start(lease->retry, 0);
}

void ao_lease_release(ao_lease *lease, void (*done)(void *arg), void *arg)
{
	if (lease->released)
		return;
	bool maybe_ours = lease->phase != OVER && lease->maybe_ours, unknown = lease->call != NULL;
	end(lease);
	lease->released = done;
	lease->released_arg = arg;
	lease->phase = RELEASING;
	lease->maybe_ours = maybe_ours;
	ao_timer_start(lease->deadline, maybe_ours ? RELEASE_MS : 0); /* done() is never called from inside this call */
	if (!maybe_ours)
		return;
	if (unknown || !lease->record.object)
		read_record(lease); /* the write in flight may have arrived */
	else
		write_record(lease);
}

void ao_lease_free(ao_lease *lease)
{
	if (!lease || lease->frame.freed)
		return;
	end(lease);
	ao_timer_free(lease->retry);
	ao_timer_free(lease->deadline);
	ao_kube_free(lease->kube);
	ao_frame_free(&lease->frame);
}
