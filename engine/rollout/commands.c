/*
 * commands.c -- obeys, once each, the words by which people steer: an annotation on the record or on the ConfigMap that was edited.
 *
 * A word stays until what came of it is written.  A process that dies before that has done nothing, and its successor hears the word.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define WORDS "pause, resume, abort, approve, undo, undo:REVISION; with :canary after one of the first four it is for the canary alone"

typedef struct word {
	char *text;           /* "pause" */
	const char *argument; /* "canary", "3"; or NULL */
} word;

static int pause_track(ao_machine *machine, ao_rollout_track track)
{
	ao_machine_pause(machine, track);
	return 0;
}

static const struct {
	const char *word;
	int (*fn)(ao_machine *machine, ao_rollout_track track);
	const char *done, *vain;
} VERBS[] = {
    {"pause", pause_track, "paused: no further parent is moved", "nothing to pause"},
    {"resume", ao_machine_resume, "resumed", "nothing to resume: it is not paused, and nothing that is wanted was refused"},
    {"abort", ao_machine_abort, "aborted", "nothing to abort: no edit is under way"},
    {"approve", ao_machine_approve, "approved", "nothing to approve: no edit waits for approval"},
};

/** Says what became of a word. The person who wrote it finds this in the annotation `<label>-state`. */
static void tell(ao_policies *p, const ao_object *map, bool warning, const char *note)
{
	ao_auto_str char *state = ao_xasprintf("%s%s", warning ? "not done: " : "", note);
	ao_report_event(p, map, warning, warning ? "RolloutCommandWrong" : "RolloutCommand", note);
	ao_annotations_put(p->notes, map->namespace_, map->name, state);
	if (warning)
		ao_warn(AO_POLICY, p->subject, "ConfigMap %s: %s", map->name, note);
	else
		ao_info(AO_POLICY, p->subject, "ConfigMap %s: %s", map->name, note);
}

/** The record is about both tracks. */
static bool obey(ao_policies *p, size_t verb, bool both, ao_rollout_track track)
{
	bool done = false;
	for (ao_rollout_track each = 0; each < AO_ROLLOUT_TRACKS; each++)
		if (both || each == track)
			done = VERBS[verb].fn(p->machine, each) == 0 || done;
	return done;
}

static void undo(ao_policies *p, const ao_object *map, const word *w)
{
	char *end = NULL;
	unsigned long revision = w->argument ? strtoul(w->argument, &end, 10) : 0;
	int r = 0;
	bool valid = !w->argument || (end > w->argument && !*end && revision && revision < UINT32_MAX);
	if (!valid)
		tell(p, map, true, "undo: write undo:N with the number of a revision, as `asya-operator rollout history` shows them");
	else if ((r = ao_machine_undo(p->machine, (unsigned)revision)) == -EALREADY)
		tell(p, map, true, "undo: it has gone back already; to go further write undo:N with the number of a revision");
	else if (r < 0)
		tell(p, map, true, "undo: there is no such revision; `asya-operator rollout history` shows them");
	else
		tell(p, map, false, "undo: goes back to an earlier bundle, until an edit of the ConfigMaps or settings is accepted");
}

static void carry_out(ao_policies *p, const ao_object *map, const word *w, bool is_record, ao_rollout_track track)
{
	bool canary = w->argument && strcmp(w->argument, "canary") == 0;
	if (strcmp(w->text, "undo") == 0) {
		undo(p, map, w);
		return;
	}
	for (size_t i = 0; i < AO_LEN(VERBS); i++) {
		if (strcmp(w->text, VERBS[i].word) != 0 || (w->argument && !canary))
			continue;
		bool done = obey(p, i, is_record && !canary, canary ? AO_ROLLOUT_CANARY : track);
		tell(p, map, !done, done ? VERBS[i].done : VERBS[i].vain);
		return;
	}
	ao_auto_str char *note = ao_xasprintf("\"%.60s%s%.60s\" is not a known word, nothing was changed: write one of " WORDS, w->text,
					      w->argument ? ":" : "", w->argument ? w->argument : "");
	tell(p, map, true, note);
}

/** @return the annotation's text, NULL when there is none; the caller frees */
static char *read_word(const ao_object *map, const char *key)
{
	ao_auto_json cJSON *tree = NULL;
	return ao_object_tree(map, &tree, NULL) < 0 ? NULL : ao_xstrdup(ao_json_str(tree, "metadata", "annotations", key));
}

static char *key_of(const ao_policies *p) { return ao_xasprintf("%s-rollout", p->fallback->loaded.manifest->policies_label); }

static void free_heard(ao_heard *heard)
{
	if (!heard)
		return;
	free(heard->text);
	free(heard->name);
	free(heard);
}

/** Takes it off, unless what came of it is still to be written. */
static void take_off(ao_policies *p, const ao_heard *heard)
{
	ao_auto_str char *key = key_of(p);
	if (!heard->record)
		ao_annotations_take_off(p->notes, p->with.namespace_, heard->name, key);
}

void ao_commands_written(ao_policies *p)
{
	size_t cursor = 0;
	for (ao_heard *heard; (heard = ao_map_next(p->heard, &cursor, NULL));) {
		if (!heard->record || heard->record > p->writing.count)
			continue;
		heard->record = 0;
		take_off(p, heard);
	}
}

void ao_commands_forget(ao_policies *p, bool all)
{
	size_t cursor = 0;
	const char *uid;
	for (ao_heard *heard; (heard = ao_map_next(p->heard, &cursor, &uid));)
		if (all || heard->record)
			free_heard(ao_map_remove(p->heard, uid));
}

void ao_commands_hear(ao_policies *p, const ao_object *map, bool is_record, ao_rollout_track track)
{
	ao_auto_str char *key = key_of(p), *text = read_word(map, key);
	ao_heard *heard = ao_map_get(p->heard, map->uid);
	if (!text) {
		free_heard(ao_map_remove(p->heard, map->uid));
		return;
	}
	if (!p->machine)
		return; /* not leading yet: it is looked at again when that begins */
	if (heard && strcmp(heard->text, text) == 0) {
		take_off(p, heard); /* again, if it could not be taken off */
		return;
	}
	heard = ao_xcalloc(1, sizeof(*heard));
	*heard = (ao_heard){.text = ao_xstrdup(text), .name = ao_xstrdup(map->name)};
	free_heard(ao_map_put(p->heard, map->uid, heard));
	char *colon = strchr(text, ':');
	if (colon)
		*colon = '\0';
	ao_machine_tick(p->machine, ao_mono_ms());
	carry_out(p, map, &(word){text, colon ? colon + 1 : NULL}, is_record, track);
	heard->record = ao_machine_recorded(p->machine) ? 0 : p->writing.count + 1;
	take_off(p, heard);
	ao_policies_turn_soon(p);
}
