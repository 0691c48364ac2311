/* watch.c -- the stream's pieces are cut into lines, each line into type and object; no tree is built.
 *
 * A watch may be silent for as long as nothing happens: no server promises bookmarks.  Whether its connection still lives is net/http.c's to
 * find out.  The server is asked to end the stream after some minutes; one that it has forgotten to end, we end a little later. */
#include "kube/watch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "loop/backoff.h"
#include "loop/frame.h"
#include "net/lines.h"

#include <string.h>

#define MAX_LINE (8u << 20)
#define SHORTEST_S 300u
#define LONGEST_S 600u
#define GRACE_S 30
#define USELESS_MS 1000

struct ao_watch {
	ao_watch_request with;
	ao_kube_call *call;
	ao_lines lines;
	uint64_t started_ms;
	long error_code; /* of an ERROR event, with its message */
	char *error_message;
	ao_frame frame;
};

static void destroy(void *arg)
{
	ao_watch *w = arg;
	ao_lines_free(&w->lines);
	free(w->error_message);
	free(w);
}

void ao_watch_free(ao_watch *w)
{
	if (!w)
		return;
	if (w->call)
		ao_kube_cancel(w->call);
	ao_frame_free(&w->frame);
}

/** @return 0, or -ECANCELED when the callback freed the watch */
static int tell(ao_watch *w, ao_watch_event event, ao_span object)
{
	ao_auto_frame ao_frame *frame = ao_frame_enter(&w->frame);
	w->with.on_event(w->with.arg, event, object);
	return frame->freed ? -ECANCELED : 0;
}

static int take_error(ao_watch *w, ao_span status)
{
	w->error_code = (long)ao_span_int(ao_span_get(status, "code"), 500);
	w->error_message = ao_span_text(ao_span_get(status, "message"));
	return w->error_code == 410 ? -ESTALE : -EIO;
}

/**
 * The object of an event.  A server writes the type, then the object and nothing else, so where that one ends is known without a look at it;
 * whoever takes it sees whether it is whole.
 */
static ao_span object_of(ao_span event, ao_span type)
{
	static const char BETWEEN[] = ",\"object\":{";
	const char *after = type.at + type.len, *end = event.at + event.len;
	size_t rest = (size_t)(end - after), len = sizeof(BETWEEN) - 1;
	if (rest > len + 2 && memcmp(after, BETWEEN, len) == 0 && end[-1] == '}' && end[-2] == '}')
		return (ao_span){after + len - 1, rest - len};
	return ao_span_get(event, "object");
}

static int on_line(void *arg, const char *line, size_t len)
{
	ao_watch *w = arg;
	ao_span event = {line, len}, type = ao_span_get(event, "type"), object = type.at ? object_of(event, type) : (ao_span){0};
	if (!type.at || !object.at)
		return -EPROTO;
	if (ao_span_is(type, "ADDED") || ao_span_is(type, "MODIFIED"))
		return tell(w, AO_WATCH_PUT, object);
	if (ao_span_is(type, "DELETED"))
		return tell(w, AO_WATCH_DELETED, object);
	if (ao_span_is(type, "ERROR"))
		return take_error(w, object);
	if (!ao_span_is(type, "BOOKMARK"))
		return 0; /* a type of the future */
	ao_span listed = ao_span_at(object, "metadata", "annotations", "k8s.io/initial-events-end");
	return tell(w, ao_span_is(listed, "true") ? AO_WATCH_LISTED : AO_WATCH_BOOKMARK, object);
}

static int on_data(void *arg, const char *bytes, size_t len)
{
	ao_watch *w = arg;
	return ao_lines_feed(&w->lines, bytes, len, on_line, w);
}

static void on_done(void *arg, const ao_kube_answer *answer)
{
	ao_watch *w = arg;
	ao_watch_end end = {.error = answer->error, .status = answer->status, .message = answer->message};
	ao_auto_str char *message = w->error_message;
	w->error_message = NULL;
	if (w->error_code) {
		end.status = w->error_code;
		end.message = message ? message : "the server ended the watch";
	}
	if (!end.error && w->lines.carry.len) {
		end.error = -EIO;
		end.message = "it ended within an event";
	}
	end.useless = ao_mono_ms() - w->started_ms < USELESS_MS;
	void (*on_end)(void *, const ao_watch_end *) = w->with.on_end;
	void *on_end_arg = w->with.arg;
	destroy(w);
	on_end(on_end_arg, &end);
}

/** The server is asked to end the streams of all clients at different times. */
static unsigned random_timeout(void) { return SHORTEST_S + (unsigned)ao_jitter_ms((LONGEST_S - SHORTEST_S) * 1000) / 1000; }

ao_watch *ao_watch_start(const ao_watch_request *request)
{
	ao_watch *w = ao_xcalloc(1, sizeof(*w));
	*w = (ao_watch){.with = *request, .lines = ao_lines_init(MAX_LINE), .started_ms = ao_mono_ms()};
	ao_frame_init(&w->frame, destroy, w);
	unsigned seconds = random_timeout();
	const char *initial = request->version ? "" : "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
	ao_auto_str char *path = ao_xasprintf("%swatch=1&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s%s", request->path,
					      seconds, request->version ? request->version : "", initial);
	w->with.path = w->with.version = NULL; /* borrowed until here */
	w->call = ao_kube_send(request->kube, &(ao_kube_request){
						  .method = "GET",
						  .path = path,
						  .metadata_only = request->metadata_only,
						  .fn = on_done,
						  .on_data = on_data,
						  .timeout_ms = (seconds + GRACE_S) * 1000,
						  .arg = w,
					      });
	return w;
}
