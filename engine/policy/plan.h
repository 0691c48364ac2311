#pragma once
/**
 * plan.h -- a plan that may be carried out: what the policies want, checked against the schemas of its kinds.
 * Threads: the loop thread only.
 */
#include "kube/openapi.h"
#include "policy/manifest.h"
#include "script/bundle.h"

/** The policy and hook that are to blame when no plan could be made. */
typedef struct ao_plan_blame {
	char policy[64];
	char hook[16]; /* "render", ...; "schema" when an object does not fit */
} ao_plan_blame;

/**
 * Runs the plan hooks on a snapshot, then checks and settles every object (see schema.h). Fields that its schema does not have, and that a
 * policy calls optional, are left out: they are in the plan's `refused` then, with a `field`.
 *
 * @param openapi  NULL: objects are not checked
 * @param blame    filled in on failure, except -EINTR; may be NULL. When an object does not fit, it is the policy that set the field
 * @param reterr   what ao_bundle_plan() says, or "policy 'workload', role 'workload': Deployment resize: spec.replicas: must be ..."
 * @return as ao_bundle_plan(); -EINVAL when an object does not fit its schema
 */
int ao_plan_make(ao_bundle *bundle, const ao_openapi *openapi, const cJSON *snapshot, cJSON **ret, ao_call_stats *stats,
		 ao_plan_blame *blame, ao_err **reterr);

/** {role, path}: the field that an error of ao_openapi_check() begins with. A bundle can say who set it. The caller frees it. */
cJSON *ao_plan_field(const char *role, const ao_err *err);

/** The annotation with the digest of what was rendered, on children that are not simply changed in place. The caller frees it. */
char *ao_plan_stamp(const char *component);

/** Is this the object of that kind and name? @param namespace_  NULL or "" for none, here and below */
bool ao_plan_is(const cJSON *object, const char *kind, const char *namespace_, const char *name);
/** The item of a plan's list with that object. @param list  "objects", or "copies". @return NULL: there is none; borrowed from the plan */
const cJSON *ao_plan_find(const cJSON *plan, const char *list, const char *kind, const char *namespace_, const char *name);
/** Does the plan say to leave this child alone, or to copy values of Secrets into it? */
bool ao_plan_keeps(const cJSON *plan, const char *kind, const char *namespace_, const char *name);

/** A digest over all objects of a plan that are not shared: different plans have different digests. */
uint64_t ao_plan_digest(const cJSON *plan);
/** The same, one item of the plan's objects after the other; begin with AO_HASH_INIT. @param object  digest of the item's object */
uint64_t ao_plan_digest_with(uint64_t digest, const cJSON *item, uint64_t object);

/** The schemas of the kinds of a manifest. `kube` NULL means offline. Borrows both arguments. */
int ao_plan_schemas(const ao_manifest *manifest, ao_kube *kube, ao_openapi **ret, ao_err **reterr);
