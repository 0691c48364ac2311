/* rollout.c -- shows how far an edit of policies has come, and writes the words that steer it, in the manner of `kubectl rollout`. */
#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/session.h"
#include "rollout/archive.h"
#include "rollout/record_text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 500000
#define PATIENCE_MS 15000 /* for an operator to hear a word */

typedef struct rollout {
	ao_session session;
	ao_manifest *manifest;
	char *name; /* of the record */
	bool watch, canary;
	ao_output output;
	const char *revision;
} rollout;

static int open_rollout(rollout *ro, const ao_session_flags *flags, ao_err **reterr)
{
	int r = ao_session_open(flags, &ro->session, reterr);
	if (r == 0) /* of the bundle that the flags name */
		r = ao_session_manifest(&ro->session, &ro->manifest, reterr);
	if (r == 0)
		ro->name = ao_record_name(&ro->session.scope, ro->manifest->component);
	return r;
}

static void close_rollout(rollout *ro)
{
	ao_session_close(&ro->session);
	ao_manifest_free(ro->manifest);
	free(ro->name);
}

/** @param ret  the ConfigMap of the record; the caller frees */
static int get_map(rollout *ro, cJSON **ret, ao_err **reterr)
{
	ao_auto_err ao_err *err = NULL;
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, ro->session.namespace_, ro->name, NULL);
	int r = ao_session_get(&ro->session, path, ret, &err);
	if (r == -ENOENT)
		return ao_err_set(reterr, r,
				  "there is no ConfigMap %s in namespace %s: no operator has led there yet (see --operator-namespace and "
				  "--operator-class)",
				  ro->name, ro->session.namespace_);
	if (r < 0 && reterr)
		*reterr = AO_TAKE(err);
	return r;
}

/** @param ret  cleared by the caller. @param ret_json  the same as it stands in the ConfigMap; the caller frees */
static int get_record(rollout *ro, ao_rollout_record *ret, cJSON **ret_json, ao_err **reterr)
{
	ao_auto_json cJSON *map = NULL;
	ao_map *kept = ao_map_new();
	int r = get_map(ro, &map, reterr);
	const char *text = ao_json_str(map, "data", "record");
	if (r == 0)
		r = text ? ao_record_read(text, ret, kept, reterr) : ao_err_set(reterr, -EINVAL, "ConfigMap %s holds no record", ro->name);
	ao_map_free_all(kept);
	return r == 0 ? ao_json_parse(text, strlen(text), ret_json, reterr) : r;
}

/* ---- status and history ---- */

static const char *or_none(const char *digest) { return digest ? digest : "none"; }

static bool rests(const ao_rollout_line *line) { return line->stage == AO_ROLLOUT_REST && !line->counts.moving && !line->counts.waiting; }

static void print_line(const char *what, const ao_rollout_line *line)
{
	ao_auto_str char *counts = ao_counts_text(&line->counts);
	const char *paused = line->paused ? " (paused)" : "";
	if (line->stage == AO_ROLLOUT_FORWARD)
		printf("%s: bundle %s -> %s: %s%s\n", what, or_none(line->live.digest), or_none(line->to.digest), counts, paused);
	else if (line->stage == AO_ROLLOUT_BACK)
		printf("%s: bundle %s goes back to %s: %s%s\n", what, or_none(line->to.digest), or_none(line->live.digest), counts, paused);
	else
		printf("%s: bundle %s is live: %s%s\n", what, or_none(line->live.digest), counts, paused);
}

static void print_mover(const ao_rollout_mover *mover, bool wide)
{
	bool failed = mover->mark == AO_ROLLOUT_FAILED;
	if (failed)
		printf("failed: %s\n", mover->key);
	else if (wide)
		printf("%s: %s to bundle %s\n", mover->mark == AO_ROLLOUT_SLOW ? "slow" : "on its way", mover->key, mover->digest);
}

static void print_status(const ao_rollout_record *record, bool wide)
{
	const ao_rollout_line *canary = &record->tracks[AO_ROLLOUT_CANARY];
	print_line("policies", &record->tracks[AO_ROLLOUT_MAIN]);
	if (canary->live.digest || canary->stage != AO_ROLLOUT_REST) {
		const char *selection = canary->live.selection ? canary->live.selection : canary->to.selection;
		ao_auto_str char *what = ao_xasprintf("canary policies (%s)", selection ? selection : "?");
		print_line(what, canary);
	}
	for (size_t i = 0; i < record->mover_count; i++)
		print_mover(&record->movers[i], wide);
	for (size_t i = 0; i < record->refusal_count; i++) {
		const ao_rollout_refusal *r = &record->refusals[i];
		printf("refused: bundle %s%s%s: %s\n", r->what.digest, r->key ? " on " : "", r->key ? r->key : "", r->why ? r->why : "");
	}
}

/** Prints the parents that are on their way. */
static void print_names(const rollout *ro, const ao_rollout_record *record)
{
	const ao_resource *resource = &ro->manifest->kinds[0].resource;
	for (size_t i = 0; i < record->mover_count; i++) {
		const char *key = record->movers[i].key, *slash = strchr(key, '/');
		ao_auto_str char *name = ao_output_name(resource->api_version, resource->kind, slash ? slash + 1 : key);
		printf("%s\n", name);
	}
}

/** Prints what is so, and waits for the end of what is under way, each change a line. */
static int status(rollout *ro, ao_err **reterr)
{
	ao_auto_json cJSON *said = NULL;
	for (;;) {
		ao_auto_rollout_record ao_rollout_record record = {0};
		ao_auto_json cJSON *json = NULL;
		int r = get_record(ro, &record, &json, reterr);
		if (r < 0)
			return r;
		bool news = !said || !ao_json_equal(said, json);
		if (news && said && ro->output == AO_OUTPUT_YAML)
			printf("---\n");
		if (news && ro->output == AO_OUTPUT_NAME)
			print_names(ro, &record);
		else if (news && !ao_output_value(ro->output, json))
			print_status(&record, ro->output == AO_OUTPUT_WIDE);
		fflush(stdout);
		cJSON_Delete(said);
		said = AO_TAKE(json);
		if (!ro->watch || (rests(&record.tracks[AO_ROLLOUT_MAIN]) && rests(&record.tracks[AO_ROLLOUT_CANARY])))
			return 0;
		usleep(POLL_US);
	}
}

static void print_revision(const rollout *ro, const ao_rollout_revision *revision, bool live, const cJSON *slots)
{
	bool wide = ro->output == AO_OUTPUT_WIDE;
	ao_auto_str char *prefix = ao_archive_prefix(&ro->session.scope, ro->manifest->component);
	const cJSON *slot;
	printf(wide ? "%-9u %-17s %-6s" : "%-9u %-17s %s", revision->number, revision->digest, live ? "live" : "");
	slots = wide ? slots : NULL;
	cJSON_ArrayForEach (slot, slots)
		printf("%s %s-%d", slot == slots->child ? "" : ",", prefix, slot->valueint);
	printf("\n");
}

static int history(rollout *ro, ao_err **reterr)
{
	ao_auto_rollout_record ao_rollout_record record = {0};
	ao_auto_json cJSON *json = NULL;
	bool name = ro->output == AO_OUTPUT_NAME;
	int r = get_record(ro, &record, &json, reterr);
	if (r < 0 || ao_output_value(ro->output, json))
		return r;
	const char *live = record.tracks[AO_ROLLOUT_MAIN].live.digest;
	if (!name)
		printf(ro->output == AO_OUTPUT_WIDE ? "%-9s %-17s %-6s %s\n" : "%-9s %-17s %s\n", "REVISION", "BUNDLE", "STATE", "KEPT IN");
	for (size_t i = 0; i < record.revision_count; i++) {
		const ao_rollout_revision *each = &record.revisions[i];
		bool last = i + 1 == record.revision_count;
		if (name)
			printf("%u\n", each->number);
		else
			print_revision(ro, each, last && live && strcmp(live, each->digest) == 0, ao_json_at(json, "kept", each->digest));
	}
	return 0;
}

/* ---- words ---- */

/** Waits until the operator has taken the annotation off, and prints what it says. */
static int await_answer(rollout *ro, const char *word_key, const char *word, ao_err **reterr)
{
	ao_auto_str char *state_key = ao_xasprintf("%s-state", ro->manifest->policies_label);
	for (uint64_t until_ms = ao_mono_ms() + PATIENCE_MS; ao_mono_ms() < until_ms; usleep(POLL_US)) {
		ao_auto_json cJSON *map = NULL;
		int r = get_map(ro, &map, reterr);
		if (r < 0)
			return r;
		const cJSON *annotations = ao_json_at(map, "metadata", "annotations");
		const char *state = ao_json_str(annotations, state_key);
		if (ao_json_str(annotations, word_key))
			continue;
		if (state && strncmp(state, "not done", 8) == 0)
			return ao_err_set(reterr, -EINVAL, "%s", state);
		if (ro->output == AO_OUTPUT_NAME)
			printf("configmap/%s\n", ro->name);
		else if (!ao_output_value(ro->output, map))
			printf("%s\n", state ? state : word);
		return 0;
	}
	return ao_err_set(reterr, -ETIME,
			  "no operator has answered within %d s; the word %s stays on ConfigMap %s and is obeyed when one leads",
			  PATIENCE_MS / 1000, word, ro->name);
}

static int write_word(rollout *ro, const char *word, ao_err **reterr)
{
	ao_auto_json cJSON *patch = cJSON_CreateObject();
	ao_auto_str char *key = ao_xasprintf("%s-rollout", ro->manifest->policies_label);
	ao_json_set_str(ao_json_object(ao_json_object(patch, "metadata"), "annotations"), key, word);
	ao_auto_str char *body = ao_json_print(patch), *path = ao_resource_path(&ao_config_maps, ro->session.namespace_, ro->name, NULL);
	int r = ao_session_send(
	    &ro->session, &(ao_kube_request){.method = "PATCH", .path = path, .content_type = AO_MERGE_PATCH, .body = body}, NULL, reterr);
	return r < 0 ? r : await_answer(ro, key, word, reterr);
}

static int steer(rollout *ro, const char *verb, ao_err **reterr)
{
	ao_auto_str char *word = ao_xasprintf("%s%s%s", verb, ro->canary || ro->revision ? ":" : "",
					      ro->canary     ? "canary"
					      : ro->revision ? ro->revision
							     : "");
	return write_word(ro, word, reterr);
}

static int run(rollout *ro, const char *verb, ao_err **reterr)
{
	if (strcmp(verb, "status") == 0)
		return status(ro, reterr);
	if (strcmp(verb, "history") == 0)
		return history(ro, reterr);
	return steer(ro, verb, reterr);
}

int ao_cli_rollout(int argc, char **argv)
{
	ao_session_flags session = {0};
	rollout ro = {.watch = true};
	const char *output = "text", **arguments = ao_xcalloc((size_t)argc + 1, sizeof(*arguments));
	ao_err *err = NULL;
	const ao_flag flags[] = {
	    {"watch", 'w', .yes = &ro.watch, .help = "status: wait until nothing is under way (default true)"},
	    {"to-revision", 0, .text = &ro.revision, .value = "N", .help = "undo: the revision to go back to (default: the one before)"},
	    {"canary", 0, .yes = &ro.canary, .help = "pause, resume, abort, approve: of the canary alone (default: of both)"},
	    AO_OUTPUT_FLAG(&output, "text, wide, name, json or yaml", "text"),
	    AO_SESSION_FLAGS(&session),
	};
	static const ao_example examples[] = {
	    {"how far an edit is, until it is everywhere", "rollout status --operator-namespace asya-system"},
	    {"what was live before, and where its texts are", "rollout history -o wide --operator-namespace asya-system"},
	    {"stop where it is", "rollout pause --operator-namespace asya-system"},
	    {"go back", "rollout undo --to-revision 3 --operator-namespace asya-system"},
	    {0},
	};
	int r = ao_args_parse(&(ao_verb){.usage = "rollout status|history|pause|resume|abort|approve|undo [flags]",
					 .about = "Shows and steers how an edit of policies reaches actors.",
					 .flags = flags,
					 .flag_count = AO_LEN(flags),
					 .arguments = arguments,
					 .one_of = "status, history, pause, resume, abort, approve or undo",
					 .examples = examples},
			      argc, argv, &err);
	const char *verb = arguments[0] && !arguments[1] ? arguments[0] : NULL;
	free(arguments);
	if (r > 0)
		return 0;
	if (r == 0 && !verb)
		r = ao_err_set(&err, -EINVAL, "name one of status, history, pause, resume, abort, approve, undo");
	if (r == 0 && ro.revision && strcmp(verb, "undo") != 0)
		r = ao_err_set(&err, -EINVAL, "--to-revision is for undo");
	if (r < 0)
		return ao_cli_fail(err, 2);
	ro.output = ao_output_read(output);
	r = open_rollout(&ro, &session, &err);
	if (r == 0)
		r = run(&ro, verb, &err);
	close_rollout(&ro);
	return r < 0 ? ao_cli_fail(err, 1) : 0;
}
