/* wanted.c -- AWS keeps attributes as strings and some of these hold JSON, whose numbers it may turn into strings. */
#include "transport/sqs/wanted.h"

#include "base/buf.h"
#include "base/mem.h"
#include "transport/shape.h"
#include "json/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_NAME 80
#define RETENTION "MessageRetentionPeriod"
#define RECEIVES "a whole number from 1 to 1000"

static const ao_shape DEAD_LETTER[] = {
    AO_SHAPE("name", STRING),
    AO_SHAPE("attributes", STRINGS),
    AO_SHAPE("tags", STRINGS),
    AO_SHAPE("maxReceiveCount", UINT, .max = 1000, .expected = RECEIVES),
    {0},
};
static const ao_shape FIELDS[] = {
    AO_SHAPE("name", STRING),
    AO_SHAPE("create", BOOL),
    AO_SHAPE("attributes", STRINGS),
    AO_SHAPE("tags", STRINGS),
    AO_SHAPE("deadLetter", OBJECT, .fields = DEAD_LETTER, .expected = "a map"),
    AO_SHAPE("forceRecreate", BOOL), /* without effect: everything we set can be changed in place */
    AO_SHAPE("ifEmpty", BOOL),
    AO_SHAPE("instead", OBJECT), /* without effect: senders always name a queue */
    {0},
};
static const ao_shape QUEUE = AO_SHAPE("", OBJECT, .fields = FIELDS, .expected = "a map");

/* ---- reading ---- */

static int read_name(const cJSON *object, char **ret, ao_err **reterr)
{
	const char *name = ao_json_str(object, "name");
	size_t len = name ? strlen(name) : 0;
	if (!len)
		return ao_err_set(reterr, -EINVAL, "name: missing");
	if (len > 5 && strcmp(name + len - 5, ".fifo") == 0)
		return ao_err_set(reterr, -EINVAL, "name: \"%.*s\" would be a FIFO queue; only standard queues are supported", MAX_NAME,
				  name);
	if (len > MAX_NAME || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != len)
		return ao_err_set(reterr, -EINVAL, "name: \"%.*s\" is not a valid name for a queue: at most %d letters, digits, - and _",
				  MAX_NAME, name, MAX_NAME);
	*ret = ao_xstrdup(name);
	return 0;
}

/** The part that a queue and a dead letter queue have in common. */
static int read_common(const cJSON *object, ao_sqs_wanted *wanted, ao_err **reterr)
{
	wanted->attributes = ao_shape_strings(object, "attributes");
	wanted->tags = ao_shape_strings(object, "tags");
	return read_name(object, &wanted->name, reterr);
}

static int read_dead(const cJSON *queue, ao_sqs_wanted *wanted, ao_err **reterr)
{
	const cJSON *object = ao_json_at(queue, "deadLetter");
	if (!cJSON_IsObject(object))
		return 0;
	wanted->dead = ao_xcalloc(1, sizeof(*wanted->dead));
	wanted->dead->create = wanted->create;
	wanted->dead->is_dead = true;
	wanted->max_receives = ao_shape_uint(object, "maxReceiveCount", 0);
	int r = read_common(object, wanted->dead, reterr);
	if (r == 0 && !wanted->max_receives)
		r = ao_err_set(reterr, -EINVAL, "maxReceiveCount: expected " RECEIVES);
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
	int r = ao_shape_check(queue, &QUEUE, reterr);
	if (r < 0)
		return r;
	wanted->create = ao_shape_bool(queue, "create", false);
	wanted->if_empty = ao_shape_bool(queue, "ifEmpty", false);
	r = read_common(queue, wanted, reterr);
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
	*copy = (ao_sqs_wanted){
	    .name = ao_xstrdup(wanted->name), .create = wanted->create, .if_empty = wanted->if_empty, .is_dead = wanted->is_dead};
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

void ao_sqs_spare_old_messages(const ao_sqs_wanted *wanted, const cJSON *found, cJSON **changes)
{
	bool longer = ao_sqs_count(found, RETENTION) > ao_sqs_count(wanted->attributes, RETENTION);
	if (wanted->is_dead || !longer || !*changes)
		return;
	cJSON_DeleteItemFromObjectCaseSensitive(*changes, RETENTION);
	if (!(*changes)->child)
		cJSON_Delete(AO_TAKE(*changes));
}

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
