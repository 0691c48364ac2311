/* The store: what is kept of an object, what look-ups find, and what comes late. */
#include "test/test_kube_store.h"

/* ---- what is kept ---- */

static const char DEPLOYMENT[] =
    "{\"kind\":\"Deployment\",\"apiVersion\":\"apps/v1\",\"metadata\":{\"name\":\"resize\",\"namespace\":\"asya\","
    "\"uid\":\"u-1\",\"resourceVersion\":\"41\",\"generation\":3,\"labels\":{\"a.b/c\":\"blue\"},"
    "\"ownerReferences\":[{\"kind\":\"Set\",\"name\":\"no\",\"uid\":\"x\"},"
    "{\"kind\":\"Owner\",\"name\":\"top\",\"uid\":\"o-1\",\"controller\":true}],"
    "\"managedFields\":[{\"manager\":\"old\",\"operation\":\"Update\",\"fieldsV1\":{\"f:spec\":{}}}]},"
    "\"spec\":{ \"a\" : \"two  spaces\\\" stay\" , \"b\":[ 1, 2 ] },\"status\":{\"n\":1}}";

static const char KEPT[] = "{\"metadata\":{\"name\":\"resize\",\"namespace\":\"asya\","
			   "\"uid\":\"u-1\",\"resourceVersion\":\"41\",\"generation\":3,\"labels\":{\"a.b/c\":\"blue\"},"
			   "\"ownerReferences\":[{\"kind\":\"Set\",\"name\":\"no\",\"uid\":\"x\"},"
			   "{\"kind\":\"Owner\",\"name\":\"top\",\"uid\":\"o-1\",\"controller\":true}]},"
			   "\"spec\":{\"a\":\"two  spaces\\\" stay\",\"b\":[1,2]},\"status\":{\"n\":1}}";

static void an_object_is_kept_as_compact_text(void **state)
{
	(void)state;
	const char *const legacy[] = {"old", NULL};
	ao_store *store = ao_store_new(&(ao_store_options){.index_label = "a.b/c", .manager = "new", .legacy_managers = legacy});
	const ao_object *o = put(store, DEPLOYMENT);
	assert_text(o, KEPT);
	assert_string_equal(o->key, "asya/resize");
	assert_string_equal(o->namespace_, "asya");
	assert_string_equal(o->name, "resize");
	assert_string_equal(o->uid, "u-1");
	assert_string_equal(o->resource_version, "41");
	assert_string_equal(o->owner_uid, "o-1");
	assert_string_equal(o->owner_kind, "Owner");
	assert_string_equal(o->owner_name, "top");
	assert_string_equal(o->label, "blue");
	assert_int_equal(o->generation, 3);
	assert_false(o->deleting);
	assert_true(o->held.to_claim);
	assert_false(o->held.owns_replicas);
	assert_ptr_equal(ao_store_get(store, "asya/resize"), o);
	ao_auto_json cJSON *tree = NULL;
	assert_int_equal(ao_object_tree(o, &tree, NULL), 0);
	assert_string_equal(ao_json_str(tree, "spec", "a"), "two  spaces\" stay");
	ao_store_free(store);
}

static void who_wrote_what_is_kept_on_request(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){.keep_managed = true}), *other = ao_store_new(&(ao_store_options){0});
	const ao_object *o = put(store, DEPLOYMENT);
	ao_auto_json cJSON *tree = NULL;
	assert_int_equal(ao_object_tree(o, &tree, NULL), 0);
	assert_string_equal(ao_json_str(ao_json_item(ao_json_at(tree, "metadata", "managedFields"), "manager", "old"), "operation"),
			    "Update");
	assert_true(o->spec_digest == put(other, DEPLOYMENT)->spec_digest); /* it is the server's own */
	ao_store_free(store);
	ao_store_free(other);
}

static void cluster_scoped_and_deleting(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){0});
	const ao_object *o =
	    put(store, "{\"metadata\":{\"name\":\"node-1\",\"uid\":\"u\",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"}}");
	assert_string_equal(o->key, "node-1");
	assert_string_equal(o->name, "node-1");
	assert_string_equal(o->namespace_, "");
	assert_string_equal(o->owner_uid, "");
	assert_string_equal(o->label, "");
	assert_string_equal(o->resource_version, "");
	assert_true(o->deleting);
	ao_store_free(store);
}

static void malformed_objects_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "",
	    "7",
	    "null",
	    "[]",
	    "{}",
	    "{\"metadata\":7}",
	    "{\"metadata\":{}}",
	    "{\"metadata\":{\"name\":\"a\"}}",
	    "{\"metadata\":{\"uid\":\"a\"}}",
	    "{\"metadata\":{\"name\":\"\",\"uid\":\"u\"}}",
	    "{\"metadata\":{\"name\":7,\"uid\":\"u\"}}",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}x",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"},\"spec\":",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"} \"spec\":{}}",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\" \"x\":1}}",
	    "{\"kind\":\"Status\",\"metadata\":{},\"code\":404}",
	};
	ao_store *store = ao_store_new(&(ao_store_options){0});
	for (size_t i = 0; i < AO_LEN(bad); i++) {
		const ao_object *object = NULL;
		ao_auto_err ao_err *err = NULL;
		ao_auto_str char *exact = ao_xstrndup(bad[i], strlen(bad[i])); /* so that ASAN sees reads beyond */
		assert_int_equal(ao_store_put(store, span(exact), &object, &err), -EINVAL);
		assert_null(object);
		assert_non_null(err);
	}
	assert_int_equal(ao_store_put(store, (ao_span){0}, &(const ao_object *){NULL}, NULL), -EINVAL);
	assert_int_equal(ao_store_count(store), 0);
	static const char with_nul[] = "{\"metadata\":{\"name\":\"a\",\"uid\":\"\0u\"}}";
	const ao_object *object = NULL;
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_store_put(store, (ao_span){with_nul, sizeof(with_nul) - 1}, &object, &err), -EINVAL);
	ao_store_free(store);
}

static void note_name(void *arg, const ao_object *object) { strcat(strcat(arg, object->key), " "); }

static void an_owner_may_be_named_by_a_label(void **state)
{
	(void)state;
	char found[64] = "";
	ao_store *store = ao_store_new(&(ao_store_options){.owner_label = "c/owner-uid", .owner_annotation = "c/owner"});
	const ao_object *o =
	    put(store, "{\"metadata\":{\"name\":\"m\",\"namespace\":\"two\",\"uid\":\"u-1\",\"labels\":{\"c/owner-uid\":\"p-1\"},"
		       "\"annotations\":{\"c/owner\":\"one/a\"},\"ownerReferences\":[{\"kind\":\"Set\",\"name\":\"s\",\"uid\":\"x\","
		       "\"controller\":true}]}}");
	assert_string_equal(o->owner_uid, "p-1"); /* whoever else controls it */
	assert_string_equal(o->owner_name, "one/a");
	assert_string_equal(o->owner_kind, "");
	ao_store_each_owned(store, "p-1", note_name, found);
	assert_string_equal(found, "two/m ");
	static const char bare[] =
	    "{\"metadata\":{\"name\":\"m\",\"namespace\":\"two\",\"uid\":\"u-1\",\"labels\":{\"c/owner-uid\":\"\"}}}";
	assert_int_equal(ao_store_put(store, span(bare), &o, NULL), -ENOENT); /* it is nobody's from here on */
	assert_int_equal(ao_store_count(store), 0);
	ao_store_free(store);
}

static void unwanted_owners_are_dropped(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){.owner_kind = "Owner"});
	const ao_object *none = NULL;
	static const char other[] = "{\"metadata\":{\"name\":\"resize\",\"namespace\":\"asya\",\"uid\":\"u-1\",\"ownerReferences\":"
				    "[{\"kind\":\"Else\",\"uid\":\"o-1\",\"controller\":true}]}}";
	assert_int_equal(ao_store_put(store, span(other), &none, NULL), -ENOENT);
	put(store, DEPLOYMENT);
	assert_int_equal(ao_store_count(store), 1);
	assert_int_equal(ao_store_put(store, span(other), &none, NULL), -ENOENT); /* it changed hands */
	assert_null(none);
	assert_int_equal(ao_store_count(store), 0);
	ao_store_free(store);
}

/* ---- digests ---- */

static void digests_tell_what_changed(void **state)
{
	(void)state;
	static const char base[] =
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1},\"spec\":{\"x\":1},"
	    "\"status\":{\"y\":1}}";
	static const struct {
		const char *text;
		bool spec, full;
	} cases[] = {
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1},\"spec\":{\"x\":1},\"status\":{\"y\":"
	     "1}}",
	     true, true},
	    {"{\"apiVersion\":\"v1\",\"kind\":\"K\", "
	     "\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1}, "
	     "\"spec\":{\"x\":1},\"status\":{ \"y\":1}}",
	     true, true},
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1,\"managedFields\":[]},\"spec\":{\"x\":"
	     "1},"
	     "\"status\":{\"y\":1}}",
	     true, true},
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"2\",\"generation\":1},\"spec\":{\"x\":1},\"status\":{\"y\":"
	     "1}}",
	     true, false},
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"v\",\"resourceVersion\":\"2\",\"generation\":2,\"creationTimestamp\":\"t\"},\"spec\":"
	     "{\"x\":1}}",
	     true, false},
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1},\"spec\":{\"x\":2},\"status\":{\"y\":"
	     "1}}",
	     false, false},
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1,\"deletionTimestamp\":\"t\"},\"spec\":"
	     "{\"x\":1},"
	     "\"status\":{\"y\":1}}",
	     false, false},
	    {"{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"generation\":1,\"annotations\":{\"k\":\"v\"}},"
	     "\"spec\":{\"x\":1},"
	     "\"status\":{\"y\":1}}",
	     false, false},
	};
	ao_store *store = ao_store_new(&(ao_store_options){0});
	uint64_t spec = put(store, base)->spec_digest, full = put(store, base)->full_digest;
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		const ao_object *o = put(store, cases[i].text);
		assert_int_equal(o->spec_digest == spec, cases[i].spec);
		assert_int_equal(o->full_digest == full, cases[i].full);
	}
	ao_store_free(store);
}

/** The Deployment controller adds its own as soon as a Deployment is made: nobody has changed it. */
static void annotations_of_the_server_are_no_change(void **state)
{
	(void)state;
	static const struct {
		const char *annotations;
		int like; /* the row that it is to be like */
	} rows[] = {
	    {"", 0},
	    {",\"annotations\":{\"deployment.kubernetes.io/revision\":\"1\"}", 0},
	    {",\"annotations\":{\"deployment.kubernetes.io/revision\": \"2\", \"deployment.kubernetes.io/x\":\"y\"}", 0},
	    {",\"annotations\":{\"a\":\"deployment.kubernetes.io/\",\"b\":\"2\"}", 3},
	    {",\"annotations\":{\"a\":\"deployment.kubernetes.io/\",\"deployment.kubernetes.io/revision\":\"1\",\"b\":\"2\"}", 3},
	    {",\"annotations\":{\"a\":\"b\",\"deployment.kubernetes.io/revision\":\"1\"}", 5},
	    {",\"labels\":{\"deployment.kubernetes.io/revision\":\"1\"}", 6},
	};
	uint64_t digests[AO_LEN(rows)];
	ao_store *store = ao_store_new(&(ao_store_options){0});
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_str char *text =
		    ao_xasprintf("{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"%s},\"spec\":{\"x\":1}}", rows[i].annotations);
		digests[i] = put(store, text)->spec_digest;
		for (size_t j = 0; j <= i; j++)
			assert_int_equal(digests[i] == digests[j], rows[i].like == rows[j].like);
	}
	ao_store_free(store);
}

static void ownership_is_read_from_managed_fields(void **state)
{
	(void)state;
	static const struct {
		const char *entry;
		bool to_claim, replicas;
	} cases[] = {
	    {"{\"manager\":\"ours\",\"operation\":\"Update\",\"fieldsV1\":{}}", true, false},
	    {"{\"manager\":\"old\",\"operation\":\"Update\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}", true, false},
	    {"{\"manager\":\"ours\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}", false, true},
	    {"{\"manager\":\"ours\",\"operation\":\"Apply\",\"fieldsV1\":{\"f:spec\":{\"f:template\":{}}}}", false, false},
	    {"{\"manager\":\"ours\",\"operation\":\"Update\",\"subresource\":\"status\",\"fieldsV1\":{}}", false, false},
	    {"{\"manager\":\"kubectl\",\"operation\":\"Update\",\"fieldsV1\":{\"f:spec\":{\"f:replicas\":{}}}}", false, false},
	    {"7", false, false},
	};
	const char *const legacy[] = {"old", "ours", NULL};
	ao_store *store = ao_store_new(&(ao_store_options){.manager = "ours", .legacy_managers = legacy});
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *text = ao_xasprintf(
		    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"managedFields\":[{\"manager\":\"x\"},%s]}}", cases[i].entry);
		const ao_object *o = put(store, text);
		assert_int_equal(o->held.to_claim, cases[i].to_claim);
		assert_int_equal(o->held.owns_replicas, cases[i].replicas);
	}
	ao_store_free(store);
}

/* ---- pods ---- */

static const char POD[] =
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\",\"generateName\":\"p-\",\"namespace\":\"asya\",\"uid\":\"u\","
    "\"resourceVersion\":\"%s\","
    "\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{\"app\":\"p\"},\"annotations\":{\"a\":\"b\"},"
    "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"p\",\"uid\":\"r\",\"controller\":true,"
    "\"blockOwnerDeletion\":true}]},"
    "\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]},"
    "\"status\":{\"phase\":\"Running\",\"podIP\":\"%s\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null,"
    "\"lastTransitionTime\":\"t\"}],\"containerStatuses\":[{\"name\":\"c\",\"image\":\"i\",\"imageID\":\"sha\",\"containerID\":\"x\","
    "\"ready\":true,"
    "\"restartCount\":2,\"started\":true,\"state\":{\"running\":{\"startedAt\":\"t\"}},\"lastState\":{\"terminated\":{\"exitCode\":137,"
    "\"reason\":\"OOMKilled\",\"containerID\":\"y\",\"startedAt\":\"s\",\"finishedAt\":\"f\"}}}],\"qosClass\":\"Burstable\"}}";

static const char PROJECTED[] =
    "{\"metadata\":{\"name\":\"p\",\"namespace\":\"asya\",\"uid\":\"u\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\",\"labels\":{\"app\":"
    "\"p\"},"
    "\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"name\":\"p\",\"uid\":\"r\",\"controller\":true}]},"
    "\"spec\":{\"nodeName\":\"n1\"},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
    "\"lastTransitionTime\":\"t\"}],\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"restartCount\":2,"
    "\"state\":{\"running\":{\"startedAt\":\"t\"}},\"lastState\":{\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\","
    "\"startedAt\":\"s\",\"finishedAt\":\"f\"}}}]}}";

static void a_pod_is_projected(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){.projection = AO_PROJECTION_POD, .index_label = "app"});
	ao_auto_str char *first = ao_xasprintf(POD, "1", "10.0.0.1"), *second = ao_xasprintf(POD, "2", "10.0.0.2");
	const ao_object *o = put(store, first);
	assert_text(o, PROJECTED);
	assert_string_equal(o->label, "p");
	uint64_t digest = o->full_digest;
	o = put(store, second);
	assert_string_equal(o->resource_version, "2");
	assert_int_equal(o->full_digest, digest); /* nothing that we keep changed */
	size_t bytes = ao_store_bytes(store);
	strstr(first, "\"name\":\"p\"")[8] = 'q';
	put(store, first);
	assert_true(ao_store_bytes(store) - bytes < 400);
	ao_store_free(store);
}

/** Whoever may not see what an object holds still has to see that it holds something else. */
static void an_objects_version_stands_for_what_is_not_kept(void **state)
{
	(void)state;
	static const char SECRET[] =
	    "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"%d\",\"labels\":{\"app\":\"p\"},"
	    "\"annotations\":{\"last-applied\":\"aHVudGVyMg==\"}},\"data\":{\"pw\":\"aHVudGVyMg==\"},\"type\":\"Opaque\"}";
	ao_store *store = ao_store_new(&(ao_store_options){.projection = AO_PROJECTION_METADATA, .index_label = "app"});
	ao_auto_str char *first = ao_xasprintf(SECRET, 1), *second = ao_xasprintf(SECRET, 2);
	const ao_object *o = put(store, first);
	assert_text(
	    o, "{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{\"app\":\"p\"}}}");
	assert_string_equal(o->label, "p");
	uint64_t spec = o->spec_digest, full = o->full_digest;
	o = put(store, second);
	assert_true(o->spec_digest != spec && o->full_digest != full);
	ao_store_free(store);
}

/* ---- answers and lists ---- */

static char *versioned(const char *name, const char *version, int x)
{
	return ao_xasprintf("{\"metadata\":{\"name\":\"%s\",\"uid\":\"u\",\"resourceVersion\":\"%s\"},\"spec\":{\"x\":%d}}", name, version,
			    x);
}

static void put_version(ao_store *store, const char *name, const char *version, int x)
{
	ao_auto_str char *text = versioned(name, version, x);
	put(store, text);
}

/** @return as ao_store_put_answer(); *ret is then what the store holds */
static int put_answer(ao_store *store, const char *text, const ao_object **ret)
{
	ao_answered answered = {0};
	int r = ao_store_put_answer(store, text, strlen(text), &answered, NULL);
	*ret = answered.object;
	ao_object_free(answered.before);
	return r;
}

static int answer(ao_store *store, const char *name, const char *version, int x, const ao_object **ret)
{
	ao_auto_str char *text = versioned(name, version, x);
	return put_answer(store, text, ret);
}

static void only_newer_answers_count(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){0});
	const ao_object *o = NULL;
	put_version(store, "a", "100", 1);
	assert_int_equal(answer(store, "a", "99", 2, &o), 0);
	assert_string_equal(o->resource_version, "100");
	assert_int_equal(answer(store, "a", "101", 3, &o), 0);
	assert_string_equal(o->resource_version, "101");
	assert_int_equal(answer(store, "a", "18446744073709551616000", 4, &o), 0); /* beyond 64 bits */
	assert_int_equal(answer(store, "a", "102", 5, &o), 0);
	assert_string_equal(o->resource_version, "18446744073709551616000");
	put_version(store, "a", "7", 6); /* the watch is always right */
	assert_string_equal(ao_store_get(store, "a")->resource_version, "7");
	ao_store_set_version(store, NULL, "200");
	ao_store_remove(store, "a");
	assert_int_equal(answer(store, "a", "150", 7, &o), -ENOENT); /* the watch has told that it is gone */
	assert_int_equal(answer(store, "a", "201", 8, &o), 0);
	static const char status[] = "{\"kind\":\"Status\",\"metadata\":{},\"status\":\"Success\"}";
	assert_int_equal(put_answer(store, status, &o), -EINVAL);
	ao_store_free(store);
}

static void an_answer_tells_what_it_replaced(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){.owner_kind = "Owner"});
	static const char mine[] =
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"%d\",\"ownerReferences\":[{\"kind\":\"%s\","
	    "\"uid\":\"o\",\"controller\":true}]},\"spec\":{\"x\":%d}}";
	ao_auto_str char *first = ao_xasprintf(mine, 10, "Owner", 1), *older = ao_xasprintf(mine, 9, "Owner", 2),
			 *newer = ao_xasprintf(mine, 11, "Owner", 3), *lost = ao_xasprintf(mine, 12, "Else", 3);
	ao_answered got = {0};
	assert_int_equal(ao_store_put_answer(store, first, strlen(first), &got, NULL), 0);
	assert_true(got.taken);
	assert_null(got.before);
	uint64_t digest = got.spec_digest;
	assert_int_equal(digest, got.object->spec_digest);
	assert_int_equal(ao_store_put_answer(store, older, strlen(older), &got, NULL), 0);
	assert_false(got.taken); /* the store knows better, and of the answer only its digest is told */
	assert_null(got.before);
	assert_int_equal(got.object->spec_digest, digest);
	assert_true(got.spec_digest != digest);
	assert_int_equal(ao_store_put_answer(store, newer, strlen(newer), &got, NULL), 0);
	assert_true(got.taken);
	assert_int_equal(got.before->spec_digest, digest);
	assert_int_equal(got.object->spec_digest, got.spec_digest);
	ao_object_free(got.before);
	assert_int_equal(ao_store_put_answer(store, lost, strlen(lost), &got, NULL), -ENOENT);
	assert_null(got.object);
	assert_string_equal(got.before->resource_version, "11"); /* it changed hands */
	assert_int_equal(ao_store_count(store), 0);
	ao_object_free(got.before);
	ao_store_free(store);
}

static void versions_compare_as_numbers(void **state)
{
	(void)state;
	assert_true(ao_version_older("9", "10"));
	assert_false(ao_version_older("10", "9"));
	assert_false(ao_version_older("10", "10"));
	assert_false(ao_version_older("010", "10"));
	assert_true(ao_version_older("0", "1"));
	assert_false(ao_version_older("", "1"));
	assert_false(ao_version_older("1", "x2"));
}

static void a_list_finds_what_is_gone(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){0});
	const ao_object *o;
	put_version(store, "gone", "1", 1);
	put_version(store, "stays", "2", 1);
	put_version(store, "written-before", "3", 1);
	put_version(store, "gone-too", "3", 1);
	ao_store_mark(store, NULL);
	put_version(store, "stays", "2", 1);
	put_version(store, "new", "9", 1);
	assert_int_equal(answer(store, "ours-in-list", "10", 1, &o), 0);
	put_version(store, "ours-in-list", "10", 1);
	assert_int_equal(answer(store, "ours-deleted-since", "8", 1, &o), 0); /* written and deleted before the list was made */
	assert_int_equal(answer(store, "ours-after", "12", 1, &o), 0);        /* written after the list was made */
	assert_int_equal(answer(store, "written-before", "13", 1, &o), 0);
	unsigned taken = 0;
	for (ao_object *gone; (gone = ao_store_take_stale(store, NULL, "11")); taken++) {
		assert_true(strncmp(gone->name, "gone", 4) == 0 || strcmp(gone->name, "ours-deleted-since") == 0);
		assert_null(ao_store_get(store, gone->key));
		ao_object_free(gone);
	}
	assert_int_equal(taken, 3);
	assert_int_equal(ao_store_count(store), 5);
	ao_store_mark(store, NULL);
	while (ao_store_count(store)) {
		ao_object *gone = ao_store_take_stale(store, NULL, "99");
		assert_non_null(gone);
		ao_object_free(gone);
	}
	assert_null(ao_store_take_stale(store, NULL, "99"));
	ao_store_free(store);
}

static void unwanted_annotations_are_dropped(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\"}}",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"annotations\":{\"x.y/z\":\"\"}}}",
	    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u\",\"annotations\":{\"x.y/z\":\"blue\"}}}",
	};
	ao_store *none = ao_store_new(&(ao_store_options){.annotation = "x.y/z"}),
		 *blue = ao_store_new(&(ao_store_options){.annotation = "x.y/z", .annotation_value = "blue"});
	const ao_object *o;
	for (size_t i = 0; i < AO_LEN(texts); i++) {
		assert_int_equal(ao_store_put(none, span(texts[i]), &o, NULL), i < 2 ? 0 : -ENOENT);
		assert_int_equal(put_answer(blue, texts[i], &o), i < 2 ? -ENOENT : 0);
	}
	assert_int_equal(ao_store_count(none), 0); /* it was there, and went with its annotation */
	assert_int_equal(ao_store_count(blue), 1);
	ao_store_free(none);
	ao_store_free(blue);
}

static void each_namespace_is_listed_on_its_own(void **state)
{
	(void)state;
	const char *const namespaces[] = {"a", "b", NULL};
	ao_store *store = ao_store_new(&(ao_store_options){.namespaces = namespaces});
	for (size_t i = 0; namespaces[i]; i++) {
		ao_auto_str char *text =
		    ao_xasprintf("{\"metadata\":{\"name\":\"x\",\"namespace\":\"%s\",\"uid\":\"%s\"}}", namespaces[i], namespaces[i]);
		put(store, text);
	}
	ao_store_set_version(store, "a", "7");
	assert_string_equal(ao_store_version(store, "b"), "");
	ao_store_mark(store, "a");
	ao_object *gone = ao_store_take_stale(store, "a", "7");
	assert_string_equal(gone->key, "a/x");
	ao_object_free(gone);
	assert_null(ao_store_take_stale(store, "a", "7"));
	static const char late[] = "{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"a\",\"resourceVersion\":\"6\"}}";
	const ao_object *o;
	assert_int_equal(put_answer(store, late, &o), -ENOENT); /* its own watch has told that it is gone */
	assert_string_equal(ao_store_get(store, "b/x")->uid, "b");
	ao_store_free(ao_store_ref(store));
	assert_int_equal(ao_store_count(store), 1);
	ao_store_free(store);
}

static void swap_hands_over_what_was_there(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){.owner_kind = "Owner"});
	const ao_object *o = NULL;
	ao_object *before = NULL;
	assert_int_equal(ao_store_swap(store, span(DEPLOYMENT), false, &o, &before, NULL), 0);
	assert_null(before);
	assert_int_equal(ao_store_swap(store, span(DEPLOYMENT), false, &o, &before, NULL), 0);
	assert_text(before, KEPT);
	ao_object_free(before);
	static const char free_now[] = "{\"metadata\":{\"name\":\"resize\",\"namespace\":\"asya\",\"uid\":\"u-1\"}}";
	assert_int_equal(ao_store_swap(store, span(free_now), false, &o, &before, NULL), -ENOENT);
	assert_text(before, KEPT);
	ao_object_free(before);
	ao_store_free(store);
}

static void late_events_change_nothing(void **state)
{
	(void)state;
	ao_store *store = ao_store_new(&(ao_store_options){0});
	const ao_object *o = NULL, *other = NULL;
	ao_object *before = NULL;
	assert_int_equal(answer(store, "a", "10", 2, &o), 0);
	ao_auto_str char *older = versioned("a", "9", 1), *same = versioned("a", "10", 2), *newer = versioned("a", "11", 3);
	assert_int_equal(ao_store_swap(store, span(older), true, &other, &before, NULL), -ESTALE);
	assert_null(other);
	assert_null(ao_store_take(store, span(older)));
	assert_ptr_equal(ao_store_get(store, "a"), o);
	assert_int_equal(ao_store_swap(store, span(same), true, &o, &before, NULL), 0);
	assert_int_equal(before->full_digest, o->full_digest);
	ao_object_free(before);
	before = ao_store_take(store, span(newer));
	assert_string_equal(before->resource_version, "10");
	ao_object_free(before);
	assert_null(ao_store_take(store, span(newer)));
	assert_null(ao_store_take(store, span("{}")));
	assert_int_equal(ao_store_count(store), 0);
	ao_store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_object_is_kept_as_compact_text),
	    cmocka_unit_test(who_wrote_what_is_kept_on_request),
	    cmocka_unit_test(cluster_scoped_and_deleting),
	    cmocka_unit_test(malformed_objects_are_refused),
	    cmocka_unit_test(an_owner_may_be_named_by_a_label),
	    cmocka_unit_test(unwanted_owners_are_dropped),
	    cmocka_unit_test(digests_tell_what_changed),
	    cmocka_unit_test(annotations_of_the_server_are_no_change),
	    cmocka_unit_test(ownership_is_read_from_managed_fields),
	    cmocka_unit_test(a_pod_is_projected),
	    cmocka_unit_test(an_objects_version_stands_for_what_is_not_kept),
	    cmocka_unit_test(only_newer_answers_count),
	    cmocka_unit_test(an_answer_tells_what_it_replaced),
	    cmocka_unit_test(versions_compare_as_numbers),
	    cmocka_unit_test(a_list_finds_what_is_gone),
	    cmocka_unit_test(unwanted_annotations_are_dropped),
	    cmocka_unit_test(each_namespace_is_listed_on_its_own),
	    cmocka_unit_test(swap_hands_over_what_was_there),
	    cmocka_unit_test(late_events_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
