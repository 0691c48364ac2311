#pragma once
/**
 * own.h -- the settings that the operator of a cluster runs with, read from its Deployment, for tools that must judge as the operator does.
 *
 * What the person at the terminal gives wins over them: flags, environment and --config of this process.
 * Threads: the main thread.
 */
#include "cli/session.h"

/**
 * Looks for the Deployment of our class in the operator's namespace.  Its variables that belong to settings become variables of this
 * process, unless the process has them already or --config names the setting.  When a ConfigMap holds the configuration file, it is put
 * into `load->config`.  A note names what cannot be read.  A missing Deployment is not an error: the operator may run elsewhere.
 * Who has given no setting at all is told of it.
 *
 * @param load  its `config` gets an object, which the caller frees
 * @return 0; -EINVAL, -ENOENT --config cannot be read
 */
int ao_own_settings(ao_session *session, ao_load_options *load, cJSON **config, ao_err **reterr);
