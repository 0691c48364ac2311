#pragma once
/**
 * own.h -- the settings that the operator of a cluster runs with, as its Deployment says them, for tools that judge as it does.
 *
 * They lie below what the person at the terminal gives: flags, environment and --config of this process win.
 * Threads: the main thread.
 */
#include "cli/session.h"

/**
 * Looks for the Deployment of our class in the operator's namespace.  Variables that settings have there become variables of this process, unless it
 * has them already or --config names the setting; the configuration file, when a ConfigMap holds it, is put into `load->config`.  What cannot be read is
 * noted, and no Deployment is no error: the operator may run elsewhere.
 *
 * @param load  its `config` gets an object, which the caller frees
 * @return 0; -EINVAL, -ENOENT --config cannot be read
 */
int ao_own_settings(ao_session *session, ao_load_options *load, cJSON **config, ao_err **reterr);
