/* listed.c -- lists and does not look at what changes afterwards. */
#include "cli/listed.h"

#include "policy/plan.h"

#define SYNC_MS 60000
#define ANSWER_MS 40000

static void ignore_parent(void *arg, const char *key, bool edited) { (void)arg, (void)key, (void)edited; }
static void ignore_key(void *arg, const char *key) { (void)arg, (void)key; }
static void ignore_shared(void *arg, const ao_kind *kind, const char *key) { (void)arg, (void)kind, (void)key; }
static void set_true(void *arg) { *(bool *)arg = true; }

int ao_listed_read(ao_session *session, const ao_manifest *manifest, ao_listed *ret, ao_err **reterr)
{
	ao_world_listener listener = {ignore_parent, ignore_key, ignore_shared, set_true, NULL, NULL, &ret->synced};
	int r = ao_plan_schemas(manifest, session->kube, &ret->openapi, reterr);
	if (r < 0)
		return r;
	ret->world = ao_world_new(session->loop, session->kube, manifest, &session->scope, &listener);
	ao_world_start(ret->world);
	ao_openapi_refresh(ret->openapi, set_true, &ret->fetched);
	if (!ao_loop_run_until(session->loop, &ret->synced, SYNC_MS))
		return ao_err_set(reterr, -EIO, "the API server %s did not list everything within a minute", session->config->server);
	ao_loop_run_until(session->loop, &ret->fetched, ANSWER_MS);
	return 0;
}

void ao_listed_clear(ao_listed *listed)
{
	ao_openapi_free(listed->openapi);
	ao_world_free(listed->world);
	*listed = (ao_listed){0};
}
