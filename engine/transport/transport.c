/* transport.c -- finds the type of a broker by its name, and passes everything on to it. */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/utf8.h"
#include "transport/broker.h"
#include "json/json.h"

#include <string.h>

#define PLACE_DIGITS 12

static const ao_broker_type *const TYPES[] = {&ao_rabbitmq_type, &ao_sqs_type};

int ao_broker_new(ao_loop *loop, const char *type, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr)
{
	for (size_t i = 0; i < AO_LEN(TYPES); i++)
		if (strcmp(TYPES[i]->name, type) == 0)
			return TYPES[i]->make(loop, config, secrets, ret, reterr);
	return ao_err_set(reterr, -EINVAL, "type: \"%s\" is not a type of transport; use rabbitmq or sqs", type);
}

/** NULL when the configuration makes no sense. */
static char *place_of(const char *type, const cJSON *config)
{
	ao_auto_str char *place = NULL;
	for (size_t i = 0; i < AO_LEN(TYPES); i++)
		if (strcmp(TYPES[i]->name, type) == 0)
			place = TYPES[i]->place(config);
	return place ? ao_xasprintf("%s %s", type, place) : NULL;
}

char *ao_broker_place(const char *type, const cJSON *config)
{
	char *place = place_of(type, config);
	ao_auto_str char *text = place ? NULL : ao_json_canonical(config);
	return place ? place : ao_xasprintf("%s %s", type, text ? text : "");
}

bool ao_broker_is_whole_place(const char *place) { return !*place || place[strlen(place) - 1] != ' '; }

bool ao_broker_may_be_one_place(const char *place, const char *other)
{
	size_t len = strlen(place), other_len = strlen(other), least = len < other_len ? len : other_len;
	bool open = !ao_broker_is_whole_place(len < other_len ? place : other);
	return strncmp(place, other, least) == 0 && (len == other_len || open);
}

const char *ao_broker_account(const ao_broker *broker) { return broker->type->account ? broker->type->account(broker) : NULL; }

static char *digest_of(const char *place, size_t len)
{
	char digest[AO_SHA256_HEX];
	ao_sha256(place, len, digest);
	return ao_xstrndup(digest, PLACE_DIGITS);
}

char *ao_broker_place_digest(const char *type, const cJSON *config)
{
	ao_auto_str char *place = place_of(type, config);
	return place ? digest_of(place, strlen(place)) : NULL;
}

bool ao_broker_may_be_at(const char *place, const char *digest)
{
	const char *blank = strrchr(place, ' ');
	size_t open = blank ? (size_t)(blank + 1 - place) : 0;
	ao_auto_str char *whole = digest_of(place, strlen(place)), *least = digest_of(place, open);
	return !place[open] || strcmp(digest, whole) == 0 || strcmp(digest, least) == 0;
}

void ao_broker_free(ao_broker *broker)
{
	if (broker)
		broker->type->free(broker);
}

ao_broker_call *ao_broker_send(ao_broker *broker, const ao_broker_request *request) { return broker->type->send(broker, request); }
void ao_broker_cancel(ao_broker_call *call) { call->broker->type->cancel(call); }
void ao_broker_allow(ao_broker_call *call, uint64_t until_ms) { atomic_store(&call->until_ms, until_ms); }

bool ao_broker_is_allowed(const ao_broker_call *call)
{
	uint64_t until_ms = atomic_load(&call->until_ms);
	return !until_ms || ao_mono_ms() < until_ms;
}

ao_broker_stats ao_broker_get_stats(const ao_broker *broker) { return broker->type->stats(broker); }

char *ao_broker_count_text(int64_t messages)
{
	if (messages < 0)
		return ao_xstrdup("messages that nobody has counted");
	return ao_xasprintf("%lld message%s", (long long)messages, messages == 1 ? "" : "s");
}

char *ao_broker_spared(const char *queue, int64_t held, const char *differences)
{
	ao_auto_str char *messages = ao_broker_count_text(held);
	return ao_xasprintf("queue %s stays at its broker with %s, because its settings are not those wanted: %s", queue, messages,
			    differences);
}

void ao_broker_show_body(cJSON *shown, const char *bytes, size_t len, uint64_t size)
{
	size_t most = len < AO_BROKER_SHOWN ? len : AO_BROKER_SHOWN, end = most;
	while (end < size && end && most - end < 3 && !ao_utf8_is_text(bytes, end))
		end--; /* it was cut within a character */
	ao_json_set(shown, "size", cJSON_CreateNumber((double)size));
	if (end && !ao_utf8_is_text(bytes, end))
		return;
	ao_auto_str char *text = ao_xstrndup(bytes, end);
	ao_json_set_str(shown, "body", text);
	if (end < size)
		ao_json_set(shown, "cut", cJSON_CreateTrue());
}
