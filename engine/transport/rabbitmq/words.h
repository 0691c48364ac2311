#pragma once
/**
 * words.h -- what RabbitMQ says, in words for those who set the queue up.
 * Threads: any.
 */
#include <stdbool.h>

/**
 * "... inequivalent arg 'x-message-ttl' for queue ...: received the value '5' of type 'long' but current is none" becomes
 * "x-message-ttl is absent, wanted is '5'"; a text that is put otherwise stays as it is.  The caller frees.
 */
char *ao_rabbit_difference(const char *text);
/**
 * Is the queue that is there a quorum queue or a stream?  Of arguments that differ the broker names one, and cuts its text at 255 bytes:
 * where it says nothing about the type, the type is taken to be as wanted.
 */
bool ao_rabbit_is_replicated(const char *text, bool wanted);
