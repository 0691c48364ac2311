/* The informer against a real API server, with cuts, restarts and compactions; and freed at every moment. */
#include "kube/informer.h"

#include "kube/list.h"
#include "test/test_kube_cluster.h"

/* ---- what an informer told ---- */

typedef struct seen {
	cluster *c;
	ao_informer *informer;
	int added, updated, deleted, synced, absent;
	int wait_for; /* changes of any kind, or of `synced` */
	bool done;
	char last[128];
	int free_after; /* so many changes; -1: being synced; 0: never */
} seen;

static void count_down(seen *s)
{
	if (s->wait_for && --s->wait_for == 0)
		s->done = true;
}

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	seen *s = arg;
	assert_ptr_equal(informer, s->informer);
	s->added += change == AO_ADDED;
	s->updated += change == AO_UPDATED;
	s->deleted += change == AO_DELETED;
	assert_int_equal(before != NULL, change == AO_UPDATED);
	if (before)
		assert_true(before->full_digest != object->full_digest);
	assert_int_equal(ao_store_get(ao_informer_store(informer), object->key) == object, change != AO_DELETED);
	ao_auto_str char *made = NULL;
	assert_int_equal(strlen(ao_object_span(object, &made).at), object->len);
	snprintf(s->last, sizeof(s->last), "%s", object->name);
	count_down(s);
	if (s->free_after > 0 && --s->free_after == 0) {
		ao_informer_free(informer);
		s->informer = NULL;
		s->done = true;
	}
}

static void on_synced(void *arg, ao_informer *informer, bool absent)
{
	seen *s = arg;
	s->synced++;
	s->absent = absent;
	assert_true(ao_informer_synced(informer));
	assert_int_equal(ao_informer_absent(informer), absent);
	count_down(s);
	if (s->free_after == -1) {
		ao_informer_free(informer);
		s->informer = NULL;
		s->done = true;
	}
}

static void start(seen *s, cluster *c, const ao_resource *resource, const char *selector)
{
	*s = (seen){.c = c, .wait_for = s->wait_for, .free_after = s->free_after};
	s->informer = ao_informer_new(c->loop, c->kube,
				      &(ao_informer_options){
					  .resource = resource,
					  .namespace_ = resource->cluster_scoped ? NULL : c->space,
					  .label_selector = selector,
					  .store = {.index_label = "test"},
					  .on_change = on_change,
					  .on_synced = on_synced,
					  .arg = s,
				      });
	ao_informer_start(s->informer);
}

/** Waits for `count` calls of on_change and on_synced. */
static void wait_for(seen *s, int count, uint64_t timeout_ms)
{
	s->wait_for = count;
	s->done = false;
	if (!ao_loop_run_until(s->c->loop, &s->done, patient_ms(timeout_ms)))
		fail_msg("%d calls are missing; added %d, updated %d, deleted %d, synced %d", s->wait_for, s->added, s->updated, s->deleted,
			 s->synced);
	s->wait_for = 0;
}

static void set_true(void *arg) { *(bool *)arg = true; }

/** Lets the loop turn for a while. */
static void pass_time(cluster *c, uint64_t ms)
{
	bool over = false;
	ao_timer *timer = ao_timer_new(c->loop, set_true, &over);
	ao_timer_start(timer, ms);
	assert_true(ao_loop_run_until(c->loop, &over, ms + 5000));
	ao_timer_free(timer);
}

static void wait_synced(seen *s)
{
	while (!s->synced)
		wait_for(s, 1, 20000);
}

/* ---- objects ---- */

static void create(cluster *c, const char *name, const char *label)
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_auto_str char *body =
	    ao_xasprintf("{\"metadata\":{\"name\":\"%s\",\"labels\":{\"test\":\"%s\"}},\"data\":{\"x\":\"0\"}}", name, label);
	assert_int_equal(ask(c, "POST", path, NULL, body, NULL), 0);
}

static void change(cluster *c, const char *name, const char *value)
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, name, NULL);
	ao_auto_str char *body = ao_xasprintf("{\"data\":{\"x\":\"%s\"}}", value);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, body, NULL), 0);
}

static void delete (cluster *c, const char *name)
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, name, NULL);
	assert_int_equal(ask(c, "DELETE", path, NULL, NULL, NULL), 0);
}

static void delete_all(cluster *c)
{
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	assert_int_equal(ask(c, "DELETE", path, NULL, NULL, NULL), 0);
}

static bool holds(const seen *s, const char *name, const char *text)
{
	ao_auto_str char *key = ao_xasprintf("%s/%s", s->c->space, name);
	const ao_object *object = ao_store_get(ao_informer_store(s->informer), key);
	ao_auto_str char *made = NULL;
	return object && strstr(ao_object_span(object, &made).at, text);
}

/* ---- cases ---- */

static void what_is_there_and_what_comes(void **state)
{
	cluster *c = need_cluster(state, __func__);
	seen s = {0};
	create(c, "one", "a");
	create(c, "two", "b");
	start(&s, c, &CONFIG_MAPS, "test in (a,b)"); /* the selector is escaped; the namespace's own ConfigMap is not selected */
	wait_synced(&s);
	assert_int_equal(s.added, 2);
	assert_int_equal(s.synced, 1);
	assert_int_equal(ao_store_count(ao_informer_store(s.informer)), 2);
	create(c, "three", "a");
	create(c, "not-selected", "c");
	change(c, "one", "1");
	delete (c, "two");
	if (s.added + s.updated + s.deleted < 5)
		wait_for(&s, 5 - s.added - s.updated - s.deleted, 10000);
	assert_int_equal(s.added, 3);
	assert_int_equal(s.updated, 1);
	assert_int_equal(s.deleted, 1);
	assert_true(holds(&s, "one", "\"x\":\"1\""));
	assert_true(holds(&s, "three", "\"x\":\"0\""));
	assert_false(holds(&s, "two", ""));
	change(c, "one", "1"); /* the server writes nothing */
	change(c, "three", "3");
	if (s.updated < 2)
		wait_for(&s, 1, 10000);
	assert_string_equal(s.last, "three");
	assert_int_equal(s.updated, 2);
	assert_int_equal(ao_informer_restarts(s.informer), 0);
	ao_informer_free(s.informer);
	delete_all(c);
}

static void what_leaves_the_selection_is_deleted(void **state)
{
	cluster *c = need_cluster(state, __func__);
	seen s = {0};
	create(c, "one", "a");
	start(&s, c, &CONFIG_MAPS, "test=a");
	wait_synced(&s);
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, "one", NULL);
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, "{\"metadata\":{\"labels\":{\"test\":\"b\"}}}", NULL), 0);
	if (!s.deleted)
		wait_for(&s, 1, 10000);
	assert_int_equal(s.deleted, 1);
	assert_int_equal(ao_store_count(ao_informer_store(s.informer)), 0);
	ao_informer_free(s.informer);
	delete_all(c);
}

static void answers_come_before_events(void **state)
{
	cluster *c = need_cluster(state, __func__);
	seen s = {0};
	start(&s, c, &CONFIG_MAPS, "test=a");
	wait_synced(&s);
	ao_answered answered = {0};
	reply r = {0};
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_kube_send(c->kube, &(ao_kube_request){.method = "POST",
						 .path = path,
						 .body = "{\"metadata\":{\"name\":\"ours\",\"labels\":{\"test\":\"a\"}}}",
						 .fn = on_reply,
						 .arg = &r});
	assert_true(ao_loop_run_until(c->loop, &r.done, 10000));
	assert_int_equal(ao_store_put_answer(ao_informer_store(s.informer), r.body, strlen(r.body), &answered, NULL), 0);
	ao_object_free(answered.before); /* when the event came before the answer */
	create(c, "next", "a");
	while (strcmp(s.last, "next") != 0)
		wait_for(&s, 1, 10000);
	assert_int_equal(s.updated, 0); /* the event of our own write says nothing new */
	delete (c, "ours");
	if (!s.deleted)
		wait_for(&s, 1, 10000);
	assert_int_equal(ao_store_put_answer(ao_informer_store(s.informer), r.body, strlen(r.body), &answered, NULL), -ENOENT);
	free(r.body);
	ao_informer_free(s.informer);
	delete_all(c);
}

/* ---- pages ---- */

typedef struct pages {
	int items, ends;
	bool done;
	char version[32];
	ao_list *list;
	int free_after;
} pages;

static void on_item(void *arg, ao_span object)
{
	pages *p = arg;
	assert_true(ao_span_at(object, "metadata", "uid").at != NULL);
	if (++p->items == p->free_after) {
		ao_list_free(p->list);
		p->done = true;
	}
}

static void on_list_end(void *arg, const ao_kube_answer *answer, const char *version)
{
	pages *p = arg;
	assert_int_equal(answer->error, 0);
	snprintf(p->version, sizeof(p->version), "%s", version);
	p->ends++;
	p->done = true;
}

static void many_pages(void **state)
{
	cluster *c = need_cluster(state, __func__);
	for (int i = 0; i < 230; i++) {
		char name[32];
		snprintf(name, sizeof(name), "many-%d", i);
		create(c, name, "many");
	}
	ao_auto_str char *collection = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_auto_str char *path = ao_xasprintf("%s?labelSelector=test%%3Dmany&", collection);
	static const int moments[] = {0, 1, 100, 101, 230};
	for (size_t i = 0; i < AO_LEN(moments); i++) {
		pages p = {.free_after = moments[i]};
		p.list = ao_list_start(&(ao_list_request){
		    .kube = c->kube, .resource = &CONFIG_MAPS, .path = path, .on_item = on_item, .on_end = on_list_end, .arg = &p});
		assert_true(ao_loop_run_until(c->loop, &p.done, 20000));
		pass_time(c, 50);
		assert_int_equal(p.items, moments[i] ? moments[i] : 230);
		assert_int_equal(p.ends, !moments[i]);
		assert_true(moments[i] || p.version[0]);
	}
	seen s = {0};
	start(&s, c, &CONFIG_MAPS, "test=many");
	wait_synced(&s);
	assert_int_equal(s.added, 230);
	ao_informer_free(s.informer);
	delete_all(c);
}

/* ---- faults ---- */

/** Does the server do WatchList? */
static bool streams_lists(cluster *c)
{
	ao_auto_str char *collection = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_auto_str char *path = ao_xasprintf(
	    "%s?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1", collection);
	return ask(c, "GET", path, NULL, NULL, NULL) == 0;
}

static void a_cut_watch_is_resumed(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	seen s = {0};
	create(c, "one", "a");
	create(c, "two", "a");
	start(&s, &proxied, &CONFIG_MAPS, "test=a");
	wait_synced(&s);
	set_network("refuse");
	change(c, "one", "while cut");
	delete (c, "two");
	create(c, "three", "a");
	pass_time(c, 1500);
	assert_int_equal(s.updated + s.deleted, 0);
	set_network("pass");
	wait_for(&s, 3, 20000);
	assert_int_equal(s.added, 3);
	assert_int_equal(s.updated, 1);
	assert_int_equal(s.deleted, 1);
	assert_int_equal(s.synced, 1);
	assert_true(ao_informer_restarts(s.informer) >= 1);
	ao_informer_free(s.informer);
	disconnect(&proxied);
	delete_all(c);
}

static void an_expired_version_lists_again(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster proxied = through_proxy(c);
	seen s = {0};
	create(c, "stays", "a");
	create(c, "goes", "a");
	start(&s, &proxied, &CONFIG_MAPS, "test=a");
	wait_synced(&s);
	set_network("refuse");
	for (int i = 0; i < 30; i++)
		change(c, "stays", i % 2 ? "odd" : "even");
	delete (c, "goes");
	create(c, "comes", "a");
	bed("restart", "apiserver"); /* its watch cache begins anew: our version is too old for it */
	ao_kube_reset(c->kube);
	set_network("pass");
	wait_for(&s, 3, 60000);
	assert_int_equal(s.added, 3);
	assert_int_equal(s.updated, 1);
	assert_int_equal(s.deleted, 1);
	assert_int_equal(s.synced, 1);
	assert_true(holds(&s, "stays", "odd"));
	assert_true(holds(&s, "comes", ""));
	change(c, "comes", "after");
	if (s.updated < 2)
		wait_for(&s, 1, 20000);
	ao_informer_free(s.informer);
	disconnect(&proxied);
	delete_all(c);
}

/** A list that takes two seconds and is too old then: it is not worth to be asked for all the time. */
static void lists_that_expire_are_no_loop(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	seen s = {0};
	create(c, "one", "a");
	add_fault("{\"act\": \"delay\", \"ms\": 2000, \"path\": \"watch=1\"}");
	add_fault("{\"act\": \"event\", \"code\": 410, \"path\": \"watch=1\"}");
	start(&s, &faulty, &CONFIG_MAPS, "test=a");
	pass_time(c, 13000);
	assert_in_range(ao_informer_restarts(s.informer), 1, 3); /* 6 without a rest */
	clear_faults();
	wait_synced(&s);
	assert_int_equal(ao_store_count(ao_informer_store(s.informer)), 1);
	ao_informer_free(s.informer);
	disconnect_faults(&faulty);
	delete_all(c);
}

/** Each stream brings one event and the half of another, and ends as if all were well. */
static void streams_that_end_at_once_are_no_loop(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	cluster faulty = through_faults(c);
	seen s = {0};
	create(c, "one", "a");
	start(&s, &faulty, &CONFIG_MAPS, "test=a");
	wait_synced(&s);
	add_fault("{\"act\": \"cut\", \"bytes\": 700, \"clean\": true, \"path\": \"watch=1\"}");
	for (int i = 0; i < 60; i++) {
		change(c, "one", i % 2 ? "odd" : "even");
		pass_time(c, 50);
	}
	assert_in_range(ao_informer_restarts(s.informer), 1, 5);
	clear_faults();
	change(c, "one", "last");
	while (!holds(&s, "one", "last"))
		wait_for(&s, 1, 20000);
	ao_informer_free(s.informer);
	disconnect_faults(&faulty);
	delete_all(c);
}

static void a_restarted_server(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	seen s = {0};
	create(c, "one", "a");
	start(&s, c, &CONFIG_MAPS, "test=a");
	wait_synced(&s);
	bed("kill", "apiserver");
	pass_time(c, 3000);
	assert_int_equal(ao_store_count(ao_informer_store(s.informer)), 1); /* nothing is forgotten meanwhile */
	bed("start", "apiserver");
	create(c, "two", "a");
	if (s.added < 2)
		wait_for(&s, 1, 60000);
	assert_int_equal(s.added, 2);
	assert_int_equal(s.deleted, 0);
	ao_informer_free(s.informer);
	delete_all(c);
}

static int no_matter(void *arg, const char *bytes, size_t len)
{
	(void)arg, (void)bytes, (void)len;
	return 0;
}

/** Has a connection made for streams: what is cut then is one of them, and no handshake. */
static void connect_streams(cluster *c, const char *path)
{
	reply r = {0};
	ao_kube_send(c->kube, &(ao_kube_request){.method = "GET", .path = path, .on_data = no_matter, .fn = on_reply, .arg = &r});
	assert_true(ao_loop_run_until(c->loop, &r.done, 10000));
	assert_int_equal(r.error, 0);
	free(r.body);
}

static void an_initial_list_that_is_cut(void **state)
{
	cluster *c = need_cluster(state, __func__);
	if (!has_bed(__func__))
		skip();
	for (int i = 0; i < 20; i++) {
		char name[32];
		snprintf(name, sizeof(name), "cut-%d", i);
		create(c, name, "a");
	}
	uint64_t restarts = 0;
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	static const char *const counts[] = {"1", "3000", "5000", "7000", "9000"};
	for (size_t i = 0; i < AO_LEN(counts); i++) {
		cluster proxied = through_proxy(c);
		seen s = {0};
		connect_streams(&proxied, path);
		ao_auto_str char *fault = ao_xasprintf("cut-after %s", counts[i]);
		set_network(fault);
		start(&s, &proxied, &CONFIG_MAPS, "test=a");
		wait_synced(&s);
		restarts += ao_informer_restarts(s.informer);
		assert_int_equal(ao_store_count(ao_informer_store(s.informer)), 20);
		assert_int_equal(s.added, 20);
		assert_int_equal(s.updated + s.deleted, 0);
		ao_informer_free(s.informer);
		disconnect(&proxied);
	}
	assert_true(restarts >= 3 || !streams_lists(c)); /* curl itself repeats a request of which nothing was answered yet */
	delete_all(c);
}

/* ---- kinds that come and go ---- */

static const ao_resource LATER = {"unit.test/v1", "Later", "laters", false};

static const char CRD[] =
    "{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\",\"metadata\":{\"name\":\"laters.unit.test\"},"
    "\"spec\":{\"group\":\"unit.test\",\"scope\":\"Namespaced\",\"names\":{\"plural\":\"laters\",\"kind\":\"Later\"},\"versions\":[{"
    "\"name\":"
    "\"v1\",\"served\":true,\"storage\":true,\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":"
    "true}}}]}}";

static void a_kind_that_is_installed_later(void **state)
{
	cluster *c = need_cluster(state, __func__);
	seen s = {0};
	static const char crds[] = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
	start(&s, c, &LATER, NULL);
	wait_synced(&s);
	assert_true(s.absent);
	assert_int_equal(s.synced, 1);
	assert_int_equal(ask(c, "POST", crds, NULL, CRD, NULL), 0);
	ao_auto_str char *path = ao_resource_path(&LATER, c->space, NULL, NULL);
	static const char later[] = "{\"apiVersion\":\"unit.test/v1\",\"kind\":\"Later\",\"metadata\":{\"name\":\"a\"},\"spec\":{}}";
	int r = -ENOENT;
	for (int i = 0; r && i < 50; i++, pass_time(c, 200))
		r = ask(c, "POST", path, NULL, later, NULL);
	assert_int_equal(r, 0);
	wait_for(&s, 2, 45000); /* the object, and that the kind is there */
	assert_false(s.absent);
	assert_int_equal(s.synced, 2);
	assert_int_equal(s.added, 1);
	ao_auto_str char *crd = ao_xasprintf("%s/laters.unit.test", crds);
	assert_int_equal(ask(c, "DELETE", crd, NULL, NULL, NULL), 0);
	wait_for(&s, 2, 60000);
	assert_true(s.absent);
	assert_int_equal(s.deleted, 1);
	assert_int_equal(ao_store_count(ao_informer_store(s.informer)), 0);
	ao_informer_free(s.informer);
}

/* ---- freed at any moment ---- */

static void freed_at_any_moment(void **state)
{
	cluster *c = need_cluster(state, __func__);
	for (int i = 0; i < 5; i++) {
		char name[32];
		snprintf(name, sizeof(name), "free-%d", i);
		create(c, name, "a");
	}
	for (int after = -1; after <= 5; after++) { /* from inside on_synced, on_change */
		seen s = {.free_after = after};
		start(&s, c, &CONFIG_MAPS, "test=a");
		if (after)
			assert_true(ao_loop_run_until(c->loop, &s.done, 10000));
		else
			ao_informer_free(s.informer); /* before anything happens */
		pass_time(c, 20);
	}
	for (uint64_t ms = 0; ms < 40; ms++) { /* between any two turns of the loop */
		seen s = {0};
		start(&s, c, &CONFIG_MAPS, "test=a");
		pass_time(c, ms);
		ao_informer_free(s.informer);
	}
	seen never = {0}; /* and never started */
	never.informer = ao_informer_new(c->loop, c->kube, &(ao_informer_options){.resource = &CONFIG_MAPS});
	ao_informer_free(never.informer);
	ao_informer_free(NULL);
	delete_all(c);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_is_there_and_what_comes),
	    CASE(what_leaves_the_selection_is_deleted),
	    CASE(answers_come_before_events),
	    CASE(many_pages),
	    CASE(a_cut_watch_is_resumed),
	    CASE(an_expired_version_lists_again),
	    CASE(lists_that_expire_are_no_loop),
	    CASE(streams_that_end_at_once_are_no_loop),
	    CASE(a_restarted_server),
	    CASE(an_initial_list_that_is_cut),
	    CASE(a_kind_that_is_installed_later),
	    CASE(freed_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
