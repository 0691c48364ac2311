/* plan_op.c -- asks the bundle what it wants for the parent, and makes operations of it. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "policy/plan.h"
#include "reconcile/pass.h"
#include "reconcile/relate.h"
#include "reconcile/settled.h"
#include "serve/instruments.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct child_check {
	ao_parent *parent;
	size_t found;
	bool changed;
} child_check;

static void check_child(void *arg, const ao_kind *kind, const ao_object *object)
{
	child_check *check = arg;
	ao_auto_str char *id = ao_memo_id_of(kind, object->key);
	const ao_memo *memo = ao_map_get(check->parent->memos, id);
	check->found++;
	if (!memo || memo->observed != object->spec_digest)
		check->changed = true;
}

/* ---- what a plan was made from ---- */

static uint64_t queues_digest(const ao_reconciler *r, const ao_object *object)
{
	ao_auto_json cJSON *facts = ao_queues_facts(r->with.queues, object->uid);
	return ao_json_digest(facts);
}

uint64_t ao_plan_status_digest_of(const ao_object *parent)
{
	ao_auto_str char *made = NULL;
	return ao_plan_status_digest(ao_object_span(parent, &made));
}

uint64_t ao_plan_status_digest(ao_span parent)
{
	ao_span status = ao_span_get(parent, "status");
	return ao_hash_words(AO_HASH_INIT, status.at ? status.at : "", status.len) | 1;
}

static ao_plan_basis basis_now(const ao_reconciler *r, const ao_object *object, unsigned reads)
{
	return (ao_plan_basis){
	    .reads = reads,
	    .related = reads & AO_READ_RELATED ? ao_world_related_digest(r->with.world, object) : 0,
	    .queues = reads & AO_READ_QUEUES ? queues_digest(r, object) : 0,
	    .absent = reads & AO_READ_ABSENT ? ao_world_absent_digest(r->with.world) : 0,
	    .children = reads & AO_READ_CHILDREN ? ao_world_children_digest(r->with.world, object) : 0,
	    .status = reads & AO_READ_STATUS ? ao_plan_status_digest_of(object) : 0,
	};
}

bool ao_plan_is_stale(const ao_reconciler *r, const ao_parent *parent, const ao_object *object)
{
	const ao_plan_basis *was = &parent->basis;
	ao_plan_basis is = basis_now(r, object, was->reads);
	return is.related != was->related || is.queues != was->queues || is.absent != was->absent || is.children != was->children ||
	       is.status != was->status || (was->due_ms && ao_mono_ms() >= was->due_ms);
}

/** Policies that failed may have read anything but the time, which alone would mend nothing. */
static unsigned reads_of(const ao_pass *pass)
{
	static const struct {
		const char *name;
		ao_read flag;
	} READS[] = {{"now", AO_READ_NOW},
		     {"related", AO_READ_RELATED},
		     {"queues", AO_READ_QUEUES},
		     {"absent", AO_READ_ABSENT},
		     {"children", AO_READ_CHILDREN}};
	unsigned reads = pass->reconciler->manifest->patches_status ? AO_READ_STATUS : 0;
	const cJSON *name;
	if (!pass->plan.tree)
		return pass->parent->unfit ? 0 : reads | AO_READ_RELATED | AO_READ_QUEUES | AO_READ_ABSENT | AO_READ_CHILDREN;
	cJSON_ArrayForEach (name, ao_json_at(pass->plan.tree, "reads"))
		for (size_t i = 0; i < AO_LEN(READS); i++)
			reads |= cJSON_IsString(name) && strcmp(name->valuestring, READS[i].name) == 0 ? READS[i].flag : 0;
	return reads;
}

/** Called before anything is carried out, while the world is as the policies have seen it. */
static void remember_basis(ao_pass *pass, const ao_object *object)
{
	const cJSON *after = pass->plan.tree ? ao_json_at(pass->plan.tree, "requeue_after") : NULL;
	pass->parent->basis = basis_now(pass->reconciler, object, reads_of(pass));
	if (cJSON_IsNumber(after) && after->valuedouble > 0)
		pass->parent->basis.due_ms = ao_mono_ms() + (uint64_t)(after->valuedouble * 1000);
}

/** Are the children, all of them, as they were when they were right? */
static bool children_are_known(const ao_reconciler *r, ao_parent *parent)
{
	child_check check = {.parent = parent};
	ao_world_each_child(r->with.world, parent->uid, check_child, &check);
	return !check.changed && check.found == ao_map_count(parent->memos);
}

/** Would rendering again give what the last good pass gave, and is all of it still there? */
static bool nothing_to_carry_out(const ao_reconciler *r, const ao_pass *pass, const ao_object *object)
{
	ao_parent *parent = pass->parent;
	if (!parent->settled || parent->spec_digest != object->spec_digest || strcmp(parent->bundle, pass->plan.bundle) != 0)
		return false;
	if (parent->basis.reads & AO_READ_NOW || ao_plan_is_stale(r, parent, object))
		return false;
	return children_are_known(r, parent);
}

/* ---- what is settled, from one process to the next ---- */

static void add_child(void *arg, const ao_kind *kind, const ao_object *object) { ao_settled_add(arg, kind->resource.kind, object); }

/** @param schemas  the digest of those that the plan was checked by */
static ao_settled settled_now(const ao_pass *pass, const ao_object *object, const char *rendered, uint64_t schemas)
{
	const ao_reconciler *r = pass->reconciler;
	const uint64_t makers[] = {r->build, schemas};
	ao_settled settled = {
	    .maker = ao_hash(AO_HASH_INIT, makers, sizeof(makers)), .bundle = pass->plan.bundle, .rendered = rendered, .parent = object};
	ao_world_each_child(r->with.world, object->uid, add_child, &settled);
	return settled;
}

char *ao_plan_settled(const ao_pass *pass, const ao_object *object, const char *had)
{
	ao_parent *parent = pass->parent;
	bool whole = !pass->held && parent->settled && parent->carried && !parent->invalid && !parent->policy_error && !parent->outdated &&
		     strcmp(parent->bundle, pass->plan.bundle) == 0 && parent->spec_digest == object->spec_digest &&
		     children_are_known(pass->reconciler, parent);
	if (!whole && !had)
		return NULL;
	ao_settled settled = settled_now(pass, object, parent->carried ? parent->carried : "", parent->schemas);
	if (!whole)
		return ao_settled_of_children(had, settled.child_count);
	ao_auto_str char *text = parent->beside ? ao_settled_text(&settled, parent->beside) : ao_xstrdup("");
	return ao_settled_with_fields(text, &settled);
}

static bool shared_are_right(const ao_reconciler *r, const char *beside)
{
	size_t cursor = 0;
	for (uint64_t digest; ao_settled_next_shared(beside, &cursor, &digest);)
		if (!ao_shared_is_right(r->with.shared, digest))
			return false;
	return true;
}

static void remember_child(void *arg, const ao_kind *kind, const ao_object *object)
{
	ao_auto_str char *id = ao_memo_id_of(kind, object->key);
	*ao_parent_memo(arg, id) = (ao_memo){.observed = object->spec_digest};
}

/** What becomes of queues that a parent had before is planned from their records, which are in its status, and so in no digest. */
static bool has_records(const ao_reconciler *r, const ao_object *object)
{
	size_t cursor = 0;
	ao_auto_str char *made = NULL;
	ao_span record, records = ao_span_at_path(ao_object_span(object, &made), r->manifest->records_path);
	return records.at && ao_span_item(records, &cursor, &record);
}

/**
 * The first time we see a parent: does its status say that its plan was carried out when all was as it is now?  Then we know what the
 * operator before us knew, and do what it would have done: nothing.  Whoever records plans, or may not touch shared objects, plans.
 */
static bool recall_settled(const ao_pass *pass, const ao_object *object)
{
	const ao_reconciler *r = pass->reconciler;
	const ao_manifest *m = r->manifest;
	ao_parent *parent = pass->parent;
	if (*parent->bundle || parent->carried || r->with.recorder || has_records(r, object) || r->with.is_apart(r->with.arg, object))
		return false;
	ao_auto_str char *text = ao_object_text(object, m->settled_path), *rendered = ao_object_text(object, m->digest_path);
	if (!text || !rendered)
		return false;
	uint64_t schemas = ao_openapi_digest(r->with.openapi);
	ao_settled settled = settled_now(pass, object, rendered, schemas);
	ao_auto_str char *beside = ao_settled_fits(text, &settled);
	if (!beside || !shared_are_right(r, beside))
		return false;
	ao_auto_err ao_err *err = NULL;
	if (ao_relate(r->with.world, ao_pass_bundle(pass, object), object, &err) < 0)
		return false; /* the plan fails in the same way, and says so */
	ao_world_each_child(r->with.world, object->uid, remember_child, parent);
	ao_queues_keep(r->with.queues, parent->uid, NULL);
	snprintf(parent->bundle, sizeof(parent->bundle), "%s", pass->plan.bundle);
	parent->recalled = ao_xstrdup(beside);
	parent->beside = AO_TAKE(beside);
	parent->schemas = schemas;
	parent->rendered = ao_xstrdup(rendered);
	parent->carried = AO_TAKE(rendered);
	parent->spec_digest = object->spec_digest;
	parent->generation = object->generation;
	parent->settled = true;
	return true;
}

/** Keeps the verdict on the parent, on parts of its plan, and what it waits for, for status passes that do not render. */
static void remember_plan(ao_pass *pass)
{
	ao_parent *parent = pass->parent;
	const cJSON *invalid = ao_json_at(pass->plan.tree, "invalid"), *refused = ao_json_at(pass->plan.tree, "refused"),
		    *waits = ao_json_at(pass->plan.tree, "waits");
	cJSON_Delete(parent->invalid);
	cJSON_Delete(parent->refused);
	cJSON_Delete(parent->waits);
	cJSON_Delete(parent->outdated);
	parent->outdated = NULL;
	parent->replacing = false;
	parent->waits = cJSON_IsArray(waits) ? cJSON_Duplicate(waits, 1) : NULL;
	parent->invalid = cJSON_IsObject(invalid) ? cJSON_Duplicate(invalid, 1) : NULL;
	parent->refused = cJSON_IsArray(refused) ? cJSON_Duplicate(refused, 1) : NULL;
}

/** @param was  the error of the plan before; the same one is said once, however often pods and queues bring it up again */
static void remember_policy_error(ao_pass *pass, const ao_object *object, const ao_plan_blame *blame, const ao_err *err, const cJSON *was)
{
	ao_parent *parent = pass->parent;
	const char *said = was ? ao_json_str(was, "message") : NULL;
	bool news = !said || strcmp(said, ao_err_text(err)) != 0;
	if (err->code == -EACCES) /* every parent that needs the right fails so, and the world has said once which one it is */
		ao_debug(AO_POLICY, parent->key, "%s", ao_err_text(err));
	else if (news)
		ao_error(AO_POLICY, parent->key, "%s", ao_err_text(err));
	if (news && pass->reconciler->manifest->decorates) /* there is no status to say it */
		ao_pass_event(pass, object, true, "PolicyError", NULL, ao_err_text(err));
	parent->policy_error = cJSON_CreateObject();
	ao_json_set_str(parent->policy_error, "policy", blame->policy);
	ao_json_set_str(parent->policy_error, "hook", blame->hook);
	ao_json_set_str(parent->policy_error, "message", ao_err_text(err));
	parent->unfit = strcmp(blame->hook, "schema") == 0;
}

/** Was a field left out of an object, because the server's schema does not have it? */
static bool lacks_field(const cJSON *refused)
{
	const cJSON *each;
	cJSON_ArrayForEach (each, refused)
		if (ao_json_at(each, "field"))
			return true;
	return false;
}

/** What is known of its queues by now: an edit may be quicker than the status that tells of a queue, which the plan then would forget. */
static void put_records(const ao_pass *pass, const ao_object *object, cJSON *parent)
{
	char *const *path = pass->reconciler->manifest->records_path;
	cJSON *records = path ? ao_queues_records(pass->reconciler->with.queues, object) : NULL;
	if (records && (records->child || ao_json_at_path(parent, path)))
		ao_json_put_path(parent, path, records);
	else
		cJSON_Delete(records);
}

bool ao_pass_make_plan(ao_pass *pass, const ao_object *object)
{
	ao_reconciler *r = pass->reconciler;
	ao_auto_json cJSON *snapshot = NULL;
	ao_auto_err ao_err *err = NULL;
	ao_call_stats stats = {0};
	ao_plan_blame blame = {0};
	ao_bundle *bundle = ao_pass_bundle(pass, object);
	int code = ao_relate(r->with.world, bundle, object, &err);
	if (code < 0 && code != -EINTR) {
		snprintf(blame.policy, sizeof(blame.policy), "%s", ao_bundle_failed_policy(bundle));
		snprintf(blame.hook, sizeof(blame.hook), "relate");
	}
	if (code == 0)
		code = ao_reconciler_snapshot(pass->reconciler, object, &snapshot, &err);
	if (code == 0)
		put_records(pass, object, ao_json_at(snapshot, "parent"));
	uint64_t started_ns = ao_mono_ns();
	pass->parent->schemas = ao_openapi_digest(r->with.openapi);
	if (code == 0)
		code = ao_plan_make(bundle, r->with.openapi, snapshot, &pass->plan.tree, &stats, &blame, &err);
	pass->parent->times.plan_ns = ao_mono_ns() - started_ns;
	ao_instruments_call(r->with.metrics, "plan", &stats, pass->parent->times.plan_ns);
	if (code == -EINTR) {
		ao_pass_interrupted(pass, err);
		return false;
	}
	if (r->with.recorder && snapshot)
		ao_recorder_put(r->with.recorder, ao_pass_bundle(pass, object), snapshot);
	ao_auto_json cJSON *was = AO_TAKE(pass->parent->policy_error);
	pass->parent->unfit = false;
	if (code < 0) {
		ao_instruments_policy_error(r->with.metrics, blame.policy, blame.hook);
		remember_policy_error(pass, object, &blame, err, was);
	}
	remember_plan(pass);
	pass->parent->unfit = pass->parent->unfit || lacks_field(pass->parent->refused);
	remember_basis(pass, object);
	return true;
}

/** Are other fields of its children ours than those that are told of? An older operator told of none: then they are not. */
static bool is_touched(const ao_pass *pass, const ao_object *object)
{
	ao_auto_str char *text = ao_object_text(object, pass->reconciler->manifest->settled_path);
	ao_settled settled = settled_now(pass, object, "", 0);
	ao_auto_str char *now = ao_settled_with_fields("", &settled);
	const char *then = text ? ao_settled_fields(text) : NULL;
	return then && strcmp(then, now) != 0;
}

/** What the parent's status says was rendered last, possibly by an operator before this one, which may be one that leaves no digest. */
static void read_previous(ao_pass *pass, const ao_object *object)
{
	char *const *path = pass->reconciler->manifest->digest_path;
	if (!path)
		return;
	pass->plan.previous = ao_object_text(object, path);
	pass->plan.touched = pass->plan.previous && is_touched(pass, object);
	if (pass->plan.previous)
		return;
	ao_auto_str char *made = NULL;
	long long seen = ao_span_int(ao_span_at(ao_object_span(object, &made), "status", "observedGeneration"), -1);
	pass->plan.returned = seen >= 0;
	pass->plan.behind = pass->plan.returned && seen != object->generation;
	pass->plan.unrecorded = !pass->plan.returned;
}

static void push_each(ao_pass *pass, const char *list, ao_op_result (*run)(ao_pass *pass, const cJSON *item))
{
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(pass->plan.tree, list))
		ao_pass_push(pass, run, item);
}

/**
 * Does the plan do no more than make objects, whenever and wherever it is made?  Queues have to be known to the keeper, which asks brokers;
 * whether a child is kept may be said by its status, which is in no digest; what else a plan may hold is not known here.  Labels of the
 * parent are a part of the parent, and its profile follows from it and the bundle.
 */
static bool only_makes_objects(const ao_pass *pass)
{
	static const char *const PLAIN[] = {"objects", "labels", "profile"};
	const ao_parent *parent = pass->parent;
	const cJSON *member;
	cJSON_ArrayForEach (member, pass->plan.tree) {
		bool plain = cJSON_IsArray(member) && !cJSON_GetArraySize(member);
		for (size_t i = 0; i < AO_LEN(PLAIN); i++)
			plain = plain || strcmp(member->string, PLAIN[i]) == 0;
		if (!plain)
			return false;
	}
	return !parent->unfit && !parent->basis.reads && !parent->basis.due_ms;
}

static char *print_digest(uint64_t digest) { return ao_xasprintf("%016" PRIx64, digest); }

void ao_pass_push_objects(ao_pass *pass)
{
	ao_parent *parent = pass->parent;
	uint64_t digest = AO_HASH_INIT;
	size_t cursor = 0;
	const cJSON *item;
	ao_auto_buf ao_buf shared = ao_buf_init(AO_SETTLED_SHARED_CAP), own = ao_buf_init(AO_SETTLED_OWN_CAP);
	for (ao_memo *memo; (memo = ao_map_next(parent->memos, &cursor, NULL));)
		memo->seen = false;
	push_each(pass, "copies", ao_op_copy_secret);
	cJSON_ArrayForEach (item, ao_json_at(pass->plan.tree, "objects")) {
		uint64_t one = ao_json_digest(ao_json_at(item, "object"));
		ao_pass_push(pass, ao_op_object, item)->digest = one;
		digest = ao_plan_digest_with(digest, item, one);
		if (cJSON_IsTrue(ao_json_at(item, "shared")))
			ao_settled_put_shared(&shared, one);
		else
			ao_settled_put_own(&own, one);
	}
	free(parent->rendered);
	free(parent->beside);
	parent->rendered = print_digest(digest);
	parent->beside = only_makes_objects(pass) && !shared.overflow
			     ? ao_xasprintf("%s%s", shared.data ? shared.data : "", own.data && !own.overflow ? own.data : "")
			     : NULL;
	ao_pass_push(pass, ao_op_prune, NULL);
	if (pass->reconciler->manifest->decorates) {
		ao_pass_push(pass, ao_op_decorate, ao_json_at(pass->plan.tree, "patch"));
		ao_pass_push(pass, ao_op_decorate_status, ao_json_at(pass->plan.tree, "patch"));
	}
}

/** First the queues, then what works on them. */
static void push_plan(ao_pass *pass)
{
	if (ao_json_at(pass->plan.tree, "labels"))
		ao_pass_push(pass, ao_op_label_parent, ao_json_at(pass->plan.tree, "labels"));
	ao_queues_keep(pass->reconciler->with.queues, pass->parent->uid, ao_json_at(pass->plan.tree, "queues"));
	push_each(pass, "queues", ao_op_ensure_queue);
	ao_pass_push_objects(pass);
}

ao_op_result ao_op_plan(ao_pass *pass, const cJSON *item)
{
	(void)item;
	const ao_object *object = ao_pass_object(pass);
	ao_parent *parent = pass->parent;
	pass->plan.spec_digest = object->spec_digest;
	pass->plan.generation = object->generation;
	snprintf(pass->plan.bundle, sizeof(pass->plan.bundle), "%s", ao_bundle_digest(ao_pass_bundle(pass, object)));
	if (nothing_to_carry_out(pass->reconciler, pass, object)) {
		if (parent->unfit)
			ao_reconciler_doubt_schemas(pass->reconciler);
		if (!parent->policy_error)
			parent->generation = object->generation; /* which may have moved on, there and back */
		return AO_OP_STOP;
	}
	if (recall_settled(pass, object))
		return AO_OP_STOP;
	if (parent->carried)
		pass->plan.previous = ao_xstrdup(parent->carried);
	else
		read_previous(pass, object);
	parent->settled = parent->wants_shared = false;
	if (!ao_pass_make_plan(pass, object))
		return AO_OP_END;
	if (parent->unfit)
		ao_reconciler_doubt_schemas(pass->reconciler);
	snprintf(parent->bundle, sizeof(parent->bundle), "%s", pass->plan.bundle);
	if (parent->invalid || parent->policy_error) {
		ao_queues_claim(pass->reconciler->with.queues, object);
		/* nothing is carried out; the same parent would fail the same way, so only a change brings it back */
		parent->settled = true;
		parent->spec_digest = pass->plan.spec_digest;
		if (!parent->policy_error)
			parent->generation = pass->plan.generation;
		return AO_OP_STOP;
	}
	push_plan(pass);
	return AO_OP_DONE;
}

/* ---- for a parent that goes ---- */

void ao_pass_push_orphaning(ao_pass *pass)
{
	ao_pass_leave(pass, ao_xstrdup("its children and queues go on without it"));
	ao_pass_push(pass, ao_op_remove_finalizer, NULL);
}

static ao_op_result push_release(ao_pass *pass, const cJSON *item)
{
	(void)item;
	if (ao_pass_is_orphaning(pass)) {
		ao_pass_push_orphaning(pass);
		return AO_OP_DONE;
	}
	push_each(pass, "queues", ao_op_delete_queue);
	ao_pass_push(pass, ao_op_leave_queues, NULL);
	ao_pass_push(pass, ao_op_remove_finalizer, NULL);
	return AO_OP_DONE;
}

/** The plan of an invalid parent names no children. Had it some, and are they let go of, they work on its queues, and nobody knows. */
static bool may_have_orphans(const ao_pass *pass, const ao_object *object)
{
	char *const *path = pass->reconciler->manifest->digest_path;
	ao_auto_str char *carried = path ? ao_object_text(object, path) : NULL;
	return pass->parent->invalid && !pass->parent->lost_child && (carried || !path);
}

static size_t count_own(const cJSON *plan)
{
	size_t count = 0;
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(plan, "objects"))
		count += !cJSON_IsTrue(ao_json_at(item, "shared"));
	return count;
}

/**
 * Is the plan what was carried out as a whole last, and was nothing kept beside?  Then it names all children that there were, and nobody looks
 * for others.
 */
static bool is_carried_out(const ao_pass *pass, const ao_object *object)
{
	const ao_manifest *manifest = pass->reconciler->manifest;
	ao_auto_str char *carried = ao_object_text(object, manifest->digest_path),
			 *settled = ao_object_text(object, manifest->settled_path);
	ao_auto_str char *planned = print_digest(ao_plan_digest(pass->plan.tree));
	return carried && strcmp(carried, planned) == 0 && settled && ao_settled_child_count(settled) <= count_own(pass->plan.tree);
}

ao_op_result ao_op_plan_deletion(ao_pass *pass, const cJSON *item)
{
	(void)item;
	const ao_object *object = ao_pass_object(pass);
	const ao_parent *parent = pass->parent;
	snprintf(pass->plan.bundle, sizeof(pass->plan.bundle), "%s", ao_bundle_digest(ao_pass_bundle(pass, object)));
	pass->plan.previous = ao_xstrdup(parent->carried);
	if (!ao_pass_make_plan(pass, object))
		return AO_OP_END;
	const cJSON *queues = ao_json_at(pass->plan.tree, "queues"), *why = parent->policy_error ? parent->policy_error : parent->invalid;
	bool unsure = cJSON_GetArraySize(queues) && may_have_orphans(pass, object);
	if (why && (unsure || !cJSON_GetArraySize(queues))) {
		ao_auto_str char *note =
		    ao_xasprintf("released without a plan, what it had at brokers is left there: %s", ao_json_str(why, "message"));
		ao_pass_tell_left(pass, note);
		ao_pass_leave(pass, ao_xstrdup("what it had at brokers is left there"));
	}
	if (unsure) {
		ao_pass_push(pass, ao_op_remove_finalizer, NULL);
		return AO_OP_DONE;
	}
	if (cJSON_GetArraySize(queues) && !ao_reconciler_all_planned(pass->reconciler) && !ao_pass_waited_long(pass)) {
		pass->outcome.requeue_after = 1;
		return AO_OP_END;
	}
	if (cJSON_GetArraySize(queues))
		push_each(pass, "objects", ao_op_ask_orphan);
	if (cJSON_GetArraySize(queues) && (parent->met_going || !parent->lost_child) && !is_carried_out(pass, object))
		ao_pass_push(pass, ao_op_seek_orphans, NULL);
	ao_pass_push(pass, push_release, NULL);
	return AO_OP_DONE;
}
