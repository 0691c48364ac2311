#pragma once
/**
 * changes.h -- what would become of children and queues, put into groups of equal changes: "412 workers: Deployment: app image a -> b".
 *
 * Changes come from two comparisons: of two plans of one parent, made by the bundle that serves and by another one; or of what is there
 * with what the server says would be there.  Changes are equal when the same fields of the same kind go from the same value to the same
 * value.  Each parent may have its own name in those values.
 * Ownership: everything given is copied.
 * Threads: one owner at a time.
 */
#include "base/buf.h"
#include "json/json.h"

typedef struct ao_changes ao_changes;

typedef enum { AO_CHANGE_CREATED, AO_CHANGE_CHANGED, AO_CHANGE_DELETED, AO_CHANGE_REFUSED } ao_change_action;

/** "created", "changed", "deleted", "refused" */
const char *ao_change_word(ao_change_action action);

/** What happens to one child or queue. */
typedef struct ao_change_item {
	const char *parent; /* key of the parent, "asya/resize"; NULL: there is none */
	const char *kind;   /* "Deployment", or AO_CHANGE_QUEUE */
	const char *namespace_, *name;
	ao_change_action action;
	const cJSON *fields; /* as from ao_json_differences(); for a refusal [{path: why}]; NULL: none */
	size_t pods;         /* how many pods are replaced, or go with it */
} ao_change_item;

#define AO_CHANGE_QUEUE "queue"

/** @param on_add  called with each change while it is added; may be NULL */
ao_changes *ao_changes_new(void (*on_add)(void *arg, const ao_change_item *change), void *arg);
void ao_changes_free(ao_changes *changes); /* NULL is fine */

void ao_changes_add(ao_changes *changes, const ao_change_item *change);
/** Forgets what was added for a parent, so that it can be looked at again. */
void ao_changes_forget(ao_changes *changes, const char *parent);

/**
 * Adds how two plans of a parent differ: children and queues.
 *
 * @param before    plan of the bundle that serves; NULL: it raises an error
 * @param after     plan of the other bundle
 * @param children  of the snapshot: they say how many pods run from a template; may be NULL
 * @return whether pods are replaced, or end: the template of a workload differs, even if it has no pods now; one that may be made anew differs
 *         in anything; or one that has pods goes, or is not known to be as `before` has it
 */
bool ao_changes_add_plans(ao_changes *changes, const char *parent, const cJSON *before, const cJSON *after, const cJSON *children);
/** The same for queues alone. */
void ao_changes_add_queues(ao_changes *changes, const char *parent, const cJSON *before, const cJSON *after);

/** Do the pod templates of these two objects differ, or the pods that they are? False when one of them has neither. */
bool ao_changes_replace_pods(const cJSON *was, const cJSON *is);
/** How many pods a child runs now, as its status says. */
size_t ao_changes_pods_of(const cJSON *child);

/** Equal changes. */
typedef struct ao_change_group {
	const char *kind;
	ao_change_action action;
	const cJSON *fields; /* of the first one */
	bool alike;          /* false: the others hold their parent's name in these fields instead */
	size_t count;        /* of children or queues */
	size_t parents;      /* how many parents these belong to */
	size_t pods;
	const char *const *names; /* "asya/resize", `count` of them */
	const char *first_parent; /* one of the parents, for a question to the server; "": there is none */
} ao_change_group;

/** Calls fn for each group, the largest first. What fn gets lives until `changes` is changed. */
void ao_changes_each(const ao_changes *changes, void (*fn)(void *arg, const ao_change_group *group), void *arg);

typedef struct ao_changes_count {
	size_t children; /* made, changed or deleted */
	size_t queues;
	size_t pods; /* replaced */
} ao_changes_count;
ao_changes_count ao_changes_count_all(const ao_changes *changes);

/**
 * Writes at most `max_groups` groups in one line, then how many more there are.  Values that may be secret are left out, so the line may be
 * logged.
 * @param plural  what parents are called
 */
void ao_changes_summary(const ao_changes *changes, const char *plural, size_t max_groups, ao_buf *out);
