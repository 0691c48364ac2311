#pragma once
/**
 * listed.h -- the world of a cluster, listed once as the operator lists it, for verbs that judge as the operator does.
 * Threads: the main thread.
 */
#include "cli/session.h"
#include "kube/openapi.h"
#include "reconcile/world.h"

typedef struct ao_listed {
	ao_world *world;
	ao_openapi *openapi; /* the schemas of its kinds */
	bool synced, fetched;
} ao_listed;

/**
 * Waits until all is listed.
 * @param manifest  borrowed until ao_listed_clear()
 * @param ret       must not move before ao_listed_clear()
 * @return 0; -EIO the server did not list everything within a minute; as ao_plan_schemas()
 */
int ao_listed_read(ao_session *session, const ao_manifest *manifest, ao_listed *ret, ao_err **reterr);
void ao_listed_clear(ao_listed *listed); /* one that was not read is fine; before the session is closed */
