/* fuzz_amqp.c -- any bytes from a RabbitMQ, in pieces: the call ends with an answer. The first byte cuts, the second says what is asked. */
#include "fuzz_broker.h"

static const char QUEUE[] = "{\"name\":\"fuzz\",\"create\":true,\"durable\":true,\"exchange\":{\"name\":\"asya\",\"type\":\"topic\"},"
			    "\"bindings\":[\"fuzz\"],\"deadLetter\":{\"name\":\"fuzz-dlq\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static fuzz_wire wire;
	static ao_loop *loop;
	static char *config;
	if (len < 2)
		return 0;
	if (!loop) {
		fuzz_wire_start(&wire);
		loop = ao_loop_new();
		config = ao_xasprintf("{\"host\":\"127.0.0.1\",\"port\":%d,\"username\":\"guest\"}", wire.port);
	}
	fuzz_wire_say(&wire, "", data + 2, len - 2, 1 + (size_t)data[0] * 4);
	fuzz_broker_call(loop, "rabbitmq", config, "{\"password\":\"guest\"}", data[1], QUEUE);
	return 0;
}
