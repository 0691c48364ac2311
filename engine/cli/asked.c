/* asked.c -- one access at a time, kept for the next question to the same broker. */
#include "cli/asked.h"

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/own.h"
#include "cli/sides.h"
#include "policy/plan.h"

#include <string.h>

#define ANSWER_MS 60000

struct ao_asker {
	ao_session *session;
	ao_sides *sides;
	ao_brokers *brokers;
	ao_access *access; /* of the last question; or NULL */
	cJSON *config;
};

void ao_asked_clear(ao_asked *asked)
{
	free(asked->message);
	free(asked->why);
	free(asked->cost);
	cJSON_Delete(asked->seen);
	*asked = (ao_asked){0};
}

static void ignore(void *arg, ao_access *access, bool may_enter) { (void)arg, (void)access, (void)may_enter; }

int ao_asker_new(ao_session *session, const ao_load_options *load, ao_asker **ret, ao_err **reterr)
{
	ao_asker *a = ao_xcalloc(1, sizeof(*a));
	ao_load_options with = *load;
	a->session = session;
	int r = ao_own_settings(session, &with, &a->config, reterr);
	if (r == 0)
		r = ao_sides_new(session, &with, &a->sides, reterr);
	if (r < 0) {
		ao_asker_free(a);
		return r;
	}
	a->brokers = ao_brokers_new(session->loop, session->kube, ignore, NULL);
	*ret = a;
	return 0;
}

void ao_asker_free(ao_asker *a)
{
	if (!a)
		return;
	ao_access_put(a->access);
	ao_brokers_free(a->brokers);
	ao_sides_free(a->sides);
	cJSON_Delete(a->config);
	free(a);
}

const ao_manifest *ao_asker_manifest(const ao_asker *a) { return ao_sides_main(a->sides)->loaded.manifest; }

/** Whose queues would be meant, where a namespace says another profile than we know of? */
static int refuse_blind(const ao_asker *a, const cJSON *parent, ao_err **reterr)
{
	const ao_variant *variant = ao_sides_main(a->sides);
	const ao_manifest *m = variant->loaded.manifest;
	const cJSON *has = m->bundle_path ? ao_json_at_path(parent, m->bundle_path) : NULL;
	bool says = m->profile_annotation && ao_json_str(parent, "metadata", "annotations", m->profile_annotation);
	if (!ao_sides_blind(a->sides) || says || !cJSON_IsString(has) || strcmp(has->valuestring, ao_variant_digest(variant)) == 0)
		return 0;
	return ao_err_set(reterr, -EACCES,
			  "which queues it has is not known here: namespaces cannot be listed, and the operator serves it otherwise than "
			  "would be done without what they say. Take an account that may list namespaces");
}

int ao_asker_queues(ao_asker *a, const cJSON *parent, cJSON **ret, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = cJSON_CreateObject(), *plan = NULL;
	char now[AO_TIME_TEXT];
	ao_time_second_text(ao_wall_ms(), now);
	ao_json_set_str(snapshot, "now", now);
	ao_json_set(snapshot, "parent", cJSON_Duplicate(parent, 1));
	ao_json_set(snapshot, "children", cJSON_CreateArray());
	ao_json_set(snapshot, "related", cJSON_CreateArray());
	if (refuse_blind(a, parent, reterr) < 0)
		return -EACCES;
	int r = ao_plan_make(ao_sides_main(a->sides)->loaded.bundle, NULL, snapshot, &plan, NULL, NULL, reterr);
	if (r < 0)
		return r;
	const char *refused = ao_json_str(plan, "invalid", "message");
	if (refused)
		return ao_err_set(reterr, -EINVAL, "%s", refused);
	cJSON *queues = cJSON_DetachItemFromObjectCaseSensitive(plan, "queues");
	*ret = queues ? queues : cJSON_CreateArray();
	return 0;
}

static void on_answer(void *arg, const ao_broker_answer *answer)
{
	ao_asked *asked = arg;
	asked->done = true;
	asked->answer = *answer;
	asked->answer.reason = "";
	asked->answer.message = asked->message = ao_xstrdup(answer->message);
	asked->answer.why = asked->why = ao_xstrdup(answer->why);
	asked->answer.cost = asked->cost = ao_xstrdup(answer->cost);
	asked->answer.seen = asked->seen = answer->seen ? cJSON_Duplicate(answer->seen, 1) : NULL;
	asked->answer.kept = NULL;
}

void ao_asker_ask(ao_asker *a, const char *namespace_, const cJSON *queue, const ao_broker_request *request, ao_asked *ret)
{
	ao_broker_request with = *request;
	ao_access *before = a->access;
	a->access = ao_access_get(a->brokers, namespace_, queue);
	ao_access_put(before);
	with.fn = on_answer;
	with.arg = ret;
	ao_access_call *call = ao_access_ask(a->access, &with);
	if (ao_loop_run_until(a->session->loop, &ret->done, ANSWER_MS))
		return;
	ao_access_cancel(call);
	ret->answer = (ao_broker_answer){.error = -ETIME, .reason = "", .messages = -1, .in_flight = -1};
	ret->answer.message = ret->message = ao_xasprintf("queue %s: no answer within a minute", ao_json_str(request->queue, "name"));
}
