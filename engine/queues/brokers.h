#pragma once
/**
 * brokers.h -- the brokers that plans name: made when first wanted, with what Secrets hold then, and freed when nobody wants them.
 *
 * An access is the way of one namespace to one broker: a configuration, and references to Secrets of that namespace.  The Secrets are read
 * when the access is first used, when the broker refuses what they held, and after ao_brokers_doubt().  If they have changed, the calls
 * that follow get a new broker object.  Accesses with the same configuration and values share one broker object, and so its connection.
 * Threads: the loop thread only.  Callbacks run on the loop, never from inside ao_access_send().
 */
#include "kube/client.h"
#include "serve/metrics.h"
#include "transport/transport.h"

typedef struct ao_brokers ao_brokers;
typedef struct ao_access ao_access;
typedef struct ao_access_call ao_access_call;

/**
 * Called for each access for which something is in order again.  It may only start calls.
 * @param may_enter  true: there are credentials again; false: the broker is reached again, which mends no refusal and no mismatch
 */
typedef void (*ao_brokers_back_fn)(void *arg, ao_access *access, bool may_enter);

ao_brokers *ao_brokers_new(ao_loop *loop, ao_kube *kube, ao_brokers_back_fn on_back, void *arg);
/** Every access must have been given back. NULL is fine. */
void ao_brokers_free(ao_brokers *brokers);
/** Secrets may have changed: the next call of each access reads them again. */
void ao_brokers_doubt(ao_brokers *brokers);
/** Is a call that may change something under way at a broker? */
bool ao_brokers_are_changing(const ao_brokers *brokers);
/** Another may change things from now on: nothing more is sent that does, and what is under way begins no further step. */
void ao_brokers_halt(ao_brokers *brokers);
/** Sets transport_up{transport}. */
void ao_brokers_collect(ao_brokers *brokers, ao_metrics *metrics);

/** @param queue  a queue of a plan: {transport, type, config, secrets}. The caller gives the access back. */
ao_access *ao_access_get(ao_brokers *brokers, const char *namespace_, const cJSON *queue);
void ao_access_put(ao_access *access); /* its calls must have ended; NULL is fine */
/** Tells two accesses apart. */
const char *ao_access_id(const ao_access *access);
/** As ao_broker_may_be_one_place(), unless their brokers have told whose queues they show. */
bool ao_access_may_be_one_place(const ao_access *access, const ao_access *other);
/** Do both lead to one place for sure?  A configuration that does not say all of it leads where its credentials do. */
bool ao_access_is_one_place(const ao_access *access, const ao_access *other);
/** Tells two brokers apart, whoever asks them and by whatever name in the configuration. */
const char *ao_access_place(const ao_access *access);
/** The same for what outlives us: ao_broker_place_digest(). */
const char *ao_access_place_digest(const ao_access *access);
/** The name the broker has in the configuration. */
const char *ao_access_transport(const ao_access *access);
/** False while it does not work, or while a call has waited too long. */
bool ao_access_prompt(const ao_access *access);

/**
 * As ao_broker_send().  It fails for more reasons: those of secrets.h, InvalidConfiguration when no broker can be made, and, unless it only
 * looks, when the gate of the Kubernetes client is closed.
 * @param queue  copied
 */
ao_access_call *ao_access_send(ao_access *access, ao_broker_verb verb, const cJSON *queue, ao_broker_fn fn, void *arg);
/** The same for a MOVE or PEEK, too. Of the request everything but the time is used. */
ao_access_call *ao_access_ask(ao_access *access, const ao_broker_request *request);
void ao_access_cancel(ao_access_call *call);
