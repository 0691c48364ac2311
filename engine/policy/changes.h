#pragma once
/**
 * changes.h -- what would become of children and queues, put into groups of equal changes: "412 workers: Deployment: app image a -> b".
 *
 * Two ways lead in: two plans of one parent, made by the bundle that serves and by another; or what is there and what the server says
 * would be.  Changes are equal when the same fields of the same kind go from the same value to the same value, where the name of the
 * parent stands for itself.
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
	const char *parent; /* key of the parent, "asya/resize"; NULL: of none */
	const char *kind;   /* "Deployment", or AO_CHANGE_QUEUE */
	const char *namespace_, *name;
	ao_change_action action;
	const cJSON *fields; /* as ao_json_differences() has them, or of a refusal [{path: why}]; NULL: none */
	size_t pods;         /* that are replaced, or go with it */
} ao_change_item;

#define AO_CHANGE_QUEUE "queue"

/** @param on_add  called with each change that is added, before the call that adds it returns; may be NULL */
ao_changes *ao_changes_new(void (*on_add)(void *arg, const ao_change_item *change), void *arg);
void ao_changes_free(ao_changes *changes); /* NULL is fine */

void ao_changes_add(ao_changes *changes, const ao_change_item *change);
/** Forgets what was added for a parent: it is to be looked at again. */
void ao_changes_forget(ao_changes *changes, const char *parent);

/**
 * Adds what is between two plans of a parent: children and queues.
 *
 * @param before    plan of the bundle that serves
 * @param after     plan of the other one
 * @param children  of the snapshot: says how many pods run from a template; may be NULL
 * @return whether the template of a workload differs, with pods or without
 */
bool ao_changes_add_plans(ao_changes *changes, const char *parent, const cJSON *before, const cJSON *after, const cJSON *children);
/** The same for queues alone. */
void ao_changes_add_queues(ao_changes *changes, const char *parent, const cJSON *before, const cJSON *after);

/** Does the template of its pods differ? False when one of them has none. */
bool ao_changes_replace_pods(const cJSON *was, const cJSON *is);
/** How many pods a child runs now, as its status says. */
size_t ao_changes_pods_of(const cJSON *child);

/** Equal changes. */
typedef struct ao_change_group {
	const char *kind;
	ao_change_action action;
	const cJSON *fields; /* of the first one; where others hold their parent's name instead, `alike` is false */
	bool alike;
	size_t count;   /* children or queues */
	size_t parents; /* that they belong to */
	size_t pods;
	const char *const *names; /* "asya/resize", `count` of them */
	const char *first_parent; /* one of them, whom a server can be asked about; "" for none */
} ao_change_group;

/** Calls fn for each group, the largest first; what is passed lives until the next change of `changes`. */
void ao_changes_each(const ao_changes *changes, void (*fn)(void *arg, const ao_change_group *group), void *arg);

typedef struct ao_changes_count {
	size_t children; /* that are made, changed or deleted */
	size_t queues;
	size_t pods; /* that are replaced */
} ao_changes_count;
ao_changes_count ao_changes_count_all(const ao_changes *changes);

/**
 * Writes the groups in one line, at most `max_groups`, then how many more there are.  Values that may be secret are left out: it may be logged.
 * @param plural  what parents are called
 */
void ao_changes_summary(const ao_changes *changes, const char *plural, size_t max_groups, ao_buf *out);
