/* check.c -- makes two plans of one parent, and the status that the new one would lead to. */
#include "rollout/check.h"

#include "base/mem.h"
#include "reconcile/relate.h"

/** Its status hooks run, too: one that raises would leave people without a status. */
static int judge(ao_bundle *candidate, cJSON *snapshot, const cJSON *plan, ao_err **reterr)
{
	ao_auto_json cJSON *status = NULL, *outcome = cJSON_CreateObject();
	const cJSON *invalid = ao_json_at(plan, "invalid");
	ao_json_set(outcome, "errors", cJSON_CreateArray());
	ao_json_set(outcome, "changed", cJSON_CreateArray());
	if (cJSON_IsObject(invalid))
		ao_json_set(outcome, "invalid", cJSON_Duplicate(invalid, 1));
	ao_json_set_str(outcome, "bundle_digest", ao_bundle_digest(candidate));
	ao_json_set(snapshot, "outcome", AO_TAKE(outcome));
	return ao_bundle_status(candidate, snapshot, &status, NULL, reterr);
}

/** @return 0; -EINTR the clock stopped a call: look again later; negative when the candidate must not go live */
static int look(const ao_check_options *o, const ao_object *parent, ao_machine_check *ret, ao_check_sums *sums, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = NULL, *times = NULL, *before = NULL, *after = NULL;
	ao_auto_err ao_err *ignored = NULL;
	if (ao_reconciler_tell(o->reconciler, parent, &snapshot, &times, NULL) < 0)
		return 0; /* unreadable for either bundle */
	int was = o->serving ? ao_plan_make(o->serving, o->openapi, snapshot, &before, NULL, NULL, &ignored) : 0;
	if (was == -EINTR) {
		*reterr = AO_TAKE(ignored);
		return was;
	}
	int is = !ao_bundle_relates(o->candidate) ? 0 : ao_relate_snapshot(o->world, o->candidate, parent, snapshot, reterr);
	if (is == 0)
		is = ao_plan_make(o->candidate, o->openapi, snapshot, &after, NULL, NULL, reterr);
	if (is < 0 && is != -EINTR && !o->serving && o->live)
		was = ao_plan_make(o->live, o->openapi, snapshot, &before, NULL, NULL, &ignored);
	if (is < 0)
		return was == -EINTR ? was : was < 0 && is != -EINTR ? 0 : is; /* no worse than it was */
	ret->refuses = cJSON_IsObject(ao_json_at(after, "invalid")) && !cJSON_IsObject(ao_json_at(before, "invalid"));
	ret->restarts = !o->serving;
	if (o->serving && !ret->refuses)
		ret->restarts = ao_changes_add_plans(sums->changes, parent->key, before, after, ao_json_at(snapshot, "children"));
	sums->refused += ret->refuses;
	return judge(o->candidate, snapshot, after, reterr);
}

void ao_check_parent(const ao_check_options *options, const ao_object *parent, ao_machine_check *ret, ao_check_sums *sums, ao_err **reterr)
{
	if (!sums->changes)
		sums->changes = ao_changes_new(NULL, NULL);
	ao_check_sums more = {.changes = sums->changes, .parents = 1};
	ao_changes_forget(sums->changes, parent->key); /* it is looked at again */
	*ret = (ao_machine_check){0};
	int r = look(options, parent, ret, &more, reterr);
	ret->verdict = r == -EINTR ? AO_VERDICT_AGAIN : r < 0 ? AO_VERDICT_WRONG : AO_VERDICT_GOOD;
	ret->why = r < 0 ? ao_err_text(*reterr) : NULL;
	if (r < 0)
		return;
	sums->parents += more.parents;
	sums->refused += more.refused;
}

void ao_check_sums_clear(ao_check_sums *sums)
{
	ao_changes_free(sums->changes);
	*sums = (ao_check_sums){0};
}
