/*
 * migrate.c -- takes parents from one profile to another, a few at a time, without a message lost.
 *
 * Nothing happens here but annotations: what follows from them is the operator's work, and the same when a person writes them.  First all
 * get names in the new profile, so that whoever is there already reaches those who are not.  Then one after the other is turned, and is
 * still to be reached by its old name.  When all are there, the old names go.  Whatever ends this verb, it goes on from there when it is
 * called again, and back when it is called with the other profile.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/migrate_plan.h"
#include "cli/own.h"
#include "cli/parents.h"
#include "reconcile/reconcile.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 500000
#define STALE_MS 15000 /* a trouble that is mended may be in a status for that long: the operator looks again after some seconds */
#define MAX_AT_ONCE 100

typedef struct migrate {
	ao_session session;
	ao_migrate_options options;
	ao_manifest *manifest;
	bool dry_run, keep_names;
	const char *at_once, *timeout;
	uint64_t timeout_ms;
	unsigned width;
	cJSON *rows; /* migrate_plan.h */
} migrate;

/* ---- annotations ---- */

static const char *annotation_of(const cJSON *object, const char *key) { return ao_json_str(object, "metadata", "annotations", key); }

static ao_kube_object about(const migrate *m, const cJSON *row)
{
	return (ao_kube_object){
	    .resource = &m->manifest->kinds[0].resource, .namespace_ = ao_json_str(row, "namespace"), .name = ao_json_str(row, "name")};
}

static char *path_of(const migrate *m, const cJSON *row)
{
	return ao_resource_path(&m->manifest->kinds[0].resource, ao_json_str(row, "namespace"), ao_json_str(row, "name"), NULL);
}

static int get(migrate *m, const cJSON *row, cJSON **ret, ao_err **reterr)
{
	return ao_parents_get(&m->session, m->manifest, ao_json_str(row, "namespace"), ao_json_str(row, "name"), ret, reterr);
}

/** Writes annotations: NULL leaves one alone, "" takes it off. */
static int annotate(migrate *m, const cJSON *row, const char *profile, const char *also, ao_err **reterr)
{
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	cJSON *annotations = ao_json_object(ao_json_object(patch, "metadata"), "annotations");
	if (profile)
		ao_json_set_str(annotations, m->manifest->profile_annotation, profile);
	if (also)
		ao_json_set(annotations, m->manifest->names_annotation, *also ? cJSON_CreateString(also) : cJSON_CreateNull());
	ao_auto_str char *path = path_of(m, row), *body = ao_json_print(patch);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s-migrate", path, m->manifest->component);
	return ao_session_send(
	    &m->session,
	    &(ao_kube_request){.method = "PATCH", .path = query, .content_type = AO_MERGE_PATCH, .body = body, .object = about(m, row)},
	    NULL, reterr);
}

static bool is_beside(const cJSON *row) { return strcmp(ao_json_str(row, "state"), AO_MIGRATE_BESIDE) == 0; }
static bool is_to_move(const cJSON *row) { return strcmp(ao_json_str(row, "state"), AO_MIGRATE_NEEDED) == 0; }
static bool is_on_its_way(const cJSON *row) { return strcmp(ao_json_str(row, "state"), AO_MIGRATE_UNDER_WAY) == 0; }

static void say(const cJSON *row, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const cJSON *row, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	printf("%s/%s: ", ao_json_str(row, "namespace"), ao_json_str(row, "name"));
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* ---- has it come? ---- */

static bool has_record(const cJSON *object, char *const *path, const char *name)
{
	const cJSON *record;
	cJSON_ArrayForEach (record, ao_json_at_path(object, path))
		if (ao_json_str(record, "name") && strcmp(ao_json_str(record, "name"), name) == 0)
			return true;
	return false;
}

/** Are the queues that a row goes to at their brokers? */
static bool has_queues(const migrate *m, const cJSON *row, const cJSON *object)
{
	const cJSON *queue;
	cJSON_ArrayForEach (queue, ao_json_at(row, "queues"))
		if (m->manifest->records_path && ao_json_str(queue, "to") &&
		    !has_record(object, m->manifest->records_path, ao_json_str(queue, "to")))
			return false;
	return true;
}

/** What keeps a queue from being empty, and how far it is. @return false: it is empty */
static bool is_draining(const migrate *m, const cJSON *object, const char **reason, const char **queue)
{
	const cJSON *record;
	bool draining = false;
	char *const *path = m->manifest->records_path;
	const cJSON *records = path ? ao_json_at_path(object, path) : NULL;
	cJSON_ArrayForEach (record, records) {
		const char *drain = ao_json_str(record, "drain"), *why = ao_json_str(record, "reason");
		if (why && drain && strcmp(drain, "waiting") != 0) { /* pods take the time that they take */
			*reason = why;
			*queue = ao_json_str(record, "name");
		}
		draining |= drain && (strcmp(drain, "waiting") == 0 || strcmp(drain, "moving") == 0);
	}
	return draining;
}

typedef enum { NOT_YET, COME, STUCK } progress;

/**
 * @param before  digest of what was rendered when it was turned; NULL: it is not known
 * @param took    since we began to look
 */
static progress look(const migrate *m, const cJSON *row, const cJSON *object, const char *before, uint64_t took)
{
	const char *reason = NULL, *queue = NULL;
	const cJSON *now = m->manifest->digest_path ? ao_json_at_path(object, m->manifest->digest_path) : NULL;
	bool rendered = !before || !cJSON_IsString(now) || strcmp(now->valuestring, before) != 0;
	bool draining = is_draining(m, object, &reason, &queue);
	if (rendered && reason && took >= STALE_MS) {
		say(row, "stopped: %s: %s; both queues stay", queue, reason);
		return STUCK;
	}
	return rendered && !draining && has_queues(m, row, object) && ao_status_is_ready(ao_json_at(object, "status")) ? COME : NOT_YET;
}

/* ---- the steps ---- */

/** All get their new names, before the first one is turned. No pod is touched by this. */
static int announce(migrate *m, ao_err **reterr)
{
	cJSON *row;
	uint64_t until = ao_mono_ms() + m->timeout_ms;
	cJSON_ArrayForEach (row, m->rows) {
		int r = is_to_move(row) || is_beside(row) ? annotate(m, row, NULL, m->options.to, reterr) : 0;
		if (r < 0)
			return r;
	}
	cJSON_ArrayForEach (row, m->rows) {
		while (is_to_move(row) || is_beside(row)) {
			ao_auto_json cJSON *object = NULL;
			int r = get(m, row, &object, reterr);
			if (r < 0)
				return r;
			if (has_queues(m, row, object))
				break;
			if (ao_mono_ms() > until)
				return ao_err_set(reterr, -ETIME, "%s/%s: its new queue is not there after %s s; is the operator running?",
						  ao_json_str(row, "namespace"), ao_json_str(row, "name"), m->timeout);
			usleep(POLL_US);
		}
	}
	return 0;
}

/** One that was turned, or is about to be. */
typedef struct turning {
	const cJSON *row; /* NULL: there is room for another one */
	char *before;
	uint64_t since_ms;
} turning;

static int turn(migrate *m, const cJSON *row, turning *ret, ao_err **reterr)
{
	ao_auto_json cJSON *object = NULL;
	int r = get(m, row, &object, reterr);
	const cJSON *digest = r == 0 && m->manifest->digest_path ? ao_json_at_path(object, m->manifest->digest_path) : NULL;
	if (r == 0 && is_to_move(row))
		r = annotate(m, row, m->options.to, ao_json_str(row, "from"), reterr);
	if (r < 0)
		return r;
	say(row, is_to_move(row) ? "turned to %s" : "is on its way to %s", m->options.to);
	*ret = (turning){row, is_to_move(row) && cJSON_IsString(digest) ? ao_xstrdup(digest->valuestring) : NULL, ao_mono_ms()};
	return 0;
}

static int follow(migrate *m, turning *t, ao_err **reterr)
{
	ao_auto_json cJSON *object = NULL;
	int r = get(m, t->row, &object, reterr);
	uint64_t took = ao_mono_ms() - t->since_ms;
	progress come = r == 0 ? look(m, t->row, object, t->before, took) : NOT_YET;
	if (r < 0 || come == STUCK)
		return r < 0 ? r
			     : ao_err_set(reterr, -EBUSY,
					  "nobody else is turned; call it again to go on, or with the other profile to go back");
	if (come == NOT_YET && took > m->timeout_ms)
		return ao_err_set(
		    reterr, -ETIME,
		    "%s/%s has not come to profile %s within %s s; nobody else is turned; call it again to go on, or with the "
		    "other profile to go back",
		    ao_json_str(t->row, "namespace"), ao_json_str(t->row, "name"), m->options.to, m->timeout);
	if (come == COME) {
		say(t->row, "is there after %" PRIu64 " s", took / 1000);
		free(t->before);
		*t = (turning){0};
	}
	return 0;
}

/** Turns one after the other, `width` of them at one time. */
static int turn_all(migrate *m, ao_err **reterr)
{
	turning *turnings = ao_xcalloc(m->width, sizeof(*turnings));
	const cJSON *row = m->rows->child;
	unsigned busy = 1;
	int r = 0;
	while (r == 0 && (row || busy)) {
		busy = 0;
		for (unsigned i = 0; r == 0 && i < m->width; i++) {
			while (row && !is_to_move(row) && !is_on_its_way(row))
				row = row->next;
			if (turnings[i].row) {
				r = follow(m, &turnings[i], reterr);
			} else if (row) {
				r = turn(m, row, &turnings[i], reterr);
				row = row->next;
			}
			busy += turnings[i].row != NULL;
		}
		if (r == 0 && busy)
			usleep(POLL_US);
	}
	for (unsigned i = 0; i < m->width; i++)
		free(turnings[i].before);
	free(turnings);
	return r;
}

/** Takes the old names off, when everybody of the namespace has the new ones. */
static int finish(migrate *m, ao_err **reterr)
{
	const cJSON *row;
	cJSON_ArrayForEach (row, m->rows) {
		ao_auto_json cJSON *object = NULL;
		if (cJSON_IsTrue(ao_json_at(row, "awaited")) || strcmp(ao_json_str(row, "state"), AO_MIGRATE_REFUSED) == 0)
			continue;
		int r = get(m, row, &object, reterr);
		if (r == 0 && annotation_of(object, m->manifest->names_annotation))
			r = annotate(m, row, NULL, "", reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static void count(const migrate *m, size_t *moved, size_t *awaited)
{
	const cJSON *row;
	cJSON_ArrayForEach (row, m->rows) {
		*moved += is_to_move(row) || is_on_its_way(row);
		*awaited += !is_beside(row) && cJSON_IsTrue(ao_json_at(row, "awaited"));
	}
}

static int carry_out(migrate *m, ao_err **reterr)
{
	size_t moved = 0, awaited = 0;
	count(m, &moved, &awaited);
	int r = announce(m, reterr);
	if (r == 0)
		r = turn_all(m, reterr);
	if (r < 0)
		return r;
	if (m->keep_names)
		printf("old names stay in use; take annotation %s off when nobody sends to them\n", m->manifest->names_annotation);
	else
		r = finish(m, reterr);
	if (r == 0 && awaited && !m->keep_names)
		printf("old names of %zu stay in use, because others of their namespaces have not been migrated\n", awaited);
	if (r == 0)
		printf("%zu migrated to profile %s\n", moved, m->options.to);
	return r;
}

/* ---- the verb ---- */

static int run(migrate *m, const ao_session_flags *flags, const ao_load_options *load, ao_err **reterr)
{
	ao_auto_json cJSON *config = NULL;
	ao_load_options with = *load;
	int r = ao_session_open(flags, &m->session, reterr);
	if (r == 0)
		r = ao_own_settings(&m->session, &with, &config, reterr);
	if (r == 0)
		r = ao_migrate_plan(&m->session, &with, &m->options, &m->manifest, &m->rows, reterr);
	if (r < 0)
		return r;
	if (m->dry_run) {
		ao_migrate_print(m->rows, &m->options, m->manifest->kinds[0].resource.plural);
		return 0;
	}
	ao_migrate_print(m->rows, &(ao_migrate_options){.output = AO_OUTPUT_TEXT, .to = m->options.to},
			 m->manifest->kinds[0].resource.plural);
	return carry_out(m, reterr);
}

static int check(migrate *m, ao_err **reterr)
{
	const ao_migrate_options *o = &m->options;
	char *end;
	unsigned long width = strtoul(m->at_once, &end, 10);
	if (!o->to)
		return ao_err_set(reterr, -EINVAL, "--to is missing: the profile to migrate to");
	if (o->names[0] && o->everywhere)
		return ao_err_set(reterr, -EINVAL, "names cannot be used with -A");
	if (!o->names[0] && !o->everywhere && !o->namespace_)
		return ao_err_set(reterr, -EINVAL, "say which ones: names, -n NAMESPACE for all in it, or -A; see --help");
	if (o->everywhere && o->namespace_)
		return ao_err_set(reterr, -EINVAL, "-A and -n exclude each other");
	if (*end || !width || width > MAX_AT_ONCE)
		return ao_err_set(reterr, -EINVAL, "--at-once: expected a number from 1 to %d", MAX_AT_ONCE);
	m->width = (unsigned)width;
	unsigned long seconds = strtoul(m->timeout, &end, 10);
	if (*end || !seconds || seconds > 1000000)
		return ao_err_set(reterr, -EINVAL, "--timeout: expected seconds");
	m->timeout_ms = (uint64_t)seconds * 1000;
	if (o->output != AO_OUTPUT_TEXT && !m->dry_run)
		return ao_err_set(reterr, -EINVAL, "-o is for --dry-run");
	return 0;
}

static int parse(migrate *m, ao_session_flags *session, ao_load_options *load, int argc, char **argv, ao_err **reterr)
{
	const char *output = "text";
	const ao_flag flags[] = {
	    {"to", 0, .text = &m->options.to, .value = "PROFILE", .help = "the profile to migrate to"},
	    {"dry-run", 0, .yes = &m->dry_run, .help = "print the plan and change nothing"},
	    {"namespace", 'n', .text = &m->options.namespace_, .value = "NS",
	     .help = "where the named ones are; without names: everything in it"},
	    {"all-namespaces", 'A', .yes = &m->options.everywhere, .help = "everything in all namespaces"},
	    {"at-once", 0, .text = &m->at_once, .value = "N", .help = "how many are turned at one time (default 1)"},
	    {"timeout", 0, .text = &m->timeout, .value = "SECONDS", .help = "for each one; then it stops (default 600)"},
	    {"keep-names", 0, .yes = &m->keep_names, .help = "old queues stay in use, for senders that are not ours"},
	    {"policies", 0, .text = &load->policies_dir, .value = "DIR", .help = "policy files that lie over those of the cluster"},
	    {"config", 0, .text = &load->config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    AO_OUTPUT_FLAG(&output, "text, name, json or yaml", "text"),
	    AO_SESSION_FLAGS(session),
	};
	static const ao_example examples[] = {
	    {"what would be done in one namespace", "migrate --to 0.4 --dry-run -n asya"},
	    {"one of them, to see how it goes", "migrate --to 0.4 -n asya resize"},
	    {"all, three at one time", "migrate --to 0.4 -A --at-once 3"},
	    {"back again", "migrate --to 0.1 -n asya resize"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){
		.usage = "migrate --to PROFILE [NAME...] [flags]",
		.about =
		    "Takes objects to another profile, whose queues have other names, without losing a message or stopping one of them.\n"
		    "The plan is printed first. Each gets its new queue; then, one at a time, its pods are replaced and the messages of\n"
		    "the old queue moved into the new one. An old queue goes when nobody can send to it any more, and only if the\n"
		    "operator made it. It stops where something does not go on, and goes on from there when it is called again; with the\n"
		    "other profile it goes back. The operator does the work: its annotations can be written by hand as well.",
		.flags = flags,
		.flag_count = AO_LEN(flags),
		.arguments = m->options.names,
		.argument = "NAME",
		.examples = examples},
	    argc, argv, reterr);
	m->options.output = ao_output_read(output);
	return r;
}

int ao_cli_migrate(int argc, char **argv)
{
	migrate m = {.options.names = ao_xcalloc((size_t)argc + 1, sizeof(char *)), .at_once = "1", .timeout = "600"};
	ao_session_flags session = {0};
	ao_load_options load = {.limits = AO_CLI_LIMITS};
	ao_err *err = NULL;
	int r = parse(&m, &session, &load, argc, argv, &err);
	bool usage = r < 0 || (r == 0 && check(&m, &err) < 0);
	if (r == 0 && !usage)
		r = run(&m, &session, &load, &err);
	bool refused = m.rows && ao_migrate_refused(m.rows);
	ao_session_close(&m.session);
	ao_manifest_free(m.manifest);
	cJSON_Delete(m.rows);
	free(m.options.names);
	return usage ? ao_cli_fail(err, 2) : r < 0 ? ao_cli_fail(err, 1) : refused ? 1 : 0;
}
