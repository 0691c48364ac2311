/* bundles.c -- begins each bundle outside of the loop, and again after a while when it has ended. */
#include "operator/bundles.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define AGAIN_MS 10000
#define TURN_MS 3600000 /* how long the loop runs when nothing is to be begun; it goes on then */

/** A bundle and what works on its parents. */
typedef struct post {
	ao_bundles *all;
	const char *dir; /* as --bundle names it */
	ao_load_options load;
	ao_scope scope;  /* of `load`: that of the process, with the class of the manifest */
	cJSON *manifest; /* as it was read last; NULL: it could not be read */
	ao_metrics *metrics;
	ao_controller *controller; /* NULL: it rests */
	ao_err *trouble;           /* why it rests, or has to; or NULL */
	ao_timer *again;
	bool due; /* to be begun */
} post;

struct ao_bundles {
	ao_loop *loop;
	const ao_kubeconfig *config;
	ao_metrics *metrics;
	const ao_operator_options *options;
	const bool *stopping, *ended;
	post *posts;
	size_t count;
	bool turn; /* a post is due, or its controller has to go */
	void (*on_released)(void *arg);
	void *on_released_arg;
	size_t releasing;
};

static bool is_alone(const ao_bundles *b) { return b->count == 1; }

/** What people call it: the component of its manifest, or where it is. */
static const char *name_of(const post *p)
{
	const char *component = ao_json_str(p->manifest, "component");
	return component ? component : p->dir;
}

/* ---- one bundle ---- */

static void on_again(void *arg)
{
	post *p = arg;
	p->due = p->all->turn = true;
}

static void on_end(void *arg, const ao_err *why)
{
	post *p = arg;
	if (!p->trouble)
		ao_err_set(&p->trouble, why->code, "%s", ao_err_text(why));
	p->all->turn = true;
}

/** Reads its manifest, which says what the bundle is called, and sees that no other one is in its way. */
static int meet(post *p, ao_err **reterr)
{
	cJSON *manifest = NULL;
	int r = ao_load_base_manifest(p->load.bundle_dir, &manifest, reterr);
	if (r < 0)
		return r;
	cJSON_Delete(p->manifest);
	p->manifest = manifest;
	p->scope = ao_scope_of(ao_load_scope(&p->all->options->load), manifest);
	p->load.scope = &p->scope;
	for (size_t i = 0; r == 0 && i < p->all->count; i++) {
		const post *other = &p->all->posts[i];
		if (other != p && other->controller)
			r = ao_manifest_apart(other->manifest, other->dir, manifest, p->dir, ao_load_scope(&p->all->options->load)->class_,
					      reterr);
	}
	if (r == 0 && p->scope.own)
		ao_info(AO_CORE, name_of(p), "operator class %s", p->scope.class_);
	return r;
}

/** Its metrics have its name as long as it is one of several: then they can be told apart. */
static ao_metrics *metrics_of(post *p)
{
	ao_auto_str char *mark = ao_metric_labels("bundle", name_of(p));
	ao_metrics_free(AO_TAKE(p->metrics));
	if (is_alone(p->all))
		return p->all->metrics;
	p->metrics = ao_metrics_view(p->all->metrics, mark);
	return p->metrics;
}

static int begin(post *p, ao_err **reterr)
{
	const ao_operator_options *o = p->all->options;
	const ao_kubeconfig *config = p->all->config;
	p->due = false;
	int r = meet(p, reterr);
	if (r < 0)
		return r;
	r = ao_controller_new(&(ao_controller_options){.loop = p->all->loop,
						       .config = config,
						       .namespace_ = o->namespace_ ? o->namespace_ : config->namespace_,
						       .load = &p->load,
						       .metrics = metrics_of(p),
						       .recorder = o->recorder,
						       .leader_elect = o->leader_elect,
						       .max_concurrent = o->max_concurrent,
						       .stopping = p->all->stopping,
						       .on_end = on_end,
						       .arg = p},
			      &p->controller, reterr);
	return r < 0 ? r : ao_controller_start(p->controller, reterr);
}

/** Lets it rest, and says why. */
static void rest(post *p)
{
	ao_controller_free(AO_TAKE(p->controller));
	if (p->metrics)
		ao_metrics_rest(p->metrics);
	ao_error(AO_CORE, name_of(p), "%s; this bundle rests and is begun again in %d s, the others go on", ao_err_text(p->trouble),
		 AGAIN_MS / 1000);
	ao_timer_start(p->again, AGAIN_MS);
}

/** Begins it when it is due. It rests when it cannot go on, unless it is alone. @return 0; why the only bundle cannot work */
static int tend(post *p, ao_err **reterr)
{
	ao_err *err = NULL;
	if (p->due && !*p->all->stopping) {
		int r = begin(p, &err);
		ao_err_free(p->trouble);
		p->trouble = r == -EINTR ? NULL : err;
		if (r == -EINTR && is_alone(p->all))
			return r;
	}
	if (p->trouble && is_alone(p->all))
		return ao_err_set(reterr, p->trouble->code, "%s", ao_err_text(p->trouble));
	if (p->trouble && !*p->all->stopping && !ao_timer_active(p->again)) /* one that stops stays until it has given its lease back */
		rest(p);
	return 0;
}

/* ---- all ---- */

ao_bundles *ao_bundles_new(ao_loop *loop, const ao_kubeconfig *config, ao_metrics *metrics, const ao_operator_options *options,
			   const bool *stopping, const bool *ended)
{
	ao_bundles *b = ao_xcalloc(1, sizeof(*b));
	*b = (ao_bundles){.loop = loop,
			  .config = config,
			  .metrics = metrics,
			  .options = options,
			  .stopping = stopping,
			  .ended = ended,
			  .count = options->bundle_count};
	b->posts = ao_xcalloc(b->count, sizeof(*b->posts));
	for (size_t i = 0; i < b->count; i++) {
		const char *dir = options->bundles[i];
		post *p = &b->posts[i];
		*p = (post){
		    .all = b, .dir = dir ? dir : AO_BUILTIN, .load = options->load, .again = ao_timer_new(loop, on_again, p), .due = true};
		p->load.bundle_dir = dir;
		p->load.beside_others = !is_alone(b);
		if (!is_alone(b) && ao_load_folder(dir))
			p->load.policies_dir = NULL;
	}
	return b;
}

void ao_bundles_free(ao_bundles *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->count; i++) {
		post *p = &b->posts[i];
		ao_controller_free(p->controller);
		ao_metrics_free(p->metrics);
		ao_timer_free(p->again);
		ao_err_free(p->trouble);
		cJSON_Delete(p->manifest);
	}
	free(b->posts);
	free(b);
}

int ao_bundles_run(ao_bundles *b, ao_err **reterr)
{
	while (!*b->ended) {
		b->turn = false;
		for (size_t i = 0; i < b->count; i++) {
			int r = tend(&b->posts[i], reterr);
			if (r < 0)
				return r;
		}
		if (!b->turn)
			ao_loop_run_until(b->loop, &b->turn, TURN_MS);
	}
	return 0;
}

/* ---- stopping ---- */

void ao_bundles_end(ao_bundles *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->posts[i].controller)
			ao_controller_end(b->posts[i].controller);
}

bool ao_bundles_ended(const ao_bundles *b)
{
	bool ended = true;
	for (size_t i = 0; i < b->count; i++)
		ended = ended && (!b->posts[i].controller || ao_controller_ended(b->posts[i].controller));
	return ended;
}

static void on_released(void *arg)
{
	ao_bundles *b = arg;
	if (--b->releasing == 0)
		b->on_released(b->on_released_arg);
}

void ao_bundles_release(ao_bundles *b, void (*done)(void *arg), void *arg)
{
	b->on_released = done;
	b->on_released_arg = arg;
	b->releasing = 1; /* until all have been asked: some are done at once */
	for (size_t i = 0; i < b->count; i++) {
		if (!b->posts[i].controller)
			continue;
		b->releasing++;
		ao_controller_release(b->posts[i].controller, on_released, b);
	}
	on_released(b);
}

/* ---- metrics, probes and pages ---- */

uint64_t ao_bundles_overdue_ms(const ao_bundles *b)
{
	uint64_t longest = 0;
	for (size_t i = 0; i < b->count; i++) {
		uint64_t ms = b->posts[i].controller ? ao_controller_overdue_ms(b->posts[i].controller) : 0;
		longest = ms > longest ? ms : longest;
	}
	return longest;
}

void ao_bundles_collect(ao_bundles *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (b->posts[i].controller)
			ao_controller_collect(b->posts[i].controller);
}

static void ready_of(const post *p, ao_checks *checks)
{
	if (p->controller && !p->trouble)
		ao_controller_ready(p->controller, checks);
	else
		ao_checks_add(checks, "policies", ao_xstrdup(p->trouble ? ao_err_text(p->trouble) : "not loaded yet"), NULL);
}

/** What is said in one check about several bundles. */
typedef struct said {
	const char *name;
	ao_buf text;
	bool holds; /* for one of them at least */
} said;

static void add_said(said *all, const char *bundle, const ao_check *check)
{
	said *s = all;
	while (s->name && strcmp(s->name, check->name) != 0)
		s++;
	if (!s->name)
		*s = (said){.name = check->name, .text = ao_buf_init(64 * 1024)};
	s->holds = s->holds || !check->failure;
	const char *text = check->failure ? check->failure : check->note;
	if (text && *text)
		ao_buf_printf(&s->text, "%s%s: %s", s->text.len ? "; " : "", bundle, text);
}

void ao_bundles_ready(ao_bundles *b, ao_checks *checks)
{
	said all[AO_CHECKS + 1] = {0};
	if (is_alone(b)) {
		ready_of(b->posts, checks);
		return;
	}
	for (size_t i = 0; i < b->count; i++) {
		ao_checks own = {0};
		ready_of(&b->posts[i], &own);
		for (size_t k = 0; k < own.count; k++)
			add_said(all, name_of(&b->posts[i]), &own.items[k]);
		ao_checks_clear(&own);
	}
	for (said *s = all; s->name; s++) {
		char *text = ao_xstrdup(s->text.data);
		ao_checks_add(checks, s->name, s->holds ? NULL : text, s->holds ? text : NULL);
		ao_buf_free(&s->text);
	}
}

/** Is the page one of these parents? */
static bool is_page_of(const char *rest, const char *path)
{
	size_t len = path ? strlen(path) : 0;
	return path && rest[0] == '/' && strncmp(rest + 1, path, len) == 0 && (rest[1 + len] == '/' || !rest[1 + len]);
}

void ao_bundles_debug(ao_bundles *b, const char *rest, ao_server_reply *reply)
{
	ao_controller *asked = NULL;
	bool index = !*rest || strcmp(rest, "/") == 0;
	size_t shown = 0;
	for (size_t i = 0; i < b->count; i++) {
		ao_controller *c = b->posts[i].controller;
		bool concerned = c && (index ? ao_controller_leads(c) : is_page_of(rest, ao_controller_debug_path(c)));
		asked = asked || !c ? asked : c;
		if (concerned) {
			ao_controller_debug(c, rest, reply);
			shown++;
		}
	}
	if (!shown)
		ao_controller_debug(asked, rest, reply);
}
