#pragma once
/**
 * config_entry.h -- one entry of a kubeconfig: a cluster, a user, a context.  Private to kube/config*.c.
 *
 * What a function gives (`ret`) is the caller's, except for ao_config_text(), which lends it.  Absent, null and "" are the same.
 * Threads: any.
 */
#include "kube/config.h"
#include "json/json.h"

/** Borrows everything. */
typedef struct ao_config_entry {
	const char *singular, *name, *file;
	const cJSON *fields; /* may be NULL */
} ao_config_entry;

/** The text of a field, or NULL. @return 0; -EINVAL when it is something else than text */
int ao_config_text(const ao_config_entry *e, const char *key, const char **ret, ao_err **reterr);
/** A copy of it. */
int ao_config_copy(const ao_config_entry *e, const char *key, char **ret, ao_err **reterr);
/** A file name. When it is relative, it is relative to the folder of the kubeconfig. */
int ao_config_path(const ao_config_entry *e, const char *key, char **ret, ao_err **reterr);
/** Reads a PEM from "<key>-data" (base64), else from the file that "<key>" names. Without both, *ret and *ret_file stay as they are. */
int ao_config_pem(const ao_config_entry *e, const char *key, char **ret, char **ret_file, ao_err **reterr);
/** Refuses a field that would change who we are or which server we use, in a way that is not supported. */
int ao_config_refuse(const ao_config_entry *e, const char *key, const char *instead, ao_err **reterr);

/** Reads a user: credentials, plugin, and whom to act as. @param cluster  the one of the context, which is in `config` already */
int ao_config_user(const ao_config_entry *e, const ao_config_entry *cluster, ao_kubeconfig *config, ao_err **reterr);
/** Frees plugin and impersonation. */
void ao_config_free_user(ao_kubeconfig *config);
