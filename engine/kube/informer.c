/*
 * informer.c -- list, then watch, then watch again from where it ended.
 *
 * Two ways to list.  WatchList: one stream that first sends what there is, up to a marked bookmark, and goes on as the watch.  Pages: where
 * the server refuses that.  Both mark what they see in the store; what is not marked in the end is gone.  So is everything when the kind
 * itself is gone, but that takes more than a 404: discovery.c asks.
 *
 * At any time it is in one phase, and in each phase one thing is under way: a stream, a list, a question or the timer.  When that ends, an
 * outcome says how, and carry_on() says what comes next.
 *
 * ao_informer_free() may come from inside any callback: streams end at once, the rest goes when the last of our functions returns.
 */
#include "kube/informer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kube/discovery.h"
#include "kube/list.h"
#include "kube/watch.h"
#include "loop/backoff.h"
#include "loop/frame.h"

#include <string.h>

#define FIRST_BACKOFF_MS 800
#define MAX_BACKOFF_MS 30000
#define QUIET_MS 120000
#define ABSENT_MS 30000
#define MAX_UNLISTED 2 /* WatchList streams that end without their mark before we use pages */

/** What it is doing. */
typedef enum {
	IDLE,      /* it was not started yet */
	STREAMING, /* a list by WatchList: its mark makes it WATCHING */
	PAGING,    /* a list page by page */
	WATCHING,
	ASKING,  /* whether the server knows the kind at all */
	RESTING, /* until the timer: then comes `next` */
} phase;

/** What we can say of the kind. */
typedef enum { UNKNOWN, LISTED, ABSENT, FORBIDDEN } knowledge;

/** How a stream or a list ended. */
typedef enum {
	OVER,       /* as each does */
	MISSING,    /* 404 */
	SHUT_OUT,   /* 403, and we are patient */
	EXPIRED,    /* 410 */
	UNSTREAMED, /* the server does not do WatchList */
	FAILED,
} outcome;

struct ao_informer {
	ao_kube *kube;
	ao_informer_options with;
	char *namespace_; /* or NULL */
	char *path;       /* of the collection with the selector, ends with '?' or '&' */
	ao_store *store;
	phase phase;
	phase next;     /* after a rest: WATCHING where the store's version is a place to resume from, else as `lists_by` */
	phase lists_by; /* STREAMING, or PAGING where the server refuses that */
	knowledge known;
	ao_watch *watch;         /* STREAMING, WATCHING */
	ao_list *list;           /* PAGING */
	ao_discovery *discovery; /* ASKING */
	ao_timer *timer;         /* RESTING */
	unsigned unlisted;       /* WatchList streams that ended without their mark, in a row */
	uint64_t failed_ms, expired_ms, streams;
	unsigned failures; /* in a row */
	unsigned backoffs; /* since the last time of quiet */
	ao_frame frame;
};

static void start(ao_informer *inf, phase what);

static void destroy(void *arg)
{
	ao_informer *inf = arg;
	ao_store_free(inf->store);
	free(inf->namespace_);
	free(inf->path);
	free(inf);
}

/* ---- what changed ---- */

static const char *plural(const ao_informer *inf) { return inf->with.resource->plural; }
static bool is_listing(const ao_informer *inf) { return inf->phase == STREAMING || inf->phase == PAGING; }
static bool is_away(knowledge known) { return known == ABSENT || known == FORBIDDEN; }

static void report(ao_informer *inf, ao_change change, const ao_object *object, const ao_object *before)
{
	if (inf->with.on_change && !inf->frame.freed)
		inf->with.on_change(inf->with.arg, inf, change, object, before);
}

static void report_deleted(ao_informer *inf, ao_object *object)
{
	if (!object)
		return;
	report(inf, AO_DELETED, object, NULL);
	ao_object_free(object);
}

static char *version_of(ao_span text) { return ao_span_text(ao_span_at(text, "metadata", "resourceVersion")); }

/** @return the version of the object; the caller frees */
static char *put(ao_informer *inf, ao_span text)
{
	const ao_object *object = NULL;
	ao_object *before = NULL;
	ao_auto_err ao_err *err = NULL;
	int r = ao_store_swap(inf->store, text, !is_listing(inf), &object, &before, &err);
	char *version = r == 0 && *object->resource_version ? ao_xstrdup(object->resource_version) : version_of(text);
	if (r == -ENOENT) {
		report_deleted(inf, before);
	} else if (r == 0) {
		if (!before)
			report(inf, AO_ADDED, object, NULL);
		else if (before->full_digest != object->full_digest)
			report(inf, AO_UPDATED, object, before);
		ao_object_free(before);
	} else if (err) {
		ao_auto_str char *name = ao_span_text(ao_span_at(text, "metadata", "name"));
		ao_warn(AO_KUBE, name, "one of the %s cannot be read and is skipped: %s", plural(inf), ao_err_text(err));
	}
	return version;
}

/** Everything that `version` holds has been put: what was not is gone. */
static void sweep(ao_informer *inf, const char *version)
{
	for (ao_object *gone; !inf->frame.freed && (gone = ao_store_take_stale(inf->store, inf->namespace_, version));)
		report_deleted(inf, gone);
}

static void know(ao_informer *inf, knowledge now)
{
	bool tell = inf->known == UNKNOWN || is_away(inf->known) != is_away(now);
	inf->known = now;
	if (tell && inf->with.on_synced && !inf->frame.freed)
		inf->with.on_synced(inf->with.arg, inf, is_away(now));
}

static void finish_list(ao_informer *inf, const char *version)
{
	ao_store_set_version(inf->store, inf->namespace_, version);
	inf->next = WATCHING;
	inf->unlisted = 0;
	if (inf->phase == STREAMING)
		inf->phase = WATCHING;
	sweep(inf, version);
	know(inf, LISTED);
}

/* ---- trying again ---- */

static void on_timer(void *arg)
{
	ao_informer *inf = arg;
	start(inf, inf->next);
}

static void rest(ao_informer *inf, uint64_t ms)
{
	inf->phase = RESTING;
	ao_timer_start(inf->timer, ms);
}

static void back_off(ao_informer *inf)
{
	uint64_t now = ao_mono_ms();
	if (now - inf->failed_ms > QUIET_MS)
		inf->backoffs = 0;
	inf->failed_ms = now;
	uint64_t wait = ao_backoff_ms(FIRST_BACKOFF_MS, MAX_BACKOFF_MS, inf->backoffs++);
	rest(inf, wait + ao_jitter_ms(wait));
}

/** Says it once: at once while we know nothing yet, else when the first resumption fails, too. */
static void failed(ao_informer *inf, const char *message)
{
	if (++inf->failures == (inf->known == UNKNOWN ? 1u : 2u))
		ao_warn(AO_KUBE, NULL, "cannot watch %s, trying again: %s", plural(inf), message);
	else
		ao_debug(AO_KUBE, NULL, "the watch of %s ended: %s", plural(inf), message);
	back_off(inf);
}

/** Nothing was ever seen, and for now nothing can be. */
static void shut_out(ao_informer *inf, const char *message)
{
	ao_debug(AO_KUBE, inf->namespace_, "is not allowed to list %s: %s", plural(inf), message);
	back_off(inf);
	know(inf, FORBIDDEN);
}

static void works(ao_informer *inf)
{
	if (inf->failures >= 2)
		ao_info(AO_KUBE, NULL, "watching %s again", plural(inf));
	inf->failures = 0;
}

/**
 * The version to resume from is too old, or a list took too long: list again, at once unless that happened lately.  Listing is the most
 * expensive thing to ask for, and a server that cannot keep up with it does so the less the more it is asked.
 */
static void expired(ao_informer *inf, const char *message)
{
	uint64_t now = ao_mono_ms();
	bool lately = inf->expired_ms && now - inf->expired_ms < QUIET_MS;
	inf->expired_ms = now;
	inf->next = inf->lists_by;
	if (lately) {
		ao_warn(AO_KUBE, NULL, "listing %s anew, once more: %s", plural(inf), message);
		back_off(inf);
	} else {
		ao_debug(AO_KUBE, NULL, "listing %s anew: %s", plural(inf), message);
		start(inf, inf->next);
	}
}

static void use_pages(ao_informer *inf, const char *message)
{
	ao_debug(AO_KUBE, NULL, "%s: the server does not stream lists, using pages: %s", plural(inf), message);
	inf->next = inf->lists_by = PAGING;
	inf->streams--;
	start(inf, PAGING);
}

static void kind_is_absent(ao_informer *inf)
{
	inf->next = inf->lists_by;
	inf->failures = 0;
	rest(inf, ABSENT_MS);
	ao_store_set_version(inf->store, inf->namespace_, "");
	ao_store_mark(inf->store, inf->namespace_);
	sweep(inf, "");
	know(inf, ABSENT);
}

static void on_discovery(void *arg, bool absent, const char *message)
{
	ao_informer *inf = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&inf->frame);
	inf->discovery = NULL;
	if (absent)
		kind_is_absent(inf);
	else
		failed(inf, message);
}

/** A 404 alone empties no store. */
static void doubt_kind(ao_informer *inf)
{
	inf->phase = ASKING;
	inf->discovery = ao_discovery_start(inf->kube, inf->with.resource, on_discovery, inf);
}

/* ---- the end of a stream or a list ---- */

static outcome judge(const ao_informer *inf, int error, long status)
{
	if (status == 404)
		return MISSING;
	if (status == 403 && inf->with.patient && (inf->known == UNKNOWN || inf->known == FORBIDDEN))
		return SHUT_OUT;
	if (status == 410)
		return EXPIRED;
	return error ? FAILED : OVER;
}

/** A refusal of WatchList itself, rather than of us or at this moment. */
static bool is_refusal(long status)
{
	return status >= 400 && status < 500 && status != 401 && status != 403 && status != 408 && status != 429;
}

static outcome judge_stream(ao_informer *inf, const ao_watch_end *end)
{
	outcome how = judge(inf, end->error, end->status);
	if (how != FAILED && how != OVER)
		return how;
	if (inf->phase == WATCHING)
		return end->useless ? FAILED : how;
	bool unmarked = !end->error && ++inf->unlisted >= MAX_UNLISTED;
	return unmarked || is_refusal(end->status) || end->error == -E2BIG ? UNSTREAMED : FAILED;
}

/** Says what comes after a stream or a list. */
static void carry_on(ao_informer *inf, outcome how, const char *message)
{
	switch (how) {
	case OVER:
		start(inf, WATCHING);
		break;
	case MISSING:
		doubt_kind(inf);
		break;
	case SHUT_OUT:
		shut_out(inf, message);
		break;
	case EXPIRED:
		expired(inf, message);
		break;
	case UNSTREAMED:
		use_pages(inf, message);
		break;
	case FAILED:
		failed(inf, message);
		break;
	}
}

/* ---- the stream ---- */

static void on_event(void *arg, ao_watch_event event, ao_span object)
{
	ao_informer *inf = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&inf->frame);
	works(inf);
	ao_auto_str char *version = event == AO_WATCH_PUT ? put(inf, object) : version_of(object);
	if (event == AO_WATCH_DELETED)
		report_deleted(inf, ao_store_take(inf->store, object));
	else if (event == AO_WATCH_LISTED && inf->phase == STREAMING && version)
		finish_list(inf, version);
	/* what is sent initially has versions in no order */
	if (inf->phase == WATCHING && version)
		ao_store_set_version(inf->store, inf->namespace_, version);
}

static void on_watch_end(void *arg, const ao_watch_end *end)
{
	ao_informer *inf = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&inf->frame);
	inf->watch = NULL;
	if (end->error == -EPROTO || end->error == -E2BIG)
		inf->next = inf->lists_by; /* an event was lost */
	carry_on(inf, judge_stream(inf, end), end->error ? end->message : "the server ended it too early");
}

static void watch(ao_informer *inf)
{
	inf->streams++;
	inf->watch = ao_watch_start(&(ao_watch_request){
	    .kube = inf->kube,
	    .path = inf->path,
	    .metadata_only = ao_store_holds_metadata(inf->store),
	    .version = inf->phase == STREAMING ? NULL : ao_store_version(inf->store, inf->namespace_),
	    .on_event = on_event,
	    .on_end = on_watch_end,
	    .arg = inf,
	});
}

/* ---- pages ---- */

static void on_item(void *arg, ao_span object)
{
	ao_informer *inf = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&inf->frame);
	free(put(inf, object));
}

static void on_list_end(void *arg, const ao_kube_answer *answer, const char *version)
{
	ao_informer *inf = arg;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&inf->frame);
	inf->list = NULL;
	if (!answer->error) {
		works(inf);
		finish_list(inf, version);
	}
	if (!inf->frame.freed)
		carry_on(inf, judge(inf, answer->error, answer->status), answer->message);
}

static void list(ao_informer *inf)
{
	inf->list = ao_list_start(&(ao_list_request){.kube = inf->kube,
						     .resource = inf->with.resource,
						     .path = inf->path,
						     .metadata_only = ao_store_holds_metadata(inf->store),
						     .on_item = on_item,
						     .on_end = on_list_end,
						     .arg = inf});
}

static void start(ao_informer *inf, phase what)
{
	inf->phase = what;
	if (is_listing(inf))
		ao_store_mark(inf->store, inf->namespace_);
	if (what == PAGING)
		list(inf);
	else
		watch(inf);
}

/* ---- from outside ---- */

static char *collection_path(const ao_informer_options *options)
{
	ao_auto_str char *path = ao_resource_path(options->resource, options->namespace_, NULL, NULL);
	ao_buf out = ao_buf_init(64 * 1024);
	ao_buf_printf(&out, "%s?", path);
	if (options->label_selector) {
		ao_buf_puts(&out, "labelSelector=");
		ao_resource_put_value(&out, options->label_selector);
		ao_buf_puts(&out, "&");
	}
	return ao_buf_steal(&out);
}

ao_informer *ao_informer_new(ao_loop *loop, ao_kube *kube, const ao_informer_options *options)
{
	ao_informer *inf = ao_xcalloc(1, sizeof(*inf));
	ao_frame_init(&inf->frame, destroy, inf);
	inf->kube = kube;
	inf->with = *options;
	inf->with.namespace_ = inf->with.label_selector = NULL; /* borrowed until here */
	inf->namespace_ = ao_xstrdup(options->namespace_);
	inf->path = collection_path(options);
	inf->store = options->into ? ao_store_ref(options->into) : ao_store_new(&options->store);
	inf->timer = ao_timer_new(loop, on_timer, inf);
	inf->next = inf->lists_by = STREAMING;
	return inf;
}

void ao_informer_start(ao_informer *informer) { start(informer, informer->next); }

void ao_informer_free(ao_informer *inf)
{
	if (!inf || inf->frame.freed)
		return;
	ao_watch_free(inf->watch);
	ao_list_free(inf->list);
	ao_discovery_free(inf->discovery);
	ao_timer_free(inf->timer);
	ao_frame_free(&inf->frame);
}

ao_store *ao_informer_store(ao_informer *informer) { return informer->store; }
const ao_resource *ao_informer_resource(const ao_informer *informer) { return informer->with.resource; }
bool ao_informer_synced(const ao_informer *informer) { return informer->known != UNKNOWN; }
bool ao_informer_absent(const ao_informer *informer) { return is_away(informer->known); }
bool ao_informer_forbidden(const ao_informer *informer) { return informer->known == FORBIDDEN; }
uint64_t ao_informer_restarts(const ao_informer *informer) { return informer->streams ? informer->streams - 1 : 0; }
