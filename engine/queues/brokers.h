#pragma once
/**
 * brokers.h -- brokers as plans name them: made when first wanted, with what Secrets hold now, freed when nobody wants them.
 *
 * An access is the way of one namespace to one broker: configuration, and references to Secrets of that namespace.  Its Secrets are read
 * when it is first used, when the broker refuses what they said, and after ao_brokers_doubt(); what has changed makes a new broker object
 * for the calls that follow.  Accesses that come to the same configuration and values share one broker object, and so its connection.
 * Threads: the loop thread only.  Callbacks run on the loop, never from inside ao_access_send().
 */
#include "kube/client.h"
#include "serve/metrics.h"
#include "transport/transport.h"

typedef struct ao_brokers ao_brokers;
typedef struct ao_access ao_access;
typedef struct ao_access_call ao_access_call;

/**
 * Something is in order again, called for each access that it concerns; may only start calls.
 * @param may_enter  false: the broker is reached again, which cures no refusal and no mismatch; true: there are Secrets to enter it with
 */
typedef void (*ao_brokers_back_fn)(void *arg, ao_access *access, bool may_enter);

ao_brokers *ao_brokers_new(ao_loop *loop, ao_kube *kube, ao_brokers_back_fn on_back, void *arg);
/** Every access must have been given back. NULL is fine. */
void ao_brokers_free(ao_brokers *brokers);
/** Secrets may have changed: the next call of each access reads them again. */
void ao_brokers_doubt(ao_brokers *brokers);
/** Sets transport_up{transport}. */
void ao_brokers_collect(ao_brokers *brokers, ao_metrics *metrics);

/** @param queue  a queue of a plan: {transport, type, config, secrets}. The caller gives the access back. */
ao_access *ao_access_get(ao_brokers *brokers, const char *namespace_, const cJSON *queue);
void ao_access_put(ao_access *access); /* its calls must have ended; NULL is fine */
/** Tells two accesses apart. */
const char *ao_access_id(const ao_access *access);
/** Tells two brokers apart, whoever asks them and by whatever name in the configuration. */
const char *ao_access_place(const ao_access *access);
/** The name the broker has in the configuration. */
const char *ao_access_transport(const ao_access *access);
/** False while it does not work, or keeps somebody waiting. */
bool ao_access_prompt(const ao_access *access);

/**
 * As ao_broker_send(), with two more reasons for failure: those of secrets.h, and InvalidConfiguration when no broker can be made.
 * @param queue  copied
 */
ao_access_call *ao_access_send(ao_access *access, ao_broker_verb verb, const cJSON *queue, ao_broker_fn fn, void *arg);
void ao_access_cancel(ao_access_call *call);
