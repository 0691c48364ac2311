/* test_kube_answer.c -- answers told apart: what is believed, and what each means for who asked. */
#include "kube/answer.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const ao_resource CONFIG_MAPS = {"v1", "ConfigMap", "configmaps", false};

#define STATUS "{\"kind\":\"Status\",\"apiVersion\":\"v1\","

#define REFUSED STATUS "\"reason\":\"Forbidden\",\"message\":\"x is forbidden: User \\\"u\\\" "

static void answers_become_errors(void **state)
{
	(void)state;
	static const struct {
		long status;
		const char *type, *body;
		int error;
		const char *reason, *message;
	} cases[] = {
	    {200, "application/json", "{\"reason\":\"x\"}", 0, "", ""},
	    {201, "application/json", "", 0, "", ""},
	    {404, "application/json", STATUS "\"reason\":\"NotFound\",\"message\":\"no x\"}", -ENOENT, "NotFound", "no x"},
	    {404, "application/json", STATUS "\"reason\":\"Else\",\"message\":\"no x\"}", -EINVAL, "Else", "no x"},
	    {404, "application/json", "{\"reason\":\"NotFound\",\"message\":\"no x\"}", -EIO, "", "HTTP status 404"},
	    {404, "text/plain; charset=utf-8", "404 page not found\nmore", -EIO, "", "HTTP status 404: 404 page not found"},
	    {404, "text/html", "<h1>no</h1>", -EIO, "", "HTTP status 404"},
	    {404, "", "", -EIO, "", "HTTP status 404"},
	    {409, "application/json", STATUS "\"reason\":\"AlreadyExists\",\"message\":\"m\"}", -EEXIST, "AlreadyExists", "m"},
	    {409, "application/json", STATUS "\"reason\":\"Conflict\",\"message\":\"m\"}", -ESTALE, "Conflict", "m"},
	    {409, "text/html", "<h1>no</h1>", -EIO, "", "HTTP status 409"},
	    {409, "application/json", "{\"error\":\"m\"}", -EIO, "", "HTTP status 409"},
	    {410, "application/json", STATUS "\"reason\":\"Expired\",\"message\":\"m\"}", -ESTALE, "Expired", "m"},
	    {422, "application/json", STATUS "\"reason\":\"Invalid\",\"message\":\"m\"}", -EINVAL, "Invalid", "m"},
	    {400, "application/json", STATUS "\"message\":5}", -EINVAL, "", "HTTP status 400"},
	    {401, "application/json", STATUS "\"reason\":\"Unauthorized\",\"message\":\"\"}", -EPERM, "Unauthorized", "HTTP status 401"},
	    {403, "text/html", "<h1>no</h1>", -EPERM, "", "HTTP status 403"},
	    {403, "application/json", REFUSED "cannot list resource \\\"deployments\\\" in API group \\\"apps\\\" at the cluster scope\"}",
	     -EPERM, "Forbidden",
	     "x is forbidden: User \"u\" cannot list resource \"deployments\" in API group \"apps\" at the cluster scope. The rule that is "
	     "missing: "
	     "{apiGroups: [\"apps\"], resources: [\"deployments\"], verbs: [list]}"},
	    {403, "application/json",
	     REFUSED "cannot patch resource \\\"pods/status\\\" in API group \\\"\\\" in the namespace \\\"n\\\"\"}", -EPERM, "Forbidden",
	     "x is forbidden: User \"u\" cannot patch resource \"pods/status\" in API group \"\" in the namespace \"n\". The rule that is "
	     "missing: "
	     "{apiGroups: [\"\"], resources: [\"pods/status\"], verbs: [patch]}"},
	    {403, "application/json", REFUSED "cannot set an ephemeral volume\"}", -EPERM, "Forbidden",
	     "x is forbidden: User \"u\" cannot set an ephemeral volume"},
	    {503, "text/plain", "up\xc3\xa9\xff", -EIO, "", "HTTP status 503: up\xc3\xa9"},
	    {429, "text/plain", "", -EAGAIN, "", "HTTP status 429"},
	    {408, "", "", -ETIME, "", "HTTP status 408"},
	    {500, "application/json", STATUS "\"message\":\"failed to create typed patch object (x): y\"}", -EINVAL, "",
	     "failed to create typed patch object (x): y"},
	    {500, "application/json", STATUS "\"message\":\"etcd\"}", -EIO, "", "etcd"},
	    {504, "application/json", STATUS "\"reason\":\"Timeout\",\"message\":\"m\"}{}", -EIO, "", "HTTP status 504"},
	    {302, "", "", -EIO, "", "HTTP status 302"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_http_response response = {
		    .status = cases[i].status, .content_type = cases[i].type, .body = cases[i].body, .error_text = ""};
		response.body_len = strlen(response.body);
		ao_auto_answer ao_answer_parts parts = ao_answer_make(&response, "GET", NULL);
		if (parts.answer.error != cases[i].error || strcmp(parts.answer.message, cases[i].message) != 0)
			fail_msg("%ld %s: %d %s", cases[i].status, cases[i].body, parts.answer.error, parts.answer.message);
		assert_string_equal(parts.answer.reason, cases[i].reason);
		assert_int_equal(parts.answer.status, cases[i].status);
		assert_ptr_equal(parts.answer.body, response.body);
	}
	ao_http_response dead = {.error = -EIO, .error_text = "h:1: refused", .body = "", .content_type = ""};
	ao_auto_answer ao_answer_parts parts = ao_answer_make(&dead, "GET", NULL);
	assert_int_equal(parts.answer.error, -EIO);
	assert_string_equal(parts.answer.message, "h:1: refused");
}

/** A server refuses what it has not read yet, and resets the stream: what it said is worth more than how that ended. */
static void a_refusal_counts_however_its_stream_ends(void **state)
{
	(void)state;
	static const struct {
		long status;
		const char *body;
		int error;
		const char *message;
	} cases[] = {
	    {403, STATUS "\"reason\":\"Forbidden\",\"message\":\"m\"}", -EPERM, "m"},
	    {403, STATUS "\"reason\":\"Forb", -EPERM, "HTTP status 403"},
	    {429, "", -EAGAIN, "HTTP status 429"},
	    {404, STATUS "\"reason\":\"NotFound\"", -EIO, "HTTP status 404"},
	    {200, "{", -EIO, "h:1: Stream error"},
	    {0, "", -EIO, "h:1: Stream error"},
	};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_http_response response = {.status = cases[i].status,
					     .error = -EIO,
					     .error_text = "h:1: Stream error",
					     .content_type = "application/json",
					     .body = cases[i].body,
					     .body_len = strlen(cases[i].body)};
		ao_auto_answer ao_answer_parts parts = ao_answer_make(&response, "POST", NULL);
		assert_int_equal(parts.answer.error, cases[i].error);
		assert_string_equal(parts.answer.message, cases[i].message);
	}
}

#define ONE(kind, name, namespace_, uid)                                                                                                   \
	"{\"kind\":\"" kind "\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" namespace_ "\",\"uid\":\"" uid \
	"\"}}"
#define MISSING(kind, name) STATUS "\"reason\":\"NotFound\",\"message\":\"m\",\"details\":{\"kind\":\"" kind "\",\"name\":\"" name "\"}}"

/** What asks for ConfigMap "n" of namespace "s" and uid "u" believes no answer but one of it. */
static void only_the_object_asked_for_will_do(void **state)
{
	(void)state;
	static const struct {
		const char *method;
		long status;
		const char *body;
		int error;
	} cases[] = {
	    {"GET", 200, ONE("ConfigMap", "n", "s", "u"), 0},
	    {"PATCH", 201, " " ONE("ConfigMap", "n", "s", "u") " \n", 0},
	    {"GET", 200, "", -EPROTO},
	    {"GET", 200, "{}", -EPROTO},
	    {"GET", 200, "<html></html>", -EPROTO},
	    {"GET", 204, "", -EPROTO},
	    {"POST", 200, ONE("Secret", "n", "s", "u"), -EPROTO},
	    {"POST", 200, ONE("ConfigMap", "other", "s", "u"), -EPROTO},
	    {"POST", 200, ONE("ConfigMap", "n", "other", "u"), -EPROTO},
	    {"POST", 200, ONE("ConfigMap", "n", "s", "other"), -EPROTO},
	    {"POST", 200, ONE("ConfigMap", "n", "s", "u") "x", -EPROTO},
	    {"POST", 200, "[" ONE("ConfigMap", "n", "s", "u") "]", -EPROTO},
	    {"POST", 200, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\",\"namespace\":\"s\",\"uid\":\"u\"}",
	     -EPROTO},
	    {"POST", 200, "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v2\",\"metadata\":{\"name\":\"n\",\"namespace\":\"s\",\"uid\":\"u\"}}",
	     -EPROTO},
	    {"POST", 200, STATUS "\"status\":\"Success\"}", -EPROTO},
	    {"DELETE", 200, STATUS "\"status\":\"Success\"}", 0},
	    {"DELETE", 200, STATUS "\"status\":\"Failure\"}", -EPROTO},
	    {"DELETE", 200, ONE("ConfigMap", "n", "s", "u"), 0},
	    {"DELETE", 200, ONE("ConfigMap", "n", "s", "other"), -EPROTO},
	    {"DELETE", 200, "", -EPROTO},
	    {"GET", 404, MISSING("configmaps", "n"), -ENOENT},
	    {"GET", 404, MISSING("ConfigMap", "n"), -ENOENT},
	    {"GET", 404, MISSING("configmaps", "other"), -EINVAL},
	    {"POST", 404, MISSING("namespaces", "n"), -EINVAL},
	    {"GET", 404, STATUS "\"reason\":\"NotFound\",\"details\":{}}", -EINVAL},
	    {"GET", 404, "404 page not found", -EIO},
	};
	const ao_kube_object object = {&CONFIG_MAPS, "s", "n", "u"};
	for (size_t i = 0; i < AO_LEN(cases); i++) {
		ao_auto_str char *exact = ao_xstrdup(cases[i].body); /* so that ASAN sees reads beyond */
		ao_http_response response = {.status = cases[i].status, .content_type = "", .body = exact, .error_text = ""};
		response.body_len = strlen(response.body);
		ao_auto_answer ao_answer_parts parts = ao_answer_make(&response, cases[i].method, &object);
		if (parts.answer.error != cases[i].error)
			fail_msg("%s %ld %s: %d %s", cases[i].method, cases[i].status, cases[i].body, parts.answer.error,
				 parts.answer.message);
		assert_int_equal(*parts.answer.message != '\0', parts.answer.error != 0);
	}
	const ao_kube_object any = {.resource = &CONFIG_MAPS};
	ao_http_response response = {.status = 200, .content_type = "", .body = ONE("ConfigMap", "x", "y", ""), .error_text = ""};
	response.body_len = strlen(response.body);
	ao_auto_answer ao_answer_parts parts = ao_answer_make(&response, "GET", &any);
	assert_int_equal(parts.answer.error, -EPROTO); /* whatever the server keeps has a uid */
}

static void an_answer_becomes_one_line(void **state)
{
	(void)state;
	ao_auto_err ao_err *err = NULL;
	ao_kube_answer answer = {.error = -EINVAL, .reason = "Invalid", .message = "m"};
	assert_int_equal(ao_kube_answer_err(&answer, "create Deployment a/b", &err), -EINVAL);
	assert_string_equal(ao_err_text(err), "create Deployment a/b: m (Invalid)");
	answer.reason = "";
	ao_kube_answer_err(&answer, "x", &err);
	assert_string_equal(ao_err_text(err), "x: m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_become_errors),
	    cmocka_unit_test(a_refusal_counts_however_its_stream_ends),
	    cmocka_unit_test(only_the_object_asked_for_will_do),
	    cmocka_unit_test(an_answer_becomes_one_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
