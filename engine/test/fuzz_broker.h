#pragma once
/** fuzz_broker.h -- one call of a broker whose server is a fuzz_wire: it gets an answer, whatever the server said. */
#include "fuzz_wire.h"

#include "transport/transport.h"

#define FUZZ_CALL_MS 300
#define FUZZ_PATIENCE_MS 50000 /* beyond the call's own time: threads must be scheduled; libFuzzer ends what takes 60 s */

static inline void fuzz_broker_answer(void *arg, const ao_broker_answer *answer)
{
	ao_require(answer->reason && answer->message);
	ao_require((answer->error == 0) == (*answer->message == '\0'));
	*(bool *)arg = true;
}

/** @param verb  of the low bits of any number */
static inline void fuzz_broker_call(ao_loop *loop, const char *type, const char *config, const char *secrets, unsigned verb,
				    const char *queue)
{
	static const ao_broker_verb verbs[] = {AO_BROKER_ENSURE, AO_BROKER_INSPECT, AO_BROKER_DELETE, AO_BROKER_MOVE, AO_BROKER_PEEK};
	ao_auto_json cJSON *with = NULL, *given = NULL, *wanted = NULL;
	ao_broker *broker = NULL;
	bool done = false;
	ao_require(ao_json_parse(config, strlen(config), &with, NULL) == 0 && ao_json_parse(secrets, strlen(secrets), &given, NULL) == 0 &&
		   ao_json_parse(queue, strlen(queue), &wanted, NULL) == 0);
	ao_require(ao_broker_new(loop, type, with, given, &broker, NULL) == 0);
	ao_broker_send(broker, &(ao_broker_request){

				   .verb = verbs[verb % AO_LEN(verbs)],
				   .queue = wanted,
				   .to = "fuzz-dlq",
				   .most = 20,
				   .timeout_ms = FUZZ_CALL_MS,
				   .fn = fuzz_broker_answer,
				   .arg = &done});
	ao_require(ao_loop_run_until(loop, &done, FUZZ_PATIENCE_MS));
	ao_broker_free(broker);
}
