/* rivals.c -- asks, waits for an answer, stands by. */
#include "operator/rivals.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MS 20000  /* a lease lasts 15 s: who lives has taken it over by then */
#define AGAIN_MS 60000   /* between two questions of one that stands by */
#define TOLD_MS 300000   /* for so long /readyz of the one that works names who has asked */
#define MAX_QUESTIONS 16 /* one for each lease and namespace of parents */
#define FORGOTTEN "(no longer known)"

typedef enum { RESTING, ASKING, STANDING_BY, CLEAR } state;

/** What a parent's status says of who works on it. */
typedef struct claim {
	char *lease, *since; /* since NULL: a question; lease NULL: nothing is said */
} claim;

typedef struct question {
	ao_rivals *rivals;
	char *key,
	    *lease; /* the parent, and who is asked; FORGOTTEN: a process before us has asked, and the question is all that is left */
	ao_kube_call *call;
	bool put;  /* it stands there */
	bool lost; /* nobody knows whether it stands there */
} question;

struct ao_rivals {
	ao_rivals_options with;
	ao_world *world;
	char *lease;              /* "namespace/name" */
	char since[AO_TIME_TEXT]; /* when we began to work; "": not yet */
	cJSON *claim;
	state state;
	question questions[MAX_QUESTIONS];
	size_t count;
	ao_timer *timer;
	char *doubted; /* the parent on which an older claim came in the place of ours, once; or NULL */
	char *other;   /* who works while we stand by, or who has asked us; or NULL */
	uint64_t other_ms, doubted_ms;
};

/* ---- claims ---- */

static void clear_claim(claim *c)
{
	free(c->lease);
	free(c->since);
}
#define auto_claim __attribute__((cleanup(clear_claim)))

static claim claim_of(const ao_rivals *r, const ao_object *parent)
{
	ao_auto_str char *made = NULL;
	ao_span at = ao_span_at_path(ao_object_span(parent, &made), ao_world_manifest(r->world)->claim_path);
	return (claim){ao_span_text(ao_span_get(at, "lease")), ao_span_text(ao_span_get(at, "since"))};
}

/** Is it of a lease of our name, in another namespace? A lease of another name is another class's. */
static bool is_rival(const ao_rivals *r, const claim *c)
{
	const char *name = c->lease ? strrchr(c->lease, '/') : NULL;
	return name && strcmp(name + 1, r->with.lease) == 0 && strcmp(c->lease, r->lease) != 0;
}

static bool is_ours(const ao_rivals *r, const claim *c) { return c->lease && strcmp(c->lease, r->lease) == 0; }

static bool is_same(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

const cJSON *ao_rivals_claim(const ao_rivals *r) { return r ? r->claim : NULL; }

/* ---- questions ---- */

static void drop_questions(ao_rivals *r)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->questions[i].call)
			ao_kube_cancel(r->questions[i].call);
		free(r->questions[i].key);
		free(r->questions[i].lease);
	}
	r->count = 0;
}

/** The place of the claim as a JSON pointer; the caller frees. */
static char *pointer(char *const *path)
{
	ao_auto_buf ao_buf text = ao_buf_init(1024);
	for (; *path; path++)
		ao_buf_printf(&text, "/%s", *path);
	return ao_xstrdup(text.data);
}

/** Puts a claim, or a question. A namesake that came since gets none: its uid is another. @param said  taken */
static ao_kube_call *put(const ao_rivals *r, const ao_object *parent, cJSON *said, ao_kube_fn fn, void *arg)
{
	const ao_manifest *manifest = ao_world_manifest(r->world);
	const ao_resource *kind = &manifest->kinds[0].resource;
	ao_auto_json cJSON *patch = cJSON_CreateArray();
	ao_auto_str char *place = pointer(manifest->claim_path);
	cJSON_AddItemToArray(patch, ao_json_patch_step("test", "/metadata/uid", cJSON_CreateString(parent->uid)));
	cJSON_AddItemToArray(patch, ao_json_patch_step("add", place, said));
	ao_auto_str char *path = ao_resource_path(kind, parent->namespace_, parent->name, "status"), *body = ao_json_print(patch);
	ao_auto_str char *query = ao_xasprintf("%s?fieldManager=%s", path, manifest->field_manager);
	return ao_kube_send(r->with.kube, &(ao_kube_request){.method = "PATCH",
							     .path = query,
							     .content_type = AO_JSON_PATCH,
							     .body = body,
							     .object = {kind, parent->namespace_, parent->name, parent->uid},
							     .rank = AO_KUBE_URGENT,
							     .fn = fn,
							     .arg = arg});
}

/** Who asks waits for an answer from now on. What the server refuses once, it refuses again: that parent says nothing of anybody. */
static void on_put(void *arg, const ao_kube_answer *answer)
{
	question *q = arg;
	q->call = NULL;
	q->put = !answer->error;
	q->lost = ao_kube_is_passing(answer->error);
	if (answer->error)
		ao_warn(AO_CORE, q->key, "cannot ask whether the operator of lease %s still works on it: %s", q->lease, answer->message);
	else
		ao_timer_start(q->rivals->timer, ANSWER_MS);
}

static void ask(question *q, const ao_object *parent)
{
	cJSON *ours = cJSON_CreateObject();
	ao_json_set_str(ours, "lease", q->rivals->lease);
	q->call = put(q->rivals, parent, ours, on_put, q);
}

/**
 * Says at once that we work.  The next pass says so, too, but it may be long in coming, and a parent that is being deleted has none.
 */
static void answer(const ao_rivals *r, const ao_object *parent) { put(r, parent, cJSON_Duplicate(r->claim, 1), NULL, NULL); }

/** Asks once for each lease and each namespace of parents: who answers may not see all namespaces. Our own question there waits, too. */
static void consider(ao_rivals *r, const ao_object *parent)
{
	auto_claim claim c = claim_of(r, parent);
	if (is_ours(r, &c) && c.since && (!*r->since || strcmp(c.since, r->since) < 0))
		snprintf(r->since, sizeof(r->since), "%s", c.since); /* the process before us has worked since then */
	bool asked = is_ours(r, &c) && !c.since;
	const char *whom = asked ? FORGOTTEN : c.lease;
	if (!(asked || (is_rival(r, &c) && c.since)) || r->count == MAX_QUESTIONS)
		return;
	size_t space = *parent->namespace_ ? strlen(parent->namespace_) + 1 : 0; /* with the slash */
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->questions[i].lease, whom) == 0 && strncmp(r->questions[i].key, parent->key, space) == 0)
			return;
	question *q = &r->questions[r->count++];
	*q = (question){.rivals = r, .key = ao_xstrdup(parent->key), .lease = ao_xstrdup(whom)};
	ask(q, parent);
}

/* ---- the answer ---- */

static void set_other(ao_rivals *r, const char *lease)
{
	char *copy = ao_xstrdup(lease);
	free(r->other);
	r->other = copy;
	r->other_ms = ao_mono_ms();
}

static void news(ao_rivals *r, const char *reason, const char *note)
{
	ao_warn(AO_CORE, NULL, "%s", note);
	ao_events_say(r->with.events, ao_event_about(&ao_leases, r->with.namespace_, r->with.lease, ""), true, reason, NULL, note);
}

static const char *plural(const ao_rivals *r) { return ao_world_manifest(r->world)->kinds[0].resource.plural; }

static void stand_by(ao_rivals *r, const char *lease)
{
	bool known = r->other && strcmp(r->other, lease) == 0;
	drop_questions(r);
	r->state = STANDING_BY;
	set_other(r, lease);
	ao_timer_start(r->timer, AGAIN_MS);
	if (known)
		return;
	ao_auto_str char *note =
	    ao_xasprintf("standing by: the operator of lease %s works on the same %s. Uninstall one of the two, or give "
			 "them classes or namespaces of their own",
			 lease, plural(r));
	news(r, "StandingBy", note);
}

/** Takes what we have asked for: no question of ours stays on a parent that no pass writes. */
static void take_asked(const ao_rivals *r)
{
	for (size_t i = 0; i < r->count; i++) {
		const ao_object *parent = ao_store_get(ao_world_parents(r->world), r->questions[i].key);
		if (parent)
			answer(r, parent);
	}
}

static void begin_work(ao_rivals *r)
{
	r->state = CLEAR;
	if (!*r->since)
		ao_time_second_text(ao_wall_ms(), r->since);
	ao_json_set_str(r->claim, "since", r->since);
	take_asked(r);
	drop_questions(r);
	free(r->other);
	r->other = NULL;
	r->with.on_clear(r->with.arg);
}

/** Has an answer come that no event told of, because a watch ended in between? Then another's claim is there, and not our question. */
static char *unseen_answer(const ao_rivals *r, const question *q)
{
	const ao_object *parent = ao_store_get(ao_world_parents(r->world), q->key);
	auto_claim claim c = {0};
	if (parent && q->put)
		c = claim_of(r, parent);
	return is_rival(r, &c) && c.since ? AO_TAKE(c.lease) : NULL;
}

static void on_timer(void *arg)
{
	ao_rivals *r = arg;
	bool again = r->state == STANDING_BY;
	for (size_t i = 0; i < r->count; i++) {
		ao_auto_str char *lease = unseen_answer(r, &r->questions[i]);
		if (lease) {
			stand_by(r, lease);
			return;
		}
		again = again || r->questions[i].call || r->questions[i].lost; /* who was not asked cannot answer */
	}
	if (again) {
		drop_questions(r);
		ao_rivals_begin(r, r->world);
		return;
	}
	for (size_t i = 0; i < r->count; i++)
		ao_info(AO_CORE, NULL, "no operator of lease %s answers; its %s are taken over", r->questions[i].lease, plural(r));
	begin_work(r);
}

/** Has an older claim come back in the place of ours? Once is no proof: a restore brings statuses, too. Who lives puts it there again. */
static bool is_older(ao_rivals *r, const char *key, const claim *c)
{
	int order = c->since ? strcmp(c->since, r->since) : 1;
	if (order > 0 || (order == 0 && strcmp(c->lease, r->lease) > 0))
		return false;
	if (r->doubted && strcmp(r->doubted, key) == 0)
		return true;
	if (r->doubted && ao_mono_ms() - r->doubted_ms < ANSWER_MS)
		return false; /* one is enough: who lives answers there, too */
	free(r->doubted);
	r->doubted = ao_xstrdup(key);
	r->doubted_ms = ao_mono_ms();
	return false;
}

/** A parent of ours has the claim or the question of another. */
static void defend(ao_rivals *r, const ao_object *parent, const claim *c)
{
	if (is_older(r, parent->key, c)) {
		r->with.on_older(r->with.arg, c->lease);
		return;
	}
	answer(r, parent);
	bool known = r->other && strcmp(r->other, c->lease) == 0;
	set_other(r, c->lease);
	r->with.on_taken(r->with.arg, parent->key);
	if (known)
		return;
	ao_auto_str char *note =
	    ao_xasprintf("the operator of lease %s wants the same %s, and stands by while this one works. Uninstall one of "
			 "the two, or give them classes or namespaces of their own",
			 c->lease, plural(r));
	news(r, "SecondOperator", note);
}

void ao_rivals_saw(ao_rivals *r, const ao_object *parent, const ao_object *before)
{
	if (!r || (r->state != ASKING && r->state != CLEAR))
		return;
	auto_claim claim now = claim_of(r, parent), was = claim_of(r, before);
	if (!is_rival(r, &now) || (is_same(now.lease, was.lease) && is_same(now.since, was.since)))
		return;
	if (r->state == CLEAR)
		defend(r, parent, &now);
	else if (now.since && is_ours(r, &was))
		stand_by(r, now.lease);
}

/* ---- life ---- */

void ao_rivals_begin(ao_rivals *r, ao_world *world)
{
	size_t cursor = 0;
	r->world = world;
	r->state = ASKING;
	for (const ao_object *parent; (parent = ao_store_next(ao_world_parents(world), &cursor));)
		consider(r, parent);
	if (!r->count) {
		begin_work(r);
		return;
	}
	ao_info(AO_CORE, NULL, "the operator of lease %s has worked on %s: asking whether it still does", r->questions[0].lease, plural(r));
	ao_timer_start(r->timer, ANSWER_MS);
}

void ao_rivals_rest(ao_rivals *r)
{
	if (!r)
		return;
	drop_questions(r);
	ao_timer_stop(r->timer);
	r->state = RESTING;
	r->world = NULL;
}

bool ao_rivals_clear(const ao_rivals *r) { return !r || r->state == CLEAR; }

void ao_rivals_tell(const ao_rivals *r, ao_buf *text)
{
	if (!r)
		return;
	if (r->state == ASKING && r->count)
		ao_buf_printf(text, "asking whether the operator of lease %s still works", r->questions[0].lease);
	else if (r->state == STANDING_BY)
		ao_buf_printf(text, "standing by: the operator of lease %s works on the same objects", r->other);
	else if (r->other && ao_mono_ms() - r->other_ms < TOLD_MS)
		ao_buf_printf(text, "the operator of lease %s wants the same objects, and stands by", r->other);
}

ao_rivals *ao_rivals_new(const ao_rivals_options *options)
{
	ao_rivals *r = ao_xcalloc(1, sizeof(*r));
	r->with = *options;
	r->lease = ao_xasprintf("%s/%s", options->namespace_, options->lease);
	r->claim = cJSON_CreateObject();
	ao_json_set_str(r->claim, "lease", r->lease);
	r->timer = ao_timer_new(options->loop, on_timer, r);
	return r;
}

void ao_rivals_free(ao_rivals *r)
{
	if (!r)
		return;
	ao_rivals_rest(r);
	ao_timer_free(r->timer);
	cJSON_Delete(r->claim);
	free(r->lease);
	free(r->doubted);
	free(r->other);
	free(r);
}
