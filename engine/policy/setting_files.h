#pragma once
/**
 * setting_files.h -- the files that settings ask for: a path on this machine, or a URL put together from other settings.
 *
 * Asking never waits, and a missing file is never fatal.  The failure is logged once.  A URL is tried again with a back-off,
 * a path every two seconds.  on_change is called when the file is there.
 *
 * A URL is fetched once, because it names a version.  When the URL leads nowhere and there is a token, the file is looked up in the
 * release: private repositories hand out their files only in this way.  A path is watched for as long as it is asked for.
 *
 * Before ao_setting_files_start() nothing is sent, and no callback is called: a process that stands by only reads paths.
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
	void (*on_change)(void *arg); /* ao_setting_files_get() gives another text now */
	/** One attempt to read or fetch a file has ended: "ok" or "error". May be NULL. */
	void (*on_read)(void *arg, const char *setting, const char *result);
	/** For an Event: says what happened to a file. `note` begins with the file's label. May be NULL. */
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
	const char *wrong;      /* why it cannot be read or fetched at all; or NULL */
	const char *hint;       /* what people should look at when the URL leads nowhere */
} ao_file_wanted;

ao_setting_files *ao_setting_files_new(const ao_setting_files_options *options);
void ao_setting_files_free(ao_setting_files *files); /* NULL is fine */

/**
 * @param files  NULL: nobody waits for the file, so a path that cannot be read is an error and a URL gives nothing
 * @param ret    the text, or NULL while it is not there; the caller frees
 * @return 0; with `files` NULL also the error of the path
 */
int ao_setting_files_get(ao_setting_files *files, const ao_file_wanted *wanted, char **ret, ao_err **reterr);
/** The setting does not ask for a file any more. */
void ao_setting_files_forget(ao_setting_files *files, const char *setting);

/** From now on files are fetched, and callbacks are called. */
void ao_setting_files_start(ao_setting_files *files);
/**
 * True while the first attempt runs, but at most for two seconds after the start.  A caller that waits for this does not have to plan every
 * parent twice: first without the file, then with it.
 */
bool ao_setting_files_settling(const ao_setting_files *files);
/** Is there a file that was asked for and could not be read yet? */
bool ao_setting_files_missing(const ao_setting_files *files);
/** Calls fn for each file that is asked for, once started: is it there? */
void ao_setting_files_each(const ao_setting_files *files, void (*fn)(void *arg, const char *setting, bool there), void *arg);
/** Writes what /readyz says of the files, in one line. Writes nothing when no setting asks for a file. */
void ao_setting_files_tell(const ao_setting_files *files, ao_buf *out);
