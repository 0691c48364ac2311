#pragma once
/**
 * machine_private.h -- the machine's state, shared between machine.c (events), tasks.c (tasks and answers), members.c (which parent is
 * moved when) and trial.c (what an edit must pass before it reaches a parent).  Private to rollout/machine/.
 */
#include "base/map.h"
#include "rollout/machine/machine.h"

/** A bundle that the machine has heard of. */
typedef struct ao_known {
	char *digest;
	bool at_hand; /* loaded */
	bool missing; /* cannot be loaded */
	bool told;    /* ... and people were told */
	enum { AO_UNASKED, AO_ASK, AO_ASKED } asking;
	unsigned again; /* times in a row that it could not be loaded for reasons of the moment */
	uint64_t ask_after_ms;
	bool marked; /* in use, as mark_all() found */
} ao_known;

typedef struct ao_goal {
	ao_known *bundle; /* NULL: nothing */
	char *selection;
} ao_goal;

typedef enum { AO_PLACE_NONE, AO_PLACE_SLOT, AO_PLACE_FREE } ao_place;
typedef enum { AO_CHECK_NONE, AO_CHECK_DUE, AO_CHECK_ASKED, AO_CHECK_DONE } ao_check_state;

/** A parent. */
typedef struct ao_member {
	const char *key;                      /* of machine->members, which is its owner */
	size_t index;                         /* in machine->order */
	size_t unsettled;                     /* in machine->unsettled, from 1; 0: it is not there */
	ao_known *has;                        /* carried out last, as its status says; NULL: none was, or it is not known */
	ao_known *serving;                    /* NULL: it was never served */
	ao_known *target;                     /* the goal of its track */
	ao_known *aim;                        /* chosen: the target that the record will name */
	const ao_known *gentle[2];            /* a move between these two restarts no pods, in either direction */
	const ao_known *refuses;              /* the bundle that may call it invalid, as its check said */
	ao_rollout_track owner;               /* whose goal the target is */
	uint64_t version;                     /* chosen: it is moved when this record is written */
	uint64_t since_ms, ready_since_ms;    /* moving: since when; AO_NEVER: not ready */
	bool deleting, ready, in_live, in_to; /* in_*: the canary's selections include it */
	bool chosen;                          /* is to be moved */
	bool moving;                          /* was moved and is not through */
	bool unconfirmed;                     /* was moved, but its status does not say yet that this was carried out */
	bool touched;                         /* when it was moved last, it was unconfirmed or not well */
	bool doubt;                           /* it is not known whether `serving` has touched it: it is held until it is moved anew */
	bool parked;                          /* was given up while in doubt: no edit waits for it */
	bool was_ready;                       /* before it was moved, and it has not been well since */
	bool unsaid;                          /* its status says nothing of readiness */
	bool said_ready;                      /* ... and said that it was ready before it was moved */
	bool carried, refused, rolling_out;   /* as reported by the last pass of `serving` since it was moved */
	bool fresh;                           /* is served for the first time, and no pass has reported yet that this was carried out */
	bool redo;                            /* is in machine->redos */
	ao_place place;                       /* what it takes up while chosen or moving */
	ao_rollout_mark mark;
	ao_check_state check[AO_ROLLOUT_TRACKS];
	unsigned char tries[AO_ROLLOUT_TRACKS];
} ao_member;

/** An edit that has reached no parent. */
typedef struct ao_trial {
	ao_trial_stage stage;
	ao_goal to;
	bool asked, approved, told; /* asked: the task of this stage was handed out; told: that it waits for a person */
	unsigned again;             /* times in a row that a task was answered with AO_VERDICT_AGAIN */
	uint64_t again_ms;          /* not before */
	size_t due, pending;        /* checks that are to be handed out, and that have been */
	size_t cursor;
} ao_trial;

typedef struct ao_line {
	ao_goal live, to, wanted;
	ao_rollout_stage stage;
	bool paused;
	ao_trial trial;
	unsigned total, busy, failed, slow;
	unsigned waiting[2]; /* [1]: gently */
} ao_line;

typedef struct ao_saying {
	ao_news news;
	ao_rollout_track track;
	char *digest, *selection, *key, *text;
} ao_saying;

#define AO_NEVER UINT64_MAX

struct ao_machine {
	ao_machine_options with;
	ao_known *fallback;
	uint64_t now_ms, ticked_ms; /* now: the sum of all steps that were not too long to be true */
	bool ticked, synced;
	ao_map *known;   /* digest -> ao_known */
	size_t unswept;  /* how many were added since the last sweep */
	ao_map *members; /* key -> ao_member */
	ao_member **order;
	ao_member **unsettled; /* those that are moved, or not well: room for as many as in `order` */
	size_t unsettled_count;
	size_t first_wanting; /* none before it in `order` has to be moved */
	size_t count, size;
	ao_line lines[AO_ROLLOUT_TRACKS];
	ao_rollout_record kept; /* refusals, revisions and the pin; the rest of the record is made when it is asked for */
	ao_map *movers;         /* of the predecessor, key -> ao_rollout_mover in kept; NULL once synced */
	bool reconsider;        /* what is wanted must be compared with where the tracks go */

	uint64_t version, written, writing; /* of the record: as it is, as it was written last, in flight (0: none) */
	uint64_t line_version;              /* of the first record that says where the tracks go now */
	uint64_t write_after_ms, written_ms;
	bool stale; /* the record only names movers that have arrived: there is no hurry to write it */

	unsigned slots, free_places; /* taken */
	unsigned strays;             /* members on their way to a bundle that is not their target any more */
	unsigned asks;               /* bundles to be asked for */

	ao_member **redos;
	size_t redo_count, redo_at, redo_size;
	ao_saying *sayings;
	bool said; /* the first of them was handed out */
	size_t saying_count, saying_at, saying_size;
};

/* machine.c */
ao_known *ao_machine_know(ao_machine *m, const char *digest); /* NULL for NULL */
/** Asks for a bundle, unless it is at hand or missing. NULL is fine. */
void ao_machine_need(ao_machine *m, ao_known *bundle);
void ao_machine_say(ao_machine *m, ao_news news, ao_rollout_track track, const ao_goal *what, const char *key, const char *text);
void ao_saying_clear(ao_saying *saying);
void ao_machine_redo(ao_machine *m, ao_member *p);
/** A track goes elsewhere now: every target is found anew, and no member is moved before the record says so. */
void ao_machine_turn(ao_machine *m);
void ao_machine_goal_set(ao_goal *goal, ao_known *bundle, const char *selection);
bool ao_machine_goal_same(const ao_goal *a, const ao_goal *b);
static inline const ao_goal *ao_line_goal(const ao_line *line) { return line->stage == AO_ROLLOUT_FORWARD ? &line->to : &line->live; }

/** How long to wait before the next try of something that failed so many times for reasons of the moment. */
uint64_t ao_machine_again_ms(unsigned times);

/* members.c */
ao_member *ao_member_new(ao_machine *m, const ao_machine_parent *parent);
void ao_member_free(ao_machine *m, ao_member *p);
void ao_member_update(ao_machine *m, ao_member *p, const ao_machine_parent *parent);
void ao_member_report(ao_machine *m, ao_member *p, const ao_machine_report *report);
/** Takes what the check by `bundle` said. */
void ao_member_checked(ao_machine *m, ao_member *p, const ao_known *bundle, const ao_machine_check *check);
/** Finds its track and its target anew. */
void ao_member_aim(ao_machine *m, ao_member *p);
/** Finds out whether it is through, or late. */
void ao_members_settle(ao_machine *m);
/** Another edit of this track begins, or none is left: forgets which members failed. */
void ao_members_forgive(ao_machine *m, ao_rollout_track track);
/** Chooses the members that are moved next, as many as there are places. */
void ao_members_choose(ao_machine *m);
/** The record was written: moves the members that it names, and serves those that were never served. */
void ao_members_release(ao_machine *m);
/** A bundle is at hand now: the members that it serves are not held any more. */
void ao_members_serve(ao_machine *m, const ao_known *bundle);
/** Must its children be left as they are? */
bool ao_member_held(const ao_member *p);

/* trial.c */
/** Do sources of main hold what a person went back from? */
bool ao_machine_holds_undone(const ao_machine *m);
/** ... or something that is refused? That changes nothing, and they may soon hold again what was undone. */
bool ao_machine_is_undone(const ao_machine *m);
/** Compares what is wanted with where the track goes: begins or drops a trial, turns round, or goes on. */
void ao_trial_consider(ao_machine *m, ao_rollout_track track);
/** Goes on with a trial until it needs an answer. @return true: something has changed */
bool ao_trial_advance(ao_machine *m, ao_rollout_track track);
void ao_trial_drop(ao_machine *m, ao_rollout_track track);
/** Refuses the bundle that is being tried. */
void ao_trial_refuse(ao_machine *m, ao_rollout_track track, const char *key, const char *why);
/** A member is new, has changed, or goes: finds out whether it must be checked. */
void ao_trial_member(ao_machine *m, ao_member *p, bool changed);
bool ao_trial_next(ao_machine *m, ao_rollout_track track, ao_task *ret);
/** @return false: the machine does not wait for this answer */
bool ao_trial_cased(ao_machine *m, ao_rollout_track track, const char *digest, ao_verdict verdict, const char *why, uint64_t *ret_wait_ms);
uint64_t ao_trial_checked(ao_machine *m, ao_rollout_track track, ao_member *p, const char *digest, const ao_machine_check *check);
/** Turns a rollout round. @param refused  it is not tried again */
void ao_trial_back(ao_machine *m, ao_rollout_track track, bool refused, const char *why);
