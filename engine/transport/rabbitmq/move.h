#pragma once
/**
 * move.h -- messages of a queue carried to another one, or only shown: the steps of a call that call.c does not know.
 *
 * A message is acknowledged only when the broker has confirmed that the other queue has it; until then it is the queue's own, and comes
 * back to it when the channel ends, whatever ended it.
 * Threads: as the call's.
 */
#include "transport/rabbitmq/call.h"

/** Makes `call` a MOVE or PEEK. A request that makes no sense has its answer at once. */
void ao_rabbit_move_add(ao_rabbit_call *call, const ao_broker_request *request);
void ao_rabbit_move_free(ao_rabbit_move *move); /* NULL is fine */

/** Sends what is to be sent now, which may be nothing. */
void ao_rabbit_move_send(ao_rabbit_call *call, ao_amqp *amqp, unsigned channel);
/** As ao_rabbit_call_done(). */
bool ao_rabbit_move_done(ao_rabbit_call *call, const amqp_method_t *method);
/** The same for a frame of a message; see amqp_conn.h. */
bool ao_rabbit_move_content(ao_rabbit_call *call, bool header, const uint8_t *bytes, size_t len);
/** The broker does not find one of the queues. @return true */
bool ao_rabbit_move_missing(ao_rabbit_call *call);
/** The connection is gone: it begins again on the next one. @return false, see ao_rabbit_call_blamed() */
bool ao_rabbit_move_lost(ao_rabbit_call *call, const ao_amqp_farewell *farewell);
/** Puts into the answer what has come of it; borrowed from `move`. */
void ao_rabbit_move_tell(ao_rabbit_move *move, ao_broker_answer *ret);
