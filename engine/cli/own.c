/* own.c -- reads a Deployment, and the ConfigMaps with the variables and the --config of its first container.  It reads no Secret. */
#include "cli/own.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "json/yaml.h"

#include <stdlib.h>
#include <string.h>

#define CLASS_VARIABLE "ASYA_OPERATOR_CLASS"

typedef struct own {
	ao_session *session;
	const cJSON *settings; /* of the manifest */
	const cJSON *local;    /* what --config says; or NULL */
	const cJSON *pod;      /* the spec in the Deployment's template */
	const cJSON *container;
} own;

static void note(const char *what, const ao_err *err)
{
	ao_auto_str char *text = ao_xasprintf("%s: %s", what, ao_err_text(err));
	ao_cli_note(text);
}

/** @return a value of a ConfigMap of the operator's namespace; NULL: it is not there, or may not be read, which is noted; the caller frees */
static char *config_map_value(const own *o, const char *name, const char *key)
{
	ao_auto_str char *path = ao_resource_path(&ao_config_maps, o->session->namespace_, name, NULL);
	ao_auto_json cJSON *map = NULL;
	ao_auto_err ao_err *err = NULL;
	if (ao_session_get(o->session, path, &map, &err) < 0) {
		note("the operator's own settings", err);
		return NULL;
	}
	return ao_xstrdup(ao_json_str(map, "data", key));
}

/* ---- which Deployment ---- */

/** @param by_class  only one that says its class, as the chart's does: nothing else tells it from others */
static bool find_container(own *o, const cJSON *list, bool by_class)
{
	const cJSON *item;
	cJSON_ArrayForEach (item, ao_json_at(list, "items")) {
		const cJSON *pod = ao_json_at(item, "spec", "template", "spec"),
			    *container = cJSON_GetArrayItem(ao_json_at(pod, "containers"), 0);
		const cJSON *variable =
		    ao_json_item(ao_json_at(container, "env"), "name", CLASS_VARIABLE); /* the server keeps no empty value */
		const char *class_ = ao_json_str(variable, "value");
		if (!container || (by_class && !variable) || strcmp(class_ ? class_ : "", o->session->class_) != 0)
			continue;
		o->pod = pod;
		o->container = container;
		return true;
	}
	return false;
}

/* ---- its variables ---- */

static bool has_variable(const cJSON *setting, const char *name)
{
	const cJSON *env = ao_json_at(setting, "env"), *one;
	if (cJSON_IsString(env))
		return strcmp(env->valuestring, name) == 0;
	cJSON_ArrayForEach (one, env)
		if (cJSON_IsString(one) && strcmp(one->valuestring, name) == 0)
			return true;
	return false;
}

/** Does a setting have this variable, which --config does not name here? */
static bool is_wanted(const own *o, const char *name)
{
	const cJSON *setting;
	cJSON_ArrayForEach (setting, o->settings)
		if (has_variable(setting, name) && !ao_json_at(o->local, setting->string))
			return true;
	return false;
}

static void take_variable(const own *o, const cJSON *variable)
{
	const char *name = ao_json_str(variable, "name"), *value = ao_json_str(variable, "value");
	const cJSON *from = ao_json_at(variable, "valueFrom", "configMapKeyRef");
	const char *map = ao_json_str(from, "name"), *key = ao_json_str(from, "key");
	if (!name || !is_wanted(o, name) || getenv(name))
		return;
	ao_auto_str char *read = !value && map && key ? config_map_value(o, map, key) : NULL;
	if (value || read) {
		setenv(name, value ? value : read, 0);
	} else if (ao_json_at(variable, "valueFrom")) {
		ao_auto_str char *text = ao_xasprintf("the operator takes %s from a source that is not read here", name);
		ao_cli_note(text);
	}
}

/* ---- its configuration file ---- */

/** The path behind --config; NULL: it has none. Borrowed. */
static const char *config_path(const own *o)
{
	const cJSON *arg;
	cJSON_ArrayForEach (arg, ao_json_at(o->container, "args")) {
		const char *text = cJSON_IsString(arg) ? arg->valuestring : "";
		if (strncmp(text, "--config=", 9) == 0)
			return text + 9;
		if (strcmp(text, "--config") == 0 && cJSON_IsString(arg->next))
			return arg->next->valuestring;
	}
	return NULL;
}

/** The text of the file, when it lies in a ConfigMap that is mounted there. The caller frees. */
static char *read_mounted(const own *o, const char *path)
{
	const cJSON *mount, *item;
	cJSON_ArrayForEach (mount, ao_json_at(o->container, "volumeMounts")) {
		const char *at = ao_json_str(mount, "mountPath"), *volume = ao_json_str(mount, "name");
		size_t len = at ? strlen(at) : 0;
		if (!volume || !len || strncmp(path, at, len) != 0 || path[len] != '/')
			continue;
		const cJSON *map = ao_json_at(ao_json_item(ao_json_at(o->pod, "volumes"), "name", volume), "configMap");
		const char *name = ao_json_str(map, "name"), *key = path + len + 1;
		cJSON_ArrayForEach (item, ao_json_at(map, "items"))
			if (ao_json_str(item, "path") && strcmp(ao_json_str(item, "path"), key) == 0)
				key = ao_json_str(item, "key");
		return name && key ? config_map_value(o, name, key) : NULL;
	}
	return NULL;
}

static cJSON *read_config(const own *o)
{
	const char *path = config_path(o);
	ao_auto_str char *text = path ? read_mounted(o, path) : NULL;
	ao_auto_json cJSON *documents = NULL;
	ao_auto_err ao_err *err = NULL;
	if (!text)
		return NULL;
	if (ao_yaml_parse(text, strlen(text), path, &documents, &err) < 0) {
		note("the operator's own configuration", err);
		return NULL;
	}
	return cJSON_DetachItemFromArray(documents, 0);
}

/** Does somebody who is not told the operator's settings know any? */
static bool is_told(const own *o)
{
	const cJSON *setting, *one;
	cJSON_ArrayForEach (setting, o->settings) {
		const cJSON *env = ao_json_at(setting, "env");
		if (ao_json_at(o->local, setting->string) || (cJSON_IsString(env) && getenv(env->valuestring)))
			return true;
		cJSON_ArrayForEach (one, env)
			if (cJSON_IsString(one) && getenv(one->valuestring))
				return true;
	}
	return false;
}

/** By the label of the component first; the chart's nameOverride makes it another one. Notes that none is there, or may be seen. */
static bool find_own(own *o, const char *component, cJSON **list)
{
	ao_resource deployments = {.api_version = (char *)"apps/v1", .kind = (char *)"Deployment", .plural = (char *)"deployments"};
	ao_auto_str char *path = ao_resource_path(&deployments, o->session->namespace_, NULL, NULL);
	ao_auto_str char *labelled = ao_xasprintf("%s?labelSelector=" AO_NAME_LABEL "%%3D%s", path, component);
	bool builtin = !ao_load_folder(o->session->bundle_dir); /* another bundle may be one of several in a Deployment of another name */
	for (int all = 0; all < 1 + builtin; all++) {
		ao_auto_err ao_err *err = NULL;
		cJSON_Delete(AO_TAKE(*list));
		if (ao_session_get(o->session, all ? path : labelled, list, &err) < 0) {
			note("the operator's own settings", err);
			return false;
		}
		if (find_container(o, *list, all))
			return true;
	}
	if (builtin && !is_told(o)) {
		ao_auto_str char *text =
		    ao_xasprintf("no operator%s%s is installed in namespace %s: its settings are not known here (see --operator-namespace)",
				 *o->session->class_ ? " of class " : "", o->session->class_, o->session->namespace_);
		ao_cli_note(text);
	}
	return false;
}

int ao_own_settings(ao_session *session, ao_load_options *load, cJSON **config, ao_err **reterr)
{
	ao_auto_json cJSON *manifest = NULL, *local = NULL, *list = NULL;
	const cJSON *variable;
	int r = ao_load_base_manifest(session->bundle_dir, &manifest, reterr);
	if (r == 0 && load->config_file)
		r = ao_load_config(load->config_file, &local, reterr);
	if (r < 0)
		return r;
	own o = {.session = session, .settings = ao_json_at(manifest, "settings"), .local = local};
	if (!find_own(&o, ao_json_str(manifest, "component"), &list))
		return 0;
	cJSON_ArrayForEach (variable, ao_json_at(o.container, "env"))
		take_variable(&o, variable);
	*config = read_config(&o);
	load->config = *config;
	return 0;
}
