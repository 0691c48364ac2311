/*
 * release.c -- takes our finalizer off parents, so that they can be deleted when there is no operator any more.
 *
 * An operator that runs would put the finalizer back, but only the holder of the lease may write.  So with --take-lease we become the
 * holder by force, and wait until the last holder must have stopped.  We do not give the lease back at the end.  An operator that is still
 * there begins again when the lease has expired.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/parents.h"
#include "cli/session.h"
#include "kube/lease.h"
#include "reconcile/finalizer.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

#define ATTEMPTS 5        /* to take a finalizer out of a list that others change meanwhile */
#define TAKE_MS 30000     /* to become the lease's holder */
#define LEASE_MS 60000    /* how long the lease lasts after we have ended: time to remove the operator */
#define HOLDER_SECONDS 15 /* of a holder that does not say how long */

typedef struct release {
	ao_session session;
	ao_manifest *manifest;
	const char **names;
	const char *namespace_, *selector;
	bool everywhere, dry_run, all_classes, take_lease;
	ao_output output;
	ao_lease *lease;
	bool leads, lost;
	char *why; /* why it was lost */
	size_t found, failed;
} release;

/* ---- one parent ---- */

/** Prints "thing.group.io/name", as kubectl writes it, and with -A the namespace. */
static void say(const release *r, const cJSON *object, const char *what)
{
	const ao_resource *resource = &r->manifest->kinds[0].resource;
	ao_auto_str char *name = ao_output_name(resource->api_version, resource->kind, ao_json_str(object, "metadata", "name"));
	if (r->output == AO_OUTPUT_NAME) {
		printf("%s\n", name);
		return;
	}
	printf("%s %s", name, what);
	if (r->everywhere && !resource->cluster_scoped)
		printf(" (namespace %s)", ao_json_str(object, "metadata", "namespace"));
	printf("%s\n", r->dry_run ? " (server dry run)" : "");
}

static char *path_of(const release *r, const cJSON *object)
{
	return ao_resource_path(&r->manifest->kinds[0].resource, ao_json_str(object, "metadata", "namespace"),
				ao_json_str(object, "metadata", "name"), NULL);
}

static ao_kube_object about(const release *r, const cJSON *object)
{
	return (ao_kube_object){.resource = &r->manifest->kinds[0].resource,
				.namespace_ = ao_json_str(object, "metadata", "namespace"),
				.name = ao_json_str(object, "metadata", "name")};
}

/** @return 0; -EINVAL, -ESTALE the list of finalizers has changed; else as ao_kube_answer */
static int send_removal(release *r, const cJSON *object, const cJSON *patch, ao_err **reterr)
{
	ao_auto_str char *path = path_of(r, object), *body = ao_json_print(patch);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s%s", path, r->manifest->field_manager, r->dry_run ? "&dryRun=All" : "");
	return ao_session_send(
	    &r->session,
	    &(ao_kube_request){.method = "PATCH", .path = query, .content_type = AO_JSON_PATCH, .body = body, .object = about(r, object)},
	    NULL, reterr);
}

/** Takes the finalizer off one parent. Looks again when its list of finalizers has changed meanwhile. */
static int release_one(release *r, const cJSON *object, ao_err **reterr)
{
	ao_auto_json cJSON *now = NULL;
	for (int i = 1;; i++) {
		ao_auto_err ao_err *err = NULL;
		ao_auto_json cJSON *patch = ao_finalizer_removal(now ? now : object, r->manifest->finalizer);
		int code = patch ? send_removal(r, object, patch, &err) : 0;
		bool moved = code == -EINVAL || code == -ESTALE;
		if (moved && i < ATTEMPTS) {
			ao_err_free(AO_TAKE(err));
			cJSON_Delete(AO_TAKE(now));
			code = ao_parents_get(&r->session, r->manifest, ao_json_str(object, "metadata", "namespace"),
					      ao_json_str(object, "metadata", "name"), &now, &err);
			if (code == 0)
				continue;
		}
		if (code < 0 && code != -ENOENT)
			return ao_err_set(reterr, code, "%s", ao_err_text(err));
		say(r, object, code ? "is gone" : patch ? "released" : "unchanged");
		return 0;
	}
}

/** Prints what failed. The other parents are released all the same. */
static void note(release *r, int code, ao_err *err)
{
	if (code < 0) {
		fprintf(stderr, "error: %s\n", ao_err_text(err));
		r->failed++;
	}
	ao_err_free(err);
}

static void try_one(release *r, const cJSON *object)
{
	ao_err *err = NULL;
	r->found++;
	int code = release_one(r, object, &err);
	note(r, code, err);
}

/* ---- which parents ---- */

static void on_parent(void *arg, const cJSON *parent) { try_one(arg, parent); }
static void on_error(void *arg, int code, ao_err *err) { note(arg, code, err); }

static void release_all(release *r)
{
	const ao_parents_request request = {.manifest = r->manifest,
					    .names = r->names,
					    .namespace_ = r->namespace_,
					    .selector = r->selector,
					    .everywhere = r->everywhere,
					    .all_classes = r->all_classes,
					    .on_parent = on_parent,
					    .on_error = on_error,
					    .arg = r};
	ao_parents_each(&r->session, &request);
	if (!r->found && !r->failed)
		fprintf(stderr, "nothing to release\n");
}

/* ---- the lease ---- */

static void on_acquired(void *arg) { ((release *)arg)->leads = true; }
static void on_lost(void *arg, const char *why)
{
	release *r = arg;
	r->lost = true;
	r->why = ao_xstrdup(why);
}
static bool may_write(void *arg)
{
	const release *r = arg;
	return !r->lease || ao_lease_held(r->lease);
}

/** @param held_ms  how long the holder may go on without renewing the lease; 0: there is no holder */
static int seize(release *r, const char *name, uint64_t held_ms, ao_err **reterr)
{
	int code = ao_lease_new(r->session.loop, r->session.config, AO_USER_AGENT,
				&(ao_lease_options){.namespace_ = r->session.namespace_,
						    .name = name,
						    .component = r->manifest->component,
						    .lease_ms = LEASE_MS,
						    .seize = true,
						    .on_acquired = on_acquired,
						    .on_lost = on_lost,
						    .arg = r},
				&r->lease, reterr);
	if (code < 0)
		return code;
	ao_lease_start(r->lease);
	if (!ao_loop_run_until(r->session.loop, &r->leads, TAKE_MS))
		return ao_err_set(reterr, -ETIME, "cannot take the lease %s in namespace %s", name, r->session.namespace_);
	if (held_ms)
		fprintf(stderr, "took the lease %s; waiting %d s until the operator that held it must have stopped\n", name,
			(int)(held_ms / 1000));
	if (ao_loop_run_until(r->session.loop, &r->lost, held_ms))
		return ao_err_set(reterr, -EPERM, "lost the lease %s again: %s", name, r->why);
	ao_kube_set_gate(r->session.kube, may_write, r);
	return 0;
}

static int settle_lease(release *r, ao_err **reterr)
{
	ao_auto_str char *name = ao_scope_name(&r->session.scope, r->manifest->lease);
	ao_auto_str char *path = ao_resource_path(&ao_leases, r->session.namespace_, name, NULL);
	ao_auto_json cJSON *lease = NULL;
	int64_t seconds = HOLDER_SECONDS;
	ao_session_get(&r->session, path, &lease, NULL); /* without a lease, or the right to read it, no holder is known */
	const char *holder = ao_json_str(lease, "spec", "holderIdentity"), *renewed = ao_json_str(lease, "spec", "renewTime");
	bool held = holder && *holder;
	ao_json_int(ao_json_at(lease, "spec", "leaseDurationSeconds"), &seconds);
	if (r->take_lease && !lease)
		fprintf(
		    stderr,
		    "warning: there is no lease %s in namespace %s; an operator that runs without --leader-elect is not stopped by it\n",
		    name, r->session.namespace_);
	if (r->take_lease)
		return seize(r, name, held ? (uint64_t)seconds * 1000 : 0, reterr);
	char since[AO_TIME_TEXT];
	ao_time_micro_text(ao_wall_ms() - seconds * 1000, since);
	if (held && renewed && strcmp(renewed, since) > 0 && !r->dry_run)
		fprintf(stderr,
			"warning: %s holds the lease %s and will put the finalizer back on all that is not being deleted: stop it, or use "
			"--take-lease\n",
			holder, name);
	return 0;
}

/* ---- the verb ---- */

static int run(release *r, const ao_session_flags *flags, ao_err **reterr)
{
	ao_auto_sources ao_sources sources = {0};
	ao_auto_err ao_err *refused = NULL;
	int code = ao_session_open(flags, &r->session, reterr);
	if (code == 0)
		code = ao_session_sources(&r->session, &(ao_load_options){0}, &sources, NULL, reterr);
	if (code == 0)
		code = ao_load_manifest(r->session.bundle_dir, &sources, &r->manifest, &refused, reterr);
	if (refused)
		fprintf(stderr, "warning: the manifest in ConfigMaps is not used, as no operator uses it: %s\n", ao_err_text(refused));
	if (code == 0 && !r->manifest->finalizer)
		code = ao_err_set(reterr, -EINVAL, "the policies name no finalizer, so there is none to release");
	if (code == 0)
		code = settle_lease(r, reterr);
	if (code == 0)
		release_all(r);
	return code;
}

static int check(const release *r, ao_err **reterr)
{
	if (r->names[0] && (r->everywhere || r->selector))
		return ao_err_set(reterr, -EINVAL, "names cannot be used with -A or -l");
	if (!r->names[0] && !r->everywhere && !r->selector && !r->namespace_)
		return ao_err_set(reterr, -EINVAL, "say which ones: names, -l SELECTOR, -n NAMESPACE for all in it, or -A; see --help");
	if (r->everywhere && r->namespace_)
		return ao_err_set(reterr, -EINVAL, "-A and -n exclude each other");
	if (r->take_lease && (r->all_classes || r->dry_run))
		return ao_err_set(reterr, -EINVAL,
				  "--take-lease stops the operator of one class: it cannot be used with --all-classes or --dry-run");
	return 0;
}

static int parse(release *r, ao_session_flags *session, int argc, char **argv, ao_err **reterr)
{
	const char *output = "text";
	const ao_flag flags[] = {
	    {"namespace", 'n', .text = &r->namespace_, .value = "NS", .help = "where the named ones are; without names: everything in it"},
	    {"all-namespaces", 'A', .yes = &r->everywhere, .help = "everything in all namespaces, or in those of --watch-namespaces"},
	    {"selector", 'l', .text = &r->selector, .value = "SELECTOR", .help = "only what has these labels"},
	    {"dry-run", 0, .yes = &r->dry_run, .help = "ask the server, change nothing"},
	    {"all-classes", 0, .yes = &r->all_classes, .help = "of every operator class"},
	    {"take-lease", 0, .yes = &r->take_lease,
	     .help = "first take the operator's lease: the operator stops, and begins again a minute afterwards"},
	    AO_OUTPUT_FLAG(&output, "text or name", "text"),
	    AO_SESSION_FLAGS(session),
	};
	static const ao_example examples[] = {
	    {"what would be released", "release -A --dry-run"},
	    {"everything, after the operator was uninstalled", "release -A"},
	    {"two of a namespace, while the operator runs", "release -n asya resize upload --take-lease"},
	    {0},
	};
	int code = ao_args_parse(
	    &(ao_verb){
		.usage = "release [NAME...] [flags]",
		.about =
		    "Takes the operator's finalizer off objects, so that they can be deleted without an operator. What runs for them and\n"
		    "their queues stay as they are. An object that is being deleted already is gone at once, and garbage collection\n"
		    "deletes what it owns, but not its queues. An operator that runs puts the finalizer back on the other objects:\n"
		    "uninstall it, or use --take-lease.",
		.flags = flags,
		.flag_count = AO_LEN(flags),
		.arguments = r->names,
		.argument = "NAME",
		.examples = examples},
	    argc, argv, reterr);
	r->output = ao_output_read(output);
	return code;
}

int ao_cli_release(int argc, char **argv)
{
	release r = {.names = ao_xcalloc((size_t)argc + 1, sizeof(*r.names))};
	ao_session_flags session = {0};
	ao_err *err = NULL;
	int code = parse(&r, &session, argc, argv, &err);
	bool usage = code < 0 || (code == 0 && check(&r, &err) < 0);
	if (code == 0 && !usage)
		code = run(&r, &session, &err);
	if (r.session.kube)
		ao_kube_set_gate(r.session.kube, NULL, NULL);
	ao_lease_free(r.lease);
	ao_session_close(&r.session);
	ao_manifest_free(r.manifest);
	free(r.names);
	free(r.why);
	return usage ? ao_cli_fail(err, 2) : code < 0 ? ao_cli_fail(err, 1) : r.failed ? 1 : 0;
}
