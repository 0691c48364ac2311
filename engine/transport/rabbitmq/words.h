#pragma once
/**
 * words.h -- what RabbitMQ says, in words for those who set the queue up.
 * Threads: any.
 */

/**
 * "... inequivalent arg 'x-message-ttl' for queue ...: received the value '5' of type 'long' but current is none" becomes
 * "x-message-ttl is absent, wanted is '5'"; a text that is put otherwise stays as it is.  The caller frees.
 */
char *ao_rabbit_difference(const char *text);
