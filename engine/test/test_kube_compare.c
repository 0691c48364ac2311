/* Equal in effect: each rule as a table; then every field of the golden children, changed and left out. */
#include "kube/apply.h"

#include "base/mem.h"
#include "kube/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test/test_kube_golden.h"

static cJSON *parse(const char *text)
{
	cJSON *tree = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_json_parse(text, strlen(text), &tree, &err) < 0)
		fail_msg("%s: %s", text, ao_err_text(err));
	return tree;
}

typedef struct example {
	const char *desired, *observed;
	const char *path; /* of the difference; NULL: equal */
} example;

static void check(const example *examples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ao_auto_json cJSON *desired = parse(examples[i].desired), *observed = parse(examples[i].observed);
		ao_auto_str char *path = NULL;
		bool equal = ao_apply_equal(desired, observed, &path);
		if (equal != !examples[i].path || (path && examples[i].path && strcmp(path, examples[i].path) != 0))
			fail_msg("%s against %s: expected %s, got %s", examples[i].desired, examples[i].observed,
				 examples[i].path ? examples[i].path : "equal", equal ? "equal" : path);
		assert_int_equal(ao_apply_equal(desired, observed, NULL), equal);
		ao_auto_json cJSON *plan = cJSON_CreateObject(); /* it is the same for a member of something */
		cJSON_AddItemToObject(plan, "limits", AO_TAKE(desired));
		assert_int_equal(ao_apply_equal(plan->child, observed, NULL), equal);
	}
}

static void maps_are_subsets(void **state)
{
	(void)state;
	static const example examples[] = {
	    {"{}", "{\"a\":1}", NULL},
	    {"{\"a\":1}", "{\"a\":1,\"b\":2}", NULL},
	    {"{\"a\":1}", "{\"a\":2}", "a"},
	    {"{\"a\":{\"b\":{\"c\":\"x\"}}}", "{\"a\":{\"b\":{\"c\":\"y\"}}}", "a.b.c"},
	    {"{\"a\":{\"b\":1}}", "{}", "a"},
	    {"{\"a\":{\"b\":1}}", "{\"a\":{}}", "a.b"},
	    {"{\"a\":{\"b\":1}}", "{\"a\":[1]}", "a"},
	    {"{\"a\":\"1\"}", "{\"a\":1}", "a"},
	    {"{\"A\":1}", "{\"a\":1}", "A"},
	    {"{\"metadata\":{\"labels\":{\"app.kubernetes.io/name\":\"x\"}}}", "{\"metadata\":{\"labels\":{}}}",
	     "metadata.labels[app.kubernetes.io/name]"},
	    {"{\"apiVersion\":\"v2\",\"kind\":\"K\"}", "{\"apiVersion\":\"v1\"}", NULL},
	    {"{\"spec\":{\"kind\":\"K\"}}", "{\"spec\":{}}", "spec.kind"},
	    {"{\"spec\":{\"scaleTargetRef\":{\"kind\":\"K\"}}}", "{\"spec\":{\"scaleTargetRef\":{\"kind\":\"L\"}}}",
	     "spec.scaleTargetRef.kind"},
	};
	check(examples, AO_LEN(examples));
}

static void what_is_empty_may_be_missing(void **state)
{
	(void)state;
	static const example examples[] = {
	    {"{\"a\":\"\",\"b\":{},\"c\":[],\"d\":null,\"e\":false,\"f\":0}", "{}", NULL},
	    {"{\"a\":\"\",\"b\":{},\"c\":[],\"d\":null,\"e\":false,\"f\":0}",
	     "{\"a\":null,\"b\":null,\"c\":null,\"d\":{},\"e\":null,\"f\":null}", NULL},
	    {"{\"a\":0}", "{\"a\":\"\"}", "a"},
	    {"{\"a\":\"\"}", "{\"a\":\"x\"}", "a"},
	    {"{\"a\":[]}", "{\"a\":[1]}", "a"},
	    {"{\"a\":{}}", "{\"a\":{\"b\":1}}", NULL},
	    {"{\"a\":null}", "{\"a\":1}", "a"},
	    {"{\"a\":false}", "{\"a\":true}", "a"},
	    {"{\"a\":0}", "{\"a\":1}", "a"},
	    {"{\"a\":true}", "{}", "a"},
	    {"{\"a\":{\"b\":\"\"}}", "{}", "a"},
	    {"{\"env\":[{\"name\":\"A\",\"value\":\"\"}]}", "{\"env\":[{\"name\":\"A\"}]}", NULL},
	    {"{\"env\":[{\"name\":\"A\",\"value\":\"\"}]}", "{\"env\":[{\"name\":\"A\",\"valueFrom\":{\"fieldRef\":{}}}]}", "env[A].value"},
	    {"{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}", "{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}", NULL},
	    {"{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}", "{\"volumes\":[{\"name\":\"v\",\"configMap\":{\"name\":\"x\"}}]}",
	     "volumes[v].emptyDir"},
	};
	check(examples, AO_LEN(examples));
}

#define CUSTOM "\"apiVersion\":\"boxes.test/v1\",\"kind\":\"Box\""
#define BUILT_IN "\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\""

/** Absent has its default: where that is not the empty value, the two differ. */
static void an_empty_value_is_not_another_default(void **state)
{
	(void)state;
	static const example examples[] = {
	    {"{" CUSTOM ",\"spec\":{\"cooldownPeriod\":0}}", "{\"spec\":{}}", "spec.cooldownPeriod"},
	    {"{" CUSTOM ",\"spec\":{\"cooldownPeriod\":0}}", "{\"spec\":{\"cooldownPeriod\":null}}", "spec.cooldownPeriod"},
	    {"{" CUSTOM ",\"spec\":{\"cooldownPeriod\":0}}", "{\"spec\":{\"cooldownPeriod\":0}}", NULL},
	    {"{" CUSTOM ",\"spec\":{\"a\":[{\"b\":false}]}}", "{\"spec\":{\"a\":[{}]}}", "spec.a[0].b"},
	    {"{" CUSTOM ",\"spec\":{\"a\":{},\"b\":[],\"c\":null}}", "{\"spec\":{}}", NULL},
	    {"{" CUSTOM ",\"spec\":{\"env\":[{\"name\":\"A\",\"value\":\"\"}]}}", "{\"spec\":{\"env\":[{\"name\":\"A\"}]}}",
	     "spec.env[A].value"},
	    {"{" CUSTOM ",\"metadata\":{\"generateName\":\"\"}}", "{\"metadata\":{}}", NULL},
	    {"{" CUSTOM ",\"metadata\":{\"labels\":{\"a\":\"\"}}}", "{\"metadata\":{}}", "metadata.labels"},
	    {"{" CUSTOM ",\"metadata\":{\"labels\":{\"a\":\"\"}}}", "{\"metadata\":{\"labels\":{}}}", "metadata.labels.a"},
	    {"{" BUILT_IN ",\"spec\":{\"hostPort\":0,\"stdin\":false,\"hostname\":\"\"}}", "{\"spec\":{}}", NULL},
	    {"{" BUILT_IN ",\"spec\":{\"automountServiceAccountToken\":false}}", "{\"spec\":{}}", "spec.automountServiceAccountToken"},
	    {"{\"runAsUser\":0}", "{}", "runAsUser"},
	    {"{\"nodeSelector\":{\"a\":\"\"}}", "{\"nodeSelector\":{\"b\":\"\"}}", "nodeSelector.a"},
	    {"{\"data\":{\"empty\":\"\"}}", "{\"data\":{}}", "data.empty"},
	};
	check(examples, AO_LEN(examples));
}

static void lists_with_keys(void **state)
{
	(void)state;
	static const example examples[] = {
	    {"{\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"a\"}]}",
	     "{\"containers\":[{\"name\":\"a\"},{\"name\":\"injected\"},{\"name\":\"b\",\"image\":\"2\"}]}", NULL},
	    {"{\"initContainers\":[{\"name\":\"a\",\"image\":\"2\"}]}", "{\"initContainers\":[{\"name\":\"a\",\"image\":\"1\"}]}",
	     "initContainers[a].image"},
	    {"{\"spec\":{\"containers\":[{\"name\":\"a\"}]}}", "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}", "spec.containers[a]"},
	    {"{\"env\":[{\"name\":\"A\",\"value\":\"2\"}]}",
	     "{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"A\",\"value\":\"2\"}]}", NULL},
	    {"{\"env\":[{\"name\":\"A\",\"value\":\"1\"}]}",
	     "{\"env\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"A\",\"value\":\"2\"}]}", "env[A].value"},
	    {"{\"volumeMounts\":[{\"mountPath\":\"/a\",\"name\":\"x\"}]}",
	     "{\"volumeMounts\":[{\"mountPath\":\"/b\",\"name\":\"x\"},{\"mountPath\":\"/a\",\"name\":\"x\"}]}", NULL},
	    {"{\"volumeDevices\":[{\"devicePath\":\"/a\",\"name\":\"x\"}]}", "{\"volumeDevices\":[{\"devicePath\":\"/a\",\"name\":\"y\"}]}",
	     "volumeDevices[/a].name"},
	    {"{\"ports\":[{\"containerPort\":80}]}",
	     "{\"ports\":[{\"containerPort\":80,\"protocol\":\"UDP\"},{\"containerPort\":80,\"protocol\":\"TCP\"}]}", NULL},
	    {"{\"ports\":[{\"containerPort\":80,\"name\":\"x\"}]}",
	     "{\"ports\":[{\"containerPort\":80,\"protocol\":\"UDP\",\"name\":\"x\"}]}", "ports[80]"},
	    {"{\"ports\":[{\"port\":80}]}", "{\"ports\":[{\"port\":81},{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80}]}", NULL},
	    {"{\"ports\":[{\"port\":80,\"targetPort\":\"http\"}]}", "{\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80}]}",
	     "ports[80].targetPort"},
	    {"{\"ports\":[80,81]}", "{\"ports\":[80,81]}", NULL},
	    {"{\"ports\":[80]}", "{\"ports\":[80,81]}", "ports"},
	    {"{\"imagePullSecrets\":[{\"name\":\"b\"}]}", "{\"imagePullSecrets\":[{\"name\":\"a\"},{\"name\":\"b\"}]}", NULL},
	    {"{\"hostAliases\":[{\"ip\":\"1\",\"hostnames\":[\"a\"]}]}", "{\"hostAliases\":[{\"ip\":\"1\",\"hostnames\":[\"a\",\"b\"]}]}",
	     "hostAliases[1].hostnames"},
	    {"{\"topologySpreadConstraints\":[{\"topologyKey\":\"z\",\"whenUnsatisfiable\":\"ScheduleAnyway\",\"maxSkew\":1}]}",
	     "{\"topologySpreadConstraints\":[{\"topologyKey\":\"z\",\"whenUnsatisfiable\":\"DoNotSchedule\",\"maxSkew\":2},"
	     "{\"topologyKey\":\"z\",\"whenUnsatisfiable\":\"ScheduleAnyway\",\"maxSkew\":1}]}",
	     NULL},
	    {"{\"ownerReferences\":[{\"uid\":\"b\",\"controller\":true}]}",
	     "{\"ownerReferences\":[{\"uid\":\"a\"},{\"uid\":\"b\",\"controller\":true}]}", NULL},
	    {"{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}", "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"False\"}]}",
	     "conditions[Ready].status"},
	    {"{\"claims\":[{\"name\":\"gpu\"}]}", "{\"claims\":[{\"name\":\"x\"},{\"name\":\"gpu\"}]}", NULL},
	    {"{\"containers\":[]}", "{\"containers\":[{\"name\":\"a\"}]}", NULL},
	    {"{\"env\":[{\"value\":\"no name\"}]}", "{\"env\":[{\"value\":\"no name\"}]}", NULL},
	    {"{\"finalizers\":[\"b\"]}", "{\"finalizers\":[\"a\",\"b\"]}", NULL},
	    {"{\"finalizers\":[\"c\"]}", "{\"finalizers\":[\"a\",\"b\"]}", "finalizers[c]"},
	};
	check(examples, AO_LEN(examples));
}

static void other_lists_by_position(void **state)
{
	(void)state;
	static const example examples[] = {
	    {"{\"args\":[\"a\",\"b\"]}", "{\"args\":[\"a\",\"b\"]}", NULL},
	    {"{\"args\":[\"a\",\"b\"]}", "{\"args\":[\"b\",\"a\"]}", "args[0]"},
	    {"{\"args\":[\"a\"]}", "{\"args\":[\"a\",\"b\"]}", "args"},
	    {"{\"args\":[\"a\",\"b\"]}", "{\"args\":[\"a\"]}", "args"},
	    {"{\"args\":[\"\"]}", "{\"args\":[\"\"]}", NULL},
	    {"{\"tolerations\":[{\"key\":\"a\"}]}", "{\"tolerations\":[{\"key\":\"a\",\"operator\":\"Exists\"}]}", NULL},
	    {"{\"triggers\":[{\"type\":\"x\",\"metadata\":{\"n\":\"1\"}}]}", "{\"triggers\":[{\"type\":\"x\",\"metadata\":{\"n\":\"2\"}}]}",
	     "triggers[0].metadata.n"},
	    {"{\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"a\"}}]}",
	     "{\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"a\"},\"status\":{\"phase\":\"Pending\"}}]}", NULL},
	    {"{\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"a\"}}]}",
	     "{\"volumeClaimTemplates\":[{\"metadata\":{\"name\":\"b\"}},{\"metadata\":{\"name\":\"a\"}}]}", "volumeClaimTemplates"},
	    {"{\"a\":[[1,2],[3]]}", "{\"a\":[[1,2],[4]]}", "a[1][0]"},
	};
	check(examples, AO_LEN(examples));
}

static void quantities_by_amount(void **state)
{
	(void)state;
	static const example examples[] = {
	    {"{\"limits\":{\"cpu\":\"1000m\",\"memory\":\"1024Mi\"}}", "{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}", NULL},
	    {"{\"requests\":{\"cpu\":0.5}}", "{\"requests\":{\"cpu\":\"500m\"}}", NULL},
	    {"{\"requests\":{\"cpu\":1}}", "{\"requests\":{\"cpu\":\"1\"}}", NULL},
	    {"{\"requests\":{\"cpu\":\"1\"}}", "{\"requests\":{\"cpu\":\"2\"}}", "requests.cpu"},
	    {"{\"requests\":{\"cpu\":\"0\"}}", "{\"requests\":{}}", "requests.cpu"},
	    {"{\"emptyDir\":{\"sizeLimit\":\"1024Ki\"}}", "{\"emptyDir\":{\"sizeLimit\":\"1Mi\"}}", NULL},
	    {"{\"resourceFieldRef\":{\"divisor\":\"1000m\"}}", "{\"resourceFieldRef\":{\"divisor\":\"1\"}}", NULL},
	    {"{\"requests\":{\"storage\":\"0.5Gi\"}}", "{\"requests\":{\"storage\":\"512Mi\"}}", NULL},
	    {"{\"image\":\"1000m\"}", "{\"image\":\"1\"}", "image"},
	    {"{\"limits\":{\"x\":\"word\"}}", "{\"limits\":{\"x\":\"other\"}}", "limits.x"},
	    {"{\"limits\":{\"x\":{\"cpu\":\"1000m\"}}}", "{\"limits\":{\"x\":{\"cpu\":\"1\"}}}", "limits.x.cpu"},
	};
	check(examples, AO_LEN(examples));
}

static void quantity_table(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
	    {"1", "1", true},
	    {"1", "1.0", true},
	    {"1.", "1", true},
	    {".5", "500m", true},
	    {"+1", "1", true},
	    {"-1", "1", false},
	    {"-1", "-1000m", true},
	    {"-0", "0", true},
	    {"1k", "1000", true},
	    {"1Ki", "1024", true},
	    {"1M", "1000k", true},
	    {"1G", "1000M", true},
	    {"1T", "1000G", true},
	    {"1P", "1000T", true},
	    {"1E", "1000P", true},
	    {"1E3", "1k", true},
	    {"1e3", "1k", true},
	    {"1e-3", "1m", true},
	    {"1e+3", "1k", true},
	    {"1Mi", "1024Ki", true},
	    {"1Ti", "1024Gi", true},
	    {"1Ei", "1024Pi", true},
	    {"0.1", "100m", true},
	    {"0.1", "100000001n", false},
	    {"1u", "1000n", true},
	    {"0.1n", "1n", true}, /* finer than nano is rounded up */
	    {"1.5Gi", "1536Mi", true},
	    {"0.000000001Gi", "1073741824n", true},
	    {"9007199254740993", "9007199254740992", false}, /* a double could not tell them apart */
	    {"9223372036854775807", "9223372036854775806", false},
	    {"1K", "1000", false},
	    {"1ki", "1024", false},
	    {"", "0", false},
	    {"m", "0", false},
	    {"1 ", "1", false},
	    {"1e", "1", false},
	    {"1e3x", "1000", false},
	    {"1..0", "1", false},
	    {"1e999999999", "1e999999999", false}, /* equal as text: the caller's first question */
	    {"99999999999999999999999999999999999999999", "99999999999999999999999999999999999999999", false},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++)
		if (ao_quantity_equal(cases[i].a, cases[i].b) != cases[i].equal ||
		    ao_quantity_equal(cases[i].b, cases[i].a) != cases[i].equal)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
}

static void long_paths_are_cut(void **state)
{
	(void)state;
	ao_auto_json cJSON *desired = cJSON_CreateObject(), *observed = cJSON_CreateObject();
	char key[2000];
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	ao_json_set(desired, key, cJSON_CreateNumber(1));
	ao_json_set(observed, key, cJSON_CreateNumber(1));
	ao_json_set(desired, "b", cJSON_CreateNumber(1));
	ao_auto_str char *path = NULL;
	assert_false(ao_apply_equal(desired, observed, &path));
	assert_string_equal(path, "b");
}

/* ---- golden children ---- */

static bool is_leaf(const cJSON *value) { return !value->child; }

/** Walks the leaves of `at`, a part of `desired`: changed, each must be found. */
static void change_each(const cJSON *desired, cJSON *at, const cJSON *observed, int *count)
{
	for (cJSON *member = at->child; member; member = member->next) {
		bool top = at == desired && (strcmp(member->string, "kind") == 0 || strcmp(member->string, "apiVersion") == 0);
		if (!is_leaf(member)) {
			change_each(desired, member, observed, count);
			continue;
		}
		if (top)
			continue;
		cJSON *text = cJSON_CreateString("changed");
		cJSON was = *member; /* put the text's type and value in place, for a moment */
		member->type = (was.type & ~0xff) | cJSON_String;
		member->valuestring = text->valuestring;
		member->child = NULL;
		ao_auto_str char *path = NULL;
		if (ao_apply_equal(desired, observed, &path))
			fail_msg("a change of %s was not seen", member->string ? member->string : "an item");
		member->type = was.type;
		member->valuestring = was.valuestring;
		cJSON_Delete(text);
		++*count;
	}
}

/** Can a list item still be found without it? */
static bool names_an_item(const char *key)
{
	static const char *const keys[] = {"name", "mountPath", "uid"};
	for (size_t i = 0; i < AO_LEN(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/** What we do not render is nobody's business: a member left out of any object makes no difference. */
static void leave_out_each(const cJSON *desired, cJSON *at, const cJSON *observed, int *count)
{
	int size = cJSON_GetArraySize(at);
	for (int i = 0; i < size; i++) { /* each goes once to the end */
		cJSON *member = cJSON_IsObject(at) ? cJSON_DetachItemFromArray(at, 0) : cJSON_GetArrayItem(at, i);
		ao_auto_str char *path = NULL;
		if (cJSON_IsObject(at) && !names_an_item(member->string)) {
			if (!ao_apply_equal(desired, observed, &path))
				fail_msg("without %s: %s differs", member->string, path);
			++*count;
		}
		if (cJSON_IsObject(at)) {
			ao_auto_str char *key = ao_xstrdup(member->string);
			cJSON_AddItemToObject(at, key, member);
		}
		leave_out_each(desired, member, observed, count);
	}
}

static void every_field_of_real_children(void **state)
{
	(void)state;
	int changed = 0, left_out = 0;
	ao_auto_json cJSON *children = golden_children();
	for (cJSON *child = children->child; child; child = child->next) {
		ao_auto_json cJSON *desired = cJSON_Duplicate(child, 1);
		ao_auto_str char *path = NULL;
		drop_duplicates(desired);
		if (!ao_apply_equal(desired, child, &path))
			fail_msg("%s differs from itself at %s", ao_json_str(child, "metadata", "name"), path);
		change_each(desired, desired, child, &changed);
		leave_out_each(desired, desired, child, &left_out);
	}
	assert_true(changed > 300);
	assert_true(left_out > 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(maps_are_subsets),
	    cmocka_unit_test(what_is_empty_may_be_missing),
	    cmocka_unit_test(an_empty_value_is_not_another_default),
	    cmocka_unit_test(lists_with_keys),
	    cmocka_unit_test(other_lists_by_position),
	    cmocka_unit_test(quantities_by_amount),
	    cmocka_unit_test(quantity_table),
	    cmocka_unit_test(long_paths_are_cut),
	    cmocka_unit_test(every_field_of_real_children),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
