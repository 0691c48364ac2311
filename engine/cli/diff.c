/*
 * diff.c -- what a bundle would change in the live cluster, before anyone applies it.  The server itself says so in a dry run.
 *
 * The world is listed as the operator lists it, and each parent is planned.  Each child that is not as planned is sent with dryRun=All.
 * The answer has the server's defaults.  It is compared with what is there.
 */
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/page.h"
#include "cli/session.h"
#include "kube/apply.h"
#include "policy/plan.h"
#include "reconcile/world.h"
#include "json/difference.h"

#include <stdio.h>
#include <string.h>

#define SYNC_MS 60000
#define ANSWER_MS 40000
#define FILES_MS 5000

typedef struct diff {
	ao_session session;
	ao_loaded loaded;
	ao_openapi *openapi;
	ao_world *world;
	const char *namespace_; /* only parents of this one; NULL: all */
	bool synced, fetched;
	cJSON *changes; /* [{kind, namespace, name, action, fields}] */
	size_t parents, failed;
} diff;

/* ---- the world ---- */

static void ignore_key(void *arg, const char *key) { (void)arg, (void)key; }
static void ignore_shared(void *arg, const ao_kind *kind, const char *key) { (void)arg, (void)kind, (void)key; }
static void set_true(void *arg) { *(bool *)arg = true; }

static int list_world(diff *d, ao_err **reterr)
{
	ao_world_listener listener = {ignore_key, ignore_key, ignore_shared, set_true, NULL, &d->synced};
	d->world = ao_world_new(d->session.loop, d->session.kube, d->loaded.manifest, &d->session.scope, &listener);
	ao_world_start(d->world);
	ao_openapi_refresh(d->openapi, set_true, &d->fetched);
	if (!ao_loop_run_until(d->session.loop, &d->synced, SYNC_MS))
		return ao_err_set(reterr, -EIO, "the API server %s did not list everything within a minute", d->session.config->server);
	ao_loop_run_until(d->session.loop, &d->fetched, ANSWER_MS);
	return 0;
}

/* ---- one child ---- */

/** @param fields  taken; NULL: none. @return the fields, borrowed */
static cJSON *add_change(diff *d, const cJSON *object, const char *action, cJSON *fields)
{
	cJSON *change = cJSON_CreateObject();
	ao_json_set_str(change, "kind", ao_json_str(object, "kind"));
	ao_json_set_str(change, "namespace", ao_json_str(object, "metadata", "namespace"));
	ao_json_set_str(change, "name", ao_json_str(object, "metadata", "name"));
	ao_json_set_str(change, "action", action);
	fields = fields ? fields : cJSON_CreateArray();
	ao_json_set(change, "fields", fields);
	cJSON_AddItemToArray(d->changes, change);
	return fields;
}

typedef struct trial {
	bool done;
	int code;
	cJSON *object;
	ao_err *err;
} trial;

static void on_tried(void *arg, const ao_kube_answer *answer, bool created)
{
	trial *t = arg;
	t->done = true;
	t->code = answer->error ? ao_kube_answer_err(answer, created ? "create" : "apply", &t->err)
				: ao_json_parse(answer->body, answer->body_len, &t->object, &t->err);
}

/** Leaves out the fields that only the server writes: they say nothing about a change. */
static void drop_servers_own(cJSON *object)
{
	static const char *const OWN[] = {"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"};
	cJSON_DeleteItemFromObjectCaseSensitive(object, "status");
	for (size_t i = 0; i < AO_LEN(OWN); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(ao_json_at(object, "metadata"), OWN[i]);
}

static void try_child(diff *d, const cJSON *desired)
{
	const ao_kind *kind = ao_manifest_kind(d->loaded.manifest, desired);
	const ao_object *observed = ao_world_find(d->world, kind, desired);
	ao_auto_json cJSON *before = NULL;
	if (observed && (ao_world_tree(kind, observed, &before, NULL) < 0 || ao_apply_equal(desired, before, NULL)))
		return;
	trial t = {0};
	ao_apply *apply = ao_apply_start(&(ao_apply_request){.kube = d->session.kube,
							     .resource = &kind->resource,
							     .desired = desired,
							     .observed = observed,
							     .manager = d->loaded.manifest->field_manager,
							     .legacy_managers = (const char *const *)d->loaded.manifest->legacy_managers,
							     .dry_run = true,
							     .fn = on_tried,
							     .arg = &t});
	if (!ao_loop_run_until(d->session.loop, &t.done, ANSWER_MS))
		ao_apply_cancel(apply);
	if (t.code < 0 || !t.object) {
		cJSON *field = cJSON_CreateObject();
		ao_json_set_str(field, "path", t.err ? ao_err_text(t.err) : "no answer");
		cJSON_AddItemToArray(add_change(d, desired, "refused", NULL), field);
		d->failed++;
	} else if (!observed) {
		add_change(d, desired, "created", NULL);
	} else {
		drop_servers_own(before);
		drop_servers_own(t.object);
		ao_auto_json cJSON *fields = ao_json_differences(before, t.object);
		if (cJSON_GetArraySize(fields))
			add_change(d, desired, "changed", AO_TAKE(fields));
	}
	cJSON_Delete(t.object);
	ao_err_free(t.err);
}

/* ---- one parent ---- */

typedef struct leftovers {
	diff *d;
	const cJSON *plan;
} leftovers;

static bool named(const cJSON *list, const char *inner, const char *kind, const char *name)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, list) {
		const cJSON *object = inner ? ao_json_at(item, inner) : item;
		const char *k = ao_json_str(object, "kind"),
			   *n = inner ? ao_json_str(object, "metadata", "name") : ao_json_str(object, "name");
		if (k && n && strcmp(k, kind) == 0 && strcmp(n, name) == 0)
			return true;
	}
	return false;
}

static void find_leftover(void *arg, const ao_kind *kind, const ao_object *object)
{
	leftovers *l = arg;
	ao_auto_json cJSON *tree = NULL;
	if (object->deleting || named(ao_json_at(l->plan, "objects"), "object", kind->resource.kind, object->name) ||
	    named(ao_json_at(l->plan, "kept"), NULL, kind->resource.kind, object->name))
		return;
	if (ao_world_tree(kind, object, &tree, NULL) == 0)
		add_change(l->d, tree, "deleted", NULL);
}

static void diff_parent(diff *d, const ao_object *parent)
{
	ao_auto_json cJSON *snapshot = NULL, *plan = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_auto_str char *uid = ao_xstrdup(parent->uid); /* the parent may change while we wait for answers */
	d->parents++;
	int r = ao_world_snapshot(d->world, parent, &snapshot, &err);
	if (r == 0)
		r = ao_plan_make(d->loaded.bundle, d->openapi, snapshot, &plan, NULL, NULL, &err);
	const cJSON *invalid = r == 0 ? ao_json_at(plan, "invalid") : NULL, *item;
	if (r < 0 || cJSON_IsObject(invalid)) {
		fprintf(stderr, "error: %s: %s\n", parent->key, r < 0 ? ao_err_text(err) : ao_json_str(invalid, "message"));
		d->failed++;
		return;
	}
	d->failed += ao_cli_refusals(parent->key, plan) > 0;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects"))
		try_child(d, ao_json_at(item, "object"));
	leftovers l = {d, plan};
	ao_world_each_child(d->world, uid, find_leftover, &l);
}

static void diff_all(diff *d)
{
	size_t cursor = 0;
	ao_auto_json cJSON *keys = cJSON_CreateArray(); /* the store may change while we wait for answers */
	for (const ao_object *p; (p = ao_store_next(ao_world_parents(d->world), &cursor));)
		if (!p->deleting && (!d->namespace_ || strcmp(p->namespace_, d->namespace_) == 0))
			cJSON_AddItemToArray(keys, cJSON_CreateString(p->key));
	const cJSON *key;
	cJSON_ArrayForEach (key, keys) {
		const ao_object *parent = ao_store_get(ao_world_parents(d->world), key->valuestring);
		if (parent)
			diff_parent(d, parent);
	}
}

/* ---- output ---- */

static void print_value(const char *before, const cJSON *value)
{
	ao_auto_str char *text = value ? ao_json_print(value) : NULL;
	if (text)
		ao_page_print(AO_PLAIN, "%s%.300s%s", before, text, strlen(text) > 300 ? "..." : "");
}

static void print_field(const cJSON *field)
{
	const cJSON *was = ao_json_at(field, "was"), *is = ao_json_at(field, "is");
	ao_page_print(was && is ? AO_YELLOW
		      : was     ? AO_RED
		      : is      ? AO_GREEN
				: AO_RED,
		      "  %s %s",
		      was && is ? "~"
		      : was     ? "-"
		      : is      ? "+"
				: "!",
		      ao_json_str(field, "path"));
	print_value(": ", was);
	print_value(was ? " -> " : ": ", is);
	ao_page_print(AO_PLAIN, "\n");
}

static void print_changes(const diff *d)
{
	const cJSON *change, *field;
	cJSON_ArrayForEach (change, d->changes) {
		const char *action = ao_json_str(change, "action");
		ao_page_print(AO_BOLD, "%s %s/%s", ao_json_str(change, "kind"), ao_json_str(change, "namespace"),
			      ao_json_str(change, "name"));
		ao_page_print(AO_PLAIN, " %s\n", strcmp(action, "changed") == 0 ? "" : action);
		cJSON_ArrayForEach (field, ao_json_at(change, "fields"))
			print_field(field);
	}
	fprintf(stderr, "%zu %s looked at, %d children differ\n", d->parents, d->loaded.manifest->kinds[0].resource.plural,
		cJSON_GetArraySize(d->changes));
}

/** Fetches the files that settings ask for, as the operator does. A file that cannot be had is named, and what needs it is not changed. */
static int load_with_files(diff *d, const ao_load_options *load, const ao_sources *sources, ao_err **reterr)
{
	bool arrived = false;
	ao_load_options with = *load;
	ao_setting_files *files =
	    ao_setting_files_new(&(ao_setting_files_options){.loop = d->session.loop, .on_change = set_true, .arg = &arrived});
	with.files = files;
	int r = ao_load(&with, sources, &d->loaded, reterr);
	if (r == 0 && ao_setting_files_missing(files)) {
		ao_setting_files_start(files);
		ao_loop_run_until(d->session.loop, &arrived, FILES_MS);
		ao_loaded_clear(&d->loaded);
		r = ao_load(&with, sources, &d->loaded, reterr);
	}
	ao_setting_files_free(files);
	return r;
}

static int run(diff *d, const ao_load_options *load, const ao_session_flags *flags, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	int r = ao_session_open(flags, &d->session, reterr);
	if (r == 0)
		r = ao_session_sources(&d->session, load, &sources, NULL, reterr);
	if (r == 0)
		r = load_with_files(d, load, &sources, reterr);
	if (r == 0 && d->loaded.unclaimed)
		ao_cli_note(d->loaded.unclaimed);
	if (r == 0)
		r = ao_plan_schemas(d->loaded.manifest, d->session.kube, &d->openapi, reterr);
	if (r == 0)
		r = list_world(d, reterr);
	if (r == 0)
		diff_all(d);
	return r;
}

static int finish(diff *d, int r, bool json, ao_err *err)
{
	int changes = cJSON_GetArraySize(d->changes);
	if (r == 0 && json) {
		ao_auto_str char *text = ao_json_pretty(d->changes);
		fputs(text, stdout);
	} else if (r == 0) {
		ao_page_begin();
		print_changes(d);
		ao_page_end();
	}
	ao_openapi_free(d->openapi);
	ao_world_free(d->world);
	ao_session_close(&d->session);
	ao_loaded_clear(&d->loaded);
	cJSON_Delete(d->changes);
	return r < 0 ? ao_cli_fail(err, 2) : d->failed ? 2 : changes ? 1 : 0;
}

int ao_cli_diff(int argc, char **argv)
{
	diff d = {.changes = cJSON_CreateArray()};
	ao_load_options load = {0};
	ao_session_flags session = {0};
	const char *output = "text";
	bool all = false;
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"policies", 0, .text = &load.policies_dir, .value = "DIR", .help = "policy files that lie over those of the cluster"},
	    {"config", 0, .text = &load.config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    {"namespace", 'n', .text = &d.namespace_, .value = "NS", .help = "only actors of this namespace (default: all)"},
	    {"all-namespaces", 'A', .yes = &all, .help = "actors of all namespaces (the default)"},
	    {"output", 'o', .text = &output, .value = "FORMAT", .help = "text or json (default text)"},
	    AO_SESSION_FLAGS(&session),
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "asya-operator diff [flags]",
		       .about = "Shows what these policies would change in the live cluster: exit 1 when there are any, 2 on errors.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags)},
	    argc, argv, &err);
	bool json = strcmp(output, "json") == 0;
	if (r == 0 && !json && strcmp(output, "text") != 0)
		r = ao_err_set(&err, -EINVAL, "--output: expected text or json, got '%s'", output);
	if (r == 0)
		r = run(&d, &load, &session, &err);
	if (r > 0) {
		cJSON_Delete(d.changes);
		return 0;
	}
	return finish(&d, r, json, err);
}
