/* relate.c -- a bundle without the hook costs no call. */
#include "reconcile/relate.h"

#include "base/mem.h"
#include "policy/redact.h"

/** @param ret_rules  NULL when the bundle has no such hook */
static int ask(ao_world *world, ao_bundle *bundle, const ao_object *parent, cJSON **ret_rules, ao_err **reterr)
{
	ao_auto_json cJSON *snapshot = cJSON_CreateObject(), *answer = NULL;
	cJSON *tree = NULL;
	*ret_rules = NULL;
	if (!ao_bundle_relates(bundle))
		return 0;
	int r = ao_world_tree(&ao_world_manifest(world)->kinds[0], parent, &tree, reterr);
	if (r < 0)
		return r;
	ao_redact_secret(tree);
	ao_json_set(snapshot, "parent", tree);
	r = ao_bundle_relate(bundle, snapshot, &answer, NULL, reterr);
	if (r == 0)
		*ret_rules = cJSON_DetachItemFromObjectCaseSensitive(answer, "rules");
	return r;
}

int ao_relate(ao_world *world, ao_bundle *bundle, const ao_object *parent, ao_err **reterr)
{
	ao_auto_json cJSON *rules = NULL;
	int r = ask(world, bundle, parent, &rules, reterr);
	return r < 0 ? r : ao_world_relate(world, parent->key, rules, reterr);
}

int ao_relate_snapshot(ao_world *world, ao_bundle *bundle, const ao_object *parent, cJSON *snapshot, ao_err **reterr)
{
	ao_auto_json cJSON *rules = NULL;
	int r = ask(world, bundle, parent, &rules, reterr);
	return r < 0 ? r : ao_world_show_related(world, parent, rules, snapshot, reterr);
}
