/* test_rollout_labels.c -- which ConfigMaps hold the edits of a bundle, by their labels. A peer plays the server. */
#include "test/test_rollout_policies.h"

#include <stdlib.h>

#define BUNDLE "policies/examples/greeting"
#define LABEL "demo.example.com/greeting-policies"
#define MAIN "\"" LABEL "\":\"true\""
#define CANARY "\"" LABEL "-canary\":\"true\""
#define NAMED "\"asya.sh/bundle\":\"greeting-operator\""
#define PAUSE "\"" LABEL "-rollout\":\"pause\""

static const char *labels;            /* of the only ConfigMap that there is */
static peer_conn *by_label, *by_name; /* the watches of those of policies */

static void send_event(peer_conn *conn, const char *type, const char *annotations, int version)
{
	ao_auto_str char *event = ao_xasprintf(
	    "{\"type\":\"%s\",\"object\":{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\",\"namespace\":\"ops\","
	    "\"uid\":\"u\",\"resourceVersion\":\"%d\",\"labels\":{%s},\"annotations\":{%s}},\"data\":{\"x.lua\":\"return 1\"}}}\n",
	    type, version, labels, annotations);
	ao_auto_str char *chunk = ao_xasprintf("%zx\r\n%s\r\n", strlen(event), event);
	peer_send(conn, chunk);
}

/** A selector as it stands in a URL: terms K=V and K!=V. */
static bool is_selected(const char *request)
{
	const char *at = strstr(request, "labelSelector=");
	bool selected = true;
	ao_auto_str char *text = ao_xstrndup(at + 14, strcspn(at + 14, "& "));
	char *rest = text, *term;
	while ((term = rest)) {
		rest = strstr(term, "%2C");
		if (rest) {
			*rest = '\0';
			rest += 3;
		}
		char *equals = strstr(term, "%3D"), *slash = strstr(term, "%2F");
		size_t negated = equals - term > 3 && strncmp(equals - 3, "%21", 3) == 0 ? 3 : 0;
		equals[-(ptrdiff_t)negated] = '\0';
		ao_auto_str char *label = ao_xasprintf("\"%.*s/%s\":\"%s\"", (int)(slash - term), term, slash + 3, equals + 3);
		selected = selected && (strstr(labels, label) != NULL) == !negated;
	}
	return selected;
}

static void answer(peer_conn *conn, const char *request)
{
	if (!is_watch(conn, request))
		return;
	peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
	by_name = strstr(request, "=asya.sh%2Fbundle") ? conn : by_name;
	by_label = strstr(request, "greeting-policies%3Dtrue") ? conn : by_label;
	if (is_selected(request))
		send_event(conn, "ADDED", "", 5);
	ao_auto_str char *chunk = ao_xasprintf("%zx\r\n%s\r\n", strlen(MAPS_END), MAPS_END);
	peer_send(conn, chunk);
}

static const ao_load_options LOAD = {.bundle_dir = BUNDLE};

/** The lease is won where this ConfigMap is. */
static ao_policies *begin(played *p, const char *with)
{
	labels = with;
	ao_policies *policies = begin_policies(p, answer, &LOAD);
	recall_policies(p, policies);
	return policies;
}

static int count(const ao_policies *policies, ao_rollout_track track)
{
	const ao_edit_maps maps = ao_edit_maps_of(policies, track);
	ao_edit_cursor cursor = {0};
	int n = 0;
	while (ao_edit_maps_next(&maps, &cursor))
		n++;
	return n;
}

static void labels_say_whose_edit_it_is(void **state)
{
	(void)state;
	static const struct {
		const char *labels;
		int main, canary;
	} ROWS[] = {
	    {MAIN, 1, 0},
	    {NAMED, 1, 0},
	    {MAIN "," NAMED, 1, 0},
	    {"\"asya.sh/bundle\":\"another\"", 0, 0},
	    {MAIN ",\"asya.sh/bundle\":\"another\"", 1, 0},
	    {CANARY, 0, 1},
	    {CANARY "," NAMED, 0, 1}, /* it says whose canary it is; as an edit it would be everybody's at once */
	};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		played p;
		ao_policies *policies = begin(&p, ROWS[i].labels);
		int main = count(policies, AO_ROLLOUT_MAIN), canary = count(policies, AO_ROLLOUT_CANARY);
		end_policies(&p, policies);
		if (main != ROWS[i].main || canary != ROWS[i].canary)
			fail_msg("with %s it is %d times everybody's and %d times a canary's", ROWS[i].labels, main, canary);
	}
}

static bool selects_none(void *arg, const char *selection, const char *key)
{
	(void)arg, (void)selection, (void)key;
	return false;
}

static bool is_paused(const ao_policies *policies)
{
	ao_auto_rollout_record ao_rollout_record record = {0};
	ao_machine_record(policies->machine, &record);
	return record.tracks[AO_ROLLOUT_MAIN].paused;
}

/** Runs the loop for a moment. */
static void wait_a_moment(const played *p)
{
	bool never = false;
	ao_loop_run_until(p->loop, &never, 200);
}

/** The watch by one label was cut, and tells later what the other one has told: meanwhile people have said something else. */
static void a_word_on_one_with_both_labels_is_heard_once(void **state)
{
	(void)state;
	played p;
	ao_policies *policies = begin(&p, MAIN "," NAMED);
	policies->machine = ao_machine_new(&(ao_machine_options){.settings = {.max_restarting = 1, .ready_ms = 300000},
								 .fallback = ao_variant_digest(policies->fallback),
								 .selects = selects_none},
					   NULL);
	send_event(by_label, "MODIFIED", PAUSE, 10);
	for (int i = 0; i < 50 && !is_paused(policies); i++)
		wait_a_moment(&p);
	assert_true(is_paused(policies));
	send_event(by_label, "MODIFIED", "", 11);
	wait_a_moment(&p);
	assert_int_equal(ao_machine_resume(policies->machine, AO_ROLLOUT_MAIN), 0);
	send_event(by_name, "MODIFIED", PAUSE, 10);
	send_event(by_name, "MODIFIED", "", 11);
	wait_a_moment(&p);
	bool again = is_paused(policies);
	end_policies(&p, policies);
	if (again)
		fail_msg("the word was obeyed again");
}

static int found; /* when it was looked what is wanted; or -1 */

static void look(void *arg) { found = count(arg, AO_ROLLOUT_MAIN); }

/** Without it the bundle is another one, which would be rolled out. */
static void one_that_gets_the_other_label_is_never_missed(void **state)
{
	(void)state;
	played p;
	ao_policies *policies = begin(&p, MAIN);
	ao_timer_free(policies->look);
	policies->look = ao_timer_new(p.loop, look, policies);
	found = -1;
	labels = NAMED;
	send_event(by_label, "DELETED", "", 10);
	wait_a_moment(&p);
	int between = found;
	send_event(by_name, "ADDED", "", 10);
	for (int i = 0; i < 50 && found < 1; i++)
		wait_a_moment(&p);
	end_policies(&p, policies);
	assert_int_equal(found, 1);
	if (between == 0)
		fail_msg("it was looked what is wanted without it");
}

/** What people wrote was rejected, and who leads next must not take it for the end of the canary. */
static void a_canary_of_which_nobody_can_say_whose_it_is_stays_after_a_restart(void **state)
{
	(void)state;
	static const struct {
		ao_rollout_stage stage;
		const char *live, *to, *stays;
	} ROWS[] = {{AO_ROLLOUT_REST, "a", NULL, "a"},
		    {AO_ROLLOUT_FORWARD, "a", "b", "b"},
		    {AO_ROLLOUT_BACK, "a", "b", "a"},
		    {AO_ROLLOUT_FORWARD, "a", NULL, NULL}};
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		played p;
		ao_policies *policies = begin(&p, CANARY); /* without a selector */
		ao_rollout_line *canary = &policies->record.tracks[AO_ROLLOUT_CANARY];
		policies->recorded = true;
		canary->stage = ROWS[i].stage;
		ao_rollout_choice_set(&canary->live, ROWS[i].live, "team=ml");
		ao_rollout_choice_set(&canary->to, ROWS[i].to, ROWS[i].to ? "team=ml" : NULL);
		assert_true(ao_edits_look(policies));
		const ao_edit *edit = &policies->edits[AO_ROLLOUT_CANARY];
		assert_non_null(edit->unread);
		ao_auto_str char *digest = ao_xstrdup(edit->digest), *selection = ao_xstrdup(edit->selection);
		end_policies(&p, policies);
		if (ROWS[i].stays ? !digest || strcmp(digest, ROWS[i].stays) != 0 || !selection : digest != NULL)
			fail_msg("row %zu: %s is wanted", i, digest ? digest : "nothing");
	}
}

/** While it could not be used, the world was made for what the binary holds, and what is live may be for another one. */
static void a_record_that_is_put_back_begins_with_a_world_of_its_own(void **state)
{
	(void)state;
	static const char MAP[] =
	    "{\"metadata\":{\"name\":\"greeting-operator-policies-live\",\"namespace\":\"ops\",\"uid\":\"r\",\"resourceVersion\":\"9\"},"
	    "\"data\":{\"record\":\"{\\\"version\\\":1,\\\"main\\\":{\\\"stage\\\":\\\"rest\\\",\\\"live\\\":{\\\"bundle\\\":"
	    "\\\"0123456789abcdef\\\"}},\\\"canary\\\":{\\\"stage\\\":\\\"rest\\\"}}\"}}";
	played p;
	bool anew = false;
	ao_policies *policies = begin(&p, MAIN);
	policies->with.on_manifest = set_true;
	policies->with.arg = &anew;
	policies->world = (ao_world *)&p; /* any: it is not looked at */
	policies->stuck = ao_xstrdup("its field main.stage is missing or not valid");
	const ao_object *map = NULL;
	assert_int_equal(ao_store_put(ao_informer_store(policies->records), (ao_span){MAP, strlen(MAP)}, &map, NULL), 0);
	ao_recall_watch(policies, map);
	assert_null(policies->stuck);
	ao_loop_run_until(p.loop, &anew, WAIT_MS / 10);
	end_policies(&p, policies);
	if (!anew)
		fail_msg("it goes on in the world of another bundle");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(labels_say_whose_edit_it_is),
	    cmocka_unit_test(a_word_on_one_with_both_labels_is_heard_once),
	    cmocka_unit_test(one_that_gets_the_other_label_is_never_missed),
	    cmocka_unit_test(a_record_that_is_put_back_begins_with_a_world_of_its_own),
	    cmocka_unit_test(a_canary_of_which_nobody_can_say_whose_it_is_stays_after_a_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
