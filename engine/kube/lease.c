/*
 * lease.c -- a small state machine: standing by, leading, releasing.
 *
 * Every step is one request with a deadline of its own; a timer wakes the next.  Expiry of another holder is judged by when we last
 * saw its record change, on the monotonic clock, so that clocks that differ between nodes cannot make two leaders.
 */
#include "kube/lease.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RELEASE_MS 1000

struct ao_lease {
	ao_lease_options with;
	char *namespace_, *name, *identity;
	uint64_t lease_ms, renew_deadline_ms, retry_ms;
	ao_kube *kube;
	ao_timer *retry;    /* the next attempt */
	ao_timer *deadline; /* when a leader that cannot renew gives up */
	ao_kube_call *call;
	cJSON *record;       /* the Lease as last seen; NULL: none */
	char *seen;          /* its spec as text, to notice changes */
	uint64_t seen_ms;    /* when it last changed */
	uint64_t attempt_ms; /* when the request in flight began */
	uint64_t renewed_ms; /* when our last successful renewal began */
	bool leading, lost;
	char *holder;     /* told to on_holder last */
	char *last_error; /* logged last: a repeated failure is said once */
	void (*released)(void *arg);
	void *released_arg;
};

static const ao_resource leases = {.api_version = "coordination.k8s.io/v1", .kind = "Lease", .plural = "leases"};

static void attempt(void *arg);

/* ---- identity and time ---- */

static char *make_identity(void)
{
	char host[256] = "";
	unsigned char r[16];
	gethostname(host, sizeof(host) - 1);
	if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		memset(r, 0, sizeof(r));
	r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* a version 4 uuid */
	r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
	return ao_xasprintf("%s_%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", host, r[0], r[1], r[2], r[3], r[4],
			    r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
}

/** Up to 20 % more, so that candidates do not move in step. */
static uint64_t jitter(uint64_t ms) { return ms + (uint64_t)rand() % (ms / 5 + 1); }

bool ao_lease_held(const ao_lease *lease)
{
	return lease->leading && !lease->lost && ao_mono_ms() - lease->renewed_ms < lease->renew_deadline_ms;
}

/* ---- what is known of the record ---- */

static void see(ao_lease *lease, cJSON *record)
{
	cJSON_Delete(lease->record);
	lease->record = record;
	ao_auto_str char *spec = ao_json_canonical(ao_json_at(record, "spec"));
	if (!lease->seen || strcmp(lease->seen, spec) != 0) {
		free(lease->seen);
		lease->seen = AO_TAKE(spec);
		lease->seen_ms = ao_mono_ms();
	}
	const char *holder = ao_json_str(record, "spec", "holderIdentity");
	if (!holder || !*holder || (lease->holder && strcmp(lease->holder, holder) == 0))
		return;
	free(lease->holder);
	lease->holder = ao_xstrdup(holder);
	if (strcmp(holder, lease->identity) != 0)
		ao_info(AO_LEASE, lease->name, "held by %s", holder);
	if (lease->with.on_holder)
		lease->with.on_holder(lease->with.arg, holder);
}

static bool is_ours(const ao_lease *lease)
{
	const char *holder = ao_json_str(lease->record, "spec", "holderIdentity");
	return holder && strcmp(holder, lease->identity) == 0;
}

/** May we take it: nobody holds it, or its holder has not renewed for the whole time it asked for. */
static bool is_free(const ao_lease *lease)
{
	const char *holder = ao_json_str(lease->record, "spec", "holderIdentity");
	int64_t seconds = (int64_t)lease->lease_ms / 1000;
	ao_json_int(ao_json_at(lease->record, "spec", "leaseDurationSeconds"), &seconds);
	uint64_t wait_ms = seconds > 0 && (uint64_t)seconds * 1000 < lease->lease_ms ? (uint64_t)seconds * 1000 : lease->lease_ms;
	return !holder || !*holder || ao_mono_ms() - lease->seen_ms >= wait_ms;
}

/** The record as we want it written. @param holder  "" gives it back */
static cJSON *next_record(const ao_lease *lease, const char *holder)
{
	cJSON *record = lease->record ? cJSON_Duplicate(lease->record, 1) : cJSON_CreateObject();
	ao_json_set_str(record, "apiVersion", leases.api_version);
	ao_json_set_str(record, "kind", leases.kind);
	cJSON *metadata = ao_json_object(record, "metadata"), *spec = ao_json_object(record, "spec");
	cJSON_DeleteItemFromObjectCaseSensitive(metadata, "managedFields");
	ao_json_set_str(metadata, "name", lease->name);
	ao_json_set_str(metadata, "namespace", lease->namespace_);
	char now[AO_TIME_TEXT];
	ao_time_micro_text(ao_wall_ms(), now);
	ao_json_set_str(spec, "renewTime", now);
	uint64_t seconds = *holder ? (lease->lease_ms + 999) / 1000 : 1;
	ao_json_set(spec, "leaseDurationSeconds", cJSON_CreateNumber((double)seconds));
	if (!is_ours(lease)) {
		int64_t transitions = 0;
		ao_json_int(ao_json_at(spec, "leaseTransitions"), &transitions);
		ao_json_set(spec, "leaseTransitions", cJSON_CreateNumber((double)(lease->record ? transitions + 1 : 0)));
		ao_json_set_str(spec, "acquireTime", now);
	}
	ao_json_set_str(spec, "holderIdentity", holder);
	return record;
}

/* ---- requests ---- */

static void say_once(ao_lease *lease, const ao_kube_answer *answer)
{
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

static void try_again(ao_lease *lease)
{
	if (!lease->lost && !lease->released)
		ao_timer_start(lease->retry, jitter(lease->retry_ms));
}

static void request(ao_lease *lease, const char *method, bool collection, cJSON *body, ao_kube_fn fn)
{
	ao_auto_str char *path = ao_resource_path(&leases, lease->namespace_, collection ? NULL : lease->name, NULL);
	ao_auto_str char *text = body ? ao_json_print(body) : NULL;
	cJSON_Delete(body);
	lease->attempt_ms = ao_mono_ms();
	uint64_t patience = lease->retry_ms * 5 / 2 < lease->renew_deadline_ms / 2 ? lease->retry_ms * 5 / 2 : lease->renew_deadline_ms / 2;
	lease->call = ao_kube_send(lease->kube, &(ao_kube_request){.method = method,
								   .path = path,
								   .body = text,
								   .timeout_ms = lease->released ? RELEASE_MS : patience,
								   .fn = fn,
								   .arg = lease});
}

static void lose(ao_lease *lease, const char *why)
{
	if (lease->lost)
		return;
	lease->lost = true;
	ao_timer_stop(lease->retry);
	ao_timer_stop(lease->deadline);
	ao_error(AO_LEASE, lease->name, "lost: %s", why);
	lease->with.on_lost(lease->with.arg, why);
}

static void held(ao_lease *lease)
{
	bool first = !lease->leading;
	lease->renewed_ms = lease->attempt_ms;
	lease->leading = true;
	free(lease->last_error);
	lease->last_error = NULL;
	uint64_t passed = ao_mono_ms() - lease->renewed_ms;
	ao_timer_start(lease->deadline, passed < lease->renew_deadline_ms ? lease->renew_deadline_ms - passed : 0);
	try_again(lease);
	if (first) {
		ao_info(AO_LEASE, lease->name, "acquired by %s", lease->identity);
		lease->with.on_acquired(lease->with.arg);
	}
}

static void on_written(void *arg, const ao_kube_answer *answer)
{
	ao_lease *lease = arg;
	cJSON *record = NULL;
	lease->call = NULL;
	if (answer->error == 0 && ao_json_parse(answer->body, answer->body_len, &record, NULL) == 0) {
		see(lease, record);
		held(lease);
		return;
	}
	if (answer->error == -ETIME || answer->error == -EIO)
		ao_http_reset(ao_kube_http(lease->kube));
	if (answer->error != -ESTALE && answer->error != -EEXIST)
		say_once(lease, answer);
	/* what we knew may be old: look before the next write; `seen` stays, or a dead holder would never expire */
	cJSON_Delete(lease->record);
	lease->record = NULL;
	if (lease->leading && answer->error == -ESTALE)
		attempt(lease);
	else
		try_again(lease);
}

static void take_or_renew(ao_lease *lease)
{
	request(lease, lease->record ? "PUT" : "POST", !lease->record, next_record(lease, lease->identity), on_written);
}

static void on_read(void *arg, const ao_kube_answer *answer)
{
	ao_lease *lease = arg;
	cJSON *record = NULL;
	lease->call = NULL;
	if (answer->error == -ENOENT) {
		take_or_renew(lease);
		return;
	}
	if (answer->error || ao_json_parse(answer->body, answer->body_len, &record, NULL) < 0) {
		if (answer->error == -ETIME || answer->error == -EIO)
			ao_http_reset(ao_kube_http(lease->kube));
		say_once(lease, answer);
		try_again(lease);
		return;
	}
	see(lease, record);
	if (lease->leading && !is_ours(lease))
		lose(lease, "another process holds it");
	else if (is_ours(lease) || is_free(lease))
		take_or_renew(lease);
	else
		try_again(lease);
}

/** A leader renews what it knows without reading first; everybody else looks. */
static void attempt(void *arg)
{
	ao_lease *lease = arg;
	if (lease->call || lease->lost)
		return;
	if (lease->leading && lease->record)
		take_or_renew(lease);
	else
		request(lease, "GET", false, NULL, on_read);
}

static void finish_release(ao_lease *lease)
{
	void (*done)(void *arg) = lease->released;
	lease->leading = false;
	done(lease->released_arg);
}

static void on_deadline(void *arg)
{
	ao_lease *lease = arg;
	if (lease->released)
		finish_release(lease);
	else
		lose(lease, "not renewed in time");
}

/* ---- from outside ---- */

int ao_lease_new(ao_loop *loop, const ao_kubeconfig *config, const char *user_agent, const ao_lease_options *options, ao_lease **ret,
		 ao_err **reterr)
{
	ao_lease *lease = ao_xcalloc(1, sizeof(*lease));
	int r = ao_kube_new(loop, config, user_agent, &lease->kube, reterr);
	if (r < 0) {
		free(lease);
		return r;
	}
	lease->with = *options;
	lease->namespace_ = ao_xstrdup(options->namespace_);
	lease->name = ao_xstrdup(options->name);
	lease->identity = options->identity ? ao_xstrdup(options->identity) : make_identity();
	lease->lease_ms = options->lease_ms ? options->lease_ms : 15000;
	lease->renew_deadline_ms = options->renew_deadline_ms ? options->renew_deadline_ms : 10000;
	lease->retry_ms = options->retry_ms ? options->retry_ms : 2000;
	lease->retry = ao_timer_new(loop, attempt, lease);
	lease->deadline = ao_timer_new(loop, on_deadline, lease);
	*ret = lease;
	return 0;
}

void ao_lease_start(ao_lease *lease) { ao_timer_start(lease->retry, 0); }

static void on_given_back(void *arg, const ao_kube_answer *answer)
{
	ao_lease *lease = arg;
	lease->call = NULL;
	if (answer->error)
		ao_warn(AO_LEASE, lease->name, "could not be given back, it will expire: %s", answer->message);
	else
		ao_info(AO_LEASE, lease->name, "given back");
	finish_release(lease);
}

void ao_lease_release(ao_lease *lease, void (*done)(void *arg), void *arg)
{
	lease->released = done;
	lease->released_arg = arg;
	ao_timer_stop(lease->retry);
	ao_timer_stop(lease->deadline);
	if (lease->call)
		ao_kube_cancel(lease->call);
	lease->call = NULL;
	if (lease->leading && !lease->lost && lease->record) {
		request(lease, "PUT", false, next_record(lease, ""), on_given_back);
		return;
	}
	/* nothing to give back; still not from inside this call */
	ao_timer_start(lease->deadline, 0);
}

void ao_lease_free(ao_lease *lease)
{
	if (!lease)
		return;
	if (lease->call)
		ao_kube_cancel(lease->call);
	ao_timer_free(lease->retry);
	ao_timer_free(lease->deadline);
	ao_kube_free(lease->kube);
	cJSON_Delete(lease->record);
	free(lease->seen);
	free(lease->holder);
	free(lease->last_error);
	free(lease->namespace_);
	free(lease->name);
	free(lease->identity);
	free(lease);
}
