#pragma once
/**
 * incluster.h -- the configuration of a process in a pod: what the kubelet puts into its environment and its files.  Private to kube/.
 * Threads: any.
 */
#include "kube/config.h"

#define AO_INCLUSTER_FILES "/var/run/secrets/kubernetes.io/serviceaccount"

/** Are we in a pod with a service account: KUBERNETES_SERVICE_HOST is set and `folder` has a token. */
bool ao_incluster_here(const char *folder);
/** Fills server, ca_pem, token_file, namespace_ and source. @param folder AO_INCLUSTER_FILES, but in tests */
int ao_incluster_load(const char *folder, ao_kubeconfig *config, ao_err **reterr);
