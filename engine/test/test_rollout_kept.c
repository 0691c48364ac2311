/* test_rollout_kept.c -- what the next process finds: texts of bundles, the record, words that nobody obeyed. A peer plays the server. */
#include "test/test_rollout_policies.h"

#include <stdlib.h>

#define MANIFEST "return require 'policy'.manifest { parent = 'demo.example.com/v1 Greeting', children = {}%s }"

static const char *kept;              /* the manifest in the bundle that is kept */
static int refused, written;          /* how often a text is refused, and how many were taken */
static int conflicts;                 /* how often a record that says "paused" is not taken */
static bool paused, taken_off, early; /* such a record is there; a word was taken off, before that */

#define RECORD                                                                                                                             \
	"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"greeting-operator-policies-live\",\"namespace\":\"ops\","  \
	"\"uid\":\"r\",\"resourceVersion\":\"10\"}}"

static void answer(peer_conn *conn, const char *request)
{
	ao_auto_json cJSON *map = cJSON_CreateObject();
	if (strstr(request, "watch=1")) {
		begin_watch(conn, MAPS_END);
		return;
	}
	if (strncmp(request, "PATCH", 5) == 0 && strstr(request, "-policies-live?") && strstr(request, "paused")) {
		paused = conflicts-- <= 0;
		peer_reply(conn, paused ? "200 OK" : "409 Conflict", "", paused ? RECORD : "{\"kind\":\"Status\",\"message\":\"changed\"}");
		return;
	}
	if (strncmp(request, "PATCH", 5) == 0) {
		bool off = strstr(request, "-rollout\":null");
		taken_off = taken_off || off;
		early = early || (off && !paused);
		bool text = strstr(request, "-policies-kept-"), forbidden = text && refused > 0;
		refused -= forbidden;
		written += text && !forbidden;
		peer_reply(conn, forbidden ? "403 Forbidden" : "200 OK", "",
			   forbidden ? "{\"kind\":\"Status\",\"message\":\"no right\"}" : "{}");
		return;
	}
	if (!strstr(request, "/configmaps/greeting-operator-policies-kept-red-0")) {
		peer_reply(conn, "404 Not Found", "", "{\"kind\":\"Status\",\"code\":404,\"reason\":\"NotFound\",\"message\":\"no\"}");
		return;
	}
	ao_json_set_str(map, "apiVersion", "v1");
	ao_json_set_str(map, "kind", "ConfigMap");
	ao_json_set_str(ao_json_object(map, "metadata"), "name", "greeting-operator-policies-kept-red-0");
	ao_json_set_str(ao_json_object(map, "metadata"), "namespace", "ops");
	ao_json_set_str(ao_json_object(map, "metadata"), "uid", "u");
	ao_json_set_str(ao_json_object(map, "data"), "manifest.lua", kept);
	ao_json_set_str(ao_json_object(map, "data"), "_settings_.json", "{}");
	ao_auto_str char *body = ao_json_print(map);
	peer_reply(conn, "200 OK", "", body);
}

static void write_manifest(const char *folder, const char *more)
{
	ao_auto_str char *path = ao_xasprintf("%s/manifest.lua", folder), *text = ao_xasprintf(MANIFEST, more);
	FILE *file = fopen(path, "w");
	assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

/** An operator begins whose manifest names the class red. @return can it load a bundle that is kept, whose manifest has `more`? */
static bool recalls(const char *more)
{
	played p;
	bool recalled = false;
	char folder[] = "/tmp/ao-kept-XXXXXX", digest[AO_BUNDLE_DIGEST];
	assert_non_null(mkdtemp(folder));
	write_manifest(folder, ", class = 'red'");
	ao_auto_str char *command = ao_xasprintf("rm -r %s", folder), *text = ao_xasprintf(MANIFEST, more);
	ao_auto_sources ao_sources sources = {0};
	ao_auto_json cJSON *seen = cJSON_CreateObject();
	const ao_scope red = {.class_ = (char *)"red", .own = true};
	const ao_load_options load = {.bundle_dir = folder, .scope = &red};
	kept = text;
	ao_sources_put(&sources, "manifest.lua", text, strlen(text), "kept");
	ao_bundle_digest_of(&sources, seen, digest);
	ao_policies *policies = begin_policies(&p, answer, &load);
	ao_map *map = ao_map_new();
	ao_kept *slots = ao_xcalloc(1, sizeof(*slots));
	slots->count = 1;
	ao_map_put(map, digest, slots);
	ao_archive_adopt(policies->archive, map);
	ao_policies_recall(policies, NULL, set_true, &recalled);
	ao_timer_stop(policies->look); /* what a record says is said here */
	policies->recalling = ao_xstrdup(digest);
	ao_errands_load(policies, digest);
	assert_true(ao_loop_run_until(p.loop, &recalled, WAIT_MS));
	bool loaded = strcmp(ao_variant_digest(policies->basis), digest) == 0;
	end_policies(&p, policies);
	assert_int_equal(system(command), 0);
	return loaded;
}

static void what_was_live_before_the_manifest_named_the_class_still_serves(void **state)
{
	(void)state;
	assert_true(recalls(", class = 'red', debug_path = 'another'"));
	assert_false(recalls(", class = 'blue'"));
	if (!recalls(""))
		fail_msg("it cannot be loaded, and nobody serves the parents that have it");
}

static void no_parent(void *arg, const char *key, bool edited) { (void)arg, (void)key, (void)edited; }

/** The record is written for good, with what it names. */
static void write_record(played *p, ao_policies *policies)
{
	ao_rollout_record record = {0};
	ao_rollout_choice_set(&record.tracks[AO_ROLLOUT_MAIN].live, ao_variant_digest(policies->fallback), NULL);
	ao_record_write_start(policies, &record);
	for (int i = 0; i < 100 && policies->writing.open; i++) {
		bool never = false;
		ao_loop_run_until(p->loop, &never, 20);
	}
	assert_false(policies->writing.open);
}

/** A right that was missing in one moment may be there in the next, and a restart needs the texts. */
static void texts_that_were_refused_are_kept_with_the_next_record(void **state)
{
	(void)state;
	played p;
	const ao_load_options load = {.bundle_dir = "policies/examples/greeting"};
	const ao_world_listener listener = {.on_parent = no_parent};
	ao_policies *policies = begin_policies(&p, answer, &load);
	recall_policies(&p, policies);
	ao_world *world = policies->world = ao_world_new(p.loop, p.kube, policies->fallback->loaded.manifest, &AO_SCOPE_ALL, &listener);
	refused = 1;
	written = 0;
	write_record(&p, policies);
	assert_int_equal(written, 0);
	write_record(&p, policies);
	int after = written;
	ao_policies_rest(policies);
	ao_world_free(world);
	end_policies(&p, policies);
	if (!after)
		fail_msg("they are never kept");
}

static const ao_object *put_word(ao_policies *policies)
{
	static const char MAP[] =
	    "{\"metadata\":{\"name\":\"team\",\"namespace\":\"ops\",\"uid\":\"t\",\"resourceVersion\":\"9\",\"annotations\":{"
	    "\"demo.example.com/greeting-policies-rollout\":\"pause\"}}}";
	const ao_object *map = NULL;
	assert_int_equal(ao_store_put(ao_informer_store(policies->maps), (ao_span){MAP, strlen(MAP)}, &map, NULL), 0);
	return map;
}

static bool selects_none(void *arg, const char *selection, const char *key)
{
	(void)arg, (void)selection, (void)key;
	return false;
}

static void begin_machine(ao_policies *policies)
{
	const char *digest = ao_variant_digest(policies->fallback);
	policies->machine = ao_machine_new(
	    &(ao_machine_options){.settings = {.max_restarting = 1, .ready_ms = 300000}, .fallback = digest, .selects = selects_none},
	    NULL);
	ao_machine_want(policies->machine, &(ao_rollout_choice){(char *)digest, NULL}, &(ao_rollout_choice){0});
	ao_machine_synced(policies->machine);
	ao_policies_turn_soon(policies);
}

/** The process may die before what came of it is written, or the machine may end before: then the next one has to hear it. */
static void a_word_stays_until_what_came_of_it_is_written(void **state)
{
	(void)state;
	for (int ends = 0; ends < 2; ends++) {
		played p;
		const ao_load_options load = {.bundle_dir = "policies/examples/greeting"};
		const ao_world_listener listener = {.on_parent = no_parent};
		ao_policies *policies = begin_policies(&p, answer, &load);
		recall_policies(&p, policies);
		ao_timer_stop(policies->look);
		ao_world *world = policies->world =
		    ao_world_new(p.loop, p.kube, policies->fallback->loaded.manifest, &AO_SCOPE_ALL, &listener);
		refused = 1000; /* the record is written without texts, too */
		conflicts = ends ? 1000 : 1;
		paused = taken_off = early = false;
		begin_machine(policies);
		const ao_object *map = put_word(policies);
		ao_commands_hear(policies, map, false, AO_ROLLOUT_MAIN);
		if (ends) {
			ao_policies_rest(policies);
			policies->world = world;
			conflicts = 0;
			begin_machine(policies);
			ao_commands_hear(policies, map, false, AO_ROLLOUT_MAIN);
		}
		bool written_down = ao_loop_run_until(p.loop, &paused, WAIT_MS), obeyed = ao_loop_run_until(p.loop, &taken_off, WAIT_MS);
		ao_policies_rest(policies);
		ao_world_free(world);
		end_policies(&p, policies);
		refused = 0;
		if (!written_down || early)
			fail_msg("the word is %s, and nobody has written down what came of it", early ? "gone" : "not obeyed");
		assert_true(obeyed);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_was_live_before_the_manifest_named_the_class_still_serves),
	    cmocka_unit_test(texts_that_were_refused_are_kept_with_the_next_record),
	    cmocka_unit_test(a_word_stays_until_what_came_of_it_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
