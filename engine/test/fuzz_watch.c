/* fuzz_watch.c -- any bytes as the stream of a watch, in pieces of any size: lines do not depend on the cuts, and the store takes or refuses. */
#include "fuzz_wire.h"

#include "kube/config.h"
#include "kube/store.h"
#include "kube/watch.h"
#include "net/lines.h"

#define MAX_LINE 4096
#define PATIENCE_MS 50000 /* libFuzzer ends what takes 60 s; a machine may give little time to a nice process */

static int collect(void *arg, const char *line, size_t len)
{
	ao_buf *out = arg;
	ao_buf_put(out, line, len);
	ao_buf_puts(out, "\n");
	return 0;
}

/** What of the bytes are lines, and how reading them ended. */
static int lines_of(const uint8_t *data, size_t len, size_t piece, ao_buf *out)
{
	ao_lines lines = ao_lines_init(MAX_LINE);
	int r = 0;
	for (size_t at = 0; at < len && r == 0; at += piece)
		r = ao_lines_feed(&lines, (const char *)data + at, piece < len - at ? piece : len - at, collect, out);
	ao_lines_free(&lines);
	return r;
}

static void cuts_do_not_matter(const uint8_t *data, size_t len, size_t piece)
{
	ao_buf whole = ao_buf_init(FUZZ_WIRE_MAX * 2), pieces = ao_buf_init(FUZZ_WIRE_MAX * 2);
	bool fits = len <= MAX_LINE; /* a longer line is refused sooner or later, as it comes */
	int r = lines_of(data, len, len ? len : 1, &whole), r_pieces = lines_of(data, len, piece, &pieces);
	bool same = whole.len == pieces.len && (!whole.len || memcmp(whole.data, pieces.data, whole.len) == 0);
	ao_require(!fits || (r == 0 && r_pieces == 0 && same));
	ao_buf_free(&whole);
	ao_buf_free(&pieces);
}

typedef struct seen {
	ao_store *store;
	bool ended;
} seen;

static void on_event(void *arg, ao_watch_event event, ao_span object)
{
	seen *s = arg;
	const ao_object *put = NULL;
	ao_object *before = NULL;
	ao_auto_err ao_err *err = NULL;
	if (event == AO_WATCH_PUT) {
		int r = ao_store_swap(s->store, object, true, &put, &before, &err);
		ao_require(r != 0 || (put && *put->key && *put->uid));
		ao_object_free(before);
	} else if (event == AO_WATCH_DELETED) {
		ao_object_free(ao_store_take(s->store, object));
	}
}

static void on_end(void *arg, const ao_watch_end *end)
{
	ao_require(end->message != NULL || !end->error);
	((seen *)arg)->ended = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static fuzz_wire wire;
	static ao_loop *loop;
	static ao_kube *kube;
	static ao_kubeconfig config;
	if (len < 1 || len > FUZZ_WIRE_MAX / 2)
		return 0;
	if (!loop) {
		fuzz_wire_start(&wire);
		loop = ao_loop_new();
		config.server = ao_xasprintf("http://127.0.0.1:%d", wire.port);
		config.source = "fuzz";
		ao_require(ao_kube_new(loop, &config, "fuzz", &kube, NULL) == 0);
	}
	size_t piece = 1 + data[0];
	cuts_do_not_matter(data + 1, len - 1, piece);
	fuzz_wire_say(&wire, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n", data + 1, len - 1, piece);
	seen s = {.store = ao_store_new(&(ao_store_options){.index_label = "asya.sh/asya"})};
	ao_watch_start(
	    &(ao_watch_request){.kube = kube, .path = "/api/v1/pods?", .version = "1", .on_event = on_event, .on_end = on_end, .arg = &s});
	ao_require(ao_loop_run_until(loop, &s.ended, PATIENCE_MS));
	ao_store_free(s.store);
	return 0;
}
