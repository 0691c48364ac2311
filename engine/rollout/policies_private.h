#pragma once
/** policies_private.h -- shared between policies.c (what happens when) and report.c (who is told). Private to rollout/. */
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
	ao_timer *look;        /* an edit is looked at a moment later, so that several make one */
	void (*on_started)(void *arg);
	void *on_started_arg;

	ao_variant *main;   /* what parents have or are to get */
	ao_variant *good;   /* what to go back to while `main` is rolled out; else the same as main */
	ao_variant *canary; /* or NULL */
	bool forbidden;     /* we may not read ConfigMaps here: what was loaded at start serves */
	bool recorded;      /* the live ConfigMap is there */
	bool first;         /* nothing was ever live here: the first bundle is not rolled out but just there */

	ao_variant *candidate; /* in preflight */
	ao_track track;
	ao_preflight *preflight;
	ao_rollout *rollout;
	ao_annotations *notes; /* what ConfigMaps are annotated with; NULL until there is something to say */
	ao_map *held_by;       /* key -> ao_variant, for parents that the rollout has not reached */
	char *rejected[3];     /* digest or message of what was refused last, by track: said once */
	char *refused_by;      /* key of the parent that the last refused bundle failed on: another try when it changes; or NULL */
	ao_track refused_track;
	char *trouble; /* what readyz says about it; NULL: all is well */
	char *noted;   /* of the live bundle's parameters, said last; NULL: nothing */
};

/* report.c */
/** @param candidate  NULL: it did not even load */
void ao_policies_rejected(ao_policies *p, ao_track track, const ao_variant *candidate, const char *why);
/** It was live for some, and is taken back. */
void ao_policies_taken_back(ao_policies *p, ao_track track, const ao_variant *variant, const char *why);
void ao_policies_accepted(ao_policies *p, ao_track track, const ao_preflight_result *result);
void ao_policies_rolled_out(ao_policies *p, ao_track track);
/** Says once which parameters belong to no policy of the live bundle. */
void ao_policies_note_params(ao_policies *p);
/** Keeps the live files in the ConfigMap of our own. */
void ao_policies_record(ao_policies *p);
