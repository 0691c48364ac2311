/*
 * event.c -- Events with a series, so that the same news again is a count and not another object.
 *
 * A series is what we know of one Event on the server.  At most one write of it is under way; what happens meanwhile raises the count and
 * is sent when that write is answered, so that a PATCH never overtakes its POST and a burst costs two requests.  The Event's text is
 * kept only while it is being written: a repetition brings its own, should the Event have to be created anew.
 *
 * Who says too much: more than 10 different notes for one reason in 10 minutes go into one series of their own, as client-go does; its
 * repetitions are counted, but its note stays the first one, because the server lets nobody change it.
 */
#include "kube/event.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/lru.h"
#include "loop/backoff.h"
#include "json/json.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SERIES_MS (6 * 60 * 1000)
#define SIMILAR_MS (10 * 60 * 1000)
#define MAX_SIMILAR 10
#define MAX_KNOWN 4096
#define MAX_PENDING 1000
#define BURST 25
#define REFILL_MS (300 * 1000)
#define MAX_NOTE 1024
#define MAX_WORD 128
#define MAX_NAME 253
#define TRYING_MS (120 * 1000)
#define FIRST_REST_MS 1000
#define MAX_REST_MS 16000

typedef struct series {
	ao_events *events;
	char *name, *namespace_;
	unsigned count, sent; /* how often it happened; how often the server knows of, 0: it has no such Event */
	uint64_t last_ms;
	int64_t last_wall_ms;
	char *text; /* the Event while it is being written, else NULL */
	ao_kube_call *call;
	ao_timer *rest;
	unsigned tries;    /* that failed */
	uint64_t began_ms; /* when its text was written first */
	unsigned sending;  /* the count in flight */
} series;

/** How many Events an object may still have. */
typedef struct bucket {
	double tokens;
	uint64_t filled_ms;
} bucket;

/** The different notes for one reason of one object. */
typedef struct similar {
	uint64_t last_ms;
	unsigned count;
	uint64_t notes[MAX_SIMILAR];
} similar;

struct ao_events {
	ao_loop *loop;
	ao_kube *kube;
	char *component, *instance;
	ao_lru *series, *buckets, *similar; /* by digests */
	size_t pending;
	uint64_t serial;
};

static const ao_resource resource = {.api_version = "events.k8s.io/v1", .kind = "Event", .plural = "events"};

static void settle(series *s)
{
	if (s->text)
		s->events->pending--;
	free(s->text);
	s->text = NULL;
	s->tries = 0;
	ao_timer_free(s->rest);
	s->rest = NULL;
}

static void free_series(void *value)
{
	series *s = value;
	if (s->call)
		ao_kube_cancel(s->call);
	settle(s);
	free(s->name);
	free(s->namespace_);
	free(s);
}

/** At most `max` bytes, never half a character. */
static char *cut(const char *text, size_t max)
{
	size_t len = text ? strlen(text) : 0;
	if (len > max)
		for (len = max; len && ((unsigned char)text[len] & 0xc0) == 0x80;)
			len--;
	return ao_xstrndup(text, len);
}

ao_event ao_event_about(const ao_resource *kind, const char *namespace_, const char *name, const char *uid)
{
	return (ao_event){.api_version = kind->api_version, .kind = kind->kind, .namespace_ = namespace_, .name = name, .uid = uid};
}

ao_events *ao_events_new(ao_loop *loop, ao_kube *kube, const char *component, const char *instance)
{
	ao_events *events = ao_xcalloc(1, sizeof(*events));
	*events = (ao_events){
	    .loop = loop,
	    .kube = kube,
	    .component = cut(component, MAX_WORD),
	    .instance = cut(instance && *instance ? instance : component, MAX_WORD),
	    .series = ao_lru_new(MAX_KNOWN, free_series),
	    .buckets = ao_lru_new(MAX_KNOWN, free),
	    .similar = ao_lru_new(MAX_KNOWN, free),
	};
	if (getrandom(&events->serial, sizeof(events->serial), 0) != (ssize_t)sizeof(events->serial))
		events->serial = (uint64_t)ao_wall_ms() << 20;
	return events;
}

void ao_events_free(ao_events *events)
{
	if (!events)
		return;
	ao_lru_free(events->series);
	ao_lru_free(events->buckets);
	ao_lru_free(events->similar);
	free(events->component);
	free(events->instance);
	free(events);
}

/* ---- writing ---- */

static void write_event(series *s);

static void on_rested(void *arg) { write_event(arg); }

static void try_later(series *s)
{
	if (!s->rest)
		s->rest = ao_timer_new(s->events->loop, on_rested, s);
	ao_timer_start(s->rest, ao_backoff_ms(FIRST_REST_MS, MAX_REST_MS, s->tries - 1));
}

static void on_written(void *arg, const ao_kube_answer *answer)
{
	series *s = arg;
	bool arrived_before = !s->sent && s->tries && answer->error == -EEXIST;
	bool gone = s->sent && answer->error == -ENOENT;
	s->call = NULL;
	if (!answer->error || arrived_before) {
		s->sent = arrived_before ? 1 : s->sending;
		if (s->count > s->sent)
			write_event(s);
		else
			settle(s);
		return;
	}
	if (gone)
		s->sent = 0;
	s->tries++;
	if ((ao_kube_is_passing(answer->error) || gone) && ao_mono_ms() - s->began_ms < TRYING_MS) {
		if (gone)
			write_event(s);
		else
			try_later(s);
		return;
	}
	ao_debug(AO_KUBE, s->name, "event dropped: %s", answer->message);
	settle(s);
}

/** {"count":N,"lastObservedTime":"..."} */
static char *series_text(const series *s)
{
	char stamp[AO_TIME_TEXT];
	ao_time_micro_text(s->last_wall_ms, stamp);
	return ao_xasprintf("{\"count\":%u,\"lastObservedTime\":\"%s\"}", s->count, stamp);
}

/** Creates the Event, or raises the count of the one that is there. */
static void write_event(series *s)
{
	bool exists = s->sent > 0;
	ao_auto_str char *counts = s->count > 1 ? series_text(s) : NULL;
	ao_auto_str char *path = ao_resource_path(&resource, s->namespace_, exists ? s->name : NULL, NULL);
	ao_auto_str char *body = NULL;
	if (exists)
		body = ao_xasprintf("{\"series\":%s}", counts);
	else if (counts) /* the text is an object that is not empty */
		body = ao_xasprintf("{\"series\":%s,%s", counts, s->text + 1);
	s->sending = s->count;
	s->call = ao_kube_send(s->events->kube, &(ao_kube_request){.method = exists ? "PATCH" : "POST",
								   .path = path,
								   .content_type = exists ? AO_MERGE_PATCH : NULL,
								   .body = body ? body : s->text,
								   .object = {&resource, s->namespace_, s->name, NULL},
								   .rank = AO_KUBE_EVENT,
								   .fn = on_written,
								   .arg = s});
}

/* ---- what to say ---- */

/** "<object name>.<16 hex digits>", a name that an Event may have whatever the object's is. */
static char *make_name(ao_events *events, const char *object)
{
	const size_t room = MAX_NAME - 17;
	ao_auto_str char *stem = ao_xstrndup(object, strnlen(object, room));
	for (char *c = stem; *c; c++) {
		bool inner_dot = *c == '.' && c > stem && isalnum((unsigned char)c[-1]) && isalnum((unsigned char)c[1]);
		*c = (char)tolower((unsigned char)*c);
		if (!isalnum((unsigned char)*c) && !inner_dot)
			*c = '-';
	}
	size_t len = strlen(stem), start = strspn(stem, "-.");
	while (len > start && !isalnum((unsigned char)stem[len - 1]))
		stem[--len] = '\0';
	return ao_xasprintf("%s.%016llx", stem[start] ? stem + start : "event", (unsigned long long)events->serial++);
}

static char *event_text(const ao_events *events, const ao_event *e, const series *s, const char *note)
{
	char stamp[AO_TIME_TEXT];
	ao_time_micro_text(s->last_wall_ms, stamp);
	ao_auto_str char *reason = cut(e->reason, MAX_WORD), *action = cut(e->action && *e->action ? e->action : e->reason, MAX_WORD);
	ao_auto_json cJSON *object = cJSON_CreateObject();
	ao_json_set_str(object, "apiVersion", resource.api_version);
	ao_json_set_str(object, "kind", resource.kind);
	cJSON *metadata = ao_json_object(object, "metadata"), *regarding = ao_json_object(object, "regarding");
	ao_json_set_str(metadata, "name", s->name);
	ao_json_set_str(metadata, "namespace", s->namespace_);
	ao_json_set_str(regarding, "apiVersion", e->api_version);
	ao_json_set_str(regarding, "kind", e->kind);
	if (e->namespace_ && *e->namespace_)
		ao_json_set_str(regarding, "namespace", e->namespace_);
	ao_json_set_str(regarding, "name", e->name);
	ao_json_set_str(regarding, "uid", e->uid);
	ao_json_set_str(object, "eventTime", stamp);
	ao_json_set_str(object, "type", e->warning ? "Warning" : "Normal");
	ao_json_set_str(object, "reason", reason);
	ao_json_set_str(object, "action", action);
	ao_json_set_str(object, "note", note);
	ao_json_set_str(object, "reportingController", events->component);
	ao_json_set_str(object, "reportingInstance", events->instance);
	return ao_json_print(object);
}

/* ---- how much to say ---- */

#define KEY_SIZE 17

static void print_key(uint64_t digest, char out[KEY_SIZE]) { snprintf(out, KEY_SIZE, "%016llx", (unsigned long long)digest); }

/** Continues a digest; the NUL is part of it, or "ab","c" would be "a","bc". */
static uint64_t digest_text(uint64_t digest, const char *text)
{
	return text ? ao_hash(digest, text, strlen(text) + 1) : ao_hash(digest, "", 1);
}

static bool take_token(ao_events *events, uint64_t subject, uint64_t now)
{
	char key[KEY_SIZE];
	print_key(subject, key);
	bucket *b = ao_lru_get(events->buckets, key);
	if (!b) {
		b = ao_xmalloc(sizeof(*b));
		*b = (bucket){BURST, now};
		ao_lru_put(events->buckets, key, b);
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

/** Is this one note too many for its reason? */
static bool is_combined(ao_events *events, uint64_t reason, uint64_t note, uint64_t now)
{
	char key[KEY_SIZE];
	print_key(reason, key);
	similar *same = ao_lru_get(events->similar, key);
	if (!same) {
		same = ao_xcalloc(1, sizeof(*same));
		ao_lru_put(events->similar, key, same);
	}
	if (now - same->last_ms > SIMILAR_MS)
		same->count = 0;
	same->last_ms = now;
	for (unsigned i = 0; i < same->count; i++)
		if (same->notes[i] == note)
			return false;
	if (same->count == MAX_SIMILAR)
		return true;
	same->notes[same->count++] = note;
	return false;
}

static series *new_series(ao_events *events, const char *key, const ao_event *e)
{
	series *s = ao_xcalloc(1, sizeof(*s));
	s->events = events;
	s->name = make_name(events, e->name);
	s->namespace_ = ao_xstrdup(e->namespace_ && *e->namespace_ ? e->namespace_ : "default");
	ao_lru_put(events->series, key, s);
	return s;
}

/** Notes that it happened again. @return the series, or NULL when it must not be written now */
static series *count_event(ao_events *events, const ao_event *e, uint64_t subject, uint64_t what)
{
	char key[KEY_SIZE];
	uint64_t now = ao_mono_ms();
	print_key(what, key);
	series *s = ao_lru_get(events->series, key);
	bool known = s && now - s->last_ms < SERIES_MS;
	bool allowed = take_token(events, subject, now) && (events->pending < MAX_PENDING || (known && s->text));
	if (!known && !allowed)
		return NULL;
	if (!known)
		s = new_series(events, key, e);
	s->count++;
	s->last_ms = now;
	s->last_wall_ms = ao_wall_ms();
	return allowed ? s : NULL;
}

void ao_events_emit(ao_events *events, const ao_event *e)
{
	if (!e->reason || !*e->reason) {
		ao_debug(AO_KUBE, e->name, "an event without a reason is not sent");
		return;
	}
	ao_auto_str char *note = cut(e->note, MAX_NOTE);
	uint64_t subject = digest_text(digest_text(AO_HASH_INIT, e->uid), e->api_version);
	subject = digest_text(digest_text(digest_text(subject, e->kind), e->namespace_), e->name);
	uint64_t reason = digest_text(digest_text(subject, e->warning ? "Warning" : "Normal"), e->reason);
	uint64_t what = digest_text(digest_text(reason, "note"), note);
	if (is_combined(events, reason, what, ao_mono_ms())) {
		what = digest_text(reason, "combined");
		ao_auto_str char *whole = ao_xasprintf("(combined from similar events): %s", note);
		free(note);
		note = cut(whole, MAX_NOTE);
	}
	series *s = count_event(events, e, subject, what);
	if (!s || s->text)
		return; /* what is being written will be followed by the new count */
	s->text = event_text(events, e, s, note);
	s->began_ms = ao_mono_ms();
	events->pending++;
	write_event(s);
}

void ao_events_say(ao_events *events, ao_event about, bool warning, const char *reason, const char *action, const char *note)
{
	about.warning = warning;
	about.reason = reason;
	about.action = action;
	about.note = note;
	ao_events_emit(events, &about);
}
