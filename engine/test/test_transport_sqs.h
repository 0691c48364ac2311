#pragma once
/**
 * test_transport_sqs.h -- a real SQS and STS server for tests: $AO_TEST_SQS_ENDPOINT, or what a test bed calls $BED_SQS_URL.
 *
 * Without one the tests are skipped, loudly.  The server belongs to the test: it is emptied and told to check signatures.
 */
#include "net/http.h"
#include "test/transport_answer.h"
#include "transport/sqs/api.h"

typedef struct bench {
	ao_loop *loop;
	const char *endpoint;
	ao_http *http;        /* for the server's own switches */
	ao_sqs_config config; /* for our own look at queues */
	ao_sqs_api *api;
	ao_broker *broker;
} bench;

/** One call, waited for. @return its error */
static inline int call(bench *b, ao_broker_verb verb, const char *queue, outcome *o) { return ask(b->loop, b->broker, verb, queue, o); }

/* ---- our own look ---- */

typedef struct look {
	bool done;
	int error;
	char *message;
	cJSON *body;
} look;

static inline void on_look(void *arg, const ao_sqs_reply *reply)
{
	look *l = arg;
	l->done = true;
	l->error = reply->error;
	l->message = ao_xstrdup(reply->message);
	l->body = cJSON_Duplicate(reply->body, true);
}

/** An action of the API. @return its result, or NULL when the queue does not exist; anything else fails the test */
static inline cJSON *aws(bench *b, const char *action, const char *body)
{
	look l = {0};
	ao_sqs_api_send(b->api, action, json(body), ao_mono_ms() + 20000, on_look, &l);
	assert_true(ao_loop_run_until(b->loop, &l.done, 30000));
	if (l.error && l.error != -ENOENT)
		fail_msg("%s", l.message);
	free(l.message);
	return l.body;
}

static inline char *about(bench *b, const char *name, const char *more)
{
	return ao_xasprintf("{\"QueueUrl\":\"%s/123456789012/%s\"%s}", b->endpoint, name, more);
}

/** One attribute of a queue; NULL when it has none, or does not exist. The caller frees. */
static inline char *attribute(bench *b, const char *name, const char *which)
{
	ao_auto_str char *body = about(b, name, ",\"AttributeNames\":[\"All\"]");
	ao_auto_json cJSON *result = aws(b, "GetQueueAttributes", body);
	return ao_xstrdup(result ? ao_json_str(result, "Attributes", which) : NULL);
}

static inline void assert_attribute(bench *b, const char *name, const char *which, const char *wanted)
{
	ao_auto_str char *found = attribute(b, name, which);
	if (!found || strcmp(found, wanted) != 0)
		fail_msg("%s of %s is %s, not %s", which, name, found ? found : "missing", wanted);
}

static inline void assert_tag(bench *b, const char *name, const char *tag, const char *wanted)
{
	ao_auto_str char *body = about(b, name, "");
	ao_auto_json cJSON *result = aws(b, "ListQueueTags", body);
	const char *found = result ? ao_json_str(result, "Tags", tag) : NULL;
	if (!found || strcmp(found, wanted) != 0)
		fail_msg("tag %s of %s is %s, not %s", tag, name, found ? found : "missing", wanted);
}

static inline bool exists(bench *b, const char *name)
{
	ao_auto_str char *arn = attribute(b, name, "QueueArn");
	return arn != NULL;
}

static inline void do_to(bench *b, const char *action, const char *name, const char *more)
{
	ao_auto_str char *body = about(b, name, more);
	cJSON_Delete(aws(b, action, body));
}

/* ---- the server's own switches ---- */

typedef struct page {
	bool done;
	long status;
	char *body;
} page;

static inline void on_page(void *arg, const ao_http_response *response)
{
	page *p = arg;
	p->done = true;
	p->status = response->error ? response->error : response->status;
	p->body = ao_xstrdup(response->body);
}

/** A plain request. @return its body, which the caller frees */
static inline char *fetch(bench *b, ao_http_request request, const char *path)
{
	ao_auto_str char *url = ao_xasprintf("%s%s", b->endpoint, path);
	page p = {0};
	request.url = url;
	request.timeout_ms = 20000;
	request.on_done = on_page;
	request.arg = &p;
	ao_http_send(b->http, &request);
	assert_true(ao_loop_run_until(b->loop, &p.done, 30000));
	assert_int_equal(p.status, 200);
	return p.body;
}

static inline void server(bench *b, const char *path, const char *body)
{
	static const char *const headers[] = {"Content-Type: text/plain", NULL};
	free(fetch(b, (ao_http_request){.method = "POST", .headers = headers, .body = body, .body_len = strlen(body)}, path));
}

/** Signatures and rights are checked from the next request on. */
static inline void check_rights(bench *b, bool on) { server(b, "/moto-api/reset-auth", on ? "0" : "inf"); }
static inline void empty_server(bench *b) { server(b, "/moto-api/reset", ""); }

/* ---- life ---- */

static const char *const VARIABLES[] = {"AWS_ACCESS_KEY_ID",
					"AWS_SECRET_ACCESS_KEY",
					"AWS_SESSION_TOKEN",
					"AWS_ROLE_ARN",
					"AWS_WEB_IDENTITY_TOKEN_FILE",
					"AWS_ENDPOINT_URL_STS",
					"AWS_CONTAINER_CREDENTIALS_FULL_URI",
					"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
					"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
					"AWS_CONTAINER_AUTHORIZATION_TOKEN",
					"AWS_EC2_METADATA_SERVICE_ENDPOINT",
					"AWS_REGION",
					"AWS_DEFAULT_REGION"};

static inline void clear_environment(void)
{
	for (size_t i = 0; i < AO_LEN(VARIABLES); i++)
		unsetenv(VARIABLES[i]);
}

static inline ao_broker *make_broker(bench *b, const char *endpoint, const char *more, const char *secrets)
{
	ao_auto_str char *text = ao_xasprintf("{\"region\":\"us-east-1\",\"endpoint\":\"%s\"%s}", endpoint, more);
	ao_auto_json cJSON *config = json(text), *given = secrets ? json(secrets) : NULL;
	ao_broker *broker = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_broker_new(b->loop, "sqs", config, given, &broker, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	return broker;
}

#define SECRETS "{\"accessKeyId\":\"AKIATEST\",\"secretAccessKey\":\"notVerySecret\"}"

static inline void open_api(bench *b)
{
	ao_auto_json cJSON *secrets = json(SECRETS);
	ao_aws_credentials *credentials = NULL;
	b->config = (ao_sqs_config){.region = ao_xstrdup("us-east-1"), .endpoint = ao_xstrdup(b->endpoint)};
	assert_int_equal(ao_aws_credentials_new(b->loop, &(ao_aws_options){.region = "us-east-1", .secrets = secrets}, &credentials, NULL),
			 0);
	assert_int_equal(ao_sqs_api_new(b->loop, &b->config, credentials, &b->api, NULL), 0);
	assert_int_equal(ao_http_new(b->loop, &(ao_http_options){.http1 = true}, &b->http, NULL), 0);
}

static inline int open_bench(void **state)
{
	static bench b;
	const char *endpoint = getenv("AO_TEST_SQS_ENDPOINT") ? getenv("AO_TEST_SQS_ENDPOINT") : getenv("BED_SQS_URL");
	*state = NULL;
	clear_environment();
	if (!endpoint)
		return 0;
	ao_log_setup(getenv("AO_TEST_DEBUG") ? AO_LOG_DEBUG : AO_LOG_ERROR, false);
	b = (bench){.loop = ao_loop_new(), .endpoint = endpoint};
	open_api(&b);
	check_rights(&b, false);
	empty_server(&b);
	b.broker = make_broker(&b, endpoint, "", SECRETS);
	*state = &b;
	return 0;
}

static inline int close_bench(void **state)
{
	bench *b = *state;
	if (!b)
		return 0;
	ao_broker_free(b->broker);
	ao_sqs_api_free(b->api);
	ao_sqs_config_clear(&b->config);
	ao_http_free(b->http);
	clear_environment();
	assert_int_equal(ao_loop_close(b->loop), 0);
	return 0;
}

/** In each test first: the server, or the test is skipped. */
static inline bench *need_server(void **state, const char *test)
{
	if (!*state) {
		fprintf(stderr, "SKIPPED %s: no SQS server; set AO_TEST_SQS_ENDPOINT\n", test);
		skip();
	}
	return *state;
}
