#pragma once
/**
 * settings.h -- the operator's settings, which policies read and the engine passes on without knowing their meaning.
 *
 * The manifest names each setting: its environment variables, flag, type and default.  A later source wins: default, --config file,
 * environment, flag.  `params` in the file are parameters of policies; the bundle checks them.
 *
 * A setting of type `file` is a path, and its value is the text of the file.  With `remote` it can be a URL instead, which is put together
 * from other settings.  It is a URL when the settings named in `when` have the values given there.  While such a file is asked for but not
 * there yet, the value is `false`.  That is not an error.
 *
 * A setting with `namespaces` is a map of what each namespace says with the annotation of that name.  It has no other source.
 *
 * A setting with `engine` is for the engine alone.  Policies do not see it, and it is not part of the digest of a bundle.
 *
 * Threads: any; the loop thread when there are files.
 */
#include "policy/setting_files.h"
#include "policy/setting_namespaces.h"
#include "json/json.h"

/** Where values come from beside the environment. */
typedef struct ao_settings_from {
	const cJSON *file;       /* the parsed --config file, or NULL; a key that is neither a setting nor `params` is an error */
	const cJSON *flags;      /* values given on the command line by setting name, or NULL */
	ao_setting_files *files; /* reads and fetches files; NULL: nobody waits for them, see `on_note` */
	/** Without `files` a path that cannot be read is an error, and a file behind a URL is left out with a note here. May be NULL. */
	void (*on_note)(const char *text);
	ao_setting_namespaces *namespaces; /* NULL: what they say is not known */
} ao_settings_from;

/**
 * Collects the settings that `manifest` declares.
 *
 * @param ret  an object: name -> value, and `params`; a setting without value or default is absent
 * @return 0; -EINVAL with the source ("environment variable X", "config file: x") and what is wrong
 */
int ao_settings_collect(const cJSON *manifest, const ao_settings_from *from, cJSON **ret, ao_err **reterr);

/** Those that policies see: without the ones that the manifest declares `engine = true`. A copy. */
cJSON *ao_settings_for_policies(const cJSON *manifest, const cJSON *settings);
