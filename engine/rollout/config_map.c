/* config_map.c -- the frame of the object, and the request. */
#include "rollout/config_map.h"

#include "base/mem.h"

cJSON *ao_config_map_make(const char *name, const char *label, const char *component)
{
	cJSON *object = cJSON_CreateObject();
	ao_json_set_str(object, "apiVersion", ao_config_maps.api_version);
	ao_json_set_str(object, "kind", ao_config_maps.kind);
	cJSON *metadata = ao_json_object(object, "metadata");
	ao_json_set_str(metadata, "name", name);
	cJSON *labels = ao_json_object(metadata, "labels");
	ao_json_set_str(labels, label, "true");
	ao_json_set_str(labels, AO_NAME_LABEL, component);
	return object;
}

ao_kube_call *ao_config_map_apply(ao_kube *kube, const char *namespace_, const char *manager, const cJSON *object, ao_kube_fn fn, void *arg)
{
	const char *name = ao_json_str(object, "metadata", "name");
	ao_auto_str char *body = ao_json_print(object), *path = ao_resource_path(&ao_config_maps, namespace_, name, NULL);
	ao_auto_str char *query = ao_xasprintf("%s?force=true&fieldManager=%s", path, manager);
	return ao_kube_send(kube, &(ao_kube_request){.method = "PATCH",
						     .path = query,
						     .content_type = AO_APPLY_PATCH,
						     .body = body,
						     .object = {&ao_config_maps, namespace_, name, NULL},
						     .fn = fn,
						     .arg = arg});
}
