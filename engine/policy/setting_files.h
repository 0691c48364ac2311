#pragma once
/**
 * setting_files.h -- the files that settings ask for: a path on this machine, or a URL put together from other settings.
 *
 * Asking never waits, and a file that cannot be had is never fatal: it is said once, tried again with a back-off (a path: looked at every
 * two seconds), and on_change tells when it is there.  What is behind a URL is fetched once, because the URL names a version.  Where a
 * token is there and the URL leads nowhere the release is looked up: private repositories give their files that way only.  A path is
 * watched for as long as it is asked for.
 *
 * Before ao_setting_files_start() nothing is sent and nobody is told: a process that stands by only reads paths.
 *
 * Threads: the loop thread only.  Callbacks run on the loop; only on_news may run inside ao_setting_files_start() and
 * ao_setting_files_get().
 */
#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

#include <stdbool.h>

typedef struct ao_setting_files ao_setting_files;

typedef struct ao_setting_files_options {
	ao_loop *loop;
	void (*on_change)(void *arg); /* what ao_setting_files_get() gives is another now */
	/** One attempt to read or fetch a file has ended: "ok" or "error". May be NULL. */
	void (*on_read)(void *arg, const char *setting, const char *result);
	/** For an Event: what became of a file. It begins with the file's label. May be NULL. */
	void (*on_news)(void *arg, bool warning, const char *reason, const char *note);
	void *arg;
} ao_setting_files_options;

/** What one setting asks for; texts are copied. */
typedef struct ao_file_wanted {
	const char *setting;
	const char *label; /* what people know it by, for messages ("runtime ConfigMap") */
	const char *path;  /* this or `url` */
	const char *url;
	const char *release;    /* URL of a JSON object {assets: [{name, url}]} where a token opens the file; or NULL */
	const char *sha256;     /* as a person wrote it, or NULL */
	const char *token_file; /* read at each attempt; or NULL */
	const char *token_env;  /* name of a variable that holds the token when no file does; or NULL */
	const char *ca_file;    /* trusted beside the system's CAs; or NULL */
	const char *wrong;      /* why it cannot be asked for at all; or NULL */
	const char *hint;       /* what to look at when the URL leads nowhere */
} ao_file_wanted;

ao_setting_files *ao_setting_files_new(const ao_setting_files_options *options);
void ao_setting_files_free(ao_setting_files *files); /* NULL is fine */

/**
 * @param files  NULL: there is nobody to wait for it, so a path that cannot be read is an error and a URL gives nothing
 * @param ret    the text, or NULL while it is not there; the caller frees
 * @return 0; with `files` NULL also the error of the path
 */
int ao_setting_files_get(ao_setting_files *files, const ao_file_wanted *wanted, char **ret, ao_err **reterr);
/** The setting asks for no file any more. */
void ao_setting_files_forget(ao_setting_files *files, const char *setting);

/** From now on files are fetched and people told. */
void ao_setting_files_start(ao_setting_files *files);
/** In the first two seconds after the start while the first attempt runs: who waits so long spares everybody a plan without the file. */
bool ao_setting_files_settling(const ao_setting_files *files);
/** Something was asked for and is not there. */
bool ao_setting_files_missing(const ao_setting_files *files);
/** Calls fn for each file that is asked for, once started: is it there? */
void ao_setting_files_each(const ao_setting_files *files, void (*fn)(void *arg, const char *setting, bool there), void *arg);
/** What /readyz says of them, in one line; nothing when no setting asks for a file. */
void ao_setting_files_tell(const ao_setting_files *files, ao_buf *out);
