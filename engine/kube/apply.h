#pragma once
/**
 * apply.h -- makes one object on the server be what we want, with the fewest requests and without touching what is not ours.
 *
 * Absent: POST (fieldValidation=Strict), so that a foreign object of that name answers AlreadyExists instead of being taken over.  One that
 * has the owner that we render is ours, of a POST whose answer was lost, and is treated as if it had been seen.
 * One that another owner controls is foreign, also when it was observed: the same error names that owner, and nothing is changed.
 * Present: first, when the object is still held by an Update entry of ours, or of a legacy manager while we hold nothing of it, one JSON
 * patch that turns those managedFields entries into our Apply entry (dropping spec.replicas unless we set it), made anew when they have
 * changed meanwhile; then a server-side apply, forced, carrying the observed uid.  An apply that empties an object inside of a
 * custom resource makes the server put null there, which it then refuses: a JSON patch empties that object, and the apply is sent again.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "kube/store.h"

#include <cjson/cJSON.h>

typedef struct ao_apply ao_apply;

typedef struct ao_apply_request {
	ao_kube *kube;
	const ao_resource *resource;        /* borrowed until fn, as are the managers and the label */
	const cJSON *desired;               /* borrowed for the call of ao_apply_start() */
	const ao_object *observed;          /* NULL: create; borrowed for the call, too */
	const char *manager;                /* our field manager */
	const char *const *legacy_managers; /* NULL-terminated managers whose Update entries become ours; may be NULL */
	const char *owner_label;            /* the uid of the owner is in this label; NULL: an owner reference says it */
	bool returned;                      /* one of them has been back since we were here: its entries become ours beside our own */
	bool only_claim;                    /* what Update entries hold becomes ours; the object stays as it is; `observed` is not NULL */
	bool dry_run;
	ao_kube_rank rank;
	/** Once, from the loop; answer->body is the object as the server has it now. `created`: `observed` was NULL. */
	void (*fn)(void *arg, const ao_kube_answer *answer, bool created);
	void *arg;
} ao_apply_request;

/** Never fails at once: errors arrive in fn. The handle is gone after fn. */
ao_apply *ao_apply_start(const ao_apply_request *request);
void ao_apply_cancel(ao_apply *apply);

/**
 * Is `observed` already what applying `desired` would give?
 *
 * Every field we render is there with an equal value: lists with Kubernetes' own keys are compared by key (env, containers,
 * volumes, mounts, ports, ...; duplicates in the observed: the last wins), other lists by position; an empty object or list equals an absent
 * one, and so do 0, false and "" where the server does not store them;
 * quantities under limits, requests, storage and sizeLimit are equal when they amount to the same.
 *
 * @param ret_path  set when they differ: the first path that does ("spec.template.spec.containers[asya].image"); the caller frees; may be
 * NULL
 */
bool ao_apply_equal(const cJSON *desired, const cJSON *observed, char **ret_path);

/**
 * The objects that `desired` wants empty and for which the server refused an apply, since it would have made them null.
 *
 * @param live     the object as it is
 * @param refusal  what the server said
 * @return a JSON patch that empties them (the caller frees), or NULL when there are none
 */
cJSON *ao_apply_emptied(const cJSON *desired, const cJSON *live, const char *refusal);

/**
 * Is an object that has the name already the one that is wanted: of an answer that was lost, or of a watch that is behind?  Its owner is the
 * one that we render; where only a label says so, we must have written it, too.
 * @param with  desired, manager, legacy_managers and owner_label count
 */
bool ao_apply_is_ours(const ao_apply_request *with, const cJSON *live);
/** The reference to the controlling owner of an object, or NULL. Borrowed. */
const cJSON *ao_apply_owner(const cJSON *object);
/** "belongs to Deployment x", or "is not ours". @param live  NULL: it was not looked at. The caller frees. */
char *ao_apply_whose(const cJSON *live);
