/* Objects against crds/openapi/schemas.json, and the server's own schemas where there is a server. */
#include "base/file.h"
#include "kube/openapi.h"
#include "test_kube_cluster.h"

static ao_openapi *offline;

static int load(void **state)
{
	(void)state;
	ao_auto_buf ao_buf text = ao_buf_init(AO_SCHEMA_MAX_DOCUMENT);
	assert_int_equal(ao_file_read("crds/openapi/schemas.json", &text, NULL), 0);
	return ao_openapi_new(&(ao_openapi_options){.bundled = text.data, .bundled_len = text.len}, &offline, NULL);
}

static int unload(void **state)
{
	ao_openapi_free(offline);
	return end_cluster(state);
}

#define DEPLOYMENT(containers)                                                                                                             \
	"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\"}},\"spec\":{"            \
	"\"selector\":{},\"template\":{\"metadata\":{},\"spec\":{\"containers\":" containers "}}}}"
#define OBJECT(rest) "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"," rest "}"

static const struct row {
	const char *object, *error; /* NULL: it passes */
} ROWS[] = {
    {DEPLOYMENT("[]"), NULL},
    {DEPLOYMENT("{}"), NULL}, /* an empty table */
    {DEPLOYMENT("[{\"name\":\"a\",\"resources\":{\"limits\":{\"cpu\":1,\"memory\":\"1Gi\"}},\"ports\":[]}]"), NULL},
    {DEPLOYMENT("[{\"name\":\"a\",\"livenessProbe\":{\"httpGet\":{\"port\":\"http\"}}}]"), NULL},
    {DEPLOYMENT("[{\"name\":\"a\",\"env\":null}]"), NULL},
    {DEPLOYMENT("[{\"name\":\"a\",\"imagePullPolicy\":\"\"}]"), NULL},
    {"{\"apiVersion\":\"example.com/v1\",\"kind\":\"Other\",\"spec\":7}", NULL},
    {DEPLOYMENT("[{\"name\":\"a\",\"env\":[{\"name\":\"N\",\"value\":8}]}]"),
     "spec.template.spec.containers[0].env[0].value: must be a string, not a number; write it in quotes"},
    {DEPLOYMENT("[{\"name\":\"a\",\"imagePullPolcy\":\"Always\"}]"),
     "spec.template.spec.containers[0].imagePullPolcy: unknown field; did you mean imagePullPolicy?"},
    {DEPLOYMENT("[{\"name\":\"a\",\"imagePullPolicy\":\"Sometimes\"}]"),
     "spec.template.spec.containers[0].imagePullPolicy: \"Sometimes\" is not one of Always, IfNotPresent, Never"},
    {DEPLOYMENT("[{\"image\":\"a\"}]"), "spec.template.spec.containers[0].name: is missing"},
    {DEPLOYMENT("[{\"name\":\"a\"},{\"name\":\"a\"}]"), "spec.template.spec.containers[1]: name a is in the list already, at [0]"},
    {DEPLOYMENT("[{\"name\":\"a\",\"env\":[{\"name\":\"X\"},{\"name\":\"Y\"},{\"name\":\"X\"}]}]"),
     "spec.template.spec.containers[0].env[2]: name X is in the list already, at [0]"},
    {DEPLOYMENT("[{\"name\":\"a\",\"ports\":[{\"containerPort\":80,\"name\":\"x\"},{\"containerPort\":80,\"name\":\"y\"}]}]"),
     "spec.template.spec.containers[0].ports[1]: containerPort 80 is in the list already, at [0]"},
    {DEPLOYMENT("[\"a\"]"), "spec.template.spec.containers[0]: must be an object, not a string"},
    {DEPLOYMENT("{\"a\":1}"), "spec.template.spec.containers: must be a list, not an object"},
    {OBJECT("\"spec\":{\"replicas\":1.5}"), "spec.replicas: must be an integer, not a fraction"},
    {OBJECT("\"spec\":{\"replicas\":4294967296}"), "spec.replicas: is beyond what 32 bits hold"},
    {OBJECT("\"spec\":{\"replicas\":\"2\"}"), "spec.replicas: must be an integer, not a string"},
    {OBJECT("\"spec\":{\"paused\":\"yes\"}"), "spec.paused: must be a boolean, not a string"},
    {OBJECT("\"spec\":[1]"), "spec: must be an object, not a list"},
    {OBJECT("\"metadata\":{\"labels\":{\"a\":1}}"), "metadata.labels.a: must be a string, not a number; write it in quotes"},
    {OBJECT("\"spec\":{\"template\":{}}"), "spec.selector: is missing"},
    {OBJECT("\"spec\":{\"strategy\":{\"rollingUpdate\":{\"maxSurge\":true}}}"),
     "spec.strategy.rollingUpdate.maxSurge: must be a string or a number, not a boolean"},
    {"{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"spec\":{\"template\":{\"spec\":{\"containers\":[]}},\"completions\":\"2\"}}",
     "spec.completions: must be an integer, not a string"},
};

static void wrong_objects_are_told_by_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < AO_LEN(ROWS); i++) {
		ao_auto_json cJSON *object = NULL;
		ao_auto_err ao_err *err = NULL;
		assert_int_equal(ao_json_parse(ROWS[i].object, strlen(ROWS[i].object), &object, NULL), 0);
		int r = ao_openapi_check(offline, object, &err);
		if (ROWS[i].error)
			assert_string_equal(ao_err_text(err), ROWS[i].error);
		bool lacks = ROWS[i].error && (strstr(ROWS[i].error, ": unknown field") || strstr(ROWS[i].error, "\" is not one of "));
		assert_int_equal(r, lacks ? -ENOTSUP : ROWS[i].error ? -EINVAL : 0);
	}
}

static void empty_tables_are_settled(void **state)
{
	(void)state;
	const char *text =
	    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"spec\":{\"selector\":[],\"template\":{\"spec\":{\"containers\":["
	    "{\"name\":\"a\",\"env\":{},\"resources\":[]}],\"volumes\":[{\"name\":\"v\",\"emptyDir\":[]}]}}}}";
	ao_auto_json cJSON *object = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &object, NULL), 0);
	assert_int_equal(ao_openapi_check(offline, object, NULL), 0);
	ao_auto_str char *settled = ao_json_print(object);
	assert_string_equal(settled,
			    "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"spec\":{\"selector\":{},\"template\":{\"spec\":{"
			    "\"containers\":[{\"name\":\"a\",\"env\":[],\"resources\":{}}],\"volumes\":[{\"name\":\"v\","
			    "\"emptyDir\":{}}]}}}}");
}

static void documents_that_make_no_sense(void **state)
{
	(void)state;
	static const char *const BAD[] = {"", "null", "[]", "{\"components\":{}}", "{\"components\":{\"schemas\":{\"a\":", "\xff\xfe"};
	for (size_t i = 0; i < AO_LEN(BAD); i++) {
		ao_schema *schema = NULL;
		ao_schema_compile(BAD[i], strlen(BAD[i]), NULL, NULL, &schema, NULL);
		ao_schema_free(schema);
	}
	/* refers to itself, and to what is not there */
	const char *loop = "{\"components\":{\"schemas\":{\"a\":{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/x/a\"}},"
			   "\"x-kubernetes-group-version-kind\":[{\"group\":\"g\",\"version\":\"v\",\"kind\":\"A\"}]}}}}";
	ao_schema *schema = NULL;
	ao_auto_json cJSON *object = cJSON_Parse("{\"apiVersion\":\"g/v\",\"kind\":\"A\",\"a\":{\"a\":{\"b\":1}}}");
	ao_auto_err ao_err *err = NULL;
	assert_int_equal(ao_schema_compile(loop, strlen(loop), NULL, NULL, &schema, NULL), 0);
	cJSON_DeleteItemFromObject(object, "apiVersion");
	cJSON_DeleteItemFromObject(object, "kind");
	assert_true(ao_schema_has(schema, "g/v", "A"));
	ao_schema_free(schema);
	const char *dangling = "{\"components\":{\"schemas\":{\"a\":{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/x/b\"}},"
			       "\"x-kubernetes-group-version-kind\":[{\"group\":\"g\",\"version\":\"v\",\"kind\":\"A\"}]}}}}";
	assert_int_equal(ao_schema_compile(dangling, strlen(dangling), NULL, NULL, &schema, &err), -EINVAL);
}

static void on_fetched(void *arg) { *(bool *)arg = true; }

static void the_server_knows_its_kinds(void **state)
{
	cluster *c = need_cluster(state, __func__);
	static const ao_resource DEPLOYMENTS = {"apps/v1", "Deployment", "deployments", false}, JOBS = {"batch/v1", "Job", "jobs", false},
				 STRANGE = {"example.com/v1", "Strange", "stranges", false};
	static const ao_resource *const KINDS[] = {&CONFIG_MAPS, &DEPLOYMENTS, &JOBS, &STRANGE, NULL};
	ao_auto_buf ao_buf text = ao_buf_init(AO_SCHEMA_MAX_DOCUMENT);
	ao_auto_openapi ao_openapi *live = NULL;
	ao_auto_json cJSON *object = cJSON_Parse(DEPLOYMENT("[{\"name\":\"a\",\"nonsense\":1}]"));
	ao_auto_json cJSON *map = cJSON_Parse("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"a\":1}}");
	bool done = false;
	assert_int_equal(ao_file_read("crds/openapi/schemas.json", &text, NULL), 0);
	assert_int_equal(
	    ao_openapi_new(&(ao_openapi_options){.kube = c->kube, .bundled = text.data, .bundled_len = text.len, .kinds = KINDS}, &live,
			   NULL),
	    0);
	for (int i = 0; i < 2; i++) { /* the second time only the index is read */
		done = false;
		ao_openapi_refresh(live, on_fetched, &done);
		assert_true(ao_loop_run_until(c->loop, &done, 20000));
		assert_int_equal(ao_openapi_check(live, object, NULL), -ENOTSUP);
		assert_int_equal(ao_openapi_check(live, map, NULL), -EINVAL);
	}
	bool all[9] = {false};
	for (size_t i = 0; i < AO_LEN(all); i++) /* one fetch for all, and each is told */
		ao_openapi_refresh(live, on_fetched, &all[i]);
	assert_true(ao_loop_run_until(c->loop, &all[0], 20000));
	for (size_t i = 0; i < AO_LEN(all); i++)
		assert_true(all[i]);
	ao_openapi_refresh(live, on_fetched, &done); /* freed while it is under way */
}

static void count_fetch(void *arg) { ++*(int *)arg; }

static void everybody_who_waits_for_schemas_is_told(void **state)
{
	cluster *c = need_cluster(state, __func__);
	ao_auto_buf ao_buf text = ao_buf_init(AO_SCHEMA_MAX_DOCUMENT);
	ao_auto_openapi ao_openapi *live = NULL;
	int told = 0;
	bool done = false;
	assert_int_equal(ao_file_read("crds/openapi/schemas.json", &text, NULL), 0);
	assert_int_equal(ao_openapi_new(&(ao_openapi_options){.kube = c->kube, .bundled = text.data, .bundled_len = text.len}, &live, NULL),
			 0);
	for (int i = 0; i < 9; i++)
		ao_openapi_refresh(live, count_fetch, &told);
	ao_openapi_refresh(live, NULL, NULL);
	ao_openapi_refresh(live, on_fetched, &done);
	assert_true(ao_loop_run_until(c->loop, &done, 20000));
	assert_int_equal(told, 9);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_cluster, close_cluster)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    CASE(wrong_objects_are_told_by_path),
	    CASE(empty_tables_are_settled),
	    CASE(documents_that_make_no_sense),
	    CASE(the_server_knows_its_kinds),
	    CASE(everybody_who_waits_for_schemas_is_told),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
