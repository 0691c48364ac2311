/* fallback.c -- what is lived by at the start, and when nothing is wanted: the base, with as much of --policies and --config as can be used. */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define TRIES 3 /* of loading at the start, where nothing waits for the loop */
#define AGAIN_MS 1000

/** A way to begin: what is left out. */
typedef struct way {
	bool config, policies;
} way;

static int load_by(const ao_policies *p, const way *without, ao_variant **ret, ao_err **reterr)
{
	ao_load_options load = *p->with.load;
	int r = -EINTR;
	load.config_file = without->config ? NULL : load.config_file;
	load.policies_dir = without->policies ? NULL : load.policies_dir;
	for (unsigned tries = 0; r == -EINTR && tries < TRIES; tries++)
		r = ao_variant_load_base(&load, ret, reterr);
	return r;
}

/** Who begins without a record has nothing to go on with but a configuration. */
static bool is_open(const ao_load_options *load, const way *without)
{
	return (!without->config || (load->config_file && load->parent)) && (!without->policies || load->policies_dir);
}

static void say(const ao_policies *p, const way *without, const char *why)
{
	const ao_load_options *load = p->with.load;
	const char *instead = load->parent       ? "what was live goes on"
			      : load->bundle_dir ? "those of the bundle serve"
						 : "the built-in ones serve";
	ao_auto_str char *policies = without->policies ? ao_xasprintf("the policies in %s", load->policies_dir) : NULL;
	ao_error(AO_POLICY, p->subject, "%s%s%s cannot be used, %s: %s", policies ? policies : "",
		 policies && without->config ? " and " : "", without->config ? load->config_file : "", instead, why);
}

/**
 * Files that cannot be used were refused while an operator was there, and do not end the next one: the record has what was live.  What can be
 * used is: parents may hold the finalizer, and the lease have the name, that a manifest among the policies says.
 */
int ao_fallback_load(ao_policies *p, ao_err **reterr)
{
	static const way WAYS[] = {{false, false}, {true, false}, {false, true}, {true, true}};
	ao_auto_err ao_err *why = NULL;
	int r = load_by(p, &WAYS[0], &p->fallback, &why);
	for (size_t i = 1; r < 0 && i < AO_LEN(WAYS); i++) {
		if (!is_open(p->with.load, &WAYS[i]) || load_by(p, &WAYS[i], &p->fallback, NULL) < 0)
			continue;
		r = 0;
		p->without_config = WAYS[i].config;
		p->edits[AO_ROLLOUT_MAIN].trouble = ao_xstrdup(ao_err_text(why));
		say(p, &WAYS[i], ao_err_text(why));
	}
	if (r == 0)
		return 0;
	/* a start that is interrupted is one that people end */
	return ao_err_set(reterr, r == -EINTR ? -ETIME : r, "%s", ao_err_text(why));
}

void ao_fallback_look(ao_policies *p)
{
	char **trouble = &p->edits[AO_ROLLOUT_MAIN].trouble;
	ao_auto_err ao_err *err = NULL;
	ao_variant *variant = NULL;
	if (!*trouble)
		return;
	int r = load_by(p, &(way){false, false}, &variant, &err);
	if (r == -EINTR) {
		ao_timer_start(p->look, AGAIN_MS);
		return;
	}
	free(*trouble);
	*trouble = r < 0 ? ao_xstrdup(ao_err_text(err)) : NULL;
	if (r < 0)
		return;
	ao_variant_unref(p->basis); /* of which it speaks: who leads begins with what is there then */
	p->basis = variant;
	ao_info(AO_POLICY, p->subject, "what could not be used at the start can be used now: bundle %s", ao_variant_digest(variant));
}
