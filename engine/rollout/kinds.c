/*
 * kinds.c -- which kinds that policies declare are watched.
 *
 * The world is made for the manifest of its basis and for a list of declared kinds.  The list grows when a bundle declares another kind, and
 * shrinks when no bundle at hand declares a kind and no object of it is left that a parent owns.  Either way the world is made anew, as for
 * a new leader; the edit goes on from the record, at its own pace.  The record holds the list: after a restart in the middle of an edit that
 * is taken back, what it made is still seen, and so goes.
 */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define ANEW_MS 10
#define MAX_KINDS 64 /* declared ones, in all bundles that are at hand */

static const cJSON *declared_by(const ao_variant *variant) { return ao_json_at(ao_bundle_manifest(variant->loaded.bundle), "kinds"); }

/** What the bundles at hand declare. @param used  only those that are: an edit that another one has replaced has no say */
static cJSON *declared(const ao_policies *p, bool used)
{
	cJSON *rows = cJSON_CreateArray();
	size_t cursor = 0;
	const char *digest;
	for (const ao_variant *v; (v = ao_map_next(p->variants, &cursor, &digest));)
		if (!used || ao_machine_uses(p->machine, digest))
			ao_manifest_add_kinds(rows, declared_by(v));
	return rows;
}

cJSON *ao_kinds_manifest(const ao_policies *p)
{
	cJSON *manifest = cJSON_Duplicate(ao_bundle_manifest(p->basis->loaded.bundle), 1);
	if (p->kinds)
		ao_json_set(manifest, "kinds", cJSON_Duplicate(p->kinds, 1));
	return manifest;
}

int ao_policies_manifest(const ao_policies *p, ao_manifest **ret, ao_err **reterr)
{
	ao_auto_json cJSON *manifest = ao_kinds_manifest(p);
	return ao_manifest_read(manifest, ret, reterr);
}

void ao_kinds_begin(ao_policies *p)
{
	ao_auto_json cJSON *was = p->kinds;
	p->kinds = cJSON_CreateArray();
	ao_manifest_add_kinds(p->kinds, declared_by(p->basis));
	ao_manifest_add_kinds(p->kinds, was);
}

/* ---- more and fewer ---- */

static void begin_anew(ao_policies *p, cJSON *kinds)
{
	cJSON_Delete(p->kinds);
	p->kinds = kinds;
	ao_timer_start(p->anew, ANEW_MS);
}

void ao_kinds_anew(void *arg)
{
	ao_policies *p = arg;
	if (p->writing.open) { /* what is being written shall be seen by us in the end, and not as somebody else's work */
		ao_timer_start(p->anew, ANEW_MS);
		return;
	}
	ao_info(AO_POLICY, p->subject, "other kinds are to be watched, or may be: starting all watches again");
	p->with.on_manifest(p->with.arg);
}

/** @return the row of `variant` that says something else of a kind than what is in use; NULL: there is none */
static const cJSON *conflict(const ao_policies *p, const ao_variant *variant, const cJSON *rows)
{
	const cJSON *children = ao_json_at(ao_bundle_manifest(p->basis->loaded.bundle), "children"), *row;
	cJSON_ArrayForEach (row, declared_by(variant)) {
		const cJSON *same = ao_manifest_same_kind(rows, row);
		same = same ? same : ao_manifest_same_kind(children, row);
		if (same && !ao_json_equal(same, row))
			return row;
	}
	return NULL;
}

bool ao_kinds_take(ao_policies *p, const ao_variant *variant, char **ret_why)
{
	ao_auto_json cJSON *watched = ao_kinds_manifest(p), *rows = declared(p, true);
	const cJSON *row;
	bool lacks = false;
	cJSON_ArrayForEach (row, declared_by(variant))
		lacks = lacks || !ao_manifest_holds(watched, row);
	if (!lacks)
		return true;
	row = conflict(p, variant, rows);
	if (row) {
		*ret_why = ao_xasprintf("it declares %s %s in another way than the policies that serve now", ao_json_str(row, "apiVersion"),
					ao_json_str(row, "kind"));
		return false;
	}
	ao_manifest_add_kinds(rows, declared_by(variant));
	ao_manifest_add_kinds(rows, p->kinds);
	if (cJSON_GetArraySize(rows) > MAX_KINDS)
		*ret_why = ao_xasprintf("policies declare more than %d kinds", MAX_KINDS);
	else
		begin_anew(p, AO_TAKE(rows));
	return false;
}

/** Does a parent own an object of this kind? */
static bool is_left(const ao_policies *p, const ao_kind *kind)
{
	const char *parent = ao_world_manifest(p->world)->kinds[0].resource.kind;
	size_t cursor = 0;
	for (const ao_object *o; (o = ao_store_next(ao_world_store(p->world, kind), &cursor));)
		if (kind->by_label || strcmp(o->owner_kind, parent) == 0)
			return true;
	return false;
}

/** Is it known and recorded which bundles are needed, and is each of them at hand? What is not recorded would be tried again. */
static bool is_settled(const ao_policies *p)
{
	bool trying = false;
	for (ao_rollout_track track = 0; track < AO_ROLLOUT_TRACKS; track++)
		trying = trying || ao_machine_trial(p->machine, track) != AO_TRIAL_NONE;
	return ao_machine_begun(p->machine) && ao_machine_recorded(p->machine) && !trying && !p->missing && !p->fetching &&
	       !p->on_started && !ao_timer_active(p->anew);
}

void ao_kinds_spare(ao_policies *p)
{
	if (!cJSON_GetArraySize(p->kinds) || !is_settled(p))
		return;
	ao_auto_json cJSON *rows = declared(p, false); /* what is not used has been dropped */
	const cJSON *row;
	bool spared = false;
	cJSON_ArrayForEach (row, p->kinds) {
		const ao_kind *kind = ao_manifest_same_kind(rows, row) ? NULL : ao_manifest_kind(ao_world_manifest(p->world), row);
		bool left = kind && is_left(p, kind);
		spared = spared || (kind && !left);
		if (left)
			cJSON_AddItemToArray(rows, cJSON_Duplicate(row, 1));
	}
	if (spared)
		begin_anew(p, AO_TAKE(rows));
}

/* ---- before an edit is tried ---- */

char *ao_kinds_trouble(const ao_policies *p, const ao_variant *variant, bool *ret_denied)
{
	const cJSON *row;
	cJSON_ArrayForEach (row, declared_by(variant)) {
		const ao_kind *kind = ao_manifest_kind(ao_world_manifest(p->world), row);
		if (kind && ao_world_denied(p->world, kind)) {
			ao_auto_str char *rule = ao_kind_rule(kind);
			*ret_denied = true;
			return ao_xasprintf(
			    "is not allowed to list %s, which a policy declares. Give the right to it, in the values of the chart: "
			    "rbac: {extraRules: [%s]}, and then say: asya-operator rollout resume",
			    kind->resource.plural, rule);
		}
		if (kind && kind->declared && ao_world_absent(p->world, kind))
			return ao_xasprintf(
			    "the server does not know %s of %s, which a policy declares. `kubectl api-resources` shows what it "
			    "knows. When it does, say: asya-operator rollout resume",
			    kind->resource.plural, kind->resource.api_version);
	}
	return NULL;
}
