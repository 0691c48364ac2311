/* The world without a server: which answers to our own writes wake whom. */
#include "reconcile/world.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static ao_kind kinds[] = {
    {.resource = {"test.io/v1", "Owner", "owners", false}, .role = AO_ROLE_PARENT},
    {.resource = {"v1", "Thing", "things", false}, .role = AO_ROLE_CHILD},
    {.resource = {"v1", "Common", "commons", false}, .role = AO_ROLE_SHARED},
    {.resource = {"v1", "Seen", "seens", false}, .role = AO_ROLE_RELATED, .label = (char *)"test.io/owner"},
    {.resource = {"v1", "Seen", "seens", false}, .role = AO_ROLE_RELATED, .label = (char *)"test.io/group", .same = true},
    {.resource = {"v1", "Secret", "secrets", false}, .role = AO_ROLE_CHILD},
};
static char *no_managers[] = {NULL};
static const ao_manifest MANIFEST = {.kinds = kinds,
				     .kind_count = AO_LEN(kinds),
				     .legacy_managers = no_managers,
				     .class_annotation = (char *)"test.io/class",
				     .parent_label = "test.io/group"};
static const ao_kind *const PARENT = &kinds[0], *const CHILD = &kinds[1], *const COMMON = &kinds[2], *const SEEN = &kinds[3],
			    *const ALIKE = &kinds[4], *const SECRET = &kinds[5];

typedef struct place {
	ao_loop *loop;
	ao_kubeconfig *config;
	ao_kube *kube;
	ao_world *world;
	unsigned parent, dependent, shared; /* how often each was told */
} place;

static void on_parent(void *arg, const char *key, bool edited)
{
	(void)edited;
	assert_string_equal(key, "s/a");
	((place *)arg)->parent++;
}

static void on_dependent(void *arg, const char *key)
{
	assert_string_equal(key, "s/a");
	((place *)arg)->dependent++;
}

static void on_shared(void *arg, const ao_kind *kind, const char *key)
{
	assert_ptr_equal(kind, COMMON);
	assert_string_equal(key, "s/a");
	((place *)arg)->shared++;
}

static void on_nothing(void *arg) { (void)arg; }

static int make_place(void **state)
{
	static place p;
	static ao_kubeconfig config;
	p = (place){.loop = ao_loop_new()};
	config = (ao_kubeconfig){.server = (char *)"https://127.0.0.1:1", .source = (char *)"test"};
	ao_world_listener listener = {on_parent, on_dependent, on_shared, on_nothing, NULL, NULL, &p};
	assert_int_equal(ao_kube_new(p.loop, &config, "asya-test", &p.kube, NULL), 0);
	p.world = ao_world_new(p.loop, p.kube, &MANIFEST, &AO_SCOPE_ALL, &listener);
	*state = &p;
	return 0;
}

static int end_place(void **state)
{
	place *p = *state;
	ao_world_free(p->world);
	ao_kube_free(p->kube);
	return ao_loop_close(p->loop);
}

/** What the server holds of "a" in namespace "s". */
typedef struct version {
	unsigned number;           /* resourceVersion */
	const char *uid;           /* NULL: "u" */
	unsigned generation;       /* 0: 1 */
	const char *metadata;      /* more members of it, each ending with a comma; NULL: none */
	const char *spec, *status; /* NULL: 1 */
} version;

/** The server's answer to a write of ours. @return its spec_digest, 0 when the object is not there */
static uint64_t took(place *p, const ao_kind *kind, ao_wrote wrote, version v)
{
	uint64_t digest = 0;
	ao_auto_str char *body = ao_xasprintf("{\"kind\":\"%s\",\"metadata\":{%s\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"%s\","
					      "\"generation\":%u,\"resourceVersion\":\"%u\"},"
					      "\"spec\":%s,\"status\":%s}",
					      kind->resource.kind, v.metadata ? v.metadata : "", v.uid ? v.uid : "u",
					      v.generation ? v.generation : 1, v.number, v.spec ? v.spec : "1", v.status ? v.status : "1");
	ao_kube_answer answer = {.status = 200, .reason = "", .message = "", .body = body, .body_len = strlen(body)};
	bool there = ao_world_put_answer(p->world, kind, wrote, &answer, &digest);
	assert_int_equal(there, digest != 0);
	return digest;
}

/** Begins with a parent that is known, and nobody told. */
static void begin(place *p)
{
	took(p, PARENT, AO_WROTE_OBJECT, (version){.number = 10});
	assert_int_equal(p->parent, 0); /* as our own write made it */
}

#define GOES "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\","

static void what_a_status_write_brings_beside_the_status_is_news(void **state)
{
	place *p = *state;
	static const struct {
		version answer;
		bool news;
	} cases[] = {
	    {{.number = 11, .status = "2"}, false},
	    {{.number = 11}, false},
	    {{.number = 11, .spec = "2", .generation = 2, .status = "2"}, true}, /* an edit */
	    {{.number = 11, .generation = 3}, true},                             /* there and back */
	    {{.number = 11, .uid = "v"}, true},                                  /* deleted, and made again as it was */
	    {{.number = 11, .metadata = GOES}, true},                            /* to be deleted */
	    {{.number = 11, .metadata = "\"labels\":{\"x\":\"y\"},"}, true},
	    {{.number = 11, .metadata = "\"annotations\":{\"test.io/class\":\"other\"},"}, true}, /* another operator's now */
	    {{.number = 9, .spec = "2"}, false},                                                  /* older than what is known */
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		p->parent = 0;
		ao_store_remove(ao_world_parents(p->world), "s/a");
		begin(p);
		took(p, PARENT, AO_WROTE_STATUS, cases[i].answer);
		if (p->parent != cases[i].news)
			fail_msg("case %zu: told %u times", i, p->parent);
		took(p, PARENT, AO_WROTE_STATUS, cases[i].answer); /* the same once more, as the watch would show it */
		assert_int_equal(p->parent, cases[i].news);
	}
}

static void what_leaves_our_class_is_gone(void **state)
{
	place *p = *state;
	begin(p);
	assert_int_equal(
	    took(p, PARENT, AO_WROTE_STATUS, (version){.number = 11, .metadata = "\"annotations\":{\"test.io/class\":\"other\"},"}), 0);
	assert_null(ao_store_get(ao_world_parents(p->world), "s/a"));
	assert_true(took(p, PARENT, AO_WROTE_STATUS, (version){.number = 12}) != 0); /* and back */
	assert_int_equal(p->parent, 2);
}

static void our_own_change_of_an_object_is_no_news(void **state)
{
	place *p = *state;
	begin(p);
	took(p, PARENT, AO_WROTE_OBJECT, (version){.number = 11, .metadata = "\"finalizers\":[\"test.io/f\"],"});
	assert_int_equal(p->parent, 0);
	took(p, PARENT, AO_WROTE_OBJECT, (version){.number = 12, .metadata = GOES "\"finalizers\":[\"test.io/f\"],"});
	assert_int_equal(p->parent, 1);
}

#define OWNED "\"ownerReferences\":[{\"kind\":\"Owner\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true}],"

static void children_wake_their_parent(void **state)
{
	place *p = *state;
	begin(p);
	uint64_t first = took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 20, .metadata = OWNED});
	uint64_t second = took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 21, .metadata = OWNED, .spec = "2", .generation = 2});
	assert_int_equal(p->dependent, 0);
	assert_true(first != second);
	assert_int_equal(took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 20, .metadata = OWNED}), first); /* late: told as it was ... */
	assert_int_equal(ao_store_get(ao_world_store(p->world, CHILD), "s/a")->spec_digest, second);          /* ... and not kept */
	took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 22, .metadata = OWNED GOES, .spec = "2", .generation = 2});
	assert_int_equal(p->dependent, 1);
	took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 23, .metadata = OWNED, .uid = "v"});
	assert_int_equal(p->dependent, 2);
	took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 24}); /* it has lost its owner */
	assert_int_equal(p->dependent, 3);
	assert_int_equal(p->parent + p->shared, 0);
}

static void deleted(place *p, int error, const char *uid, const char *body)
{
	ao_kube_answer answer = {.error = error, .reason = "", .message = "", .body = body, .body_len = strlen(body)};
	ao_world_deleted(p->world, CHILD, "s/a", uid, &answer);
}

static void what_is_deleted_stays_while_it_goes(void **state)
{
	place *p = *state;
	ao_store *things = ao_world_store(p->world, CHILD);
	begin(p);
	took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 20, .metadata = OWNED});
	deleted(p, 0, "u",
		"{\"kind\":\"Thing\",\"metadata\":{" OWNED GOES
		"\"name\":\"a\",\"namespace\":\"s\",\"uid\":\"u\",\"resourceVersion\":\"21\"}}");
	assert_true(ao_store_get(things, "s/a")->deleting);
	took(p, CHILD, AO_WROTE_OBJECT, (version){.number = 22, .metadata = OWNED, .uid = "v"});
	p->dependent = 0;
	deleted(p, -ENOENT, "u", "");
	assert_string_equal(ao_store_get(things, "s/a")->uid, "v"); /* another has the name now */
	deleted(p, 0, "v", "{\"kind\":\"Status\",\"status\":\"Success\"}");
	assert_null(ao_store_get(things, "s/a"));
	assert_int_equal(p->dependent, 0);
}

static void shared_objects_wake_their_keeper(void **state)
{
	place *p = *state;
	took(p, COMMON, AO_WROTE_OBJECT, (version){.number = 10});
	took(p, COMMON, AO_WROTE_OBJECT, (version){.number = 11, .spec = "2"});
	assert_int_equal(p->shared, 0);
	took(p, COMMON, AO_WROTE_OBJECT, (version){.number = 12, .metadata = GOES});
	assert_int_equal(p->shared, 1);
	assert_int_equal(p->parent + p->dependent, 0);
}

static size_t count_related(place *p)
{
	ao_auto_json cJSON *snapshot = NULL;
	assert_int_equal(ao_world_snapshot(p->world, ao_store_get(ao_world_parents(p->world), "s/a"), &snapshot, NULL), 0);
	return (size_t)cJSON_GetArraySize(ao_json_at(snapshot, "related"));
}

static void related_objects_are_found_by_a_label_that_parents_have_too(void **state)
{
	place *p = *state;
	took(p, PARENT, AO_WROTE_OBJECT, (version){.number = 10, .metadata = "\"labels\":{\"test.io/group\":\"g\"},"});
	took(p, ALIKE, AO_WROTE_OBJECT, (version){.number = 11, .metadata = "\"labels\":{\"test.io/group\":\"other\"},"});
	assert_int_equal(count_related(p), 0);
	took(p, ALIKE, AO_WROTE_OBJECT, (version){.number = 12, .metadata = "\"labels\":{\"test.io/group\":\"g\"},"});
	assert_int_equal(count_related(p), 1);
	took(p, ALIKE, AO_WROTE_OBJECT, (version){.number = 13, .metadata = GOES "\"labels\":{\"test.io/group\":\"g\"},"});
	assert_int_equal(p->dependent, 1); /* the parent hears of it */
	static const char both[] = "\"labels\":{\"test.io/group\":\"g\",\"test.io/owner\":\"a\"},";
	took(p, SEEN, AO_WROTE_OBJECT, (version){.number = 14, .metadata = both});
	took(p, ALIKE, AO_WROTE_OBJECT, (version){.number = 14, .metadata = both});
	assert_int_equal(count_related(p), 1); /* once, though both labels lead to it */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, make_place, end_place)

/** What policies are shown they may log, or write where everybody reads it. */
static void of_a_secret_policies_see_its_keys(void **state)
{
	place *p = *state;
	static const char TEXT[] =
	    "{\"metadata\":{\"name\":\"s\",\"namespace\":\"s\",\"uid\":\"us\",\"resourceVersion\":\"1\",\"annotations\":{\"a\":\"b\","
	    "\"kubectl.kubernetes.io/"
	    "last-applied-configuration\":\"{\\\"stringData\\\":{\\\"pw\\\":\\\"hunter2\\\"}}\"},\"ownerReferences\":"
	    "[{\"kind\":\"Owner\",\"name\":\"a\",\"uid\":\"u\",\"controller\":true}]},\"data\":{\"pw\":\"aHVudGVyMg==\",\"none\":\"\"}}";
	ao_auto_json cJSON *snapshot = NULL, *tree = NULL;
	const ao_object *secret = NULL;
	begin(p);
	assert_int_equal(ao_store_put(ao_world_store(p->world, SECRET), (ao_span){TEXT, sizeof(TEXT) - 1}, &secret, NULL), 0);
	assert_int_equal(ao_world_snapshot(p->world, ao_store_get(ao_world_parents(p->world), "s/a"), &snapshot, NULL), 0);
	const cJSON *child = cJSON_GetArrayItem(ao_json_at(snapshot, "children"), 0);
	ao_auto_str char *shown = ao_json_print(child);
	assert_string_equal(ao_json_str(child, "kind"), "Secret");
	assert_int_equal(cJSON_GetArraySize(ao_json_at(child, "data")), 2);
	assert_string_equal(ao_json_str(child, "metadata", "annotations", "a"), "b");
	if (strstr(shown, "aHVudGVyMg") || strstr(shown, "hunter2"))
		fail_msg("policies are shown %s", shown);
	assert_int_equal(ao_world_tree(SECRET, secret, &tree, NULL), 0); /* what is planned is compared with that */
	assert_string_equal(ao_json_str(tree, "data", "pw"), "aHVudGVyMg==");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_a_status_write_brings_beside_the_status_is_news),
	    CASE(what_leaves_our_class_is_gone),
	    CASE(our_own_change_of_an_object_is_no_news),
	    CASE(children_wake_their_parent),
	    CASE(what_is_deleted_stays_while_it_goes),
	    CASE(shared_objects_wake_their_keeper),
	    CASE(related_objects_are_found_by_a_label_that_parents_have_too),
	    CASE(of_a_secret_policies_see_its_keys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
