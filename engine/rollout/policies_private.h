#pragma once
/** policies_private.h -- shared between policies.c (decides what happens next) and report.c (tells people). Private to rollout/. */
#include "loop/file_watch.h"
#include "rollout/annotations.h"
#include "rollout/policies.h"
#include "rollout/preflight.h"
#include "rollout/rollout.h"

typedef enum { AO_TRACK_MAIN, AO_TRACK_CANARY, AO_TRACK_UNCANARY } ao_track;

struct ao_policies {
	ao_policies_options with;
	ao_world *world; /* while leading */
	ao_reconciler *reconciler;
	const ao_openapi *openapi;
	ao_events *events;
	ao_informer *maps, *canary_maps;
	ao_resource resource;
	ao_file_watch *config; /* of --config, while leading; or NULL */
	ao_timer *look;        /* an edit is looked at a moment later, so that several edits count as one */
	void (*on_started)(void *arg);
	void *on_started_arg;

	ao_variant *main;   /* the bundle that parents have, or will get */
	ao_variant *good;   /* the bundle to go back to while `main` is rolled out; else the same as main */
	ao_variant *canary; /* or NULL */
	bool forbidden;     /* we are not allowed to read ConfigMaps here: the bundle of the start serves */
	bool recorded;      /* the ConfigMap with the live files exists */
	bool first;         /* no bundle was ever live here: the first one serves without a rollout */

	ao_variant *candidate; /* in preflight */
	ao_cases *cases;       /* of the candidate that was loaded last, until its preflight takes them; or NULL */
	ao_track track;
	ao_preflight *preflight;
	ao_rollout *rollout;
	ao_annotations *notes;   /* what ConfigMaps are annotated with; NULL until there is something to say */
	ao_map *held_by;         /* key -> ao_variant, for parents that the rollout has not reached */
	char *rejected[3];       /* digest or message of what was refused last, by track: said once */
	unsigned interrupted[3]; /* how often in a row the sandbox's clock stopped loading, by track */
	char *refused_by;        /* key of the parent that the last refused bundle failed on: another try when it changes; or NULL */
	ao_track refused_track;
	char *trouble; /* what /readyz says; NULL: all is well */
	char *noted;   /* what was said last about the live bundle's parameters; or NULL */
};

/* report.c */
/** @param candidate  NULL: the bundle did not load */
void ao_policies_rejected(ao_policies *p, ao_track track, const ao_variant *candidate, const char *why);
/** The bundle was live for some parents, and is taken back. */
void ao_policies_taken_back(ao_policies *p, ao_track track, const ao_variant *variant, const char *why);
void ao_policies_accepted(ao_policies *p, ao_track track, const ao_preflight_result *result);
void ao_policies_rolled_out(ao_policies *p, ao_track track);
/** Says once which parameters belong to no policy of the live bundle. */
void ao_policies_note_params(ao_policies *p);
/** Writes the live files to the ConfigMap of our own. */
void ao_policies_record(ao_policies *p);
