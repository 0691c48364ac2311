/*
 * event.c -- Events with a series, so that the same news again is a count and not another object.
 */
#include "kube/event.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "json/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SERIES_MS (6 * 60 * 1000)
#define MAX_KNOWN 4096
#define MAX_IN_FLIGHT 1000
#define BURST 25
#define REFILL_MS (300 * 1000)
#define MAX_NOTE 1024
#define MAX_TRIES 3

/** An Event that exists on the server, or is on its way. */
typedef struct known {
	char *name, *namespace_;
	unsigned count;
	uint64_t last_ms;
} known;

typedef struct bucket {
	double tokens;
	uint64_t filled_ms;
} bucket;

typedef struct sending {
	ao_events *events;
	ao_kube_call *call;
	char *method, *path, *body;
	const char *content_type;
	unsigned tries;
	ao_timer *rest;
	struct sending *next, *previous;
} sending;

struct ao_events {
	ao_loop *loop;
	ao_kube *kube;
	char *component, *instance;
	ao_map *known;   /* digest of what is said about whom -> known */
	ao_map *buckets; /* uid -> bucket */
	sending *sending;
	size_t in_flight;
	uint64_t serial;
};

static const ao_resource resource = {.api_version = "events.k8s.io/v1", .kind = "Event", .plural = "events"};

ao_events *ao_events_new(ao_loop *loop, ao_kube *kube, const char *component, const char *instance)
{
	ao_events *events = ao_xcalloc(1, sizeof(*events));
	*events = (ao_events){
	    .loop = loop,
	    .kube = kube,
	    .component = ao_xstrdup(component),
	    .instance = ao_xstrdup(instance && *instance ? instance : component),
	    .known = ao_map_new(),
	    .buckets = ao_map_new(),
	    .serial = (uint64_t)ao_wall_ms() << 20,
	};
	return events;
}

static void free_known(known *k)
{
	free(k->name);
	free(k->namespace_);
	free(k);
}

static void empty_map(ao_map *map, bool are_known)
{
	size_t cursor = 0;
	const char *key;
	for (void *value; (value = ao_map_next(map, &cursor, &key));) {
		ao_map_remove(map, key);
		if (are_known)
			free_known(value);
		else
			free(value);
	}
}

static void free_sending(sending *s)
{
	if (s->call)
		ao_kube_cancel(s->call);
	if (s->next)
		s->next->previous = s->previous;
	if (s->previous)
		s->previous->next = s->next;
	else
		s->events->sending = s->next;
	s->events->in_flight--;
	ao_timer_free(s->rest);
	free(s->method);
	free(s->path);
	free(s->body);
	free(s);
}

void ao_events_free(ao_events *events)
{
	if (!events)
		return;
	while (events->sending)
		free_sending(events->sending);
	empty_map(events->known, true);
	empty_map(events->buckets, false);
	ao_map_free(events->known);
	ao_map_free(events->buckets);
	free(events->component);
	free(events->instance);
	free(events);
}

/* ---- sending ---- */

static void send_again(void *arg);

static void on_sent(void *arg, const ao_kube_answer *answer)
{
	sending *s = arg;
	s->call = NULL;
	bool worth_it = answer->status == 0 || answer->status == 429 || answer->status >= 500;
	if (!answer->error || !worth_it || ++s->tries >= MAX_TRIES) {
		if (answer->error)
			ao_debug(AO_KUBE, NULL, "event dropped: %s", answer->message);
		free_sending(s);
		return;
	}
	ao_timer_start(s->rest, 1000u << s->tries);
}

static void send_again(void *arg)
{
	sending *s = arg;
	s->call = ao_kube_send(
	    s->events->kube,
	    &(ao_kube_request){
		.method = s->method, .path = s->path, .content_type = s->content_type, .body = s->body, .fn = on_sent, .arg = s});
}

static void send_event(ao_events *events, const char *method, const char *path, const char *content_type, const cJSON *body)
{
	if (events->in_flight >= MAX_IN_FLIGHT)
		return;
	sending *s = ao_xcalloc(1, sizeof(*s));
	*s = (sending){.events = events,
		       .method = ao_xstrdup(method),
		       .path = ao_xstrdup(path),
		       .body = ao_json_print(body),
		       .content_type = content_type,
		       .next = events->sending};
	s->rest = ao_timer_new(events->loop, send_again, s);
	if (s->next)
		s->next->previous = s;
	events->sending = s;
	events->in_flight++;
	send_again(s);
}

/* ---- what to say ---- */

/** One more of the same within the series' time: raises the count of the Event that is there. */
static void count_up(ao_events *events, known *k, uint64_t now)
{
	char stamp[AO_TIME_TEXT];
	ao_time_micro_text(ao_wall_ms(), stamp);
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	cJSON *series = ao_json_object(patch, "series");
	k->count++;
	k->last_ms = now;
	ao_json_set(series, "count", cJSON_CreateNumber(k->count));
	ao_json_set_str(series, "lastObservedTime", stamp);
	ao_auto_str char *path = ao_resource_path(&resource, k->namespace_, k->name, NULL);
	send_event(events, "PATCH", path, AO_MERGE_PATCH, patch);
}

/** At most MAX_NOTE bytes, never half a character. */
static char *cut_note(const char *note)
{
	size_t len = strlen(note);
	if (len > MAX_NOTE)
		for (len = MAX_NOTE; len && ((unsigned char)note[len] & 0xc0) == 0x80;)
			len--;
	return ao_xstrndup(note, len);
}

static cJSON *event_object(const ao_events *events, const ao_event *e, const known *k, const char *note)
{
	char stamp[AO_TIME_TEXT];
	ao_time_micro_text(ao_wall_ms(), stamp);
	cJSON *object = cJSON_CreateObject(), *metadata = ao_json_object(object, "metadata"),
	      *regarding = ao_json_object(object, "regarding");
	ao_json_set_str(object, "apiVersion", resource.api_version);
	ao_json_set_str(object, "kind", resource.kind);
	ao_json_set_str(metadata, "name", k->name);
	ao_json_set_str(metadata, "namespace", k->namespace_);
	ao_json_set_str(regarding, "apiVersion", e->api_version);
	ao_json_set_str(regarding, "kind", e->kind);
	if (*e->namespace_)
		ao_json_set_str(regarding, "namespace", e->namespace_);
	ao_json_set_str(regarding, "name", e->name);
	ao_json_set_str(regarding, "uid", e->uid);
	ao_json_set_str(object, "eventTime", stamp);
	ao_json_set_str(object, "type", e->warning ? "Warning" : "Normal");
	ao_json_set_str(object, "reason", e->reason);
	ao_json_set_str(object, "action", e->action ? e->action : e->reason);
	ao_json_set_str(object, "note", note);
	ao_json_set_str(object, "reportingController", events->component);
	ao_json_set_str(object, "reportingInstance", events->instance);
	return object;
}

static bool take_token(ao_events *events, const char *uid, uint64_t now)
{
	bucket *b = ao_map_get(events->buckets, uid);
	if (!b) {
		if (ao_map_count(events->buckets) >= MAX_KNOWN)
			empty_map(events->buckets, false);
		b = ao_xcalloc(1, sizeof(*b));
		*b = (bucket){BURST, now};
		ao_map_put(events->buckets, uid, b);
	}
	b->tokens += (double)(now - b->filled_ms) / REFILL_MS;
	b->filled_ms = now;
	if (b->tokens > BURST)
		b->tokens = BURST;
	if (b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

static known *remember(ao_events *events, const char *id, const ao_event *e, uint64_t now)
{
	if (ao_map_count(events->known) >= MAX_KNOWN)
		empty_map(events->known, true);
	known *k = ao_xcalloc(1, sizeof(*k));
	size_t len = strlen(e->name) > 230 ? 230 : strlen(e->name);
	k->name = ao_xasprintf("%.*s.%016" PRIx64, (int)len, e->name, events->serial++);
	k->namespace_ = ao_xstrdup(*e->namespace_ ? e->namespace_ : "default");
	k->count = 1;
	k->last_ms = now;
	known *old = ao_map_put(events->known, id, k);
	if (old)
		free_known(old);
	return k;
}

void ao_events_emit(ao_events *events, const ao_event *e)
{
	uint64_t now = ao_mono_ms();
	ao_auto_str char *note = cut_note(e->note ? e->note : "");
	ao_auto_str char *id = ao_xasprintf("%s/%d/%s/%016" PRIx64, e->uid, e->warning, e->reason, ao_hash_str(note));
	known *k = ao_map_get(events->known, id);
	if (!take_token(events, e->uid, now))
		return;
	if (k && now - k->last_ms < SERIES_MS) {
		count_up(events, k, now);
		return;
	}
	ao_auto_json cJSON *object = event_object(events, e, remember(events, id, e, now), note);
	ao_auto_str char *path = ao_resource_path(&resource, *e->namespace_ ? e->namespace_ : "default", NULL, NULL);
	send_event(events, "POST", path, NULL, object);
}
