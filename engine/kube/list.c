/* list.c -- pages of 100; when such a page is larger than we take, pages of 10, then of 1. */
#include "kube/list.h"

#include "base/mem.h"
#include "loop/frame.h"

#include <ctype.h>
#include <string.h>

#define FIRST_LIMIT 100
#define MAX_PAGE (16u << 20)

struct ao_list {
	ao_list_request with;
	char *path;
	char *token; /* of the page to get; NULL: the first */
	unsigned limit;
	ao_kube_call *call;
	ao_frame frame;
};

static void get_page(ao_list *list);

static void destroy(void *arg)
{
	ao_list *list = arg;
	free(list->path);
	free(list->token);
	free(list);
}

void ao_list_free(ao_list *list)
{
	if (!list)
		return;
	if (list->call)
		ao_kube_cancel(list->call);
	ao_frame_free(&list->frame);
}

static void finish(ao_list *list, const ao_kube_answer *answer, const char *version)
{
	void (*on_end)(void *, const ao_kube_answer *, const char *) = list->with.on_end;
	void *arg = list->with.arg;
	destroy(list);
	on_end(arg, answer, version);
}

/** @return false when a callback freed the list */
static bool tell_items(ao_list *list, ao_span items)
{
	size_t cursor = 0;
	ao_span item;
	ao_auto_frame ao_frame *frame = ao_frame_enter(&list->frame);
	while (!frame->freed && ao_span_item(items, &cursor, &item))
		list->with.on_item(list->with.arg, item);
	return !frame->freed;
}

/** A server that sends metadata only says so; one that cannot sends the objects. */
static bool is_of_kind(const ao_list *list, ao_span page)
{
	ao_span version = ao_span_get(page, "apiVersion");
	return ao_span_is(version, list->with.resource->api_version) || (list->with.metadata_only && ao_span_is(version, "meta.k8s.io/v1"));
}

/** A page that is cut off, or is no list at all, would look like one on which nothing is. */
static bool is_page(const ao_list *list, ao_span page, ao_span items)
{
	ao_auto_str char *kind = ao_span_text(ao_span_get(page, "kind"));
	size_t cursor = 0, len = kind ? strlen(kind) : 0;
	ao_span item;
	while (ao_span_item(items, &cursor, &item))
		;
	bool whole = ao_span_ended(items, cursor) || (items.len == 4 && memcmp(items.at, "null", 4) == 0);
	return whole && ao_span_is_object(page) && is_of_kind(list, page) && len > 4 && strcmp(kind + len - 4, "List") == 0;
}

static void take_page(ao_list *list, const ao_kube_answer *answer)
{
	ao_span page = {answer->body, answer->body_len}, metadata = ao_span_get(page, "metadata"), items = ao_span_get(page, "items");
	ao_auto_str char *version = ao_span_text(ao_span_get(metadata, "resourceVersion"));
	if (!version || !is_page(list, page, items)) {
		ao_kube_answer wrong = *answer;
		wrong.error = -EPROTO;
		wrong.message = "the answer is not a valid list";
		finish(list, &wrong, NULL);
		return;
	}
	free(list->token);
	list->token = ao_span_text(ao_span_get(metadata, "continue"));
	if (!tell_items(list, items))
		return;
	if (list->token && *list->token)
		get_page(list);
	else
		finish(list, answer, version);
}

static void on_page(void *arg, const ao_kube_answer *answer)
{
	ao_list *list = arg;
	list->call = NULL;
	if (answer->error == -E2BIG && list->limit > 1) {
		list->limit /= 10;
		get_page(list);
	} else if (answer->error) {
		finish(list, answer, NULL);
	} else {
		take_page(list, answer);
	}
}

static void get_page(ao_list *list)
{
	ao_auto_buf ao_buf path = ao_buf_init(64 * 1024);
	ao_buf_printf(&path, "%slimit=%u", list->path, list->limit);
	if (list->token && *list->token)
		ao_buf_puts(&path, "&continue=");
	for (const char *c = list->token; c && *c; c++)
		if (isalnum((unsigned char)*c))
			ao_buf_put(&path, c, 1);
		else
			ao_buf_printf(&path, "%%%02X", (unsigned char)*c);
	list->call = ao_kube_send(list->with.kube, &(ao_kube_request){.method = "GET",
								      .path = path.data,
								      .metadata_only = list->with.metadata_only,
								      .max_body = MAX_PAGE,
								      .timeout_ms = 60000,
								      .fn = on_page,
								      .arg = list});
}

ao_list *ao_list_start(const ao_list_request *request)
{
	ao_list *list = ao_xcalloc(1, sizeof(*list));
	*list = (ao_list){.with = *request, .path = ao_xstrdup(request->path), .limit = FIRST_LIMIT};
	ao_frame_init(&list->frame, destroy, list);
	list->with.path = NULL;
	get_page(list);
	return list;
}
