#pragma once
/**
 * asked.h -- brokers asked from the command line: the queues that policies plan for a parent, and calls that wait for their answer.
 *
 * The plan comes from the policies and the settings of the cluster, passwords come from the Secrets that the plan names, as in the operator.
 * Threads: the main thread.
 */
#include "cli/session.h"
#include "queues/brokers.h"

typedef struct ao_asker ao_asker;

/** An answer with copies of what it borrows. Zeroed at first; ao_asked_clear() frees the copies. */
typedef struct ao_asked {
	bool done;
	ao_broker_answer answer;
	char *message, *why, *cost;
	cJSON *seen;
} ao_asked;

void ao_asked_clear(ao_asked *asked);
#define ao_auto_asked __attribute__((cleanup(ao_asked_clear)))

/** @param session, load  borrowed until ao_asker_free() */
int ao_asker_new(ao_session *session, const ao_load_options *load, ao_asker **ret, ao_err **reterr);
void ao_asker_free(ao_asker *asker); /* before the session is closed; NULL is fine */
/** Of the bundle of the cluster. Borrowed. */
const ao_manifest *ao_asker_manifest(const ao_asker *asker);

/**
 * @param ret  the plan's queues, see keeper.h; the caller frees
 * @return 0; -EINVAL the policies make no plan for this parent, or refuse it
 */
int ao_asker_queues(ao_asker *asker, const cJSON *parent, cJSON **ret, ao_err **reterr);
/** @param queue  of a plan. @param request  without fn and time. @param ret  zeroed, or cleared; has the answer, whatever it is */
void ao_asker_ask(ao_asker *asker, const char *namespace_, const cJSON *queue, const ao_broker_request *request, ao_asked *ret);
