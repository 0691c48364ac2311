/* transport.c -- finds the broker's file by its type and passes everything on. */
#include "transport/transport.h"

#include "transport/broker.h"

#include <string.h>

static const ao_broker_type *const TYPES[] = {&ao_rabbitmq_type, &ao_sqs_type};

int ao_broker_new(ao_loop *loop, const char *type, const cJSON *config, const cJSON *secrets, ao_broker **ret, ao_err **reterr)
{
	for (size_t i = 0; i < sizeof(TYPES) / sizeof(*TYPES); i++)
		if (strcmp(TYPES[i]->name, type) == 0)
			return TYPES[i]->make(loop, config, secrets, ret, reterr);
	return ao_err_set(reterr, -EINVAL, "type: \"%s\" is no type of transport; use rabbitmq or sqs", type);
}

void ao_broker_free(ao_broker *broker)
{
	if (broker)
		broker->type->free(broker);
}

ao_broker_call *ao_broker_send(ao_broker *broker, const ao_broker_request *request) { return broker->type->send(broker, request); }
void ao_broker_cancel(ao_broker_call *call) { call->broker->type->cancel(call); }
ao_broker_stats ao_broker_get_stats(const ao_broker *broker) { return broker->type->stats(broker); }
