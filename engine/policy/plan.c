/* plan.c -- asks the bundle, then checks its answer against the server's schemas. */
#include "policy/plan.h"

#include "base/hash.h"
#include "base/mem.h"
#include "policy/redact.h"
#include "script/embedded.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(char *to, size_t size, const char *text) { snprintf(to, size, "%s", text ? text : ""); }

cJSON *ao_plan_field(const char *role, const ao_err *err)
{
	cJSON *field = cJSON_CreateObject();
	const char *text = ao_err_text(err), *colon = strstr(text, ": ");
	ao_auto_str char *path = ao_xstrndup(text, colon ? (size_t)(colon - text) : 0);
	ao_json_set_str(field, "role", role);
	ao_json_set_str(field, "path", path);
	return field;
}

/** The policy that set what does not fit, found by planning once more. @return NULL when that cannot be told; the caller frees */
static char *find_culprit(ao_bundle *bundle, const cJSON *snapshot, const char *role, const ao_err *err)
{
	ao_auto_json cJSON *again = cJSON_Duplicate(snapshot, 1), *plan = NULL;
	ao_json_set(again, "blame", ao_plan_field(role, err));
	return ao_bundle_plan(bundle, again, &plan, NULL, NULL) == 0 ? ao_xstrdup(ao_json_str(plan, "blame")) : NULL;
}

static void remove_at(cJSON *object, const char *path)
{
	for (const char *dot; (dot = strchr(path, '.')); path = dot + 1) {
		ao_auto_str char *step = ao_xstrndup(path, (size_t)(dot - path));
		object = ao_json_at(object, step);
	}
	cJSON_DeleteItemFromObjectCaseSensitive(object, path);
}

/**
 * Leaves a field out that the server's schema does not have, where the policy said that it may go. The plan then has it among what is refused.
 * @return false: it may not go
 */
static bool leave_out(cJSON *plan, cJSON *item, const char *role, const ao_err *err)
{
	ao_auto_json cJSON *wrong = ao_plan_field(role, err);
	const char *path = ao_json_str(wrong, "path");
	cJSON *object = ao_json_at(item, "object");
	cJSON *why = cJSON_DetachItemFromObjectCaseSensitive(ao_json_at(item, "optional"), path);
	if (!why)
		return false;
	remove_at(object, path);
	ao_json_set_str(why, "kind", ao_json_str(object, "kind"));
	ao_json_set_str(why, "name", ao_json_str(object, "metadata", "name"));
	if (!ao_json_at(plan, "refused"))
		ao_json_set(plan, "refused", cJSON_CreateArray());
	cJSON_AddItemToArray(ao_json_at(plan, "refused"), why);
	return true;
}

/** Checks an object, as often as there is a field to be left out of it. */
static int check_object(const ao_openapi *openapi, cJSON *plan, cJSON *item, ao_err **reterr)
{
	for (;;) {
		ao_auto_err ao_err *err = NULL;
		int r = ao_openapi_check(openapi, ao_json_at(item, "object"), &err);
		if (r == -ENOTSUP && leave_out(plan, item, ao_json_str(item, "role"), err))
			continue;
		*reterr = AO_TAKE(err);
		return r == -ENOTSUP ? -EINVAL : r;
	}
}

static int check_objects(ao_bundle *bundle, const ao_openapi *openapi, const cJSON *snapshot, cJSON *plan, ao_plan_blame *blame,
			 ao_err **reterr)
{
	cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		const char *role = ao_json_str(item, "role");
		ao_err *err = NULL;
		int r = check_object(openapi, plan, item, &err);
		if (r == 0)
			continue;
		ao_auto_str char *culprit = find_culprit(bundle, snapshot, role, err);
		const char *policy = culprit ? culprit : ao_json_str(item, "policy");
		put(blame->policy, sizeof(blame->policy), policy);
		put(blame->hook, sizeof(blame->hook), "schema");
		ao_err_set(reterr, r, "policy '%s', role '%s': %s %s: %s", policy, role, ao_json_str(object, "kind"),
			   ao_json_str(object, "metadata", "name"), ao_err_text(err));
		ao_err_free(err);
		return r;
	}
	return 0;
}

char *ao_plan_stamp(const char *component) { return ao_xasprintf("%s/rendered", component); }

/**
 * What is not simply changed in place carries a digest of what was rendered, so that anything that is not rendered any more is seen to
 * differ, too, also after a restart.
 */
static void stamp_objects(const ao_bundle *bundle, const cJSON *plan)
{
	const cJSON *manifest = ao_bundle_manifest(bundle);
	bool all = ao_json_at(manifest, "decorate"); /* whose parents cannot say what was rendered */
	ao_auto_str char *key = ao_plan_stamp(ao_json_str(manifest, "component"));
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects")) {
		if (!ao_json_at(item, "update") && !(all && !cJSON_IsTrue(ao_json_at(item, "shared"))))
			continue;
		cJSON *object = ao_json_at(item, "object");
		ao_auto_str char *digest = ao_xasprintf("%016" PRIx64, ao_json_digest(object));
		ao_json_set_str(ao_json_object(ao_json_object(object, "metadata"), "annotations"), key, digest);
	}
}

static bool sees_secrets(const cJSON *snapshot)
{
	static const char *const LISTS[] = {"children", "related"};
	const cJSON *object;
	for (size_t i = 0; i < AO_LEN(LISTS); i++)
		cJSON_ArrayForEach (object, ao_json_at(snapshot, LISTS[i]))
			if (ao_redact_is_secret(object))
				return true;
	return ao_redact_is_secret(ao_json_at(snapshot, "parent"));
}

/** Where a policy took what stands for the value of a Secret for the value, that would be written in its place, into stringData or a variable. */
static int check_hidden(const cJSON *snapshot, const cJSON *plan, ao_plan_blame *blame, ao_err **reterr)
{
	const cJSON *item;
	if (!sees_secrets(snapshot))
		return 0;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects")) {
		const cJSON *object = ao_json_at(item, "object");
		const char *policy = ao_json_str(item, "policy");
		if (!ao_redact_is_hidden(object))
			continue;
		put(blame->policy, sizeof(blame->policy), policy);
		put(blame->hook, sizeof(blame->hook), "render");
		return ao_err_set(reterr, -EINVAL,
				  "policy '%s', role '%s': %s %s: it holds what stands for the value of a Secret, which policies are not "
				  "shown: refer to the Secret, or have it copied by plan:copy_secret",
				  policy, ao_json_str(item, "role"), ao_json_str(object, "kind"), ao_json_str(object, "metadata", "name"));
	}
	return 0;
}

int ao_plan_make(ao_bundle *bundle, const ao_openapi *openapi, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats,
		 ao_plan_blame *blame, ao_err **reterr)
{
	ao_auto_json cJSON *plan = NULL;
	ao_plan_blame ignored = {0}, *b = blame ? blame : &ignored;
	int r = ao_bundle_plan(bundle, snapshot, &plan, stats, reterr);
	if (r == -EINTR)
		return r;
	if (r < 0) {
		put(b->policy, sizeof(b->policy), ao_bundle_failed_policy(bundle));
		put(b->hook, sizeof(b->hook), ao_bundle_failed_hook(bundle));
		return r;
	}
	r = check_hidden(snapshot, plan, b, reterr);
	if (r < 0)
		return r;
	stamp_objects(bundle, plan);
	r = openapi ? check_objects(bundle, openapi, snapshot, plan, b, reterr) : 0;
	if (r == 0)
		*ret = AO_TAKE(plan);
	return r;
}

uint64_t ao_plan_digest_with(uint64_t digest, const cJSON *item, uint64_t object)
{
	return cJSON_IsTrue(ao_json_at(item, "shared")) ? digest : ao_hash(digest, &object, sizeof(object));
}

static bool is(const cJSON *object, const char *field, const char *wanted)
{
	const char *text = ao_json_str(object, field);
	return strcmp(text ? text : "", wanted ? wanted : "") == 0;
}

bool ao_plan_is(const cJSON *object, const char *kind, const char *namespace_, const char *name)
{
	const cJSON *metadata = ao_json_at(object, "metadata");
	return is(object, "kind", kind) && is(metadata, "name", name) && is(metadata, "namespace", namespace_);
}

const cJSON *ao_plan_find(const cJSON *plan, const char *list, const char *kind, const char *namespace_, const char *name)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(plan, list))
		if (ao_plan_is(ao_json_at(item, "object"), kind, namespace_, name))
			return item;
	return NULL;
}

bool ao_plan_keeps(const cJSON *plan, const char *kind, const char *namespace_, const char *name)
{
	const cJSON *kept;
	cJSON_ArrayForEach (kept, ao_json_at(plan, "kept"))
		if (is(kept, "kind", kind) && is(kept, "name", name) && is(kept, "namespace", namespace_))
			return true;
	return ao_plan_find(plan, "copies", kind, namespace_, name);
}

uint64_t ao_plan_digest(const cJSON *plan)
{
	uint64_t digest = AO_HASH_INIT;
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects"))
		digest = ao_plan_digest_with(digest, item, ao_json_digest(ao_json_at(item, "object")));
	return digest;
}

int ao_plan_schemas(const ao_manifest *manifest, ao_kube *kube, ao_openapi **ret, ao_err **reterr)
{
	const ao_embedded *bundled = ao_embedded_schemas;
	return ao_openapi_new(
	    &(ao_openapi_options){
		.kube = kube, .bundled = bundled->text, .bundled_len = bundled->len, .kinds = (const ao_resource *const *)manifest->made},
	    ret, reterr);
}
