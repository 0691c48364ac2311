/* aws_source.c -- one fetch is one to three requests (instance metadata wants a token, then a name, then the keys), and all of them
 * are made again, at most twice more, when the server cannot be reached.  Calling fn is the last thing a function does, because it may
 * free the source. */
#include "transport/sqs/aws_source.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/http.h"
#include "transport/sqs/aws_text.h"
#include "json/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ATTEMPTS 3
#define AGAIN_MS 500
#define STS_MS 8000
#define LOCAL_MS 4000
#define MAX_TOKEN (64 * 1024)
#define MAX_ANSWER (256 * 1024)
#define METADATA "http://169.254.169.254"
#define METADATA_ROLE "/latest/meta-data/iam/security-credentials/"
#define CONTAINER "http://169.254.170.2"

typedef enum { NOWHERE, FIXED, WEB_IDENTITY, IN_CONTAINER, INSTANCE } place;

struct ao_aws_source {
	place place;
	ao_aws_keys fixed;
	char *url;                  /* of STS, of the container's keys, or the root of the metadata service */
	char *role_arn, *role_name; /* web identity: whose keys; instance: as the service calls it */
	char *token_file;           /* web identity, container; may be NULL for the latter */
	char *what;                 /* for messages */
	char *metadata_token;
	unsigned duration_s;
	ao_http *http;   /* NULL where nothing is ever fetched */
	ao_timer *timer; /* the next attempt */
	unsigned attempts;
	ao_aws_fetched_fn fn;
	void *arg;
};

void ao_aws_keys_clear(ao_aws_keys *keys)
{
	ao_secret_free(keys->id);
	ao_secret_free(keys->secret);
	ao_secret_free(keys->token);
	*keys = (ao_aws_keys){0};
}

/* ---- the end of a fetch ---- */

static void fail(ao_aws_source *s, int error, const char *reason, const char *message)
{
	ao_auto_str char *text = ao_xasprintf("%s: %s", s->what, message);
	s->fn(s->arg, &(ao_aws_fetched){.error = error, .reason = reason, .message = text});
}

/** The server could not be reached: tries once more, or gives up. */
static void try_again(ao_aws_source *s, int error, const char *reason, const char *message)
{
	if (s->attempts >= ATTEMPTS) {
		fail(s, error, reason, message);
		return;
	}
	ao_debug(AO_TRANSPORT, NULL, "%s: %s; trying again", s->what, message);
	ao_timer_start(s->timer, AGAIN_MS * s->attempts);
}

/** @return the body of a good answer, or NULL: then the fetch has gone on or ended, and the caller returns at once */
static const char *good_answer(ao_aws_source *s, const ao_http_response *response)
{
	if (response->error) {
		bool timed_out = response->error == -ETIME;
		try_again(s, timed_out ? -ETIME : -EIO, timed_out ? "BrokerTimeout" : "BrokerUnreachable", response->error_text);
		return NULL;
	}
	if (response->status == 200)
		return response->body;
	ao_auto_aws_error ao_aws_error error = ao_aws_error_read(response->body, response->body_len);
	ao_auto_str char *text = ao_xasprintf("HTTP %ld%s%s%s%s", response->status, *error.code ? ", " : "", error.code,
					      *error.message ? ": " : "", error.message);
	bool busy = response->status >= 500 || response->status == 429 || strstr(error.code, "Throttl");
	if (busy || strcmp(error.code, "IDPCommunicationError") == 0)
		try_again(s, -EAGAIN, busy && response->status < 500 ? "Throttled" : "BrokerError", text);
	else
		fail(s, -EPERM, "AccessDenied", text);
	return NULL;
}

static void succeed(ao_aws_source *s, const char *id, const char *secret, const char *token, const char *expiration)
{
	ao_aws_keys keys = {.id = ao_xstrdup(id), .secret = ao_xstrdup(secret), .token = ao_xstrdup(token)};
	int64_t ends = 0, now = ao_wall_ms();
	const char *wrong = NULL;
	if (!id || !secret || !ao_secret_clean(keys.id) || !ao_secret_clean(keys.secret) || (token && !ao_secret_clean(keys.token)))
		wrong = "the answer holds no keys";
	else if (expiration && !ao_time_read(expiration, &ends))
		wrong = "the answer's Expiration is not a valid time";
	else if (expiration && ends <= now)
		wrong = "the keys it gave have ended already; is this machine's clock right?";
	else if (expiration)
		keys.expires_ms = ao_mono_ms() + (uint64_t)(ends - now);
	if (wrong) {
		ao_aws_keys_clear(&keys);
		fail(s, -EPROTO, "BrokerError", wrong);
		return;
	}
	s->fn(s->arg, &(ao_aws_fetched){.keys = &keys});
	ao_aws_keys_clear(&keys); /* what the receiver left */
}

static void read_json_keys(ao_aws_source *s, const ao_http_response *response)
{
	ao_auto_json cJSON *json = NULL;
	if (ao_json_parse(response->body, response->body_len, &json, NULL) < 0) {
		fail(s, -EPROTO, "BrokerError", "the answer is not JSON");
		return;
	}
	const char *code = ao_json_str(json, "Code");
	if (code && strcmp(code, "Success") != 0) {
		fail(s, -EPERM, "AccessDenied", code);
		return;
	}
	char *const secrets[] = {cJSON_GetStringValue(ao_json_at(json, "SecretAccessKey")),
				 cJSON_GetStringValue(ao_json_at(json, "Token"))};
	succeed(s, ao_json_str(json, "AccessKeyId"), secrets[0], secrets[1], ao_json_str(json, "Expiration"));
	for (size_t i = 0; i < AO_LEN(secrets); i++)
		if (secrets[i])
			explicit_bzero(secrets[i], strlen(secrets[i]));
}

/* ---- the requests ---- */

static void send_request(ao_aws_source *s, ao_http_request request, void (*on_done)(void *arg, const ao_http_response *response))
{
	request.max_body = MAX_ANSWER;
	request.on_done = on_done;
	request.arg = s;
	if (!request.timeout_ms)
		request.timeout_ms = LOCAL_MS;
	ao_http_send(s->http, &request);
}

/** @return the token in the file, for ao_secret_free(), or NULL: then the fetch has ended */
static char *read_token(ao_aws_source *s)
{
	ao_auto_buf ao_buf file = ao_buf_init(MAX_TOKEN);
	ao_auto_err ao_err *err = NULL;
	int r = ao_file_read(s->token_file, &file, &err);
	ao_auto_secret char *token = ao_buf_steal(&file);
	if (r == 0 && !ao_secret_clean(token))
		r = ao_err_set(&err, -EINVAL, "%s: holds no token", s->token_file);
	if (r == 0)
		return AO_TAKE(token);
	fail(s, -EPERM, "AccessDenied", ao_err_text(err));
	return NULL;
}

static void on_role(void *arg, const ao_http_response *response)
{
	ao_aws_source *s = arg;
	const char *xml = good_answer(s, response);
	if (!xml)
		return;
	ao_auto_str char *id = ao_aws_xml_text(xml, "AccessKeyId"), *expiration = ao_aws_xml_text(xml, "Expiration");
	ao_auto_secret char *secret = ao_aws_xml_text(xml, "SecretAccessKey"), *token = ao_aws_xml_text(xml, "SessionToken");
	succeed(s, id, secret, token, expiration);
}

static void assume_role(ao_aws_source *s)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/xml", NULL};
	ao_auto_secret char *token = read_token(s);
	if (!token)
		return;
	const char *name = ao_aws_env("AWS_ROLE_SESSION_NAME");
	ao_auto_buf ao_buf form = ao_buf_init(4 * MAX_TOKEN);
	ao_aws_form_put(&form, "Action", "AssumeRoleWithWebIdentity");
	ao_aws_form_put(&form, "Version", "2011-06-15");
	ao_aws_form_put(&form, "RoleArn", s->role_arn);
	ao_aws_form_put(&form, "RoleSessionName", name ? name : "asya-operator");
	if (s->duration_s) {
		char seconds[16];
		snprintf(seconds, sizeof(seconds), "%u", s->duration_s);
		ao_aws_form_put(&form, "DurationSeconds", seconds);
	}
	ao_aws_form_put(&form, "WebIdentityToken", token);
	send_request(
	    s,
	    (ao_http_request){
		.method = "POST", .url = s->url, .headers = headers, .body = form.data, .body_len = form.len, .timeout_ms = STS_MS},
	    on_role);
	explicit_bzero(form.data, form.len);
}

static void on_container_keys(void *arg, const ao_http_response *response)
{
	if (good_answer(arg, response))
		read_json_keys(arg, response);
}

static void ask_container(ao_aws_source *s)
{
	ao_auto_secret char *token = s->token_file ? read_token(s) : ao_xstrdup(ao_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
	if (!token && s->token_file)
		return;
	ao_auto_secret char *authorization = token ? ao_xasprintf("Authorization: %s", token) : NULL;
	const char *const headers[] = {"Accept: application/json", authorization, NULL};
	send_request(s, (ao_http_request){.method = "GET", .url = s->url, .headers = headers}, on_container_keys);
}

static void ask_metadata(ao_aws_source *s, const char *path, void (*on_done)(void *arg, const ao_http_response *response))
{
	ao_auto_str char *url = ao_xasprintf("%s%s", s->url, path);
	ao_auto_secret char *token = ao_xasprintf("X-aws-ec2-metadata-token: %s", s->metadata_token);
	const char *const headers[] = {token, NULL};
	send_request(s, (ao_http_request){.method = "GET", .url = url, .headers = headers}, on_done);
}

static void on_role_name(void *arg, const ao_http_response *response)
{
	ao_aws_source *s = arg;
	const char *body = good_answer(s, response);
	if (!body)
		return;
	free(s->role_name);
	s->role_name = ao_xstrndup(body, strcspn(body, "\r\n"));
	if (!ao_secret_clean(s->role_name) || strlen(s->role_name) > 128) {
		fail(s, -EPERM, "AccessDenied", "the instance has no role");
		return;
	}
	ao_auto_str char *path = ao_xasprintf(METADATA_ROLE "%s", s->role_name);
	ask_metadata(s, path, on_container_keys);
}

static void on_metadata_token(void *arg, const ao_http_response *response)
{
	ao_aws_source *s = arg;
	const char *body = good_answer(s, response);
	if (!body)
		return;
	ao_secret_free(s->metadata_token);
	s->metadata_token = ao_xstrdup(body);
	if (ao_secret_clean(s->metadata_token))
		ask_metadata(s, METADATA_ROLE, on_role_name);
	else
		fail(s, -EPROTO, "BrokerError", "the answer holds no token");
}

static void ask_instance(ao_aws_source *s)
{
	static const char *const headers[] = {"X-aws-ec2-metadata-token-ttl-seconds: 300", NULL};
	ao_auto_str char *url = ao_xasprintf("%s/latest/api/token", s->url);
	send_request(s, (ao_http_request){.method = "PUT", .url = url, .headers = headers, .body = "", .body_len = 0}, on_metadata_token);
}

static void say_nowhere(ao_aws_source *s)
{
	ao_auto_str char *text = ao_xasprintf(
	    "none found; looked at the transport's secrets accessKeyId and secretAccessKey, at AWS_ACCESS_KEY_ID with "
	    "AWS_SECRET_ACCESS_KEY, at AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, at AWS_CONTAINER_CREDENTIALS_FULL_URI and at "
	    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; the instance metadata service is asked only with instanceMetadata: true");
	fail(s, -EINVAL, "AccessDenied", text);
}

static void attempt(void *arg)
{
	ao_aws_source *s = arg;
	s->attempts++;
	if (s->place == WEB_IDENTITY)
		assume_role(s);
	else if (s->place == IN_CONTAINER)
		ask_container(s);
	else if (s->place == INSTANCE)
		ask_instance(s);
	else
		say_nowhere(s);
}

void ao_aws_source_fetch(ao_aws_source *s, ao_aws_fetched_fn fn, void *arg)
{
	s->fn = fn;
	s->arg = arg;
	s->attempts = 0;
	ao_timer_start(s->timer, 0);
}

const ao_aws_keys *ao_aws_source_fixed(const ao_aws_source *s) { return s->place == FIXED ? &s->fixed : NULL; }

/* ---- finding the place ---- */

/** @return 1: these are the keys; 0: there are none; -EINVAL */
static int take_fixed(ao_aws_source *s, const char *id, const char *secret, const char *token, const char *const names[3], ao_err **reterr)
{
	if (!id && !secret)
		return 0;
	if (!id || !secret)
		return ao_err_set(reterr, -EINVAL, "%s is given without %s", id ? names[0] : names[1], id ? names[1] : names[0]);
	s->fixed = (ao_aws_keys){.id = ao_xstrdup(id), .secret = ao_xstrdup(secret), .token = ao_xstrdup(token)};
	const char *wrong = NULL;
	if (!ao_secret_clean(s->fixed.id) || strchr(s->fixed.id, ':'))
		wrong = names[0];
	else if (!ao_secret_clean(s->fixed.secret))
		wrong = names[1];
	else if (token && !ao_secret_clean(s->fixed.token))
		wrong = names[2];
	if (wrong)
		return ao_err_set(reterr, -EINVAL, "%s is empty or holds a character that no AWS key has", wrong);
	s->place = FIXED;
	return 1;
}

static int find_fixed(ao_aws_source *s, const cJSON *secrets, ao_err **reterr)
{
	static const char *const names[] = {"secret accessKeyId", "secret secretAccessKey", "secret sessionToken"};
	static const char *const env_names[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"};
	static const char *const known[] = {"accessKeyId", "secretAccessKey", "sessionToken"};
	const char *values[3];
	for (size_t i = 0; i < 3; i++)
		values[i] = secrets ? ao_json_str(secrets, known[i]) : NULL;
	int r = take_fixed(s, values[0], values[1], values[2], names, reterr);
	return r ? r : take_fixed(s, ao_aws_env(env_names[0]), ao_aws_env(env_names[1]), ao_aws_env(env_names[2]), env_names, reterr);
}

static void find_web_identity(ao_aws_source *s, const char *region)
{
	const char *role = ao_aws_env("AWS_ROLE_ARN"), *file = ao_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *endpoint = ao_aws_env("AWS_ENDPOINT_URL_STS");
	if (!role || !file)
		return;
	s->place = WEB_IDENTITY;
	s->role_arn = ao_xstrdup(role);
	s->token_file = ao_xstrdup(file);
	ao_auto_str char *base = endpoint ? ao_xstrdup(endpoint) : ao_aws_url("sts", region);
	size_t len = strlen(base);
	while (len && base[len - 1] == '/')
		len--;
	s->url = ao_xasprintf("%.*s/", (int)len, base);
	s->what = ao_xasprintf("AWS credentials for %s from %s", role, s->url);
}

/** Keys are fetched in clear text only from this machine and from the addresses that AWS has given to its agents. */
static bool is_safe(const char *url)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
	if (strncasecmp(url, "https://", 8) == 0)
		return true;
	if (strncasecmp(url, "http://", 7) != 0)
		return false;
	url += 7;
	for (size_t i = 0; i < AO_LEN(hosts); i++) {
		size_t len = strlen(hosts[i]);
		if (strncasecmp(url, hosts[i], len) == 0 && (!url[len] || strchr(":/?", url[len])) && !strchr(url, '@'))
			return true;
	}
	return false;
}

static int find_container(ao_aws_source *s, ao_err **reterr)
{
	const char *full = ao_aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
		   *relative = ao_aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	if (!full && !relative)
		return 0;
	if (!relative && !is_safe(full))
		return ao_err_set(reterr, -EINVAL,
				  "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to this machine or a container agent");
	s->place = IN_CONTAINER;
	s->url = relative ? ao_xasprintf(CONTAINER "%s", relative) : ao_xstrdup(full);
	s->token_file = ao_xstrdup(ao_aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"));
	s->what = ao_xasprintf("AWS credentials of the container from %s", s->url);
	return 0;
}

static void find_instance(ao_aws_source *s)
{
	const char *endpoint = ao_aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	s->place = INSTANCE;
	s->url = ao_xstrdup(endpoint ? endpoint : METADATA);
	for (size_t len = strlen(s->url); len && s->url[len - 1] == '/'; len--)
		s->url[len - 1] = '\0';
	s->what = ao_xasprintf("AWS credentials of the instance from %s", s->url);
}

static int find(ao_aws_source *s, const ao_aws_options *options, ao_err **reterr)
{
	int r = find_fixed(s, options->secrets, reterr);
	if (r)
		return r < 0 ? r : 0;
	find_web_identity(s, options->region);
	if (s->place == NOWHERE)
		r = find_container(s, reterr);
	if (r == 0 && s->place == NOWHERE && options->instance_metadata)
		find_instance(s);
	if (!s->what)
		s->what = ao_xstrdup("AWS credentials");
	return r;
}

int ao_aws_source_new(ao_loop *loop, const ao_aws_options *options, ao_aws_source **ret, ao_err **reterr)
{
	ao_aws_source *s = ao_xcalloc(1, sizeof(*s));
	s->duration_s = options->duration_s;
	int r = find(s, options, reterr);
	if (r == 0 && s->place != FIXED && s->place != NOWHERE)
		r = ao_http_new(
		    loop,
		    &(ao_http_options){.http1 = true, .max_streams = 1, .user_agent = "asya-operator", .direct = s->place != WEB_IDENTITY},
		    &s->http, reterr);
	if (r < 0) {
		ao_aws_source_free(s);
		return r;
	}
	s->timer = ao_timer_new(loop, attempt, s);
	*ret = s;
	return 0;
}

void ao_aws_source_free(ao_aws_source *s)
{
	if (!s)
		return;
	ao_http_free(s->http);
	ao_timer_free(s->timer);
	ao_aws_keys_clear(&s->fixed);
	ao_secret_free(s->metadata_token);
	free(s->url);
	free(s->role_arn);
	free(s->role_name);
	free(s->token_file);
	free(s->what);
	free(s);
}
