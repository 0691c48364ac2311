/* config.c -- the shape is a table; values that have a form of AWS' own get a closer look. */
#include "transport/sqs/config.h"

#include "base/mem.h"
#include "transport/shape.h"
#include "transport/sqs/aws_text.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- values that have a form of AWS' own ---- */

static bool is_region(const char *text)
{
	return strlen(text) <= 32 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

static bool is_endpoint(const char *text)
{
	bool http = strncasecmp(text, "http://", 7) == 0, https = strncasecmp(text, "https://", 8) == 0;
	const char *host = text + (https ? 8 : http ? 7 : 0);
	size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_");
	return (http || https) && len && (!host[len] || strcmp(host + len, "/") == 0);
}

static const char *wrong_region(const cJSON *value)
{
	return cJSON_IsString(value) && is_region(value->valuestring) ? NULL : "an AWS region, like eu-central-1";
}

static const char *wrong_endpoint(const cJSON *value)
{
	return cJSON_IsString(value) && is_endpoint(value->valuestring) ? NULL : "http://HOST[:PORT] or https://HOST[:PORT]";
}

static const char *wrong_role(const cJSON *value)
{
	return cJSON_IsString(value) && strncmp(value->valuestring, "arn:", 4) == 0 ? NULL
										    : "the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME";
}

static const char *wrong_account(const cJSON *value)
{
	int64_t n;
	if (cJSON_IsString(value))
		return strlen(value->valuestring) == 12 && strspn(value->valuestring, "0123456789") == 12 ? NULL : "12 digits";
	if (ao_json_int(value, &n) && n >= 100000000000 && n <= 999999999999)
		return NULL;
	return cJSON_IsNumber(value) ? "12 digits; in quotes, or zeros in front are lost" : "12 digits";
}

/* ---- the shape ---- */

#define TEXT(key) AO_SHAPE(key, TEXT, .blank = true)
#define FLAG(key) AO_SHAPE(key, FLAG, .blank = true)
#define WHOLE(key, most) AO_SHAPE(key, UINT, .blank = true, .max = most, .expected = "a whole number from 0 to " #most)
#define MAP(key, of) AO_SHAPE(key, OBJECT, .blank = true, .fields = of, .expected = "a map")
#define OTHER(key, how) AO_SHAPE(key, OTHER, .blank = true, .wrong = how)

static const ao_shape REFERENCE[] = {TEXT("name"), TEXT("key"), FLAG("optional"), {0}};
static const ao_shape CREDENTIALS[] = {
    MAP("accessKeyIdSecretRef", REFERENCE),
    MAP("secretAccessKeySecretRef", REFERENCE),
    MAP("sessionTokenSecretRef", REFERENCE),
    {0},
};
static const ao_shape DLQ[] = {FLAG("enabled"), WHOLE("maxRetryCount", 1000), WHOLE("retentionDays", 14), {0}};
static const ao_shape QUEUES[] = {FLAG("autoCreate"), FLAG("forceRecreate"), TEXT("deletionPolicy"), MAP("dlq", DLQ), {0}};
static const ao_shape FIELDS[] = {
    OTHER("region", wrong_region),
    OTHER("accountId", wrong_account),
    OTHER("endpoint", wrong_endpoint),
    OTHER("actorRoleArn", wrong_role),
    OTHER("scalerRoleArn", wrong_role),
    TEXT("scalerExternalId"),
    WHOLE("visibilityTimeout", 43200),
    WHOLE("waitTimeSeconds", 20),
    MAP("credentials", CREDENTIALS),
    AO_SHAPE("tags", STRINGS, .blank = true),
    FLAG("instanceMetadata"),
    MAP("queues", QUEUES),
    {0},
};
static const ao_shape CONFIG = MAP("config", FIELDS);
static const ao_shape SECRET_FIELDS[] = {
    AO_SHAPE("accessKeyId", STRING), AO_SHAPE("secretAccessKey", STRING), AO_SHAPE("sessionToken", STRING), {0}};
static const ao_shape SECRETS = MAP("secrets", SECRET_FIELDS);

/* ---- all of it ---- */

static const char *given(const cJSON *config, const char *key)
{
	const char *text = ao_json_str(config, key);
	return text && *text ? text : NULL;
}

int ao_sqs_config_read(const cJSON *config, ao_sqs_config *ret, ao_err **reterr)
{
	int r = ao_shape_check(config, &CONFIG, reterr);
	if (r < 0)
		return r;
	const char *region = given(config, "region"), *endpoint = given(config, "endpoint"),
		   *name = ao_aws_env("AWS_REGION") ? "AWS_REGION" : "AWS_DEFAULT_REGION";
	if (!region) {
		region = ao_aws_env(name);
		if (!region)
			return ao_err_set(reterr, -EINVAL, "config.region: missing, and AWS_REGION is not set");
		if (!is_region(region))
			return ao_err_set(reterr, -EINVAL, "config.region: missing, and %s is not an AWS region", name);
	}
	size_t len = endpoint ? strlen(endpoint) : 0;
	if (len && endpoint[len - 1] == '/')
		len--;
	*ret = (ao_sqs_config){.region = ao_xstrdup(region), .instance_metadata = ao_shape_bool(config, "instanceMetadata", false)};
	ret->endpoint = len ? ao_xstrndup(endpoint, len) : ao_aws_url("sqs", region);
	return 0;
}

void ao_sqs_config_clear(ao_sqs_config *config)
{
	free(config->region);
	free(config->endpoint);
	*config = (ao_sqs_config){0};
}

int ao_sqs_check_secrets(const cJSON *secrets, ao_err **reterr) { return secrets ? ao_shape_check(secrets, &SECRETS, reterr) : 0; }
