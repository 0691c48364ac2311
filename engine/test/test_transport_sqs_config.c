/* The configuration, what differs between two queues, and AWS' texts: no server needed. */
#include "base/mem.h"
#include "loop/loop.h"
#include "transport/sqs/aws_text.h"
#include "transport/sqs/config.h"
#include "transport/sqs/error.h"
#include "transport/sqs/wanted.h"
#include "transport/transport.h"
#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cJSON *json(const char *text)
{
	cJSON *value = NULL;
	assert_int_equal(ao_json_parse(text, strlen(text), &value, NULL), 0);
	return value;
}

/* ---- configuration ---- */

#define R "{\"region\":\"eu-central-1\","

static void wrong_configurations_are_named(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
	    {"[]", "config: expected a map"},
	    {"{}", "config.region: missing, and AWS_REGION is not set"},
	    {"{\"region\":\"\"}", "config.region: missing"},
	    {"{\"region\":\"eu central\"}", "config.region: expected an AWS region"},
	    {"{\"region\":1}", "config.region: expected an AWS region"},
	    {"{\"Region\":\"a\"}", "config.Region: unknown key; did you mean region?"},
	    {R "\"regions\":1}", "config.regions: unknown key; did you mean region?"},
	    {R "\"visibiltyTimeout\":1}", "config.visibiltyTimeout: unknown key; did you mean visibilityTimeout?"},
	    {R "\"xyz\":1}", "config.xyz: unknown key"},
	    {R "\"queues\":{\"dlq\":{\"enable\":true}}}", "config.queues.dlq.enable: unknown key; did you mean enabled?"},
	    {R "\"queues\":{\"autocreate\":true}}", "config.queues.autocreate: unknown key; did you mean autoCreate?"},
	    {R "\"credentials\":{\"accessKeyId\":\"x\"}}", "config.credentials.accessKeyId: unknown key"},
	    {R "\"credentials\":{\"accessKeyIdSecretRef\":{\"names\":\"x\"}}}",
	     "config.credentials.accessKeyIdSecretRef.names: unknown key; did you mean name?"},
	    {R "\"credentials\":\"x\"}", "config.credentials: expected a map"},
	    {R "\"accountId\":\"12\"}", "config.accountId: expected 12 digits"},
	    {R "\"accountId\":123}", "config.accountId: expected 12 digits; in quotes, or zeros in front are lost"},
	    {R "\"accountId\":true}", "config.accountId: expected 12 digits"},
	    {R "\"endpoint\":\"localhost:4566\"}", "config.endpoint: expected http://HOST[:PORT]"},
	    {R "\"endpoint\":\"http://u:p@host\"}", "config.endpoint: expected http://HOST[:PORT]"},
	    {R "\"endpoint\":\"https://host/path\"}", "config.endpoint: expected http://HOST[:PORT]"},
	    {R "\"actorRoleArn\":\"role\"}", "config.actorRoleArn: expected the ARN of a role"},
	    {R "\"scalerRoleArn\":\"role\"}", "config.scalerRoleArn: expected the ARN of a role"},
	    {R "\"scalerExternalId\":{}}", "config.scalerExternalId: expected a string"},
	    {R "\"visibilityTimeout\":43201}", "config.visibilityTimeout: expected a whole number from 0 to 43200"},
	    {R "\"visibilityTimeout\":1.5}", "config.visibilityTimeout: expected a whole number"},
	    {R "\"visibilityTimeout\":\"5m\"}", "config.visibilityTimeout: expected a whole number"},
	    {R "\"waitTimeSeconds\":-1}", "config.waitTimeSeconds: expected a whole number from 0 to 20"},
	    {R "\"queues\":{\"dlq\":{\"retentionDays\":15}}}", "config.queues.dlq.retentionDays: expected a whole number from 0 to 14"},
	    {R "\"queues\":{\"autoCreate\":\"yes\"}}", "config.queues.autoCreate: expected true or false"},
	    {R "\"instanceMetadata\":1}", "config.instanceMetadata: expected true or false"},
	    {R "\"tags\":[\"a\"]}", "config.tags: expected a map of strings"},
	    {R "\"tags\":{\"a\":{}}}", "config.tags.a: expected a string"},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_json cJSON *config = json(rows[i][0]);
		ao_auto_err ao_err *err = NULL;
		ao_sqs_config read = {0};
		assert_int_equal(ao_sqs_config_read(config, &read, &err), -EINVAL);
		assert_null(read.region);
		if (strncmp(ao_err_text(err), rows[i][1], strlen(rows[i][1])) != 0)
			fail_msg("row %zu: %s", i, ao_err_text(err));
	}
}

static void good_configurations_are_read(void **state)
{
	(void)state;
	static const char *const rows[][4] = {
	    {"{\"region\":\"eu-central-1\"}", "eu-central-1", "https://sqs.eu-central-1.amazonaws.com", ""},
	    {"{\"region\":\"cn-north-1\"}", "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn", ""},
	    {"{}", "us-west-2", "https://sqs.us-west-2.amazonaws.com", ""},
	    {"{\"endpoint\":\"http://127.0.0.1:4566/\",\"instanceMetadata\":\"true\"}", "us-west-2", "http://127.0.0.1:4566", "metadata"},
	    {"{\"region\":\"eu-central-1\",\"accountId\":\"012345678901\",\"endpoint\":\"\",\"actorRoleArn\":\"arn:aws:iam::1:role/a\","
	     "\"scalerRoleArn\":\"arn:aws:iam::2:role/"
	     "b\",\"scalerExternalId\":\"c\",\"visibilityTimeout\":\"300\",\"waitTimeSeconds\":20,\"credentials\":{"
	     "\"accessKeyIdSecretRef\":{\"name\":\"a\",\"key\":\"b\","
	     "\"optional\":true},\"secretAccessKeySecretRef\":{\"name\":\"a\",\"key\":\"b\"},\"sessionTokenSecretRef\":null},"
	     "\"tags\":{\"a\":\"b\",\"n\":1},\"instanceMetadata\":false,\"queues\":{\"autoCreate\":\"true\",\"forceRecreate\":false,"
	     "\"deletionPolicy\":\"Retain\",\"dlq\":{\"enabled\":true,\"maxRetryCount\":\"3\",\"retentionDays\":14}}}",
	     "eu-central-1", "https://sqs.eu-central-1.amazonaws.com", ""},
	    {"{\"region\":null,\"accountId\":123456789012,\"tags\":null,\"queues\":null}", "us-west-2",
	     "https://sqs.us-west-2.amazonaws.com", ""},
	};
	setenv("AWS_REGION", "us-west-2", 1);
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_json cJSON *config = json(rows[i][0]);
		ao_auto_err ao_err *err = NULL;
		ao_sqs_config read = {0};
		if (ao_sqs_config_read(config, &read, &err) < 0)
			fail_msg("row %zu: %s", i, ao_err_text(err));
		assert_string_equal(read.region, rows[i][1]);
		assert_string_equal(read.endpoint, rows[i][2]);
		assert_int_equal(read.instance_metadata, *rows[i][3] != '\0');
		ao_sqs_config_clear(&read);
	}
	unsetenv("AWS_REGION");
}

static void wrong_secrets_are_named_and_not_shown(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
	    {"{\"accessKeyId\":\"AKIA\"}", "secret accessKeyId is given without secret secretAccessKey"},
	    {"{\"secretAccessKey\":\"hidden\"}", "secret secretAccessKey is given without secret accessKeyId"},
	    {"{\"accessKeyId\":\"AK IA\",\"secretAccessKey\":\"hidden\"}", "secret accessKeyId is empty or holds"},
	    {"{\"accessKeyId\":\"AK:IA\",\"secretAccessKey\":\"hidden\"}", "secret accessKeyId is empty or holds"},
	    {"{\"accessKeyId\":\"AKIA\",\"secretAccessKey\":\"hidden\\nX-Evil: 1\"}", "secret secretAccessKey is empty or holds"},
	    {"{\"accessKeyId\":\"AKIA\",\"secretAccessKey\":\" \"}", "secret secretAccessKey is empty or holds"},
	    {"{\"accessKeyId\":\"AKIA\",\"secretAccessKey\":\"hidden\",\"sessionToken\":\"a b\"}", "secret sessionToken is empty or holds"},
	    {"{\"accesskeyid\":\"AKIA\"}", "secrets.accesskeyid: unknown key; did you mean accessKeyId?"},
	    {"{\"accessKeyId\":5}", "secrets.accessKeyId: expected a string"},
	};
	ao_loop *loop = ao_loop_new();
	ao_auto_json cJSON *config = json("{\"region\":\"us-east-1\"}");
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_json cJSON *secrets = json(rows[i][0]);
		ao_auto_err ao_err *err = NULL;
		ao_broker *broker = NULL;
		assert_int_equal(ao_broker_new(loop, "sqs", config, secrets, &broker, &err), -EINVAL);
		assert_null(broker);
		if (strncmp(ao_err_text(err), rows[i][1], strlen(rows[i][1])) != 0 || strstr(ao_err_text(err), "hidden"))
			fail_msg("row %zu: %s", i, ao_err_text(err));
	}
	assert_int_equal(ao_loop_close(loop), 0);
}

static void keys_of_a_container_are_not_fetched_from_anywhere(void **state)
{
	(void)state;
	static const struct {
		const char *url;
		int error;
	} rows[] = {
	    {"http://evil.example/keys", -EINVAL},
	    {"http://127.0.0.1.evil.example/", -EINVAL},
	    {"http://127.0.0.1@evil.example/", -EINVAL},
	    {"http://localhost:80@evil.example/", -EINVAL},
	    {"file:///etc/passwd", -EINVAL},
	    {"https://keys.example/", 0},
	    {"http://169.254.170.23/v1/credentials", 0},
	    {"http://[fd00:ec2::23]/v1/credentials", 0},
	    {"http://localhost:8080/", 0},
	};
	ao_loop *loop = ao_loop_new();
	ao_auto_json cJSON *config = json("{\"region\":\"us-east-1\"}");
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_broker *broker = NULL;
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", rows[i].url, 1);
		assert_int_equal(ao_broker_new(loop, "sqs", config, NULL, &broker, NULL), rows[i].error);
		ao_broker_free(broker);
	}
	unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	assert_int_equal(ao_loop_close(loop), 0);
}

/* ---- differences ---- */

static void what_differs_is_found(void **state)
{
	(void)state;
	static const char *const rows[][3] = {
	    /* wanted, found, changes */
	    {"{\"A\":\"1\"}", "{\"A\":\"1\",\"B\":\"2\"}", NULL},
	    {"{\"A\":\"1\"}", "{\"A\":\"2\"}", "{\"A\":\"1\"}"},
	    {"{\"A\":\"1\"}", "{}", "{\"A\":\"1\"}"},
	    {"{\"A\":\"\"}", "{}", NULL},
	    {"{\"RedrivePolicy\":\"{\\\"a\\\":\\\"x\\\",\\\"n\\\":3}\"}",
	     "{\"RedrivePolicy\":\"{ \\\"n\\\": \\\"3\\\", \\\"a\\\": \\\"x\\\" }\"}", NULL},
	    {"{\"RedrivePolicy\":\"{\\\"n\\\":3}\"}", "{\"RedrivePolicy\":\"{\\\"n\\\":4}\"}", "{\"RedrivePolicy\":\"{\\\"n\\\":3}\"}"},
	    {"{\"RedrivePolicy\":\"{\\\"n\\\":3}\"}", "{\"RedrivePolicy\":\"{\\\"n\\\":3,\\\"m\\\":1}\"}",
	     "{\"RedrivePolicy\":\"{\\\"n\\\":3}\"}"},
	    {"{\"RedrivePolicy\":\"{\\\"n\\\":3}\"}", "{\"RedrivePolicy\":\"junk\"}", "{\"RedrivePolicy\":\"{\\\"n\\\":3}\"}"},
	    {"{\"Policy\":\"{\\\"s\\\":[{\\\"v\\\":[1,true,null]}]}\"}",
	     "{\"Policy\":\"{\\\"s\\\":[{\\\"v\\\":[\\\"1\\\",\\\"true\\\",null]}]}\"}", NULL},
	    {"{\"Policy\":\"{\\\"s\\\":[1,2]}\"}", "{\"Policy\":\"{\\\"s\\\":[2,1]}\"}", "{\"Policy\":\"{\\\"s\\\":[1,2]}\"}"},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_str char *text = ao_xasprintf("{\"name\":\"a\",\"attributes\":%s}", rows[i][0]);
		ao_auto_json cJSON *queue = json(text), *found = json(rows[i][1]), *expected = rows[i][2] ? json(rows[i][2]) : NULL;
		ao_sqs_wanted *wanted = NULL;
		assert_int_equal(ao_sqs_wanted_read(queue, &wanted, NULL), 0);
		ao_auto_json cJSON *changes = ao_sqs_attribute_changes(wanted, found);
		if (!ao_json_equal(changes, expected))
			fail_msg("row %zu", i);
		ao_sqs_wanted_free(wanted);
	}
}

/** SQS would drop at once what is older than a shorter one; of a dead letter queue a configuration may ask for that. */
static void messages_are_not_kept_shorter_than_they_are(void **state)
{
	(void)state;
	static const struct {
		const char *found;
		bool changes;
	} rows[] = {{"60", true}, {"345599", true}, {"345600", false}, {"345601", false}, {"1209600", false}, {"", true}, {"x", true}};
	ao_auto_json cJSON *queue =
	    json("{\"name\":\"a\",\"create\":true,\"attributes\":{\"MessageRetentionPeriod\":\"345600\"},"
		 "\"deadLetter\":{\"name\":\"d\",\"maxReceiveCount\":3,\"attributes\":{\"MessageRetentionPeriod\":\"345600\"}}}");
	ao_sqs_wanted *wanted = NULL;
	assert_int_equal(ao_sqs_wanted_read(queue, &wanted, NULL), 0);
	ao_sqs_wanted *dead = ao_sqs_wanted_copy(wanted->dead);
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_json cJSON *found = cJSON_CreateObject();
		ao_json_set_str(found, "MessageRetentionPeriod", rows[i].found);
		ao_auto_json cJSON *changes = ao_sqs_attribute_changes(wanted, found), *of_dead = ao_sqs_attribute_changes(dead, found);
		ao_sqs_spare_old_messages(wanted, found, &changes);
		ao_sqs_spare_old_messages(dead, found, &of_dead);
		assert_int_equal(changes != NULL, rows[i].changes);
		assert_int_equal(of_dead != NULL, strcmp(rows[i].found, "345600") != 0);
	}
	ao_sqs_wanted_free(dead);
	ao_sqs_wanted_free(wanted);
}

static void the_dead_letter_arn_lies_beside_the_queue(void **state)
{
	(void)state;
	ao_auto_json cJSON *queue = json("{\"name\":\"a\",\"deadLetter\":{\"name\":\"d\",\"maxReceiveCount\":\"7\"}}");
	ao_sqs_wanted *wanted = NULL;
	assert_int_equal(ao_sqs_wanted_read(queue, &wanted, NULL), 0);
	ao_auto_str char *arn = ao_sqs_dead_arn(wanted, "arn:aws-cn:sqs:cn-north-1:123456789012:a");
	assert_string_equal(arn, "arn:aws-cn:sqs:cn-north-1:123456789012:d");
	assert_null(ao_sqs_dead_arn(wanted, NULL));
	ao_sqs_wanted_set_dead(wanted, arn);
	assert_string_equal(ao_json_str(wanted->attributes, "RedrivePolicy"),
			    "{\"deadLetterTargetArn\":\"arn:aws-cn:sqs:cn-north-1:123456789012:d\",\"maxReceiveCount\":7}");
	ao_sqs_wanted_free(wanted);
}

static void counts_are_numbers_or_unknown(void **state)
{
	(void)state;
	ao_auto_json cJSON *a = json("{\"a\":\"12\",\"b\":\"\",\"c\":\"-1\",\"d\":\"1x\",\"e\":3}");
	static const struct {
		const char *name;
		int64_t count;
	} rows[] = {{"a", 12}, {"b", -1}, {"c", -1}, {"d", -1}, {"e", -1}, {"f", -1}};
	for (size_t i = 0; i < AO_LEN(rows); i++)
		assert_int_equal(ao_sqs_count(a, rows[i].name), rows[i].count);
	assert_int_equal(ao_sqs_count(NULL, "a"), -1);
}

/* ---- AWS' texts ---- */

static void errors_are_told_apart(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		long status;
		int error;
		const char *reason, *message;
	} rows[] = {
	    /* as AWS' documents show them */
	    {"{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"The specified queue does not exist.\"}", 400, -ENOENT,
	     "QueueMissing", "The specified queue does not exist."},
	    {"{\"__type\":\"AWS.SimpleQueueService.NonExistentQueue\"}", 400, -ENOENT, "QueueMissing", ""},
	    {"{\"__type\":\"com.amazonaws.sqs#QueueDeletedRecently\",\"message\":\"You must wait 60 seconds\"}", 400, -EAGAIN,
	     "QueueDeletedRecently", "You must wait 60 seconds"},
	    {"{\"__type\":\"AWS.SimpleQueueService.QueueDeletedRecently\"}", 400, -EAGAIN, "QueueDeletedRecently", ""},
	    {"{\"__type\":\"com.amazonaws.sqs#QueueNameExists\"}", 400, -EEXIST, "QueueMismatch", ""},
	    {"{\"__type\":\"com.amazonaws.sqs#RequestThrottled\"}", 403, -EAGAIN, "Throttled", ""},
	    {"{\"__type\":\"ThrottlingException\",\"Message\":\"Rate exceeded\"}", 400, -EAGAIN, "Throttled", "Rate exceeded"},
	    {"{\"__type\":\"com.amazonaws.sqs#KmsThrottled\"}", 400, -EAGAIN, "Throttled", ""},
	    {"", 429, -EAGAIN, "Throttled", ""},
	    {"<html>busy</html>", 503, -EAGAIN, "Throttled", ""},
	    {"{\"__type\":\"InternalFailure\"}", 500, -EAGAIN, "BrokerError", ""},
	    {"{\"__type\":\"com.amazon.coral.service#AccessDeniedException\",\"Message\":\"User: x is not authorized\"}", 400, -EPERM,
	     "AccessDenied", "User: x is not authorized"},
	    {"{\"__type\":\"com.amazon.coral.service#ExpiredTokenException\"}", 403, -EPERM, "AccessDenied", ""},
	    {"{\"__type\":\"com.amazonaws.sqs#InvalidSecurity\"}", 400, -EPERM, "AccessDenied", ""},
	    {"<?xml version=\"1.0\"?><ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>a &amp; b &lt;c&gt;</Message></Error>"
	     "</ErrorResponse>",
	     403, -EPERM, "AccessDenied", "a & b <c>"},
	    {"{\"__type\":\"com.amazon.coral.service#InvalidSignatureException\",\"message\":\"It does not match. The Canonical String for "
	     "this request should have been\\n'POST\\n/\\nx-amz-security-token:SECRET'\"}",
	     400, -EPERM, "AccessDenied", "It does not match."},
	    {"{\"__type\":\"X\",\"message\":\"first line\\nsecond\"}", 400, -EPROTO, "BrokerError", "first line"},
	    {"{\"__type\":\"com.amazonaws.sqs#InvalidAttributeName\"}", 400, -EINVAL, "InvalidConfiguration", ""},
	    {"{\"__type\":\"com.amazonaws.sqs#KmsDisabled\"}", 400, -EINVAL, "InvalidConfiguration", ""},
	    {"", 403, -EPERM, "AccessDenied", ""},
	    {"not at all", 404, -EPROTO, "BrokerError", ""},
	    {"{\"__type\":5,\"message\":[]}", 400, -EPROTO, "BrokerError", ""},
	};
	for (size_t i = 0; i < AO_LEN(rows); i++) {
		ao_auto_aws_error ao_aws_error said = ao_aws_error_read(rows[i].body, strlen(rows[i].body));
		ao_sqs_error e = ao_sqs_error_of(said.code, rows[i].status);
		if (e.error != rows[i].error || strcmp(e.reason, rows[i].reason) != 0 || strcmp(said.message, rows[i].message) != 0)
			fail_msg("row %zu: %d %s \"%s\"", i, e.error, e.reason, said.message);
		bool deleted = strcmp(e.reason, "QueueDeletedRecently") == 0;
		assert_true(!deleted || (e.retry_ms == 60000 && !e.again));
		assert_true(!(e.error == -EAGAIN) || deleted || e.again);
	}
	assert_true(ao_sqs_error_of("ExpiredToken", 403).old_keys && ao_sqs_error_of("InvalidClientTokenId", 403).old_keys);
	assert_false(ao_sqs_error_of("AccessDenied", 403).old_keys || ao_sqs_error_of("SignatureDoesNotMatch", 403).old_keys);
}

static void long_messages_are_cut_between_letters(void **state)
{
	(void)state;
	ao_buf body = ao_buf_init(4096);
	ao_buf_puts(&body, "{\"__type\":\"X\",\"message\":\"x");
	for (int i = 0; i < 200; i++)
		ao_buf_puts(&body, "\xc3\xa9");
	ao_buf_puts(&body, "\"}");
	ao_auto_aws_error ao_aws_error said = ao_aws_error_read(body.data, body.len);
	assert_int_equal(strlen(said.message), 299);
	ao_buf_free(&body);
}

static void forms(void **state)
{
	(void)state;
	ao_buf form = ao_buf_init(1024);
	ao_aws_form_put(&form, "A", "a-._~Z9");
	ao_aws_form_put(&form, "B", "x y/+=&\xc3\xa9");
	assert_string_equal(form.data, "A=a-._~Z9&B=x%20y%2F%2B%3D%26%C3%A9");
	ao_buf_free(&form);
	assert_null(ao_aws_xml_text("<a><b>x", "b"));
	assert_null(ao_aws_xml_text("<a></a>", "b"));
	ao_auto_str char *empty = ao_aws_xml_text("<b></b>", "b");
	assert_string_equal(empty, "");
}

int main(void)
{
	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(wrong_configurations_are_named),
	    cmocka_unit_test(good_configurations_are_read),
	    cmocka_unit_test(wrong_secrets_are_named_and_not_shown),
	    cmocka_unit_test(keys_of_a_container_are_not_fetched_from_anywhere),
	    cmocka_unit_test(what_differs_is_found),
	    cmocka_unit_test(messages_are_not_kept_shorter_than_they_are),
	    cmocka_unit_test(the_dead_letter_arn_lies_beside_the_queue),
	    cmocka_unit_test(counts_are_numbers_or_unknown),
	    cmocka_unit_test(errors_are_told_apart),
	    cmocka_unit_test(long_messages_are_cut_between_letters),
	    cmocka_unit_test(forms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
