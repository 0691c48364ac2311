/*
 * diff.c -- what would change in the live cluster, before anyone changes it.  The server itself says so in a dry run.
 *
 * The world is listed as the operator lists it, and each parent is planned by the bundle that would serve it.  A child is sent with
 * dryRun=All when the operator would write it: when it is not as planned, or when the parent's status says that something else was rendered
 * last, which may have left something over.  The answer has the server's defaults, and is compared with what is there.  No broker is asked:
 * the queues of two plans are compared.
 */
#include "base/map.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/diff_page.h"
#include "cli/listed.h"
#include "cli/own.h"
#include "cli/sides.h"
#include "kube/apply.h"
#include "policy/changes.h"
#include "policy/plan.h"
#include "reconcile/relate.h"
#include "json/difference.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MS 40000

typedef struct diff {
	ao_session session;
	ao_sides *sides;
	ao_manifest *manifest;
	ao_listed listed;
	const char *namespace_; /* only parents of this one; NULL: all */
	bool noted;
	ao_changes *changes;
	cJSON *list;     /* the same one by one, for -o json */
	ao_map *shared;  /* those that were looked at */
	const char *key; /* the parent that is looked at; NULL: none */
	size_t parents, failed;
} diff;

/* ---- one child ---- */

/** @param fields  may be NULL */
static void add_change(diff *d, const cJSON *object, ao_change_action action, const cJSON *fields, size_t pods)
{
	ao_change_item change = {.parent = d->key,
				 .kind = ao_json_str(object, "kind"),
				 .namespace_ = ao_json_str(object, "metadata", "namespace"),
				 .name = ao_json_str(object, "metadata", "name"),
				 .action = action,
				 .fields = fields,
				 .pods = pods};
	ao_changes_add(d->changes, &change);
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

/** What a dry run cannot do and the operator does: it empties an object before it sends an apply that the server would make null. */
static cJSON *fields_of_emptied(const cJSON *desired, const cJSON *before, const char *refusal)
{
	ao_auto_json cJSON *patch = ao_apply_emptied(desired, before, refusal);
	cJSON *fields = patch ? cJSON_CreateArray() : NULL;
	const cJSON *step;
	cJSON_ArrayForEach (step, patch) {
		cJSON *field = cJSON_CreateObject();
		ao_auto_str char *path = ao_xstrdup(ao_json_str(step, "path") + 1);
		for (char *slash = path; (slash = strchr(slash, '/'));)
			*slash = '.';
		ao_json_set_str(field, "path", path);
		ao_json_set(field, "is", cJSON_CreateObject());
		cJSON_AddItemToArray(fields, field);
	}
	return fields;
}

static bool has_path(const cJSON *fields, const char *path)
{
	const cJSON *field;
	cJSON_ArrayForEach (field, fields)
		if (strcmp(ao_json_str(field, "path"), path) == 0)
			return true;
	return false;
}

/**
 * Adds what the other rendering does not hold any more.  The operator makes its fields its own before it sends an apply, which then takes
 * them away; a dry run cannot do the former, and so does not show the latter.
 */
static void add_removed(cJSON *fields, const cJSON *was, const cJSON *is)
{
	ao_auto_json cJSON *all = was ? ao_json_differences(was, is) : NULL;
	const cJSON *field;
	cJSON_ArrayForEach (field, all)
		if (!ao_json_at(field, "is") && !has_path(fields, ao_json_str(field, "path")))
			cJSON_AddItemToArray(fields, cJSON_Duplicate(field, 1));
}

/** A child that is to be, as the operator would send it. */
typedef struct wish {
	const cJSON *desired;
	const cJSON *rendered; /* the same object as what serves renders it; NULL: it does not, or that is not known */
	bool leftovers;        /* an earlier rendering may have left something in it, as in the operator's own comparison */
} wish;

static void judge_changed(diff *d, const wish *w, cJSON *before, cJSON *after)
{
	bool replaces = ao_changes_replace_pods(before, after) || (w->leftovers && ao_changes_replace_pods(w->rendered, w->desired));
	size_t pods = replaces ? ao_changes_pods_of(before) : 0;
	drop_servers_own(before);
	drop_servers_own(after);
	ao_auto_json cJSON *fields = ao_json_differences(before, after);
	if (w->leftovers)
		add_removed(fields, w->rendered, w->desired);
	if (cJSON_GetArraySize(fields))
		add_change(d, w->desired, AO_CHANGE_CHANGED, fields, pods);
}

static void judge_refused(diff *d, const wish *w, const cJSON *before, const char *why)
{
	ao_auto_json cJSON *emptied = before ? fields_of_emptied(w->desired, before, why) : NULL;
	if (emptied) {
		add_change(d, w->desired, AO_CHANGE_CHANGED, emptied, 0);
		return;
	}
	ao_auto_json cJSON *fields = cJSON_CreateArray();
	cJSON *field = cJSON_CreateObject();
	ao_json_set_str(field, "path", why);
	cJSON_AddItemToArray(fields, field);
	add_change(d, w->desired, AO_CHANGE_REFUSED, fields, 0);
	d->failed++;
}

static void try_child(diff *d, const wish *w)
{
	const ao_kind *kind = ao_manifest_kind(d->manifest, w->desired);
	const ao_object *observed = ao_world_find(d->listed.world, kind, w->desired);
	ao_auto_json cJSON *before = NULL;
	if (observed && ao_world_tree(kind, observed, &before, NULL) < 0)
		return;
	if (before && !w->leftovers && ao_apply_equal(w->desired, before, NULL))
		return;
	trial t = {0};
	ao_apply *apply = ao_apply_start(&(ao_apply_request){.kube = d->session.kube,
							     .resource = &kind->resource,
							     .desired = w->desired,
							     .observed = observed,
							     .manager = d->manifest->field_manager,
							     .legacy_managers = (const char *const *)d->manifest->legacy_managers,
							     .owner_label = kind->by_label ? d->manifest->owner_label : NULL,
							     .dry_run = true,
							     .fn = on_tried,
							     .arg = &t});
	if (!ao_loop_run_until(d->session.loop, &t.done, ANSWER_MS))
		ao_apply_cancel(apply);
	if (t.code < 0 || !t.object)
		judge_refused(d, w, before, t.err ? ao_err_text(t.err) : "no answer");
	else if (before)
		judge_changed(d, w, before, t.object);
	else
		add_change(d, w->desired, AO_CHANGE_CREATED, NULL, 0);
	cJSON_Delete(t.object);
	ao_err_free(t.err);
}

/** An object that several parents want is looked at once, and belongs to none of them. One of another class is left as it is. */
static void try_shared(diff *d, const cJSON *desired)
{
	const ao_kind *kind = ao_manifest_kind(d->manifest, desired);
	const ao_object *observed = ao_world_find(d->listed.world, kind, desired);
	const char *namespace_ = ao_json_str(desired, "metadata", "namespace");
	ao_auto_str char *id =
	    ao_xasprintf("%s %s/%s", kind->resource.kind, namespace_ ? namespace_ : "", ao_json_str(desired, "metadata", "name"));
	ao_auto_json cJSON *tree = NULL;
	if (ao_map_put(d->shared, id, d) ||
	    (observed && ao_world_tree(kind, observed, &tree, NULL) == 0 && !ao_scope_serves(&d->session.scope, d->manifest, tree)))
		return;
	const char *key = d->key;
	d->key = NULL;
	try_child(d, &(wish){.desired = desired});
	d->key = key;
}

/** Shared objects that need no parent, if they exist. Where the others would be is a setting of the operator, which we may not know. */
static void diff_shared(diff *d)
{
	ao_auto_json cJSON *found = NULL;
	ao_auto_err ao_err *err = NULL;
	const cJSON *item;
	if (ao_bundle_shared(ao_sides_main(d->sides)->loaded.bundle, &found, NULL, &err) < 0) {
		fprintf(stderr, "error: %s\n", ao_err_text(err));
		d->failed++;
	}
	cJSON_ArrayForEach (item, ao_json_at(found, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		if (ao_world_find(d->listed.world, ao_manifest_kind(d->manifest, object), object))
			try_shared(d, object);
	}
}

/* ---- one parent ---- */

typedef struct leftovers {
	diff *d;
	const cJSON *plan;
} leftovers;

static void find_leftover(void *arg, const ao_kind *kind, const ao_object *object)
{
	leftovers *l = arg;
	ao_auto_json cJSON *tree = NULL;
	if (object->deleting || ao_plan_find(l->plan, "objects", kind->resource.kind, object->namespace_, object->name) ||
	    ao_plan_keeps(l->plan, kind->resource.kind, object->namespace_, object->name))
		return;
	if (ao_world_tree(kind, object, &tree, NULL) == 0)
		add_change(l->d, tree, AO_CHANGE_DELETED, NULL, ao_changes_pods_of(tree));
}

/** Does the parent's status say that another plan was carried out last? As in a pass, nothing is left over where nothing is known. */
static bool has_leftovers(const diff *d, const cJSON *snapshot, const cJSON *plan)
{
	const cJSON *was = d->manifest->digest_path ? ao_json_at_path(ao_json_at(snapshot, "parent"), d->manifest->digest_path) : NULL;
	ao_auto_str char *is = ao_xasprintf("%016" PRIx64, ao_plan_digest(plan));
	return cJSON_IsString(was) && strcmp(was->valuestring, is) != 0;
}

/** What serves the parent would plan for it now; NULL: it cannot. */
static cJSON *plan_of_serving(diff *d, const ao_object *parent, cJSON *snapshot)
{
	cJSON *plan = NULL;
	ao_bundle *bundle = ao_sides_serving(d->sides, parent)->loaded.bundle;
	if (ao_relate_snapshot(d->listed.world, bundle, parent, snapshot, NULL) == 0)
		ao_plan_make(bundle, NULL, snapshot, &plan, NULL, NULL, NULL);
	return plan;
}

static const char *invalid_in(const cJSON *plan)
{
	const cJSON *invalid = plan ? ao_json_at(plan, "invalid") : NULL;
	return cJSON_IsObject(invalid) ? ao_json_str(invalid, "message") : NULL;
}

static void refuse(diff *d, const cJSON *before, const char *why)
{
	const char *already = invalid_in(before);
	bool news = !already || strcmp(already, why) != 0;
	fprintf(stderr, "%s: %s: %s%s\n", news ? "error" : "note", d->key, why, news ? "" : " (as it is now)");
	d->failed += news;
}

/** Only the operator knows what brokers say about queues. */
static void note_reads(diff *d, const cJSON *plan)
{
	const cJSON *read;
	cJSON_ArrayForEach (read, ao_json_at(plan, "reads"))
		if (!d->noted && strcmp(read->valuestring, "queues") == 0) {
			d->noted = true;
			ao_cli_note("policies read ctx.queues, which is empty here: what they make of messages that wait is not shown");
		}
}

static void diff_children(diff *d, const char *uid, const cJSON *snapshot, const cJSON *before, const cJSON *plan)
{
	bool leftovers_ = has_leftovers(d, snapshot, plan);
	const cJSON *item;
	note_reads(d, plan);
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		const cJSON *was = ao_plan_find(before, "objects", ao_json_str(object, "kind"),
						ao_json_str(object, "metadata", "namespace"), ao_json_str(object, "metadata", "name"));
		if (cJSON_IsTrue(ao_json_at(item, "shared")))
			try_shared(d, object);
		else
			try_child(d, &(wish){object, ao_json_at(was, "object"), leftovers_});
	}
	if (!ao_json_at(plan, "waits")) /* what a plan that waits lacks may come later, and stays */
		ao_world_each_child(d->listed.world, uid, find_leftover, &(leftovers){d, plan});
	if (before && !invalid_in(before))
		ao_changes_add_queues(d->changes, d->key, before, plan);
}

static void diff_parent(diff *d, const ao_object *parent)
{
	ao_auto_json cJSON *snapshot = NULL, *before = NULL, *plan = NULL;
	ao_auto_err ao_err *err = NULL;
	/* of the parent itself, which may be gone once an answer was waited for */
	ao_auto_str char *uid = ao_xstrdup(parent->uid), *key = ao_xstrdup(parent->key);
	const ao_variant *would = ao_sides_would(d->sides, parent);
	d->parents++;
	d->key = key;
	int r = ao_world_snapshot(d->listed.world, parent, &snapshot, &err);
	if (r == 0) {
		before = plan_of_serving(d, parent, snapshot);
		r = ao_relate_snapshot(d->listed.world, would->loaded.bundle, parent, snapshot, &err);
	}
	if (r == 0)
		r = ao_plan_make(would->loaded.bundle, d->listed.openapi, snapshot, &plan, NULL, NULL, &err);
	const char *why = r < 0 ? ao_err_text(err) : invalid_in(plan);
	if (why) {
		refuse(d, before, why);
	} else {
		d->failed += ao_cli_refusals(key, plan) > 0;
		diff_children(d, uid, snapshot, before, plan);
	}
	d->key = NULL;
}

static void diff_all(diff *d)
{
	size_t cursor = 0;
	ao_auto_json cJSON *keys = cJSON_CreateArray(); /* the store may change while we wait for answers */
	for (const ao_object *p; (p = ao_store_next(ao_world_parents(d->listed.world), &cursor));)
		if (!p->deleting && !p->stub && (!d->namespace_ || strcmp(p->namespace_, d->namespace_) == 0))
			cJSON_AddItemToArray(keys, cJSON_CreateString(p->key));
	const cJSON *key;
	cJSON_ArrayForEach (key, keys) {
		const ao_object *parent = ao_store_get(ao_world_parents(d->listed.world), key->valuestring);
		if (parent)
			diff_parent(d, parent);
	}
}

static int run(diff *d, const ao_load_options *load, const ao_session_flags *flags, ao_err **reterr)
{
	ao_auto_json cJSON *config = NULL;
	ao_load_options with = *load;
	int r = ao_session_open(flags, &d->session, reterr);
	if (r == 0)
		r = ao_own_settings(&d->session, &with, &config, reterr);
	if (r == 0)
		r = ao_sides_new(&d->session, &with, &d->sides, reterr);
	if (r < 0)
		return r;
	r = ao_sides_manifest(d->sides, &d->manifest, reterr);
	if (r < 0)
		return r;
	if (ao_sides_main(d->sides)->loaded.unclaimed)
		ao_cli_note(ao_sides_main(d->sides)->loaded.unclaimed);
	r = ao_listed_read(&d->session, d->manifest, &d->listed, reterr);
	if (r == 0) {
		diff_all(d);
		if (!d->namespace_)
			diff_shared(d);
	}
	return r;
}

static int finish(diff *d, int r, ao_output output, ao_err *err)
{
	ao_changes_count count = ao_changes_count_all(d->changes);
	if (r == 0)
		ao_diff_print(d->changes, d->list, d->manifest->kinds[0].resource.plural, d->parents, output);
	ao_listed_clear(&d->listed);
	ao_manifest_free(d->manifest);
	ao_sides_free(d->sides);
	ao_session_close(&d->session);
	ao_changes_free(d->changes);
	ao_map_free(d->shared);
	cJSON_Delete(d->list);
	return r < 0 ? ao_cli_fail(err, 2) : d->failed ? 2 : count.children + count.queues ? 1 : 0;
}

int ao_cli_diff(int argc, char **argv)
{
	diff d = {.list = cJSON_CreateArray(), .shared = ao_map_new()};
	d.changes = ao_changes_new(ao_diff_list, d.list);
	ao_load_options load = {.limits = AO_CLI_LIMITS};
	ao_session_flags session = {0};
	const char *output = "text";
	bool all = false;
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"policies", 0, .text = &load.policies_dir, .value = "DIR", .help = "policy files that lie over those of the cluster"},
	    {"config", 0, .text = &load.config_file, .value = "FILE", .help = "settings and policy parameters, YAML"},
	    AO_PROFILE_FLAG(&load.profile),
	    {"namespace", 'n', .text = &d.namespace_, .value = "NS", .help = "only actors of this namespace (default: all)"},
	    {"all-namespaces", 'A', .yes = &all, .help = "actors of all namespaces (the default)"},
	    AO_OUTPUT_FLAG(&output, "text, wide, name, json or yaml", "text"),
	    AO_SESSION_FLAGS(&session),
	};
	static const ao_example examples[] = {
	    {"what policies that are being written would change", "diff --policies my-policies --operator-namespace asya-system"},
	    {"what another configuration would change, in one namespace", "diff --config operator.yaml -n asya"},
	    {"each change by itself, with whole values", "diff --policies my-policies -o wide"},
	    {0},
	};
	int r = ao_args_parse(
	    &(ao_verb){.usage = "diff [flags]",
		       .about = "Shows what these policies would change in the live cluster: exit 1 when there are any, 2 on errors.",
		       .flags = flags,
		       .flag_count = AO_LEN(flags),
		       .examples = examples},
	    argc, argv, &err);
	load.bundle_dir = session.bundle_dir;
	if (r == 0)
		r = run(&d, &load, &session, &err);
	int code = finish(&d, r, ao_output_read(output), err);
	return r > 0 ? 0 : code;
}
