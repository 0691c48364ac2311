/* config.c -- a table of what may be there, walked along with the configuration. */
#include "transport/sqs/config.h"

#include "base/mem.h"
#include "base/suggest.h"
#include "json/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum { TEXT, REGION, ACCOUNT, ENDPOINT, ROLE, NUMBER, FLAG, TAGS, GROUP } kind;

typedef struct field {
	const char *name;
	kind kind;
	int64_t min, max;           /* NUMBER */
	const struct field *fields; /* GROUP; ends with a name of NULL */
} field;

static const field REFERENCE[] = {{.name = "name", .kind = TEXT}, {.name = "key", .kind = TEXT}, {.name = "optional", .kind = FLAG}, {0}};
static const field CREDENTIALS[] = {{.name = "accessKeyIdSecretRef", .kind = GROUP, .fields = REFERENCE},
				    {.name = "secretAccessKeySecretRef", .kind = GROUP, .fields = REFERENCE},
				    {.name = "sessionTokenSecretRef", .kind = GROUP, .fields = REFERENCE},
				    {0}};
static const field DLQ[] = {{.name = "enabled", .kind = FLAG},
			    {.name = "maxRetryCount", .kind = NUMBER, .max = 1000},
			    {.name = "retentionDays", .kind = NUMBER, .max = 14},
			    {0}};
static const field QUEUES[] = {{.name = "autoCreate", .kind = FLAG},
			       {.name = "forceRecreate", .kind = FLAG},
			       {.name = "deletionPolicy", .kind = TEXT},
			       {.name = "dlq", .kind = GROUP, .fields = DLQ},
			       {0}};
static const field CONFIG[] = {{.name = "region", .kind = REGION},
			       {.name = "accountId", .kind = ACCOUNT},
			       {.name = "endpoint", .kind = ENDPOINT},
			       {.name = "actorRoleArn", .kind = ROLE},
			       {.name = "visibilityTimeout", .kind = NUMBER, .max = 43200},
			       {.name = "waitTimeSeconds", .kind = NUMBER, .max = 20},
			       {.name = "credentials", .kind = GROUP, .fields = CREDENTIALS},
			       {.name = "tags", .kind = TAGS},
			       {.name = "instanceMetadata", .kind = FLAG},
			       {.name = "queues", .kind = GROUP, .fields = QUEUES},
			       {0}};
static const field SECRETS[] = {{.name = "accessKeyId"}, {.name = "secretAccessKey"}, {.name = "sessionToken"}, {0}};

/* ---- unknown keys ---- */

static int refuse_unknown(const char *path, const char *key, const field *fields, ao_err **reterr)
{
	ao_suggest near = ao_suggest_for(key);
	for (const field *f = fields; f->name; f++)
		ao_suggest_offer(&near, f->name);
	ao_auto_str char *hint = ao_suggest_text(&near);
	return ao_err_set(reterr, -EINVAL, "%s.%.64s: unknown key%s", path, key, hint);
}

static const field *find_field(const field *fields, const char *name)
{
	for (; fields->name; fields++)
		if (strcmp(fields->name, name) == 0)
			return fields;
	return NULL;
}

/* ---- values ---- */

static int wrong(const char *path, const char *expected, ao_err **reterr)
{
	return ao_err_set(reterr, -EINVAL, "%s: expected %s", path, expected);
}

static bool is_unset(const cJSON *value) { return cJSON_IsNull(value) || (cJSON_IsString(value) && !*value->valuestring); }

static bool all_digits(const char *text) { return *text && strspn(text, "0123456789") == strlen(text); }

/** @return NULL for neither "true" nor "false" nor either as a string */
static const bool *truth(const cJSON *value)
{
	static const bool yes = true, no = false;
	const char *text = cJSON_IsString(value) ? value->valuestring : "";
	if (cJSON_IsTrue(value) || strcmp(text, "true") == 0)
		return &yes;
	return cJSON_IsFalse(value) || strcmp(text, "false") == 0 ? &no : NULL;
}

static int check_number(const field *f, const char *path, const cJSON *value, ao_err **reterr)
{
	int64_t n = -1;
	if (cJSON_IsString(value) && all_digits(value->valuestring) && strlen(value->valuestring) < 16)
		n = strtoll(value->valuestring, NULL, 10);
	else if (!ao_json_int(value, &n))
		n = -1;
	if (n >= f->min && n <= f->max)
		return 0;
	return ao_err_set(reterr, -EINVAL, "%s: expected a whole number from %lld to %lld", path, (long long)f->min, (long long)f->max);
}

static int check_account(const char *path, const cJSON *value, ao_err **reterr)
{
	int64_t n;
	if (cJSON_IsString(value) && all_digits(value->valuestring) && strlen(value->valuestring) == 12)
		return 0;
	if (ao_json_int(value, &n) && n >= 100000000000 && n <= 999999999999)
		return 0;
	if (cJSON_IsNumber(value))
		return wrong(path, "12 digits; in quotes, or zeros in front are lost", reterr);
	return wrong(path, "12 digits", reterr);
}

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

static int check_tags(const char *path, const cJSON *value, ao_err **reterr)
{
	const cJSON *tag;
	if (!cJSON_IsObject(value))
		return wrong(path, "a map of strings", reterr);
	cJSON_ArrayForEach (tag, value)
		if (!cJSON_IsString(tag) && !cJSON_IsNumber(tag) && !cJSON_IsBool(tag))
			return ao_err_set(reterr, -EINVAL, "%s.%.64s: expected a string", path, tag->string);
	return 0;
}

static int check_group(const field *fields, const char *path, const cJSON *value, ao_err **reterr);

static int check_value(const field *f, const char *path, const cJSON *value, ao_err **reterr)
{
	const char *text = cJSON_IsString(value) ? value->valuestring : NULL;
	if (is_unset(value))
		return 0;
	switch (f->kind) {
	case TEXT:
		return text || cJSON_IsNumber(value) ? 0 : wrong(path, "a string", reterr);
	case REGION:
		return text && is_region(text) ? 0 : wrong(path, "an AWS region, like eu-central-1", reterr);
	case ACCOUNT:
		return check_account(path, value, reterr);
	case ENDPOINT:
		return text && is_endpoint(text) ? 0 : wrong(path, "http://HOST[:PORT] or https://HOST[:PORT]", reterr);
	case ROLE:
		return text && strncmp(text, "arn:", 4) == 0 ? 0 : wrong(path, "the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME", reterr);
	case NUMBER:
		return check_number(f, path, value, reterr);
	case FLAG:
		return truth(value) ? 0 : wrong(path, "true or false", reterr);
	case TAGS:
		return check_tags(path, value, reterr);
	case GROUP:
		return check_group(f->fields, path, value, reterr);
	}
	return 0;
}

static int check_group(const field *fields, const char *path, const cJSON *value, ao_err **reterr)
{
	const cJSON *item;
	if (!cJSON_IsObject(value))
		return wrong(path, "a map", reterr);
	cJSON_ArrayForEach (item, value) {
		const field *f = find_field(fields, item->string);
		if (!f)
			return refuse_unknown(path, item->string, fields, reterr);
		ao_auto_str char *inner = ao_xasprintf("%s.%s", path, item->string);
		int r = check_value(f, inner, item, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- all of it ---- */

static const char *given(const cJSON *config, const char *key)
{
	const char *text = ao_json_str(config, key);
	return text && *text ? text : NULL;
}

static const char *env(const char *name)
{
	const char *text = getenv(name);
	return text && *text ? text : NULL;
}

int ao_sqs_config_read(const cJSON *config, ao_sqs_config *ret, ao_err **reterr)
{
	int r = check_group(CONFIG, "config", config, reterr);
	if (r < 0)
		return r;
	const char *region = given(config, "region"), *endpoint = given(config, "endpoint"),
		   *name = env("AWS_REGION") ? "AWS_REGION" : "AWS_DEFAULT_REGION";
	const cJSON *metadata = ao_json_at(config, "instanceMetadata");
	if (!region) {
		region = env(name);
		if (!region)
			return ao_err_set(reterr, -EINVAL, "config.region: missing, and AWS_REGION is not set");
		if (!is_region(region))
			return ao_err_set(reterr, -EINVAL, "config.region: missing, and %s is no AWS region", name);
	}
	const char *suffix = strncmp(region, "cn-", 3) == 0 ? ".cn" : "";
	size_t len = endpoint ? strlen(endpoint) : 0;
	if (len && endpoint[len - 1] == '/')
		len--;
	*ret = (ao_sqs_config){.region = ao_xstrdup(region), .instance_metadata = metadata && !is_unset(metadata) && *truth(metadata)};
	ret->endpoint = len ? ao_xstrndup(endpoint, len) : ao_xasprintf("https://sqs.%s.amazonaws.com%s", region, suffix);
	return 0;
}

void ao_sqs_config_clear(ao_sqs_config *config)
{
	free(config->region);
	free(config->endpoint);
	*config = (ao_sqs_config){0};
}

int ao_sqs_check_secrets(const cJSON *secrets, ao_err **reterr)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, secrets) {
		if (!find_field(SECRETS, item->string))
			return refuse_unknown("secrets", item->string, SECRETS, reterr);
		if (!cJSON_IsString(item))
			return ao_err_set(reterr, -EINVAL, "secrets.%s: expected a string", item->string);
	}
	return 0;
}
