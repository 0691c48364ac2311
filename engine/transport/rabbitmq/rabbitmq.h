#pragma once
/**
 * rabbitmq.h -- RabbitMQ, over AMQP 0-9-1: what its configuration, its secrets and its queues look like.
 *
 * Configuration ("config" of a registry entry; numbers may be given as strings and the other way round):
 *   host | hosts          "a", "a,b" or ["a", "b:5673", "[::1]:5672"]: tried in turn
 *   port                  0 or absent: 5672, with tls 5671
 *   username              absent or "": guest
 *   passwordSecretRef     read by the caller, as is every ...SecretRef here; without one the password is guest
 *   vhost                 absent: /
 *   heartbeat             seconds, absent: 20; 0: none
 *   idleSeconds           without work the connection is closed after that long; absent: 60
 *   tls                   {enabled, caSecretRef, certSecretRef, keySecretRef, serverName, insecureSkipVerify}: on when it is there, unless
 *                         `enabled` says no
 *   management            {url, insecureSkipVerify}: base URL of the management API, which alone knows the unacknowledged messages.  It is
 *                         asked with the same user, password and ca
 *   exchange, queues      for policies; checked here, not used
 * Secrets: password, and as PEM ca, cert, key.
 *
 * A queue (ao_broker_request.queue):
 *   name
 *   create                false: only look, -ENOENT QueueMissing when it is not there; absent: true
 *   durable               absent: true
 *   arguments             {"x-message-ttl": 60000, ...}: whole numbers become 64-bit integers
 *   exchange              {name, type}: declared durable; type absent: topic
 *   bindings              [routing key, ...]: bound to the exchange; there without one is an error
 *   deadLetter            {name, arguments}: a second queue, declared durable; how messages get there is in `arguments`
 *   forceRecreate         a queue that differs is replaced when it is empty and has no consumers; a quorum queue or a stream never is
 *   ifEmpty               DELETE only: -EBUSY QueueNotEmpty when it holds messages, or has consumers that may hold some; a quorum queue or
 *                         a stream stays, because the broker deletes these with whatever has come since we looked
 *   instead               {name, bindings, turned}: the description of another queue that this one takes the place of.  Until it is `turned`,
 *                         messages still go to the other one: bindings that both have are not made; afterwards they are made here, and then
 *                         taken away there.  In between a message may go to both
 * ENSURE removes no other binding and never purges.  DELETE takes only what is as described here, and the dead letter queue only when that
 * is empty and unused.
 *
 * MOVE publishes to the default exchange, so `to` needs no binding.  It leaves messages of more than 4 MB, those of another user's user-id,
 * and those with a header CC or BCC.  A queue `to` with a maximum length drops its oldest messages for new ones, unless it rejects these.
 * Of a stream nothing can be moved or shown.
 *
 * One thread per broker object does all of it (worker.h) over one connection (session.h), up to 16 queues at a time.  After a failed
 * attempt to connect there is a pause of 1 s, doubling to 30 s: calls fail at once then, with what is wrong and with `retry_ms`.
 */
#include "transport/transport.h"
