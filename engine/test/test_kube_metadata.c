/* test_kube_metadata.c -- objects of which a real API server is asked for no more than metadata: in pages, on a stream, by an informer. */
#include "kube/informer.h"
#include "kube/list.h"
#include "kube/watch.h"
#include "test/test_kube_cluster.h"

typedef struct seen {
	int items, changes;
	bool done;
	char text[1024]; /* of the latest object */
} seen;

static void on_item(void *arg, ao_span object)
{
	seen *s = arg;
	s->items++;
	assert_non_null(ao_span_at(object, "metadata", "uid").at);
	assert_null(ao_span_get(object, "data").at);
}

static void on_list_end(void *arg, const ao_kube_answer *answer, const char *version)
{
	seen *s = arg;
	assert_int_equal(answer->error, 0);
	assert_non_null(version);
	s->done = true;
}

static void on_event(void *arg, ao_watch_event event, ao_span object)
{
	seen *s = arg;
	if (event == AO_WATCH_PUT)
		on_item(arg, object);
	s->done = true;
}

static void on_watch_end(void *arg, const ao_watch_end *end)
{
	seen *s = arg;
	assert_int_equal(end->error, 0);
	s->done = true;
}

static void on_change(void *arg, ao_informer *informer, ao_change change, const ao_object *object, const ao_object *before)
{
	seen *s = arg;
	(void)informer, (void)change, (void)before;
	ao_auto_str char *made = NULL;
	snprintf(s->text, sizeof(s->text), "%s", ao_object_span(object, &made).at);
	s->changes++;
	s->done = true;
}

static void make(cluster *c, const char *collection)
{
	assert_int_equal(
	    ask(c, "POST", collection, NULL, "{\"metadata\":{\"name\":\"m\",\"labels\":{\"test\":\"meta\"}},\"data\":{\"x\":\"0\"}}", NULL),
	    0);
}

static void lists_and_watches_bring_nothing_else(void **state)
{
	cluster *c = need_cluster(state, __func__);
	seen s = {0};
	ao_auto_str char *collection = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_auto_str char *path = ao_xasprintf("%s?labelSelector=test%%3Dmeta&", collection);
	make(c, collection);
	ao_list_start(&(ao_list_request){.kube = c->kube,
					 .resource = &CONFIG_MAPS,
					 .path = path,
					 .metadata_only = true,
					 .on_item = on_item,
					 .on_end = on_list_end,
					 .arg = &s});
	assert_true(ao_loop_run_until(c->loop, &s.done, 20000));
	assert_int_equal(s.items, 1);
	s.done = false;
	ao_watch *watch = ao_watch_start(&(ao_watch_request){
	    .kube = c->kube, .path = path, .metadata_only = true, .version = "0", .on_event = on_event, .on_end = on_watch_end, .arg = &s});
	assert_true(ao_loop_run_until(c->loop, &s.done, 20000));
	ao_watch_free(watch);
	assert_int_equal(s.items, 2);
	assert_int_equal(ask(c, "DELETE", collection, NULL, NULL, NULL), 0);
}

static void an_informer_sees_that_what_it_does_not_see_has_changed(void **state)
{
	cluster *c = need_cluster(state, __func__);
	seen s = {0};
	ao_auto_str char *collection = ao_resource_path(&CONFIG_MAPS, c->space, NULL, NULL);
	ao_auto_str char *path = ao_resource_path(&CONFIG_MAPS, c->space, "m", NULL);
	make(c, collection);
	ao_informer *informer = ao_informer_new(c->loop, c->kube,
						&(ao_informer_options){
						    .resource = &CONFIG_MAPS,
						    .namespace_ = c->space,
						    .label_selector = "test=meta",
						    .store = {.projection = AO_PROJECTION_METADATA},
						    .on_change = on_change,
						    .arg = &s,
						});
	ao_informer_start(informer);
	assert_true(ao_loop_run_until(c->loop, &s.done, 20000));
	s.done = false;
	assert_int_equal(ask(c, "PATCH", path, AO_MERGE_PATCH, "{\"data\":{\"x\":\"1\"}}", NULL), 0);
	assert_true(ao_loop_run_until(c->loop, &s.done, 20000));
	assert_int_equal(s.changes, 2);
	assert_non_null(strstr(s.text, "\"labels\":{\"test\":\"meta\"}"));
	assert_null(strstr(s.text, "data\":{\"x"));
	ao_informer_free(informer);
	assert_int_equal(ask(c, "DELETE", collection, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(lists_and_watches_bring_nothing_else, open_cluster, close_cluster),
	    cmocka_unit_test_setup_teardown(an_informer_sees_that_what_it_does_not_see_has_changed, open_cluster, close_cluster),
	};
	return cmocka_run_group_tests(tests, NULL, end_cluster);
}
