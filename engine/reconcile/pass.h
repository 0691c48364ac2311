#pragma once
/**
 * pass.h -- one pass over one parent, shared between reconcile.c (who decides when) and the files that carry it out.
 * Private to reconcile/.
 */
#include "base/map.h"
#include "kube/apply.h"
#include "kube/remove.h"
#include "reconcile/reconcile.h"

/** What we last saw to be right about one child. */
typedef struct ao_memo {
	uint64_t desired;  /* digest of what we rendered */
	uint64_t observed; /* spec_digest of the object that is in effect equal to it */
	bool seen;         /* wanted by the plan of the pass that is running */
} ao_memo;

/** How passes over a parent went, in the few numbers that are kept of it. */
typedef struct ao_pass_times {
	uint64_t passes, failures;
	int64_t ended_ms; /* wall clock; 0: none ended yet */
	uint64_t pass_ms; /* the last pass, and its calls of the policies */
	uint64_t plan_ns, status_ns;
	bool failed; /* the last one */
} ao_pass_times;

/** What is remembered of a parent from pass to pass. */
typedef struct ao_parent {
	char *key, *uid;
	ao_map *memos;        /* "Deployment asya/resize" -> ao_memo */
	bool settled;         /* the last pass that rendered carried out its whole plan */
	uint64_t spec_digest; /* of the parent that pass saw */
	char bundle[17];      /* digest of the bundle that pass asked */
	cJSON *invalid;       /* why the parent is not rendered, as the plan said; or NULL */
	cJSON *policy_error;  /* the bundle's error in that pass; or NULL */
	bool rolling_out;     /* the bundle said so of it when it was last asked */
	bool unfit;           /* ... because an object did not fit its schema */
	char *rendered;       /* digest of everything the last plan held, in hex; or NULL */
	char *carried;        /* the same of the last plan that was carried out to its end; or NULL */
	uint64_t status_ms;   /* when its status was last written, monotonic; 0: never */
	uint64_t release_ms;  /* when we first saw that it is to go; 0: it is not */
	struct ao_pass *pass; /* running, or NULL */
	ao_pass_times times;  /* for /debug/ */
} ao_parent;

typedef struct ao_pass {
	ao_reconciler *reconciler;
	ao_parent *parent;
	uint64_t started_ms;
	uint64_t spec_digest;         /* of the parent as this pass saw it */
	char bundle[17];              /* digest of the bundle that judges it */
	cJSON *plan;                  /* or NULL */
	int queue_index;              /* of the queue that is being made right */
	bool queue_waited;            /* for that queue once already */
	char *left;                   /* release: what stays although the parent goes, as sentences; NULL: nothing */
	int index;                    /* of the object that is being carried out */
	cJSON *errors, *changed;      /* for the status */
	char *previous;               /* digest that the parent's status says was rendered last; or NULL */
	char *difference;             /* path of the first field that made us write; or NULL */
	bool restoring;               /* the write in flight puts back what somebody changed */
	const ao_kind *deleting_kind; /* of the child being deleted */
	char *deleting_key, *deleting_name, *deleting_uid;
	bool failed;          /* something was not carried out, and will be when the pass is tried again */
	bool blocked;         /* something was not carried out, and whoever does it wakes the parent */
	double requeue_after; /* seconds; 0: none */
	ao_kube_call *call;   /* in flight */
	ao_apply *apply;      /* in flight */
	ao_remove *remove;    /* in flight */
} ao_pass;

struct ao_reconciler {
	ao_reconciler_options with;
	const ao_manifest *manifest;
	ao_queue *queue;
	ao_map *parents;          /* key -> ao_parent */
	char *label;              /* controller="...", for metrics */
	bool all_planned;         /* every parent has had a plan since we began: it is known who has which queue */
	uint64_t schemas_ms;      /* when the server's schemas were last doubted, monotonic; 0: never */
	uint64_t schemas_version; /* ... and which they were */
};

/** The observed parent of a running pass; NULL when it is gone or another object has its name now. */
const ao_object *ao_pass_object(const ao_pass *pass);
/** The bundle that judges the parent now. */
ao_bundle *ao_pass_bundle(const ao_pass *pass, const ao_object *object);
/** Adds what went wrong to the status's errors and marks the pass failed. */
void ao_pass_error(ao_pass *pass, const char *verb, const ao_kind *kind, const char *role, const char *name, const ao_kube_answer *answer);
/** The same for a write to the parent itself; that it is gone is no error, since the watch ends what there is of it. */
void ao_pass_parent_error(ao_pass *pass, const char *verb, const ao_kube_answer *answer);
/** The same without an answer of the API server: the caller adds reason and message, and says how the pass ends. */
cJSON *ao_pass_note_error(ao_pass *pass, const char *verb, const char *kind, const char *role, const char *name);
/** What policies are shown. */
int ao_pass_snapshot(ao_pass *pass, const ao_object *object, cJSON **ret, ao_err **reterr);
/** Asks the bundle for pass->plan; sets the parent's `invalid` and `policy_error`. */
void ao_pass_plan(ao_pass *pass, const ao_object *object);
/** A plan, and what it says carried out; or only the status when nothing has changed. */
void ao_pass_render(ao_pass *pass);
/** Ends the pass and frees it. */
void ao_pass_finish(ao_pass *pass);

/* deletion.c */
/** Adds the finalizer, then renders. */
void ao_pass_add_finalizer(ao_pass *pass, const ao_object *object, const cJSON *tree);
/** A parent that is to go: its children go, then its queues, then our finalizer. */
void ao_pass_release(ao_pass *pass, const cJSON *tree);

/* carry_queues.c */
/** Makes the plan's queues right, then calls ao_pass_carry_out_objects(); or ao_pass_status() when the objects would come too early. */
void ao_pass_carry_out_queues(ao_pass *pass);
/** How one queue failed, for the status. */
void ao_pass_queue_error(ao_pass *pass, const char *verb, const char *name, const ao_queues_fact *fact);

/* carry.c: carries out pass->plan, then prunes, then calls ao_pass_status(). */
void ao_pass_carry_out(ao_pass *pass);
void ao_pass_carry_out_objects(ao_pass *pass);
/** Deletes a child, notes which, and goes on in fn(pass). */
void ao_pass_delete(ao_pass *pass, const ao_kind *kind, const ao_object *child, ao_kube_fn fn);
/* status.c: runs the status hooks, writes the difference, then calls ao_pass_finish(). */
void ao_pass_status(ao_pass *pass);
