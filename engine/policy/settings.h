#pragma once
/**
 * settings.h -- the operator's settings, which policies read and the engine passes on without knowing their meaning.
 *
 * The manifest names each one: its environment variables, flag, type and default.  Later wins: default, --config file,
 * environment, flag.  `params` in the file are parameters of policies, checked by the bundle.
 * A setting of type `file` is a path and becomes the file's text; with `remote` it is, when the settings named in `when` have the values
 * given there, a URL put together from others.  While such a file is asked for and not there the value is `false`, never an error.
 * Threads: any; the loop thread when there are files.
 */
#include "policy/setting_files.h"
#include "json/json.h"

/** Where values come from beside the environment. */
typedef struct ao_settings_from {
	const cJSON *file;       /* the parsed --config file, or NULL; a key that is neither a setting nor `params` is an error */
	const cJSON *flags;      /* values given on the command line by setting name, or NULL */
	ao_setting_files *files; /* who reads and fetches files; NULL: nobody waits for them, see `on_note` */
	/** Without `files` a path that cannot be read is an error, and what lies behind a URL is left out with a note here; may be NULL. */
	void (*on_note)(const char *text);
} ao_settings_from;

/**
 * Collects the settings that `manifest` declares.
 *
 * @param ret  an object: name -> value, and `params`; a setting without value or default is absent
 * @return 0; -EINVAL naming the source ("environment variable X", "config file: x") and what is wrong
 */
int ao_settings_collect(const cJSON *manifest, const ao_settings_from *from, cJSON **ret, ao_err **reterr);

/** The name of the setting that declares command line flag `flag`, or NULL. Borrowed from `manifest`. */
const char *ao_settings_flag(const cJSON *manifest, const char *flag);
