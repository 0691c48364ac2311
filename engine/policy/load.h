#pragma once
/**
 * load.h -- makes a bundle out of files and settings.  Every verb of the command line begins with this.
 *
 * Sources in this order: the base, which is the files built into the binary or those of --bundle DIR, then --policies DIR, then what the
 * caller brings (ConfigMaps).  A later file replaces an earlier one of the same name.
 * Threads: the loop thread only.
 */
#include "policy/scope.h"
#include "policy/settings.h"
#include "script/bundle.h"

#include <string.h>

#define AO_BUILTIN "builtin" /* as --bundle: the files of the binary; a folder of that name is ./builtin */

typedef struct ao_load_options {
	const char *bundle_dir;            /* --bundle; NULL or AO_BUILTIN: the base is the files of the binary */
	bool beside_others;                /* other bundles of this process take settings from the same places */
	const char *policies_dir;          /* --policies, or NULL */
	const ao_resource *parent;         /* what parents are, whatever a manifest that comes later says; NULL: the manifest says it */
	const char *finalizer;             /* the same: what parents hold; NULL: none, or the manifest says it */
	const char *config_file;           /* --config, or NULL */
	const cJSON *config;               /* another configuration, parsed, which config_file wins over; or NULL */
	const cJSON *flags;                /* settings given as flags: {name: text}, or NULL */
	const char *profile;               /* the same, of the setting of that name; or NULL */
	const ao_limits *limits;           /* of calls; NULL: the usual ones */
	const ao_scope *scope;             /* which policies and parents are ours; NULL: AO_SCOPE_ALL */
	ao_setting_files *files;           /* reads and fetches the files that settings ask for; NULL: see ao_settings_from */
	ao_setting_namespaces *namespaces; /* for settings that are made of what namespaces say; NULL: see ao_settings_from */
	void (*on_note)(const char *text); /* what a person should know about how settings were read; may be NULL */
} ao_load_options;

/** A bundle and what it says about itself. */
typedef struct ao_loaded {
	ao_bundle *bundle;
	ao_manifest *manifest;
	cJSON *settings; /* the operator's, by name */
	char *unclaimed; /* a text for people: `params` of policies that do not exist (yet), and settings that policies refuse; or NULL */
} ao_loaded;

static inline const ao_scope *ao_load_scope(const ao_load_options *options) { return options->scope ? options->scope : &AO_SCOPE_ALL; }

/** The folder of a value of --bundle; NULL: it means the files of the binary. */
static inline const char *ao_load_folder(const char *bundle_dir)
{
	return bundle_dir && strcmp(bundle_dir, AO_BUILTIN) != 0 ? bundle_dir : NULL;
}

/** Is this a manifest for parents that are and hold what these options say? @param parent, finalizer  as in the options. @return 0; -EINVAL */
int ao_load_check_parents(const ao_resource *parent, const char *finalizer, const ao_manifest *manifest, ao_err **reterr);

/** Reads a configuration file. @param ret  its only document; NULL: the file is empty */
int ao_load_config(const char *path, cJSON **ret, ao_err **reterr);

/** The files of the binary, or of a folder in their place. @param bundle_dir  as in the options. @return 0; as ao_sources_dir() */
int ao_load_base(const char *bundle_dir, ao_sources *sources, ao_err **reterr);
/** The manifest of the base. @return 0; -EINVAL with folder, file and line; as ao_load_base(); the caller frees */
int ao_load_base_manifest(const char *bundle_dir, cJSON **ret, ao_err **reterr);
/**
 * The manifest that an operator of this base works with when `sources`, which hold the base, are wanted of it: theirs, or that of the base
 * where it would refuse theirs, because nothing can be read there or it is for other parents.  The lease is that of the base in any case.
 * @param ret          the caller frees
 * @param ret_refused  why theirs is refused; NULL: it is not; the caller frees
 * @return as ao_load_base_manifest(); -EINTR the sandbox's clock
 */
int ao_load_manifest(const char *bundle_dir, const ao_sources *sources, ao_manifest **ret, ao_err **ret_refused, ao_err **reterr);
/** The files of the base and of --policies. */
int ao_load_sources(const ao_load_options *options, ao_sources *sources, ao_err **reterr);
/**
 * Collects the settings for a bundle of these sources.  What the configuration says at `bundles.COMPONENT` is for this bundle, and wins.
 * One with `bundles` is for several, as is that of a bundle beside others: settings there that this bundle does not have are another one's.
 * @param ret       all of them; the caller frees
 * @param ret_seen  those that policies see; may be NULL
 * @return 0; -EINVAL with file and line, or setting; -EINTR the sandbox's clock
 */
int ao_load_settings(const ao_load_options *options, const ao_sources *sources, cJSON **ret, cJSON **ret_seen, ao_err **reterr);
/** Loads a bundle with settings that were collected or kept. @return 0; -EINVAL with file and line, or field; -EINTR the sandbox's clock */
int ao_load_with(const ao_load_options *options, const ao_sources *sources, const cJSON *settings, const cJSON *seen, ao_loaded *ret,
		 ao_err **reterr);
/** Collects the settings and loads the bundle. */
int ao_load(const ao_load_options *options, const ao_sources *sources, ao_loaded *ret, ao_err **reterr);
void ao_loaded_clear(ao_loaded *loaded);
#define ao_auto_loaded __attribute__((cleanup(ao_loaded_clear)))

/**
 * Adds the files of policy ConfigMaps to `sources`.
 *
 * @param list        a ConfigMapList as the server sent it; it is sorted by name here, so that later names win
 * @param annotation  of ConfigMaps whose files are for one profile, which it names; NULL: there are none
 * @return the number of ConfigMaps; their data, and what in binaryData is no text, become files
 */
size_t ao_load_config_maps(ao_sources *sources, const cJSON *list, const char *annotation);
