/* Where AWS keys come from, that they are kept fresh, and that a server which checks signatures and rights takes them. */
#include "test/test_transport_sqs.h"

#include "transport/sqs/aws_credentials.h"
#include "transport/sqs/aws_text.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define ROLE "arn:aws:iam::123456789012:role/unit"
#define QUEUE "{\"name\":\"unit-k\",\"create\":true,\"tags\":{\"a\":\"1\"}}"
#define ALL_OF_SQS "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"sqs:*\",\"Resource\":\"*\"}]}"

/* ---- users and roles on the server ---- */

/** @param pairs  name, value, ..., NULL */
static char *iam_pairs(bench *b, const char *const *pairs)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", NULL};
	ao_auto_buf ao_buf form = ao_buf_init(65536);
	ao_aws_form_put(&form, "Version", "2010-05-08");
	for (; *pairs; pairs += 2)
		ao_aws_form_put(&form, pairs[0], pairs[1]);
	return fetch(b,
		     (ao_http_request){.method = "POST",
				       .headers = headers,
				       .body = form.data,
				       .body_len = form.len,
				       .aws_sigv4 = "aws:amz:us-east-1:iam",
				       .userpwd = "AKIATEST:any"},
		     "/");
}

#define iam(b, action, ...) iam_pairs(b, (const char *const[]){"Action", action, __VA_ARGS__, NULL})

typedef struct user {
	char *id, *secret;
} user;

static user make_user(bench *b)
{
	free(iam(b, "CreateUser", "UserName", "unit"));
	ao_auto_str char *xml = iam(b, "CreateAccessKey", "UserName", "unit");
	user u = {ao_aws_xml_text(xml, "AccessKeyId"), ao_aws_xml_text(xml, "SecretAccessKey")};
	assert_true(u.id && u.secret);
	return u;
}

static void forget_user(user *u)
{
	free(u->id);
	free(u->secret);
}

static void may(bench *b, const char *policy)
{
	check_rights(b, false);
	free(iam(b, "PutUserPolicy", "UserName", "unit", "PolicyName", "p", "PolicyDocument", policy));
	check_rights(b, true);
}

static void make_role(bench *b)
{
	free(iam(b, "CreateRole", "RoleName", "unit", "AssumeRolePolicyDocument", "{}"));
	free(iam(b, "PutRolePolicy", "RoleName", "unit", "PolicyName", "p", "PolicyDocument", ALL_OF_SQS));
}

/** How often STS was asked since it was made. */
static size_t roles_taken(bench *b)
{
	ao_auto_str char *body = fetch(b, (ao_http_request){.method = "GET"}, "/moto-api/data.json");
	ao_auto_json cJSON *data = json(body);
	return (size_t)cJSON_GetArraySize(ao_json_at(data, "sts", "AssumedRole"));
}

/* ---- a broker of our own ---- */

/** Another broker in the bench's place. */
static void with_keys(bench *b, const char *more, const char *id, const char *secret)
{
	ao_auto_str char *secrets = id ? ao_xasprintf("{\"accessKeyId\":\"%s\",\"secretAccessKey\":\"%s\"}", id, secret) : NULL;
	ao_broker_free(b->broker);
	b->broker = make_broker(b, b->endpoint, more, secrets);
}

static void assert_denied(bench *b, ao_broker_verb verb, const char *queue, const char *why, const char *secret)
{
	auto_outcome o = {0};
	assert_int_equal(call(b, verb, queue, &o), -EPERM);
	assert_string_equal(o.reason, "AccessDenied");
	if (!strstr(o.message, why) || strstr(o.message, secret))
		fail_msg("%s; wanted %s", o.message, why);
}

static void keys_and_rights_are_checked(void **state)
{
	bench *b = need_server(state, __func__);
	__attribute__((cleanup(forget_user))) user u = make_user(b);
	auto_outcome o = {0};
	may(b, ALL_OF_SQS);
	with_keys(b, "", "AKIANOBODY", u.secret);
	assert_denied(b, AO_BROKER_ENSURE, QUEUE, "InvalidClientTokenId", u.secret);
	with_keys(b, "", u.id, "wrongSecret");
	assert_denied(b, AO_BROKER_ENSURE, QUEUE, "SignatureDoesNotMatch", "wrongSecret");
	ao_auto_str char *id = ao_xasprintf("%s\\n", u.id), *secret = ao_xasprintf(" %s\\n", u.secret);
	with_keys(b, "", id, secret); /* as people put them into Secrets */
	if (call(b, AO_BROKER_ENSURE, QUEUE, &o))
		fail_msg("%s", o.message);
	assert_true(o.answer.created);

	may(b, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"sqs:GetQueueUrl\","
	       "\"sqs:GetQueueAttributes\"],\"Resource\":\"*\"}]}");
	ao_log_setup(AO_LOG_ERROR, false);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0); /* tags cannot be seen: that is no reason to fail */
	assert_denied(b, AO_BROKER_DELETE, QUEUE, "AccessDenied", u.secret);
	assert_denied(b, AO_BROKER_ENSURE, "{\"name\":\"unit-k\",\"create\":true,\"attributes\":{\"DelaySeconds\":\"9\"}}",
		      "SetQueueAttributes", u.secret);
	assert_denied(b, AO_BROKER_ENSURE, "{\"name\":\"unit-k2\",\"create\":true}", "CreateQueue", u.secret);

	may(b, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\",\"Resource\":\"*\"}]}");
	with_keys(b, "", u.id, u.secret);
	assert_denied(b, AO_BROKER_DELETE, QUEUE, "GetQueueUrl", u.secret);
	assert_denied(b, AO_BROKER_INSPECT, QUEUE, "GetQueueUrl", u.secret);
	check_rights(b, false);
	assert_true(exists(b, "unit-k"));
}

static void secrets_go_before_the_environment(void **state)
{
	bench *b = need_server(state, __func__);
	__attribute__((cleanup(forget_user))) user u = make_user(b);
	auto_outcome o = {0};
	may(b, ALL_OF_SQS);
	setenv("AWS_ACCESS_KEY_ID", u.id, 1);
	setenv("AWS_SECRET_ACCESS_KEY", u.secret, 1);
	with_keys(b, "", NULL, NULL);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0);
	with_keys(b, "", "AKIANOBODY", "x");
	assert_denied(b, AO_BROKER_ENSURE, QUEUE, "InvalidClientTokenId", u.secret);
	setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY", 1);
	with_keys(b, "", u.id, u.secret);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0);
	check_rights(b, false);
}

/* ---- web identity ---- */

static char token_file[64];

static void write_token(const char *text)
{
	snprintf(token_file, sizeof(token_file), "/tmp/unit-token-%d", (int)getpid());
	FILE *file = fopen(token_file, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void use_web_identity(bench *b)
{
	write_token("eyJ.first.token\n");
	setenv("AWS_ROLE_ARN", ROLE, 1);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token_file, 1);
	setenv("AWS_ENDPOINT_URL_STS", b->endpoint, 1);
}

static void a_web_identity_becomes_keys_once(void **state)
{
	bench *b = need_server(state, __func__);
	static outcome all[40];
	memset(all, 0, sizeof(all));
	use_web_identity(b);
	make_role(b);
	with_keys(b, "", NULL, NULL);
	size_t before = roles_taken(b);
	for (size_t i = 0; i < AO_LEN(all); i++)
		begin(b->broker, AO_BROKER_INSPECT, QUEUE, 0, &all[i]);
	for (size_t i = 0; i < AO_LEN(all); i++) {
		assert_true(ao_loop_run_until(b->loop, &all[i].done, 30000));
		assert_int_equal(all[i].answer.error, 0);
		forget(&all[i]);
	}
	assert_int_equal(roles_taken(b) - before, 1);
	auto_outcome o = {0};
	check_rights(b, true); /* the session token is signed, or this fails */
	if (call(b, AO_BROKER_ENSURE, QUEUE, &o))
		fail_msg("%s", o.message);
	check_rights(b, false);
	assert_int_equal(roles_taken(b) - before, 1);
	unlink(token_file);
}

static void refused_keys_are_asked_for_again(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	bool never = false;
	use_web_identity(b);
	with_keys(b, "", NULL, NULL);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0);
	empty_server(b); /* it knows our keys no more */
	assert_int_equal(roles_taken(b), 0);
	check_rights(b, true);
	o.done = false;
	begin(b->broker, AO_BROKER_ENSURE, QUEUE, 0, &o);
	ao_loop_run_until(b->loop, &never, 300); /* refused; and this server's STS answers 500 while rights are checked */
	assert_false(o.done);
	check_rights(b, false);
	assert_true(ao_loop_run_until(b->loop, &o.done, 20000));
	if (o.answer.error)
		fail_msg("%s", o.message);
	assert_true(o.answer.created);
	assert_int_equal(roles_taken(b), 1);
	unlink(token_file);
}

static void a_token_file_that_is_missing_or_empty_is_named(void **state)
{
	bench *b = need_server(state, __func__);
	use_web_identity(b);
	for (int i = 0; i < 2; i++) {
		if (i)
			write_token(" \n");
		else
			unlink(token_file);
		with_keys(b, "", NULL, NULL);
		assert_denied(b, AO_BROKER_DELETE, QUEUE, token_file, "eyJ");
	}
	unlink(token_file);
}

/* ---- the cache, with keys that live for seconds ---- */

typedef struct wait {
	ao_aws_waiter waiter;
	bool done;
	int error;
	char *message;
} wait;

static void on_news(void *arg, int error, const char *reason, const char *message)
{
	wait *w = arg;
	(void)reason;
	w->done = true;
	w->error = error;
	free(w->message);
	w->message = ao_xstrdup(message);
}

/** @return a copy of the id of the keys that are good now, or NULL after an error, which is in `w` */
static char *key_now(bench *b, ao_aws_credentials *credentials, wait *w)
{
	w->waiter = (ao_aws_waiter){.fn = on_news, .arg = w};
	w->done = false;
	w->error = 0;
	const ao_aws_keys *keys = ao_aws_credentials_get(credentials, &w->waiter);
	if (keys)
		return ao_xstrdup(keys->id);
	assert_true(ao_loop_run_until(b->loop, &w->done, 30000));
	if (w->error)
		return NULL;
	keys = ao_aws_credentials_get(credentials, &w->waiter);
	assert_non_null(keys);
	return ao_xstrdup(keys->id);
}

static void pass(bench *b, uint64_t ms)
{
	bool never = false;
	ao_loop_run_until(b->loop, &never, ms);
}

/** The id of the keys that come after those with this id. */
static char *other_key(bench *b, ao_aws_credentials *credentials, wait *w, const char *id)
{
	for (int i = 0; i < 150; i++) {
		ao_auto_str char *now = key_now(b, credentials, w);
		if (now && strcmp(now, id) != 0)
			return AO_TAKE(now);
		pass(b, 20);
	}
	fail_msg("no other keys come");
	return NULL;
}

/** Each look has seconds to spare, on a machine that is busy, too. */
static void keys_that_end_are_replaced_before(void **state)
{
	bench *b = need_server(state, __func__);
	ao_aws_credentials *credentials = NULL;
	wait w = {0};
	use_web_identity(b);
	const ao_aws_options options = {.region = "us-east-1", .margin_ms = 4000, .duration_s = 8};
	assert_int_equal(ao_aws_credentials_new(b->loop, &options, &credentials, NULL), 0);
	ao_auto_str char *first = key_now(b, credentials, &w);
	assert_non_null(first);
	pass(b, 500);
	ao_auto_str char *same = key_now(b, credentials, &w); /* most of its time is left: nothing to do */
	pass(b, 500);
	ao_auto_str char *still = key_now(b, credentials, &w);
	assert_string_equal(first, same);
	assert_string_equal(first, still);
	pass(b, 3400);
	ao_auto_str char *old = key_now(b, credentials, &w); /* within the margin: good, and new ones are asked for */
	assert_false(w.done);
	assert_string_equal(first, old);
	ao_auto_str char *second = other_key(b, credentials, &w, first);
	assert_false(w.done);

	unlink(token_file);
	pass(b, 4400);
	ao_auto_str char *third = key_now(b, credentials, &w);
	pass(b, 500); /* the refresh has failed now */
	ao_auto_str char *kept = key_now(b, credentials, &w);
	assert_string_equal(second, third);
	assert_string_equal(second, kept);
	pass(b, 5200);                            /* that failure counts no more, either */
	assert_null(key_now(b, credentials, &w)); /* ended */
	assert_int_equal(w.error, -EPERM);
	assert_non_null(strstr(w.message, token_file));
	size_t before = roles_taken(b);
	write_token("eyJ.another.token");
	assert_null(key_now(b, credentials, &w)); /* a failure stands for some seconds */
	assert_int_equal(roles_taken(b), before);
	pass(b, 5100);
	ao_auto_str char *last = key_now(b, credentials, &w); /* the file is read again */
	assert_non_null(last);
	assert_int_equal(roles_taken(b), before + 1);
	free(w.message);
	ao_aws_credentials_free(credentials);
	unlink(token_file);
}

static void who_comes_while_keys_are_asked_for_shares_them(void **state)
{
	bench *b = need_server(state, __func__);
	ao_aws_credentials *credentials = NULL;
	wait waits[6] = {0};
	size_t count = 0;
	use_web_identity(b);
	assert_int_equal(ao_aws_credentials_new(b->loop, &(ao_aws_options){.region = "us-east-1"}, &credentials, NULL), 0);
	for (; count < AO_LEN(waits) && !waits[0].done; count++) {
		waits[count].waiter = (ao_aws_waiter){.fn = on_news, .arg = &waits[count]};
		assert_null(ao_aws_credentials_get(credentials, &waits[count].waiter));
		if (count == 1)
			ao_aws_waiter_leave(&waits[1].waiter);
		if (count > 1) /* two come before the loop turns, hence before any answer; the others as long as there is none */
			pass(b, 1);
	}
	for (size_t i = 0; i < count; i++) {
		if (i != 1)
			assert_true(ao_loop_run_until(b->loop, &waits[i].done, 20000));
		assert_int_equal(waits[i].error, 0);
		free(waits[i].message);
	}
	pass(b, 100);
	assert_false(waits[1].done);
	assert_int_equal(roles_taken(b), 1);
	ao_aws_credentials_free(credentials);
	unlink(token_file);
}

/** Nor are the messages of one that has its name taken out of it. */
static void assert_not_emptied(bench *b, const char *made_in)
{
	auto_outcome o = {0};
	ao_auto_json cJSON *queue = json(QUEUE);
	assert_int_equal(call(b, AO_BROKER_ENSURE, "{\"name\":\"unit-to\",\"create\":true}", &o), 0);
	o.done = false;
	o.call = ao_broker_send(
	    b->broker,
	    &(ao_broker_request){
		.verb = AO_BROKER_MOVE, .queue = queue, .to = "unit-to", .most = 10, .account = made_in, .fn = on_answer, .arg = &o});
	await(b->loop, &o);
	assert_int_equal(o.answer.error, -EINVAL);
	assert_string_equal(o.reason, "QueueMismatch");
	assert_non_null(strstr(o.message, "the one that was made is in account 123456789012"));
}

/** With the keys of another account the same configuration shows other queues: one that was made in the first is not looked for there. */
static void a_queue_in_another_account_is_not_deleted(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0);
	assert_string_equal(ao_broker_account(b->broker), "123456789012");
	use_web_identity(b);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::210987654321:role/unit", 1);
	with_keys(b, "", NULL, NULL);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0);
	assert_true(o.answer.created);
	assert_string_equal(ao_broker_account(b->broker), "210987654321");
	assert_not_emptied(b, "123456789012");
	for (int theirs = 1; theirs >= 0; theirs--) {
		ao_auto_json cJSON *queue = json(QUEUE);
		o.done = false;
		o.call = ao_broker_send(b->broker, &(ao_broker_request){.verb = AO_BROKER_DELETE,
									.queue = queue,
									.account = theirs ? "123456789012" : "210987654321",
									.fn = on_answer,
									.arg = &o});
		await(b->loop, &o);
		assert_int_equal(o.answer.error, 0);
		assert_int_equal(o.answer.deleted, !theirs);
		if (theirs)
			assert_string_equal(o.kept, "queue unit-k stays in account 210987654321 with 0 messages: "
						    "the one that was made is in account 123456789012");
	}
	assert_true(exists(b, "unit-k"));
	unlink(token_file);
}

/* ---- other places ---- */

static void one_place(bench *b, const char *more, const char *key)
{
	ao_aws_credentials *credentials = NULL;
	ao_auto_err ao_err *err = NULL;
	wait w = {0};
	if (ao_aws_credentials_new(b->loop, &(ao_aws_options){.region = "us-east-1", .instance_metadata = *more}, &credentials, &err) < 0)
		fail_msg("%s", ao_err_text(err));
	ao_auto_str char *found = key_now(b, credentials, &w);
	if (!found)
		fail_msg("%s", w.message);
	assert_string_equal(found, key);
	free(w.message);
	ao_aws_credentials_free(credentials);
}

static void containers_and_instances_have_keys(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0};
	ao_auto_str char *url = ao_xasprintf("%s/latest/meta-data/iam/security-credentials/default-role", b->endpoint);
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
	one_place(b, "", "test-key");
	write_token("Bearer\n");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file, 1);
	one_place(b, "", "test-key");
	unlink(token_file);
	with_keys(b, "", NULL, NULL);
	assert_denied(b, AO_BROKER_INSPECT, QUEUE, token_file, "Bearer");
	clear_environment();

	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", b->endpoint, 1);
	one_place(b, "instance", "test-key");
	with_keys(b, ",\"instanceMetadata\":true", NULL, NULL);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), 0);
	with_keys(b, "", NULL, NULL);
	assert_int_equal(call(b, AO_BROKER_ENSURE, QUEUE, &o), -EINVAL);
	assert_string_equal(o.reason, "AccessDenied");
	static const char *const places[] = {"secretAccessKey", "AWS_SECRET_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE",
					     "AWS_CONTAINER_CREDENTIALS_FULL_URI", "instanceMetadata: true"};
	for (size_t i = 0; i < AO_LEN(places); i++)
		assert_non_null(strstr(o.message, places[i]));
}

static void sts_that_is_closed_or_silent_is_told_apart(void **state)
{
	bench *b = need_server(state, __func__);
	auto_outcome o = {0}, quiet = {0};
	int silent = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	assert_int_equal(bind(silent, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(silent, (struct sockaddr *)&address, &len), 0);
	ao_auto_str char *endpoint = ao_xasprintf("http://127.0.0.1:%d/", ntohs(address.sin_port));
	use_web_identity(b);
	setenv("AWS_ENDPOINT_URL_STS", endpoint, 1);
	with_keys(b, "", NULL, NULL);
	assert_int_equal(call(b, AO_BROKER_DELETE, QUEUE, &o), -EIO);
	assert_string_equal(o.reason, "BrokerUnreachable");
	assert_non_null(strstr(o.message, "AWS credentials for " ROLE " from http://127.0.0.1"));
	assert_int_equal(listen(silent, 8), 0);
	for (int i = 0; i < 3; i++) { /* time-out, cancel, free */
		with_keys(b, "", NULL, NULL);
		quiet.done = false;
		begin(b->broker, AO_BROKER_DELETE, QUEUE, i ? 60000 : 400, &quiet);
		ao_loop_run_until(b->loop, &quiet.done, i ? 100 : 5000);
		assert_int_equal(quiet.done, i == 0);
		if (i == 1)
			ao_broker_cancel(quiet.call);
	}
	assert_int_equal(quiet.answer.error, -ETIME);
	assert_string_equal(quiet.reason, "BrokerTimeout");
	ao_broker_free(b->broker);
	b->broker = NULL;
	close(silent);
	unlink(token_file);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)
	const struct CMUnitTest tests[] = {
	    TEST(keys_and_rights_are_checked),
	    TEST(secrets_go_before_the_environment),
	    TEST(a_web_identity_becomes_keys_once),
	    TEST(refused_keys_are_asked_for_again),
	    TEST(a_token_file_that_is_missing_or_empty_is_named),
	    TEST(keys_that_end_are_replaced_before),
	    TEST(who_comes_while_keys_are_asked_for_shares_them),
	    TEST(a_queue_in_another_account_is_not_deleted),
	    TEST(containers_and_instances_have_keys),
	    TEST(sts_that_is_closed_or_silent_is_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
