/* test_kube_event.c -- Events as a real API server keeps them: counted, combined, limited; and the map that forgets. */
#include "kube/event.h"
#include "kube/lru.h"
#include "test/test_kube_account.h"

/* ---- the map that forgets ---- */

static int freed;
static char last_freed[8];

static void count_free(void *value)
{
	freed++;
	snprintf(last_freed, sizeof(last_freed), "%s", (char *)value);
	free(value);
}

static void the_oldest_is_forgotten(void **state)
{
	(void)state;
	ao_lru *lru = ao_lru_new(3, count_free);
	assert_null(ao_lru_get(lru, "a"));
	ao_lru_put(lru, "a", ao_xstrdup("1"));
	ao_lru_put(lru, "b", ao_xstrdup("2"));
	ao_lru_put(lru, "c", ao_xstrdup("3"));
	assert_string_equal(ao_lru_get(lru, "a"), "1"); /* used: b is the oldest now */
	ao_lru_put(lru, "d", ao_xstrdup("4"));
	assert_string_equal(last_freed, "2");
	assert_null(ao_lru_get(lru, "b"));
	ao_lru_put(lru, "c", ao_xstrdup("5"));
	assert_string_equal(last_freed, "3");
	assert_int_equal(ao_lru_count(lru), 3);
	ao_lru_put(lru, "e", ao_xstrdup("6"));
	assert_string_equal(last_freed, "1");
	assert_int_equal(freed, 3);
	ao_lru_free(lru);
	assert_int_equal(freed, 6);
	ao_lru_free(NULL);
}

/* ---- on a server ---- */

static ao_event about(const cluster *c, const char *name, const char *reason, const char *note)
{
	return (ao_event){
	    .api_version = "v1", .kind = "ConfigMap", .namespace_ = c->space, .name = name, .uid = "u-1", .reason = reason, .note = note};
}

static ao_events *start_events(cluster *c) { return ao_events_new(c->loop, c->kube, "asya-test", "here"); }

static void count_answers(void *arg, const char *method, long status, uint64_t took_ms)
{
	(void)method, (void)status, (void)took_ms;
	++*(int *)arg;
}

/** The Events of the test's namespace, once there are `count` with `text` in the last or the time is over. */
static cJSON *wait_events(cluster *c, const char *query, int count, const char *text)
{
	ao_auto_str char *path =
	    ao_xasprintf("/apis/events.k8s.io/v1/namespaces/%s/events?fieldSelector=reportingController%%3Dasya-test%s", c->space, query);
	for (int i = 0; i < 150; i++) {
		cJSON *list = NULL;
		assert_int_equal(ask(c, "GET", path, NULL, NULL, &list), 0);
		const cJSON *items = ao_json_at(list, "items");
		ao_auto_str char *all = ao_json_print(items);
		if (cJSON_GetArraySize(items) == count && strstr(all, text))
			return list;
		if (i == 149)
			fail_msg("wanted %d events with %s: %s", count, text, all);
		cJSON_Delete(list);
		pass_time(c->loop, 100);
	}
	return NULL;
}

static void delete_events(cluster *c)
{
	ao_auto_str char *path = ao_xasprintf("/apis/events.k8s.io/v1/namespaces/%s/events", c->space);
	assert_int_equal(ask(c, "DELETE", path, NULL, NULL, NULL), 0);
}

static const cJSON *first(const cJSON *list) { return cJSON_GetArrayItem(ao_json_at(list, "items"), 0); }

static void an_event_says_everything(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	ao_event e = about(c, "thing", "Created", "made it");
	e.warning = true;
	e.action = "Create";
	ao_events_emit(events, &e);
	ao_auto_json cJSON *list = wait_events(c, "", 1, "made it");
	const cJSON *it = first(list);
	static const char *const want[][2] = {{"type", "Warning"},
					      {"reason", "Created"},
					      {"action", "Create"},
					      {"note", "made it"},
					      {"reportingController", "asya-test"},
					      {"reportingInstance", "here"}};
	for (size_t i = 0; i < AO_LEN(want); i++)
		assert_string_equal(ao_json_str(it, want[i][0]), want[i][1]);
	assert_string_equal(ao_json_str(it, "regarding", "kind"), "ConfigMap");
	assert_string_equal(ao_json_str(it, "regarding", "namespace"), c->space);
	assert_string_equal(ao_json_str(it, "regarding", "uid"), "u-1");
	const char *name = ao_json_str(it, "metadata", "name");
	assert_memory_equal(name, "thing.", 6);
	assert_int_equal(strlen(name), 6 + 16);
	assert_int_equal(strlen(ao_json_str(it, "eventTime")), strlen("2026-01-01T00:00:00.000000Z"));
	assert_true(!ao_json_at(it, "series") || cJSON_IsNull(ao_json_at(it, "series")));
	ao_events_free(events);
	ao_events_free(NULL);
	delete_events(c);
}

static void the_same_again_is_a_count(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	int answers = 0;
	ao_event e = about(c, "thing", "Again", "the same");
	ao_kube_on_answer(c->kube, count_answers, &answers);
	for (int i = 0; i < 5; i++)
		ao_events_emit(events, &e);
	while (answers < 2)
		pass_time(c->loop, 20);
	pass_time(c->loop, 300);
	assert_int_equal(answers, 2); /* a POST, and one PATCH for all that came meanwhile */
	ao_kube_on_answer(c->kube, NULL, NULL);
	ao_auto_json cJSON *list = wait_events(c, "", 1, "\"count\":5");
	ao_events_emit(events, &e);
	ao_auto_json cJSON *more = wait_events(c, "", 1, "\"count\":6");

	delete_events(c); /* as their time to live does */
	ao_events_emit(events, &e);
	ao_auto_json cJSON *anew = wait_events(c, "", 1, "\"count\":7");
	assert_string_equal(ao_json_str(first(anew), "note"), "the same");
	e.note = "another";
	ao_events_emit(events, &e);
	ao_auto_json cJSON *two = wait_events(c, "", 2, "another");
	ao_events_free(events);
	delete_events(c);
}

static void many_notes_become_one(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	for (int i = 0; i < 14; i++) {
		ao_auto_str char *note = ao_xasprintf("number %d", i);
		ao_event e = about(c, "thing", "Many", note);
		ao_events_emit(events, &e);
	}
	ao_auto_json cJSON *list = wait_events(c, "", 11, "\"count\":4");
	ao_auto_str char *all = ao_json_print(list);
	assert_non_null(strstr(all, "(combined from similar events): number 10"));
	assert_non_null(strstr(all, "\"number 9\""));
	ao_events_free(events);
	delete_events(c);
}

static void one_object_may_not_flood(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	for (int i = 0; i < 60; i++) {
		ao_auto_str char *reason = ao_xasprintf("Reason%d", i);
		ao_event e = about(c, "noisy", reason, "x");
		ao_events_emit(events, &e);
	}
	ao_event e = about(c, "quiet", "Other", "x");
	ao_events_emit(events, &e);
	pass_time(c->loop, 1000);
	ao_auto_json cJSON *list = wait_events(c, "", 26, "quiet");
	ao_events_free(events);
	delete_events(c);
}

static void strange_names_and_long_texts_are_accepted(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	ao_auto_str char *path = ao_xasprintf("/apis/events.k8s.io/v1/namespaces/%s/events", c->space);
	char name[300], note[3000], word[300];
	memset(name, 'n', sizeof(name));
	memcpy(name + 230, "a.-.b.", 6);
	name[253] = '\0';
	memset(note, 'x', 1023);
	memcpy(note + 1023, "\xc3\xa9", 3); /* its second byte is one too many */
	memset(word, 'W', sizeof(word));
	word[200] = '\0';
	const char *names[] = {name, "system:Role_x", "-odd-", "x", ":", "a..b"};
	for (size_t i = 0; i < AO_LEN(names); i++) {
		ao_event e = about(c, names[i], word, note);
		e.uid = i == 3 ? NULL : "u";
		ao_events_emit(events, &e);
	}
	ao_auto_json cJSON *list = wait_events(c, "", (int)AO_LEN(names), "xxx");
	const cJSON *it;
	cJSON_ArrayForEach (it, ao_json_at(list, "items")) {
		assert_int_equal(strlen(ao_json_str(it, "note")), 1023);
		assert_int_equal(strlen(ao_json_str(it, "reason")), 128);
		assert_true(strlen(ao_json_str(it, "metadata", "name")) <= 253);
	}
	ao_event nothing = about(c, "x", NULL, NULL);
	ao_events_emit(events, &nothing);
	nothing.reason = "";
	ao_events_emit(events, &nothing);
	ao_events_free(events);
	delete_events(c);
}

static void events_of_the_cluster_go_to_default(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	ao_auto_str char *name = ao_xasprintf("node-%s", c->space);
	ao_event e = {.api_version = "v1", .kind = "Node", .namespace_ = "", .name = name, .uid = "n", .reason = "Seen", .note = "x"};
	ao_events_emit(events, &e);
	cluster in_default = *c;
	snprintf(in_default.space, sizeof(in_default.space), "default");
	ao_auto_str char *query = ao_xasprintf(",regarding.name%%3D%s", name);
	ao_auto_json cJSON *list = wait_events(&in_default, query, 1, name);
	ao_auto_str char *path =
	    ao_xasprintf("/apis/events.k8s.io/v1/namespaces/default/events/%s", ao_json_str(first(list), "metadata", "name"));
	assert_int_equal(ask(c, "DELETE", path, NULL, NULL, NULL), 0);
	ao_events_free(events);
}

static bool closed(void *arg)
{
	++*(int *)arg;
	return false;
}

static void what_is_refused_is_dropped(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	int asked = 0;
	ao_kube_set_gate(c->kube, closed, &asked);
	ao_event e = about(c, "thing", "Refused", "x");
	ao_events_emit(events, &e);
	pass_time(c->loop, 2500);
	assert_int_equal(asked, 1); /* not tried again */
	ao_kube_set_gate(c->kube, NULL, NULL);
	ao_events_emit(events, &e);
	ao_auto_json cJSON *list = wait_events(c, "", 1, "\"count\":2");
	ao_events_free(events);
	delete_events(c);
}

static void a_server_that_is_away_is_tried_less_and_less(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_kubeconfig config = config_with(c, NULL, NULL);
	config.server = (char *)"https://127.0.0.1:1";
	ao_kube *dead = NULL;
	int answers = 0;
	assert_int_equal(ao_kube_new(c->loop, &config, "asya-test", &dead, NULL), 0);
	ao_kube_on_answer(dead, count_answers, &answers);
	ao_events *events = ao_events_new(c->loop, dead, "asya-test", NULL);
	ao_event e = about(c, "thing", "Away", "x");
	ao_events_emit(events, &e);
	pass_time(c->loop, 6500);
	assert_int_equal(answers, 3); /* the next one after 7 s */
	ao_events_emit(events, &e);   /* freed in flight, and while it rests */
	e.reason = "Other";
	ao_events_emit(events, &e);
	pass_time(c->loop, 500);
	e.reason = "Third";
	ao_events_emit(events, &e);
	ao_events_free(events);
	ao_kube_free(dead);
}

static void an_outage_takes_no_event_away(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	ao_events *events = ao_events_new(c->loop, faulty.kube, "asya-test", NULL);
	ao_event e = about(c, "thing", "Outage", "x");
	add_fault("{\"act\": \"refuse\"}");
	ao_events_emit(events, &e);
	pass_time(c->loop, 12000);
	clear_faults();
	ao_auto_json cJSON *list = wait_events(c, "%2Creason%3DOutage", 1, "thing");
	ao_events_free(events);
	delete_events(c);
	disconnect_faults(&faulty);
}

static void the_queue_has_an_end(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_events *events = start_events(c);
	for (int i = 0; i < 1100; i++) {
		ao_auto_str char *name = ao_xasprintf("thing-%d", i);
		ao_event e = about(c, name, "Flood", "x");
		ao_events_emit(events, &e);
	}
	pass_time(c->loop, 2000);
	ao_auto_json cJSON *list = wait_events(c, "", 1000, "thing-999");
	ao_auto_str char *all = ao_json_print(list);
	assert_null(strstr(all, "\"thing-1000\""));
	ao_event e = about(c, "thing-1099", "Flood", "x");
	ao_events_emit(events, &e); /* there is room again */
	ao_auto_json cJSON *more = wait_events(c, "", 1001, "thing-1099");
	ao_events_free(events);
	delete_events(c);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_oldest_is_forgotten),
	    CASE(an_event_says_everything),
	    CASE(the_same_again_is_a_count),
	    CASE(many_notes_become_one),
	    CASE(one_object_may_not_flood),
	    CASE(strange_names_and_long_texts_are_accepted),
	    CASE(events_of_the_cluster_go_to_default),
	    CASE(what_is_refused_is_dropped),
	    CASE(a_server_that_is_away_is_tried_less_and_less),
	    CASE(an_outage_takes_no_event_away),
	    CASE(the_queue_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
