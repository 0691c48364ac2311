#pragma once
/**
 * settings.h -- the operator's settings, which policies read and the engine passes on without knowing their meaning.
 *
 * The manifest names each one: its environment variable, flag, type and default.  Later wins: default, --config file,
 * environment, flag.  `params` in the file are parameters of policies, checked by the bundle.
 * Threads: any.
 */
#include "json/json.h"

/**
 * Collects the settings that `manifest` declares.
 *
 * @param file   the parsed --config file, or NULL; a key that is neither a setting nor `params` is an error
 * @param flags  values given on the command line by setting name, or NULL
 * @param ret    an object: name -> value, and `params`; a setting without value or default is absent
 * @return 0; -EINVAL naming the source ("environment variable X", "config file: x") and what is wrong
 */
int ao_settings_collect(const cJSON *manifest, const cJSON *file, const cJSON *flags, cJSON **ret, ao_err **reterr);

/** The name of the setting that declares command line flag `flag`, or NULL. Borrowed from `manifest`. */
const char *ao_settings_flag(const cJSON *manifest, const char *flag);
