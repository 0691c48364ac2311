/* queue.c -- texts point into a copy of the JSON, tables are in a pool. */
#include "transport/rabbitmq/queue.h"

#include "base/log.h"
#include "base/mem.h"
#include "transport/shape.h"
#include "json/json.h"

#include <string.h>

#define MAX_NAME 255        /* AMQP counts names in one byte */
#define MAX_ARGUMENTS 32768 /* as JSON; what a frame holds is far more */
#define MAX_BINDINGS 256

static const ao_shape EXCHANGE[] = {AO_SHAPE("name", TEXT), AO_SHAPE("type", TEXT), {0}};
static const ao_shape DEAD_LETTER[] = {AO_SHAPE("name", TEXT), AO_SHAPE("arguments", OBJECT), {0}};
static const ao_shape FIELDS[] = {
    AO_SHAPE("name", TEXT),
    AO_SHAPE("create", BOOL),
    AO_SHAPE("durable", BOOL),
    AO_SHAPE("arguments", OBJECT),
    AO_SHAPE("exchange", OBJECT, .fields = EXCHANGE),
    AO_SHAPE("bindings", TEXTS),
    AO_SHAPE("deadLetter", OBJECT, .fields = DEAD_LETTER),
    AO_SHAPE("forceRecreate", BOOL),
    AO_SHAPE("ifEmpty", BOOL),
    AO_SHAPE("instead", OBJECT),
    {0},
};
static const ao_shape QUEUE = AO_SHAPE("queue", OBJECT, .fields = FIELDS);

/* ---- tables ---- */

static amqp_field_value_t to_field(amqp_pool_t *pool, const cJSON *value);

static amqp_table_t to_table(amqp_pool_t *pool, const cJSON *object)
{
	int count = object ? cJSON_GetArraySize(object) : 0, i = 0;
	amqp_table_t table = {.num_entries = count};
	if (!count)
		return table;
	table.entries = amqp_pool_alloc(pool, (size_t)count * sizeof(*table.entries));
	ao_require(table.entries);
	const cJSON *member;
	cJSON_ArrayForEach (member, object) {
		table.entries[i].key = amqp_cstring_bytes(member->string);
		table.entries[i++].value = to_field(pool, member);
	}
	return table;
}

static amqp_array_t to_array(amqp_pool_t *pool, const cJSON *list)
{
	int count = cJSON_GetArraySize(list), i = 0;
	amqp_array_t array = {.num_entries = count};
	if (!count)
		return array;
	array.entries = amqp_pool_alloc(pool, (size_t)count * sizeof(*array.entries));
	ao_require(array.entries);
	const cJSON *item;
	cJSON_ArrayForEach (item, list)
		array.entries[i++] = to_field(pool, item);
	return array;
}

static amqp_field_value_t to_field(amqp_pool_t *pool, const cJSON *value)
{
	int64_t whole;
	if (cJSON_IsString(value))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value->valuestring)};
	if (cJSON_IsBool(value))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = cJSON_IsTrue(value)};
	if (ao_json_int(value, &whole))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_I64, .value.i64 = whole};
	if (cJSON_IsNumber(value))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_F64, .value.f64 = value->valuedouble};
	if (cJSON_IsArray(value))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_ARRAY, .value.array = to_array(pool, value)};
	if (cJSON_IsObject(value))
		return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_TABLE, .value.table = to_table(pool, value)};
	return (amqp_field_value_t){.kind = AMQP_FIELD_KIND_VOID};
}

/** Keys of a table are counted in one byte, at any depth. */
static bool good_keys(const cJSON *value)
{
	const cJSON *child;
	cJSON_ArrayForEach (child, value)
		if ((child->string && strlen(child->string) > 128) || !good_keys(child))
			return false;
	return true;
}

/* ---- reading ---- */

/** The text of object.key, in the copy: a number becomes a string there. Empty when absent. */
static int get_name(cJSON *object, const char *key, const char *path, amqp_bytes_t *ret, ao_err **reterr)
{
	ao_auto_str char *text = ao_shape_text(object, key, "");
	if (strlen(text) > MAX_NAME)
		return ao_err_set(reterr, -EINVAL, "%s: longer than %d bytes", path, MAX_NAME);
	ao_json_set_str(object, key, text);
	*ret = amqp_cstring_bytes(ao_json_str(object, key));
	return 0;
}

static int get_queue(ao_rabbit_queue *q, cJSON *object, const char *path, ao_rabbit_queue_spec *spec, ao_err **reterr)
{
	ao_auto_str char *name_path = ao_xasprintf("%s.name", path), *text = NULL;
	const cJSON *arguments = ao_json_at(object, "arguments");
	int r = get_name(object, "name", name_path, &spec->name, reterr);
	if (r < 0)
		return r;
	if (!spec->name.len)
		return ao_err_set(reterr, -EINVAL, "%s: missing", name_path);
	if (!cJSON_IsObject(arguments))
		return 0;
	text = ao_json_print(arguments);
	if (strlen(text) > MAX_ARGUMENTS || !good_keys(arguments))
		return ao_err_set(reterr, -EINVAL, "%s.arguments: too large", path);
	const char *type = ao_json_str(arguments, "x-queue-type");
	spec->replicated = type && strcmp(type, "classic") != 0;
	spec->arguments = to_table(&q->pool, arguments);
	return 0;
}

/** An unknown type would make the broker close the connection, and with it every other call. */
static bool known_type(amqp_bytes_t type)
{
	static const char *const known[] = {"topic", "direct", "fanout", "headers"};
	for (size_t i = 0; i < AO_LEN(known); i++)
		if (type.len == strlen(known[i]) && memcmp(type.bytes, known[i], type.len) == 0)
			return true;
	return type.len > 2 && memcmp(type.bytes, "x-", 2) == 0;
}

static int get_exchange(ao_rabbit_queue *q, ao_err **reterr)
{
	cJSON *object = ao_json_at(q->json, "exchange");
	if (!cJSON_IsObject(object))
		return 0;
	int r = get_name(object, "name", "queue.exchange.name", &q->exchange, reterr);
	if (r == 0)
		r = get_name(object, "type", "queue.exchange.type", &q->exchange_type, reterr);
	if (r < 0)
		return r;
	if (!q->exchange_type.len)
		q->exchange_type = amqp_cstring_bytes("topic");
	return known_type(q->exchange_type) ? 0
					    : ao_err_set(reterr, -EINVAL, "queue.exchange.type: expected topic, direct, fanout or headers");
}

static bool is_in(const cJSON *list, const char *text)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, list)
		if (cJSON_IsString(item) && strcmp(item->valuestring, text) == 0)
			return true;
	return false;
}

/** Another queue has some of these bindings: they stay with it, or are taken from it. */
static int get_instead(ao_rabbit_queue *q, ao_err **reterr)
{
	cJSON *instead = ao_json_at(q->json, "instead");
	const cJSON *theirs = ao_json_at(instead, "bindings");
	bool turned = cJSON_IsTrue(ao_json_at(instead, "turned"));
	size_t count = 0;
	if (!cJSON_IsObject(instead))
		return 0;
	int r = get_name(instead, "name", "queue.instead.name", &q->other, reterr);
	if (r < 0)
		return r;
	q->taken = ao_xcalloc(q->binding_count + 1, sizeof(*q->taken));
	for (size_t i = 0; i < q->binding_count; i++) {
		bool both = is_in(theirs, q->bindings[i].bytes);
		if (both && turned)
			q->taken[q->taken_count++] = q->bindings[i];
		if (!both || turned)
			q->bindings[count++] = q->bindings[i];
	}
	q->binding_count = count;
	return 0;
}

static int get_bindings(ao_rabbit_queue *q, ao_err **reterr)
{
	cJSON *list = ao_json_at(q->json, "bindings"), *item;
	int count = list ? cJSON_GetArraySize(list) : 0;
	if (count > MAX_BINDINGS)
		return ao_err_set(reterr, -EINVAL, "queue.bindings: more than %d", MAX_BINDINGS);
	if (count && !q->exchange.len)
		return ao_err_set(reterr, -EINVAL, "queue.bindings: there is no exchange to bind to");
	q->bindings = ao_xcalloc((size_t)count + 1, sizeof(*q->bindings));
	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item) || strlen(item->valuestring) > MAX_NAME)
			return ao_err_set(reterr, -EINVAL, "queue.bindings[%zu]: expected a string of at most %d bytes", q->binding_count,
					  MAX_NAME);
		q->bindings[q->binding_count++] = amqp_cstring_bytes(item->valuestring);
	}
	return 0;
}

static int read_all(ao_rabbit_queue *q, ao_err **reterr)
{
	cJSON *dead = ao_json_at(q->json, "deadLetter");
	q->create = ao_shape_bool(q->json, "create", true);
	q->force_recreate = ao_shape_bool(q->json, "forceRecreate", false);
	q->if_empty = ao_shape_bool(q->json, "ifEmpty", false);
	q->main.durable = ao_shape_bool(q->json, "durable", true);
	q->dead.durable = true;
	int r = get_queue(q, q->json, "queue", &q->main, reterr);
	if (r == 0 && cJSON_IsObject(dead))
		r = get_queue(q, dead, "queue.deadLetter", &q->dead, reterr);
	if (r == 0)
		r = get_exchange(q, reterr);
	if (r == 0)
		r = get_bindings(q, reterr);
	return r < 0 ? r : get_instead(q, reterr);
}

int ao_rabbit_queue_new(const cJSON *json, ao_rabbit_queue **ret, ao_err **reterr)
{
	int r = ao_shape_check(json, &QUEUE, reterr);
	if (r < 0)
		return r;
	ao_rabbit_queue *q = ao_xcalloc(1, sizeof(*q));
	init_amqp_pool(&q->pool, 1024);
	q->json = cJSON_Duplicate(json, 1);
	r = read_all(q, reterr);
	if (r < 0)
		ao_rabbit_queue_free(q);
	else
		*ret = q;
	return r;
}

void ao_rabbit_queue_free(ao_rabbit_queue *q)
{
	if (!q)
		return;
	empty_amqp_pool(&q->pool);
	cJSON_Delete(q->json);
	free(q->bindings);
	free(q->taken);
	free(q);
}
