#pragma once
/**
 * archive.h -- keeps the texts of bundles in ConfigMaps, so that a bundle can still serve when the sources do not hold it any more.
 *
 * A ConfigMap holds files by their names, and the settings that policies saw.  A bundle that does not fit into one goes on in the next one,
 * up to 4 MiB.  The ConfigMaps are numbered and used again, so nothing is ever deleted.  The record says which ones belong to which bundle.
 * Ownership: arguments are copied or sent at once, except what the options borrow.
 * Threads: the loop thread only; callbacks run on the loop, never from inside a call.
 */
#include "kube/client.h"
#include "policy/variant.h"
#include "rollout/record_text.h"

typedef struct ao_archive ao_archive;

#define AO_ARCHIVE_MAX (4 * 1024 * 1024) /* bytes of a bundle's texts */

/** What the names of its ConfigMaps begin with, before "-" and a number. The caller frees. */
char *ao_archive_prefix(const ao_scope *scope, const char *component);
/** @param kube, namespace_, manifest  borrowed; names come from `manifest` and `scope` */
ao_archive *ao_archive_new(ao_kube *kube, const char *namespace_, const ao_manifest *manifest, const ao_scope *scope);
void ao_archive_free(ao_archive *archive); /* NULL is fine; callbacks that are open are not called */

/** Digest -> ao_kept: what the cluster holds according to the record. Borrowed. */
const ao_map *ao_archive_kept(const ao_archive *archive);
/** A record was read or written: only what it names is kept from now on. Takes the map and its values. */
void ao_archive_adopt(ao_archive *archive, ao_map *kept);
/** It was found to be lost. */
void ao_archive_forget(ao_archive *archive, const char *digest);
bool ao_archive_has(const ao_archive *archive, const char *digest);
/** Name of the first ConfigMap that holds the texts; NULL: they are not kept. The caller frees. */
char *ao_archive_where(const ao_archive *archive, const char *digest);

/**
 * Can these texts be kept? @return 0; -E2BIG they are too large; -EINVAL a file has a name, or bytes, that no text of a ConfigMap can have
 */
int ao_archive_check(const ao_sources *sources, const cJSON *seen, ao_err **reterr);

/** @param error  NULL: the texts are kept now */
typedef void (*ao_archive_put_fn)(void *arg, const char *digest, const ao_err *error);
/** Writes the texts of a bundle, one bundle at a time. @return 0; else `fn` is not called: as ao_archive_check(); -EBUSY; -ENOSPC */
int ao_archive_put(ao_archive *archive, const char *digest, const ao_sources *sources, const cJSON *seen, ao_archive_put_fn fn, void *arg,
		   ao_err **reterr);

/**
 * @param sources  may be taken; NULL on errors, as is `seen`
 * @param error    NULL: all is well.  -ENOENT and -EINVAL: the texts are lost.  Any other code: the next attempt may succeed
 */
typedef void (*ao_archive_get_fn)(void *arg, const char *digest, ao_sources *sources, const cJSON *seen, const ao_err *error);
void ao_archive_get(ao_archive *archive, const char *digest, ao_archive_get_fn fn, void *arg);
