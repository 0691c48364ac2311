/* debug.c -- the pages: an index, a list, one parent, and what was recorded. */
#include "operator/debug.h"

#include "base/mem.h"

#include <string.h>

/** What the keys of parents look like. */
static const char *key_of(const ao_debug *debug) { return debug->manifest->kinds[0].resource.cluster_scoped ? "NAME" : "NAMESPACE/NAME"; }

static void put_index(const ao_debug *debug, ao_server_reply *reply)
{
	const char *path = debug->manifest->debug_path, *key = key_of(debug);
	ao_buf_printf(&reply->body, "/debug/%s/                  names\n/debug/%s/%s    snapshot, plan and times of one\n", path, path,
		      key);
	if (debug->recorder)
		ao_buf_puts(&reply->body, "/debug/records/                 files of --record\n");
}

static void put_list(const ao_debug *debug, ao_server_reply *reply)
{
	size_t cursor = 0;
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(debug->world), &cursor));)
		if (!parent->stub)
			ao_buf_printf(&reply->body, "/debug/%s/%s\n", debug->manifest->debug_path, parent->key);
}

static void put_parent(const ao_debug *debug, const ao_object *parent, ao_server_reply *reply)
{
	ao_auto_json cJSON *snapshot = NULL, *times = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_reconciler_tell(debug->reconciler, parent, &snapshot, &times, &err) < 0) {
		reply->status = 500;
		ao_buf_printf(&reply->body, "%s\n", ao_err_text(err));
		return;
	}
	ao_auto_json cJSON *record = ao_record_make(debug->bundle_of(debug->arg, parent), snapshot);
	ao_json_set(record, "times", AO_TAKE(times));
	ao_auto_str char *text = ao_json_pretty(record);
	reply->content_type = "application/json";
	ao_buf_puts(&reply->body, text);
}

/** @param name  what follows "/records/", or NULL */
static void put_records(const ao_recorder *recorder, const char *name, ao_server_reply *reply)
{
	ao_auto_err ao_err *err = NULL;
	if (!recorder) {
		reply->status = 404;
		ao_buf_puts(&reply->body, "nothing is recorded: the operator runs without --record DIR\n");
		return;
	}
	if (!name || !*name) {
		ao_recorder_list(recorder, "/debug/records/", &reply->body);
		return;
	}
	int r = ao_recorder_read(recorder, name, &reply->body, &err);
	reply->content_type = r == 0 ? "application/json" : reply->content_type;
	if (r < 0) {
		ao_buf_clear(&reply->body);
		reply->status = r == -ENOENT ? 404 : 500;
		ao_buf_printf(&reply->body, "%s; /debug/records/ lists all\n", ao_err_text(err));
	}
}

void ao_debug_reply(const ao_debug *debug, const char *rest, ao_server_reply *reply)
{
	const char *path = debug->manifest ? debug->manifest->debug_path : "";
	size_t len = strlen(path);
	if (strcmp(rest, "/records") == 0 || strncmp(rest, "/records/", 9) == 0) {
		put_records(debug->recorder, rest[8] ? rest + 9 : NULL, reply);
		return;
	}
	if (!debug->manifest || !debug->reconciler) {
		reply->status = 503;
		ao_buf_puts(&reply->body, "this process does not lead, so it knows no objects; ask the process that leads\n");
		return;
	}
	if (strcmp(rest, "") == 0 || strcmp(rest, "/") == 0) {
		put_index(debug, reply);
		return;
	}
	bool named = rest[0] == '/' && strncmp(rest + 1, path, len) == 0 && (rest[1 + len] == '/' || !rest[1 + len]);
	const char *key = named && rest[1 + len] ? rest + 2 + len : "";
	const ao_object *parent = *key ? ao_store_get(ao_world_parents(debug->world), key) : NULL;
	if (parent) {
		put_parent(debug, parent, reply);
	} else if (named && !*key) {
		put_list(debug, reply);
	} else {
		reply->status = 404;
		ao_buf_printf(&reply->body,
			      named ? "no such object; /debug/%s/ lists all as %s\n" : "no such page; there is /debug/%s/%s\n", path,
			      key_of(debug));
	}
}
