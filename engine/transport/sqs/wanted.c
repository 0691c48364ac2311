/* wanted.c -- AWS keeps attributes as strings and some of these hold JSON, whose numbers it may turn into strings. */
#include "transport/sqs/wanted.h"

#include "base/buf.h"
#include "base/mem.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAME 80
#define MAX_RECEIVES 1000

/* ---- reading ---- */

static int check_keys(const cJSON *object, const char *path, const char *const *known, ao_err **reterr)
{
	const cJSON *item;
	if (!cJSON_IsObject(object))
		return ao_err_set(reterr, -EINVAL, "%s: expected a map", *path ? path : "queue");
	cJSON_ArrayForEach (item, object) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], item->string) != 0)
			i++;
		if (!known[i])
			return ao_err_set(reterr, -EINVAL, "%s%s%.64s: unknown key", path, *path ? "." : "", item->string);
	}
	return 0;
}

static bool is_set(const cJSON *object, const char *key)
{
	const cJSON *value = ao_json_at(object, key);
	return value && !cJSON_IsNull(value);
}

static int read_flag(const cJSON *object, const char *key, bool *ret, ao_err **reterr)
{
	const cJSON *value = ao_json_at(object, key);
	if (is_set(object, key) && !cJSON_IsBool(value))
		return ao_err_set(reterr, -EINVAL, "%s: expected true or false", key);
	*ret = cJSON_IsTrue(value);
	return 0;
}

/** Copies a map of strings; other scalars become strings. */
static int read_strings(const cJSON *object, const char *key, cJSON **ret, ao_err **reterr)
{
	const cJSON *from = ao_json_at(object, key), *item;
	ao_auto_json cJSON *to = cJSON_CreateObject();
	if (is_set(object, key) && !cJSON_IsObject(from))
		return ao_err_set(reterr, -EINVAL, "%s: expected a map of strings", key);
	cJSON_ArrayForEach (item, from) {
		ao_auto_str char *text = cJSON_IsNumber(item) || cJSON_IsBool(item) ? ao_json_print(item) : NULL;
		if (!text && !cJSON_IsString(item))
			return ao_err_set(reterr, -EINVAL, "%s.%.64s: expected a string", key, item->string);
		ao_json_set_str(to, item->string, text ? text : item->valuestring);
	}
	*ret = AO_TAKE(to);
	return 0;
}

static int read_name(const cJSON *object, char **ret, ao_err **reterr)
{
	const char *name = ao_json_str(object, "name");
	size_t len = name ? strlen(name) : 0;
	if (!len)
		return ao_err_set(reterr, -EINVAL, "name: missing, or no string");
	if (len > 5 && strcmp(name + len - 5, ".fifo") == 0)
		return ao_err_set(reterr, -EINVAL, "name: \"%.*s\" would be a FIFO queue; only standard queues are supported", MAX_NAME,
				  name);
	if (len > MAX_NAME || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != len)
		return ao_err_set(reterr, -EINVAL, "name: \"%.*s\" is no name for a queue: at most %d letters, digits, - and _", MAX_NAME,
				  name, MAX_NAME);
	*ret = ao_xstrdup(name);
	return 0;
}

/** What a queue and a dead letter queue have in common. */
static int read_common(const cJSON *object, ao_sqs_wanted *wanted, ao_err **reterr)
{
	int r = read_name(object, &wanted->name, reterr);
	if (r == 0)
		r = read_strings(object, "attributes", &wanted->attributes, reterr);
	return r < 0 ? r : read_strings(object, "tags", &wanted->tags, reterr);
}

static int read_receives(const cJSON *object, int64_t *ret, ao_err **reterr)
{
	const cJSON *value = ao_json_at(object, "maxReceiveCount");
	int64_t n = 0;
	if (cJSON_IsString(value) && strspn(value->valuestring, "0123456789") == strlen(value->valuestring) &&
	    strlen(value->valuestring) < 6)
		n = strtol(value->valuestring, NULL, 10);
	else
		ao_json_int(value, &n);
	if (n < 1 || n > MAX_RECEIVES)
		return ao_err_set(reterr, -EINVAL, "maxReceiveCount: expected a whole number from 1 to %d", MAX_RECEIVES);
	*ret = n;
	return 0;
}

static int read_dead(const cJSON *queue, ao_sqs_wanted *wanted, ao_err **reterr)
{
	static const char *const known[] = {"name", "attributes", "tags", "maxReceiveCount", NULL};
	const cJSON *object = ao_json_at(queue, "deadLetter");
	if (!is_set(queue, "deadLetter"))
		return 0;
	int r = check_keys(object, "deadLetter", known, reterr);
	if (r < 0)
		return r;
	wanted->dead = ao_xcalloc(1, sizeof(*wanted->dead));
	wanted->dead->create = wanted->create;
	r = read_common(object, wanted->dead, reterr);
	if (r == 0)
		r = read_receives(object, &wanted->max_receives, reterr);
	if (r < 0)
		return ao_err_wrap(reterr, "deadLetter");
	if (strcmp(wanted->dead->name, wanted->name) == 0)
		return ao_err_set(reterr, -EINVAL, "deadLetter.name: \"%s\" is the queue itself", wanted->name);
	if (ao_json_at(wanted->attributes, "RedrivePolicy"))
		return ao_err_set(reterr, -EINVAL, "attributes.RedrivePolicy: made from deadLetter; give one of them");
	return 0;
}

static int read_all(const cJSON *queue, ao_sqs_wanted *wanted, ao_err **reterr)
{
	static const char *const known[] = {"name", "create", "attributes", "tags", "deadLetter", "forceRecreate", "ifEmpty", NULL};
	bool recreate; /* means nothing here: everything we set can be changed in place */
	int r = check_keys(queue, "", known, reterr);
	if (r == 0)
		r = read_common(queue, wanted, reterr);
	if (r == 0)
		r = read_flag(queue, "create", &wanted->create, reterr);
	if (r == 0)
		r = read_flag(queue, "ifEmpty", &wanted->if_empty, reterr);
	if (r == 0)
		r = read_flag(queue, "forceRecreate", &recreate, reterr);
	return r < 0 ? r : read_dead(queue, wanted, reterr);
}

int ao_sqs_wanted_read(const cJSON *queue, ao_sqs_wanted **ret, ao_err **reterr)
{
	ao_sqs_wanted *wanted = ao_xcalloc(1, sizeof(*wanted));
	int r = read_all(queue, wanted, reterr);
	if (r < 0)
		ao_sqs_wanted_free(wanted);
	else
		*ret = wanted;
	return r;
}

ao_sqs_wanted *ao_sqs_wanted_copy(const ao_sqs_wanted *wanted)
{
	ao_sqs_wanted *copy = ao_xcalloc(1, sizeof(*copy));
	*copy = (ao_sqs_wanted){.name = ao_xstrdup(wanted->name), .create = wanted->create, .if_empty = wanted->if_empty};
	copy->attributes = cJSON_Duplicate(wanted->attributes, true);
	copy->tags = cJSON_Duplicate(wanted->tags, true);
	return copy;
}

void ao_sqs_wanted_free(ao_sqs_wanted *wanted)
{
	if (!wanted)
		return;
	ao_sqs_wanted_free(wanted->dead);
	cJSON_Delete(wanted->attributes);
	cJSON_Delete(wanted->tags);
	free(wanted->name);
	free(wanted);
}

/* ---- the dead letter queue ---- */

void ao_sqs_wanted_set_dead(ao_sqs_wanted *wanted, const char *dead_arn)
{
	if (!wanted->dead)
		return;
	ao_auto_json cJSON *policy = cJSON_CreateObject();
	ao_json_set_str(policy, "deadLetterTargetArn", dead_arn);
	ao_json_set(policy, "maxReceiveCount", cJSON_CreateNumber((double)wanted->max_receives));
	ao_auto_str char *text = ao_json_print(policy);
	ao_json_set_str(wanted->attributes, "RedrivePolicy", text);
}

char *ao_sqs_dead_arn(const ao_sqs_wanted *wanted, const char *arn)
{
	const char *name = arn ? strrchr(arn, ':') : NULL;
	return wanted->dead && name ? ao_xasprintf("%.*s:%s", (int)(name - arn), arn, wanted->dead->name) : NULL;
}

/* ---- differences ---- */

static bool holds_json(const char *name)
{
	return strcmp(name, "RedrivePolicy") == 0 || strcmp(name, "RedriveAllowPolicy") == 0 || strcmp(name, "Policy") == 0;
}

/** 3 and "3" are the same to AWS. */
static void scalars_to_strings(cJSON *value)
{
	cJSON *item, *next;
	for (item = value->child; item; item = next) {
		next = item->next;
		scalars_to_strings(item);
		if (!cJSON_IsNumber(item) && !cJSON_IsBool(item))
			continue;
		ao_auto_str char *text = ao_json_print(item);
		cJSON *string = cJSON_CreateString(text);
		if (cJSON_IsObject(value))
			ao_json_set(value, item->string, string);
		else
			cJSON_ReplaceItemViaPointer(value, item, string);
	}
}

static bool same_json(const char *a, const char *b)
{
	ao_auto_json cJSON *left = NULL, *right = NULL;
	if (ao_json_parse(a, strlen(a), &left, NULL) < 0 || ao_json_parse(b, strlen(b), &right, NULL) < 0)
		return false;
	scalars_to_strings(left);
	scalars_to_strings(right);
	return ao_json_equal(left, right);
}

static cJSON *changes(const cJSON *wanted, const cJSON *found, bool attributes)
{
	ao_auto_json cJSON *differing = cJSON_CreateObject();
	const cJSON *item;
	cJSON_ArrayForEach (item, wanted) {
		const char *text = found ? ao_json_str(found, item->string) : NULL;
		bool same = text && strcmp(text, item->valuestring) == 0;
		if (attributes && !text)
			same = !*item->valuestring; /* "" takes an attribute away, and then it is not listed */
		else if (attributes && !same && holds_json(item->string))
			same = same_json(text, item->valuestring);
		if (!same)
			ao_json_set_str(differing, item->string, item->valuestring);
	}
	return differing->child ? AO_TAKE(differing) : NULL;
}

cJSON *ao_sqs_attribute_changes(const ao_sqs_wanted *wanted, const cJSON *found) { return changes(wanted->attributes, found, true); }
cJSON *ao_sqs_tag_changes(const ao_sqs_wanted *wanted, const cJSON *found) { return changes(wanted->tags, found, false); }

char *ao_sqs_changes_text(const cJSON *differing, const cJSON *found)
{
	ao_buf text = ao_buf_init(4096);
	const cJSON *item;
	cJSON_ArrayForEach (item, differing) {
		const char *now = found ? ao_json_str(found, item->string) : NULL;
		ao_buf_printf(&text, "%s%s is %.300s, wanted %.300s", text.len ? "; " : "", item->string, now ? now : "not set",
			      item->valuestring);
	}
	return ao_buf_steal(&text);
}

int64_t ao_sqs_count(const cJSON *attributes, const char *name)
{
	const char *text = attributes ? ao_json_str(attributes, name) : NULL;
	char *end;
	if (!text || *text < '0' || *text > '9')
		return -1;
	long long n = strtoll(text, &end, 10);
	return *end ? -1 : (int64_t)n;
}
