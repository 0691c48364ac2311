/* recall.c -- reads the record that a predecessor left when the lease is won, and watches it from then on. */
#include "base/log.h"
#include "base/mem.h"
#include "rollout/policies_private.h"

#include <string.h>

#define AGAIN_MS 1000

const ao_object *ao_recall_map(const ao_policies *p)
{
	ao_auto_str char *key = ao_xasprintf("%s/%s", p->with.namespace_, p->record_name);
	return p->records ? ao_store_get(ao_informer_store(p->records), key) : NULL;
}

char *ao_recall_text(const ao_object *map)
{
	ao_auto_json cJSON *tree = NULL;
	if (!map || ao_object_tree(map, &tree, NULL) < 0)
		return NULL;
	const char *text = ao_json_str(tree, "data", "record");
	return ao_xstrdup(text ? text : "");
}

static void get_stuck(ao_policies *p, const ao_err *err)
{
	ao_auto_str char *note = ao_xasprintf(
	    "the record of what is live cannot be used, so the children of all parents are left as they are: ConfigMap %s, %s. %s",
	    p->record_name, ao_err_text(err),
	    err->code == -ENOTSUP ? "Install the newer version again."
				  : "Put back what was there, or delete the ConfigMap: then policies are tried as at the first start.");
	if (!p->stuck || strcmp(p->stuck, note) != 0)
		ao_report_record(p, true, "PoliciesRecordWrong", note);
	free(p->stuck);
	p->stuck = AO_TAKE(note);
}

static void read_record(ao_policies *p)
{
	ao_auto_err ao_err *err = NULL;
	ao_rollout_record record = {0};
	ao_map *kept = ao_map_new();
	ao_auto_str char *text = ao_recall_text(ao_recall_map(p));
	int r = text ? ao_record_read(text, &record, kept, &err) : 0;
	if (r < 0 && !err)
		ao_err_set(&err, r, "its text is not valid JSON");
	if (!p->kinds_read) { /* later they are our own business */
		ao_auto_json cJSON *was = p->kinds;
		p->kinds = ao_record_kinds(text ? text : "");
		ao_manifest_add_kinds(p->kinds, was);
		p->kinds_read = p->maps;
	}
	ao_has_recall(p, text);
	ao_archive_adopt(p->archive, kept); /* even of a record that is wrong: what it names is not overwritten */
	ao_rollout_record_clear(&p->record);
	p->record = record;
	p->recorded = text && r == 0;
	free(p->record_text);
	p->record_text = AO_TAKE(text);
	if (r < 0)
		get_stuck(p, err);
	else
		free(AO_TAKE(p->stuck));
}

static void take(ao_variant **slot, ao_variant *variant)
{
	ao_variant_unref(*slot);
	*slot = variant;
}

static void end(ao_policies *p)
{
	void (*fn)(void *arg) = p->on_recalled;
	ao_kinds_begin(p);
	p->on_recalled = NULL;
	fn(p->on_recalled_arg);
}

void ao_recall_go_on(ao_policies *p)
{
	bool seen = !p->maps || (ao_informer_synced(p->maps) && ao_informer_synced(p->canary_maps) && ao_informer_synced(p->records) &&
				 (!p->named_maps || ao_informer_synced(p->named_maps)));
	if (!seen || p->recalling)
		return;
	read_record(p);
	const ao_rollout_line *main = &p->record.tracks[AO_ROLLOUT_MAIN];
	const char *digest = main->live.digest ? main->live.digest : main->to.digest;
	take(&p->heading, NULL);
	if (!digest) {
		take(&p->basis, ao_variant_ref(p->fallback));
		end(p);
		return;
	}
	p->recalling = ao_xstrdup(digest);
	ao_errands_load(p, digest);
}

/** Where parents were on their way to, if that is another bundle than the one that was live. */
static const char *heading(const ao_policies *p)
{
	const ao_rollout_line *main = &p->record.tracks[AO_ROLLOUT_MAIN];
	bool goes =
	    main->stage == AO_ROLLOUT_FORWARD && main->live.digest && main->to.digest && strcmp(main->live.digest, main->to.digest) != 0;
	return goes ? main->to.digest : NULL;
}

void ao_recall_loaded(ao_policies *p, ao_variant *variant, ao_verdict verdict, const char *why)
{
	const char *next = heading(p);
	bool last = !next || strcmp(p->recalling, next) == 0;
	if (!variant && verdict == AO_VERDICT_AGAIN) {
		ao_warn(AO_POLICY, p->subject, "cannot load bundle %s, which was in use: %s: tried again", p->recalling, why);
		free(AO_TAKE(p->recalling));
		ao_timer_start(p->look, AGAIN_MS);
		return;
	}
	free(AO_TAKE(p->recalling));
	if (next && last)
		take(&p->heading, variant);
	else
		take(&p->basis, variant ? variant : ao_variant_ref(p->fallback)); /* the machine will find that it is missing */
	if (last) {
		end(p);
		return;
	}
	p->recalling = ao_xstrdup(next);
	ao_errands_load(p, next);
}

void ao_recall_watch(ao_policies *p, const ao_object *map)
{
	ao_auto_str char *text = ao_recall_text(map);
	bool ours =
	    text && ((p->record_text && strcmp(text, p->record_text) == 0) || (p->writing.text && strcmp(text, p->writing.text) == 0));
	if (p->stuck && !p->machine && p->world) {
		read_record(p);
		ao_policies_look_soon(p);
		if (!p->stuck) /* what is live may need another world than what stood in for it */
			ao_timer_start(p->anew, 0);
	} else if (p->machine && !ours) {
		ao_report_record(
		    p, true, "PoliciesRecordEdited",
		    "the record of what is live was edited or deleted by somebody else; it is written again as it was. To steer, "
		    "use `asya-operator rollout` or the annotation that it writes");
		ao_machine_rewrite(p->machine);
		ao_policies_turn_soon(p);
	}
}
