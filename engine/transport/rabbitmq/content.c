/* content.c -- class, weight, size of the body, flags, and a value for each flag; of these the headers are a table of AMQP. */
#include "transport/rabbitmq/content.h"

#include "base/mem.h"
#include "json/json.h"

#include <string.h>

#define MAX_DEPTH 8
#define MAX_VALUES 20000

typedef struct reader {
	const uint8_t *at, *end;
	unsigned values;
	bool bad;
} reader;

/** The next `len` bytes; NULL and `bad` when there are not so many. */
static const uint8_t *take(reader *r, size_t len)
{
	if (r->bad || (size_t)(r->end - r->at) < len) {
		r->bad = true;
		return NULL;
	}
	const uint8_t *bytes = r->at;
	r->at += len;
	return bytes;
}

static uint64_t number(reader *r, size_t len)
{
	const uint8_t *bytes = take(r, len);
	uint64_t value = 0;
	for (size_t i = 0; bytes && i < len; i++)
		value = value << 8 | bytes[i];
	return value;
}

/** Of a length that precedes it in `width` bytes. The caller frees. */
static char *text(reader *r, size_t width)
{
	size_t len = number(r, width);
	const uint8_t *bytes = take(r, len);
	return bytes ? ao_xstrndup((const char *)bytes, len) : NULL;
}

static cJSON *text_value(reader *r, size_t width)
{
	ao_auto_str char *found = text(r, width);
	return cJSON_CreateString(found ? found : "");
}

static cJSON *signed_value(reader *r, size_t len)
{
	uint64_t value = number(r, len);
	unsigned spare = 64 - 8 * (unsigned)len;
	return cJSON_CreateNumber((double)((int64_t)(value << spare) >> spare));
}

static cJSON *float_value(reader *r, size_t len)
{
	uint64_t bits = number(r, len);
	uint32_t half = (uint32_t)bits;
	float small;
	double large;
	memcpy(&small, &half, sizeof(small));
	memcpy(&large, &bits, sizeof(large));
	return cJSON_CreateNumber(len == sizeof(small) ? (double)small : large);
}

static cJSON *value(reader *r, unsigned depth);

/** A table or a list. */
static cJSON *members(reader *r, bool named, unsigned depth)
{
	size_t len = number(r, 4);
	const uint8_t *bytes = take(r, len);
	if (!bytes || depth > MAX_DEPTH)
		return cJSON_CreateNull();
	cJSON *all = named ? cJSON_CreateObject() : cJSON_CreateArray();
	reader inner = {.at = bytes, .end = bytes + len, .values = r->values};
	while (!inner.bad && inner.at < inner.end) {
		ao_auto_str char *key = named ? text(&inner, 1) : NULL;
		cJSON *item = value(&inner, depth);
		if (named)
			cJSON_AddItemToObject(all, key ? key : "",
					      item); /* ao_json_set() would look for the key first, and there may be many */
		else
			cJSON_AddItemToArray(all, item);
	}
	r->bad |= inner.bad;
	r->values = inner.values;
	return all;
}

static cJSON *value(reader *r, unsigned depth)
{
	char kind = (char)number(r, 1);
	r->bad |= ++r->values > MAX_VALUES;
	switch (r->bad ? 'V' : kind) {
	case 't':
		return cJSON_CreateBool(number(r, 1) != 0);
	case 'b':
		return signed_value(r, 1);
	case 'B':
		return cJSON_CreateNumber((double)number(r, 1));
	case 's':
		return signed_value(r, 2);
	case 'u':
		return cJSON_CreateNumber((double)number(r, 2));
	case 'I':
		return signed_value(r, 4);
	case 'i':
		return cJSON_CreateNumber((double)number(r, 4));
	case 'l':
		return signed_value(r, 8);
	case 'L':
	case 'T':
		return cJSON_CreateNumber((double)number(r, 8));
	case 'f':
		return float_value(r, 4);
	case 'd':
		return float_value(r, 8);
	case 'D':
		take(r, 5); /* a decimal number; nobody sends one */
		return cJSON_CreateNull();
	case 'S':
	case 'x':
		return text_value(r, 4);
	case 'A':
	case 'F':
		return members(r, kind == 'F', depth + 1);
	case 'V':
		return cJSON_CreateNull();
	default:
		r->bad = true;
		return cJSON_CreateNull();
	}
}

/** A property by its kind: text of at most 255 bytes, table, a byte, a time. */
static cJSON *property(reader *r, char kind)
{
	if (kind == 'F')
		return members(r, true, 1);
	return kind == 's' ? text_value(r, 1) : cJSON_CreateNumber((double)number(r, kind == 'T' ? 8 : 1));
}

bool ao_rabbit_content_read(const uint8_t *bytes, size_t len, uint64_t *ret_size, cJSON **ret)
{
	static const struct {
		const char *name;
		char kind;
	} all[] = {{"contentType", 's'},   {"contentEncoding", 's'}, {"headers", 'F'},    {"deliveryMode", 'o'}, {"priority", 'o'},
		   {"correlationId", 's'}, {"replyTo", 's'},         {"expiration", 's'}, {"messageId", 's'},    {"timestamp", 'T'},
		   {"type", 's'},          {"userId", 's'},          {"appId", 's'},      {"clusterId", 's'}};
	reader r = {.at = bytes, .end = bytes + len};
	ao_auto_json cJSON *found = cJSON_CreateObject();
	number(&r, 4); /* class and weight */
	uint64_t size = number(&r, 8);
	if (r.bad)
		return false;
	*ret_size = size;
	uint64_t flags = number(&r, 2);
	r.bad |= flags & 1; /* more flags follow: there are none */
	for (size_t i = 0; i < AO_LEN(all) && !r.bad; i++)
		if (flags & (0x8000U >> i))
			ao_json_set(found, all[i].name, property(&r, all[i].kind));
	if (r.bad)
		return false;
	*ret = AO_TAKE(found);
	return true;
}
