#pragma once
/**
 * policies_private.h -- shared between the files of this room, and private to it:
 *
 *   policies.c      tells the machine what happens
 *   fallback.c      loads what there is to begin with
 *   edits.c         finds out what is wanted
 *   errands.c       does what the machine wants done
 *   kinds.c         has the kinds watched that policies declare
 *   recall.c        reads what a predecessor left
 *   record_write.c  writes what a successor needs
 *   commands.c      obeys what people ask for
 *   report.c        tells people what happens
 *   put_back.c      tells people whose edits a tool puts back
 */
#include "loop/file_watch.h"
#include "rollout/annotations.h"
#include "rollout/archive.h"
#include "rollout/check.h"
#include "rollout/machine/machine.h"
#include "rollout/policies.h"
#include "rollout/wanted.h"

/** What is known of the edit of a track. */
typedef struct ao_edit {
	char *digest, *selection; /* what sources hold; NULL: nothing */
	ao_wanted wanted;         /* ... as it was put together last, until it is loaded and its cases are run */
	ao_check_sums sums;       /* of the checks so far */
	ao_cases *cases;          /* running, or NULL */
	ao_variant *cased;        /* the bundle whose cases run */
	ao_sources case_files;
	unsigned denials; /* how often in a row a right was found to be missing */
	char *trouble;    /* what /readyz says; NULL: all is well */
	char *back;       /* why it goes back; NULL: it does not, or nobody is to blame */
	char *unread;     /* what was said last about ConfigMaps that cannot be understood; or NULL */
} ao_edit;

/** A word that people wrote on a ConfigMap, and that was obeyed. */
typedef struct ao_heard {
	char *text, *name; /* name: of the ConfigMap */
	uint64_t record;   /* the first one, counted as in `writing`, that has what came of it; 0: that is written, or there was nothing */
} ao_heard;

/** What the machine was told about a parent. */
typedef struct ao_seen_parent {
	char *uid;
	char has[AO_BUNDLE_DIGEST]; /* as its status said last, or has.c; "": nothing */
	bool said;                  /* its status says it */
	int64_t generation;
	uint64_t labels;
	bool parting; /* the manifest that came does not choose it any more: what it has is taken away when its turn comes */
} ao_seen_parent;

struct ao_policies {
	ao_policies_options with;
	const char *subject;                       /* of lines of the log: which bundle it is, among several; NULL: there is one */
	ao_variant *fallback;                      /* of the binary and of --policies */
	bool without_config;                       /* ... and not of --config, which could not be used at the start */
	ao_variant *basis;                         /* the world is made for its manifest */
	ao_variant *heading;                       /* where parents were on their way to when the lease was won; or NULL */
	cJSON *kinds;                              /* ... and for these, which policies declare; NULL: not known yet */
	bool kinds_read;                           /* those of the record are among them */
	ao_map *variants;                          /* digest -> ao_variant: those at hand */
	char *record_name;                         /* of the ConfigMap */
	ao_informer *maps, *canary_maps, *records; /* NULL: not begun, or we are not allowed to read ConfigMaps */
	ao_informer *named_maps;                   /* those that have our name in a label; NULL: as above, or there is no such label */
	ao_file_watch *config, *folder; /* of --config and --bundle, from the first time that we lead, or that they are wrong; or NULL */
	ao_annotations *notes, *edit_notes; /* of `<label>-state` and `<label>-edited` */
	ao_map *edited;                     /* uid of a ConfigMap -> the edits in it that people were told of; "": none */
	ao_archive *archive;

	void (*on_recalled)(void *arg);
	void *on_recalled_arg;
	char *recalling;          /* the bundle that is fetched for its manifest, or for what was said last; or NULL */
	ao_rollout_record record; /* as the predecessor left it */
	bool recorded;            /* there is such a record */
	char *record_text;        /* as it was read or written last; or NULL */
	ao_map *had; /* uid -> digest, as the record that we found says of parents without a status of ours; NULL: all have been seen */
	char *stuck; /* why the record cannot be used: no parent is touched until it can; or NULL */

	ao_world *world; /* while leading */
	ao_reconciler *reconciler;
	const ao_openapi *openapi;
	ao_events *events;
	ao_machine *machine;          /* NULL: not leading, caches are not filled, or the record cannot be used */
	ao_machine_settings settings; /* as they were wanted last */
	ao_map *parents;              /* key -> ao_seen_parent */
	size_t parting;               /* how many of them are `parting` */
	ao_edit edits[AO_ROLLOUT_TRACKS];
	struct {
		bool open;
		uint64_t count; /* records whose writing was begun */
		uint64_t version;
		ao_rollout_record record;
		bool manifest;   /* it is for another manifest: everything begins anew when it is written, and nothing else goes on */
		ao_map *refused; /* digests of texts that could not be kept, and with the next record are tried again */
		ao_map *kept;    /* the part of the record in flight that says what is kept */
		char *text;      /* the whole text of the record in flight */
		ao_kube_call *call;
	} writing;
	ao_map *unkept;       /* digests of bundles that could not be kept, which people were told */
	size_t fetching;      /* bundles that the archive was asked for */
	bool sweep;           /* bundles, or kinds that policies declare, may have become superfluous */
	char *unwritable;     /* why the record cannot be written, and nobody waits for it; or NULL */
	char *missing_digest; /* of the bundle that was missed last */
	char *missing;        /* what is said about bundles that are in use and cannot be had; or NULL */
	char *noted;          /* what was said last about the live bundle's parameters; or NULL */
	unsigned interrupted; /* how many times in a row the sandbox's clock stopped us */
	ao_map *heard;        /* uid of a ConfigMap -> ao_heard: the word of its annotation that was obeyed last */
	ao_timer *look;       /* looks at edits a moment later, so that several of them count as one */
	ao_timer *turn;       /* there may be tasks */
	ao_timer *tick;       /* the machine's clock, while it is busy */
	ao_timer *anew;       /* the world is about to be made anew, for other kinds */
	void (*on_started)(void *arg);
	void *on_started_arg;
};

/* policies.c */
void ao_policies_turn_soon(ao_policies *p);
void ao_policies_look_soon(ao_policies *p);
/** Lets passes begin, if everything is there that parents need to be served. */
void ao_policies_try_start(ao_policies *p);
/** A bundle that is loaded, whether the machine has asked for it or not; NULL: it is not. Borrowed. */
ao_variant *ao_policies_variant(const ao_policies *p, const char *digest);
/** The bundle that speaks for all: the live one, else the one that stands in for it. Borrowed. */
ao_variant *ao_policies_spokesman(const ao_policies *p);

/* fallback.c */
/** Loads the fallback; what cannot be used, and is not needed, is left out and told. @return as ao_policies_new() */
int ao_fallback_load(ao_policies *p, ao_err **reterr);
/** While standing by: can what was left out be used by now? */
void ao_fallback_look(ao_policies *p);

/* edits.c */
/** Looks at sources and settings. @return false: the sandbox's clock stopped it, and it will be tried again */
bool ao_edits_look(ao_policies *p);
/** Puts together what a track wants, unless that was done for this bundle. @return as ao_wanted_get(), into the edit of the track */
int ao_edit_want(ao_policies *p, ao_rollout_track track, const char *digest, ao_err **reterr);
/** How fast edits go, in the form of the setting `rollout`. The caller frees. */
cJSON *ao_edit_pace(const ao_policies *p);
/** The ConfigMaps of a track. */
ao_edit_maps ao_edit_maps_of(const ao_policies *p, ao_rollout_track track);
void ao_edit_stop_cases(ao_edit *edit);
void ao_edit_clear(ao_edit *edit); /* before it is freed */

/* record_write.c */
/** Writes the record, and before it the texts of bundles that it names. Ends with ao_errands_written(). @param record  taken */
void ao_record_write_start(ao_policies *p, ao_rollout_record *record);
void ao_record_write_stop(ao_policies *p);

/* errands.c */
/** The record has been written, or could not be written. */
void ao_errands_written(ao_policies *p, bool good);
/** Takes tasks until none is left, or until its slice of time is over. */
void ao_errands_run(ao_policies *p);
/** Writes the record for another manifest, again if need be, and then begins anew. */
void ao_errands_change_manifest(ao_policies *p);
/** Forgets everything that was begun. */
void ao_errands_stop(ao_policies *p);
/** Loads the bundle, perhaps at once, then tells the machine, or recall.c. */
void ao_errands_load(ao_policies *p, const char *digest);

/* kinds.c */
/** The manifest that the world is made for: that of the basis, with what is declared. The caller frees. */
cJSON *ao_kinds_manifest(const ao_policies *p);
/** There is a new basis: what it declares is watched, too. */
void ao_kinds_begin(ao_policies *p);
/**
 * @return true: all that the bundle declares is watched. false: `*ret_why` says why it cannot be, the caller frees; NULL: the world is about
 * to be made anew, and then the bundle will be asked for again
 */
bool ao_kinds_take(ao_policies *p, const ao_variant *variant, char **ret_why);
/** Has no kind watched that nobody needs any more, and of which nothing is left. */
void ao_kinds_spare(ao_policies *p);
/**
 * Why an edit cannot have what it declares; NULL: it can. The caller frees.
 * @param ret_denied  set to true when that is for want of a right
 */
char *ao_kinds_trouble(const ao_policies *p, const ao_variant *variant, bool *ret_denied);
/** When `anew` has run down. @param arg  the ao_policies */
void ao_kinds_anew(void *arg);

/* has.c: for parents whose status does not say it */
/**
 * What the record says: digest -> uids of those that have it, without the live one; or, where too many have another one, without the one that
 * `others` names. Empty where statuses say it. The caller frees.
 */
cJSON *ao_has_json(const ao_policies *p, const char *live);
/** Takes what the record of the process before us says. @param text  NULL: there is none */
void ao_has_recall(ao_policies *p, const char *text);
/** All parents that were there have been seen: one that comes now, or is chosen again, has none. What the record named may be gone by then. */
void ao_has_all_seen(ao_policies *p);
/**
 * Does this one, which is not chosen now, have anything of another bundle than the live one when we begin?  Then it is the manifest that has
 * changed, and takes that away.  Most of those that a decorator chooses have nothing: they wait for nothing, and nobody waits for them, but
 * for one that has lost it a moment ago, whose place is not free yet.
 */
bool ao_has_another(const ao_policies *p, const ao_object *stub);
/** The bundle that a parent has; NULL: none, as far as is known. Borrowed. */
const char *ao_has_of(const ao_policies *p, const ao_object *parent);

/* recall.c */
/** The ConfigMaps are known now, or have changed. */
void ao_recall_go_on(ao_policies *p);
/** The ConfigMap of the record has changed or is gone: did somebody else do that? */
void ao_recall_watch(ao_policies *p, const ao_object *map);
/** Takes the bundle that was asked for. @param variant  taken; NULL: it is not there, and `verdict` says whether it may come later */
void ao_recall_loaded(ao_policies *p, ao_variant *variant, ao_verdict verdict, const char *why);
/** The record's ConfigMap as it was seen last; NULL: there is none. */
const ao_object *ao_recall_map(const ao_policies *p);
/** The text of the record in it, NULL when there is no ConfigMap; the caller frees. @param map  may be NULL */
char *ao_recall_text(const ao_object *map);

/* commands.c */
/** Obeys the word that a person wrote on a ConfigMap, once. */
void ao_commands_hear(ao_policies *p, const ao_object *map, bool is_record, ao_rollout_track track);
/** A record was written: words that it has done with are taken off. */
void ao_commands_written(ao_policies *p);
/** The machine goes. What it did at a word, and nobody wrote down, the next one must do. @param all  there is no next one in this process */
void ao_commands_forget(ao_policies *p, bool all);

/* report.c */
void ao_report_news(ao_policies *p, const ao_task *news);
/** Says once that the ConfigMaps of a track cannot be understood or put together. */
void ao_report_unread(ao_policies *p, ao_rollout_track track, const char *why);
/** An edit was undone: what the sources hold is live already. */
void ao_report_undone(ao_policies *p, ao_rollout_track track);
/** Annotates ConfigMaps that say nothing of themselves yet, though what they hold serves already: those that changed no bundle. */
void ao_report_unmarked(ao_policies *p, ao_rollout_track track);
/** Says once which parameters belong to no policy of the live bundle. */
void ao_report_params(ao_policies *p);
/** Sends an Event about one ConfigMap. */
void ao_report_event(ao_policies *p, const ao_object *map, bool warning, const char *reason, const char *note);
/** We are not allowed to write the record, said once; NULL: it was written. */
void ao_report_unwritable(ao_policies *p, const char *why);
/** The bundle that was missing is there. */
void ao_report_found(ao_policies *p);
/** Nobody has it any more. */
void ao_report_unused(ao_policies *p);
/** Says once that what is wanted was refused before this start. */
void ao_report_refused_before(ao_policies *p, ao_rollout_track track);
/** Sends an Event about the ConfigMap of the record, which need not exist yet, and writes a line to the log. */
void ao_report_record(ao_policies *p, bool warning, const char *reason, const char *note);

/* put_back.c */
/** Looks for files that were edited beside the tool which manages their ConfigMap, and for such edits that are gone. While leading. */
void ao_put_back_look(ao_policies *p);
