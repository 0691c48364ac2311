#pragma once
/**
 * session.h -- calls carried out over one connection at a time, on up to 16 channels with one call each.  The connection is opened when
 * there is work, and closed after a while without any.
 *
 * It never waits: the owner polls ao_rabbit_session_fd() until ao_rabbit_session_due() and then gives it a turn.
 * Threads: one owner at a time.
 */
#include "transport/rabbitmq/config.h"
#include "transport/rabbitmq/list.h"

typedef struct ao_rabbit_session ao_rabbit_session;

/** @param config  borrowed until ao_rabbit_session_free() */
ao_rabbit_session *ao_rabbit_session_new(const ao_rabbit_config *config);
/** Says goodbye to the broker and frees every call that is left. NULL is fine. */
void ao_rabbit_session_free(ao_rabbit_session *session);

void ao_rabbit_session_add(ao_rabbit_session *session, ao_rabbit_list *calls); /* empties `calls` */
void ao_rabbit_session_turn(ao_rabbit_session *session);
/** Appends what is finished to `ret`. */
void ao_rabbit_session_take(ao_rabbit_session *session, ao_rabbit_list *ret);
/** What to poll for. @return the descriptor, or -1 */
int ao_rabbit_session_fd(const ao_rabbit_session *session, short *ret_events);
/** ao_mono_ms() of the next turn at the latest; UINT64_MAX: none is due. */
uint64_t ao_rabbit_session_due(const ao_rabbit_session *session);
bool ao_rabbit_session_connected(const ao_rabbit_session *session);
uint64_t ao_rabbit_session_connects(const ao_rabbit_session *session);
