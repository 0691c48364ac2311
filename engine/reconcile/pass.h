#pragma once
/**
 * pass.h -- one pass over one parent: a list of operations, and one driver that runs them.
 *
 * reconcile.c decides which parent gets a pass and when.  pass.c makes the list and runs it.  Each *_op.c holds operations, which say how
 * they went and never call each other.  Private to reconcile/.
 */
#include "base/map.h"
#include "kube/apply.h"
#include "kube/list.h"
#include "kube/remove.h"
#include "loop/workqueue.h"
#include "reconcile/circle.h"
#include "reconcile/reconcile.h"
#include "reconcile/update.h"

/** One child when we last saw that it was right. */
typedef struct ao_memo {
	uint64_t desired;  /* digest of what we rendered */
	uint64_t observed; /* spec_digest of the object that is in effect equal to it */
	bool seen;         /* wanted by the plan of the pass that is running */
	bool taken;        /* its parent goes, and we have deleted it */
} ao_memo;

/** The few numbers that are kept about the passes over a parent. */
typedef struct ao_pass_times {
	uint64_t passes, failures;
	int64_t ended_ms; /* wall clock; 0: none ended yet */
	uint64_t pass_ms; /* the last pass, and its calls of the policies */
	uint64_t plan_ns, status_ns;
	bool failed; /* the last one */
} ao_pass_times;

/** What a plan depends on beside its parent and children, because a policy has read it. */
typedef enum {
	AO_READ_NOW = 1,       /* the time */
	AO_READ_RELATED = 2,   /* related objects */
	AO_READ_QUEUES = 4,    /* what brokers say of queues */
	AO_READ_ABSENT = 8,    /* kinds that the server does not know */
	AO_READ_CHILDREN = 16, /* children as they are, with their status and all that the cluster has filled in */
	AO_READ_STATUS = 32,   /* the parent's status, where it is somebody else's and policies may put something into it */
} ao_read;

/** What the last plan was made from. */
typedef struct ao_plan_basis {
	unsigned reads;                    /* ao_read, ored */
	uint64_t related, queues;          /* digests of what was read; 0: it was not */
	uint64_t absent, children, status; /* the last one is 0, too, when we have written it since: that fits nothing */
	uint64_t due_ms;                   /* the plan asked to be made again then, monotonic; 0: it did not */
} ao_plan_basis;

/** What is remembered of a parent from pass to pass. */
typedef struct ao_parent {
	const char *key; /* of ao_reconciler.parents, which is its owner */
	char *uid;
	ao_map *memos;        /* "Deployment asya/resize" -> ao_memo; NULL: there is none */
	uint64_t spec_digest; /* of the parent, as the last pass that rendered saw it */
	int64_t generation;   /* of the parent when its plan was last carried out to the end, or found invalid; 0: never */
	char bundle[17];      /* digest of the bundle that made the plan of that pass */
	bool settled;         /* that pass carried out its whole plan */
	ao_plan_basis basis;  /* of that plan */
	cJSON *invalid;       /* why the parent is not rendered, as the plan said; or NULL */
	cJSON *refused;       /* the parts of its plan that were refused, as the plan said; or NULL */
	cJSON *waits;         /* what its plan waits for before there is more of it, as the plan said; or NULL */
	cJSON *outdated;      /* children that are not as its plan wants them yet: [{role, kind, name, message}]; or NULL */
	cJSON *policy_error;  /* the bundle's error in that pass; or NULL */
	bool rolling_out; /* the bundle said so when it was last asked, or its plan waits for something, or children are being replaced */
	bool replacing;   /* some of the outdated ones are changed without anybody's doing, one after the other */
	bool ready;       /* as its status said when the bundle was last asked */
	bool unsaid;      /* ... or did not say: then it counts as ready */
	bool unsure;      /* a write of its status got no answer: one is sent though nothing seems to differ */
	uint64_t dropped; /* digest of what its status was to say beside, and the server did not keep; 0: nothing */
	uint64_t dropped_ms; /* when it did not, monotonic */
	uint64_t put[2];     /* digests of what we put on it, and into its status, last, when it is somebody else's; 0: not known */
	uint64_t answered;   /* digest of the status that came of the latter: the server may have its own words for what we say */
	bool released;       /* our finalizer is off it: nothing is written any more, though the cache still has it */
	bool wants_shared;   /* the last plan had a shared object that others want otherwise, and its bundle was not the live one */
	bool unfit;          /* an object, or a field that was left out of it, did not fit its schema */
	uint64_t schemas;    /* digest of the server's schemas that its last plan was checked by */
	char *beside;        /* what its last plan had beside objects of its own, if settled.h can tell: the part of a text; or NULL */
	char *recalled;      /* the same of the plan that an operator before us carried out, when we began with what it recorded; or NULL */
	char *rendered;      /* digest of everything the last plan held, in hex; or NULL */
	char *carried;       /* the same, of the last plan that was carried out to its end; or NULL */
	uint64_t status_ms;  /* when its status was last written, or held back, monotonic; 0: never */
	uint64_t held_ms;    /* since when a status is held back, because better news is near; 0: none is */
	bool untold;         /* ... and nothing has been told yet */
	bool edited;         /* somebody has changed it, and waits */
	cJSON *changed;      /* what was done to children since the status was written last, as outcome.changed; or NULL */
	char *finalizing;    /* what policies still wait for before it may go, as it was told last; or NULL */
	uint64_t stopped_ms; /* when the clock first stopped policies that were asked whether it may go, monotonic; 0: never */
	uint64_t release_ms; /* when we first saw that it is being deleted; 0: it is not */
	bool met_going;      /* ... and was when we saw it first: what became of its children meanwhile we have not seen */
	bool lost_child;     /* ... and we have deleted one of its children, or seen one go */
	struct ao_pass *pass; /* running, or NULL */
	ao_circle circle;     /* of changes that objects which it asks for have made us do */
	ao_pass_times times;  /* for /debug/ */
} ao_parent;

typedef struct ao_pass ao_pass;

/** How one operation of a pass went. */
typedef enum {
	AO_OP_DONE,  /* go on with the next one */
	AO_OP_AGAIN, /* run the same one once more */
	AO_OP_STOP,  /* it is too early for those that follow: only the status is left */
	AO_OP_END,   /* the pass ends here, without a status */
	AO_OP_WAIT,  /* a callback will call ao_pass_resume() with one of the above */
} ao_op_result;

/** One step of a pass. It runs only while the parent is observed, and never calls another operation. */
typedef struct ao_op {
	ao_op_result (*run)(ao_pass *pass, const cJSON *item);
	const cJSON *item; /* its queue or object of the plan; or NULL */
	uint64_t digest;   /* of that object */
	bool wrote;        /* it has made or changed the object, so what the plan knows of its readiness is over */
	bool early;        /* it is too early for it in this pass: what has to be there before failed */
} ao_op;

struct ao_pass {
	ao_reconciler *reconciler;
	ao_parent *parent;
	uint64_t started_ms;
	ao_op *ops; /* in order; the last one is the status */
	size_t op_count, at;
	bool held;          /* the parent is held: the pass only writes its status */
	bool edited;        /* somebody waits for it */
	ao_kube_call *call; /* a write to the parent in flight */
	struct {
		cJSON *tree;          /* the plan; or NULL */
		uint64_t spec_digest; /* of the parent that it is for */
		int64_t generation;   /* the same */
		char bundle[17];      /* digest of the bundle that made it, or would; "": none was asked */
		char *previous;       /* digest of what was rendered last, maybe by an operator before this one; or NULL */
		bool touched;         /* ... and that operator may have written to children since: not all that they hold is of that */
		bool returned;        /* an operator that writes no digests wrote the status last */
		bool behind;          /* ... and had not seen this generation: it is not known what it has left over */
		bool unrecorded;      /* neither we nor such an operator ever wrote what was carried out: we ended before it was told */
	} plan;
	struct ao_secrets_call *secrets; /* being read; or NULL */
	char *copy_uid;                  /* of the Secret that they are copied into; NULL: it is not there yet, or not looked at */
	char *copy_version;              /* its resourceVersion before they are written; NULL: we have made it just now */
	bool queue_waited;               /* the running operation has waited for its queue once */
	struct {
		ao_apply *apply;  /* in flight */
		char *difference; /* path of the first field that made us write; or NULL */
		bool restoring;   /* the write puts back what somebody changed */
	} object;
	struct {
		const ao_kind *kind;    /* NULL: it is to be looked anew */
		ao_standing *standings; /* of its children that are updated one by one */
		size_t *ops;            /* ... and the operation of each */
		size_t count;
	} rolling;
	struct {
		ao_remove *remove; /* in flight */
		const ao_kind *kind;
		char *key, *name, *uid;
	} child; /* the one that is being deleted */
	struct {
		ao_list *list;       /* in flight */
		const ao_kind *kind; /* of which objects are listed, or were last; NULL: of none yet */
	} sought;                    /* deletion: children that were let go of */
	struct {
		cJSON *errors, *changed; /* for the status */
		cJSON *finalize;         /* what policies wait for before the parent may go, {message, deadline}; or NULL */
		char *left;              /* deletion: what stays although the parent goes, as sentences; NULL: nothing */
		bool failed;             /* something was not carried out: the pass is tried again */
		bool heals;              /* ... and the next try may succeed without anybody's doing */
		bool blocked;            /* something was not carried out: the change that it waits for wakes the parent */
		double requeue_after;    /* seconds; 0: none */
		cJSON *status;           /* that is being written; NULL: none is */
	} outcome;
};

struct ao_reconciler {
	ao_reconciler_options with;
	const ao_manifest *manifest;
	ao_workqueue *queue;
	ao_map *parents;          /* key -> ao_parent */
	ao_map *orphaning;        /* uids, as keys, of parents which are deleted so that what they have goes on without them */
	uint64_t build;           /* digest of what we are made of */
	char *label;              /* controller="...", for metrics */
	size_t untold;            /* how many parents have nothing told of them yet, because their status is held back */
	bool ending;              /* only what is held back is still told */
	bool all_planned;         /* every parent has had a plan since we began: it is known which parent has which queue */
	uint64_t schemas_ms;      /* when the server's schemas were last doubted, monotonic; 0: never */
	uint64_t schemas_version; /* ... and which they were */
};

/* ---- pass.c: the driver ---- */

/** Begins a pass over an observed parent. It may have ended when this returns. */
void ao_pass_start(ao_reconciler *reconciler, ao_parent *parent, const ao_object *object);
/** From a callback of the running operation: goes on with the pass, which may have ended when this returns. */
void ao_pass_resume(ao_pass *pass, ao_op_result result);
/** Puts an operation before the status. @return it, until the next one is put there */
ao_op *ao_pass_push(ao_pass *pass, ao_op_result (*run)(ao_pass *pass, const cJSON *item), const cJSON *item);
/**
 * The object of the running operation failed: what comes behind it in its namespace waits for the next pass, and so does what is in none, and
 * what is done when all is there.  Other namespaces need not wait, unless the server did not even answer.
 * @param status  of the answer; 0: there was none. @return how to go on
 */
ao_op_result ao_pass_skip_namespace(ao_pass *pass, long status);
/** Drops a pass where it stands. */
void ao_pass_free(ao_pass *pass);

/** The observed parent of a running pass. NULL: it is gone, or another object has its name now. */
const ao_object *ao_pass_object(const ao_pass *pass);
/** The bundle that judges the parent now. */
ao_bundle *ao_pass_bundle(const ao_pass *pass, const ao_object *object);
/** Sends a patch of the parent, or of its `subresource` when that is not NULL. `fn` is called with the pass. */
void ao_pass_patch(ao_pass *pass, const ao_object *object, const char *subresource, const char *content_type, const cJSON *patch,
		   ao_kube_fn fn);
/** The rank of its writes, but for those of a subresource. */
static inline ao_kube_rank ao_pass_rank(const ao_pass *pass) { return pass->edited ? AO_KUBE_URGENT : AO_KUBE_USUAL; }
/** Deletion: tells, in the log and by an Event, what stays at brokers, and why. */
void ao_pass_tell_left(ao_pass *pass, const char *note);
/** Has the parent been going for so long that what may never come is not waited for any more? */
bool ao_pass_waited_long(const ao_pass *pass);
/** Adds what went wrong to the status's errors and marks the pass failed. */
void ao_pass_error(ao_pass *pass, const char *verb, const ao_kind *kind, const char *role, const char *name, const ao_kube_answer *answer);
/** The same for a write to the parent itself. A parent that is gone is not an error: the watch will tell us. */
void ao_pass_parent_error(ao_pass *pass, const char *verb, const ao_kube_answer *answer);
/** The same without an answer of the API server: the caller adds reason and message, and sets the outcome. */
cJSON *ao_pass_note_error(ao_pass *pass, const char *verb, const char *kind, const char *role, const char *name);
/** Adds what was done to a child to the status's changes, the log and the metrics. */
void ao_pass_note_change(ao_pass *pass, const char *verb, const ao_kind *kind, const char *name);
/** The log's part of that alone. People are told of what is "updated" again and again. @param difference  a path; or NULL */
void ao_pass_tell_change(ao_pass *pass, const char *verb, const char *kind, const char *name, const char *difference);
/** The sandbox's clock stopped a call of the policies. Nobody is to blame; the pass will be tried again. */
void ao_pass_interrupted(ao_pass *pass, const ao_err *err);
/** Records an Event about the parent. @param action  NULL: the same as the reason */
void ao_pass_event(ao_pass *pass, const ao_object *object, bool warning, const char *reason, const char *action, const char *note);
/** The sooner of two wishes to be looked at again, in seconds; 0: there is none. */
static inline double ao_pass_sooner(double a, double b) { return a > 0 && (b <= 0 || a < b) ? a : b; }

/* ---- reconcile.c ---- */

/** A pass has ended, not by being dropped. */
void ao_reconciler_finish(ao_pass *pass);
/** Has every parent had a plan? Before, it is not known whether somebody else has the same queue. */
bool ao_reconciler_all_planned(ao_reconciler *reconciler);
/** What policies are shown of a parent. @return 0; as ao_world_snapshot() */
int ao_reconciler_snapshot(const ao_reconciler *reconciler, const ao_object *parent, cJSON **ret, ao_err **reterr);

/* ---- plan_op.c ---- */

/** Asks the bundle for the plan and pushes the operations that carry it out. When nothing has changed it does nothing. */
ao_op_result ao_op_plan(ao_pass *pass, const cJSON *item);
/**
 * What the status is to say for operators after us, as settled.h has it: of a plan that was not carried out as a whole, only that there are
 * more children by now.
 * @param had  what it says; or NULL. @return NULL: there is nothing to say; the caller frees
 */
char *ao_plan_settled(const ao_pass *pass, const ao_object *object, const char *had);
/** A digest of the status in the text of a parent, never 0, whatever is there. */
uint64_t ao_plan_status_digest(ao_span parent);
uint64_t ao_plan_status_digest_of(const ao_object *parent);
/** Has anything changed that the policies read for the plan, or has the time come that the plan named? */
bool ao_plan_is_stale(const ao_reconciler *reconciler, const ao_parent *parent, const ao_object *object);
/** Pushes the operations that carry out the objects of pass->plan, in order, because the order has a meaning; then what is no longer wanted goes. */
void ao_pass_push_objects(ao_pass *pass);
/**
 * Asks the bundle for pass->plan.  An error or an invalid parent leaves it without objects, and so the children as they are.
 * @return false when the sandbox's clock stopped it: all is as it was, and the pass, which is to end, will be tried again
 */
bool ao_pass_make_plan(ao_pass *pass, const ao_object *object);
/** For a parent that is being deleted: plans what it had, and pushes the deletion of its queues. */
ao_op_result ao_op_plan_deletion(ao_pass *pass, const cJSON *item);
/** Lets go of a parent, and of all that it had. */
void ao_pass_push_orphaning(ao_pass *pass);

/* ---- queue_op.c: one queue of the plan ---- */

ao_op_result ao_op_ensure_queue(ao_pass *pass, const cJSON *queue);
ao_op_result ao_op_delete_queue(ao_pass *pass, const cJSON *queue);
/** Deletion: says which queues of the parent stay because they are not in the plan. */
ao_op_result ao_op_leave_queues(ao_pass *pass, const cJSON *item);
/** Deletion: remembers a sentence about what stays. Takes the sentence. */
void ao_pass_leave(ao_pass *pass, char *sentence);

/* ---- orphan_op.c: a parent whose children are to go on without it ---- */

bool ao_pass_is_orphaning(const ao_pass *pass);
void ao_pass_note_orphaning(ao_reconciler *reconciler, const char *uid);
/** Deletion: finds out whether Kubernetes has let go of this object of the plan. */
ao_op_result ao_op_ask_orphan(ao_pass *pass, const cJSON *item);
/** ... of any that the plan does not name, by their names and labels: one list of each kind. */
ao_op_result ao_op_seek_orphans(ao_pass *pass, const cJSON *item);

/* ---- object_op.c: one object of the plan, own or shared ---- */

ao_op_result ao_op_object(ao_pass *pass, const cJSON *item);
/** What names the memo of this object of a plan: "Deployment asya/resize". The caller frees. */
char *ao_memo_id(const ao_kind *kind, const cJSON *desired);
char *ao_memo_id_of(const ao_kind *kind, const char *key);
/** The memo of a child, which is made when there is none. @param id "Deployment asya/resize" */
ao_memo *ao_parent_memo(ao_parent *parent, const char *id);
/** Remembers how a child looks that stays as it is though the plan does not want it so: that is no news next time. */
void ao_parent_leave(ao_parent *parent, const char *id, const ao_object *object);

/* ---- parent_op.c ---- */

/** Puts labels on the parent. @param labels  {name: value} */
ao_op_result ao_op_label_parent(ao_pass *pass, const cJSON *labels);
/** Fills a Secret of the plan with values of others, and writes it. @param item  {role, object, sources} */
ao_op_result ao_op_copy_secret(ao_pass *pass, const cJSON *item);

/* ---- decorate_op.c ---- */

/**
 * Puts labels and annotations on a parent that is somebody else's, and takes away those that it put there and are not wanted any more.
 * What another manager has is told and left.
 * @param patch  {labels, annotations}; NULL: none
 */
ao_op_result ao_op_decorate(ao_pass *pass, const cJSON *patch);
/** The same for fields of its status. @param patch  {status}; NULL: none */
ao_op_result ao_op_decorate_status(ao_pass *pass, const cJSON *patch);

/* ---- prune_op.c: children that go ---- */

/** Deletes a child, notes which in pass->child, and goes on in fn(pass). */
ao_op_result ao_pass_delete_child(ao_pass *pass, const ao_kind *kind, const ao_object *child, ao_kube_fn fn);
/** Deletes the children that the plan does not want, one by one. Then the whole plan is carried out. */
ao_op_result ao_op_prune(ao_pass *pass, const cJSON *item);
/** Deletes the children of a parent that is being deleted, the last kind of the manifest first, each only when the one before is gone. */
ao_op_result ao_op_children(ao_pass *pass, const cJSON *item);

/* ---- finalize_op.c ---- */

/**
 * For a parent that is being deleted: as long as the policies' hook finalize is not done, the plan is carried out as ever. Then, or when its
 * time is over, pushes the deletion.
 */
ao_op_result ao_op_finalize(ao_pass *pass, const cJSON *item);
/** Pushes the deletion of what is there: children, queues, finalizer. */
void ao_pass_push_deletion(ao_pass *pass);

/* ---- finalizer_op.c ---- */

ao_op_result ao_op_add_finalizer(ao_pass *pass, const cJSON *item);
ao_op_result ao_op_remove_finalizer(ao_pass *pass, const cJSON *item);

/* ---- status_op.c ---- */

/** Runs the status hooks and writes the difference: the last operation of every pass. */
ao_op_result ao_op_status(ao_pass *pass, const cJSON *item);
