#pragma once
/**
 * incluster.h -- the configuration of a process in a pod, which the kubelet puts into environment and files.  Private to kube/.
 * Threads: any.
 */
#include "kube/config.h"

#define AO_INCLUSTER_FILES "/var/run/secrets/kubernetes.io/serviceaccount"

/** Are we in a pod with a service account? Then KUBERNETES_SERVICE_HOST is set and `folder` has a token. */
bool ao_incluster_here(const char *folder);
/** Fills server, ca_pem, token_file, namespace_ and source. @param folder  AO_INCLUSTER_FILES, except in tests */
int ao_incluster_load(const char *folder, ao_kubeconfig *config, ao_err **reterr);
