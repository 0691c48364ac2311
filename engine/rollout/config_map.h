#pragma once
/**
 * config_map.h -- ConfigMaps that the operator writes for itself, by server-side apply.
 * Threads: the loop thread only.
 */
#include "kube/client.h"
#include "json/json.h"

/** One with a label of the value "true" and the component's name as AO_NAME_LABEL, without data. The caller frees. */
cJSON *ao_config_map_make(const char *name, const char *label, const char *component);
/** Makes it, or makes it equal. @param manager  the field manager. @return as ao_kube_send() */
ao_kube_call *ao_config_map_apply(ao_kube *kube, const char *namespace_, const char *manager, const cJSON *object, ao_kube_fn fn,
				  void *arg);
