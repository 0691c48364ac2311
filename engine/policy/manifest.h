#pragma once
/**
 * manifest.h -- what a bundle says about itself, read once into plain structs: which kinds are watched, what owns them, and the names that
 * we use.  This is the only place where the engine learns what it operates on.
 * Ownership: the struct owns its strings.
 * Threads: any.
 */
#include "kube/resource.h"
#include "kube/store.h"
#include "json/json.h"

#include <stdbool.h>
#include <stddef.h>

/** What an object of a watched kind is to us. */
typedef enum {
	AO_ROLE_PARENT,  /* what users write */
	AO_ROLE_CHILD,   /* owned by a parent through a controller reference */
	AO_ROLE_SHARED,  /* made by us, without an owner, never deleted */
	AO_ROLE_RELATED, /* only looked at; belongs to the parent named by a label, or with the same label, or of the child that owns it, or to those that ask for it */
} ao_kind_role;

typedef struct ao_kind {
	ao_resource resource;
	ao_kind_role role;
	char *selector; /* label selector of the watch, or NULL */
	char *label;    /* AO_ROLE_RELATED: the label that names the parent, or NULL */
	bool same;      /* AO_ROLE_RELATED: ... it does not name it, but parents have it, too, with the same value */
	char *owner;    /* AO_ROLE_RELATED: the kind of the child that owns it, or NULL */
	bool rules;     /* AO_ROLE_RELATED: parents ask for its objects by rules */
	bool by_label;  /* AO_ROLE_CHILD: ao_manifest.owner_label says whose its objects are, and no owner reference */
	bool declared;  /* by a policy, not by the manifest's file */
	bool optional;  /* that it cannot be watched holds nothing else up: declared, or asked for by rules */
	ao_projection projection;
} ao_kind;

typedef struct ao_manifest {
	ao_kind *kinds; /* the parent first, then children and shared, those of policies last, then related, in manifest order */
	size_t kind_count;
	const char *
	    parent_label; /* by which parents are found that have it in common with related objects; NULL: none is; borrowed from `kinds` */
	const ao_resource **made; /* NULL-terminated: the kinds of children and shared objects; borrowed from `kinds` */
	char *finalizer;          /* or NULL: none is added */
	char *field_manager;
	char **legacy_managers; /* NULL-terminated; field_manager is among them */
	char *lease;            /* name of the Lease */
	char *component;        /* names us in Events and metrics */
	char *owner_label;      /* has the uid of the parent, on children by label ... */
	char *owner_annotation; /* ... and this its key */
	char **digest_path;     /* NULL-terminated path in the parent where the digest of what was rendered is kept; NULL: nowhere */
	char **bundle_path;     /* ... and the digest of the bundle that rendered it; NULL: nowhere */
	char **records_path;    /* NULL-terminated path in the parent of the records that say whose its queues are; NULL: nowhere */
	char **settled_path;    /* NULL-terminated path in the parent of what spares an operator after us a plan; NULL: nowhere */
	char **claim_path;      /* NULL-terminated path in the parent of who works on it, see operator/rivals.h; NULL: nowhere */
	char *gauge;            /* name of the metric that counts parents by their state; NULL: none */
	char *gauge_help, *gauge_label;
	char **gauge_path;                     /* NULL-terminated path in the parent of the value that the gauge counts by */
	char *debug_path;                      /* what /debug/ calls parents */
	char *policies_label;                  /* ConfigMaps of our namespace hold policies when this label is "true"; or NULL */
	char *bundle_label;                    /* ... or when this one is our component; or NULL */
	char *class_annotation;                /* says which operator an object belongs to, see scope.h; NULL: there is only one */
	char *profile_annotation;              /* asks for a profile, see policies/README.md; NULL: there are none */
	char *names_annotation;                /* names profiles by whose names a parent is to be reached as well; NULL: no such thing */
	char **waiting_path, **in_flight_path; /* NULL-terminated paths in the parent of the counts of its messages; NULL: nowhere */
	bool decorates;                        /* parents are somebody else's: no status, finalizer or owner by control is ours */
	ao_trait *traits;                      /* ... and which of them: those that have all of these */
	size_t trait_count;
	bool patches_status; /* ... and policies may put something in their status, which is theirs to see, too */
	char *install;       /* the command that teaches a cluster the parent's kind; NULL: nobody says */
} ao_manifest;

/** @param json  what ao_bundle_manifest() returned. @return 0; -EINVAL with the field that is wrong */
int ao_manifest_read(const cJSON *json, ao_manifest **ret, ao_err **reterr);
void ao_manifest_free(ao_manifest *manifest);

/** Can a bundle with `manifest` work in a world that was made for `world`, but for what policies declare? Both as ao_bundle_manifest() returns
 * them. */
bool ao_manifest_fits(const cJSON *manifest, const cJSON *world);

/** Are these one kind, in whatever version? */
bool ao_manifest_one_kind(const ao_resource *a, const ao_resource *b);
/**
 * May two bundles work in one process, as what ao_bundle_peek_manifest() returned of them says? Not for one kind of parents
 * and one class, nor under one name.
 * @param a_name,b_name  what people call them. @param class_  that of a manifest which names none. @return 0; -EINVAL with what they share, and what to do
 */
int ao_manifest_apart(const cJSON *a, const char *a_name, const cJSON *b, const char *b_name, const char *class_, ao_err **reterr);

/** The word for its parents in the pages of /debug/ and in names of records. @param manifest  as ao_bundle_manifest() returns it, borrowed from */
const char *ao_manifest_debug_path(const cJSON *manifest);

/** Is this row of `kinds`, or of `children`, among those of `world`? */
bool ao_manifest_holds(const cJSON *world, const cJSON *row);
/** The row for the same kind, which may say something else about it; NULL: there is none. Borrowed from `rows`. */
const cJSON *ao_manifest_same_kind(const cJSON *rows, const cJSON *row);
/** Adds the rows of kinds that are not among `rows` yet. @param more  copied; may be NULL */
void ao_manifest_add_kinds(cJSON *rows, const cJSON *more);
/** The rule for a role that lets us watch and make objects of a kind, as YAML in one line. @return the caller frees */
char *ao_kind_rule(const ao_kind *kind);

/** The kind of a JSON object, by its apiVersion and kind; one that we make or serve before one that is only looked at. NULL: the manifest does not
 * name it. */
const ao_kind *ao_manifest_kind(const ao_manifest *manifest, const cJSON *object);

static inline void ao_manifest_freep(ao_manifest **m) { ao_manifest_free(*m); }
#define ao_auto_manifest __attribute__((cleanup(ao_manifest_freep)))
