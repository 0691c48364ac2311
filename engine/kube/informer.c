/*
 * informer.c -- list, then watch, then watch again from where it ended.
 *
 * Two ways to list.  WatchList: one stream that first sends what there is, up to a marked bookmark, and goes on as the watch.  Pages: where
 * the server refuses that.  Both mark what they see; what was in the store and not seen is gone.
 */
#include "kube/informer.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE "100"
#define MAX_PAGE (64 * 1024 * 1024)
#define MAX_LINE (8 * 1024 * 1024)
#define SILENCE_MS 90000
#define FIRST_BACKOFF_MS 800
#define MAX_BACKOFF_MS 30000
#define QUIET_MS 120000
#define ABSENT_MS 30000

struct ao_informer {
	ao_loop *loop;
	ao_kube *kube;
	ao_informer_options with;
	char *namespace_, *label_selector;
	ao_store *store;
	ao_map *seen; /* keys of the list that is running; NULL between lists */
	ao_kube_call *call;
	ao_timer *timer;
	ao_lines lines;
	char *version; /* to resume from; NULL: list first */
	char *next_page;
	bool paged; /* the server refused WatchList */
	bool synced, absent, told;
	bool expired; /* an ERROR event said 410 */
	uint64_t backoff_ms, failed_ms, streams;
	uint64_t events; /* in the stream that is open */
};

static void list_or_watch(ao_informer *inf);

/* ---- what changed ---- */

static void report(ao_informer *inf, ao_change change, const ao_object *object, const ao_object *before)
{
	if (inf->with.on_change)
		inf->with.on_change(inf->with.arg, inf, change, object, before);
}

static void remove_object(ao_informer *inf, const char *key)
{
	const ao_object *object = ao_store_get(inf->store, key);
	if (!object)
		return;
	/* out of the indexes first, so that whoever is told finds it gone; a copy of the struct keeps it readable */
	ao_store *parked = ao_store_new(&inf->with.store);
	const ao_object *copy = NULL;
	ao_span text = {object->text, object->len};
	bool readable = ao_store_put(parked, text, &copy, NULL) == 0;
	ao_store_remove(inf->store, key);
	if (readable)
		report(inf, AO_DELETED, copy, NULL);
	ao_store_free(parked);
}

static void put_object(ao_informer *inf, ao_span text)
{
	ao_auto_str char *namespace_ = ao_span_text(ao_span_at(text, "metadata", "namespace"));
	ao_auto_str char *name = ao_span_text(ao_span_at(text, "metadata", "name"));
	ao_auto_str char *key = namespace_ ? ao_xasprintf("%s/%s", namespace_, name ? name : "") : ao_xstrdup(name ? name : "");
	const ao_object *old = ao_store_get(inf->store, key), *object = NULL;
	ao_object before = {0};
	bool existed = old != NULL;
	if (old)
		before = (ao_object){.spec_digest = old->spec_digest, .full_digest = old->full_digest, .generation = old->generation};
	ao_auto_err ao_err *err = NULL;
	int r = ao_store_put(inf->store, text, &object, &err);
	if (r == -EINVAL)
		ao_warn(AO_KUBE, key, "%s skipped: %s", inf->with.resource->kind, ao_err_text(err));
	if (r < 0)
		return;
	if (inf->seen)
		ao_map_put(inf->seen, key, inf);
	if (!existed)
		report(inf, AO_ADDED, object, NULL);
	else if (before.full_digest != object->full_digest)
		report(inf, AO_UPDATED, object, &before);
}

static void delete_object(ao_informer *inf, ao_span text)
{
	ao_auto_str char *namespace_ = ao_span_text(ao_span_at(text, "metadata", "namespace"));
	ao_auto_str char *name = ao_span_text(ao_span_at(text, "metadata", "name"));
	ao_auto_str char *key = namespace_ ? ao_xasprintf("%s/%s", namespace_, name ? name : "") : ao_xstrdup(name ? name : "");
	if (inf->seen)
		ao_map_remove(inf->seen, key);
	remove_object(inf, key);
}

/* ---- lists ---- */

static void begin_list(ao_informer *inf)
{
	ao_map_free(inf->seen);
	inf->seen = ao_map_new();
	free(inf->version);
	inf->version = NULL;
}

/** Everything was listed: what was not seen is gone. */
static void end_list(ao_informer *inf)
{
	size_t cursor = 0, count = 0;
	char **gone = ao_xcalloc(ao_store_count(inf->store) + 1, sizeof(*gone));
	for (const ao_object *object; inf->seen && (object = ao_store_next(inf->store, &cursor));)
		if (!ao_map_get(inf->seen, object->key))
			gone[count++] = ao_xstrdup(object->key);
	ao_map_free(inf->seen);
	inf->seen = NULL;
	for (size_t i = 0; i < count; i++) {
		remove_object(inf, gone[i]);
		free(gone[i]);
	}
	free(gone);
	bool tell = !inf->synced || inf->absent;
	inf->synced = true;
	inf->absent = false;
	if (tell && inf->with.on_synced)
		inf->with.on_synced(inf->with.arg, inf, false);
}

static void become_absent(ao_informer *inf)
{
	bool tell = !inf->absent;
	begin_list(inf);
	inf->absent = true; /* first, so that end_list() would not be needed to say it */
	size_t cursor = 0;
	const ao_object *object;
	while (cursor = 0, (object = ao_store_next(inf->store, &cursor))) {
		ao_auto_str char *key = ao_xstrdup(object->key);
		remove_object(inf, key);
	}
	ao_map_free(inf->seen);
	inf->seen = NULL;
	inf->synced = true;
	if (tell && inf->with.on_synced)
		inf->with.on_synced(inf->with.arg, inf, true);
}

/* ---- trying again ---- */

static void again_after(ao_informer *inf, uint64_t ms) { ao_timer_start(inf->timer, ms); }

static void back_off(ao_informer *inf)
{
	uint64_t now = ao_mono_ms();
	if (now - inf->failed_ms > QUIET_MS)
		inf->backoff_ms = FIRST_BACKOFF_MS;
	inf->failed_ms = now;
	uint64_t wait = inf->backoff_ms + (uint64_t)rand() % (inf->backoff_ms + 1);
	inf->backoff_ms = inf->backoff_ms * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : inf->backoff_ms * 2;
	again_after(inf, wait > MAX_BACKOFF_MS ? MAX_BACKOFF_MS : wait);
}

static void on_timer(void *arg) { list_or_watch(arg); }

/** A request failed. */
static void failed(ao_informer *inf, const ao_kube_answer *answer)
{
	const char *kind = inf->with.resource->kind;
	if (answer->status == 404) {
		become_absent(inf);
		again_after(inf, ABSENT_MS);
	} else if (answer->status == 410 || inf->expired) {
		ao_debug(AO_KUBE, NULL, "%s: version expired, listing again", kind);
		inf->expired = false;
		begin_list(inf);
		again_after(inf, 1);
	} else {
		ao_warn(AO_KUBE, NULL, "cannot watch %s, trying again: %s", inf->with.resource->plural, answer->message);
		back_off(inf);
	}
}

/* ---- the stream ---- */

static void bookmark(ao_informer *inf, ao_span object)
{
	ao_span end = ao_span_at(object, "metadata", "annotations", "k8s.io/initial-events-end");
	char *version = ao_span_text(ao_span_at(object, "metadata", "resourceVersion"));
	if (version) {
		free(inf->version);
		inf->version = version;
	}
	if (inf->seen && ao_span_is(end, "true"))
		end_list(inf);
}

/** Objects of the initial list carry versions of their own: only after it they say how far we are. */
static void advance(ao_informer *inf, ao_span object)
{
	if (inf->seen)
		return;
	char *version = ao_span_text(ao_span_at(object, "metadata", "resourceVersion"));
	if (!version)
		return;
	free(inf->version);
	inf->version = version;
}

static int on_line(void *arg, const char *line, size_t len)
{
	ao_informer *inf = arg;
	ao_span event = {line, len}, type = ao_span_get(event, "type"), object = ao_span_get(event, "object");
	inf->events++;
	if (ao_span_is(type, "ADDED") || ao_span_is(type, "MODIFIED")) {
		advance(inf, object);
		put_object(inf, object);
	} else if (ao_span_is(type, "DELETED")) {
		advance(inf, object);
		delete_object(inf, object);
	} else if (ao_span_is(type, "BOOKMARK")) {
		bookmark(inf, object);
	} else if (ao_span_is(type, "ERROR")) {
		long long code = ao_span_int(ao_span_get(object, "code"), 0);
		inf->expired = code == 410;
		return code == 410 ? -ESTALE : -EIO;
	} else {
		return -EPROTO;
	}
	return 0;
}

static int on_data(void *arg, const char *bytes, size_t len)
{
	ao_informer *inf = arg;
	return ao_lines_feed(&inf->lines, bytes, len, on_line, inf);
}

static void on_stream_end(void *arg, const ao_kube_answer *answer)
{
	ao_informer *inf = arg;
	inf->call = NULL;
	ao_lines_free(&inf->lines);
	inf->lines = ao_lines_init(MAX_LINE);
	bool listing = inf->seen != NULL;
	if (listing && answer->status >= 400 && answer->status < 500 && answer->status != 404 && answer->status != 410 &&
	    answer->status != 429 && !inf->paged) {
		ao_debug(AO_KUBE, NULL, "%s: the server does not stream lists, using pages", inf->with.resource->plural);
		inf->paged = true;
		again_after(inf, 1);
	} else if (answer->error || inf->expired) {
		failed(inf, answer);
	} else {
		/* the server ends each watch after some minutes; one that ends at once is a fault */
		if (inf->events)
			again_after(inf, 1);
		else
			back_off(inf);
	}
}

static void open_stream(ao_informer *inf)
{
	ao_auto_str char *path = ao_resource_path(inf->with.resource, inf->namespace_, NULL, NULL);
	ao_auto_str char *selector = inf->label_selector ? ao_xasprintf("&labelSelector=%s", inf->label_selector) : ao_xstrdup("");
	ao_auto_str char *start = inf->version ? ao_xasprintf("&resourceVersion=%s", inf->version)
					       : ao_xstrdup("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=");
	ao_auto_str char *query =
	    ao_xasprintf("%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d%s%s", path, 300 + rand() % 300, start, selector);
	inf->streams++;
	inf->events = 0;
	inf->call = ao_kube_send(inf->kube, &(ao_kube_request){
						.method = "GET",
						.path = query,
						.fn = on_stream_end,
						.on_data = on_data,
						.silence_ms = SILENCE_MS,
						.arg = inf,
					    });
}

/* ---- pages ---- */

static void get_page(ao_informer *inf);

static void take_page(ao_informer *inf, ao_span page)
{
	size_t cursor = 0;
	ao_span items = ao_span_get(page, "items"), item;
	while (ao_span_item(items, &cursor, &item))
		put_object(inf, item);
	free(inf->next_page);
	inf->next_page = ao_span_text(ao_span_at(page, "metadata", "continue"));
	if (inf->next_page && *inf->next_page) {
		get_page(inf);
		return;
	}
	inf->version = ao_span_text(ao_span_at(page, "metadata", "resourceVersion"));
	end_list(inf);
	list_or_watch(inf);
}

static void on_page(void *arg, const ao_kube_answer *answer)
{
	ao_informer *inf = arg;
	inf->call = NULL;
	if (answer->error == 0) {
		take_page(inf, (ao_span){answer->body, answer->body_len});
		return;
	}
	free(inf->next_page); /* an expired continue token starts over */
	inf->next_page = NULL;
	begin_list(inf);
	failed(inf, answer);
}

static char *escape(const char *text)
{
	ao_buf out = ao_buf_init(64 * 1024);
	for (; *text; text++)
		if (strchr("%&+=/ ", *text))
			ao_buf_printf(&out, "%%%02X", (unsigned char)*text);
		else
			ao_buf_put(&out, text, 1);
	return ao_buf_steal(&out);
}

static void get_page(ao_informer *inf)
{
	ao_auto_str char *path = ao_resource_path(inf->with.resource, inf->namespace_, NULL, NULL);
	ao_auto_str char *token = inf->next_page ? escape(inf->next_page) : NULL;
	ao_auto_str char *query =
	    ao_xasprintf("%s?limit=" PAGE_SIZE "%s%s%s%s", path, token ? "&continue=" : "", token ? token : "",
			 inf->label_selector ? "&labelSelector=" : "", inf->label_selector ? inf->label_selector : "");
	inf->call =
	    ao_kube_send(inf->kube, &(ao_kube_request){.method = "GET", .path = query, .fn = on_page, .max_body = MAX_PAGE, .arg = inf});
}

static void list_or_watch(ao_informer *inf)
{
	if (!inf->version)
		begin_list(inf);
	if (inf->version || !inf->paged)
		open_stream(inf);
	else
		get_page(inf);
}

/* ---- from outside ---- */

ao_informer *ao_informer_new(ao_loop *loop, ao_kube *kube, const ao_informer_options *options)
{
	ao_informer *inf = ao_xcalloc(1, sizeof(*inf));
	inf->loop = loop;
	inf->kube = kube;
	inf->with = *options;
	inf->namespace_ = ao_xstrdup(options->namespace_);
	inf->label_selector = options->label_selector ? escape(options->label_selector) : NULL;
	inf->store = ao_store_new(&options->store);
	inf->timer = ao_timer_new(loop, on_timer, inf);
	inf->lines = ao_lines_init(MAX_LINE);
	inf->backoff_ms = FIRST_BACKOFF_MS;
	return inf;
}

void ao_informer_start(ao_informer *informer) { list_or_watch(informer); }

void ao_informer_free(ao_informer *inf)
{
	if (!inf)
		return;
	if (inf->call)
		ao_kube_cancel(inf->call);
	ao_timer_free(inf->timer);
	ao_lines_free(&inf->lines);
	ao_map_free(inf->seen);
	ao_store_free(inf->store);
	free(inf->namespace_);
	free(inf->label_selector);
	free(inf->version);
	free(inf->next_page);
	free(inf);
}

ao_store *ao_informer_store(ao_informer *informer) { return informer->store; }
const ao_resource *ao_informer_resource(const ao_informer *informer) { return informer->with.resource; }
bool ao_informer_synced(const ao_informer *informer) { return informer->synced; }
bool ao_informer_absent(const ao_informer *informer) { return informer->absent; }
uint64_t ao_informer_restarts(const ao_informer *informer) { return informer->streams ? informer->streams - 1 : 0; }
